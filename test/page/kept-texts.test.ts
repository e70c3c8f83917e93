/** What the page makes of colours, times and odd characters, all of them, as kept texts. */
import { atAddress } from "./plain-document.ts";
import { expect, it } from "vitest";
import { address } from "../../src/page/app/location.ts";
import { logPieces } from "../../src/page/app/run/ansi.ts";
import { safeText } from "../../src/page/app/safe-text.ts";
import { ticksOf } from "../../src/page/app/slots/axis.ts";
import { SPANS, spanOf } from "../../src/page/app/slots/span.ts";
import { fullTime } from "../../src/page/app/zone.ts";
import { expectKept } from "../support/kept-text.ts";

/** The classes of the first piece that is printed in this way. */
const classesOf = (codes: string): string => logPieces(`\u001b[${codes}mx`)[0]!.classes;

it("each colour of a terminal is one of eight", () => {
  const lines: string[] = [];
  for (let code = 0; code < 110; code += 1) lines.push(`${code}: ${classesOf(String(code))}`);
  for (const what of ["38", "48"])
    for (let at = 0; at < 256; at += 1)
      lines.push(`${what};5;${at}: ${classesOf(`${what};5;${at}`)}`);
  const levels = [0, 59, 60, 61, 160, 168, 169, 255];
  for (const red of levels)
    for (const green of levels)
      for (const blue of levels)
        lines.push(`2;${red};${green};${blue}: ${classesOf(`38;2;${red};${green};${blue}`)}`);
  for (const codes of ["1;31;44", "3;4;9", "5", "5;1", "7;31", "8", "2;92;103"])
    lines.push(`${codes}: ${classesOf(codes)}`);
  expectKept("page-texts/colours.txt", lines.join("\n"));
});

it("a long line is not coloured, and a short one is", () => {
  const colored = "\u001b[31mx\u001b[0m";
  for (const [length, pieces] of [
    [20_000, 2],
    [20_001, 1],
  ] as const)
    expect(logPieces(colored + "y".repeat(length - colored.length))).toHaveLength(pieces);
  expect(logPieces("")).toEqual([]);
  expect(logPieces("\r")).toEqual([]);
  expect(logPieces("plain")).toEqual([{ text: "plain", classes: "" }]);
});

it("each character that shows nothing is a mark", () => {
  const lines: string[] = [];
  for (let code = 0; code < 0x1_0000; code += 1) {
    const character = String.fromCharCode(code);
    const shown = safeText(`${character}${character}`);
    if (shown !== character.repeat(2)) lines.push(`${code.toString(16)}: ${shown}`);
  }
  expectKept("page-texts/marks.txt", lines.join("\n"));
});

it("an axis has whole times of its zone, as many as there is room for", () => {
  const lines: string[] = [];
  for (const [zone, middle] of [
    ["", "2026-11-28T12:34:56.000Z"],
    // Its clock goes back within the shorter stretches.
    ["Europe/Berlin", "2026-10-25T01:10:00.000Z"],
    // And forward, from midnight.
    ["America/Havana", "2026-03-08T05:00:00.000Z"],
    ["Asia/Kathmandu", "2026-11-28T12:00:00.000Z"],
  ] as const) {
    atAddress(`slots?zone=${zone}`);
    address.value = {
      path: "slots",
      query: new URLSearchParams(zone === "" ? "" : `zone=${zone}`),
    };
    for (const minutes of [6, 24, 90, 360, 1_440, 1_680, 10_080, 57_600, 400_000])
      for (const width of [100, 168, 420, 1_000]) {
        const from = Date.parse(middle) - minutes * 30_000;
        const axis = { from, to: from + minutes * 60_000, width };
        const ticks = ticksOf(axis);
        let before = axis.from - 1;
        for (const { at } of ticks) {
          expect(at > before && at <= axis.to).toBe(true);
          before = at;
        }
        const said = ticks.map(({ at, text }) => `  ${text} | ${fullTime(at)}`);
        lines.push(`${zone} ${minutes} min, ${width} px:`, ...said);
      }
  }
  expectKept("page-texts/axes.txt", lines.join("\n"));
});

it("an axis has a word at both of its ends, where these are whole", () => {
  atAddress("slots");
  address.value = { path: "slots", query: new URLSearchParams() };
  const [from, to] = [Date.parse("2026-11-28T10:00:00Z"), Date.parse("2026-11-28T12:00:00Z")];
  expect(ticksOf({ from, to, width: 200 }).map(({ text }) => text)).toEqual([
    "10:00",
    "11:00",
    "12:00",
  ]);
});

it("a stretch is known by its key, and by another it is the first", () => {
  expect(SPANS.map(({ key, text, ms, aheadMs }) => `${key} ${text} ${ms} ${aheadMs}`)).toEqual([
    "20m 20 min 1200000 240000",
    "24h 24 h 86400000 14400000",
    "7d 7 d 604800000 86400000",
    "35d 35 d 3024000000 432000000",
  ]);
  for (const key of ["20m", "24h", "7d", "35d"]) expect(spanOf(key).key).toBe(key);
  expect([spanOf(null).key, spanOf("8d").key, spanOf("").key]).toEqual(["20m", "20m", "20m"]);
});

/** The words of an axis of four hours, each with its time. */
function wordsAt(zone: string, from: string, to: string, width = 500): string[] {
  atAddress(`slots?zone=${zone}`);
  address.value = { path: "slots", query: new URLSearchParams({ zone }) };
  const ticks = ticksOf({ from: Date.parse(from), to: Date.parse(to), width });
  return ticks.map(({ at, text }) => `${text} ${new Date(at).toISOString().slice(5, 16)}`);
}

it("an axis has no hour that a zone leaves out, and both of one that it repeats", () => {
  expect(wordsAt("Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T04:00:00Z")).toEqual([
    "01:00 03-29T00:00",
    "03:00 03-29T01:00",
    "04:00 03-29T02:00",
    "05:00 03-29T03:00",
    "06:00 03-29T04:00",
  ]);
  expect(wordsAt("Europe/Berlin", "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z")).toEqual([
    "01:00 10-24T23:00",
    "02:00 10-25T00:00",
    "02:00 10-25T01:00",
    "03:00 10-25T02:00",
    "04:00 10-25T03:00",
  ]);
  // It begins within the first of the two.
  expect(wordsAt("Europe/Berlin", "2026-10-25T00:40:00Z", "2026-10-25T02:40:00Z", 252)).toEqual([
    "02:00 10-25T01:00",
    "03:00 10-25T02:00",
  ]);
});

it("a day that begins at one o'clock has its word there, and one of two midnights one", () => {
  expect(wordsAt("America/Havana", "2026-03-07T05:00:00Z", "2026-03-10T04:00:00Z")).toEqual([
    "Sat 7 Mar 03-07T05:00",
    "Sun 8 Mar 03-08T05:00",
    "Mon 9 Mar 03-09T04:00",
    "Tue 10 Mar 03-10T04:00",
  ]);
  expect(wordsAt("America/Havana", "2026-03-08T03:00:00Z", "2026-03-08T06:00:00Z")).toEqual([
    "22:00 03-08T03:00",
    "23:00 03-08T04:00",
    "Sun 8 Mar 03-08T05:00",
    "02:00 03-08T06:00",
  ]);
  expect(wordsAt("America/Havana", "2026-11-01T02:00:00Z", "2026-11-01T07:00:00Z")).toEqual([
    "22:00 11-01T02:00",
    "23:00 11-01T03:00",
    "Sun 1 Nov 11-01T04:00",
    "01:00 11-01T06:00",
    "02:00 11-01T07:00",
  ]);
});
