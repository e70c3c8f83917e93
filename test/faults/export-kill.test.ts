/**
 * The export of traces is killed again and again, at its requests and at its writes, while runs
 * come and the collector fails. Each span of each run arrives, and doubles have the ids that they
 * had.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { killQuietly } from "../../src/places/pool/kill-by-token.ts";
import { TraceFold } from "../../src/traces/trace-fold.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { orchd, orchdProgram } from "../support/daemon.ts";
import { trials } from "../support/figures.ts";
import { ledgerText, loaded, runPath, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { OtlpReceiver, type OtlpAnswer } from "../support/otlp-receiver.ts";
import { tempRoot } from "../support/temp-root.ts";
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";

const KILLS = trials(4, 300);
const STEPS = 30;

type Lines = ({ readonly type: string } & Readonly<Record<string, unknown>>)[];

function runLines(run: string): Lines {
  const header = { run, pipeline: "p", orchestratorRunId: run, trigger: { kind: "manual" } };
  const error = { name: "Error", message: "no", code: "E" };
  return [
    { type: "run.submitted", format: 1, ...header, params: {}, tags: [], snapshot: { steps: [] } },
    ...Array.from({ length: STEPS }, (_, n) => [
      { type: "step.started", step: `s${n}`, attempt: 1, because: "x" },
      { type: "step.failed", step: `s${n}`, attempt: 1, error, retryAt: "2026-11-23T02:00:00Z" },
      { type: "step.started", step: `s${n}`, attempt: 2, because: "x" },
      { type: "step.completed", step: `s${n}`, attempt: 2, outputs: {}, durationMs: 1 },
    ]).flat(),
    { type: "run.finished", status: "completed", because: "x", durationMs: 5 },
  ];
}

it(`loses no span in ${KILLS} kills`, async () => {
  const root = tempRoot();
  const receiver = await OtlpReceiver.open();
  const pipeline: Lines = [loaded("0 0 1 1 *")];
  writePipeline(root.runs, "p", pipeline);
  const ids: string[] = [];
  /** A run comes in two halves, so that kills come within runs too. */
  const comes = async (nth: number): Promise<void> => {
    const stamp = new Date(Date.UTC(2026, 10, 23, 2, 0, nth)).toISOString();
    const run = `p@${stamp.replaceAll(/[-:]/g, "").replace(".000", "")}`;
    ids.push(run);
    const add = (line: Lines[number]): void => {
      pipeline.push(line);
      const lines = ledgerText(pipeline).split("\n");
      appendFileSync(join(root.runs, "p/pipeline.jsonl"), `${lines.at(-2)!}\n`);
    };
    const whole = ledgerText(runLines(run));
    const half = whole.indexOf("\n", whole.length / 2) + 1;
    writeRun(root.runs, run, []);
    appendFileSync(runPath(root.runs, run), whole.slice(0, half));
    add({ type: "run.started", run, trigger: "manual" });
    await wait(20);
    appendFileSync(runPath(root.runs, run), whole.slice(half));
    add({ type: "run.finished", run, status: "completed", durationMs: 1 });
  };
  let child: ChildProcess | undefined;
  // strace leaves the process that it follows alive: the group has both.
  const kill = (): void => {
    if (child?.pid !== undefined) killQuietly(-child.pid, "SIGKILL");
  };
  onTestFinished(kill);
  const words = ["export", "otlp", "--endpoint", receiver.url];
  const random = (most: number): number => Math.floor(Math.random() * most);
  const answers: (() => OtlpAnswer)[] = [
    () => ({ status: 200 }),
    () => ({ status: 503, headers: { "Retry-After": "1" } }),
    () => ({ status: 200, hangsUp: true }),
    () => ({ status: 200, body: "no protobuf" }),
  ];
  let kills = 0;
  for (let nth = 0; kills < KILLS; nth += 1) {
    let requests = 0;
    const mode = nth % 4;
    receiver.answer = () => {
      requests += 1;
      if (mode === 0 && requests === 1) kill();
      const answer = answers[mode === 3 ? random(answers.length) : 0]!();
      if (mode === 1) setTimeout(kill, random(6));
      return answer;
    };
    const traced =
      mode === 2
        ? ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${CALLS[nth % 3]!}`].concat([
            "-e",
            `inject=${CALLS[nth % 3]!}:signal=KILL:when=${1 + random(4)}`,
          ])
        : [];
    const [program, ...before] = [...traced, process.execPath];
    child = spawn(program, [...before, orchdProgram, ...words, ...(nth === 0 ? START : [])], {
      env: { ...process.env, ORCHD_ROOT: root.root },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let stderr = "";
    child.stderr!.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const gone = once(child, "exit");
    const running = once(child.stdout!, "data");
    await Promise.race([running, gone]);
    await comes(nth);
    const timer = setTimeout(kill, mode === 3 ? 200 + random(2_500) : 3_500);
    await gone;
    clearTimeout(timer);
    kill();
    expect(stderr).not.toContain("runs already");
    kills += 1;
  }
  receiver.answer = () => ({ status: 200 });
  const last = await orchd(root.root, ...words, "--once");
  expect([last.status, last.stderr]).toEqual([0, ""]);
  const wanted = new Set<string>();
  const fold = new TraceFold(() => undefined);
  for (const run of ids)
    for (const line of readWholeLedger(runPath(root.runs, run)))
      for (const { traceId, spanId } of fold.take({ pipeline: "p", run, seq: line.seq, line }))
        wanted.add(`${traceId}-${spanId}`);
  expect(wanted.size).toBe(ids.length * (1 + STEPS * 3));
  expect(new Set(receiver.distinct.keys())).toEqual(wanted);
  expect(readFileSync(join(root.runs, ".orchd/otlp.json"), "utf8")).toContain('"format":1');
}, 1_800_000);

const START = ["--from", "start"];
/** What makes a position durable. */
const CALLS = ["rename", "fdatasync", "fsync"];
