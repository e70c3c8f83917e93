/**
 * An engine in memory, on a virtual clock, that does what a broker may do at its worst: it loses
 * messages and answers, gives them late, in another order and twice, and stands still.
 *
 * Connections to one {@link PlayedEngine} hear each other. All that it decides by chance comes from
 * the clock's `random`, so a test runs the same again.
 */
import type { Clock } from "../../src/clock.ts";
import { BrokerSilence } from "../../src/places/broker/broker.ts";
import type { Broker, BrokerState, Hear } from "../../src/places/broker/broker.ts";

/** What goes wrong. Each is a chance in [0, 1]. */
export interface PlayedFaults {
  /** A message or an answer never comes. */
  readonly lose: number;
  /** A message comes twice, the second time up to {@link lateMs} later. */
  readonly duplicate: number;
  /** A message or an answer comes up to {@link lateMs} later than it would. */
  readonly delay: number;
  readonly lateMs: number;
}

const NO_FAULTS: PlayedFaults = { lose: 0, duplicate: 0, delay: 0, lateMs: 0 };
/** How long a message is under way where nothing is wrong, in milliseconds. */
const WAY_MS = 1;

interface Listener {
  readonly subject: string;
  readonly hear: Hear;
  readonly connection: PlayedBroker;
}

/** The engine. */
export class PlayedEngine {
  readonly clock: Clock;
  faults: PlayedFaults = NO_FAULTS;
  readonly objects = new Map<string, Uint8Array>();
  readonly listeners = new Set<Listener>();
  readonly connections = new Set<PlayedBroker>();
  /** Every message that was sent, for who looks for texts in them. */
  readonly seen: Uint8Array[] = [];
  /** Every object that was put. */
  readonly put: Uint8Array[] = [];
  messageLimit = 1024 * 1024;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  connect(): PlayedBroker {
    const connection = new PlayedBroker(this);
    this.connections.add(connection);
    return connection;
  }

  /** The engine stops, or is back. Undefined: it is back. */
  setDown(because: string | undefined): void {
    for (const connection of this.connections) connection.setDown(because);
  }

  /** Sends to all who listen. @param answered hears the first answer of each, if one is wanted */
  deliver(
    from: PlayedBroker,
    subject: string,
    message: Uint8Array,
    answered?: (answer: Uint8Array) => void,
  ): boolean {
    this.seen.push(message);
    let found = false;
    for (const listener of this.listeners) {
      if (listener.subject !== subject || !listener.connection.isLinked) continue;
      found = true;
      this.#travel(() => this.#arrive(from, listener, message, answered));
      if (this.#happens(this.faults.duplicate))
        this.clock.after(this.#late(), () => this.#arrive(from, listener, message, answered));
    }
    return found;
  }

  #arrive(
    from: PlayedBroker,
    listener: Listener,
    message: Uint8Array,
    answered: ((answer: Uint8Array) => void) | undefined,
  ): void {
    if (!this.listeners.has(listener)) return;
    listener.connection.whenThawed(() => {
      listener.hear(message, listener.subject, (text) => {
        if (answered === undefined) return;
        listener.connection.whenThawed(() => {
          this.seen.push(text);
          if (listener.connection.isLinked)
            this.#travel(() => from.isLinked && from.whenThawed(() => answered(text)));
        });
      });
    });
  }

  #travel(arrive: () => void): void {
    if (this.#happens(this.faults.lose)) return;
    const way = this.#happens(this.faults.delay) ? this.#late() : WAY_MS;
    this.clock.after(way, arrive);
  }

  #late(): number {
    return WAY_MS + this.clock.random() * this.faults.lateMs;
  }

  #happens(chance: number): boolean {
    return chance > 0 && this.clock.random() < chance;
  }
}

/** A connection to a {@link PlayedEngine}. */
export class PlayedBroker implements Broker {
  readonly engine = "nats";
  state: BrokerState = { up: true };
  readonly #engine: PlayedEngine;
  readonly #watchers = new Set<(state: BrokerState) => void>();
  /** What came while its process stood still. */
  #frozen: (() => void)[] | undefined;
  #closed = false;

  constructor(engine: PlayedEngine) {
    this.#engine = engine;
  }

  get messageLimit(): number {
    return this.#engine.messageLimit;
  }

  /** Whether messages come to it and from it. */
  get isLinked(): boolean {
    return this.state.up;
  }

  /** Its link breaks, or the engine stops. Undefined: it is back. */
  setDown(because: string | undefined): void {
    this.state = because === undefined ? { up: true } : { up: false, because };
    for (const watcher of this.#watchers) watcher(this.state);
  }

  /** Its process stands still: what comes waits. */
  freeze(): void {
    this.#frozen ??= [];
  }

  /** It goes on, with all that came meanwhile. */
  thaw(): void {
    const waiting = this.#frozen ?? [];
    this.#frozen = undefined;
    for (const go of waiting) this.whenThawed(go);
  }

  whenThawed(go: () => void): void {
    if (this.#closed) return;
    if (this.#frozen === undefined) go();
    else this.#frozen.push(go);
  }

  onState(callback: (state: BrokerState) => void): () => void {
    this.#watchers.add(callback);
    return () => void this.#watchers.delete(callback);
  }

  send(subject: string, message: Uint8Array): void {
    if (this.isLinked) this.#engine.deliver(this, subject, message);
  }

  ask(subject: string, message: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const reachedNobody = true;
      if (!this.state.up) return reject(new BrokerSilence(this.state.because, { reachedNobody }));
      const timer = this.#engine.clock.after(timeoutMs, () =>
        this.whenThawed(() => reject(new BrokerSilence(`${subject} did not answer in time`))),
      );
      const found = this.#engine.deliver(this, subject, message, (answer) => {
        timer.cancel();
        resolve(answer);
      });
      if (found) return undefined;
      timer.cancel();
      return reject(new BrokerSilence(`nobody listens at ${subject}`, { reachedNobody }));
    });
  }

  listen(subject: string, hear: Hear): () => void {
    const listener: Listener = { subject, hear, connection: this };
    this.#engine.listeners.add(listener);
    return () => void this.#engine.listeners.delete(listener);
  }

  async put(name: string, content: Uint8Array): Promise<void> {
    await this.#way();
    this.#engine.put.push(content);
    if (!this.#engine.objects.has(name)) this.#engine.objects.set(name, content);
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    await this.#way();
    return this.#engine.objects.get(name);
  }

  async remove(names: readonly string[]): Promise<void> {
    await this.#way();
    for (const name of names) this.#engine.objects.delete(name);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#engine.connections.delete(this);
    for (const listener of this.#engine.listeners)
      if (listener.connection === this) this.#engine.listeners.delete(listener);
    this.state = { up: false, because: "the connection is closed" };
  }

  #way(): Promise<void> {
    if (!this.state.up) return Promise.reject(new BrokerSilence(this.state.because));
    return new Promise((resolve) =>
      this.#engine.clock.after(WAY_MS, () => this.whenThawed(() => resolve())),
    );
  }
}
