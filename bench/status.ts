/** `orchd status` and `orchd status RUN` as commands, beside `node -e 0`: over 100 runs and over 100,000, since the cost must not grow with history. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { inFolder, ledgerPath, program, writeFiles } from "./bench-root.ts";
import { timed } from "./row.ts";
import type { Row } from "./row.ts";

const PIPELINES = 10;
const ROUNDS = 15;

/** Frames events as docs/ledger.md has it, each a write of its own. */
function framed(events: readonly Record<string, unknown>[], from = Date.UTC(2026, 0, 1)): string {
  let crc = 0;
  return events
    .map((event, index) => {
      const { type, ...rest } = event;
      const body = JSON.stringify({ seq: index + 1, b: index + 1, at: new Date(from + index * 1000).toISOString(), type, ...rest }).slice(0, -1);
      crc = crc32(body, crc);
      return `${body},"crc":"${crc.toString(16).padStart(8, "0")}"}\n`;
    })
    .join("");
}

const stamp = (time: number): string => new Date(time).toISOString().replaceAll(/[-:]|\.\d{3}/g, "");

/** A root with a history, written as a daemon would have left it. @returns a run's id */
function history(root: string, runs: number): string {
  let newest = "";
  for (let index = 0; index < PIPELINES; index += 1) {
    const pipeline = `p${index}`;
    writeFiles(root, { [`schedules/${pipeline}.yaml`]: 'schedule: { cron: "* * * * *" }\nsteps: { nothing: { run: "true" } }\n' });
    const lines: Record<string, unknown>[] = [
      {
        type: "pipeline.loaded",
        format: 1,
        pipeline,
        digest: "d",
        file: `schedules/${pipeline}.yaml`,
        schedules: [{ cron: "* * * * *", timezone: "UTC" }],
        tz: "UTC",
      },
    ];
    let counts = 0;
    for (let at = 0; at < runs / PIPELINES; at += 1) {
      const slot = Date.UTC(2026, 0, 1) + at * 60_000;
      const run = `${pipeline}@${stamp(slot)}`;
      const finished = { type: "run.finished", status: "completed", because: "all steps completed", durationMs: 12 };
      lines.push(
        { type: "slot.fired", slot: new Date(slot).toISOString(), run, through: new Date(slot).toISOString() },
        { type: "run.started", run },
        { ...finished, run },
      );
      counts += 1;
      if (counts % 85 === 0) {
        lines.push({
          type: "pipeline.checkpoint",
          through: new Date(slot).toISOString(),
          paused: false,
          schedules: [{ cron: "* * * * *", timezone: "UTC" }],
          active: [],
          queued: [],
          last: { run, status: "completed", startedAt: new Date(slot).toISOString(), finishedAt: new Date(slot).toISOString() },
          counts: { fired: counts },
        });
      }
      const path = ledgerPath(root, run);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(
        path,
        framed([
          {
            type: "run.submitted",
            format: 1,
            run,
            pipeline,
            orchestratorRunId: run,
            trigger: { kind: "schedule", scheduledFor: new Date(slot).toISOString() },
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
                  params: {},
                  inputs: {},
                  after: [],
                  env: {},
                  retry: { maxRetries: 0, delayMs: 0, backoff: 1, jitter: 0 },
                  onInterruption: "retry",
                  isolated: false,
                  hooks: {},
                },
              ],
            },
            tags: [],
          },
          { type: "run.started", because: "nothing else is active" },
          { type: "step.started", step: "nothing", attempt: 1, because: "inputs ready" },
          { type: "step.completed", step: "nothing", attempt: 1, outputs: { result: null }, durationMs: 3 },
          finished,
        ]),
      );
      newest = run;
    }
    writeFileSync(join(root, "runs", pipeline, "pipeline.jsonl"), framed(lines));
  }
  return newest;
}

export async function run(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const runs of [100, Number(process.env["BENCH_RUNS"] ?? 100_000)]) {
    await inFolder(async (root) => {
      const newest = history(root, runs);
      const call = (...words: string[]): void => {
        const { status, stderr } = spawnSync(process.execPath, words, { cwd: root, env: { ...process.env, ORCHD_ROOT: root }, encoding: "utf8" });
        if (status !== 0) throw new Error(`node ${words.join(" ")} exited ${status}: ${stderr}`);
      };
      const bare: number[] = [];
      const all: number[] = [];
      const one: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const warmup = round === 0 ? 2 : 0;
        bare.push(...(await timed(1, warmup, () => call("-e", "0"))));
        all.push(...(await timed(1, warmup, () => call(program, "status", "--json"))));
        one.push(...(await timed(1, warmup, () => call(program, "status", newest, "--json"))));
      }
      const beside = { name: "node -e 0", samples: bare };
      rows.push(
        {
          what: `orchd status over ${runs.toLocaleString("en")} runs`,
          unit: "ms",
          orchd: { name: "status", samples: all },
          beside,
          goal: { of: "ratio", atMost: 1.5 },
        },
        {
          what: `orchd status RUN over ${runs.toLocaleString("en")} runs`,
          unit: "ms",
          orchd: { name: "status RUN", samples: one },
          beside,
          goal: { of: "ratio", atMost: 1.5 },
        },
      );
    });
  }
  return rows;
}
