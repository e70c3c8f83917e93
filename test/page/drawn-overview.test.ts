/** What Overview and Slots say, without a browser. */
import { drawn } from "./plain-document.ts";
import { atNoon, go } from "./page-moment.ts";
import { h, render } from "preact";
import { useRef } from "preact/hooks";
import { act } from "preact/test-utils";
import { beforeEach, describe, expect, it } from "vitest";
import type { Overview, RunningRun, SlotReason } from "../../src/views/overview.ts";
import { now } from "../../src/page/app/clock.ts";
import { Questions } from "../../src/page/app/overview/questions.tsx";
import { Slots } from "../../src/page/app/pages/slots.tsx";
import { Reasons } from "../../src/page/app/slots/reasons.tsx";
import { useHold } from "../../src/page/app/steady.ts";

const AT = "2026-11-28T12:00:00.000Z";
const SUMS = { total: 0, ran: 0, late: 0, failed: 0, skipped: 0, missed: 0 };

beforeEach(() => atNoon("slots"));

/** The answers to the five questions. */
async function answersOf(more: Partial<Overview>): Promise<string[]> {
  const view = {
    at: AT,
    from: "2026-11-27T12:00:00.000Z",
    slots: SUMS,
    downtimes: [],
    reasons: [],
    running: [],
    next: [],
    changes: [],
    ...more,
  } as unknown as Overview;
  const questions = await drawn(h(Questions, { view }));
  return questions.every("div.question").map(({ text }) => text.trim().replace(/^[^?]*\? /, ""));
}

describe("did it run?", () => {
  it.each<[string, Partial<Overview>, string]>([
    ["nothing", {}, "No slot was due in the last 24 hours."],
    [
      "some late",
      { slots: { ...SUMS, total: 1_200, ran: 1_100, late: 2 } },
      "1,100 of 1,200 slots ran in the last 24 hours; 2 of them late.",
    ],
    ["one", { slots: { ...SUMS, total: 1, ran: 1 } }, "1 of 1 slot ran in the last 24 hours."],
    [
      "a day, nearly",
      { from: "2026-11-27T12:06:00.000Z" },
      "No slot was due in the last 24 hours.",
    ],
    ["hours", { from: "2026-11-27T12:07:00.000Z" }, "No slot was due in 24 hours."],
    ["two hours", { from: "2026-11-28T10:00:00.000Z" }, "No slot was due in 2 hours."],
    ["minutes", { from: "2026-11-28T10:01:00.000Z" }, "No slot was due in 119 minutes."],
    ["seconds", { from: "2026-11-28T11:59:50.000Z" }, "No slot was due in 1 minute."],
  ])("%s", async (_what, view, text) => {
    expect((await answersOf(view))[0]).toBe(text);
  });
});

describe("what did not, and why?", () => {
  const missed = { slots: { ...SUMS, total: 9, missed: 1 } };
  const reason = { decision: "missed", because: "it was paused" } as SlotReason;
  it.each<[string, Partial<Overview>, string]>([
    ["nothing", {}, "Nothing failed, and no slot was missed."],
    [
      "all of it",
      { slots: { ...SUMS, total: 9, failed: 1, missed: 2, skipped: 3 } },
      "1 run failed; 2 slots missed; 3 skipped.",
    ],
    ["the most frequent reason", { ...missed, reasons: [reason] }, "1 slot missed: it was paused."],
    [
      "no reason of what was skipped",
      { ...missed, reasons: [{ ...reason, decision: "skipped" }] },
      "1 slot missed.",
    ],
    [
      "a downtime",
      {
        ...missed,
        downtimes: [{ from: "2026-11-28T09:00:00.000Z", to: "2026-11-28T09:30:00.000Z" } as never],
      },
      "1 slot missed: no daemon was up 09:00:00–09:30:00.",
    ],
    [
      "the last of several downtimes, which goes on",
      {
        ...missed,
        reasons: [reason],
        downtimes: [
          { from: "2026-11-28T09:00:00.000Z", to: "2026-11-28T09:30:00.000Z" } as never,
          { from: "2026-11-28T11:00:00.000Z", to: null } as never,
        ],
      },
      "1 slot missed: no daemon was up 2 times, last 11:00:00–now.",
    ],
    [
      "messages that were given up",
      { alerts: { gaveUp: 1, broken: [] } },
      "Nothing failed, and no slot was missed. 1 message to people was given up.",
    ],
    [
      "a channel that is broken",
      { alerts: { gaveUp: 0, broken: ["a"] } },
      "Nothing failed, and no slot was missed. channel a takes no messages.",
    ],
    [
      "channels that are broken",
      { alerts: { gaveUp: 2, broken: ["a", "b"] } },
      "Nothing failed, and no slot was missed. " +
        "2 messages to people were given up, and channels a and b take no messages.",
    ],
  ])("%s", async (_what, view, text) => {
    expect((await answersOf(view))[1]).toBe(text);
  });
});

describe("what runs now, what comes, what changed?", () => {
  const run = (nth: number, more: Partial<RunningRun> = {}): RunningRun => ({
    run: `p${nth}@1`,
    pipeline: `p${nth}`,
    startedAt: "2026-11-28T11:59:00.500Z",
    usualMs: null,
    done: 1,
    steps: 4,
    waiting: 0,
    ...more,
  });
  const runs = async (...running: RunningRun[]): Promise<string> =>
    (await answersOf({ running }))[2]!;

  it("a run that is slow, usual, or has not begun", async () => {
    expect(await runs()).toBe("Nothing runs.");
    expect(await runs(run(1))).toBe("p1 59s · 1 of 4 steps");
    expect(await runs(run(1, { usualMs: 40_000 }))).toBe("p1 59s, usually 40s · 1 of 4 steps");
    expect(await runs(run(1, { usualMs: 39_000 }))).toBe(
      "p1 59s, usually 39s · 1 of 4 steps · slow, 1.5×",
    );
    expect(await runs(run(1, { usualMs: 5_000 }))).toMatch(/slow, 12×$/);
    expect(await runs(run(1, { startedAt: null, steps: 1 }))).toBe(
      "p1 has not begun · 1 of 1 step",
    );
  });

  it("how far a run is: by its usual time, else by its steps", async () => {
    const shareOf = async (more: Partial<RunningRun>): Promise<unknown> => {
      const view = { ...EMPTY, running: [run(1, more)] };
      const questions = await drawn(h(Questions, { view }));
      return questions.one("span.progress").one("i").style["width"];
    };
    expect(await shareOf({})).toBe("25%");
    expect(await shareOf({ steps: 0 })).toBe("0%");
    expect(await shareOf({ usualMs: 119_000 })).toBe("50%");
    expect(await shareOf({ usualMs: 1_000 })).toBe("100%");
  });

  it("three of each, and how many more", async () => {
    expect(await runs(run(1), run(2), run(3))).not.toContain("more");
    expect(await runs(run(1), run(2), run(3), run(4), run(5))).toMatch(/ ?and 2 more$/);
    const next = [1, 2, 3, 4].map((nth) => ({
      pipeline: `p${nth}`,
      slot: `2026-11-28T12:0${nth}:00.000Z`,
    }));
    expect((await answersOf({ next: next as never }))[3]).toBe("p1 in 1m p2 in 2m p3 in 3m");
    expect((await answersOf({}))[3]).toBe("Nothing is planned.");
    const changes = [1, 2, 3, 4].map((nth) => ({
      at: AT,
      kind: "paused",
      pipeline: nth === 1 ? null : `p${nth}`,
      sentence: `change ${nth}`,
    }));
    expect((await answersOf({ changes: changes as never }))[4]).toBe(
      "change 1 change 2 change 3 and 1 more",
    );
    const questions = await drawn(h(Questions, { view: { ...EMPTY, changes: changes as never } }));
    await questions.one("button").happens("click");
    expect(questions.one("ul.changes").every("li")).toHaveLength(4);
    expect(questions.one("button").text.trim()).toBe("fewer");
  });
});

const EMPTY = {
  at: AT,
  from: "2026-11-27T12:00:00.000Z",
  slots: SUMS,
  downtimes: [],
  reasons: [],
  running: [],
  next: [],
  changes: [],
} as unknown as Overview;

describe("what did not run, by reason", () => {
  const reason = (...pipelines: string[]): SlotReason => ({
    decision: "missed",
    because: "no daemon was up until 2026-11-28T09:00:00.000Z",
    slots: 1_200,
    backfilled: 0,
    pipelines,
    from: "2026-11-28T08:00:00.000Z",
    to: "2026-11-28T08:59:59.000Z",
  });
  const rowOf = async (one: SlotReason): Promise<string[]> =>
    (await drawn(h(Reasons, { reasons: [one] }))).every("td").map(({ text }) => text.trim());

  it("names three pipelines, and how many more there are", async () => {
    expect((await rowOf(reason("a", "b", "c")))[2]).toBe("a, b, c");
    expect((await rowOf(reason("a", "b", "c", "d")))[2]).toBe("a, b, c and 1 more");
    expect((await rowOf(reason("a", "b", "c", "d", "e")))[2]).toBe("a, b, c and 2 more");
    expect(await rowOf(reason("a"))).toEqual([
      "1,200",
      "┆missed",
      "a",
      "no daemon was up until 2026-11-28 09:00:00Z",
      "Backfill… the price first",
    ]);
    expect((await rowOf({ ...reason("a"), decision: "skipped" })).at(-1)).toBe("");
  });

  it("offers the backfill up to the second after the last slot", async () => {
    const link = (await drawn(h(Reasons, { reasons: [reason("a")] }))).one("a.button");
    expect(new URL(link.getAttribute("href")!).searchParams.toString()).toBe(
      new URLSearchParams({
        pipeline: "a",
        from: "2026-11-28T08:00:00.000Z",
        to: "2026-11-28T09:00:00.000Z",
        which: "missing",
      }).toString(),
    );
    expect((await drawn(h(Reasons, { reasons: [] }))).text.trim()).toContain(
      "Every slot of this time ran.",
    );
  });
});

describe("the steps through the time of Slots", () => {
  /** Where `earlier`, `Now` and `later` lead. */
  async function stepsAt(path: string): Promise<(string | null)[]> {
    go(path);
    const slots = await drawn(h(Slots, {}));
    const group = slots.all.find((one) => one.getAttribute("aria-label") === "Time")!;
    return group
      .every("a")
      .map((link) => new URL(link.getAttribute("href")!).searchParams.get("until"));
  }

  it("from now: a span back, and nothing later", async () => {
    now.value = Date.parse("2026-11-28T12:00:59.999Z");
    expect(await stepsAt("slots")).toEqual(["2026-11-28T11:40:00.000Z", null]);
    expect(await stepsAt("slots?span=24h")).toEqual(["2026-11-27T12:00:00.000Z", null]);
  });

  it("from the past: a span on, and to now instead of the future or of now itself", async () => {
    expect(await stepsAt("slots?until=2026-11-28T11:00:00.000Z")).toEqual([
      "2026-11-28T10:40:00.000Z",
      null,
      "2026-11-28T11:20:00.000Z",
    ]);
    for (const until of ["11:40:00", "11:50:00", "12:30:00"])
      expect((await stepsAt(`slots?until=2026-11-28T${until}.000Z`))[2]).toBe(null);
    expect((await stepsAt("slots?until=2026-11-28T11:39:59.000Z"))[2]).toBe(
      "2026-11-28T11:59:59.000Z",
    );
  });
});

it.each([
  ["slots", "All", ["All", "Not run", "Late"]],
  ["slots?decision=late", "Late", ["All", "Not run", "Late"]],
  ["slots?decision=caught_up", "caught up", ["All", "Not run", "Late", "caught up"]],
])("of the decisions of Slots, at %s, %s is chosen", async (path, chosen, choices) => {
  go(path);
  const slots = await drawn(h(Slots, {}));
  const links = slots.all.find((one) => one.getAttribute("aria-label") === "Decision")!.every("a");
  expect(links.map(({ text }) => text.trim())).toEqual(choices);
  const current = links.filter((link) => link.getAttribute("aria-current") !== null);
  expect(current.map(({ text }) => text.trim())).toEqual([chosen]);
});

it("rows are free once their table is gone from under the pointer", async () => {
  function Table({ isThere }: { readonly isThere: boolean }) {
    const box = useRef<HTMLParagraphElement>(null);
    const { isHeld } = useHold(box);
    return h("div", {}, isThere ? h("p", { ref: box }) : null, isHeld ? "held" : "free");
  }
  const body = await drawn(h(Table, { isThere: true }));
  await body.one("p").happens("pointerenter");
  expect(body.text).toContain("held");
  const show = (isThere: boolean): Promise<void> =>
    act(() => render(h(Table, { isThere }), body as unknown as Element));
  await show(true);
  expect(body.text).toContain("held");
  await show(false);
  expect(body.text).toContain("free");
  await show(true);
  expect(body.text).toContain("free");
  for (const [event, state] of [
    ["focusin", "held"],
    ["pointerenter", "held"],
    ["focusout", "held"],
    ["pointerleave", "free"],
  ] as const) {
    await body.one("p").happens(event);
    expect(body.text).toContain(state);
  }
});
