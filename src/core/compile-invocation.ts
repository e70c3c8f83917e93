/**
 * Makes a step from an invocation that a dynamic pipeline's function asked for. The rules and
 * defaults are those of a step in a file. Only the inputs and the upstream steps come from the
 * function.
 */
import { codeKey, compileStep, type StepContext } from "./compile-step.ts";
import { formatPath, type Fault } from "./fault.ts";
import type { CodeMark } from "./loaded-definition.ts";
import { stepSchema } from "./pipeline.ts";
import { NO_RETRY } from "./retry.ts";
import { checkShape } from "./shape-faults.ts";
import type { CodeRef, InputRef, Json, Snapshot, SnapshotStep } from "./snapshot.ts";
import type { DynamicCall } from "./task.ts";

/** A schema that is made takes longer than what it checks. */
const invocationSchema = stepSchema.omit({ run: true, inputs: true, after: true });

/** The defaults of a snapshot that an older release made. */
const BARE: NonNullable<Snapshot["stepDefaults"]> = {
  retry: NO_RETRY,
  onInterruption: "retry",
  hooks: {},
};

/**
 * Compiles an invocation of the dynamic pipeline of `snapshot`. The caller checks that the
 * invocations exist that this one refers to.
 *
 * @returns the step, and the inputs that are values instead of another invocation's output; or
 *   everything that is wrong, as one sentence
 */
export function compileInvocation(
  call: DynamicCall,
  snapshot: Snapshot,
):
  | {
      readonly ok: true;
      readonly step: SnapshotStep;
      readonly values: { readonly [name: string]: Json };
    }
  | { readonly ok: false; readonly message: string } {
  const own = snapshot.dynamic;
  if (own === undefined)
    return {
      ok: false,
      message: `pipeline ${snapshot.name} is not dynamic, so its steps are fixed`,
    };
  const code = new Map<string, CodeRef>([
    [
      codeKey(["steps", call.id, "uses"]),
      { ...own, pick: call.pick, source: `${own.source}#${call.name}` },
    ],
  ]);
  const options = takeMarks(call.options, ["steps", call.id], own, code) as {
    readonly [key: string]: Json;
  };
  const written = {
    ...options,
    uses: "code",
    params: {
      ...(options["params"] as { readonly [key: string]: Json } | undefined),
      ...call.params,
    },
  };
  const shape = checkShape(invocationSchema, written);
  if (!shape.ok) return refuse(call.id, shape.faults);
  const faults: Fault[] = [];
  const anyUpstream = Object.fromEntries(
    Object.keys(call.inputs).map((name) => [name, "upstream"]),
  );
  const { container, ...defaults } = snapshot.stepDefaults ?? BARE;
  const step = compileStep(
    call.id,
    { ...shape.value, inputs: anyUpstream },
    {
      defaults,
      container: container as StepContext["container"],
      steps: { upstream: {} },
      params: new Set(Object.keys(call.params)),
      code,
      folder: snapshot.file.slice(0, snapshot.file.lastIndexOf("/")),
    },
    faults,
  );
  if (faults.length > 0)
    return refuse(
      call.id,
      faults.map(({ path, message }) => ({ path: path.slice(2), message })),
    );
  const inputs: { [name: string]: InputRef } = {};
  const values: { [name: string]: Json } = {};
  for (const [name, from] of Object.entries(call.inputs)) {
    if ("value" in from) values[name] = from.value;
    else inputs[name] = from;
  }
  return { ok: true, step: { ...step, inputs, after: call.after }, values };
}

function refuse(
  id: string,
  faults: readonly Fault[],
): { readonly ok: false; readonly message: string } {
  const sentences = faults.map(({ path, message }) => `${formatPath(path)} ${message}`.trim());
  return { ok: false, message: `step ${id}: ${sentences.join("; ")}` };
}

/** Replaces each mark by a text, and stores the code that it means under the mark's path. */
function takeMarks(
  value: Json,
  path: readonly string[],
  own: CodeRef,
  code: Map<string, CodeRef>,
): Json {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  if ("$code" in value && typeof value["$code"] === "string") {
    const { $code, name } = value as unknown as CodeMark;
    code.set(codeKey(path), {
      bundle: own.bundle,
      pick: $code,
      source: name === undefined ? own.source : `${own.source}#${name}`,
    });
    return "code";
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      takeMarks(member, [...path, key], own, code),
    ]),
  );
}
