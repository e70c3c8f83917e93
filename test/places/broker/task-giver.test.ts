/** To whom a task is given, what each answer means, how often is asked. Its parts are played. */
import { beforeEach, describe, expect, it } from "vitest";
import { BrokerSilence } from "../../../src/places/broker/broker.ts";
import { FarWorker } from "../../../src/places/broker/far-worker.ts";
import { GivenTask } from "../../../src/places/broker/given-task.ts";
import type { FromWorkerAnswer, TaskEnd } from "../../../src/places/broker/messages.ts";
import { TaskGiver, type TaskGiverPorts } from "../../../src/places/broker/task-giver.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

type Said = { readonly answer: FromWorkerAnswer; readonly number: number } | undefined;

/** A place with workers. Each question waits for its answer. */
class Place {
  readonly said: string[] = [];
  readonly clock = new VirtualClock();
  readonly workers: FarWorker[] = [];
  readonly state: { up: boolean; because?: string } = { up: true };
  readonly giver: TaskGiver;
  #answers: { resolve(said: Said): void; reject(error: Error): void }[] = [];

  constructor() {
    const say = (word: string) => (of: FarWorker | GivenTask, more?: unknown, number?: number) =>
      this.say(word, "id" in of ? of.id : `${of.name} ${(more as GivenTask).id}`, number ?? more);
    this.giver = new TaskGiver({
      clock: this.clock,
      broker: { broker: { state: this.state } } as unknown as TaskGiverPorts["broker"],
      workers: { all: () => this.workers } as unknown as TaskGiverPorts["workers"],
      told: {
        give: ({ name }: FarWorker, { id }: GivenTask, grants: boolean) => {
          this.say("ask", name, id, grants ? "grants" : "");
          return new Promise<Said>((resolve, reject) => this.#answers.push({ resolve, reject }));
        },
      } as unknown as TaskGiverPorts["told"],
      labels: ["farm"],
      began: say("began"),
      ended: (task: GivenTask, end: TaskEnd) => this.say("ended", task.id, end.kind),
      stopped: (task: GivenTask) => this.say("stopped", task.id, task.state.at),
      refused: say("refused"),
      lost: say("lost"),
      fault: (sentence: string) => this.say("fault", sentence),
    });
  }

  say(...words: readonly unknown[]): void {
    const text = (word: unknown): string => (typeof word === "object" ? "" : String(word ?? ""));
    this.said.push(words.map(text).filter(Boolean).join(" "));
  }

  /** A worker that is here. */
  worker(name: string, threads = 2, labels: readonly string[] = []): FarWorker {
    const worker = new FarWorker(name);
    worker.enter(`session of ${name}`, { incarnation: `${name}-1`, home: name });
    const beat = { threads, cores: threads, labels, tasks: [], leaving: false };
    worker.hear(beat as never, 1, this.clock.monotonic());
    this.workers.push(worker);
    return worker;
  }

  task(id = "t", on: readonly string[] = []): GivenTask {
    const given = { kind: "shell", step: id, run: { attempt: 1 }, on };
    return new GivenTask({
      id,
      task: given as never,
      handlers: {} as never,
      sent: { task: given as never, files: [], map: undefined },
      alone: false,
      isAhead: false,
    });
  }

  /** @returns what was said since */
  async give(task: GivenTask): Promise<string[]> {
    this.said.length = 0;
    this.giver.give(task);
    return this.turn();
  }

  async turn(ms = 0): Promise<string[]> {
    await this.clock.advance(ms);
    return this.said.splice(0);
  }

  /** The oldest question is answered. @returns what was said since */
  async answers(answer: FromWorkerAnswer | Error | undefined, number = 7): Promise<string[]> {
    const question = this.#answers.shift()!;
    if (answer instanceof Error) question.reject(answer);
    else question.resolve(answer === undefined ? undefined : { answer, number });
    return this.turn();
  }
}

let place: Place;
beforeEach(() => {
  place = new Place();
});

describe("a task is given", () => {
  it("to the worker with the most room that has all its labels, and may begin", async () => {
    place.worker("small", 1, ["gpu"]);
    place.worker("plain", 9);
    place.worker("large", 3, ["gpu"]);
    const task = place.task("t", ["gpu", "farm"]);
    expect(await place.give(task)).toEqual(["ask large t grants"]);
    expect(task.state).toMatchObject({ at: "granted" });
    expect(await place.give(place.task("u", ["gpu"]))).toEqual(["ask large u grants"]);
    // Of equals, the first.
    expect(await place.give(place.task("v", ["gpu"]))).toEqual(["ask small v grants"]);
  });

  it("the first time though nobody has room, and later only where there is some", async () => {
    place.worker("w", 1);
    const task = place.task();
    await place.give(place.task("other"));
    expect(await place.give(task)).toEqual(["ask w t grants"]);
    expect(await place.give(task)).toEqual(["refused t no worker takes it now"]);
    expect(task.state).toEqual({ at: "nowhere" });
  });

  it("to nobody where the broker is down, with its reason", async () => {
    place.worker("w");
    Object.assign(place.state, { up: false, because: "it is down" });
    expect(await place.give(place.task())).toEqual(["refused t it is down"]);
  });

  it("to be claimed where it was given before, or the worker's beat is late", async () => {
    place.worker("w");
    const task = place.task();
    task.wasGiven = true;
    expect(await place.give(task)).toEqual(["ask w t"]);
    expect(task.state).toMatchObject({ at: "given" });
    await place.clock.advance(1_999);
    expect(await place.give(place.task("u"))).toEqual(["ask w u grants"]);
    await place.clock.advance(1);
    expect(await place.give(place.task("v"))).toEqual(["ask w v"]);
    expect(place.giver.room("shell", [])).toBe(0);
  });
});

describe("a grant is answered", () => {
  let task: GivenTask;
  let worker: FarWorker;
  beforeEach(async () => {
    worker = place.worker("w");
    place.worker("x", 1);
    task = place.task();
    await place.give(task);
  });

  it("that it began, with its end where it has ended", async () => {
    expect(await place.answers({ type: "begun" })).toEqual(["began w t 7"]);
    const end = { kind: "died" } as unknown as TaskEnd;
    await place.give(place.task("u"));
    expect(await place.answers({ type: "begun", end })).toEqual(["began w u 7", "ended u died"]);
  });

  it("that it is taken: then it waits for a claim, and is stopped if it was told to", async () => {
    expect(await place.answers({ type: "taken" })).toEqual([]);
    expect(task.state).toEqual({ at: "given", worker, number: 7 });
    const other = place.task("u");
    await place.give(other);
    other.told = { mode: "force", because: "enough" };
    expect(await place.answers({ type: "taken" })).toEqual(["stopped u given"]);
  });

  it("that it has ended it: nothing of it is left", async () => {
    expect((await place.answers({ type: "had" }))[0]).toBe("lost t the worker w has ended it");
  });

  it("that it does not take it: another gets it, and this one none for a second", async () => {
    const said = await place.answers({ type: "refused", because: "full" });
    expect(said).toEqual(["ask x t"]);
    expect(worker.isOpen(place.clock.monotonic())).toBe(false);
    await place.clock.advance(999);
    expect(worker.isOpen(place.clock.monotonic())).toBe(false);
    await place.clock.advance(1);
    expect(worker.isOpen(place.clock.monotonic())).toBe(true);
  });

  it.each<[string, FromWorkerAnswer | Error | undefined]>([
    ["by another session", { type: "refused", because: "x", elsewhere: true }],
    ["by what is none", undefined],
    ["by nothing in time", new BrokerSilence("late")],
    ["by a word that fits no give", { type: "here" }],
  ])("%s: the same worker is asked again in a moment, without a grant", async (_name, answer) => {
    expect(await place.answers(answer)).toEqual([]);
    expect(await place.turn(249)).toEqual([]);
    expect(await place.turn(1)).toEqual(["ask w t"]);
    expect(task.state).toMatchObject({ at: "granted", worker });
    expect(await place.answers({ type: "refused", because: "no" })).toEqual(["ask x t"]);
  });

  it("by nobody who listens: another gets it at once", async () => {
    const silence = new BrokerSilence("nobody", { reachedNobody: true });
    expect(await place.answers(silence)).toEqual(["ask x t"]);
  });

  it("and on the second question nobody listens: it may have begun by the first", async () => {
    await place.answers(undefined);
    await place.turn(250);
    const silence = new BrokerSilence("nobody", { reachedNobody: true });
    expect(await place.answers(silence)).toEqual([]);
    expect(await place.turn(250)).toEqual(["ask w t"]);
  });

  it("by a fault of this side: a person is told, and another gets it", async () => {
    expect(await place.answers(new Error("it is too long"))).toEqual([
      "fault a task could not be given: it is too long",
      "ask x t",
    ]);
  });

  it("too late, where it was claimed, ended or told to stop meanwhile", async () => {
    task.claim(worker, 3, "farm");
    expect(await place.answers({ type: "begun" })).toEqual([]);
    expect(await place.turn(500)).toEqual([]);
    const other = place.task("u");
    await place.give(other);
    other.told = { mode: "force", because: "enough" };
    expect(await place.answers(undefined)).toEqual([]);
    expect(await place.turn(500)).toEqual([]);
  });
});

describe("a give that has to be claimed is answered", () => {
  let task: GivenTask;
  beforeEach(async () => {
    place.worker("w");
    place.worker("x", 1);
    task = place.task();
    task.wasGiven = true;
    await place.give(task);
  });

  it.each<[string, FromWorkerAnswer | Error | undefined]>([
    ["by nothing in time", new BrokerSilence("late")],
    ["by another session", { type: "refused", because: "x", elsewhere: true }],
    ["that it had it before", { type: "had" }],
    ["by a fault of this side", new Error("too long")],
  ])("%s: another gets it at once", async (_name, answer) => {
    expect((await place.answers(answer)).at(-1)).toBe("ask x t");
    expect(place.said).toEqual([]);
  });

  it("by nobody any more: the place says so", async () => {
    await place.answers({ type: "refused", because: "full" });
    expect(await place.answers({ type: "refused", because: "full" })).toEqual([
      "refused t no worker takes it now",
    ]);
  });
});

describe("the room of a place", () => {
  it("is that of all open workers with these labels, and never less than none", async () => {
    const [a] = [place.worker("a", 2, ["gpu"]), place.worker("b", 3)];
    expect([place.giver.room("shell", []), place.giver.room("module", ["gpu", "farm"])]).toEqual([
      5, 2,
    ]);
    a.refused(place.clock.monotonic());
    expect(place.giver.room("shell", ["gpu"])).toBe(0);
  });

  it("that a step takes is what it takes where it takes most; all of it where nobody is", () => {
    const spec = { on: ["farm"] } as never;
    expect(place.giver.share(spec)).toBe(1);
    for (const share of [0.1, 0.5, 0.25]) place.worker(`w${share}`).shareOf = () => share;
    expect(place.giver.share(spec)).toBe(0.5);
    place.workers[1]!.refused(place.clock.monotonic());
    expect(place.giver.share(spec)).toBe(0.25);
  });
});
