/** What reaches a terminal that a person looks at, to the letter: lines, colours, and drawing. */
import type * as FS from "node:fs";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { printTable, tableWidth } from "../../src/cli/table.ts";
import { cutParts, partWidth, span, Terminal, type Part } from "../../src/cli/terminal.ts";
import { ToldTerminal } from "../support/told-terminal.ts";

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof FS>();
  return { ...fs, fstatSync: () => ({ isCharacterDevice: () => true }) };
});

let out: string[];
let err: string[];
beforeEach(() => {
  out = [];
  err = [];
});

/** A terminal of ten columns. */
function terminal(env: Record<string, string> = {}, isTTY = true): Terminal {
  const stream = (into: string[]) => ({
    isTTY,
    columns: 10,
    rows: 5,
    on: () => undefined,
    listenerCount: () => 1,
    write: (text: string) => void into.push(text),
  });
  const streams = { stdout: stream(out), stderr: stream(err), env: { TERM: "xterm", ...env } };
  return new Terminal(streams as never);
}

const UP = (lines: number): string => `\u001b[${lines}A`;
const CLEAR = "\u001b[2K";
const BELOW = "\u001b[0J";

describe("lines that are drawn again", () => {
  it("go over the last ones: what is left of more lines than now is cleared once", () => {
    const drawn = terminal();
    drawn.live(["a", "b", "c"]);
    drawn.live(["d"]);
    drawn.live(["e"]);
    drawn.live([]);
    drawn.live(["f", "g"]);
    expect(out).toEqual([
      `${CLEAR}a\n${CLEAR}b\n${CLEAR}c\n`,
      `${UP(3)}${CLEAR}d\n${BELOW}`,
      `${UP(1)}${CLEAR}e\n`,
      `${UP(1)}${BELOW}`,
      `${CLEAR}f\n${CLEAR}g\n`,
    ]);
  });

  it("are one column narrower than the terminal, and stay once they are settled", () => {
    const drawn = terminal();
    drawn.live(["123456789", "1234567890", ["漢字漢字", span("red", "漢")]]);
    drawn.settle();
    drawn.live(["next"]);
    expect(out).toEqual([
      `${CLEAR}123456789\n${CLEAR}12345678…\n${CLEAR}漢字漢字\u001b[31m…\u001b[39m\n`,
      `${CLEAR}next\n`,
    ]);
  });

  it("have 79 columns where the terminal does not say its size", () => {
    terminal({}, false).live(["x".repeat(80)]);
    expect(out).toEqual([`${CLEAR}${"x".repeat(78)}…\n`]);
  });
});

describe("a part", () => {
  it("is safe, whatever its style, and its colours are orchd's own", () => {
    const hostile = "a\u001b[2Jb\u202ec\nd";
    const safe = "a\\x1b[2Jb\\u202ec\\nd";
    const drawn = terminal();
    drawn.line(hostile, span("red", hostile), [[span(undefined, hostile)]]);
    drawn.note(span("bold", hostile));
    drawn.error(hostile);
    drawn.ownText("one\ntwo\u001b\n");
    expect(out).toEqual([`${safe}\u001b[31m${safe}\u001b[39m${safe}\n`, "one\ntwo\\x1b\n"]);
    expect(err).toEqual([`\u001b[1m${safe}\u001b[22m\n`, `\u001b[31morchd:\u001b[39m ${safe}\n`]);
    expect(partWidth([hostile, [span("dim", hostile)]])).toBe(2 * safe.length);
  });

  it.each<[string, Record<string, string>, boolean, boolean]>([
    ["a terminal", {}, true, true],
    ["what is none", {}, false, false],
    ["a dumb one", { TERM: "dumb" }, true, false],
    ["NO_COLOR", { NO_COLOR: "1" }, true, false],
    ["NO_COLOR without a value", { NO_COLOR: "" }, true, true],
    ["FORCE_COLOR", { FORCE_COLOR: "1" }, false, true],
    ["FORCE_COLOR on a dumb one", { FORCE_COLOR: "1", TERM: "dumb" }, true, true],
    ["FORCE_COLOR of 0", { FORCE_COLOR: "0" }, true, false],
    ["FORCE_COLOR of false", { FORCE_COLOR: "false" }, true, false],
    ["FORCE_COLOR without a value", { FORCE_COLOR: "" }, true, true],
    ["both", { FORCE_COLOR: "1", NO_COLOR: "1" }, true, false],
  ])("has colours or none: %s", (_, env, isTTY, isColoured) => {
    const drawn = terminal(env, isTTY);
    drawn.line(span("green", "x"));
    drawn.error("no.");
    expect(out).toEqual([isColoured ? "\u001b[32mx\u001b[39m\n" : "x\n"]);
    expect(err).toEqual([isColoured ? "\u001b[31morchd:\u001b[39m no.\n" : "orchd: no.\n"]);
  });

  it.each<[Part, number, Part]>([
    ["abc", 3, "abc"],
    ["abcd", 3, "ab…"],
    [["ab", "cd"], 3, ["ab", "…"]],
    [["abc", "d", span("red", "e")], 3, ["abc", "", ""]],
    [[span("red", "漢字"), "x"], 4, [span("red", "漢字"), ""]],
    // A column is left free, and nothing of what follows stands there.
    [[span("red", "漢字x"), "y"], 4, [span("red", "漢…"), ""]],
    ["abc", 0, ""],
  ])("%j is cut to %i columns", (part, columns, cut) => {
    expect(cutParts(part, columns)).toEqual(cut);
  });
});

it("JSON is on several lines for a person, and on one for a program", () => {
  const value = { a: ["\u009b"] };
  terminal().json(value);
  terminal({}, false).json(value);
  terminal().jsonLine(value);
  terminal().rawJsonLine('{"a":"\u007f"}');
  expect(out).toEqual([
    '{\n  "a": [\n    "\\u009b"\n  ]\n}\n',
    '{"a":["\\u009b"]}\n',
    '{"a":["\\u009b"]}\n',
    '{"a":"\\u007f"}\n',
  ]);
});

describe("a table", () => {
  const HEAD = ["RUN", "TRIGGER", "STARTED", "WHY"];
  const WHY = "0123456789".repeat(3);
  const rows = [
    ["r1", "manual", "01:00", WHY],
    ["r2", "", "", ""],
  ];
  const drawn = (columns: number | undefined, options: Parameters<typeof printTable>[3] = {}) => {
    const told = new ToldTerminal(columns);
    printTable(told.it, HEAD, rows, options);
    return told;
  };

  it.each([
    [undefined, "RUN  TRIGGER  STARTED  WHY", WHY],
    [53, "RUN  TRIGGER  STARTED  WHY", WHY],
    [47, "RUN  TRIGGER  STARTED  WHY", `${WHY.slice(0, 23)}…`],
    [46, "RUN  STARTED  WHY", WHY],
    [38, "RUN  STARTED  WHY", `${WHY.slice(0, 23)}…`],
    [37, "RUN  WHY", WHY],
    [29, "RUN  WHY", `${WHY.slice(0, 23)}…`],
    [12, "RUN  WHY", `${WHY.slice(0, 6)}…`],
  ])("of %s columns leaves out what can be spared: %s", (columns, head, why) => {
    const { lines } = drawn(columns, { spare: ["TRIGGER", "STARTED"] });
    expect(lines[0]).toBe(head);
    expect(lines[1]!.split(/ {2,}/).at(-1)).toBe(why);
    expect(lines).toHaveLength(3);
  });

  it("has its reasons below where they do not fit beside", () => {
    expect(drawn(53, { reasons: true }).lines).toEqual([
      "RUN  TRIGGER  STARTED  WHY",
      `r1   manual   01:00    ${WHY}`,
      "r2                     ",
    ]);
    expect(drawn(52, { reasons: true }).lines).toEqual([
      "RUN  TRIGGER  STARTED",
      "r1   manual   01:00",
      `    ${WHY}`,
      "r2            ",
    ]);
  });

  it("is as wide as its widest cells, with two between two of them", () => {
    expect(tableWidth(HEAD, rows)).toBe(53);
    expect(tableWidth(["A"], [])).toBe(1);
    expect(tableWidth(["A", "B"], [["界", span("dim", "x")]])).toBe(5);
  });
});

it("a table has as many rows as there are, and is as wide as the widest", () => {
  const rows = Array.from({ length: 200_000 }, (_, row) => [row === 150_000 ? "widest" : "a"]);
  expect(tableWidth(["one"], rows)).toBe(6);
});
