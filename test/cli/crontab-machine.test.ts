/** The machine's zone where no file tells it: what Node finds, whatever TZ is set here. */
import type * as nodeFs from "node:fs";
import { expect, it, onTestFinished, vi } from "vitest";
import { machineZone } from "../../src/cli/crontab-zone.ts";

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof nodeFs>();
  const missing = (): never => {
    throw Object.assign(new Error("no such file"), { code: "ENOENT" });
  };
  return { ...fs, readlinkSync: missing, readFileSync: missing };
});

it("leaves the variable TZ as it was", () => {
  const before = process.env["TZ"];
  onTestFinished(() => {
    if (before === undefined) delete process.env["TZ"];
    else process.env["TZ"] = before;
  });
  process.env["TZ"] = "Asia/Tokyo";
  expect(machineZone()).toMatchObject({ zone: { ok: true, zone: "Asia/Tokyo" } });
  expect(process.env["TZ"]).toBe("Asia/Tokyo");
});
