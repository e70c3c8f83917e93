/** A run's log, a page at a time: from any line, from the end, and as it grows. */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readRunLog, type RunLogFilter } from "../../src/views/run-log.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "etl@20261128T004900Z";
const AT = "2026-11-28T00:49:00.000Z";
const ALL = { from: 1, limit: 5_000 };

function logOf(count: number, from = 1): string {
  return Array.from({ length: count }, (_, index) => {
    const n = from + index;
    const [step, stream] = [n % 3 === 0 ? "b" : "a", n % 5 === 0 ? "stderr" : "stdout"];
    const line = `line ${n} ${"x".repeat(n % 70)}`;
    return `${JSON.stringify({ at: AT, step, attempt: 1, stream, line })}\n`;
  }).join("");
}

function storeWith(text: string): { readonly store: RunStore; readonly path: string } {
  const store = new RunStore(tempRoot().runs);
  const path = store.runLog(RUN);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return { store, path };
}

async function numbers(store: RunStore, filter: Partial<RunLogFilter>): Promise<number[]> {
  const { lines } = await readRunLog(store, RUN, { ...ALL, ...filter });
  return lines.map(({ n }) => n);
}

describe("a run's log", () => {
  it("is empty where nothing was printed", async () => {
    const page = await readRunLog(new RunStore(tempRoot().runs), RUN, { ...ALL, from: -10 });
    expect(page).toEqual({ lines: [], from: 1, next: 1, more: false });
  });

  it("begins before its end", async () => {
    const { store } = storeWith(logOf(3_000));
    expect(await numbers(store, { from: -2 })).toEqual([2_999, 3_000]);
    const page = await readRunLog(store, RUN, { from: -10, limit: 4 });
    expect(page).toMatchObject({ from: 2_991, next: 2_995, more: true });
    expect(await numbers(store, { from: -9_000, limit: 1 })).toEqual([1]);
  });

  it("goes on from where it was asked for, where that many lines are not there yet", async () => {
    const { store } = storeWith("");
    const { lines, next, more } = await readRunLog(store, RUN, { ...ALL, from: 1_000 });
    expect([lines, next, more]).toEqual([[], 1_000, false]);
  });

  it("gives what was printed since, and no line that is not whole yet", async () => {
    const { store, path } = storeWith(logOf(1_500));
    const { next } = await readRunLog(store, RUN, { ...ALL, from: -1 });
    appendFileSync(path, logOf(700, 1_501) + '{"at":"2026-11-28T00:49:00.000Z","step":"a"');
    const page = await readRunLog(store, RUN, { ...ALL, from: next });
    expect(page.lines.length).toBe(700);
    expect(page.next).toBe(2_201);
    appendFileSync(path, ',"line":"whole now"}\n');
    const [last] = (await readRunLog(store, RUN, { ...ALL, from: page.next })).lines;
    expect(last).toMatchObject({ n: 2_201, line: "whole now" });
  });

  it("is read anew where the file is another one", async () => {
    const { store, path } = storeWith(logOf(2_000));
    await readRunLog(store, RUN, ALL);
    writeFileSync(path, logOf(3));
    expect(await numbers(store, {})).toEqual([1, 2, 3]);
  });

  it("filters by step, stream and text, and keeps the numbers", async () => {
    const { store } = storeWith(logOf(30));
    expect(await numbers(store, { step: "b", stream: "stderr" })).toEqual([15, 30]);
    expect(await numbers(store, { q: "LINE 7 " })).toEqual([7]);
    const line = JSON.stringify({ at: AT, step: "a", line: "An ERROR" });
    const { store: loud } = storeWith(`${line}\n`);
    expect(await numbers(loud, { q: "an error" })).toEqual([1]);
    expect(await numbers(loud, { q: "An Error" })).toEqual([1]);
    // An older release wrote neither the attempt nor the stream.
    const [plain] = (await readRunLog(loud, RUN, ALL)).lines;
    expect(plain).toEqual({
      n: 1,
      at: AT,
      step: "a",
      attempt: 1,
      stream: "stdout",
      line: "An ERROR",
    });
  });

  it("passes over what is no line of a step, and counts it", async () => {
    const { store } = storeWith(`${logOf(1)}no JSON\n[]\n${logOf(1, 4)}`);
    expect(await numbers(store, {})).toEqual([1, 4]);
  });

  it("gives every line once, whatever the size of its pages", async () => {
    const { store } = storeWith(logOf(2_600));
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 2_700 }),
        fc.integer({ min: 90 }),
        async (from, most) => {
          const found: number[] = [];
          for (let next = from; ;) {
            const page = await readRunLog(store, RUN, { from: next, limit: most });
            found.push(...page.lines.map(({ n }) => n));
            if (!page.more) break;
            next = page.next;
          }
          expect(found).toEqual(
            Array.from({ length: Math.max(0, 2_601 - from) }, (_, index) => from + index),
          );
        },
      ),
      { numRuns: 40 },
    );
  });
});

it("lines over the blocks of a file are all given, however long those before were", async () => {
  const long = 6 * 1_048_576;
  const lines = [long, 10, long, 300_000, long, 300_000].map((length, index) =>
    JSON.stringify({ at: AT, step: "a", attempt: 1, line: `${index}${"x".repeat(length)}` }),
  );
  const { store } = storeWith(`${lines.join("\n")}\n`);
  const found: string[] = [];
  for (let from = 1; ;) {
    const page = await readRunLog(store, RUN, { from, limit: 100 });
    found.push(...page.lines.map(({ n, line }) => `${n} ${line.slice(0, 2)}`));
    if (!page.more) break;
    from = page.next;
  }
  expect(found).toEqual(["1 0x", "2 1x", "3 2x", "4 3x", "5 4x", "6 5x"]);
});
