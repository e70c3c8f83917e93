import { appendFileSync, mkdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readLogEnd } from "../../src/views/log-end.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "etl@20261128T164316Z";
const AT = "2026-11-28T16:43:16.481Z";
const line = (text: string, step = "a"): string =>
  `${JSON.stringify({ at: AT, step, attempt: 1, stream: "stdout", line: text })}\n`;

function logOf(text: string | Buffer): { store: RunStore; path: string } {
  const store = new RunStore(tempRoot().runs);
  const path = store.runLog(RUN);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return { store, path };
}

describe("the end of a run's log", () => {
  it("is its last lines, oldest first", async () => {
    const { store } = logOf(Array.from({ length: 50 }, (_, n) => line(`n${n}`)).join(""));
    const lines = await readLogEnd(store, RUN, 20);
    expect(lines.map((one) => one.line)).toEqual(
      Array.from({ length: 20 }, (_, n) => `n${n + 30}`),
    );
    expect(await readLogEnd(store, RUN, 100)).toHaveLength(50);
  });

  it("is empty without a file, and in an empty file", async () => {
    const { store } = logOf("");
    expect(await readLogEnd(store, RUN, 20)).toEqual([]);
    expect(await readLogEnd(store, "etl@20261128T164317Z", 20)).toEqual([]);
  });

  it("leaves out a line without its end, and what is none", async () => {
    const { store } = logOf(`no JSON\n\n[1]\n{"line":"no step"}\n${line("whole")}{"step":"a","li`);
    expect(await readLogEnd(store, RUN, 20)).toEqual([{ step: "a", line: "whole" }]);
  });

  it("leaves out lines that are too long", async () => {
    const { store } = logOf(line("before") + line("x".repeat(300_000)) + line("after"));
    expect((await readLogEnd(store, RUN, 20)).map((one) => one.line)).toEqual(["after"]);
    const { store: longest } = logOf(line("x".repeat(300_000)));
    expect(await readLogEnd(longest, RUN, 20)).toEqual([]);
  });

  it("costs the same of a gigabyte", async () => {
    const { store, path } = logOf(line("first"));
    truncateSync(path, 1_073_741_824);
    appendFileSync(path, `\n${line("last")}`);
    expect(statSync(path).size).toBeGreaterThan(1_073_741_824);
    const before = process.cpuUsage();
    expect(await readLogEnd(store, RUN, 20)).toEqual([{ step: "a", line: "last" }]);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(100);
  });
});
