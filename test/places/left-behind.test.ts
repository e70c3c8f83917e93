/**
 * Promise 24, a step that ends by itself: no process outlives it, whatever the process made of
 * itself. In a real runner. (Crashes are in test/faults/orphans.test.ts.)
 */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { LeftBehind } from "../../src/places/runner/left-behind.ts";
import { awaitSight } from "../support/await-event.ts";
import { reached } from "../support/figures.ts";
import { processesWith } from "../support/ledgers.ts";
import { PoolRig } from "../support/pool-rig.ts";

/** No output is held: nothing is left to wait for. */
const QUIET = ">/dev/null 2>&1";

/** How a command leaves a process. `$M` is a word that stands in the process's command line. */
const WAYS: Record<string, string> = {
  "in the background": `sleep 3600.$M & echo started`,
  nohup: `nohup sleep 3600.$M ${QUIET} & echo started`,
  "a session that holds the output": `setsid -f sleep 3600.$M; echo ok`,
  "a session that holds nothing": `setsid -f sleep 3600.$M ${QUIET} </dev/null; echo ok`,
  "a daemon that forks twice": `setsid sh -c '(sleep 3600.$M &) &' ${QUIET}; echo ok`,
  "one that is deaf": `setsid -f sh -c 'trap "" TERM INT HUP; sleep 3600.$M; :' ${QUIET}`,
  "one in another folder": `cd / && setsid -f sleep 3600.$M ${QUIET}`,
  "one below a shell that lives": `setsid -f sh -c 'sleep 3600.$M & wait' ${QUIET}`,
  "one below it with a cleared environment": `
    setsid -f sh -c 'env -i setsid sleep 3600.$M & wait' ${QUIET}; sleep 0.1`,
  "many of them": `for n in 1 2 3 4 5 6 7 8; do setsid -f sleep 3600.$M ${QUIET}; done`,
  "one that forks on and on": `
    setsid -f sh -c 'while :; do sleep 0.01; done & sleep 3600.$M' ${QUIET}`,
  "after a failure": `setsid -f sleep 3600.$M ${QUIET}; exit 3`,
  "after a step of more than a second": `setsid -f sleep 3600.$M ${QUIET}; sleep 1.1`,
  "after many forks": `
    setsid -f sleep 3600.$M ${QUIET}; for n in $(seq 80); do /bin/true; done`,
  "as the shell is replaced": `setsid -f sleep 3600.$M ${QUIET}; exec true`,
  "as the shell is killed": `setsid -f sleep 3600.$M ${QUIET}; kill -KILL $$`,
};

/** Starts a process with these options. */
const spawning = (options: string): string =>
  `spawn("sleep", [M], { detached: true, stdio: "ignore", ${options} }).unref();`;

/** Ways in a module. */
const MODULE_WAYS: Record<string, string> = {
  detached: `${spawning("")} return 1;`,
  "with an environment of its own": `${spawning("env: {}")} return 1;`,
  "by a shell": `execSync("setsid -f sleep " + M + " ${QUIET}"); return 1;`,
  "after a failure": `${spawning("")} throw new Error();`,
};

const word = (): string => Math.random().toString().slice(2);

describe("what a step leaves", { timeout: 120_000 }, () => {
  it("is ended with the step, however it was started", async () => {
    const rig = new PoolRig({ threads: 2 });
    // A neighbour's processes live on.
    const [own, neighbours] = [word(), word()];
    const beside = rig.startShell(
      `setsid -f sleep 3600.${neighbours} >/dev/null 2>&1; echo begun
       until [ -e go ]; do sleep 0.05; done`,
    );
    await beside.firstLine;
    const faults: string[] = [];
    const look = async (name: string): Promise<void> => {
      // A process that was killed is there until the kernel has ended it.
      const isGone = (): true | undefined =>
        processesWith(`3600.${own}`).length === 0 ? true : undefined;
      await awaitSight("/proc", isGone, "its end").catch(() =>
        faults.push(`${name}: it is still there`),
      );
      // Its shell names it too, and so does what the shell forks, until that becomes a program.
      const isWhole = (): true | undefined =>
        processesWith(`3600.${neighbours}`).length === 2 ? true : undefined;
      await awaitSight("/proc", isWhole, "the neighbour's").catch(() =>
        faults.push(`${name}: a neighbour's`),
      );
    };
    for (const [name, text] of Object.entries(WAYS)) {
      await rig.startShell(text.replaceAll("$M", own)).ended;
      await look(name);
    }
    for (const [name, body] of Object.entries(MODULE_WAYS)) {
      const head = `const { spawn, execSync } = await import("node:child_process");`;
      await rig.startBody(`${head} const M = "3600.${own}"; ${body}`).ended;
      await look(`module: ${name}`);
    }
    writeFileSync(join(rig.folder, "go"), "");
    await beside.ended;
    await awaitSight(
      "/proc",
      () => (processesWith(`3600.${neighbours}`).length === 0 ? true : undefined),
      "the end of what the neighbour left",
    );
    expect(faults).toEqual([]);
    const count = Object.keys(WAYS).length + Object.keys(MODULE_WAYS).length;
    reached(24, "ways to leave a process behind a step that ends", count, count);
  });

  it("does not hold up the step's end", async () => {
    const rig = new PoolRig();
    await rig.startShell("true").ended;
    const { durationMs, lines } = await rig.startShell(`setsid -f sleep 3600; echo started`).ended;
    expect(lines.map(({ line }) => line)).toEqual(["started"]);
    expect(durationMs).toBeLessThan(3_000);
  });
});

describe("looking for what was left", () => {
  const TOKEN = `left-${process.pid}/x`;

  /** A process that carries the token. */
  interface Carrier {
    readonly pid: number;
    /** Undefined once it has ended. */
    readonly isThere: () => true | undefined;
    /** The signal that ended it. */
    readonly ended: Promise<NodeJS.Signals | null>;
    /** Tells it to end. */
    readonly end: () => void;
  }

  function carrier(): Carrier {
    const child = spawn("sleep", ["3600"], {
      env: { ...process.env, ORCHD_RUNNER_TOKEN: TOKEN },
      stdio: "ignore",
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const ended = new Promise<NodeJS.Signals | null>((resolve) =>
      child.on("exit", (_, signal) => resolve(signal)),
    );
    return {
      pid: child.pid!,
      isThere: () => (child.signalCode === null ? true : undefined),
      ended,
      end: () => void child.kill("SIGTERM"),
    };
  }

  it("finds what came after the shell by the order of pids", async () => {
    const left = new LeftBehind();
    const mark = left.began(spawn("true").pid!);
    const one = carrier();
    left.end(mark, TOKEN);
    await awaitSight("/proc", () => (one.isThere() ? undefined : true), "its end");
  });

  it("passes over the shells of other steps that began since", async () => {
    const left = new LeftBehind();
    const mark = left.began(spawn("true").pid!);
    const other = carrier();
    left.began(other.pid);
    left.end(mark, TOKEN);
    // Had it been ended, that would have come first.
    other.end();
    expect(await other.ended).toBe("SIGTERM");
    const one = carrier();
    left.end(mark, TOKEN);
    expect(await one.ended).toBe("SIGKILL");
  });

  it("looks at a pid again that was a shell's before this one", async () => {
    const left = new LeftBehind();
    const one = carrier();
    left.began(one.pid);
    const mark = left.began(spawn("true").pid!, one.pid - 1);
    left.end(mark, TOKEN);
    expect(await one.ended).toBe("SIGKILL");
  });

  it("looks at all processes where the pids may have gone round", async () => {
    const left = new LeftBehind();
    const before = carrier();
    const mark = left.began(spawn("true").pid!);
    left.end(mark, TOKEN);
    expect(before.isThere()).toBe(true);
    const most = Number(readFileSync("/proc/sys/kernel/pid_max", "utf8"));
    left.end({ ...mark, at: mark.at - 60_000, forks: mark.forks! - most }, TOKEN);
    await awaitSight("/proc", () => (before.isThere() ? undefined : true), "its end");
  });

  it("looks at all processes where the kernel does not say its last pid any more", async () => {
    const left = new LeftBehind();
    const mark = left.began(spawn("true").pid!);
    const one = carrier();
    vi.spyOn(left, "lastPid").mockReturnValue(undefined);
    left.end(mark, TOKEN);
    await awaitSight("/proc", () => (one.isThere() ? undefined : true), "its end");
  });

  it("looks at all processes where the kernel's last pid makes no sense", async () => {
    const left = new LeftBehind();
    // The first pid that it is told of lies far ahead of the last one.
    const most = Number(readFileSync("/proc/sys/kernel/pid_max", "utf8"));
    const last = Number(readFileSync("/proc/loadavg", "utf8").trim().split(" ").at(-1));
    const mark = left.began(((last + most / 4) % most) + 1);
    const one = carrier();
    left.end(mark, TOKEN);
    await awaitSight("/proc", () => (one.isThere() ? undefined : true), "its end");
  });
});
