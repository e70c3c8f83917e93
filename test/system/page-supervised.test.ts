/** The page that the daemon keeps running: a real daemon, a real page, and what befalls them. */
import { chmodSync, existsSync, readFileSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { awaitLine } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { freePort } from "../support/free-port.ts";
import { awaitEnd } from "../support/process-end.ts";
import { childrenOf, healthOf, pageOf, untilServes } from "../support/supervised-page.ts";
import { projectRoot, tempRoot, type TempRoot } from "../support/temp-root.ts";

const SLEEPER = "drainPeriod: 2s\n";
const FILES = {
  "schedules/sleep.yaml": 'steps: { s: { run: "sleep 60" } }\n',
  "schedules/quick.yaml": 'steps: { s: { run: "true" } }\n',
};

interface Shown {
  readonly root: TempRoot;
  readonly daemon: Daemon;
  readonly url: string;
  readonly port: number;
}

async function shown(more = "", env: Record<string, string> = {}): Promise<Shown> {
  const port = await freePort();
  const page = `page: { listen: "127.0.0.1:${port}", requests: true ${more} }\n`;
  const root = tempRoot({ ...FILES, "orchd.yaml": SLEEPER + page });
  const daemon = await startDaemon({ root: root.root, stdout: true, env });
  return { root, daemon, port, url: `http://127.0.0.1:${port}/` };
}

const sentences = (daemon: Daemon): string[] => daemon.log().map(({ msg }) => String(msg));

/** Waits for a sentence in the log. */
const told = (daemon: Daemon, pattern: RegExp): Promise<string> =>
  vi.waitFor(
    () => {
      const found = sentences(daemon).find((sentence) => pattern.test(sentence));
      expect(found, daemon.stderr()).toBeDefined();
      return found!;
    },
    { timeout: 20_000, interval: 20 },
  );

/** The link that the daemon printed, once it has. */
const linkOf = (daemon: Daemon): Promise<string> =>
  vi.waitFor(
    () => {
      const [, link] = /^page: (\S+)\n/m.exec(daemon.stdout()) ?? [];
      expect(link).toBeDefined();
      return link!;
    },
    { timeout: 20_000, interval: 20 },
  );

function statusOf(url: string, token?: string): Promise<number> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new Promise((resolve, reject) => {
    get(url, { headers, agent: false }, (response) => {
      response.on("end", () => resolve(response.statusCode!)).resume();
    }).on("error", reject);
  });
}

async function gone(url: string): Promise<void> {
  await vi.waitFor(async () => expect(await healthOf(url)).toBeUndefined(), {
    timeout: 10_000,
    interval: 20,
  });
}

describe("the page beside the daemon", () => {
  it("has a link that works, with a token that is in no log and no argument", async () => {
    const { root, daemon, url, port } = await shown("", { API_KEY: "canary-of-a-step" });
    const link = await linkOf(daemon);
    expect(link).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:${port}/#token=[\\w-]{32,}$`));
    const token = link.split("#token=")[1]!;
    expect(await statusOf(`${url}api/v1/status`, token)).toBe(200);
    expect(await statusOf(`${url}api/v1/status`)).toBe(401);
    expect(await statusOf(`${url}api/v1/status`, `${token}x`)).toBe(401);
    expect(await told(daemon, /^the page is at/)).toBe(`the page is at ${url}`);
    expect(daemon.stderr()).not.toContain(token);
    const page = childrenOf(daemon.pid).find(({ command }) => command.includes(" page "));
    expect(page!.command).not.toContain(token);
    const environment = readFileSync(`/proc/${page!.pid}/environ`, "utf8");
    expect(environment).not.toContain("canary-of-a-step");
    const found = await orchd(root.root, "verify");
    expect(found.status).toBe(0);
  });

  it("is back after kill -9, at the same address with the same token", async () => {
    const { daemon, url } = await shown();
    const link = await linkOf(daemon);
    const token = link.split("#token=")[1]!;
    for (let kill = 0; kill < 2; kill += 1) {
      const pid = await untilServes(url, () => pageOf(daemon.pid));
      process.kill(pid, "SIGKILL");
      await awaitEnd(pid);
    }
    await untilServes(url, () => pageOf(daemon.pid));
    expect(await statusOf(`${url}api/v1/status`, token)).toBe(200);
    expect(daemon.stdout()).toBe(`page: ${link}\n`);
    expect(sentences(daemon).filter((it) => it.includes("was ended by SIGKILL"))).toEqual([
      "the page was ended by SIGKILL; it is started again in 1 s",
      expect.stringMatching(/in [12] s/),
    ]);
  });

  it("ends with a daemon that is killed, and the next daemon shows it again", async () => {
    const { root, daemon, url } = await shown();
    const pid = await untilServes(url, () => pageOf(daemon.pid));
    await daemon.kill();
    await awaitEnd(pid);
    expect(await healthOf(url)).toBeUndefined();
    const next = await startDaemon({ root: root.root });
    await untilServes(url, () => pageOf(next.pid));
  });

  it("is ended by the next daemon where it hangs, so that the port is free", async () => {
    const { root, daemon, url } = await shown();
    const pid = await untilServes(url, () => pageOf(daemon.pid));
    process.kill(pid, "SIGSTOP");
    await daemon.kill();
    await sleep(200);
    const next = await startDaemon({ root: root.root });
    await awaitEnd(pid);
    expect(await untilServes(url, () => pageOf(next.pid))).not.toBe(pid);
  });

  it("stays until the last run has ended, and then ends with the daemon", async () => {
    const { root, daemon, url } = await shown();
    const pid = await untilServes(url, () => pageOf(daemon.pid));
    const { run } = (await orchd(root.root, "run", "sleep", "--json")).json<{ run: string }>();
    const month = `${run.slice(6, 10)}-${run.slice(10, 12)}`;
    const ledger = join(root.runs, "sleep", month, `${run}.jsonl`);
    await awaitLine(ledger, ({ type }) => type === "step.started");
    const ended = daemon.end("SIGTERM");
    await sleep(1_000);
    expect(await healthOf(url)).toBe(200);
    expect((await ended).status).toBe(0);
    await awaitEnd(pid);
  });

  it("holds up no end where it hangs", async () => {
    const { daemon, url } = await shown();
    const pid = await untilServes(url, () => pageOf(daemon.pid));
    process.kill(pid, "SIGSTOP");
    const from = Date.now();
    expect((await daemon.end("SIGTERM")).status).toBe(0);
    expect(Date.now() - from).toBeLessThan(5_000);
    await awaitEnd(pid);
  });

  it("starts, moves and ends as orchd.yaml says at a SIGHUP", async () => {
    const { root, daemon, url } = await shown();
    const first = await untilServes(url, () => pageOf(daemon.pid));
    root.write("orchd.yaml", `${SLEEPER}timezone: Europe/Berlin\npage: { listen: 7 }\n`);
    process.kill(daemon.pid, "SIGHUP");
    await told(daemon, /page\.listen must be text.*; the settings that were in force stay/);
    expect(pageOf(daemon.pid)).toBe(first);
    root.write("orchd.yaml", SLEEPER);
    process.kill(daemon.pid, "SIGHUP");
    await awaitEnd(first);
    await gone(url);
    const port = await freePort();
    root.write("orchd.yaml", `page: { listen: "127.0.0.1:${port}" }\n`);
    process.kill(daemon.pid, "SIGHUP");
    const other = `http://127.0.0.1:${port}/`;
    const second = await untilServes(other, () => pageOf(daemon.pid));
    process.kill(daemon.pid, "SIGHUP");
    await sleep(500);
    expect(pageOf(daemon.pid)).toBe(second);
    root.write("orchd.yaml", "page: {}\n");
    process.kill(daemon.pid, "SIGHUP");
    const socket = join(root.runs, ".orchd/page.sock");
    await untilServes("http://localhost/", () => pageOf(daemon.pid), socket);
    expect(await healthOf(other)).toBeUndefined();
    await told(daemon, new RegExp(`^the page is at ${socket}$`));
    expect((await daemon.end()).status).toBe(0);
    expect(existsSync(socket)).toBe(false);
  });

  it("tells once that its port is taken, and has it when it is free", async () => {
    const port = await freePort();
    const blocker = createServer().listen(port, "127.0.0.1");
    onTestFinished(() => void blocker.close());
    const page = `page: { listen: "127.0.0.1:${port}" }\n`;
    const root = tempRoot({ ...FILES, "orchd.yaml": page });
    const daemon = await startDaemon({ root: root.root });
    const sentence = await told(daemon, /^the page ended/);
    expect(sentence).toContain(`127.0.0.1:${port}`);
    expect(sentence).toContain("in use");
    expect(sentence).toMatch(/it is started again in 1 s$/);
    const ran = await orchd(root.root, "run", "quick", "--wait");
    expect(ran.status).toBe(0);
    await sleep(2_500);
    expect(sentences(daemon).filter((it) => it.includes("in use"))).toHaveLength(1);
    await new Promise((resolve) => blocker.close(resolve));
    await untilServes(`http://127.0.0.1:${port}/`, () => pageOf(daemon.pid));
  });

  it("tells why a token file is refused, and the daemon goes on", async () => {
    const port = await freePort();
    const root = tempRoot({
      ...FILES,
      tokens: "operate 0123456789abcdef0123\n",
      "orchd.yaml": `page: { listen: "127.0.0.1:${port}", tokenFile: tokens }\n`,
    });
    chmodSync(join(root.root, "tokens"), 0o644);
    const daemon = await startDaemon({ root: root.root });
    const sentence = await told(daemon, /^the page ended with status 2/);
    expect(sentence).toContain("chmod 600");
    expect((await orchd(root.root, "run", "quick", "--wait")).status).toBe(0);
  });
});

describe("orchd start --page", () => {
  it("is what `npm start` does", () => {
    const manifest = readFileSync(join(projectRoot, "package.json"), "utf8");
    expect(JSON.parse(manifest)).toMatchObject({
      scripts: { start: "npm run build && node dist/bin/orchd.js start --pretty --page" },
    });
  });

  it("shows it at 4114, or at a free port where that is taken", { timeout: 90_000 }, async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => {
      // Somebody else may have it: that is as good.
      blocker.on("error", () => resolve()).listen(4114, "127.0.0.1", resolve);
    });
    onTestFinished(() => void blocker.close());
    const root = tempRoot(FILES);
    const daemon = await startDaemon({ root: root.root, arguments: ["--page"], stdout: true });
    const link = await linkOf(daemon);
    const [, port, token] = /^http:\/\/127\.0\.0\.1:(\d+)\/#token=(.+)$/.exec(link)!;
    expect(port).not.toBe("4114");
    await told(daemon, new RegExp(`^port 4114 .* is taken .*: the page has port ${port}$`));
    expect(await statusOf(`http://127.0.0.1:${port}/api/v1/status`, token)).toBe(200);
    const pid = pageOf(daemon.pid)!;
    expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toContain("--allow-requests");
  });

  it("leaves it to orchd.yaml where that has a page", async () => {
    const port = await freePort();
    const root = tempRoot({ ...FILES, "orchd.yaml": `page: { listen: "127.0.0.1:${port}" }\n` });
    const daemon = await startDaemon({ root: root.root, arguments: ["--page"], stdout: true });
    expect(await linkOf(daemon)).toContain(`http://127.0.0.1:${port}/#token=`);
    const pid = pageOf(daemon.pid)!;
    expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).not.toContain("--allow-requests");
  });
});
