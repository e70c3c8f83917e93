/**
 * What facts that no ledger holds change in a plan: an orchestrator of the user's that has the run,
 * what is under way already, and what was told. Each case compares the whole plan.
 */
import { describe, expect, it } from "vitest";
import type { Action, PlanFacts } from "../../src/core/plan.ts";
import { NO_RETRY } from "../../src/core/retry.ts";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const STARTED = { type: "run.started", because: "scheduled" } as const;
const STOP = { type: "run.stop_requested", mode: "graceful", by: "ann" } as const;
const CODE = { bundle: "b", pick: "export:default", source: "./a.ts" };
const retry = { ...NO_RETRY, maxRetries: 2 };
const MINUTE = 60_000;

/** A plan in short: `KIND WHAT`. */
const short = (actions: readonly Action[], from = 0): string[] =>
  actions.map((action) => {
    if (action.kind === "wake") return `wake ${action.at - from}`;
    if (action.kind === "launch") return `launch ${action.step} ${action.attempt}`;
    if (action.kind === "stopElsewhere") return `stopElsewhere ${action.mode}`;
    if (action.kind === "stopStep") return `stopStep ${action.step} ${action.mode}`;
    if (action.kind === "hook") return `hook ${action.hook}`;
    return "step" in action ? `${action.kind} ${action.step}` : action.kind;
  });

const started = (...steps: SnapshotStep[]): GivenRun =>
  new GivenRun(snapshotOf(steps)).happen(STARTED);

describe("the init hook", () => {
  const hooks = { init: CODE, cleanup: CODE };
  const given = (): GivenRun =>
    new GivenRun(snapshotOf([stepSpec("a")], { hooks })).happen(STARTED);
  it.each<[string, Partial<PlanFacts>, string[]]>([
    ["is owed before any step", {}, ["hook init"]],
    ["is under way: nothing else begins", { hooks: new Set(["init"]) }, []],
    ["waits for its orchestrator: so do the steps", { holdsInit: true }, []],
  ])("%s", (_, facts, planned) => {
    expect(short(given().plan(facts))).toEqual(planned);
  });

  it("has nothing to set up where every step came from the cache, and no cleanup either", () => {
    const run = given().happen({
      type: "step.cached",
      step: "a",
      outputs: { result: 1 },
      source: { run: "p@0", step: "a" },
      because: "nothing changed",
      cacheKey: "k",
    });
    expect(short(run.plan())).toEqual(["finish"]);
  });
});

it("a hook of a step that is under way is not called again", () => {
  const run = started(stepSpec("a", { hooks: { onSuccess: CODE } }), stepSpec("b"));
  run.start("a").complete("a");
  expect(short(run.plan())).toEqual(["hook onSuccess", "launch b 1"]);
  expect(short(run.plan({ hooks: new Set(["onSuccess:a"]) }))).toEqual(["launch b 1"]);
  expect(short(run.plan({ hooks: new Set(["onSuccess:b"]) }))[0]).toBe("hook onSuccess");
});

describe("a stop", () => {
  it.each<[string, "graceful" | "force", ReadonlyMap<string, "graceful" | "force">, string[]]>([
    ["is told", "graceful", new Map(), ["stopStep a graceful"]],
    ["is told once", "graceful", new Map([["a", "graceful"]]), []],
    ["becomes stronger", "force", new Map([["a", "graceful"]]), ["stopStep a force"]],
    ["by force is not taken back by a graceful one", "graceful", new Map([["a", "force"]]), []],
  ])("of a step %s", (_, mode, stopping, planned) => {
    const run = started(stepSpec("a"))
      .start("a")
      .happen({ ...STOP, mode });
    expect(short(run.plan({ stopping }))).toEqual(planned);
  });

  it.each<["graceful" | "force", "graceful" | "force" | undefined, string[]]>([
    ["graceful", undefined, ["stopElsewhere graceful"]],
    ["graceful", "graceful", []],
    ["force", "graceful", ["stopElsewhere force"]],
    ["graceful", "force", []],
  ])("by %s, where the orchestrator was told %s", (mode, told, planned) => {
    const run = started(stepSpec("a"))
      .start("a")
      .happen({ ...STOP, mode });
    const stopRun = { ...(told === undefined ? {} : { told }), answering: false, elsewhere: true };
    const delegated = { requested: new Set(["a"]), open: true, stopRun };
    const actions = run.plan({ delegated, stopping: new Map([["a", mode]]) });
    expect(short(actions)).toEqual(planned);
  });

  it.each<[string, boolean, readonly string[] | undefined, string[]]>([
    ["which may still have it", true, [], []],
    ["which asked for it here", true, ["a"], ["endDelayed a"]],
    ["which has nothing any more", false, [], ["endDelayed a"]],
    ["of which nothing is known", true, undefined, ["endDelayed a"]],
  ])("leaves a step elsewhere to the orchestrator %s", (_, elsewhere, requested, planned) => {
    const began = { type: "step.started", step: "a", attempt: 1, because: "x" } as const;
    const run = started(stepSpec("a")).happen({ ...began, elsewhere: true }, STOP);
    const stopRun = { told: "force", answering: false, elsewhere } as const;
    const asked = requested === undefined ? {} : { requested: new Set(requested) };
    const delegated = { ...asked, open: true, stopRun };
    expect(short(run.plan({ delegated }))).toEqual(planned);
  });

  it.each<[string, boolean | undefined, string[]]>([
    ["may ask for more", true, []],
    ["has ended with it", false, ["endDelayed a"]],
    ["is not there any more", undefined, ["endDelayed a"]],
  ])("is not needed to end a step elsewhere whose orchestrator %s", (_, open, planned) => {
    const began = { type: "step.started", step: "a", attempt: 1, because: "x" } as const;
    const accepted = { type: "submit.accepted", metadata: {} } as const;
    const run = started(stepSpec("a")).happen(accepted, { ...began, elsewhere: true });
    const facts = open === undefined ? {} : { delegated: { requested: new Set<string>(), open } };
    expect(short(run.plan(facts))).toEqual(planned);
    const error = { name: "RunFailed", message: "it failed there" };
    run.happen({ type: "submit.failed", error });
    expect(short(run.plan(facts))).toEqual(planned);
    // Once, and not by both rules, where the run stops as well.
    run.happen(STOP);
    expect(short(run.plan(facts))).toEqual(["endDelayed a"]);
  });

  it("says that the run was stopped where one of its steps was", () => {
    const run = started(stepSpec("a"), stepSpec("b")).start("a").start("b").complete("a");
    run.happen({ type: "step.stopped", step: "b", attempt: 1, because: "its host went away" });
    expect(run.plan()).toEqual([
      { kind: "finish", status: "stopped", because: "a step was stopped" },
    ]);
  });

  it.each([true, false])("ends the run once `stopRun` has answered: %s", (answering) => {
    const run = started(stepSpec("a")).start("a").complete("a");
    const stopRun = { answering, elsewhere: false };
    const delegated = { requested: new Set(["a"]), open: false, stopRun };
    expect(short(run.plan({ delegated }))).toEqual(answering ? [] : ["finish"]);
  });

  it("skips no step twice: not one that is prepared, nor one whose fate is known", () => {
    const steps = [
      stepSpec("bad"),
      stepSpec("doomed", { needs: ["bad"] }),
      stepSpec("starts"),
      stepSpec("waits"),
    ];
    const run = started(...steps)
      .start("bad")
      .fail("bad")
      .happen(STOP);
    expect(short(run.plan({ launching: new Set(["starts"]) }))).toEqual([
      "skip doomed",
      "skip waits",
    ]);
    expect(run.plan({ launching: new Set(["starts"]) })[0]).toMatchObject({
      because: 'upstream step "bad" failed',
    });
  });
});

describe("an orchestrator that retries steps itself", () => {
  /** Step `a` failed and could be retried; `b` and, in another arm, `c` come after it. */
  const failed = (more: Partial<SnapshotStep> = {}): GivenRun => {
    const run = started(
      stepSpec("a", { retry, ...more }),
      stepSpec("b", { needs: ["a", "x"] }),
      stepSpec("x"),
    );
    const error = { name: "Error", message: "no" };
    const retryAt = new Date(run.now).toISOString();
    return run
      .start("a")
      .start("x")
      .happen({ type: "step.failed", step: "a", attempt: 1, error, because: "r", retryAt });
  };
  const asks = (
    requested: readonly string[],
    again: ReadonlyMap<string, number> = new Map(),
  ): Partial<PlanFacts> => ({ delegated: { requested: new Set(requested), open: true, again } });

  it.each<[string, string[], number, string[]]>([
    ["nothing waits for it: it may take any time", ["a", "x"], 90 * MINUTE, []],
    ["a step that it asked for waits", ["a", "b", "x"], MINUTE - 1, ["wake 60000"]],
    ["a minute is over", ["a", "b", "x"], MINUTE, ["giveUp a"]],
  ])("does not ask again, and %s", (_, requested, after, planned) => {
    const run = failed();
    const from = run.now;
    run.now += after;
    expect(short(run.plan(asks(requested)), from)).toEqual(planned);
  });

  it("is not waited for by a step that has ended otherwise", () => {
    const run = failed().fail("x").happen({ type: "step.skipped", step: "b", because: "x failed" });
    run.now += 90 * MINUTE;
    expect(short(run.plan(asks(["a", "b", "x"])))).toEqual([]);
  });

  it("asks, and is served at once, whatever the policy's delay", () => {
    const run = failed();
    run.now -= MINUTE;
    expect(short(run.plan(asks(["a"], new Map([["a", 2]]))))).toEqual(["launch a 2"]);
    expect(short(run.plan(asks(["a"], new Map([["a", 1]]))))).toEqual([]);
  });

  it("need not ask for a step that was interrupted without its fault", () => {
    const run = started(stepSpec("a", { retry })).start("a");
    const attempt = { step: "a", attempt: 1, because: "its runner died" } as const;
    run.happen({ type: "step.interrupted", ...attempt, next: "rerun" });
    expect(short(run.plan(asks(["a"])))).toEqual(["launch a 1"]);
  });

  it("has a step's wait for room begin when it asks", () => {
    const run = failed({ startWithinMs: MINUTE });
    run.now += 2 * MINUTE;
    const full: Partial<PlanFacts> = { capacity: {} };
    expect(short(run.plan({ ...asks(["a"]), ...full }))).toEqual([]);
    const asked = asks(["a"], new Map([["a", 2]]));
    expect(short(run.plan({ ...asked, ...full }))).toEqual(["expire a"]);
  });
});

describe("time", () => {
  it("a retry starts at its moment, and the plan says when to look again", () => {
    const run = started(stepSpec("a", { retry }), stepSpec("b", { startWithinMs: MINUTE }));
    const error = { name: "Error", message: "no" };
    const retryAt = new Date(run.now + 2 * MINUTE).toISOString();
    const from = run.now;
    run.start("a");
    run.happen({ type: "step.failed", step: "a", attempt: 1, error, because: "r", retryAt });
    const full = { capacity: { shell: 0 } };
    expect(short(run.plan(full), from)).toEqual(["wake 60000"]);
    run.start("b");
    expect(short(run.plan(), from)).toEqual(["wake 120000"]);
    run.now += 2 * MINUTE - 1;
    expect(short(run.plan(), from)).toEqual(["wake 120000"]);
    run.now += 1;
    expect(short(run.plan(), from)).toEqual(["launch a 2"]);
  });

  it("a retry does not wait for as long as a clock was ahead that is set back", () => {
    const run = started(stepSpec("a", { retry }));
    const from = run.now;
    const error = { name: "Error", message: "no" };
    const ahead = 365 * 24 * 60 * MINUTE;
    run.now += ahead;
    const retryAt = new Date(run.now + 2 * MINUTE).toISOString();
    run.start("a");
    run.happen({ type: "step.failed", step: "a", attempt: 1, error, because: "r", retryAt });
    expect(short(run.plan(), from + ahead)).toEqual(["wake 120000"]);
    run.now -= ahead;
    expect(short(run.plan(), from)).toEqual(["launch a 2"]);
    // Where the clock is not behind the failure, the wait is what is left of it.
    run.now += ahead;
    expect(short(run.plan(), from + ahead)).toEqual(["wake 120000"]);
  });

  it("a step that gets its room at the last moment starts, and is not given up", () => {
    const run = started(...["a", "b"].map((id) => stepSpec(id, { startWithinMs: MINUTE })));
    run.now += MINUTE;
    expect(short(run.plan({ capacity: { shell: 1 } }))).toEqual(["launch a 1", "expire b"]);
  });

  it("a retry waits for room from its moment on, and no longer than it may", () => {
    const run = started(stepSpec("a", { retry, startWithinMs: MINUTE }));
    const error = { name: "Error", message: "no" };
    const from = run.now;
    const retryAt = new Date(from + 2 * MINUTE).toISOString();
    run.start("a");
    run.happen({ type: "step.failed", step: "a", attempt: 1, error, because: "r", retryAt });
    run.now += 2 * MINUTE;
    expect(short(run.plan({ capacity: {} }), from)).toEqual(["wake 180000"]);
    run.now += MINUTE;
    expect(short(run.plan({ capacity: {} }), from)).toEqual(["expire a"]);
  });
});

it("a step that two failures keep from starting names the first", () => {
  const run = started(stepSpec("a"), stepSpec("b"), stepSpec("c", { needs: ["a", "b"] }));
  run.start("a").start("b").fail("b").fail("a");
  expect(run.plan()).toEqual([{ kind: "skip", step: "c", because: 'upstream step "b" failed' }]);
});

it("a step that was alone once is not alone for ever", () => {
  const run = started(stepSpec("a")).start("a");
  const died = { type: "step.interrupted", step: "a", attempt: 1, next: "rerun" } as const;
  run.happen({ ...died, because: "it died", alone: true });
  expect(run.plan()).toMatchObject([{ kind: "launch", step: "a", alone: true }]);
  run.start("a").happen({ ...died, because: "it waited behind another" });
  expect(run.plan()).toMatchObject([{ kind: "launch", step: "a", alone: false }]);
});
