/** What a program gives with a placeholder or a submission, checked before anything is done. */
import { describe, expect, it } from "vitest";
import { BaseOrchestrator, LocalOrchestrator, Stack } from "../../src/index.ts";
import { checkedOptions, submissionOf } from "../../src/program/given-submission.ts";
import { originOf } from "../../src/program/definition-origin.ts";
import { pipeline } from "../../src/steps/authoring.ts";
import { snapshotOf, stepSpec } from "../support/given-run.ts";

const local = new LocalOrchestrator();
class Other extends BaseOrchestrator {
  static flavor = "other";
  override getOrchestratorRunId(): string {
    return "o";
  }
  override submitPipeline(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}
const made = snapshotOf([stepSpec("a")], { digest: "d".repeat(64) });
const dynamic = snapshotOf([], { dynamic: { bundle: "b", pick: "p", source: "s" } });
const stack = new Stack({ name: "main", orchestrator: local });

const given = (more: object, snapshot = made) =>
  submissionOf(
    local,
    snapshot.dynamic === undefined ? "submitPipeline" : "submitDynamicPipeline",
    more,
    snapshot,
  );

describe("the options of placeholder()", () => {
  it("are taken as they are", () => {
    for (const options of [
      {},
      { params: { a: [1, null] } },
      { noCache: true },
      { params: undefined },
    ])
      expect(checkedOptions(options)).toBe(options);
  });

  it.each<[unknown, string]>([
    [null, "the options of placeholder() are an object: { params?, noCache? }."],
    [[], "the options of placeholder() are an object: { params?, noCache? }."],
    ["x", "the options of placeholder() are an object: { params?, noCache? }."],
    [{ param: {} }, 'placeholder() has no option "param"; did you mean "params"?'],
    [{ zzzzzz: 1 }, 'placeholder() has no option "zzzzzz"'],
    [{ params: [] }, "params is no object: give each param by its name."],
    [{ params: null }, "params is no object: give each param by its name."],
    [{ params: { f: () => 1 } }, "the param f is a function, which JSON cannot hold."],
    [{ params: { a: [1n] } }, "the param a[0] is a BigInt, which JSON cannot hold."],
  ])("%o are refused", (options, sentence) => {
    expect(() => checkedOptions(options)).toThrow(new Error(sentence));
  });
});

describe("a submission", () => {
  it("has nothing left out", () => {
    expect(given({})).toEqual({
      orchestrator: local,
      stack: undefined,
      stackEnvironment: {},
      baseEnvironment: {},
      stepEnvironments: {},
    });
    expect(
      given({
        stack,
        snapshot: made,
        baseEnvironment: { A: "1" },
        stepEnvironments: { a: { B: "2" }, b: {} },
      }),
    ).toEqual({
      orchestrator: local,
      stack,
      stackEnvironment: {},
      baseEnvironment: { A: "1" },
      stepEnvironments: { a: { B: "2" } },
    });
    // A dynamic pipeline has one environment for all.
    expect(given({ environment: { A: "1" } }, dynamic).baseEnvironment).toEqual({ A: "1" });
    expect(given({ environment: { A: "1" }, baseEnvironment: { B: "2" } }).baseEnvironment).toEqual(
      {
        B: "2",
      },
    );
  });

  it("goes to the method that its pipeline is for", () => {
    expect(() => submissionOf(local, "submitDynamicPipeline", {}, made)).toThrow(
      new Error("pipeline p decides nothing as it runs: call submitPipeline."),
    );
    expect(() => submissionOf(local, "submitPipeline", {}, dynamic)).toThrow(
      new Error("pipeline p decides as it runs: call submitDynamicPipeline."),
    );
  });

  const other = new Stack({ name: "x", orchestrator: new Other({}) });
  const another =
    `the placeholder run is of pipeline p, version ${"d".repeat(12)}, ` +
    "and the snapshot is another one.";
  it.each<[object, string]>([
    [{ snapshot: { ...made, digest: "e" } }, another],
    [{ snapshot: { ...made, name: "q" } }, another],
    [{ stack: {} }, "stack is no Stack: make one with new Stack({ name, orchestrator })."],
    [{ stack: null }, "stack is no Stack: make one with new Stack({ name, orchestrator })."],
    [{ stack: other }, "the stack's orchestrator is other, and local was asked to submit the run."],
    [
      { stepEnvironments: [] },
      "stepEnvironments is no object: give each step's environment by its id.",
    ],
    [
      { stepEnvironments: { a: null } },
      "stepEnvironments.a is no object: an environment holds texts by name.",
    ],
    [
      { baseEnvironment: "A=1" },
      "baseEnvironment is no object: an environment holds texts by name.",
    ],
    [
      { baseEnvironment: { ORCHD_X: "1" } },
      "baseEnvironment has ORCHD_X: names that begin with ORCHD_ are orchd's own.",
    ],
    [
      { baseEnvironment: { "1A": "1" } },
      'baseEnvironment has "1A": a name has letters, digits and _, ' +
        "and does not begin with a digit.",
    ],
    [
      { stepEnvironments: { a: { A: 1 } } },
      "stepEnvironments.a has A, which is no text: an environment holds texts.",
    ],
  ])("%o is refused", (more, sentence) => {
    expect(() => given(more)).toThrow(new Error(sentence));
  });

  it("has no variable that no process can have", () => {
    expect(() => given({ baseEnvironment: { A: "a\0b" } })).toThrow(/^baseEnvironment A .*\.$/);
    const large = Object.fromEntries(
      Array.from({ length: 9 }, (_, n) => [`V${n}`, "x".repeat(2 ** 17 - 4)]),
    );
    const [{ V8: _last, ...most }, all] = [
      large,
      /^baseEnvironment has 1179\d{3} bytes in all, .*\.$/,
    ];
    expect(() => given({ baseEnvironment: large })).toThrow(all);
    expect(given({ baseEnvironment: most }).baseEnvironment).toEqual(most);
  });
});

describe("the file that made a definition", () => {
  it("is the first one of the stack that is not of the package", () => {
    const found = pipeline({ name: "x", steps: { a: { run: "true" } } });
    // This test is beside the package's sources, not in them.
    expect(originOf(found)).toEqual({ file: new URL(import.meta.url).pathname, name: "x" });
    expect(originOf(pipeline({ steps: { a: { run: "true" } } })).name).toBe("");
  });

  it("is asked of definitions alone, and has to be known", () => {
    expect(() => originOf({ steps: {} })).toThrow(
      new Error(
        "snapshot() takes a pipeline's name, the path of a file, " +
          "or what pipeline() or dynamicPipeline() returned.",
      ),
    );
    const copy = Object.defineProperty({ name: "x" }, Symbol.for("orchd.kind"), {
      value: "pipeline",
    });
    expect(() => originOf(copy)).toThrow(
      'it is not known which file made the pipeline "x": ' +
        "call pipeline() at the top level of a file, and keep orchd out of what is bundled.",
    );
  });
});
