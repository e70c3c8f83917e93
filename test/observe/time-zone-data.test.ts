/** A warning of old time-zone data, by the version that Node has. */
import { expect, it, onTestFinished, vi } from "vitest";
import { silentLog } from "../../src/log.ts";
import { checkTimeZoneData } from "../../src/observe/time-zone-data.ts";

it.each([
  ["2025b", true],
  ["2026b", true],
  ["2026c", false],
  ["2027a", false],
  [undefined, true],
])("%s is old: %s", (tz, isOld) => {
  vi.stubGlobal("process", { versions: { tz } });
  onTestFinished(() => void vi.unstubAllGlobals());
  const warned: unknown[] = [];
  const log = { ...silentLog, warn: (...words: unknown[]) => void warned.push(words) };
  expect(checkTimeZoneData(log)).toBe(tz ?? "");
  expect(warned).toEqual(
    isOld
      ? [
          [
            { tzdata: tz ?? "" },
            `this Node's time-zone data is ${tz ?? ""}, older than 2026c: ` +
              "offsets are wrong in some zones; use a newer Node",
          ],
        ]
      : [],
  );
});
