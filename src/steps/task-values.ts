/**
 * The values that a task gets by reference. They are loaded where it runs: the daemon reads, checks
 * and parses none of them, however large they are.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { artifactValue, ArtifactUnusable, isArtifactRef } from "../core/artifact-ref.ts";
import type { Json } from "../core/snapshot.ts";
import { StoredValues } from "../core/stored-values.ts";
import type { StoredInputs } from "../core/task.ts";

/** Loads values from a folder of artifacts. Its methods throw ArtifactUnusable. */
export function valuesIn(folder: string): StoredValues {
  return new StoredValues((ref) => {
    const path = join(folder, ref.$artifact);
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch (error) {
      throw withoutStack(new ArtifactUnusable(path, "cannot be read", error));
    }
    try {
      return artifactValue(ref, bytes, path);
    } catch (error) {
      throw withoutStack(error as Error);
    }
  });
}

/** The task with values in place of references. @throws ArtifactUnusable, an InputError */
export function withValues<T extends object>(task: T): T {
  const { artifacts, stored, step, inputs, state } = task as {
    readonly artifacts?: string;
    readonly stored?: readonly StoredInputs[];
    readonly step?: string;
    readonly inputs?: { readonly [name: string]: Json };
    readonly state?: Json;
  };
  if (artifacts === undefined || (stored === undefined && !isArtifactRef(state))) return task;
  const values = valuesIn(artifacts);
  try {
    return {
      ...task,
      ...(stored === undefined
        ? {}
        : { inputs: { ...inputs, ...values.inputs(step ?? "", stored) }, stored: undefined }),
      ...(state === undefined ? {} : { state: values.resolve(state) }),
    };
  } catch (error) {
    throw withoutStack(error as Error);
  }
}

/** The frames would be orchd's own. */
function withoutStack(error: Error): Error {
  Object.defineProperty(error, "stack", { value: undefined });
  return error;
}
