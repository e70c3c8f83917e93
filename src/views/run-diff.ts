/**
 * Two runs compared (`orchd diff`): which steps ran in the second, and which inputs, params or code
 * changed since the first. Steps are compared by name.
 */
import { canonicalJson } from "../core/canonical-json.ts";
import type { RunState, StepState } from "../core/run-state.ts";
import { setEnvironment } from "../core/set-environment.ts";
import type { SnapshotStep } from "../core/snapshot.ts";

/** `orchd diff --json`. */
export interface RunDiff {
  readonly before: string;
  readonly after: string;
  /** The names of the params that differ. */
  readonly params: readonly string[];
  readonly pipelineChanged: boolean;
  readonly steps: readonly StepDiff[];
}

/** One step of a {@link RunDiff}. */
export interface StepDiff {
  readonly step: string;
  /** Its status; null where the run does not have the step. */
  readonly before: string | null;
  readonly after: string | null;
  /** Whether the second run executed it. */
  readonly ranAnew: boolean;
  /**
   * What is different about it: `code changed`, `param "path" changed`, `input "lines" changed`…
   */
  readonly changes: readonly string[];
  readonly because: string | null;
  /** Why the first run skipped it; present only if it did. */
  readonly skippedBefore?: string;
}

/** What is different between two runs. */
export function diffRuns(before: RunState, after: RunState): RunDiff {
  const ids = [...new Set([...before.steps.keys(), ...after.steps.keys()])];
  return {
    before: before.run,
    after: after.run,
    params: changedKeys(before.params, after.params),
    pipelineChanged: before.snapshot.digest !== after.snapshot.digest,
    steps: ids.map((id) => diffStep(id, before, after)),
  };
}

function diffStep(id: string, before: RunState, after: RunState): StepDiff {
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
    ...(one?.status === "skipped" && one.because !== undefined
      ? { skippedBefore: one.because }
      : {}),
  };
}

function changesOf(one: StepState, two: StepState, before: RunState, after: RunState): string[] {
  const [a, b] = [one.spec, two.spec];
  const changes: string[] = [];
  if (codeOf(a) !== codeOf(b))
    changes.push(a.run === undefined && b.run === undefined ? "code changed" : "command changed");
  for (const name of changedKeys(a.params, b.params)) changes.push(`param "${name}" changed`);
  for (const name of keysOf(a.inputs, b.inputs)) {
    const from = a.inputs[name];
    const to = b.inputs[name];
    if (from === undefined || to === undefined || differs(from, to))
      changes.push(`input "${name}" comes from elsewhere`);
    else if (outputDiffers(before, after, from)) changes.push(`input "${name}" changed`);
  }
  for (const name of changedKeys(one.values ?? {}, two.values ?? {}))
    changes.push(`input "${name}" changed`);
  for (const name of changedKeys(envOf(before, a), envOf(after, b)))
    changes.push(`env "${name}" changed`);
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

/** What was set for the step in that run. */
function envOf({ snapshot, run, trigger }: RunState, { env }: SnapshotStep): Members {
  return setEnvironment(snapshot, env, { id: run, scheduledFor: trigger.scheduledFor });
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

type Members = Readonly<Record<string, unknown>>;

function changedKeys(a: Members, b: Members): string[] {
  return keysOf(a, b).filter((name) => differs(a[name], b[name]));
}

function keysOf(a: object, b: object): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])];
}

function differs(a: unknown, b: unknown): boolean {
  if (a === undefined || b === undefined) return a !== b;
  return canonicalJson(a) !== canonicalJson(b);
}
