/**
 * Promises 1, 5, 11, 28 and 29 with the real daemon: SIGKILL and EIO at chosen system calls, again and again on the same root, while it fires each second
 * and is asked for runs and stops. What it answered, it has done; what it was asked for it does, however often it dies over it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { hasProgram, reached, trials } from "../support/figures.ts";
import { childrenOf, outcomeOf, pipelineLedger, runsOf, undecidedSeconds, type PlainRun } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

/** libuv makes these for files, and nothing else makes them: a kill at the nth hits what is durable. */
const CALLS = "pwrite64,fdatasync,fsync,link,linkat,unlink,unlinkat,ftruncate,rename,renameat,renameat2";

const SETTINGS = "gracePeriod: 200ms\ndrainPeriod: 200ms\n";
const TICK = `schedule: { cron: "* * * * * *", catchUp: all, maxCatchUp: 10000 }
overlap: allow
enableCache: false
hooks: { onSuccess: ./steps/hooks.mjs#ok }
steps:
  note: { run: "true" }
`;
const HOLD = `overlap: allow
onInterruption: rerun
steps:
  wait: { run: "sleep 3600" }
`;
const HOOKS = `import { appendFileSync } from "node:fs";
export function ok({ run }) {
  appendFileSync(new URL("../../hooks", import.meta.url), run.id + "\\n");
  throw new Error("a hook that fails changes no status");
}
`;

interface Reply {
  readonly accepted: boolean;
  readonly run?: string;
}

/** Leaves a request as any program may. */
function ask(root: TempRoot, id: string, request: object): void {
  const folder = join(root.runs, ".orchd/requests");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `.${id}`), JSON.stringify(request));
  renameSync(join(folder, `.${id}`), join(folder, `${id}.json`));
}

function replyTo(root: TempRoot, id: string): Reply | undefined {
  const path = join(root.runs, `.orchd/replies/${id}.json`);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Reply) : undefined;
}

function unanswered(root: TempRoot): string[] {
  return readdirSync(join(root.runs, ".orchd/requests")).filter((name) => !name.startsWith("."));
}

function traced(root: TempRoot, inject: string): Promise<Daemon> {
  const through = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${CALLS}`, "-e", `inject=${inject}`];
  return startDaemon({ root: root.root, through, env: { UV_THREADPOOL_SIZE: "1" }, ready: false });
}

/** Waits for its end, or ends it. strace would let go of a daemon when it is killed itself. */
async function endOf(daemon: Daemon, milliseconds: number): Promise<boolean> {
  const timer = new Promise<"late">((resolve) => void setTimeout(() => resolve("late"), milliseconds));
  if ((await Promise.race([daemon.ended, timer])) !== "late") return true;
  for (const pid of childrenOf(daemon.pid)) process.kill(pid, "SIGKILL");
  await daemon.ended;
  return false;
}

/** The runs that a request made, by its id. */
function madeBy(runs: readonly PlainRun[]): Map<string, string[]> {
  const made = new Map<string, string[]>();
  for (const { run, lines } of runs) {
    const { requestId } = lines[0]!["trigger"] as { requestId?: string };
    if (requestId !== undefined) made.set(requestId, [...(made.get(requestId) ?? []), run]);
  }
  return made;
}

describe.runIf(hasProgram("strace"))("a daemon", () => {
  it("that is killed at any system call keeps what it answered, and does what it was asked for", { timeout: 7_200_000 }, async () => {
    const root = tempRoot({
      "orchd.yaml": SETTINGS,
      "schedules/tick.yaml": TICK,
      "schedules/hold.yaml": HOLD,
      "schedules/steps/hooks.mjs": HOOKS,
    });
    const points = trials(2, 300);
    const stops = new Map<string, string>();
    ask(root, "run--1", { type: "submit", pipeline: "hold" });
    const first = await startDaemon({ root: root.root });
    await awaitSight(root.runs, () => replyTo(root, "run--1"), "a first answer");
    await first.kill();
    let killed = 0;
    for (let point = 0; point < points; point += 1) {
      ask(root, `run-${point}`, { type: "submit", pipeline: "hold" });
      const before = replyTo(root, `run-${point - 1}`)?.run;
      if (before !== undefined) {
        ask(root, `stop-${point}`, { type: "stop", run: before, mode: "force" });
        stops.set(`stop-${point}`, before);
      }
      const daemon = await traced(root, `${CALLS}:signal=KILL:when=${1 + ((point * 37) % 90)}`);
      if (await endOf(daemon, 8_000)) killed += 1;
    }
    const last = await startDaemon({ root: root.root });
    await awaitSight(
      root.runs,
      () => (unanswered(root).length === 0 ? true : undefined),
      () => `answers to ${unanswered(root).join(", ")}`,
      60_000,
    );
    const stopped = new Set(stops.values());
    const outcomes = (): Map<string, string | undefined> => new Map(runsOf(root.runs, "hold").map((run) => [run.run, outcomeOf(run)]));
    await awaitSight(
      root.runs,
      () => (Array.from(outcomes()).every(([run, outcome]) => !stopped.has(run) || outcome !== undefined) ? true : undefined),
      "the end of what was stopped",
      60_000,
    );
    const toCome = (): number => runsOf(root.runs, "tick").filter((run) => outcomeOf(run) === undefined).length;
    await awaitSight(
      root.runs,
      () => (toCome() <= 2 ? true : undefined),
      () => `the end of ${toCome()} runs`,
      300_000,
    );
    await last.end();

    const runs = runsOf(root.runs, "hold");
    const made = madeBy(runs);
    let kept = 0;
    for (let point = 0; point < points; point += 1) {
      const reply = replyTo(root, `run-${point}`);
      expect(reply?.accepted, `run-${point}`).toBe(true);
      expect(made.get(`run-${point}`), `run-${point}`).toEqual([reply!.run]);
      kept += 1;
    }
    let honoured = 0;
    for (const [id, run] of stops) {
      expect(replyTo(root, id), id).toMatchObject({ accepted: true });
      if (outcomes().get(run) === "stopped") honoured += 1;
    }
    expect(undecidedSeconds(pipelineLedger(root.runs, "tick"))).toEqual([]);
    const ticks = runsOf(root.runs, "tick");
    const told = linesOf(join(root.runs, "tick/pipeline.jsonl")).flatMap((line) =>
      line.type === "slot.fired" || line.type === "slot.caught_up" ? [String(line["run"])] : [],
    );
    expect(ticks.map(({ run }) => run)).toEqual(told.toSorted());
    const called = new Set(readFileSync(join(root.root, "hooks"), "utf8").trim().split("\n"));
    const completed = ticks.filter((run) => outcomeOf(run) === "completed").map(({ run }) => run);
    const hooked = completed.filter((run) => called.has(run)).length;
    expect(completed.length).toBeGreaterThan(0);
    reached(1, `accepted requests whose run is there, once, after kills of a daemon (${killed} hit)`, kept, points);
    reached(11, "slots fired once through kills of a daemon", new Set(told).size, told.length);
    reached(28, "accepted stops honoured through kills of a daemon", honoured, stops.size);
    reached(29, "completed runs whose hook was called through kills of a daemon", hooked, completed.length);
    expect([honoured, hooked]).toEqual([stops.size, completed.length]);
    expect((await orchd(root.root, "verify", "--json")).json()).toMatchObject({ faults: [] });
  });

  it("whose sync or write fails ends within a second, and the next one goes on", { timeout: 3_600_000 }, async () => {
    const root = tempRoot({ "orchd.yaml": SETTINGS, "schedules/tick.yaml": TICK, "schedules/steps/hooks.mjs": HOOKS });
    const points = trials(1, 100);
    let good = 0;
    for (let point = 0; point < points; point += 1) {
      const call = ["fdatasync", "fsync", "pwrite64"][point % 3]!;
      const daemon = await traced(root, `${call}:error=EIO:when=${3 + ((point * 7) % 30)}`);
      if (!(await endOf(daemon, 20_000))) continue;
      expect((await daemon.ended).status).not.toBe(0);
      const fatal = daemon.log().find((line) => line["level"] === "fatal");
      // A write that is no ledger's (a lock, a reply) ends it with a sentence too, or is tried again.
      if (fatal !== undefined && performance.timeOrigin + performance.now() - Date.parse(String(fatal["time"])) < 1_500) good += 1;
    }
    const last = await startDaemon({ root: root.root });
    const before = linesOf(join(root.runs, "tick/pipeline.jsonl")).filter((line) => line.type === "run.finished").length;
    await awaitSight(
      root.runs,
      () => (linesOf(join(root.runs, "tick/pipeline.jsonl")).filter((line) => line.type === "run.finished").length > before ? true : undefined),
      "a run after all that",
    );
    await last.end();
    reached(5, "failed syncs and writes of a daemon after which it ended at once", good, points);
    expect(good).toBe(points);
    expect(undecidedSeconds(pipelineLedger(root.runs, "tick"))).toEqual([]);
    expect((await orchd(root.root, "verify", "--json")).json()).toMatchObject({ faults: [] });
  });
});
