/** Which tasks of an earlier daemon go on: workers that beat, answer and go, at played times. */
import { expect, it } from "vitest";
import { EarlierTasks, type AdoptionAnswer } from "../../../src/places/broker/earlier-tasks.ts";
import { FarWorker } from "../../../src/places/broker/far-worker.ts";
import { PATIENCE_MS } from "../../../src/places/broker/messages.ts";
import type { EarlierAttempt, TaskHandlers } from "../../../src/places/place.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const ATTEMPT = { heard: { stdout: 2, stderr: 0 } } as unknown as EarlierAttempt;
/** How long leases had counted when this daemon began to ask. */
const BEFORE_MS = 2_000;
const LEFT_MS = PATIENCE_MS - BEFORE_MS;

class Asking {
  readonly said: string[] = [];
  readonly clock = new VirtualClock();
  readonly here: FarWorker[] = [];
  readonly #answers = new Map<string, (answer: AdoptionAnswer) => void>();
  readonly #numbers = new Map<FarWorker, number>();
  readonly tasks = new EarlierTasks({
    clock: this.clock,
    since: -BEFORE_MS,
    here: () => this.here,
    ask: ({ name }, id, { heard }) => {
      this.said.push(`tell ${name} of ${id} after ${heard.stdout}`);
      return new Promise((resolve) => this.#answers.set(`${name} ${id}`, resolve));
    },
    adopted: ({ name }, number, id, attempt, handlers) =>
      this.said.push(
        `${id} goes on at ${name} from ${number}`,
        ...(attempt === ATTEMPT && (handlers as unknown) === id ? [] : ["with other handlers"]),
      ),
  });

  /** A worker that is here, and has not beaten. */
  worker(name: string): FarWorker {
    const worker = new FarWorker(name);
    worker.enter(`session of ${name}`, { incarnation: `${name}-1`, home: name });
    this.here.push(worker);
    return worker;
  }

  beat(worker: FarWorker, ...tasks: string[]): void {
    const number = (this.#numbers.get(worker) ?? 0) + 1;
    this.#numbers.set(worker, number);
    const beat = { type: "beat", threads: 4, cores: 4, labels: [], tasks };
    worker.hear(beat as never, number, this.clock.monotonic());
    this.tasks.beat(worker);
  }

  gone(worker: FarWorker): void {
    this.here.splice(this.here.indexOf(worker), 1);
    worker.leave("it said bye");
    this.tasks.gone();
  }

  ask(id: string, { placed = "", unwanted = false } = {}): void {
    const [host = "", ref = ""] = placed.split(" ");
    void this.tasks
      .ask(
        id,
        () => id as unknown as TaskHandlers,
        unwanted ? undefined : ATTEMPT,
        placed === "" ? undefined : { place: "farm", host, ref },
      )
      .then((lives) => this.said.push(`${id} ${lives ? "lives" : "is gone"}`));
  }

  async answers(name: string, id: string, answer: AdoptionAnswer): Promise<void> {
    this.#answers.get(`${name} ${id}`)!(answer);
    await this.clock.settle();
  }

  async heard(): Promise<string[]> {
    await this.clock.settle();
    return this.said.splice(0);
  }
}

const TAKEN: AdoptionAnswer = { kind: "taken", number: 7 };

it("goes on with what a worker lists, once it has said so", async () => {
  const one = new Asking();
  const worker = one.worker("w");
  one.beat(worker, "a", "b");
  one.ask("a");
  expect(await one.heard()).toEqual(["tell w of a after 2"]);
  // It is not told twice while it is asked, by whichever beat.
  one.beat(worker, "a", "b");
  one.beat(one.worker("v"), "a");
  expect([await one.heard(), one.tasks.size]).toEqual([[], 1]);
  await one.answers("w", "a", TAKEN);
  expect(await one.heard()).toEqual(["a goes on at w from 7", "a lives"]);
  expect([one.tasks.size, one.tasks.mayHaveBegun("a")]).toEqual([0, true]);
  one.beat(worker, "a");
  await one.clock.advance(PATIENCE_MS);
  expect([await one.heard(), one.clock.timers]).toEqual([[], 0]);
});

it("tells it again at its next beat where it said nothing, or its session changed", async () => {
  const one = new Asking();
  const worker = one.worker("w");
  one.ask("a");
  // A worker that has not beaten has listed nothing.
  expect(await one.heard()).toEqual([]);
  one.beat(worker, "a");
  await one.answers("w", "a", { kind: "silent" });
  expect(await one.heard()).toEqual(["tell w of a after 2"]);
  one.beat(worker, "a");
  worker.session = "another";
  await one.answers("w", "a", TAKEN);
  expect([await one.heard(), one.tasks.size]).toEqual([["tell w of a after 2"], 1]);
  one.beat(worker, "a");
  await one.answers("w", "a", TAKEN);
  expect((await one.heard()).slice(1)).toEqual(["a goes on at w from 7", "a lives"]);
});

it.each([
  ["w w-1", "a is gone"],
  ["w w-2", undefined],
  ["v w-1", undefined],
  ["", undefined],
])("of one that was placed at %o believes a list without it: %s", async (placed, end) => {
  const one = new Asking();
  const worker = one.worker("w");
  one.ask("a", { placed });
  // Before its first beat it has said nothing.
  expect(await one.heard()).toEqual([]);
  one.beat(worker, "b");
  expect(await one.heard()).toEqual(end === undefined ? [] : [end]);
  await one.clock.advance(LEFT_MS - 1);
  expect([await one.heard(), one.tasks.size]).toEqual([[], end === undefined ? 1 : 0]);
  await one.clock.advance(1);
  expect(await one.heard()).toEqual(end === undefined ? ["a is gone"] : []);
});

it("has a refused task, and one without its attempt, ended before it is over", async () => {
  const one = new Asking();
  const worker = one.worker("w");
  one.beat(worker, "a", "b", "c");
  one.ask("a");
  one.ask("b", { unwanted: true });
  expect(await one.heard()).toEqual(["tell w of a after 2"]);
  const wanted = (): boolean[] => ["a", "b", "c"].map((id) => one.tasks.mayBeWanted(id));
  expect(wanted()).toEqual([true, false, true]);
  await one.answers("w", "a", { kind: "refused" });
  expect(wanted()).toEqual([false, false, true]);
  // A worker refuses what it has not begun.
  expect(["a", "b", "c"].map((id) => one.tasks.mayHaveBegun(id))).toEqual([false, true, undefined]);
  await one.clock.advance(LEFT_MS);
  one.beat(worker, "a", "b", "c");
  // What nobody asked for in time is not wanted, and what is listed still runs.
  expect([await one.heard(), wanted(), one.tasks.size]).toEqual([[], [false, false, false], 2]);
  one.beat(worker, "b");
  expect(await one.heard()).toEqual(["a is gone"]);
  one.gone(worker);
  expect(await one.heard()).toEqual(["b is gone"]);
});

it("keeps what is listed nowhere for the leases of now, whoever goes", async () => {
  const one = new Asking();
  const worker = one.worker("w");
  one.beat(worker);
  one.ask("a");
  one.gone(worker);
  expect([await one.heard(), one.tasks.mayBeWanted("a")]).toEqual([[], true]);
  await one.clock.advance(LEFT_MS);
  expect(await one.heard()).toEqual(["a is gone"]);
});

it("waits past the leases for one that is being told, and no longer", async () => {
  const one = new Asking();
  const [worker, other] = [one.worker("w"), one.worker("v")];
  one.beat(worker, "a", "b");
  one.beat(other, "c");
  for (const id of ["a", "b", "c"]) one.ask(id);
  await one.clock.advance(LEFT_MS);
  one.gone(worker);
  one.gone(other);
  one.said.length = 0;
  await one.answers("w", "b", { kind: "silent" });
  expect(await one.heard()).toEqual(["b is gone"]);
  await one.answers("v", "c", { kind: "refused" });
  expect(await one.heard()).toEqual(["c is gone"]);
  await one.answers("w", "a", TAKEN);
  expect([await one.heard(), one.tasks.size]).toEqual([["a is gone"], 0]);
});

it("knows of one that a worker asks to begin that it had not begun", () => {
  const one = new Asking();
  one.ask("a");
  one.tasks.unbegun("a");
  one.tasks.unbegun("b");
  expect([one.tasks.mayHaveBegun("a"), one.tasks.mayHaveBegun("b")]).toEqual([false, undefined]);
  one.tasks.close();
});

it("answers nobody once it is closed", async () => {
  const one = new Asking();
  const worker = one.worker("w");
  one.beat(worker, "a");
  for (const id of ["a", "b"]) one.ask(id);
  one.tasks.close();
  await one.answers("w", "a", TAKEN);
  await one.clock.advance(PATIENCE_MS);
  one.beat(worker);
  expect([await one.heard(), one.clock.timers]).toEqual([["tell w of a after 2"], 0]);
});
