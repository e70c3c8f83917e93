/**
 * A log line as pieces of text with their colours.
 *
 * A line is a stranger's text. Of its escape sequences only colours and weights are obeyed; the
 * others are left out. What a terminal would hide or move (a carriage return, a mark that turns the
 * direction of writing) stays in the text: the page shows it as a mark.
 */
import Anser from "anser";

/** A piece of a line: its text, and the classes of style.css that draw it. */
export interface LogPiece {
  readonly text: string;
  readonly classes: string;
}

/** Operating system commands (titles, links), ended or not: they print nothing. */
const OSC = /(?:\u001b\]|\u009d)[^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c|$)/g;
/** Other control sequences than colours: they move a cursor that is not there. */
const NO_COLOR = /\u001b\[[0-9;:<=>?]*[ -/]*[@-ln-~]/g;
/** Anser loses a text around a carriage return. */
const RETURNS = /\r/g;
const RETURN_MARK = "\u27e80D\u27e9";
/** More than this of one line is not coloured, in characters. */
const MOST_COLORED = 20_000;
const COLORS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/** The pieces of a line, without an empty one. */
export function logPieces(line: string): LogPiece[] {
  const ended = line.endsWith("\r") ? line.slice(0, -1) : line;
  const shown = ended.replace(OSC, "").replace(RETURNS, RETURN_MARK).replace(NO_COLOR, "");
  if (!shown.includes("\u001b[") || shown.length > MOST_COLORED)
    return shown === "" ? [] : [{ text: shown, classes: "" }];
  return Anser.ansiToJson(shown, { json: true, remove_empty: true, use_classes: true }).map(
    ({ content, fg, bg, fg_truecolor, bg_truecolor, decorations }) => ({
      text: content,
      classes: [
        colorClass("fg", fg, fg_truecolor),
        colorClass("bg", bg, bg_truecolor),
        ...decorations.map((name) => (name === "blink" ? "" : `ansi-${name}`)),
      ]
        .filter((name) => name !== "")
        .join(" "),
    }),
  );
}

/**
 * The class of a colour. The palette and true colours become the nearest of the eight: those can be
 * read on both grounds, and any other may not.
 */
function colorClass(what: "fg" | "bg", name: string | null, exact: string | null): string {
  if (name === null || name === "") return "";
  const plain = /^ansi-(?:bright-)?([a-z]+)$/.exec(name)?.[1];
  if (plain !== undefined && COLORS.includes(plain)) return `ansi-${what}-${plain}`;
  const palette = /^ansi-palette-(\d+)$/.exec(name)?.[1];
  const [red = 0, green = 0, blue = 0] =
    palette === undefined
      ? (exact ?? "").split(",").map((part) => Number.parseInt(part, 10) || 0)
      : paletteColor(Number(palette));
  return `ansi-${what}-${COLORS[nearest(red, green, blue)]!}`;
}

function paletteColor(index: number): [number, number, number] {
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return [grey, grey, grey];
  }
  const at = index - 16;
  const level = (part: number): number => (part === 0 ? 0 : 55 + part * 40);
  return [level(Math.floor(at / 36) % 6), level(Math.floor(at / 6) % 6), level(at % 6)];
}

/** The number of the colour whose parts are as strong as these: bits for red, green and blue. */
function nearest(red: number, green: number, blue: number): number {
  const most = Math.max(red, green, blue);
  const bit = (part: number): number => (part > most * 0.66 && most > 60 ? 1 : 0);
  return bit(red) + 2 * bit(green) + 4 * bit(blue);
}
