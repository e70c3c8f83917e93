/** A real program for each message. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ChannelHost } from "../../../src/notify/channels/channel-host.ts";
import type { TextOrSecret } from "../../../src/notify/secrets.ts";
import { ALERT, becauseOf, channelOf, message, send } from "../../support/channel-rig.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "orchd-command-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

interface Rest {
  readonly env?: Record<string, TextOrSecret>;
  readonly timeout?: string;
  readonly host?: Partial<ChannelHost>;
  readonly secrets?: Record<string, string>;
}

const command = (run: string[], { env, timeout, host, secrets }: Rest = {}) =>
  channelOf(
    {
      kind: "command",
      run,
      ...(env === undefined ? {} : { env }),
      ...(timeout === undefined ? {} : { timeout }),
    },
    secrets,
    { root, ...host },
  );
const shell = (script: string, rest: Rest = {}) => command(["/bin/sh", "-c", script], rest);
const file = (name: string): string => readFileSync(join(root, name), "utf8");

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
};

describe("a command", () => {
  it("gets the message as JSON, and its parts as variables, in the root", async () => {
    const sent = await send(shell("pwd > where; env -0 > env; cat > in"));
    expect(sent).toEqual({ ok: true, answer: "exit status 0" });
    expect(file("where").trim()).toBe(root);
    expect(JSON.parse(file("in"))).toMatchObject({ kind: "failed", key: ALERT.key, count: 2 });
    const variables = Object.fromEntries(
      file("env")
        .split("\0")
        .filter((line) => line !== "")
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    expect(variables).toMatchObject({
      PATH: process.env["PATH"],
      ORCHD_ALERT_KEY: ALERT.key,
      ORCHD_ALERT_KIND: "failed",
      ORCHD_ALERT_OF: "",
      ORCHD_ALERT_CHANNEL: "ops",
      ORCHD_ALERT_PIPELINE: "backup",
      ORCHD_ALERT_RUN: ALERT.run,
      ORCHD_ALERT_STATUS: "failed",
      ORCHD_ALERT_BECAUSE: ALERT.because,
      ORCHD_ALERT_AT: ALERT.at,
      ORCHD_ALERT_COUNT: "2",
      ORCHD_ALERT_TITLE: message().title,
      ORCHD_ALERT_TEXT: message().text,
      ORCHD_ALERT_URL: message().url,
    });
    const own = /^(ORCHD_ALERT_|PWD$|_$|SHLVL$|OLDPWD$|PATH$|HOME$|LANG$|TZ$)/;
    expect(Object.keys(variables).filter((name) => !own.test(name))).toEqual([]);
  });

  it("gets the machine's few variables, orchd.yaml's, its own, and the alert's last", async () => {
    const host = {
      env: { PATH: process.env["PATH"], HOME: "/h", TZ: "UTC", SECRET_OF_DAEMON: "x" },
      variables: { A: "1", B: "1", S: { secret: "S" } },
    };
    const env = { B: "2", C: { secret: "C" }, ORCHD_ALERT_KIND: "mine" };
    const secrets = { S: "s3", C: "c4" };
    const all = "$HOME,$TZ,$SECRET_OF_DAEMON,$A,$B,$C,$S,$ORCHD_ALERT_KIND";
    await send(shell(`printf %s "${all}" > out`, { env, host, secrets }));
    expect(file("out")).toBe("/h,UTC,,1,2,c4,s3,failed");
  });

  it("is words and no shell's text", async () => {
    const words = ["$(touch evil)", "; touch evil", "a b", "*", ""];
    await send(command(["/bin/sh", "-c", 'for w; do echo "[$w]"; done > out', "x", ...words]));
    expect(file("out")).toBe(words.map((word) => `[${word}]\n`).join(""));
    await send(
      shell('eval_is_not_asked="$ORCHD_ALERT_BECAUSE"; printf %s "$eval_is_not_asked" > out'),
      message({ because: "$(touch evil) `touch evil`; touch evil" }),
    );
    expect(existsSync(join(root, "evil"))).toBe(false);
    expect(file("out")).toBe("$(touch evil) `touch evil`; touch evil");
  });

  it("tells the status and the end of what it printed, on one line and masked", async () => {
    const secrets = { TOKEN: "canary-of-the-command" };
    const env = { TOKEN: { secret: "TOKEN" } };
    const script =
      'i=0; while [ $i -lt 3000 ]; do echo line; i=$((i+1)); done; printf "\\033[31m"; ';
    const sent = await send(
      shell(`${script} echo "bad $TOKEN" >&2; sleep 0.05; echo end; exit 3`, { env, secrets }),
    );
    expect(becauseOf(sent)).toMatch(/^\/bin\/sh ended with status 3: .*line bad \*\*\* end$/);
    expect(becauseOf(sent).length).toBeLessThanOrEqual(300);
    expect(becauseOf(sent)).not.toMatch(/[\u0000-\u001f]/);
    expect(becauseOf(await send(shell("exit 4")))).toBe("/bin/sh ended with status 4");
    expect(becauseOf(await send(shell("kill -SEGV $$")))).toBe("/bin/sh was ended by SIGSEGV");
  });

  it("leaves no part of a secret where what it printed is cut", async () => {
    const secrets = { TOKEN: "canary-of-the-command" };
    const env = { TOKEN: { secret: "TOKEN" } };
    const rest = "x".repeat(140);
    const sent = await send(shell(`echo "$TOKEN"${rest}; exit 1`, { env, secrets }));
    expect(becauseOf(sent)).toBe(`/bin/sh ended with status 1: ***${rest}`);
  });

  it.each([
    [["/nowhere/program"], "/nowhere/program is not there: give its whole path"],
    [["no-such-program-of-orchd"], "no-such-program-of-orchd is not there"],
    [["./plain"], "./plain may not be run: check its mode and its owner"],
    [["/"], "/ may not be run"],
    [["true\0x"], "cannot be run"],
  ])("that cannot be started says why: %j", async (run, because) => {
    writeFileSync(join(root, "plain"), "no program", { mode: 0o644 });
    expect(becauseOf(await send(command(run)))).toContain(because);
  });

  it("is found by the PATH, and from the root", async () => {
    expect(await send(command(["true"]))).toMatchObject({ ok: true });
    writeFileSync(join(root, "tell"), "#!/bin/sh\ncat > told\n", { mode: 0o755 });
    expect(await send(command(["./tell"]))).toMatchObject({ ok: true });
    expect(file("told")).toContain(ALERT.key);
  });

  it("says which secret is missing, and what no environment can hold", async () => {
    const env = { TOKEN: { secret: "TOKEN" } };
    expect(becauseOf(await send(shell("true", { env })))).toContain(
      "/bin/sh cannot be run: The secret TOKEN is not there",
    );
    const long = { BIG: "x".repeat(200_000) };
    expect(becauseOf(await send(shell("true", { env: long })))).toContain(
      "/bin/sh cannot be run: env BIG has",
    );
  });

  it("need not read its message", async () => {
    const long = message({}, { text: "x".repeat(16_000) });
    expect(await send(shell("exec <&-; exit 0"), long)).toMatchObject({ ok: true });
    expect(await send(command(["true"]), long)).toMatchObject({ ok: true });
  });

  it("may print 50 MB", async () => {
    expect(await send(shell("head -c 50000000 /dev/zero; exit 0"))).toMatchObject({ ok: true });
  });

  it("takes a text with whatever in it", async () => {
    const nasty = `\0\uD800\u001b[31m${"ü".repeat(16_000)}`;
    const one = message({ because: nasty.slice(0, 2_000) }, { text: nasty });
    expect(await send(shell("cat > in"), one)).toMatchObject({ ok: true });
    expect(() => JSON.parse(file("in")) as unknown).not.toThrow();
  });

  it("is told to end when its time is over, with all of its group", async () => {
    const script = 'sleep 600 & echo $! > child; trap "echo told >> out; exit 0" TERM; wait';
    const sent = await send(shell(script, { timeout: "400ms" }));
    expect(becauseOf(sent)).toBe("/bin/sh did not end in time (400ms)");
    expect(file("out")).toBe("told\n");
    const child = Number(file("child"));
    await expect.poll(() => isAlive(child)).toBe(false);
  });

  it("is ended where it does not listen", async () => {
    const begin = performance.now();
    const script = 'trap "" TERM; echo $$ > pid; while :; do sleep 0.1; done';
    const sent = await send(shell(script, { timeout: "300ms" }));
    expect(becauseOf(sent)).toContain("did not end in time");
    expect(performance.now() - begin).toBeLessThan(5_000);
    expect(isAlive(Number(file("pid")))).toBe(false);
  });

  it("leaves no process behind, and does not wait for one that keeps its output open", async () => {
    const begin = performance.now();
    const sent = await send(shell("sleep 600 & echo $! > child; exit 0"));
    expect(sent).toMatchObject({ ok: true });
    expect(performance.now() - begin).toBeLessThan(3_000);
    const child = Number(file("child"));
    await expect.poll(() => isAlive(child)).toBe(false);
  });

  it("is not begun when the program already ends, and ends with it", async () => {
    const ending = new AbortController();
    const sending = send(shell("echo x > began; sleep 600"), message(), ending.signal);
    await expect.poll(() => existsSync(join(root, "began"))).toBe(true);
    ending.abort();
    expect(await sending).toMatchObject({ ok: false });
    rmSync(join(root, "began"));
    expect(await send(shell("echo x > began"), message(), ending.signal)).toMatchObject({
      ok: false,
    });
    expect(existsSync(join(root, "began"))).toBe(false);
  });
});
