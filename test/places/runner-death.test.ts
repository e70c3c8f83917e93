/** What happens to a task whose runner dies by another task's fault, in real runner processes. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Writable } from "node:stream";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { killQuietly } from "../../src/places/pool/kill-by-token.ts";
import { processStat } from "../../src/places/pool/process-stat.ts";
import { LIFELINE } from "../../src/places/pool/protocol.ts";
import { awaitSight } from "../support/await-event.ts";
import { childrenOf, processesWith } from "../support/ledgers.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { awaitEnd } from "../support/process-end.ts";
import { PoolRig, type AnyTask } from "../support/pool-rig.ts";
import { projectRoot } from "../support/temp-root.ts";

/** Waits until a file is there. */
const awaitFile = (path: string): string =>
  `while (!existsSync(${JSON.stringify(path)}))
     await new Promise((resolve) => setTimeout(resolve, 10));`;

/** Notes each evaluation and each call, and takes until the file `go` is there. */
const SLOW = (folder: string): string => `
import { appendFileSync, existsSync } from "node:fs";
const note = (what) => appendFileSync(${JSON.stringify(join(folder, "calls"))}, what + "\\n");
const wait = async () => { note("begun"); ${awaitFile(join(folder, "go"))} };
export const slow = async () => { await wait(); return "answer"; };
export class Cluster {
  getOrchestratorRunId() { return "x"; }
  async submitPipeline() {}
  async describe() { await wait(); return "answer"; }
  async fetchStatus() { await wait(); return { status: "running" }; }
}
`;

const KINDS: Record<string, AnyTask> = {
  "the load of a file": {
    kind: "load",
    code: { bundle: "loaded", pick: "export:default", source: "./loaded.ts" },
  },
  "a cache function": {
    kind: "cacheFunction",
    code: { bundle: "slow", pick: "export:slow", source: "./slow.ts" },
    params: {},
    inputs: {},
  },
  "an orchestrator's describe": {
    kind: "flavor",
    code: { bundle: "slow", pick: "export:Cluster", source: "./slow.ts" },
    config: {},
    method: "describe",
    argument: null,
  },
  "an orchestrator's fetchStatus": {
    kind: "flavor",
    code: { bundle: "slow", pick: "export:Cluster", source: "./slow.ts" },
    config: {},
    method: "fetchStatus",
    argument: { run: {} },
  },
  "an onMissed hook": {
    kind: "hook",
    hook: "onMissed",
    code: { bundle: "slow", pick: "export:slow", source: "./slow.ts" },
    slots: [],
  },
};

const KILL = `process.kill(process.pid, "SIGKILL");`;

/** What ends the runner of a task: what only asks has another one than steps have. */
async function killRunnerOf(rig: PoolRig, task: AnyTask): Promise<void> {
  const isLoad = task.kind === "load" || (task.kind === "flavor" && task.method === "describe");
  if (!isLoad) {
    expect((await rig.startBody(KILL).ended).death).toMatchObject({ alone: false });
    return;
  }
  rig.module("killing", `${KILL} export default {};`);
  const code = { bundle: "killing", pick: "export:default", source: "./killing.ts" };
  expect((await rig.startTask({ kind: "load", code }).ended).death).toMatchObject({ alone: true });
}

function callsOf(rig: PoolRig): number {
  try {
    return readFileSync(join(rig.folder, "calls"), "utf8").split("\n").length - 1;
  } catch {
    return 0;
  }
}

function rigFor(): PoolRig {
  const rig = new PoolRig();
  rig.module("slow", SLOW(rig.folder));
  rig.module(
    "loaded",
    `import { slow } from "./slow.mjs"; await slow(); export default { answer: 1 };`,
  );
  return rig;
}

describe("a task that may run twice", () => {
  it.each(Object.entries(KINDS))(
    "starts again in a runner of its own when another ends the runner: %s",
    async (_what, task) => {
      const rig = rigFor();
      const asked = rig.startTask(task);
      await awaitSight(rig.folder, () => (callsOf(rig) === 1 ? true : undefined), "the first call");
      await killRunnerOf(rig, task);
      writeFileSync(join(rig.folder, "go"), "");
      const { result, death } = await asked.ended;
      expect(death).toBeUndefined();
      expect(result).toBeDefined();
      expect(callsOf(rig)).toBe(2);
    },
  );

  it("hears of the death if it was its own doing", async () => {
    const rig = new PoolRig();
    rig.module("killer", `export const it = () => { ${KILL} };`);
    const code = { bundle: "killer", pick: "export:it", source: "./killer.ts" };
    const { death } = await rig.startTask({ kind: "cacheFunction", code, params: {}, inputs: {} })
      .ended;
    expect(death).toMatchObject({
      alone: true,
      because: expect.stringContaining("SIGKILL") as string,
    });
  });
});

describe("a runner that dies just after a step ended in it", () => {
  it("leaves open who is to blame", async () => {
    const rig = new PoolRig();
    const left = rig.startBody("return 1;");
    const beside = rig.startBody("await new Promise(() => {});");
    await left.ended;
    for (const pid of rig.pool.pids()) process.kill(pid, "SIGKILL");
    const { death } = await beside.ended;
    expect(death?.inFlight).toEqual([beside.id, left.id]);
  });
});

it("a runner's death spares the runners whose numbers begin with its own", async () => {
  const token = `rig-${process.pid}-${Math.random().toString(36).slice(2)}`;
  const rig = new PoolRig({ token });
  const go = join(rig.folder, "go");
  const first = rig.startBody(`console.log("begun"); await new Promise(() => {});`);
  await first.firstLine;
  for (let number = 2; number <= 9; number += 1)
    await rig.startBody("return 1;", { alone: true }).ended;
  const tenth = rig.startBody(
    `const { existsSync } = await import("node:fs"); console.log("begun");
     ${awaitFile(go)} return "alive";`,
    { alone: true },
  );
  await tenth.firstLine;
  const guards = (): number[] => processesWith(`orchd-guard\0${token}\\.1\0`);
  expect(guards()).toHaveLength(2);
  rig.startBody(KILL);
  expect((await first.ended).death).toBeDefined();
  // The two processes of the first runner's guard have looked for survivors and ended.
  await awaitSight(
    "/proc",
    () => (guards().length === 0 ? true : undefined),
    "the end of the first runner's guard",
  );
  writeFileSync(go, "");
  expect((await tenth.ended).result).toMatchObject({ ok: true, value: "alive" });
});

// Without the forced stop it would be ended too, for not answering: after half a minute.
it(
  "a runner that hangs is ended by a forced stop that it does not hear",
  { timeout: 20_000 },
  async () => {
    const clock = new VirtualClock();
    const rig = new PoolRig({}, clock);
    const step = rig.startBody(`console.log(process.pid); await new Promise(() => {});`);
    const runner = Number((await step.firstLine).line);
    process.kill(runner, "SIGSTOP");
    // No real time passes below, and a process may stand still a moment later.
    const stands = (): true | undefined => (processStat(runner)?.[0] === "T" ? true : undefined);
    await awaitSight("/proc", stands, "its rest");
    rig.pool.stop(step.id, "force", "enough");
    await clock.advance(2_000);
    const { result, death } = await step.ended;
    expect(result ?? death).toMatchObject({ ok: false, outcome: "stopped" });
    const isGone = (): true | undefined => (existsSync(`/proc/${runner}`) ? undefined : true);
    await awaitSight("/proc", isGone, "the end of the runner");
  },
);

it("a guard that is told to end stays, and ends what its runner leaves behind", async () => {
  const rig = new PoolRig();
  const marker = `3611.${process.pid}`;
  const left = rig.startShell(`echo begun; exec sleep ${marker}`);
  await left.firstLine;
  const step = rig.startBody(`console.log(process.pid); await new Promise(() => {});`);
  const runner = Number((await step.firstLine).line);
  const guards = childrenOf(runner).filter((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("orchd-guard"),
  );
  expect(guards).toHaveLength(1);
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.kill(guards[0]!, signal);
  process.kill(runner, "SIGKILL");
  await Promise.all([left.ended, step.ended]);
  const areGone = (): true | undefined => (processesWith(marker).length === 0 ? true : undefined);
  await awaitSight("/proc", areGone, "the end of what the runner left");
});

// Where a runner dies a moment after its daemon: the guard's second process waits for it by then.
it("a guard leaves nothing of its own, even while it waits for the runner to end", async () => {
  const token = `rig-${process.pid}-${Math.random().toString(36).slice(2)}`;
  const module = pathToFileURL(join(projectRoot, "dist/src/places/runner/guard.js")).href;
  const text = `import { Guard } from ${JSON.stringify(module)};
    new Guard("${token}", "/nowhere/${token}"); setInterval(() => {}, 1_000);`;
  // The lifeline is the last of the descriptors.
  const stdio = [...Array<"ignore">(LIFELINE).fill("ignore"), "pipe" as const];
  const runner = spawn(process.execPath, ["--input-type=module", "-e", text], { stdio });
  onTestFinished(() => void runner.kill("SIGKILL"));
  const childOf = (pid: number, what: string): Promise<number> =>
    awaitSight("/proc", () => childrenOf(pid)[0], what);
  const guard = await childOf(runner.pid!, "the guard");
  const watch = await childOf(guard, "the guard's second process");
  (runner.stdio[LIFELINE] as Writable).destroy();
  const nap = await childOf(watch, "its wait");
  // It does not end by itself now.
  process.kill(nap, "SIGSTOP");
  onTestFinished(() => void killQuietly(nap, "SIGKILL"));
  runner.kill("SIGKILL");
  await awaitEnd(guard);
  await awaitEnd(nap);
});
