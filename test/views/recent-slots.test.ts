/** What a page remembers of a pipeline, held against a reading from scratch as its ledger grows. */
import { writeFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseRunId } from "../../src/core/run-id.ts";
import { MINUTE_MS } from "../../src/core/time.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { dayStart } from "../../src/views/day-tally.ts";
import { PipelineMemory } from "../../src/views/pipeline-memory.ts";
import {
  header,
  ledgerText,
  loaded,
  writePipeline,
  writeRun,
  type HandEvent,
} from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const BEGIN = Date.UTC(2026, 10, 23);
const iso = (time: number): string => new Date(time).toISOString();
const stamp = (time: number): string => iso(time).slice(0, 19).replaceAll(/[-:]/g, "");

/** What may happen next. A number chooses among the runs that go on. */
const turn = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ kind: "fired" as const }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom({ kind: "skipped" as const }, { kind: "missed" as const }),
  },
  { weight: 2, arbitrary: fc.constantFrom({ kind: "queued" as const }, { kind: "hand" as const }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("ended" as const),
      which: fc.nat(20),
      status: fc.constantFrom("completed", "failed", "stopped"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("begun" as const), which: fc.nat(20) }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      { kind: "stretch" as const },
      { kind: "back" as const },
      { kind: "invalid" as const },
      { kind: "backfilled" as const },
    ),
  },
);

type Turn = typeof turn extends fc.Arbitrary<infer T> ? T : never;

// oxlint-disable-next-line max-lines-per-function -- a case a kind of line
/** The lines of a history: its slots are 30 minutes apart, so a day passes within it. */
function linesOf(turns: readonly Turn[]): HandEvent[] {
  const lines: HandEvent[] = [{ ...loaded("*/30 * * * *"), at: iso(BEGIN), since: iso(BEGIN) }];
  const open: string[] = [];
  let now = BEGIN;
  let slot = BEGIN;
  // A slot never fires twice, whatever the clock does.
  const fired = new Set<number>();
  const toNext = (): void => {
    do slot += 30 * MINUTE_MS;
    while (fired.has(slot));
  };
  const decide = (type: string, more: object = {}): void => {
    toNext();
    now = Math.max(now, slot);
    lines.push({ type, at: iso(now), slot: iso(slot), through: iso(slot), ...more });
  };
  for (const one of turns) {
    now += 1_000;
    if (one.kind === "fired") {
      const before = slot;
      toNext();
      const run = `p@${stamp(slot)}Z`;
      slot = before;
      decide("slot.fired", { run, latenessMs: 5 });
      fired.add(slot);
      lines.push({ type: "run.started", at: iso(now), run, trigger: "schedule" });
      open.push(run);
    } else if (one.kind === "skipped") decide("slot.skipped", { because: "it is paused" });
    else if (one.kind === "missed") decide("slot.missed", { because: "no daemon was up" });
    else if (one.kind === "queued" || one.kind === "hand") {
      const run = `p@${stamp(now)}.${iso(now).slice(20, 23)}Z-m`;
      if (!open.includes(run)) open.push(run);
      const type = one.kind === "queued" ? "run.queued" : "run.started";
      lines.push({ type, at: iso(now), run, because: "asked for", trigger: "manual" });
    } else if (one.kind === "begun") {
      const run = open[one.which % Math.max(1, open.length)];
      if (run !== undefined) lines.push({ type: "run.started", at: iso(now), run });
    } else if (one.kind === "ended") {
      const [run] = open.splice(one.which % Math.max(1, open.length), 1);
      if (run === undefined) continue;
      const { status } = one;
      lines.push({ type: "run.finished", at: iso(now), run, status, because: "x", durationMs: 7 });
    } else if (one.kind === "stretch") {
      const from = slot + 30 * MINUTE_MS;
      slot += 90 * MINUTE_MS;
      decide("slot.missed", { slot: iso(from), until: iso(slot + 30 * MINUTE_MS), because: "old" });
    } else if (one.kind === "invalid")
      lines.push({ type: "pipeline.invalid", at: iso(now), errors: ["p.yaml:1:1: no"] });
    else if (one.kind === "backfilled")
      lines.push({
        type: "slot.backfilled",
        at: iso(now),
        slot: iso(slot),
        run: `p@${stamp(slot)}Z-b1`,
      });
    else {
      slot -= 60 * MINUTE_MS;
      const [from, to] = [iso(now), iso(slot)];
      lines.push({ type: "clock.stepped", at: iso(now), from, to, through: to });
    }
  }
  return lines;
}

test("is what a reading from scratch gives, at every length of a ledger", () => {
  const { runs } = tempRoot();
  const store = new RunStore(runs);
  let grown = 0;
  fc.assert(
    fc.property(
      fc.array(turn, { minLength: 1, maxLength: 120 }),
      fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 20 }),
      (turns, steps) => {
        const lines = linesOf(turns);
        const memory = new PipelineMemory(store);
        writePipeline(runs, "p", lines.slice(0, 1));
        const path = store.pipelineLedger("p");
        let length = 1;
        for (const step of steps) {
          length = Math.min(lines.length, length + step);
          writeFileSync(path, ledgerText(lines.slice(0, length)));
          const now = Date.parse(lines[length - 1]!.at!);
          const kept = memory.facts("p", now)!;
          const fresh = new PipelineMemory(store).facts("p", now)!;
          const from = dayStart(now);
          expect(kept.strip).toEqual(fresh.strip);
          expect(kept.tally.sums(from)).toEqual(fresh.tally.sums(from));
          expect(kept.tally.first(from)).toEqual(fresh.tally.first(from));
          expect(kept.tally.reasons(from)).toEqual(fresh.tally.reasons(from));
          expect(kept.changes.filter(({ at }) => at >= iso(from))).toEqual(fresh.changes);
          for (const { run } of kept.strip) if (run !== null) expect(parseRunId(run)).toBeDefined();
          grown += 1;
        }
      },
    ),
    {
      numRuns: 60,
      examples: [
        // A slot that a backfill ran is decided after that: the clock went back.
        [
          [{ kind: "backfilled" }, { kind: "skipped" }, { kind: "back" }, { kind: "skipped" }],
          [3, 1],
        ],
      ],
    },
  );
  expect(grown).toBeGreaterThan(60);
});

test("tells a run that waits from one that runs, as they are read and as they go on", () => {
  const { runs } = tempRoot();
  const [first, second] = [1, 2].map((nth) => BEGIN + nth * MINUTE_MS) as [number, number];
  const runOf = (slot: number): string => `p@${stamp(slot)}Z`;
  const at = iso(second + 1);
  const fired = (slot: number): HandEvent[] => [
    { type: "slot.fired", at: iso(slot), slot: iso(slot), run: runOf(slot), through: iso(slot) },
  ];
  const lines: HandEvent[] = [
    { ...loaded("* * * * *"), at: iso(BEGIN) },
    ...fired(first),
    { type: "run.started", at: iso(first), run: runOf(first) },
    ...fired(second),
    { type: "run.queued", at, run: runOf(second), because: "one runs" },
  ];
  const kept = new PipelineMemory(new RunStore(runs));
  const statuses = (): unknown[] => {
    writePipeline(runs, "p", lines);
    const fresh = new PipelineMemory(new RunStore(runs));
    const found = [kept, fresh].map((memory) =>
      memory.facts("p", second + MINUTE_MS / 2)!.strip.map(({ status }) => status),
    );
    expect(found[0]).toEqual(found[1]);
    return found[0]!;
  };
  expect(statuses()).toEqual(["running", "initializing"]);
  lines.push({ type: "run.finished", at, run: runOf(first), status: "completed", durationMs: 1 });
  lines.push({ type: "run.started", at, run: runOf(second) });
  expect(statuses()).toEqual(["completed", "running"]);
});

test("counts a slot whose line came between the look at the clock and the reading", () => {
  const { runs } = tempRoot();
  const store = new RunStore(runs);
  const slot = iso(BEGIN + MINUTE_MS);
  const fired = { type: "slot.fired", at: slot, slot, run: `p@${stamp(BEGIN + MINUTE_MS)}Z` };
  const before = BEGIN + MINUTE_MS - 5;
  for (const first of [before - 1_000, before]) {
    const memory = new PipelineMemory(store);
    writePipeline(runs, "p", [{ ...loaded("* * * * *"), at: iso(BEGIN) }]);
    if (first < before) memory.facts("p", first);
    writePipeline(runs, "p", [{ ...loaded("* * * * *"), at: iso(BEGIN) }, fired]);
    memory.facts("p", before);
    expect(memory.facts("p", before + MINUTE_MS)!.tally.sums(dayStart(before)).ran).toBe(1);
  }
});

test("what is as before has a later fire once its fire is due, to the millisecond", () => {
  const { runs } = tempRoot();
  writePipeline(runs, "p", [{ ...loaded("* * * * *"), at: iso(BEGIN) }]);
  const memory = new PipelineMemory(new RunStore(runs));
  const next = (now: number): string | null | undefined => memory.view("p", now)?.nextFire;
  const [due, after] = [BEGIN + MINUTE_MS, BEGIN + 2 * MINUTE_MS];
  expect([BEGIN, due - 1, due].map(next)).toEqual([iso(due), iso(due), iso(after)]);
});

test("how far a run has come is kept while it goes on, and not longer", () => {
  const { runs } = tempRoot();
  const run = "p@20261123T000000Z";
  writeRun(runs, run, [{ ...header(run, { s: [] }), at: iso(BEGIN) }]);
  const memory = new PipelineMemory(new RunStore(runs));
  const known = memory.progress(run);
  expect(known).toMatchObject({ done: 0, steps: 1 });
  memory.keepRuns(new Set([run]));
  expect(memory.progress(run)).toBe(known);
  memory.keepRuns(new Set());
  expect(memory.progress(run)).not.toBe(known);
});
