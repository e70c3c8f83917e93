/** What a worker does with its tasks, its lease and its end, beside a played daemon. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { TaskResult } from "../../src/core/task.ts";
import { BrokerSilence } from "../../src/places/broker/broker.ts";
import {
  BEAT_MS,
  BROKER_PROTOCOL,
  WORKER_LEASE_MS,
  type FromWorkerAnswer,
  type ToWorkerAnswer,
} from "../../src/places/broker/messages.ts";
import { FIVE, hashOf, printed, shellTask, WorkerWorld } from "./worker-world.ts";

const END_OF_FIVE = { kind: "result", result: FIVE, durationMs: 1 } as const;

/** A granted task ends. @returns the answer to its give, and how many ends were said */
async function ended(
  world: WorkerWorld,
  result: TaskResult,
  { isAlone = true, lines = [] as readonly string[], afterMs = 0 } = {},
): Promise<[FromWorkerAnswer, number]> {
  const answer = world.grant("etl@1#2", {}, isAlone);
  await world.clock.settle();
  const { handlers } = world.pool.running.get("etl@1#2")!;
  if (lines.length > 0) handlers.output(lines.map((line) => printed(line)));
  await world.clock.advance(afterMs);
  handlers.done(result, 1, 0);
  await world.clock.settle();
  return [await answer, world.of("end").length];
}

const started = async (): Promise<WorkerWorld> => {
  const world = new WorkerWorld();
  world.worker.start();
  await world.clock.settle();
  return world;
};

describe("a worker", () => {
  it("beats with what it is and holds, and says bye once it holds nothing", async () => {
    const world = await started();
    expect(world.of("beat")[0]).toMatchObject({
      worker: "w1",
      incarnation: "first",
      protocol: BROKER_PROTOCOL,
      labels: ["gpu"],
      threads: 2,
      cores: 2,
      tasks: [],
      leaving: false,
    });
    const { handlers } = await world.running("etl@1#2");
    await world.clock.advance(1_500);
    expect(world.of("beat").at(-1)).toMatchObject({ tasks: ["etl@1#2"] });
    const left = world.worker.leave();
    await world.clock.settle();
    expect(world.of("beat").at(-1)).toMatchObject({ tasks: ["etl@1#2"], leaving: true });
    expect(world.give("etl@1#3")).toEqual({ type: "refused", because: "the worker ends" });
    handlers.done(FIVE, 12, 0);
    await left;
    expect(world.said.slice(-2).map(({ type }) => type)).toEqual(["end", "bye"]);
    expect(world.clock.timers).toBe(0);
  });

  it("says once that no daemon answers, and not before its lease would be over", async () => {
    const world = new WorkerWorld();
    const silence =
      "no daemon answers: it or the broker is down, it has no such place, or its key is another";
    world.cut = true;
    world.worker.start();
    await world.clock.advance(WORKER_LEASE_MS - 1);
    expect(world.warnings).toEqual([]);
    await world.clock.advance(10 * BEAT_MS);
    expect(world.warnings).toEqual([silence]);
    world.cut = false;
    await world.clock.advance(BEAT_MS);
    world.cut = true;
    // The daemon has answered at most a beat ago.
    await world.clock.advance(WORKER_LEASE_MS - BEAT_MS);
    expect(world.warnings).toHaveLength(1);
    await world.clock.advance(10 * BEAT_MS);
    expect(world.warnings).toEqual([silence, silence]);
  });

  it("claims a task before it starts, once, and starts none that it may not", async () => {
    const world = await started();
    world.answer = ({ type }) => (type === "claim" ? { type: "no", because: "old" } : undefined);
    expect(world.give("etl@1#2")).toEqual({ type: "taken" });
    expect(world.give("etl@1#2")).toEqual({ type: "taken" });
    await world.clock.settle();
    expect(world.of("claim")).toHaveLength(1);
    expect(world.pool.running.size).toBe(0);
    expect(world.worker.tasks).toEqual([]);
    world.answer = () => undefined;
    await world.running("etl@1#3");
    expect([...world.pool.running.keys()]).toEqual(["etl@1#3"]);
  });

  it("begins what it is granted without a claim, and says so with the end", async () => {
    const world = await started();
    const answer = world.grant("etl@1#2");
    await world.clock.settle();
    const { handlers } = world.pool.running.get("etl@1#2")!;
    expect(await world.grant("etl@1#2")).toEqual({ type: "begun" });
    handlers.done(FIVE, 1, 0);
    expect(await answer).toEqual({ type: "begun", end: END_OF_FIVE });
    await world.clock.advance(900);
    expect([world.of("claim"), world.of("end"), world.worker.tasks]).toEqual([[], [], ["etl@1#2"]]);
    const { timers } = world.clock;
    expect(world.tell({ type: "settled" }, ["etl@1#2", "etl@1#9"])).toEqual({ type: "here" });
    expect([world.worker.tasks, world.clock.timers]).toEqual([[], timers - 1]);
    await world.clock.advance(2_000);
    expect(world.of("end")).toEqual([]);
    expect(await world.grant("etl@1#2")).toEqual({ type: "had" });
    expect(world.tell({ type: "stop", id: "etl@1#2", mode: "force", because: "x" })).toEqual({
      type: "had",
    });
  });

  it("says an end as any other where it does not hear soon that it is durable", async () => {
    const world = await started();
    const answer = world.grant("etl@1#2");
    await world.clock.settle();
    world.pool.running.get("etl@1#2")!.handlers.done(FIVE, 1, 0);
    expect(await answer).toMatchObject({ end: END_OF_FIVE });
    await world.clock.advance(1_000);
    expect(world.of("end")).toMatchObject([{ id: "etl@1#2", batches: 0, end: END_OF_FIVE }]);
    expect(world.worker.tasks).toEqual([]);
  });

  it("says an end to a new daemon at once, and never again by itself", async () => {
    const world = await started();
    const answer = world.grant("etl@1#2");
    await world.clock.settle();
    world.pool.running.get("etl@1#2")!.handlers.done(FIVE, 1, 0);
    await answer;
    world.answer = ({ type }) => (type === "end" ? new Promise(() => undefined) : undefined);
    const heard = { stdout: 0, stderr: 0 };
    expect(world.tell({ type: "adopt", id: "etl@1#2", heard })).toEqual({ type: "taken" });
    await world.clock.advance(5_000);
    expect(world.of("end")).toHaveLength(1);
  });

  it.each<[string, (world: WorkerWorld) => Promise<[FromWorkerAnswer, number]>]>([
    ["others came with the give", (world) => ended(world, FIVE, { isAlone: false })],
    ["it is long", (world) => ended(world, { ok: true, value: "x".repeat(2_000) })],
    ["lines were printed", (world) => ended(world, FIVE, { lines: ["a line"] })],
    ["the answer was given", (world) => ended(world, FIVE, { afterMs: 21 })],
  ])("says an end by itself where %s", async (_, play) => {
    const world = await started();
    const [answer, ends] = await play(world);
    expect(answer).toEqual({ type: "begun" });
    expect([ends, world.worker.tasks]).toEqual([1, []]);
  });

  it("says an end by itself whose result is in files", async () => {
    const world = await started();
    const answer = world.grant("etl@1#2");
    await world.clock.settle();
    const { handlers } = world.pool.running.get("etl@1#2")!;
    const file = join(world.cache.artifacts, ".staged-it");
    writeFileSync(file, "a large result");
    const ref = { $artifact: hashOf("a large result"), bytes: 14 };
    handlers.done({ ok: true, staged: { value: ref, files: [{ ref, file }] } }, 1, 0);
    await expect.poll(() => world.files.size).toBe(1);
    await world.clock.settle();
    expect(await answer).toEqual({ type: "begun" });
    expect([world.of("end").length, world.worker.tasks]).toEqual([1, []]);
  });

  it("says soon that a granted task began that goes on", async () => {
    const world = await started();
    const answer = world.grant("etl@1#2");
    await world.clock.advance(20);
    expect(await answer).toEqual({ type: "begun" });
    expect(world.pool.running.size).toBe(1);
  });

  it("puts files of a result again that the broker has lost, until the daemon has it", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    const file = join(world.cache.artifacts, ".staged-it");
    writeFileSync(file, "a large result");
    const hash = hashOf("a large result");
    const ref = { $artifact: hash, bytes: 14 };
    let losses = 2;
    world.answer = ({ type }) => {
      if (type !== "end" || losses === 0) return undefined;
      losses -= 1;
      world.files.clear();
      return { type: "lacks", hash };
    };
    handlers.done({ ok: true, staged: { value: ref, files: [{ ref, file }] } }, 1, 0);
    await world.clock.until(() => world.worker.tasks.length === 0);
    expect(world.of("end")).toHaveLength(3);
    expect(world.files.get(hash)?.toString()).toBe("a large result");
    expect(world.worker.tasks).toEqual([]);
    expect(existsSync(file)).toBe(false);
  });

  it("says in the run's log that a result waits for the broker, once", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    const file = join(world.cache.artifacts, ".staged-it");
    writeFileSync(file, "a large result");
    const ref = { $artifact: hashOf("a large result"), bytes: 14 };
    world.isFull = true;
    handlers.done({ ok: true, staged: { value: ref, files: [{ ref, file }] } }, 1, 0);
    await world.clock.until(() => world.refusedPuts > 2);
    world.isFull = false;
    await world.clock.until(() => world.worker.tasks.length === 0);
    const lines = world.of("output").flatMap((output) => output.lines);
    expect(lines).toMatchObject([
      { stream: "orchd", line: "its result waits: the broker is full" },
    ]);
    expect(world.of("end")).toHaveLength(1);
  });

  it("asks again for a file that it does not have, and cannot put", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    const hash = hashOf("never was");
    world.answer = ({ type }) =>
      type === "end" && world.of("end").length < 4 ? { type: "lacks", hash } : undefined;
    handlers.done(FIVE, 1, 0);
    await world.clock.advance(5_000);
    expect(world.of("end")).toHaveLength(4);
    expect(world.worker.tasks).toEqual([]);
  });

  it("runs a task whose source map nobody has any more, and none without its bundle", async () => {
    const world = await started();
    const bundle = world.keep("code");
    const code = { bundle, pick: "export:default", source: "./it.ts" };
    const body = JSON.stringify({ ...shellTask(), kind: "module", code });
    const map = hashOf("a map that was written again");
    world.give("etl@1#2", { body, files: [bundle, map], map });
    await world.clock.until(() => world.pool.running.size > 0);
    expect([...world.pool.running.keys()]).toEqual(["etl@1#2"]);
    world.files.clear();
    const other = { ...code, bundle: hashOf("gone") };
    const lost = JSON.stringify({ ...shellTask(), kind: "module", code: other });
    world.give("etl@1#3", { body: lost, files: [other.bundle] });
    await world.clock.until(() => world.of("end").length > 0);
    expect(world.of("end").at(-1)).toMatchObject({ id: "etl@1#3", end: { result: { ok: false } } });
  });

  it("claims a granted task whose files are not here yet", async () => {
    const world = await started();
    const hash = world.keep("code");
    world.cut = true;
    const answer = world.grant("etl@1#2", { files: [hash] });
    await world.clock.advance(20);
    expect(await answer).toEqual({ type: "taken" });
    world.cut = false;
    await world.clock.advance(300);
    // The file is written by the real disk.
    await expect.poll(() => world.pool.running.size).toBe(1);
    expect(world.of("claim")).toHaveLength(1);
  });

  it("claims a granted task where its lease is over", async () => {
    const world = await started();
    world.cut = true;
    await world.clock.advance(6_000);
    world.answer = ({ type }) =>
      type === "beat"
        ? new Promise(() => undefined)
        : type === "claim"
          ? { type: "no", because: "it was given to another" }
          : undefined;
    world.cut = false;
    const answer = world.grant("etl@1#2");
    await world.clock.settle();
    expect(await answer).toEqual({ type: "taken" });
    expect(world.of("claim")).toHaveLength(1);
    expect(world.pools.some(({ running }) => running.size > 0)).toBe(false);
  });

  it.each<[string, (world: WorkerWorld) => void]>([
    ["it has said that it will not begin", (world) => void world.give("etl@1#2")],
    [
      "it was told to stop before",
      (world) => void world.tell({ type: "stop", id: "etl@1#2", mode: "force", because: "x" }),
    ],
  ])("does not begin by a grant that comes late: %s", async (_, before) => {
    const world = await started();
    world.answer = ({ type }) => (type === "claim" ? { type: "no", because: "old" } : undefined);
    before(world);
    await world.clock.settle();
    expect(world.worker.tasks).toEqual([]);
    await world.grant("etl@1#2");
    await world.clock.settle();
    expect(world.pool.running.size).toBe(0);
  });

  it("that was frozen does not start by an old yes", async () => {
    const world = await started();
    let yes!: (answer: ToWorkerAnswer) => void;
    world.answer = ({ type }) =>
      type === "claim" ? new Promise((resolve) => (yes = resolve)) : undefined;
    world.give("etl@1#2");
    await world.clock.settle();
    world.cut = true;
    await world.clock.advance(6_000);
    world.cut = false;
    yes({ type: "yes" });
    await world.clock.settle();
    expect(world.pools.some(({ running }) => running.size > 0)).toBe(false);
    expect(world.worker.tasks).toEqual([]);
  });

  it("counts its lease from the beat that was answered, not from the answer", async () => {
    const world = await started();
    await world.running("etl@1#2");
    let late!: (answer: ToWorkerAnswer) => void;
    world.answer = ({ type }) =>
      type === "beat" ? new Promise((resolve) => (late = resolve)) : undefined;
    await world.clock.advance(1_500);
    const answerLate = late;
    world.answer = ({ type }) => (type === "beat" ? new Promise(() => undefined) : undefined);
    await world.clock.advance(4_499);
    answerLate({ type: "beat", unwanted: [] });
    await world.clock.advance(1_499);
    expect(world.pools).toHaveLength(1);
    await world.clock.advance(2);
    expect(world.pools.map(({ closed }) => closed)).toEqual([true, false]);
  });

  it("whose lease is over ends what runs, and keeps results", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    await world.running("etl@1#3");
    world.cut = true;
    handlers.done(FIVE, 12, 0);
    let closed!: () => void;
    world.pool.untilClosed = new Promise((resolve) => (closed = resolve));
    await world.clock.advance(6_000);
    expect(world.pools).toHaveLength(2);
    expect(world.worker.tasks).toEqual(["etl@1#2", "etl@1#3"]);
    closed();
    await world.clock.settle();
    expect(world.worker.tasks).toEqual(["etl@1#2"]);
    world.cut = false;
    await world.clock.advance(1_500);
    expect(world.of("end").at(-1)).toMatchObject({ id: "etl@1#2", end: { result: FIVE } });
    expect(world.worker.tasks).toEqual([]);
    await world.running("etl@1#4");
    expect([...world.pool.running.keys()]).toEqual(["etl@1#4"]);
  });

  it("ends what the daemon does not want, and holds it until nothing of it runs", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    world.answer = ({ type }) =>
      type === "beat" ? { type: "beat", unwanted: ["etl@1#2", "etl@1#9"] } : undefined;
    await world.clock.advance(1_500);
    expect(world.pool.stops).toEqual([
      expect.stringMatching(/^force etl@1#2: the daemon does not/),
    ]);
    expect(world.worker.tasks).toEqual(["etl@1#2"]);
    handlers.output([printed("late")]);
    handlers.done(FIVE, 12, 0);
    await world.clock.settle();
    expect(world.worker.tasks).toEqual([]);
    expect(world.of("output").length + world.of("end").length).toBe(0);
    expect(world.warnings).toEqual([
      "a task is not wanted any more: the daemon does not know it, or has given it to another",
    ]);
  });

  it("warns of nothing where its beat crosses the answer to an end", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    const unanswered = new Promise<never>(() => undefined);
    world.answer = ({ type }) =>
      type === "end"
        ? unanswered
        : type === "beat"
          ? { type: "beat", unwanted: ["etl@1#2"] }
          : undefined;
    handlers.done(FIVE, 12, 0);
    await world.clock.settle();
    expect([world.of("end").length, world.worker.tasks]).toEqual([1, ["etl@1#2"]]);
    await world.clock.advance(1_500);
    expect(world.worker.tasks).toEqual([]);
    expect(world.warnings).toEqual([]);
  });

  it("that was renewed takes no task, ends what it has, and says it to both", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    world.whyNot = "orchd 2 was installed: start it again";
    await world.clock.advance(2_000);
    expect(world.give("etl@1#3")).toMatchObject({ type: "refused" });
    expect(world.of("beat").at(-1)).toMatchObject({ leaving: true, tasks: ["etl@1#2"] });
    expect(world.warnings).toEqual(["no step begins: orchd 2 was installed: start it again"]);
    handlers.done(FIVE, 12, 0);
    await world.clock.settle();
    expect(world.of("end")).toMatchObject([{ id: "etl@1#2", end: { result: FIVE } }]);
    world.whyNot = undefined;
    await world.clock.advance(1_000);
    expect(world.of("beat").at(-1)).toMatchObject({ leaving: false });
    await world.running("etl@1#4");
    expect([...world.pool.running.keys()]).toContain("etl@1#4");
    await world.worker.close();
    expect(world.clock.timers).toBe(0);
  });

  it("says why the daemon does not want it, once", async () => {
    const world = new WorkerWorld();
    world.answer = () => ({ type: "no", because: "it speaks protocol 1, and this daemon 2" });
    world.worker.start();
    await world.clock.advance(10_000);
    expect(world.warnings).toEqual([
      "the daemon gives this worker no tasks: it speaks protocol 1, and this daemon 2",
    ]);
  });

  it("says why again where the daemon has answered meanwhile", async () => {
    const world = new WorkerWorld();
    const because = "its key is another";
    let isRefused = true;
    world.answer = () => (isRefused ? { type: "no", because } : undefined);
    world.worker.start();
    await world.clock.advance(2_000);
    isRefused = false;
    await world.clock.advance(2_000);
    isRefused = true;
    await world.clock.advance(4_000);
    const told = `the daemon gives this worker no tasks: ${because}`;
    expect(world.warnings).toEqual([told, told]);
    await world.worker.close();
  });

  it("says bye three times where nobody answers, and no more", async () => {
    const world = await started();
    let byes = 0;
    world.answer = ({ type }) => {
      if (type !== "bye") return undefined;
      byes += 1;
      throw new BrokerSilence("nobody answers");
    };
    await world.worker.close();
    expect(byes).toBe(3);
  });

  it("that is told to end at once ends all, and says bye last", async () => {
    const world = await started();
    await world.running("etl@1#2");
    const left = world.worker.leave();
    await world.worker.close();
    await left;
    expect(world.pool.closed).toBe(true);
    expect(world.said.at(-1)).toMatchObject({ type: "bye", incarnation: "first" });
    expect(world.clock.timers).toBe(0);
  });

  it("that is told to end says bye once nothing is left of the runners of before", async () => {
    const world = await started();
    await world.running("etl@1#2");
    world.cut = true;
    let closed!: () => void;
    world.pool.untilClosed = new Promise((resolve) => (closed = resolve));
    await world.clock.advance(6_000);
    expect(world.pools).toHaveLength(2);
    world.cut = false;
    const ended = world.worker.close();
    await world.clock.settle();
    expect([world.pool.closed, world.of("bye")]).toEqual([true, []]);
    closed();
    await ended;
    expect(world.of("bye")).toHaveLength(1);
  });

  it("that is told to end at once begins nothing that it was given just before", async () => {
    const world = await started();
    let closed!: () => void;
    world.pool.untilClosed = new Promise((resolve) => (closed = resolve));
    const answer = world.grant("etl@1#2");
    const ended = world.worker.close();
    await world.clock.settle();
    expect(world.pool.running.size).toBe(0);
    expect(await answer).toEqual({ type: "taken" });
    closed();
    await ended;
    expect(world.worker.tasks).toEqual([]);
    expect(world.of("end")).toEqual([]);
  });
});

describe("a worker's task", () => {
  it("says its lines in order and its end last, each again until it is answered", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    handlers.output([printed("one"), printed("two")]);
    await world.clock.settle();
    world.cut = true;
    handlers.output([printed("three")]);
    handlers.output([printed("four", "log")]);
    handlers.done(FIVE, 12, 0);
    await world.clock.advance(2_000);
    world.cut = false;
    await world.clock.advance(250);
    const batches = world.of("output");
    expect(batches.map(({ number, lines }) => [number, lines.map(({ line }) => line)])).toEqual([
      [0, ["one", "two"]],
      [1, ["three"]],
      [2, ["four"]],
    ]);
    expect(world.of("end")).toMatchObject([{ batches: 3, end: { result: FIVE, durationMs: 12 } }]);
    expect(world.said.at(-1)!.type).toBe("end");
  });

  it("sends much output in batches that pass, one at a time", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    const answers: (() => void)[] = [];
    world.answer = ({ type }) =>
      type === "output"
        ? new Promise((resolve) => answers.push(() => resolve({ type: "yes" })))
        : undefined;
    for (let line = 0; line < 4_000; line += 1) handlers.output([printed(`${line} \u0001`)]);
    await world.clock.settle();
    expect(answers).toHaveLength(1);
    for (let next = answers.shift(); next !== undefined; next = answers.shift()) {
      next();
      await world.clock.settle();
    }
    const lines = world.of("output").flatMap(({ lines: some }) => some);
    expect(lines.map(({ line }) => Number.parseInt(line, 10))).toEqual(
      Array.from({ length: 4_000 }, (_, line) => line),
    );
    const longest = Math.max(...world.of("output").map((one) => JSON.stringify(one).length));
    expect(longest).toBeLessThan(600_000);
  });

  it("gives a new daemon the lines that it lacks, though the old one took them", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    handlers.output([printed("one"), printed("a", "stderr"), printed("two"), printed("b", "log")]);
    await world.clock.settle();
    expect(world.of("output")).toHaveLength(1);
    const adopt = {
      type: "adopt",
      id: "etl@1#2",
      heard: { stdout: 1, stderr: 1, log: 0 },
    } as const;
    expect(world.tell(adopt)).toEqual({ type: "taken" });
    handlers.output([printed("three")]);
    handlers.done(FIVE, 12, 0);
    await world.clock.settle();
    const since = world.of("output").slice(1);
    expect(since[0]!.number).toBe(0);
    expect(since.flatMap(({ lines }) => lines.map(({ line }) => line))).toEqual([
      "two",
      "b",
      "three",
    ]);
    expect(world.of("end")).toHaveLength(1);
    // That it is refused would mean that it never began.
    expect(world.tell(adopt)).toEqual({ type: "had" });
    expect(world.tell({ ...adopt, id: "etl@1#3" })).toEqual({
      type: "refused",
      because: "the worker has no such task",
    });
  });

  it("gets its files once, checked, and those that came damaged fail it", async () => {
    const world = await started();
    const code = { pick: "export:default", source: "./it.ts" };
    const bundle = world.keep("export default () => 1;");
    const artifact = world.keep('"long"');
    const body = JSON.stringify({ ...shellTask(), kind: "module", code: { ...code, bundle } });
    world.give("etl@1#2", { body, files: [bundle, artifact] });
    world.give("etl@1#3", { body, files: [bundle] });
    await world.clock.until(() => world.pool.running.size === 2);
    const path = join(world.cache.bundles, `${bundle}.mjs`);
    expect(readFileSync(path, "utf8")).toBe("export default () => 1;");
    expect(readFileSync(join(world.cache.artifacts, artifact), "utf8")).toBe('"long"');

    const damaged = hashOf("whole");
    world.files.set(damaged, Buffer.from("damaged"));
    world.give("etl@1#4", { files: [damaged] });
    world.give("etl@1#5", { files: [hashOf("gone")] });
    await world.clock.until(() => world.of("end").length === 2);
    expect(world.of("end").map(({ end }) => end)).toMatchObject([
      { result: { error: { name: "PlaceError", code: "ORCHD_PLACE" } } },
      { result: { error: { name: "PlaceError", code: "ORCHD_PLACE" } } },
    ]);
    const claimed = world.of("claim").map(({ id }) => id);
    expect(claimed.toSorted()).toEqual(["etl@1#2", "etl@1#3"]);
  });

  it("waits for its files where the broker is down, and its body may be an object", async () => {
    const world = await started();
    const hash = world.keep("1");
    world.bodies.set("body", JSON.stringify(shellTask()));
    world.cut = true;
    world.give("etl@1#2", { body: { object: "body" }, files: [hash] });
    await world.clock.advance(1_000);
    world.cut = false;
    await world.clock.until(() => world.pool.running.has("etl@1#2"));
    expect(world.of("claim")).toHaveLength(1);
  });

  it("gives a large result as files at the broker, also while that is down for long", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    const file = join(world.cache.artifacts, ".staged-1");
    writeFileSync(file, '"long"');
    const ref = { $artifact: hashOf('"long"'), bytes: 6 };
    world.cut = true;
    handlers.done({ ok: true, staged: { value: { ...ref }, files: [{ ref, file }] } }, 12, 0);
    await world.clock.advance(20_000);
    world.cut = false;
    await world.clock.until(() => world.of("end").length === 1);
    expect(world.of("end")[0]!.end).toMatchObject({
      result: { staged: { value: ref, files: [{ ref, file: ref.$artifact }] } },
    });
    expect(Buffer.from(world.files.get(ref.$artifact)!).toString()).toBe('"long"');
    expect(() => readFileSync(file)).toThrow("ENOENT");
  });

  it("that is stopped before it began never begins", async () => {
    const world = await started();
    world.cut = true;
    world.give("etl@1#2", { files: [hashOf("1")] });
    expect(
      world.tell({ type: "stop", id: "etl@1#2", mode: "graceful", because: "a person asked" }),
    ).toEqual({ type: "taken" });
    world.cut = false;
    world.keep("1");
    await world.clock.advance(1_000);
    expect(world.of("claim")).toEqual([]);
    expect(world.of("end")).toMatchObject([
      { end: { result: { ok: false, outcome: "stopped", error: { message: "a person asked" } } } },
    ]);
    expect(world.worker.tasks).toEqual([]);
  });

  it("whose runner died says so", async () => {
    const world = await started();
    const { handlers } = await world.running("etl@1#2");
    handlers.died({ inFlight: ["etl@1#2"], alone: true, because: "it died", code: "CODE" });
    await world.clock.settle();
    expect(world.of("end")[0]!.end).toEqual({
      kind: "died",
      inFlight: ["etl@1#2"],
      alone: true,
      because: "it died",
      code: "CODE",
    });
  });
});
