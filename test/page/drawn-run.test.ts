/** What the page of a run says, without a browser: words, units, bounds, and where links lead. */
import { atAddress, drawn } from "./plain-document.ts";
import { h } from "preact";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { RunPage, StepPage } from "../../src/views/run-page.ts";
import { here } from "../../src/page/app/here.ts";
import { address } from "../../src/page/app/location.ts";
import { now } from "../../src/page/app/clock.ts";
import { AskButton } from "../../src/page/app/run/ask-button.tsx";
import { Attempts } from "../../src/page/app/run/attempts.tsx";
import { LedgerLines } from "../../src/page/app/run/ledger-lines.tsx";
import { Log } from "../../src/page/app/run/log.tsx";
import { RunFacts } from "../../src/page/app/run/run-facts.tsx";
import { CacheReasons, WhyItFailed } from "../../src/page/app/run/run-reasons.tsx";
import { stepMs, Steps, stepSentence } from "../../src/page/app/run/steps.tsx";

const RUN = "etl@20261128T020000Z";
const NOW = Date.parse("2026-11-28T02:05:00.900Z");

beforeEach(() => {
  now.value = NOW;
  atAddress(`runs/${RUN}`);
});

const step = (name: string, more: Partial<StepPage> = {}): StepPage => ({
  step: name,
  status: "completed",
  attempts: 1,
  because: null,
  startedAt: "2026-11-28T02:00:01.000Z",
  finishedAt: "2026-11-28T02:00:03.500Z",
  timeline: [],
  source: null,
  inputs: {},
  outputs: null,
  ...more,
});

const page = (more: Partial<RunPage> = {}): RunPage =>
  ({
    run: RUN,
    pipeline: "etl",
    status: "failed",
    trigger: { kind: "catch_up", scheduledFor: "2026-11-28T02:00:00.000Z", schedule: "nightly" },
    params: {},
    tags: [],
    submittedAt: "2026-11-28T02:00:00.100Z",
    startedAt: "2026-11-28T02:00:01.000Z",
    finishedAt: "2026-11-28T02:01:01.000Z",
    durationMs: 60_000,
    inProgress: false,
    lateMs: 1_000,
    usual: { medianMs: 30_000, runs: 1 },
    before: [],
    steps: [],
    ledger: { file: "etl/2026-11/run.jsonl", lines: 2, fault: null },
    ...more,
  }) as unknown as RunPage;

/** The parts of the row of facts, by their title. */
async function factsOf(more: Partial<RunPage>): Promise<Record<string, string>> {
  const facts = await drawn(h(RunFacts, { page: page(more) }));
  const texts = facts.every("dd").map(({ text }) => text.trim());
  return Object.fromEntries(facts.every("dt").map(({ text }, nth) => [text.trim(), texts[nth]!]));
}

describe("a run's facts", () => {
  it("of a slot's run", async () => {
    expect(await factsOf({})).toEqual({
      Trigger: "caught up, slot 02:00:00Z of nightly 2026-11-28",
      Began: "02:00:01Z 1s after its slot",
      Took: "1m median 30s of 1 run",
      Params: "none",
      "The runs before": "",
    });
  });

  it.each([
    ["schedule", "schedule"],
    ["manual", "by hand"],
    ["backfill", "backfill"],
    ["rerun", "re-run"],
    ["other", "other"],
  ])("of the trigger %s", async (kind, text) => {
    const facts = await factsOf({ trigger: { kind } as never, lateMs: null });
    expect(facts["Trigger"]).toBe(`${text} 2026-11-28`);
    expect(facts["Began"]).toBe("02:00:01Z 900ms after it was asked for");
  });

  it("of a re-run that somebody asked for: links to both", async () => {
    const trigger = { kind: "rerun", of: "etl@1", requestId: "r1" } as never;
    const facts = await drawn(h(RunFacts, { page: page({ trigger }) }));
    expect(facts.every("a").map((link) => [link.text.trim(), link.getAttribute("href")])).toEqual([
      ["etl@1", "http://page.test/runs/etl@1"],
      ["its request", "http://page.test/requests?id=r1"],
    ]);
  });

  it("of a run that has not begun, and of one that goes on, in whole seconds", async () => {
    const waits = { startedAt: null, durationMs: null, inProgress: true };
    expect(await factsOf({ ...waits, usual: { medianMs: null, runs: 0 } })).toMatchObject({
      Began: "not yet asked for at 02:00:00Z",
      Took: "– no run of it has completed yet",
    });
    const runs = { durationMs: null, inProgress: true };
    expect((await factsOf({ ...runs, usual: { medianMs: 1_500, runs: 2 } }))["Took"]).toBe(
      "4m 59s so far median 1.5s of 2 runs",
    );
    now.value = NOW - 3_600_000;
    expect((await factsOf(runs))["Took"]).toMatch(/^0s so far/);
    expect((await factsOf({ ...runs, inProgress: false }))["Took"]).toMatch(/^– /);
  });

  it("of params: JSON, a secret by its name, and cut at 60 characters", async () => {
    const params = { n: 1, key: { secret: "token" }, long: "x".repeat(60) };
    const facts = await drawn(h(RunFacts, { page: page({ params, tags: ["a", "b"] }) }));
    const codes = facts.every("code");
    expect(codes.map(({ text }) => text)).toEqual([
      "n=1",
      "key=secret token",
      `long="${"x".repeat(53)}…`,
    ]);
    expect(codes[2]!.getAttribute("title")).toBe(`long="${"x".repeat(60)}"`);
    expect(facts.one("dd.params").text).toContain("#a #b");
    const just = await drawn(h(RunFacts, { page: page({ params: { p: "y".repeat(56) } }) }));
    expect(just.one("code").text).toBe(`p="${"y".repeat(56)}"`);
  });

  it("of the runs before: their heights go by the longest, at least 8 in a hundred", async () => {
    const before = [
      { run: "etl@1", status: "completed", durationMs: 1_000 },
      { run: "etl@2", status: "failed", durationMs: 10 },
      { run: RUN, status: "running", durationMs: null },
    ];
    const facts = await drawn(h(RunFacts, { page: page({ before }) }));
    const bars = facts.one("div.bars");
    expect(bars.every("i").map(({ style }) => style["height"])).toEqual(["100%", "8%", "100%"]);
    expect(bars.every("a").map((bar) => bar.getAttribute("title"))).toEqual([
      "etl@1: completed, 1s",
      "etl@2: failed, 10ms",
      `${RUN}: running`,
    ]);
    expect(bars.every("a").map((bar) => bar.getAttribute("aria-current"))).toEqual([
      null,
      null,
      "true",
    ]);
  });
});

describe("why a run failed", () => {
  const error = { name: "ExitError", message: "status 3", code: "EXIT" };

  it("is nothing where no step failed", async () => {
    expect((await drawn(h(WhyItFailed, { page: page({ steps: [step("a")] }) }))).all).toEqual([]);
  });

  it("is each failed step's error, its causes, and its last four lines on stderr", async () => {
    const failed = step("load", {
      status: "failed",
      attempts: 2,
      error: {
        ...error,
        cause: { name: "TypeError", message: "x" },
        errors: [{ name: "RangeError", message: "y" }],
        stack: "ExitError: status 3\n    at load.ts:1",
      },
    });
    const lines = Array.from({ length: 6 }, (_, n) => ({ n, line: `line ${n}` }));
    const query = "step=load&stream=stderr&from=-2000&limit=2000";
    const why = await drawn(h(WhyItFailed, { page: page({ steps: [step("a"), failed] }) }), {
      [`runs/${encodeURIComponent(RUN)}/log?${query}`]: { lines },
    });
    expect(why.every("p").map(({ text }) => text.trim())).toEqual([
      "load: status 3",
      "ExitError · EXIT · 2 attempts",
      "because of TypeError: x",
      "because of RangeError: y",
    ]);
    const last = why.one("pre.last-lines");
    expect(last.every("div").map(({ text }) => text.trim())).toEqual(
      lines.slice(2).map(({ line }) => line),
    );
    expect(why.one("details").one("pre").textContent).toContain("\n    at load.ts:1");
  });

  it("names five, and says how many more there are", async () => {
    const of = async (count: number) => {
      const steps = Array.from({ length: count }, (_, n) => step(`s${n}`, { status: "failed" }));
      return (await drawn(h(WhyItFailed, { page: page({ steps }) }))).every("p").map((p) => p.text);
    };
    expect((await of(5)).filter((text) => text.includes("it failed"))).toHaveLength(5);
    expect((await of(5)).some((text) => text.includes("more"))).toBe(false);
    expect((await of(7)).at(-1)).toContain("2 more steps failed.");
  });
});

it("the log tells what context.log wrote as `orchd logs` does", async () => {
  const line = JSON.stringify({ level: "info", message: "3 files", bytes: 12 });
  const printed = { n: 1, at: "2026-11-28T02:00:02.000Z", step: "a", attempt: 1, stream: "log" };
  const answer = { lines: [{ ...printed, line }], from: 1, next: 2, more: false };
  const log = await drawn(h(Log, { run: RUN, steps: ["a"], inProgress: false }), {
    [`runs/${encodeURIComponent(RUN)}/log?from=-500&limit=500`]: answer,
  });
  expect(log.one(".ll-t").text).toBe('info: 3 files {"bytes":12}');
});

describe("the cache's card", () => {
  it("names steps that were cached first, with their reasons and sources", async () => {
    const ran = step("ran", {
      because: "end",
      timeline: [{ attempt: 1, because: "code changed" }] as never,
    });
    const cached = step("hit", {
      status: "cached",
      because: "same inputs",
      source: { run: "etl@1", step: "hit" },
    });
    const card = await drawn(
      h(CacheReasons, { page: page({ steps: [ran, cached, step("no", { status: "skipped" })] }) }),
    );
    expect(card.one("h2").text.trim()).toBe("Cache 1 of 3 steps");
    expect(card.every("li").map(({ text }) => text.trim())).toEqual([
      "≡cached hitsame inputs · its source",
      "ran rancode changed",
    ]);
    expect(card.one("a").getAttribute("href")).toBe("http://page.test/runs/etl@1?step=hit");
  });

  it("lists twelve, and says how many more there are", async () => {
    const steps = Array.from({ length: 13 }, (_, n) => step(`s${n}`, { status: "cached" }));
    const card = await drawn(h(CacheReasons, { page: page({ steps }) }));
    expect(card.every("li")).toHaveLength(12);
    expect(card.one("p.mute").text).toContain("1 more step.");
    expect(card.every("li")[0]!.text).toContain("no reason is recorded");
    const none = await drawn(h(CacheReasons, { page: page({ steps: [] }) }));
    expect(none.one("p.none").text.trim()).toBe("No step has begun yet.");
  });
});

describe("a step", () => {
  it("in a sentence", () => {
    const failed = { status: "failed", error: { name: "E", message: "status 3" } } as const;
    expect(stepSentence(step("a"))).toBe("a: completed, 2.5s");
    expect(stepSentence(step("a", { ...failed, attempts: 3, because: "retries" }))).toBe(
      "a: failed, 3 attempts, 2.5s: status 3",
    );
    expect(stepSentence(step("a", { status: "cached", attempts: 0, because: "same" }))).toBe(
      "a: cached: same",
    );
    expect(stepMs(step("a", { finishedAt: null }))).toBeUndefined();
    expect(stepMs(step("a", { finishedAt: "2026-11-28T02:00:00.000Z" }))).toBe(0);
  });

  it("in the list that the address asks for, those in one status alone", async () => {
    const query = new URLSearchParams("steps=list&only=failed");
    address.value = { path: `runs/${RUN}`, query };
    onTestFinished(() => void (address.value = { path: "", query: new URLSearchParams() }));
    const steps = [step("a"), step("b"), step("c", { status: "failed", attempts: 2 })];
    const list = await drawn(h(Steps, { page: page({ steps }) }));
    expect(list.every("div.step-row").map(({ text }) => text.trim())).toEqual([
      "✗failedc2 attempts · 2.5s",
    ]);
    const filter = list.one("div.step-filter");
    expect(filter.every("a").map(({ text }) => text)).toEqual(["All 3", "failed 1", "completed 2"]);
  });

  it("of the list is chosen by its link, and let go by it", async () => {
    const query = new URLSearchParams("steps=list&step=b");
    atAddress(`runs/${RUN}?${query}`);
    address.value = { path: `runs/${RUN}`, query };
    onTestFinished(() => void (address.value = { path: "", query: new URLSearchParams() }));
    const list = await drawn(h(Steps, { page: page({ steps: [step("a"), step("b")] }) }));
    const links = list
      .every("a.g-n")
      .map((link) => [
        link.text,
        link.getAttribute("aria-current"),
        new URL(link.getAttribute("href")!).search,
      ]);
    expect(links).toEqual([
      ["a", null, "?steps=list&step=a"],
      ["b", "true", "?steps=list"],
    ]);
    expect(list.every("div.step-row.selected").map(({ text }) => text)).toHaveLength(1);
  });
});

it("attempts and waits stand on an axis of the whole run", async () => {
  const at = (seconds: number): string =>
    new Date(Date.parse("2026-11-28T02:00:00Z") + seconds * 1_000).toISOString();
  const timeline = [
    { attempt: 1, startedAt: at(0), endedAt: at(10), status: "retried", because: "the run began" },
    {
      attempt: 2,
      startedAt: at(60),
      endedAt: null,
      status: "running",
      because: null,
      placed: { place: "farm", host: "w1", ref: "r" },
    },
  ] as never;
  const begun = [
    { attempt: 1, startedAt: at(100), endedAt: null, status: "running", because: null },
  ] as never;
  const rows = await drawn(
    h(Attempts, {
      page: page({
        startedAt: at(0),
        finishedAt: null,
        steps: [
          step("a", { status: "running", attempts: 2, timeline }),
          step("b", { status: "initializing", startedAt: null, finishedAt: null }),
          step("c", { status: "skipped", startedAt: null, finishedAt: at(50) }),
          step("d", { status: "running", timeline: begun }),
        ],
      }),
      now: Date.parse(at(100)),
    }),
  );
  expect(rows.one("h2").text.trim()).toBe("Attempts 0 – 1m 40s");
  const bars = rows.every("span.bar");
  expect(bars.map(({ style }) => [style["left"], style["width"]])).toEqual([
    ["0%", "10%"],
    ["60%", "40%"],
    // It has just begun, and is seen.
    ["99.4%", "0.6%"],
  ]);
  expect(bars.map((bar) => bar.getAttribute("title"))).toEqual([
    "attempt 1: retried, 10s: the run began",
    "attempt 2: running, 40s, on farm at w1",
    "attempt 1: running, 0s",
  ]);
  const wait = rows.one("span.wait");
  expect([wait.style["left"], wait.style["width"]]).toEqual(["10%", "50%"]);
  expect(wait.text).toContain("then it waited 50s");
  expect(rows.every("span.pt").map(({ style }) => style["left"])).toEqual(["0%", "50%"]);
  expect(rows.one("small.where").text.trim()).toBe("on farm at w1");
});

describe("a ledger's lines", () => {
  async function linesOf(
    ...events: readonly object[]
  ): Promise<{ number: string; bad: boolean; head: string; code: string }[]> {
    const text = events
      .map((event, n) =>
        JSON.stringify({ seq: n + 1, b: 1, at: new Date(NOW + n * 84).toISOString(), ...event }),
      )
      .join("\n");
    const ledger = await drawn(h(LedgerLines, { page: page() }), {
      [`runs/${encodeURIComponent(RUN)}/ledger?from=1&limit=5000`]: `${text}\n`,
      [`runs/${encodeURIComponent(RUN)}/ledger?from=${events.length + 1}&limit=5000`]: "",
    });
    return ledger.every("div.lg").map((line) => ({
      number: line.one("span.lg-n").text,
      bad: line.getAttribute("class") === "lg bad",
      head: line.one("div.lg-head").text.trim(),
      code: line.one("code").text.trim(),
    }));
  }

  it("has a number before each line, and a question mark where it has none", async () => {
    const lines = await linesOf({ type: "run.started" }, { type: "x", seq: undefined });
    expect(lines.map(({ number }) => number)).toEqual(["1", "?"]);
  });

  it.each([
    [{ type: "step.failed", step: "a" }, true],
    [{ type: "step.interrupted", step: "a" }, true],
    [{ type: "hook.failed" }, true],
    [{ type: "stop.failed" }, true],
    [{ type: "run.finished", status: "failed" }, true],
    [{ type: "run.finished", status: "completed" }, false],
    [{ type: "run.finished", status: "stopped" }, false],
    [{ type: "step.completed", step: "a" }, false],
  ])("%j is red: %s", async (event, bad) => {
    expect((await linesOf(event)).map((line) => line.bad)).toEqual([bad]);
  });

  it("have their time after the first, and all but the frame", async () => {
    const [first, second] = await linesOf(
      { type: "run.started", because: "due" },
      { type: "step.started", step: "a", long: "x".repeat(400), crc: "0" },
    );
    expect(first!.head).toMatch(/^run\.started \+0\.000/);
    expect(first!.code).toBe('because:"due"');
    expect(second!.head).toMatch(/^step\.started a\+0\.084/);
    expect(second!.code).toBe(`long:"${"x".repeat(399)}… 402 characters`);
  });
});

it.each([
  ["operate", undefined, "orchd pause p"],
  ["operate", "it has ended", "it has ended"],
  ["read", undefined, "this page may read, and ask for nothing"],
  ["read", "it has ended", "it has ended"],
] as const)(
  "a button of a page that may %s, and is off since %s, says: %s",
  async (may, off, says) => {
    here.value = { may } as never;
    onTestFinished(() => void (here.value = undefined));
    const intent = { command: ["orchd", "pause", "p"] } as never;
    const page = await drawn(h(AskButton, { intent, text: "Pause", off }));
    expect(page.one("button").getAttribute("title")).toBe(says);
  },
);
