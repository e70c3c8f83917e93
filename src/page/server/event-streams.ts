/**
 * The event streams of one page: each client gets the durable lines that it asked for, as they
 * come.
 *
 * A stream takes its next line only when the client has room for it, so no stream holds more than
 * one line and the socket's buffer, however slow its client is. A client that takes nothing for
 * long is dropped: with the id of its last event it goes on where it was. There is one feed hub for
 * all, and it is opened with the first stream.
 *
 * A stream with short ids is also told, by an event `notify`, that notify.jsonl or places.jsonl has
 * changed: the app then reads its alerts and its places again.
 */
import type { ServerResponse } from "node:http";
import { FeedHub } from "../../feed/feed-hub.ts";
import type { Feed } from "../../feed/feed-line.ts";
import { placesPath } from "../../ledger/place-lines.ts";
import type { RunStore } from "../../ledger/run-store.ts";
import { FileWatch } from "./file-watch.ts";
import { refusal } from "./problem.ts";

/** The most streams at once. */
export const MOST_STREAMS = 1_000;
/** How often a client hears that the stream lives, in milliseconds. */
const PING_MS = 15_000;
/** How long a client may take nothing, in milliseconds. */
const PATIENCE_MS = 30_000;

/** What a stream gives. */
export interface StreamQuery {
  readonly pipeline: string | undefined;
  readonly run: string | undefined;
  /** The lines after this position; undefined: those that come. */
  readonly from: string | undefined;
  /** Ids are `FILE:SEQ` alone, and no stream can go on from one. */
  readonly short: boolean;
}

interface Stream {
  readonly outgoing: ServerResponse;
  readonly short: boolean;
  readonly feed: Feed;
}

/** The streams of one page. */
export class EventStreams {
  readonly #store: RunStore;
  readonly #most: number;
  readonly #open = new Set<Stream>();
  readonly #files: FileWatch;
  #hub: FeedHub | undefined;
  #pings: NodeJS.Timeout | undefined;

  constructor(store: RunStore, most = MOST_STREAMS) {
    this.#store = store;
    this.#most = most;
    const paths = [store.notifyLedger, placesPath(store.orchdDir)];
    this.#files = new FileWatch(paths, () => this.#tellOfFiles());
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** The hub: other readers of the same page share it. */
  get hub(): FeedHub {
    return (this.#hub ??= new FeedHub(this.#store));
  }

  /**
   * Answers with a stream, until the client leaves.
   *
   * @throws Refusal where there are too many, or where `from` is no position
   */
  serve(outgoing: ServerResponse, query: StreamQuery): void {
    if (this.#open.size >= this.#most)
      throw refusal(
        503,
        `${this.#most} event streams are open, and no more are served at once; try again later.`,
      );
    const stream = { outgoing, short: query.short, feed: this.#subscribe(query) };
    this.#open.add(stream);
    this.#lookAtFiles();
    this.#pings ??= setInterval(() => this.#ping(), PING_MS).unref();
    const leave = (): void => {
      stream.feed.close();
      this.#open.delete(stream);
      this.#lookAtFiles();
    };
    outgoing.on("close", leave).on("error", leave);
    outgoing.writeHead(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      // nginx would keep events back until its buffer is full.
      "x-accel-buffering": "no",
    });
    outgoing.socket?.setNoDelay(true);
    // An id without data is no event. It tells where the stream begins, before its first line.
    const id = query.short ? "" : `id: ${stream.feed.position}\n`;
    outgoing.write(`retry: 2000\n${id}\n`);
    void this.#pump(stream, query.short);
  }

  /** Ends every stream and the hub. */
  close(): void {
    clearInterval(this.#pings);
    this.#pings = undefined;
    this.#files.on = false;
    for (const { outgoing, feed } of this.#open) {
      feed.close();
      outgoing.end();
    }
    this.#hub?.close();
    this.#hub = undefined;
  }

  #subscribe({ pipeline, run, from }: StreamQuery): Feed {
    try {
      return this.hub.subscribe({ pipeline, run, from });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw refusal(
        400,
        `the stream cannot go on there: ${error.message.replace(/\.$/, "")}; or leave it out.`,
      );
    }
  }

  async #pump({ outgoing, feed }: Stream, short: boolean): Promise<void> {
    try {
      for await (const line of feed) {
        const id = short ? `${line.file}:${line.seq}` : line.position;
        // A line of a ledger holds no line feed, so it is one `data` field.
        if (!outgoing.write(`id: ${id}\ndata: ${line.raw}\n\n`) && !(await drained(outgoing)))
          break;
      }
    } catch {
      // The client comes back with its last id, and is told then what is wrong.
    } finally {
      outgoing.destroy();
    }
  }

  #lookAtFiles(): void {
    this.#files.on = [...this.#open].some(({ short }) => short);
  }

  /** An event with a name and without an id: no client resumes at it, and most do not see it. */
  #tellOfFiles(): void {
    for (const { outgoing, short } of this.#open)
      if (short && !outgoing.writableNeedDrain)
        outgoing.write("event: notify\ndata: notify.jsonl\n\n");
  }

  #ping(): void {
    for (const { outgoing } of this.#open)
      if (!outgoing.writableNeedDrain) outgoing.write(": ping\n\n");
  }
}

/** Waits until the client has taken what was written. @returns false where it took too long */
function drained(outgoing: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (isDrained: boolean): void => {
      clearTimeout(late);
      outgoing.off("drain", onDrain).off("close", onClose);
      resolve(isDrained);
    };
    const onDrain = (): void => end(true);
    const onClose = (): void => end(false);
    const late = setTimeout(end, PATIENCE_MS, false);
    outgoing.on("drain", onDrain).on("close", onClose);
    if (outgoing.destroyed) end(false);
  });
}
