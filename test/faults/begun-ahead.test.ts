/**
 * Promises 22, 24, 25 and 26 for brief steps, of which up to 32 a core are begun ahead
 * (semantics.md 20): the daemon, the runner, or both are killed while they are under way. What had
 * not begun starts again uncounted, what had begun goes by its policy, and nothing runs more often
 * than the ledger says. Each step writes down that it ran: that is the truth which the ledgers are
 * held against.
 */
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { awaitLine, awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { fullFigures, reached, trials } from "../support/figures.ts";
import { childrenOf, outcomeOf, type PlainRun } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const STEPS = fullFigures ? 600 : 300;
const MAX_ATTEMPTS = 3;
const MAX_RERUNS = 3;
/** How many rounds more are made at most until a runner has left who had begun. */
const MORE_ROUNDS = 4;
/** What is asked and started here may have a machine with twenty times as much to do as it can. */
const PATIENT = { deadlineMs: 240_000 };
/** How many threads work on what is begun ahead. */
const THREADS = Math.min(availableParallelism(), 8);

/** A fan-out of brief steps that write down that they ran. */
function fanRoot(more = ""): TempRoot {
  const steps = Array.from(
    { length: STEPS },
    (_, n) => `  s${n}: { uses: ./steps/work.mjs, params: { n: ${n} } }\n`,
  );
  const root = tempRoot({
    "schedules/fan.yaml": `enableCache: false
maxParallelSteps: 64
retry: { maxRetries: ${MAX_ATTEMPTS - 1} }
${more}steps:
${steps.join("")}`,
  });
  root.write(
    "schedules/steps/work.mjs",
    `import { appendFileSync } from "node:fs";
export default ({ params }) => {
  appendFileSync(${JSON.stringify(join(root.root, "calls"))}, params.n + "\\n");
  return params.n;
};`,
  );
  return root;
}

/** How often each step ran since it was asked last. */
function takeCalls(root: TempRoot): Map<string, number> {
  const path = join(root.root, "calls");
  const calls = new Map<string, number>();
  if (!existsSync(path)) return calls;
  for (const n of readFileSync(path, "utf8").trim().split("\n"))
    calls.set(`s${n}`, (calls.get(`s${n}`) ?? 0) + 1);
  rmSync(path);
  return calls;
}

interface Judged {
  readonly faults: readonly string[];
  /** Steps that were counted as interrupted while they ran, though they never did. */
  readonly wronged: number;
  /** Steps that started again uncounted. */
  readonly again: number;
  readonly alone: number;
}

/** Holds a run's lines against what its steps wrote down. */
function judge(run: PlainRun, calls: ReadonlyMap<string, number>): Judged {
  const faults: string[] = [];
  let [wronged, again, alone] = [0, 0, 0];
  // A step that was at work at each kill has used all its attempts up.
  const isSpent = run.lines.some(
    (line) =>
      line["type"] === "step.interrupted" &&
      line["next"] === "fail" &&
      line["attempt"] === MAX_ATTEMPTS,
  );
  const outcome = outcomeOf(run);
  if (outcome !== (isSpent ? "failed" : "completed")) faults.push(`the run ended as ${outcome}`);
  for (let n = 0; n < STEPS; n += 1) {
    const lines = run.lines.filter((line) => line["step"] === `s${n}`);
    const starts = lines.filter(({ type }) => type === "step.started");
    const breaks = lines.filter(({ type }) => type === "step.interrupted");
    const waited = breaks.filter((line) => String(line["because"]).includes("before it had begun"));
    const reruns = breaks.filter((line) => line["next"] === "rerun");
    const counted = new Set(starts.map((line) => line["attempt"])).size;
    const ran = calls.get(`s${n}`) ?? 0;
    again += reruns.length;
    alone += breaks.filter((line) => line["alone"] === true).length;
    if (ran > starts.length - waited.length)
      faults.push(`s${n} ran ${ran} times, with ${starts.length} starts, ${waited.length} waited`);
    if (counted > MAX_ATTEMPTS || starts.some((line) => Number(line["attempt"]) > MAX_ATTEMPTS))
      faults.push(`s${n} made ${counted} attempts`);
    if (reruns.length > MAX_RERUNS) faults.push(`s${n} was run again ${reruns.length} times`);
    if (starts.length !== counted + reruns.length)
      faults.push(`s${n}: ${starts.length} starts, ${counted} attempts, ${reruns.length} reruns`);
    // A runner's death leaves open who of a thread had begun; a daemon's does not.
    wronged += Math.max(0, counted - 1 - Math.max(0, ran - 1));
  }
  return { faults, wronged, again, alone };
}

function ledgerOf(root: TempRoot, run: string): string {
  const [, year, month] = /^fan@(\d{4})(\d\d)/.exec(run)!;
  return join(root.runs, "fan", `${year}-${month}`, `${run}.jsonl`);
}

/** Waits until a run's ledger is that long, in bytes. */
const grown = (path: string, bytes: number): Promise<true> =>
  awaitSight(
    dirname(path),
    () => (existsSync(path) && statSync(path).size >= bytes ? true : undefined),
    `${bytes} bytes of ${path}`,
    PATIENT.deadlineMs,
  );

const claimsOf = (root: TempRoot): string[] => {
  const folder = join(root.runs, ".orchd/claims");
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
};

/**
 * The runner that all steps share: a step that is alone in another one is to blame for its end.
 * One that was just killed lives on in the log until the next is told.
 */
const sharedRunner = (daemon: Daemon): Promise<number> =>
  awaitSight(
    "/proc",
    () => {
      const started = daemon
        .log()
        .findLast(
          ({ msg, use, alone }) =>
            msg === "a runner was started" && use === "steps" && alone === false,
        );
      const pid = Number(started?.["runner"]);
      return existsSync(`/proc/${pid}`) ? pid : undefined;
    },
    "a shared runner that lives",
    PATIENT.deadlineMs,
  );

async function gone(pids: readonly number[]): Promise<void> {
  const live = (): number[] => pids.filter((pid) => existsSync(`/proc/${pid}`));
  await awaitSight(
    "/proc",
    () => (live().length === 0 ? true : undefined),
    () => `an end of ${live().join(", ")}`,
  );
}

async function start(root: TempRoot): Promise<string> {
  const { run } = (await orchd(root.root, "run", "fan", "--json", PATIENT)).json<{ run: string }>();
  return run;
}

async function finished(root: TempRoot, run: string): Promise<PlainRun> {
  const path = ledgerOf(root, run);
  // It is read while it grows: only the whole lines.
  await awaitLine(path, ({ type }) => type === "run.finished", PATIENT.deadlineMs);
  return { run, path, lines: linesOf(path) as unknown as PlainRun["lines"] };
}

/** How long the ledger is when something is killed: from its first step to its last. */
const momentOf = (kill: number, kills: number): number =>
  5_000 + Math.round(((kill + Math.random()) / kills) * STEPS * 330);

interface Kill {
  readonly kills: number;
  /** Whether the runner can leave who had begun. */
  readonly leaves: boolean;
  readonly act: (daemon: Daemon, runners: readonly number[]) => Promise<void>;
}

const KILLS: Record<string, Kill> = {
  "the daemon": { kills: 3, leaves: true, act: (daemon) => daemon.kill() },
  "the runner and the daemon": {
    kills: 2,
    leaves: false,
    act: async (daemon, runners) => {
      for (const pid of runners) process.kill(pid, "SIGKILL");
      await daemon.kill();
    },
  },
};

it.each(Object.entries(KILLS))(
  "attempts of steps that are begun ahead are counted exactly when %s is killed",
  { timeout: 1_800_000 },
  async (what, { kills, leaves, act }) => {
    const root = fanRoot();
    const rounds = trials(1, 40);
    const faults: string[] = [];
    let [good, left, wronged, again, all] = [0, 0, 0, 0, 0];
    let daemon = await startDaemon({ root: root.root, ...PATIENT });
    // Of the few kills of the quick form none may meet a runner that has a second to leave a file.
    const isEnough = (round: number): boolean =>
      round >= rounds && (!leaves || left > 0 || round >= rounds + MORE_ROUNDS);
    let round = 0;
    for (; !isEnough(round); round += 1) {
      const run = await start(root);
      const ends: { readonly killed: number; readonly ready: number }[] = [];
      for (let kill = 0; kill < kills; kill += 1) {
        await grown(ledgerOf(root, run), momentOf(kill, kills));
        const runners = childrenOf(daemon.pid);
        const killed = Date.now();
        await act(daemon, runners);
        await gone(runners);
        const claims = claimsOf(root);
        if (claims.length === 1 && statSync(claims[0]!).size > 0) left += 1;
        daemon = await startDaemon({ root: root.root, ...PATIENT });
        ends.push({ killed, ready: Date.now() });
        all += 1;
      }
      const ended = await finished(root, run);
      for (const line of ended.lines) {
        if (line["type"] !== "step.interrupted") continue;
        const at = Date.parse(line["at"]);
        const { ready } = ends.findLast(({ killed }) => killed <= at) ?? { ready: at };
        if (at - ready > 5_000) faults.push(`${run}: interrupted late: ${JSON.stringify(line)}`);
      }
      const judged = judge(ended, takeCalls(root));
      if (judged.faults.length === 0) good += 1;
      faults.push(...judged.faults.map((fault) => `${run}: ${fault}`));
      wronged += judged.wronged;
      again += judged.again;
    }
    expect(faults).toEqual([]);
    expect(good).toBe(round);
    if (leaves) {
      reached(26, `kills of ${what} after which the runner left who had begun`, left, all);
      expect(left).toBeGreaterThan(0);
      expect(again).toBeGreaterThan(0);
      // Each thread may be killed between its claim and the first line of the step's code. A runner
      // that is too busy to leave a file leaves 64 steps that all had begun.
      expect(wronged).toBeLessThanOrEqual(left * THREADS + (all - left) * 32 * THREADS);
    }
    reached(26, `runs of steps begun ahead whose attempts were right after kills`, good, round);
    await daemon.end();
    expect(claimsOf(root)).toEqual([]);
    expect((await orchd(root.root, "verify")).status).toBe(0);
  },
);

it(
  "only the first step of each thread is a suspect when the runner is killed",
  { timeout: 900_000 },
  async () => {
    const root = fanRoot();
    const daemon = await startDaemon({ root: root.root, ...PATIENT });
    const rounds = trials(1, 50);
    const kills = 2;
    const faults: string[] = [];
    let good = 0;
    for (let round = 0; round < rounds; round += 1) {
      const run = await start(root);
      for (let kill = 0; kill < kills; kill += 1) {
        await grown(ledgerOf(root, run), momentOf(kill, kills));
        const runner = await sharedRunner(daemon);
        process.kill(runner, "SIGKILL");
        await gone([runner]);
      }
      const found = await finished(root, run);
      const { faults: own, alone } = judge(found, takeCalls(root));
      const counted = found.lines.filter((line) => Number(line["attempt"] ?? 1) > 1);
      faults.push(...own.map((fault) => `${run}: ${fault}`));
      // What started again is begun singly, so a second kill finds up to two a thread of these.
      if (alone > kills * 2 * 8) faults.push(`${run}: ${alone} started again alone`);
      if (counted.length > 0) faults.push(`${run}: ${counted.length} lines of a second attempt`);
      if (own.length === 0) good += 1;
    }
    reached(22, "runs of steps begun ahead whose runner was killed, all completed", good, rounds);
    expect(faults).toEqual([]);
  },
);

it(
  "a file of claims that is cut off, of another daemon, or one of two is not believed",
  { timeout: 300_000 },
  async () => {
    const root = fanRoot("onInterruption: fail\n");
    const spoil: Record<string, (path: string) => void> = {
      "cut off": (path) => writeFileSync(path, readFileSync(path, "utf8").slice(0, -2)),
      empty: (path) => writeFileSync(path, ""),
      "one of two": (path) => writeFileSync(`${path}9`, '{"runs":[],"claimed":[]}'),
      "of other runs": (path) => writeFileSync(path, '{"runs":["fan@x"],"claimed":[]}'),
    };
    // In the quick form claims.test.ts tells the others apart.
    for (const [how, act] of Object.entries(spoil).slice(0, fullFigures ? undefined : 1)) {
      let daemon = await startDaemon({ root: root.root, ...PATIENT });
      const run = await start(root);
      await grown(ledgerOf(root, run), momentOf(0, 3));
      const runners = childrenOf(daemon.pid);
      await daemon.kill();
      await gone(runners);
      const claims = claimsOf(root);
      expect(claims, how).toHaveLength(1);
      act(claims[0]!);
      daemon = await startDaemon({ root: root.root, ...PATIENT });
      const { lines } = await finished(root, run);
      const breaks = lines.filter(({ type }) => type === "step.interrupted");
      expect(breaks.length, how).toBeGreaterThan(0);
      expect(new Set(breaks.map((line) => line["next"])), how).toEqual(new Set(["fail"]));
      await daemon.end();
      expect(claimsOf(root), how).toEqual([]);
    }
  },
);

it(
  "a brief step that kills its runner fails alone, among siblings that were begun ahead",
  { timeout: 300_000 },
  async () => {
    const root = fanRoot("executionMode: continue_on_failure\n");
    // Two side by side; each of their attempts ends a runner.
    const bad = [STEPS / 2, STEPS / 2 + 1, ...(fullFigures ? [7, STEPS - 10] : [])];
    root.write(
      "schedules/steps/work.mjs",
      `import { appendFileSync } from "node:fs";
export default ({ params }) => {
  if (${JSON.stringify(bad)}.includes(params.n)) process.kill(process.pid, "SIGKILL");
  appendFileSync(${JSON.stringify(join(root.root, "calls"))}, params.n + "\\n");
  return params.n;
};`,
    );
    const daemon = await startDaemon({ root: root.root, ...PATIENT });
    const rounds = trials(1, 20);
    const faults: string[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const { lines } = await finished(root, await start(root));
      for (let n = 0; n < STEPS; n += 1) {
        const own = lines.filter((line) => line["step"] === `s${n}`);
        const wanted = bad.includes(n) ? "step.failed" : "step.completed";
        const ends = own.filter(({ type }) => type === wanted);
        const reruns = own.filter((line) => line["next"] === "rerun").length;
        const tries = bad.includes(n) ? MAX_ATTEMPTS : 1;
        if (ends.length !== tries || own.some((line) => Number(line["attempt"] ?? 1) > tries))
          faults.push(`s${n}: ${JSON.stringify(own)}`);
        if (reruns > MAX_RERUNS) faults.push(`s${n} was run again ${reruns} times`);
      }
    }
    expect(faults).toEqual([]);
    reached(22, `runs of brief steps of which ${bad.length} kill the runner`, rounds, rounds);
    expect(daemon.process.exitCode).toBeNull();
  },
);
