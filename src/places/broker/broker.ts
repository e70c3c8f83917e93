/**
 * The port to a broker: an engine between the daemon and workers on other machines. It carries
 * messages and keeps objects, and no more. It has no queue: the daemon knows each worker's free
 * room, and gives a task to one worker. So nothing is ever delivered twice by the engine, and a
 * second engine is small.
 *
 * What passes it is sealed before (seal.ts): an engine sees and keeps no text of a task.
 */

/** Whether the engine answers. */
export type BrokerState =
  | { readonly up: true }
  /** A sentence: `the broker at tls://10.0.0.5:4222 does not answer: ECONNREFUSED`. */
  | { readonly up: false; readonly because: string };

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
   * Sends a message to who answers at a subject, and waits for the answer.
   *
   * @throws BrokerSilence if nobody listens there, the engine is down, or no answer comes in time
   */
  ask(subject: string, message: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  /**
   * Hears a subject's messages, one after the other. What it returns answers one that was asked; an
   * error is logged, and answers nothing. `subject` may end with `.*`: any one word.
   *
   * @returns a function that ends it
   */
  listen(
    subject: string,
    hear: (message: Uint8Array, subject: string) => Uint8Array | undefined | Promise<Uint8Array>,
  ): () => void;
  /** How long a message may be, in bytes. What is longer goes as an object. */
  readonly messageLimit: number;
  /** Keeps an object under a name. One with this name stays as it is. */
  put(name: string, content: Uint8Array): Promise<void>;
  /** An object's content. Undefined: there is none. */
  get(name: string): Promise<Uint8Array | undefined>;
  /** Removes objects. Those that are not there do not matter. */
  remove(names: readonly string[]): Promise<void>;
  /** Ends the connection. What was sent leaves first. */
  close(): Promise<void>;
}

/** Nobody answered. */
export class BrokerSilence extends Error {
  override readonly name = "BrokerSilence";
}
