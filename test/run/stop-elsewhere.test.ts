/**
 * A run elsewhere that is stopped: which of the things that can tell its end decides, when the
 * orchestrator is called, and what is written. The orchestrator is played by the test.
 */
import { describe, expect, it, vi } from "vitest";
import type { Json } from "../../src/core/snapshot.ts";
import type { TaskResult } from "../../src/core/task.ts";
import type { RunEvent } from "../../src/core/event.ts";
import { BaseOrchestrator } from "../../src/orchestrators/base-orchestrator.ts";
import type { FlavorCall } from "../../src/run/flavor-tasks.ts";
import type { RunParts } from "../../src/run/run-parts.ts";
import { StopElsewhere } from "../../src/run/stop-elsewhere.ts";
import { held } from "../support/fake-pool.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";
import { moduleStep, RunBench } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

type Mode = "graceful" | "force";
const GRACE_MS = 4_000;
const WELL: TaskResult = { ok: true, value: null };
const BADLY: TaskResult = {
  ok: false,
  outcome: "failed",
  error: { name: "Error", message: "not now" },
};

/** What the orchestrator can do, and what is there. */
interface Given {
  /** It has `fetchStatus`. */
  readonly status?: boolean;
  /** The task of the submission. */
  readonly submitting?: string | undefined;
  readonly isElsewhere?: boolean;
  readonly isAccepted?: boolean;
}

class Bench {
  readonly clock = new VirtualClock();
  readonly run = new GivenRun(snapshotOf([stepSpec("a")], { gracePeriodMs: GRACE_MS }));
  readonly calls: FlavorCall[] = [];
  /** What happened, in order. */
  readonly told: string[] = [];
  readonly emitted: RunEvent[] = [];
  readonly stop: StopElsewhere;
  submitting: string | undefined;
  isElsewhere: boolean;

  constructor({ status = false, submitting, isElsewhere = true, isAccepted = false }: Given = {}) {
    this.submitting = submitting;
    this.isElsewhere = isElsewhere;
    this.run.happen({ type: "run.started", because: "scheduled" });
    if (isAccepted) (this.run.state as { submission: string }).submission = "accepted";
    const parts = {
      state: this.run.state,
      journal: { afterwards: (act: () => void) => act() },
      arrive: (act: () => void) => act(),
      emit: (event: RunEvent) => {
        this.emitted.push(event);
        this.told.push(event.type);
        return "";
      },
      deps: { clock: this.clock, log: { warn: () => this.told.push("warn") } },
    };
    Object.defineProperty(parts, "state", { get: () => this.run.state });
    this.stop = new StopElsewhere(parts as unknown as RunParts, {
      tasks: {
        start: (call: FlavorCall) => {
          this.calls.push(call);
          this.told.push((call.argument as { graceful: boolean }).graceful ? "asks" : "insists");
          return `call-${this.calls.length}`;
        },
        stop: (task: string, because: string) => void this.told.push(`ends ${task}: ${because}`),
        end: () => undefined,
      },
      status: status
        ? ({ ask: (now: boolean) => void this.told.push(`fetches ${now}`) } as never)
        : undefined,
      flavor: "cluster",
      placeholder: () => ({ id: "p@1" }) as never,
      isElsewhere: () => this.isElsewhere,
      submitting: () => this.submitting,
      ended: (end) => void this.told.push(`ended ${end}`),
    });
  }

  /** Somebody asks for a stop, and the planner tells it. */
  ask(mode: Mode): this {
    this.run.happen({ type: "run.stop_requested", mode, because: "asked", by: "x" });
    this.stop.tell(mode);
    return this;
  }

  answer(result: TaskResult, call = this.calls.length - 1): this {
    this.calls[call]!.done(result);
    return this;
  }
}

describe("what tells the end once `stopRun` has answered", () => {
  const CASES: [string, Given, Mode, TaskResult, "well" | "badly" | undefined, string[]][] = [];
  const add = (
    what: string,
    given: Given,
    mode: Mode,
    result: TaskResult,
    waited: "well" | "badly" | undefined,
    told: string[],
  ): void => void CASES.push([what, given, mode, result, waited, told]);
  for (const mode of ["graceful", "force"] as const)
    for (const waited of [undefined, "well", "badly"] as const) {
      add("it returned and nothing else can tell", {}, mode, WELL, waited, ["ended stopped"]);
      const failed =
        waited === "well"
          ? ["ended completed"]
          : waited === undefined && mode === "graceful"
            ? []
            : ["ended stopped"];
      add("it threw and nothing else can tell", {}, mode, BADLY, waited, failed);
      for (const result of [WELL, BADLY])
        add("`fetchStatus` tells", { status: true }, mode, result, waited, ["fetches false"]);
      add("orchd runs all of it", { isElsewhere: false }, mode, WELL, waited, []);
    }
  it.each(CASES)("%s (%j, %s)", (_, given, mode, result, waited, told) => {
    const bench = new Bench(given);
    bench.stop.waited(waited);
    expect(bench.told).toEqual([]);
    bench.ask(mode).answer(result);
    const begin = [mode === "graceful" ? "asks" : "insists"];
    const line = result.ok ? ["stop.accepted"] : ["stop.failed", "warn"];
    expect(bench.told).toEqual([...begin, ...line, ...told]);
  });

  it("a run that `fetchStatus` does not know ends, one that it knows goes on", () => {
    const bench = new Bench({ status: true }).ask("graceful").answer(WELL);
    bench.told.length = 0;
    bench.stop.fetched(true);
    expect(bench.told).toEqual([]);
    bench.stop.fetched(false);
    expect(bench.told).toEqual(["ended stopped"]);
  });

  it("nothing, before it was asked", () => {
    const bench = new Bench();
    bench.run.happen({ type: "run.stop_requested", mode: "force", because: "asked", by: "x" });
    bench.stop.settle();
    expect(bench.told).toEqual([]);
  });

  it("nothing, while it has not answered", () => {
    const bench = new Bench().ask("force");
    bench.stop.waited("well");
    bench.stop.fetched(false);
    expect(bench.told).toEqual(["insists"]);
    expect(bench.stop.facts).toEqual({ told: "force", answering: true, elsewhere: true });
    expect(bench.stop.idle).toBe(false);
    bench.answer(WELL);
    expect(bench.stop.facts.answering).toBe(false);
    expect(bench.stop.idle).toBe(true);
    bench.stop.forget();
    expect(bench.stop.facts.told).toBeUndefined();
  });
});

describe("a stop by force after a graceful one", () => {
  it("calls again, and only the last answer decides; each is written", () => {
    const bench = new Bench().ask("graceful").ask("force");
    expect(bench.calls.map(({ method, argument }) => [method, argument])).toEqual([
      ["stopRun", { run: { id: "p@1" }, graceful: true }],
      ["stopRun", { run: { id: "p@1" }, graceful: false }],
    ]);
    bench.answer(BADLY, 0);
    expect(bench.told).toEqual(["asks", "insists", "stop.failed", "warn"]);
    expect(bench.stop.facts.answering).toBe(true);
    bench.answer(WELL, 1);
    expect(bench.told.slice(4)).toEqual(["stop.accepted", "ended stopped"]);
    expect(bench.emitted).toEqual([
      {
        type: "stop.failed",
        mode: "graceful",
        error: { name: "Error", message: "not now" },
        because: "the orchestrator cluster could not stop the run: not now",
      },
      { type: "stop.accepted", mode: "force", because: "cluster stopped the run" },
    ]);
  });

  it("calls once more, alone, where its runner died of another", () => {
    const bench = new Bench().ask("force");
    bench.calls[0]!.lost!(BADLY);
    expect(bench.calls.map(({ alone }) => alone)).toEqual([false, true]);
    expect(bench.calls[1]!.lost).toBeUndefined();
    bench.calls[0]!.lost!(BADLY);
    expect(bench.calls).toHaveLength(2);
  });

  it("a reason that is very long is cut", () => {
    const bench = new Bench().ask("graceful");
    bench.answer({ ...BADLY, error: { name: "E", message: "x".repeat(9_000) } });
    expect((bench.emitted[0] as { because: string }).because).toHaveLength(4_096);
  });
});

describe("a submission that still runs", () => {
  const ends = "ends task: the run was stopped";
  it.each<[string, Given, Mode, TaskResult, boolean]>([
    ["waits: by force it gets the grace period", { isAccepted: true }, "force", WELL, true],
    ["waits: it tells the end of a graceful stop", { isAccepted: true }, "graceful", WELL, false],
    ["waits: it may go on where `stopRun` failed", { isAccepted: true }, "force", BADLY, false],
    ["has not accepted the run yet", {}, "graceful", WELL, true],
    ["has not accepted the run, and `stopRun` failed", {}, "graceful", BADLY, false],
  ])("%s", async (_, given, mode, result, isEnded) => {
    const bench = new Bench({ ...given, submitting: "task" }).ask(mode).answer(result);
    bench.stop.settle();
    await bench.clock.advance(GRACE_MS - 1);
    expect(bench.told).not.toContain(ends);
    await bench.clock.advance(1);
    expect(bench.told.filter((what) => what === ends)).toHaveLength(isEnded ? 1 : 0);
    expect(bench.told.some((what) => what.startsWith("ended"))).toBe(false);
  });

  it("is left alone once it has ended, or the run is no longer driven", async () => {
    const over = new Bench({ isAccepted: true, submitting: "task" }).ask("force").answer(WELL);
    over.submitting = undefined;
    await over.clock.advance(GRACE_MS);
    expect(over.told).not.toContain(ends);
    const left = new Bench({ isAccepted: true, submitting: "task" }).ask("force").answer(WELL);
    left.stop.end();
    await left.clock.advance(2 * GRACE_MS);
    expect(left.told).not.toContain(ends);
    expect(left.clock.timers).toBe(0);
    expect(new Bench().ask("force").stop.idle).toBe(false);
  });
});

describe("a time limit", () => {
  const limited = (): Bench => {
    const bench = new Bench();
    bench.run.happen({ type: "run.timed_out", because: "it took long" } as never);
    return bench;
  };
  it("asks first, and insists a grace period later", async () => {
    const bench = limited();
    bench.stop.tell("force");
    expect(bench.told).toEqual(["asks"]);
    await bench.clock.advance(GRACE_MS - 1);
    expect(bench.told).toEqual(["asks"]);
    await bench.clock.advance(1);
    expect(bench.told).toEqual(["asks", "insists"]);
  });

  it("does not insist once a person did, or the run has ended or is not driven", async () => {
    const person = limited();
    person.stop.tell("force");
    person.ask("force");
    await person.clock.advance(2 * GRACE_MS);
    expect(person.told).toEqual(["asks", "insists"]);
    const over = limited();
    over.stop.tell("force");
    over.run.happen({ type: "run.finished", status: "failed", because: "x", durationMs: 1 });
    await over.clock.advance(2 * GRACE_MS);
    expect(over.told).toEqual(["asks"]);
    const left = limited();
    left.stop.tell("force");
    left.stop.end();
    expect(left.stop.idle).toBe(true);
    await left.clock.advance(2 * GRACE_MS);
    expect(left.told).toEqual(["asks"]);
  });
});

it("an answer that comes after the run's end is not written", () => {
  const bench = new Bench().ask("force");
  bench.run.happen({ type: "run.finished", status: "stopped", because: "x", durationMs: 1 });
  bench.answer(WELL);
  expect(bench.told).toEqual(["insists"]);
  const argument: Json = bench.calls[0]!.argument;
  expect(argument).toEqual({ run: { id: "p@1" }, graceful: false });
});

describe("a stop of a run that is handed over", () => {
  /** An orchestrator whose run goes on until it is told to stop. */
  function farm(stops: boolean) {
    const told: string[] = [];
    let end!: () => void;
    const over = new Promise<void>((resolve) => (end = resolve));
    class Far extends BaseOrchestrator {
      static flavor = "far";
      override getOrchestratorRunId(): string {
        return "there";
      }
      override submitPipeline(): Promise<{ waitForCompletion: () => Promise<void> }> {
        return Promise.resolve({ waitForCompletion: () => over });
      }
    }
    if (stops)
      Object.assign(Far.prototype, {
        stopRun: ({ orchestratorRunId }: { orchestratorRunId: string }, how: object) => {
          told.push(`${orchestratorRunId} ${JSON.stringify(how)}`);
          end();
          return Promise.resolve();
        },
      });
    const bench = new RunBench({ functions: { "export:Far": Far } });
    const code = { bundle: "far", pick: "export:Far", source: "./far.ts" };
    const orchestrator = { flavor: "far", config: {}, code };
    return { bench, told, end, orchestrator };
  }

  const begun = async (stops: boolean) => {
    const rig = farm(stops);
    const loop = await rig.bench.begin([moduleStep("a")], {}, { orchestrator: rig.orchestrator });
    await vi.waitFor(() => expect(loop.state.submission).toBe("accepted"));
    return { ...rig, loop };
  };

  it("says that its orchestrator is asked, with what of the reason a line holds", async () => {
    const { bench, told, loop } = await begun(true);
    const order = { by: "b".repeat(201), because: "x".repeat(1_001), requestId: "r1" };
    expect(await loop.requestStop({ mode: "graceful", ...order })).toEqual({ accepted: true });
    const line = bench.lines(loop.state.run).find(({ type }) => type === "run.stop_requested");
    expect(line).toMatchObject({
      mode: "graceful",
      by: "b".repeat(200),
      because: "x".repeat(1_000),
      requestId: "r1",
      asksOrchestrator: true,
    });
    expect((await bench.end(loop)).status).toBe("stopped");
    expect(told).toEqual(['there {"graceful":true}']);
  });

  it("is refused where nobody can stop what runs there, and nothing is written", async () => {
    const { bench, end, loop } = await begun(false);
    const { lastSeq } = loop.state;
    expect(await loop.requestStop({ mode: "force", by: "me" })).toEqual({
      accepted: false,
      reason: "The orchestrator far cannot stop a run.",
    });
    expect(loop.state.lastSeq).toBe(lastSeq);
    end();
    await bench.end(loop);
  });

  it("of steps that orchd runs itself says nothing of an orchestrator", async () => {
    const a = held();
    const bench = new RunBench({ functions: { a } });
    const loop = await bench.begin([moduleStep("a")]);
    await a.began;
    await loop.requestStop({ mode: "graceful", by: "me" });
    const line = bench.lines(loop.state.run).find(({ type }) => type === "run.stop_requested");
    expect(line).not.toHaveProperty("asksOrchestrator");
    await bench.end(loop);
  });
});
