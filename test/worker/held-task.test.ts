/**
 * One task of a worker, from its give to its end, with all around it played: what it says to the
 * daemon, when again, and when not; which files it holds; and when it begins.
 */
import { createHash } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isArtifactRef } from "../../src/core/artifact-ref.ts";
import type { Json } from "../../src/core/snapshot.ts";
import type { OutputLine, StagedValue, TaskResult } from "../../src/core/task.ts";
import { silentLog } from "../../src/log.ts";
import { BrokerSilence, MessageTooLong } from "../../src/places/broker/broker.ts";
import type { FromWorker, ToWorker, ToWorkerAnswer } from "../../src/places/broker/messages.ts";
import type { TaskHandlers } from "../../src/places/place.ts";
import { FileMissing, type FileCache } from "../../src/worker/file-cache.ts";
import { HeldTask } from "../../src/worker/held-task.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

type Give = Extract<ToWorker, { readonly type: "give" }>;
type Answer = ToWorkerAnswer | "silence" | Error | Promise<ToWorkerAnswer>;

const ID = "r@1#2";
const BUNDLE = "b".repeat(64);
const MAP = "c".repeat(64);
const VALUE = "d".repeat(64);
const YES: Answer = { type: "yes" };
const OK: TaskResult = { ok: true, value: 1 };
/** What a runner writes into a file, and what it does not. */
const LONG = "x".repeat(65_536);
const HALF = "x".repeat(40_000);
const LIKE = { $artifact: VALUE, bytes: 1 };
const line = (text: string): OutputLine => ({
  at: "2026-11-28T02:00:00.000Z",
  step: "it",
  attempt: 1,
  stream: "stdout",
  line: text,
});

function played(files: readonly string[] = [], more: Partial<Give> = {}) {
  const clock = new VirtualClock();
  const said: string[] = [];
  const messages: FromWorker[] = [];
  /** All that was asked: a function says what it is each time that it is said. */
  const asks: (FromWorker | (() => FromWorker))[] = [];
  const note = (text: string): void => void said.push(text);
  /** What the broker keeps, by its hash. */
  const kept = new Map<string, string>();
  /** What is answered, by what was said; the default is yes. */
  const answers: Partial<Record<FromWorker["type"], Answer[]>> = {};
  const world = {
    leaseHolds: true,
    startFault: undefined as Error | undefined,
    fileFaults: {} as Record<string, Error[]>,
    /** Files come once this is resolved, or fail with it. */
    files: Promise.resolve(),
    putFaults: [] as Error[],
    bodyFaults: [] as Error[],
  };
  let handlers: TaskHandlers | undefined;
  const cache = {
    use: async (kind: string, hash: string, _get: unknown, mapOf?: string) => {
      await world.files;
      const fault = world.fileFaults[hash]?.shift();
      if (fault !== undefined) throw fault;
      note(`use ${kind} ${hash[0]}${mapOf === undefined ? "" : ` of ${mapOf[0]}`}`);
    },
    release: (kind: string, hash: string, mapOf?: string) =>
      note(`release ${kind} ${hash[0]}${mapOf === undefined ? "" : ` of ${mapOf[0]}`}`),
  } as unknown as FileCache;
  const give: Give = {
    type: "give",
    id: ID,
    body: JSON.stringify({ kind: "module", code: { bundle: BUNDLE } }),
    files,
    alone: false,
    ...more,
  };
  const task: HeldTask = new HeldTask(give, {
    clock,
    log: silentLog,
    worker: "w1",
    incarnation: "i1",
    cache,
    line: {
      ask: async (asked) => {
        asks.push(asked);
        const message = typeof asked === "function" ? asked() : asked;
        messages.push(message);
        note(message.type);
        const answer = answers[message.type]?.shift() ?? YES;
        if (answer === "silence") throw new BrokerSilence("nobody answers");
        if (answer instanceof Error) throw answer;
        return answer;
      },
      hear: () => () => undefined,
      answerLength: 1_000,
      body: async (name) => {
        note(`body ${name}`);
        const fault = world.bodyFaults.shift();
        if (fault !== undefined) throw fault;
        return JSON.stringify({ kind: "shell" });
      },
      getFile: () => Promise.resolve(undefined),
      putFile: async (hash, content) => {
        const fault = world.putFaults.shift();
        if (fault !== undefined) throw fault;
        note(`put ${hash[0]} ${Buffer.from(content).toString()}`);
        kept.set(hash, Buffer.from(content).toString());
      },
    },
    leaseHolds: () => world.leaseHolds,
    begins: () => note("begins"),
    localTask: (one) => one,
    start: (_id, _task, heard, options) => {
      if (world.startFault !== undefined) throw world.startFault;
      note(`start ${JSON.stringify(options)}`);
      handlers = heard;
    },
    stop: (_id, mode, because) => note(`stop ${mode}: ${because}`),
    over: () => note("over"),
  });
  return {
    clock,
    task,
    world,
    answers,
    messages,
    asks,
    said: () => said.splice(0),
    /** A value with what its references mean. */
    valueOf: (value: Json): Json => {
      const whole = isArtifactRef(value) ? (JSON.parse(kept.get(value.$artifact)!) as Json) : value;
      if (typeof whole !== "object" || whole === null) return whole;
      const members = Object.entries(whole).map(([name, member]): [string, Json] => [
        name,
        isArtifactRef(member) ? (JSON.parse(kept.get(member.$artifact)!) as Json) : member,
      ]);
      return Object.fromEntries(members);
    },
    /** Gives it. @returns what the daemon is answered, once it is */
    begin: (isGranted = false, mayWait = true) => {
      const answer: { type?: string; end?: object | undefined } = {};
      const given = Promise.resolve(task.begin(give, isGranted, mayWait));
      void given.then((said) => Object.assign(answer, said));
      return answer;
    },
    ran: () => handlers!,
  };
}

type Played = ReturnType<typeof played>;
/** Gives it, and waits until it runs. */
async function running(...given: Parameters<typeof played>): Promise<Played> {
  const one = played(...given);
  one.begin();
  await one.clock.settle();
  expect(one.task.isRunning).toBe(true);
  one.said();
  return one;
}
const started = 'start {"alone":false}';
const last = ({ messages }: Played): FromWorker => messages.at(-1)!;
const result = (of: TaskResult, durationMs: number): object => ({
  end: { kind: "result", result: of, durationMs },
});

describe("a task that is given", () => {
  it("is claimed, begins after a yes, and is over once its end was taken", async () => {
    const one = played([VALUE]);
    const answer = one.begin();
    expect([one.task.isPending, one.task.isRunning]).toEqual([true, false]);
    await one.clock.settle();
    expect(answer.type).toBe("taken");
    expect(one.said()).toEqual(["use artifact d", "claim", "begins", started]);
    expect([one.task.isPending, one.task.isRunning]).toEqual([false, true]);
    one.ran().done(OK, 7, 0);
    expect(one.task.isRunning).toBe(false);
    await one.clock.settle();
    expect(one.said()).toEqual(["release artifact d", "end", "over"]);
    expect(last(one)).toMatchObject({ batches: 0, worker: "w1", id: ID, ...result(OK, 7) });
    expect(one.clock.timers).toBe(0);
    // Whatever comes now is of a task that is over.
    one.ran().done(OK, 7, 0);
    one.ran().output([line("late")]);
    one.task.lose();
    one.task.unknown();
    one.task.stop("force", "late");
    await one.clock.settle();
    expect(one.said()).toEqual([]);
  });

  it("begins without a claim where that was granted and the lease holds", async () => {
    const one = played();
    const answer = one.begin(true);
    await one.clock.settle();
    expect(one.said()).toEqual(["begins", started]);
    // The answer leaves with its end, or after a moment.
    expect(answer.type).toBeUndefined();
    await one.clock.advance(19);
    expect(answer.type).toBeUndefined();
    await one.clock.advance(1);
    expect(answer.type).toBe("begun");
  });

  it("that ends in that moment is answered with its end", async () => {
    const one = played();
    const answer = one.begin(true);
    await one.clock.settle();
    one.ran().done(OK, 1, 0);
    await one.clock.settle();
    expect(answer).toEqual({ type: "begun", ...result(OK, 1) });
    await one.clock.advance(999);
    expect(one.said()).toEqual(["begins", started]);
    one.task.settled();
    expect([one.said(), one.clock.timers]).toEqual([["over"], 0]);
  });

  it("says its end where nobody tells that it is durable, or it holds up others", async () => {
    const one = played();
    one.begin(true);
    await one.clock.settle();
    one.ran().done(OK, 1, 0);
    await one.clock.advance(1_000);
    expect(one.said()).toEqual(["begins", started, "end", "over"]);
    const other = played();
    const answer = other.begin(true, false);
    await other.clock.settle();
    other.ran().done(OK, 1, 0);
    await other.clock.settle();
    expect(answer).toEqual({ type: "begun" });
    expect([other.said().slice(-2), other.clock.timers]).toEqual([["end", "over"], 0]);
  });

  it("is claimed all the same where its files take longer than that moment", async () => {
    const one = played([VALUE]);
    one.world.fileFaults[VALUE] = [new BrokerSilence("x")];
    const answer = one.begin(true);
    await one.clock.advance(20);
    expect(answer.type).toBe("taken");
    await one.clock.advance(250);
    expect(one.said()).toEqual(["use artifact d", "claim", "begins", started]);
  });

  it("is claimed where it is given again meanwhile", async () => {
    const one = played([VALUE]);
    one.world.fileFaults[VALUE] = [new BrokerSilence("x")];
    one.begin(true);
    expect(one.task.given).toEqual({ type: "taken" });
    await one.clock.advance(250);
    expect(one.said()).toContain("claim");
    expect(one.task.given).toEqual({ type: "begun" });
  });

  it("is claimed where it was granted and the lease is over", async () => {
    const one = played();
    one.world.leaseHolds = false;
    const answer = one.begin(true);
    await one.clock.settle();
    expect(answer.type).toBe("taken");
    // A yes to a worker without a lease counts for nothing.
    expect(one.said()).toEqual(["claim", "begins", "over"]);
  });

  it.each<[string, Answer]>([
    ["no", { type: "no", because: "another has it" }],
    ["something else", { type: "again" }],
  ])("and whose claim is answered with %s is over, without a word", async (_, answer) => {
    const one = played([VALUE]);
    one.answers.claim = [answer];
    one.begin();
    await one.clock.advance(60_000);
    expect(one.said()).toEqual(["use artifact d", "claim", "release artifact d", "over"]);
  });

  it("claims again each quarter of a second while nobody answers", async () => {
    const one = played();
    one.answers.claim = ["silence", "silence", "silence"];
    one.begin();
    await one.clock.settle();
    await one.clock.advance(249);
    expect(one.said()).toEqual(["claim"]);
    await one.clock.advance(501);
    expect(one.said()).toEqual(["claim", "claim", "claim", "begins", started]);
  });

  it("that cannot be started has failed, with the reason", async () => {
    const one = played([VALUE]);
    one.world.startFault = new Error("it is in use");
    one.begin();
    await one.clock.settle();
    expect(one.said().slice(-3)).toEqual(["release artifact d", "end", "over"]);
    expect(last(one)).toMatchObject({
      end: { durationMs: 0, result: { ok: false, outcome: "failed" } },
    });
    expect(JSON.stringify(last(one))).toContain("it is in use");
  });

  it("may be in an object, which is asked for until it is there", async () => {
    const one = played([], { body: { object: "o1" }, alone: true, ahead: true });
    one.world.bodyFaults = [new BrokerSilence("x")];
    one.begin();
    await one.clock.advance(250);
    expect(one.said()).toEqual([
      "body o1",
      "body o1",
      "claim",
      "begins",
      'start {"alone":true,"ahead":true}',
    ]);
  });
});

it("says nothing to a new daemon that it was about to say to the one before", async () => {
  const one = await running();
  one.answers.output = [new Promise<ToWorkerAnswer>(() => undefined)];
  one.ran().output([line("first")]);
  await one.clock.settle();
  const again = one.asks.at(-1) as () => FromWorker;
  expect(again()).toMatchObject({ type: "output", number: 0, lines: [line("first")] });
  one.ran().output([line("second")]);
  expect(one.task.adopt({ stdout: 0, stderr: 0 })).toEqual({ type: "taken" });
  await one.clock.settle();
  // The new one has other lines under this number.
  expect(last(one)).toMatchObject({ number: 0, lines: [line("first"), line("second")] });
  expect(again).toThrow(BrokerSilence);
});

describe("the files of a task", () => {
  it("are its bundle, the map beside it, and values, and all are let go once", async () => {
    const one = await running([BUNDLE, MAP, VALUE], { map: MAP });
    one.ran().done(OK, 1, 0);
    await one.clock.settle();
    const freed = ["release bundle b", "release artifact c of b", "release artifact d"];
    expect(one.said()).toEqual([...freed, "end", "over"]);
  });

  it("that nobody has any more fail it, but for the map", async () => {
    const one = played([MAP, VALUE], { map: MAP });
    one.world.fileFaults = {
      [MAP]: [new FileMissing("no map")],
      [VALUE]: [new FileMissing("The file is gone.")],
    };
    one.begin();
    await one.clock.settle();
    expect(one.said()).toEqual(["end", "over"]);
    expect(last(one)).toMatchObject({
      end: {
        result: {
          ok: false,
          error: { name: "PlaceError", message: "The file is gone.", code: "ORCHD_PLACE" },
        },
      },
    });
  });

  it("for which the worker has no room fail it with that reason", async () => {
    const one = played([VALUE]);
    one.world.fileFaults[VALUE] = [Object.assign(new Error("x"), { code: "ENOSPC" })];
    one.begin();
    await one.clock.settle();
    expect(last(one)).toMatchObject({
      end: {
        result: {
          error: {
            name: "PlaceError",
            code: "ORCHD_PLACE",
            message: expect.stringMatching(/^The worker has no room for what the step needs: /),
          },
        },
      },
    });
  });
});

describe("a stop", () => {
  it("of one that runs goes to its runner; of one that waits is its end", async () => {
    const one = await running();
    one.task.stop("graceful", "by me");
    expect(one.said()).toEqual(["stop graceful: by me"]);

    const other = played([VALUE]);
    other.world.fileFaults[VALUE] = [new BrokerSilence("x")];
    other.begin();
    await other.clock.settle();
    other.task.stop("force", "by me");
    await other.clock.advance(60_000);
    expect(other.said()).toEqual(["end", "over"]);
    expect(last(other)).toMatchObject(
      result(
        { ok: false, outcome: "stopped", error: { name: "Stopped", message: "by me" } } as never,
        0,
      ),
    );
  });
});

describe("a file that comes after its task was stopped", () => {
  it("is let go, and one that does not come changes nothing", async () => {
    for (const isThere of [true, false]) {
      const one = played([VALUE]);
      let come!: () => void;
      one.world.files = new Promise((resolve) => (come = resolve));
      if (!isThere) one.world.fileFaults[VALUE] = [new FileMissing("The file is gone.")];
      one.answers.end = ["silence"];
      one.begin();
      await one.clock.settle();
      one.task.stop("graceful", "by me");
      await one.clock.settle();
      expect(one.said()).toEqual(["end"]);
      come();
      await one.clock.settle();
      expect(one.said()).toEqual(isThere ? ["use artifact d", "release artifact d"] : []);
      await one.clock.advance(250);
      expect(one.said()).toEqual(["end", "over"]);
      expect(last(one)).toMatchObject({ end: { result: { outcome: "stopped" } } });
    }
  });
});

describe("what it says", () => {
  it("is one message at a time, each again until it is answered, the end last", async () => {
    const one = await running();
    one.answers.output = ["silence", YES, "silence"];
    one.answers.end = [new Error("sealed with another key"), "silence"];
    one.ran().output([line("a")]);
    one.ran().output([line("b")]);
    one.ran().done(OK, 7, 0);
    await one.clock.settle();
    expect(one.said()).toEqual(["output"]);
    await one.clock.advance(249);
    expect(one.said()).toEqual([]);
    await one.clock.advance(1);
    expect(one.said()).toEqual(["output", "output"]);
    await one.clock.advance(250);
    expect(one.said()).toEqual(["output", "end"]);
    await one.clock.advance(500);
    expect(one.said()).toEqual(["end", "end", "over"]);
    const numbers = one.messages.flatMap((message) =>
      message.type === "output" ? [[message.number, message.lines.length]] : [],
    );
    expect(numbers).toEqual([
      [0, 1],
      [0, 1],
      [1, 1],
      [1, 1],
    ]);
    expect(last(one)).toMatchObject({ batches: 2 });
  });

  it("is less where it is longer than the broker takes: some lines, and then why", async () => {
    const one = await running();
    const long = new MessageTooLong("a message has 70000 bytes, and 64512 are allowed");
    one.answers.output = [long, long];
    one.answers.end = [long];
    one.ran().output([line("a"), line("b"), line("c"), line("d")]);
    one.ran().done(OK, 7, 0);
    await one.clock.advance(2_000);
    expect(one.said().at(-1)).toBe("over");
    const texts = one.messages.flatMap((message) =>
      message.type === "output" ? [message.lines.map((each) => each.line).join("")] : [],
    );
    expect(texts).toEqual(["abcd", "ab", "a", "b", "cd"]);
    const error = {
      name: "PlaceError",
      message:
        "The step's end did not fit the broker: a message has 70000 bytes, and 64512 are " +
        "allowed. Raise what the broker allows (max_payload of NATS).",
      code: "ORCHD_PLACE",
    };
    expect(last(one)).toMatchObject({
      batches: 3,
      ...result({ ok: false, outcome: "failed", error }, 7),
    });
  });

  it("ends where the daemon says no, and what runs is ended by force, once", async () => {
    const one = await running([VALUE]);
    one.answers.output = [{ type: "no", because: "it is another's" }];
    one.ran().output([line("a")]);
    await one.clock.settle();
    expect(one.said()).toEqual(["output", "stop force: it is another's"]);
    one.task.unknown();
    one.ran().output([line("b")]);
    await one.clock.settle();
    expect(one.said()).toEqual([]);
    // It is over once nothing of it runs, and nobody is told of its end.
    one.ran().done(OK, 1, 0);
    await one.clock.settle();
    expect(one.said()).toEqual(["release artifact d", "over"]);
  });

  it("of one that died under it is how, and nothing where nobody wants it", async () => {
    const death = { inFlight: [ID, "x"], alone: true, because: "the runner died", code: "C" };
    const one = await running();
    one.ran().died({ ...death, blameless: "lost", behind: true });
    await one.clock.settle();
    expect(last(one)).toMatchObject({
      end: { kind: "died", ...death, blameless: "lost", behind: true },
    });
    expect(one.said()).toEqual(["end", "over"]);

    const other = await running();
    other.task.unknown();
    other.ran().died(death);
    await other.clock.settle();
    expect(other.said().slice(1)).toEqual(["over"]);
  });
});

describe("a new daemon that takes it over", () => {
  it("gets the lines that it lacks, from batch 0, and not what the old one was told", async () => {
    const one = await running();
    one.ran().output([line("a"), line("b"), line("c")]);
    await one.clock.settle();
    expect(one.said()).toEqual(["output"]);
    let answer!: (given: ToWorkerAnswer) => void;
    one.answers.output = [new Promise((resolve) => (answer = resolve))];
    one.ran().output([line("d")]);
    await one.clock.settle();
    expect(one.task.adopt({ stdout: 2, stderr: 0 })).toEqual({ type: "taken" });
    await one.clock.settle();
    expect(last(one)).toMatchObject({ number: 0, lines: [line("c"), line("d")] });
    one.said();
    // The old daemon's answer is nobody's any more.
    answer({ type: "no", because: "late" });
    await one.clock.settle();
    expect(one.said()).toEqual([]);
    one.ran().done(OK, 1, 0);
    await one.clock.settle();
    expect(one.said()).toEqual(["end", "over"]);
    expect(last(one)).toMatchObject({ batches: 1 });
  });

  it("is refused one that has not begun, and one that is not wanted", async () => {
    const waiting = played([VALUE]);
    waiting.world.fileFaults[VALUE] = [new BrokerSilence("x")];
    waiting.begin();
    await waiting.clock.settle();
    const refusal = { type: "refused", because: "the task has not begun" };
    expect(waiting.task.adopt({ stdout: 0, stderr: 0 })).toEqual(refusal);
    const dropped = await running();
    dropped.task.unknown();
    // It had begun, though what is left of it is being ended.
    expect(dropped.task.adopt({ stdout: 0, stderr: 0 })).toEqual({ type: "had" });
  });
});

describe("a lease that is over", () => {
  it("ends what waits and what runs, and leaves a result that is there", async () => {
    const waiting = played([VALUE]);
    waiting.answers.claim = ["silence"];
    waiting.begin();
    await waiting.clock.settle();
    waiting.said();
    waiting.task.lose();
    await waiting.clock.advance(60_000);
    expect(waiting.said()).toEqual(["release artifact d", "over"]);

    const one = await running([VALUE]);
    one.answers.end = ["silence"];
    one.ran().done(OK, 1, 0);
    await one.clock.settle();
    one.task.lose();
    expect(one.said()).toEqual(["release artifact d", "end"]);
    await one.clock.advance(250);
    expect(one.said()).toEqual(["end", "over"]);
  });
});

describe("a large result", () => {
  const staged = () => {
    const file = join(tempRoot().root, "value");
    writeFileSync(file, "large");
    const ref = { $artifact: VALUE, bytes: 5 };
    return { file, result: { ok: true, staged: { value: ref, files: [{ ref, file }] } } as never };
  };

  it("is put before its end is said, waits with one line, and its file goes at last", async () => {
    const one = await running();
    const { file, result: large } = staged();
    one.world.putFaults = [new BrokerSilence("the broker is full"), new BrokerSilence("again")];
    one.ran().done(large, 3, 0);
    // Reading it takes a turn of the disk.
    await expect.poll(() => one.messages.map(({ type }) => type)).toContain("output");
    expect(last(one)).toMatchObject({
      lines: [{ stream: "orchd", line: "its result waits: the broker is full" }],
    });
    await one.clock.advance(500);
    await one.clock.settle();
    expect(one.said()).toEqual(["output", "put d large", "end", "over"]);
    expect(last(one)).toMatchObject({
      batches: 1,
      end: { result: { staged: { files: [{ file: VALUE }] } }, durationMs: 3 },
    });
    expect(existsSync(file)).toBe(false);
  });

  it("that the broker lost is put again, and its end is said again", async () => {
    const one = await running();
    const { file, result: large } = staged();
    one.answers.end = [
      { type: "lacks", hash: VALUE },
      { type: "lacks", hash: BUNDLE },
    ];
    one.ran().done(large, 3, 0);
    await expect.poll(() => one.messages.length).toBe(3);
    expect(existsSync(file)).toBe(true);
    // It has no such file: it waits a moment, and says its end again.
    await one.clock.advance(250);
    expect(one.said()).toEqual(["put d large", "end", "put d large", "end", "end", "over"]);
  });

  it.each<[string, object, Json, number]>([
    ["as one", {}, LONG, 1],
    ["with all its outputs", { outputs: ["a", "b"] }, { a: LONG, b: 1 }, 1],
    ["with outputs that are long together", { outputs: ["a", "b"] }, { a: HALF, b: HALF }, 1],
    ["with what looks like a file", { outputs: ["a", "b"] }, { a: LONG, b: LIKE }, 2],
    ["output by output", { outputs: ["a", "b"] }, { a: LONG, b: `${LONG}y` }, 2],
  ])("that its runner had no room to write is put %s", async (_, more, value, puts) => {
    const one = await running([], {
      body: JSON.stringify({ kind: "module", code: { bundle: BUNDLE }, ...more }),
    });
    one.world.putFaults = [new BrokerSilence("the broker is full")];
    one.ran().done({ ok: true, value }, 3, 0);
    await one.clock.advance(250);
    const said = one.said();
    expect(said.filter((text) => text.startsWith("put "))).toHaveLength(puts);
    expect(said.slice(-2)).toEqual(["end", "over"]);
    const end = last(one) as Extract<FromWorker, { readonly type: "end" }>;
    // No broker takes a text of that length.
    expect(JSON.stringify(end).length).toBeLessThan(2_000);
    expect(end).toMatchObject({ end: { kind: "result", result: { ok: true }, durationMs: 3 } });
    const { staged } = (end.end as { result: { staged: StagedValue } }).result;
    expect(staged.files.map(({ file }) => file)).toEqual(
      staged.files.map(({ ref }) => ref.$artifact),
    );
    expect(one.valueOf(staged.value)).toEqual(value);
  });

  it("that was never written is put again where the broker lost it", async () => {
    const one = await running();
    const text = JSON.stringify(LONG);
    const hash = createHash("sha256").update(text).digest("hex");
    one.answers.end = [{ type: "lacks", hash }];
    one.ran().done({ ok: true, value: LONG }, 3, 0);
    await one.clock.settle();
    const put = `put ${hash[0]} ${text}`;
    expect(one.said()).toEqual([put, "end", put, "end", "over"]);
  });

  it("of one that nobody wants is removed", async () => {
    const one = await running();
    const { file, result: large } = staged();
    one.task.unknown();
    one.ran().done(large, 3, 0);
    await one.clock.settle();
    expect(existsSync(file)).toBe(false);
    expect(one.said().slice(1)).toEqual(["over"]);
  });
});
