/**
 * `orchd notify` at work: takes the feed's lines and other facts one by one, has the fold decide,
 * makes durable what is due, and hands it to the deliveries.
 *
 * ## One turn after the other
 *
 * The loop takes a fact that waits, else a line that is there, else it makes durable what was
 * decided, else it lets time pass (a tick), else it waits. While a write is under way nothing is
 * folded. So what is decided from a stretch of lines is one write with the position after them, and
 * a crash at any moment goes on from the last such write: the same lines decide the same, under the
 * same keys.
 *
 * - A stretch ends where no line is there, or after 1,000 lines with something due.
 * - Without anything due, a checkpoint is written when what holds has changed, every 10 s at most,
 *   and else every 5 minutes: it saves reading, and shows readers what holds.
 * - A tick tells what did not happen, so it comes only when all lines that are there were taken.
 *
 * ## A full disk
 *
 * The alert that says so is handed over before it is durable, for it could not be told otherwise,
 * and so is one before it that there was room. A crash before there is room may tell it twice under
 * two keys.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock, Timer } from "../clock.ts";
import type { Alert } from "../core/alert.ts";
import type { Json } from "../core/snapshot.ts";
import { iso, MINUTE_MS } from "../core/time.ts";
import type { Feed, FeedLine } from "../feed/feed-line.ts";
import type { Log } from "../log.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Decision, NotifyInput } from "./notify-input.ts";
import type { NotifyStore } from "./notify-store.ts";

/** After so many lines with something due, it is made durable. */
const STRETCH_LINES = 1_000;
/** How often what holds is made durable, and the position, in milliseconds. */
const CHECKPOINT_MS = 10_000;
const POSITION_MS = 5 * MINUTE_MS;
/** With no line for so long, all lines that are there were taken; in milliseconds. */
const CALM_MS = 1_000;
/** A line that was written so lately is among the newest; in milliseconds. */
const RECENT_MS = 3_000;
/** The longest sleep: wall time may jump. In milliseconds. */
const LONGEST_SLEEP_MS = MINUTE_MS;

/** What decides: {@link AlertFold}. */
export interface DecidingFold {
  take(input: NotifyInput): Decision;
  packed(): Json;
}

/** A fact that no line of the feed tells. */
export type NotifyFact = Exclude<NotifyInput, { readonly type: "line" | "tick" }>;

/** What a {@link Notifier} needs. */
export interface NotifierPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: NotifyStore;
  readonly feed: Feed;
  readonly fold: DecidingFold;
  readonly deliveries: Pick<Deliveries, "add">;
}

/** Tells people what the ledgers say. */
export class Notifier {
  readonly #ports: NotifierPorts;
  readonly #facts: NotifyFact[] = [];
  /** What is due and not durable yet. */
  #due: Alert[] = [];
  /** The line that arrived and was not folded yet, and whether one is asked for. */
  #arrived: FeedLine | undefined;
  #asked = false;
  #feedEnded = false;
  #failed: Error | undefined;
  #wake: (() => void) | undefined;
  #timer: Timer | undefined;
  #closing = false;
  /** The line that was folded last: the position is the one after it. The feed may be ahead. */
  #last: FeedLine | undefined;
  readonly #begin: string;
  /** Lines since the last write, and whether any fact or pipeline's line was among them. */
  #lines = 0;
  #isStirred = false;
  #wakeAt: number | undefined = 0;
  #calmSince: number;
  #lookedAt: number;
  #writtenAt: number;
  #written: string;
  /** The alerts that were handed over before they were durable: writes that are under way. */
  #early: Promise<unknown> = Promise.resolve();

  constructor(ports: NotifierPorts) {
    this.#ports = ports;
    this.#begin = ports.feed.position;
    this.#calmSince = this.#lookedAt = this.#writtenAt = ports.clock.monotonic();
    this.#written = holdingText(ports.store.checkpoint?.state);
  }

  /** Takes a fact that no line tells. */
  tell(fact: NotifyFact): void {
    if (fact.type === "disk" && fact.full) this.#tellFull(fact);
    else this.#facts.push(fact);
    this.#stir();
  }

  /** The rules changed: a tick says what follows. */
  refresh(): void {
    this.#wakeAt = 0;
    this.#stir();
  }

  /**
   * Works until {@link close} is called, or until the feed ends.
   *
   * @throws where the ledger or the feed can no longer be used
   */
  async run(): Promise<void> {
    const lines = this.#ports.feed[Symbol.asyncIterator]();
    for (const message of this.#ports.store.waiting) this.#ports.deliveries.add(message);
    const ask = (): void => {
      if (this.#asked || this.#arrived !== undefined || this.#feedEnded) return;
      this.#asked = true;
      lines.next().then(
        ({ done, value }) => {
          this.#asked = false;
          if (done === true) this.#feedEnded = true;
          else this.#arrived = value;
          this.#stir();
        },
        (error: unknown) => {
          this.#failed = error as Error;
          this.#stir();
        },
      );
    };
    while (!this.#closing) {
      if (this.#failed !== undefined) throw this.#failed;
      ask();
      if (this.#takeFact() || (await this.#takeLine())) continue;
      if (this.#feedEnded) break;
      if (await this.#write()) continue;
      if (this.#tick()) continue;
      await this.#sleep();
    }
    this.#timer?.cancel();
    if (this.#due.length > 0 || this.#isStirred) await this.#commit();
    await this.#early;
  }

  /** Ends the loop. What is due is made durable before {@link run} returns. */
  close(): void {
    this.#closing = true;
    this.#ports.feed.close();
    this.#stir();
  }

  #stir(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #takeFact(): boolean {
    const fact = this.#facts.shift();
    if (fact !== undefined) this.#fold(fact);
    return fact !== undefined;
  }

  /** Folds the line that arrived. Others get their turn first where none has. */
  async #takeLine(): Promise<boolean> {
    if (this.#arrived === undefined && this.#asked) await nextTurn();
    const line = this.#arrived;
    if (line === undefined) return false;
    this.#arrived = undefined;
    this.#last = line;
    this.#lines += 1;
    this.#calmSince = this.#ports.clock.monotonic();
    // What concerns people stands in the pipeline's ledger too.
    if (line.run === undefined) {
      const { pipeline, file, seq } = line;
      const now = this.#ports.clock.now();
      this.#fold({ type: "line", now, pipeline, file, seq, line: line.line });
    }
    if (this.#lines < STRETCH_LINES || this.#due.length === 0) return true;
    await this.#commit();
    return true;
  }

  #fold(input: NotifyInput): void {
    const { due, wakeAt } = this.#ports.fold.take(input);
    this.#wakeAt = wakeAt;
    this.#isStirred = true;
    if (due.length > 0) this.#due.push(...due);
  }

  /** Makes durable what was decided, or where the feed is, if it is time. */
  async #write(): Promise<boolean> {
    const at = this.#ports.clock.monotonic();
    if (this.#due.length > 0 || this.#ports.store.checkpoint === undefined) {
      await this.#commit();
      return true;
    }
    if (this.#isStirred && at - this.#lookedAt >= CHECKPOINT_MS) {
      this.#lookedAt = at;
      const text = holdingText(this.#ports.fold.packed());
      this.#isStirred = false;
      if (text !== this.#written) {
        await this.#commit();
        return true;
      }
    }
    if (this.#lines === 0 || at - this.#writtenAt < POSITION_MS) return false;
    await this.#commit();
    return true;
  }

  async #commit(): Promise<void> {
    const due = this.#due.splice(0);
    const dueAt = await this.#append(due);
    for (const alert of due) this.#ports.deliveries.add({ alert, dueAt, attempts: 0 });
  }

  #append(due: readonly Alert[]): Promise<string> {
    const { store, fold, clock } = this.#ports;
    const state = fold.packed();
    this.#written = holdingText(state);
    this.#lines = 0;
    this.#isStirred = false;
    this.#lookedAt = this.#writtenAt = clock.monotonic();
    const position = this.#last?.position ?? this.#begin;
    return store.decided(due, { position, state });
  }

  /** The disk is full: what says so is sent before it is durable. */
  #tellFull(fact: NotifyFact): void {
    const { clock, deliveries, log } = this.#ports;
    // What was told before it comes first: that there is room again, too.
    while (this.#takeFact());
    this.#fold(fact);
    const early = this.#due.filter(({ kind, of }) => (of ?? kind) === "disk_full");
    if (early.length === 0) return;
    const due = this.#due.splice(0);
    const dueAt = iso(clock.now());
    log.warn({}, "the disk is full: that is told now, and recorded when there is room");
    const written = this.#append(due);
    for (const alert of early) deliveries.add({ alert, dueAt, attempts: 0 });
    this.#early = Promise.all([this.#early, written]).then(([, at]) => {
      for (const alert of due)
        if (!early.includes(alert)) deliveries.add({ alert, dueAt: at, attempts: 0 });
    });
    this.#early.catch(() => undefined);
  }

  /** Lets time pass, where all lines were taken and time may change something. */
  #tick(): boolean {
    const now = this.#ports.clock.now();
    if (this.#wakeAt === undefined || now < this.#wakeAt || !this.#isCalm(now)) return false;
    this.#fold({ type: "tick", now });
    // A fold that wants to be woken at once must not keep the loop from sleeping.
    if (this.#wakeAt !== undefined) this.#wakeAt = Math.max(this.#wakeAt, now + CALM_MS);
    return this.#due.length > 0;
  }

  /** Whether the lines that are there were taken, but for the newest. */
  #isCalm(now: number): boolean {
    if (this.#ports.clock.monotonic() - this.#calmSince >= CALM_MS) return true;
    const at = this.#last?.line["at"];
    return typeof at === "string" && Math.abs(now - Date.parse(at)) < RECENT_MS;
  }

  async #sleep(): Promise<void> {
    const { clock } = this.#ports;
    const at = clock.monotonic();
    const waits = [LONGEST_SLEEP_MS];
    if (this.#wakeAt !== undefined)
      waits.push(Math.max(this.#wakeAt - clock.now(), CALM_MS - (at - this.#calmSince)));
    if (this.#isStirred) waits.push(this.#lookedAt + CHECKPOINT_MS - at);
    if (this.#lines > 0) waits.push(this.#writtenAt + POSITION_MS - at);
    const woken = new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#arrived !== undefined || this.#facts.length > 0 || this.#closing) return;
    // The feed may have ended during a write: nobody stirs for that again.
    if (this.#feedEnded || this.#failed !== undefined) return;
    this.#timer = clock.after(Math.max(1, Math.min(...waits)), () => this.#stir());
    await woken;
    this.#timer.cancel();
  }
}

/** What holds, to compare: a run that waits for its turn changes with every run. */
function holdingText(state: unknown): string {
  return JSON.stringify(state ?? null, (key, value: unknown) =>
    key === "waits" || key === "wakeAt" ? undefined : value,
  );
}
