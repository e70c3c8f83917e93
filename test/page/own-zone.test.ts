/** The browser's own zone, where that is not UTC. */
import { expect, it } from "vitest";

it.each([
  ["America/New_York", "New York"],
  ["UTC", "UTC"],
  ["Etc/UTC", "UTC"],
])("of %s is called %s", async (id, label) => {
  process.env["TZ"] = id;
  await import("./plain-document.ts");
  const { vi } = await import("vitest");
  vi.resetModules();
  const { address } = await import("../../src/page/app/location.ts");
  const { clockText, zone } = await import("../../src/page/app/zone.ts");
  address.value = { path: "", query: new URLSearchParams("zone=mine") };
  expect(zone.value.label).toBe(label);
  const hours = label === "UTC" ? "12:00:00" : "07:00:00";
  expect(clockText("2026-11-28T12:00:00.000Z")).toBe(hours);
});
