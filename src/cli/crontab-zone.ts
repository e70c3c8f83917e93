/**
 * The time zone that a crontab's lines go by: `CRON_TZ`, or the machine's.
 *
 * cron hands the text to the C library, which takes more than names: a path below a zoneinfo
 * folder, a colon before it, a rule such as `UTC0`. What has a name in the IANA database gets it.
 * The rest is refused: the C library reads a name that it does not know as UTC, without a word.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { readZoneName, zoneOfAbbreviation } from "../core/schedule/zone-name.ts";

/** A zone; or why there is none, as the rest of a sentence. */
export type CrontabZone =
  | { readonly ok: true; readonly zone: string }
  | { readonly ok: false; readonly message: string };

/** The zone of the machine, and what a person should know of it. */
export interface MachineZone {
  readonly zone: CrontabZone;
  readonly note?: string;
}

/**
 * The zone that a value of `CRON_TZ` or `TZ` means to the C library.
 *
 * @param system the zone of /etc/localtime; undefined if it cannot be told
 */
export function zoneOfVariable(text: string, system: string | undefined): CrontabZone {
  const path = text.replace(/^:/, "");
  if (path === "") return { ok: true, zone: "UTC" };
  if (path === "/etc/localtime" || path === "localtime")
    return system === undefined
      ? { ok: false, message: `${text} names no zone, and the machine's cannot be told` }
      : { ok: true, zone: system };
  const name = nameInPath(path) ?? path.replace(/^posix\//, "");
  const abbreviated = zoneOfAbbreviation(name);
  if (abbreviated !== undefined) return { ok: true, zone: abbreviated };
  const read = readZoneName(name);
  if (read.ok && read.zone === name) return read;
  if (read.ok)
    return {
      ok: false,
      message: `${text} is UTC to cron, which knows ${read.zone} by its exact name only`,
    };
  const fixed = fixedOffset(path);
  return fixed === undefined ? { ok: false, message: read.message } : { ok: true, zone: fixed };
}

/**
 * The zone of lines without `CRON_TZ`: that of the variable TZ if it is set, else the machine's.
 */
export function machineZone(
  variable: string | undefined = process.env["TZ"],
  system: string | undefined = systemZone(),
): MachineZone {
  const unknown = "the machine's time zone cannot be told; set CRON_TZ in the crontab";
  if (variable === undefined)
    return {
      zone: system === undefined ? { ok: false, message: unknown } : { ok: true, zone: system },
    };
  const zone = zoneOfVariable(variable, system);
  if (!zone.ok)
    return { zone: { ok: false, message: `the variable TZ gives no zone: ${zone.message}` } };
  if (system === undefined || system === zone.zone) return { zone };
  return {
    zone,
    note:
      `lines without CRON_TZ are imported for ${zone.zone}, the TZ of this shell; ` +
      `if cron goes by the machine's ${system}, import with TZ=${system}.`,
  };
}

/** The zone of /etc/localtime. Undefined if it cannot be told. */
function systemZone(): string | undefined {
  const candidates = [
    () => nameInPath(readlinkSync("/etc/localtime")),
    () => readFileSync("/etc/timezone", "utf8").trim(),
    intlZone,
  ];
  for (const candidate of candidates) {
    try {
      const name = candidate() ?? "";
      const read = readZoneName(zoneOfAbbreviation(name) ?? name);
      if (read.ok) return read.zone;
    } catch {
      // There is no such file; the next one may tell.
    }
  }
  return undefined;
}

/** The zone that Node finds for /etc/localtime by its content. */
function intlZone(): string | undefined {
  const before = process.env["TZ"];
  try {
    delete process.env["TZ"];
    return new Intl.DateTimeFormat().resolvedOptions().timeZone;
  } finally {
    if (before !== undefined) process.env["TZ"] = before;
  }
}

function nameInPath(path: string): string | undefined {
  return /\/zoneinfo\/(?:posix\/)?(.+)$/.exec(path)?.[1];
}

/** The zone of a rule without summer time, such as `UTC0`, `EST5` or `<+03>-3`. */
function fixedOffset(rule: string): string | undefined {
  const match = /^(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)([+-]?)(\d{1,2})(?::00){0,2}$/.exec(rule);
  if (match === null) return undefined;
  const hours = Number(match[2]);
  if (hours === 0) return "UTC";
  // The sign of a rule is that of these names: both count what is behind UTC.
  const read = readZoneName(`Etc/GMT${match[1] === "-" ? "-" : "+"}${hours}`);
  return read.ok ? read.zone : undefined;
}
