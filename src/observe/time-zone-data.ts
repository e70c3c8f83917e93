import type { Log } from "../log.ts";

/**
 * The time-zone data that knows every change of an offset up to this release. Older data is wrong
 * in some zones.
 */
const GOOD_VERSION = "2026c";

/** Warns where Node's time-zone data is old. @returns its version; empty where Node has none */
export function checkTimeZoneData(log: Log): string {
  const version = process.versions["tz"] ?? "";
  if (version < GOOD_VERSION)
    log.warn(
      { tzdata: version },
      `this Node's time-zone data is ${version}, older than ${GOOD_VERSION}: ` +
        "offsets are wrong in some zones; use a newer Node",
    );
  return version;
}
