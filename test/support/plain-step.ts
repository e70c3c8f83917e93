/**
 * The defaults of a step and of a snapshot: what they hold if the pipeline's file says nothing. For
 * the tests and benches that write snapshots themselves.
 */
export const PLAIN_STEP = {
  params: {},
  inputs: {},
  after: [],
  env: {},
  retry: { maxRetries: 0, delayMs: 0, backoff: 1, jitter: 0 },
  onInterruption: "retry",
  isolated: false,
  hooks: {},
} as const;

export const PLAIN_SNAPSHOT = {
  digest: "d",
  executionMode: "continue_on_failure",
  maxParallelSteps: 8,
  gracePeriodMs: 10_000,
  env: {},
  hooks: {},
  orchestrator: { flavor: "local", config: {} },
} as const;
