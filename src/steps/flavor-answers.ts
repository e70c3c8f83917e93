/**
 * What the methods of a user's orchestrator class return, checked: nothing that is of no use is
 * passed over in silence. Each function throws an Error whose message is a sentence for the author.
 */
import { isObject } from "../core/json-object.ts";
import type { Json } from "../core/snapshot.ts";
import { STATUSES } from "../core/status.ts";
import { messageOf } from "../core/thrown.ts";

/**
 * The run's id that `getOrchestratorRunId` returned; undefined where it does not know one yet.
 *
 * @throws Error if it is a promise: the method is synchronous
 */
export function checkedRunId(id: unknown): string | undefined {
  if (!(id instanceof Promise)) return typeof id === "string" && id !== "" ? id : undefined;
  // Nobody waits for it, and what it rejects with is no news beside this.
  id.catch(() => {});
  throw new Error("getOrchestratorRunId returned a promise: write it without async");
}

/** How to wait for the end of what was submitted. @throws Error if it is no function */
export function checkedWait(wait: unknown): (() => unknown) | undefined {
  if (wait === undefined || wait === null) return undefined;
  if (typeof wait === "function") return wait as () => unknown;
  if (wait instanceof Promise) wait.catch(() => {});
  throw new Error(
    "the submission returned a waitForCompletion that is no function: " +
      "write waitForCompletion: () => …, which is called once the run is accepted",
  );
}

/** The metadata of a submission as JSON. @throws Error if it is none */
export function checkedMetadata(metadata: unknown): Json {
  try {
    return JSON.parse(JSON.stringify(metadata ?? {})) as Json;
  } catch (error) {
    throw new Error(
      `the metadata of the submission is no JSON: ${messageOf(error)}; ` +
        "return texts, numbers, lists and maps of them",
      { cause: error },
    );
  }
}

/**
 * What `fetchStatus` returned.
 *
 * @throws Error if it is no map, or has a status that is none: the run would be asked after for
 *   ever
 */
export function checkedStatus(given: unknown): object {
  if (given === undefined || given === null) return {};
  if (!isObject(given)) throw new Error("fetchStatus returned no map: return { status, steps }");
  const { status, steps } = given;
  refuseNone("status", status);
  if (steps === undefined || steps === null) return given;
  if (!isObject(steps))
    throw new Error("fetchStatus returned steps that are no map of step ids and statuses");
  for (const [id, one] of Object.entries(steps))
    refuseNone(`status of step ${JSON.stringify(id)}`, one);
  return given;
}

function refuseNone(which: string, status: unknown): void {
  if (status === undefined || status === null) return;
  if ((STATUSES as readonly unknown[]).includes(status)) return;
  const shown = typeof status === "string" ? JSON.stringify(status) : `a ${typeof status}`;
  throw new Error(`fetchStatus returned as ${which} ${shown}; it is one of ${STATUSES.join(", ")}`);
}
