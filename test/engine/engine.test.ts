import { describe, expect, test } from "vitest";
import { EngineRig, pipelineOf, scheduleOf } from "../support/engine-rig.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const minutely = scheduleOf({ cron: "* * * * *" });

function rig(options: Partial<ConstructorParameters<typeof EngineRig>[0]> = {}): EngineRig {
  return new EngineRig({ runs: tempRoot().runs, ...options });
}

describe("a slot that is due", () => {
  test("is fired in its second, with its run's ledger and one line", async () => {
    const there = rig();
    await there.up();
    await there.drop(pipelineOf("p", [minutely]));
    await there.clock.advance(125_000);
    expect(there.slots("p")).toEqual(["fired 02:01:00", "fired 02:02:00"]);
    const fired = there.lines("p").find(({ type }) => type === "slot.fired")!;
    expect(fired).toMatchObject({ slot: "2026-11-23T02:01:00.000Z", run: "p@20261123T020100Z", through: "2026-11-23T02:01:00.000Z", latenessMs: 0 });
    const lines = readWholeLedger(there.store.runLedger("p@20261123T020100Z"));
    expect(lines.map(({ type }) => type)).toEqual(["run.submitted", "run.started", "run.finished"]);
    expect(lines[0]!["trigger"]).toEqual({ kind: "schedule", scheduledFor: "2026-11-23T02:01:00.000Z" });
    readWholeLedger(there.store.pipelineLedger("p"));
    await there.down();
    expect(there.clock.timers).toBe(0);
  });
});
