/** The worker's port to its daemon: what it says and keeps, without how it is sealed and sent. */
import type { FromWorker, ToWorkerAnswer } from "../places/broker/messages.ts";
import type { HearsDaemon } from "../places/broker/worker-line.ts";

/** Everything that passes it is sealed on the way. */
export interface DaemonLine {
  /**
   * Says something to the daemon, and waits for its answer.
   *
   * @param message a function, where what it says changes: it is made as it is said, which may be
   *   long after, and again each time
   * @throws BrokerSilence if nobody answers in time
   */
  ask(message: FromWorker | (() => FromWorker), timeoutMs: number): Promise<ToWorkerAnswer>;
  /** Hears the daemon, one message after the other. @returns a function that ends it */
  hear(answer: HearsDaemon): () => void;
  /** How long an answer that holds up no other may be, in UTF-16 code units. */
  readonly answerLength: number;
  /** The text of an object that a message names. @throws an Error if there is none */
  body(name: string): Promise<string>;
  /**
   * A bundle or an artifact. Undefined: the broker does not keep it.
   *
   * @param hash the sha256 of its content
   */
  getFile(hash: string): Promise<Uint8Array | undefined>;
  /** Keeps a file for the daemon, under its hash. */
  putFile(hash: string, content: Uint8Array): Promise<void>;
}
