/**
 * One reader's feed. It is in one of three states:
 *
 * - Shared: its position is that of the hub's reader. It is handed each line and the position after
 *   it. Most feeds are so, and a line costs each of them an element of a queue.
 * - Apart: it is handed the same lines, and its position is its own: it is one of a pipeline or run
 *   alone, or it is ahead of the hub in some ledger, or knows one that the hub does not. A line
 *   that it had is passed over. A run that has ended has no mark, so the runs whose end it read by
 *   itself are remembered: the hub may come to their lines later.
 * - Behind: it has a position in the past, or did not take its lines: then the queue is dropped. It
 *   reads the ledgers itself from its position on, line by line as lines are asked for, until it
 *   has caught up. So a reader that asks for nothing costs a position and no more.
 *
 * It joins the hub in one turn of the event loop: the hub's reader takes all that there is, then
 * this one does, and only of ledgers in which the two differ.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { RunStore } from "../ledger/run-store.ts";
import { PlacedLine, positionAfter, type FeedItem } from "./feed-item.ts";
import type { Feed, FeedLine, FeedScope } from "./feed-line.ts";
import type { FeedPosition } from "./feed-position.ts";
import { FeedReader } from "./feed-reader.ts";
import { positionText } from "./position-text.ts";

/** The most that waits for a reader, in characters. */
const MOST_CHARACTERS = 1_048_576;
/** How many lines are given before others get their turn. */
const LINES_A_TURN = 64;
/** The most ended runs that a feed remembers. It is ahead of its hub by a few at most. */
const MOST_ENDED = 4_096;

/** In the place of a pipeline's name: a mark tells it by a key alone, and the file is away. */
export const UNKNOWN = "";

/** What a subscription needs of its hub. */
export interface SubscriptionHub {
  readonly store: RunStore;
  /** The most lines that wait for a reader: then it has to read again. */
  readonly mostQueued: number;
  /** The position of the hub's reader. */
  readonly position: FeedPosition;
  /** Has the hub's reader take what there is. @returns whether that was all */
  drain(): boolean;
  /** The pipelines whose ledgers the hub's reader has read to another place. */
  unlike(position: FeedPosition): ReadonlySet<string>;
  left(subscription: FeedSubscription): void;
}

type State = "shared" | "apart" | "behind";

/** A feed of a hub. */
export class FeedSubscription implements Feed {
  readonly #hub: SubscriptionHub;
  readonly #scope: FeedScope;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.close();
  #state: State;
  readonly #queue: FeedLine[] = [];
  /** The positions after the lines in the queue. */
  readonly #positions: FeedPosition[] = [];
  #characters = 0;
  /** After the last line of the queue. */
  #queued: FeedPosition;
  /** After the line that was taken last. */
  #taken: FeedPosition;
  #last: FeedLine | undefined;
  #reader: FeedReader | undefined;
  /** The pipelines of which it may not have been given all: they were away as it caught up. */
  #missing: ReadonlySet<string> = new Set();
  /** The runs whose end it read by itself, the newest last. */
  readonly #ended = new Set<string>();
  /** Whether the reader was used since the last look. */
  #isUsed = false;
  #lines = 0;
  #wake: (() => void) | undefined;
  #isClosed = false;

  /** @param position where it begins @param isNow whether that is where the hub is */
  constructor(
    hub: SubscriptionHub,
    scope: FeedScope,
    { position, isNow }: { readonly position: FeedPosition; readonly isNow: boolean },
    signal: AbortSignal | undefined,
  ) {
    this.#hub = hub;
    this.#scope = scope;
    this.#queued = this.#taken = position;
    const isAll = scope.pipeline === undefined && scope.run === undefined;
    this.#state = !isNow ? "behind" : isAll ? "shared" : "apart";
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (signal?.aborted === true) this.#isClosed = true;
  }

  get position(): string {
    return this.#last?.position ?? positionText(this.#taken, this.#scope, undefined);
  }

  /** The hub's reader has a line. */
  offer(item: FeedItem): void {
    if (this.#state === "behind" || this.#isClosed || !item.isIn(this.#scope)) return;
    if (this.#state === "shared") return this.#push(item, item.after);
    const { key, run, isCut } = item.origin;
    const mark = run === undefined ? this.#queued.file(key) : this.#queued.run(run);
    if (run !== undefined && mark === undefined && this.#ended.has(run)) return;
    const seq = mark?.seq ?? 0;
    if (isCut || item.seq > seq + 1) return this.#fallBehind();
    if (item.seq <= seq) return;
    const position = this.#after(this.#queued, item);
    this.#push(new PlacedLine(item, position, this.#scope), position);
  }

  /** Becomes shared, if its position is that of the hub's reader. */
  settle(): void {
    if (this.#state !== "apart" || this.#queue.length > 0 || !this.#isOfAll) return;
    const own = this.#queued;
    const its = this.#hub.position;
    if (!isEmpty(own.unlike(its)) || !isEmpty(its.unlike(own))) return;
    this.#state = "shared";
    this.#ended.clear();
  }

  /** Pipelines have come, or come back; undefined: any may have. */
  came(pipelines: ReadonlySet<string> | undefined): void {
    if (this.#state !== "apart" || this.#missing.size === 0) return;
    for (const one of this.#missing) {
      if (pipelines !== undefined && one !== UNKNOWN && !pipelines.has(one)) continue;
      this.#fallBehind();
      return;
    }
  }

  /** Drops what is read ahead, if nothing was asked for since the last call. */
  rest(): void {
    if (!this.#isUsed && this.#reader !== undefined) {
      this.#taken = this.#reader.position;
      this.#reader = undefined;
    }
    this.#isUsed = false;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#empty();
    this.#reader = undefined;
    this.#hub.left(this);
    this.#wake?.();
  }

  [Symbol.asyncIterator](): AsyncIterator<FeedLine, undefined> {
    return {
      next: () => this.#next(),
      return: () => {
        this.close();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  async #next(): Promise<IteratorResult<FeedLine, undefined>> {
    while (!this.#isClosed) {
      this.#lines += 1;
      if (this.#lines % LINES_A_TURN === 0) await nextTurn();
      const line = this.#state === "behind" ? this.#catchUp() : this.#shift();
      if (line !== undefined) return { value: (this.#last = line) };
      if (this.#state === "behind") await nextTurn();
      else if (!this.#isClosed) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return { done: true, value: undefined };
  }

  get #isOfAll(): boolean {
    return this.#scope.pipeline === undefined && this.#scope.run === undefined;
  }

  #after(position: FeedPosition, item: FeedItem): FeedPosition {
    const { origin, whole, changed } = item;
    // A run's mark stays after its end: without one, all its lines would be given again.
    return this.#scope.run === undefined
      ? positionAfter(position, origin, whole, changed)
      : position.after(origin, whole);
  }

  #push(line: FeedLine, position: FeedPosition): void {
    this.#queue.push(line);
    this.#positions.push(position);
    this.#queued = position;
    this.#characters += line.raw.length;
    if (this.#queue.length > this.#hub.mostQueued || this.#characters > MOST_CHARACTERS)
      this.#fallBehind();
    this.#wake?.();
    this.#wake = undefined;
  }

  #shift(): FeedLine | undefined {
    const line = this.#queue.shift();
    if (line === undefined) return undefined;
    this.#characters -= line.raw.length;
    this.#taken = this.#positions.shift()!;
    return line;
  }

  #fallBehind(): void {
    this.#empty();
    this.#state = "behind";
    this.#wake?.();
    this.#wake = undefined;
  }

  #empty(): void {
    this.#queue.length = 0;
    this.#positions.length = 0;
    this.#characters = 0;
  }

  /** The next line that the ledgers have; undefined if there is none, or if others come first. */
  #catchUp(): FeedLine | undefined {
    this.#isUsed = true;
    const { store } = this.#hub;
    const reader = (this.#reader ??= new FeedReader(store, this.#taken, this.#scope));
    let item = reader.next();
    if (item === undefined) {
      if (!this.#hub.drain()) return undefined;
      this.#stir(reader);
      item = reader.next();
    }
    if (item !== undefined) {
      this.#taken = reader.position;
      this.#remember(item.changed.ended);
      return new PlacedLine(item, this.#taken, this.#scope);
    }
    this.#queued = this.#taken = reader.position;
    this.#reader = undefined;
    this.#state = "apart";
    this.#missing = this.#unlike();
    this.settle();
    return undefined;
  }

  #remember(ended: readonly string[]): void {
    for (const run of ended) {
      this.#ended.add(run);
      if (this.#ended.size <= MOST_ENDED) continue;
      const [oldest] = this.#ended;
      this.#ended.delete(oldest!);
    }
  }

  #unlike(): ReadonlySet<string> {
    const unlike = this.#hub.unlike(this.#taken);
    const { pipeline, run } = this.#scope;
    const only = run === undefined ? pipeline : run.slice(0, run.indexOf("@"));
    if (only === undefined) return unlike;
    return new Set([only, UNKNOWN].filter((name) => unlike.has(name)));
  }

  #stir(reader: FeedReader): void {
    const { run, pipeline } = this.#scope;
    if (run !== undefined) reader.stirRun(run);
    else if (pipeline !== undefined) reader.stir(pipeline);
    else for (const one of this.#hub.unlike(reader.position)) if (one !== UNKNOWN) reader.stir(one);
  }
}

function isEmpty(marks: Iterable<unknown>): boolean {
  for (const _ of marks) return false;
  return true;
}
