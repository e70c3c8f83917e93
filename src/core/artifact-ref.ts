/**
 * How a ledger's line names a value that is in a file of its own (semantics.md 18).
 *
 * A value in the form of a ledger may be such a reference wherever a value was spilled: a whole
 * field, one of a step's outputs, an init hook's state. A value of a user's code that looks like a
 * reference is spilled too, so that none is mistaken for one.
 */
import { sha256 } from "./sha256.ts";
import type { Json } from "./snapshot.ts";

/** What a ledger's line holds in place of a value that is in a file. */
export interface ArtifactRef {
  readonly $artifact: string;
  readonly bytes: number;
}

/** The file of an artifact is gone, or no longer holds the value. */
export class ArtifactUnusable extends Error {
  override readonly name = "ArtifactUnusable";
  constructor(path: string, why: string, cause?: unknown) {
    super(`The artifact ${path} ${why}. Run the step that gave it again.`, { cause });
  }
}

/** Whether a value is a reference to an artifact. */
export function isArtifactRef(value: unknown): value is ArtifactRef {
  if (value === null || typeof value !== "object" || Object.keys(value).length !== 2) return false;
  const { $artifact, bytes } = value as Record<string, unknown>;
  return (
    typeof $artifact === "string" && /^[0-9a-f]{64}$/.test($artifact) && Number.isInteger(bytes)
  );
}

/** Whether a step's outputs, in the form of a ledger, are in files in part or as a whole. */
export function holdsArtifacts(outputs: Json): boolean {
  if (isArtifactRef(outputs)) return true;
  for (const value of Object.values(outputs as { readonly [name: string]: Json }))
    if (isArtifactRef(value)) return true;
  return false;
}

/**
 * The value that a file's bytes hold.
 *
 * @param path for the message
 * @throws ArtifactUnusable if they are not what the reference says
 */
export function artifactValue(ref: ArtifactRef, bytes: Uint8Array, path: string): Json {
  if (bytes.length !== ref.bytes || sha256(bytes) !== ref.$artifact)
    throw new ArtifactUnusable(path, "is damaged");
  return JSON.parse(new TextDecoder().decode(bytes)) as Json;
}
