/** Runs snapshots with real ledgers in a temporary folder, on a pool that the test owns. */
import { readFileSync } from "node:fs";
import { systemClock, type Clock } from "../../src/clock.ts";
import type { RunHeader, Trigger } from "../../src/core/event.ts";
import { fold } from "../../src/core/run-fold.ts";
import type { RunState } from "../../src/core/run-state.ts";
import type { RunLine } from "../../src/core/event.ts";
import { DEFAULT_SETTINGS, type OrchdSettings } from "../../src/core/settings.ts";
import { manualRunId } from "../../src/core/run-id.ts";
import type { Json, Snapshot, SnapshotStep } from "../../src/core/snapshot.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import { CacheIndex } from "../../src/ledger/cache-index.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { Flavors } from "../../src/orchestrators/flavors.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import type { FinishedRun } from "../../src/run/finished-run.ts";
import type { RunDeps } from "../../src/run/run-deps.ts";
import { FakePool, fakeCode, type FakeClass, type FakeFunction } from "./fake-pool.ts";
import { snapshotOf, stepSpec } from "./given-run.ts";
import { readWholeLedger, type PlainLine } from "./independent-ledger.ts";
import { tempRoot } from "./temp-root.ts";

/** Options of {@link RunBench}. */
export interface RunBenchOptions {
  readonly functions?: { [name: string]: FakeFunction | FakeClass };
  readonly pool?: FakePool;
  readonly clock?: Clock;
  readonly settings?: Partial<OrchdSettings>;
  readonly room?: number;
  readonly deps?: Partial<RunDeps>;
  readonly runsDir?: string;
}

/** A step whose code is the function named like the step, or named `does`. */
export function moduleStep(
  id: string,
  more: Partial<SnapshotStep> & { needs?: readonly string[]; does?: string; bundle?: string } = {},
): SnapshotStep {
  const { does = id, bundle, ...rest } = more;
  const { run: _run, ...spec } = stepSpec(id, rest);
  return { ...spec, code: fakeCode(does, bundle) };
}

let runs = 0;

/** The stores, the pool and the log of some runs. */
export class RunBench {
  readonly store: RunStore;
  readonly pool: FakePool;
  readonly deps: RunDeps;
  readonly log: { level: string; fields: object; message: string }[] = [];

  constructor(options: RunBenchOptions = {}) {
    const clock = options.clock ?? systemClock;
    this.store = new RunStore(options.runsDir ?? tempRoot().runs);
    this.pool =
      options.pool ?? new FakePool(options.functions ?? {}, { clock, room: options.room ?? 16 });
    const note = (level: string) => (fields: object, message: string) =>
      void this.log.push({ level, fields, message });
    this.deps = {
      clock,
      runStore: this.store,
      cacheIndex: new CacheIndex(this.store.cache, { clock }),
      artifacts: new Artifacts(this.store.artifacts),
      place: this.pool,
      orchestrators: new Flavors({ place: this.pool }),
      settings: { ...DEFAULT_SETTINGS, ...options.settings },
      log: { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") },
      onFatal: (error) => {
        throw error;
      },
      environment: { PATH: "/usr/bin:/bin" },
      ...options.deps,
    };
  }

  header(snapshot: Snapshot, more: Partial<RunHeader> & { trigger?: Trigger } = {}): RunHeader {
    const { env } = this.deps.settings;
    const isFrozen = snapshot.baseEnv !== undefined || Object.keys(env).length === 0;
    const run = more.run ?? manualRunId(snapshot.name, Date.UTC(2026, 10, 23, 2) + (runs += 1));
    return {
      type: "run.submitted",
      format: 1,
      run,
      pipeline: snapshot.name,
      orchestratorRunId: run,
      trigger: { kind: "manual" },
      params: {},
      // As the compiler freezes it.
      snapshot: isFrozen ? snapshot : { ...snapshot, baseEnv: env },
      tags: [],
      ...more,
    };
  }

  /** Makes a run and starts it. */
  async begin(
    steps: readonly SnapshotStep[] | Snapshot,
    more: Partial<RunHeader> = {},
    snapshot: Partial<Snapshot> = {},
  ): Promise<RunLoop> {
    const whole = "length" in steps ? snapshotOf(steps, snapshot) : steps;
    const loop = await RunLoop.create(this.header(whole, more), this.deps);
    loop.start("a test asked for it");
    return loop;
  }

  /** Makes a run and waits for its end. */
  async run(
    steps: readonly SnapshotStep[] | Snapshot,
    more: Partial<RunHeader> = {},
    snapshot: Partial<Snapshot> = {},
  ): Promise<Ended> {
    return this.end(await this.begin(steps, more, snapshot));
  }

  /** Waits for a run's end. */
  async end(loop: RunLoop): Promise<Ended> {
    const info = await loop.finished;
    return new Ended(this, info);
  }

  lines(run: string): PlainLine[] {
    return readWholeLedger(this.store.runLedger(run));
  }

  printed(run: string): { step: string; line: string }[] {
    const text = readFileSync(this.store.runLog(run), "utf8");
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { step: string; line: string });
  }
}

/** A run that has ended. */
export class Ended {
  readonly info: FinishedRun;
  readonly run: string;
  readonly lines: PlainLine[];
  /** The fold of the ledger on the disk. */
  readonly state: RunState;

  constructor(bench: RunBench, info: FinishedRun) {
    this.info = info;
    this.run = info.run;
    this.lines = bench.lines(info.run);
    this.state = fold(this.lines as unknown as RunLine[])!;
  }

  get status(): string {
    return this.info.status;
  }

  get because(): string {
    return this.info.because;
  }

  statuses(): Record<string, string> {
    return Object.fromEntries([...this.state.steps].map(([id, step]) => [id, step.status]));
  }

  of(type: string, step?: string): PlainLine[] {
    return this.lines.filter(
      (line) => line.type === type && (step === undefined || line["step"] === step),
    );
  }

  types(): string[] {
    return this.lines.map(({ type, step, hook }) =>
      [type, hook, step].filter((word) => word !== undefined).join(" "),
    );
  }

  output(step: string): Json | undefined {
    return this.state.steps.get(step)?.outputs?.["result"];
  }
}
