/**
 * The metrics of a root (docs/metrics.md): a fold over the pipelines' own ledgers, and a few looks
 * at what is there now. No run's ledger is opened, and the daemon may be down.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { PIPELINE_NAME } from "../../core/run-id.ts";
import type { Tally } from "../../core/tally.ts";
import { readDaemon, type DaemonInfo } from "../../ledger/daemon-info.ts";
import { readPlaces, type PlaceChanged } from "../../ledger/place-lines.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { readSetAside } from "../../ledger/set-aside-file.ts";
import { VERSION } from "../../version.ts";
import { contentTypeFor } from "./content-type.ts";
import { exposition } from "./exposition.ts";
import { addNotifications, NotificationTotals } from "./notification-totals.ts";
import { PipelineMetrics, UNUSABLE, type PipelineNumbers } from "./pipeline-numbers.ts";
import { samplesOf, seconds, sum, together } from "./pipeline-samples.ts";
import { Samples, type SampleLines } from "./samples.ts";

/** How many pipelines have series of their own. The others are summed as {@link OTHER}. */
const MOST_PIPELINES = 500;
/** The label of all other pipelines. No pipeline's name begins with an underscore. */
const OTHER = "_other";
/** How many requests are looked at for the oldest one, besides the one with the first id. */
const MOST_REQUESTS = 1_000;
/** How many places have series of their own. */
const MOST_PLACES = 100;
/** The most slots that are counted as undecided. */
const MOST_UNDECIDED = 1_000;
/** How many pipelines are read in one turn of the event loop. */
const AT_ONCE = 10;

/** One text of metrics, and the media type that it has. */
export interface MetricsText {
  readonly contentType: string;
  readonly body: string;
}

/** The metrics of one root. Keep it from scrape to scrape: it reads what has changed. */
export class Metrics {
  readonly #store: RunStore;
  readonly #pipelines = new Map<string, PipelineMetrics>();
  readonly #notifications: NotificationTotals;
  /** The text of each pipeline's samples, and the numbers that it was made of. */
  #texts: ReadonlyMap<string, PipelineText> = new Map();

  /** @param runsDir the runs folder */
  constructor(runsDir: string) {
    this.#store = new RunStore(runsDir);
    this.#notifications = new NotificationTotals(this.#store);
  }

  /**
   * The text of a scrape.
   *
   * @param now milliseconds since 1970
   * @param accept the request's `Accept`: it may ask for OpenMetrics. Default: Prometheus' text
   * @throws a Node error where the runs folder cannot be read
   */
  async text(now: number, accept?: string): Promise<MetricsText> {
    const { pipelines, root } = await this.#scrape(now);
    const texts = new Map<string, PipelineText>();
    for (const [index, [pipeline, numbers]] of pipelines.entries()) {
      if (index % AT_ONCE === AT_ONCE - 1) await nextTurn();
      const { tally } = numbers;
      const gauges = gaugesOf(numbers);
      const known = this.#texts.get(pipeline);
      if (known?.tally === tally && known.gauges === gauges) texts.set(pipeline, known);
      else {
        const lines = await samplesOf(pipeline, numbers).lines();
        texts.set(pipeline, { tally, gauges, lines });
      }
    }
    this.#texts = texts;
    const contentType = contentTypeFor(accept);
    const blocks = [await root.lines(), ...Array.from(texts.values(), ({ lines }) => lines)];
    return { contentType, body: await exposition(blocks, contentType) };
  }

  /** The samples of a scrape. @throws as {@link text} */
  async samples(now: number): Promise<Samples> {
    const { pipelines, root } = await this.#scrape(now);
    for (const [pipeline, numbers] of pipelines) root.addAll(samplesOf(pipeline, numbers));
    return root;
  }

  async #scrape(now: number): Promise<{ readonly pipelines: Read[]; readonly root: Samples }> {
    const root = new Samples();
    const { orchdDir, requests } = this.#store;
    const daemon = readDaemon(orchdDir);
    // What a daemon that is gone could not use may be well by now.
    const aside = new Set(daemon === null ? [] : readSetAside(orchdDir).keys());
    const read = await this.#read(now, aside);
    const all = read.map(([, numbers]) => numbers);
    addDaemon(root, daemon);
    addNotifications(root, this.#notifications.read());
    addPlaces(root, daemon === null ? [] : readPlaces(orchdDir));
    root.add("undecided", {}, sum(all, "undecided"));
    root.add("ledgerBytes", {}, sum(all, "bytes"));
    root.add("oldestRequest", {}, seconds(oldestRequest(requests, now)));
    const pipelines = read.slice(0, MOST_PIPELINES);
    const others = all.slice(MOST_PIPELINES);
    if (others.length > 0) pipelines.push([OTHER, together(others)]);
    return { pipelines, root };
  }

  /** All pipelines, the oldest ledger first: those that have series of their own keep them. */
  async #read(now: number, aside: ReadonlySet<string>): Promise<Read[]> {
    const names = new Set([...this.#store.pipelines(), ...aside].filter(isName));
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

/** Places that this daemon told of: without one, nobody knows how they are. */
function addPlaces(out: Samples, places: readonly PlaceChanged[]): void {
  for (const { place, because, hosts } of places.slice(0, MOST_PLACES)) {
    const able = because === undefined ? hosts.filter((host) => host.because === undefined) : [];
    out.add("placeUp", { place }, able.length > 0 ? 1 : 0);
    out.add("placeHosts", { place }, able.length);
  }
}

/** The text of a pipeline's samples. */
interface PipelineText {
  readonly tally: Tally;
  readonly gauges: string;
  readonly lines: SampleLines;
}

/** What is of now, as one text to compare. */
function gaugesOf({ removed, valid, paused, active, queued, nextFire }: PipelineNumbers): string {
  return [removed, valid, paused, active, queued, nextFire].join(" ");
}

function isName(name: string): boolean {
  return PIPELINE_NAME.test(name);
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

/** For how long the oldest request has waited, in milliseconds; 0 without one. */
function oldestRequest(folder: string, now: number): number {
  const names = namesIn(folder);
  const looked = names.slice(0, MOST_REQUESTS);
  // An id begins with its time, unless the one who asked chose another.
  if (names.length > MOST_REQUESTS) looked.push(names.reduce((a, b) => (a < b ? a : b)));
  let oldest = now;
  for (const name of looked) {
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
