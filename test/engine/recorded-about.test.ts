import { describe, expect, test } from "vitest";
import { readPipeline } from "../../src/views/pipeline-reading.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { writePipeline } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const minutely = scheduleOf({ cron: "* * * * *" });

function loads(there: EngineRig): readonly Readonly<Record<string, unknown>>[] {
  return there.lines("p").filter(({ type }) => type === "pipeline.loaded");
}

describe("what a file says for people", () => {
  test("is in the line of its load, a secret by its name, and outlives a checkpoint", async () => {
    const { runs } = tempRoot();
    const there = new EngineRig({ runs });
    await there.up();
    const params = { day: "mon", key: { secret: "KEY" } };
    await there.drop(pipelineOf("p", [minutely], { tags: ["backup"], params }));
    expect(loads(there)).toHaveLength(1);
    expect(loads(there)[0]).toMatchObject({ tags: ["backup"], params });
    await there.clock.advance(3_600_000 * 3);
    const { state } = readPipeline(there.store, "p")!;
    expect(state.counts["fired"]).toBeGreaterThan(100);
    expect(state.about).toEqual({ tags: ["backup"], params });
    await there.down();
    await there.up();
    expect(loads(there)).toHaveLength(1);
    await there.down();
  });

  test("says who is told of it, and no more once the file does not", async () => {
    const { runs } = tempRoot();
    const there = new EngineRig({ runs });
    await there.up();
    const notify = [{ to: ["ops"], after: 2 }];
    await there.drop(pipelineOf("p", [minutely], { notify }));
    expect(loads(there).at(-1)).toMatchObject({ notify });
    expect(readPipeline(there.store, "p")!.state.about).toMatchObject({ notify });
    await there.drop(pipelineOf("p", [minutely], { notify: false, digest: "2" }));
    expect(loads(there).at(-1)).toMatchObject({ notify: false });
    await there.drop(pipelineOf("p", [minutely], { digest: "3" }));
    expect(loads(there).at(-1)).not.toHaveProperty("notify");
    expect(readPipeline(there.store, "p")!.state.about).not.toHaveProperty("notify");
    await there.down();
  });

  test("leaves out params that are long", async () => {
    const there = new EngineRig({ runs: tempRoot().runs });
    await there.up();
    const pipeline = pipelineOf("p", [minutely], { params: { text: "x".repeat(20_000) } });
    await there.drop(pipeline);
    expect(loads(there)[0]).toMatchObject({ tags: [] });
    expect(loads(there)[0]).not.toHaveProperty("params");
    await there.down();
    await there.up();
    expect(loads(there)).toHaveLength(1);
    await there.down();
  });

  test("is recorded once where an older release did not, and decides no slot twice", async () => {
    const { runs } = tempRoot();
    const pipeline = pipelineOf("p", [minutely], { tags: ["backup"] });
    const at = "2026-11-23T01:58:30.000Z";
    writePipeline(runs, "p", [
      {
        type: "pipeline.loaded",
        format: 1,
        at,
        digest: pipeline.digest,
        schedules: JSON.parse(JSON.stringify(pipeline.schedules)) as unknown,
        tz: "UTC",
        tzdata: "2026c",
        file: pipeline.file,
        since: at,
        through: at,
      },
    ]);
    const there = new EngineRig({ runs });
    there.put(pipeline);
    await there.up();
    await there.clock.advance(61_000);
    expect(loads(there)).toHaveLength(2);
    const [, second] = loads(there);
    expect(second).toMatchObject({ digest: pipeline.digest, tags: ["backup"], since: at });
    expect(second).not.toHaveProperty("through");
    const decided = there.slots("p").map((text) => text.slice(-8));
    expect(new Set(decided).size).toBe(decided.length);
    await there.down();
    await there.up();
    expect(loads(there)).toHaveLength(2);
    await there.down();
  });
});
