/** What the page asks for as it reads a log: each request, and what it holds then. */
import { expect, it } from "vitest";
import {
  newerLines,
  olderLines,
  openLog,
  type LogFilter,
  type LogLines,
  type ReadLog,
} from "../../src/page/app/run/log-window.ts";
import type { NumberedLine, RunLogPage } from "../../src/views/run-log.ts";

const NONE: LogFilter = { step: "", stream: "", q: "" };
const line = (n: number): NumberedLine => ({ n, line: String(n) }) as unknown as NumberedLine;
const lines = (from: number, to: number): NumberedLine[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => line(from + at));
const numbers = (held: LogLines | undefined): (number | undefined)[] => [
  held?.lines[0]?.n,
  held?.lines.at(-1)?.n,
  held?.lines.length,
];

/** A log of so many lines. `fits` says which of them the filter has; each page looks at 500. */
function log(count: number, fits: (n: number) => boolean = () => true) {
  const asked: string[] = [];
  const read: ReadLog = async (query) => {
    asked.push(
      Object.entries(query)
        .map(([key, value]) => `${key}=${value}`)
        .join(" "),
    );
    const given = Number(query["from"]);
    const from = given < 0 ? Math.max(1, count + 1 + given) : given;
    const next = Math.max(from, Math.min(count + 1, from + Number(query["limit"])));
    const page = { lines: lines(from, next - 1).filter(({ n }) => fits(n)), from, next };
    return { ...page, more: next <= count };
  };
  return { asked, read };
}

/** A log that cannot be read now. */
const away: ReadLog = () => Promise.resolve(undefined);

it("a request has its filter, where that is one", async () => {
  const { asked, read } = log(10);
  await openLog(read, NONE, undefined);
  await openLog(read, { step: "a", stream: "", q: "" }, 1);
  await openLog(read, { step: "", stream: "stderr", q: "" }, 100);
  await openLog(read, { step: "a", stream: "stdout", q: "x" }, 101);
  await openLog(read, NONE, 102);
  expect(
    asked.filter((each) => !each.startsWith("from=1 limit=500") || each.includes("=a")),
  ).toEqual([
    "from=-500 limit=500",
    "from=1 limit=500 step=a",
    "from=1 limit=500 step=a stream=stdout q=x",
    "from=2 limit=500",
  ]);
  expect(asked).toHaveLength(5);
});

it("is opened at its end, or a fifth of a page before a line", async () => {
  const { asked, read } = log(2_000);
  expect(await openLog(read, NONE, undefined)).toMatchObject({ from: 1_501, after: false });
  expect(numbers(await openLog(read, NONE, 1_000))).toEqual([900, 1_399, 500]);
  expect(await openLog(read, NONE, 1_000)).toMatchObject({ from: 900, after: true, next: 1_400 });
  expect(asked).toEqual(["from=-500 limit=500", "from=900 limit=500", "from=900 limit=500"]);
  expect(await openLog(away, NONE, undefined)).toBeUndefined();
});

it("looks further up where a filter finds nothing, wider each time, and eight times", async () => {
  const { asked, read } = log(30_000, (n) => n === 20_000);
  const held = await openLog(read, { ...NONE, q: "x" }, undefined);
  const begins = asked.map((each) => Number(/^from=(-?\d+)/.exec(each)![1]));
  // Each look begins so many pages before the one before: 1, 2, 3 and so on. It goes on by pages.
  const looks = begins.filter((from, at) => at > 0 && from <= begins[at - 1]!);
  expect([begins[1], ...looks.slice(0, 2)]).toEqual([29_001, 28_001, 26_501]);
  expect(numbers(held)).toEqual([20_000, 20_000, 1]);
  expect(held).toMatchObject({ next: 30_001, after: false });
  const none = log(30_000, () => false);
  const nothing = await openLog(none.read, NONE, undefined);
  expect(nothing).toMatchObject({ lines: [], from: 29_501 - (500 * 8 * 9) / 2 });
  const short = log(700, () => false);
  expect(await openLog(short.read, NONE, undefined)).toMatchObject({ lines: [], from: 1 });
});

it("the lines before the first are those up to it, and none where there are none", async () => {
  const { read, asked } = log(2_000);
  const opened = (await openLog(read, NONE, 1_000))!;
  const older = await olderLines(read, NONE, opened);
  expect(numbers(older)).toEqual([400, 1_399, 1_000]);
  expect(older).toMatchObject({ from: 400, after: true, next: 1_400 });
  const all = await olderLines(read, NONE, await olderLines(read, NONE, older));
  expect([numbers(all), all.from]).toEqual([[1, 1_399, 1_399], 1]);
  const before = asked.length;
  expect(await olderLines(read, NONE, all)).toEqual(all);
  expect(asked).toHaveLength(before);
  expect(await olderLines(away, NONE, opened)).toBe(opened);
});

it("lines after the last one go on from it, and the oldest of 20,000 are let go", async () => {
  const opened = { lines: lines(1, 19_900), from: 1, after: true, next: 19_901 };
  const { read } = log(20_300);
  const kept = await newerLines(read, NONE, opened, true);
  expect([numbers(kept), kept.from, kept.after]).toEqual([[1, 20_300, 20_300], 1, false]);
  const cut = await newerLines(read, NONE, opened, false);
  expect([numbers(cut), cut.from, cut.next]).toEqual([[301, 20_300, 20_000], 301, 20_301]);
  const whole = await newerLines(log(20_000).read, NONE, opened, false);
  expect([numbers(whole), whole.from]).toEqual([[1, 20_000, 20_000], 1]);
  expect(await newerLines(away, NONE, opened, false)).toBe(opened);
});

it("where nothing came, it is the same; that nothing more comes is new once", async () => {
  const { read } = log(500);
  const opened = { lines: lines(1, 500), from: 1, after: true, next: 501 };
  const told = await newerLines(read, NONE, opened, false);
  expect(told).toEqual({ ...opened, after: false });
  expect(await newerLines(read, NONE, told, false)).toBe(told);
});

it("a page that does not go on ends a look", async () => {
  let reads = 0;
  const stuck: ReadLog = ({ from }) => {
    reads += 1;
    const page = { lines: [], from: Number(from), next: Number(from), more: true };
    return Promise.resolve(page as unknown as RunLogPage);
  };
  const held = { lines: [], from: 900, after: false, next: 900 };
  expect(await olderLines(stuck, NONE, held)).toMatchObject({ lines: [], from: 1 });
  expect(reads).toBe(2);
});
