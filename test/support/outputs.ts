/** A step's outputs as a ledger has them, loaded as a step's inputs are. */
import type { Json } from "../../src/core/snapshot.ts";
import { StoredValues } from "../../src/core/stored-values.ts";
import type { Artifacts } from "../../src/ledger/artifacts.ts";

/** One output; undefined if there is none of that name. */
export function outputOf(outputs: Json, name: string, artifacts: Artifacts): Json | undefined {
  const values = new StoredValues((ref) => artifacts.get(ref));
  try {
    return values.inputs("s", [{ step: "t", outputs, inputs: { x: name } }])["x"];
  } catch (error) {
    if ((error as Error).name === "InputError") return undefined;
    throw error;
  }
}

/** All outputs. */
export function allOutputs(outputs: Json, artifacts: Artifacts): { [name: string]: Json } {
  return new StoredValues((ref) => artifacts.get(ref)).allOutputs(outputs);
}
