/**
 * The lines of all ledgers as one reader gets them. A model writes ledgers as the daemon does, with
 * rotations, and readers end and go on from their mark at any moment: no line is lost, none comes
 * twice, and those of one ledger come in their order.
 */
import { appendFileSync, existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { LedgerMark, type TailLine } from "../../src/views/ledger-mark.ts";
import { LedgerTail } from "../../src/views/ledger-tail.ts";
import { pipelineLedgers } from "../../src/views/run-history.ts";
import { tempRoot } from "../support/temp-root.ts";

/** Writes ledgers, without a daemon, and remembers every line of each. */
class Writer {
  readonly written = new Map<string, string[]>();
  readonly store: RunStore;
  readonly #seqs = new Map<string, number>();
  readonly #active = new Map<string, string[]>();
  #rotations = 0;
  #lines = 0;
  #minute = 0;

  constructor(runs: string) {
    this.store = new RunStore(runs);
  }

  /** The slot's run begins. */
  fire(pipeline: string): void {
    const minute = String((this.#minute += 1)).padStart(4, "0");
    const run = `${pipeline}@20261128T${minute.slice(0, 2)}${minute.slice(2)}00Z`;
    this.#append(this.store.runLedger(run), run, { type: "run.submitted" });
    this.#append(this.store.pipelineLedger(pipeline), pipeline, { type: "slot.fired", run });
    this.#active.set(pipeline, [...(this.#active.get(pipeline) ?? []), run]);
  }

  /** The oldest run of a pipeline goes on. */
  step(pipeline: string): void {
    const run = this.#active.get(pipeline)?.[0];
    if (run !== undefined) this.#append(this.store.runLedger(run), run, { type: "step.started" });
  }

  /** The oldest run of a pipeline ends. */
  end(pipeline: string): void {
    const run = this.#active.get(pipeline)?.shift();
    if (run === undefined) return;
    this.#append(this.store.runLedger(run), run, { type: "run.finished" });
    this.#append(this.store.pipelineLedger(pipeline), pipeline, { type: "run.finished", run });
  }

  /** The pipeline's ledger is renamed, and a new one begins with what is active. */
  rotate(pipeline: string): void {
    const path = this.store.pipelineLedger(pipeline);
    if (!existsSync(path)) return;
    this.#rotations += 1;
    const nth = this.#rotations === 1 ? "" : `-${this.#rotations}`;
    renameSync(path, join(dirname(path), `pipeline-2026-11-28${nth}.jsonl`));
    this.#seqs.delete(path);
    const active = Object.fromEntries(
      (this.#active.get(pipeline) ?? []).map((run) => [run, "schedule"]),
    );
    this.#append(path, pipeline, { type: "pipeline.checkpoint", active });
  }

  #append(path: string, owner: string, event: object): void {
    const seq = (this.#seqs.get(path) ?? 0) + 1;
    this.#seqs.set(path, seq);
    const at = new Date(1_700_000_000_000 + (this.#lines += 1)).toISOString();
    const crc = this.#lines.toString(16).padStart(8, "0");
    mkdirSync(dirname(path), { recursive: true });
    const line = JSON.stringify({ seq, b: seq, at, ...event, crc });
    if (seq === 1) writeFileSync(path, `${line}\n`);
    else appendFileSync(path, `${line}\n`);
    this.written.set(owner, [...(this.written.get(owner) ?? []), crc]);
  }
}

/** What a reader was given, by ledger. */
class Given {
  readonly lines = new Map<string, string[]>();

  take(lines: readonly TailLine[], mark: LedgerMark): void {
    for (const given of lines) {
      mark.took(given);
      const owner = given.run ?? given.pipeline;
      this.lines.set(owner, [...(this.lines.get(owner) ?? []), String(given.line["crc"])]);
    }
  }
}

const pipelines = fc.constantFrom("a", "b");
const acts = fc.array(
  fc.oneof(
    fc.record({ act: fc.constantFrom("fire", "step", "end", "rotate"), pipeline: pipelines }),
    fc.record({ act: fc.constantFrom("look", "look", "restart"), pipeline: pipelines }),
  ),
  { maxLength: 60 },
);

describe("the lines of all ledgers", () => {
  it("come once each and in order, over rotations and readers that end and go on", () => {
    fc.assert(
      fc.property(acts, (steps) => {
        const writer = new Writer(tempRoot().runs);
        const given = new Given();
        let mark = new LedgerMark();
        let tail = new LedgerTail(writer.store);
        given.take(tail.resume(mark), mark);
        for (const { act, pipeline } of steps) {
          if (act === "look") given.take(tail.look(true), mark);
          else if (act === "restart") {
            tail.close();
            mark = LedgerMark.parse(mark.toString());
            tail = new LedgerTail(writer.store);
            given.take(tail.resume(mark), mark);
          } else {
            // A reader looks many times between two rotations of 16 MiB.
            if (act === "rotate") given.take(tail.look(true), mark);
            writer[act as "fire"](pipeline);
          }
        }
        given.take(tail.look(true), mark);
        given.take(tail.look(true), mark);
        tail.close();
        const sorted = (lines: ReadonlyMap<string, readonly string[]>) =>
          [...lines].toSorted(([a], [b]) => (a < b ? -1 : 1));
        expect(sorted(given.lines)).toEqual(sorted(writer.written));
      }),
      { numRuns: 150 },
    );
  });

  it("begin now where no mark is given, and miss no run that goes on", () => {
    const writer = new Writer(tempRoot().runs);
    writer.fire("a");
    writer.fire("a");
    const mark = new LedgerMark();
    const tail = new LedgerTail(writer.store);
    expect(tail.begin(0, mark)).toEqual([]);
    writer.step("a");
    writer.end("a");
    const types = tail.look(false).map(({ line }) => line["type"]);
    expect(types).toEqual(["step.started", "run.finished", "run.finished"]);
    tail.close();
    const later = new LedgerTail(writer.store);
    const missed = later.resume(LedgerMark.parse(mark.toString()));
    expect(missed.map(({ line }) => line["type"])).toEqual(types);
    later.close();
  });

  it("are told by a sentence where a position is none", () => {
    for (const text of ["", "{}", "null", "[1]", '[{"a":1}]'])
      expect(() => LedgerMark.parse(text)).toThrow(/is no position in the ledgers/);
  });
});

it("a pipeline's ledgers are listed by day and number, not by their names as texts", () => {
  const { runs, write } = tempRoot();
  const names = ["", "-2026-11-27", "-2026-11-28", "-2026-11-28-2", "-2026-11-28-10"];
  for (const name of names) write(`runs/p/pipeline${name}.jsonl`, "");
  const listed = pipelineLedgers(new RunStore(runs), "p");
  expect(listed.map((path) => path.slice(runs.length + "/p/pipeline".length))).toEqual(
    ["", "-2026-11-28-10", "-2026-11-28-2", "-2026-11-28", "-2026-11-27"].map(
      (name) => `${name}.jsonl`,
    ),
  );
});
