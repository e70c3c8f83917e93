/**
 * Prints the last lines of `npm run test:faults`: one for each promise of docs/failure-model.md,
 * with what was reached of how many.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { Reporter, TestModule } from "vitest/node";
import type { Figure } from "./figures.ts";
import { projectRoot } from "./project-root.ts";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export default class PromiseReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const path = process.env["ORCHD_FIGURES"] ?? "";
    const figures = existsSync(path)
      ? readFileSync(path, "utf8")
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => JSON.parse(line) as Figure)
      : [];
    const byFile = new Map(
      modules.map((module) => [relative(projectRoot, module.moduleId), countsOf(module)]),
    );
    const lines = promises().map(({ number, promise, tests }) => {
      const own = figures.filter((figure) => figure.promise === number);
      const counts = tests.flatMap((file) => byFile.get(file) ?? []);
      return `${String(number).padStart(2)}. ${promise}: ${resultOf(own, counts)}`;
    });
    process.stdout.write(`\n${lines.join("\n")}\n`);
  }
}

/** The rows of the table: each promise and the tests that hold it. */
function promises(): {
  readonly number: number;
  readonly promise: string;
  readonly tests: readonly string[];
}[] {
  const text = readFileSync(join(projectRoot, "docs/failure-model.md"), "utf8");
  return [...text.matchAll(/^\| (\d+) \| (.*?) \|(.*)\|$/gm)].map(([, number, promise, rest]) => ({
    number: Number(number),
    promise: promise!,
    tests: [...rest!.matchAll(/`([^`]+\.test\.ts)`/g)].map(([, file]) => file!),
  }));
}

/** What was counted; where nothing was counted, how many tests passed. */
function resultOf(figures: readonly Figure[], counts: readonly Counts[]): string {
  const sum = (of: keyof Counts): number => counts.reduce((total, one) => total + one[of], 0);
  const failed = sum("failed") > 0 ? `, ${sum("failed")} TESTS FAILED` : "";
  const skipped = sum("skipped") > 0 ? `, ${sum("skipped")} tests cannot be run here` : "";
  if (figures.length > 0)
    return (
      figures.map(({ what, good, of }) => `${good} / ${of} (${what})`).join("; ") + failed + skipped
    );
  const ran = sum("passed") + sum("failed");
  return ran === 0 ? `not run${skipped}` : `${sum("passed")} / ${ran} tests${failed}${skipped}`;
}

function countsOf(module: TestModule): Counts {
  const counts = { passed: 0, failed: module.errors().length, skipped: 0 };
  for (const test of module.children.allTests()) {
    const { state } = test.result();
    if (state === "passed" || state === "failed" || state === "skipped") counts[state] += 1;
  }
  return counts;
}
