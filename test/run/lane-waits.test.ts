/** When a run's ledger says why nobody takes its steps, how often, and whom the place knows of. */
import { beforeEach, describe, expect, it } from "vitest";
import { LaneWaits } from "../../src/run/lane-waits.ts";
import { snapshotOf, stepSpec } from "../support/given-run.ts";
import { PlayedRun } from "../support/played-run.ts";

class Waits extends PlayedRun {
  readonly waits = new LaneWaits(this.parts);
  because: string | undefined = "it is full";

  constructor(more: Parameters<typeof stepSpec>[1] = {}) {
    super(snapshotOf([stepSpec("a", { on: ["gpu"], ...more }), stepSpec("b", { on: ["x", "y"] })]));
    this.place.want = (lane) => {
      this.say("want", lane);
      return () => this.say("unwant", lane);
    };
    this.place.whyNot = (lane) => (lane === "shell@gpu" ? this.because : undefined);
  }

  /** Time passes, with a turn each second that looks. @returns all that was said */
  async passes(seconds: number): Promise<string[]> {
    const all: string[] = [];
    for (let n = 0; n < seconds; n += 1) {
      all.push(...this.turn(() => this.waits.look()));
      await this.clock.advance(1_000);
    }
    return [...all, ...this.turn()];
  }
}

const said = (because: string): string => `run.waits on=["gpu"] (${because})`;

let run: Waits;
beforeEach(() => {
  run = new Waits();
});

describe("the lanes of other machines", () => {
  it("are told to the place once, and given back at the end", () => {
    const lanes = ["shell@gpu", "shell@x+y"];
    expect(run.turn(() => run.waits.want())).toEqual(lanes.map((lane) => `want ${lane}`));
    expect(run.turn(() => run.waits.want())).toEqual([]);
    // A function may ask for a step on other machines at any time.
    const spec = stepSpec("c", { on: ["z"] });
    run.happen({ type: "step.added", step: "c", spec, because: "the function asked for it" });
    expect(run.turn(() => run.waits.want())).toEqual(["want shell@z"]);
    lanes.push("shell@z");
    expect(run.turn(() => run.waits.end())).toEqual(lanes.map((lane) => `unwant ${lane}`));
    expect(run.turn(() => run.waits.end())).toEqual([]);
  });
});

describe("why nobody takes a step", () => {
  it("is written after two seconds, once", async () => {
    run.turn(() => run.waits.look());
    await run.clock.advance(1_999);
    expect(run.turn(() => run.waits.look())).toEqual([]);
    await run.clock.advance(1);
    expect(run.turn()).toEqual([said("it is full")]);
    expect(await run.passes(100)).toEqual([]);
  });

  it("is not written where that was over before", async () => {
    run.turn(() => run.waits.look());
    run.because = undefined;
    expect(await run.passes(3)).toEqual([]);
    run.because = "it is full again";
    expect(await run.passes(3)).toEqual([said("it is full again")]);
  });

  it("is written again where it is another one, after half a minute, then a minute", async () => {
    await run.passes(3);
    const at: number[] = [];
    for (let second = 0; second < 200; second += 1) {
      run.because = `it is ${second}`;
      if ((await run.passes(1)).length > 0) at.push(second);
    }
    expect(at.map((second, n) => second - (at[n - 1] ?? 0))).toEqual([
      expect.closeTo(33, -1) as number,
      expect.closeTo(60, -1) as number,
    ]);
  });

  it("is at most a thousand characters", async () => {
    run.because = "x".repeat(2_000);
    const [text] = await run.passes(3);
    expect(text).toBe(said("x".repeat(1_000)));
  });

  it("is no matter of a run that drains, is stopped or has ended", async () => {
    run.draining = true;
    expect(await run.passes(5)).toEqual([]);
    expect(run.clock.timers).toBe(0);
    run.draining = false;
    run.happen({ type: "run.stop_requested", mode: "graceful", by: "me" });
    expect(await run.passes(5)).toEqual([]);
  });

  it("is looked for no more once the run is no longer driven", async () => {
    run.turn(() => run.waits.look());
    run.waits.end();
    expect([await run.passes(0), run.clock.timers]).toEqual([[], 0]);
  });

  it("counts for a step whose retry is due, and not before", async () => {
    run = new Waits({ retry: { maxRetries: 1, delayMs: 60_000, backoff: 1, jitter: 0 } });
    run.happen({ type: "step.started", step: "a", attempt: 1, because: "x" });
    run.happen({
      type: "step.failed",
      step: "a",
      attempt: 1,
      error: { name: "E", message: "m" },
      retryAt: new Date(run.clock.now() + 60_000).toISOString(),
    });
    // The other one waits too, and has no reason.
    expect(await run.passes(55)).toEqual([]);
    expect((await run.passes(30)).filter((text) => text !== "")).toEqual([said("it is full")]);
  });
});
