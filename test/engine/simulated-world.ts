/**
 * The real engine over a virtual clock, with everything that can go wrong around it: edits, bad
 * edits, removals, pauses, downtimes, kills and power cuts in the middle of any disk call, clocks
 * set forward and back, summer time. One seed, one history.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Schedule } from "../../src/core/schedule/schedule-schema.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import type { Line } from "../support/await-event.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { SyncDisk } from "../support/sync-disk.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { cronOf, INTERVAL_START, judge, type PlainSchedule } from "./slot-oracle.ts";

export interface Outcome {
  readonly problems: string[];
  readonly decided: number;
  /** How often the process was killed, and how often the power went. */
  readonly kills: number;
  readonly cuts: number;
  readonly steps: number;
  readonly byKind: Record<string, number>;
}

const OVERLAPS = ["skip", "queue", "queue_all", "cancel", "terminate", "allow"] as const;
/** Most histories see clocks set, by an hour or by half of one. */
const STARTS = [
  "2026-03-20T00:00:00Z",
  "2026-10-12T00:00:00Z",
  "2026-09-25T00:00:00Z",
  "2026-11-23T00:00:00Z",
];
const ZONES = [
  "UTC",
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Australia/Lord_Howe",
  "Asia/Kathmandu",
];
const HOUR = 3_600_000;

/** Lives through this many simulated days. `trace` hears what happens. */
export async function simulate(
  seed: number,
  runs: string,
  days: number,
  trace: (what: string) => void = () => undefined,
): Promise<Outcome> {
  const chance = new VirtualClock({ seed: seed * 7919 + 1 });
  const pick = <T>(from: readonly T[]): T => from[Math.floor(chance.random() * from.length)]!;
  const upTo = (most: number): number => Math.floor(chance.random() * most);
  const clock = new VirtualClock({ seed, turns: 2, start: pick(STARTS) });
  const durations = [1_000, 45_000, 10 * 60_000, 3 * HOUR];
  const rig = new EngineRig({
    runs,
    clock,
    script: {
      durationOf: (run) =>
        durations[
          [...run].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % durations.length
        ]!,
      stopMs: 3_000,
    },
  });
  const texts = new Map<string, readonly PlainSchedule[]>();
  const names = ["a", "b"].slice(0, 1 + upTo(2));
  let kills = 0;
  let cuts = 0;
  let steps = 0;

  const anyPlain = (track?: string): PlainSchedule => {
    const zone = pick(ZONES);
    return {
      minutes: pick([[0], [0, 30], [7, 8, 9], [0, 10, 20, 30, 40, 50], [59], [15, 45]]),
      ...(chance.random() < 0.4
        ? {}
        : { hours: pick([[2], [0, 6, 12, 18], [1, 2, 3], [23], [0]]) }),
      ...(chance.random() < 0.15 ? { everySeconds: pick([1_000, 5_400, 40_000]) } : {}),
      zone,
      jitterSeconds: pick([0, 0, 45, 1_800]),
      catchUp: pick(["none", "latest", "all"] as const),
      catchUpWindowMs: pick([HOUR, 24 * HOUR]),
      maxCatchUp: pick([1, 3, 100]),
      ...(zone === "UTC" && chance.random() < 0.2 ? { blackoutHour: pick([2, 3, 12]) } : {}),
      ...(track === undefined ? {} : { track }),
    };
  };
  const write = (name: string): void => {
    const plain = [
      anyPlain(),
      ...(chance.random() < 0.3 ? [anyPlain()] : []),
      ...(chance.random() < 0.3 ? [anyPlain("extra")] : []),
    ];
    const loaded = pipelineOf(name, plain.map(writtenAs), {
      overlap: pick(OVERLAPS),
      ...(chance.random() < 0.3 ? { maxActiveRuns: 2 } : {}),
    });
    texts.set(loaded.digest, plain);
    rig.put(loaded);
  };
  let disk = new SyncDisk();
  const up = async (): Promise<void> => {
    for (let attempt = 0; ; attempt += 1) {
      // Recovery may be killed too, a few times.
      const dies =
        attempt < 3 && chance.random() < 0.2
          ? { diesAt: 1 + upTo(30), forgets: chance.random() < 0.5 }
          : {};
      disk = new SyncDisk({ ...dies, before: disk });
      await rig.up(disk);
      if (rig.fatal === undefined) return;
      died("coming up");
      await rig.kill();
    }
  };
  const died = (when: string): void => {
    if (rig.disk.forgets) cuts += 1;
    else kills += 1;
    trace(
      `${new Date(clock.now()).toISOString()} ${rig.disk.forgets ? "power cut" : "killed"} ${when}`,
    );
  };
  const survive = async (what: Promise<unknown>): Promise<void> => {
    await what.catch(() => undefined);
    if (rig.fatal === undefined) return;
    died("on the way");
    await rig.kill();
    await clock.advance(upTo(4) === 0 ? upTo(40 * HOUR) : upTo(20 * 60_000));
    await up();
  };

  for (const name of names) write(name);
  await up();
  const until = clock.monotonic() + days * 24 * HOUR;
  while (clock.monotonic() < until) {
    await survive(clock.advance(upTo(pick([60_000, HOUR, 8 * HOUR]))));
    const name = pick(names);
    const action = upTo(14);
    trace(`${new Date(clock.now()).toISOString()} action ${action} on ${name}`);
    switch (action) {
      case 0:
      case 1:
        rig.disk.diesAt = rig.disk.calls + 1 + upTo(60);
        rig.disk.forgets = chance.random() < 0.5;
        await survive(clock.advance(2 * HOUR));
        rig.disk.diesAt = undefined;
        break;
      case 2:
        await rig.down();
        await clock.advance(upTo(pick([10_000, 2 * HOUR, 50 * HOUR])));
        await up();
        break;
      case 3:
      case 4:
        write(name);
        await survive(rig.told([`/nowhere/${name}.yaml`]));
        break;
      case 5:
        if (chance.random() < 0.5) await survive(rig.spoil(name));
        break;
      case 6:
        if (chance.random() < 0.5) await survive(rig.take(name));
        break;
      case 7:
        // An edit while no daemon is up.
        await rig.down();
        await clock.advance(upTo(2 * HOUR));
        if (chance.random() < 0.7) write(name);
        else rig.files.delete(`/nowhere/${name}.yaml`);
        await clock.advance(upTo(2 * HOUR));
        await up();
        break;
      case 8:
      case 9:
      case 10: {
        const desk = await rig.engine.desk(name).catch(() => undefined);
        if (desk !== undefined)
          await survive(
            rig.settling(
              desk.setPaused(chance.random() < 0.3, {
                requestId: `r${clock.monotonic()}`,
                by: "somebody",
              }),
            ),
          );
        break;
      }
      case 11:
        steps += 1;
        clock.step(upTo(pick([90_000, 6 * HOUR])));
        break;
      case 12:
        steps += 1;
        clock.step(-upTo(pick([90_000, 2 * HOUR])));
        break;
      case 13: {
        // The clock is set while no daemon is up; or a glitch, and back.
        const by = upTo(pick([2 * HOUR, 40 * 24 * HOUR]));
        steps += 2;
        if (chance.random() < 0.5) {
          await rig.down();
          clock.step(by);
          await up();
        } else clock.step(by);
        await survive(clock.advance(upTo(90_000)));
        clock.step(-by);
        break;
      }
    }
  }
  await survive(clock.advance(5 * 60_000));
  const ended = clock.now();
  await rig.down();

  const problems: string[] = [];
  const byKind: Record<string, number> = {};
  let decided = 0;
  for (const name of names) {
    const lines = rig.lines(name);
    const verdict = judge(name, lines, (digest) => texts.get(digest)!, ended);
    problems.push(...verdict.problems.map((problem) => `${name}: ${problem}`));
    decided += verdict.decided;
    for (const [kind, count] of Object.entries(verdict.byKind))
      byKind[kind] = (byKind[kind] ?? 0) + count;
    problems.push(...runsAgainstLines(rig, name, lines));
    const file = rig.files.get(`/nowhere/${name}.yaml`);
    const last = lines.findLast(
      ({ type }) => type === "pipeline.loaded" || type === "pipeline.removed",
    );
    if (file !== undefined && "name" in file && last?.["digest"] !== file.digest)
      problems.push(`${name}: its file is not the version in force`);
  }
  return { problems, decided, kills, cuts, steps, byKind };
}

/** The schedule as orchd has it once a file was read. */
function writtenAs(one: PlainSchedule): Schedule {
  const {
    zone,
    jitterSeconds,
    catchUp,
    catchUpWindowMs,
    maxCatchUp,
    everySeconds,
    blackoutHour,
    track,
  } = one;
  return scheduleOf({
    ...(everySeconds === undefined
      ? { cron: cronOf(one) }
      : { intervalSeconds: everySeconds, startTime: new Date(INTERVAL_START).toISOString() }),
    timezone: zone,
    jitterSeconds,
    catchUp,
    catchUpWindowMs,
    maxCatchUp,
    blackout:
      blackoutHour === undefined ? [] : [{ cron: `0 ${blackoutHour} * * *`, durationMs: HOUR }],
    ...(track === undefined ? {} : { name: track, params: { extra: true } }),
  });
}

/**
 * Every scheduled run has one line, and every line one run. Every run that has ended has a line of
 * its end.
 */
function runsAgainstLines(rig: EngineRig, name: string, lines: readonly Line[]): string[] {
  const problems: string[] = [];
  const told = new Set(
    lines
      .filter(({ type }) => type === "slot.fired" || type === "slot.caught_up")
      .map(({ run }) => String(run)),
  );
  const ends = lines.filter(({ type }) => type === "run.finished").map(({ run }) => String(run));
  const folder = rig.store.pipelineDir(name);
  const there = new Set<string>();
  for (const month of readdirSync(folder).filter((entry) => /^\d{4}-\d\d$/.test(entry))) {
    for (const file of readdirSync(join(folder, month))) {
      if (!file.endsWith(".jsonl") || file.startsWith(".")) continue;
      const run = file.slice(0, -6);
      there.add(run);
      const types = readWholeLedger(join(folder, month, file)).map(({ type }) => type);
      if (!told.has(run)) problems.push(`${run} has a ledger and no slot's line`);
      if (types.filter((type) => type === "run.started").length > 1)
        problems.push(`${run} was started twice`);
      const finished = types.filter((type) => type === "run.finished").length;
      if (finished > 1) problems.push(`${run} finished twice`);
      if (finished === 1 && !ends.includes(run))
        problems.push(`${run} finished and its pipeline's ledger does not say so`);
    }
  }
  for (const run of told)
    if (!there.has(run)) problems.push(`${run} has a slot's line and no ledger`);
  for (const run of new Set(ends))
    if (ends.filter((end) => end === run).length > 1)
      problems.push(`${run} ended twice in its pipeline's ledger`);
  return problems;
}
