import { expect, test } from "vitest";
import { readReply, writeRequest } from "../../src/ledger/requests.ts";
import type { Reply, RequestInput } from "../../src/core/request.ts";
import { readPipeline } from "../../src/views/pipeline-reading.ts";
import { viewPipeline } from "../../src/views/pipeline-view.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { tempRoot } from "../support/temp-root.ts";

const minutely = scheduleOf({ cron: "* * * * *" });

async function ask(there: EngineRig, id: string, request: RequestInput): Promise<Reply> {
  await writeRequest(there.store.runsDir, { ...request, by: "me" }, { id });
  await there.clock.until(() => readReply(there.store.runsDir, id) !== null);
  return readReply(there.store.runsDir, id)!;
}

test("a silence is recorded, ends by itself or by request, and slots fire in it", async () => {
  const there = new EngineRig({ runs: tempRoot().runs });
  await there.up();
  await there.drop(pipelineOf("p", [minutely]));
  const silence = { type: "silence", pipeline: "p" } as const;
  const until = new Date(there.clock.now() + 3_600_000).toISOString();
  expect(await ask(there, "s1", { ...silence, until, because: "repairs" })).toMatchObject({
    accepted: true,
  });
  const shown = (): unknown =>
    viewPipeline("p", readPipeline(there.store, "p")!, there.clock.now()).silence;
  expect(shown()).toMatchObject({ until, because: "repairs" });
  expect(there.lines("p").find(({ requestId }) => requestId === "s1")).toMatchObject({
    type: "pipeline.silenced",
    until,
    because: "repairs",
    requestId: "s1",
  });
  await there.clock.advance(120_000);
  expect(there.slots("p").length).toBeGreaterThan(1);
  await there.down();
  await there.up();
  expect(shown()).toMatchObject({ until });
  await there.clock.advance(3_600_000);
  expect(shown()).toBeUndefined();
  expect(await ask(there, "s2", { ...silence, until: null })).toMatchObject({
    accepted: true,
    reason: "it was not silent",
  });
  const later = new Date(there.clock.now() + 86_400_000).toISOString();
  await ask(there, "s3", { ...silence, until: later });
  expect(shown()).toMatchObject({ until: later });
  expect(await ask(there, "s4", { ...silence, until: null })).toEqual(
    expect.not.objectContaining({ reason: expect.anything() as unknown }),
  );
  expect(shown()).toBeUndefined();
  await there.down();
});

test("a silence is refused that has passed, or that is of no pipeline", async () => {
  const there = new EngineRig({ runs: tempRoot().runs });
  await there.up();
  await there.drop(pipelineOf("p", [minutely]));
  const until = "2020-01-01T00:00:00Z";
  expect(await ask(there, "s1", { type: "silence", pipeline: "p", until })).toMatchObject({
    accepted: false,
    reason: "until: 2020-01-01T00:00:00.000Z has passed; name a time that comes",
  });
  expect(await ask(there, "s2", { type: "silence", pipeline: "q", until: null })).toMatchObject({
    accepted: false,
    reason: expect.stringMatching(/no pipeline/) as string,
  });
  await there.down();
});
