/** `orchd graph PIPELINE|RUN`: the steps and what each needs, as text, Mermaid or DOT. */
import { defined } from "../../core/defined.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { levels, needsOf, pipelineGraph, runGraph, type Graph } from "../../views/graph.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { runsBackwards } from "../../views/run-history.ts";
import { readRunNear } from "../../views/near-run.ts";
import { looksLikeRun } from "../../views/run-reading.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, invalidFile, seen, usageError, type ExitStatus } from "../exit.ts";
import { dot, mermaid } from "../graph-text.ts";
import { loadPipeline } from "../load-pipelines.ts";
import { statusMark, statusSpan } from "../render.ts";
import { span, type Part, type Terminal } from "../terminal.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, terminal } = context;
  const target = args.text("target")!;
  const graph = looksLikeRun(target)
    ? runGraph(seen(readRunNear(new RunStore(context.roots.runs), target)).state)
    : await graphOf(context, target);
  if (args.flag("json"))
    terminal.json({
      name: graph.name,
      dynamic: graph.dynamic,
      ...defined({ status: graph.status }),
      steps: graph.steps.map((step) => ({ ...step, needs: needsOf(step) })),
    });
  else if (args.text("format") === "mermaid") terminal.ownText(mermaid(graph.steps));
  else if (args.text("format") === "dot") terminal.ownText(dot(graph.name, graph.steps));
  else printGraph(terminal, graph);
  return EXIT.done;
}

/** A pipeline's steps by its file; where that is invalid or gone, by its newest run. */
async function graphOf(context: CommandContext, pipeline: string): Promise<Graph> {
  seen(knownPipeline(context.roots, pipeline));
  const loaded = await loadPipeline(context.roots, pipeline);
  if (loaded?.ok === true) {
    const { snapshot } = loaded.loaded;
    if (snapshot.dynamic !== undefined)
      context.terminal.note(
        `${pipeline} is dynamic: its function decides the steps as it runs. ` +
          "`orchd graph RUN` draws what a run did.",
      );
    return pipelineGraph(pipeline, snapshot);
  }
  const store = new RunStore(context.roots.runs);
  for (const { run } of runsBackwards(store, pipeline)) {
    if (!store.exists(run)) continue;
    const { snapshot } = seen(readRunNear(store, run)).state;
    const why = loaded === undefined ? "is gone" : "is invalid";
    context.terminal.note(`the file of ${pipeline} ${why}: this is what its run ${run} had.`);
    return pipelineGraph(pipeline, snapshot);
  }
  if (loaded !== undefined) throw invalidFile(pipeline, loaded.errors);
  throw usageError(`the file of ${pipeline} is gone, and it has no run to draw.`);
}

function printGraph(terminal: Terminal, graph: Graph): void {
  terminal.line(
    span("bold", graph.name),
    graph.status === undefined ? "" : [" ", statusSpan(graph.status)],
  );
  const level = levels(graph.steps);
  for (const step of graph.steps) {
    const mark: Part = step.status === undefined ? "○" : statusMark(step.status);
    const inputs = step.inputs.map(
      ({ name, from, output }) => `${name} = ${output === undefined ? from : `${from}.${output}`}`,
    );
    const after = step.after
      .filter((need) => !step.inputs.some(({ from }) => from === need))
      .map((need) => `after ${need}`);
    const needs = [...inputs, ...after].join(", ");
    terminal.line(
      "  ".repeat(level.get(step.step)! + 1),
      mark,
      " ",
      step.step,
      needs === "" ? "" : span("dim", `  ← ${needs}`),
      step.status === undefined ? "" : ["  ", statusSpan(step.status)],
    );
  }
}
