/**
 * A root with a history, for what must not cost more because of one. Its ledgers are written as
 * docs/ledger.md describes them, and as a daemon would have left them.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { checkpointOf } from "../src/core/pipeline-checkpoint.ts";
import type { PipelineLine } from "../src/core/event.ts";
import { evolvePipeline } from "../src/core/pipeline-fold.ts";
import { emptyPipelineState } from "../src/core/pipeline-state.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS, iso } from "../src/core/time.ts";
import { LEDGER_FORMAT } from "../src/core/ledger-format.ts";
import { CHECKPOINT_LINES } from "../src/ledger/pipeline-ledger.ts";
import { ledgerPath, writeFiles } from "./bench-root.ts";
import { PLAIN_STEP } from "../test/support/plain-step.ts";

/** How many pipelines there are, and what their schedule is. */
export interface Shape {
  readonly pipelines: number;
  readonly cron: string;
  /** The time from one slot to the next, in milliseconds. */
  readonly everyMs: number;
}

/** Ten minutely pipelines: few ledgers of pipelines, each of them long. */
export const FEW: Shape = { pipelines: 10, cron: "* * * * *", everyMs: MINUTE_MS };
/** Three hundred hourly pipelines: many ledgers, and a month of history in each. */
export const MANY: Shape = { pipelines: 300, cron: "0 * * * *", everyMs: HOUR_MS };

/** One minutely pipeline: all history is in its ledger. */
export const ONE: Shape = { pipelines: 1, cron: "* * * * *", everyMs: MINUTE_MS };

/** The schedules of a pipeline, as its ledger records them. */
const schedulesOf = ({ cron }: Shape): readonly Record<string, unknown>[] => [
  {
    cron,
    timezone: "UTC",
    jitterSeconds: 0,
    catchUp: "none",
    catchUpWindowMs: DAY_MS,
    maxCatchUp: 100,
    blackout: [],
  },
];
/** Frames events as docs/ledger.md says, each as a write of its own. */
function framed(events: readonly Record<string, unknown>[], from: number): string {
  let crc = 0;
  return events
    .map((event, index) => {
      const { type, ...rest } = event;
      const body = JSON.stringify({
        seq: index + 1,
        b: index + 1,
        at: iso(from + index),
        type,
        ...rest,
      }).slice(0, -1);
      crc = crc32(body, crc);
      return `${body},"crc":"${crc.toString(16).padStart(8, "0")}"}\n`;
    })
    .join("");
}

const stamp = (time: number): string => iso(time).replaceAll(/[-:]|\.\d{3}/g, "");

/** What {@link history} wrote. */
export interface History {
  /** The id of the last run that finished. */
  readonly newest: string;
  /** The ids of the runs that have not finished: the daemon died during their only step. */
  readonly unfinished: readonly string[];
}

/**
 * Writes a root of pipelines with their ledgers. The last slot of each is the newest one that is
 * due.
 *
 * @param runs how many runs to write, in equal parts over the pipelines
 * @param unfinished how many of them have not finished: the last ones of each pipeline
 * @param resultBytes the length of the text that each run's step gave as its result; 0: null
 */
export function history(
  root: string,
  runs: number,
  unfinished = 0,
  resultBytes = 0,
  shape: Shape = FEW,
): History {
  const { pipelines, everyMs } = shape;
  const plan: Plan = {
    shape,
    runs: runs / pipelines,
    finished: runs / pipelines - unfinished / pipelines,
    from: (Math.floor(Date.now() / everyMs) - runs / pipelines + 1) * everyMs,
    result: resultBytes === 0 ? null : "r".repeat(resultBytes),
  };
  let newest = "";
  const left: string[] = [];
  for (let index = 0; index < pipelines; index += 1) {
    const written = pipelineHistory(root, `p${index}`, plan);
    newest = written.newest ?? newest;
    left.push(...written.unfinished);
  }
  return { newest, unfinished: left };
}

/** What each pipeline's history is. */
interface Plan {
  readonly shape: Shape;
  readonly runs: number;
  /** How many of them have finished: the first ones. */
  readonly finished: number;
  /** The first slot, in milliseconds since 1970. */
  readonly from: number;
  readonly result: string | null;
}

const FINISHED = {
  type: "run.finished",
  status: "completed",
  because: "all steps completed",
  durationMs: 12,
} as const;

function pipelineHistory(
  root: string,
  pipeline: string,
  plan: Plan,
): { readonly newest: string | undefined; readonly unfinished: readonly string[] } {
  writeFiles(root, {
    [`schedules/${pipeline}.yaml`]:
      `schedule: { cron: "${plan.shape.cron}", catchUp: none }\noverlap: allow\n` +
      'steps: { nothing: { run: "true" } }\n',
  });
  const schedules = schedulesOf(plan.shape);
  const lines: Record<string, unknown>[] = [
    {
      type: "pipeline.loaded",
      format: 1,
      pipeline,
      digest: "d",
      file: `schedules/${pipeline}.yaml`,
      schedules,
      tz: "UTC",
    },
  ];
  const state = emptyPipelineState();
  let newest: string | undefined;
  const active: string[] = [];
  for (let at = 0; at < plan.runs; at += 1) {
    const slot = plan.from + at * plan.shape.everyMs;
    const run = `${pipeline}@${stamp(slot)}`;
    const ends = at < plan.finished;
    lines.push(
      { type: "slot.fired", slot: iso(slot), run, through: iso(slot) },
      { type: "run.started", run },
      ...(ends ? [{ ...FINISHED, run }] : []),
    );
    if (ends) newest = run;
    else active.push(run);
    for (const line of lines.slice(state.lastSeq)) {
      const seq = state.lastSeq + 1;
      evolvePipeline(state, { seq, b: seq, at: iso(plan.from + seq), ...line } as PipelineLine);
    }
    if (state.linesSinceCheckpoint >= CHECKPOINT_LINES) {
      lines.push({ ...checkpointOf(state), format: LEDGER_FORMAT });
      state.linesSinceCheckpoint = 0;
      state.lastSeq += 1;
    }
    const path = ledgerPath(root, run);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, framed(runLines(pipeline, run, slot, ends, plan.result), slot));
  }
  writeFileSync(join(root, "runs", pipeline, "pipeline.jsonl"), framed(lines, plan.from));
  return { newest, unfinished: active };
}

function runLines(
  pipeline: string,
  run: string,
  slot: number,
  ends: boolean,
  result: string | null,
): Record<string, unknown>[] {
  return [
    {
      type: "run.submitted",
      format: 1,
      run,
      pipeline,
      orchestratorRunId: run,
      trigger: { kind: "schedule", scheduledFor: iso(slot) },
      params: {},
      snapshot: {
        name: pipeline,
        digest: "d",
        file: "f",
        executionMode: "continue_on_failure",
        maxParallelSteps: 8,
        gracePeriodMs: 10000,
        env: {},
        hooks: {},
        orchestrator: { flavor: "local", config: {} },
        steps: [{ id: "nothing", run: "true", ...PLAIN_STEP }],
      },
      tags: [],
    },
    { type: "run.started", because: "nothing else is active" },
    { type: "step.started", step: "nothing", attempt: 1, because: "inputs ready" },
    ...(ends
      ? [
          {
            type: "step.completed",
            step: "nothing",
            attempt: 1,
            outputs: { result },
            durationMs: 3,
          },
          FINISHED,
        ]
      : []),
  ];
}
