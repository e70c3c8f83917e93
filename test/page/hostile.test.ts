/** Names, reasons and logs from outside go through the API as data, and nothing else. */
import { writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { completedRun, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { openEvents } from "./event-client.ts";
import { pageRig } from "./page-rig.ts";

const BAD =
  "</script><img src=x onerror=alert(1)>\u001b]0;own\u0007\u001b[31m\u202eevil\r\n\n" +
  'data: {"seq":99}\nid: x\n\nevent: close\u2028\u0000';
const AT = "2026-11-23T02:00:00.000Z";
const RUN = "bad@20261123T020000Z";

it("hostile words arrive as they are, in JSON that no browser runs", async () => {
  const { root, runs, ...rest } = tempRoot();
  writePipeline(runs, "bad", [
    { ...loaded("* * * * *"), description: BAD, tags: [BAD], file: "/x/bad.yaml" },
    { type: "slot.skipped", at: AT, slot: AT, because: BAD, through: AT },
    { type: "pipeline.paused", at: AT, requestId: "q1", by: BAD, because: BAD },
    { type: "run.started", at: AT, run: RUN, trigger: "manual" },
  ]);
  writeRun(runs, RUN, completedRun(RUN), AT);
  const line = { at: AT, step: "a", attempt: 1, stream: "stdout", line: BAD };
  writeFileSync(`${runs}/bad/2026-11/${RUN}.log`, `${JSON.stringify(line)}\n`);
  const rig = await pageRig({}, { root, runs, ...rest });
  for (const where of [
    "overview",
    "pipelines/bad",
    "pipelines/bad/slots?from=2026-11-22",
    "pipelines/bad/why?at=2026-11-23T02:00:00Z",
    `runs/${encodeURIComponent(RUN)}/log`,
    "requests",
  ]) {
    const got = await rig.ask(`/api/v1/${where}`);
    expect([where, got.status]).toEqual([where, 200]);
    expect(got.headers["content-type"]).toBe("application/json");
    expect(got.headers["x-content-type-options"]).toBe("nosniff");
    // No raw control character: JSON escapes each.
    expect(got.text).not.toMatch(/[\u0000-\u001f]/);
    expect(JSON.stringify(got.json())).toContain(JSON.stringify(BAD).slice(1, -1));
  }
  const problem = await rig.ask(`/api/v1/runs?status=${encodeURIComponent(BAD.slice(0, 60))}`);
  expect([problem.status, problem.headers["content-type"]]).toEqual([
    400,
    "application/problem+json",
  ]);
  const stream = await openEvents({ port: rig.port }, "/api/v1/events?from=start&ids=short", {
    authorization: `Bearer ${rig.page.token}`,
  });
  await stream.until(4);
  // The words of the second line made no event of their own.
  expect(stream.events.slice(0, 3).map(({ id }) => id)).toEqual(
    [1, 2, 3].map((seq) => `bad/pipeline.jsonl:${seq}`),
  );
  expect((JSON.parse(stream.events[1]!.data) as { because: string }).because).toBe(BAD);
  stream.close();
});
