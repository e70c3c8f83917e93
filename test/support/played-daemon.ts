/** The daemon's side of a broker's place, as far as a test of a worker needs it. */
import { onTestFinished } from "./running-test.ts";
import { systemClock } from "../../src/clock.ts";
import type { OutputLine, ShellTask } from "../../src/core/task.ts";
import type {
  FromWorker,
  FromWorkerAnswer,
  Hello,
  HelloAnswer,
  ToWorker,
  ToWorkerAnswer,
  WorkerAnswers,
  WorkerSays,
} from "../../src/places/broker/messages.ts";
import { NatsBroker } from "../../src/places/broker/nats-broker.ts";
import { Seal } from "../../src/places/broker/seal.ts";
import { namesOn, SealedBroker } from "../../src/places/broker/sealed-broker.ts";
import { TEST_KEY } from "./worker.ts";

type Said<T extends FromWorker["type"]> = Extract<FromWorker, { readonly type: T }>;

/** Answers all workers of the place `farm`. */
export class PlayedDaemon {
  readonly said: FromWorker[] = [];
  readonly hellos: Hello[] = [];
  /** Answers in place of the usual. Undefined: as usual. */
  answer: (message: FromWorker) => ToWorkerAnswer | undefined = () => undefined;
  readonly #broker: NatsBroker;
  readonly #sealed: SealedBroker;
  readonly #watchers = new Set<() => void>();

  constructor(url: string) {
    const seal = new Seal(TEST_KEY);
    const { prefix, bucket } = namesOn(seal, "farm");
    this.#broker = new NatsBroker(systemClock, { urls: [url], bucket, name: "played daemon" });
    this.#sealed = new SealedBroker(this.#broker, seal, prefix, systemClock, () => undefined);
    this.#sealed.listen("hello", (hello): HelloAnswer => {
      this.hellos.push(hello as Hello);
      return { type: "welcome", root: "played", session: `session-${this.hellos.length}` };
    });
    this.#sealed.listen("daemon.played", (says): ToWorkerAnswer => {
      const { message } = says as WorkerSays;
      this.said.push(message);
      for (const watcher of this.#watchers) watcher();
      const usual: ToWorkerAnswer =
        message.type === "beat" ? { type: "beat", unwanted: [] } : { type: "yes" };
      return this.answer(message) ?? usual;
    });
    onTestFinished(() => this.#broker.close());
  }

  /** Resolves with what a worker said, once it has. */
  heard<T extends FromWorker["type"]>(
    type: T,
    matches: (message: Said<T>) => boolean = () => true,
    deadlineMs = 20_000,
  ): Promise<Said<T>> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.said.find(
          (message) => message.type === type && matches(message as Said<T>),
        );
        if (found === undefined) return;
        clearTimeout(deadline);
        this.#watchers.delete(look);
        resolve(found as Said<T>);
      };
      const deadline = setTimeout(() => reject(new Error(`no ${type} was heard`)), deadlineMs);
      this.#watchers.add(look);
      look();
    });
  }

  async tell(worker: string, message: ToWorker): Promise<FromWorkerAnswer> {
    const says = { session: `session-${this.hellos.length}`, message };
    return ((await this.#sealed.ask(`worker.${worker}`, says, 5_000)) as WorkerAnswers).answer;
  }

  /** Gives a worker a shell step. */
  give(worker: string, id: string, text: string, more: Partial<ShellTask> = {}) {
    const task: ShellTask = {
      kind: "shell",
      text,
      shell: ["/bin/sh", "-eu"],
      cwd: "",
      params: {},
      inputs: {},
      run: { id: "etl@1", pipeline: "etl", attempt: 1 },
      step: "it",
      env: {},
      gracePeriodMs: 500,
      ...more,
    };
    return this.tell(worker, {
      type: "give",
      id,
      body: JSON.stringify(task),
      files: [],
      alone: false,
    });
  }

  /** What a task printed, so far. */
  linesOf(id: string): string[] {
    return this.said
      .filter((one): one is Said<"output"> => one.type === "output" && one.id === id)
      .flatMap(({ lines }: { readonly lines: readonly OutputLine[] }) => lines)
      .map(({ line }) => line);
  }
}
