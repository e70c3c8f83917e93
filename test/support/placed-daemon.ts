/** Runs on one daemon with places on other machines that a test plays, and with real ledgers. */
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import { DrivenRuns } from "../../src/engine/driven-runs.ts";
import {
  PlaceByLane,
  type ContainersPlace,
  type FarPlaces,
  type LocalPlace,
} from "../../src/places/place-by-lane.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import { FakePool } from "./fake-pool.ts";
import { RunBench } from "./run-bench.ts";
import type { VirtualClock } from "./virtual-clock.ts";

const NO_CONTAINERS: ContainersPlace = {
  room: 0,
  has: () => false,
  settle: () => undefined,
  mayHaveBegun: () => undefined,
  outlives: () => false,
  leave: () => undefined,
  imageId: () => Promise.reject(new Error("there are none")),
  onCapacity: () => () => undefined,
  onReport: () => () => undefined,
  reports: () => [],
  capacity: () => ({}),
  promise: () => undefined,
  redeem: () => undefined,
  start: () => undefined,
  forget: () => undefined,
  stop: () => undefined,
  adopt: () => Promise.resolve(new Set()),
};

const HERE = { place: "local", engine: "local", labels: ["local"], hosts: [] };

/** The fake pool, as a place that takes no step ahead. */
function localOf(pool: FakePool): FakePool & LocalPlace & { isOpen: boolean } {
  const ahead = {
    share: () => 1,
    expect: () => undefined,
    settle: () => undefined,
    mayHaveBegun: () => true,
  };
  return Object.assign(pool, { ahead, isOpen: true });
}

/** One daemon. A second one on the same ledgers is made with `runsDir`. */
export class PlacedDaemon<P extends FarPlaces = FarPlaces> {
  readonly bench: RunBench;
  readonly places: P;
  readonly place: PlaceByLane;
  readonly driven: DrivenRuns<RunLoop>;
  /** Whether steps may begin. */
  readonly local: { isOpen: boolean };

  constructor(clock: VirtualClock, places: P, runsDir?: string) {
    const pool = localOf(new FakePool({ a: () => 1, b: () => 2, here: () => 3 }, { clock }));
    this.places = places;
    this.local = pool;
    this.place = new PlaceByLane(pool, NO_CONTAINERS, places, HERE);
    this.driven = new DrivenRuns<RunLoop>(this.place);
    this.bench = new RunBench({
      clock,
      pool,
      deps: { place: this.place },
      ...(runsDir === undefined ? {} : { runsDir }),
    });
  }

  async begin(steps: readonly SnapshotStep[]): Promise<RunLoop> {
    return this.driven.keep(await this.bench.begin(steps));
  }

  async recover(run: string): Promise<RunLoop> {
    const loop = await RunLoop.recover(run, this.bench.deps);
    loop!.start("the daemon is up again");
    return this.driven.keep(loop!);
  }

  lines(loop: RunLoop): string[] {
    return this.bench
      .lines(loop.state.run)
      .map(({ type, step, because }) =>
        [type, step, type === "run.waits" || type === "step.interrupted" ? because : undefined]
          .filter((part) => part !== undefined)
          .join(" "),
      );
  }
}
