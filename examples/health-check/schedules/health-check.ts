/**
 * Checks a page and the disk every minute. Somebody is told when a check begins to fail, and when
 * all checks are well again.
 */
import { statfs } from "node:fs/promises";
import { pipeline, step, type StepContext } from "orchd";
import { allClear, raiseAlarm } from "./steps/alarm.ts";

/** Fails unless the page answers with a status below 400. */
export const page = step(
  async ({ params, signal }: StepContext<{ url: string }>) => {
    const began = performance.now();
    // The signal fires when the step's time is up.
    const response = await fetch(params.url, { signal }).catch((error: Error) => {
      const reason = error.cause instanceof Error ? error.cause.message : error.message;
      throw new Error(`${params.url} does not answer: ${reason}`);
    });
    await response.body?.cancel();
    if (response.status >= 400) throw new Error(`${params.url} answers ${response.status}`);
    return { status: response.status, ms: Math.round(performance.now() - began) };
  },
  // Waits 1 s and then 2 s, so that a restart of the server is no alarm.
  { timeout: "10s", retry: { maxRetries: 2, delay: "1s", backoff: 2 } },
);

/** Fails when less of the disk is free than there should be; shares are from 0 to 1. */
export const disk = step(async ({ params }: StepContext<{ path: string; leastFree: number }>) => {
  const { blocks, bfree, bavail } = await statfs(params.path);
  // As df reckons: what root keeps for itself is no part of the whole.
  const free = Math.round((1000 * bavail) / (blocks - bfree + bavail)) / 1000;
  if (free < params.leastFree)
    throw new Error(`${params.path}: ${free} of the disk is free, less than ${params.leastFree}`);
  return { free };
});

export default pipeline({
  name: "health-check",
  description: "Checks a page and the disk, and tells somebody when that changes",
  tags: ["health"],
  params: { url: "http://127.0.0.1:8080/", path: "/", leastFree: 0.05 },
  // The health of an earlier minute is of no use: nothing is caught up.
  schedule: { cron: "* * * * *", catchUp: "none" },
  timeout: "50s",
  // A check that is answered from the cache checks nothing.
  enableCache: false,
  // The ledger has the secret's name. Its value goes to the steps and the hook alone.
  env: { ALARM_WEBHOOK: { secret: "alarm-webhook" } },
  hooks: { onRunFailure: raiseAlarm },
  // A run a minute: two days of them are enough.
  retention: { keepDays: 2 },
  steps: {
    page: { uses: page, params: { url: "${params.url}" } },
    disk: { uses: disk, params: { path: "${params.path}", leastFree: "${params.leastFree}" } },
    allClear: { uses: allClear, after: ["page", "disk"] },
  },
});
