/** How a run is created, and taken over from an earlier daemon. */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { DurableLine } from "../../src/core/durable-line.ts";
import type { RunHeader } from "../../src/core/event.ts";
import type { Flavor } from "../../src/orchestrators/flavors.ts";
import { SubmissionRefused } from "../../src/orchestrators/flavors.ts";
import { createRun, give, reopenRun } from "../../src/run/open-run.ts";
import { snapshotOf, stepSpec } from "../support/given-run.ts";
import { RunBench } from "../support/run-bench.ts";

/** A run, its orchestrator, and what was heard of its ledger. */
function rig(flavor: Partial<Flavor> = {}, missing = false) {
  const bench = new RunBench();
  const heard: DurableLine[] = [];
  const local = bench.deps.orchestrators.resolve(undefined) as Flavor;
  const resolve = (ref: unknown): Flavor => {
    if (missing && ref !== undefined) throw new Error("names nobody");
    return { ...local, ...flavor };
  };
  const deps = {
    ...bench.deps,
    orchestrators: { resolve } as never,
    onDurableLine: (line: DurableLine) => void heard.push(line),
  };
  const header = (more: Partial<RunHeader> = {}): RunHeader =>
    bench.header(snapshotOf([stepSpec("a")]), more);
  const pathOf = ({ run }: { run: string }): string => bench.store.runLedger(run);
  return { bench, deps, heard, header, pathOf };
}

/** Whether this process has a file open. */
const isOpen = (path: string): boolean =>
  readdirSync("/proc/self/fd").some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  });

describe("a run is created", () => {
  it("with its header durable before anything more is made of it", async () => {
    const { bench, deps, header, heard } = rig();
    const order: string[] = [];
    let go!: () => void;
    const given = header();
    const decidedAt = "2026-11-23T02:00:00.000Z";
    const creating = createRun(given, deps, {
      decidedAt,
      durable: () => {
        order.push(
          `durable: ${bench
            .lines(given.run)
            .map(({ type }) => type)
            .join()}`,
        );
        return new Promise((resolve) => (go = resolve));
      },
    }).then((run) => (order.push("made"), run));
    while (order.length === 0) await new Promise(setImmediate);
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    expect(order).toEqual(["durable: run.submitted"]);
    go();
    const { state, file } = await creating;
    expect(state).toMatchObject({ run: given.run, lastSeq: 1, submittedAt: decidedAt });
    expect(heard).toMatchObject([
      { ledger: "run", run: given.run, line: { type: "run.submitted", at: decidedAt } },
    ]);
    await give({ state, file } as never, {
      type: "submit.given",
      baseEnvironment: { A: "1" },
    });
    expect([state.lastSeq, state.snapshot.baseEnv]).toEqual([2, { A: "1" }]);
    await file.close();
  });

  it.each([
    ["schedule", false],
    ["catch_up", false],
    ["manual", true],
    ["backfill", true],
  ] as const)("for a trigger of %s where its orchestrator takes it: %s", async (kind, takes) => {
    const { bench, deps, header } = rig();
    const given = header({ trigger: { kind } });
    const local = (deps.orchestrators as unknown as { resolve(): Flavor }).resolve();
    const capabilities = { ...local.capabilities, isSchedulable: false };
    const resolve = (): Flavor => ({ ...local, capabilities });
    const creating = createRun(given, { ...deps, orchestrators: { resolve } as never });
    if (takes) await (await creating).file.close();
    else await expect(creating).rejects.toBeInstanceOf(SubmissionRefused);
    expect(bench.store.exists(given.run)).toBe(takes);
  });

  it("with what its orchestrator adds, where its pipeline has not said it", async () => {
    const hooks = { init: true, cleanup: false, callsInit: false };
    const { bench, deps, header } = rig({ environment: { REGION: "eu" }, hooks });
    const given = header();
    const { file, state } = await createRun(given, deps);
    const [line] = bench.lines(given.run);
    expect(line).toMatchObject({
      orchestratorHooks: ["init"],
      snapshot: { stackEnv: { REGION: "eu" } },
    });
    expect(state.snapshot.stackEnv).toEqual({ REGION: "eu" });
    const loaded = snapshotOf([stepSpec("a")], { stackEnv: { REGION: "us" } });
    const other = await createRun(bench.header(loaded), deps);
    expect(other.state.snapshot.stackEnv).toEqual({ REGION: "us" });
    const plain = rig();
    const third = await createRun(plain.header(), plain.deps);
    expect(third.state.snapshot).not.toHaveProperty("stackEnv");
    expect(plain.bench.lines(third.state.run)[0]).not.toHaveProperty("orchestratorHooks");
    for (const each of [file, other.file, third.file]) await each.close();
  });
});

describe("a run of an earlier daemon", () => {
  it("is opened where it has not finished, and nothing is written for it", async () => {
    const { deps, header, pathOf } = rig();
    const given = header();
    const made = await createRun(given, deps);
    await made.file.close();
    const before = readFileSync(pathOf(given), "utf8");
    const opened = (await reopenRun(given.run, deps))!;
    expect(opened.state).toEqual(made.state);
    expect(readFileSync(pathOf(given), "utf8")).toBe(before);
    const [end] = await opened.file.append([
      { type: "run.finished", status: "completed", because: "x", durationMs: 1 },
    ]);
    expect(end).toMatchObject({ seq: 2 });
    await opened.file.close();
    expect(await reopenRun(given.run, deps)).toBeUndefined();
    expect(isOpen(pathOf(given))).toBe(false);
  });

  it("whose orchestrator is gone has one that can only end it", async () => {
    const { deps, bench } = rig({}, true);
    const orchestrator = { flavor: "farm", config: {} };
    const given = bench.header(snapshotOf([stepSpec("a")], { orchestrator }));
    const there = rig();
    const made = await createRun(given, { ...deps, orchestrators: there.deps.orchestrators });
    await made.file.close();
    const opened = (await reopenRun(given.run, deps))!;
    expect(opened.flavor).toMatchObject({
      name: "farm",
      lost: { name: "SubmissionError", message: "names nobody", code: "ORCHD_SUBMISSION" },
    });
    await opened.file.close();
  });

  it("that cannot be read is left closed", async () => {
    const { deps, header, pathOf } = rig();
    const given = header();
    await (await createRun(given, deps)).file.close();
    const text = readFileSync(pathOf(given), "utf8");
    writeFileSync(pathOf(given), text.replace('"type":"run.submitted"', '"type":"run.submutted"'));
    await expect(reopenRun(given.run, deps)).rejects.toBeInstanceOf(Error);
    expect(isOpen(pathOf(given))).toBe(false);
  });
});
