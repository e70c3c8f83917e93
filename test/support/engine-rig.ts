/**
 * The real engine on the virtual clock. Its ledgers are real files, its pipelines are given, its
 * runs are scripted.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { LineListener } from "../../src/core/durable-line.ts";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import type { Schedule } from "../../src/core/schedule/schedule-schema.ts";
import { DEFAULT_SETTINGS, type OrchdSettings } from "../../src/core/settings.ts";
import { canonicalHash } from "../../src/core/canonical-json.ts";
import { Engine, type Hourly } from "../../src/engine/engine.ts";
import { silentLog, type Log } from "../../src/log.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { snapshotOf, stepSpec } from "./given-run.ts";
import { linesOf, type Line } from "./await-event.ts";
import { ScriptedRuns, type Script } from "./scripted-runs.ts";
import { SyncDisk, type MortalDisk } from "./sync-disk.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** A pipeline of one step, as if it had been loaded from a file. */
export function pipelineOf(
  name: string,
  schedules: readonly Schedule[],
  more: Partial<LoadedPipeline> = {},
): LoadedPipeline {
  const snapshot = snapshotOf([stepSpec("only")], { name });
  return {
    name,
    file: `/nowhere/${name}.yaml`,
    digest: canonicalHash(JSON.parse(JSON.stringify([name, schedules, more]))),
    snapshot,
    template: snapshot,
    schedules,
    params: {},
    tags: [],
    overlap: "skip",
    maxQueuedRuns: 100,
    priority: 0,
    shadow: false,
    retention: { keepDays: 30, keepRuns: 10_000 },
    warnings: [],
    watched: [],
    ...more,
  };
}

/** The content of a pipeline file: a pipeline, or what is wrong with it. */
export type FileContent = LoadedPipeline | readonly string[];

export interface RigOptions {
  readonly runs: string;
  readonly clock?: VirtualClock;
  readonly script?: Partial<Script>;
  readonly settings?: Partial<OrchdSettings>;
  readonly log?: Log;
  /** What the engine does each hour, and when it does so sooner. */
  readonly hourly?: Hourly;
  readonly onDurableLine?: LineListener;
  /** How often the engine looks at ledgers; default: never. */
  readonly ledgerLookMs?: number;
}

/** One runs folder, and the daemons that come and go over it. */
export class EngineRig {
  readonly clock: VirtualClock;
  readonly store: RunStore;
  readonly settings: OrchdSettings;
  /** What each file holds, by path; a promise where the file takes long to be loaded. */
  readonly files = new Map<string, FileContent | Promise<FileContent>>();
  disk: MortalDisk = new SyncDisk();
  engine!: Engine;
  runs!: ScriptedRuns;
  /** The first failure of a ledger, which ends a daemon. */
  fatal: Error | undefined;
  readonly #script: Script;
  readonly #log: Log;
  readonly #hourly: RigOptions["hourly"];
  readonly #onDurableLine: LineListener | undefined;
  readonly #ledgerLookMs: number;

  constructor(options: RigOptions) {
    this.clock = options.clock ?? new VirtualClock({ turns: 4 });
    this.store = new RunStore(options.runs);
    this.settings = { ...DEFAULT_SETTINGS, ...options.settings };
    this.#script = { durationOf: () => 1_000, ...options.script };
    this.#log = options.log ?? silentLog;
    this.#hourly = options.hourly;
    this.#onDurableLine = options.onDurableLine;
    this.#ledgerLookMs = options.ledgerLookMs ?? Number.POSITIVE_INFINITY;
    mkdirSync(this.store.orchdDir, { recursive: true });
  }

  /** Writes a pipeline's file; the engine is not told. */
  put(loaded: LoadedPipeline): void {
    this.files.set(loaded.file, loaded);
  }

  /** Writes a pipeline's file, and waits until it is in force. */
  async drop(loaded: LoadedPipeline): Promise<void> {
    this.put(loaded);
    await this.told([loaded.file]);
  }

  /** Makes a pipeline's file bad. */
  async spoil(name: string): Promise<void> {
    const path = `/nowhere/${name}.yaml`;
    this.files.set(path, ["it is bad"]);
    await this.told([path]);
  }

  /** Removes a pipeline's file. */
  async take(name: string): Promise<void> {
    const path = `/nowhere/${name}.yaml`;
    this.files.delete(path);
    await this.settling(this.engine.filesChanged({ changed: [], removed: [path] }));
  }

  async told(changed: readonly string[]): Promise<void> {
    await this.settling(this.engine.filesChanged({ changed, removed: [] }));
  }

  /** A daemon comes up: lock, recovery, drop folder, ready. */
  async up(disk: MortalDisk = new SyncDisk()): Promise<void> {
    this.fatal = undefined;
    this.disk = disk;
    // Like process.exit: nothing more is written.
    const onFatal = (error: Error): void => {
      if (this.disk === disk) this.fatal ??= error;
      disk.die();
    };
    this.runs = new ScriptedRuns({
      clock: this.clock,
      store: this.store,
      disk,
      script: this.#script,
      onFatal,
    });
    this.engine = new Engine({
      clock: this.clock,
      log: this.#log,
      store: this.store,
      maker: this.runs,
      settings: this.settings,
      upSince: this.clock.now(),
      tzdata: "test",
      load: async (path) => {
        const file = await this.files.get(path);
        if (file === undefined)
          return { ok: false, errors: [{ file: path, message: "is not there" }], watched: [path] };
        if ("name" in file) return { ok: true, loaded: file };
        return {
          ok: false,
          errors: file.map((message) => ({ file: path, message })),
          watched: [path],
        };
      },
      watch: () => undefined,
      rescan: () => Promise.resolve(),
      folded: () => {
        throw new Error("no run is run again here");
      },
      onFatal,
      disk,
      requestRescanMs: Number.POSITIVE_INFINITY,
      ledgerLookMs: this.#ledgerLookMs,
      onDurableLine: this.#onDurableLine,
      hourly: this.#hourly,
    });
    const recovered = this.engine
      .recover()
      .then(() => this.engine.filesChanged({ changed: [...this.files.keys()], removed: [] }));
    await this.settling(recovered.then(() => this.engine.begin()));
  }

  /** SIGTERM. */
  async down(limitMs?: number): Promise<void> {
    await this.settling(this.engine.stop(0), limitMs);
    // The process is gone. What it left open (active runs, writes that wait for room) is closed
    // with it.
    this.disk.forgets = false;
    this.disk.die();
  }

  /** kill -9: all that was under way stays as it is. */
  async kill(): Promise<void> {
    this.disk.die();
    await this.clock.settle();
    // This cancels its timers at once. What it waits for may never come: a dead process waits for
    // nothing.
    this.engine.stop(0).catch(() => undefined);
    for (let turn = 0; turn < 20; turn += 1) await this.clock.settle();
  }

  /** The lines of a pipeline's ledger, without checkpoints. */
  lines(name: string): Line[] {
    return linesOf(join(this.store.runsDir, name, "pipeline.jsonl")).filter(
      ({ type }) => type !== "pipeline.checkpoint",
    );
  }

  /** The decisions of its slots, shortened: `fired 02:01`. */
  slots(name: string): string[] {
    return this.lines(name)
      .filter(({ type }) => type.startsWith("slot.") && type !== "slot.late")
      .map((line) => {
        const { type, slot, until } = line as Line & { slot: string; until?: string };
        const stretch = until === undefined ? "" : `..${until.slice(11, 19)}`;
        return `${type.slice(5)} ${slot.slice(11, 19)}${stretch}`;
      });
  }

  /**
   * Settles the clock until a promise is settled, or the daemon has died. Requests and replies take
   * real time.
   */
  async settling(promise: Promise<unknown>, limitMs = 10_000): Promise<void> {
    const until = performance.now() + limitMs;
    let done = false;
    let failure: unknown;
    promise.then(
      () => (done = true),
      (error: unknown) => {
        failure = error;
        done = true;
      },
    );
    for (
      let turn = 0;
      !done && this.fatal === undefined && (turn < 2_000 || performance.now() < until);
      turn += 1
    )
      await this.clock.settle();
    if (this.disk.dead) this.fatal ??= new Error("the process was killed");
    if (this.fatal !== undefined) return;
    if (failure !== undefined) throw failure as Error;
    if (!done) throw new Error("The engine did not come to rest.");
  }
}
