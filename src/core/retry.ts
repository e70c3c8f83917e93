import { MAX_DURATION_MS } from "./duration.ts";
import { errorTree, type StepError } from "./failure.ts";
import type { RetryPolicy } from "./snapshot.ts";

/**
 * The policy of a step that names none: one attempt (semantics.md 9). The backoff is 1: ZenML's 0
 * would make every later delay 0.
 */
export const NO_RETRY: RetryPolicy = { maxRetries: 0, delayMs: 0, backoff: 1, jitter: 0 };

/** How `retry.on` names the status of a command: `exit:75`. */
export const EXIT_STATUS: RegExp = /^exit:(?:[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])$/;

/**
 * Whether the policy retries this error: it retries all, or those whose code, name or exit status
 * it lists. An error also counts as what caused it: `fetch failed` is retried for its ECONNREFUSED.
 */
export function isRetried({ on }: RetryPolicy, error: StepError): boolean {
  if (on === undefined) return true;
  for (const { name, code, exitStatus } of errorTree(error)) {
    if (on.includes(name) || (code !== undefined && on.includes(code))) return true;
    if (exitStatus !== undefined && on.includes(`exit:${exitStatus}`)) return true;
  }
  return false;
}

/**
 * How long to wait before the attempt after `attempt`: delay * backoff^(attempt-1), at most
 * `maxDelayMs`, or the longest duration that can be written, with the policy's jitter.
 *
 * @param attempt the attempt that just failed, from 1
 * @param chance a number in [0, 1)
 * @returns milliseconds
 */
export function retryDelay(policy: RetryPolicy, attempt: number, chance: number): number {
  // After many attempts the factor is infinite, and 0 times that is no number.
  if (policy.delayMs === 0) return 0;
  const plain = Math.min(
    policy.delayMs * policy.backoff ** (attempt - 1),
    policy.maxDelayMs ?? MAX_DURATION_MS,
  );
  return Math.max(0, Math.round(plain * (1 + policy.jitter * (2 * chance - 1))));
}
