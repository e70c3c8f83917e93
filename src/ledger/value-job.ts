/**
 * What is asked about large values, and the work that answers it. The daemon must not read, hash or
 * parse such a value between two events of its loop: value-thread.ts does it beside it.
 */
import { contentHash } from "../core/cache-key.ts";
import { isArtifactRef, type ArtifactRef } from "../core/artifact-ref.ts";
import { evaluateWhen } from "../core/condition.ts";
import { listPieces } from "../core/json-pieces.ts";
import type { Json, Snapshot } from "../core/snapshot.ts";
import { StoredValues } from "../core/stored-values.ts";
import type { StoredInputs } from "../core/task.ts";
import type { Artifacts } from "./artifacts.ts";

type Members = { readonly [name: string]: Json };

/** A question. */
export type ValueJob =
  /** The content hash of each output of a step whose outputs are in a file. */
  | { readonly kind: "hashes"; readonly outputs: ArtifactRef }
  /** Whether each file that outputs refer to is whole. The files are made young first. */
  | { readonly kind: "whole"; readonly outputs: Json }
  /** A snapshot's text, in pieces: without its steps, and then lists of steps. */
  | { readonly kind: "snapshot"; readonly ref: ArtifactRef }
  /** Whether a condition holds. */
  | {
      readonly kind: "holds";
      readonly when: string;
      readonly params: Members;
      readonly inputs: Members;
      readonly step: string;
      readonly stored: readonly StoredInputs[];
    };

/** The answer to each kind of question. */
export interface ValueAnswers {
  readonly hashes: { readonly [output: string]: string };
  readonly whole: boolean;
  readonly snapshot: readonly string[];
  readonly holds: ReturnType<typeof evaluateWhen>;
}

/** The most bytes of files that a job may read where it keeps the daemon waiting. */
export const AT_ONCE_BYTES = 262_144;

/** How many bytes of files a job reads at least. */
export function bytesOf(job: ValueJob): number {
  switch (job.kind) {
    case "hashes":
      return job.outputs.bytes;
    case "whole":
      return referredBytes(job.outputs);
    case "snapshot":
      return job.ref.bytes;
    case "holds":
      return job.stored.reduce((sum, { outputs }) => sum + referredBytes(outputs), 0);
  }
}

/** Answers a question. @throws ArtifactUnusable; an InputError where a step has no such output */
export function answerJob<K extends ValueJob["kind"]>(
  job: ValueJob & { readonly kind: K },
  artifacts: Artifacts,
): ValueAnswers[K] {
  return answerTo(job, artifacts) as ValueAnswers[K];
}

function answerTo(job: ValueJob, artifacts: Artifacts): ValueAnswers[ValueJob["kind"]] {
  switch (job.kind) {
    case "hashes": {
      const members = artifacts.get(job.outputs) as Members;
      return Object.fromEntries(
        Object.entries(members).map(([name, value]) => [name, contentHash(value)]),
      );
    }
    case "whole":
      return areWhole(job.outputs, artifacts);
    case "snapshot": {
      const snapshot = artifacts.get(job.ref) as unknown as Snapshot;
      return [JSON.stringify({ ...snapshot, steps: [] }), ...listPieces(snapshot.steps)];
    }
    case "holds": {
      const values = new StoredValues((ref) => artifacts.get(ref));
      const inputs = { ...job.inputs, ...values.inputs(job.step, job.stored) };
      return evaluateWhen(job.when, { params: job.params, inputs });
    }
  }
}

function areWhole(outputs: Json, artifacts: Artifacts): boolean {
  let members = outputs;
  if (isArtifactRef(outputs)) {
    if (!artifacts.hold(outputs)) return false;
    members = artifacts.get(outputs);
  }
  return Object.values(members as Members).every(
    (value) => !isArtifactRef(value) || artifacts.hold(value),
  );
}

function referredBytes(outputs: Json): number {
  if (isArtifactRef(outputs)) return outputs.bytes;
  let sum = 0;
  for (const value of Object.values(outputs as Members))
    if (isArtifactRef(value)) sum += value.bytes;
  return sum;
}
