/** A run elsewhere: how often it is asked after, and what is recorded of what it is told. */
import { expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import type { RunState } from "../../src/core/run-state.ts";
import type { Json } from "../../src/core/snapshot.ts";
import type { FinalRunStatus, Status } from "../../src/core/status.ts";
import type { TaskResult } from "../../src/core/task.ts";
import { RunElsewhere } from "../../src/run/run-elsewhere.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const AT = "2026-11-28T02:00:10.000Z";

/** Records an end of a run with steps that wait, run, are orchd's own, and have ended. */
function recorded(status: FinalRunStatus, more: Partial<RunState> = {}) {
  const lines: string[] = [];
  const step = (id: string, phase: string, attempt = 0) =>
    [id, { spec: { id }, phase, attempt, attempts: [] as { startedAt: string }[] }] as const;
  const steps = new Map([
    step("waits", "ready"),
    step("runs", "running", 2),
    step("own", "running", 1),
    step("ended", "ended", 1),
  ]);
  steps.get("runs")!.attempts.push({ startedAt: "2026-11-28T02:00:00.000Z" });
  const state = { steps, failed: 0, snapshot: { executionMode: "fail_fast" }, ...more };
  const elsewhere = new RunElsewhere(
    {
      state,
      journal: { at: AT },
      emit: (event: { type: string; step: string; attempt?: number; durationMs?: number }) => {
        lines.push(`${event.type} ${event.step} ${event.attempt} ${event.durationMs ?? ""}`.trim());
        if (event.type === "step.started") steps.get(event.step)!.attempts.push({ startedAt: AT });
      },
    } as never,
    { flavor: "farm", requested: new Set(["own"]) } as never,
  );
  return { error: elsewhere.recordEnd(status), lines };
}

const COMPLETED = [
  "step.started waits 1",
  "step.completed waits 1 0",
  "step.completed runs 2 10000",
];
const STOPPED = ["step.stopped waits 1", "step.stopped runs 2"];

it.each([
  ["completed", COMPLETED],
  ["cached", COMPLETED],
  ["stopped", STOPPED],
] as const)("%s: so did those that orchd does not run itself", (status, lines) => {
  expect(recorded(status)).toEqual({ error: undefined, lines });
});

it("failed: the run did, unless a step's failure says so already", () => {
  const error = {
    name: "RunFailed",
    message: "the orchestrator farm reported that the run failed",
  };
  expect(recorded("failed")).toEqual({ error, lines: [] });
  const { executionMode } = { executionMode: "continue_on_failure" };
  expect(recorded("failed", { failed: 1, snapshot: { executionMode } as never })).toEqual({
    error: undefined,
    lines: [],
  });
});

it("failed, of a run that was told to stop: it was stopped", () => {
  const stop = { mode: "graceful", because: "enough" } as never;
  expect(recorded("failed", { stop })).toEqual({ error: undefined, lines: STOPPED });
});

/** A run that is asked after, and what is told of it. */
class Asked {
  readonly clock = new VirtualClock();
  readonly said: string[] = [];
  readonly asked: { readonly argument: Json; readonly done: (result: TaskResult) => void }[] = [];
  over = false;
  readonly elsewhere: RunElsewhere;

  constructor(state: Partial<RunState> = {}, dynamic?: boolean) {
    const say = (...words: unknown[]): void => void this.said.push(words.join(" "));
    const step = (id: string, phase: string) =>
      [id, { spec: { id }, phase, attempt: 1, attempts: [{ startedAt: AT }] }] as const;
    const whole = {
      run: "r",
      submission: "accepted",
      steps: new Map([step("a", "running"), step("own", "running"), step("b", "ended")]),
      ended: 1,
      function: "none",
      ...state,
    };
    this.elsewhere = new RunElsewhere(
      {
        state: whole,
        deps: { clock: this.clock },
        journal: { at: AT, afterwards: (then: () => void) => then() },
        arrive: (then: () => void) => then(),
        emit: (event: { type: string; step?: string }) => say(event.type, event.step ?? ""),
      } as never,
      {
        flavor: "farm",
        requested: new Set(["own"]),
        placeholder: () => ({ id: "r" }),
        tasks: { start: (call: Asked["asked"][number]) => void this.asked.push(call) },
        settled: () => say("settled"),
        unknown: (first: boolean) => (say("unknown", first), this.over),
        known: () => say("known"),
        warn: (when: string, { message }: { message: string }) => say("warn", when, message),
        ended: (status: string) => say("ended", status),
        dynamic: dynamic ? (status: string) => (say("dynamic", status), this.over) : undefined,
      } as never,
    );
  }

  /** It is asked, and this is the answer. @returns what was said */
  answers(result: TaskResult): string[] {
    this.said.length = 0;
    this.asked.at(-1)!.done(result);
    return this.said.map((text) => text.trim());
  }

  /** Whether it is asked again when five seconds are over, and not before. */
  async isAskedAgain(): Promise<boolean> {
    const { length } = this.asked;
    await this.clock.advance(4_999);
    expect(this.asked).toHaveLength(length);
    await this.clock.advance(1);
    return this.asked.length > length;
  }
}

const well = (value: Json): TaskResult => ({ ok: true, value });
const UNABLE: TaskResult = {
  ok: false,
  outcome: "failed",
  error: { name: "Error", message: "no line" },
};
const steps = { a: "completed", own: "failed", b: "failed", none: "failed" };

it.each<[string, TaskResult, Partial<RunState>, boolean | undefined, string[], boolean]>([
  ["nothing", well(null), {}, undefined, ["unknown true"], true],
  ["no status", well({ status: "mad", steps }), {}, undefined, ["unknown true"], true],
  [
    "not at all",
    UNABLE,
    {},
    undefined,
    [
      "warn the orchestrator farm could not say at 2026-11-23T02:00:00.000Z how the run stands, " +
        "and is asked again no line",
    ],
    true,
  ],
  ["running", well({ status: "running" }), {}, undefined, ["known"], true],
  [
    "running, which is an acceptance",
    well({ status: "running" }),
    { submission: "started" },
    undefined,
    ["submit.accepted", "known"],
    true,
  ],
  [
    "steps, of which orchd records those that are not its own and go on",
    well({ status: "running", steps }),
    {},
    undefined,
    ["step.completed a", "known"],
    true,
  ],
  ["an end", well({ status: "stopped" }), {}, undefined, ["ended stopped"], false],
  [
    "of a run that has ended here",
    UNABLE,
    { finished: {} as never },
    undefined,
    ["settled"],
    false,
  ],
  ["of a run all of whose steps ended", UNABLE, { ended: 3 }, undefined, ["settled"], false],
  [
    "of a run whose function is owed, though its steps ended",
    well({ status: "running" }),
    { ended: 3, function: "owed" },
    true,
    ["dynamic running"],
    true,
  ],
  [
    "of a dynamic run, whose steps are its function's",
    well({ status: "completed", steps }),
    {},
    true,
    ["dynamic completed"],
    true,
  ],
])("is told %s", async (_, result, state, dynamic, said, again) => {
  const run = new Asked(state, dynamic);
  run.elsewhere.ask(true);
  // While it asks, it does not ask beside that.
  run.elsewhere.ask(true);
  expect(run.asked.map(({ argument }) => argument)).toEqual([
    { run: { id: "r" }, includeSteps: true },
  ]);
  expect(run.answers(result)).toEqual(said);
  // Nor while it waits for the next time.
  if (again) run.elsewhere.ask(true);
  expect(run.asked).toHaveLength(1);
  expect(await run.isAskedAgain()).toBe(again);
});

it("is no longer asked where it is given up", async () => {
  for (const [result, dynamic] of [
    [well(null), undefined],
    [well({ status: "running" }), true],
  ] as const) {
    const run = new Asked({}, dynamic);
    run.over = true;
    run.elsewhere.ask(false);
    run.answers(result);
    expect(await run.isAskedAgain()).toBe(false);
  }
});

it("was unknown from the first on only until it was known once", async () => {
  const run = new Asked();
  run.elsewhere.ask(true);
  expect(run.answers(well({}))).toEqual(["unknown true"]);
  for (const [answer, said] of [
    [UNABLE, /^warn/],
    [well({}), /^unknown true$/],
    [well({ status: "running" }), /^known$/],
    [well({}), /^unknown false$/],
    [well({}), /^unknown false$/],
  ] as const) {
    expect(await run.isAskedAgain()).toBe(true);
    expect(run.answers(answer)[0]).toMatch(said);
  }
  // And no timer is left once it is over.
  expect(run.clock.timers).toBe(1);
  run.elsewhere.end();
  expect(run.clock.timers).toBe(0);
});

it("an answer that comes after the end asks no more", async () => {
  const run = new Asked();
  run.elsewhere.ask(true);
  run.elsewhere.end();
  run.answers(well({}));
  expect(await run.isAskedAgain()).toBe(false);
});

it.each<[Status, string[]]>([
  ["initializing", []],
  ["running", ["step.started 1"]],
  ["completed", ["step.started 1", "step.completed 1"]],
  ["cached", ["step.started 1", "step.completed 1"]],
  ["failed", ["step.started 1", "step.failed 1"]],
  ["stopped", ["step.stopped 1"]],
  ["skipped", ["step.skipped"]],
])("a step that has not begun here and is %s there is recorded", (status, lines) => {
  const events: RunEvent[] = [];
  const step = { spec: { id: "a" }, phase: "ready", attempt: 0, attempts: [{ startedAt: AT }] };
  let done!: (result: TaskResult) => void;
  const elsewhere = new RunElsewhere(
    {
      state: { steps: new Map([["a", step]]), ended: 0, function: "none", submission: "accepted" },
      deps: { clock: new VirtualClock() },
      journal: { at: AT, afterwards: (then: () => void) => then() },
      emit: (event: RunEvent) => void events.push(event),
    } as never,
    {
      requested: new Set(),
      placeholder: () => null,
      tasks: { start: (call: { done: typeof done }) => ({ done } = call) },
      known: () => undefined,
    } as never,
  );
  elsewhere.ask(false);
  done(well({ status: "running", steps: { a: status } }));
  const shown = events.map((event) =>
    "attempt" in event ? `${event.type} ${String(event.attempt)}` : event.type,
  );
  expect(shown).toEqual(lines);
  const because = "the orchestrator said so";
  for (const event of events)
    if (event.type !== "step.completed") expect(event).toMatchObject({ because });
    else expect(event).toMatchObject({ outputs: { result: null }, durationMs: 0 });
  expect(events.find(({ type }) => type === "step.failed") ?? {}).toMatchObject(
    status === "failed"
      ? {
          error: { name: "StepFailed", message: "the orchestrator reported that the step failed" },
        }
      : {},
  );
});

it("why nobody can say how it stands is told once, another reason ten minutes on", async () => {
  const run = new Asked();
  run.elsewhere.ask(false);
  const answers = async (answer: TaskResult): Promise<number> => {
    const said = run.answers(answer).filter((text) => text.startsWith("warn")).length;
    await run.isAskedAgain();
    return said;
  };
  const because = (message: string): TaskResult => ({
    ok: false,
    outcome: "failed",
    error: { name: "Error", message },
  });
  const after = async (seconds: number): Promise<void> => {
    for (let at = 0; at < seconds; at += 5) expect(await answers(because("one"))).toBe(0);
  };
  expect(await answers(because("one"))).toBe(1);
  expect(await answers(because("two"))).toBe(0);
  // An answer in between, and the same reason is one that was not told.
  expect(await answers(well({ status: "running" }))).toBe(0);
  expect(await answers(because("one"))).toBe(0);
  await after(600 - 4 * 5);
  // Ten minutes after the first.
  expect(await answers(because("one"))).toBe(1);
  await after(600 + 5);
  expect(await answers(because("two"))).toBe(1);
});
