/** What a definition is read to: its code, each place that names it, and where a fault stands. */
import { describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import type { CodeRef, Json } from "../../src/core/snapshot.ts";
import { DefinitionReading, type CompileOrder } from "../../src/schedules/definition-reading.ts";

const FILE = "/root/schedules/p.yaml";
const yaml = (text: string) => {
  const reading = new DefinitionReading(FILE);
  return { reading, answer: reading.read({ kind: "yaml", text }) };
};
const code = (definition: Json, text = "") => {
  const reading = new DefinitionReading("/root/schedules/p.ts");
  return { reading, answer: reading.read({ kind: "code", text, definition }) };
};
const ref = (bundle: string): CodeRef => ({ bundle, pick: "export:default", source: "./s.ts" });
const order = (more: Partial<CompileOrder>): CompileOrder => ({
  code: new Map(),
  faults: new Map(),
  dynamic: undefined,
  settings: DEFAULT_SETTINGS,
  now: Date.UTC(2026, 10, 23),
  watched: [],
  ...more,
});
/** Each problem as `line:column message`. */
const said = (answer: { ok: boolean; problems?: readonly object[] }): unknown =>
  answer.problems?.map((problem) => {
    const { line, column, message } = problem as Record<string, unknown>;
    return `${String(line)}:${String(column)} ${String(message)}`;
  });

const TWO = `steps:
  a: { uses: ./s.ts }
  b: { uses: ./s.ts }
  c: { uses: ./t.ts }
`;

describe("code that a definition names", () => {
  it("is told once, with the first place that names it", () => {
    const { answer } = yaml(`orchestrator: mine\nhooks: { init: ./s.ts }\n${TWO}`);
    expect(answer.ok && answer.code.map(({ uses, path }) => [uses, path.join(".")])).toEqual([
      ["./s.ts", expect.any(String)],
      ["./t.ts", "steps.c.uses"],
      ["\u0001orchestrator:mine", "orchestrator"],
    ]);
    expect(answer.ok && answer.code.map(({ orchestrator }) => orchestrator)).toEqual([
      undefined,
      undefined,
      "mine",
    ]);
  });

  it("goes to each place that names it", () => {
    const { reading } = yaml(TWO);
    const code = new Map([
      ["./s.ts", ref("S")],
      ["./t.ts", ref("T")],
    ]);
    const compiled = reading.compile(order({ code }));
    expect(compiled.ok && compiled.loaded.snapshot.steps.map((step) => step.code?.bundle)).toEqual([
      "S",
      "S",
      "T",
    ]);
  });

  it("that cannot be used is a problem at each place, and the pipeline is not taken", () => {
    const { reading } = yaml(TWO);
    const faults = new Map([["./s.ts", "cannot be used"]]);
    const code = new Map([
      ["./s.ts", ref("S")],
      ["./t.ts", ref("T")],
    ]);
    const compiled = reading.compile(order({ code, faults }));
    expect(compiled.ok).toBe(false);
    expect(said(compiled as never)).toEqual([
      expect.stringMatching(/^2:\d+ .*cannot be used/),
      expect.stringMatching(/^3:\d+ .*cannot be used/),
    ]);
  });
});

describe("a definition from code", () => {
  it("has a mark where a function stands", () => {
    const mark = { $code: "in:a", source: "./p.ts" };
    const { answer } = code({ steps: { a: { uses: mark }, b: { uses: mark } } });
    expect(answer.ok && answer.code.map((it) => [it.path.join("."), it.mark])).toEqual([
      ["steps.a.uses", mark],
      ["steps.b.uses", mark],
    ]);
  });

  // The definition itself, `params` and `x` are levels too.
  it.each([
    [62, true],
    [63, false],
    [5_000, false],
  ])("that is nested %i deep is read without a crash", (depth, mayFit) => {
    let value: Json = 1;
    for (let level = 0; level < depth; level += 1) value = [value];
    const { answer } = code({ params: { x: value }, steps: {} });
    const isDeep = !answer.ok && JSON.stringify(answer.problems).includes("is nested more than");
    expect(isDeep).toBe(!mayFit);
  });

  it("tells a fault at its key, and not at one of that name before it", () => {
    const text = `const retries = 1;
export default pipeline({
  steps: {
    first: { retries: 1 },
    second: {
      retries: "many",
    },
  },
});
`;
    const { answer } = code({ steps: { second: { run: "x", retries: "many" } } }, text);
    expect(answer.ok).toBe(false);
    expect(said(answer as never)).toEqual([expect.stringMatching(/^6:7 /)]);
  });
});

it.each(["7", "[]", "null", '"text"'])("%s is no map", (text) => {
  const { answer } = yaml(text);
  expect(JSON.stringify(said(answer as never))).toContain(
    "must hold a map of keys and values, such as name:, schedule: and steps:",
  );
});
