/** What a new slot does beside the runs that are there: each overlap policy, at its bounds. */
import { expect, it } from "vitest";
import { admit, decideOverlap, waitsFor, type Waiting } from "../../src/core/admission.ts";
import type { Overlap } from "../../src/core/pipeline.ts";

const names = (letter: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${letter}${index}`);

it.each<[Overlap, number | undefined, number, number, string]>([
  ["skip", undefined, 0, 0, "start"],
  ["skip", undefined, 1, 0, "skip"],
  ["skip", 2, 1, 0, "start"],
  ["skip", 2, 1, 1, "skip"],
  ["queue", undefined, 1, 0, "queue"],
  ["queue", undefined, 1, 1, "skip"],
  ["queue_all", undefined, 1, 2, "queue"],
  ["queue_all", undefined, 1, 3, "skip"],
  ["queue_all", undefined, 1, 4, "skip"],
  ["allow", undefined, 99, 0, "start"],
  ["allow", 2, 2, 2, "queue"],
  ["allow", 2, 2, 3, "skip"],
  ["cancel", undefined, 1, 0, "replace"],
])("%s, at most %s: beside %i that run and %i that wait: %s", (overlap, most, run, wait, kind) => {
  const busy = { running: names("r", run), queued: names("q", wait) };
  expect(decideOverlap(overlap, most, busy, 3).kind).toBe(kind);
});

it.each<[Overlap, "graceful" | "force", number, number, number, string[]]>([
  ["cancel", "graceful", 1, 1, 0, ["r0"]],
  ["terminate", "force", 3, 3, 0, ["r0"]],
  ["cancel", "graceful", 2, 3, 1, ["q0", "r0", "r1"]],
  ["terminate", "force", 2, 1, 2, ["q0", "q1"]],
])("%s stops (%s), of at most %i, where %i run and %i wait: %j", (...given) => {
  const [overlap, mode, most, run, wait, stop] = given;
  const busy = { running: names("r", run), queued: names("q", wait) };
  expect(decideOverlap(overlap, most, busy)).toMatchObject({ kind: "replace", mode, stop });
});

const waiting = (run: string, more: Partial<Waiting> = {}): Waiting => ({
  run,
  pipeline: "p",
  lane: run,
  limit: 1,
  priority: 0,
  order: 0,
  ...more,
});

it("one turn starts no more than each limit has left, by priority, then slot, then id", () => {
  const load = { lanes: new Map([["x", 1]]), groups: new Map([["db", 1]]), total: 2 };
  const limits = { groups: { db: 2 }, maxActiveRuns: 5 };
  const started = (...runs: Waiting[]): string[] =>
    admit(runs, load, limits).flatMap(({ run, start }) => (start ? [run] : []));
  const [a, b] = [waiting("a", { group: "db" }), waiting("b", { group: "db" })];
  expect(started(b, a)).toEqual(["a"]);
  expect(started(a, waiting("b", { group: "db", order: -1 }))).toEqual(["b"]);
  expect(started(a, waiting("b", { group: "db", priority: 1, order: 9 }))).toEqual(["b"]);
  expect(started(waiting("c", { lane: "x" }), waiting("d", { lane: "y" }))).toEqual(["d"]);
  expect(started(waiting("c", { lane: "y", limit: 1 }), waiting("d", { lane: "y" }))).toEqual([
    "c",
  ]);
  expect(started(...names("e", 5).map((run) => waiting(run)))).toEqual(["e0", "e1", "e2"]);
  const reruns = [10, 9, 100].map((n) => waiting(`p@20261123T020000Z-r${n}`));
  expect(started(...reruns).map((run) => run.slice(-3))).toEqual(["-r9", "r10", "100"]);
  expect(waitsFor(a, { ...load, total: 5 }, { ...limits, groups: {} })).toBe(
    "5 runs go on, the most that orchd.yaml allows",
  );
});

it("one turn counts each run that it starts, with those that ran before it", () => {
  const load = { lanes: new Map([["x", 1]]), groups: new Map([["db", 1]]), total: 1 };
  const of = (more: Partial<Waiting>) => names("w", 4).map((run) => waiting(run, more));
  for (const runs of [of({ group: "db" }), of({ lane: "x", limit: 3 })])
    expect(admit(runs, load, { groups: { db: 3 } }).map(({ start }) => start)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  expect(admit(of({ group: "db" }), load, { groups: { db: 3 } }).at(-1)).toMatchObject({
    because: 'the concurrency group "db" is full: 3 of 3',
  });
});
