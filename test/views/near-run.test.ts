/** A run that is not there is answered with the one that was probably meant. */
import { describe, expect, it } from "vitest";
import { findRunNear, readRunNear } from "../../src/views/near-run.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { completedRun, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "nightly@20261123T020000Z";

function store(): RunStore {
  const { runs } = tempRoot();
  writePipeline(runs, "nightly", [
    loaded("* * * * *"),
    { type: "slot.fired", slot: "2026-11-23T02:00:00.000Z", run: RUN },
    { type: "run.started", run: RUN },
    { type: "run.finished", run: RUN, status: "completed", durationMs: 1 },
  ]);
  writeRun(runs, RUN, completedRun(RUN));
  return new RunStore(runs);
}

describe.each([
  ["findRunNear", findRunNear],
  ["readRunNear", readRunNear],
])("%s", (_, find) => {
  it("finds a run that is there", () => {
    expect(find(store(), RUN)).toMatchObject({ ok: true });
  });

  it.each(["nightly@20261123T020001Z", "nightli@20261123T020000Z", "nightly@20261123T020000"])(
    "names the one that is near to %s",
    (run) => {
      expect(find(store(), run)).toMatchObject({
        ok: false,
        kind: "unknown",
        sentence:
          `there is no run "${run}"; did you mean "${RUN}"? ` +
          "`orchd runs` lists those that there are.",
      });
    },
  );

  it("names the newest run of a pipeline that is given for one", () => {
    expect(find(store(), "nightly")).toMatchObject({
      ok: false,
      kind: "unknown",
      sentence:
        `"nightly" is a pipeline, and a run is asked for; its newest one is "${RUN}". ` +
        "`orchd runs nightly` lists them.",
    });
  });

  it("names none where none is near", () => {
    const far = find(store(), "etl@20200101T000000Z");
    expect(far).toMatchObject({ ok: false, kind: "unknown" });
    expect(JSON.stringify(far)).not.toContain("did you mean");
  });
});
