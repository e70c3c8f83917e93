/** Which runs begin and end with a line of a pipeline's ledger. */
import { describe, expect, it } from "vitest";
import { runEndedBy, runsBegunBy } from "../../src/feed/told-runs.ts";
import type { WholeLine } from "../../src/feed/whole-lines.ts";

const RUN = "p@20261128T020000Z";
const lineOf = (event: { readonly type: string } & Record<string, unknown>): WholeLine => ({
  offset: 0,
  seq: 1,
  crc: 1,
  at: "2026-11-28T02:00:00.000Z",
  type: event.type,
  raw: JSON.stringify(event),
});

describe("a line of a pipeline's ledger", () => {
  it.each(["slot.fired", "slot.caught_up", "slot.backfilled", "run.queued", "run.started"])(
    "%s begins its run, and ends none",
    (type) => {
      expect(runsBegunBy(lineOf({ type, run: RUN }))).toEqual([RUN]);
      expect(runEndedBy(lineOf({ type, run: RUN }))).toBeUndefined();
    },
  );

  it("run.finished ends its run, and begins none", () => {
    expect(runEndedBy(lineOf({ type: "run.finished", run: RUN }))).toBe(RUN);
    expect(runsBegunBy(lineOf({ type: "run.finished", run: RUN }))).toEqual([]);
  });

  it.each(["slot.skipped", "slot.missed", "pipeline.loaded", "run.overdue", "slot.late"])(
    "%s begins and ends nothing, whatever it names",
    (type) => {
      expect(runsBegunBy(lineOf({ type, run: RUN, active: [RUN] }))).toEqual([]);
      expect(runEndedBy(lineOf({ type, run: RUN }))).toBeUndefined();
    },
  );

  it("pipeline.checkpoint tells all runs that are active, and no other member", () => {
    const active = [RUN, "p@20261128T030000Z", 7, null];
    expect(runsBegunBy(lineOf({ type: "pipeline.checkpoint", active, run: "x" }))).toEqual([
      RUN,
      "p@20261128T030000Z",
    ]);
    expect(runsBegunBy(lineOf({ type: "pipeline.checkpoint" }))).toEqual([]);
  });

  it("names no run where the name is no text", () => {
    expect(runsBegunBy(lineOf({ type: "slot.fired", run: 7 }))).toEqual([]);
    expect(runsBegunBy(lineOf({ type: "slot.fired" }))).toEqual([]);
    expect(runEndedBy(lineOf({ type: "run.finished", run: ["a"] }))).toBeUndefined();
  });
});
