/**
 * Questions over one connection to NATS: each is sent with a subject of its own to answer at, below
 * one that is listened at all the time.
 *
 * The package has that too. For each question it makes two errors, with the stack of where they
 * were made, of which nobody reads any: a third of what its side of a question costs.
 */
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import type { Clock, Timer } from "../../clock.ts";
import { BrokerSilence } from "./broker.ts";
import { faultText } from "./connection-fault.ts";

/** What an engine says to who asks where nobody listens. */
const NOBODY_LISTENS = 503;

interface Waiting {
  readonly subject: string;
  readonly timer: Timer;
  readonly answered: (answer: Uint8Array) => void;
  readonly failed: (silence: BrokerSilence) => void;
}

/** Asks, and waits for answers. */
export class NatsQuestions {
  readonly #clock: Clock;
  readonly #connection: NatsConnection;
  /** What the subjects of answers begin with. */
  readonly #inbox: string;
  readonly #waiting = new Map<string, Waiting>();
  #asked = 0;
  /** Why no answer can be heard. Undefined: they are heard. */
  #refusal: Error | undefined;

  /** @param inbox a subject that nobody else has */
  constructor(clock: Clock, connection: NatsConnection, inbox: string) {
    this.#clock = clock;
    this.#connection = connection;
    this.#inbox = `${inbox}.`;
    connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#hear(message);
        else this.#refused(error);
      },
    });
  }

  /**
   * Asks, and waits for the first answer.
   *
   * @throws BrokerSilence if nobody listens there, no answer comes in time, or the connection ends
   */
  ask(subject: string, message: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((answered, failed) => {
      if (this.#refusal !== undefined) return failed(silence(subject, this.#refusal));
      const token = (this.#asked += 1).toString(36);
      try {
        this.#connection.publish(subject, message, { reply: this.#inbox + token });
      } catch (error) {
        return failed(silence(subject, error));
      }
      const timer = this.#clock.after(timeoutMs, () =>
        this.#end(token)?.failed(silence(subject, new Error("timeout"))),
      );
      this.#waiting.set(token, { subject, timer, answered, failed });
    });
  }

  /** What waits for an answer gets none. @param at the subject that was asked. Undefined: any */
  fail(because: unknown, at?: string): void {
    for (const [token, { subject }] of this.#waiting)
      if (at === undefined || at === subject) this.#end(token)?.failed(silence(subject, because));
  }

  /** This user may not listen there. */
  #refused(because: Error): void {
    this.#refusal = because;
    this.fail(because);
  }

  #hear(message: Msg): void {
    const waiting = this.#end(message.subject.slice(this.#inbox.length));
    if (waiting === undefined) return;
    const { subject, answered, failed } = waiting;
    const { data, headers } = message;
    if (data.length > 0 || headers?.code !== NOBODY_LISTENS) return answered(data);
    failed(silence(subject, new Error("nobody listens there"), true));
  }

  #end(token: string): Waiting | undefined {
    const waiting = this.#waiting.get(token);
    waiting?.timer.cancel();
    this.#waiting.delete(token);
    return waiting;
  }
}

function silence(subject: string, because: unknown, reachedNobody = false): BrokerSilence {
  const sentence = `${subject} does not answer: ${faultText(because)}`;
  return new BrokerSilence(sentence, { cause: because, reachedNobody });
}
