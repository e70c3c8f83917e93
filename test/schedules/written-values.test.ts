/** Values of a file that stay what was written, or are refused (docs/semantics.md 17b, 17c). */
import { describe, expect, it } from "vitest";
import { loader } from "./support.ts";

describe("a number that would not stay what was written is refused", () => {
  it.each([
    ["params: { a: 1285704473650888702 }", "which would become 1285704473650888700"],
    ["params: { a: [{ b: 9007199254740993 }] }", "which would become 9007199254740992"],
    ["params: { a: -0 }", "holds -0, which would become 0"],
    ["params: { a: 1e400 }", "would become no number at all"],
    ["params: { a: 0.33333333333333333333 }", "would become 0.3333333333333333"],
    ["params: { a: 0755 }", "holds 0755, which would become the number 755"],
    [
      "params: { a: 012345678901 }",
      "holds 012345678901, which would become the number 12345678901",
    ],
    ["params: { a: 0x20000000000001 }", "is beyond 2^53"],
    ["params: { a: .nan }", "not NaN"],
    ["params: { 1e3: a }", "has the key 1e3, which would become 1000"],
    ["schedule: { runOnceAt: 2026-12-01, params: { a: 0755 }, name: x }", "holds 0755"],
    ["env: { A: null }", "env.A is empty; it must be text"],
    ["env: { A: ~ }", "env.A is empty; it must be text"],
    ["env: { A: }", "env.A is empty; it must be text"],
    ['env: { A: "\\0" }', "NUL"],
    ['env: { A: "\\ud800" }', "half of a surrogate pair"],
  ])("%s", async (line, sentence) => {
    const root = loader({
      "schedules/p.yaml": `${line}\nsteps: { s: { run: "true" } }\n`,
    });
    expect((await root.bad("p.yaml")).join("\n")).toContain(sentence);
  });

  it("in JSON too", async () => {
    const step = '"steps": {"s": {"run": "true"}}';
    const root = loader({
      "schedules/a.json": `{"params": {"a": 1285704473650888702}, ${step}}`,
      "schedules/b.json": `{"params": {"a": 1, "a": 2}, ${step}}`,
      "schedules/c.json": `{"env": {"A": 1285704473650888702}, ${step}}`,
    });
    expect((await root.bad("a.json"))[0]).toContain("a.json:1:18: holds the number 12857");
    expect((await root.bad("b.json"))[0]).toContain('has the key "a" twice');
    expect((await root.good("c.json")).snapshot.env).toEqual({ A: "1285704473650888702" });
  });

  it("in code, where its digits are lost before anybody can look", async () => {
    const code = "export default { kind: 'pipeline', definition: ";
    const root = loader({
      "schedules/p.mjs": `${code}{
  env: { A: 1285704473650888702 }, steps: { s: { run: "true" } } } };\n`,
      "schedules/q.mjs": `${code}{
  params: { a: 6.02214076e23, b: 9007199254740991 }, steps: { s: { run: "true" } } } };\n`,
    });
    expect((await root.bad("p.mjs"))[0]).toContain("p.mjs:2:10: env.A is a number beyond 2^53");
    expect((await root.good("q.mjs")).params).toEqual({ a: 6.02214076e23, b: 9007199254740991 });
  });
});

it("a number with zeros before it says what it would become, and both ways out", async () => {
  const root = loader({
    "schedules/p.yaml": "params: { a: 007 }\nsteps: { s: { run: x } }\n",
  });
  expect(await root.bad("p.yaml")).toEqual([
    "schedules/p.yaml:1:14: holds 007, which would become the number 7: put it in quotes for the " +
      "text, or leave the zeros out",
  ]);
});

it("a param that stays the number it is, but not its text, is remarked on", async () => {
  const root = loader({
    "schedules/p.yaml": `params: { a: 1.10, b: 0x10, c: True, d: 2.5, e: "1.10", f: 2026-11-28 }
retry: { maxRetries: 1, backoff: 1.50 }
steps: { s: { run: "true", params: { x: 1e3 } } }
`,
  });
  const loaded = await root.good("p.yaml");
  expect(loaded.params).toEqual({ a: 1.1, b: 16, c: true, d: 2.5, e: "1.10", f: "2026-11-28" });
  const quotes = "which is what a step gets; put it in quotes if the text counts";
  expect(loaded.warnings).toEqual([
    `line 1: 1.10 is the number 1.1, ${quotes}`,
    `line 1: 0x10 is the number 16, ${quotes}`,
    `line 1: True is the value true, ${quotes}`,
    `line 3: 1e3 is the number 1000, ${quotes}`,
  ]);
});

it("line ends and a byte order mark are no part of a value", async () => {
  const root = loader({
    "schedules/p.yaml":
      "\ufeffenv: { A: 1.10 }\r\nsteps:\r\n  s:\r\n    run: |\r\n      a\r\n      b\r\n",
  });
  const loaded = await root.good("p.yaml");
  expect(loaded.snapshot.env).toEqual({ A: "1.10" });
  expect(loaded.snapshot.steps[0]!.run).toBe("a\nb\n");
});

it("what is no template is told where somebody wrote one", async () => {
  const root = loader({
    "schedules/p.yaml": `params: { x: 1 }
steps:
  a: { run: "echo \${params.x}" }
  b: { run: "true", cwd: "./\${params.x}" }
  c: { run: "true", shell: "bash \${params.x}" }
  d: { run: "print(f'\${params.x}')", shell: python3 }
`,
  });
  expect(await root.bad("p.yaml")).toEqual([
    "schedules/p.yaml:3:13: steps.a.run has ${params.x}, " +
      "but nothing is replaced in a shell text: " +
      'write "$ORCHD_PARAM_x", and give the step params: { x: "${params.x}" }',
    "schedules/p.yaml:4:26: steps.b.cwd has ./${params.x}, " +
      "but placeholders stand in params and env only",
    "schedules/p.yaml:5:28: steps.c.shell has ${params.x}, " +
      "but placeholders stand in params and env only",
  ]);
});

it.each([
  ["{ A: 010, <<: *base }", { A: "010", B: "020" }],
  ["{ <<: *base, A: 010 }", { A: "010", B: "020" }],
  ["{ <<: [*more, *base] }", { A: "030", B: "020" }],
  ["{ <<: [*base, *more] }", { A: "1.10", B: "020" }],
])("of what a map merges its own text wins, then the first: %s", async (env, expected) => {
  const root = loader({
    "schedules/p.yaml": `env: &base { A: 1.10, B: 020 }
steps:
  t: { run: "true", env: &more { A: 030 } }
  s: { run: "true", env: ${env} }
`,
  });
  const { steps } = (await root.good("p.yaml")).snapshot;
  expect(steps.find(({ id }) => id === "s")!.env).toEqual(expected);
});
