/**
 * Sends what is due, over all channels: a queue a channel (channel-queue.ts), tries, and what
 * becomes of them in the ledger.
 *
 * Invariants:
 *
 * - A message that is given here is durable already, but for the one that says that the disk is
 *   full. After a crash, what did not end is given here again and sent again under the same key.
 * - A slow or broken channel holds up no other: each has four tries under way at most, and a try
 *   ends with its time, even where the channel does not give up.
 * - What becomes of a try is not waited for: while the disk is full it is written later, and a
 *   crash then sends again under the same key.
 *
 * A channel that took nothing for five minutes, that refuses a message for good or has one given
 * up, is told to be broken; the next message that it takes tells that it works. Both are facts for
 * the fold, which tells people through other channels.
 */
import type { Clock, Timer } from "../clock.ts";
import type { Alert } from "../core/alert.ts";
import { formatDuration } from "../core/duration.ts";
import type { NotifyMessage } from "../core/notify-fold.ts";
import { iso } from "../core/time.ts";
import type { Log } from "../log.ts";
import { ChannelQueue, MOST_WAITING, type Waiting } from "./channel-queue.ts";
import type { Channel, Message, Sent } from "./channel.ts";
import type { NotifyStore } from "./notify-store.ts";

/** How many tries are under way at a time, over all channels. */
const AT_ONCE = 32;
/** How long a channel takes nothing until it is told to be broken, in milliseconds. */
const BROKEN_AFTER_MS = 300_000;
/** The longest that a timer sleeps: wall time may jump. In milliseconds. */
const LONGEST_SLEEP_MS = 60_000;

/** A channel with the time that one try has, in milliseconds. */
export interface TimedChannel {
  readonly channel: Channel;
  readonly timeoutMs: number;
}

/** How a channel fares: a fact for the fold. */
export interface ChannelFact {
  readonly channel: string;
  readonly broken: boolean;
  readonly because: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** What {@link Deliveries} needs. */
export interface DeliveryPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Pick<NotifyStore, "tried">;
  /** Makes an alert's message for its channel. */
  readonly compose: (alert: Alert) => Promise<Message>;
  readonly onChannel: (fact: ChannelFact) => void;
  /** The ledger can no longer be written. */
  readonly onFatal: (error: Error) => void;
}

interface Health {
  readonly queue: ChannelQueue;
  failingSince: number | undefined;
  broken: boolean;
  /** Whether a message was sent since the start. */
  works: boolean;
}

/** Of a channel that was not tried. */
const UNTRIED = { failingSince: undefined, broken: false, works: false } as const;

/** Sends messages. */
export class Deliveries {
  readonly #ports: DeliveryPorts;
  readonly #queues = new Map<string, Health>();
  #channels: ReadonlyMap<string, TimedChannel> = new Map();
  #timer: Timer | undefined;
  #closing = false;
  readonly #ended = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  readonly #writes = new Set<Promise<void>>();

  constructor(ports: DeliveryPorts) {
    this.#ports = ports;
  }

  /** How many messages did not end. */
  get size(): number {
    let size = 0;
    for (const { queue } of this.#queues.values()) size += queue.size;
    return size;
  }

  /** Takes the channels of new settings. What waits is tried at once. */
  setChannels(channels: ReadonlyMap<string, TimedChannel>): void {
    const before = this.#channels;
    this.#channels = channels;
    for (const [name, { channel }] of before)
      if (channels.get(name)?.channel !== channel) channel.close();
    for (const [name, health] of this.#queues) {
      health.queue.retryNow(this.#ports.clock.monotonic());
      // One that comes back under the name of a removed one begins as any other.
      if (!before.has(name)) Object.assign(health, UNTRIED);
    }
    this.#pump();
  }

  /** Takes a message that is due. */
  add(message: NotifyMessage): void {
    const { clock } = this.#ports;
    const { queue } = this.#of(message.alert.channel);
    const tooMany = queue.add(message, clock.now(), clock.monotonic());
    if (tooMany !== undefined)
      this.#giveUp(tooMany, `${MOST_WAITING} newer messages wait for the channel`);
    this.#pump();
  }

  /**
   * Ends: no new try begins, and those under way may take so long. Resolves when what became of
   * them is written, or is not to be written in that time.
   */
  async close(patienceMs: number): Promise<void> {
    const { clock } = this.#ports;
    this.#timer?.cancel();
    this.#closing = true;
    let over!: () => void;
    const late = new Promise<void>((resolve) => (over = resolve));
    const timer = clock.after(patienceMs, () => {
      this.#ended.abort();
      over();
    });
    const all = async (): Promise<void> => {
      while (this.#underWay.size > 0) await Promise.race(this.#underWay);
      while (this.#writes.size > 0) await Promise.race(this.#writes);
    };
    await Promise.race([all(), late]);
    timer.cancel();
    for (const { channel } of this.#channels.values()) channel.close();
  }

  #of(name: string): Health {
    let health = this.#queues.get(name);
    if (health === undefined) {
      const queue = new ChannelQueue();
      health = { queue, ...UNTRIED };
      this.#queues.set(name, health);
    }
    return health;
  }

  /** Begins what may begin, and sets the timer for the rest. */
  #pump(): void {
    this.#timer?.cancel();
    if (this.#closing) return;
    const at = this.#ports.clock.monotonic();
    let wake = Number.POSITIVE_INFINITY;
    for (const [name, health] of this.#queues) {
      const timed = this.#channels.get(name);
      if (timed === undefined) {
        for (const waiting of health.queue.drop())
          this.#giveUp(waiting, `orchd.yaml has no channel ${name}`);
        continue;
      }
      while (this.#underWay.size < AT_ONCE) {
        const waiting = health.queue.begin(at);
        if (waiting === undefined) break;
        this.#begin(timed, health, waiting);
      }
      const next = health.queue.underWay > 0 ? undefined : health.queue.wakeAt();
      if (next !== undefined) wake = Math.min(wake, next);
    }
    if (wake === Number.POSITIVE_INFINITY || this.#underWay.size >= AT_ONCE) return;
    const sleep = Math.min(LONGEST_SLEEP_MS, Math.max(0, wake - at));
    this.#timer = this.#ports.clock.after(sleep, () => this.#pump());
  }

  #begin(timed: TimedChannel, health: Health, waiting: Waiting): void {
    const task = this.#try(timed, waiting)
      .then((sent) => this.#judge(health, waiting, sent))
      .finally(() => {
        this.#underWay.delete(task);
        this.#pump();
      });
    this.#underWay.add(task);
  }

  /** One try. Never throws, and ends with its time. */
  async #try({ channel, timeoutMs }: TimedChannel, { message }: Waiting): Promise<Sent> {
    const { clock, compose } = this.#ports;
    const late = new AbortController();
    const because = `no answer within ${formatDuration(timeoutMs)}`;
    let timer: Timer | undefined;
    const timeout = new Promise<Sent>((resolve) => {
      timer = clock.after(timeoutMs, () => {
        late.abort();
        // A channel that heeds the signal says more.
        timer = clock.after(1_000, () => resolve({ ok: false, because }));
      });
    });
    const send = async (): Promise<Sent> => {
      const signal = AbortSignal.any([late.signal, this.#ended.signal]);
      return await channel.send(await compose(message.alert), signal);
    };
    try {
      return await Promise.race([send(), timeout]);
    } catch (error) {
      return { ok: false, because: `it could not be made: ${(error as Error).message}` };
    } finally {
      timer?.cancel();
    }
  }

  #judge(health: Health, waiting: Waiting, sent: Sent): void {
    const { clock, log } = this.#ports;
    const { alert } = waiting.message;
    const { channel, key } = alert;
    const attempt = waiting.failures + 1;
    if (sent.ok) {
      health.queue.sent(waiting, clock.monotonic());
      this.#write(alert, { how: "sent", attempt, answer: sent.answer });
      log.info({ channel, key, kind: alert.kind, pipeline: alert.pipeline }, sentText(alert));
      return this.#works(health, channel);
    }
    // The program ends, and ended this try: it is tried again by the next one.
    if (this.#ended.signal.aborted) return;
    if (sent.final === true) {
      health.queue.refused(waiting);
      this.#giveUp(waiting, sent.because);
      return this.#isBroken(health, channel, sent.because);
    }
    this.#failed(health, waiting, sent.because, sent.retryAfterMs);
  }

  #failed(
    health: Health,
    waiting: Waiting,
    because: string,
    retryAfterMs: number | undefined,
  ): void {
    const { clock, log } = this.#ports;
    const { alert } = waiting.message;
    const { channel, key } = alert;
    const now = clock.now();
    const at = clock.monotonic();
    const { queue } = health;
    const { retryInMs, givenUp } = queue.failed(waiting, now, at, retryAfterMs);
    for (const one of givenUp) this.#giveUp(one, `the channel takes no messages: ${because}`);
    health.failingSince ??= at;
    if (retryInMs === undefined) {
      this.#giveUp(waiting, `${because} (tried for a day)`);
    } else {
      const attempt = waiting.failures;
      const retryAt = iso(now + retryInMs);
      this.#write(alert, { how: "failed", attempt, because, retryAt });
      log.warn(
        { channel, key, attempt },
        `channel ${channel} did not take a message: ${because}. It is tried again in ` +
          formatDuration(Math.round(retryInMs / 1_000) * 1_000),
      );
    }
    if (retryInMs === undefined || at - health.failingSince >= BROKEN_AFTER_MS)
      this.#isBroken(health, channel, because);
  }

  #giveUp({ message: { alert } }: Waiting, because: string): void {
    const { log } = this.#ports;
    const { channel, key, kind } = alert;
    this.#write(alert, { how: "gave_up", because });
    log.error(
      { channel, key, kind },
      `a message for channel ${channel} is given up: ${because}. It said: ${alert.because}`,
    );
  }

  #works(health: Health, channel: string): void {
    health.failingSince = undefined;
    if (health.works && !health.broken) return;
    health.works = true;
    health.broken = false;
    const at = this.#ports.clock.now();
    this.#ports.onChannel({ channel, broken: false, because: "it takes messages", at });
  }

  #isBroken(health: Health, channel: string, because: string): void {
    // What ends only now, over a channel that was removed, is no trouble of orchd.yaml's.
    if (health.broken || !this.#channels.has(channel)) return;
    health.broken = true;
    this.#ports.onChannel({ channel, broken: true, because, at: this.#ports.clock.now() });
  }

  #write(...line: Parameters<NotifyStore["tried"]>): void {
    const write = this.#ports.store
      .tried(...line)
      .catch((error: unknown) => {
        // What waits for room as the program ends is left: it is sent again, under the same key.
        if (!this.#closing) this.#ports.onFatal(error as Error);
      })
      .finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }
}

function sentText({ channel, kind, pipeline, count }: Alert): string {
  const of = pipeline === undefined ? "" : ` of ${pipeline}`;
  const times = count > 1 ? `, ${count} times` : "";
  return `channel ${channel} took a message: ${kind}${of}${times}`;
}
