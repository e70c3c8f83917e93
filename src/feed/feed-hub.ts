/**
 * The durable lines of all ledgers, in the order in which they become readable, for any number of
 * readers in one process. A reader's position is a text; a feed that is opened there, in any
 * process and at any time, goes on with the next line.
 *
 * ## What holds
 *
 * Of each ledger, a feed gives every whole line after its position, once and in their order:
 *
 * - A line is given when it stands there whole, its line feed and checksum included, and never
 *   before. A torn tail is waited for: it is completed, or cut.
 * - Rotation gives a file another name: it is read to its end, and then the next one is.
 * - A ledger that was cut and written again behind the position (by recovery, by a repair, by
 *   somebody's hands) goes on after the last line that was given and still stands. Lines that were
 *   written in place of others are given, and lines that stand as they stood are not given again
 *   (find-place.ts).
 * - A ledger that took another's place is given from its first line.
 * - Lines that were pruned before they were read are not given, and nothing is told in their place.
 * - A folder that is moved away, or a root, is waited for.
 * - A run is read from the pipeline's line that begins it to the one that ends it. What a repair
 *   writes into the ledger of a run that has ended tells nothing that its pipeline's ledger did
 *   not, and is not given.
 *
 * Lines of several ledgers have no common order on the disk. Those that are there together come by
 * their time; a run's come before the pipeline's line about its end.
 *
 * ## One reader at the head
 *
 * The hub has one reader of all ledgers, which is where the ledgers end. What it reads goes to
 * every feed that keeps up. A feed that begins in the past, or whose reader takes its lines too
 * slowly, reads the ledgers itself (feed-subscription.ts). So memory does not grow with what a slow
 * reader has not taken: it costs a position.
 *
 * ## Watching
 *
 * Folders are watched, not files: the runs folder, a pipeline's, and the month folders of runs that
 * go on. An event says which ledger to read on. Nothing else is done for an idle pipeline but a
 * slow look: once in LOOK_TURNS seconds its ledger is asked for its size and time, because watchers
 * lose events. Where the machine gives no more watches, that look comes every second.
 *
 * Rejected: looking at all ledgers every 100 ms (ten thousand looks a second, and 50 ms for a
 * line); a watch on each file (a rename ends it); asking the daemon (it may be down, and nothing
 * here may slow it); waiting for the writer's fdatasync by one of our own (each is a flush of the
 * disk that the daemon waits for). A power cut may so take back a line that was given; the line
 * that is written in its place is given as well.
 */
import { basename } from "node:path";
import { systemClock, type Clock, type Timer } from "../clock.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import { errorCode } from "../disk/disk-error.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { FeedItem } from "./feed-item.ts";
import type { Feed, FeedOptions, FeedScope } from "./feed-line.ts";
import type { FeedPosition } from "./feed-position.ts";
import { FeedReader } from "./feed-reader.ts";
import { FeedSubscription, UNKNOWN, type SubscriptionHub } from "./feed-subscription.ts";
import { FolderWatches } from "./folder-watches.ts";
import { narrowed } from "./narrowed-position.ts";
import { parsePosition } from "./position-text.ts";
import { presentPosition } from "./present-position.ts";
import type { RunSource } from "./run-source.ts";
import type { SeenFile } from "./seen-file.ts";

/** Milliseconds from one slow look to the next. */
const TURN_MS = 1_000;
/** The same, while folders without a watch are looked at that are no more than {@link FEW}. */
const QUICK_MS = 250;
const FEW = 64;
/** At each look, so many of the pipelines have their turn: one in this number. */
const LOOK_TURNS = 30;
/** The most pipelines without a watch that are looked at in one turn. */
const UNWATCHED_LOOKS = 1_000;
const MOST_QUEUED = 256;
/** How many lines the hub's reader takes before others get their turn. */
const LINES_A_TURN = 512;
const MOST_WATCHES = 8_192;
const LEDGER = ".jsonl";

/** What a hub needs. */
export interface FeedHost {
  /** Default: the system's clock. */
  readonly clock?: Clock | undefined;
  /** The most folders that are watched; default 8,192. 0: none, all are looked at. */
  readonly mostWatches?: number | undefined;
  /** The most lines that wait for a reader, which then reads again; default 256. */
  readonly mostQueued?: number | undefined;
}

/** Feeds of one runs folder that share their watchers and their reading. Close it after use. */
export class FeedHub {
  readonly #store: RunStore;
  readonly #scope: FeedScope;
  readonly #clock: Clock;
  readonly #watches: FolderWatches;
  /** The feeds, and what else is done when one ends. */
  readonly #feeds = new Map<FeedSubscription, () => void>();
  readonly #listeners = new Set<(pipeline: string) => void>();
  /** Pipelines of which the listeners have not been told. */
  readonly #changed = new Set<string>();
  readonly #port: SubscriptionHub;
  /** The pipelines that have a folder. */
  #pipelines: readonly string[] = [];
  /** Those of them with a folder that has no watch. */
  readonly #unwatched = new Set<string>();
  /** The month folders of runs, by pipeline. */
  readonly #months = new Map<string, Set<string>>();
  #reader: FeedReader | undefined;
  #timer: Timer | undefined;
  #turn = 0;
  #isPumping = false;
  #isListed = false;
  #isClosed = false;

  /** @param scope no other ledgers are read. Default: all */
  constructor(store: RunStore, host: FeedHost = {}, scope: FeedScope = {}) {
    this.#store = store;
    this.#scope = scope;
    this.#clock = host.clock ?? systemClock;
    this.#watches = new FolderWatches(host.mostWatches ?? MOST_WATCHES);
    const position = (): FeedPosition => this.#head().position;
    this.#port = {
      store,
      mostQueued: host.mostQueued ?? MOST_QUEUED,
      get position() {
        return position();
      },
      drain: () => this.#drain(),
      unlike: (other) => this.#unlike(other),
      left: (feed) => {
        const onEnd = this.#feeds.get(feed);
        this.#feeds.delete(feed);
        onEnd?.();
      },
    };
  }

  /**
   * A feed of its own: each reader has its position, and none waits for another.
   *
   * @param onEnd called when the feed ends
   * @throws TypeError where `from` is no position, or one of other ledgers; RangeError where the
   *   name is no pipeline's or run's; a Node error where the runs folder cannot be read
   */
  subscribe(options: FeedOptions = {}, onEnd: () => void = () => undefined): Feed {
    const { from, signal } = options;
    const scope = checkedScope(this.#store, options);
    const given = from === undefined ? undefined : parsePosition(from, scope);
    const head = this.#head();
    // What stands there now has come already.
    if (given === undefined) this.#drain();
    const start =
      given === undefined
        ? { position: narrowed(head.position, this.#store, scope), isNow: true }
        : { position: narrowed(given, this.#store, scope), isNow: false };
    const feed = new FeedSubscription(this.#port, scope, start, signal);
    this.#feeds.set(feed, onEnd);
    if (signal?.aborted === true || this.#isClosed) feed.close();
    return feed;
  }

  /**
   * Has a listener told that something changed in a pipeline's folder: a hint for caches, which may
   * come late and too often. It must not throw.
   *
   * @returns ends it
   * @throws a Node error where the runs folder cannot be read
   */
  onChange(listener: (pipeline: string) => void): () => void {
    this.#head();
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Ends every feed, and watches nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#watches.close();
    for (const feed of this.#feeds.keys()) feed.close();
    this.#listeners.clear();
  }

  /** The reader where the ledgers end. It begins with the first feed. */
  #head(): FeedReader {
    if (this.#reader !== undefined) return this.#reader;
    // Watched first: what is written from now on is either in the position, or told.
    this.#list();
    const seen = new Map<string, SeenFile>();
    const reader = new FeedReader(
      this.#store,
      presentPosition(this.#store, this.#scope, (pipeline, file) => seen.set(pipeline, file)),
      this.#scope,
      (run) => this.#watchMonth(run),
      seen,
    );
    this.#reader = reader;
    // What was listed before is read again: a pipeline may have come meanwhile.
    this.#list();
    // The folders of runs are watched since the reader knows them: nothing told of what was written
    // between their place in the position and that.
    for (const { run } of reader.runs) reader.stirRun(run);
    this.#pumpSoon();
    this.#wait();
    return reader;
  }

  // --- Lines ---

  #pumpSoon(): void {
    if (this.#isPumping || this.#isClosed) return;
    this.#isPumping = true;
    setImmediate(() => {
      this.#isPumping = false;
      if (!this.#isClosed && !this.#drain()) this.#pumpSoon();
    });
  }

  /** Takes the lines that there are, as far as that is no long work. @returns whether it was all */
  #drain(): boolean {
    const reader = this.#reader;
    if (reader === undefined) return true;
    if (!this.#isListed) this.#listIfReadable();
    for (let lines = 0; lines < LINES_A_TURN; lines += 1) {
      const item = reader.next();
      if (item === undefined) {
        this.#tell();
        return true;
      }
      this.#hand(item);
    }
    return false;
  }

  #hand(item: FeedItem): void {
    this.#changed.add(item.pipeline);
    for (const feed of this.#feeds.keys()) feed.offer(item);
  }

  #tell(): void {
    for (const pipeline of this.#changed)
      for (const listener of this.#listeners) listener(pipeline);
    this.#changed.clear();
  }

  #unlike(position: FeedPosition): ReadonlySet<string> {
    const own = this.#head().position;
    const pipelines = new Set<string>();
    for (const marks of [own.unlike(position), position.unlike(own)])
      for (const { pipeline } of marks) pipelines.add(pipeline ?? UNKNOWN);
    return pipelines;
  }

  // --- Folders ---

  #listIfReadable(): void {
    try {
      this.#list();
    } catch (error) {
      // The runs folder cannot be read now: the next slow look tries again.
      if (errorCode(error) === undefined) throw error;
      this.#watches.end(this.#store.runsDir);
    }
  }

  /** Looks which pipelines there are, and watches the folders of new ones. */
  #list(): void {
    this.#isListed = true;
    const { runsDir } = this.#store;
    const wasWatched = this.#watches.watch(runsDir, (name) => {
      this.#isListed = false;
      if (name !== undefined && PIPELINE_NAME.test(name)) this.#reader?.stir(name);
      this.#pumpSoon();
    });
    const { pipeline, run } = this.#scope;
    const only = run === undefined ? pipeline : this.#store.parseRunId(run).pipeline;
    const before = new Set(this.#pipelines);
    this.#pipelines = only === undefined ? this.#store.pipelines() : [only];
    const come = this.#pipelines.filter((name) => !wasWatched || !before.has(name));
    if (come.length > 0) for (const feed of this.#feeds.keys()) feed.came(new Set(come));
    for (const name of this.#pipelines)
      if (!this.#watchPipeline(name) || !wasWatched) this.#reader?.stirTouched(name);
  }

  /** @returns whether it was watched before */
  #watchPipeline(pipeline: string): boolean {
    const folder = this.#store.pipelineDir(pipeline);
    const wasWatched = this.#watches.watch(folder, (name) => {
      if (name?.startsWith(".") === true) return;
      this.#changed.add(pipeline);
      if (name === undefined || name.startsWith("pipeline")) this.#reader?.stirLedger(pipeline);
      else this.#watchMonths(pipeline);
      this.#pumpSoon();
    });
    if (!this.#watches.has(folder)) this.#unwatched.add(pipeline);
    return wasWatched;
  }

  /** The folder of a run's month may have come. */
  #watchMonths(pipeline: string): void {
    for (const run of this.#reader?.runsOf(pipeline) ?? []) {
      if (this.#watches.has(this.#store.runDir(run.run))) continue;
      this.#watchMonth(run);
      this.#reader?.stirRun(run.run);
    }
  }

  #watchMonth({ run, pipeline }: RunSource): void {
    const folder = this.#store.runDir(run);
    if (this.#watches.has(folder)) return;
    this.#months.set(pipeline, (this.#months.get(pipeline) ?? new Set()).add(folder));
    this.#watches.watch(folder, (name) => {
      // What a step prints is no line of a ledger.
      if (name?.endsWith(LEDGER) === false || name?.startsWith(".") === true) return;
      this.#changed.add(pipeline);
      if (name === undefined) this.#reader?.stir(pipeline);
      else this.#reader?.stirRun(name.slice(0, -LEDGER.length));
      this.#pumpSoon();
    });
    if (!this.#watches.has(folder)) this.#unwatched.add(pipeline);
  }

  // --- The slow look ---

  #wait(): void {
    const isBlind = !this.#watches.has(this.#store.runsDir) || this.#unwatched.size > 0;
    const isQuick = isBlind && this.#unwatched.size <= FEW;
    this.#timer = this.#clock.after(isQuick ? QUICK_MS : TURN_MS, () => {
      if (this.#isClosed) return;
      this.#look();
      this.#wait();
    });
  }

  #look(): void {
    this.#turn += 1;
    if (!this.#watches.has(this.#store.runsDir) || this.#turn % LOOK_TURNS === 0)
      this.#listIfReadable();
    const count = this.#pipelines.length;
    for (let index = this.#turn % LOOK_TURNS; index < count; index += LOOK_TURNS)
      this.#lookAt(this.#pipelines[index]!);
    for (const pipeline of [...this.#unwatched].slice(0, UNWATCHED_LOOKS)) this.#lookAt(pipeline);
    for (const feed of this.#feeds.keys()) {
      feed.rest();
      feed.settle();
      if (this.#turn % LOOK_TURNS === 0) feed.came(undefined);
    }
    this.#pumpSoon();
  }

  #lookAt(pipeline: string): void {
    // It goes to the end of those that are looked at often, if it still has no watch.
    const isUnwatched = this.#unwatched.delete(pipeline);
    const isTouched = this.#reader?.stirTouched(pipeline) === true;
    this.#leaveMonths(pipeline);
    if (!isTouched && !isUnwatched) return;
    // No event told of it: another folder may have its path.
    this.#watchPipeline(pipeline);
    this.#watchMonths(pipeline);
  }

  /** Of a pipeline without runs, the newest month stays watched: its next run comes there. */
  #leaveMonths(pipeline: string): void {
    const months = this.#months.get(pipeline);
    if (months === undefined || months.size < 2) return;
    const newest = [...months].toSorted((a, b) => (basename(a) < basename(b) ? -1 : 1)).at(-1);
    const used = new Set([newest]);
    for (const { run } of this.#reader?.runsOf(pipeline) ?? []) used.add(this.#store.runDir(run));
    for (const folder of months) {
      if (used.has(folder)) continue;
      this.#watches.end(folder);
      months.delete(folder);
    }
  }
}

/** @throws RangeError where a name is no pipeline's or run's */
function checkedScope(store: RunStore, { pipeline, run }: FeedScope): FeedScope {
  if (pipeline !== undefined) store.pipelineDir(pipeline);
  if (run !== undefined) store.parseRunId(run);
  return { pipeline, run };
}
