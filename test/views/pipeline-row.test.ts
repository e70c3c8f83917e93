/** Whether a pipeline needs a person, and why: each reason, and which of two is told. */
import { expect, it } from "vitest";
import { pipelineRow } from "../../src/views/pipeline-row.ts";

const VIEW = { name: "p", errors: [], valid: true, paused: false, lastRun: null };
const slot = (decision: string, because: string | null = null): object => ({ decision, because });
const facts = (more: object = {}): object => ({
  about: {},
  timezones: [],
  overdue: [],
  strip: [],
  ...more,
});
const missed = slot("missed", "no daemon was up");
const failed = {
  lastRun: {
    run: "p@1",
    status: "failed",
    finishedAt: "2026-11-23T02:00:09Z",
    because: "it broke",
  },
};
/** The run after it goes on. */
const again = { lastRun: { run: "p@2", status: "running", finishedAt: null }, active: ["p@2"] };
const ran = (run: string, status: string | null, because: string | null = null): object => ({
  decision: "fired",
  run,
  status,
  because,
});
const reason = (decision: string, slots: number): object => ({
  decision,
  slots,
  because: `it is ${decision}`,
});

it.each<[string, object, object | undefined, object[], [boolean, string | null]]>([
  ["nothing", {}, facts(), [], [false, null]],
  ["no ledger", {}, undefined, [], [false, null]],
  ["a bad file", { valid: false, errors: ["x", "y"] }, facts(), [], [true, "x"]],
  [
    "a file nobody read yet",
    { valid: false, errors: ["x"], unread: true },
    facts(),
    [],
    [false, "x"],
  ],
  ["a failed run", failed, facts(), [], [true, "it broke"]],
  [
    "a failed run without a reason",
    { lastRun: { run: "p@1", status: "failed", finishedAt: "2026-11-23T02:00:09Z" } },
    facts(),
    [],
    [true, "run p@1 failed"],
  ],
  [
    "a run that goes on after one that failed",
    again,
    facts({ strip: [ran("p@1", "failed", "it broke"), ran("p@2", "running", "its slot was due")] }),
    [],
    [true, "the run before failed: it broke"],
  ],
  [
    "a run that waits after one that failed without a reason, with a skipped slot between",
    { lastRun: { run: "p@2", status: "initializing", finishedAt: null } },
    facts({
      strip: [
        ran("p@1", "failed"),
        { ...slot("skipped", "the run before goes on"), run: null, status: null },
        ran("p@2", "initializing"),
        ran("p@3", null),
      ],
    }),
    [],
    [true, "the run before failed: no reason was recorded"],
  ],
  ...["completed", "cached", "stopped"].map(
    (status): [string, object, object, object[], [boolean, null]] => [
      `a run that goes on after one that is ${status}, and one that failed`,
      again,
      facts({
        strip: [ran("p@0", "failed", "it broke"), ran("p@1", status), ran("p@2", "running")],
      }),
      [],
      [false, null],
    ],
  ),
  [
    "a run that is overdue",
    failed,
    facts({ overdue: ["p@2"] }),
    [],
    [true, "run p@2 takes far longer than its history"],
  ],
  [
    "a missed slot",
    {},
    facts({ strip: [missed] }),
    [],
    [true, "its newest slot was missed: no daemon was up"],
  ],
  [
    "a missed slot without a reason",
    {},
    facts({ strip: [slot("missed")] }),
    [],
    [true, "its newest slot was missed: no reason was recorded"],
  ],
  [
    "a missed slot before a run by hand",
    {},
    facts({ strip: [slot("fired"), missed, slot("by_hand"), slot("by_hand")] }),
    [],
    [true, "its newest slot was missed: no daemon was up"],
  ],
  [
    "a missed slot before one that ran",
    {},
    facts({ strip: [missed, slot("fired")] }),
    [],
    [false, null],
  ],
  [
    "a pause",
    { paused: true },
    facts({ strip: [slot("skipped")], pausedBecause: "repairs" }),
    [],
    [false, "it is paused: repairs"],
  ],
  [
    "a pause of nobody",
    { paused: true },
    facts(),
    [],
    [false, "it is paused: no reason was recorded"],
  ],
  [
    "a run that waits",
    { waiting: [{ run: "p@3", because: "its group is full" }] },
    facts(),
    [],
    [false, "run p@3 waits: its group is full"],
  ],
  [
    "a removed file",
    { removed: true },
    facts(),
    [],
    [false, "its file was removed, and its last runs go on"],
  ],
  [
    "slots that did not run",
    {},
    facts(),
    [reason("skipped", 9), reason("missed", 1)],
    [false, "1 slot was missed: it is missed"],
  ],
  [
    "skipped slots",
    {},
    facts(),
    [reason("skipped", 2)],
    [false, "2 slots were skipped: it is skipped"],
  ],
])("of %s", (_, view, known, reasons, [needsYou, because]) => {
  const row = pipelineRow({ ...VIEW, ...view } as never, known as never, reasons as never);
  expect([row.needsYou, row.because]).toEqual([needsYou, because]);
});
