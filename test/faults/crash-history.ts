/**
 * The real engine and its ledgers over a disk that forgets (support/forgetful-disk.ts), on the
 * virtual clock. The faults: kills and power cuts in the middle of any call, syncs that fail, disks
 * that fill up and get room again; beside them retention, and requests that were left while no
 * daemon was up. The same seed gives the same history, to the byte.
 *
 * Acknowledged is what the engine acted on: lines that it folded, runs that it started, requests
 * that it answered. After each crash, before anything is recovered, all of this must be on the
 * disk. At the end each slot must have one decision, each run one line, and each ledger must be
 * whole.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { slotKey } from "../../src/core/pipeline-state.ts";
import { prune } from "../../src/ledger/prune.ts";
import { readReply, writeRequest } from "../../src/ledger/requests.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { ForgetfulDisk, Platter } from "../support/forgetful-disk.ts";
import { goodLines, readWholeLedger } from "../support/independent-ledger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

export interface History {
  /** The first thing that is wrong; undefined: nothing. */
  readonly problem: string | undefined;
  /** A SHA-256 of every call to the disk and every action. */
  readonly trace: string;
  readonly counts: Readonly<
    Record<"kills" | "cuts" | "failedSyncs" | "fillings" | "pruned" | "decided", number>
  >;
}

const MINUTE = 60_000;
/**
 * The pipelines, and the schedules of each. The two of "b" have lanes of their own: both have a
 * slot each minute, and the lines of both are one write.
 */
const LANES: Readonly<Record<string, readonly (string | undefined)[]>> = {
  a: [undefined],
  b: ["one", "two"],
};
const NAMES = Object.keys(LANES);

/** Something that must never be. */
class Problem extends Error {}

/** Makes a history of some rounds, each with a fault. `tell` is told every action and call. */
export async function crashHistory(
  seed: number,
  runs: string,
  rounds: number,
  tell: (what: string) => void = () => undefined,
): Promise<History> {
  const clock = new VirtualClock({ seed, turns: 2 });
  const dice = new VirtualClock({ seed: seed * 7_919 + 1 });
  const chance = (): number => dice.random();
  const upTo = (most: number): number => Math.floor(chance() * most);
  const hash = createHash("sha256");
  const trace = (what: string): void => {
    hash.update(`${what}\n`);
    tell(what);
  };
  const counts = { kills: 0, cuts: 0, failedSyncs: 0, fillings: 0, pruned: 0, decided: 0 };
  const rig = new EngineRig({
    runs,
    clock,
    script: { durationOf: (run) => (run.length % 3) * 40_000 + 500 },
  });
  const platter = new Platter(runs, chance, trace);
  /** A sync fails after this many more; undefined: none fails. */
  let failsIn: number | undefined;
  let full: RegExp | undefined;
  const faults = {
    syncFails: (): boolean => {
      if (failsIn === undefined || failsIn-- > 0) return false;
      failsIn = undefined;
      counts.failedSyncs += 1;
      return true;
    },
    isFull: (path: string): boolean => full?.test(path) === true,
  };
  /** The last seq that was acknowledged, by path. */
  const acknowledged = new Map<string, number>();
  const started = new Set<string>();
  const pruned = new Set<string>();
  let asked = 0;

  const remember = (): void => {
    for (const desk of rig.engine.desks())
      acknowledged.set(rig.store.pipelineLedger(desk.name), desk.state.lastSeq);
    for (const run of rig.runs.live.values())
      acknowledged.set(rig.store.runLedger(run.id), run.state.lastSeq);
    for (const run of rig.runs.started.splice(0)) {
      if (pruned.has(run))
        throw new Problem(`${run} was started again after retention had removed it`);
      started.add(run);
    }
  };
  /** Throws if something that was acknowledged is not on the disk. */
  const check = (): void => {
    for (const [path, seq] of acknowledged) {
      const there = existsSync(path) ? goodLines(path) : 0;
      if (there < seq)
        throw new Problem(
          `${path.slice(runs.length + 1)} has ${there} good lines; ${seq} were acknowledged`,
        );
    }
    for (const run of started)
      if (!pruned.has(run) && !rig.store.exists(run))
        throw new Problem(`${run} was started and has no ledger`);
  };
  const whole = (): void => {
    for (const name of NAMES) {
      for (const path of [
        rig.store.pipelineLedger(name),
        ...rig.store.list(name).map((run) => rig.store.runLedger(run)),
      ]) {
        if (!existsSync(path)) continue;
        try {
          readWholeLedger(path);
        } catch (error) {
          const ledger = path.slice(runs.length + 1);
          throw new Problem(
            `after a clean end ${ledger} is not whole: ${(error as Error).message}`,
          );
        }
      }
    }
  };
  const up = async (): Promise<void> => {
    for (let attempt = 0; ; attempt += 1) {
      await rig.up(
        new ForgetfulDisk(
          platter,
          faults,
          attempt < 3 && chance() < 0.25 ? 1 + upTo(40) : undefined,
        ),
      );
      if (rig.fatal === undefined) break;
      await crash();
    }
    for (let id = 1; id <= asked; id += 1) {
      const reply = readReply(runs, `r${id}`);
      if (reply?.run === undefined || pruned.has(reply.run)) continue;
      if (!rig.store.exists(reply.run))
        throw new Problem(`request r${id} was answered with ${reply.run}, which has no ledger`);
      acknowledged.set(
        rig.store.runLedger(reply.run),
        Math.max(1, acknowledged.get(rig.store.runLedger(reply.run)) ?? 0),
      );
    }
  };
  const crash = async (): Promise<void> => {
    remember();
    counts.kills += 1;
    await rig.kill();
    if (chance() < 0.5) {
      counts.cuts += 1;
      trace("power cut");
      platter.cut();
    }
    check();
  };
  const survive = async (what: Promise<unknown>): Promise<void> => {
    await what.catch(() => undefined);
    if (rig.disk.dead) rig.fatal ??= new Error("the process was killed");
    if (rig.fatal === undefined) return;
    full = undefined;
    failsIn = undefined;
    await crash();
    await clock.advance(upTo(3 * MINUTE));
    await up();
  };

  try {
    for (const name of NAMES) {
      const schedules = LANES[name]!.map((lane) =>
        scheduleOf({
          cron: "* * * * *",
          catchUp: "all",
          catchUpWindowMs: 7 * 86_400_000,
          maxCatchUp: 100_000,
          ...(lane === undefined ? {} : { name: lane, params: { lane } }),
        }),
      );
      rig.put(pipelineOf(name, schedules, { overlap: "allow" }));
    }
    await up();
    for (let round = 0; round < rounds; round += 1) {
      const action = upTo(8);
      trace(`round ${round}: action ${action} at ${clock.now()}`);
      switch (action) {
        case 0:
        case 1:
          rig.disk.diesAt = rig.disk.calls + 1 + upTo(50);
          await survive(clock.advance(3 * MINUTE));
          rig.disk.diesAt = undefined;
          break;
        case 2:
          await survive(clock.advance(upTo(2 * MINUTE)));
          rig.fatal = new Error("the power is cut");
          await survive(Promise.resolve());
          break;
        case 3:
          failsIn = upTo(20);
          await survive(clock.advance(3 * MINUTE));
          failsIn = undefined;
          break;
        case 4:
        case 5: {
          counts.fillings += 1;
          full = [/./, /pipeline\.jsonl/, /@/][upTo(3)];
          await survive(clock.advance(1 + upTo(4 * MINUTE)));
          if (action === 5) await retain();
          const end = upTo(3);
          if (end === 0) {
            rig.disk.diesAt = rig.disk.calls + 1 + upTo(10);
            await survive(clock.advance(2 * MINUTE));
            rig.disk.diesAt = undefined;
          } else if (end === 1) {
            // A write that waits for room never ends: the daemon ends without it.
            await rig.down(0).catch(() => rig.kill());
            whole();
            full = undefined;
            await up();
          }
          full = undefined;
          await survive(clock.advance(MINUTE));
          break;
        }
        case 6:
          await retain();
          break;
        case 7:
          await rig.down();
          whole();
          asked += 1;
          await writeRequest(runs, { type: "submit", pipeline: "a" }, { id: `r${asked}` });
          await up();
          break;
      }
    }
    full = undefined;
    await survive(clock.advance(3 * MINUTE));
    remember();
    await rig.down();
    check();
    whole();
    for (const name of NAMES) {
      const { problems, decided } = everyMinute(rig, name);
      counts.decided += decided;
      const first = [...problems, ...runsAgainstLines(rig, name, pruned), ...strays(rig, name)][0];
      if (first !== undefined) throw new Problem(`${name}: ${first}`);
    }
    return { problem: undefined, trace: hash.digest("hex"), counts };
  } catch (error) {
    await rig.kill();
    if (!(error instanceof Problem)) throw error;
    return { problem: error.message, trace: hash.digest("hex"), counts };
  }

  /** Retention keeps the three newest runs of each pipeline; age does not matter. */
  async function retain(): Promise<void> {
    remember();
    for (const name of NAMES) platter.syncNow(rig.store.pipelineLedger(name));
    const removed = await prune(runs, {
      nowMs: clock.now(),
      policyOf: () => ({ keepDays: 3_650, keepRuns: 3 }),
      alsoActive: rig.engine.runs.ids(),
    });
    platter.noticeRemovals();
    for (const { run } of removed.runs) {
      pruned.add(run);
      acknowledged.delete(rig.store.runLedger(run));
    }
    counts.pruned += removed.runs.length;
    trace(`retention removed ${removed.runs.map(({ run }) => run).join(", ")}`);
  }
}

/**
 * What is wrong where every minute since the pipeline was loaded must have one run in each lane.
 */
function everyMinute(
  rig: EngineRig,
  name: string,
): { readonly problems: string[]; readonly decided: number } {
  const lines = rig.lines(name);
  const fired = new Map<string, number>();
  for (const { type, slot, schedule } of lines) {
    if (type !== "slot.fired" && type !== "slot.caught_up") continue;
    const key = slotKey(String(slot), schedule as string | undefined);
    fired.set(key, (fired.get(key) ?? 0) + 1);
  }
  const problems = lines.flatMap(({ type, seq }) =>
    type === "slot.missed" || type === "slot.skipped" ? [`line ${seq} is a ${type}`] : [],
  );
  const last = Math.floor(rig.clock.now() / MINUTE);
  for (
    let minute = Math.floor(Date.parse(lines[0]!.at) / MINUTE) + 1;
    minute <= last;
    minute += 1
  ) {
    for (const lane of LANES[name]!) {
      const key = slotKey(new Date(minute * MINUTE).toISOString(), lane);
      const times = fired.get(key) ?? 0;
      if (times !== 1) problems.push(`${key} was fired ${times} times`);
    }
  }
  return { problems, decided: fired.size };
}

/**
 * What is wrong where every scheduled run must have one slot line, every slot line a run (there or
 * removed by retention), and every run one end.
 */
function runsAgainstLines(rig: EngineRig, name: string, pruned: ReadonlySet<string>): string[] {
  const problems: string[] = [];
  const lines = rig.lines(name);
  const told = lines.flatMap(({ type, run }) =>
    type === "slot.fired" || type === "slot.caught_up" ? [String(run)] : [],
  );
  const ends = lines.flatMap(({ type, run }) => (type === "run.finished" ? [String(run)] : []));
  if (new Set(told).size !== told.length) problems.push("a run has two slot lines");
  if (new Set(ends).size !== ends.length) problems.push("a run ended twice");
  const there = rig.store.list(name);
  for (const run of there) {
    const types = readWholeLedger(rig.store.runLedger(run)).map(({ type }) => type);
    if (!run.endsWith("-m") && !told.includes(run))
      problems.push(`${run} has a ledger and no slot's line`);
    if (types.filter((type) => type === "run.finished").length > 1)
      problems.push(`${run} finished twice`);
    if (types.includes("run.finished") !== ends.includes(run))
      problems.push(`${run}: its ledger and its pipeline's differ about its end`);
    if (pruned.has(run)) problems.push(`${run} is there again after retention removed it`);
  }
  for (const run of told)
    if (!there.includes(run) && !pruned.has(run))
      problems.push(`${run} has a slot's line and no ledger`);
  return problems;
}

/** Files that were taken for damaged: there must be none, since only unacknowledged writes tear. */
function strays(rig: EngineRig, name: string): string[] {
  const folder = rig.store.pipelineDir(name);
  const damaged = readdirSync(folder).filter((one) => one.includes(".damaged-"));
  return damaged.map(
    (one) => `${one} was taken for damaged: ${readFileSync(join(folder, one)).length} bytes`,
  );
}
