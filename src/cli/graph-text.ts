/** A DAG as text, as Mermaid and as DOT. */
import type { SnapshotStep } from "../core/snapshot.ts";

/** One step to draw. */
export interface GraphStep {
  readonly step: string;
  /** Data: what each input comes from. */
  readonly inputs: readonly {
    readonly name: string;
    readonly from: string;
    readonly output?: string;
  }[];
  /** Order without data. */
  readonly after: readonly string[];
  /** Of a run: how the step stands. */
  readonly status?: string;
}

/** What is drawn of a step. */
export function graphStep(spec: SnapshotStep, status?: string): GraphStep {
  return {
    step: spec.id,
    inputs: Object.entries(spec.inputs).map(([name, { step, output }]) => ({
      name,
      from: step,
      ...(output === undefined ? {} : { output }),
    })),
    after: spec.after,
    ...(status === undefined ? {} : { status }),
  };
}

/** The steps that each step needs, once each, those that give data first. */
export function needsOf(step: GraphStep): string[] {
  return [...new Set([...step.inputs.map(({ from }) => from), ...step.after])];
}

/** Each step's place: one more than the highest of what it needs, from 0. */
export function levels(steps: readonly GraphStep[]): Map<string, number> {
  const level = new Map<string, number>();
  // Steps come in an order in which each stands after all it needs.
  for (const step of steps)
    level.set(step.step, Math.max(0, ...needsOf(step).map((need) => (level.get(need) ?? -1) + 1)));
  return level;
}

/** A Mermaid flowchart: data as solid arrows with the input's name, order as dotted ones. */
export function mermaid(steps: readonly GraphStep[]): string {
  const ids = new Map(steps.map(({ step }, index) => [step, `s${index}`]));
  const lines = ["flowchart TD"];
  for (const step of steps) {
    lines.push(
      `  ${ids.get(step.step)!}["${mermaidText(step.status === undefined ? step.step : `${step.step}: ${step.status}`)}"]`,
    );
    for (const { name, from, output } of step.inputs) {
      lines.push(
        `  ${ids.get(from) ?? "missing"} -->|"${mermaidText(output === undefined ? name : `${name}: ${output}`)}"| ${ids.get(step.step)!}`,
      );
    }
    for (const need of step.after)
      if (!step.inputs.some(({ from }) => from === need))
        lines.push(`  ${ids.get(need) ?? "missing"} -.-> ${ids.get(step.step)!}`);
  }
  return `${lines.join("\n")}\n`;
}

function mermaidText(text: string): string {
  return text.replaceAll(/["#;<>&`\\]/g, (character) => `#${character.charCodeAt(0)};`);
}

/** A Graphviz digraph: data as solid edges with the input's name, order as dashed ones. */
export function dot(name: string, steps: readonly GraphStep[]): string {
  const lines = [
    `digraph ${quoted(name)} {`,
    "  rankdir=TB;",
    '  node [shape=box, style=rounded, fontname="sans-serif"];',
  ];
  for (const step of steps) {
    lines.push(
      `  ${quoted(step.step)}${step.status === undefined ? "" : ` [label=${quoted(`${step.step}\n${step.status}`)}]`};`,
    );
    for (const input of step.inputs)
      lines.push(`  ${quoted(input.from)} -> ${quoted(step.step)} [label=${quoted(input.name)}];`);
    for (const need of step.after)
      if (!step.inputs.some(({ from }) => from === need))
        lines.push(`  ${quoted(need)} -> ${quoted(step.step)} [style=dashed];`);
  }
  return `${[...lines, "}"].join("\n")}\n`;
}

function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}
