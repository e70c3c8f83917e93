/**
 * A broker with everything sealed, for one place: subjects below a prefix, messages as JSON,
 * objects under names that tell nothing. The daemon and its workers both speak by this.
 *
 * The prefix is made of the place's name and the key. So two places on one engine never hear each
 * other, and neither do two daemons with keys of their own.
 *
 * To seal, send, answer and open costs far more than what most messages say. So questions to one
 * subject that come in one turn of the event loop may go **together** ({@link
 * SealedBroker.askTogether}): a list in one message, which a list answers. One question holds up no
 * other: what has no answer {@link LATE_MS} after the first has one is null in the list, and is
 * silence to who asked.
 *
 * All of a turn leaves as one: these questions, and the answers that took a while. So an engine
 * sends them in one write, and who hears them wakes once. What is answered at once leaves at once.
 */
import type { Clock, Timer } from "../../clock.ts";
import { messageOf } from "../../core/thrown.ts";
import { BrokerSilence, MessageTooLong, type Broker } from "./broker.ts";
import { nameOfSealed, SEAL_BYTES, Unsealed, type Seal } from "./seal.ts";

/** How long the answers to questions that came together wait for the last one, in milliseconds. */
const LATE_MS = 50;
/** How many questions go together at most, and how long they are then, in UTF-16 code units. */
const MOST_TOGETHER = 128;
const LENGTH_TOGETHER = 128 * 1024;

/** The engine's names for one place. @param place its name, as in orchd.yaml */
export function namesOn(seal: Seal, place: string): { prefix: string; bucket: string } {
  const word = place.replaceAll(/[^A-Za-z0-9_-]/g, "-");
  const own = seal.nameOf("place", place).slice(0, 16);
  return { prefix: `orchd.${word}.${own}`, bucket: `orchd-${word}-${own}` };
}

/** What a listener answers. Undefined: nothing. */
type Answer = object | undefined;
/** @param isAlone no other question came with it: its answer holds up no other */
type Hears = (message: unknown, isAlone: boolean) => Answer | Promise<Answer>;

/** A question that goes with others. */
interface Question {
  readonly text: string;
  readonly timeoutMs: number;
  readonly answered: (answer: unknown) => void;
  readonly failed: (error: unknown) => void;
}

/** Seals and opens what passes a broker. */
export class SealedBroker {
  readonly broker: Broker;
  readonly #seal: Seal;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #onFault: (sentence: string) => void;
  readonly #watchers = new Set<() => void>();
  /** Questions of this turn that go together, by where they go. */
  readonly #together = new Map<string, Question[]>();
  /** What is sent as this turn ends. */
  #leaving: (() => void)[] = [];
  #trouble: string | undefined;

  /** @param onFault called with a sentence for each message that is not what it should be */
  constructor(
    broker: Broker,
    seal: Seal,
    prefix: string,
    clock: Clock,
    onFault: (sentence: string) => void,
  ) {
    this.broker = broker;
    this.#seal = seal;
    this.#prefix = prefix;
    this.#clock = clock;
    this.#onFault = onFault;
  }

  /**
   * Whether a text of this length, in bytes, may be a part of a message.
   *
   * @param beside how long what else varies is in the message, where nothing of it is escaped
   */
  fits(bytes: number, beside = 0): boolean {
    // The rest of the message: ids, names, quotes.
    return 2 * bytes + beside + 8_192 + SEAL_BYTES <= this.broker.messageLimit;
  }

  /** How long the answer to a question that came alone may be, in UTF-16 code units. */
  get answerLength(): number {
    return Math.floor(this.broker.messageLimit / 4);
  }

  /**
   * Asks, and gives the answer as parsed JSON: it may be anything.
   *
   * @param at the subject below the prefix: `hello`, `daemon.ROOT`, `worker.NAME`
   * @throws BrokerSilence if no answer comes in time, or one that is not sealed; MessageTooLong
   */
  ask(at: string, message: object, timeoutMs: number): Promise<unknown> {
    return this.#askText(at, JSON.stringify(message), timeoutMs);
  }

  /**
   * As {@link ask}, in one message with all that is asked there in this turn of the event loop.
   *
   * @throws BrokerSilence also where others were answered, and this one would take longer
   */
  askTogether(at: string, message: object, timeoutMs: number): Promise<unknown> {
    return new Promise((answered, failed) => {
      const question = { text: JSON.stringify(message), timeoutMs, answered, failed };
      const others = this.#together.get(at);
      if (others !== undefined) return void others.push(question);
      this.#together.set(at, [question]);
      this.#leave(() => {
        const all = this.#together.get(at)!;
        this.#together.delete(at);
        for (const some of inParts(all, this.#longest)) void this.#askAll(at, some);
      });
    });
  }

  /** Hears what is asked at a subject below the prefix. @returns a function that ends it */
  listen(at: string, hear: Hears): () => void {
    const subject = `${this.#prefix}.${at}`;
    return this.broker.listen(subject, (sealed, _subject, respond) => {
      const say = (answer: Answer): void => {
        if (answer !== undefined) respond(this.#answer(answer, sealed));
      };
      try {
        const asked = jsonOf(this.#seal.open(sealed, subject));
        const answer =
          Array.isArray(asked) && asked.length > 0
            ? this.#hearAll(subject, asked, hear)
            : hear(asked, true);
        if (!(answer instanceof Promise)) return say(answer);
        answer.then(
          (later) => this.#leave(() => say(later)),
          (error: unknown) => this.#fault(subject, error),
        );
      } catch (error) {
        this.#fault(subject, error);
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

  /** Sends something as this turn ends. */
  #leave(send: () => void): void {
    if (this.#leaving.push(send) > 1) return;
    setImmediate(() => {
      const all = this.#leaving;
      this.#leaving = [];
      for (const one of all) one();
    });
  }

  async #askText(at: string, text: string, timeoutMs: number): Promise<unknown> {
    const subject = `${this.#prefix}.${at}`;
    const sealed = this.#seal.seal(Buffer.from(text), subject);
    if (sealed.length > this.broker.messageLimit)
      throw new MessageTooLong(
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

  /** How long the questions of one message are together, in UTF-16 code units. */
  get #longest(): number {
    return Math.min(LENGTH_TOGETHER, this.broker.messageLimit / 4);
  }

  /** Never rejects. */
  async #askAll(at: string, all: readonly Question[]): Promise<void> {
    const [first] = all;
    const text = all.length === 1 ? first!.text : `[${all.map((one) => one.text).join()}]`;
    try {
      const answer = await this.#askText(at, text, Math.min(...all.map((one) => one.timeoutMs)));
      if (all.length === 1) return first!.answered(answer);
      const isList = Array.isArray(answer) && answer.length === all.length;
      if (!isList) throw new BrokerSilence(`${this.#prefix}.${at} does not answer each question`);
      for (const [index, question] of all.entries()) {
        const own: unknown = answer[index];
        if (own !== null) question.answered(own);
        else question.failed(new BrokerSilence(`${this.#prefix}.${at} does not answer yet`));
      }
    } catch (error) {
      for (const question of all) question.failed(error);
    }
  }

  /** Hears questions that came together. @returns the answers; null: none, or none yet */
  #hearAll(
    subject: string,
    asked: readonly unknown[],
    hear: Hears,
  ): (object | null)[] | Promise<(object | null)[]> {
    if (asked.length > MOST_TOGETHER) throw new Error(`it asks ${asked.length} things at once`);
    const answers = asked.map((): object | null => null);
    let waiting = 0;
    let tell: () => void = () => undefined;
    let late: Timer | undefined;
    const came = (index: number, answer: Answer): void => {
      answers[index] = answer ?? null;
      waiting -= 1;
      if (waiting === 0) tell();
      else late ??= this.#clock.after(LATE_MS, tell);
    };
    for (const [index, one] of asked.entries()) {
      try {
        const answer = hear(one, false);
        if (!(answer instanceof Promise)) {
          answers[index] = answer ?? null;
          continue;
        }
        waiting += 1;
        answer.then(
          (given) => came(index, given),
          (error: unknown) => came(index, this.#fault(subject, error)),
        );
      } catch (error) {
        this.#fault(subject, error);
      }
    }
    if (waiting === 0) return answers;
    if (waiting < asked.length) late = this.#clock.after(LATE_MS, () => tell());
    return new Promise((resolve) => {
      tell = () => {
        late?.cancel();
        resolve(answers);
      };
    });
  }

  #setTrouble(trouble: string | undefined): void {
    if (trouble !== undefined) this.#onFault(trouble);
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    for (const watcher of this.#watchers) watcher();
  }

  #answer(answer: object, asked: Uint8Array): Uint8Array {
    return this.#seal.seal(Buffer.from(JSON.stringify(answer)), answerTo(asked));
  }

  #fault(subject: string, error: unknown): undefined {
    const because = messageOf(error);
    const what = error instanceof Unsealed ? because : `cannot be taken: ${because}`;
    this.#onFault(`a message at ${subject} ${what}`);
    return undefined;
  }
}

function answerTo(asked: Uint8Array): string {
  return `answer to ${nameOfSealed(asked)}`;
}

/** Questions in lists of which none is longer than that, unless it has one alone. */
function inParts(all: readonly Question[], longest: number): Question[][] {
  const parts: Question[][] = [];
  let length = Number.POSITIVE_INFINITY;
  for (const question of all) {
    length += question.text.length;
    const last = parts.at(-1);
    if (last === undefined || length > longest || last.length === MOST_TOGETHER) {
      parts.push([question]);
      length = question.text.length;
    } else last.push(question);
  }
  return parts;
}

/** @throws Error without the text: it may hold a secret */
function jsonOf(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString("utf8"));
  } catch {
    throw new Error("it is no JSON");
  }
}
