/** What an orchestrator asks of orchd: which call is answered with what, and after what. */
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import type { AskedSteps } from "../../src/run/asked-steps.ts";
import type { DynamicCalls } from "../../src/run/dynamic-calls.ts";
import type { HookRuns } from "../../src/run/hook-runs.ts";
import { OrchestratorCalls } from "../../src/run/orchestrator-calls.ts";
import type { RunParts } from "../../src/run/run-parts.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

class Bench {
  readonly run = new GivenRun(snapshotOf([stepSpec("a"), stepSpec("b")]));
  readonly told: string[] = [];
  readonly calls: OrchestratorCalls;
  /** What waits for the lines of this turn. */
  readonly #afterwards: (() => void)[] = [];
  readonly #asked = new Set<string>();
  isOver = false;
  /** Why a step gets no further attempt. */
  spent: Error | undefined;

  constructor(dynamic?: Promise<Error | undefined>) {
    this.run.happen({ type: "submit.started", because: "handed over" });
    const parts = {
      state: this.run.state,
      arrive: (act: () => void) => act(),
      journal: { afterwards: (act: () => void) => void this.#afterwards.push(act) },
      emit: (event: RunEvent) => this.#emit(event),
      emitWhole: (event: RunEvent, still: () => boolean) => {
        if (still()) this.#emit(event);
      },
      waiters: {
        outputsOf: (step: string) => Promise.resolve(this.told.push(`waits for ${step}`)),
        settle: (step: string) => void this.told.push(`settles ${step}`),
      },
    } as unknown as RunParts;
    this.calls = new OrchestratorCalls(parts, {
      asked: {
        steps: this.#asked,
        spent: () => this.spent,
        add: ({ spec }: { spec: { id: string } }) => {
          this.#asked.add(spec.id);
          this.told.push(`asks for ${spec.id}`);
        },
      } as unknown as AskedSteps,
      hooks: {
        ask: (hook: string) => Promise.resolve(this.told.push(`hook ${hook}`)),
      } as unknown as HookRuns,
      calls:
        dynamic === undefined ? undefined : ({ ended: () => dynamic } as unknown as DynamicCalls),
      callsInit: true,
      isOver: () => this.isOver,
      accepted: () => void this.told.push("accepted"),
      failed: ({ message }) => void this.told.push(`failed ${message}`),
    });
  }

  #emit(event: RunEvent): string {
    this.told.push(event.type);
    this.run.happen(event);
    return "";
  }

  /** The lines of the turn are durable. */
  durable(): void {
    for (const act of this.#afterwards.splice(0)) act();
  }
}

describe("a step that is asked for", () => {
  it("is waited for, and comes after the hook that the orchestrator no longer calls", async () => {
    const bench = new Bench();
    expect(bench.calls.callsInit).toBe(true);
    await bench.calls.carryOut("runStep", { step: "a", orchestratorRunId: "theirs" });
    expect(bench.told).toEqual(["submit.identified", "waits for a", "asks for a"]);
    expect([bench.calls.callsInit, bench.run.state.orchestratorRunId]).toEqual([false, "theirs"]);
  });

  it("rejects where there is none or its attempts are made, but not once it is over", async () => {
    const bench = new Bench();
    await expect(bench.calls.carryOut("runStep", { step: "c" })).rejects.toThrow(
      'the pipeline p has no step "c"',
    );
    bench.spent = new Error("2 of 2 attempts were made");
    const spent = bench.calls.carryOut("runStep", { step: "a" });
    bench.durable();
    await expect(spent).rejects.toBe(bench.spent);
    bench.isOver = true;
    void bench.calls.carryOut("runStep", { step: "b" });
    expect(bench.told).toEqual([]);
  });

  it("that has ended is answered at once, when all is durable", async () => {
    const bench = new Bench();
    bench.run.happen({ type: "step.skipped", step: "a", because: "its condition" });
    const answer = bench.calls.carryOut("runStep", { step: "a" });
    expect(bench.told).toEqual(["waits for a"]);
    bench.durable();
    await answer;
    expect(bench.told).toEqual(["waits for a", "settles a"]);
  });
});

describe("the other calls", () => {
  it("an acceptance is recorded with the id, and answered when that is durable", async () => {
    const bench = new Bench();
    const answer = bench.calls.carryOut("accepted", {
      orchestratorRunId: "theirs",
      waits: true,
    });
    expect(bench.told).toEqual(["accepted", "submit.accepted"]);
    expect([bench.calls.waits, bench.calls.callsInit]).toEqual([true, false]);
    expect(bench.run.state.orchestratorRunId).toBe("theirs");
    bench.durable();
    expect(await answer).toBeNull();
  });

  it("an acceptance that comes too late is answered, and not recorded", async () => {
    const bench = new Bench();
    bench.isOver = true;
    expect(await bench.calls.carryOut("accepted", {})).toBeNull();
    expect(bench.told).toEqual([]);
  });

  it("the id that is in force is the answer to a name", async () => {
    const bench = new Bench();
    const first = bench.calls.carryOut("identify", "theirs");
    bench.durable();
    const second = bench.calls.carryOut("identify", "another");
    bench.durable();
    expect([await first, await second]).toEqual(["theirs", "theirs"]);
  });

  it("the function of a dynamic pipeline gives its end, or its whole error", async () => {
    const good = new Bench(Promise.resolve(undefined));
    expect(await good.calls.carryOut("runFunction", null)).toBeNull();
    expect(good.calls.runsFunction).toBe(true);
    const bad = new Bench(
      Promise.resolve(Object.assign(new Error("boom"), { name: "Odd", code: "E1" })),
    );
    await expect(bad.calls.carryOut("runFunction", {})).rejects.toMatchObject({
      message: "boom",
      name: "Odd",
      code: "E1",
    });
    await expect(new Bench().calls.carryOut("runFunction", {})).rejects.toThrow(
      "it has no function to run",
    );
  });

  it("hooks are asked for by name, and what is no call is refused", async () => {
    const bench = new Bench();
    await bench.calls.carryOut("runInitHook", null);
    await bench.calls.carryOut("runCleanupHook", null);
    expect(bench.told).toEqual(["hook init", "hook cleanup"]);
    await expect(bench.calls.carryOut("stopRun", null)).rejects.toThrow(
      'an orchestrator cannot call "stopRun"',
    );
  });
});
