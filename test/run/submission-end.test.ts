/** How a submission ends: what fails the run, what only warns, and what is never run. */
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import type { StepError } from "../../src/core/failure.ts";
import type { AskedSteps } from "../../src/run/asked-steps.ts";
import type { DynamicCalls } from "../../src/run/dynamic-calls.ts";
import type { RunParts } from "../../src/run/run-parts.ts";
import { SubmissionEnd } from "../../src/run/submission-end.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const REFUSAL: StepError = { name: "Error", message: "no room" };
const STARTED = { type: "step.started", step: "a", attempt: 1, because: "asked" } as const;
const FAILED: readonly RunEvent[] = [
  STARTED,
  {
    type: "step.failed",
    step: "a",
    attempt: 1,
    error: { name: "Error", message: "a broke" },
    because: "it threw",
  },
];

interface Given {
  readonly events?: readonly RunEvent[];
  readonly asked?: readonly string[];
  /** The pipeline is a dynamic one. */
  readonly isDynamic?: boolean;
  readonly runsFunction?: boolean;
}

function given({ events = [], asked = [], isDynamic = false, runsFunction = false }: Given = {}) {
  const run = new GivenRun(snapshotOf([stepSpec("a"), stepSpec("b")]));
  run.happen({ type: "run.started", because: "scheduled" }, ...events);
  const told: string[] = [];
  const emitted: RunEvent[] = [];
  const parts = {
    state: run.state,
    emit: (event: RunEvent) => {
      emitted.push(event);
      told.push(event.type);
      return "";
    },
    deps: { log: { warn: () => told.push("log") } },
  } as unknown as RunParts;
  const end = new SubmissionEnd(parts, {
    flavor: "cluster",
    asked: {
      steps: new Set(asked),
      noMore: () => void told.push("no more"),
    } as unknown as AskedSteps,
    calls: isDynamic
      ? ({ stop: () => void told.push("function stopped") } as unknown as DynamicCalls)
      : undefined,
    runsFunction: () => runsFunction,
  });
  return { end, told, emitted };
}

describe("a submission that is closed", () => {
  it("fails where steps were never asked for, and names them", () => {
    const { end, told, emitted } = given({ asked: ["a"] });
    expect(end.isOpen).toBe(true);
    end.close();
    expect([end.isOpen, told]).toEqual([false, ["no more", "submit.failed"]]);
    expect(emitted).toMatchObject([
      {
        error: { message: 'the orchestrator ended without running "b"', code: "ORCHD_SUBMISSION" },
      },
    ]);
  });

  it.each<[string, Given]>([
    ["all were asked for", { asked: ["a", "b"] }],
    ["a step has failed", { events: FAILED }],
    [
      "the run is to stop",
      { events: [{ type: "run.stop_requested", mode: "graceful", because: "asked", by: "x" }] },
    ],
    ["what is left runs", { asked: ["b"], events: [STARTED] }],
    ["the function of a dynamic pipeline runs", { isDynamic: true, runsFunction: true }],
  ])("does not fail where %s", (_, of) => {
    const { end, told } = given(of);
    end.close();
    expect([end.isOpen, told.includes("submit.failed")]).toEqual([false, false]);
  });
});

describe("an orchestrator that threw", () => {
  it("has refused the run, with its own code where it gave one", () => {
    const plain = given();
    plain.end.refused(REFUSAL);
    expect(plain.emitted).toMatchObject([
      { error: { message: "no room", code: "ORCHD_SUBMISSION" } },
    ]);
    const coded = given();
    coded.end.refused({ ...REFUSAL, code: "quota" });
    expect(coded.emitted).toMatchObject([{ error: { code: "quota" } }]);
  });

  it("ends the function of a dynamic pipeline that it did not ask for", () => {
    const { end, told } = given({ isDynamic: true });
    end.refused(REFUSAL);
    expect(told).toEqual(["submit.failed", "function stopped"]);
  });

  it("passes on what a step threw: that is known, and not told again", () => {
    const { end, told } = given({ events: FAILED });
    end.refused({
      name: "Wrapped",
      message: "run failed",
      cause: { name: "E", message: "a broke" },
    });
    expect(told).toEqual(["no more"]);
  });

  it("is told in a warning where it threw something else after a failure", () => {
    const { end, told, emitted } = given({ events: FAILED });
    end.refused({ name: "Error", message: "m".repeat(10_000) });
    expect(told).toEqual(["submit.warning", "log", "no more"]);
    expect((emitted[0] as { because: string }).because.length).toBe(4_096);
  });
});

it("a submission of which nobody knows names what would let it be asked again", () => {
  const { end, emitted } = given();
  end.unknown();
  expect(end.isOpen).toBe(false);
  expect((emitted[0] as { error: StepError }).error).toMatchObject({
    name: "SubmissionUnknown",
    code: "ORCHD_SUBMISSION",
    message: expect.stringContaining("cluster") as string,
  });
  expect((emitted[0] as { error: StepError }).error.message).toContain("resubmits");
});
