/** What is told of an orchestrator that could not stop a run, by the run's ledger. */
import { expect, it } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { orchestratorFailure } from "../../src/views/stop-answer.ts";
import { header, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";
const asked = (mode: string, asksOrchestrator?: boolean): HandEvent => ({
  type: "run.stop_requested",
  mode,
  by: "ann",
  asksOrchestrator,
});
const failed = (mode: string): HandEvent => ({
  type: "stop.failed",
  mode,
  because: `it did not stop: ${mode}`,
  error: { name: "Error", message: "no" },
});
const accepted = (mode: string): HandEvent => ({ type: "stop.accepted", mode, because: "asked" });
const END: HandEvent = { type: "run.finished", status: "stopped", because: "x", durationMs: 1 };

it.each<[string, readonly HandEvent[], number, string | undefined]>([
  ["nobody asked for a stop", [], 1, undefined],
  ["the orchestrator is not asked", [asked("graceful"), failed("graceful")], 1, undefined],
  ["it failed", [asked("graceful", true), failed("graceful")], 1, "it did not stop: graceful"],
  ["it was accepted", [asked("graceful", true), accepted("graceful")], 1, undefined],
  [
    "it was accepted before it failed",
    [asked("graceful", true), accepted("graceful"), failed("graceful")],
    1,
    undefined,
  ],
  [
    "the answers to another way of stopping do not count",
    [asked("force", true), accepted("graceful"), failed("graceful"), failed("force")],
    1,
    "it did not stop: force",
  ],
  ["the run has ended", [asked("graceful", true), END, failed("graceful")], 1, undefined],
  [
    "what came before the stop does not count",
    [asked("graceful", true), failed("graceful"), asked("force", true), failed("force")],
    3,
    "it did not stop: force",
  ],
  ["nothing came since", [asked("graceful", true), failed("graceful")], 3, undefined],
])("%s", async (_what, events, since, because) => {
  const { runs } = tempRoot();
  writeRun(runs, RUN, [header(RUN, { a: [] }), ...events]);
  expect(await orchestratorFailure(new RunStore(runs), RUN, since)).toBe(because);
});
