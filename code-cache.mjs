/**
 * `node code-cache.mjs PROGRAM`: writes the bytecode that V8 makes of the quick program beside it,
 * for daemon/orchd.ts. V8 makes it of the functions that have run. So the program first answers
 * the usual questions about a root that is made here.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { Script } from "node:vm";
import { crc32 } from "node:zlib";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** More than a checkpoint has behind it: what is done for each line is done often enough. */
const RUNS = 30;

const FINISHED = {
  type: "run.finished",
  status: "completed",
  because: "all steps completed",
  durationMs: 12,
};
const STEP = {
  id: "only",
  run: "true",
  params: {},
  inputs: {},
  after: [],
  env: {},
  retry: { maxRetries: 0, delayMs: 0, backoff: 1, jitter: 0 },
  onInterruption: "retry",
  isolated: false,
  hooks: {},
};
const SNAPSHOT = {
  digest: "d",
  file: "f",
  executionMode: "continue_on_failure",
  maxParallelSteps: 8,
  gracePeriodMs: 10_000,
  env: {},
  hooks: {},
  orchestrator: { flavor: "local", config: {} },
  steps: [STEP],
};
const SUBMITTED = { type: "run.submitted", format: 1, params: {}, snapshot: SNAPSHOT, tags: [] };

const program = process.argv[2];
const root = mkdtempSync(join(tmpdir(), "orchd-code-cache-"));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));
const newest = sampleRoot(Math.floor(Date.now() / DAY_MS) * DAY_MS);
process.env.ORCHD_ROOT = root;
const script = new Script(readFileSync(program, "latin1"), { filename: basename(program) });
for (const words of [[], ["--json"], ["hourly"], [newest], [newest, "--json"]]) {
  process.argv.splice(2, process.argv.length, "status", ...words);
  const quick = { exports: {} };
  script.runInThisContext()(createRequire(program), quick);
  await quick.exports.runQuick({});
}
writeFileSync(program.replace(/js$/, "cache"), script.createCachedData());

/** Writes two pipelines with their runs until a time. @returns the id of the last run */
function sampleRoot(until) {
  mkdirSync(join(root, "schedules"));
  writePipeline("daily", { cron: "0 3 * * 1-5", timezone: "Europe/Berlin" }, until, DAY_MS);
  return writePipeline("hourly", { cron: "0 * * * *", timezone: "UTC" }, until, HOUR_MS);
}

/** @returns the id of its last run */
function writePipeline(pipeline, schedule, until, everyMs) {
  const file = `schedules/${pipeline}.yaml`;
  writeFileSync(join(root, file), "");
  const loaded = { type: "pipeline.loaded", format: 1, pipeline, digest: "d", file, tz: "UTC" };
  const schedules = [{ ...schedule, catchUp: "none", catchUpWindowMs: DAY_MS, maxCatchUp: 100 }];
  const lines = [{ ...loaded, schedules }];
  let slot;
  let run;
  for (let time = until - RUNS * everyMs; time < until; time += everyMs) {
    slot = new Date(time).toISOString();
    run = `${pipeline}@${slot.replaceAll(/[-:]|\.\d{3}/g, "")}`;
    lines.push({ type: "slot.fired", slot, run, through: slot }, { type: "run.started", run });
    lines.push({ ...FINISHED, run });
  }
  writeLedger(join(pipeline, "pipeline.jsonl"), until, lines);
  writeLedger(join(pipeline, slot.slice(0, 7), `${run}.jsonl`), until, [
    {
      ...SUBMITTED,
      run,
      orchestratorRunId: run,
      pipeline,
      trigger: { kind: "schedule", scheduledFor: slot },
    },
    { type: "run.started", because: "nothing else is active" },
    { type: "step.started", step: "only", attempt: 1, because: "inputs ready" },
    { type: "step.completed", step: "only", attempt: 1, outputs: { result: 1 }, durationMs: 3 },
    FINISHED,
  ]);
  return run;
}

/** Frames lines as docs/ledger.md says, each as a write of its own. */
function writeLedger(path, time, lines) {
  let crc = 0;
  const texts = lines.map(({ type, ...rest }, index) => {
    const at = new Date(time + index).toISOString();
    const body = JSON.stringify({ seq: index + 1, b: index + 1, at, type, ...rest }).slice(0, -1);
    crc = crc32(body, crc);
    return `${body},"crc":"${crc.toString(16).padStart(8, "0")}"}\n`;
  });
  mkdirSync(join(root, "runs", dirname(path)), { recursive: true });
  writeFileSync(join(root, "runs", path), texts.join(""));
}
