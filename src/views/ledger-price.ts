/**
 * What a backfill would cost, by ledgers alone: the page may not load a pipeline's file, whose code
 * is a user's.
 *
 * The slots are those of the schedules in force. The steps are those of the newest run that had the
 * same params, as its header recorded them. So the numbers are those of `orchd backfill --dry-run`
 * where the file has not changed since that run; the answer says which run that was.
 */
import { canonicalHash } from "../core/canonical-json.ts";
import type { RunEvent, RunHeader } from "../core/event.ts";
import type { PipelineState } from "../core/pipeline-state.ts";
import type { DueSlot, Schedule } from "../core/schedule/schedule.ts";
import type { Snapshot } from "../core/snapshot.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import type { RunStore } from "../ledger/run-store.ts";
import {
  priceSlots,
  slotsBetween,
  type BackfillPlan,
  type BackfillPrice,
  type PricedPipeline,
} from "./backfill-price.ts";
import type { CacheSettings } from "./cache-forecast.ts";
import { countText } from "../core/counted.ts";
import { unlessDamaged, type NoView } from "./no-view.ts";
import { readPipeline } from "./pipeline-reading.ts";
import { wholeSchedule } from "./recorded-schedule.ts";
import { runsBackwards } from "./run-history.ts";
import { restored } from "./run-reading.ts";

/** A page answers others meanwhile: it looks at no more slots. */
const MOST_SLOTS = 20_000;
/** How many of the newest runs are looked at for one that had the same params. */
const MOST_RUNS = 50;

/** `GET /api/v1/backfill/price`: `orchd backfill --dry-run --json`, and what it was priced by. */
export interface LedgerPrice extends BackfillPrice {
  /** The newest run whose steps were counted; null where none is known: then no step is. */
  readonly pricedBy: {
    readonly run: string;
    /** When it was made. */
    readonly at: string;
    /** The version in force was loaded after that: it may have other steps. */
    readonly older: boolean;
  } | null;
}

/** There is no price, and why. */
export interface NoPrice {
  readonly ok: false;
  /** `unfit`: its file is no use for a backfill. `refused`: it is more than may be asked. */
  readonly kind: "unfit" | "refused";
  readonly sentence: string;
}

/**
 * The price of a backfill. `to` is at most `now` (milliseconds since 1970).
 *
 * @throws a Node error where this user may not read its ledger
 */
export function priceByLedgers(
  store: RunStore,
  pipeline: string,
  settings: CacheSettings,
  plan: BackfillPlan,
  now: number,
): { readonly ok: true; readonly price: LedgerPrice } | NoView | NoPrice {
  return unlessDamaged<{ readonly ok: true; readonly price: LedgerPrice } | NoPrice>(() => {
    const state = readPipeline(store, pipeline)?.state;
    if (state?.digest === undefined)
      return none(
        "unfit",
        `no version of "${pipeline}" has been in force yet: there is no slot to run.`,
      );
    if (state.removed)
      return none("unfit", `the file of "${pipeline}" is gone; a backfill needs it.`);
    const schedules = (state.schedules as unknown as readonly Schedule[]).map(wholeSchedule);
    const clipped = { ...plan, to: Math.min(plan.to, now) };
    const slots = slotsBetween({ name: pipeline, schedules }, clipped, MOST_SLOTS + 1);
    if (slots.length > MOST_SLOTS)
      return none(
        "refused",
        `there are more than ${countText(MOST_SLOTS, "slot")} between the two; choose a ` +
          "shorter time, or ask `orchd backfill --dry-run`.",
      );
    const known = new KnownSnapshots(store, pipeline, state);
    const priced: PricedPipeline = {
      name: pipeline,
      schedules,
      snapshotOf: (slot) => known.of(slot),
    };
    try {
      const price = priceSlots(store, priced, settings, { ...clipped, slots, now });
      return { ok: true as const, price: { ...price, pricedBy: known.newest } };
    } finally {
      known.close();
    }
  });
}

function none(kind: NoPrice["kind"], sentence: string): NoPrice {
  return { ok: false, kind, sentence };
}

/** The snapshots of the newest runs, by the params that they had. */
class KnownSnapshots {
  readonly #store: RunStore;
  readonly #state: PipelineState;
  readonly #heads: Generator<{ readonly header: RunHeader; readonly at: string }>;
  readonly #byParams = new Map<string, Snapshot>();
  #newest: LedgerPrice["pricedBy"] = null;

  constructor(store: RunStore, pipeline: string, state: PipelineState) {
    this.#store = store;
    this.#state = state;
    this.#heads = this.#newestHeaders(pipeline);
  }

  /** The newest run that was used. */
  get newest(): LedgerPrice["pricedBy"] {
    return this.#newest;
  }

  /** Closes the history, which may not have been read to its end. */
  close(): void {
    this.#heads.return(undefined);
  }

  /** What the run of a slot would run; undefined where no run had its params. */
  of({ schedule }: DueSlot): Snapshot | undefined {
    const key = canonicalHash({ ...this.#state.about.params, ...schedule.params });
    while (!this.#byParams.has(key)) {
      const head = this.#heads.next();
      if (head.done === true) return this.#byParams.get(key);
      this.#take(head.value.header, head.value.at, key);
    }
    return this.#byParams.get(key);
  }

  #take({ run, params, snapshot }: RunHeader, at: string, wanted: string): void {
    // An older release did not record the params of the file: any run will do.
    const key = this.#state.about.params === undefined ? wanted : canonicalHash(params);
    if (this.#byParams.has(key)) return;
    this.#byParams.set(key, snapshot);
    const { loadedAt } = this.#state;
    if (key === wanted)
      this.#newest ??= { run, at, older: loadedAt !== undefined && at < loadedAt };
  }

  *#newestHeaders(
    pipeline: string,
  ): Generator<{ readonly header: RunHeader; readonly at: string }> {
    let left = MOST_RUNS;
    for (const { run } of runsBackwards(this.#store, pipeline)) {
      const head = this.#headerOf(run);
      if (head !== undefined) yield head;
      left -= 1;
      if (left === 0) return;
    }
  }

  #headerOf(run: string): { readonly header: RunHeader; readonly at: string } | undefined {
    let found: { readonly header: RunHeader; readonly at: string } | undefined;
    try {
      readLedger<RunEvent>(this.#store.runLedger(run), {
        each: (line) => {
          const header = restored(this.#store, line);
          if (header.type === "run.submitted") found = { header, at: header.at };
          return false;
        },
      });
    } catch {
      // A run that is gone or cannot be read: the one before it may do.
    }
    return found;
  }
}
