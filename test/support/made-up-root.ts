/** A root whose ledgers are made up: pipelines of every state, and runs of every end. */
import { header, loaded, writePipeline, writeRun, type HandEvent } from "./hand-ledger.ts";
import { tempRoot, type TempRoot } from "./temp-root.ts";

/** The moment at which it is looked at. */
export const NOW = Date.UTC(2026, 10, 23, 10);
/** A moment of that day. */
export const at = (hour: number, minute = 0, second = 0): string =>
  new Date(Date.UTC(2026, 10, 23, hour, minute, second)).toISOString();
/** The id of the run of a slot. */
export const idOf = (pipeline: string, hour: number, minute = 0): string =>
  `${pipeline}@${at(hour, minute).slice(0, 19).replaceAll(/[-:]/g, "")}Z`;

/** The lines of a run of two steps that goes its way from `hour` on. */
function lines(hour: number, way: "completed" | "failed" | "stopped" | "goes on"): HandEvent[] {
  const run = idOf("etl", hour);
  const begun: HandEvent[] = [
    {
      ...header(run, { pull: [], load: ["pull"] }, { params: { day: hour } }),
      at: at(hour),
      trigger: { kind: "schedule", scheduledFor: at(hour) },
    },
    { type: "run.started", at: at(hour, 0, 1), because: "the slot is due" },
    { type: "step.started", at: at(hour, 0, 2), step: "pull", attempt: 1, because: "ready" },
  ];
  const pulled = {
    type: "step.completed",
    at: at(hour, 1),
    step: "pull",
    attempt: 1,
    outputs: { result: hour },
    durationMs: 58_000,
  };
  const loading = {
    type: "step.started",
    at: at(hour, 1),
    step: "load",
    attempt: 1,
    because: "all it needs is there",
  };
  if (way === "goes on") return [...begun, pulled, loading];
  if (way === "stopped")
    return [
      ...begun,
      {
        type: "run.stop_requested",
        at: at(hour, 0, 3),
        mode: "graceful",
        because: "asked by hand",
        by: "alice",
      },
      { type: "step.stopped", at: at(hour, 0, 4), step: "pull", attempt: 1, because: "stopped" },
      { type: "step.skipped", at: at(hour, 0, 4), step: "load", because: "the run was stopped" },
      {
        type: "run.finished",
        at: at(hour, 0, 5),
        status: "stopped",
        because: "asked by hand",
        durationMs: 4_000,
      },
    ];
  const end =
    way === "completed"
      ? {
          type: "step.completed",
          at: at(hour, 2),
          step: "load",
          attempt: 1,
          outputs: { result: null },
          durationMs: 60_000,
        }
      : {
          type: "step.failed",
          at: at(hour, 2),
          step: "load",
          attempt: 1,
          error: { name: "Error", message: "no room", code: "ENOSPC" },
        };
  return [
    ...begun,
    pulled,
    loading,
    end,
    {
      type: "run.finished",
      at: at(hour, 2, 1),
      status: way,
      because: way === "completed" ? "every step completed" : 'step "load" failed',
      durationMs: 121_000,
    },
  ];
}

/** Pipelines of every state, and runs of every end. @param more lines of `etl` after its others */
export function madeUpRoot(more: readonly HandEvent[] = []): TempRoot {
  const made = tempRoot({ "schedules/new.yaml": "steps: {a: {run: x}}\n" });
  const fired = (hour: number, more: object = {}): HandEvent => ({
    type: "slot.fired",
    at: at(hour),
    slot: at(hour),
    run: idOf("etl", hour),
    through: at(hour),
    ...more,
  });
  const ended = (hour: number, status: string, second = 1): HandEvent => ({
    type: "run.finished",
    at: at(hour, 2, second),
    run: idOf("etl", hour),
    status,
    durationMs: 121_000,
    because: "x",
  });
  writePipeline(made.runs, "etl", [
    { ...loaded("0 * * * *", { timezone: "Europe/Berlin" }), at: at(0), file: "/s/etl.yaml" },
    fired(1),
    ended(1, "completed"),
    fired(2),
    ended(2, "failed"),
    fired(3),
    { ...ended(3, "stopped"), at: at(3, 0, 5) },
    {
      type: "slot.caught_up",
      at: at(4, 30),
      slot: at(4),
      run: idOf("etl", 4),
      because: `no daemon was up until ${at(4, 29)}`,
      through: at(4),
    },
    { ...ended(4, "completed"), at: at(4, 32) },
    { type: "slot.skipped", at: at(5), slot: at(5), because: "it is paused", through: at(5) },
    {
      type: "slot.missed",
      at: at(8, 30),
      slot: at(6),
      until: at(8),
      because: "it is too old",
      through: at(8),
    },
    fired(9),
    { type: "run.started", at: at(9, 0, 1), run: idOf("etl", 9) },
    {
      type: "run.queued",
      at: at(9, 30),
      run: idOf("etl", 9, 30),
      because: `run ${idOf("etl", 9)} goes on`,
    },
    ...more,
  ]);
  writeRun(made.runs, idOf("etl", 1), lines(1, "completed"));
  writeRun(made.runs, idOf("etl", 2), lines(2, "failed"));
  writeRun(made.runs, idOf("etl", 3), lines(3, "stopped"));
  writeRun(made.runs, idOf("etl", 4), lines(4, "completed"));
  writeRun(made.runs, idOf("etl", 9), lines(9, "goes on"));
  writeRun(made.runs, idOf("etl", 9, 30), [
    { ...header(idOf("etl", 9, 30), { pull: [] }, { trigger: { kind: "manual" } }), at: at(9, 30) },
    { type: "run.queued", at: at(9, 30), because: `run ${idOf("etl", 9)} goes on` },
  ]);
  writePipeline(made.runs, "bad", [
    {
      type: "pipeline.invalid",
      format: 1,
      at: at(1),
      file: "/s/bad.yaml",
      errors: ["bad.yaml:1: no"],
    },
  ]);
  writePipeline(made.runs, "gone", [
    { ...loaded("0 0 * * *"), at: at(0) },
    { type: "pipeline.removed", at: at(1), file: "/s/gone.yaml" },
  ]);
  writePipeline(made.runs, "held", [
    { ...loaded("30 12 * * *"), at: at(0), file: "/s/held.yaml" },
    { type: "pipeline.paused", at: at(1), by: "alice" },
  ]);
  return made;
}
