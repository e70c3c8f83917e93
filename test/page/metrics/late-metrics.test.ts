/** Code of the page that could not be loaded at first. */
import { expect, it, onTestFinished, vi } from "vitest";
import { pageRig } from "../page-rig.ts";

it("a scrape loads the code that the scrape before it could not load", async () => {
  const path = "../../../src/page/metrics/metrics.ts";
  vi.doMock(path, () => {
    throw new Error("EMFILE: too many open files");
  });
  onTestFinished(() => vi.doUnmock(path));
  const rig = await pageRig();
  expect((await rig.ask("/metrics")).status).toBe(500);
  vi.doUnmock(path);
  const { status, text } = await rig.ask("/metrics");
  expect(status).toBe(200);
  expect(text).toContain("orchd_up 0");
});

it("what needs code that is not loaded is answered once there are descriptors", async () => {
  let isFull = true;
  const asked: string[] = [];
  const rig = await pageRig({
    allowRequests: true,
    beforeLoad: () => {
      asked.push("load");
      if (isFull) throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
    },
  });
  const headers = { "content-type": "application/json" };
  const ask = async (): Promise<number[]> => {
    const statuses: number[] = [];
    for (const path of ["/openapi.json", "/api/v1/schema/pipeline"])
      statuses.push((await rig.ask(path)).status);
    const post = { method: "POST", headers, body: JSON.stringify({ type: "unknown" }) };
    return [...statuses, (await rig.ask("/api/v1/requests", post)).status];
  };
  expect((await ask()).every((status) => status >= 500)).toBe(true);
  isFull = false;
  expect(await ask()).toEqual([200, 200, 422]);
  const { length } = asked;
  expect([await ask(), asked.length]).toEqual([[200, 200, 422], length]);
});
