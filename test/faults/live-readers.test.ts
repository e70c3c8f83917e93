/**
 * Promise 10: four readers follow a ledger while a thousand lines a second are written to it. They
 * never see half a fact.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { reached, trials } from "../support/figures.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { endedWithTest } from "../support/process-end.ts";
import { buildProgram } from "../support/program.ts";
import { tempRoot } from "../support/temp-root.ts";

const READERS = 4;
const LINES_A_SECOND = 1_000;
let writer: string;
let follower: string;
beforeAll(async () => {
  writer = await buildProgram("ledger-writer");
  follower = await buildProgram("ledger-follower");
});

interface Seen {
  readonly lines: number;
  readonly looks: number;
  readonly faults: readonly string[];
}

/** What a program printed, once it has ended. */
function output(child: ChildProcess): Promise<string> {
  let text = "";
  child.stdout!.setEncoding("utf8").on("data", (more: string) => (text += more));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) =>
      status === 0 ? resolve(text) : reject(new Error(`it ended with status ${String(status)}`)),
    );
  });
}

/**
 * Writes groups of lines while readers follow.
 *
 * @returns how many lines there are, and what each reader saw of them
 */
async function follow(
  groups: number,
  aSecond: number,
  planted: { readonly writer?: string; readonly reader?: string } = {},
) {
  const path = join(tempRoot().root, "2026-11", "run.jsonl");
  const words = (word: string | undefined): string[] => (word === undefined ? [] : [word]);
  const readers = Array.from({ length: READERS }, () =>
    endedWithTest(
      spawn(process.execPath, [follower, path, ...words(planted.reader)], {
        stdio: ["pipe", "pipe", "inherit"],
      }),
    ),
  );
  const seen = readers.map(output);
  const writing = endedWithTest(
    spawn(
      process.execPath,
      [writer, path, String(groups), `a-second=${aSecond}`, ...words(planted.writer)],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    ),
  );
  await output(writing);
  for (const reader of readers) reader.stdin.end();
  const results = (await Promise.all(seen)).map((text) => JSON.parse(text) as Seen);
  const written = readWholeLedger(path).length;
  return {
    written,
    results,
    good: results.filter(({ lines, faults }) => lines === written && faults.length === 0).length,
  };
}

it("readers of a ledger that is being written see whole facts", { timeout: 600_000 }, async () => {
  // A group is one to three lines, two on average.
  const groups = (trials(2, 60) * LINES_A_SECOND) / 2;
  const { written, results, good } = await follow(groups, LINES_A_SECOND / 2);
  const looks = results.reduce((sum, one) => sum + one.looks, 0);
  reached(
    10,
    `readers of ${written} lines that saw each once and no fault, in ${looks} looks`,
    good,
    READERS,
  );
  expect(results.flatMap(({ faults }) => faults)).toEqual([]);
  expect(good).toBe(READERS);
});

it(
  "readers see no half line of a write in two pieces, thanks to the rule of the line feed",
  { timeout: 120_000 },
  async () => {
    const { results, good } = await follow(60, 100, { writer: "torn" });
    reached(
      10,
      "readers that saw each line once and no fault, where writes come in two pieces",
      good,
      READERS,
    );
    expect(results.flatMap(({ faults }) => faults)).toEqual([]);
    expect(good).toBe(READERS);
    const without = await follow(60, 100, { writer: "torn", reader: "half-lines" });
    expect(without.good).toBeLessThan(READERS);
    expect(without.results.flatMap(({ faults }) => faults).join()).toContain("is no line");
  },
);
