/**
 * Keeps the ledgers in order: retention, the cache's index, damaged runs. Retention runs every
 * hour, sooner where much is written, and on request. Only the holder of the daemon's lock does any
 * of it (semantics.md 24). So a sweep ends where the daemon ends, and the next daemon goes on.
 */
import type { Clock, Timer } from "../clock.ts";
import { countText } from "../core/counted.ts";
import type { Reply } from "../core/request.ts";
import { DAY_MS } from "../core/time.ts";
import type { CacheIndex } from "../ledger/cache-index.ts";
import { bytesWritten } from "../disk/disk.ts";
import { downtimeBefore } from "../ledger/daemon-history.ts";
import { LedgerClosed, type LedgerFailed } from "../ledger/ledger-error.ts";
import { prune, type PruneOptions, type Pruned } from "../ledger/prune.ts";
import { policyUnder, totalBytesOf, type RetentionPolicy } from "../ledger/retention.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { Engine } from "./engine.ts";
import type { Log } from "../log.ts";
import type { UpkeepRequest } from "./ports.ts";
import { repairRun } from "./repair.ts";
import { bundlesOf } from "../core/snapshot-bundles.ts";

/** How long removing runs waits for the line that says so, in milliseconds. */
const LINE_MS = 5_000;

/** What upkeep needs. */
export interface UpkeepPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: RunStore;
  readonly cacheIndex: CacheIndex;
  /** A ledger failed for good: the process has to end. */
  readonly onFatal: (error: LedgerFailed) => void;
  /** Aborted when the lock is lost. */
  readonly signal: AbortSignal;
  /** Whether lines wait for room on the disk. */
  readonly linesWait?: (() => boolean) | undefined;
  /** How many bytes were written so far; default: by this process. */
  readonly written?: (() => number) | undefined;
}

/**
 * Within the hour a limit in bytes is checked once this part of it was written, and at least {@link
 * LEAST_FILL_BYTES}.
 */
const FILL_PART = 0.1;
const LEAST_FILL_BYTES = 1_048_576;
/**
 * After a sweep retention is idle for at least this many times as long as the sweep took: a long
 * history is not read again and again.
 */
const IDLE_TIMES = 20;
/**
 * How long the hour's sweep goes by the time that the clock would show without a jump ahead, or a
 * time without a daemon, in milliseconds: a clock that is years ahead for a while must not take the
 * whole history.
 */
const DOUBT_MS = DAY_MS;

/** The upkeep of one runs folder. */
export class Upkeep {
  readonly #ports: UpkeepPorts;
  #busy: Promise<unknown> = Promise.resolve();
  /** The last sweep: what had been written when it began, when it ended, and how long it took. */
  #swept = { written: 0, endedMs: 0, tookMs: 0 };

  constructor(ports: UpkeepPorts) {
    this.#ports = ports;
  }

  /**
   * Whether enough was written since the last sweep to pass a limit in bytes long before the hour
   * is over.
   */
  filling(engine: Engine): boolean {
    const { retention } = engine.settings;
    const own = [...engine.desks()].flatMap(
      ({ loaded }) => policyUnder(loaded?.retention ?? retention, {}).keepBytes ?? [],
    );
    const limit = Math.min(totalBytesOf(retention) ?? Infinity, ...own);
    const { written, endedMs, tookMs } = this.#swept;
    const idleMs = this.#ports.clock.monotonic() - endedMs;
    return (
      this.#written() - written >= Math.max(limit * FILL_PART, LEAST_FILL_BYTES) &&
      idleMs >= tookMs * IDLE_TIMES &&
      limit < Infinity
    );
  }

  /** Applies retention by each pipeline's own rules: every hour's sweep. */
  async retain(engine: Engine): Promise<void> {
    const { clock } = this.#ports;
    const [written, began] = [this.#written(), clock.monotonic()];
    const pruned = await this.#prune(engine, {}, this.#notAhead(engine)).catch((error: unknown) => {
      if (!(error instanceof LedgerClosed)) throw error;
    });
    if (pruned === undefined) return;
    const ended = clock.monotonic();
    this.#swept = { written, endedMs: ended, tookMs: ended - began };
    if (pruned.runs.length > 0 || pruned.files > 0) {
      this.#ports.log.info(
        { runs: pruned.runs.length, files: pruned.files, bytes: pruned.bytes },
        `retention removed ${countText(pruned.runs.length, "run")} and ` +
          countText(pruned.files, "other file"),
      );
    }
  }

  /**
   * Carries out a request about the ledgers.
   *
   * @throws LedgerClosed where the daemon ends before a prune does: the request stays
   */
  async carryOut(request: UpkeepRequest, engine: Engine): Promise<Reply> {
    switch (request.type) {
      case "prune": {
        const pruned = await this.#prune(engine, request);
        return {
          accepted: true,
          result: {
            runs: pruned.runs,
            kept: pruned.kept,
            bytes: pruned.bytes,
            files: pruned.files,
          },
        };
      }
      case "repair":
        return this.#alone(() => repairRun(request.run, engine, this.#ports));
      case "rebuild": {
        const entries = await this.#alone(() =>
          this.#ports.cacheIndex.rebuild(this.#ports.store.runsDir),
        );
        return { accepted: true, result: { entries } };
      }
    }
  }

  /** The time by which runs are old, in milliseconds since 1970. */
  #notAhead({ lastJump }: Engine): number {
    const now = this.#ports.clock.now();
    const isInDoubt = lastJump !== undefined && now - lastJump.to < DOUBT_MS;
    const jumpedMs = isInDoubt ? lastJump.to - lastJump.from : 0;
    // A clock that was ahead as a daemon came up looks like a long time without one.
    const downMs = downtimeBefore(this.#ports.store.orchdDir, now - DOUBT_MS, now);
    return now - jumpedMs - downMs;
  }

  #prune(
    engine: Engine,
    request: Omit<Extract<UpkeepRequest, { type: "prune" }>, "type">,
    nowMs = this.#ports.clock.now(),
  ): Promise<Pruned> {
    const desks = new Map([...engine.desks()].map((desk) => [desk.name, desk]));
    const policyOf = (pipeline: string): RetentionPolicy =>
      policyUnder(desks.get(pipeline)?.loaded?.retention ?? engine.settings.retention, request);
    const bundles = new Set<string>();
    // Where a pipeline's version in force is not known, any bundle may be in use.
    const known = [...desks.values()].every(
      (desk) => desk.loaded !== undefined || desk.state.removed || desk.state.digest === undefined,
    );
    for (const { loaded } of desks.values())
      if (loaded !== undefined) for (const sha of bundlesOf(loaded.template)) bundles.add(sha);
    const signal = AbortSignal.any([this.#ports.signal, engine.ending]);
    const options: PruneOptions = {
      nowMs,
      policyOf,
      totalBytes: totalBytesOf(engine.settings.retention),
      pipeline: request.pipeline,
      dryRun: request.dryRun,
      alsoActive: engine.runs.ids(),
      bundlesInUse: known ? bundles : undefined,
      linesWait: this.#ports.linesWait?.() ?? false,
      onPruning: async (pipeline, line) => {
        await this.#soon(desks.get(pipeline)?.append([line]));
        // The line may be missing, since the ledger is closed: nothing goes without it.
        signal.throwIfAborted();
      },
      signal,
    };
    return this.#alone(async () => {
      const { store, cacheIndex } = this.#ports;
      const pruned = await prune(store.runsDir, options).catch((error: unknown) => {
        throw engine.ending.aborted ? new LedgerClosed(store.runsDir) : error;
      });
      // The index may name runs that were removed in other ways too. Reading it is worth the cost
      // only after runs were removed.
      if (pruned.runs.length > 0 && request.dryRun !== true)
        await cacheIndex.compact((run) => store.exists(run));
      return pruned;
    });
  }

  /** Waits for a line, but not for room on the disk: removing runs makes it. */
  async #soon(written: Promise<unknown> | undefined): Promise<void> {
    const { clock, log } = this.#ports;
    const line = Promise.resolve(written).catch((error: unknown) =>
      log.warn({ err: error }, "retention could not be recorded"),
    );
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => (timer = clock.after(LINE_MS, resolve)));
    await Promise.race([line, late]);
    timer?.cancel();
  }

  #written(): number {
    return (this.#ports.written ?? bytesWritten)();
  }

  /** One at a time: all of them read and remove the same files. */
  #alone<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(act);
    this.#busy = result.catch(() => undefined);
    return result;
  }
}
