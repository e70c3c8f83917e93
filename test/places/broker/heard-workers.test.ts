/** What a worker says, and what becomes of tasks by it. Its parts are played. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BrokerSilence } from "../../../src/places/broker/broker.ts";
import { FarWorker } from "../../../src/places/broker/far-worker.ts";
import { GivenTask } from "../../../src/places/broker/given-task.ts";
import { GivenTasks } from "../../../src/places/broker/given-tasks.ts";
import { HeardWorkers } from "../../../src/places/broker/heard-workers.ts";
import type { HeardWorkersPorts } from "../../../src/places/broker/heard-workers.ts";
import type { FromWorker, TaskEnd } from "../../../src/places/broker/messages.ts";
import { canMount } from "../../support/figures.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** The files of `lack`. */
const [HASH, OTHER] = ["a".repeat(64), "b".repeat(64)];
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** The daemon's side of a place, with two workers. */
class Daemon {
  readonly said: string[] = [];
  readonly #sayings = new EventTarget();
  readonly clock = new VirtualClock();
  readonly objects = new Map<string, string>();
  readonly folder = mkdtempSync(join(tmpdir(), "orchd-heard-"));
  readonly [w: `w${number}`]: FarWorker;
  readonly w1 = this.#worker("w1");
  readonly w2 = this.#worker("w2");
  /** Tasks that an earlier daemon may have started. */
  readonly wanted = new Set<string>();
  /** What putting a file, or getting one, meets. */
  fault: Error | undefined;
  knows = true;
  isNewer = true;
  isAbsent = true;
  /** Happens while a worker is called, or a file is fetched. */
  meanwhile: () => void = () => undefined;
  readonly broker = { state: { up: true } };
  readonly tasks: GivenTasks;
  readonly heard: HeardWorkers;

  constructor() {
    const broker = {
      broker: this.broker,
      get: async (name: string) => {
        this.meanwhile();
        if (this.fault !== undefined) throw this.fault;
        const text = this.objects.get(name);
        return text === undefined ? undefined : Buffer.from(text);
      },
      remove: async (names: readonly string[]) => this.say("remove", ...names),
    } as unknown as HeardWorkersPorts["broker"];
    this.tasks = new GivenTasks({
      clock: this.clock,
      broker,
      settled: ({ name }, id) => this.say("settled", name, id),
      roomChanged: () => this.say("room"),
    });
    this.heard = new HeardWorkers(this.#ports(broker));
  }

  say(...words: readonly unknown[]): void {
    this.said.push(words.join(" "));
    this.#sayings.dispatchEvent(new Event("said"));
  }

  /** Something that begins with this word is said. */
  async saying(word: string): Promise<void> {
    while (!this.said.some((text) => text.startsWith(word))) await once(this.#sayings, "said");
  }

  #worker(name: string): FarWorker {
    const worker = new FarWorker(name);
    worker.enter(`session of ${name}`, { incarnation: `${name}-1`, home: name });
    worker.hear({ threads: 4, cores: 4, labels: [], tasks: [] } as never, 1, 0);
    return worker;
  }

  #ports(broker: HeardWorkersPorts["broker"]): HeardWorkersPorts {
    const warn = (_fields: object, message: string): void => this.say("warn", message);
    return {
      place: "farm",
      clock: this.clock,
      log: { warn },
      broker,
      workers: {
        speaker: ({ worker }: { worker: string }) =>
          this.knows ? this[worker as "w1"] : undefined,
        beats: (worker: FarWorker, beat: { tasks: readonly string[] }) => {
          if (this.isNewer) worker.tasks = new Set(beat.tasks);
          return this.isNewer;
        },
        bye: ({ name }: FarWorker) => this.say("bye", name),
        missed: ({ name }: FarWorker) => this.say("missed", name),
      },
      told: {
        call: async ({ name }: FarWorker) => {
          this.say("call", name);
          this.meanwhile();
          return this.isAbsent;
        },
      },
      giver: { give: ({ id }: GivenTask) => this.say("give", id) },
      tasks: this.tasks,
      earlier: {
        gone: () => this.say("earlier gone"),
        beat: ({ name }: FarWorker) => this.say("earlier", name),
        unbegun: (id: string) => this.say("earlier unbegun", id),
        mayBeWanted: (id: string) => this.wanted.has(id),
      },
      files: {
        put: async ({ path }: { path: string }) => {
          if (this.fault !== undefined) throw this.fault;
          this.say("put", path);
        },
      },
      fault: (sentence: string) => this.say("fault", sentence),
      roomChanged: () => this.say("room"),
    } as unknown as HeardWorkersPorts;
  }

  /** A task, wherever it is. */
  task(id: string, state: GivenTask["state"] = { at: "nowhere" }, kind = "shell"): GivenTask {
    const given = { kind, step: id, run: { attempt: 1 }, artifacts: this.folder, code: {} };
    const task = new GivenTask({
      id,
      task: given as never,
      handlers: {
        done: (result, ms) => this.say("done", id, JSON.stringify(result), ms),
        died: ({ blameless, because, code }) => this.say("died", id, blameless, because, code),
        output: (lines) => this.say("output", id, lines.length),
        placed: ({ place, host, ref }) => this.say("placed", id, place, host, ref),
      },
      sent: {
        task: given as never,
        files: [{ hash: HASH, path: `file of ${id}` }],
        map: undefined,
      },
      alone: false,
      isAhead: false,
    });
    task.state = state;
    this.tasks.add(task);
    return task;
  }

  /** A worker says something. @returns all that was said, and the answer */
  async says(message: object, number = 9, worker = "w1"): Promise<unknown[]> {
    this.said.length = 0;
    const whole = { worker, ...message } as unknown as FromWorker;
    const answer = await this.heard.hear({ worker, session: "s", number, message: whole });
    return [...this.said, answer];
  }

  /** The ids that are told to be unwanted. */
  async beat(tasks: readonly string[], number = 9): Promise<unknown[]> {
    return this.says({ type: "beat", tasks }, number);
  }
}

const YES = { type: "yes" };
const GONE = { type: "no", because: "it is not this worker's any more" };
const ended = (result: object, durationMs = 5): TaskEnd =>
  ({ kind: "result", result, durationMs }) as TaskEnd;
const OK = ended({ ok: true, value: 1 });
const DIED: TaskEnd = {
  kind: "died",
  inFlight: ["t"],
  alone: true,
  because: "it was killed",
  code: "C",
};

let daemon: Daemon;
beforeEach(() => {
  daemon = new Daemon();
});
afterEach(() => rmSync(daemon.folder, { recursive: true }));

describe("a worker", () => {
  it("of another session says hello first", async () => {
    daemon.knows = false;
    expect(await daemon.says({ type: "bye" })).toEqual([{ type: "again" }]);
  });

  it("that ends is answered", async () => {
    expect(await daemon.says({ type: "bye" })).toEqual(["bye w1", YES]);
  });

  it("whose beat is older than the last one is not answered", async () => {
    daemon.isNewer = false;
    daemon.task("t", { at: "claimed", worker: daemon.w1, number: 1 });
    expect(await daemon.beat([])).toEqual([undefined]);
  });
});

describe("a beat", () => {
  const END = ["earlier w1", "room", { type: "beat", unwanted: [] }];
  const LOST = "died t lost the worker w1 does not have it any more ORCHD_PLACE";

  it.each([
    ["was given and named by number before", "given", 8, ["give t"]],
    ["was given with this very number", "given", 9, []],
    ["was given, and its answer is under way", "given", undefined, []],
    ["was granted: that is asked for", "granted", undefined, []],
    ["was claimed before", "claimed", 8, ["room", LOST]],
    ["was claimed with this very number", "claimed", 9, []],
  ] as const)("that leaves out a task which %s", async (_name, at, number, said) => {
    const { w1: worker } = daemon;
    daemon.task("t", { at, worker, number } as GivenTask["state"]);
    expect(await daemon.beat([])).toEqual([...said, ...END]);
  });

  it("changes nothing for tasks that it names, or that others have", async () => {
    daemon.task("t", { at: "claimed", worker: daemon.w1, number: 1 });
    daemon.task("u", { at: "claimed", worker: daemon.w2, number: 1 });
    expect(await daemon.beat(["t"])).toEqual(END);
  });

  it("loses no task whose end is being taken", async () => {
    const task = daemon.task("t", { at: "claimed", worker: daemon.w1, number: 1 });
    task.ending = new Promise(() => undefined);
    expect(await daemon.beat([])).toEqual(END);
  });

  it("hears which of its tasks nobody wants", async () => {
    daemon.task("mine", { at: "given", worker: daemon.w1 });
    daemon.task("theirs", { at: "given", worker: daemon.w2 });
    daemon.task("left", { at: "granted", worker: daemon.w2 });
    daemon.tasks.leave(["left"]);
    daemon.tasks.heard(daemon.task("ended", { at: "claimed", worker: daemon.w1, number: 1 }));
    daemon.wanted.add("earlier");
    const ids = ["mine", "theirs", "left", "ended", "earlier", "none"];
    expect((await daemon.beat(ids)).at(-1)).toEqual({
      type: "beat",
      unwanted: ["theirs", "none"],
    });
  });
});

describe("a claim", () => {
  const NO = { type: "no", because: "it was given to another, or is not wanted any more" };

  it("is refused where the task is not there, and it has not begun", async () => {
    expect(await daemon.says({ type: "claim", id: "t" })).toEqual(["earlier unbegun t", NO]);
  });

  it("is refused where another has the task", async () => {
    daemon.task("t", { at: "given", worker: daemon.w2 });
    expect(await daemon.says({ type: "claim", id: "t" })).toEqual([NO]);
  });

  it.each(["given", "granted"] as const)("counts from its number: %s", async (at) => {
    const task = daemon.task("t", { at, worker: daemon.w1 });
    expect(await daemon.says({ type: "claim", id: "t" })).toEqual(["placed t farm w1 w1-1", YES]);
    expect(task.state).toMatchObject({ at: "claimed", number: 9 });
    // It comes again: the number of the first one holds.
    expect(await daemon.says({ type: "claim", id: "t" }, 12)).toEqual([YES]);
    expect(task.state).toMatchObject({ number: 9 });
  });
});

describe("output", () => {
  const output = (batch: number) => ({
    type: "output",
    id: "t",
    number: batch,
    lines: [{ line: "x" }],
  });

  it("is heard once, in order", async () => {
    daemon.task("t", { at: "claimed", worker: daemon.w1, number: 1 });
    expect(await daemon.says(output(1))).toEqual([
      { type: "no", because: "output before it is missing" },
    ]);
    expect(await daemon.says(output(0))).toEqual(["output t 1", YES]);
    expect(await daemon.says(output(0))).toEqual([YES]);
    expect(await daemon.says(output(1))).toEqual(["output t 1", YES]);
  });

  it.each([
    ["at this claim", 9],
    ["before it", 8],
  ])("said %s is not answered", async (_name, number) => {
    daemon.task("t", { at: "claimed", worker: daemon.w1, number: 9 });
    expect(await daemon.says(output(0), number)).toEqual([undefined]);
  });

  it.each([
    ["granted", { at: "granted" }],
    ["taken before", { at: "given", number: 8 }],
  ])("of a task that was %s says that it has begun", async (_name, state) => {
    const task = daemon.task("t", { ...state, worker: daemon.w1 } as GivenTask["state"]);
    expect(await daemon.says(output(0))).toEqual(["placed t farm w1 w1-1", "output t 1", YES]);
    expect(task.state).toMatchObject({ at: "claimed", number: 8 });
  });

  it.each([
    ["given, and not known to be taken", { at: "given" }, "w1"],
    ["taken with this number", { at: "given", number: 9 }, "w1"],
    ["another's", { at: "claimed", number: 1 }, "w2"],
  ])("of a task that is %s is none", async (_name, state, at) => {
    daemon.task("t", { ...state, worker: daemon[at as "w1"] } as GivenTask["state"]);
    expect(await daemon.says(output(0))).toEqual([GONE]);
  });

  it.each<[string, () => void, unknown]>([
    ["nobody knows", () => undefined, GONE],
    ["an earlier daemon may have given", () => daemon.wanted.add("t"), undefined],
    [
      "is left to the next daemon",
      () => {
        daemon.task("t", { at: "granted", worker: daemon.w1 });
        daemon.tasks.leave(["t"]);
      },
      undefined,
    ],
    [
      "has ended, and that is not durable",
      () => daemon.tasks.heard(daemon.task("t", { at: "claimed", worker: daemon.w1, number: 1 })),
      YES,
    ],
  ])("of a task that %s", async (_name, given, answer) => {
    given();
    expect(await daemon.says(output(0))).toEqual([answer]);
  });
});

describe("an end", () => {
  const end = (how: TaskEnd) => ({ type: "end", id: "t", batches: 0, end: how });
  const claimed = (kind = "shell"): GivenTask =>
    daemon.task("t", { at: "claimed", worker: daemon.w1, number: 1 }, kind);
  /** What is said until the answer waits for the end to be durable. */
  const begun = async (how: TaskEnd): Promise<[string[], Promise<unknown[]>]> => {
    const answer = daemon.says(end(how));
    await daemon.clock.settle();
    return [[...daemon.said], answer];
  };

  it("is answered once it is durable, and said again too", async () => {
    claimed();
    const [said, first] = await begun(OK);
    expect(said).toEqual(["room", 'done t {"ok":true,"value":1} 5']);
    let answers = 0;
    const both = [first, daemon.says(end(OK))].map((one) => one.then(() => (answers += 1)));
    await daemon.clock.settle();
    expect(answers).toBe(0);
    daemon.tasks.ended.settle(["t"]);
    await Promise.all(both);
    expect(daemon.said).toEqual([]);
    expect((await first).at(-1)).toEqual(YES);
    // It came a third time: nothing of it is known any more.
    expect(await daemon.says(end(OK))).toEqual([GONE]);
  });

  it("that was said before the claim is not answered", async () => {
    daemon.task("t", { at: "claimed", worker: daemon.w1, number: 9 });
    expect(await daemon.says(end(OK))).toEqual([undefined]);
  });

  it("of a task that was given up is told, to be refused", async () => {
    daemon.tasks.lose(claimed(), "gone");
    expect(await daemon.says(end(OK))).toEqual(['done t {"ok":true,"value":1} 5', GONE]);
  });

  it("by a death is told as it was, and durable like any other", async () => {
    claimed();
    const [said, answer] = await begun({ ...DIED, blameless: "unbegun" });
    expect(said).toEqual(["room", "died t unbegun it was killed C"]);
    daemon.tasks.ended.settle(["t"]);
    expect((await answer).at(-1)).toEqual(YES);
  });

  it("that is a failure has a message that fits", async () => {
    claimed();
    const error = { name: "E", message: "m".repeat(1_000_000) };
    const [said] = await begun(ended({ ok: false, outcome: "failed", error }));
    expect(said[1]!.length).toBeLessThan(100_000);
    daemon.tasks.close();
  });

  it("that is good tells how brief the code is, where it is a function", async () => {
    const paces: unknown[] = [];
    daemon.w1.paced = (...pace) => void paces.push(pace);
    for (const [kind, how] of [
      ["module", OK],
      ["module", ended({ ok: false, outcome: "failed", error: { name: "E", message: "m" } })],
      ["shell", OK],
    ] as const) {
      claimed(kind);
      const [, answer] = await begun(how);
      daemon.tasks.ended.settle(["t"]);
      await answer;
    }
    expect(paces).toEqual([[{}, 5]]);
  });
});

describe("a result in files", () => {
  const TEXT = '"long"';
  const staged = (text = TEXT): object => ({
    type: "end",
    id: "t",
    batches: 0,
    end: ended({
      ok: true,
      staged: {
        value: 1,
        files: [{ ref: { $artifact: sha256(text), bytes: text.length }, file: HASH }],
      },
    }),
  });
  const until = async (answer: Promise<unknown[]>): Promise<string[]> => {
    await daemon.saying("done");
    daemon.tasks.ended.settle(["t"]);
    await answer;
    return daemon.said;
  };
  beforeEach(() => {
    daemon.task("t", { at: "claimed", worker: daemon.w1, number: 1 });
    daemon.objects.set(`file ${HASH}`, TEXT);
  });

  it("is fetched, and its objects go once that is durable", async () => {
    const said = await until(daemon.says(staged()));
    expect(said[0]).toBe("room");
    expect(said[1]).toMatch(/^done t \{"ok":true,"staged":\{"value":1,"files":\[/);
    expect(said.slice(2)).toEqual([`remove file ${HASH}`]);
    const [file] = readdirSync(daemon.folder);
    expect(readFileSync(join(daemon.folder, file!), "utf8")).toBe(TEXT);
  });

  it("is asked for again where the broker has lost a file, five times", async () => {
    daemon.objects.clear();
    for (let n = 0; n < 5; n += 1)
      expect(await daemon.says(staged())).toEqual([{ type: "lacks", hash: HASH }]);
    const sentence = "its result did not come whole from its worker: a file of it is not at the";
    const said = await until(daemon.says(staged()));
    expect(said[0]).toBe(`warn ${sentence} broker`);
    expect(said[2]).toContain(`"PlaceError","message":"${sentence} broker","code":"ORCHD_PLACE"`);
  });

  it("that is another one fails the step, and is not asked for again", async () => {
    daemon.objects.set(`file ${HASH}`, '"lies"');
    const said = await until(daemon.says(staged()));
    expect(said[0]).toContain("a file of it is not what its sha256 says");
    expect(said[2]).toContain('"outcome":"failed"');
    expect(readdirSync(daemon.folder)).toEqual([]);
  });

  it("is not answered while the broker is silent, and taken when it is said again", async () => {
    daemon.fault = new BrokerSilence("down");
    expect(await daemon.says(staged())).toEqual([undefined]);
    daemon.fault = undefined;
    expect((await until(daemon.says(staged())))[1]).toContain('done t {"ok":true');
  });

  it("of a task that was given up meanwhile leaves no files, and is not answered", async () => {
    daemon.meanwhile = () => daemon.tasks.lose(daemon.tasks.get("t")!, "gone");
    expect((await daemon.says(staged())).slice(-2)).toEqual([
      "died t lost gone ORCHD_PLACE",
      undefined,
    ]);
    expect(readdirSync(daemon.folder)).toEqual([]);
  });

  it.skipIf(!canMount())("waits at its worker while the disk has no room for it", async () => {
    const long = "x".repeat(100_000);
    daemon.objects.set(`file ${HASH}`, long);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", daemon.folder]);
    try {
      const waits = "fault the disk is full: the result of a step at a worker waits";
      expect(await daemon.says(staged(long))).toEqual([waits, undefined]);
      expect(readdirSync(daemon.folder)).toEqual([]);
      execFileSync("mount", ["-o", "remount,size=1m", daemon.folder]);
      expect((await until(daemon.says(staged(long)))).at(-2)).toContain('done t {"ok":true');
    } finally {
      execFileSync("umount", ["--lazy", daemon.folder]);
    }
  });

  it("is fetched once where it is said twice", async () => {
    let fetches = 0;
    daemon.meanwhile = () => (fetches += 1);
    const answers = Promise.all([daemon.says(staged()), daemon.says(staged())]);
    await until(answers);
    expect(fetches).toBe(1);
  });
});

describe("an end that came with the answer to a give", () => {
  it("is taken once, and its worker is told when it is durable", async () => {
    const task = daemon.task("t", { at: "claimed", worker: daemon.w1, number: 1 });
    daemon.heard.ended(task, OK);
    daemon.heard.ended(task, OK);
    await daemon.clock.settle();
    expect(daemon.said).toEqual(["room", 'done t {"ok":true,"value":1} 5']);
    daemon.tasks.ended.settle(["t"]);
    expect(daemon.said.slice(2)).toEqual(["settled w1 t"]);
  });
});

describe("a file that a worker lacks", () => {
  const lack = (hash: string) => daemon.says({ type: "lack", hash });
  const NONE = { type: "no", because: "no task of this worker needs it" };

  it("is put where a task of this worker needs it", async () => {
    daemon.task("u", { at: "given", worker: daemon.w2 });
    expect(await lack(HASH)).toEqual([NONE]);
    daemon.task("t", { at: "given", worker: daemon.w1 });
    expect(await lack(OTHER)).toEqual([NONE]);
    expect(await lack(HASH)).toEqual(["put file of t", YES]);
  });

  it("is put as soon as the broker takes it, and nobody is told of a fault", async () => {
    const task = daemon.task("t", { at: "given", worker: daemon.w1 });
    daemon.fault = new BrokerSilence("its memory is full");
    const answer = lack(HASH);
    await daemon.clock.advance(2_500);
    daemon.fault = undefined;
    await daemon.clock.advance(1_000);
    expect(await answer).toEqual(["put file of t", YES]);
    // It is wanted no more: it is not put again.
    daemon.fault = new BrokerSilence("its memory is full");
    const late = lack(HASH);
    task.state = { at: "nowhere" };
    await daemon.clock.advance(1_000);
    expect((await late).at(-1)).toEqual(NONE);
    expect(daemon.clock.timers).toBe(0);
  });

  it("is asked for again where the broker is silent for long", async () => {
    daemon.task("t", { at: "given", worker: daemon.w1 });
    daemon.fault = new BrokerSilence("down");
    const answer = lack(HASH);
    await daemon.clock.advance(51_000);
    expect(await answer).toEqual([undefined]);
    expect(daemon.clock.timers).toBe(0);
  });

  it("that cannot be read is told to a person, and refused", async () => {
    daemon.task("t", { at: "given", worker: daemon.w1 });
    daemon.fault = new Error("EIO");
    expect(await lack(HASH)).toEqual([
      "fault a file of a task cannot be read: EIO",
      { type: "no", because: "the daemon cannot read it" },
    ]);
  });
});

describe("the tasks of a worker", () => {
  beforeEach(() => {
    daemon.task("given", { at: "given", worker: daemon.w1 });
    daemon.task("granted", { at: "granted", worker: daemon.w1 });
    daemon.task("claimed", { at: "claimed", worker: daemon.w1, number: 7 });
    daemon.task("other", { at: "claimed", worker: daemon.w2, number: 7 });
  });

  it("that is gone are lost, but for what has not begun", () => {
    daemon.heard.gone(daemon.w1, "it is gone");
    expect(daemon.said).toEqual([
      "give given",
      "room",
      "died granted lost it is gone ORCHD_PLACE",
      "room",
      "died claimed lost it is gone ORCHD_PLACE",
      "earlier gone",
    ]);
  });

  it("go to others where it claimed them not, and no others do", () => {
    daemon.heard.regive(daemon.w1);
    expect(daemon.said).toEqual(["give given"]);
  });

  it("with a new session are numbered from 1 again", () => {
    daemon.heard.renumber(daemon.w1);
    expect(daemon.said).toEqual(["give given"]);
    const numbers = ["claimed", "other"].map((id) => daemon.tasks.get(id)!.state);
    expect(numbers).toMatchObject([{ number: 0 }, { number: 7 }]);
  });
});

describe("a worker whose beat is overdue is called", () => {
  it.each<[string, () => void, readonly string[]]>([
    ["and gets no tasks where nobody listens", () => undefined, ["missed w1"]],
    ["and gets tasks where it answers", () => (daemon.isAbsent = false), []],
    ["and has beaten meanwhile", () => (daemon.w1.number = 2), []],
    ["and has a new session meanwhile", () => (daemon.w1.session = "new"), []],
    ["and it is the broker that is down", () => (daemon.broker.state.up = false), []],
  ])("%s", async (_name, meanwhile, said) => {
    daemon.meanwhile = meanwhile;
    await daemon.heard.call(daemon.w1);
    expect(daemon.said).toEqual(["call w1", ...said]);
  });
});
