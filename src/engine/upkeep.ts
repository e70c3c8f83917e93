/**
 * Care for the ledgers themselves: retention, by itself every hour and on request, the cache's index, and damaged runs. Only the holder of the daemon's
 * lock does any of it (semantics.md 24).
 */
import type { Clock } from "../clock.ts";
import type { Reply } from "../core/request.ts";
import type { CacheIndex } from "../ledger/cache-index.ts";
import type { LedgerFailed } from "../ledger/ledger-error.ts";
import { prune, type PruneOptions, type Pruned } from "../ledger/prune.ts";
import { policyUnder, totalBytesOf, type RetentionPolicy } from "../ledger/retention.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { Engine } from "./engine.ts";
import type { Log, UpkeepRequest } from "./ports.ts";
import { repairRun } from "./repair.ts";
import { bundlesOf } from "./snapshot-bundles.ts";

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
}

/** See the head of this file. */
export class Upkeep {
  readonly #ports: UpkeepPorts;
  #busy: Promise<unknown> = Promise.resolve();

  constructor(ports: UpkeepPorts) {
    this.#ports = ports;
  }

  /** Retention by each pipeline's own rules, as it is done every hour. */
  async retain(engine: Engine): Promise<void> {
    const pruned = await this.#prune(engine, {});
    if (pruned.runs.length > 0 || pruned.files > 0) {
      this.#ports.log.info(
        { runs: pruned.runs.length, files: pruned.files, bytes: pruned.bytes },
        `retention removed ${pruned.runs.length} runs and ${pruned.files} other files`,
      );
    }
  }

  /** Carries out a request about the ledgers. */
  async carryOut(request: UpkeepRequest, engine: Engine): Promise<Reply> {
    switch (request.type) {
      case "prune": {
        const pruned = await this.#prune(engine, request);
        return { accepted: true, result: { runs: pruned.runs, kept: pruned.kept, bytes: pruned.bytes, files: pruned.files } };
      }
      case "repair":
        return this.#alone(() => repairRun(request.run, engine, this.#ports));
      case "rebuild": {
        const entries = await this.#alone(() => this.#ports.cacheIndex.rebuild(this.#ports.store.runsDir));
        return { accepted: true, result: { entries } };
      }
    }
  }

  #prune(engine: Engine, request: Omit<Extract<UpkeepRequest, { type: "prune" }>, "type">): Promise<Pruned> {
    const desks = new Map([...engine.desks()].map((desk) => [desk.name, desk]));
    const policyOf = (pipeline: string): RetentionPolicy => policyUnder(desks.get(pipeline)?.loaded?.retention ?? engine.settings.retention, request);
    const bundles = new Set<string>();
    // A pipeline whose version in force is not known may need any code.
    const known = [...desks.values()].every((desk) => desk.loaded !== undefined || desk.state.removed || desk.state.digest === undefined);
    for (const { loaded } of desks.values()) if (loaded !== undefined) for (const sha of bundlesOf(loaded.template)) bundles.add(sha);
    const options: PruneOptions = {
      nowMs: this.#ports.clock.now(),
      policyOf,
      totalBytes: totalBytesOf(engine.settings.retention),
      pipeline: request.pipeline,
      dryRun: request.dryRun,
      alsoActive: engine.runs.ids(),
      ...(known ? { bundlesInUse: bundles } : {}),
      signal: this.#ports.signal,
    };
    return this.#alone(async () => {
      const { store, cacheIndex } = this.#ports;
      const pruned = await prune(store.runsDir, options);
      // The index may name runs that went another way too; but only runs that went make it worth reading.
      if (pruned.runs.length > 0 && request.dryRun !== true) await cacheIndex.compact((run) => store.exists(run));
      return pruned;
    });
  }

  /** One at a time: each reads and removes what the others do. */
  #alone<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(act);
    this.#busy = result.catch(() => undefined);
    return result;
  }
}
