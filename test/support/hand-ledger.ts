/**
 * Ledgers written by hand, line by line from docs/ledger.md. So a reader of ledgers is tested
 * without a daemon.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";

/** An event without its framing, and its time if that matters. */
export type HandEvent = { readonly type: string; readonly at?: string } & Readonly<
  Record<string, unknown>
>;

/**
 * The text of a ledger of these events, each in a write of its own. The Nth event is N-1 seconds
 * after `start`, unless it has a time of its own.
 */
export function ledgerText(
  events: readonly HandEvent[],
  start = "2026-11-23T02:00:00.000Z",
): string {
  let crc = 0;
  let text = "";
  for (const [index, { type, at, ...rest }] of events.entries()) {
    const seq = index + 1;
    const body = JSON.stringify({
      seq,
      b: seq,
      at: at ?? new Date(Date.parse(start) + index * 1_000).toISOString(),
      type,
      ...rest,
    });
    const open = Buffer.from(body.slice(0, -1));
    crc = crc32(open, crc);
    text += `${body.slice(0, -1)},"crc":"${crc.toString(16).padStart(8, "0")}"}\n`;
  }
  return text;
}

/** Writes a pipeline's own ledger. */
export function writePipeline(
  runs: string,
  pipeline: string,
  events: readonly HandEvent[],
  start?: string,
): void {
  write(join(runs, pipeline, "pipeline.jsonl"), ledgerText(events, start));
}

/** Writes a run's ledger. */
export function writeRun(
  runs: string,
  run: string,
  events: readonly HandEvent[],
  start?: string,
): string {
  const path = runPath(runs, run);
  write(path, ledgerText(events, start));
  return path;
}

/** Where a run's ledger is. */
export function runPath(runs: string, run: string): string {
  const [pipeline, stamp] = run.split("@") as [string, string];
  return join(runs, pipeline, `${stamp.slice(0, 4)}-${stamp.slice(4, 6)}`, `${run}.jsonl`);
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** The `pipeline.loaded` line of a pipeline with one cron schedule. */
export function loaded(cron: string, more: Readonly<Record<string, unknown>> = {}): HandEvent {
  const schedule = {
    cron,
    timezone: "UTC",
    jitterSeconds: 0,
    catchUp: "latest",
    catchUpWindowMs: 86_400_000,
    maxCatchUp: 100,
    blackout: [],
  };
  return {
    type: "pipeline.loaded",
    format: 1,
    digest: "d".repeat(64),
    schedules: [{ ...schedule, ...more }],
    tz: "UTC",
    tzdata: "2025c",
    file: "/nowhere/p.yaml",
  };
}

/** A snapshot of shell steps, each after the steps that it names. */
export function snapshot(
  pipeline: string,
  steps: Readonly<Record<string, readonly string[]>>,
): Readonly<Record<string, unknown>> {
  return {
    name: pipeline,
    digest: "d",
    file: `/nowhere/${pipeline}.yaml`,
    executionMode: "continue_on_failure",
    maxParallelSteps: 8,
    gracePeriodMs: 10_000,
    env: {},
    hooks: {},
    orchestrator: { flavor: "local", config: {} },
    steps: Object.entries(steps).map(([id, after]) => ({
      id,
      run: "true",
      params: {},
      inputs: {},
      after,
      env: {},
      retry: { maxRetries: 0, delayMs: 0, backoff: 1, jitter: 0 },
      onInterruption: "retry",
      isolated: false,
      hooks: {},
    })),
  };
}

/** A run's header. */
export function header(
  run: string,
  steps: Readonly<Record<string, readonly string[]>>,
  more: Readonly<Record<string, unknown>> = {},
): HandEvent {
  const pipeline = run.slice(0, run.indexOf("@"));
  return {
    type: "run.submitted",
    format: 1,
    run,
    pipeline,
    orchestratorRunId: "o-1",
    trigger: { kind: "schedule", scheduledFor: "2026-11-23T02:00:00.000Z" },
    params: {},
    snapshot: snapshot(pipeline, steps),
    tags: [],
    ...more,
  };
}

/** A run of one step that completed, from its header to its end. */
export function completedRun(run: string): HandEvent[] {
  return [
    header(run, { only: [] }),
    { type: "run.started", because: "the slot is due" },
    { type: "step.started", step: "only", attempt: 1, because: "it needs nothing" },
    { type: "step.completed", step: "only", attempt: 1, outputs: { result: 1 }, durationMs: 900 },
    {
      type: "run.finished",
      status: "completed",
      because: "every step completed",
      durationMs: 3_000,
    },
  ];
}
