/**
 * The metrics of a root (docs/metrics.md): a fold over the pipelines' own ledgers, and a few looks
 * at what is there now. No run's ledger is opened, and the daemon may be down.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { FINAL_RUN_STATUSES } from "../../core/status.ts";
import {
  addTally,
  DURATION_BOUNDS,
  emptyTally,
  LATENESS_BOUNDS,
  type Tally,
} from "../../core/tally.ts";
import { readDaemon, type DaemonInfo } from "../../ledger/daemon-info.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { readSetAside } from "../../ledger/set-aside-file.ts";
import { VERSION } from "../../version.ts";
import { contentTypeFor } from "./content-type.ts";
import { Samples } from "./samples.ts";
import { PipelineMetrics, UNUSABLE, type PipelineNumbers } from "./pipeline-numbers.ts";

/** How many pipelines have series of their own. The others are summed as {@link OTHER}. */
const MOST_PIPELINES = 500;
/** The label of all other pipelines. No pipeline's name begins with an underscore. */
const OTHER = "_other";
/** How many requests are looked at for the oldest one. */
const MOST_REQUESTS = 1_000;
/** The most slots that are counted as undecided. */
const MOST_UNDECIDED = 1_000;
/** How many pipelines are read in one turn of the event loop. */
const AT_ONCE = 50;

const DECISIONS = ["fired", "caught_up", "skipped", "missed", "backfilled"] as const;
const TRIGGERS = ["schedule", "catch_up", "manual", "backfill", "rerun"] as const;
const RESULTS = ["completed", "failed", "cached", "skipped", "stopped"] as const;

/** Every series of runs that is there from the first scrape, as a tally names it. */
const RUN_KINDS = FINAL_RUN_STATUSES.flatMap((status) =>
  TRIGGERS.map((trigger) => `${status} ${trigger}`),
);

/** One text of metrics, and the media type that it has. */
export interface MetricsText {
  readonly contentType: string;
  readonly body: string;
}

/** The metrics of one root. Keep it from scrape to scrape: it reads what has changed. */
export class Metrics {
  readonly #store: RunStore;
  readonly #pipelines = new Map<string, PipelineMetrics>();
  /** The counters of each tally, as samples: they change only with the ledger. */
  readonly #counters = new WeakMap<Tally, { readonly pipeline: string; readonly of: Samples }>();

  /** @param runsDir the runs folder */
  constructor(runsDir: string) {
    this.#store = new RunStore(runsDir);
  }

  /**
   * The text of a scrape.
   *
   * @param now milliseconds since 1970
   * @param accept the request's `Accept`: it may ask for OpenMetrics. Default: Prometheus' text
   * @throws a Node error where the runs folder cannot be read
   */
  async text(now: number, accept?: string): Promise<MetricsText> {
    const samples = await this.samples(now);
    const contentType = contentTypeFor(accept);
    return { contentType, body: await samples.text(contentType) };
  }

  /** The samples of a scrape. @throws as {@link text} */
  async samples(now: number): Promise<Samples> {
    const out = new Samples();
    const { orchdDir } = this.#store;
    const daemon = readDaemon(orchdDir);
    // What a daemon that is gone could not use may be well by now.
    const aside = new Set(daemon === null ? [] : readSetAside(orchdDir).keys());
    addDaemon(out, daemon);
    this.#addPipelines(out, await this.#read(now, aside));
    out.add("oldestRequest", {}, seconds(oldestRequest(this.#store.requests, now)));
    return out;
  }

  #addPipelines(out: Samples, read: readonly Read[]): void {
    const named = read.slice(0, MOST_PIPELINES);
    const others = read.slice(MOST_PIPELINES).map(([, numbers]) => numbers);
    if (others.length > 0) named.push([OTHER, together(others)]);
    for (const [pipeline, numbers] of named) {
      out.addAll(this.#countersOf(pipeline, numbers.tally));
      addGauges(out, pipeline, numbers);
    }
    const all = read.map(([, numbers]) => numbers);
    out.add("undecided", {}, sum(all, "undecided"));
    out.add("ledgerBytes", {}, sum(all, "bytes"));
  }

  #countersOf(pipeline: string, tally: Tally): Samples {
    const known = this.#counters.get(tally);
    if (known?.pipeline === pipeline) return known.of;
    const of = countersOf(pipeline, tally);
    this.#counters.set(tally, { pipeline, of });
    return of;
  }

  /** All pipelines, the oldest ledger first: those that have series of their own keep them. */
  async #read(now: number, aside: ReadonlySet<string>): Promise<Read[]> {
    const names = new Set([...this.#store.pipelines(), ...aside]);
    for (const name of this.#pipelines.keys()) if (!names.has(name)) this.#pipelines.delete(name);
    const read: Read[] = [];
    let room = MOST_UNDECIDED;
    for (const [index, name] of [...names].entries()) {
      // The first scrape reads all tails, and the page has others to answer meanwhile.
      if (index % AT_ONCE === AT_ONCE - 1) await nextTurn();
      const numbers = this.#pipeline(name).read(now, room);
      room -= numbers?.undecided ?? 0;
      if (aside.has(name)) read.push([name, { ...(numbers ?? UNUSABLE), valid: false }]);
      else if (numbers !== undefined) read.push([name, numbers]);
    }
    return read.toSorted(byAge);
  }

  #pipeline(name: string): PipelineMetrics {
    let pipeline = this.#pipelines.get(name);
    if (pipeline === undefined)
      this.#pipelines.set(name, (pipeline = new PipelineMetrics(this.#store, name)));
    return pipeline;
  }
}

/** One pipeline, read. */
type Read = readonly [pipeline: string, numbers: PipelineNumbers];

function byAge([name, { tally }]: Read, [otherName, other]: Read): number {
  // One without a ledger has no counters, and comes last.
  const [since = "~", later = "~"] = [tally.since, other.tally.since];
  if (since !== later) return since < later ? -1 : 1;
  return name < otherName ? -1 : 1;
}

function addDaemon(out: Samples, daemon: DaemonInfo | null): void {
  out.add("up", {}, daemon === null ? 0 : 1);
  out.add("build", { version: VERSION }, 1);
  out.add("daemonStart", {}, daemon === null ? 0 : seconds(Date.parse(daemon.since)));
}

/** What is of now. */
function addGauges(out: Samples, pipeline: string, numbers: PipelineNumbers): void {
  const { tally } = numbers;
  // Nobody wants to be told that a pipeline that is gone has not run for a week.
  if (numbers.removed && numbers.active + numbers.queued === 0) return;
  out.add("valid", { pipeline }, Number(numbers.valid));
  out.add("paused", { pipeline }, Number(numbers.paused));
  out.add("active", { pipeline }, numbers.active);
  out.add("queued", { pipeline }, numbers.queued);
  for (const status of FINAL_RUN_STATUSES)
    out.add("lastRun", { pipeline, status }, endedAt(tally, status));
  out.add(
    "lastSuccess",
    { pipeline },
    Math.max(endedAt(tally, "completed"), endedAt(tally, "cached")),
  );
  const { nextFire } = numbers;
  out.add("nextFire", { pipeline }, Number.isFinite(nextFire) ? seconds(nextFire) : 0);
}

function countersOf(pipeline: string, tally: Tally): Samples {
  const out = new Samples();
  for (const decision of keysOf(DECISIONS, tally.slots))
    out.add("slots", { pipeline, decision }, tally.slots[decision] ?? 0);
  for (const kind of keysOf(RUN_KINDS, tally.runs)) {
    const [status = "", trigger = ""] = kind.split(" ");
    out.add("runs", { pipeline, status, trigger }, tally.runs[kind] ?? 0);
  }
  for (const result of keysOf(RESULTS, tally.steps))
    out.add("stepResults", { pipeline, result }, tally.steps[result] ?? 0);
  out.add("retries", { pipeline }, tally.retries);
  out.addHistogram("runDuration", { pipeline }, DURATION_BOUNDS, tally.durations);
  out.addHistogram("slotLateness", { pipeline }, LATENESS_BOUNDS, tally.lateness);
  return out;
}

/** The kinds that are always there, and those that another release counted. */
function keysOf(always: readonly string[], counted: Readonly<Record<string, number>>): string[] {
  return [...always, ...Object.keys(counted).filter((key) => !always.includes(key))];
}

/**
 * Several pipelines as one: sums, and of what cannot be added the one that a person looks for: any
 * that is not valid, any that is paused, the newest run, the next fire.
 */
function together(all: readonly PipelineNumbers[]): PipelineNumbers {
  const present = all.filter(({ removed }) => !removed);
  const tally = emptyTally();
  for (const one of all) addTally(tally, one.tally);
  return {
    tally,
    removed: present.length === 0,
    valid: present.every(({ valid }) => valid),
    paused: present.some(({ paused }) => paused),
    active: sum(all, "active"),
    queued: sum(all, "queued"),
    nextFire: Math.min(...present.map(({ nextFire }) => nextFire)),
    undecided: sum(all, "undecided"),
    bytes: sum(all, "bytes"),
  };
}

function sum(
  all: readonly PipelineNumbers[],
  key: "active" | "queued" | "undecided" | "bytes",
): number {
  return all.reduce((total, one) => total + one[key], 0);
}

function endedAt({ ended }: Tally, status: string): number {
  const at = ended[status];
  return at === undefined ? 0 : seconds(Date.parse(at));
}

function seconds(ms: number): number {
  return ms / 1_000;
}

/** For how long the oldest request has waited, in milliseconds; 0 without one. */
function oldestRequest(folder: string, now: number): number {
  let oldest = now;
  for (const name of namesIn(folder).toSorted().slice(0, MOST_REQUESTS)) {
    const stats = statSync(join(folder, name), { throwIfNoEntry: false });
    if (stats !== undefined) oldest = Math.min(oldest, stats.mtimeMs);
  }
  return now - oldest;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".json") && !name.startsWith("."));
  } catch {
    // A root without a daemon so far has none.
    return [];
  }
}
