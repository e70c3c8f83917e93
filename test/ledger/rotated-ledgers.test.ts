/** Which names rotation gives, their order, and the order in which retention goes over runs. */
import { expect, it } from "vitest";
import { policyUnder, totalBytesOf } from "../../src/ledger/retention.ts";
import { newerFirst, RemovableList, type Removable } from "../../src/ledger/removable-list.ts";
import {
  isRotatedLedger,
  isRotatedNotify,
  numberOf,
  rotatedLedgers,
  rotatedNotify,
} from "../../src/ledger/rotated-ledgers.ts";

it.each([
  ["pipeline-2026-11-23.jsonl", true, false, 1],
  ["pipeline-2026-11-23-12.jsonl", true, false, 12],
  ["notify-2026-11-23-2.jsonl", false, true, 2],
  ["pipeline.jsonl", false, false, 1],
  ["old-pipeline-2026-11-23.jsonl", false, false, 1],
  ["pipeline-2026-11-23.jsonl.damaged-1", false, false, 1],
  ["pipeline-2026-11-23-x.jsonl", false, false, 1],
  ["pipeline-26-11-23.jsonl", false, false, 1],
])("%s", (name, isLedger, isNotify, number) => {
  expect([isRotatedLedger(name), isRotatedNotify(name), numberOf(name)]).toEqual([
    isLedger,
    isNotify,
    number,
  ]);
});

it("the newest day comes first, and of one day the highest number", () => {
  const names = ["23", "24-2", "24-10", "24", "22-3"].map((end) => `2026-11-${end}.jsonl`);
  const of = (kind: string): string[] =>
    ["24-10", "24-2", "24", "23", "22-3"].map((end) => `${kind}-2026-11-${end}.jsonl`);
  const all = [
    ...names.map((name) => `pipeline-${name}`),
    ...names.map((name) => `notify-${name}`),
  ];
  expect(rotatedLedgers([...all, "pipeline.jsonl"])).toEqual(of("pipeline"));
  expect(rotatedNotify(all)).toEqual(of("notify"));
});

it("retention goes from the newest to the oldest, and of one moment by name", () => {
  const removable = (name: string, stampMs: number): Removable => ({
    name,
    run: stampMs > 1,
    stampMs,
    bytes: stampMs * 10,
    artifacts: stampMs === 2 ? [{ sha: "x", bytes: 1 }] : undefined,
    stays: name === "c" ? "it is the last one" : undefined,
    overdue: "it is too old",
  });
  const given = [removable("a", 1), removable("c", 2), removable("b", 2), removable("d", 3)];
  const list = new RemovableList();
  for (const one of given) list.add(one);
  const order = ["d", "c", "b", "a"];
  const left = [...list.newestFirst()];
  expect(left.map(({ name }) => name)).toEqual(order);
  expect(given.toSorted(newerFirst).map(({ name }) => name)).toEqual(order);
  // What is left is removed by its bytes alone.
  expect(left).toEqual(given.toSorted(newerFirst).map((one) => ({ ...one, overdue: undefined })));
});

it.each([
  [{}, { keepDays: 30, keepRuns: 100, keepBytes: 2_097_152 }],
  [{ keepDays: 0 }, { keepDays: 0, keepRuns: 100, keepBytes: 2_097_152 }],
  [{ keepRuns: 0 }, { keepDays: 30, keepRuns: 0, keepBytes: 2_097_152 }],
  [{ keepBytes: 0 }, { keepDays: 30, keepRuns: 100, keepBytes: 0 }],
])("%j counts before the settings", (asked, policy) => {
  expect(policyUnder({ keepDays: 30, keepRuns: 100, keepMb: 2 }, asked)).toEqual(policy);
});

it("what no settings limit has no limit", () => {
  expect(policyUnder({ keepDays: 30, keepRuns: 100 }, {})).toEqual({
    keepDays: 30,
    keepRuns: 100,
  });
  expect([totalBytesOf({}), totalBytesOf({ totalMb: 3 })]).toEqual([undefined, 3_145_728]);
});
