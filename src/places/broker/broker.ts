/**
 * The port to a broker: an engine between the daemon and workers on other machines. It carries
 * messages and keeps objects, and no more. It has no queue: the daemon knows each worker's free
 * room, and gives a task to one worker. So nothing is ever delivered twice by the engine, and a
 * second engine is small.
 *
 * What passes it is sealed before (sealed-broker.ts): an engine sees and keeps no text of a task.
 */

/** Whether the engine answers. */
export type BrokerState =
  | { readonly up: true }
  /** A sentence: `the broker at tls://10.0.0.5:4222 does not answer: ECONNREFUSED`. */
  | { readonly up: false; readonly because: string };

/** What an engine needs. */
export interface BrokerOptions {
  /** Where the engine is, in the order in which they are tried. */
  readonly urls: readonly string[];
  /** The text of what the engine wants to see. Undefined: nothing. */
  readonly credentials?: string | undefined;
  /** Files for TLS, as absolute paths. */
  readonly tls?:
    | {
        readonly ca?: string | undefined;
        readonly cert?: string | undefined;
        readonly key?: string | undefined;
      }
    | undefined;
  /** Where objects are kept: a name of letters, digits and dashes. */
  readonly bucket: string;
  /** How it is called at the engine, for people. */
  readonly name: string;
}

/**
 * Hears a message.
 *
 * @param answer answers one that was asked, now or later, once at most. It never throws
 */
export type Hear = (
  message: Uint8Array,
  subject: string,
  answer: (message: Uint8Array) => void,
) => void;

/** A connection to an engine. It connects again by itself, for as long as it is not closed. */
export interface Broker {
  readonly engine: "nats" | "redis";
  readonly state: BrokerState;
  /** Calls back when {@link state} has changed. @returns a function that ends the calls */
  onState(callback: (state: BrokerState) => void): () => void;
  /**
   * Sends a message to all who listen at a subject. It is lost where nobody does, or it is down.
   */
  send(subject: string, message: Uint8Array): void;
  /**
   * Sends a message to who answers at a subject, and waits for the first answer.
   *
   * @throws BrokerSilence if nobody listens there, the engine is down, or no answer comes in time
   */
  ask(subject: string, message: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  /**
   * Hears a subject's messages in their order, without waiting for its own answers. `hear` throws
   * never.
   *
   * @returns a function that ends it
   */
  listen(subject: string, hear: Hear): () => void;
  /** How long a message may be, in bytes. What is longer goes as an object. */
  readonly messageLimit: number;
  /**
   * Keeps an object under a name. One with this name stays as it is. It is kept for {@link
   * OBJECT_MS} at most, so that none stays when its owner dies.
   *
   * @throws BrokerSilence
   */
  put(name: string, content: Uint8Array): Promise<void>;
  /** An object's content. Undefined: there is none. @throws BrokerSilence */
  get(name: string): Promise<Uint8Array | undefined>;
  /** Removes objects. Those that are not there do not matter. @throws BrokerSilence */
  remove(names: readonly string[]): Promise<void>;
  /** Ends the connection. What was sent leaves first. */
  close(): Promise<void>;
}

/** How long an object is kept at most, in milliseconds. Who still needs it puts it again. */
export const OBJECT_MS = 3_600_000;
/** How long putting or getting an object may take, in milliseconds. */
export const OBJECT_PATIENCE_MS = 60_000;

/** Nobody answered. */
export class BrokerSilence extends Error {
  override readonly name = "BrokerSilence";
  /** It is sure that the message reached nobody: it was not sent, or nobody listened. */
  readonly reachedNobody: boolean;

  constructor(sentence: string, options: ErrorOptions & { readonly reachedNobody?: boolean } = {}) {
    super(sentence, options);
    this.reachedNobody = options.reachedNobody ?? false;
  }
}

/** A message is longer than the engine takes. It was not sent. */
export class MessageTooLong extends Error {
  override readonly name = "MessageTooLong";
}
