/** Which names of time zones are taken, how they are spelled then, and what is said of others. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { resolveSettings } from "../../../src/core/settings.ts";
import { resolveSchedules } from "../../../src/core/schedule/resolve-schedule.ts";
import {
  readZoneName,
  zoneOfAbbreviation,
  zoneWarning,
} from "../../../src/core/schedule/zone-name.ts";
import { quickCalculator } from "../../../src/views/quick-calculator.ts";
import { offsetIn } from "./wall-clock-oracle.ts";

const NOW = Date.UTC(2026, 10, 24);
const DATABASE = "/usr/share/zoneinfo";

/** The names in this machine's copy of the IANA database; none where it has no copy. */
function databaseNames(folder = DATABASE, before = ""): string[] {
  if (!existsSync(folder)) return [];
  const foreign = /^(?:posix|right|posixrules|localtime|Factory|.*\..*|leapseconds|tzdata.*|\+.*)$/;
  return readdirSync(folder)
    .filter((name) => !foreign.test(name) && /^[A-Z]/.test(name) && name !== "SECURITY")
    .flatMap((name) => {
      const path = join(folder, name);
      return statSync(path).isDirectory()
        ? databaseNames(path, `${before}${name}/`)
        : [`${before}${name}`];
    });
}

/** What the database has, and no file may name. */
const REFUSED = new Set(["EST", "MST", "HST"]);

/** All other names: those of this machine's database, of Node, and some other names of zones. */
const NAMES = [
  ...new Set([
    ...databaseNames(),
    ...Intl.supportedValuesOf("timeZone"),
    ..."Asia/Kolkata Europe/Kyiv America/Port-au-Prince Africa/Dar_es_Salaam W-SU NZ-CHAT".split(
      " ",
    ),
    ..."Australia/NSW America/Knox_IN Etc/UTC Etc/GMT-14 Etc/GMT0 EST5EDT GMT+0 Eire".split(" "),
  ]),
].filter((name) => !REFUSED.has(name));

function message(text: string): string {
  const read = readZoneName(text);
  return read.ok ? "taken" : read.message;
}

function isKnownToNode(zone: string): boolean {
  try {
    void new Intl.DateTimeFormat("en-US", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

describe("a name of the IANA database", () => {
  it("is taken as it is", () => {
    expect(NAMES.filter((name) => message(name) !== "taken")).toEqual([]);
    const spelled = (text: string): string | undefined => {
      const read = readZoneName(text);
      return read.ok ? read.zone : undefined;
    };
    expect(NAMES.filter((name) => spelled(name) !== name)).toEqual([]);
  });

  it("is spelled as in the database, or as Node calls its zone, if its case is another", () => {
    for (const [index, name] of NAMES.entries()) {
      const other = index % 4 === 0 ? name.toUpperCase() : name.toLowerCase();
      const read = readZoneName(other);
      if (!read.ok) throw new Error(`${other}: ${read.message}`);
      expect(NAMES).toContain(read.zone);
      for (const at of [NOW, NOW + 180 * 86_400_000])
        expect(offsetIn(read.zone, at)).toBe(offsetIn(name, at));
    }
    expect(readZoneName("Europe/berlin")).toEqual({ ok: true, zone: "Europe/Berlin" });
    expect(readZoneName("utc")).toEqual({ ok: true, zone: "UTC" });
  });

  it("fires alike in the quick calculator, whatever its case was", () => {
    for (const name of NAMES) {
      const read = readZoneName(name.toLowerCase());
      const zone = read.ok ? read.zone : "";
      for (const at of [NOW, NOW + 60 * 86_400_000, NOW + 180 * 86_400_000]) {
        const noon = Date.UTC(1970, 0, 1, 12);
        const slot = quickCalculator("0 12 * * *", zone).next(at)!;
        expect((slot + offsetIn(name, slot)) % 86_400_000, zone).toBe(noon);
      }
    }
  });

  it("reaches a schedule and the settings in the database's spelling", () => {
    const { schedules } = resolveSchedules(
      { cron: "@daily", timezone: "europe/BERLIN" },
      { timezone: "UTC", now: NOW },
    );
    expect(schedules[0]?.timezone).toBe("Europe/Berlin");
    expect(resolveSettings({ timezone: "america/new_york" })).toMatchObject({
      settings: { timezone: "America/New_York" },
    });
  });
});

describe("a text that is no name of the database", () => {
  it("is refused whatever Node takes: every abbreviation of three letters", () => {
    const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
    const all = letters.flatMap((a) => letters.flatMap((b) => letters.map((c) => `${a}${b}${c}`)));
    const nodes = all.filter(isKnownToNode);
    expect(nodes.length).toBeGreaterThan(30);
    const taken = nodes.filter((text) => message(text) === "taken");
    expect(taken).toEqual(["CET", "EET", "GMT", "MET", "PRC", "ROC", "ROK", "UCT", "UTC", "WET"]);
  });

  it.each([
    ["BST", /is an abbreviation, and no IANA time zone; write "Europe\/London" or "Asia\/Dhaka"/],
    ["bst", /"Europe\/London"/],
    ["IST", /write "Asia\/Kolkata", "Europe\/Dublin" or "Asia\/Jerusalem"/],
    ["ECT", /"America\/Guayaquil" or "Europe\/Paris"/],
    ["PST", /"America\/Los_Angeles"/],
    ["CEST", /write "Europe\/Berlin"/],
    ["AEST", /"Australia\/Sydney"/],
    ["Z", /write "UTC"/],
    [
      "UTC+2",
      /is an offset, .*"Europe\/Berlin", or "Etc\/GMT-2" for UTC\+02:00 all year \(the sign/,
    ],
    ["GMT-5", /"Etc\/GMT\+5" for UTC-05:00/],
    ["+02:00", /"Etc\/GMT-2" for UTC\+02:00/],
    ["-0500", /"Etc\/GMT\+5"/],
    ["+05:30", /is an offset, not a time zone; use an IANA name such as "Europe\/Berlin"$/],
    ["UTC+14", /"Etc\/GMT-14" for UTC\+14:00/],
    ["UTC-12", /"Etc\/GMT\+12" for UTC-12:00/],
    ["UTC-13", /is an offset, not a time zone; use an IANA name such as "Europe\/Berlin"$/],
    ["UTC+15", /is an offset, not a time zone; use an IANA name such as "Europe\/Berlin"$/],
    ["UTC0", /is an offset, not a time zone; write "UTC"/],
    ["UTC+00:00", /write "UTC"/],
    ["CET-1CEST", /is a rule for the variable TZ/],
    ["CET-1CEST,M3.5.0,M10.5.0/3", /is a rule for the variable TZ/],
    ["EST5", /is a rule for the variable TZ/],
    ["<+03>-3", /is a rule for the variable TZ/],
    [":Europe/Berlin", /write "Europe\/Berlin"/],
    ["/usr/share/zoneinfo/Asia/Tokyo", /write "Asia\/Tokyo"/],
    ["posix/Asia/Tokyo", /write "Asia\/Tokyo"/],
    [":/etc/localtime", /no time zone that this Node knows/],
    ["Berlin", /is no IANA time zone; write "Europe\/Berlin"/],
    ["new york", /write "America\/New_York"/],
    ["Europe/Berln", /is no time zone that this Node knows; did you mean "Europe\/Berlin"\?/],
    ["America/New York", /did you mean "America\/New_York"/],
    ["Central European Standard Time", /no time zone that this Node knows/],
    ["local", /no time zone that this Node knows/],
    ["Europe/Berlin ", /no time zone that this Node knows; did you mean "Europe\/Berlin"/],
    ["../etc/passwd", /no time zone/],
    ["Europe/Berlin\0", /no time zone/],
    ["", /no time zone/],
    ["x".repeat(5_000), /no time zone/],
  ])("%j is refused with what was probably meant", (text, expected) => {
    expect(message(text)).toMatch(expected);
  });

  it("is refused in a file and in the settings", () => {
    const { faults } = resolveSchedules(
      { cron: "@daily", timezone: "BST" },
      { timezone: "UTC", now: NOW },
    );
    expect(faults).toEqual([
      { path: ["schedule", "timezone"], message: expect.stringContaining("Europe/London") },
    ]);
    expect(resolveSettings({ timezone: "IST" })).toMatchObject({ ok: false, path: ["timezone"] });
  });
});

describe("a zone without summer time", () => {
  it.each([
    ["EST", "America/New_York", "Etc/GMT+5"],
    ["MST", "America/Denver", "Etc/GMT+7"],
    ["HST", "Pacific/Honolulu", "Etc/GMT+10"],
  ])("whose name is an abbreviation is refused in any case: %s", (zone, meant, fixed) => {
    for (const text of [zone, zone.toLowerCase()])
      expect(message(text)).toBe(
        `"${text}" is an abbreviation, and stands for one offset all year; ` +
          `write "${meant}", or "${fixed}" where clocks are never set`,
      );
    const { schedules, faults } = resolveSchedules(
      { cron: "@daily", timezone: zone },
      { timezone: "UTC", now: NOW },
    );
    expect([schedules, faults]).toEqual([
      [],
      [{ path: ["schedule", "timezone"], message: expect.stringContaining(`"${meant}"`) }],
    ]);
    expect(zoneOfAbbreviation(zone)).toBe(fixed);
    for (const at of [NOW, NOW + 180 * 86_400_000])
      expect(offsetIn(fixed, at)).toBe(offsetIn(zone, at));
  });

  it.each([
    ["Etc/GMT-2", "UTC+02:00"],
    ["Etc/GMT+5", "UTC-05:00"],
  ])("whose name says the sign the other way round is told of: %s", (zone, offset) => {
    expect(zoneWarning(zone, NOW)).toMatch(`${zone} is ${offset} all year: the sign`);
  });

  it.each(["UTC", "GMT", "Etc/UTC", "Etc/GMT", "Etc/GMT0", "Asia/Tokyo", "CET", "EST5EDT", "GB"])(
    "or with it, whose name holds no surprise, is not: %s",
    (zone) => expect(zoneWarning(zone, NOW)).toBeUndefined(),
  );
});
