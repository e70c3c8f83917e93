/** Times of the page in a zone: their texts, and the zone that the switch offers. */
import { atAddress } from "./plain-document.ts";
import { expect, it } from "vitest";
import { address } from "../../src/page/app/location.ts";
import {
  clockText,
  commonZone,
  dateText,
  dayText,
  fullTime,
  MINE,
  minuteText,
  shortName,
  shortTime,
  zone,
  zoned,
  zoneOffset,
} from "../../src/page/app/zone.ts";

const AT = "2026-11-28T23:05:09.000Z";
const NOW = Date.parse("2026-11-28T12:00:00.000Z");

function choose(query: string): void {
  atAddress(`?${query}`);
  address.value = { path: "", query: new URLSearchParams(query) };
}

it.each([
  ["", "UTC", "UTC", "2026-11-28 23:05:09Z", "23:05:09", "Sat 28 Nov", 0],
  [
    "zone=Asia/Tokyo",
    "Asia/Tokyo",
    "Tokyo",
    "2026-11-29 08:05:09 Tokyo",
    "29 Nov 08:05",
    "Sun 29 Nov",
    9,
  ],
  [
    "zone=America/New_York",
    "America/New_York",
    "New York",
    "2026-11-28 18:05:09 New York",
    "18:05:09",
    "Sat 28 Nov",
    -5,
  ],
  ["zone=Nowhere", "UTC", "UTC", "2026-11-28 23:05:09Z", "23:05:09", "Sat 28 Nov", 0],
])("%j", (query, id, label, full, short, day, hours) => {
  choose(query);
  expect(zone.value).toEqual({ id, label });
  expect([fullTime(AT), shortTime(AT, NOW), dayText(AT)]).toEqual([full, short, day]);
  expect(zoneOffset(Date.parse(AT) + 999)).toBe(hours * 3_600_000);
  expect(`${dateText(AT)} ${zoned(clockText(AT))}`).toBe(full);
  expect(clockText(AT).startsWith(minuteText(AT))).toBe(true);
});

it("the browser's own zone is called by its name", () => {
  choose("zone=mine");
  expect(zone.value).toEqual({ id: MINE, label: MINE === "UTC" ? "UTC" : shortName(MINE) });
});

it.each([
  ["2026-06-01T00:00:00.000Z", "00:00:00"],
  ["2026-05-31T23:59:59.000Z", "31 May 23:59"],
  ["2027-03-28T12:00:00.000Z", "28 Mar 12:00"],
  ["2027-03-28T12:00:01.000Z", "2027-03-28"],
  ["2025-08-05T12:00:00.000Z", "5 Aug 12:00"],
  ["2025-08-05T11:59:59.000Z", "2025-08-05"],
])("%s is short %s", (at, text) => {
  choose("");
  expect(shortTime(at, Date.parse("2026-06-01T12:00:00.000Z"))).toBe(text);
});

it.each<[string[][], string | undefined]>([
  [[], undefined],
  [[["UTC"], ["UTC", "Nowhere"]], undefined],
  [[["Asia/Tokyo"], ["Europe/Berlin"], ["Europe/Berlin", "UTC"]], "Europe/Berlin"],
  [[["Europe/Berlin"], ["Asia/Tokyo"]], "Asia/Tokyo"],
])("of %j the switch offers %s", (zones, offered) => {
  expect(commonZone(zones)).toBe(offered);
});
