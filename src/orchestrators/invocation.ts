/**
 * Compiles what a dynamic pipeline's function calls into a step like any other.
 */
import { codeKey, compileStep, type StepDefaults } from "../core/compile-step.ts";
import type { Fault } from "../core/fault.ts";
import { stepSchema } from "../core/pipeline.ts";
import { NO_RETRY } from "../core/retry.ts";
import type { CodeRef, InputRef, Json, Snapshot, SnapshotStep } from "../core/snapshot.ts";
import { dirname } from "node:path";
import type { DynamicCall } from "./local/protocol.ts";

/** A compiled call, or what is wrong with it in a sentence. */
export type Invocation =
  | { readonly ok: true; readonly spec: SnapshotStep; readonly values: { readonly [name: string]: Json } }
  | { readonly ok: false; readonly message: string };

const NO_DEFAULTS: StepDefaults = { retry: NO_RETRY, onInterruption: "retry", hooks: {} };
/** Stands for whatever an input comes from while the rest is checked. */
const UPSTREAM = "upstream";

/** Compiles a call. @param params the names of the run's params, which a condition may read */
export function compileInvocation(call: DynamicCall, snapshot: Snapshot, params: ReadonlySet<string>): Invocation {
  const { bundle } = snapshot.dynamic!;
  const code = new Map<string, CodeRef>([[codeKey(["steps", call.id, "uses"]), { bundle, pick: call.pick, source: `${snapshot.file}#${call.name}` }]]);
  const { inputs: _inputs, after: _after, params: _params, ...options } = call.options;
  const written = withoutCode(options, ["steps", call.id], bundle, snapshot.file, code) as { readonly [key: string]: Json };
  const names = Object.keys(call.inputs);
  const parsed = stepSchema.safeParse({ ...written, uses: "./invocation", inputs: Object.fromEntries(names.map((name) => [name, UPSTREAM])) });
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return { ok: false, message: `step "${call.id}"${issue.path.length === 0 ? "" : `: ${issue.path.join(".")}`}: ${issue.message}` };
  }
  const faults: Fault[] = [];
  const context = { defaults: snapshot.stepDefaults ?? NO_DEFAULTS, steps: { [UPSTREAM]: { run: "true" } }, params: new Set([...params, ...Object.keys(call.params)]), code, folder: dirname(snapshot.file) };
  const compiled = compileStep(call.id, parsed.data, context, faults);
  if (faults.length > 0) return { ok: false, message: `step "${call.id}": ${faults[0]!.path.slice(2).join(".")} ${faults[0]!.message}` };
  const inputs: { [name: string]: InputRef } = {};
  const values: { [name: string]: Json } = {};
  for (const [name, input] of Object.entries(call.inputs)) {
    if ("value" in input) values[name] = input.value;
    else inputs[name] = { step: input.step, ...(input.output === undefined ? {} : { output: input.output }) };
  }
  return { ok: true, spec: { ...compiled, params: call.params, inputs, after: [...call.after] }, values };
}

/** Puts a word in the place of each function that stands in options as `{$code}`, and remembers where it is. */
function withoutCode(value: Json, path: readonly (string | number)[], bundle: string, file: string, code: Map<string, CodeRef>): Json {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  const members = value as { readonly [key: string]: Json };
  const pick = members["$code"];
  if (typeof pick === "string") {
    code.set(codeKey(path), { bundle, pick, source: `${file}#${typeof members["name"] === "string" ? members["name"] : pick}` });
    return "./invocation";
  }
  return Object.fromEntries(Object.entries(members).map(([key, member]) => [key, withoutCode(member, [...path, key], bundle, file, code)]));
}
