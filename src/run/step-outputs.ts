/**
 * Turns what a step returned into what its ledger keeps: `{result: VALUE}`, or one member for each
 * declared output (docs/semantics.md 17).
 */
import { FAILURE_CODES, type StepError } from "../core/failure.ts";
import { isObject } from "../core/json-object.ts";
import type { Json, SnapshotStep } from "../core/snapshot.ts";

/** A step's outputs, or why its result cannot be used. */
export type StepOutputs =
  | { readonly ok: true; readonly outputs: { readonly [name: string]: Json } }
  | { readonly ok: false; readonly error: StepError };

/** Checks a result against the outputs that the step declares. */
export function outputsOf(spec: SnapshotStep, value: Json): StepOutputs {
  if (spec.outputs === undefined) return { ok: true, outputs: { result: value ?? null } };
  const declared = spec.outputs;
  if (!isObject(value)) {
    return bad(
      `step "${spec.id}" declares the outputs ${declared.join(", ")}, so it has to return ` +
        `an object with these members; it returned ${describe(value)}`,
    );
  }
  const missing = declared.filter(
    (name) => !Object.hasOwn(value, name) || value[name] === undefined,
  );
  if (missing.length > 0)
    return bad(`step "${spec.id}" returned no ${quoted(missing)}, which it declares as output`);
  const undeclared = Object.keys(value).filter((name) => !declared.includes(name));
  if (undeclared.length > 0) {
    return bad(
      `step "${spec.id}" returned ${quoted(undeclared)}, which it does not declare; ` +
        `its outputs are ${declared.join(", ")}`,
    );
  }
  return { ok: true, outputs: Object.fromEntries(declared.map((name) => [name, value[name]!])) };
}

function bad(message: string): StepOutputs {
  return { ok: false, error: { name: "OutputError", message, code: FAILURE_CODES.output } };
}

function quoted(names: readonly string[]): string {
  return names.map((name) => JSON.stringify(name)).join(", ");
}

function describe(value: Json): string {
  return value === null ? "null" : Array.isArray(value) ? "a list" : `a ${typeof value}`;
}
