/**
 * `orchd diff RUN RUN`: which steps ran anew in the second, and which inputs, params or code
 * changed since the first.
 */
import { canonicalJson } from "../../core/canonical-json.ts";
import type { RunState, StepState } from "../../core/run-state.ts";
import type { SnapshotStep } from "../../core/snapshot.ts";
import { RunStore } from "../../ledger/run-store.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, type ExitStatus } from "../exit.ts";
import { statusSpan } from "../render.ts";
import { readRun } from "../../views/run-view.ts";
import { printTable } from "../table.ts";

/** One step of `orchd diff --json`. */
export interface StepDifference {
  readonly step: string;
  /** Null where the run does not have the step. */
  readonly before: string | null;
  readonly after: string | null;
  /** Whether the second run executed it. */
  readonly ranAnew: boolean;
  /**
   * What is different about it: `code changed`, `param "path" changed`, `input "lines" changed`…
   */
  readonly changes: readonly string[];
  readonly because: string | null;
}

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const store = new RunStore(roots.runs);
  const [first, second] = [args.text("run")!, args.text("other")!];
  const before = readRun(store, first).state;
  const after = readRun(store, second).state;
  const params = keysOf(before.params, after.params).filter((name) =>
    differs(before.params[name], after.params[name]),
  );
  const ids = [...new Set([...before.steps.keys(), ...after.steps.keys()])];
  const steps = ids.map((id) => compareStep(id, before, after));
  if (args.flag("json")) {
    terminal.json({
      before: first,
      after: second,
      params,
      pipelineChanged: before.snapshot.digest !== after.snapshot.digest,
      steps,
    });
    return EXIT.done;
  }
  if (before.pipeline !== after.pipeline)
    terminal.note(
      `these are runs of two pipelines, ${before.pipeline} and ${after.pipeline}: steps are compared by name.`,
    );
  for (const name of params)
    terminal.line(
      `param "${name}": ${short(before.params[name])} became ${short(after.params[name])}`,
    );
  printTable(
    terminal,
    ["STEP", "BEFORE", "AFTER", "RAN ANEW", "WHAT CHANGED"],
    steps.map((step) => [
      step.step,
      step.before === null ? "-" : statusSpan(step.before),
      step.after === null ? "-" : statusSpan(step.after),
      step.ranAnew ? "yes" : "no",
      step.changes.join(", ") || (step.because ?? "nothing"),
    ]),
  );
  return EXIT.done;
}

function compareStep(id: string, before: RunState, after: RunState): StepDifference {
  const one = before.steps.get(id);
  const two = after.steps.get(id);
  return {
    step: id,
    before: one?.status ?? null,
    after: two?.status ?? null,
    ranAnew: two !== undefined && two.attempt > 0,
    changes:
      one === undefined
        ? ["new step"]
        : two === undefined
          ? ["step is gone"]
          : changesOf(one, two, before, after),
    because: two?.because ?? null,
  };
}

function changesOf(one: StepState, two: StepState, before: RunState, after: RunState): string[] {
  const [a, b] = [one.spec, two.spec];
  const changes: string[] = [];
  if (codeOf(a) !== codeOf(b))
    changes.push(a.run === undefined && b.run === undefined ? "code changed" : "command changed");
  for (const name of keysOf(a.params, b.params))
    if (differs(a.params[name], b.params[name])) changes.push(`param "${name}" changed`);
  for (const name of keysOf(a.inputs, b.inputs)) {
    const from = a.inputs[name];
    const to = b.inputs[name];
    if (from === undefined || to === undefined || differs(from, to))
      changes.push(`input "${name}" comes from elsewhere`);
    else if (outputDiffers(before, after, from)) changes.push(`input "${name}" changed`);
  }
  for (const name of keysOf(one.values ?? {}, two.values ?? {}))
    if (differs(one.values?.[name], two.values?.[name])) changes.push(`input "${name}" changed`);
  if (differs(a.env, b.env)) changes.push("env changed");
  if (differs(a.outputs ?? null, b.outputs ?? null)) changes.push("declared outputs changed");
  if (
    changes.length === 0 &&
    one.cacheKey !== undefined &&
    two.cacheKey !== undefined &&
    one.cacheKey !== two.cacheKey
  ) {
    changes.push(
      before.trigger.scheduledFor === after.trigger.scheduledFor
        ? "a file or cache function changed"
        : "another slot",
    );
  }
  return changes;
}

function codeOf(spec: SnapshotStep): string {
  return spec.run ?? (spec.code === undefined ? "" : `${spec.code.bundle} ${spec.code.pick}`);
}

/** Outputs that became artifacts are compared by their hashes, which is by content too. */
function outputDiffers(
  before: RunState,
  after: RunState,
  from: { readonly step: string; readonly output?: string | undefined },
): boolean {
  const value = (state: RunState): unknown => {
    const outputs = state.steps.get(from.step)?.outputs;
    return from.output === undefined ? outputs : outputs?.[from.output];
  };
  return differs(value(before), value(after));
}

function keysOf(a: object, b: object): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])];
}

function differs(a: unknown, b: unknown): boolean {
  if (a === undefined || b === undefined) return a !== b;
  return canonicalJson(a) !== canonicalJson(b);
}

function short(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
