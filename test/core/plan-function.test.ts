/** What a run of a dynamic pipeline does next, by what its function, steps and hooks did. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import { laneOf } from "../../src/core/lane.ts";
import { couldStart, type Action, type PlanFacts } from "../../src/core/plan.ts";
import type { Hooks, SnapshotStep } from "../../src/core/snapshot.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const code = { bundle: "b".repeat(64), pick: "export:default", source: "p.ts" };
const started: RunEvent = { type: "run.started", because: "due" };
const added = (step: string, more: Parameters<typeof stepSpec>[1] = {}): RunEvent => ({
  type: "step.added",
  step,
  spec: stepSpec(step, more),
  call: "a()",
});
const stop = (mode: "graceful" | "force"): RunEvent => ({
  type: "run.stop_requested",
  mode,
  by: "cli:ann",
});
const ended = (unawaited?: readonly string[]): RunEvent =>
  ({ type: "run.function_ended", ...(unawaited === undefined ? {} : { unawaited }) }) as RunEvent;
const threw = {
  type: "run.function_ended",
  error: { name: "Error", message: "out of luck" },
} as RunEvent;

function dynamic(hooks: Hooks = {}, mode = "stop_on_failure"): GivenRun {
  const more = { dynamic: code, hooks, executionMode: mode as never };
  return new GivenRun(snapshotOf([], more)).happen(started);
}
const running: Partial<PlanFacts> = { functionRunning: true };

describe("the function", () => {
  it("starts with the run, once, and not while the daemon drains", () => {
    const start = { kind: "startFunction", because: "the run began" };
    expect(dynamic().plan()).toEqual([start]);
    expect(dynamic().plan(running)).toEqual([]);
    expect(dynamic().plan({ draining: true })).toEqual([]);
    expect(dynamic().happen({ type: "run.recovered", because: "x" }).plan()).toEqual([
      { ...start, because: "the run was taken over: the function runs again" },
    ]);
  });

  it.each<["graceful" | "force", Partial<PlanFacts>]>([
    ["graceful", running],
    ["force", running],
    ["graceful", {}],
  ])("is stopped with the run, %s, %j", (mode, facts) => {
    const run = dynamic().happen(stop(mode));
    expect(run.plan(facts)).toEqual([
      { kind: "stopFunction", because: "the run was asked to stop" },
    ]);
  });

  it("that has ended is not stopped any more", () => {
    const run = dynamic().happen(ended(), stop("graceful"));
    expect(run.plan()).toEqual([
      { kind: "finish", status: "stopped", because: "stopped by cli:ann" },
    ]);
  });

  it("that returned ends the run, once no task of it is under way", () => {
    const run = dynamic().happen(ended());
    expect(run.plan(running)).toEqual([]);
    expect(run.plan({ hooks: new Set(["init"]) })).toEqual([]);
    expect(run.plan({ launching: new Set(["a"]) })).toEqual([]);
    expect(run.plan()).toEqual([
      { kind: "finish", status: "completed", because: "there was nothing to run" },
    ]);
  });

  it("is over where the init hook failed: it never starts", () => {
    const error = { name: "Error", message: "no room" };
    const run = dynamic({ init: code }).happen({ type: "hook.failed", hook: "init", error });
    const because = "the init hook failed: no room";
    expect(run.plan()).toEqual([{ kind: "stopFunction", because }]);
    expect(run.happen(ended()).plan()).toEqual([{ kind: "finish", status: "failed", because }]);
  });

  it.each<[string, Hooks, readonly Action[]]>([
    [
      "fails the run",
      {},
      [
        {
          kind: "finish",
          status: "failed",
          because: "the pipeline's function failed: out of luck",
        },
      ],
    ],
    [
      "is told to the hook of failed runs first",
      { onRunFailure: code, cleanup: code },
      [
        {
          kind: "hook",
          hook: "onRunFailure",
          because: "the pipeline's function failed: out of luck",
        },
      ],
    ],
    [
      "is followed by the clean-up",
      { cleanup: code },
      [{ kind: "hook", hook: "cleanup", because: "the run ends" }],
    ],
  ])("that threw %s", (_, hooks, actions) => {
    expect(dynamic(hooks).happen(threw).plan()).toEqual(actions);
  });

  it.each([
    ["waits for its orchestrator, which hears of it", { open: true }, 0],
    ["ends the run once that is over", { open: false }, 1],
  ])("that threw %s", (_, delegated, actions) => {
    expect(dynamic().happen(threw).plan({ delegated })).toHaveLength(actions);
    // A run that was asked to stop waits for nobody.
    const stopped = dynamic().happen(threw, stop("graceful"));
    expect(stopped.plan({ delegated })).toHaveLength(1);
  });

  it.each<[RunEvent, string]>([
    [ended(), 'it handled the failure of step "a"'],
    [ended(["a"]), 'warning: step "a" failed and nothing awaited it'],
  ])("that returned although a step failed says so: %j", (event, said) => {
    const run = dynamic({}, "continue_on_failure").happen(added("a")).start("a").fail("a");
    expect(run.plan(running)).toEqual([]);
    expect(run.happen(event).plan()).toEqual([
      { kind: "finish", status: "completed", because: `the function returned; ${said}` },
    ]);
  });

  it.each([
    ["stop_on_failure", "finish"],
    // Its end is to be known before the run ends, also where a crash ended it.
    ["fail_fast", "stopFunction"],
  ])("is stopped where a step failed, by %s; after a crash comes %s", (mode, then) => {
    const run = dynamic({}, mode).happen(added("a")).start("a").fail("a");
    const because = `step "a" failed and the execution mode is ${mode}`;
    expect(run.plan(running)).toEqual([{ kind: "stopFunction", because }]);
    expect(run.plan()).toMatchObject([{ kind: then }]);
  });

  it("asks for a step, which starts for that reason, and not for what it was told", () => {
    const run = dynamic()
      .happen(added("z"), added("a", { needs: ["z"] }))
      .start("z")
      .complete("z");
    expect(run.plan(running)).toEqual([
      {
        kind: "launch",
        step: "a",
        attempt: 1,
        alone: false,
        because: "the function asked for it",
      },
    ]);
  });
});

describe("whether a step could start, which is asked before it is planned", () => {
  it("is never no where the planner starts one", () => {
    const lanes = fc.subarray(["module", "shell"] as const);
    fc.assert(
      fc.property(
        fc.array(lanes, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 2 }),
        fc.integer({ min: 0, max: 2 }),
        fc.array(fc.constantFrom("start", "complete", "fail"), { maxLength: 8 }),
        (written, module, shell, happens) => {
          const { run: _, ...bare } = stepSpec("x");
          const steps = written.map((of, index): SnapshotStep => {
            const id = `s${index}`;
            const retry = { ...bare.retry, maxRetries: of.length === 2 ? 1 : 0 };
            return of[0] === "module" ? { ...bare, id, code, retry } : { ...stepSpec(id), retry };
          });
          const run = new GivenRun(snapshotOf(steps)).happen(started);
          const room = { module, shell };
          for (const what of ["look", ...happens]) {
            const [next] = run.launches();
            const [under] = run.state.running;
            if (what === "start" && next !== undefined) run.start(next);
            if (what === "complete" && under !== undefined) run.complete(under);
            if (what === "fail" && under !== undefined) run.fail(under);
            const could = couldStart(run.state, room);
            const launches = run.launches({ capacity: room });
            if (launches.length > 0) expect(could).toBe(true);
            const inRoom = [...run.state.ready].filter(
              (id) => (room as Record<string, number>)[laneOf(run.state.steps.get(id)!.spec)]! > 0,
            );
            const waits = module + shell > 0 && run.state.delayed.size > 0;
            expect(could).toBe(inRoom.length > 0 || waits);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
