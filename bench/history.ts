/**
 * A root with a history, its ledgers written as docs/ledger.md has them and as a daemon would have
 * left them: for what must not cost more for it.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { DAY_MS, MINUTE_MS, iso } from "../src/core/time.ts";
import { ledgerPath, writeFiles } from "./bench-root.ts";
import { PLAIN_STEP } from "./plain-step.ts";

const PIPELINES = 10;
/** The schedule of each pipeline, as its ledger has it. */
const SCHEDULES = [
  {
    cron: "* * * * *",
    timezone: "UTC",
    jitterSeconds: 0,
    catchUp: "none",
    catchUpWindowMs: DAY_MS,
    maxCatchUp: 100,
    blackout: [],
  },
];
/** Lines from one checkpoint to the next, as docs/ledger.md has it. */
const CHECKPOINT_LINES = 256;

/** Frames events as docs/ledger.md has it, each a write of its own. */
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
  /** The id of a run that finished last. */
  readonly newest: string;
  /** The ids of the runs that have not finished: each was in its only step when the daemon died. */
  readonly unfinished: readonly string[];
}

/**
 * Writes so many runs of minutely pipelines, the last of them due in the minute before now, the
 * last `unfinished` of them not finished.
 *
 * @param runs over ten pipelines in equal parts, as `unfinished` is
 * @param resultBytes how long a text each run's step gave as its result
 */
export function history(root: string, runs: number, unfinished = 0, resultBytes = 0): History {
  const result = resultBytes === 0 ? null : "r".repeat(resultBytes);
  let newest = "";
  const left: string[] = [];
  const each = runs / PIPELINES;
  const from = (Math.floor(Date.now() / MINUTE_MS) - each + 1) * MINUTE_MS;
  for (let index = 0; index < PIPELINES; index += 1) {
    const pipeline = `p${index}`;
    writeFiles(root, {
      [`schedules/${pipeline}.yaml`]:
        'schedule: { cron: "* * * * *", catchUp: none }\noverlap: allow\nsteps: { nothing: { run: "true" } }\n',
    });
    const lines: Record<string, unknown>[] = [
      {
        type: "pipeline.loaded",
        format: 1,
        pipeline,
        digest: "d",
        file: `schedules/${pipeline}.yaml`,
        schedules: SCHEDULES,
        tz: "UTC",
      },
    ];
    let sinceCheckpoint = lines.length;
    const active: string[] = [];
    for (let at = 0; at < each; at += 1) {
      const slot = from + at * MINUTE_MS;
      const run = `${pipeline}@${stamp(slot)}`;
      const ends = at < each - unfinished / PIPELINES;
      const finished = {
        type: "run.finished",
        status: "completed",
        because: "all steps completed",
        durationMs: 12,
      };
      lines.push(
        {
          type: "slot.fired",
          slot: iso(slot),
          run,
          through: iso(slot),
        },
        { type: "run.started", run },
        ...(ends ? [{ ...finished, run }] : []),
      );
      if (!ends) active.push(run);
      sinceCheckpoint += ends ? 3 : 2;
      if (sinceCheckpoint >= CHECKPOINT_LINES - 3) {
        sinceCheckpoint = 0;
        lines.push({
          type: "pipeline.checkpoint",
          through: iso(slot),
          paused: false,
          schedules: SCHEDULES,
          active: [...active],
          queued: [],
          last: {
            run,
            status: "completed",
            startedAt: iso(slot),
            finishedAt: iso(slot),
          },
          counts: { fired: at + 1 },
        });
      }
      const path = ledgerPath(root, run);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(
        path,
        framed(
          [
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
                steps: [
                  {
                    id: "nothing",
                    run: "true",
                    ...PLAIN_STEP,
                  },
                ],
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
                  finished,
                ]
              : []),
          ],
          slot,
        ),
      );
      if (ends) newest = run;
      else left.push(run);
    }
    writeFileSync(join(root, "runs", pipeline, "pipeline.jsonl"), framed(lines, from));
  }
  return { newest, unfinished: left };
}
