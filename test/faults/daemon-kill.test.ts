/**
 * Promises 1, 5, 11, 28 and 29 with the real daemon: SIGKILL and EIO at chosen system calls, again
 * and again on the same root, while it fires each second and is asked for runs and stops. What it
 * answered is done, and what it was asked for gets done, however often it dies meanwhile.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLine, awaitSight, linesOf } from "../support/await-event.ts";
import { busy } from "../support/busy.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { fullFigures, hasProgram, reached, trials } from "../support/figures.ts";
import { killPoint } from "../support/kill-point.ts";
import {
  childrenOf,
  outcomeOf,
  pipelineLedger,
  runsOf,
  undecidedSeconds,
  type PlainRun,
} from "../support/ledgers.ts";
import { buildPlanted, type Plant } from "../support/program.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

/**
 * Only libuv makes these calls, and only for files: a kill at the nth of them hits what is being
 * made durable.
 */
const CALLS =
  "pwrite64,fdatasync,fsync,link,linkat,unlink,unlinkat,ftruncate,rename,renameat,renameat2";

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

/** A daemon that acknowledges lines a second before it writes them. */
const EARLY: Plant = {
  file: "src/ledger/ledger-file.ts",
  from: "      const unproven = this.#unproven;\n      if (unproven?.torn === true)",
  to: `      const early = framed;
      this.#options.onDurable?.(early.lines);
      let done = 0;
      groups.forEach((group, index) =>
        group.resolve(early.lines.slice(done, (done += early.counts[index]))),
      );
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const unproven = this.#unproven;
      if (unproven?.torn === true)`,
};
/** A daemon that takes a failed sync for a good one. */
const DEAF: Plant = {
  file: "src/ledger/ledger-file.ts",
  from: 'throw this.#unlessBlocked("Syncing", error);',
  to: "void error;",
};

interface Reply {
  readonly accepted: boolean;
  readonly reason?: string;
  readonly run?: string;
}

/** Leaves a request, as any program may. */
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

/**
 * Starts a daemon under strace.
 *
 * @param trace where strace notes each call, with its time and the files of its descriptors;
 *   default: nowhere
 * @param only the file whose calls `inject` is for; default: all files
 */
function traced(
  root: TempRoot,
  inject: string,
  { trace = "/dev/null", program, only }: { trace?: string; program?: string; only?: string } = {},
): Promise<Daemon> {
  const at = only === undefined ? [] : ["-P", only];
  const through = [
    "strace",
    "-f",
    "-q",
    "-y",
    "-ttt",
    "-o",
    trace,
    ...at,
    "-e",
    `trace=execve,${CALLS}`,
    "-e",
    `inject=${inject}`,
  ];
  return startDaemon({
    root: root.root,
    through,
    env: { UV_THREADPOOL_SIZE: "1" },
    ready: false,
    ...(program === undefined ? {} : { program }),
  });
}

/** Waits for a daemon's end, or kills it. A kill of strace alone would leave the daemon alive. */
async function endOf(daemon: Daemon, milliseconds: number): Promise<boolean> {
  const timer = new Promise<"late">(
    (resolve) => void setTimeout(() => resolve("late"), milliseconds),
  );
  if ((await Promise.race([daemon.ended, timer])) !== "late") return true;
  for (const pid of childrenOf(daemon.pid)) process.kill(pid, "SIGKILL");
  await daemon.ended;
  return false;
}

/** The runs that each request made, by the request's id. */
function madeBy(runs: readonly PlainRun[]): Map<string, string[]> {
  const made = new Map<string, string[]>();
  for (const { run, lines } of runs) {
    const { requestId } = lines[0]!["trigger"] as { requestId?: string };
    if (requestId !== undefined) made.set(requestId, [...(made.get(requestId) ?? []), run]);
  }
  return made;
}

/** What became of requests and slots, seen after the last of many daemons. */
interface Verdict {
  /** How many requests for runs were accepted and made one run. */
  readonly kept: number;
  /** How many stops were accepted: each must be, unless its run had ended. */
  readonly accepted: number;
  /** For how many of these the run was stopped. */
  readonly honoured: number;
  readonly fired: readonly string[];
  readonly completed: number;
  readonly hooked: number;
  /** What was lost or done twice, as sentences. */
  readonly faults: readonly string[];
}

/**
 * Has one more daemon finish what the others left, ends it, and compares what was answered with
 * what was done.
 */
async function verdictOn(
  root: TempRoot,
  points: number,
  stops: ReadonlyMap<string, string>,
  patienceMs: number,
): Promise<Verdict> {
  const faults: string[] = [];
  const last = await startDaemon({ root: root.root });
  const until = (
    what: () => string,
    holds: () => boolean,
    deadlineMs = patienceMs,
  ): Promise<unknown> =>
    awaitSight(root.runs, () => (holds() ? true : undefined), what, deadlineMs).catch(
      (error: unknown) => faults.push((error as Error).message),
    );
  await until(
    () => `answers to ${unanswered(root).join(", ")}`,
    () => unanswered(root).length === 0,
  );
  const stopped = new Set(stops.values());
  const outcomes = (): Map<string, string | undefined> =>
    new Map(runsOf(root.runs, "hold").map((run) => [run.run, outcomeOf(run)]));
  const going = (): string[] =>
    [...outcomes()].flatMap(([run, outcome]) =>
      stopped.has(run) && outcome === undefined ? [run] : [],
    );
  await until(
    () => `the end of ${going().join(", ")}, which were stopped`,
    () => going().length === 0,
  );
  // Runs that nobody stopped occupy the threads that the runs of tick need.
  const others = [...outcomes()].filter(
    ([run, outcome]) => outcome === undefined && !stopped.has(run),
  );
  others.forEach(([run], n) => ask(root, `end-${n}`, { type: "stop", run, mode: "force" }));
  const toCome = (): number =>
    runsOf(root.runs, "tick").filter((run) => outcomeOf(run) === undefined).length;
  await until(
    () => `the end of ${toCome()} runs`,
    () => toCome() <= 2,
    5 * patienceMs,
  );
  // After few kills on a busy machine no tick may have completed yet: then no hook was owed.
  await until(
    () => "a tick that completes",
    () => runsOf(root.runs, "tick").some((run) => outcomeOf(run) === "completed"),
  );
  await last.end();

  const made = madeBy(runsOf(root.runs, "hold"));
  let kept = 0;
  for (let point = 0; point < points; point += 1) {
    const reply = replyTo(root, `run-${point}`);
    const runs = made.get(`run-${point}`) ?? [];
    if (reply?.accepted === true && runs.length === 1 && runs[0] === reply.run) kept += 1;
    else
      faults.push(
        `run-${point} was answered ${JSON.stringify(reply)}, ` +
          `and made ${runs.length === 0 ? "no run" : runs.join(", ")}`,
      );
  }
  let honoured = 0;
  let accepted = 0;
  for (const [id, run] of stops) {
    const reply = replyTo(root, id);
    const outcome = outcomes().get(run);
    // A run that three daemons died under had failed before it could be stopped.
    if (
      reply?.accepted === false &&
      outcome === "failed" &&
      reply.reason?.includes("has finished already") === true
    )
      continue;
    accepted += 1;
    if (reply?.accepted !== true) faults.push(`${id} was answered ${JSON.stringify(reply)}`);
    if (outcome === "stopped") honoured += 1;
    else faults.push(`${run} was to be stopped, and is ${outcome ?? "going on"}`);
  }
  faults.push(...undecidedSeconds(pipelineLedger(root.runs, "tick")));
  const ticks = runsOf(root.runs, "tick");
  const fired = linesOf(join(root.runs, "tick/pipeline.jsonl")).flatMap((line) =>
    line.type === "slot.fired" || line.type === "slot.caught_up" ? [String(line["run"])] : [],
  );
  if (ticks.map(({ run }) => run).join() !== fired.toSorted().join())
    faults.push(
      `${fired.length} runs have a slot line, ${ticks.length} are there, and they differ`,
    );
  const called = new Set(
    existsSync(join(root.root, "hooks"))
      ? readFileSync(join(root.root, "hooks"), "utf8").trim().split("\n")
      : [],
  );
  const completed = ticks.filter((run) => outcomeOf(run) === "completed").map(({ run }) => run);
  const hooked = completed.filter((run) => called.has(run)).length;
  if (hooked < completed.length)
    faults.push(`${completed.length - hooked} completed runs are without their hook`);
  const verified = (await orchd(root.root, "verify", "--json")).json<{ faults: unknown[] }>();
  faults.push(...verified.faults.map((fault) => JSON.stringify(fault)));
  return { kept, accepted, honoured, fired, completed: completed.length, hooked, faults };
}

const FILES = {
  "orchd.yaml": SETTINGS,
  "schedules/tick.yaml": TICK,
  "schedules/hold.yaml": HOLD,
  "schedules/steps/hooks.mjs": HOOKS,
};

/** A root whose killed daemon has made a run of `hold`, by the request `run--1`. */
async function begun(): Promise<TempRoot> {
  const root = tempRoot(FILES);
  ask(root, "run--1", { type: "submit", pipeline: "hold" });
  const first = await startDaemon({ root: root.root });
  await awaitSight(root.runs, () => replyTo(root, "run--1"), "a first answer");
  await first.kill();
  return root;
}

describe.runIf(hasProgram("strace"))("a daemon", () => {
  it(
    "that is killed at any system call keeps its word and does what it was asked for",
    { timeout: 7_200_000 },
    async () => {
      const root = await begun();
      const points = trials(2, 300);
      const stops = new Map<string, string>();
      const stopped = new Set<string>();
      let killed = 0;
      for (let point = 0; point < points; point += 1) {
        ask(root, `run-${point}`, { type: "submit", pipeline: "hold" });
        // Many daemons die before they answer. Each run that was answered is stopped later.
        const answered = Array.from(
          { length: point + 1 },
          (_, nth) => replyTo(root, `run-${nth - 1}`)?.run,
        );
        const next = answered.findLast((run) => run !== undefined && !stopped.has(run));
        if (next !== undefined) {
          ask(root, `stop-${point}`, { type: "stop", run: next, mode: "force" });
          stops.set(`stop-${point}`, next);
          stopped.add(next);
        }
        const daemon = await traced(
          root,
          killPoint(point, { often: 90, calls: ["link", "fsync", "rename", "unlink"], seldom: 16 }),
        );
        if (await endOf(daemon, 8_000)) killed += 1;
      }
      const { kept, accepted, honoured, fired, completed, hooked, faults } = await verdictOn(
        root,
        points,
        stops,
        60_000,
      );
      if (points > 20) expect(accepted).toBeGreaterThan(points / 3);
      expect(completed).toBeGreaterThan(0);
      reached(
        1,
        `accepted requests whose run is there, once, after kills of a daemon (${killed} hit)`,
        kept,
        points,
      );
      reached(11, "slots fired once through kills of a daemon", new Set(fired).size, fired.length);
      reached(28, "accepted stops honoured through kills of a daemon", honoured, accepted);
      reached(
        29,
        "completed runs whose hook was called through kills of a daemon",
        hooked,
        completed,
      );
      expect(faults).toEqual([]);
    },
  );

  it(
    "that answers before it writes is seen to lose what it answered",
    { timeout: 240_000 },
    async () => {
      const killedOnceAnswered = async (program?: string): Promise<Verdict> => {
        const root = await begun();
        const { run } = replyTo(root, "run--1")!;
        ask(root, "stop-0", { type: "stop", run, mode: "force" });
        const daemon = await startDaemon({
          root: root.root,
          ready: false,
          ...(program === undefined ? {} : { program }),
        });
        await awaitSight(root.runs, () => replyTo(root, "stop-0"), "an answer");
        await daemon.kill();
        return verdictOn(
          root,
          0,
          new Map([["stop-0", run!]]),
          program === undefined ? 60_000 : 3_000,
        );
      };
      if (fullFigures) expect((await killedOnceAnswered()).faults).toEqual([]);
      expect(
        (await killedOnceAnswered(await buildPlanted("early-daemon", EARLY))).faults.join(),
      ).toContain("was to be stopped, and is going on");
    },
  );

  it(
    "whose sync or write fails ends within a second, and the next daemon goes on",
    { timeout: 3_600_000 },
    async () => {
      const root = tempRoot(FILES);
      const points = trials(2, 100);
      const faults: string[] = [];
      let longest = 0;
      for (let point = 0; point < points; point += 1) {
        // The first fails the write that says "ready", which comes when all else has begun.
        const call = ["fdatasync", "fsync", "pwrite64"][point % 3]!;
        const { fault, endMs } = await failing(
          root,
          `${call}:error=EIO:when=${3 + ((point * 7) % 30)}`,
        );
        if (fault !== undefined) faults.push(`point ${point}: ${fault}`);
        else longest = Math.max(longest, endMs);
      }
      const last = await startDaemon({ root: root.root });
      const before = linesOf(join(root.runs, "tick/pipeline.jsonl")).filter(
        (line) => line.type === "run.finished",
      ).length;
      await awaitSight(
        root.runs,
        () =>
          linesOf(join(root.runs, "tick/pipeline.jsonl")).filter(
            (line) => line.type === "run.finished",
          ).length > before
            ? true
            : undefined,
        "a run after all that",
      );
      await last.end();
      const good = points - faults.length;
      reached(
        5,
        "failed syncs and writes of a daemon after which it ended at once, " +
          `the slowest after ${Math.round(longest)} ms`,
        good,
        points,
      );
      expect(faults).toEqual([]);
      expect(undecidedSeconds(pipelineLedger(root.runs, "tick"))).toEqual([]);
      expect((await orchd(root.root, "verify", "--json")).json()).toMatchObject({ faults: [] });
    },
  );

  it.each([".orchd/replies", ".orchd/artifacts"])(
    "whose sync of %s fails ends too, and the next one does what was asked for",
    { timeout: 120_000 },
    async (folder) => {
      const root = tempRoot({
        "orchd.yaml": SETTINGS,
        "schedules/large.yaml":
          "onInterruption: rerun\nsteps: { a: { uses: ./steps/large.mjs } }\n",
        "schedules/steps/large.mjs": 'export default () => "x".repeat(100_000);\n',
      });
      mkdirSync(join(root.runs, folder), { recursive: true });
      ask(root, "run-0", { type: "submit", pipeline: "large" });
      const daemon = await traced(root, "fsync:error=EIO", { only: join(root.runs, folder) });
      expect(await endOf(daemon, 60_000), "its end").toBe(true);
      expect((await daemon.ended).status).not.toBe(0);
      expect(daemon.stderr()).toContain("Nothing more is acknowledged");
      const next = await startDaemon({ root: root.root });
      await awaitSight(
        root.runs,
        () =>
          runsOf(root.runs, "large").some((run) => outcomeOf(run) === "completed")
            ? true
            : undefined,
        "the run",
      );
      expect(replyTo(root, "run-0")).toMatchObject({ accepted: true });
      expect(runsOf(root.runs, "large")).toHaveLength(1);
      await next.end();
    },
  );

  it("that takes a failed sync for a good one is seen to go on", { timeout: 120_000 }, async () => {
    const program = await buildPlanted("deaf-daemon", DEAF);
    const root = tempRoot(FILES);
    const only = join(root.runs, "tick/pipeline.jsonl");
    const first = await startDaemon({ root: root.root });
    await awaitLine(only, ({ type }) => type === "slot.fired");
    await first.end();
    // Of this ledger alone: it ends where a sync of anything else fails.
    const { fault } = await failing(root, "fdatasync:error=EIO", {
      program,
      only,
      patienceMs: 4_000,
    });
    expect(fault).toContain("did not end");
  });
});

/**
 * How many milliseconds a daemon may live after a failed call: a second, times the load of each
 * processor where that is over 1.
 */
const endLimitMs = (): number => 1_000 * busy();

/**
 * Has a call of a daemon fail. The times of strace say how long after it the daemon was gone.
 *
 * @returns what is wrong, or how long the end took
 */
async function failing(
  root: TempRoot,
  inject: string,
  {
    program,
    patienceMs = 60_000,
    ...more
  }: { program?: string; patienceMs?: number; only?: string } = {},
) {
  const trace = join(root.root, "trace");
  const daemon = await traced(root, inject, {
    trace,
    ...more,
    ...(program === undefined ? {} : { program }),
  });
  // Each thread counts its own calls, so it takes a while until one fails.
  const hasFailed = (): true | undefined =>
    daemon.process.exitCode !== null ||
    (existsSync(trace) && callsIn(readFileSync(trace, "utf8")).some(isFailed))
      ? true
      : undefined;
  await awaitSight(trace, hasFailed, "a call that fails", 60_000).catch(() => undefined);
  const ended = await endOf(daemon, patienceMs);
  const calls = callsIn(readFileSync(trace, "utf8"));
  rmSync(trace);
  const failed = calls.find(isFailed);
  const answer = (fault: string | undefined, endMs = 0) => ({ fault, endMs });
  if (failed === undefined) return answer("no call of the daemon failed");
  const said = `after ${failed.text}`;
  if (!ended) return answer(`it did not end ${said}`);
  if ((await daemon.ended).status === 0) return answer(`it ended well ${said}`);
  const again = calls.find(
    (call) =>
      call.at > failed.at && call.file === failed.file && /^(pwrite64|fdatasync)/.test(call.text),
  );
  if (again !== undefined) return answer(`${again.text} ${said}`);
  const gone = calls.find(({ pid, text }) => pid === calls[0]!.pid && text.startsWith("+++"));
  if (gone === undefined) return answer(`its end is not in the trace ${said}`);
  const endMs = (gone.at - failed.at) * 1_000;
  return endMs < endLimitMs()
    ? answer(undefined, endMs)
    : answer(`it ended ${Math.round(endMs)} ms ${said}`);
}

interface Call {
  readonly pid: number;
  /** Seconds since 1970. */
  readonly at: number;
  readonly text: string;
  /** The file that its descriptor is for. */
  readonly file: string;
}

/** Whether strace had it fail, on a file of the daemon's. */
const isFailed = ({ text, file }: Call): boolean =>
  text.includes("(INJECTED)") && file.includes("/runs/");

/** The calls that strace noted. One that another call interrupted is put together again. */
function callsIn(trace: string): Call[] {
  const begun = new Map<number, string>();
  return trace.split("\n").flatMap((line) => {
    const [, pid, at, noted] = /^(\d+) +(\d+\.\d+) (.*)$/.exec(line) ?? [];
    if (noted === undefined) return [];
    if (noted.endsWith("<unfinished ...>")) {
      begun.set(Number(pid), noted.slice(0, -"<unfinished ...>".length));
      return [];
    }
    const text = noted.replace(/^<\.\.\. \w+ resumed>/, () => begun.get(Number(pid)) ?? "");
    return [
      { pid: Number(pid), at: Number(at), text, file: /^\w+\(\d+<([^>]*)>/.exec(text)?.[1] ?? "" },
    ];
  });
}
