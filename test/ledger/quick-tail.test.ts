import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { PipelineEvent } from "../../src/core/event.ts";
import { evolvePipeline } from "../../src/core/pipeline-fold.ts";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import { readTail } from "../../src/ledger/ledger-reader.ts";
import { readQuickTail } from "../../src/ledger/quick-tail.ts";
import { ledgerText, loaded, type HandEvent } from "../support/hand-ledger.ts";

const folder = mkdtempSync(join(tmpdir(), "quick-tail-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, "pipeline.jsonl");

function events(count: number, checkpointEvery: number): HandEvent[] {
  const all: HandEvent[] = [loaded("* * * * *")];
  for (let index = 1; index <= count; index += 1) {
    const slot = new Date(Date.UTC(2026, 10, 23) + index * 60_000).toISOString();
    const run = `p@${slot.slice(0, 19).replaceAll(/[-:]/g, "")}Z`;
    all.push(
      { type: "slot.fired", slot, run, through: slot },
      { type: "run.started", run },
      { type: "run.finished", run, status: "completed", durationMs: index },
    );
    if (index % checkpointEvery === 0) {
      all.push({
        type: "pipeline.checkpoint",
        through: slot,
        paused: false,
        schedules: [],
        active: [],
        queued: [],
        last: { run, status: "completed", startedAt: slot, finishedAt: slot },
        counts: { fired: index },
      });
    }
  }
  return all;
}

const fold = (lines: readonly unknown[]): unknown =>
  (lines as never[]).reduce(evolvePipeline, emptyPipelineState());

describe("the quick reader of the end of a pipeline's ledger", () => {
  it.each([
    [0, 10],
    [3, 100],
    [500, 64],
    [2_000, 1_900],
    [1_000, 1_000],
  ])("reads what the exact one reads, at %i runs and a checkpoint every %i", (count, every) => {
    writeFileSync(path, ledgerText(events(count, every)));
    const quick = readQuickTail<PipelineEvent>(path, "pipeline.checkpoint");
    const exact = readTail<PipelineEvent>(path, "pipeline.checkpoint");
    expect(quick).toBeDefined();
    expect(fold(quick!)).toEqual(fold(exact.lines));
    expect(quick!.at(-1)).toEqual(exact.lines.at(-1));
  });

  it("gives up on one damaged byte, or reads what the exact one reads", () => {
    const text = ledgerText(events(30, 9));
    const whole = Buffer.from(text);
    let givenUp = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: whole.length - 1 }),
        fc.integer({ min: 0, max: 255 }),
        (at, byte) => {
          const bytes = Buffer.from(whole);
          bytes[at] = byte;
          writeFileSync(path, bytes);
          const quick = readQuickTail<PipelineEvent>(path, "pipeline.checkpoint");
          if (quick === undefined) givenUp += 1;
          else expect(quick).toEqual(readTail<PipelineEvent>(path, "pipeline.checkpoint").lines);
        },
      ),
      { numRuns: 1_500 },
    );
    expect(givenUp).toBeGreaterThan(50);
  });

  it("gives up on every cut that is not between lines", () => {
    const text = ledgerText(events(4, 2));
    for (let length = 0; length < text.length; length += 1) {
      writeFileSync(path, text.slice(0, length));
      const quick = readQuickTail<PipelineEvent>(path, "pipeline.checkpoint");
      if (length > 0 && text[length - 1] === "\n")
        expect(quick).toEqual(readTail<PipelineEvent>(path, "pipeline.checkpoint").lines);
      else expect(quick).toBeUndefined();
    }
  });

  it.each<[string, Record<string, unknown>]>([
    ["a line is missing before it", { seq: 4 }],
    ["it is the line before it again", { seq: 2 }],
    ["it is of no write", { b: 1.5 }],
    ["it is of a write that was over", { b: 1 }],
    ["it has no time", { at: 7 }],
    ["its format is no number", { format: "1" }],
  ])("gives up on a line whose checksum is right where %s", (_, more) => {
    const line = { type: "request.noted", requestId: "r", because: "x" };
    const text = (last: object) => ledgerText([loaded("* * * * *"), line, { ...line, ...last }]);
    writeFileSync(path, text({}));
    expect(readQuickTail(path, "pipeline.checkpoint")).toHaveLength(3);
    writeFileSync(path, text(more));
    expect(readQuickTail(path, "pipeline.checkpoint")).toBeUndefined();
  });

  it("leaves other alphabets, prototypes, newer formats and empty files to the exact one", () => {
    for (const event of [
      { type: "pipeline.invalid", errors: ["größe"] },
      { type: "pipeline.invalid", errors: [], ["__proto__x"]: 1 },
      // Its text has an escape, and an escape may name a prototype.
      { type: "pipeline.invalid", errors: ["\u0007"] },
      {
        type: "pipeline.checkpoint",
        format: 99,
        paused: false,
        schedules: [],
        active: [],
        queued: [],
        last: null,
        counts: {},
      },
    ]) {
      writeFileSync(path, ledgerText([loaded("* * * * *"), event]));
      expect(readQuickTail(path, "pipeline.checkpoint")).toBeUndefined();
    }
    writeFileSync(path, "");
    expect(readQuickTail(path, "pipeline.checkpoint")).toBeUndefined();
  });
});
