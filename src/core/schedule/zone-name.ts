/**
 * What a person writes for a time zone, and which zone of the IANA database that is (semantics.md
 * 1b).
 *
 * Node takes more than the database has: 25 abbreviations of three letters from ICU. They mean
 * something else than people think (`BST` is Dhaka), so they are refused, with what was probably
 * meant. Node also takes a name in any case, and its `TZ` does not: a name is used as the database
 * spells it.
 */
import { didYouMean } from "../did-you-mean.ts";
import { HOUR_MS, MINUTE_MS } from "../time.ts";
import { formatterOf, offsetAt } from "./zone.ts";

/** The names of the database that have no slash. Its newer names all have one. */
const SINGLE_NAMES = (
  "CET CST6CDT Cuba EET EST5EDT Egypt Eire GB GB-Eire GMT GMT+0 GMT-0 GMT0 Greenwich Hongkong " +
  "Iceland Iran Israel Jamaica Japan Kwajalein Libya MET MST7MDT NZ NZ-CHAT Navajo PRC PST8PDT " +
  "Poland Portugal ROC ROK Singapore Turkey UCT UTC Universal W-SU WET Zulu"
).split(" ");

/** What an abbreviation probably means. Those that ICU knows are all here. */
const ABBREVIATIONS: Readonly<Record<string, readonly string[]>> = {
  ACDT: ["Australia/Adelaide"],
  ACST: ["Australia/Adelaide", "Australia/Darwin"],
  ACT: ["Australia/Sydney", "America/Rio_Branco"],
  ADT: ["America/Halifax"],
  AEDT: ["Australia/Sydney"],
  AEST: ["Australia/Sydney", "Australia/Brisbane"],
  AET: ["Australia/Sydney"],
  AGT: ["America/Argentina/Buenos_Aires"],
  AKDT: ["America/Anchorage"],
  AKST: ["America/Anchorage"],
  ART: ["America/Argentina/Buenos_Aires"],
  AST: ["America/Halifax", "Asia/Riyadh"],
  AWST: ["Australia/Perth"],
  BET: ["America/Sao_Paulo"],
  BRT: ["America/Sao_Paulo"],
  BST: ["Europe/London", "Asia/Dhaka"],
  CAT: ["Africa/Maputo"],
  CDT: ["America/Chicago"],
  CEST: ["Europe/Berlin"],
  CNT: ["America/St_Johns"],
  CST: ["America/Chicago", "Asia/Shanghai", "America/Havana"],
  CTT: ["Asia/Shanghai"],
  EAT: ["Africa/Nairobi"],
  ECT: ["America/Guayaquil", "Europe/Paris"],
  EDT: ["America/New_York"],
  EEST: ["Europe/Athens"],
  GST: ["Asia/Dubai"],
  HKT: ["Asia/Hong_Kong"],
  ICT: ["Asia/Bangkok"],
  IDT: ["Asia/Jerusalem"],
  IET: ["America/Indiana/Indianapolis"],
  IST: ["Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"],
  JST: ["Asia/Tokyo"],
  KST: ["Asia/Seoul"],
  MDT: ["America/Denver"],
  MESZ: ["Europe/Berlin"],
  MEZ: ["Europe/Berlin"],
  MIT: ["Pacific/Apia"],
  MSK: ["Europe/Moscow"],
  NDT: ["America/St_Johns"],
  NET: ["Asia/Yerevan"],
  NST: ["America/St_Johns", "Pacific/Auckland"],
  NZDT: ["Pacific/Auckland"],
  NZST: ["Pacific/Auckland"],
  PDT: ["America/Los_Angeles"],
  PHT: ["Asia/Manila"],
  PKT: ["Asia/Karachi"],
  PLT: ["Asia/Karachi"],
  PNT: ["America/Phoenix"],
  PRT: ["America/Puerto_Rico"],
  PST: ["America/Los_Angeles", "Asia/Manila"],
  SAST: ["Africa/Johannesburg"],
  SGT: ["Asia/Singapore"],
  SST: ["Pacific/Pago_Pago", "Pacific/Guadalcanal", "Asia/Singapore"],
  UT: ["UTC"],
  VST: ["Asia/Ho_Chi_Minh"],
  WAT: ["Africa/Lagos"],
  WEST: ["Europe/Lisbon"],
  WIB: ["Asia/Jakarta"],
  Z: ["UTC"],
};

/**
 * Names of the database that a person takes for the abbreviation of a zone with summer time. They
 * have none, so they are refused as the other abbreviations are: with what was probably meant, and
 * the name of the offset that they stand for.
 */
const WITHOUT_SUMMER_TIME: Readonly<
  Record<string, { readonly meant: string; readonly fixed: string }>
> = {
  EST: { meant: "America/New_York", fixed: "Etc/GMT+5" },
  MST: { meant: "America/Denver", fixed: "Etc/GMT+7" },
  HST: { meant: "Pacific/Honolulu", fixed: "Etc/GMT+10" },
};

/** A zone as the database spells it; or why the text names none, as the rest of a sentence. */
export type ZoneName =
  | { readonly ok: true; readonly zone: string }
  | { readonly ok: false; readonly message: string };

/** Reads the name of a time zone. */
export function readZoneName(text: string): ZoneName {
  const zone = /^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(text) ? spelled(text) : undefined;
  return zone === undefined ? { ok: false, message: zoneFault(text) } : { ok: true, zone };
}

/**
 * What may surprise a person about a zone of the database, as a sentence without its end. Undefined
 * if nothing does.
 *
 * @param now milliseconds since 1970: the zone's offset is that of this time
 */
export function zoneWarning(zone: string, now: number): string | undefined {
  if (!/^Etc\/GMT[+-][1-9]/.test(zone)) return undefined;
  const offset = offsetText(offsetAt(now, zone));
  return `the IANA time zone ${zone} is ${offset} all year: the sign in these names is reversed`;
}

/**
 * The zone of an abbreviation that the database has, and that is refused in files: `EST` is five
 * hours behind UTC all year to the C library. Undefined for any other name.
 */
export function zoneOfAbbreviation(name: string): string | undefined {
  return WITHOUT_SUMMER_TIME[name]?.fixed;
}

/** The database's spelling of a name in any case. Undefined if this Node has no such zone. */
function spelled(text: string): string | undefined {
  if (!text.includes("/")) {
    const lower = text.toLowerCase();
    return SINGLE_NAMES.find((name) => name.toLowerCase() === lower);
  }
  let found: string;
  try {
    found = formatterOf(text).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
  if (found.toLowerCase() === text.toLowerCase()) return found;
  // It is another name of that zone. Nothing tells how the database spells it: so it is either
  // spelled as all its names are, or the zone is called by the name that Node has for it.
  const [area, ...place] = text.split(/[/_-]/);
  const spelledAsAName =
    /^(?:[A-Z][a-z]+|US)$/.test(area!) &&
    place.every((word) => /^(?:[A-Z][a-z].*|[A-Z]{1,3}(?:[\d+].*)?|\d+|of|es|au|in)$/.test(word));
  return spelledAsAName ? text : found;
}

function zoneFault(text: string): string {
  const shown = JSON.stringify(text.slice(0, 64));
  const meant = ABBREVIATIONS[text.toUpperCase()];
  if (meant !== undefined)
    return `${shown} is an abbreviation, and no IANA time zone; write ${anyOf(meant)}`;
  const fixed = WITHOUT_SUMMER_TIME[text.toUpperCase()];
  if (fixed !== undefined)
    return (
      `${shown} is an abbreviation, and stands for one offset all year; write ` +
      `"${fixed.meant}", or "${fixed.fixed}" where clocks are never set`
    );
  const path = /^:?(?:.*\/zoneinfo\/)?(?:posix\/|right\/)?(.+)$/.exec(text)?.[1] ?? text;
  if (path !== text) {
    const zone = readZoneName(path);
    if (zone.ok) return `${shown} is no IANA time zone; write "${zone.zone}"`;
  }
  const offset = offsetFault(text);
  if (offset !== undefined) return `${shown} ${offset}`;
  if (/^(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)[+-]?\d/.test(text))
    return (
      `${shown} is a rule for the variable TZ, not a time zone; ` +
      'use an IANA name such as "Europe/Berlin"'
    );
  const known = ["UTC", ...Intl.supportedValuesOf("timeZone")];
  const city = text.toLowerCase().replaceAll(" ", "_");
  const places = known.filter((name) => name.toLowerCase().endsWith(`/${city}`));
  if (places.length > 0) return `${shown} is no IANA time zone; write ${anyOf(places)}`;
  const near = didYouMean(text, known);
  return (
    `${shown} is no time zone that this Node knows` +
    (near === "" ? '; use an IANA name such as "Europe/Berlin"' : near)
  );
}

/** What to write instead of an offset from UTC (`+02:00`, `UTC+2`, `GMT-5`, `UTC0`). */
function offsetFault(text: string): string | undefined {
  const match = /^(UTC?|GMT|Z)? ?([+-]?)(\d{1,2})(?::?([0-5]\d))?$/i.exec(text);
  if (match === null) return undefined;
  const [, , sign = "", hours = "0", minutes = "0"] = match;
  const size = Number(hours) * HOUR_MS + Number(minutes) * MINUTE_MS;
  if (size === 0) return 'is an offset, not a time zone; write "UTC"';
  const place = 'is an offset, not a time zone; use an IANA name such as "Europe/Berlin"';
  const most = sign === "-" ? 12 : 14;
  if (size % HOUR_MS !== 0 || size > most * HOUR_MS) return place;
  const fixed = `Etc/GMT${sign === "-" ? "+" : "-"}${size / HOUR_MS}`;
  return (
    `${place}, or "${fixed}" for ${offsetText(sign === "-" ? -size : size)} all year ` +
    "(the sign in that name is reversed)"
  );
}

/** `UTC-05:00` */
function offsetText(offset: number): string {
  const minutes = Math.abs(offset) / MINUTE_MS;
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  return `UTC${offset < 0 ? "-" : "+"}${two(minutes / 60)}:${two(minutes % 60)}`;
}

function anyOf(names: readonly string[]): string {
  const quoted = names.map((name) => JSON.stringify(name));
  return quoted.length < 2
    ? quoted.join("")
    : `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)!}`;
}
