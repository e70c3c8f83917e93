/** One task as the daemon knows it: whose it is, what its handlers hear, and when it began. */
import { beforeEach, describe, expect, it } from "vitest";
import { OUTPUT_LIMIT } from "../../../src/core/task.ts";
import { FarWorker } from "../../../src/places/broker/far-worker.ts";
import { GivenTask, placeError } from "../../../src/places/broker/given-task.ts";

const worker = (name: string): FarWorker => {
  const made = new FarWorker(name);
  made.incarnation = `${name}-process`;
  made.hear({ threads: 2, cores: 2, labels: [], tasks: [] } as never, 1, 0);
  return made;
};

let heard: unknown[][];
let task: GivenTask;
beforeEach(() => {
  heard = [];
  const given = { kind: "shell", step: "a", run: { attempt: 2 }, on: ["gpu"] } as never;
  task = new GivenTask({
    id: "p@1#1",
    task: given,
    handlers: {
      done: (...given) => void heard.push(["done", ...given]),
      died: (...given) => void heard.push(["died", ...given]),
      output: (lines) => void heard.push(["output", lines]),
      placed: (at) => void heard.push(["placed", at]),
    },
    sent: { task: given, files: [], map: undefined },
    alone: false,
    isAhead: false,
  });
});

describe("a task", () => {
  it("takes the room of the worker that has it, and gives it back", () => {
    const [one, two] = [worker("w1"), worker("w2")];
    const rooms = (): number[] => [one, two].map((each) => 2 - each.room("shell", 0));
    task.state = { at: "given", worker: one };
    expect([rooms(), task.isAt(one), task.isAt(two), task.mayRun]).toEqual([
      [1, 0],
      true,
      false,
      false,
    ]);
    task.state = { at: "granted", worker: two };
    expect([rooms(), task.mayRun, task.isClaimedBy(two)]).toEqual([[0, 1], true, false]);
    task.claim(two, 7, "farm");
    expect([rooms(), task.mayRun, task.isClaimedBy(two), task.isClaimedBy(one)]).toEqual([
      [0, 1],
      true,
      true,
      false,
    ]);
    task.done({ ok: true, value: 1 } as never, 0, 0);
    expect([rooms(), task.mayRun]).toEqual([[0, 0], false]);
  });

  it("is placed once, where it was begun first; one of an earlier daemon was placed then", () => {
    task.claim(worker("w1"), 1, "farm");
    task.claim(worker("w2"), 1, "farm");
    expect(heard).toEqual([["placed", { place: "farm", host: "w1", ref: "w1-process" }]]);
    heard = [];
    const adopted = new GivenTask({
      ...task,
      handlers: { placed: () => heard.push(["placed"]) },
    } as never);
    adopted.adopt(worker("w1"), 1);
    adopted.claim(worker("w1"), 2, "farm");
    expect(heard).toEqual([]);
  });

  it("began as long before its end as it took", () => {
    const result = { ok: true, value: 1 } as never;
    task.done(result, 1_500, 10_000);
    task.late(result, 2_000, 20_000);
    expect(heard).toEqual([
      ["done", result, 1_500, 8_500],
      ["done", result, 2_000, 18_000],
    ]);
  });

  it("that had not begun is stopped, or lost without blame", () => {
    task.stopped("enough", 5_000);
    const error = { name: "Stopped", message: "enough" };
    expect(heard.pop()).toEqual(["done", { ok: false, outcome: "stopped", error }, 0, 5_000]);
    task.lose("the worker is gone", "lost");
    expect(heard.pop()).toEqual([
      "died",
      {
        inFlight: ["p@1#1"],
        alone: false,
        blameless: "lost",
        because: "the worker is gone",
        code: "ORCHD_PLACE",
      },
    ]);
    expect(task.state.at).toBe("over");
    expect(placeError("x")).toEqual({ name: "PlaceError", message: "x", code: "ORCHD_PLACE" });
  });

  it("wants its labels, if it is a step", () => {
    expect([task.kind, task.labels]).toEqual(["shell", ["gpu"]]);
    const hook = new GivenTask({ ...task, task: { kind: "hook", on: ["gpu"] } } as never);
    expect([hook.kind, hook.labels]).toEqual(["module", []]);
  });
});

describe("what it prints", () => {
  const line = (text: string, step = "other"): never =>
    ({ at: "t", step, attempt: 9, stream: "stdout", line: text }) as never;

  it("is taken in order, each batch once, as its own step's and attempt's", () => {
    expect(task.output(1, [line("late")])).toBe(false);
    expect(task.output(0, [line("a"), line("b")])).toBe(true);
    expect(task.output(0, [line("a"), line("b")])).toBe(true);
    expect(task.output(1, [])).toBe(true);
    expect(task.output(2, [line("c")])).toBe(true);
    const kept = (text: string) => ({ ...(line(text, "a") as object), attempt: 2 });
    expect(heard).toEqual([
      ["output", [kept("a"), kept("b")]],
      ["output", [kept("c")]],
    ]);
  });

  it("is cut where a worker says more than its capture lets through", () => {
    const mib = "x".repeat(1024 * 1024);
    for (let batch = 0; batch < 20; batch += 1) task.output(batch, [line(mib)]);
    const lines = heard.flatMap(([, lines]) => lines as unknown[]).length;
    expect(lines).toBe(OUTPUT_LIMIT / mib.length + 1);
  });
});
