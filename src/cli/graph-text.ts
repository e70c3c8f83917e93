/** A graph of steps as Mermaid and as DOT. */
import type { GraphStep } from "../views/graph.ts";

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
