/** Graphs as text, to the letter: names that mean something to Mermaid and to DOT. */
import { expect, it } from "vitest";
import { dot, mermaid } from "../../src/cli/graph-text.ts";
import type { GraphStep } from "../../src/views/graph.ts";

const STEPS = [
  { step: "a", inputs: [], after: [] },
  {
    step: "b",
    status: "failed",
    inputs: [
      { name: 'in"\\', from: "a", output: "x<y" },
      { name: "n", from: "gone" },
    ],
    after: ["a", "c"],
  },
  { step: "c", inputs: [], after: ["b"] },
] as unknown as GraphStep[];

it("a need that is an input too is drawn once", () => {
  expect(mermaid(STEPS).split("\n")).toEqual([
    "flowchart TD",
    '  s0["a"]',
    '  s1["b: failed"]',
    '  s0 -->|"in#34;#92;: x#60;y"| s1',
    '  missing -->|"n"| s1',
    "  s2 -.-> s1",
    '  s2["c"]',
    "  s1 -.-> s2",
    "",
  ]);
});

it("quotes, backslashes and line feeds stay what they are in DOT", () => {
  expect(dot('p"\\', STEPS).split("\n")).toEqual([
    'digraph "p\\"\\\\" {',
    "  rankdir=TB;",
    '  node [shape=box, style=rounded, fontname="sans-serif"];',
    '  "a";',
    '  "b" [label="b\\nfailed"];',
    '  "a" -> "b" [label="in\\"\\\\"];',
    '  "gone" -> "b" [label="n"];',
    '  "c" -> "b" [style=dashed];',
    '  "c";',
    '  "b" -> "c" [style=dashed];',
    "}",
    "",
  ]);
});
