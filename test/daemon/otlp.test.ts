/** Where `orchd export otlp` begins, where it writes, and what it tells. */
import { once } from "node:events";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { exportTraces } from "../../daemon/otlp.ts";
import type { ExportOptions } from "../../src/cli/command.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { activeRunIds } from "../../src/views/active-run-ids.ts";
import { madeUpRoot } from "../support/made-up-root.ts";
import type { TempRoot } from "../support/temp-root.ts";

let gone: (() => void)[];
vi.mock("../../src/supervise/parent-gone.ts", () => ({
  onParentGone: (act: () => void) => void gone.push(act),
}));

let made: TempRoot;
let told: string[];
let begun: string[];
beforeEach(() => {
  gone = [];
  told = [];
  begun = [];
  made = madeUpRoot();
  const on = vi.spyOn(process, "on").mockReturnThis();
  onTestFinished(() => on.mockRestore());
});

/** Exports to the end of what is there. @returns its status, and the count */
async function exported(more: Partial<ExportOptions>): Promise<[number, object | undefined]> {
  let count: object | undefined;
  const { root, runs, schedules } = made;
  const status = await exportTraces({
    root,
    runs,
    schedules,
    endpoint: undefined,
    from: undefined,
    once: true,
    lines: undefined,
    begins: (name) => void begun.push(name),
    ends: (ended) => (count = ended),
    tell: (sentence) => void told.push(sentence),
    ...more,
  });
  return [status, count];
}

it("all that there is goes into a file or a pipe, from the ledgers' beginning", async () => {
  const lines: string[] = [];
  const [status, count] = await exported({ lines: (text) => void lines.push(text) });
  expect([status, begun, told]).toEqual([0, ["stdout"], []]);
  const spans = lines
    .join("")
    .trimEnd()
    .split("\n")
    .flatMap((line) => spansIn(JSON.parse(line)));
  expect(count).toEqual({ spans: spans.length, refused: 0 });
  expect(spans.length).toBeGreaterThan(4);
  const file = join(made.root, "spans.jsonl");
  writeFileSync(file, "");
  expect(await exported({ lines: file })).toEqual([0, count]);
  expect(begun.at(-1)).toBe(file);
  expect(readFileSync(file, "utf8")).toBe(lines.join(""));
  // Twice is twice: it keeps no position, and no lock.
  await exported({ lines: file });
  expect(readFileSync(file, "utf8")).toBe(lines.join("").repeat(2));
});

function spansIn(line: unknown): unknown[] {
  const { resourceSpans } = line as {
    resourceSpans: { scopeSpans: { spans: unknown[] }[] }[];
  };
  return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans));
}

it("from what is no position it is refused, before it begins", async () => {
  expect(await exported({ lines: () => undefined, from: "x" })).toEqual([2, undefined]);
  expect(told).toEqual([expect.stringMatching(/^--from: "x" is no position/)]);
  expect(begun).toEqual([]);
});

/** The address of a collector that takes all. */
async function collected(): Promise<string> {
  const collector = createServer((request, response) => {
    request.resume().on("end", () => response.end("{}"));
  }).listen(0, "127.0.0.1");
  await once(collector, "listening");
  onTestFinished(() => void collector.close());
  return `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
}

it("a run that goes on is told from its beginning, but for one that is gone", async () => {
  const endpoint = await collected();
  const store = new RunStore(made.runs);
  const [run] = activeRunIds(store);
  const ledger = store.runLedger(run!);
  renameSync(ledger, `${ledger}.aside`);
  const [none, without] = await exported({ endpoint });
  renameSync(`${ledger}.aside`, ledger);
  rmSync(join(store.orchdDir, "otlp.json"));
  const [all, told] = await exported({ endpoint });
  expect([none, all]).toEqual([0, 0]);
  expect(told).not.toEqual(without);
});

it("a collector gets it once, and all of it again where the position was lost", async () => {
  const endpoint = await collected();
  const file = join(new RunStore(made.runs).orchdDir, "otlp.json");
  mkdirSync(dirname(file), { recursive: true });
  const lost = [
    ["{", "is unreadable"],
    ['{"format":1,"position":"x"}', "is none"],
  ] as const;
  for (const [text, why] of lost) {
    writeFileSync(file, text);
    const [status, count] = await exported({ endpoint });
    expect(status).toBe(0);
    expect((count as { spans: number }).spans).toBeGreaterThan(4);
    expect(told.splice(0)).toEqual([expect.stringContaining(why)]);
    // It is kept, and the lock is released: the next one goes on from there.
    expect(await exported({ endpoint })).toEqual([0, { spans: 0, refused: 0 }]);
  }
  expect(begun[0]).toBe(`${endpoint}/v1/traces`);
  expect(told).toEqual([]);
});
