/**
 * Promise 38, what is loaded: loads have a runner of their own. What the code of a file does as it
 * is loaded is never seen by a step, nor the other way round. In real runners.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { evaluateCode } from "../../src/places/evaluate-code.ts";
import { awaitSight } from "../support/await-event.ts";
import { fullFigures, reached } from "../support/figures.ts";
import { PoolRig, type AnyTask, type Ended } from "../support/pool-rig.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** What a file does at its top level, and what is said of it. */
const BAD: Record<string, { readonly code: string; readonly says: RegExp }> = {
  kill: { code: `process.kill(process.pid, "SIGKILL");`, says: /SIGKILL/ },
  signal: { code: `process.kill(process.pid, "SIGABRT");`, says: /SIGABRT/ },
  exit: { code: "process.exit(3);", says: /process\.exit\(3\)/ },
  group: { code: `process.kill(-process.pid, "SIGKILL");`, says: /SIGKILL/ },
  channel: {
    code: `import fs from "node:fs";
for (let fd = 3; fd < 64; fd += 1) try { fs.closeSync(fd); } catch {}
await new Promise(() => {});`,
    says: /ended|lost its channel|did not answer/,
  },
  channelWriter: {
    code: `import fs from "node:fs"; fs.writeSync(3, "no message\\n");
await new Promise(() => {});`,
    says: /sent what is no message .* wrote to descriptor 3.*: no message/,
  },
  buffers: {
    code: `const kept = []; for (;;) kept.push(Buffer.alloc(8e6, 1));`,
    says: /memory|MiB/,
  },
  heap: {
    code: `const kept = []; for (;;) kept.push(new Array(1e4).fill(0).map((_, n) => ({ n })));`,
    says: /memory|MiB/,
  },
  // It is given up after half a minute.
  ...(fullFigures && {
    stop: {
      code: `process.kill(process.pid, "SIGSTOP"); await new Promise(() => {});`,
      says: /did not answer/,
    },
  }),
  rejection: {
    code: `await Promise.reject(new Error("not today"));`,
    says: /not today/,
  },
};

const load = (name: string): AnyTask => ({
  kind: "load",
  code: { bundle: name, pick: "export:default", source: `./${name}.ts` },
});

/** What is said of the end of a task. */
function saidOf({ result, death }: Ended): string {
  if (death !== undefined) return death.because;
  return result?.ok === false ? result.error.message : "it ended well";
}

/** What belongs to a pipeline in force. Each of them runs until the file `go` is there. */
function beside(rig: PoolRig) {
  const code = (pick: string) => ({ bundle: "slow", pick, source: "./slow.ts" });
  rig.module(
    "slow",
    `import { existsSync } from "node:fs";
const wait = async () => { while (!existsSync(${JSON.stringify(join(rig.folder, "go"))}))
  await new Promise((resolve) => setTimeout(resolve, 10)); return "answer"; };
export const slow = wait;
export class Cluster {
  getOrchestratorRunId() { return "x"; }
  async submitPipeline() {}
  async fetchStatus() { await wait(); return { status: "running" }; }
}`,
  );
  const shell = rig.startShell("echo begun; until [ -e go ]; do sleep 0.02; done");
  const rest = [
    rig.startBody(`const { slow } = await import("./slow.mjs"); return slow();`),
    rig.startTask({ kind: "cacheFunction", code: code("export:slow"), params: {}, inputs: {} }),
    rig.startTask({ kind: "hook", hook: "onMissed", code: code("export:slow"), slots: [] }),
    rig.startTask({
      kind: "flavor",
      code: code("export:Cluster"),
      config: {},
      method: "fetchStatus",
      argument: { run: {} },
    }),
  ];
  return { begun: shell.firstLine, ended: [shell, ...rest].map(({ ended }) => ended) };
}

describe("the code of a file that is loaded", () => {
  it("ends its own load at most, whatever it does", { timeout: 240_000 }, async () => {
    const rig = new PoolRig({ threads: 4, memoryMb: 256 });
    const { begun, ended } = beside(rig);
    await begun;
    const [steps] = rig.pool.pids();
    const faults: string[] = [];
    await Promise.all(
      Object.entries(BAD).map(async ([name, { code, says }]) => {
        rig.module(name, `${code} export default { steps: {} };`);
        const said = saidOf(await rig.startTask(load(name)).ended);
        if (!says.test(said)) faults.push(`${name}: ${said}`);
      }),
    );
    expect(rig.pool.pids()).toContain(steps);
    writeFileSync(join(rig.folder, "go"), "");
    const ends = await Promise.all(ended);
    for (const end of ends) if (end.result?.ok !== true) faults.push(JSON.stringify(end));
    expect(faults).toEqual([]);
    const [good, of] = [Object.keys(BAD).length, Object.keys(BAD).length];
    reached(38, "files that harm their process as they are loaded, beside five tasks", good, of);
  });

  it("is not touched by a step that ends its runner", async () => {
    const rig = new PoolRig();
    rig.module(
      "patient",
      `import { appendFileSync, existsSync } from "node:fs";
appendFileSync(${JSON.stringify(join(rig.folder, "calls"))}, "begun\\n");
while (!existsSync(${JSON.stringify(join(rig.folder, "go"))}))
  await new Promise((resolve) => setTimeout(resolve, 10));
export default { steps: {} };`,
    );
    const loading = rig.startTask(load("patient"));
    const asked = rig.startTask({
      kind: "flavor",
      code: { bundle: "cluster", pick: "export:Cluster", source: "./cluster.ts" },
      config: {},
      method: "describe",
      argument: null,
    });
    rig.module(
      "cluster",
      `export class Cluster { getOrchestratorRunId() { return "x"; } async submitPipeline() {}
  describe() { return { flavor: "mine", pid: process.pid }; } }`,
    );
    const [loads] = rig.pool.pids();
    expect((await asked.ended).result).toMatchObject({ ok: true, value: { pid: loads } });
    const killer = await rig.startBody(`process.kill(process.pid, "SIGKILL");`).ended;
    expect(killer.death).toMatchObject({ inFlight: [expect.any(String)] });
    writeFileSync(join(rig.folder, "go"), "");
    expect((await loading.ended).result).toMatchObject({ ok: true });
    expect(rig.pool.pids()).toEqual([loads]);
  });
});

describe("the runner for loads", () => {
  it("is kept for half a minute after its last load, and then ends", async () => {
    const clock = new VirtualClock();
    const rig = new PoolRig({}, clock);
    rig.module("good", "export default { steps: {} };");
    await rig.startTask(load("good")).ended;
    const first = rig.pool.pids();
    expect(first).toHaveLength(1);
    await clock.advance(20_000);
    await rig.startTask(load("good")).ended;
    await clock.advance(29_999);
    expect(rig.pool.pids()).toEqual(first);
    await clock.advance(1);
    await awaitSight(
      "/proc",
      () => (rig.pool.pids().length === 0 ? true : undefined),
      "the end of the runner for loads",
    );
    expect((await rig.startTask(load("good")).ended).result).toMatchObject({ ok: true });
    await rig.pool.close({ force: true });
    expect(clock.timers).toBe(0);
  });

  it("does not end under a load, and the runner of steps does not end at all", async () => {
    const clock = new VirtualClock();
    const rig = new PoolRig({}, clock);
    rig.module("good", "export default { steps: {} };");
    rig.module("hangs", "await new Promise(() => {}); export default {};");
    await rig.startBody("return 1;").ended;
    await rig.startTask(load("good")).ended;
    rig.startTask(load("hangs"));
    await clock.advance(3_600_000);
    expect(rig.pool.pids()).toHaveLength(2);
  });

  it("ends loads that nobody waits for, and not the loads beside them", async () => {
    const rig = new PoolRig();
    const hangs = {
      forever: "await new Promise(() => {});",
      spinning: "for (;;) {}",
      blocked: `import { execSync } from "node:child_process"; execSync("sleep 3600");`,
      waiting: "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);",
    };
    for (const [name, code] of Object.entries(hangs))
      rig.module(name, `${code} export default { steps: {} };`);
    rig.module(
      "patient",
      `import { existsSync } from "node:fs";
while (!existsSync(${JSON.stringify(join(rig.folder, "go"))}))
  await new Promise((resolve) => setTimeout(resolve, 10));
export default { name: "patient", steps: {} };`,
    );
    const patient = rig.startTask(load("patient"));
    const pids = rig.pool.pids();
    for (let reload = 0; reload < 4; reload += 1) {
      const loads = Object.keys(hangs).map((name) => {
        const abort = new AbortController();
        const { code } = load(name) as Extract<AnyTask, { kind: "load" }>;
        const ended = evaluateCode(rig.pool, `${name}#${reload}`, code, abort.signal);
        abort.abort();
        return ended.then(
          () => "it was loaded",
          (error: unknown) => String(error),
        );
      });
      for (const said of await Promise.all(loads)) expect(said).toMatch(/the file is loaded again/);
    }
    expect(rig.pool.pids()).toEqual(pids);
    writeFileSync(join(rig.folder, "go"), "");
    expect((await patient.ended).result).toMatchObject({ ok: true });
  });
});
