/**
 * Redis as a broker: plain messages by its publish and subscribe, questions by a subject for the
 * answers, and keys that end by themselves for what is long. Its package is loaded when a
 * connection is made, and not before.
 *
 * Redis knows no questions. A question carries the subject that its answer goes to, which is this
 * connection's alone, and a number. Publishing says how many hear: where nobody does, the silence
 * is known at once.
 *
 * There are two connections, since one that subscribes asks nothing else. When one of them ends or
 * does not answer, both are replaced. What is sent in between is lost, and the sender knows: the
 * package's own queue, which sends late, is off.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { RedisClientType } from "@redis/client";
import type { Clock, Timer } from "../../clock.ts";
import { requireDescriptors } from "../../disk/descriptors.ts";
import { BrokerSilence, OBJECT_MS, OBJECT_PATIENCE_MS } from "./broker.ts";
import type { Broker, BrokerOptions, BrokerState, Hear } from "./broker.ts";
import { faultText } from "./connection-fault.ts";

/** How long a connection may take to come up, in milliseconds. */
const CONNECT_MS = 5_000;
/** How long after one ended the next is tried, in milliseconds. */
const AGAIN_MS = 500;
/** How often the engine is asked whether it lives, and how long it may take, in milliseconds. */
const PING_MS = 2_000;
const PING_PATIENCE_MS = 4_000;
/** The longest message, in bytes. */
const LONGEST_BYTES = 1024 * 1024;
/** Before a message: the length of the answer's subject and the question's number. */
const HEAD_BYTES = 6;

interface Pair {
  /** Publishes, and keeps objects. */
  readonly asks: RedisClientType;
  /** Subscribes. */
  readonly hears: RedisClientType;
}

interface Listener {
  readonly subject: string;
  readonly hear: Hear;
}

interface Question {
  answered(answer: Uint8Array): void;
  failed(error: Error): void;
  readonly timer: Timer;
}

/** A connection to Redis. */
export class RedisBroker implements Broker {
  readonly engine = "redis";
  readonly messageLimit = LONGEST_BYTES;
  readonly #clock: Clock;
  readonly #options: BrokerOptions;
  readonly #watchers = new Set<(state: BrokerState) => void>();
  readonly #listeners = new Set<Listener>();
  readonly #questions = new Map<number, Question>();
  /** Where answers come to. */
  readonly #inbox: string;
  #asked = 0;
  #state: BrokerState;
  #pair: Pair | undefined;
  #pinging: Timer | undefined;
  #again: Timer | undefined;
  #connecting: Promise<void>;
  #closed = false;

  constructor(clock: Clock, options: BrokerOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#inbox = `${options.bucket}.inbox.${randomBytes(12).toString("hex")}`;
    this.#state = { up: false, because: `${this.#where} was not reached yet` };
    this.#connecting = this.#connect();
  }

  get state(): BrokerState {
    return this.#state;
  }

  onState(callback: (state: BrokerState) => void): () => void {
    this.#watchers.add(callback);
    return () => void this.#watchers.delete(callback);
  }

  send(subject: string, message: Uint8Array): void {
    this.#pair?.asks.publish(subject, framed(message, "", 0)).catch(() => undefined);
  }

  async ask(subject: string, message: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const { asks } = this.#live();
    const number = (this.#asked = (this.#asked + 1) % 0xffff_ffff);
    const answer = new Promise<Uint8Array>((answered, failed) => {
      const timer = this.#clock.after(timeoutMs, () =>
        failed(new BrokerSilence(`${subject} does not answer in ${timeoutMs} ms`)),
      );
      this.#questions.set(number, { answered, failed, timer });
    });
    asks.publish(subject, framed(message, this.#inbox, number)).then(
      (hearers) => {
        if (hearers === 0)
          this.#questions
            .get(number)
            ?.failed(new BrokerSilence(`${subject} has no listener`, { reachedNobody: true }));
      },
      (error: unknown) =>
        this.#questions.get(number)?.failed(silence(`${subject} was not reached`, error)),
    );
    try {
      return await answer;
    } finally {
      this.#questions.get(number)?.timer.cancel();
      this.#questions.delete(number);
    }
  }

  listen(subject: string, hear: Hear): () => void {
    const listener: Listener = { subject, hear };
    this.#listeners.add(listener);
    if (this.#pair !== undefined) this.#subscribe(this.#pair, listener).catch(() => undefined);
    return () => {
      this.#listeners.delete(listener);
      const stays = [...this.#listeners].some((other) => other.subject === subject);
      if (!stays) this.#pair?.hears.unsubscribe(subject).catch(() => undefined);
    };
  }

  async put(name: string, content: Uint8Array): Promise<void> {
    await this.#object(({ asks }) =>
      asks.set(this.#key(name), Buffer.from(content), {
        condition: "NX",
        expiration: { type: "PX", value: OBJECT_MS },
      }),
    );
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    const { RESP_TYPES } = await import("@redis/client");
    const content = await this.#object(({ asks }) =>
      asks.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get(this.#key(name)),
    );
    return content ?? undefined;
  }

  async remove(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    await this.#object(({ asks }) => asks.del(names.map((name) => this.#key(name))));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#again?.cancel();
    await this.#connecting;
    const pair = this.#pair;
    this.#drop();
    this.#state = { up: false, because: `the connection to ${this.#where} is closed` };
    for (const question of this.#questions.values())
      question.failed(new BrokerSilence(this.#state.because));
    if (pair === undefined) return;
    await pair.asks.close().catch(() => undefined);
    destroy(pair);
  }

  get #where(): string {
    return `the broker at ${this.#options.urls.join(", ")}`;
  }

  #live(): Pair {
    if (this.#pair !== undefined) return this.#pair;
    const because = this.#state.up ? `${this.#where} is closed` : this.#state.because;
    throw new BrokerSilence(because, { reachedNobody: true });
  }

  #key(name: string): string {
    return `${this.#options.bucket}:${name}`;
  }

  /** Never rejects. */
  async #connect(): Promise<void> {
    let because: unknown;
    for (const url of this.#options.urls) {
      try {
        const pair = await this.#dial(url);
        if (this.#closed) return destroy(pair);
        return this.#opened(pair);
      } catch (error) {
        because = error;
      }
    }
    this.#down(sentence(this.#where, because));
  }

  async #dial(url: string): Promise<Pair> {
    // Before the import: Node 20 remembers one that failed, until this process ends.
    requireDescriptors();
    const { createClient } = await import("@redis/client");
    const { credentials, tls, name } = this.#options;
    const make = (): RedisClientType => {
      const client = createClient({
        url,
        name: name.replaceAll(/[^\x21-\x7e]/g, "-"),
        disableOfflineQueue: true,
        ...(credentials === undefined ? {} : loginOf(credentials)),
        socket: {
          connectTimeout: CONNECT_MS,
          reconnectStrategy: false,
          ...(url.startsWith("rediss:") ? { tls: true as const, ...filesOf(tls) } : {}),
        },
      });
      // Heard by who waits for it, or by the end.
      client.on("error", () => undefined);
      return client;
    };
    const pair: Pair = { asks: make(), hears: make() };
    try {
      await Promise.all([pair.asks.connect(), pair.hears.connect()]);
      await pair.hears.subscribe(this.#inbox, (message) => this.#answered(message), true);
      for (const listener of this.#listeners) await this.#subscribe(pair, listener);
      await tryToKeep(pair, this.#key("probe"));
      return pair;
    } catch (error) {
      destroy(pair);
      throw error;
    }
  }

  #opened(pair: Pair): void {
    this.#pair = pair;
    for (const client of [pair.asks, pair.hears]) {
      client.on("error", (error: Error) => this.#lost(pair, error));
      client.on("end", () => this.#lost(pair, new Error("the connection ended")));
    }
    // Those that came while it was dialled.
    for (const listener of this.#listeners) this.#subscribe(pair, listener).catch(() => undefined);
    this.#ping(pair);
    this.#tell({ up: true });
  }

  /** A link that is dead without a word is replaced. */
  #ping(pair: Pair): void {
    this.#pinging = this.#clock.after(PING_MS, () => {
      const late = this.#clock.after(PING_PATIENCE_MS, () =>
        this.#lost(pair, new Error("it does not answer a ping")),
      );
      Promise.all([pair.asks.ping(), pair.hears.ping()]).then(
        () => {
          late.cancel();
          if (this.#pair === pair) this.#ping(pair);
        },
        (error: unknown) => {
          late.cancel();
          this.#lost(pair, error);
        },
      );
    });
  }

  async #subscribe(pair: Pair, listener: Listener): Promise<void> {
    const known = SUBSCRIBED.get(pair) ?? new Set<Listener>();
    SUBSCRIBED.set(pair, known);
    if (known.has(listener)) return;
    known.add(listener);
    const { subject } = listener;
    const heard = (framedMessage: Buffer): void => {
      if (this.#listeners.has(listener)) this.#heard(pair, listener, framedMessage);
    };
    await pair.hears.subscribe(subject, heard, true).catch((error: unknown) => {
      this.#lost(pair, error);
      throw error;
    });
  }

  #heard(pair: Pair, { subject, hear }: Listener, framedMessage: Buffer): void {
    const { inbox, number, message } = unframed(framedMessage);
    hear(message, subject, (text) => {
      if (inbox === "") return;
      pair.asks.publish(inbox, framed(text, "", number)).catch(() => undefined);
    });
  }

  #answered(framedMessage: Buffer): void {
    const { number, message } = unframed(framedMessage);
    this.#questions.get(number)?.answered(message);
  }

  #lost(pair: Pair, error: unknown): void {
    destroy(pair);
    if (this.#pair !== pair) return;
    this.#drop();
    const because = sentence(this.#where, error);
    for (const question of this.#questions.values()) question.failed(new BrokerSilence(because));
    this.#down(because);
  }

  #drop(): void {
    this.#pair = undefined;
    this.#pinging?.cancel();
  }

  #down(because: string): void {
    if (this.#closed) return;
    this.#tell({ up: false, because });
    this.#again = this.#clock.after(AGAIN_MS, () => {
      this.#connecting = this.#connect();
    });
  }

  #tell(state: BrokerState): void {
    this.#state = state;
    for (const watcher of this.#watchers) watcher(state);
  }

  async #object<T>(work: (pair: Pair) => Promise<T>): Promise<T> {
    const pair = this.#live();
    let timer: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.#clock.after(OBJECT_PATIENCE_MS, () =>
        reject(new BrokerSilence(`${this.#where} did not finish an object in time`)),
      );
    });
    try {
      return await Promise.race([work(pair), late]);
    } catch (error) {
      if (error instanceof BrokerSilence) throw error;
      throw silence(this.#where, notKept(error, this.#key("")));
    } finally {
      timer?.cancel();
    }
  }
}

/** The listeners that a pair of connections has subscribed. */
const SUBSCRIBED = new WeakMap<Pair, Set<Listener>>();

/** A message with where its answer goes. */
function framed(message: Uint8Array, inbox: string, number: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt16BE(inbox.length, 0);
  head.writeUInt32BE(number, 2);
  return Buffer.concat([head, Buffer.from(inbox, "latin1"), message]);
}

function unframed(bytes: Buffer): {
  readonly inbox: string;
  readonly number: number;
  readonly message: Uint8Array;
} {
  // What somebody else published is no frame: it is no sealed message either.
  if (bytes.length < HEAD_BYTES) return { inbox: "", number: 0, message: bytes };
  const end = HEAD_BYTES + bytes.readUInt16BE(0);
  return {
    inbox: bytes.toString("latin1", HEAD_BYTES, end),
    number: bytes.readUInt32BE(2),
    message: bytes.subarray(end),
  };
}

function destroy({ asks, hears }: Pair): void {
  for (const client of [asks, hears])
    try {
      client.destroy();
    } catch {
      // It was never open, or it has ended.
    }
}

function filesOf(tls: BrokerOptions["tls"]): { [file: string]: Buffer } {
  return {
    ...(tls?.ca === undefined ? {} : { ca: readFileSync(tls.ca) }),
    ...(tls?.cert === undefined ? {} : { cert: readFileSync(tls.cert) }),
    ...(tls?.key === undefined ? {} : { key: readFileSync(tls.key) }),
  };
}

/** @throws Error with a sentence */
function loginOf(credentials: string): { readonly username?: string; readonly password: string } {
  const text = credentials.trimEnd();
  const at = text.indexOf(":");
  if (at === -1 || text.includes("\n"))
    throw new Error("the credentials are not USER:PASSWORD (:PASSWORD where there are no users)");
  const password = text.slice(at + 1);
  return at === 0 ? { password } : { username: text.slice(0, at), password };
}

/** @throws Error with what is wrong, if the engine keeps no objects */
async function tryToKeep({ asks }: Pair, key: string): Promise<void> {
  try {
    await asks.set(key, "", { expiration: { type: "PX", value: 1_000 } });
  } catch (error) {
    throw notKept(error, key);
  }
}

/** What an engine says that keeps no objects, and what to do. Other errors stay. */
function notKept(error: unknown, key: string): unknown {
  const text = faultText(error).replace(/\.$/, "");
  const [code = ""] = text.split(" ", 1);
  const advice = {
    READONLY: "it is a copy of another server: name that one",
    OOM: "its memory is full: raise its maxmemory",
    MISCONF: "it cannot write to its disk",
    NOPERM: `let this user write keys that begin with ${key.slice(0, key.indexOf(":") + 1)}`,
  }[code];
  if (advice === undefined) return error;
  return new Error(`it keeps no objects (${text}): ${advice}`, { cause: error });
}

/** What a person reads of a broker that does not answer. */
function sentence(where: string, error: unknown): string {
  const text = faultText(error);
  if (/^(?:WRONGPASS|NOAUTH|NOPERM)/.test(text)) return `${where} refuses the credentials: ${text}`;
  if (/^(?:the credentials|it keeps no objects)/.test(text)) return `${where}: ${text}`;
  return `${where} does not answer: ${text}`;
}

function silence(where: string, error: unknown): BrokerSilence {
  return new BrokerSilence(`${where}: ${faultText(error)}`, { cause: error });
}
