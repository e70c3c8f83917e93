/** What the daemon's log says of each durable line, how loudly, and with which fields. */
import { expect, it } from "vitest";
import type { DurableLine } from "../../src/core/durable-line.ts";
import { logDurableLine } from "../../src/observe/event-log.ts";

const SLOT = "2026-11-23T02:00:00.000Z";
const RUN = "p@20260101T000000Z";
const ENDED = "run status durationMs because";
const ERROR = { name: "Error", message: "no" };

function logged(durable: unknown): unknown[][] {
  const said: unknown[][] = [];
  const note = (level: string) => (fields: object, message: string) =>
    void said.push([level, message, Object.keys(fields)]);
  const log = {
    debug: note("debug"),
    info: note("info"),
    warn: note("warn"),
    error: note("error"),
  };
  logDurableLine(log, durable as DurableLine);
  return said;
}

it.each<[Readonly<Record<string, unknown>>, string, string, string]>([
  [
    { type: "slot.fired", slot: SLOT, run: RUN, latenessMs: 1 },
    "info",
    `slot fired: ${RUN}`,
    "slot run latenessMs",
  ],
  [
    { type: "slot.caught_up", slot: SLOT, run: RUN, because: "it slept" },
    "info",
    `slot caught up: ${RUN} (it slept)`,
    "slot run latenessMs",
  ],
  [
    { type: "slot.skipped", slot: SLOT, because: "x" },
    "info",
    `slot ${SLOT} skipped: x`,
    "slot because",
  ],
  [
    { type: "slot.missed", slot: SLOT, because: "x" },
    "warn",
    `slot ${SLOT} missed: x`,
    "slot until because",
  ],
  [
    { type: "slot.missed", slot: SLOT, until: "later", because: "x" },
    "warn",
    `slot ${SLOT} to later missed: x`,
    "slot until because",
  ],
  [
    { type: "slot.backfilled", slot: SLOT, run: RUN, requestId: "r" },
    "info",
    `slot ${SLOT} backfilled: ${RUN}`,
    "requestId",
  ],
  [{ type: "slot.late", because: "x" }, "warn", "x", "because"],
  [{ type: "run.overdue", because: "x" }, "warn", "x", "because"],
  [{ type: "run.queued", run: RUN, because: "x" }, "info", `run ${RUN} waits: x`, "run because"],
  [{ type: "run.started", run: RUN, trigger: {} }, "debug", `run ${RUN} started`, "run trigger"],
  [ended("completed"), "info", `run ${RUN} completed after 1.5s`, ENDED],
  [ended("cached"), "info", `run ${RUN} cached after 1.5s`, ENDED],
  [ended("failed"), "warn", `run ${RUN} failed after 1.5s: x`, ENDED],
  [ended("stopped"), "warn", `run ${RUN} stopped after 1.5s: x`, ENDED],
  [{ type: "pipeline.paused", by: "me" }, "info", "pipeline p paused", "by"],
  [{ type: "pipeline.resumed", by: "me" }, "info", "pipeline p resumed", "by"],
  [
    { type: "ledger.disturbed", because: "x" },
    "error",
    "ledgers of pipeline p were touched: x",
    "run because",
  ],
  [
    { type: "ledger.disturbed", run: RUN, because: "x" },
    "error",
    `ledgers of run ${RUN} were touched: x`,
    "run because",
  ],
  [
    { type: "clock.stepped", from: "a", to: "b" },
    "warn",
    "the clock jumped from a to b",
    "from to",
  ],
  [{ type: "backfill.started", requestId: "r" }, "info", "backfill r started", "requestId"],
  [
    { type: "backfill.finished", requestId: "r", because: "all are made" },
    "info",
    "backfill r all are made",
    "requestId",
  ],
])("of a pipeline: %j", (line, level, message, fields) => {
  expect(logged({ ledger: "pipeline", pipeline: "p", line })).toEqual([
    [level, message, ["pipeline", ...fields.split(" ")]],
  ]);
});

it.each(["loaded", "invalid", "removed", "checkpoint"])(
  "pipeline.%s is logged elsewhere",
  (type) => {
    const line = { type: `pipeline.${type}` };
    expect(logged({ ledger: "pipeline", pipeline: "p", line })).toEqual([]);
  },
);

it.each<[Readonly<Record<string, unknown>>, string, string, string]>([
  [
    { type: "step.failed", step: "a", attempt: 1, error: ERROR },
    "warn",
    `step a of ${RUN} failed: no`,
    "step attempt error retryAt",
  ],
  [
    { type: "step.interrupted", step: "a", attempt: 1, next: "retry", because: "x" },
    "warn",
    `step a of ${RUN} was interrupted: x`,
    "step attempt next",
  ],
  [
    { type: "hook.failed", hook: "onFailure", step: "a", error: ERROR },
    "warn",
    `the onFailure hook of ${RUN} failed: no`,
    "hook step error",
  ],
  [{ type: "run.recovered", because: "x" }, "info", `run ${RUN} was taken over: x`, "because"],
  [
    { type: "run.stop_requested", by: "me", mode: "force", because: "x" },
    "info",
    `run ${RUN} was asked to stop by me (force)`,
    "because",
  ],
  [{ type: "step.completed", seq: 7 }, "debug", `${RUN} step.completed`, "type seq"],
])("of a run: %j", (line, level, message, fields) => {
  expect(logged({ ledger: "run", run: RUN, line })).toEqual([
    [level, message, ["run", ...fields.split(" ")]],
  ]);
});

function ended(status: string): Readonly<Record<string, unknown>> {
  return { type: "run.finished", run: RUN, status, durationMs: 1_500, because: "x" };
}
