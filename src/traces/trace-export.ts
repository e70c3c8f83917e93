/**
 * Sends the spans of all ledgers to a collector, and goes on after a restart where it was.
 *
 * The ledgers are the queue: nothing else is kept. A stretch of the feed becomes spans, the spans
 * are sent, and only then the position after the stretch is made durable. After a kill the stretch
 * is sent again, and its spans have the ids that they had: none is lost, and a collector can tell
 * that they are the same. While the collector is away the feed is not read, so memory holds one
 * stretch.
 *
 * The collector is tried again for as long as it takes, after 1 s, then twice as long each time, up
 * to a minute, or when `Retry-After` says. A request whose content is refused is halved until the
 * span that is to blame is alone; that one is left out, and told.
 *
 * Rejected: giving up after some time (the ledgers still have all of it); the SDK's own exporter
 * (it does not say what `Retry-After` was, and its queue is in memory).
 */
import type { Clock } from "../clock.ts";
import type { Feed, FeedLine } from "../feed/feed-line.ts";
import type { SpanSender } from "./otlp-sender.ts";
import type { Span } from "./span.ts";
import type { TraceFold } from "./trace-fold.ts";

/** The most spans of one request. */
const MOST_SPANS = 512;
/** How long a stretch waits for more lines, in milliseconds. */
const LINGER_MS = 1_000;
/** Without spans to send the position is written this often, in milliseconds. */
const REST_MS = 30_000;
/** A feed that gives nothing for so long has given all, in milliseconds. */
const QUIET_MS = 300;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** The longest `Retry-After` that is waited for, in milliseconds. */
const LONGEST_ASKED_MS = 3_600_000;
/** How often one reason is told, in milliseconds. */
const TELL_AGAIN_MS = 3_600_000;

/** What an export needs. */
export interface ExportPorts {
  readonly clock: Clock;
  readonly feed: Feed;
  readonly fold: TraceFold;
  readonly send: SpanSender;
  /** Makes a position durable: all before it was taken. @throws a Node error */
  readonly keep: (position: string) => Promise<void>;
  /** Tells a person something, as a clause that follows `traces: `. */
  readonly tell: (clause: string) => void;
  /** Ends the export. What was not taken is sent by the next one. */
  readonly signal: AbortSignal;
}

/** How it goes. */
export interface ExportOptions {
  /** Spans to send before the first line. */
  readonly first: readonly Span[];
  /** Ends when all lines that there are were sent. */
  readonly once: boolean;
  /** With `once`: how often the collector is tried. */
  readonly mostTries: number;
}

/** What was sent. */
export interface ExportCount {
  spans: number;
  /** Spans that the collector refused for good. */
  refused: number;
}

/** The collector did not take the spans, and it is not tried again. */
export class CollectorAway extends Error {
  override readonly name = "CollectorAway";
}

/** Sends until it is told to end. */
export class TraceExport {
  readonly #ports: ExportPorts;
  readonly #options: ExportOptions;
  readonly #count: ExportCount = { spans: 0, refused: 0 };
  #spans: Span[] = [];
  /** The last line of the stretch, or that no line was taken since the position was written. */
  #last: FeedLine | undefined;
  /** When that stretch began, and when its first span ended. */
  #lineAt = 0;
  #spanAt = 0;
  #isAway = false;
  #told: { readonly because: string; readonly at: number } | undefined;

  constructor(ports: ExportPorts, options: ExportOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  /**
   * Runs. Resolves when `once` is done, or the signal has aborted.
   *
   * @throws CollectorAway, with `once`; a Node error where the position cannot be written
   */
  async run(): Promise<ExportCount> {
    try {
      await this.#follow();
    } finally {
      this.#ports.feed.close();
    }
    return this.#count;
  }

  async #follow(): Promise<void> {
    const { feed, signal, fold } = this.#ports;
    if (!(await this.#deliver(this.#options.first))) return;
    await this.#keep(feed.position);
    const lines = feed[Symbol.asyncIterator]();
    let next = lines.next();
    while (!signal.aborted) {
      const patienceMs = this.#patienceMs();
      const got = patienceMs <= 0 ? "later" : await this.#orLater(next, patienceMs);
      if (got === "later") {
        if (!(await this.#flush()) || this.#options.once) break;
        continue;
      }
      if (got.done === true) break;
      this.#add(got.value, fold.take(got.value));
      next = lines.next();
      if (this.#spans.length >= MOST_SPANS && !(await this.#flush())) break;
    }
  }

  #add(line: FeedLine, spans: readonly Span[]): void {
    const at = this.#ports.clock.monotonic();
    if (this.#last === undefined) this.#lineAt = at;
    if (this.#spans.length === 0) this.#spanAt = at;
    this.#last = line;
    this.#spans.push(...spans);
  }

  /** How long the next line is waited for before the stretch is sent. */
  #patienceMs(): number {
    if (this.#options.once) return QUIET_MS;
    if (this.#last === undefined) return LONGEST_ASKED_MS;
    const at = this.#ports.clock.monotonic();
    if (this.#spans.length > 0) return this.#spanAt + LINGER_MS - at;
    return this.#lineAt + REST_MS - at;
  }

  /** Sends the stretch, then keeps its position. @returns false: it is told to end */
  async #flush(): Promise<boolean> {
    const last = this.#last;
    if (last === undefined) return true;
    if (!(await this.#deliver(this.#spans))) return false;
    this.#spans = [];
    this.#last = undefined;
    await this.#keep(last.position);
    return true;
  }

  /** Without room for it the spans go on: a restart sends some of them again. */
  async #keep(position: string): Promise<void> {
    try {
      await this.#ports.keep(position);
    } catch (error) {
      if (this.#options.once) throw error;
      const { message } = error as Error;
      this.#tell(`the position cannot be written: ${message}`, message);
    }
  }

  /** @returns false: it is told to end, and not all is taken */
  async #deliver(spans: readonly Span[]): Promise<boolean> {
    for (let from = 0; from < spans.length; from += MOST_SPANS)
      if (!(await this.#sendAll(spans.slice(from, from + MOST_SPANS)))) return false;
    return true;
  }

  async #sendAll(spans: readonly Span[]): Promise<boolean> {
    const { send, signal } = this.#ports;
    let waitMs = FIRST_WAIT_MS;
    for (let tries = 1; !signal.aborted; tries += 1) {
      const sent = await send(spans, signal);
      if (sent.kind === "taken") {
        this.#taken(spans.length, sent.refused);
        return true;
      }
      if (sent.kind === "never") return this.#halve(spans, sent.because);
      if (signal.aborted) break;
      if (this.#options.once && tries >= this.#options.mostTries)
        throw new CollectorAway(sent.because);
      const pauseMs = Math.min(LONGEST_ASKED_MS, Math.max(sent.afterMs ?? 0, waitMs));
      this.#away(sent.because, pauseMs);
      await this.#pause(pauseMs);
      waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
    }
    return false;
  }

  async #halve(spans: readonly Span[], because: string): Promise<boolean> {
    if (spans.length === 1) {
      this.#refused(1, because);
      return true;
    }
    const half = Math.ceil(spans.length / 2);
    return (await this.#sendAll(spans.slice(0, half))) && this.#sendAll(spans.slice(half));
  }

  #taken(count: number, refused: { count: number; because: string } | undefined): void {
    if (this.#isAway) this.#ports.tell("the collector takes spans again");
    this.#isAway = false;
    this.#count.spans += count - (refused?.count ?? 0);
    if (refused !== undefined) this.#refused(refused.count, refused.because);
  }

  #refused(count: number, because: string): void {
    this.#count.refused += count;
    const spans = count === 1 ? "a span is" : `${count} spans are`;
    this.#tell(`${spans} left out, because the collector refuses them: ${because}`, because);
  }

  #away(because: string, pauseMs: number): void {
    this.#isAway = true;
    const seconds = Math.ceil(pauseMs / 1_000);
    this.#tell(
      `the collector does not take spans: ${because}; the next try is in ${seconds} s, and ` +
        "nothing is lost meanwhile",
      because,
    );
  }

  #tell(clause: string, because: string): void {
    const at = this.#ports.clock.monotonic();
    if (this.#told?.because === because && at - this.#told.at < TELL_AGAIN_MS) return;
    this.#told = { because, at };
    this.#ports.tell(clause);
  }

  async #pause(ms: number): Promise<void> {
    await this.#orLater(new Promise<never>(() => undefined), ms);
  }

  /** What a promise gives, or `later` where it takes longer or the export is to end. */
  #orLater<T>(promise: Promise<T>, ms: number): Promise<T | "later"> {
    const { clock, signal } = this.#ports;
    return new Promise((resolve, reject) => {
      const later = (): void => settle(() => resolve("later"));
      const timer = clock.after(ms, later);
      const settle = (act: () => void): void => {
        timer.cancel();
        signal.removeEventListener("abort", later);
        act();
      };
      signal.addEventListener("abort", later, { once: true });
      if (signal.aborted) return later();
      promise.then(
        (value) => settle(() => resolve(value)),
        (error: unknown) => settle(() => reject(error)),
      );
    });
  }
}
