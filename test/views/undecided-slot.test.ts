/** What is said of a time that no line of a ledger decides: every reason, and both of its sides. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readPastStatus } from "../../src/views/past-status.ts";
import { slotAnswers } from "../../src/views/slot-answer.ts";
import { readStatus } from "../../src/views/status-view.ts";
import { undecidedSlot } from "../../src/views/undecided-slot.ts";
import {
  completedRun,
  header,
  loaded,
  writePipeline,
  writeRun,
  type HandEvent,
} from "../support/hand-ledger.ts";
import { holdEpoch } from "../support/fake-daemon.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const day = (date: number, hour = 0, minute = 0): string =>
  new Date(Date.UTC(2026, 10, date, hour, minute)).toISOString();
const LOADED = { at: day(20) };

/** What is said of `time`, at `now`. */
function said(
  events: readonly HandEvent[],
  time: string,
  now = day(23, 12),
): [string, string | null] {
  const { runs } = tempRoot();
  if (events.length > 0) writePipeline(runs, "p", events);
  const at = Date.parse(time);
  const outcome = undecidedSlot(new RunStore(runs), "p", at, at, Date.parse(now));
  return [outcome.decision, outcome.because];
}

const daily = (more: Readonly<Record<string, unknown>> = {}): HandEvent => ({
  ...loaded("0 2 * * *", more),
  ...LOADED,
});
const through = (at: string): HandEvent => ({
  type: "slot.skipped",
  at,
  slot: day(21, 2),
  because: "x",
  through: at,
});
const near = (before: number, after: number): string =>
  `the one before is ${day(before, 2)} and the one after ${day(after, 2)}`;
const COUNTS = `its schedule counts from ${day(20)}, when it was loaded`;

it.each<[string, readonly HandEvent[], string, [string, string | null]]>([
  ["nothing was loaded", [], day(23, 2), ["none", "no daemon has loaded it yet"]],
  [
    "no version was good",
    [{ type: "pipeline.invalid", errors: ["p.yaml:1: no", "more"] }],
    day(23, 2),
    ["none", "no version of its file has been good so far (p.yaml:1: no)"],
  ],
  [
    "it has no schedule",
    [{ ...daily(), schedules: [] }],
    day(23, 2),
    ["none", "it has no schedule; it runs when it is asked to"],
  ],
  [
    "its file is gone",
    [daily(), { type: "pipeline.removed", at: day(22) }],
    day(23, 2),
    ["none", `its file was removed at ${day(22)}`],
  ],
  [
    "before it was loaded",
    [daily()],
    day(19, 2),
    ["none", `${COUNTS}; the one after is ${day(20, 2)}`],
  ],
  [
    "after the load, before the first slot",
    [daily()],
    day(20, 1),
    ["none", `the one after is ${day(20, 2)}`],
  ],
  ["due, and not decided", [daily()], day(23, 2), ["pending", null]],
  ["still to come", [daily()], day(24, 2), ["coming", null]],
  ["between two slots", [daily()], day(23, 3), ["none", near(23, 24)]],
  ["a second before a slot", [daily()], "2026-11-23T01:59:59.000Z", ["none", near(22, 23)]],
  [
    "paused, and still to come",
    [daily(), { type: "pipeline.paused", by: "x" }],
    day(24, 2),
    ["coming", "the schedule is paused, so it will be skipped unless it is resumed before"],
  ],
  [
    "decided by a line that is gone",
    [daily(), through(day(22, 2))],
    day(22, 2),
    ["none", "the ledger of that time is gone, or damaged"],
  ],
  ["after the last decided one", [daily(), through(day(22, 1, 59))], day(22, 2), ["pending", null]],
  [
    "before `startTime`",
    [daily({ startTime: day(22) })],
    day(21, 2),
    ["none", `its schedule starts at ${day(22)}; the one after is ${day(22, 2)}`],
  ],
  [
    "after `endTime`",
    [daily({ endTime: day(22) })],
    day(23, 2),
    ["none", `its schedule ended at ${day(22)}; the one before is ${day(21, 2)}`],
  ],
])("%s", (_, events, time, expected) => {
  expect(said(events, time)).toEqual(expected);
});

it("a slot at the very moment of the load is not due, the one after it is", () => {
  const events = [{ ...daily(), at: day(20, 2) }];
  expect(said(events, day(20, 2))).toEqual([
    "none",
    `its schedule counts from ${day(20, 2)}, when it was loaded; the one after is ${day(21, 2)}`,
  ]);
  expect(said(events, day(21, 2))).toEqual(["pending", null]);
});

it("a slot is to come until its time, and due from then on", () => {
  const before = "2026-11-23T01:59:59.999Z";
  expect(said([daily()], day(23, 2), before)).toEqual(["coming", null]);
  expect(said([daily()], day(23, 2), day(23, 2))).toEqual(["pending", null]);
});

it("a slot of an older text counts until the next text came", () => {
  const events = [daily(), { ...daily(), schedules: [], at: day(22, 2) }];
  expect(said(events, day(21, 2))).toEqual(["pending", null]);
  expect(said(events, day(23, 2))[1]).toBe("it has no schedule; it runs when it is asked to");
});

it("each answer is a sentence of its own, with what was decided and when", () => {
  const { runs } = tempRoot();
  const run = "p@20261121T020000Z";
  writePipeline(runs, "p", [
    daily(),
    {
      type: "slot.caught_up",
      at: day(21, 3, 30),
      slot: day(21, 2),
      run,
      because: "the machine slept",
      through: day(21, 2),
    },
    {
      type: "slot.backfilled",
      at: day(22),
      slot: day(21, 2),
      run: `${run}-b1`,
      because: "missing",
    },
  ]);
  writeRun(runs, `${run}-b1`, [header(`${run}-b1`, { a: [] })]);
  const told = (time: string, now = day(22, 12)): string[] => {
    const at = Date.parse(time);
    const answer = slotAnswers(new RunStore(runs), "p", at, at, Date.parse(now));
    return answer.ok ? answer.answers.map(({ sentence }) => sentence) : [];
  };
  expect(told(day(21, 2))).toEqual([
    `the slot ${day(21, 2)} of p ran late, at ${day(21, 3, 30)} (1h 30m after it): ` +
      `the machine slept; its run is ${run}, whose ledger retention has removed.`,
    `the slot ${day(21, 2)} of p was backfilled at ${day(22)}: missing by the run ${run}-b1, ` +
      "which is initializing.",
  ]);
  expect(told(day(23, 2))).toEqual([`the slot ${day(23, 2)} of p is still to come.`]);
  expect(told(day(23, 3))).toEqual([`no slot of p at ${day(23, 3)} will be due; ${near(23, 24)}.`]);
  expect(told(day(22, 3))).toEqual([`no slot of p at ${day(22, 3)} was due; ${near(22, 23)}.`]);
  expect(told(day(19, 2))).toEqual([
    `no slot of p at ${day(19, 2)} was due: ${COUNTS}; the one after is ${day(20, 2)}.`,
  ]);
});

it("the sentence names the time that was asked about, not the end of its minute", () => {
  const { runs } = tempRoot();
  writePipeline(runs, "p", [daily()]);
  const [at, now] = [Date.parse(day(22, 3)), Date.parse(day(22, 12))];
  const answer = slotAnswers(new RunStore(runs), "p", at, at + 59_000, now);
  const said = answer.ok ? answer.answers.map(({ sentence }) => sentence) : [];
  expect(said).toHaveLength(1);
  expect(said[0]).toMatch(new RegExp(`^no slot of p at ${day(22, 3)} was due`));
});

/** The sentences about the slot of the 21st, which these lines decide. */
function sentences(made: TempRoot, events: readonly HandEvent[], now = day(22, 12)): string[] {
  writePipeline(made.runs, "p", [daily(), ...events]);
  const at = Date.parse(day(21, 2));
  const answer = slotAnswers(new RunStore(made.runs), "p", at, at, Date.parse(now));
  return answer.ok ? answer.answers.map(({ sentence }) => sentence) : [];
}

describe("the sentence of a slot", () => {
  const RUN = "p@20261121T020000Z";
  const WHAT = `the slot ${day(21, 2)} of p`;
  const slot = { at: day(21, 2), slot: day(21, 2), through: day(21, 2) };

  it.each<[HandEvent, string]>([
    [
      { type: "slot.fired", ...slot, run: RUN, because: "it is due" },
      `${WHAT} fired at ${day(21, 2)}: it is due and made the run ${RUN}`,
    ],
    [
      { type: "slot.skipped", ...slot, because: "one goes on" },
      `${WHAT} was skipped: one goes on.`,
    ],
    [
      { type: "slot.skipped", ...slot, schedule: "hot", because: "x" },
      `${WHAT} (schedule hot) was skipped: x.`,
    ],
    [
      { type: "slot.missed", ...slot, until: day(21, 2), count: 1, because: "the window is over" },
      `${WHAT} was missed: the window is over.`,
    ],
    // A clock that was set back decides a slot before its time.
    [
      { type: "slot.caught_up", ...slot, at: day(21, 1), run: RUN, because: "x" },
      `${WHAT} ran late, at ${day(21, 1)} (0s after it): x; its run is ${RUN}`,
    ],
  ])("%j", (event, sentence) => {
    expect(sentences(tempRoot(), [event])[0]).toContain(sentence);
  });

  it("that is due says whether a daemon is there to decide it", () => {
    const made = tempRoot();
    const due = `${WHAT} is due and not decided yet:`;
    expect(sentences(made, [])).toEqual([
      `${due} no daemon runs; it is decided once \`orchd start\` runs.`,
    ]);
    holdEpoch(made.runs);
    expect(sentences(made, [], day(21, 2))).toEqual([`${due} the daemon is about to.`]);
    expect(sentences(made, [])).toEqual([
      `${due} the daemon has not come to it for 1d 10h; ` +
        "`orchd status` and the daemon's log say what holds it up.",
    ]);
    const full = vi.spyOn(RunStore.prototype, "whyFull").mockReturnValue("the disk is full");
    expect(sentences(made, [], day(21, 2))).toEqual([
      `${due} the disk is full, and nothing starts before it is recorded.`,
    ]);
    full.mockRestore();
    holdEpoch(made.runs, { role: "run" });
    expect(sentences(made, [])[0]).toContain("no daemon runs");
  });

  it("that no daemon was up for says since when, and how the one before ended", () => {
    const made = tempRoot();
    const because = `no daemon was up until ${day(21, 5)}`;
    const missed = { type: "slot.missed", ...slot, until: day(21, 2), count: 1, because };
    const plain = `${WHAT} was missed: ${because}`;
    expect(sentences(made, [missed])).toEqual([`${plain}.`]);
    const ends = (...lines: (readonly [string, string])[]): void => {
      const text = lines.map(([type, at]) => `${JSON.stringify({ type, at, pid: 1, epoch: 1 })}\n`);
      mkdirSync(join(made.runs, ".orchd"), { recursive: true });
      writeFileSync(join(made.runs, ".orchd/daemon.jsonl"), text.join(""));
    };
    ends(["daemon.ended", day(21, 1)], ["daemon.began", day(21, 5)], ["daemon.ended", day(21, 6)]);
    expect(sentences(made, [missed])).toEqual([
      `${plain} (the one before ended at ${day(21, 1)}).`,
    ]);
    ends(["daemon.lost", day(21, 1)], ["daemon.began", day(21, 5)]);
    expect(sentences(made, [missed])).toEqual([
      `${plain} (the one before was last seen at ${day(21, 1)}, and ended without a word).`,
    ]);
    ends(["daemon.ended", day(21, 6)]);
    expect(sentences(made, [missed])).toEqual([`${plain}.`]);
  });

  it("names what its run waits for: the first step, and how many more", () => {
    const made = tempRoot();
    const fired = { type: "slot.fired", ...slot, run: RUN, because: "it is due" };
    const begun = [fired, { type: "run.started", run: RUN }];
    const waiting = (steps: readonly string[], ...more: HandEvent[]): string => {
      const head = header(RUN, Object.fromEntries(steps.map((id) => [id, []])));
      const snapshot = head["snapshot"] as { steps: { id: string }[] };
      const wanting = snapshot.steps.map((step) => ({ ...step, on: ["gpu"] }));
      writeRun(made.runs, RUN, [
        { ...head, snapshot: { ...snapshot, steps: wanting } },
        { type: "run.started", because: "the slot is due" },
        ...more,
      ]);
      return sentences(made, begun)[0]!;
    };
    const no = `its step a has not begun: it waits: `;
    const going = { type: "step.started", step: "a", attempt: 1, because: "x" };
    expect(waiting(["a"], going)).toMatch(/, which is running\.$/);
    expect(waiting(["a"])).toContain(`which is running; ${no}`);
    expect(waiting(["a"])).not.toContain("more)");
    expect(waiting(["a", "b", "c"])).toMatch(/ \(and 2 more\)\.$/);
    const stop = { type: "run.stop_requested", mode: "graceful", because: "x", by: "cli:x" };
    expect(waiting(["a"], stop)).not.toContain("has not begun");
  });

  it("whose run has ended says how", () => {
    const made = tempRoot();
    const fired = { type: "slot.fired", ...slot, run: RUN, because: "it is due" };
    writeRun(made.runs, RUN, completedRun(RUN));
    expect(sentences(made, [fired])).toEqual([
      `${WHAT} fired at ${day(21, 2)}: it is due and made the run ${RUN}, which is completed.`,
    ]);
  });
});

describe("the past", () => {
  const RUN = "p@20261121T020000Z";
  const root = (events: readonly HandEvent[]): RunStore => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", [daily(), ...events]);
    return new RunStore(runs);
  };
  const started = { type: "run.started", at: day(21, 2), run: RUN };
  const names = (store: RunStore, at: string, target?: string) => {
    const read = readPastStatus(store, target, Date.parse(at));
    return read.ok ? [read.view.pipelines.map(({ name }) => name), read.view.missing] : read;
  };

  it("begins with the first line, and each line counts from its own time on", () => {
    const store = root([started]);
    expect(names(store, "2026-11-19T23:59:59.999Z")).toEqual([[], []]);
    expect(names(store, "2026-11-19T23:59:59.999Z", "p")).toEqual({
      ok: false,
      kind: "unknown",
      sentence: 'the pipeline "p" was not there yet at 2026-11-19 23:59:59Z.',
    });
    expect(names(store, day(20))).toEqual([["p"], []]);
    expect(names(store, "2026-11-21T01:59:59.999Z")).toEqual([["p"], []]);
    expect(names(store, day(21, 2))).toEqual([["p"], [RUN]]);
  });

  it("leaves a removed pipeline out unless it is asked for, or a run of it goes on", () => {
    const removed = { type: "pipeline.removed", at: day(22) };
    expect(names(root([removed]), day(23))).toEqual([[], []]);
    expect(names(root([removed]), day(23), "p")).toEqual([["p"], []]);
    expect(names(root([started, removed]), day(23))).toEqual([["p"], [RUN]]);
    expect(names(root([removed]), day(21))).toEqual([["p"], []]);
  });
});

it("of a long queue the first ten are told what they wait for", () => {
  for (const length of [1, 10, 11, 12]) {
    const made = tempRoot();
    const ids = Array.from({ length }, (_, index) => `p@20261121T0200${10 + index}Z`);
    writePipeline(made.runs, "p", [
      daily(),
      ...ids.map((run) => ({ type: "run.queued", run, because: "one goes on" })),
    ]);
    for (const run of ids)
      writeRun(made.runs, run, [header(run, {}), { type: "run.queued", because: "one goes on" }]);
    const read = readStatus(made, "p", Date.parse(day(23)));
    const [view] = read.ok ? read.view.pipelines : [];
    expect(view!.queued).toEqual(ids);
    expect(view!.waiting!.map(({ run }) => run)).toEqual(ids.slice(0, 10));
  }
});
