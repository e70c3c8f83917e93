/** `orchd diff RUN RUN`: which steps ran in the second, and what changed since the first. */
import { RunStore } from "../../ledger/run-store.ts";
import { diffRuns, type StepDiff } from "../../views/run-diff.ts";
import { readRunNear } from "../../views/near-run.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, seen, type ExitStatus } from "../exit.ts";
import { statusSpan } from "../render.ts";
import { printTable } from "../table.ts";

/** The longest value of a param that is printed, in characters. */
const LONGEST_VALUE = 60;

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const store = new RunStore(roots.runs);
  const before = seen(readRunNear(store, args.text("run")!)).state;
  const after = seen(readRunNear(store, args.text("other")!)).state;
  const diff = diffRuns(before, after);
  if (args.flag("json")) {
    terminal.json(diff);
    return EXIT.done;
  }
  if (before.pipeline !== after.pipeline)
    terminal.note(
      `these are runs of two pipelines, ${before.pipeline} and ${after.pipeline}: ` +
        "steps are compared by name.",
    );
  for (const name of diff.params)
    terminal.line(
      `param "${name}": ${short(before.params[name])} became ${short(after.params[name])}`,
    );
  printTable(
    terminal,
    ["STEP", "BEFORE", "AFTER", "RAN ANEW", "WHAT CHANGED"],
    diff.steps.map((step) => [
      step.step,
      step.before === null ? "-" : statusSpan(step.before),
      step.after === null ? "-" : statusSpan(step.after),
      step.ranAnew ? "yes" : "no",
      whatChanged(step),
    ]),
  );
  return EXIT.done;
}

/** What is different about a step. The reason of a skip comes first: it explains the rest. */
function whatChanged({ after, because, skippedBefore, changes }: StepDiff): string {
  const isSkipped = after === "skipped" && because !== null;
  const parts = [
    ...(isSkipped ? [`skipped: ${because}`] : []),
    ...(skippedBefore === undefined || skippedBefore === because
      ? []
      : [`was skipped: ${skippedBefore}`]),
    ...(changes.length === 0 ? [] : [changes.join(", ")]),
  ];
  return parts.join("; ") || (because ?? "nothing");
}

function short(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE - 1)}…` : text;
}
