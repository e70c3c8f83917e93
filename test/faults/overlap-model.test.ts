/**
 * Promise 21: what the decider and the admission do with any sequence of slots, stops and ends is
 * compared with a model.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import type { Overlap } from "../../src/core/pipeline.ts";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import type { RunState } from "../../src/core/run-state.ts";
import { DEFAULT_SETTINGS, type OrchdSettings } from "../../src/core/settings.ts";
import { ActiveRuns } from "../../src/engine/active-runs.ts";
import type { RunEnd, RunHandle } from "../../src/engine/ports.ts";
import type { StopAnswer, StopOrder } from "../../src/core/stop-order.ts";
import { SlotDecider } from "../../src/engine/slot-decider.ts";
import type { RunStore } from "../../src/ledger/run-store.ts";
import type { Clock, Timer } from "../../src/clock.ts";
import { silentLog } from "../../src/log.ts";
import { OverlapModel, type ModelPipeline } from "../engine/overlap-model.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { reached, trials } from "../support/figures.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const MINUTE = 60_000;
const GRACE_MS = 10_000;
interface World {
  readonly clock: Clock;
  readonly durationOf: (run: string) => number;
  readonly stopMs: number;
  readonly log: string[];
}

/** A run without ledger and steps: it takes as long as the world says. */
class PlainRun implements RunHandle {
  readonly finished: Promise<RunEnd>;
  readonly #id: string;
  readonly #world: World;
  #phase = "queued";
  #stop: { mode: string } | undefined;
  #timer: Timer | undefined;
  #finish!: (end: RunEnd) => void;

  constructor(id: string, world: World) {
    this.#id = id;
    this.#world = world;
    this.finished = new Promise((resolve) => (this.#finish = resolve));
  }

  get state(): RunState {
    return { phase: this.#phase, stop: this.#stop } as unknown as RunState;
  }

  start(because: string): void {
    this.#phase = "started";
    const word = because.startsWith("its turn came") ? "begins" : "starts";
    this.#world.log.push(`${this.#world.clock.now()} ${word} ${this.#id}`);
    this.#endIn(this.#world.durationOf(this.#id), "completed");
  }

  queue(): Promise<void> {
    this.#world.log.push(`${this.#world.clock.now()} waits ${this.#id}`);
    return Promise.resolve();
  }

  requestStop({ mode }: StopOrder): Promise<StopAnswer> {
    if (this.#stop !== undefined && (this.#stop.mode === "force" || mode === "graceful"))
      return Promise.resolve({ accepted: false, reason: "it is stopping already" });
    this.#stop = { mode };
    this.#endIn(mode === "force" || this.#phase !== "started" ? 0 : this.#world.stopMs, "stopped");
    return Promise.resolve({ accepted: true });
  }

  drain(): Promise<void> {
    return Promise.resolve();
  }

  #endIn(milliseconds: number, status: "completed" | "stopped"): void {
    this.#timer?.cancel();
    this.#timer = this.#world.clock.after(milliseconds, () => {
      this.#world.log.push(`${this.#world.clock.now()} ${status} ${this.#id}`);
      this.#finish({ status, because: "it is over", durationMs: 0 });
    });
  }
}

const anyPipeline = fc.record({
  overlap: fc.constantFrom<Overlap[]>("skip", "queue", "queue_all", "cancel", "terminate", "allow"),
  maxActiveRuns: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  maxQueuedRuns: fc.constantFrom(1, 2, 100),
  group: fc.constantFrom(undefined, "g", "g", "g", "h"),
  priority: fc.integer({ min: 0, max: 2 }),
  /** It has a slot in every nth minute, where n is this. */
  every: fc.integer({ min: 1, max: 3 }),
});

const anySequence = fc.record({
  pipelines: fc.array(anyPipeline, { minLength: 2, maxLength: 3 }),
  groups: fc.record({
    g: fc.record({
      limit: fc.integer({ min: 1, max: 2 }),
      maxQueued: fc.constantFrom(undefined, 1, 2),
    }),
    h: fc.record({ limit: fc.constant(1), maxQueued: fc.constant(undefined) }),
  }),
  maxActiveRuns: fc.constantFrom(undefined, undefined, 1, 3),
  stopMs: fc.constantFrom(0, 3_000, 45_000),
  durations: fc.array(fc.constantFrom(5_000, 50_000, 70_000, 150_000, 400_000), {
    minLength: 1,
    maxLength: 7,
  }),
  /** The minute after which a person stops a run, which run, and how. */
  stops: fc.array(
    fc.tuple(
      fc.integer({ min: 1, max: 14 }),
      fc.nat(),
      fc.constantFrom("graceful" as const, "force" as const),
    ),
    { maxLength: 3 },
  ),
  minutes: fc.integer({ min: 6, max: 14 }),
});

type Sequence = typeof anySequence extends fc.Arbitrary<infer T> ? T : never;

async function live(sequence: Sequence): Promise<{ found: string[]; expected: string[] }> {
  const clock = new VirtualClock({ turns: 1 });
  const start = clock.now();
  // Two ends almost never meet in one moment, so that there is one right order.
  const durationOf = (run: string): number => {
    const minute =
      (Date.parse(
        `${run.slice(2, 6)}-${run.slice(6, 8)}-${run.slice(8, 13)}:${run.slice(13, 15)}:00Z`,
      ) -
        start) /
      MINUTE;
    const which = run.charCodeAt(0) - 97;
    const index = minute * 3 + which;
    return (
      sequence.durations[index % sequence.durations.length]! +
      1 +
      ((index * index * 7_919 + index * 104_729) % 9_973)
    );
  };
  const pipelines = sequence.pipelines.map((parts, index): ModelPipeline & { every: number } => {
    const { maxActiveRuns, group, ...rest } = parts;
    return {
      name: "abc"[index]!,
      ...rest,
      ...(maxActiveRuns === undefined ? {} : { maxActiveRuns }),
      ...(group === undefined ? {} : { group }),
    };
  });
  const groups = Object.fromEntries(
    Object.entries(sequence.groups).map(([name, { limit, maxQueued }]) => [
      name,
      { limit, ...(maxQueued === undefined ? {} : { maxQueued }) },
    ]),
  );
  const shared =
    sequence.maxActiveRuns === undefined ? {} : { maxActiveRuns: sequence.maxActiveRuns };
  const settings: OrchdSettings = { ...DEFAULT_SETTINGS, concurrency: groups, ...shared };
  const world: World = { clock, durationOf, stopMs: sequence.stopMs, log: [] };
  const runs = new ActiveRuns({
    clock,
    log: silentLog,
    limits: {
      groups: Object.fromEntries(Object.entries(groups).map(([name, { limit }]) => [name, limit])),
      ...shared,
    },
    handlers: { onStarted: () => undefined, onFinished: () => Promise.resolve() },
  });
  const deciders = pipelines.map(
    ({ name, overlap, maxActiveRuns, maxQueuedRuns, group, priority, every }) => {
      const schedules = [scheduleOf({ cron: `*/${every} * * * *` })];
      const loaded: LoadedPipeline = pipelineOf(name, schedules, {
        overlap,
        maxQueuedRuns,
        priority,
        ...(maxActiveRuns === undefined ? {} : { maxActiveRuns }),
        ...(group === undefined ? {} : { concurrency: { group, priority } }),
      });
      const view = {
        name,
        state: emptyPipelineState(),
        loaded,
        without: undefined,
        damaged: false,
      };
      const store = { exists: () => false } as unknown as RunStore;
      return new SlotDecider(
        view,
        { store, runs, settings: () => settings, upSince: () => start, lastJump: () => undefined },
        schedules,
      );
    },
  );
  const model = new OverlapModel({
    groups,
    ...shared,
    gracePeriodMs: GRACE_MS,
    durationOf,
    stopMs: sequence.stopMs,
  });

  for (let minute = 1; minute <= sequence.minutes; minute += 1) {
    const now = start + minute * MINUTE;
    await clock.advanceTo(now);
    model.advance(now);
    for (const [index, decider] of deciders.entries()) {
      const pipeline = pipelines[index]!;
      for (const outcome of decider.decide(now - MINUTE, now)) {
        const stamp = new Date(now).toISOString().slice(0, 19).replaceAll(/[-:]/g, "");
        const id = `${pipeline.name}@${stamp}Z`;
        if (outcome.kind === "line") world.log.push(`${now} ${outcome.event.type.slice(5)} ${id}`);
        else if (outcome.kind === "run") {
          runs.attach(outcome.entry, new PlainRun(id, world));
          runs.record(outcome.entry);
        }
        model.slot(pipeline, now, id);
      }
      // What a slot causes (a forced stop) ends before the next pipeline's slot is decided.
      await clock.advance(0);
      model.advance(now);
    }
    for (const [at, which, mode] of sequence.stops) {
      if (at !== minute) continue;
      const there = [...runs.ids()];
      const run = there[which % Math.max(1, there.length)];
      if (run === undefined) continue;
      await clock.advance(17_377);
      model.advance(clock.now());
      if (runs.get(run) === undefined) continue;
      await runs.stop(run, { mode, by: "somebody" });
      model.stop(run, mode, clock.now());
      await clock.advance(0);
      model.advance(clock.now());
    }
  }
  await clock.advance(60 * MINUTE);
  model.advance(clock.now());
  // Lines begin with their moment; lines of one moment have no order among themselves.
  return { found: world.log.sort(), expected: model.log.sort() };
}

it(
  "any sequence of slots, under any policy, goes as the model says",
  { timeout: 1_200_000 },
  async () => {
    const sequences = trials(200, 5_000);
    let good = 0;
    let slots = 0;
    await fc.assert(
      fc.asyncProperty(anySequence, async (sequence) => {
        const { found, expected } = await live(sequence);
        expect(found).toEqual(expected);
        good += 1;
        slots += expected.filter((line) => / (?:starts|waits|skipped) /.test(line)).length;
      }),
      { numRuns: sequences, seed: 21 },
    );
    reached(
      21,
      `sequences of overlapping slots that went as the model says (${slots} slots)`,
      good,
      sequences,
    );
  },
);
