import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  backfillRunId,
  compareRunIds,
  manualRunId,
  parseRunId,
  PIPELINE_NAME,
  rankInSlot,
  rerunRunId,
  runIdForSlot,
  SCHEDULE_NAME,
} from "../../src/core/run-id.ts";

const slot = Date.UTC(2026, 10, 23, 2);

describe("a run's id", () => {
  it.each([
    [
      runIdForSlot("log-digest", slot),
      "log-digest@20261123T020000Z",
      { slot: "2026-11-23T02:00:00.000Z", month: "2026-11", suffix: "", manual: false },
    ],
    [
      runIdForSlot("p", slot, "weekly"),
      "p@20261123T020000Z.weekly",
      { schedule: "weekly", suffix: "", first: "p@20261123T020000Z.weekly" },
    ],
    [
      manualRunId("p", Date.UTC(2026, 10, 23, 10, 15, 12, 481)),
      "p@20261123T101512.481Z-m",
      { manual: true, suffix: "-m", first: "p@20261123T101512.481Z-m" },
    ],
    [
      backfillRunId("p", slot, 3),
      "p@20261123T020000Z-b3",
      { backfill: 3, suffix: "-b3", slot: "2026-11-23T02:00:00.000Z" },
    ],
    [
      rerunRunId("p@20261123T020000Z.weekly-b1", 2),
      "p@20261123T020000Z.weekly-b1-r2",
      { backfill: 1, rerun: 2, schedule: "weekly", first: "p@20261123T020000Z.weekly-b1" },
    ],
    [
      rerunRunId("p@20261123T101512.481Z-m-r1", 2),
      "p@20261123T101512.481Z-m-r2",
      { manual: true, rerun: 2, first: "p@20261123T101512.481Z-m" },
    ],
  ])("%s is %s", (id, expected, parts) => {
    expect(id).toBe(expected);
    expect(parseRunId(id)).toMatchObject({ pipeline: id.split("@")[0], ...parts });
  });

  it("of a run by hand has no slot, and ids read back as what made them", () => {
    const name = fc.stringMatching(PIPELINE_NAME);
    const schedule = fc
      .stringMatching(/^[a-z0-9][a-z0-9_-]{0,20}$/)
      .filter((text) => SCHEDULE_NAME.test(text));
    const second = fc.integer({ min: 0, max: 253_402_300_799 });
    fc.assert(
      fc.property(
        name,
        fc.option(schedule, { nil: undefined }),
        second,
        fc.integer({ min: 1, max: 999_999 }),
        (pipeline, schedule, at, n) => {
          const id = runIdForSlot(pipeline, at * 1_000, schedule);
          expect(parseRunId(id)).toMatchObject({
            pipeline,
            stampMs: at * 1_000,
            suffix: "",
            first: id,
            ...(schedule === undefined ? {} : { schedule }),
          });
          expect(parseRunId(rerunRunId(id, n))).toMatchObject({
            pipeline,
            stampMs: at * 1_000,
            rerun: n,
            first: id,
          });
          expect(parseRunId(manualRunId(pipeline, at * 1_000 + 7))).toMatchObject({
            pipeline,
            stampMs: at * 1_000 + 7,
            manual: true,
          });
          expect(parseRunId(manualRunId(pipeline, at * 1_000 + 7))).not.toHaveProperty("slot");
        },
      ),
    );
  });

  it.each([
    "../x@20261123T020000Z",
    "p@20261123T020000Z/../../x",
    "p@20261323T020000Z",
    "p@20260230T020000Z",
    "p@20261123T020000.000Z",
    "p@20261123T020000Z-m",
    "p@20261123T020000Z-b0",
    "p@20261123T020000Z-b1-m",
    "p@20261123T020000Z.",
    "p@20261123T020000Z.x/y",
    "p@20261123T020000Z.x-m",
    "P@20261123T020000Z",
    ".orchd@20261123T020000Z",
    "p@20261123T020000Z\n",
    `${"p".repeat(65)}@20261123T020000Z`,
    "p@20261123T020000Z.__proto__\u0000",
    "",
  ])("is not %j", (text) => {
    expect(parseRunId(text)).toBeUndefined();
  });

  it("that is one cannot leave its folder", () => {
    const pieces = [
      "p",
      "@",
      "20261123T020000Z",
      "20261123T020000.001Z",
      "-m",
      "-b1",
      "-r1",
      ".x",
      "..",
      "/",
      "\\",
      "\0",
      "\n",
      "%2f",
      "_",
    ];
    const texts = fc
      .sample(fc.array(fc.constantFrom(...pieces), { maxLength: 8 }), 5_000)
      .map((parts) => parts.join(""));
    const ids = ["p@20261123T020000Z", ...texts].filter((text) => parseRunId(text) !== undefined);
    for (const id of ids)
      expect(id).toMatch(
        /^[a-z0-9][a-z0-9_-]*@[0-9T]+(\.\d{3})?Z(\.[a-z0-9][a-z0-9_-]*)?(-[mbr0-9]+)*$/,
      );
  });

  it("is refused where a name or a time cannot be one", () => {
    expect(() => runIdForSlot("../p", slot)).toThrow('"../p" is no name of a pipeline.');
    expect(() => runIdForSlot("p", slot, "daily-r1")).toThrow(
      '"daily-r1" is no name of a schedule.',
    );
    expect(() => runIdForSlot("p", slot + 1)).toThrow("A slot is a whole second");
    expect(() => runIdForSlot("p", -1_000)).toThrow("outside the years");
    const last = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
    expect([0, last].map((time) => manualRunId("p", time))).toEqual([
      "p@19700101T000000.000Z-m",
      "p@99991231T235959.999Z-m",
    ]);
    expect(() => manualRunId("p", last + 1)).toThrow("outside the years");
    expect(() => manualRunId("p", Number.NaN)).toThrow("outside the years");
    expect(() => rerunRunId("p", 1)).toThrow('"p" is no run\'s id.');
  });

  it("is ordered by its time, milliseconds included", () => {
    const ordered = [
      "p@20261123T015959Z",
      "p@20261123T020000Z",
      "p@20261123T020000Z-r1",
      "p@20261123T020000.001Z-m",
      "p@20261123T020001Z",
    ];
    expect(ordered.toReversed().toSorted(compareRunIds)).toEqual(ordered);
  });
});

it("the runs of a slot stand in their order: itself, its re-runs, then each backfill's", () => {
  const slot = "p@20261123T020000Z";
  const ids = ["", "-r1", "-r2", "-r10", "-b1", "-b1-r1", "-b2", "-b10"].map((end) => slot + end);
  const ranks = ids.map(rankInSlot);
  expect(ranks).toEqual(ranks.toSorted((a, b) => a - b));
  expect(new Set(ranks).size).toBe(ids.length);
  expect(rankInSlot("no id")).toBe(0);
});
