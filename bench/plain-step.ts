/** What a step of a snapshot holds where its file says nothing of it, for the benches that write snapshots themselves. */
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
