/** Which runs ask the cache before their orchestrator, and what is asked and answered then. */
import { expect, it } from "vitest";
import type { RunState } from "../../src/core/run-state.ts";
import type { Flavor } from "../../src/orchestrators/flavors.ts";
import { CachePrepass } from "../../src/run/cache-prepass.ts";
import type { RunParts } from "../../src/run/run-parts.ts";
import type { Preparation } from "../../src/run/step-preparation.ts";
import type { StepRuns } from "../../src/run/step-runs.ts";
import { fakeCode } from "../support/fake-pool.ts";
import { moduleStep, RunBench } from "../support/run-bench.ts";

const CACHED: Preparation = {
  kind: "cached",
  hit: { source: { run: "q", step: "s" }, outputs: {} },
  because: "nothing changed",
};
const SKIP: Preparation = { kind: "skip", because: "no" };

/** What the run and its daemon are. */
interface Given {
  readonly trigger?: string;
  readonly own?: Record<string, string>;
  readonly env?: Record<string, unknown>;
  readonly dynamic?: object;
  readonly supports?: boolean;
  readonly state?: object;
}

/** A run whose steps are prepared as the test says. */
class Asked {
  readonly log: string[] = [];
  readonly arrivals: (() => void)[] = [];
  readonly ready = new Set<string>();
  draining = false;
  readonly prepass: CachePrepass;

  constructor(
    preparations: { [step: string]: Preparation | Promise<Preparation> } = {},
    next: { [step: string]: string } = {},
    given: Given = {},
  ) {
    for (const step of Object.keys(preparations))
      if (!Object.values(next).includes(step)) this.ready.add(step);
    const state = {
      ready: this.ready,
      trigger: { kind: given.trigger ?? "manual" },
      snapshot: { env: given.env ?? {}, dynamic: given.dynamic },
      ...given.state,
    } as unknown as RunState;
    const parts = {
      state,
      deps: { environment: given.own ?? {} },
      draining: () => this.draining,
      arrive: (arrival: () => void) => void this.arrivals.push(arrival),
    } as unknown as RunParts;
    const steps = {
      prepare: (id: string, attempt: number) => {
        this.log.push(`prepare ${id} ${attempt}`);
        return preparations[id]!;
      },
      answer: (id: string, preparation: Preparation) => {
        expect(preparation.kind).toBe("cached");
        this.log.push(`answer ${id}`);
        this.ready.delete(id);
        if (next[id] !== undefined) this.ready.add(next[id]);
      },
    } as unknown as StepRuns;
    const flavor = {
      capabilities: { supportsClientSideCaching: given.supports ?? true },
    } as unknown as Flavor;
    this.prepass = new CachePrepass(parts, steps, flavor);
  }

  run(): void {
    this.prepass.run(() => void this.log.push("proceed"));
  }

  /** The next turn of the run. */
  async turn(): Promise<void> {
    for (let n = 0; n < 10; n += 1) await Promise.resolve();
    for (const arrival of this.arrivals.splice(0)) arrival();
  }
}

it.each<[boolean, string, Given]>([
  [true, "a run by hand", { trigger: "manual" }],
  [true, "a re-run", { trigger: "rerun" }],
  [false, "a slot's run", { trigger: "schedule" }],
  [false, "a slot that was made up for", { trigger: "catch_up" }],
  [false, "a backfill's run", { trigger: "backfill" }],
  [false, "a dynamic pipeline's run", { dynamic: {} }],
  [false, "an orchestrator that does not want it", { supports: false }],
  ...["1", "true", "TRUE", "yes", "no", "00"].flatMap<[boolean, string, Given]>((value) => [
    [false, `the daemon has ${value}`, { own: { ORCHD_PREVENT_CLIENT_SIDE_CACHING: value } }],
    [false, `the pipeline has ${value}`, { env: { ORCHD_PREVENT_CLIENT_SIDE_CACHING: value } }],
  ]),
  ...["", "0", "false", "False"].flatMap<[boolean, string, Given]>((value) => [
    [true, `the daemon has "${value}"`, { own: { ORCHD_PREVENT_CLIENT_SIDE_CACHING: value } }],
    [true, `the pipeline has "${value}"`, { env: { ORCHD_PREVENT_CLIENT_SIDE_CACHING: value } }],
  ]),
  [true, "its value is a secret", { env: { ORCHD_PREVENT_CLIENT_SIDE_CACHING: { secret: "x" } } }],
])("the cache is asked before: %s, %s", (allowed, _, given) => {
  expect(new Asked({}, {}, given).prepass.isAllowed).toBe(allowed);
});

it("steps are answered one behind the other, and the rest is left as it is", () => {
  const asked = new Asked({ a: CACHED, b: CACHED, c: SKIP, x: SKIP }, { a: "b", b: "c" });
  asked.run();
  expect(asked.log).toEqual([
    "prepare a 1",
    "answer a",
    "prepare x 1",
    "prepare b 1",
    "answer b",
    "prepare c 1",
    "proceed",
  ]);
});

it("what takes a while is waited for, asked once, and what it frees is asked then", async () => {
  let give: (preparation: Preparation) => void = () => undefined;
  const slow = new Promise<Preparation>((resolve) => (give = resolve));
  const asked = new Asked({ slow, other: SKIP, behind: CACHED }, { slow: "behind" });
  asked.run();
  await asked.turn();
  expect(asked.log).toEqual(["prepare slow 1", "prepare other 1"]);
  give(CACHED);
  await asked.turn();
  expect(asked.log.slice(2)).toEqual([
    "answer slow",
    "prepare other 1",
    "prepare behind 1",
    "answer behind",
    "proceed",
  ]);
});

it("a daemon that ends asks nothing and goes on with nothing: the next one does", async () => {
  const ends = new Asked({ a: CACHED });
  ends.draining = true;
  ends.run();
  expect(ends.log).toEqual([]);
  const meanwhile = new Asked({ a: Promise.resolve(CACHED) });
  meanwhile.run();
  meanwhile.draining = true;
  await meanwhile.turn();
  expect(meanwhile.log).toEqual(["prepare a 1"]);
});

it.each([[{ stop: { mode: "graceful" } }], [{ finished: { status: "failed" } }]])(
  "a run with %j asks nothing, and goes on",
  (state) => {
    const asked = new Asked({ a: CACHED }, {}, { state });
    asked.run();
    expect(asked.log).toEqual(["proceed"]);
  },
);

it.each([
  [false, 1],
  [true, 2],
])(
  "a local run with an init hook (%s) asks a step's cache function %i times",
  async (has, times) => {
    const functions = { a: () => 1, key: () => "k", init: () => null };
    const bench = new RunBench({ functions });
    const step = moduleStep("a", {
      enableCache: true,
      cache: {
        acrossSlots: false,
        fileDependencies: [],
        ignoredInputs: [],
        includeStepCode: true,
        cacheFunction: fakeCode("key"),
      },
    });
    const hooks = has ? { hooks: { init: fakeCode("init") } } : {};
    expect((await bench.run([step], {}, hooks)).status).toBe("completed");
    const asked = bench.pool.started.filter(({ task }) => task.kind === "cacheFunction");
    expect(asked).toHaveLength(times);
  },
);
