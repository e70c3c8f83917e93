/**
 * The zone in which every time on the page is shown: axes, tables and tooltips alike. It is in the
 * address: none is UTC, `mine` the browser's, else a zone of the pipelines. A time that is not in
 * UTC is never without its zone's name.
 */
import { computed, signal } from "@preact/signals";
import { DAY_MS } from "../../core/time.ts";
import { address } from "./location.ts";

/** The browser's zone. */
export const MINE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The zone of the pipelines on show, which the switch offers; undefined where all are in UTC. */
export const offered = signal<string | undefined>(undefined);

/** The chosen zone, and its name in the switch. */
export const zone = computed(() => {
  const chosen = address.value.query.get("zone");
  if (chosen === "mine") return { id: MINE, label: MINE === "UTC" ? "UTC" : shortName(MINE) };
  if (chosen === null || !isZone(chosen)) return { id: "UTC", label: "UTC" };
  return { id: chosen, label: shortName(chosen) };
});

/** The zone that most pipelines have, without UTC. */
export function commonZone(zones: readonly (readonly string[])[]): string | undefined {
  const counts = new Map<string, number>();
  for (const name of zones.flat())
    if (name !== "UTC" && isZone(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]?.[0];
}

/** `Europe/Berlin` -> `Berlin`. */
export function shortName(name: string): string {
  return (name.split("/").at(-1) ?? name).replaceAll("_", " ");
}

function isZone(name: string): boolean {
  try {
    return formatter(name, "clock") !== undefined;
  } catch {
    return false;
  }
}

type Kind = "clock" | "minute" | "near" | "day" | "date";

/** Within it a day needs no year. */
const FAR_MS = 300 * DAY_MS;

const SHAPES: Readonly<Record<Kind, Intl.DateTimeFormatOptions>> = {
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  minute: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  near: { day: "numeric", month: "short" },
  day: { weekday: "short", day: "numeric", month: "short" },
  date: { year: "numeric", month: "2-digit", day: "2-digit" },
};
const formatters = new Map<string, Intl.DateTimeFormat>();

/** Making one takes a tenth of a millisecond, and a page shows thousands of times. */
function formatter(id: string, kind: Kind): Intl.DateTimeFormat {
  const key = `${kind} ${id}`;
  const known = formatters.get(key);
  if (known !== undefined) return known;
  // sv-SE writes 2026-11-28, en-GB Sat 28 Nov.
  const made = new Intl.DateTimeFormat(kind === "date" ? "sv-SE" : "en-GB", {
    ...SHAPES[kind],
    timeZone: id,
  });
  formatters.set(key, made);
  return made;
}

/** `00:52:00`, in the chosen zone, without its name. @param at milliseconds or ISO 8601 */
export function clockText(at: number | string): string {
  return formatter(zone.value.id, "clock").format(new Date(at));
}

/** `00:52`. */
export function minuteText(at: number | string): string {
  return formatter(zone.value.id, "minute").format(new Date(at));
}

/** `Sat 28 Nov`. */
export function dayText(at: number | string): string {
  return formatter(zone.value.id, "day").format(new Date(at)).replace(",", "");
}

/** `2026-11-28`. */
export function dateText(at: number | string): string {
  return formatter(zone.value.id, "date").format(new Date(at));
}

/** `00:52:00` of this day, `27 Nov 00:52` of another, `2027-02-01` of a far one. */
export function shortTime(at: number | string, now: number): string {
  const date = dateText(at);
  if (date === dateText(now)) return clockText(at);
  const isFar = Math.abs(new Date(at).getTime() - now) > FAR_MS;
  return isFar
    ? date
    : `${formatter(zone.value.id, "near").format(new Date(at))} ${minuteText(at)}`;
}

/** A whole time with its zone: `2026-11-28 00:52:00Z`, `2026-11-28 01:52:00 Berlin`. */
export function fullTime(at: number | string): string {
  return `${dateText(at)} ${zoned(clockText(at))}`;
}

/** How far the chosen zone's clock is before UTC at a moment, in milliseconds. */
export function zoneOffset(at: number): number {
  if (zone.value.id === "UTC") return 0;
  const whole = Math.floor(at / 1_000) * 1_000;
  return Date.parse(`${dateText(whole)}T${clockText(whole)}Z`) - whole;
}

/** A text of a time, with the zone behind it. */
export function zoned(text: string): string {
  return zone.value.label === "UTC" ? `${text}Z` : `${text} ${zone.value.label}`;
}
