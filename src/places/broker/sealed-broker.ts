/**
 * A broker with everything sealed, for one place: subjects below a prefix, messages as JSON,
 * objects under names that tell nothing. The daemon and its workers both speak by this.
 *
 * The prefix is made of the place's name and the key. So two places on one engine never hear each
 * other, and neither do two daemons with keys of their own.
 */
import { BrokerSilence, type Broker } from "./broker.ts";
import { nameOfSealed, SEAL_BYTES, Unsealed, type Seal } from "./seal.ts";

/** The engine's names for one place. @param place its name, as in orchd.yaml */
export function namesOn(seal: Seal, place: string): { prefix: string; bucket: string } {
  const word = place.replaceAll(/[^A-Za-z0-9_-]/g, "-");
  const own = seal.nameOf("place", place).slice(0, 16);
  return { prefix: `orchd.${word}.${own}`, bucket: `orchd-${word}-${own}` };
}

/** What a listener answers. Undefined: nothing. */
type Answer = object | undefined;

/** Seals and opens what passes a broker. */
export class SealedBroker {
  readonly broker: Broker;
  readonly #seal: Seal;
  readonly #prefix: string;
  readonly #onFault: (sentence: string) => void;
  readonly #watchers = new Set<() => void>();
  #trouble: string | undefined;

  /** @param onFault called with a sentence for each message that is not what it should be */
  constructor(broker: Broker, seal: Seal, prefix: string, onFault: (sentence: string) => void) {
    this.broker = broker;
    this.#seal = seal;
    this.#prefix = prefix;
    this.#onFault = onFault;
  }

  /** Whether a text of this length, in bytes, may be a part of a message. */
  fits(bytes: number): boolean {
    // The rest of the message: ids, names, quotes.
    return 2 * bytes + 4_096 + SEAL_BYTES <= this.broker.messageLimit;
  }

  /**
   * Asks, and gives the answer as parsed JSON: it may be anything.
   *
   * @param at the subject below the prefix: `hello`, `daemon.ROOT`, `worker.NAME`
   * @throws BrokerSilence if no answer comes in time, or one that is not sealed
   */
  async ask(at: string, message: object, timeoutMs: number): Promise<unknown> {
    const subject = `${this.#prefix}.${at}`;
    const sealed = this.#seal.seal(bytesOf(message), subject);
    if (sealed.length > this.broker.messageLimit)
      throw new Error(
        `a message has ${sealed.length} bytes, and ${this.broker.messageLimit} are allowed`,
      );
    const answer = await this.broker.ask(subject, sealed, timeoutMs);
    try {
      return jsonOf(this.#seal.open(answer, answerTo(sealed)));
    } catch (error) {
      this.#fault(subject, error);
      throw new BrokerSilence(`${subject} answers what is not sealed`, { cause: error });
    }
  }

  /** Hears what is asked at a subject below the prefix. @returns a function that ends it */
  listen(at: string, hear: (message: unknown) => Answer | Promise<Answer>): () => void {
    const subject = `${this.#prefix}.${at}`;
    return this.broker.listen(subject, (sealed) => {
      try {
        const answer = hear(jsonOf(this.#seal.open(sealed, subject)));
        if (!(answer instanceof Promise)) return this.#answer(answer, sealed);
        return answer.then(
          (later) => this.#answer(later, sealed),
          (error: unknown) => {
            this.#fault(subject, error);
            return undefined;
          },
        );
      } catch (error) {
        this.#fault(subject, error);
        return undefined;
      }
    });
  }

  /**
   * Why the engine kept no object the last time that it was to: its disk or its memory is full.
   * Undefined: it did, or it is down. Who puts it tries again, so what needs it waits.
   */
  get trouble(): string | undefined {
    return this.broker.state.up ? this.#trouble : undefined;
  }

  /** Calls back when {@link trouble} has changed. @returns a function that ends the calls */
  onTrouble(callback: () => void): () => void {
    this.#watchers.add(callback);
    return () => void this.#watchers.delete(callback);
  }

  /** Keeps a content. @param name it is not shown to the engine. @throws BrokerSilence */
  async put(name: string, content: Uint8Array): Promise<void> {
    const object = this.#seal.nameOf("object", name);
    try {
      await this.broker.put(object, this.#seal.seal(content, `object ${object}`));
      this.#setTrouble(undefined);
    } catch (error) {
      if (this.broker.state.up) this.#setTrouble((error as Error).message);
      throw error;
    }
  }

  /** A content. Undefined: there is none. @throws BrokerSilence | Unsealed */
  async get(name: string): Promise<Buffer | undefined> {
    const object = this.#seal.nameOf("object", name);
    const sealed = await this.broker.get(object);
    return sealed === undefined ? undefined : this.#seal.open(sealed, `object ${object}`);
  }

  /** Removes contents. @throws BrokerSilence */
  async remove(names: readonly string[]): Promise<void> {
    await this.broker.remove(names.map((name) => this.#seal.nameOf("object", name)));
  }

  #setTrouble(trouble: string | undefined): void {
    if (trouble !== undefined) this.#onFault(trouble);
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    for (const watcher of this.#watchers) watcher();
  }

  #answer(answer: Answer, asked: Uint8Array): Uint8Array | undefined {
    if (answer === undefined) return undefined;
    return this.#seal.seal(bytesOf(answer), answerTo(asked));
  }

  #fault(subject: string, error: unknown): void {
    const because = error instanceof Error ? error.message : String(error);
    const what = error instanceof Unsealed ? because : `cannot be taken: ${because}`;
    this.#onFault(`a message at ${subject} ${what}`);
  }
}

function answerTo(asked: Uint8Array): string {
  return `answer to ${nameOfSealed(asked)}`;
}

function bytesOf(message: object): Uint8Array {
  return Buffer.from(JSON.stringify(message));
}

/** @throws Error without the text: it may hold a secret */
function jsonOf(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString("utf8"));
  } catch {
    throw new Error("it is no JSON");
  }
}
