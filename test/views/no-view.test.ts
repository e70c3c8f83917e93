/** A view that cannot be given is a value, with the sentence for a person. */
import { describe, expect, it } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { knownPipeline } from "../../src/views/known-pipeline.ts";
import { readPastStatus } from "../../src/views/past-status.ts";
import { findRun, noSuchStep, readRun, stateOfRun } from "../../src/views/run-reading.ts";
import { slotAnswers } from "../../src/views/slot-answer.ts";
import { readStatus } from "../../src/views/status-view.ts";
import { completedRun, header, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";
const NOW = Date.parse("2026-11-23T03:00:00Z");

describe("a run", () => {
  it("that does not exist is unknown", () => {
    const store = new RunStore(tempRoot().runs);
    for (const run of [RUN, "p", "../../etc/passwd", "p@"]) {
      const unknown = { ok: false, kind: "unknown", sentence: expect.stringContaining(run) };
      expect(findRun(store, run)).toEqual(unknown);
      expect(readRun(store, run)).toEqual(unknown);
      expect(stateOfRun(store, run)).toBeUndefined();
    }
  });

  it("that had not been submitted by then is unknown", () => {
    const { runs } = tempRoot();
    writeRun(runs, RUN, completedRun(RUN));
    const before = Date.parse("2026-11-22T00:00:00Z");
    expect(readRun(new RunStore(runs), RUN, before)).toMatchObject({
      kind: "unknown",
      sentence: `the run "${RUN}" cannot be shown: it had not been submitted by then.`,
    });
  });

  it.each([
    ["without a header", [], /has no whole header; `orchd verify`/],
    ["of a newer format", [header(RUN, {}, { format: 2 })], /has format 2, .* Install a newer/],
    [
      "whose snapshot is gone",
      [header(RUN, {}, { snapshot: { $artifact: "a".repeat(64), bytes: 9 } })],
      /^The artifact \S+ /,
    ],
  ])("%s is damaged", (_, events, sentence) => {
    const { runs } = tempRoot();
    writeRun(runs, RUN, events);
    const store = new RunStore(runs);
    expect(readRun(store, RUN)).toEqual({
      ok: false,
      kind: "damaged",
      sentence: expect.stringMatching(sentence),
    });
    expect(stateOfRun(store, RUN)).toBeUndefined();
  });

  it("has no step of another name", () => {
    const { runs } = tempRoot();
    writeRun(runs, RUN, [header(RUN, { read: [], count: ["read"] })]);
    expect(noSuchStep(stateOfRun(new RunStore(runs), RUN)!, "raed")).toMatchObject({
      kind: "unknown",
      sentence: `the run "${RUN}" has no step "raed"; its steps are read and count.`,
    });
  });
});

describe("a pipeline", () => {
  it("that does not exist is unknown, and a near name is told", () => {
    const roots = tempRoot({ "schedules/log-digest.yaml": "" });
    expect(knownPipeline(roots, "log-digest")).toEqual({ ok: true });
    expect(knownPipeline(roots, "log-digets")).toMatchObject({
      kind: "unknown",
      sentence: expect.stringContaining('did you mean "log-digest"?'),
    });
    expect(readStatus(roots, "nope", NOW)).toMatchObject({ kind: "unknown" });
    expect(readPastStatus(new RunStore(roots.runs), "nope", NOW)).toMatchObject({
      kind: "unknown",
      sentence: 'the pipeline "nope" was not there yet at 2026-11-23 03:00:00Z.',
    });
  });

  it("whose ledger has a newer format is damaged", () => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", [{ ...loaded("* * * * *"), format: 2 }]);
    const store = new RunStore(runs);
    const damaged = { kind: "damaged", sentence: expect.stringMatching(/has format 2/) };
    expect(slotAnswers(store, "p", NOW, NOW, NOW)).toMatchObject(damaged);
    expect(readPastStatus(store, undefined, NOW)).toMatchObject(damaged);
  });
});
