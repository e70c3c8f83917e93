/** Metrics whose code could not be loaded at first. */
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
