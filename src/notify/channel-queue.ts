/**
 * The messages that wait for one channel, and which of them may be tried now. It sends nothing.
 *
 * States of the channel: well, and in doubt since a try failed. A channel that is well is sent
 * several messages at a time, in the order in which they were due. One in doubt is tried with one
 * message at a time, after waits that double. So a channel that is down for a day costs some thirty
 * tries, however much waits. Each of these tries takes another message, since it may be one message
 * that the receiver does not take. A channel that was really down is sent all that waits once it
 * takes one.
 *
 * Of one pipeline, messages go out in their order, one at a time: a recovery overtakes its failure
 * neither on the way nor while that waits for another try. A pager would keep the incident open for
 * ever. A message about several pipelines is in the order of each.
 *
 * Times are monotonic milliseconds but where it says `wall`: a clock that is set neither hurries
 * nor holds up a try.
 */
import type { Alert } from "../core/alert.ts";
import type { NotifyMessage } from "../core/notify-fold.ts";
import { HOUR_MS } from "../core/time.ts";
import { isGivenUp, nextWait, waitAfter } from "./delivery-schedule.ts";

/** How many messages of one channel are under way at a time. */
const AT_ONCE = 4;
/** The most messages that wait for one channel: then the oldest is given up. */
export const MOST_WAITING = 10_000;
/** A channel that failed so often in a row was down: then no message waits longer for its own. */
const DOWN_AFTER = 3;

/** A message that waits. */
export interface Waiting {
  readonly message: NotifyMessage;
  /** When it was due: wall time. */
  readonly dueAt: number;
  /** What it is about: pipelines, or a fault of the daemon. */
  readonly about: readonly string[];
  /** How many tries failed. */
  failures: number;
  /** Before this it is not tried. */
  notBefore: number;
  /** Counts tries of the channel: when it was tried last; 0: never. */
  triedAs: number;
}

/** What follows from a try that failed. */
export interface AfterFailure {
  /** When the message is tried again, in milliseconds from now; undefined: it is given up. */
  readonly retryInMs: number | undefined;
  /** Others that are given up with it: they waited for as long, for a channel that takes none. */
  readonly givenUp: readonly Waiting[];
}

/** One channel's messages. */
export class ChannelQueue {
  /** In the order in which they were due. */
  readonly #waiting = new Map<string, Waiting>();
  /** By key. */
  readonly #underWay = new Set<string>();
  #failures = 0;
  #notBefore = 0;
  /** The number of the newest try when the last failure was counted. */
  #doubtedAs = 0;
  #tries = 0;

  /** How many messages did not end, those under way too. */
  get size(): number {
    return this.#waiting.size;
  }

  /** How many are under way. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** How many tries failed in a row. */
  get failures(): number {
    return this.#failures;
  }

  /**
   * Takes a message. What is there already stays as it is.
   *
   * @param now wall time @param at monotonic time
   * @returns the oldest one, if too many wait: it is given up
   */
  add(message: NotifyMessage, now: number, at: number): Waiting | undefined {
    const { key } = message.alert;
    if (this.#waiting.has(key)) return undefined;
    const { dueAt, attempts, retryAt } = message;
    const left = retryAt === undefined ? 0 : Math.max(0, Date.parse(retryAt) - now);
    // A time that is further ahead comes from a clock that was wrong.
    const wait = Math.min(left, HOUR_MS);
    const due = Date.parse(dueAt);
    this.#waiting.set(key, {
      message,
      dueAt: Number.isNaN(due) ? now : due,
      about: subjectsOf(message.alert),
      failures: attempts,
      notBefore: at + wait,
      triedAs: 0,
    });
    if (this.#waiting.size <= MOST_WAITING) return undefined;
    for (const [oldest, waiting] of this.#waiting) {
      if (this.#underWay.has(oldest)) continue;
      this.#waiting.delete(oldest);
      return waiting;
    }
    return undefined;
  }

  /** The message to try now, which is under way then; undefined: none may be. */
  begin(at: number): Waiting | undefined {
    const next = this.#failures === 0 ? this.#inOrder(at) : this.#probe(at);
    if (next === undefined) return undefined;
    this.#underWay.add(next.message.alert.key);
    next.triedAs = this.#tries += 1;
    return next;
  }

  /** When {@link begin} may give one if nothing ends before; undefined: nothing waits. */
  wakeAt(): number | undefined {
    let first: number | undefined;
    for (const { notBefore } of this.#free())
      if (first === undefined || notBefore < first) first = notBefore;
    return first === undefined ? undefined : Math.max(first, this.#notBefore);
  }

  /** The message was sent. */
  sent({ message }: Waiting, at: number): void {
    this.#end(message.alert.key);
    if (this.#failures >= DOWN_AFTER)
      for (const waiting of this.#waiting.values()) waiting.notBefore = at;
    this.#failures = 0;
    this.#notBefore = 0;
  }

  /** No try of this message can succeed. It says nothing of the channel. */
  refused({ message }: Waiting): void {
    this.#end(message.alert.key);
  }

  /** A try failed. @param now wall time @param at monotonic time */
  failed(
    waiting: Waiting,
    now: number,
    at: number,
    retryAfterMs: number | undefined,
  ): AfterFailure {
    const { key } = waiting.message.alert;
    this.#underWay.delete(key);
    waiting.failures += 1;
    // Tries that were under way together fail together: that is one failure of the channel.
    if (this.#failures === 0 || waiting.triedAs > this.#doubtedAs) {
      this.#failures += 1;
      this.#doubtedAs = this.#tries;
    }
    this.#notBefore = at + Math.max(waitAfter(this.#failures), retryAfterMs ?? 0);
    const givenUp = [...this.#waiting.values()].filter(
      ({ message, dueAt }) => isGivenUp(dueAt, now) && !this.#underWay.has(message.alert.key),
    );
    for (const { message } of givenUp) this.#waiting.delete(message.alert.key);
    if (givenUp.includes(waiting))
      return { retryInMs: undefined, givenUp: givenUp.filter((one) => one !== waiting) };
    const wait = nextWait(waiting.dueAt, now, waiting.failures, retryAfterMs);
    waiting.notBefore = at + wait;
    // The last moment of a message is a try's time, even where the channel's is later.
    if (waiting.notBefore < this.#notBefore && isGivenUp(waiting.dueAt, now + wait))
      this.#notBefore = waiting.notBefore;
    return { retryInMs: Math.max(waiting.notBefore, this.#notBefore) - at, givenUp };
  }

  /** All that is not under way leaves: the channel is gone. */
  drop(): Waiting[] {
    const dropped = [...this.#waiting.values()].filter(
      ({ message }) => !this.#underWay.has(message.alert.key),
    );
    for (const { message } of dropped) this.#waiting.delete(message.alert.key);
    return dropped;
  }

  /** The channel's settings changed: what waits is tried at once. */
  retryNow(at: number): void {
    this.#failures = 0;
    this.#notBefore = 0;
    for (const waiting of this.#waiting.values()) waiting.notBefore = at;
  }

  #end(key: string): void {
    this.#underWay.delete(key);
    this.#waiting.delete(key);
  }

  /** Those that are not under way, and wait for no older one that is about the same. */
  *#free(): Generator<Waiting> {
    const held = new Set<string>();
    for (const [key, waiting] of this.#waiting) {
      const { about } = waiting;
      if (!this.#underWay.has(key) && !about.some((one) => held.has(one))) yield waiting;
      for (const one of about) held.add(one);
    }
  }

  #inOrder(at: number): Waiting | undefined {
    if (this.#underWay.size >= AT_ONCE) return undefined;
    for (const waiting of this.#free()) if (waiting.notBefore <= at) return waiting;
    return undefined;
  }

  /** Of those that may be tried, the one that was tried longest ago. */
  #probe(at: number): Waiting | undefined {
    if (this.#underWay.size > 0 || at < this.#notBefore) return undefined;
    let next: Waiting | undefined;
    for (const waiting of this.#free())
      if (waiting.notBefore <= at && (next === undefined || waiting.triedAs < next.triedAs))
        next = waiting;
    return next;
  }
}

/** What a message is about, as names that no pipeline shares with the daemon. */
function subjectsOf({ pipeline, kind, of, others = [] }: Alert): string[] {
  const items = [{ pipeline, kind, of }, ...others];
  return [...new Set(items.map((one) => one.pipeline ?? `:${one.of ?? one.kind}`))];
}
