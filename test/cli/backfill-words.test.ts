/** What a backfill's dry run and a rehearsal say: each sentence to the letter, at its bounds. */
import { describe, expect, it } from "vitest";
import { run as runBackfill } from "../../src/cli/commands/backfill.ts";
import { printRehearsal } from "../../src/cli/commands/rehearsal.ts";
import type { Rehearsal } from "../../src/views/rehearsal.ts";
import { writePipeline } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { command, ToldTerminal } from "../support/told-terminal.ts";

const BEGIN = "2020-01-01T00:00Z";

/** What the dry run of a pipeline that is due each minute says. */
async function dryRun(values: object, tookMs: readonly number[] = []) {
  const roots = tempRoot({
    "schedules/p.yaml": "schedule: { cron: '* * * * *' }\nsteps: { a: { run: 'true' } }\n",
  });
  const ends = tookMs.map((durationMs, index) => ({
    type: "run.finished",
    run: `p@2019010100${String(index).padStart(2, "0")}00Z`,
    status: "completed",
    durationMs,
  }));
  if (ends.length > 0) writePipeline(roots.runs, "p", ends);
  return command(runBackfill, roots, { pipeline: "p", "dry-run": true, from: BEGIN, ...values });
}

const lines = async (...given: Parameters<typeof dryRun>): Promise<readonly string[]> =>
  (await dryRun(...given)).terminal.lines;

describe("a dry run says", () => {
  it("how many slots and runs, what the cache answers, and that it knows no time", async () => {
    expect(await lines({ to: "2020-01-01T00:02:59Z" })).toEqual([
      "3 slots of p from 2020-01-01 00:00:00Z to 2020-01-01 00:02:59Z; " +
        "3 runs would be made (missing)",
      "3 runs would execute, the cache answers 0 whole and 0 of 3 steps",
      "how long that takes is not known: no run of it has completed yet",
    ]);
  });

  it("one slot, one run and one step as one", async () => {
    expect(await lines({ to: BEGIN, all: true }, [90_000])).toEqual([
      "1 slot of p from 2020-01-01 00:00:00Z to 2020-01-01 00:00:00Z; 1 run would be made (all)",
      "1 run would execute, the cache answers 0 whole and 0 of 1 step",
      "about 1m 30s, 1 at once, by what its runs took so far",
    ]);
  });

  it("how long so many at once take", async () => {
    const told = await lines({ to: "2020-01-01T00:04Z", "max-active": "2" }, [60_000]);
    expect(told[2]).toBe("about 3m, 2 at once, by what its runs took so far");
  });

  it("what the daemon would refuse, as it would say it", async () => {
    const none = await dryRun({ from: "2020-01-01T00:00:01Z", to: "2020-01-01T00:00:59Z" });
    expect(none.status).toBe(5);
    expect([none.terminal.lines, none.terminal.errors]).toEqual([
      [],
      [
        'refused: pipeline "p" has no slot from 2020-01-01T00:00:01.000Z to ' +
          "2020-01-01T00:00:59.000Z.",
      ],
    ]);
    const many = await dryRun({ to: "2020-03-15", json: true });
    expect(many.status).toBe(5);
    expect(many.terminal.errors).toEqual([
      "refused: more than 100000 slots lie from 2020-01-01T00:00:00.000Z to " +
        "2020-03-15T00:00:00.000Z; ask for them in parts.",
    ]);
    const most = await dryRun({ to: "2020-03-10T10:39Z" });
    expect([most.status, most.terminal.lines[0]]).toEqual([
      0,
      expect.stringContaining("100,000 slots of p from "),
    ]);
  });

  it("no more where nothing is to be run", async () => {
    expect(await lines({ to: "2020-01-01T00:01Z", failed: true })).toEqual([
      "2 slots of p from 2020-01-01 00:00:00Z to 2020-01-01 00:01:00Z; " +
        "0 runs would be made (failed)",
    ]);
  });

  it.each([
    ["2020-01-02T09:19Z", "2,000 steps"],
    ["2020-01-02T09:20Z", "2,000 steps of the first 2,000 slots"],
  ])("until %s that the cache was asked about %s", async (to, end) => {
    expect((await lines({ to }))[1]).toMatch(new RegExp(`0 of ${end}$`));
  });

  it("nothing of slots to come: it ends at now", async () => {
    const before = Date.now();
    const from = new Date(before - 600_000).toISOString();
    const { terminal } = await dryRun({ from, to: "2999-01-01", json: true });
    const [price] = terminal.values as [{ readonly to: string; readonly slots: number }];
    expect(Date.parse(price.to)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(price.to)).toBeLessThanOrEqual(Date.now());
    expect(price.slots).toBeLessThanOrEqual(11);
  });
});

describe("a backfill is refused as it is asked for", () => {
  it.each([
    [{ pipeline: undefined }, "name a pipeline: `orchd backfill PIPELINE --from T --to T`, "],
    [{}, "--from and --to are both needed; the slots between them, both included, "],
    [{ from: undefined, to: BEGIN }, "--from and --to are both needed; "],
    [
      { to: "2019-12-31" },
      "--to (2019-12-31 00:00:00Z) lies before --from (2020-01-01 00:00:00Z); swap them.",
    ],
    [
      { from: "2998-01-01", to: "2999-01-01" },
      "--from (2998-01-01 00:00:00Z) lies in the future, and a backfill makes runs of past slots; ",
    ],
    [
      { to: BEGIN, all: true, failed: true },
      "--failed and --all exclude each other; give one of them.",
    ],
    [
      { to: BEGIN, missing: true, all: true },
      "--missing and --all exclude each other; give one of them.",
    ],
  ])("with %j", async (values, sentence) => {
    const told = await dryRun(values);
    expect([told.status, told.sentence?.slice(0, sentence.length)]).toEqual([2, sentence]);
  });
});

const EMPTY: Rehearsal = {
  from: "2026-11-23T00:00:00.000Z",
  to: "2026-11-24T00:00:00.000Z",
  slots: 1,
  cut: [],
  pileUps: [],
  overlaps: [],
  moved: [],
};

function rehearsed(view: Partial<Rehearsal>, pipelines = 2): readonly string[] {
  const terminal = new ToldTerminal();
  printRehearsal(terminal.it, { ...EMPTY, ...view }, pipelines);
  return terminal.lines;
}

describe("a rehearsal says", () => {
  it("what there is, and of each kind that there is none", () => {
    expect(rehearsed({}, 1)).toEqual([
      "1 slot of 1 pipeline from 2026-11-23 00:00:00Z to 2026-11-24 00:00:00Z",
      "",
      "pile-ups: none",
      "",
      "runs that will overlap: none",
      "",
      "slots that daylight saving changes: none",
    ]);
  });

  it("what it did not look at", () => {
    const cut = [{ pipeline: "p", through: "2026-11-23T10:00:00.000Z" }];
    expect(rehearsed({ cut })[1]).toBe(
      "p: only its first 604,800 slots are looked at, through 2026-11-23 10:00:00Z",
    );
  });

  it("how runs overlap, and which slots daylight saving moves", () => {
    const slot = "2026-11-23T10:00:00.000Z";
    const nextSlot = "2026-11-23T10:01:00.000Z";
    const times = { everyMs: 60_000, medianMs: 30_000, longMs: 90_000, slots: 1 };
    const overlaps = [{ pipeline: "p", slot, nextSlot, ...times }];
    const moved = [{ pipeline: "q", slot, local: "11:00", note: "gap: x" }];
    const told = rehearsed({ overlaps, moved });
    expect(told.slice(4, 6)).toEqual([
      "runs that will overlap: 1",
      "  p: its runs take 30s (one in ten 1m 30s or more), and 1 slot " +
        "come sooner after the one before, first 2026-11-23 10:01:00Z",
    ]);
    expect(told.slice(7)).toEqual([
      "slots that daylight saving changes: 1",
      "  q  2026-11-23T10:00:00.000Z  11:00  gap: x",
    ]);
  });

  it.each([
    [1, "p1"],
    [5, "p1, p2, p3, p4, p5"],
    [6, "p1, p2, p3, p4, p5, …"],
  ])("of a pile-up of %i pipelines: %s", (count, names) => {
    const pipelines = Array.from({ length: count }, (_, index) => `p${index + 1}`);
    const second = "2026-11-23T10:00:00.000Z";
    expect(rehearsed({ pileUps: [{ second, count: 12, pipelines }] })[3]).toBe(
      `  2026-11-23 10:00:00Z  12 slots at once: ${names}; jitterSeconds spreads them`,
    );
  });

  it.each([
    [20, []],
    [21, ["  and 1 more; --json has them all"]],
    [45, ["  and 25 more; --json has them all"]],
  ])("of %i pile-ups the first 20, and %j", (count, more) => {
    const pileUps = Array.from({ length: count }, () => ({
      second: "2026-11-23T10:00:00.000Z",
      count: 12,
      pipelines: ["p"],
    }));
    const told = rehearsed({ pileUps });
    expect(told[2]).toBe(`pile-ups: ${count}`);
    expect(told.slice(3, told.indexOf("", 3)).slice(20)).toEqual(more);
  });
});
