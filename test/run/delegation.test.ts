/**
 * A run that a class drives, beside a played place and journal: when the class is called, what it
 * is called with, and what each of its answers does to the run. What is said stands in one list.
 */
import { describe, expect, it } from "vitest";
import type { PlanFacts } from "../../src/core/plan.ts";
import type { Json, Snapshot } from "../../src/core/snapshot.ts";
import { WAIT_CODE, type TaskResult } from "../../src/core/task.ts";
import type { Flavor } from "../../src/orchestrators/flavors.ts";
import type { CachePrepass } from "../../src/run/cache-prepass.ts";
import { Delegation, type DelegationParts } from "../../src/run/delegation.ts";
import type { RunParts } from "../../src/run/run-parts.ts";
import { snapshotOf, stepSpec } from "../support/given-run.ts";
import { PlayedRun } from "../support/played-run.ts";

const WELL: TaskResult = { ok: true, value: null };
const BADLY: TaskResult = {
  ok: false,
  outcome: "failed",
  error: { name: "Error", message: "no cluster" },
};
const WAIT_FAILED: TaskResult = {
  ok: false,
  outcome: "failed",
  error: { name: "Error", message: "no cluster", code: WAIT_CODE },
};
const status = (of: object): TaskResult => ({ ok: true, value: of as Json });
const SUBMIT = ["submit.started (handed to the orchestrator far)", "durable"];
const STOP = { type: "run.stop_requested", because: "asked", by: "x" } as const;
const TIMED_OUT = { type: "run.timed_out", because: "it took 1 h" } as never;

interface Given {
  readonly capabilities?: Partial<Flavor["capabilities"]>;
  readonly hasStopRun?: boolean;
  readonly declaresStop?: boolean;
  readonly callsInit?: boolean;
  /** A dynamic pipeline. */
  readonly isDynamic?: boolean;
  readonly snapshot?: Partial<Snapshot>;
  /** Which steps the pipeline has. */
  readonly steps?: readonly string[];
  /** Hooks that the orchestrator's class has. */
  readonly hooks?: readonly ("init" | "cleanup")[];
}

/** A run, and who drives it. */
class Driven extends PlayedRun {
  readonly drives: Delegation;
  /** The init hook has ended. */
  initEnds: () => void = () => undefined;
  /** The function of the dynamic pipeline has ended. */
  functionEnds: () => void = () => undefined;
  /** The cache has been asked. */
  asked: (() => void) | undefined;
  prepassAllowed = false;

  constructor({ steps = ["a", "b"], snapshot, isDynamic = false, ...of }: Given = {}) {
    const more = isDynamic ? { dynamic: {} as never, ...snapshot } : snapshot;
    super(
      snapshotOf(
        steps.map((id) => stepSpec(id)),
        more,
      ),
      { orchestratorHooks: of.hooks ?? [] } as never,
    );
    const flavor = {
      name: "far",
      ref: { code: {}, config: {} },
      capabilities: {
        reportsStatus: false,
        handlesStepRetries: false,
        resubmits: false,
        ...of.capabilities,
      },
      hooks: { callsInit: of.callsInit === true },
      hasStopRun: of.hasStopRun === true,
      declaresStop: of.declaresStop === true,
    } as unknown as Flavor;
    const parts = {
      ...this.parts,
      waiters: { outputsOf: () => new Promise(() => undefined), settle: () => undefined },
    } as unknown as RunParts;
    this.drives = new Delegation(parts, {
      flavor,
      hooks: {
        ended: () => new Promise<void>((resolve) => (this.initEnds = resolve)),
        ask: () => Promise.resolve({}),
      } as unknown as DelegationParts["hooks"],
      calls: isDynamic
        ? ({
            ended: () => new Promise((resolve) => (this.functionEnds = () => resolve(undefined))),
            stop: (because: string) => this.say("function is stopped:", because),
          } as unknown as DelegationParts["calls"])
        : undefined,
    });
  }

  begin(): string[] {
    const prepass = {
      isAllowed: this.prepassAllowed,
      run: (proceed: () => void) => (this.asked = proceed),
    };
    return this.turn(() => this.drives.begin(prepass as unknown as CachePrepass));
  }

  resume(): string[] {
    return this.turn(() => this.drives.resume());
  }

  /** A call of the class has ended. @returns all that was said */
  ends(call: string, result: TaskResult): string[] {
    return this.turn(() => this.handlers.get(`r#${call}`)!.done(result, 1, 0));
  }

  /** The runner of a call has died. */
  dies(call: string, inFlight: readonly string[]): string[] {
    const death = { inFlight, alone: false, because: "it was killed", code: "C" };
    return this.turn(() => this.handlers.get(`r#${call}`)!.died(death));
  }

  /** The submission asks something of orchd. */
  asks(method: string, argument: Json): string[] {
    const { call } = this.handlers.get(this.#submission)!;
    return this.turn(() => void call!(method, argument));
  }

  /** Accepts the run. @param waits it gives a `waitForCompletion` */
  accepts(waits = false): string[] {
    return this.asks("accepted", { metadata: {}, waits });
  }

  get #submission(): string {
    return [...this.handlers.keys()].findLast((id) => id.includes("submit"))!;
  }

  get facts(): Partial<NonNullable<PlanFacts["delegated"]>> {
    return this.drives.facts;
  }

  /** A step of the run has ended. */
  stepEnds(step: string, how: "completed" | "failed" = "completed"): void {
    this.happen({ type: "step.started", step, attempt: 1, because: "x" } as never);
    this.happen({
      type: `step.${how}`,
      step,
      attempt: 1,
      durationMs: 1,
      outputs: {},
      error: { name: "Error", message: "x" },
      because: "x",
    } as never);
  }
}

/** One that was accepted. */
function accepted(given: Given = {}, waits = false): Driven {
  const run = new Driven(given);
  run.begin();
  run.accepts(waits);
  return run;
}

describe("a run that begins", () => {
  it("is handed over after its line is durable", () => {
    const run = new Driven();
    expect(run.begin()).toEqual([...SUBMIT, "start r#submitPipeline-1"]);
    expect(run.facts).toEqual({ requested: new Set(), open: true });
    expect(new Driven({ isDynamic: true }).begin()).toEqual([
      ...SUBMIT,
      "start r#submitDynamicPipeline-1",
    ]);
  });

  it("fails where its environment cannot be made, and nobody is called", () => {
    const run = new Driven({ snapshot: { env: { KEY: { secret: "key" } } } });
    const said = run.begin();
    expect(said).toEqual([SUBMIT[0], 'submit.failed "there is no secret key"']);
    expect(run.facts.open).toBe(false);
    const own = new Driven({ callsInit: true, snapshot: { env: { KEY: { secret: "key" } } } });
    own.begin();
    // Nobody calls the init hook for it: the planner does.
    expect(own.drives.holdsInit).toBe(false);
  });

  it.each<[string, (run: Driven) => void, string[], boolean]>([
    ["is handed over", () => undefined, [...SUBMIT, "start r#submitPipeline-1"], true],
    ["is not, once it was stopped", (run) => run.happen({ ...STOP, mode: "force" }), [], false],
    ["is not, once nobody drives it", (run) => run.drives.end(), [], true],
  ])("waits for a descriptor to read a secret by: then it %s", async (_, act, said, isOpen) => {
    const run = new Driven({ snapshot: { env: { KEY: { secret: "key" } } } });
    const none = Object.assign(new Error("EMFILE"), { code: "EMFILE" });
    run.secrets = () => {
      throw new Error("The secret key cannot be read", { cause: none });
    };
    expect(run.begin()).toEqual([]);
    await run.clock.advance(1_000);
    expect(run.turn()).toEqual([]);
    run.secrets = () => "the key";
    act(run);
    await run.clock.advance(1_000);
    expect([run.turn(), run.facts.open]).toEqual([said, isOpen]);
  });

  it("waits for the init hook, unless the class calls that itself", async () => {
    const run = new Driven({ hooks: ["init"] });
    expect(run.begin()).toEqual([]);
    run.initEnds();
    expect(await run.later()).toEqual([...SUBMIT, "start r#submitPipeline-1"]);
    const own = new Driven({ hooks: ["init"], callsInit: true });
    expect(own.begin()).toEqual([...SUBMIT, "start r#submitPipeline-1"]);
    expect([run.drives.holdsInit, own.drives.holdsInit]).toEqual([false, true]);
    own.accepts();
    expect(own.drives.holdsInit).toBe(false);
  });

  it.each([
    ["was stopped", (run: Driven) => run.happen({ ...STOP, mode: "graceful" })],
    [
      "cannot go on",
      (run: Driven) => {
        const error = { name: "Error", message: "x" };
        run.happen({ type: "hook.failed", hook: "init", error, durationMs: 1 } as never);
      },
    ],
    [
      "has no step left",
      (run: Driven) => {
        run.stepEnds("a");
        run.stepEnds("b");
      },
    ],
  ])("is not handed over where it %s while the hook ran", async (_, act) => {
    const run = new Driven({ hooks: ["init"] });
    run.begin();
    act(run);
    run.initEnds();
    expect([await run.later(), run.facts.open]).toEqual([[], false]);
  });

  it("that is no longer driven is not handed over after the hook", async () => {
    const run = new Driven({ hooks: ["init"] });
    run.begin();
    run.drives.end();
    run.initEnds();
    expect([await run.later(), run.facts.open]).toEqual([[], true]);
  });

  it("asks the cache first, and holds the init hook meanwhile", () => {
    const run = new Driven();
    run.prepassAllowed = true;
    expect([run.begin(), run.drives.holdsInit]).toEqual([[], true]);
    expect(run.turn(() => run.asked!())).toEqual([...SUBMIT, "start r#submitPipeline-1"]);
    expect(run.drives.holdsInit).toBe(false);
  });

  it.each([
    ["a stop", (run: Driven) => run.happen({ ...STOP, mode: "force" })],
    ["its time limit", (run: Driven) => run.happen(TIMED_OUT)],
    [
      "the cache's answers for all",
      (run: Driven) => {
        run.stepEnds("a");
        run.stepEnds("b");
      },
    ],
  ])("is not handed over after %s", (_, act) => {
    const run = new Driven();
    run.prepassAllowed = true;
    run.begin();
    act(run);
    expect([run.turn(() => run.asked!()), run.facts.open]).toEqual([[], false]);
  });
});

describe("a run that an earlier daemon handed over", () => {
  const handedOver = (given: Given, ...more: ("accepted" | "stop" | "force")[]): Driven => {
    const run = new Driven(given);
    run.happen({ type: "submit.started", because: "x" });
    if (more.includes("accepted")) run.happen({ type: "submit.accepted", metadata: {} });
    for (const mode of more)
      if (mode !== "accepted")
        run.happen({ ...STOP, mode: mode === "stop" ? "graceful" : "force" });
    return run;
  };
  const FETCH = ["durable", "start r#fetchStatus-1"];
  const AGAIN = [...SUBMIT, "start r#submitPipeline-1"];
  const unknown = /^submit\.failed "submission unknown: /;
  const reports = { capabilities: { reportsStatus: true } };
  const resubmits = { capabilities: { resubmits: true } };

  it.each([
    ["asks how it stands", reports, [], FETCH],
    [
      "asks rather than hand it over again",
      { capabilities: { ...reports.capabilities, resubmits: true } },
      ["accepted"],
      FETCH,
    ],
    ["hands it over again", resubmits, [], AGAIN],
    ["hands it over again, accepted or not", resubmits, ["accepted"], AGAIN],
    ["gives up", {}, [], [unknown]],
    ["gives up, accepted or not", {}, ["accepted"], [unknown]],
    ["has nobody to tell of a stop", reports, ["stop"], []],
    [
      "tells nobody of a dynamic one's stop",
      { ...reports, hasStopRun: true, isDynamic: true },
      ["stop"],
      [],
    ],
    ["lets the planner stop it", { ...reports, hasStopRun: true }, ["accepted", "stop"], []],
  ] as [string, Given, ("accepted" | "stop")[], (string | RegExp)[]][])(
    "%s",
    (_, given, lines, said) => {
      const run = handedOver(given, ...lines);
      const heard = run.resume();
      expect(heard.filter((text) => !text.startsWith("warn"))).toEqual(
        said.map((text) =>
          typeof text === "string" ? text : (expect.stringMatching(text) as string),
        ),
      );
    },
  );

  it("is open after a stop only where its stop is still to be told", () => {
    const open = (given: Given, ...lines: ("accepted" | "stop" | "force")[]): unknown => {
      const run = handedOver(given, ...lines);
      run.resume();
      return run.facts.open;
    };
    expect(open({ hasStopRun: true }, "accepted", "force")).toBe(true);
    expect(open({ hasStopRun: false }, "accepted", "force")).toBe(false);
    expect(open({ hasStopRun: true, isDynamic: true }, "accepted", "force")).toBe(false);
    const fresh = new Driven({ hasStopRun: true });
    fresh.happen({ ...STOP, mode: "graceful" });
    expect([fresh.resume(), fresh.facts.open]).toEqual([[], false]);
    // A time limit is a stop.
    const late = handedOver({ capabilities: { reportsStatus: true } }, "accepted");
    late.happen(TIMED_OUT);
    expect([late.resume(), late.facts.open]).toEqual([[], false]);
  });

  it("that had not been handed over is, and one whose steps have ended is not", () => {
    expect(new Driven(reports).resume()).toEqual(AGAIN);
    const over = handedOver(reports, "accepted");
    over.stepEnds("a");
    over.stepEnds("b");
    expect([over.resume(), over.facts.open]).toEqual([[], false]);
    const failed = handedOver(resubmits);
    failed.happen({ type: "submit.failed", error: { name: "E", message: "x" } });
    expect([failed.resume(), failed.facts.open]).toEqual([[], false]);
  });

  it("and is not known there is handed over again, or given up", () => {
    const again = handedOver({ capabilities: { reportsStatus: true, resubmits: true } });
    again.resume();
    expect(again.ends("fetchStatus-1", status({}))).toEqual([
      ...SUBMIT,
      "start r#submitPipeline-2",
    ]);
    const lost = handedOver(reports);
    lost.resume();
    expect(lost.ends("fetchStatus-1", status({}))[0]).toMatch(unknown);
  });

  it("and was known there once is asked again, whatever is said later", async () => {
    const known = handedOver({ capabilities: { reportsStatus: true, resubmits: true } });
    known.resume();
    known.ends("fetchStatus-1", status({ status: "running" }));
    expect(known.state.submission).toBe("accepted");
    await known.clock.advance(60_000);
    expect(await known.later()).toEqual(["durable", "start r#fetchStatus-2"]);
    expect(known.ends("fetchStatus-2", status({}))).toEqual([]);
    expect(known.clock.timers).toBe(1);
    known.turn(() => known.drives.end());
    expect(known.clock.timers).toBe(0);
  });

  it("says once why nobody knows how it stands, and every ten minutes at most", async () => {
    const run = handedOver(reports, "accepted");
    run.resume();
    const told: string[] = [];
    let call = 0;
    /** What is told of an answer, and the state after it. */
    const answer = async (result: TaskResult): Promise<void> => {
      const said = run.ends(`fetchStatus-${(call += 1)}`, result);
      const warned = said.filter((text) => text.startsWith("submit."));
      told.push(...warned.map((text) => text.replace(/20\S+Z/, "TIME")));
      await run.clock.advance(5_000);
      await run.later();
    };
    const fails = (message: string): TaskResult => ({
      ok: false,
      error: { name: "E", message },
      outcome: "failed",
    });
    const line = (message: string): string =>
      `submit.warning ${JSON.stringify(message)} (the orchestrator far could not say at TIME how ` +
      `the run stands, and is asked again: ${message})`;
    await answer(fails("no net"));
    expect(run.state.because).toMatch(/could not say at \S+Z how the run stands, .*: no net$/);
    await answer(fails("no net"));
    await answer(status({ status: "running" }));
    await answer(fails("no net"));
    await answer(fails("no name"));
    expect(told).toEqual([line("no net")]);
    await run.clock.advance(600_000);
    await answer(fails("no name"));
    await answer(fails("no name"));
    expect(told).toEqual(["no net", "no name"].map(line));
  });

  it("is asked after again where a secret is gone, and once that is back", async () => {
    const env = { KEY: { secret: "key" } };
    const run = handedOver({ ...reports, snapshot: { env } }, "accepted");
    run.resume();
    const said = run.turn().map((text) => text.split(" (", 1)[0]);
    expect(said[0]).toBe('submit.warning "there is no secret key"');
    run.secrets = () => "open";
    await run.clock.advance(5_000);
    expect(await run.later()).toEqual(["durable", "start r#fetchStatus-2"]);
  });

  it("can be stopped where a secret is gone: a `stopRun` that cannot be called has failed", () => {
    const env = { KEY: { secret: "key" } };
    const run = handedOver({ hasStopRun: true, snapshot: { env } }, "accepted", "force");
    run.resume();
    run.turn(() => run.drives.stopElsewhere("force"));
    const said = run.turn().map((text) => text.split(" ", 2).join(" "));
    expect(said).toEqual(['stop.failed "there', "warn the", "step.stopped a", "step.stopped b"]);
    expect(run.facts).toMatchObject({ open: false, stopRun: { answering: false } });
  });

  it("ends as it ended there", () => {
    const ends = (of: object): string[] => {
      const run = handedOver(reports, "accepted");
      run.resume();
      const said = run.ends("fetchStatus-1", status(of));
      return [...said.map((text) => text.split(" ", 2).join(" ")), `open ${run.facts.open}`];
    };
    const all = ["step.started a", "step.completed a", "step.started b", "step.completed b"];
    expect(ends({ status: "completed" })).toEqual([...all, "open false"]);
    const failed = 'submit.failed "the';
    expect(ends({ status: "failed" })).toEqual([failed, "open false"]);
    expect(ends({ status: "stopped" })).toEqual(["step.stopped a", "step.stopped b", "open false"]);
  });
});

describe("the end of a submission", () => {
  it("that was not accepted in words accepts it, with all its steps asked for", () => {
    const run = new Driven();
    run.begin();
    run.asks("runStep", { step: "a" });
    run.asks("runStep", { step: "b" });
    expect(run.facts.requested).toEqual(new Set(["a", "b"]));
    expect(run.ends("submitPipeline-1", WELL)).toEqual(["submit.accepted metadata={}"]);
    expect(run.facts.open).toBe(false);
  });

  it("stands for the init hook that the class did not call, and for the retries", () => {
    const capabilities = { reportsStatus: true, handlesStepRetries: true };
    const run = accepted({ capabilities, hooks: ["init"], callsInit: true }, true);
    const failed = { type: "step.failed", attempt: 1, durationMs: 1, because: "x" };
    for (const step of ["a", "b"]) {
      run.happen({ type: "step.started", step, attempt: 1, because: "x" } as never);
      const error = { name: "Error", message: step };
      run.happen({ ...failed, step, error, retryAt: "2026-11-23T02:00:00.000Z" } as never);
    }
    run.asks("runStep", { step: "a" });
    expect(run.ends("submitPipeline-1", WELL).map((text) => text.split(" ", 2).join(" "))).toEqual([
      "step.failed b",
      "durable",
      "start r#fetchStatus-2",
    ]);
    expect(run.drives.holdsInit).toBe(false);
    const silent = new Driven({ capabilities, hooks: ["init"], callsInit: true });
    silent.begin();
    silent.ends("submitPipeline-1", WELL);
    expect([silent.drives.holdsInit, silent.facts.open]).toEqual([false, true]);
  });

  it("of which all steps have ended asks nobody any more", () => {
    const run = accepted({ capabilities: { reportsStatus: true } });
    run.stepEnds("a");
    run.stepEnds("b");
    expect([run.ends("submitPipeline-1", WELL), run.facts.open]).toEqual([[], false]);
  });

  it("names what it did not ask for", () => {
    const run = accepted();
    run.asks("runStep", { step: "a" });
    expect(run.ends("submitPipeline-1", WELL)).toEqual([
      'submit.failed "the orchestrator ended without running "b""',
    ]);
    expect(run.facts.open).toBe(false);
  });

  it("that threw is a refusal", () => {
    const run = new Driven();
    run.begin();
    expect(run.ends("submitPipeline-1", BADLY)).toEqual(['submit.failed "no cluster"']);
  });

  it.each([
    ["well", WELL, []],
    [
      "badly",
      WAIT_FAILED,
      [
        'submit.warning "no cluster" (waiting for the run\'s end failed: no cluster)',
        "warn waiting for the run's end failed: no cluster",
      ],
    ],
  ])("after a wait that ended %s asks how the run stands", (_, result, warned) => {
    const run = accepted({ capabilities: { reportsStatus: true } }, true);
    expect(run.ends("submitPipeline-1", result)).toEqual([
      ...warned,
      "durable",
      "start r#fetchStatus-2",
    ]);
  });

  it("after a wait is that of all its steps where nobody reports them", () => {
    const well = accepted({}, true);
    expect(well.ends("submitPipeline-1", WELL).map((text) => text.split(" ", 2).join(" "))).toEqual(
      ["step.started a", "step.completed a", "step.started b", "step.completed b"],
    );
    const badly = accepted({}, true);
    expect(badly.ends("submitPipeline-1", WAIT_FAILED)).toEqual([
      'submit.warning "no cluster" (waiting for the run\'s end failed: no cluster)',
      "warn waiting for the run's end failed: no cluster",
    ]);
    expect([well.facts.open, badly.facts.open]).toEqual([false, false]);
    // Where it asked for a step, the others run nowhere.
    const some = accepted({}, true);
    some.asks("runStep", { step: "a" });
    expect(some.ends("submitPipeline-1", WELL)).toEqual([
      'submit.failed "the orchestrator ended without running "b""',
    ]);
  });

  it("says nothing once the run has finished or is no longer driven", () => {
    const finished = accepted();
    finished.stepEnds("a");
    finished.stepEnds("b");
    finished.happen({ type: "run.finished", status: "completed", because: "x" } as never);
    expect(finished.ends("submitPipeline-1", BADLY)).toEqual([]);
    const dropped = accepted();
    expect(dropped.turn(() => dropped.drives.end())).toEqual([
      "stop r#submitPipeline-1 force (the run is no longer driven)",
    ]);
    expect(dropped.ends("submitPipeline-1", BADLY)).toEqual([]);
    // One that has ended is not ended again.
    const over = accepted();
    over.ends("submitPipeline-1", WELL);
    expect(over.turn(() => over.drives.end())).toEqual([]);
  });
});

describe("the death of its runner", () => {
  const shared = ["r#submitPipeline-1", "other"];

  it("hands it over again, alone, where it may be asked again and was not to blame", () => {
    const run = new Driven({ capabilities: { resubmits: true } });
    run.begin();
    expect(run.dies("submitPipeline-1", shared)).toEqual([
      ...SUBMIT,
      "start r#submitPipeline-2 alone",
    ]);
    // Of one alone it is its own doing.
    expect(run.dies("submitPipeline-2", ["r#submitPipeline-2"])[0]).toMatch(/^submit\.failed "/);
  });

  it.each([
    ["may not be asked again", {}, shared],
    ["was alone to blame", { capabilities: { resubmits: true } }, shared.slice(0, 1)],
  ])("fails the run that was not accepted where it %s", (_, given, inFlight) => {
    const run = new Driven(given);
    run.begin();
    expect(run.dies("submitPipeline-1", inFlight)).toEqual([
      'submit.failed "it was killed while the orchestrator was in it"',
    ]);
  });

  it("is the end of a wait where the run was accepted", () => {
    const run = accepted({ capabilities: { reportsStatus: true } }, true);
    expect(run.dies("submitPipeline-1", shared)).toEqual([
      'submit.warning "it was killed while the orchestrator was in it" ' +
        "(waiting for the run's end failed: it was killed while the orchestrator was in it)",
      "warn waiting for the run's end failed: it was killed while the orchestrator was in it",
      "durable",
      "start r#fetchStatus-2",
    ]);
  });

  it("is not made up for in a run that is told to stop", () => {
    const run = new Driven({ capabilities: { resubmits: true } });
    run.begin();
    run.happen({ ...STOP, mode: "force" });
    const said = run.dies("submitPipeline-1", shared);
    expect(said.filter((text) => text.startsWith("start"))).toEqual([]);
    expect(run.facts.open).toBe(false);
  });
});

describe("a stop", () => {
  const stopped = (given: Given = {}, mode: "graceful" | "force" = "graceful"): Driven => {
    const run = accepted({ hasStopRun: true, ...given }, true);
    run.happen({ ...STOP, mode });
    return run;
  };

  it("is told where the class has the run and can stop it", () => {
    const given = new Driven({ hasStopRun: true });
    expect(given.facts.stopRun).toBeUndefined();
    given.begin();
    expect(given.facts.stopRun).toEqual({ told: undefined, answering: false, elsewhere: true });
    expect(accepted().facts.stopRun).toBeUndefined();
    expect(accepted({ hasStopRun: true, isDynamic: true }).facts.stopRun).toMatchObject({
      elsewhere: false,
    });
    const run = stopped();
    expect(run.turn(() => run.drives.stopElsewhere("graceful"))).toEqual([
      "durable",
      "start r#stopRun-2",
    ]);
    expect([run.facts.stopRun!.told, run.facts.stopRun!.answering, run.drives.idle]).toEqual([
      "graceful",
      true,
      false,
    ]);
    run.drives.tellAgain();
    expect(run.facts.stopRun!.told).toBeUndefined();
    run.drives.abandon();
    expect(run.drives.idle).toBe(true);
  });

  it("before the run is accepted is told again after it", () => {
    const run = new Driven({ hasStopRun: true });
    run.begin();
    run.happen({ ...STOP, mode: "graceful" });
    run.turn(() => run.drives.stopElsewhere("graceful"));
    run.accepts();
    expect(run.facts.stopRun!.told).toBeUndefined();
  });

  it("leaves the end to who waits: stopped where it failed, stopped where it was told", () => {
    const kinds = (said: string[]): string[] => said.map((text) => text.split(" ", 1)[0]!);
    const run = stopped();
    run.turn(() => run.drives.stopElsewhere("graceful"));
    expect(kinds(run.ends("stopRun-2", WELL))).toEqual(["stop.accepted"]);
    expect(kinds(run.ends("submitPipeline-1", WELL))).toEqual(["step.stopped", "step.stopped"]);
    expect(run.facts.open).toBe(false);
    // A wait that ends well after a stop that failed: the run went on, to its end.
    const other = stopped();
    other.turn(() => other.drives.stopElsewhere("graceful"));
    other.ends("stopRun-2", BADLY);
    expect(kinds(other.ends("submitPipeline-1", WELL))).toContain("step.completed");
  });

  it("that has lost who waits is as one without a wait", () => {
    const run = stopped();
    run.turn(() => run.drives.stopElsewhere("graceful"));
    run.ends("stopRun-2", WELL);
    const said = run.dies("submitPipeline-1", ["r#submitPipeline-1"]);
    expect(said.map((text) => text.split(" ", 2).join(" "))).toEqual([
      "step.stopped a",
      "step.stopped b",
    ]);
  });

  it("of a run that is not known there any more ends it, once it was told", () => {
    const run = accepted({ hasStopRun: true, capabilities: { reportsStatus: true } }, false);
    run.happen({ ...STOP, mode: "graceful" });
    run.turn(() => run.drives.stopElsewhere("graceful"));
    // Its answer is still to come: it is asked again meanwhile.
    run.ends("submitPipeline-1", WELL);
    run.ends("stopRun-2", WELL);
    expect(run.ends("fetchStatus-3", status({}))).toEqual([
      expect.stringMatching(/^step\.stopped a /),
      expect.stringMatching(/^step\.stopped b /),
    ]);
    expect([run.facts.open, run.clock.timers]).toEqual([false, 0]);
  });

  it("is asked about again where the run is not known, and the stop not answered", () => {
    const run = new Driven({ hasStopRun: true, capabilities: { reportsStatus: true } });
    run.happen({ type: "submit.started", because: "x" });
    run.resume();
    run.happen({ ...STOP, mode: "graceful" });
    run.turn(() => run.drives.stopElsewhere("graceful"));
    expect([run.ends("fetchStatus-1", status({})), run.facts.open]).toEqual([[], true]);
    expect(run.clock.timers).toBe(1);
  });

  it("says how the run stands there as the steps that were asked for do", () => {
    const placed = (run: Driven): unknown => {
      run.turn(() => run.drives.stopElsewhere("graceful"));
      const task = run.tasks.get("r#stopRun-2") as unknown as { argument: { run: object } };
      return (task.argument.run as { status: string }).status;
    };
    const asked = accepted({ hasStopRun: true });
    asked.asks("runStep", { step: "a" });
    expect([placed(accepted({ hasStopRun: true })), placed(asked)]).toEqual([
      "initializing",
      "running",
    ]);
  });

  it("that failed leaves a run that ended well as it is, with the steps of orchd", () => {
    const run = stopped();
    run.asks("runStep", { step: "a" });
    run.turn(() => run.drives.stopElsewhere("graceful"));
    run.ends("stopRun-2", BADLY);
    expect(run.ends("submitPipeline-1", WELL).map((text) => text.split(" ", 2).join(" "))).toEqual([
      "step.started b",
      "step.completed b",
    ]);
  });

  it("of steps that it asked for leaves them to the planner", () => {
    const run = stopped();
    run.asks("runStep", { step: "a" });
    run.turn(() => run.drives.stopElsewhere("force"));
    run.ends("stopRun-2", WELL);
    const said = run.ends("submitPipeline-1", WELL);
    expect([said, run.facts.open]).toEqual([[], false]);
  });

  it("cannot be done where nobody can stop what runs there", () => {
    const cannot = (given: Given, act: (run: Driven) => void = () => undefined): boolean => {
      const run = accepted(given);
      act(run);
      return run.drives.cannotStop;
    };
    expect(cannot({})).toBe(true);
    expect(cannot({ hasStopRun: true })).toBe(false);
    expect(cannot({ declaresStop: true })).toBe(false);
    expect(cannot({ isDynamic: true })).toBe(false);
    const ask = (run: Driven): void => void run.asks("runStep", { step: "a" });
    expect(cannot({}, ask)).toBe(false);
    // It asked for one, and another runs there.
    const elsewhere = (run: Driven): void => {
      ask(run);
      const line = { type: "step.started", step: "b", attempt: 1, because: "x" };
      run.happen({ ...line, elsewhere: true } as never);
    };
    expect(cannot({}, elsewhere)).toBe(true);
    const over = (run: Driven): void => {
      run.stepEnds("a");
      run.stepEnds("b");
    };
    expect(cannot({}, over)).toBe(false);
    const young = new Driven();
    young.begin();
    expect(young.drives.cannotStop).toBe(false);
  });
});

describe("the next attempt of a failed step", () => {
  it("is begun by who retries, while somebody can ask", () => {
    const own = new Driven({ capabilities: { handlesStepRetries: true } });
    expect([new Driven().drives.retriedBy, own.drives.retriedBy]).toEqual([
      "orchd",
      "orchestrator",
    ]);
    expect([new Driven().facts.again, own.facts.again]).toEqual([undefined, new Map()]);
    own.begin();
    own.ends("submitPipeline-1", BADLY);
    expect(own.drives.retriedBy).toBe("nobody");
    // The function of a dynamic pipeline runs here, and so do its retries.
    const dynamic = new Driven({ capabilities: { handlesStepRetries: true }, isDynamic: true });
    expect(dynamic.drives.retriedBy).toBe("orchd");
  });
});

describe("a dynamic pipeline", () => {
  const reports = { isDynamic: true, capabilities: { reportsStatus: true } };
  const resumed = (): Driven => {
    const run = new Driven(reports);
    run.happen({ type: "submit.started", because: "x" });
    run.resume();
    return run;
  };

  it("has its function run where the class asks for it", async () => {
    const run = accepted(reports);
    expect(run.facts.requested).toBeUndefined();
    expect(run.drives.runsFunction).toBe(false);
    run.asks("runFunction", null);
    expect(run.drives.runsFunction).toBe(true);
    // Its end is that of the submission, and not of the run there.
    expect(run.ends("submitDynamicPipeline-1", WELL)).toEqual([]);
    expect(run.facts.open).toBe(false);
    const never = accepted(reports);
    expect(never.ends("submitDynamicPipeline-1", WELL)).toEqual([
      'submit.failed "the orchestrator ended without running the pipeline\'s function"',
      "function is stopped: the orchestrator did not take the run",
    ]);
  });

  it("that is known there has its function run at once, and ends with it", async () => {
    const run = resumed();
    expect(run.ends("fetchStatus-1", status({ status: "running" }))).toEqual([
      "submit.accepted metadata={}",
    ]);
    expect([run.drives.runsFunction, run.facts.open]).toEqual([true, true]);
    run.functionEnds();
    await run.later();
    expect(run.facts.open).toBe(false);
    const dropped = resumed();
    dropped.ends("fetchStatus-1", status({ status: "running" }));
    dropped.drives.end();
    dropped.functionEnds();
    await dropped.later();
    expect(dropped.facts.open).toBe(true);
  });

  it("whose function had ended is over where it is known there", () => {
    const run = resumed();
    run.happen({ type: "run.function_ended" } as never);
    expect(run.state.function).toBe("ended");
    run.ends("fetchStatus-1", status({ status: "running" }));
    expect(run.facts.open).toBe(false);
  });

  it("that is stopping there is asked for again, and one that failed there has failed", () => {
    const stopping = resumed();
    stopping.ends("fetchStatus-1", status({ status: "stopping" }));
    expect([stopping.drives.runsFunction, stopping.clock.timers]).toEqual([false, 1]);
    for (const end of ["failed", "stopped"]) {
      const run = resumed();
      expect(run.ends("fetchStatus-1", status({ status: end }))).toEqual([
        "submit.accepted metadata={}",
        `submit.failed "the orchestrator far reported that the run ${end}"`,
        "function is stopped: the orchestrator did not take the run",
      ]);
      expect([run.drives.runsFunction, run.clock.timers]).toEqual([false, 0]);
    }
  });
});
