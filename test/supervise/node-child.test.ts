/** A program as a child of the daemon, with real processes. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { systemClock, type Clock } from "../../src/clock.ts";
import { environmentFor, startNode } from "../../src/supervise/node-child.ts";
import { awaitEnd, endedWithTest } from "../support/process-end.ts";
import { projectRoot, tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const built = (name: string): string => join(projectRoot, "dist/src/supervise", `${name}.js`);

/** A page that does nothing: it says that it serves, and ends with its parent. */
const STAND_IN = `
import { onParentGone } from ${JSON.stringify(built("parent-gone"))};
onParentGone(() => process.exit(0));
process.on("SIGTERM", () => process.exit(7));
setInterval(() => {}, 1_000);
console.error("up " + process.argv.slice(2).join(" "));
console.log(JSON.stringify({ pid: process.pid, env: process.env }));
console.log("x".repeat(1_000_000));
`;

function start(source: string, words: readonly string[] = [], clock: Clock = systemClock) {
  const { root } = tempRoot();
  const path = join(root, "stand-in.mjs");
  writeFileSync(path, source);
  const heard = { answer: "", serves: 0, said: [] as string[], gone: [] as string[] };
  const program = { path, words, env: { EXTRA: "1" }, secrets: ["hush"] };
  const child = startNode(
    program,
    clock,
    {
      serves: () => (heard.serves += 1),
      said: (line) => heard.said.push(line),
      gone: (how) => heard.gone.push(how),
    },
    (line) => (heard.answer = line),
  );
  const until = (test: () => boolean): Promise<void> =>
    vi.waitFor(() => expect(test()).toBe(true), { timeout: 30_000, interval: 5 });
  return { child, heard, until };
}

describe("a program beside the daemon", () => {
  it("answers, prints and ends", async () => {
    const { child, heard, until } = start(STAND_IN, ["a", "hush"]);
    await until(() => heard.serves === 1);
    const { pid, env } = JSON.parse(heard.answer) as { pid: number; env: Record<string, string> };
    expect(pid).toBe(child.pid);
    expect(env).toMatchObject({ EXTRA: "1", PATH: process.env["PATH"] });
    expect(Object.keys(env)).not.toContain("ORCHD_TEST_SESSION");
    expect(heard.said).toEqual(["up a ***"]);
    child.end();
    await until(() => heard.gone.length > 0);
    expect(heard.gone).toEqual(["ended with status 7"]);
  });

  it("is told of once, with its last lines before its end", async () => {
    const clock = new VirtualClock();
    const { child, heard, until } = start(
      "process.stderr.write('why'); process.exit(3)",
      [],
      clock,
    );
    await until(() => heard.gone.length > 0);
    expect(clock.timers).toBe(0);
    child.end();
    child.kill();
    expect(heard).toEqual({ answer: "", serves: 0, said: ["why"], gone: ["ended with status 3"] });
  });

  it.each([
    [16_384, 1],
    [16_385, 0],
  ])("whose first line has %i characters answers %i times", async (length, serves) => {
    const { heard, until } = start(
      `process.stdout.write("x".repeat(${length}), () =>
         setTimeout(() => process.stdout.write("\\nmore\\n", () => process.exit(0)), 100));`,
    );
    await until(() => heard.gone.length > 0);
    expect([heard.serves, heard.answer.length]).toEqual([serves, serves * length]);
  });

  it("is told of although another process holds its stderr", async () => {
    const { heard, until } = start(
      `import { spawn } from "node:child_process";
       spawn("sleep", ["2"], { stdio: ["ignore", "inherit", "inherit"], detached: true }).unref();
       process.exit(0)`,
    );
    await until(() => heard.gone.length > 0);
    expect(heard.gone).toEqual(["ended with status 0"]);
  });

  it("leads a group of its own, and yields to the daemon", async () => {
    const { child, heard, until } = start(STAND_IN);
    await until(() => heard.serves === 1);
    const stat = readFileSync(`/proc/${child.pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    expect([Number(fields[2]), Number(fields[16])]).toEqual([child.pid, 5]);
    child.kill();
    await until(() => heard.gone.length > 0);
    expect(heard.gone).toEqual(["was ended by SIGKILL"]);
  });

  it("ends when its parent is killed", async () => {
    const { root } = tempRoot();
    writeFileSync(join(root, "stand-in.mjs"), STAND_IN);
    const parent = `
      import { startNode } from ${JSON.stringify(built("node-child"))};
      import { systemClock } from ${JSON.stringify(join(projectRoot, "dist/src/clock.js"))};
      const nothing = { serves() {}, said() {}, gone() {} };
      const path = ${JSON.stringify(join(root, "stand-in.mjs"))};
      startNode({ path, words: [], env: {}, secrets: [] }, systemClock, nothing, (line) =>
        console.log(JSON.parse(line).pid),
      );`;
    const daemon = endedWithTest(spawn(process.execPath, ["--input-type=module", "-e", parent]));
    const pid = await new Promise<number>((resolve) =>
      daemon.stdout.once("data", (text: Buffer) => resolve(Number(text))),
    );
    expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toContain("stand-in.mjs");
    daemon.kill("SIGKILL");
    await awaitEnd(pid);
  });
});

it("the environment has what a program needs, and no secret of a step", () => {
  const given = environmentFor({
    PATH: "/bin",
    LC_ALL: "C",
    FAKETIME: "+1h",
    API_TOKEN: "secret",
    CREDENTIALS_DIRECTORY: "/run/credentials",
    NOTIFY_SOCKET: "/run/notify",
    ORCHD_ROOT: "/elsewhere",
    LC_NONE: undefined,
  });
  expect(given).toEqual({ PATH: "/bin", LC_ALL: "C", FAKETIME: "+1h" });
});

const PASSED_ON =
  "PATH HOME USER LOGNAME LANG LANGUAGE TZ TZDIR TMPDIR NODE_ENV NODE_OPTIONS NODE_ICU_DATA " +
  "LD_LIBRARY_PATH LD_PRELOAD ORCHD_LOG_LEVEL LC_TIME FAKETIME DONT_FAKE_MONOTONIC";

it.each(PASSED_ON.split(" "))("%s is passed on, and a name that only ends so is not", (name) => {
  expect(environmentFor({ [name]: "1", [`X_${name}`]: "2" })).toEqual({ [name]: "1" });
});
