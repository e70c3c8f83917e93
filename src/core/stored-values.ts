/**
 * Values in the form of a ledger, and what is behind their references. Each file is read once,
 * however many values it holds.
 */
import { isArtifactRef, type ArtifactRef } from "./artifact-ref.ts";
import { FAILURE_CODES } from "./failure.ts";
import type { Json } from "./snapshot.ts";
import type { StoredInputs } from "./task.ts";

type Members = { readonly [name: string]: Json };

/** Loads values, and keeps them while it lives. */
export class StoredValues {
  readonly #read: (ref: ArtifactRef) => Json;
  readonly #loaded = new Map<string, Json>();

  /** @param read gives the value of a file. @throws ArtifactUnusable */
  constructor(read: (ref: ArtifactRef) => Json) {
    this.#read = read;
  }

  /** The value itself; of a reference, the value behind it. Throws as `read` does. */
  resolve(value: Json): Json {
    if (!isArtifactRef(value)) return value;
    const known = this.#loaded.get(value.$artifact);
    if (known !== undefined) return known;
    const loaded = this.#read(value);
    this.#loaded.set(value.$artifact, loaded);
    return loaded;
  }

  /** All outputs of a step. Throws as `read` does. */
  allOutputs(outputs: Json): Members {
    return Object.fromEntries(
      Object.entries(this.resolve(outputs) as Members).map(([name, value]) => [
        name,
        this.resolve(value),
      ]),
    );
  }

  /**
   * The values of inputs. Throws as `read` does, and where a step has no output of that name.
   *
   * @param step whose inputs they are, for the message
   */
  inputs(step: string, stored: readonly StoredInputs[]): { [name: string]: Json } {
    const values: { [name: string]: Json } = {};
    for (const { step: from, outputs, inputs } of stored) {
      for (const [name, output] of Object.entries(inputs)) {
        if (output === null) values[name] = this.allOutputs(outputs);
        else {
          const members = this.resolve(outputs) as Members;
          if (!Object.hasOwn(members, output))
            throw noOutput({ step, name, from, output, members });
          values[name] = this.resolve(members[output]!);
        }
      }
    }
    return values;
  }
}

function noOutput(of: {
  readonly step: string;
  readonly name: string;
  readonly from: string;
  readonly output: string;
  readonly members: Members;
}): Error {
  const there = Object.keys(of.members).join(", ");
  return Object.assign(
    new Error(
      `input "${of.name}" of step "${of.step}" is "${of.from}.${of.output}", but step ` +
        `"${of.from}" has no output "${of.output}"; it has ${there === "" ? "none" : there}`,
    ),
    { name: "InputError", code: FAILURE_CODES.input },
  );
}
