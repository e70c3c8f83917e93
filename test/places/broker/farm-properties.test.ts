/**
 * Whatever becomes of workers, links, the engine and the daemon, and in whatever order: no two
 * attempts of a step run at once, no attempt begins twice, each end is heard once, and none is
 * lost.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FarmWorld } from "./farm-world.ts";

const RUNS = Number(process.env["FARM_RUNS"] ?? 60);
/** A counterexample to look at again: `seed:path`. */
const [SEED, ...PATH] = (process.env["FARM_SEED"] ?? "").split(":");
const REPLAY = SEED === "" ? {} : { seed: Number(SEED), path: PATH.join(":") };

/** What happens, when, to whom, and for how long; in milliseconds. */
const happening = fc.record({
  at: fc.integer({ min: 0, max: 60_000 }),
  what: fc.constantFrom("freeze", "kill", "cut", "engine", "daemon", "daemonFreeze"),
  whom: fc.integer({ min: 0, max: 2 }),
  ms: fc.oneof(fc.integer({ min: 10, max: 3_000 }), fc.integer({ min: 3_000, max: 30_000 })),
});
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

const faults = fc.record({
  lose: fc.constantFrom(0, 0.05, 0.3),
  duplicate: fc.constantFrom(0, 0.1, 0.5),
  delay: fc.constantFrom(0, 0.1, 0.5),
  lateMs: fc.constantFrom(50, 2_000, 25_000),
});

type Faults = typeof faults extends fc.Arbitrary<infer T> ? T : never;

const played = fc.record({
  ms: fc.constantFrom(5, 300, 4_000, 20_000),
  lines: fc.integer({ min: 0, max: 5 }),
});

function happen(world: FarmWorld, { what, whom, ms }: Happening): void {
  const worker = world.workers[whom]!;
  const later = (go: () => void): void => void world.clock.after(ms, go);
  switch (what) {
    case "freeze":
      worker.freeze();
      return later(() => worker.thaw());
    case "kill":
      worker.kill();
      return later(() => worker.begin());
    case "cut": {
      const { connection } = worker;
      connection.setDown("the link is cut");
      return later(() => connection.setDown(undefined));
    }
    case "engine":
      world.engine.setDown("the engine is down");
      return later(() => world.engine.setDown(undefined));
    case "daemon":
      if (world.daemonIsUp) world.killDaemon();
      return later(() => world.daemonIsUp || world.beginDaemon());
    case "daemonFreeze": {
      const { daemonClock, connection } = world;
      daemonClock.freeze();
      connection.freeze();
      return later(() => {
        connection.thaw();
        daemonClock.thaw();
      });
    }
  }
}

/** A beat that waited for its session told of a time before the task that came meanwhile. */
const OLD_BEAT: [number, Faults, { ms: number; lines: number }[], Happening[]] = [
  545_491_994,
  { lose: 0, duplicate: 0.5, delay: 0.5, lateMs: 2_000 },
  [
    { ms: 20_000, lines: 0 },
    { ms: 20_000, lines: 5 },
  ],
  [{ at: 12_523, what: "engine", whom: 0, ms: 14_556 }],
];

describe("a farm", () => {
  it("runs each step to its end, once, and never two attempts at once", { timeout: 600_000 }, () =>
    fc.assert(
      fc.asyncProperty(
        fc.nat(),
        faults,
        fc.array(played, { minLength: 1, maxLength: 6 }),
        fc.array(happening, { maxLength: 12 }),
        async (seed, wrong, steps, happenings) => {
          const world = new FarmWorld(seed);
          world.engine.faults = wrong;
          world.beginDaemon();
          for (const name of ["a", "b", "c"]) world.worker(name);
          for (const one of steps) world.step(one);
          for (const one of happenings) world.clock.after(one.at, () => happen(world, one));
          await world.clock.advance(95_000);
          world.engine.faults = { lose: 0, duplicate: 0, delay: 0, lateMs: 0 };
          await world.clock.until(() => world.isDone, { limitMilliseconds: 300_000 });
          await world.clock.advance(30_000);
          expect(world.wrongs).toEqual([]);
          expect(world.steps.map(({ ends }) => ends)).toEqual(steps.map(() => 1));
          for (const worker of world.workers) expect(worker.worker?.tasks).toEqual([]);
          expect(world.running.size).toBe(0);
          world.end();
        },
      ),
      { numRuns: RUNS, examples: SEED === "" ? [OLD_BEAT] : [], ...REPLAY },
    ),
  );
});
