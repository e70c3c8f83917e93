/** A graph of steps as Mermaid and as DOT. */
import type { GraphStep } from "../views/graph.ts";

/** A Mermaid flowchart: data are solid arrows with the input's name, order is dotted arrows. */
export function mermaid(steps: readonly GraphStep[]): string {
  const ids = new Map(steps.map(({ step }, index) => [step, `s${index}`]));
  const idOf = (step: string): string => ids.get(step) ?? "missing";
  const lines = ["flowchart TD"];
  for (const { step, status, inputs, after } of steps) {
    lines.push(`  ${idOf(step)}["${mermaidText(step, status)}"]`);
    for (const { name, from, output } of inputs)
      lines.push(`  ${idOf(from)} -->|"${mermaidText(name, output)}"| ${idOf(step)}`);
    for (const need of after)
      if (!inputs.some(({ from }) => from === need))
        lines.push(`  ${idOf(need)} -.-> ${idOf(step)}`);
  }
  return `${lines.join("\n")}\n`;
}

function mermaidText(name: string, detail: string | undefined): string {
  const text = detail === undefined ? name : `${name}: ${detail}`;
  return text.replaceAll(/["#;<>&`\\]/g, (character) => `#${character.charCodeAt(0)};`);
}

/** A Graphviz digraph: data are solid edges with the input's name, order is dashed edges. */
export function dot(name: string, steps: readonly GraphStep[]): string {
  const lines = [
    `digraph ${quoted(name)} {`,
    "  rankdir=TB;",
    '  node [shape=box, style=rounded, fontname="sans-serif"];',
  ];
  for (const { step, status, inputs, after } of steps) {
    const label = status === undefined ? "" : ` [label=${quoted(`${step}\n${status}`)}]`;
    lines.push(`  ${quoted(step)}${label};`);
    for (const { name, from } of inputs)
      lines.push(`  ${quoted(from)} -> ${quoted(step)} [label=${quoted(name)}];`);
    for (const need of after)
      if (!inputs.some(({ from }) => from === need))
        lines.push(`  ${quoted(need)} -> ${quoted(step)} [style=dashed];`);
  }
  return `${[...lines, "}"].join("\n")}\n`;
}

function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}
