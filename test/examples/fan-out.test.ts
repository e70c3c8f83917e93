/** The example fan-out: a step for each file, what the cache answers, and what one failure does. */
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { outcomeOf, type PlainRun } from "../support/ledgers.ts";
import type { TempRoot } from "../support/temp-root.ts";
import { exampleRoot, linesOfType, outputsOf, runToEnd, stepsWith } from "./example-root.ts";

const scan = (root: TempRoot): Promise<PlainRun> => runToEnd(root, "log-scan");

/** The greatest number of steps that were under way at once. */
function mostAtOnce(run: PlainRun): number {
  let [running, most] = [0, 0];
  for (const { type } of run.lines) {
    if (type === "step.started") most = Math.max(most, (running += 1));
    if (type === "step.completed") running -= 1;
  }
  return most;
}

describe("the fan-out", () => {
  it("makes a step for each file, and reads again the files that have changed", async () => {
    const root = exampleRoot("fan-out");
    const first = await scan(root);
    expect(outcomeOf(first)).toBe("completed");
    expect(stepsWith(first, "step.completed").sort()).toEqual([
      "find",
      "report",
      "scan",
      "scan_2",
      "scan_3",
    ]);
    expect(outputsOf(first, "scan_2")).toEqual({
      result: { name: "web.log", counts: { WARN: 1, ERROR: 2 } },
    });
    expect(outputsOf(first, "report")).toEqual({
      result: { files: 3, totals: { WARN: 2, ERROR: 3 } },
    });

    appendFileSync(join(root.root, "logs/web.log"), "2026-11-27T10:00:00Z ERROR again\n");
    const second = await scan(root);
    expect(stepsWith(second, "step.cached")).toEqual(["scan", "scan_3"]);
    expect(linesOfType(second, "step.started", "scan_2")).toMatchObject([
      { because: expect.stringContaining('input "file" changed') },
    ]);
    expect(outputsOf(second, "report")).toMatchObject({ result: { totals: { ERROR: 4 } } });
  });

  it("reports on the other files when one cannot be scanned, and ends failed", async () => {
    const root = exampleRoot("fan-out");
    writeFileSync(join(root.root, "logs/broken.log"), Buffer.from([0xff, 0xfe]));
    const run = await scan(root);
    expect(stepsWith(run, "step.failed")).toEqual(["scan"]);
    expect(linesOfType(run, "step.failed")).toMatchObject([
      { error: { message: "broken.log is not a text file" } },
    ]);
    expect(outputsOf(run, "report")).toMatchObject({ result: { files: 3 } });
    expect(outcomeOf(run)).toBe("failed");
    expect(run.lines.at(-1)!["because"]).toContain("1 of 4 files could not be scanned: broken.log");
  });

  it("runs four steps at once, however many files there are", async () => {
    const root = exampleRoot("fan-out");
    for (let number = 0; number < 30; number += 1)
      root.write(`logs/more-${number}.log`, `now ERROR ${number}\n`);
    const run = await scan(root);
    expect(outputsOf(run, "report")).toMatchObject({ result: { files: 33 } });
    expect(mostAtOnce(run)).toBe(4);
  });

  it("completes when there is no file", async () => {
    const root = exampleRoot("fan-out");
    rmSync(join(root.root, "logs"), { recursive: true });
    root.write("logs/notes.txt", "not a log");
    const run = await scan(root);
    expect(outcomeOf(run)).toBe("completed");
    expect(stepsWith(run, "step.completed")).toEqual(["find"]);
  });
});
