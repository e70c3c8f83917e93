/** What the calls of a dynamic pipeline's function send to the daemon, in which order, and when. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Json } from "../../src/core/snapshot.ts";
import type { DynamicCall } from "../../src/core/task.ts";
import { step, unmapped } from "../../src/steps/authoring.ts";
import { DynamicCaller } from "../../src/steps/dynamic-run.ts";

const read = step(() => "x", { name: "read" });
const sum = step(() => 1, { name: "sum", outputs: ["total", "count"] });
const onFailure = (): void => undefined;

/** A daemon that records calls, and answers when it is told to. */
class FakeDaemon {
  readonly calls: DynamicCall[] = [];
  /** What the daemon was asked, in order: `step ID`, `result ID`. */
  readonly asked: string[] = [];
  readonly refused = new Set<string>();
  readonly #answers = new Map<string, Promise<Json>>();
  readonly #settle = new Map<string, { done: (value: Json) => void; fail: (e: Error) => void }>();
  readonly caller = new DynamicCaller({
    module: { exports: { read, sum }, made: [read, sum], defined: [] },
    code: { bundle: "b", pick: "function", source: "./p.ts" },
    call: (method, argument) => this.#answer(method, argument),
  });

  readonly run = this.caller.methods;

  end(id: string, value: Json): void {
    void this.#waiting(id);
    this.#settle.get(id)!.done(value);
  }

  fail(id: string, error: Error): void {
    this.#waiting(id).catch(() => undefined);
    this.#settle.get(id)!.fail(error);
  }

  get ids(): string[] {
    return this.calls.map(({ id }) => id);
  }

  #waiting(id: string): Promise<Json> {
    let answer = this.#answers.get(id);
    if (answer === undefined) {
      answer = new Promise((done, fail) => void this.#settle.set(id, { done, fail }));
      this.#answers.set(id, answer);
    }
    return answer;
  }

  #answer(method: string, argument: Json | undefined): Promise<Json> {
    const { id } = argument as unknown as DynamicCall;
    this.asked.push(`${method} ${id}`);
    if (method === "result") return this.#waiting(id);
    if (this.refused.has(id)) return Promise.reject(new Error(`refused ${id}`));
    this.calls.push(argument as unknown as DynamicCall);
    return Promise.resolve(null);
  }
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await nextTurn();
};

describe("a call", () => {
  it("goes out at once, with its step, params and inputs as JSON", () => {
    const daemon = new FakeDaemon();
    const { run } = daemon;
    void run.submit(read, { params: { day: new Date(0) }, inputs: { a: [1, { b: null }] } });
    expect(daemon.calls).toEqual([
      {
        id: "read",
        name: "read",
        pick: "export:read",
        options: {},
        params: { day: "1970-01-01T00:00:00.000Z" },
        inputs: { a: { value: [1, { b: null }] } },
        after: [],
      },
    ]);
  });

  it("has the step's name as its id, and a number from the second one on", () => {
    const daemon = new FakeDaemon();
    const { run } = daemon;
    void run.submit(read);
    void run.submit(read, { id: "read_2" });
    void run.submit(read);
    void run.submit(sum);
    void run.submit(read);
    expect(daemon.ids).toEqual(["read", "read_2", "read_3", "sum", "read_4"]);
  });

  it("may not take an id that another one has, given or made", () => {
    const { run } = new FakeDaemon();
    void run.submit(read);
    expect(() => run.submit(sum, { id: "read" })).toThrow(/there is an invocation "read" already/);
    void run.submit(sum, { id: "own" });
    expect(() => run.submit(read, { id: "own" })).toThrow(/"own" already/);
  });

  it.each<[string, unknown, string]>([
    ["a number as its id", { id: 5 }, "has no control characters, not 5"],
    ["an empty id", { id: "" }, 'text that is not empty and has no control characters, not ""'],
    ["no id but null", { id: null }, "not null"],
    ["an object as its id", { id: {} }, "not an object"],
    ["a terminal's words in its id", { id: "a\u001b[31m" }, 'not "a\\\\x1b[31m"'],
    ["half a character in its id", { id: "\ud800" }, "not"],
    [
      "a key that is nearly one",
      { inptus: {} },
      'inptus is not known in a call; did you mean "inputs"?',
    ],
    ["a key that is none", { retry: {} }, "a call's keys are inputs, params, id, after"],
    ["no object", 5, '"read": what a call is given must be an object such as { inputs, params'],
    ["null", null, "not null"],
    [
      "a list of inputs",
      { inputs: [1] },
      '"read": inputs must be an object such as { NAME: value }',
    ],
    [
      "params of text",
      { params: "day" },
      'params must be an object such as { NAME: value }, not "day"',
    ],
    ["text as after", { after: "a" }, 'after must be a list of ids and handles, not "a"'],
    ["a number in after", { after: [5] }, "after must be a list of ids and handles, not with 5"],
    ["a hole in after", { after: [undefined] }, "not with undefined"],
  ])("with %s is refused before it is sent", (_what, options, said) => {
    const { run, calls } = new FakeDaemon();
    for (const call of [run.step, run.submit])
      expect(() => call(read, options as never)).toThrow(said);
    expect(calls).toEqual([]);
  });

  it.each<[string, object]>([
    ["a param", { id: "own", params: { n: 10n } }],
    ["an input", { id: "own", inputs: { n: 10n } }],
    ["a param of one made by its name", { params: { n: 10n } }],
  ])(
    "with a value that is no JSON as %s takes no id, and the end does not wait for it",
    async (_what, options) => {
      const daemon = new FakeDaemon();
      const { run, caller } = daemon;
      expect(() => run.submit(read, options as never)).toThrow(/BigInt/);
      void run.submit(read, "id" in options ? { id: "own" } : {});
      daemon.end("id" in options ? "own" : "read", { result: 1 });
      expect(await caller.end()).toEqual({ unawaited: [] });
      expect(daemon.ids).toEqual(["id" in options ? "own" : "read"]);
    },
  );

  it("over lists is refused where the lists or what follows them are no such thing", () => {
    const { run, calls } = new FakeDaemon();
    const refused: readonly [unknown, unknown, string][] = [
      [null, {}, "the lists to map over must be an object such as { NAME: [item, …] }, not null"],
      [[1, 2], {}, "not a list"],
      [{ a: [1] }, { inputs: {} }, "the lists are the second argument"],
      [{ a: [1] }, { id: 5 }, "not 5"],
      [{ a: [1] }, null, "what a call is given must be an object such as { params, id, after }"],
    ];
    for (const [inputs, options, said] of refused)
      for (const call of [run.map, run.product])
        expect(() => call(read, inputs as never, options as never)).toThrow(said);
    expect(calls).toEqual([]);
  });

  it("names earlier ones as inputs and in after, whole or by an output", () => {
    const daemon = new FakeDaemon();
    const { run } = daemon;
    const [first, second] = [run.submit(read), run.submit(sum)];
    void run.submit(read, {
      inputs: { whole: first, part: second.output("total"), promised: run.step(read) },
      after: ["named", second],
    });
    expect(daemon.calls.at(-1)).toMatchObject({
      inputs: {
        whole: { step: "read" },
        part: { step: "sum", output: "total" },
        promised: { step: "read_2" },
      },
      after: ["named", "sum"],
    });
  });

  it("waits for a promise among its inputs, and those after it for its being sent", async () => {
    const daemon = new FakeDaemon();
    const { run } = daemon;
    let give: (value: string) => void = () => undefined;
    const promise = new Promise<string>((resolve) => (give = resolve));
    const late = run.submit(read, { id: "late", inputs: { value: promise } });
    void run.submit(read, { id: "behind", after: [late] });
    void run.submit(read, { id: "free" });
    await turns();
    expect(daemon.ids).toEqual(["free"]);
    give("v");
    await turns();
    expect(daemon.ids).toEqual(["free", "late", "behind"]);
    expect(daemon.calls[1]!.inputs).toEqual({ value: { value: "v" } });
  });

  it("fails with the promise that it waited for, and is never sent", async () => {
    const daemon = new FakeDaemon();
    const { run } = daemon;
    const late = run.submit(read, { inputs: { value: Promise.reject(new Error("no value")) } });
    await expect(late.result()).rejects.toThrow("no value");
    expect(daemon.calls).toEqual([]);
  });

  it("has functions among its options by the step's number, and refuses them elsewhere", () => {
    const hooked = step(() => 1, { name: "hooked", hooks: { onFailure } });
    const daemon = new FakeDaemon();
    const host = {
      module: { exports: { hooked }, made: [read, hooked], defined: [] },
      code: { bundle: "b", pick: "function", source: "./p.ts" },
      call: (_: string, argument: Json | undefined) => {
        daemon.calls.push(argument as never);
        return Promise.resolve(null);
      },
    };
    void new DynamicCaller(host).methods.submit(hooked);
    expect(daemon.calls[0]!.options).toEqual({
      hooks: { onFailure: { $code: "made:1:onFailure", name: "onFailure" } },
    });
    const other = { ...host, module: { exports: { hooked }, made: [], defined: [] } };
    expect(() => new DynamicCaller(other).methods.submit(hooked)).toThrow(
      /has a function as onFailure, so it has to be made at the top level/,
    );
  });
});

describe("what a call is given", () => {
  /** The inputs of a call that is given this value. Undefined: it waits. */
  const inputOf = (value: unknown): unknown => {
    const daemon = new FakeDaemon();
    daemon.run
      .submit(read, { inputs: { value: value as never } })
      .result()
      .catch(() => undefined);
    return daemon.calls[0]?.inputs["value"];
  };

  it.each<[string, unknown, unknown]>([
    ["null", null, { value: null }],
    ["a text", "then", { value: "then" }],
    ["a number", 0, { value: 0 }],
    ["a list", [1, [2]], { value: [1, [2]] }],
    ["a promise", Promise.resolve(1), undefined],
  ])("as %s goes out at once, or waits where it has to be waited for", (_, value, sent) => {
    expect(inputOf(value)).toEqual(sent);
  });

  it("may be what waits itself, by handle, promise or output: it is sent after that", async () => {
    const daemon = new FakeDaemon();
    const { run } = daemon;
    let give: (value: string) => void = () => undefined;
    const promise = new Promise<string>((resolve) => (give = resolve));
    const late = run.submit(sum, { id: "late", inputs: { value: promise } });
    const awaited = run.step(sum, { id: "awaited", inputs: { value: promise } });
    void run.submit(read, { id: "handle", inputs: { a: 1, b: late } });
    void run.submit(read, { id: "output", inputs: { a: late.output("total") } });
    void run.submit(read, { id: "step", inputs: { a: awaited as never } });
    void run.submit(read, { id: "named", after: ["late"] });
    void run.submit(read, { id: "after", after: ["x", awaited] });
    await turns();
    expect(daemon.ids).toEqual(["named"]);
    give("v");
    await turns();
    expect(daemon.ids.toSorted()).toEqual(
      ["after", "awaited", "handle", "late", "named", "output", "step"].toSorted(),
    );
    const callOf = (id: string): DynamicCall => daemon.calls.find((call) => call.id === id)!;
    expect(["handle", "output", "step"].map((id) => callOf(id).inputs)).toEqual([
      { a: { value: 1 }, b: { step: "late" } },
      { a: { step: "late", output: "total" } },
      { a: { step: "awaited" } },
    ]);
    expect(callOf("after")).toMatchObject({ inputs: {}, after: ["x", "awaited"] });
  });

  it("may be null in a list, and for all of a list", async () => {
    const daemon = new FakeDaemon();
    const { handles } = daemon.run.map(read, { a: [null, "x"], b: unmapped(null) });
    // It has nothing to wait for: the calls went out at once.
    expect(daemon.ids).toEqual(["read", "read_2"]);
    await handles;
    expect(daemon.calls.map(({ inputs }) => inputs)).toEqual([
      { a: { value: null }, b: { value: null } },
      { a: { value: "x" }, b: { value: null } },
    ]);
  });
});

describe("a result", () => {
  it("is the step's result, or all its outputs where it declares some", async () => {
    const daemon = new FakeDaemon();
    const { run } = daemon;
    const [one, many, part] = [run.step(read), run.step(sum), run.submit(sum).output("count")];
    daemon.end("read", { result: 7 });
    daemon.end("sum", { total: 1, count: 2 });
    daemon.end("sum_2", { total: 3, count: 4 });
    expect(await one).toBe(7);
    expect(await many).toEqual({ total: 1, count: 2 });
    expect(await part.result()).toBe(4);
  });

  it("is asked for once the call was recorded, and rejects where it was refused", async () => {
    const daemon = new FakeDaemon();
    daemon.refused.add("read");
    await expect(daemon.run.step(read)).rejects.toThrow("refused read");
    expect(daemon.asked).toEqual(["step read"]);
    const second = daemon.run.step(read);
    daemon.end("read_2", { result: null });
    expect(await second).toBeNull();
    expect(daemon.asked.slice(1)).toEqual(["step read_2", "result read_2"]);
  });

  it("has no output that its step does not declare", () => {
    const { run } = new FakeDaemon();
    expect(() => run.submit(sum).output("mean")).toThrow(
      'the step of "sum" declares no output "mean"; it declares total, count',
    );
    expect(() => run.submit(read).output("anything")).not.toThrow();
  });
});

describe("a step that is called many times", () => {
  it("walks lists together, or gives every combination, the last list fastest", async () => {
    const daemon = new FakeDaemon();
    const lists = { a: [1, 2], b: ["x", "y"], all: unmapped([0]) };
    await daemon.run.map(read, lists).handles;
    await daemon.run.product(sum, { a: [1, 2], b: ["x", "y"] }).handles;
    const given = (id: string): unknown[] =>
      Object.values(daemon.calls.find((call) => call.id === id)!.inputs).map(
        (input) => (input as { value: Json }).value,
      );
    expect(["read", "read_2"].map(given)).toEqual([
      [1, "x", [0]],
      [2, "y", [0]],
    ]);
    expect(["sum", "sum_2", "sum_3", "sum_4"].map(given)).toEqual([
      [1, "x"],
      [1, "y"],
      [2, "x"],
      [2, "y"],
    ]);
  });

  it("gives ids from the one that was given, and results in the items' order", async () => {
    const daemon = new FakeDaemon();
    const all = daemon.run.map(read, { a: [1, 2, 3] }, { id: "own", after: ["before"] });
    await all.handles;
    expect(daemon.ids).toEqual(["own", "own_2", "own_3"]);
    expect(daemon.calls.map(({ after }) => after)).toEqual([["before"], ["before"], ["before"]]);
    daemon.end("own_3", { result: "c" });
    daemon.end("own", { result: "a" });
    daemon.end("own_2", { result: "b" });
    expect(await all).toEqual(["a", "b", "c"]);
  });

  it("waits for a list that an invocation gives", async () => {
    const daemon = new FakeDaemon();
    const list = daemon.run.submit(sum, { id: "list" });
    const mapped = daemon.run.map(read, { a: list.output("total") });
    await turns();
    expect(daemon.ids).toEqual(["list"]);
    daemon.end("list", { total: ["x", "y"], count: 2 });
    await mapped.handles;
    expect(daemon.ids).toEqual(["list", "read", "read_2"]);
  });

  it("needs a list", async () => {
    const { run } = new FakeDaemon();
    expect(() => run.map(read, {})).toThrow(/"read" has nothing to map over: give at least one/);
    const none = run.map(read, { a: Promise.resolve([]) });
    await expect(none).rejects.toThrow(/is an empty list/);
  });
});

describe("the end of the function", () => {
  it("names the failures that nobody waited for, and no others", async () => {
    const daemon = new FakeDaemon();
    const { run, caller } = daemon;
    void run.submit(read, { id: "left" });
    void run.submit(read, { id: "fine" });
    const caught = run.step(read, { id: "caught" }).catch(() => undefined);
    void run.step(read, { id: "unread" });
    for (const id of ["left", "caught", "unread"]) daemon.fail(id, new Error(`no ${id}`));
    daemon.end("fine", { result: 1 });
    await caught;
    expect(await caller.end()).toEqual({
      unawaited: [
        { id: "left", message: "no left" },
        { id: "unread", message: "no unread" },
      ],
    });
  });

  it("waits for what is under way, and for calls that are made meanwhile", async () => {
    const daemon = new FakeDaemon();
    const { run, caller } = daemon;
    let isOver = false;
    void run.step(read).then(() => void run.submit(sum));
    const end = caller.end().then(() => (isOver = true));
    daemon.end("read", { result: 1 });
    await turns();
    expect([daemon.ids, isOver]).toEqual([["read", "sum"], false]);
    daemon.end("sum", { total: 1, count: 1 });
    await end;
  });

  it("waits for the calls of a map whose list comes late, made before or meanwhile", async () => {
    const daemon = new FakeDaemon();
    const { run, caller } = daemon;
    let isOver = false;
    const late = (id: string): void =>
      void run.map(read, { a: run.submit(sum, { id }).output("total") }, { id: `${id}_of` });
    late("early");
    void run.step(read, { id: "first" }).then(() => late("meanwhile"));
    const end = caller.end().finally(() => (isOver = true));
    daemon.end("early", { total: [1], count: 1 });
    daemon.end("early_of", { result: 1 });
    daemon.end("first", { result: 1 });
    await turns();
    daemon.end("meanwhile", { total: [1], count: 1 });
    await turns();
    expect([daemon.ids, isOver]).toEqual([
      ["early", "first", "meanwhile", "early_of", "meanwhile_of"],
      false,
    ]);
    daemon.fail("meanwhile_of", new Error("too late"));
    expect(await end).toEqual({ unawaited: [{ id: "meanwhile_of", message: "too late" }] });
  });

  it("throws where a call could not be recorded, and nobody waited for it", async () => {
    const daemon = new FakeDaemon();
    daemon.refused.add("read");
    void daemon.run.submit(read);
    await expect(daemon.caller.end()).rejects.toThrow("refused read");
  });

  it("throws where a list could not be mapped, and nobody waited for it", async () => {
    const daemon = new FakeDaemon();
    void daemon.run.map(read, { a: Promise.resolve("no list") });
    await expect(daemon.caller.end()).rejects.toThrow(/is no list/);
    const other = new FakeDaemon();
    await other.run.map(read, { a: Promise.resolve("no list") }).catch(() => undefined);
    const { handles } = other.run.map(read, { a: Promise.resolve("no list") });
    await expect(handles).rejects.toThrow(/is no list/);
    expect(await other.caller.end()).toEqual({ unawaited: [] });
  });
});
