/**
 * Ledgers of each format, which a daemon wrote that was killed once. They must always be read as
 * they were then. Never edit one: a new format gets a folder of its own.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  pipelineEventSchema,
  runEventSchema,
  type PipelineLine,
  type RunLine,
} from "../../src/core/event.ts";
import { evolvePipeline } from "../../src/core/pipeline-fold.ts";
import { emptyPipelineState, type PipelineState } from "../../src/core/pipeline-state.ts";
import { fold } from "../../src/core/run-fold.ts";
import type { RunState } from "../../src/core/run-state.ts";
import { runStatus } from "../../src/core/run-status.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import { readLedger } from "../../src/ledger/ledger-reader.ts";
import { readPlaces } from "../../src/ledger/place-lines.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { restoreEvent } from "../../src/ledger/spill-event.ts";
import { outputOf } from "../support/outputs.ts";
import { verifyRoot } from "../../src/ledger/verify.ts";
import { projectRoot } from "../support/temp-root.ts";

const folder = join(projectRoot, "test/fixtures/ledgers/v1/runs");
const store = new RunStore(folder);
const artifacts = new Artifacts(store.artifacts);

/** The status of each run, and of each of its steps that did not complete. */
const RUNS: Record<string, { status: string; steps: Record<string, string> }> = {
  "fan@20261126T012312.573Z-m": { status: "completed", steps: {} },
  "night@20261126T012306.488Z-m": { status: "completed", steps: { never: "skipped" } },
  "night@20261126T012309.003Z-m": {
    status: "completed",
    steps: { read: "cached", count: "cached", never: "skipped" },
  },
  "night@20261126T012310.731Z-m": {
    status: "failed",
    steps: { read: "cached", count: "cached", breaks: "failed", after: "skipped" },
  },
  "night@20261126T012314.723Z-m": {
    status: "stopped",
    steps: { read: "cached", count: "cached", never: "skipped", waits: "stopped" },
  },
  "tick@20261126T012317Z": { status: "completed", steps: {} },
  "tick@20261126T012321Z": { status: "completed", steps: {} },
};

const linesOf = (run: string): RunLine[] => readLedger<RunLine>(store.runLedger(run)).lines;
const stateOf = (run: string): RunState =>
  fold(linesOf(run).map((line) => restoreEvent(line, artifacts)))!;
const pipelineOf = (name: string): PipelineState =>
  readLedger<PipelineLine>(store.pipelineLedger(name)).lines.reduce(
    evolvePipeline,
    emptyPipelineState(),
  );

describe("ledgers of format 1", () => {
  it("are whole, and hold only known events", async () => {
    expect(await verifyRoot(folder)).toEqual({ checked: 10, faults: [] });
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
      name.endsWith(".jsonl"),
    );
    expect(files).toHaveLength(10);
    for (const file of files) {
      const schema = file.endsWith("pipeline.jsonl") ? pipelineEventSchema : runEventSchema;
      for (const line of readLedger<RunLine | PipelineLine>(join(folder, file)).lines)
        expect(schema.safeParse(line).error?.message, `${file}: ${line.type}`).toBeUndefined();
    }
  });

  it.each(Object.entries(RUNS))("%s folds to the same state as then", (run, { status, steps }) => {
    const state = stateOf(run);
    expect(runStatus(state)).toEqual({ status, inProgress: false });
    const other = [...state.steps]
      .filter(([, step]) => step.status !== "completed")
      .map(([id, step]) => [id, step.status]);
    expect(Object.fromEntries(other)).toEqual(steps);
  });

  it("keep attempts, errors, an interruption, a source and an output in an artifact", () => {
    const first = stateOf("night@20261126T012306.488Z-m");
    expect(first.steps.get("flaky")!.attempts.map(({ status }) => status)).toEqual([
      "retried",
      "completed",
    ]);
    expect(outputOf(first.steps.get("read")!.outputs!, "result", artifacts)).toHaveLength(9_000);
    expect(first).toMatchObject({ init: "done", hookState: "state", cleanup: "done" });
    const cached = stateOf("night@20261126T012309.003Z-m").steps.get("read")!;
    expect(cached.source).toEqual({ run: first.run, step: "read" });
    expect(stateOf("night@20261126T012310.731Z-m").steps.get("breaks")!.error).toMatchObject({
      name: "ExitError",
      code: "ORCHD_EXIT_STATUS",
    });
    const stopped = stateOf("night@20261126T012314.723Z-m");
    expect(stopped).toMatchObject({ recoveries: 1, stop: { mode: "graceful" } });
    expect(stopped.steps.get("waits")!.reruns).toBe(1);
  });

  it("keep a pipeline's slots, its counts, and that it is paused", () => {
    const tick = pipelineOf("tick");
    expect(tick.paused).toBe(true);
    expect([...tick.active.keys(), ...tick.queued]).toEqual([]);
    expect(tick.counts).toMatchObject({ fired: 19, caughtUp: 1, completed: 20 });
    expect(pipelineOf("night").counts).toMatchObject({ completed: 2, failed: 1, stopped: 1 });
  });
});

describe("a pipeline's ledger that somebody replaced, and whose runs were pruned", () => {
  const root = new RunStore(join(projectRoot, "test/fixtures/ledgers/v1-upkeep/runs"));
  const { lines } = readLedger<PipelineLine>(root.pipelineLedger("kept"));

  it("is whole, and holds only known events", async () => {
    expect(await verifyRoot(root.runsDir)).toEqual({ checked: 3, faults: [] });
    for (const line of lines)
      expect(pipelineEventSchema.safeParse(line).error?.message, line.type).toBeUndefined();
  });

  it("says when and why it was replaced, and until when runs are gone", () => {
    const state = lines.reduce(evolvePipeline, emptyPipelineState());
    const [touched, pruned] = ["ledger.disturbed", "runs.pruned"].map((type) =>
      lines.find((line) => line.type === type)!,
    );
    expect(state.disturbed).toEqual({
      at: touched!.at,
      because: expect.stringMatching(
        /^another file took the ledger's place; .*damaged-1$/,
      ) as string,
    });
    expect(pruned).toMatchObject({ runs: 2 });
    expect(state.prunedUntil).toBe(Date.parse((pruned as { until?: string }).until!));
    expect(state.counts).toMatchObject({ completed: 4 });
  });
});

describe("a pipeline of which nobody is told for some time", () => {
  const root = new RunStore(join(projectRoot, "test/fixtures/ledgers/v1-silence/runs"));
  const { lines } = readLedger<PipelineLine>(root.pipelineLedger("hush"));

  it("is whole, holds only known events, and says until when", async () => {
    expect(await verifyRoot(root.runsDir)).toEqual({ checked: 2, faults: [] });
    for (const line of lines)
      expect(pipelineEventSchema.safeParse(line).error?.message, line.type).toBeUndefined();
    const silences = lines.filter(({ type }) => type === "pipeline.silenced");
    expect(silences).toMatchObject([
      { because: "the disk is being replaced", by: "cli:root (uid 0)" },
      { until: null },
      { until: "2030-01-01T00:00:00.000Z" },
    ]);
    const state = lines.reduce(evolvePipeline, emptyPipelineState());
    expect(state.silence).toEqual({
      until: "2030-01-01T00:00:00.000Z",
      by: "cli:root (uid 0)",
    });
    expect(state.about).toMatchObject({ tags: ["nightly"], notify: [{ to: ["ops"], after: 2 }] });
    expect(state.paused).toBe(false);
  });
});

describe("runs that an orchestrator had elsewhere, or that a program submitted", () => {
  const root = new RunStore(join(projectRoot, "test/fixtures/ledgers/v1-elsewhere/runs"));
  const held = (run: string): RunLine[] => readLedger<RunLine>(root.runLedger(run)).lines;
  const of = (run: string, type: string): object[] =>
    held(run).filter((line) => line.type === type);
  const batch = "batch@20261128T090158.833Z-m";
  const reports = "reports@20261128T090200.212Z-m";
  const gone = "gone@20261128T090200.905Z-m";
  const given = "given@20261128T090239.041Z-m";

  it("are whole, hold only known events, and fold to the same states as then", async () => {
    expect(await verifyRoot(root.runsDir)).toEqual({ checked: 8, faults: [] });
    for (const [run, status, step] of [
      [batch, "stopped", "stopped"],
      [reports, "completed", "completed"],
      [gone, "completed", "skipped"],
      [given, "completed", "completed"],
    ] as const) {
      for (const line of held(run))
        expect(runEventSchema.safeParse(line).error?.message, line.type).toBeUndefined();
      const state = fold(held(run))!;
      expect(runStatus(state)).toEqual({ status, inProgress: false });
      expect(state.steps.get("load")!.status).toBe(step);
    }
  });

  it("say what a stop asked of the orchestrator, and what that answered", () => {
    expect(of(batch, "run.stop_requested")).toMatchObject([
      { mode: "graceful", asksOrchestrator: true },
      { mode: "force", asksOrchestrator: true },
    ]);
    expect(of(batch, "stop.failed")).toMatchObject([
      { mode: "graceful", error: { message: "no permission" } },
    ]);
    expect(of(batch, "stop.accepted")).toMatchObject([{ mode: "force" }]);
    expect(fold(held(batch))!.stop).toMatchObject({ mode: "force" });
    expect(held(batch)[0]).toMatchObject({ orchestratorHooks: ["init", "cleanup"] });
    expect(fold(held(batch))!.snapshot.stackEnv).toEqual({ REGION: "eu" });
  });

  it("say until when a daemon worked on a run, how long, and which steps ran elsewhere", () => {
    const [recovered] = of(reports, "run.recovered") as { at: string; workedUntil: string }[];
    const [started] = of(reports, "run.started") as { at: string }[];
    expect(recovered!.workedUntil > started!.at && recovered!.workedUntil < recovered!.at).toBe(
      true,
    );
    const [end] = of(reports, "run.finished") as { durationMs: number; workedMs: number }[];
    expect(end!.workedMs).toBeLessThan(end!.durationMs);
    expect(of(reports, "step.started")).toMatchObject([{ step: "load", elsewhere: true }]);
    const state = fold(held(reports))!;
    expect(state).toMatchObject({ recoveries: 1, orchestratorRunId: `batch-${reports}` });
    expect(state.steps.get("load")).toMatchObject({ attempt: 1, elsewhere: true });
  });

  it("keep the error of waiting, and what a program gave", () => {
    expect(of(gone, "submit.warning")).toMatchObject([
      { error: { message: "the connection is gone" } },
    ]);
    expect(of(given, "submit.given")).toMatchObject([{ baseEnvironment: { MORE: "base" } }]);
    const { snapshot } = fold(held(given))!;
    expect(snapshot).toMatchObject({
      orchestrator: { flavor: "live" },
      stackEnv: { REGION: "us" },
    });
  });
});

describe("a run whose steps were in containers, and that outlived its daemon", () => {
  const root = new RunStore(join(projectRoot, "test/fixtures/ledgers/v1-places/runs"));
  const run = "boxed@20261128T210412.961Z-m";
  const { lines } = readLedger<RunLine>(root.runLedger(run));

  it("is whole, holds only known events, and says where each attempt ran", async () => {
    expect(await verifyRoot(root.runsDir)).toEqual({ checked: 2, faults: [] });
    for (const line of lines)
      expect(runEventSchema.safeParse(line).error?.message, line.type).toBeUndefined();
    const state = fold(lines)!;
    expect(runStatus(state)).toEqual({ status: "completed", inProgress: false });
    expect(state.recoveries).toBe(1);
    const placed = [...state.steps].map(([id, { attempts }]) => [
      id,
      attempts.map((one) => one.placed?.ref.replace(/-[0-9a-f]{12}$/, "")),
    ]);
    expect(Object.fromEntries(placed)).toEqual({
      flaky: ["orchd-boxed-20261128T210412.961Z-m-3", "orchd-boxed-20261128T210412.961Z-m-8"],
      here: [undefined],
      long: ["orchd-boxed-20261128T210412.961Z-m-4"],
    });
    expect(state.steps.get("long")!.attempts[0]!.placed).toMatchObject({
      place: "podman",
      host: "host1",
    });
  });

  it("is said of the places as they were", () => {
    expect(readPlaces(root.orchdDir)).toMatchObject([
      { place: "local", labels: ["local"], hosts: [{ host: "host1", threads: 8 }] },
      { place: "podman", engine: "podman", engineVersion: "4.3.1" },
    ]);
  });
});

describe("a run that waited for places that nobody has, and gave up", () => {
  const root = new RunStore(join(projectRoot, "test/fixtures/ledgers/v1-waits/runs"));
  const run = "waits@20261129T002747.325Z-m";
  const { lines } = readLedger<RunLine>(root.runLedger(run));

  it("is whole, holds only known events, and says what it waited for", async () => {
    expect(await verifyRoot(root.runsDir)).toEqual({ checked: 2, faults: [] });
    for (const line of lines)
      expect(runEventSchema.safeParse(line).error?.message, line.type).toBeUndefined();
    const refused = "127.0.0.1:1 cannot be reached: Connection refused";
    expect(lines.filter(({ type }) => type === "run.waits")).toMatchObject([
      { on: ["tpu"], because: 'no place has the label "tpu"' },
      { on: ["gpu"], because: refused },
    ]);
    const state = fold(lines)!;
    expect(runStatus(state)).toEqual({ status: "failed", inProgress: false });
    expect([...state.waits]).toEqual([
      ["tpu", 'no place has the label "tpu"'],
      ["gpu", refused],
    ]);
    expect(state.steps.get("far")!.error).toEqual({
      name: "PlaceError",
      message: `it did not start within 5s: ${refused}`,
      code: "ORCHD_PLACE",
    });
    expect(state.startLimits.size).toBe(0);
  });

  it("is said of the places as they were, by a run without a daemon", () => {
    expect(readPlaces(root.orchdDir)).toMatchObject([
      { place: "local" },
      { place: "far", engine: "ssh", labels: ["far", "gpu"] },
    ]);
  });
});
