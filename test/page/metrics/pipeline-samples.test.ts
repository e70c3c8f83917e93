/** The samples of one pipeline, and of several as one: which there are, and in which units. */
import { expect, it } from "vitest";
import { emptyTally, type Tally } from "../../../src/core/tally.ts";
import type { PipelineNumbers } from "../../../src/page/metrics/pipeline-numbers.ts";
import { samplesOf, seconds, sum, together } from "../../../src/page/metrics/pipeline-samples.ts";

const ENDED: Tally = {
  ...emptyTally(),
  slots: { fired: 3, postponed: 1 },
  runs: { "completed schedule": 2, "failed manual": 1, "completed unknown": 4 },
  steps: { completed: 5, odd: 1 },
  retries: 7,
  durations: { counts: [1, 1], sumMs: 650 },
  lateness: { counts: [0, 0, 2], sumMs: 120 },
  ended: {
    completed: "2026-11-28T01:00:00.500Z",
    cached: "2026-11-28T02:00:00.000Z",
    failed: "2026-11-28T03:00:00.000Z",
  },
};
const NUMBERS: PipelineNumbers = {
  tally: ENDED,
  removed: false,
  valid: true,
  paused: false,
  active: 2,
  queued: 3,
  nextFire: Date.parse("2026-11-28T04:00:00.250Z"),
  undecided: 4,
  bytes: 5,
};
const at = (time: string): number => Date.parse(`2026-11-28T${time}Z`) / 1_000;

function valuesOf(numbers: Partial<PipelineNumbers> = {}): Record<string, number> {
  const values = samplesOf("etl", { ...NUMBERS, ...numbers }).values();
  return Object.fromEntries(
    values.flatMap(({ samples }) =>
      samples.map(({ name, labels: { pipeline, ...labels }, value }) => {
        expect(pipeline).toBe("etl");
        return [[name.replace("orchd_", ""), ...Object.values(labels)].join(" "), value];
      }),
    ),
  );
}

it("tells times in seconds, and the newest success of both kinds", () => {
  expect(valuesOf()).toMatchObject({
    pipeline_valid: 1,
    pipeline_paused: 0,
    "last_run_timestamp_seconds completed": at("01:00:00.500"),
    "last_run_timestamp_seconds cached": at("02:00:00"),
    "last_run_timestamp_seconds failed": at("03:00:00"),
    "last_run_timestamp_seconds stopped": 0,
    last_success_timestamp_seconds: at("02:00:00"),
    next_fire_timestamp_seconds: at("04:00:00.250"),
    run_duration_seconds_sum: 0.65,
    slot_lateness_seconds_sum: 0.12,
  });
  expect(seconds(1_500)).toBe(1.5);
  expect(valuesOf({ nextFire: Number.POSITIVE_INFINITY })).toMatchObject({
    next_fire_timestamp_seconds: 0,
  });
});

it("counts what an earlier or a later release counted too", () => {
  const values = valuesOf();
  expect(values["slots_total fired"]).toBe(3);
  expect(values["slots_total missed"]).toBe(0);
  expect(values["slots_total postponed"]).toBe(1);
  expect(values["runs_total completed schedule"]).toBe(2);
  expect(values["runs_total completed rerun"]).toBe(0);
  expect(values["runs_total completed unknown"]).toBe(4);
  expect(values["step_results_total odd"]).toBe(1);
  expect(values["retries_total"]).toBe(7);
});

it("of a pipeline that is gone only what it counted, once its last run has ended", () => {
  const gone = valuesOf({ removed: true, active: 0, queued: 0 });
  expect(gone).not.toHaveProperty("pipeline_valid");
  expect(gone).not.toHaveProperty("last_success_timestamp_seconds");
  expect(gone["slots_total fired"]).toBe(3);
  for (const left of [
    { active: 1, queued: 0 },
    { active: 0, queued: 1 },
  ])
    expect(valuesOf({ removed: true, ...left })).toHaveProperty("pipeline_valid");
});

it("of several as one: sums, any fault, the next fire of those that are there", () => {
  const other: PipelineNumbers = { ...NUMBERS, nextFire: NUMBERS.nextFire - 1, paused: true };
  const gone: PipelineNumbers = { ...NUMBERS, removed: true, valid: false, nextFire: 0 };
  expect(together([NUMBERS, other, gone])).toMatchObject({
    removed: false,
    valid: true,
    paused: true,
    active: 6,
    queued: 9,
    nextFire: other.nextFire,
    undecided: 12,
    bytes: 15,
    tally: { slots: { fired: 9 }, retries: 21 },
  });
  expect(together([NUMBERS, { ...other, valid: false }]).valid).toBe(false);
  expect(together([{ ...gone, paused: true }]).removed).toBe(true);
  expect(together([{ ...gone, paused: true }]).paused).toBe(false);
  expect(sum([NUMBERS, other], "bytes")).toBe(10);
});
