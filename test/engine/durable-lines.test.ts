/**
 * A listener is told durable lines alone, of both kinds of ledger. It is never told a line that the
 * disk did not take, and each durable line once, in order.
 */
import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import type { DurableLine } from "../../src/core/durable-line.ts";
import { PipelineLedger } from "../../src/ledger/pipeline-ledger.ts";
import { diskError, faultyDisk } from "../disk/faulty-disk.ts";
import { linesOf } from "../support/await-event.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { held } from "../support/fake-pool.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { moduleStep, RunBench } from "../support/run-bench.ts";
import { SyncDisk } from "../support/sync-disk.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** The calls of a disk that fail, and the code of their error. */
type Failures = { [call in "write" | "fdatasync"]?: string };

/** A disk whose calls fail as long as the test says so. */
function failingDisk(failures: Failures): SyncDisk {
  const disk = new SyncDisk();
  const { write, fdatasync } = disk;
  const failure = (call: keyof Failures): Promise<never> | undefined =>
    failures[call] === undefined ? undefined : Promise.reject(diskError(failures[call]));
  disk.write = (...args) => failure("write") ?? write.apply(disk, args);
  disk.fdatasync = (...args) => failure("fdatasync") ?? fdatasync.apply(disk, args);
  return disk;
}

/** An open ledger, and what a listener was told. */
interface Scene {
  readonly told: readonly DurableLine[];
  readonly failures: Failures;
  readonly path: string;
  readonly clock: VirtualClock;
  /** Writes a line; resolves once it is durable. */
  write(): Promise<unknown>;
  /** Lets the daemon end. */
  end(): Promise<unknown>;
}

async function pipelineScene(): Promise<Scene> {
  const told: DurableLine[] = [];
  const failures: Failures = {};
  const rig = new EngineRig({
    runs: tempRoot().runs,
    onDurableLine: (line) => void told.push(line),
  });
  await rig.up(failingDisk(failures));
  await rig.drop(pipelineOf("p", []));
  const desk = await rig.engine.desk("p");
  return {
    told,
    failures,
    path: rig.store.pipelineLedger("p"),
    clock: rig.clock,
    write: () => desk.append([{ type: "pipeline.paused", by: "somebody" }]),
    end: () => rig.down(),
  };
}

async function runScene(): Promise<Scene> {
  const told: DurableLine[] = [];
  const failures: Failures = {};
  const clock = new VirtualClock();
  const step = held();
  const bench = new RunBench({
    clock,
    functions: { step },
    deps: {
      disk: failingDisk(failures),
      onFatal: () => undefined,
      onDurableLine: (line) => void told.push(line),
    },
  });
  const loop = await bench.begin([moduleStep("step")]);
  await step.began;
  return {
    told,
    failures,
    path: bench.store.runLedger(loop.state.run),
    clock,
    write: () => loop.requestStop({ mode: "graceful", by: "somebody" }),
    end: () => Promise.race([loop.drain(0), clock.settle()]),
  };
}

/** A line as a listener is told it. */
function withoutCrc({ crc: _crc, ...line }: Record<string, unknown>): unknown {
  return line;
}

function linesOn(path: string): unknown[] {
  return readWholeLedger(path).map(withoutCrc);
}

describe.each([
  ["a pipeline's ledger", pipelineScene],
  ["a run's ledger", runScene],
])("a line of %s", (_kind, scene) => {
  it("is told before anybody who waits for it goes on", async () => {
    const { told, path, write, end } = await scene();
    const before = told.length;
    const later = await write().then(() => told.length);
    expect(later).toBe(before + 1);
    expect(told.map(({ line }) => line)).toEqual(linesOn(path).slice(0, later));
    await end();
  });

  it.each<Failures>([{ write: "EIO" }, { fdatasync: "EIO" }])(
    "is never told where the disk fails: %j",
    async (failure) => {
      const { told, failures, clock, write } = await scene();
      const before = [...told];
      Object.assign(failures, failure);
      const outcome = write().then(
        () => "acknowledged",
        () => "refused",
      );
      const silent = clock.settle().then(() => "not acknowledged");
      expect(await Promise.race([outcome, silent])).not.toBe("acknowledged");
      expect(told).toEqual(before);
    },
  );

  it("is never told where the disk is full until the process ends", async () => {
    const { told, failures, path, clock, write, end } = await scene();
    const before = [...told];
    failures.write = "ENOSPC";
    write().catch(() => undefined);
    await clock.advance(3_000);
    await end();
    expect(told).toEqual(before);
    expect(told.map(({ line }) => line)).toEqual(linesOn(path));
  });

  it("is told once, after it had to wait for room", async () => {
    const { told, failures, path, clock, write, end } = await scene();
    const before = told.length;
    failures.write = "ENOSPC";
    const written = write();
    await clock.advance(3_000);
    expect(told).toHaveLength(before);
    delete failures.write;
    await clock.advance(1_000);
    await written;
    expect(told.length).toBeGreaterThan(before);
    expect(told.map(({ line }) => line)).toEqual(linesOn(path).slice(0, told.length));
    await end();
  });
});

describe("what is told", () => {
  it("is what the ledger held, wherever a crash falls", async () => {
    for (let call = 1; call <= 24; call += 1) {
      const told: DurableLine[] = [];
      const there = new EngineRig({
        runs: tempRoot().runs,
        onDurableLine: (line) => void told.push(line),
      });
      await there.up();
      await there.drop(pipelineOf("p", [scheduleOf({ cron: "* * * * *" })]));
      await there.clock.advance(59_000);
      there.disk.diesAt = there.disk.calls + call;
      there.disk.forgets = true;
      await there.clock.advance(3_000);
      await there.kill();
      const lines = linesOf(there.store.pipelineLedger("p")).map(withoutCrc);
      expect(told.map(({ line }) => line)).toEqual(lines.slice(0, told.length));
    }
  });

  it("has each line with its ledger, whatever writes it", async () => {
    const { runs } = tempRoot();
    const told: DurableLine[] = [];
    const ledger = await PipelineLedger.open(runs, "p", {
      clock: new VirtualClock(),
      disk: faultyDisk(),
      onFatal: (error) => {
        throw error;
      },
      onDurableLine: (line) => void told.push(line),
      checkpointLines: 4,
      rotateBytes: 2_000,
    });
    for (let n = 0; n < 20; n += 1)
      await Promise.all([
        ledger.append([{ type: "pipeline.paused", by: `person ${n}` }]),
        ledger.append([{ type: "pipeline.resumed", by: `person ${n}` }]),
      ]);
    await ledger.close();
    const rotated = readdirSync(dirname(ledger.path)).length - 1;
    expect(rotated).toBeGreaterThan(1);
    const files = Array.from({ length: rotated }, (_, n) =>
      ledger.path.replace(".jsonl", `-2026-11-23${n === 0 ? "" : `-${n + 1}`}.jsonl`),
    );
    expect(told.map(({ line }) => line)).toEqual([...files, ledger.path].flatMap(linesOn));
    expect(told.every((one) => one.ledger === "pipeline" && one.pipeline === "p")).toBe(true);
  });
});
