/**
 * Keeps the lines of a run's ledger short: fields over 64 KiB become artifacts, texts are trimmed
 * (semantics.md 18). This happens before every append.
 *
 * `outputs` is spilled member by member first, so a step that takes one output loads only that one.
 * If the rest is still too long, the whole field is spilled. A reader of outputs resolves the
 * field, then the member (core/stored-values.ts).
 */
import { isArtifactRef } from "../core/artifact-ref.ts";
import type { RunEvent } from "../core/event.ts";
import { ERROR_CHARACTERS, mapTexts, type StepError } from "../core/failure.ts";
import type { Json } from "../core/snapshot.ts";
import { SPILL_BYTES, type Artifacts } from "./artifacts.ts";
import { trim } from "./short-line.ts";

/** The fields that become artifacts if they are too long. */
export const SPILLED_FIELDS = [
  "snapshot",
  "params",
  "outputs",
  "state",
  "metadata",
  "spec",
  "values",
] as const;
/** The longest text that a line keeps whole, in UTF-16 code units. */
export const TEXT_CHARACTERS = 16_384;
/** `\u0000`, and `-1.7976931348623157e+308`. */
const LONGEST_ESCAPE = 6;
const LONGEST_NUMBER = 24;
/** In an event that is shorter than this, in bytes, no field is long enough to be changed. */
const UNTOUCHED_BYTES = ERROR_CHARACTERS;

/** Whether {@link spillEvent} may change an event. If false, it would return the event itself. */
export function needsSpilling(event: RunEvent): boolean {
  // A character takes at most three bytes of UTF-8. Only an event that is neither clearly short nor
  // clearly long is made into text and measured.
  const room = Math.floor(UNTOUCHED_BYTES / 3);
  if (roomAfter(event, room, LONGEST_ESCAPE, LONGEST_NUMBER) >= 0) return holdsLookalike(event);
  return (
    roomAfter(event, room, 1, 1) < 0 || JSON.stringify(event).length > room || holdsLookalike(event)
  );
}

/**
 * How many of `room` characters are left after the JSON of a value; negative if they are too few.
 *
 * @param perCharacter how many characters to count for each character of a text
 * @param perNumber how many to count for each number
 */
function roomAfter(value: unknown, room: number, perCharacter: number, perNumber: number): number {
  if (typeof value === "string") return room - 2 - value.length * perCharacter;
  if (value === undefined) return room;
  if (value === null || typeof value !== "object") return room - perNumber;
  let left = room - 2;
  for (const name in value) {
    const member = (value as Record<string, unknown>)[name];
    // The low estimate counts no names and no commas: an undefined member is left out, the elements
    // of a list have no names, and a list of one has no comma.
    if (perCharacter > 1) left -= 4 + name.length * perCharacter;
    left = roomAfter(member, left, perCharacter, perNumber);
    if (left < 0) break;
  }
  return left;
}

/**
 * Whether a value that a user's code returned looks like a reference to an artifact. In a
 * `step.cached`, whose outputs come from a ledger, it is one.
 */
function holdsLookalike(event: RunEvent): boolean {
  if (event.type === "step.completed") return Object.values(event.outputs).some(isArtifactRef);
  return event.type === "hook.completed" && isArtifactRef(event.state);
}

/**
 * The same event with every field short enough for a line. The artifacts are durable.
 *
 * @throws a Node error if an artifact cannot be written
 */
export async function spillEvent<E extends RunEvent>(event: E, artifacts: Artifacts): Promise<E> {
  if (!needsSpilling(event)) return event;
  const fields = event as E & Record<string, unknown>;
  const fresh = event.type === "step.completed" || event.type === "hook.completed";
  const spilled: Record<string, unknown> = { ...fields };
  for (const [name, value] of Object.entries(fields) as [string, Json | undefined][]) {
    if (value === undefined) continue;
    if (name === "error") spilled[name] = trimError(value as unknown as StepError);
    else if (name === "outputs") spilled[name] = await spillOutputs(value, artifacts, fresh);
    // Runs of the same version share one snapshot, and nobody changes it.
    else if (name === "snapshot" && typeof value === "object" && value !== null)
      spilled[name] = await artifacts.spillFrozen(value);
    else if ((SPILLED_FIELDS as readonly string[]).includes(name))
      spilled[name] = await artifacts.spill(value, SPILL_BYTES, fresh);
    else if (typeof value === "string") spilled[name] = trim(value, TEXT_CHARACTERS);
  }
  return spilled as E;
}

async function spillOutputs(outputs: Json, artifacts: Artifacts, fresh: boolean): Promise<Json> {
  if (!fresh && isArtifactRef(outputs)) return outputs;
  const members = Object.entries(outputs as Record<string, Json>);
  const short = await Promise.all(
    members.map(
      async ([name, value]) => [name, await artifacts.spill(value, SPILL_BYTES, fresh)] as const,
    ),
  );
  return artifacts.spill(Object.fromEntries(short), SPILL_BYTES, fresh);
}

function trimError(error: StepError): StepError {
  return mapTexts(error, (text, part) =>
    trim(text, part === "name" || part === "code" ? 256 : ERROR_CHARACTERS),
  );
}

/**
 * The same event with the values of artifacts back in their fields, except `outputs` and `state`:
 * those are loaded where they are needed. A header must be restored before it is folded.
 *
 * @throws ArtifactUnusable if a file is gone or damaged
 */
export function restoreEvent<E extends object>(event: E, artifacts: Artifacts): E {
  const fields = event as E & Record<string, unknown>;
  let changed: Record<string, unknown> | undefined;
  for (const name of SPILLED_FIELDS) {
    if (name === "outputs" || name === "state" || !(name in fields)) continue;
    const value = artifacts.resolve(fields[name] as Json);
    if (value !== fields[name]) (changed ??= { ...fields })[name] = value;
  }
  return (changed ?? event) as E;
}
