/** Whom the daemon answers at a broker: each hello, and answers of a session that is over. */
import { describe, expect, it } from "vitest";
import { silentLog } from "../../../src/log.ts";
import { BROKER_PROTOCOL, type Hello } from "../../../src/places/broker/messages.ts";
import { ToldWorkers } from "../../../src/places/broker/told-workers.ts";
import { Workers } from "../../../src/places/broker/workers.ts";
import { BrokerSilence } from "../../../src/places/broker/broker.ts";
import type { GivenTask } from "../../../src/places/broker/given-task.ts";
import type { FarWorker } from "../../../src/places/broker/far-worker.ts";
import type { SealedBroker } from "../../../src/places/broker/sealed-broker.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const HELLO: Hello = {
  type: "hello",
  protocol: BROKER_PROTOCOL,
  version: "1.2.3",
  worker: "w1",
  incarnation: "i1",
  home: "h1",
};

function rig() {
  const clock = new VirtualClock();
  const changes: number[] = [];
  const told: string[] = [];
  const logged: string[] = [];
  const tells =
    (what: string) =>
    ({ name, session }: FarWorker, because?: string): void =>
      void told.push(
        [`${clock.monotonic()} ${what} ${name}`, session === undefined && "away", because]
          .filter(Boolean)
          .join(": "),
      );
  const says = (_: object, sentence: string): void => void logged.push(sentence);
  const workers = new Workers({
    place: "farm",
    clock,
    log: { ...silentLog, info: says, warn: says },
    root: "r1",
    gone: tells("gone"),
    overdue: tells("overdue"),
    silent: tells("silent"),
    renewed: tells("renewed"),
    changed: () => void changes.push(clock.monotonic()),
  });
  const enter = (hello: Hello = HELLO): FarWorker => {
    const answer = workers.hello(hello);
    const session = answer?.type === "welcome" ? answer.session : "";
    return workers.speaker({ worker: hello.worker, session } as never)!;
  };
  const beat = (worker: FarWorker, number: number, more: object = {}): boolean =>
    workers.beats(worker, { ...BEAT, worker: worker.name, ...more } as never, number);
  return { clock, workers, enter, changes, told, logged, beat };
}

const BEAT = {
  type: "beat",
  incarnation: "i1",
  protocol: BROKER_PROTOCOL,
  version: "1.2.3",
  node: "20.1.0",
  platform: "linux/x64",
  labels: ["gpu"],
  threads: 4,
  cores: 2,
  tasks: [],
  leaving: false,
};

it("a hello for any daemon, or for this one, is welcome; one for another is not answered", () => {
  const { workers } = rig();
  expect(workers.hello(HELLO)).toMatchObject({ type: "welcome", root: "r1" });
  expect(workers.hello({ ...HELLO, root: "r1" })).toMatchObject({ type: "welcome" });
  expect(workers.hello({ ...HELLO, root: "r2" })).toBeUndefined();
  // It is another daemon's matter: nothing is told of it here.
  expect(workers.hello({ ...HELLO, worker: "w2", root: "r2", protocol: 99 })).toBeUndefined();
  expect(workers.hosts([])).toEqual([]);
});

it.each<[string, Partial<Hello>, string]>([
  [
    "another protocol",
    { protocol: 99 },
    "it speaks protocol 99 (orchd 1.2.3), and the daemon speaks " +
      `${BROKER_PROTOCOL}: install the same release on both`,
  ],
  [
    "a name that is none",
    { worker: "a b" },
    "a worker's name has 1 to 64 letters, digits, dashes and underscores",
  ],
  [
    "the name of one that is here, from another folder",
    { home: "h2" },
    'another worker named "w1" serves this place: give each a name of its own',
  ],
])("%s is refused, and told for 30 s", async (_, more, because) => {
  const { workers, enter, clock, changes } = rig();
  if (more.home !== undefined) enter();
  const before = changes.length;
  expect(workers.hello({ ...HELLO, ...more })).toEqual({ type: "no", because });
  workers.hello({ ...HELLO, ...more });
  expect(changes.length).toBe(before + 1);
  if (more.home !== undefined) return;
  const name = more.worker ?? "w1";
  expect(workers.hosts(["gpu"])).toMatchObject([{ host: name, labels: ["gpu"], because }]);
  await clock.advance(29_999);
  expect(workers.hosts([])).toHaveLength(1);
  expect(changes.length).toBe(before + 1);
  await clock.advance(1);
  expect(workers.hosts([])).toEqual([]);
  expect([changes.length, clock.timers]).toEqual([before + 2, 0]);
  workers.hello({ ...HELLO, ...more });
  expect(changes.length).toBe(before + 3);
  workers.close();
  expect(clock.timers).toBe(0);
});

it("the same folder takes the name of one that is here", () => {
  const { workers, enter } = rig();
  enter();
  expect(workers.hello({ ...HELLO, incarnation: "i2" })).toMatchObject({ type: "welcome" });
});

it("what a worker answers in a session that has ended meanwhile counts for nothing", async () => {
  const { enter, clock } = rig();
  const worker = enter();
  const session = worker.session!;
  const answered = { session, number: 4, answer: { type: "taken" } };
  const adopt = async (meanwhile: () => void): Promise<unknown> => {
    const ask = (): Promise<unknown> => {
      meanwhile();
      return Promise.resolve(answered);
    };
    const told = new ToldWorkers({ askTogether: ask } as unknown as SealedBroker, clock);
    return told.adopt(worker, "run#1", { heard: { stdout: 0, stderr: 0 } } as never);
  };
  expect(await adopt(() => undefined)).toEqual({ kind: "taken", number: 4 });
  expect(await adopt(() => (worker.session = "another"))).toEqual({ kind: "silent" });
  worker.session = session;
  expect(await adopt(() => worker.leave("gone"))).toEqual({ kind: "silent" });
});

it.each([
  [{ type: "refused", because: "the task has not begun" }, "refused"],
  // It had begun.
  [{ type: "had" }, "silent"],
  // That says nothing of the task.
  [{ type: "refused", because: "another session", elsewhere: true }, "silent"],
])("what a worker answers that does not go on with a task: %j", async (answer, kind) => {
  const { enter, clock } = rig();
  const worker = enter();
  const ask = () => Promise.resolve({ session: worker.session, number: 4, answer });
  const told = new ToldWorkers({ askTogether: ask } as unknown as SealedBroker, clock);
  const heard = { stdout: 0, stderr: 0 };
  expect(await told.adopt(worker, "run#1", { heard } as never)).toEqual({ kind });
});

describe("a worker that is here", () => {
  it("is overdue, silent and gone, each once, counted from when it came", async () => {
    const { clock, workers, enter, told, logged, changes } = rig();
    await clock.advance(100_000);
    enter();
    expect(logged.splice(0)).toEqual(["a worker is here"]);
    await clock.advance(1_999);
    expect(told).toEqual([]);
    await clock.advance(14_000);
    expect(told).toEqual([
      "102000 overdue w1",
      "103500 silent w1",
      "115000 gone w1: away: the worker w1 was silent for 15 s",
    ]);
    expect(logged).toEqual(["the worker w1 was silent for 15 s"]);
    expect([changes, clock.timers]).toEqual([[103_500, 115_000], 0]);
    // One that never beat is not told of.
    expect(workers.hosts([])).toEqual([]);
  });

  it("has its time anew with each beat, and an old one counts for nothing", async () => {
    const { clock, enter, told, beat } = rig();
    const worker = enter();
    for (let number = 1; number <= 5; number += 1) {
      await clock.advance(1_500);
      expect(beat(worker, number)).toBe(true);
    }
    expect(beat(worker, 5)).toBe(false);
    expect(told).toEqual([]);
    await clock.advance(2_500);
    expect(told).toEqual(["9500 overdue w1"]);
  });

  it("changes what is told of it only by what is told", async () => {
    const { clock, enter, beat, changes } = rig();
    const worker = enter();
    beat(worker, 1);
    expect(changes).toEqual([0]);
    await clock.advance(1_000);
    beat(worker, 2, { tasks: ["a#1"] });
    expect(changes).toEqual([0]);
    beat(worker, 3, { labels: ["gpu", "big"] });
    beat(worker, 4, { labels: ["gpu", "big"], leaving: true });
    expect(changes).toEqual([0, 1_000, 1_000]);
  });

  it("that starts again has nothing of before: its tasks are over, and then it is here", () => {
    const { workers, enter, told, beat } = rig();
    const worker = enter();
    beat(worker, 7, { tasks: ["a#1"] });
    enter({ ...HELLO, incarnation: "i2" });
    expect(told).toEqual(["0 gone w1: away: the worker w1 started again"]);
    expect([worker.incarnation, worker.number, worker.tasks.size, worker.beat]).toEqual([
      "i2",
      0,
      0,
      undefined,
    ]);
    expect([workers.here.length, workers.get("w1")]).toEqual([1, worker]);
  });

  it("that has a new session is the same one, and its numbers begin again", () => {
    const { enter, told, beat } = rig();
    const worker = enter();
    beat(worker, 7, { tasks: ["a#1"] });
    enter();
    expect(told).toEqual(["0 renewed w1"]);
    expect([worker.number, worker.tasks.size]).toEqual([0, 1]);
    expect(beat(worker, 1)).toBe(true);
  });

  it.each([
    [4_000, "it is silent"],
    [20_000, "it was silent for 15 s"],
  ])("that is back after %d ms is told of as here, though it beats as before", async (ms, was) => {
    const { clock, workers, enter, beat, changes } = rig();
    beat(enter(), 1);
    await clock.advance(ms);
    expect(workers.hosts([])[0]!.because).toBe(was);
    const before = changes.length;
    beat(enter(), 1);
    expect(workers.hosts([])[0]!.because).toBeUndefined();
    expect(changes.length).toBe(before + 1);
  });

  it("that nobody listens as gets nothing, and says so until it beats", () => {
    const { workers, enter, told, beat, logged, changes } = rig();
    const worker = enter();
    beat(worker, 1);
    workers.missed(worker);
    expect([told, changes.length]).toEqual([["0 silent w1"], 2]);
    expect(logged.at(-1)).toBe("nobody listens as the worker w1: it or its connection has ended");
    expect(workers.hosts([])[0]!.because).toMatch(/^nobody listens as it/);
    beat(worker, 2);
    expect(workers.hosts([])[0]!.because).toBeUndefined();
  });

  it("that ends is told of for ten minutes, and watched no more", async () => {
    const { clock, workers, enter, told, beat, logged, changes } = rig();
    const worker = enter();
    beat(worker, 1);
    workers.bye(worker);
    expect([told, workers.here]).toEqual([["0 gone w1: away: the worker w1 ended"], []]);
    expect(logged.at(-1)).toBe("the worker w1 ended");
    await clock.advance(599_999);
    expect(workers.hosts(["far"])).toMatchObject([
      { host: "w1", labels: ["far", "gpu"], because: "it ended" },
    ]);
    expect(changes).toEqual([0, 0]);
    await clock.advance(1);
    expect(workers.hosts([])).toEqual([]);
    expect([changes, clock.timers]).toEqual([[0, 0, 600_000], 0]);
    // It may come back.
    enter();
    expect(workers.here).toHaveLength(1);
    workers.close();
    expect(clock.timers).toBe(0);
  });
});

describe("a worker that was refused", () => {
  it("is not told of any more once it is here, though that was short", () => {
    const { workers, enter } = rig();
    workers.hello({ ...HELLO, protocol: 99 });
    expect(workers.hosts([])).toHaveLength(1);
    workers.bye(enter());
    expect(workers.hosts([])).toEqual([]);
  });

  it("is told of again where the reason is another one", () => {
    const { workers, logged, changes } = rig();
    for (const protocol of [98, 98, 99, 98]) workers.hello({ ...HELLO, protocol });
    expect(logged.map((text) => /protocol \d+/.exec(text)![0])).toEqual(
      [98, 99, 98].map((protocol) => `protocol ${protocol}`),
    );
    expect(changes).toHaveLength(3);
  });

  it("as one of more than 10,000 may come once others were gone for ten minutes", async () => {
    const { clock, workers } = rig();
    for (let nth = 0; nth < 10_000; nth += 1) workers.hello({ ...HELLO, worker: `n${nth}` });
    const more = (): unknown => workers.hello({ ...HELLO, worker: "more" });
    const because = "this place has 10000 workers already";
    expect(more()).toEqual({ type: "no", because });
    await clock.advance(600_000);
    expect(more()).toEqual({ type: "no", because });
    await clock.advance(1);
    expect(more()).toMatchObject({ type: "welcome" });
  });
});

describe("what a worker is told", () => {
  /** What is asked of it, and when; each is answered as the test says. */
  function tellRig(answers: (message: { type: string }) => object | undefined) {
    const { clock, enter } = rig();
    const worker = enter();
    const asked: [at: number, message: { type: string }, timeoutMs: number][] = [];
    const ask = (_at: string, says: { message: { type: string } }, timeoutMs: number) => {
      asked.push([clock.monotonic(), says.message, timeoutMs]);
      const answer = answers(says.message);
      return answer === undefined
        ? Promise.reject(new BrokerSilence("nobody"))
        : Promise.resolve({ session: worker.session, number: 4, answer });
    };
    const broker = { ask, askTogether: ask, fits: () => true } as unknown as SealedBroker;
    return { clock, worker, asked, told: new ToldWorkers(broker, clock) };
  }
  const taskOf = (worker: FarWorker, at: "claimed" | "granted"): GivenTask => {
    const state = { at, worker, number: 1 };
    const first = { mode: "graceful", because: "bob" };
    return { id: "r#1", state, told: first } as unknown as GivenTask;
  };

  it("is given a task with all that it needs to know, and has two seconds", async () => {
    const { told, worker, asked } = tellRig(() => ({ type: "taken" }));
    const sent = { task: { kind: "shell" }, files: [{ hash: "h", path: "/h" }], map: "m" };
    const task = { id: "r#1", alone: false, isAhead: true, sent, objects: [] };
    await told.give(worker, task as unknown as GivenTask, true);
    const give = { type: "give", id: "r#1", body: '{"kind":"shell"}', files: ["h"], map: "m" };
    expect(asked).toEqual([[0, { ...give, alone: false, ahead: true, grants: true }, 2_000]]);
  });

  it("is told to stop each half second, until it answers", async () => {
    let silent = 3;
    const { told, worker, asked, clock } = tellRig(() =>
      (silent -= 1) >= 0 ? undefined : { type: "taken" },
    );
    const answer = told.stop(taskOf(worker, "granted"));
    await clock.advance(10_000);
    expect(await answer).toEqual({ type: "taken" });
    expect(asked.map(([at]) => at)).toEqual([0, 500, 1_000, 1_500]);
    expect(asked[0]![1]).toEqual({ type: "stop", id: "r#1", mode: "graceful", because: "bob" });
  });

  it.each([
    ["claimed", 1],
    ["granted", 3],
  ] as const)("in another session is told again where its task is %s", async (at, times) => {
    let others = 2;
    const { told, worker, asked, clock } = tellRig(() =>
      (others -= 1) >= 0
        ? { type: "refused", because: "the worker has another session", elsewhere: true }
        : { type: "taken" },
    );
    const answer = told.stop(taskOf(worker, at));
    await clock.advance(10_000);
    expect((await answer)?.type).toBe(at === "claimed" ? "refused" : "taken");
    expect(asked).toHaveLength(times);
  });

  it("is told no more of a stop that another one took the place of", async () => {
    const { told, worker, asked, clock } = tellRig(() => undefined);
    const task = taskOf(worker, "granted");
    const answer = told.stop(task);
    await clock.advance(500);
    task.told = { mode: "force", because: "ann" };
    await clock.advance(10_000);
    expect([await answer, asked.length]).toEqual([undefined, 2]);
  });

  it("is told of durable ends together, a tenth of a second later, each once", async () => {
    const { told, worker, asked, clock } = tellRig(() => ({ type: "here" }));
    told.settled(worker, "r#1");
    await clock.advance(50);
    told.settled(worker, "r#2");
    await clock.advance(49);
    expect(asked).toEqual([]);
    await clock.advance(1);
    expect(asked.map(([at, { type }]) => [at, type])).toEqual([[100, "settled"]]);
    expect(worker.hasSettled).toBe(false);
    told.settled(worker, "r#3");
    await clock.advance(100);
    expect(asked).toHaveLength(2);
    await clock.advance(10_000);
    expect([asked.length, clock.timers]).toEqual([2, 1]);
  });
});
