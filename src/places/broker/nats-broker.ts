/**
 * NATS as a broker: plain messages, questions by its request and reply, and JetStream's object
 * store for what is long. Its packages are loaded when a connection is made, and not before.
 *
 * The package's own reconnecting is off. It keeps what is sent meanwhile, and sends it late: a
 * message of which its sender has long given up. So a connection that ends is replaced by a new
 * one, what is sent in between is lost, and the sender knows.
 */
import type { ConnectionOptions, Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import type * as Engine from "@nats-io/transport-node";
import type { ObjectResult, ObjectStore } from "@nats-io/obj";
import type { Clock, Timer } from "../../clock.ts";
import { requireDescriptors } from "../../disk/descriptors.ts";
import { OBJECT_MS, OBJECT_PATIENCE_MS, BrokerSilence } from "./broker.ts";
import type { Broker, BrokerOptions, BrokerState, Hear } from "./broker.ts";
import { faultText } from "./connection-fault.ts";
import { NatsQuestions } from "./nats-questions.ts";

/** How long a connection may take to come up, in milliseconds. */
const CONNECT_MS = 5_000;
/** How long after one ended the next is tried, in milliseconds. */
const AGAIN_MS = 500;
/** How often the engine is asked whether it lives, and how many answers may be missing. */
const PING_MS = 2_000;
const PINGS_OUT = 2;
/** How long a part of an object may take before it is asked whether it is there still. */
const LOOK_MS = 1_000;
/** What the engine says to who writes after a line that is not the last one of its subject. */
const WRONG_LAST_SEQUENCE: ReadonlySet<unknown> = new Set([10_071, 10_164]);
/** What is left of the engine's limit for what it adds itself, in bytes. */
const MARGIN_BYTES = 1_024;
/** The longest message, in bytes, whatever the engine allows. */
const LONGEST_BYTES = 1024 * 1024;

/** The seed of a user's nkey: alone, or in a file of it. */
const SEED = /^SU[A-Z2-7]{56}$/m;

interface Listener {
  readonly subject: string;
  readonly hear: Hear;
  subscription: Subscription | undefined;
}

/** A connection to NATS. */
export class NatsBroker implements Broker {
  readonly engine = "nats";
  readonly #clock: Clock;
  readonly #options: BrokerOptions;
  readonly #watchers = new Set<(state: BrokerState) => void>();
  readonly #listeners = new Set<Listener>();
  #state: BrokerState;
  #connection: NatsConnection | undefined;
  #questions: NatsQuestions | undefined;
  #objects: ObjectStore | undefined;
  #limit = 64 * 1024;
  #again: Timer | undefined;
  #connecting: Promise<void>;
  #closed = false;

  constructor(clock: Clock, options: BrokerOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#state = { up: false, because: `${this.#where} was not reached yet` };
    this.#connecting = this.#connect();
  }

  get state(): BrokerState {
    return this.#state;
  }

  get messageLimit(): number {
    return this.#limit;
  }

  onState(callback: (state: BrokerState) => void): () => void {
    this.#watchers.add(callback);
    return () => void this.#watchers.delete(callback);
  }

  send(subject: string, message: Uint8Array): void {
    try {
      if (this.#state.up) this.#connection?.publish(subject, message);
    } catch {
      // The connection has just ended.
    }
  }

  async ask(subject: string, message: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    this.#live();
    return this.#questions!.ask(subject, message, timeoutMs);
  }

  listen(subject: string, hear: Hear): () => void {
    const listener: Listener = { subject, hear, subscription: undefined };
    this.#listeners.add(listener);
    if (this.#state.up) this.#subscribe(listener);
    return () => {
      this.#listeners.delete(listener);
      listener.subscription?.unsubscribe();
    };
  }

  async put(name: string, content: Uint8Array): Promise<void> {
    await this.#object(async (objects) => {
      for (;;) {
        const known = await objects.info(name);
        if (known !== null && !known.deleted) return;
        try {
          // Without this, the second of two that are put at once removes what is read of the first.
          const previousRevision = known?.revision ?? 0;
          return void (await objects.putBlob({ name }, content, { previousRevision }));
        } catch (error) {
          if (!isOvertaken(error)) throw error;
        }
      }
    });
  }

  get(name: string): Promise<Uint8Array | undefined> {
    return this.#object(async (objects, isOver) => {
      for (;;) {
        const object = await objects.get(name);
        if (object === null) return undefined;
        const content = await this.#contentOf(objects, object, isOver);
        if (content !== undefined) return content;
      }
    });
  }

  async remove(names: readonly string[]): Promise<void> {
    await this.#object(async (objects) => {
      for (const name of names) if (await isThere(objects, name)) await objects.delete(name);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#again?.cancel();
    await this.#connecting;
    const connection = this.#connection;
    this.#connection = undefined;
    this.#state = { up: false, because: `the connection to ${this.#where} is closed` };
    await connection?.drain().catch(() => connection.close());
  }

  get #where(): string {
    return `the broker at ${this.#options.urls.map(withoutUser).join(", ")}`;
  }

  #live(): NatsConnection {
    if (this.#state.up && this.#connection !== undefined) return this.#connection;
    const because = this.#state.up ? `${this.#where} is closed` : this.#state.because;
    throw new BrokerSilence(because, { reachedNobody: true });
  }

  /** Never rejects. */
  async #connect(): Promise<void> {
    let connection: NatsConnection | undefined;
    try {
      connection = await this.#dial();
      const objects = await openBucket(connection, this.#options.bucket);
      if (this.#closed) return await connection.close();
      const { createInbox } = await import("@nats-io/transport-node");
      this.#opened(connection, objects, createInbox());
    } catch (error) {
      await connection?.close().catch(() => undefined);
      this.#down(sentence(this.#where, error));
    }
  }

  /** The first address that answers. @throws Error with what the last one said */
  async #dial(): Promise<NatsConnection> {
    let because: unknown;
    for (const url of this.#options.urls) {
      try {
        return await this.#dialOne(url);
      } catch (error) {
        because = error;
      }
    }
    throw because;
  }

  async #dialOne(url: string): Promise<NatsConnection> {
    const { tls, credentials, name } = this.#options;
    // Before each import: Node 20 remembers one that failed, until this process ends.
    requireDescriptors();
    const engine = await import("@nats-io/transport-node");
    const isTls = tls !== undefined || url.startsWith("tls://");
    return engine.connect({
      servers: [url],
      ignoreClusterUpdates: true,
      name,
      reconnect: false,
      timeout: CONNECT_MS,
      pingInterval: PING_MS,
      maxPingOut: PINGS_OUT,
      noAsyncTraces: true,
      ...(isTls ? { tls: tlsOf(url, tls) } : {}),
      ...(credentials === undefined ? {} : loginOf(credentials, engine)),
    });
  }

  #opened(connection: NatsConnection, objects: ObjectStore, inbox: string): void {
    const questions = new NatsQuestions(this.#clock, connection, inbox);
    this.#connection = connection;
    this.#questions = questions;
    this.#objects = objects;
    this.#limit = Math.min(connection.info?.max_payload ?? 0, LONGEST_BYTES) - MARGIN_BYTES;
    for (const listener of this.#listeners) this.#subscribe(listener);
    void connection.closed().then((error) => {
      questions.fail(error ?? new Error("the connection ended"));
      if (this.#connection !== connection) return;
      this.#connection = undefined;
      this.#down(sentence(this.#where, error ?? new Error("the connection ended")));
    });
    void this.#watch(connection, questions);
    this.#tell({ up: true });
  }

  /**
   * A link that is dead without a word is closed, and with it all that waits for an answer. What
   * this user may not ask gets none.
   */
  async #watch(connection: NatsConnection, questions: NatsQuestions): Promise<void> {
    for await (const status of connection.status())
      if (status.type === "error") questions.fail(status.error, refusedSubject(status.error));
      else if (status.type === "staleConnection" || status.type === "disconnect")
        await connection.close().catch(() => undefined);
  }

  #subscribe(listener: Listener): void {
    try {
      listener.subscription = this.#connection?.subscribe(listener.subject, {
        callback: (error, message) => {
          if (error === null) respond(listener.hear, message);
        },
      });
    } catch {
      // The connection has just ended: the next one subscribes.
    }
  }

  #down(because: string): void {
    this.#objects = undefined;
    if (this.#closed) return;
    this.#tell({ up: false, because });
    this.#again = this.#clock.after(AGAIN_MS, () => {
      this.#connecting = this.#connect();
    });
  }

  #tell(state: BrokerState): void {
    const before = this.#state;
    this.#state = state;
    if (!before.up && !state.up && before.because === state.because) return;
    for (const watcher of this.#watchers) watcher(state);
  }

  /**
   * Reads an object. The engine says nothing where its parts are removed meanwhile, with it or by
   * somebody who puts another in its place. So it is looked at while none comes.
   *
   * @returns undefined: it is not there any more, or nobody waits for it
   */
  async #contentOf(
    objects: ObjectStore,
    { info, data, error }: ObjectResult,
    isOver: () => boolean,
  ): Promise<Uint8Array | undefined> {
    // The reader is told of it too.
    error.catch(() => undefined);
    const parts: Uint8Array[] = [];
    const reader = data.getReader();
    let next = reader.read();
    for (;;) {
      const part = await this.#unlessLate(next);
      if (part === undefined) {
        const now = await objects.info(info.name);
        if (!isOver() && now?.nuid === info.nuid && !now.deleted) continue;
        await reader.cancel();
        return undefined;
      }
      if (part.done) return Buffer.concat(parts);
      parts.push(part.value);
      next = reader.read();
    }
  }

  /** Undefined: it does not come for a while. */
  async #unlessLate<T>(coming: Promise<T>): Promise<T | undefined> {
    let timer: Timer | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = this.#clock.after(LOOK_MS, () => resolve(undefined));
    });
    try {
      return await Promise.race([coming, late]);
    } finally {
      timer?.cancel();
    }
  }

  /** @param work its second parameter tells whether nobody waits for it any more */
  async #object<T>(work: (objects: ObjectStore, isOver: () => boolean) => Promise<T>): Promise<T> {
    this.#live();
    const objects = this.#objects;
    if (objects === undefined) throw new BrokerSilence(`${this.#where} keeps no objects`);
    let timer: Timer | undefined;
    let isOver = false;
    const late = new Promise<never>((_, reject) => {
      timer = this.#clock.after(OBJECT_PATIENCE_MS, () =>
        reject(new BrokerSilence(`${this.#where} did not finish an object in time`)),
      );
    });
    try {
      return await Promise.race([work(objects, () => isOver), late]);
    } catch (error) {
      if (error instanceof BrokerSilence) throw error;
      throw new BrokerSilence(`${this.#where}: ${notKept(faultText(error))}`, { cause: error });
    } finally {
      isOver = true;
      timer?.cancel();
    }
  }
}

/** Whether another was the first to keep an object of this name, or to remove it. */
function isOvertaken(error: unknown): boolean {
  return WRONG_LAST_SEQUENCE.has((error as { readonly code?: unknown }).code);
}

function respond(hear: Hear, message: Msg): void {
  hear(message.data, message.subject, (answer) => {
    try {
      message.respond(answer);
    } catch {
      // The connection has ended: who asked asks again.
    }
  });
}

/** The subject at which this user may not ask. Empty: the error is another one. */
function refusedSubject(error: Error): string {
  const { operation, subject } = error as { operation?: unknown; subject?: unknown };
  return operation === "publish" && typeof subject === "string" ? subject : "";
}

/** What the engine says of an object that it does not take, and what to do. */
function notKept(text: string): string {
  return /insufficient|exceeded/i.test(text)
    ? `it keeps no objects (${text}): give its JetStream more room`
    : text;
}

async function isThere(objects: ObjectStore, name: string): Promise<boolean> {
  const info = await objects.info(name);
  return info !== null && !info.deleted;
}

/** @throws Error with what is wrong with the engine's JetStream */
async function openBucket(connection: NatsConnection, bucket: string): Promise<ObjectStore> {
  requireDescriptors();
  const { Objm } = await import("@nats-io/obj");
  const { StorageType, jetstream } = await import("@nats-io/jetstream");
  const manager = new Objm(jetstream(connection, { timeout: CONNECT_MS }));
  try {
    return await manager.create(bucket, {
      storage: StorageType.File,
      ttl: OBJECT_MS * 1_000_000,
      description: "what orchd's tasks need and give, sealed",
    });
  } catch (error) {
    // An administrator may have made it, with limits of its own.
    const made = await manager.open(bucket).catch(() => undefined);
    if (made !== undefined) return made;
    throw new Error(
      `it keeps no objects (${faultText(error)}): start nats-server with --jetstream, ` +
        `and let this user make the stream OBJ_${bucket}`,
      { cause: error },
    );
  }
}

/**
 * The package looks for the name of the machine in the server's certificate, and for `localhost`
 * where the address has none. `host` is what TLS of Node then looks for.
 */
function tlsOf(url: string, tls: BrokerOptions["tls"]): { [file: string]: string } {
  return {
    host: new URL(url).hostname.replaceAll(/[[\]]/g, ""),
    ...(tls?.ca === undefined ? {} : { caFile: tls.ca }),
    ...(tls?.cert === undefined ? {} : { certFile: tls.cert }),
    ...(tls?.key === undefined ? {} : { keyFile: tls.key }),
  };
}

/** @throws Error with a sentence */
function loginOf(
  credentials: string,
  engine: typeof Engine,
): Pick<ConnectionOptions, "authenticator" | "user" | "pass"> {
  if (credentials.includes("BEGIN NATS USER JWT"))
    return { authenticator: engine.credsAuthenticator(new TextEncoder().encode(credentials)) };
  const seed = SEED.exec(credentials)?.[0];
  if (seed !== undefined)
    return { authenticator: engine.nkeyAuthenticator(new TextEncoder().encode(seed)) };
  const at = credentials.indexOf(":");
  if (at > 0) return { user: credentials.slice(0, at), pass: credentials.slice(at + 1).trimEnd() };
  throw new Error(
    "the credentials are none of a NATS credentials file, an nkey's seed (SU…) and USER:PASSWORD",
  );
}

/** What a person reads of a broker that does not answer. */
function sentence(where: string, error: unknown): string {
  const text = faultText(error);
  // A connection that is slow has no time to show them: that says nothing of them.
  if (/authorization violation|authentication(?! timeout)/i.test(text))
    return `${where} refuses the credentials: ${text}`;
  if (/^(?:the credentials|it keeps no objects)/.test(text)) return `${where}: ${text}`;
  return `${where} does not answer: ${text}`;
}

/** An address without the user and the password that may be in it. */
function withoutUser(url: string): string {
  return url.replace(/\/\/[^/@]*@/, "//");
}
