/**
 * A worker's side of a broker: sessions, numbers, seals and objects, below what the worker says
 * (messages.ts). A worker speaks to one daemon at a time: the one that answered its hello. Once
 * that one was silent for {@link LOYAL_MS}, any other may answer.
 */
import type { Clock } from "../../clock.ts";
import { BrokerSilence } from "./broker.ts";
import { BROKER_PROTOCOL } from "./messages.ts";
import type {
  DaemonSays,
  FromWorker,
  FromWorkerAnswer,
  Hello,
  HelloAnswer,
  ToWorker,
  ToWorkerAnswer,
  WorkerAnswers,
  WorkerSays,
} from "./messages.ts";
import type { SealedBroker } from "./sealed-broker.ts";

/** How long the daemon may take to answer that it keeps a file, in milliseconds. */
const FILE_MS = 60_000;

/**
 * How long a silent daemon is waited for, in milliseconds. By then no lease of it holds, and it has
 * given up all that it gave. What is here for it yet is lost to it when another daemon answers.
 */
const LOYAL_MS = 60_000;

/** What is said of tasks goes together with what is said of others. No beat waits for that. */
const TOGETHER: ReadonlySet<FromWorker["type"]> = new Set(["claim", "output", "end"]);

const OTHER_SESSION: FromWorkerAnswer = {
  type: "refused",
  because: "the worker has another session",
  elsewhere: true,
};

/** Who speaks. */
export type WorkerName = Pick<Hello, "worker" | "incarnation" | "home" | "version">;

/**
 * Hears a message of the daemon.
 *
 * @param settled ids of tasks whose ends are durable
 * @param mayWait its answer holds up no other
 */
export type HearsDaemon = (
  message: ToWorker,
  settled: readonly string[],
  mayWait: boolean,
) => FromWorkerAnswer | Promise<FromWorkerAnswer>;

/** Speaks to a daemon. */
export class WorkerLine {
  readonly #broker: SealedBroker;
  readonly #clock: Clock;
  readonly #name: WorkerName;
  /** When the daemon answered last. */
  #heardAt = 0;
  #root: string | undefined;
  #session: string | undefined;
  #hello: Promise<ToWorkerAnswer | undefined> | undefined;
  #number = 0;

  constructor(broker: SealedBroker, clock: Clock, name: WorkerName) {
    this.#broker = broker;
    this.#clock = clock;
    this.#name = name;
  }

  /**
   * Says something to the daemon, and waits for its answer. A hello that is refused answers `no`.
   *
   * @param message a function is called each time it is said: its number stands for what the worker
   *   knows at that moment, and a session may come late
   * @throws BrokerSilence if nobody answers in time
   */
  async ask(message: FromWorker | (() => FromWorker), timeoutMs: number): Promise<ToWorkerAnswer> {
    for (let tries = 0; tries < 3; tries += 1) {
      const refusal = await this.#greet(timeoutMs);
      if (refusal !== undefined) return refusal;
      const session = this.#session!;
      const said = typeof message === "function" ? message() : message;
      const answer = await this.#say(session, said, timeoutMs);
      // An answer of a session that is over counts for nothing: a yes may be older than the end.
      if (this.#session !== session) continue;
      if (answer.type !== "again") return answer;
      this.#session = undefined;
    }
    throw new BrokerSilence("the daemon does not know this worker, however often it says hello");
  }

  /**
   * Hears the daemon. An answer that is a promise comes with the number of what was said before the
   * message was heard: what was said since may be of its task.
   *
   * @returns a function that ends it
   */
  hear(answer: HearsDaemon): () => void {
    return this.#broker.listen(`worker.${this.#name.worker}`, (said, isAlone) => {
      const { session, message, settled } = said as DaemonSays;
      const number = this.#number;
      const of = (given: FromWorkerAnswer): WorkerAnswers => ({ session, answer: given, number });
      if (session !== this.#session) return of(OTHER_SESSION);
      const given = answer(message, settled ?? [], isAlone);
      return given instanceof Promise ? given.then(of) : of(given);
    });
  }

  /** How long an answer that holds up no other may be, in UTF-16 code units. */
  get answerLength(): number {
    return this.#broker.answerLength;
  }

  /** The text of an object that a message names. @throws an Error if there is none */
  async body(name: string): Promise<string> {
    const content = await this.#broker.get(name);
    if (content === undefined) throw new Error(`the broker lost the task: ${name} is not there`);
    return content.toString("utf8");
  }

  /**
   * A bundle or an artifact. Undefined: neither the broker nor the daemon has it.
   *
   * @param hash the sha256 of its content, which is not checked here
   * @throws BrokerSilence
   */
  async getFile(hash: string): Promise<Uint8Array | undefined> {
    const kept = await this.#broker.get(fileObject(hash));
    if (kept !== undefined) return kept;
    const { worker } = this.#name;
    const answer = await this.ask({ type: "lack", worker, hash }, FILE_MS);
    if (answer.type !== "yes") return undefined;
    const put = await this.#broker.get(fileObject(hash));
    // Another task's end may have removed what it put: then it puts it again.
    if (put === undefined) throw new BrokerSilence("the broker has lost the file again");
    return put;
  }

  /** Keeps a file for the daemon, under its hash. @throws BrokerSilence */
  putFile(hash: string, content: Uint8Array): Promise<void> {
    return this.#broker.put(fileObject(hash), content);
  }

  /** Has a session, or says why there is none. */
  async #greet(timeoutMs: number): Promise<ToWorkerAnswer | undefined> {
    const isLong = this.#clock.monotonic() - this.#heardAt > LOYAL_MS;
    if (this.#session !== undefined && !isLong) return undefined;
    this.#hello ??= this.#sayHello(timeoutMs).finally(() => {
      this.#hello = undefined;
    });
    return this.#hello;
  }

  async #sayHello(timeoutMs: number): Promise<ToWorkerAnswer | undefined> {
    if (this.#clock.monotonic() - this.#heardAt > LOYAL_MS) this.#root = undefined;
    const hello: Hello = {
      type: "hello",
      protocol: BROKER_PROTOCOL,
      ...this.#name,
      root: this.#root,
    };
    const answer = (await this.#broker.ask("hello", hello, timeoutMs)) as HelloAnswer;
    if (answer.type === "no") return answer;
    this.#heardAt = this.#clock.monotonic();
    this.#root = answer.root;
    this.#session = answer.session;
    this.#number = 0;
    return undefined;
  }

  async #say(session: string, message: FromWorker, timeoutMs: number): Promise<ToWorkerAnswer> {
    this.#number += 1;
    const { worker } = this.#name;
    const says: WorkerSays = { worker, session, number: this.#number, message };
    const at = `daemon.${this.#root!}`;
    const answer = TOGETHER.has(message.type)
      ? await this.#broker.askTogether(at, says, timeoutMs)
      : await this.#broker.ask(at, says, timeoutMs);
    this.#heardAt = this.#clock.monotonic();
    return answer as ToWorkerAnswer;
  }
}

/** The name under which a file is kept. */
export function fileObject(hash: string): string {
  return `file ${hash}`;
}
