/** A run's ledger that lacks the end is told apart from that of a run that goes on. */
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { checkpointOf } from "../../src/core/pipeline-checkpoint.ts";
import { emptyPipelineState, ENDED_KEPT } from "../../src/core/pipeline-state.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readRun } from "../../src/views/run-reading.ts";
import { completedRun, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";
const endOf = (run: string): { type: string } & Record<string, unknown> => ({
  type: "run.finished",
  run,
  status: "completed",
  durationMs: 1,
});

/** A run whose ledger is cut, and what the pipeline's says after it began. */
function given(cut: (path: string) => void, after: readonly { type: string }[]): RunStore {
  const { runs } = tempRoot();
  writePipeline(runs, "p", [
    loaded("* * * * *"),
    { type: "slot.fired", slot: "2026-11-23T02:00:00.000Z", run: RUN },
    { type: "run.started", run: RUN },
    ...after,
  ]);
  cut(writeRun(runs, RUN, completedRun(RUN)));
  return new RunStore(runs);
}

const LAST = completedRun(RUN).length;
const inLastLine = (path: string): void => truncateSync(path, readFileSync(path).length - 9);
const lastLine = (path: string): void => {
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.slice(0, text.trimEnd().lastIndexOf("\n") + 1));
};

it.each<[string, (path: string) => void, RegExp]>([
  ["ends within its last line", inLastLine, new RegExp(`^line ${LAST}: `)],
  ["lacks its last line", lastLine, new RegExp(`^line ${LAST}: it is missing$`)],
])("a ledger that %s is damaged where the run has finished", (_, cut, fault) => {
  const reading = readRun(given(cut, [endOf(RUN)]), RUN);
  expect(reading).toMatchObject({ ok: true, fault: expect.stringMatching(fault) as string });
  const goesOn = readRun(given(cut, []), RUN);
  expect(goesOn.ok && [goesOn.fault, goesOn.state.finished]).toEqual([undefined, undefined]);
});

it("the end of a run that many others ended after is found, too", () => {
  const two = (n: number): string => String(n).padStart(2, "0");
  const others = Array.from({ length: ENDED_KEPT }, (_, n) =>
    endOf(`p@20261124T02${two(Math.floor(n / 60))}${two(n % 60)}Z`),
  );
  const finished = readRun(given(lastLine, [endOf(RUN), ...others]), RUN);
  expect(finished).toMatchObject({ fault: `line ${LAST}: it is missing` });
  expect(readRun(given(lastLine, others), RUN)).not.toHaveProperty("fault");
});

it("so it is where the newest checkpoint knows of later ends alone", () => {
  const state = emptyPipelineState();
  for (let n = 0; n < ENDED_KEPT; n += 1) state.ended.add(`p@20261124T02${10 + n}00Z`);
  const finished = readRun(given(lastLine, [endOf(RUN), checkpointOf(state)]), RUN);
  expect(finished).toMatchObject({ fault: `line ${LAST}: it is missing` });
});

it("nothing is said where the past is asked for, or the pipeline's ledger cannot be read", () => {
  const store = given(lastLine, [endOf(RUN)]);
  expect(readRun(store, RUN, Date.UTC(2100, 0))).not.toHaveProperty("fault");
  rmSync(join(store.pipelineDir("p"), "pipeline.jsonl"));
  expect(readRun(store, RUN)).not.toHaveProperty("fault");
});
