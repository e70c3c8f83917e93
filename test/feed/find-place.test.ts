/** Where a reader goes on in a ledger that was cut, written again, or put in another's place. */
import { mkdirSync, openSync, closeSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { markCrc } from "../../src/feed/feed-position.ts";
import {
  findPlace,
  firstCrc,
  linesBackwards,
  placeAfterTime,
  withLedger,
  type GivenLines,
} from "../../src/feed/find-place.ts";
import { pipelineFiles } from "../../src/feed/pipeline-files.ts";
import { MAX_LINE_BYTES } from "../../src/ledger/line-limit.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { ledgerText, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const events = (...types: readonly string[]): HandEvent[] => types.map((type) => ({ type }));
const second = (n: number): string => `2026-11-23T02:00:0${n}.000Z`;
/** The checksums that lines have, by their number. */
const crcsOf = (text: string): number[] =>
  [...text.matchAll(/"crc":"(\w{8})"\}\n/g)].map(([, crc]) => Number.parseInt(crc!, 16));

const GIVEN = ledgerText(events("a", "b", "c", "d"));

/** What is found in a ledger, by what is known of the lines that were given. */
function found(ledger: string, given: Partial<GivenLines>, copies: Record<string, string> = {}) {
  const path = join(tempRoot().root, "pipeline.jsonl");
  writeFileSync(path, ledger);
  for (const [name, text] of Object.entries(copies)) writeFileSync(`${path}.damaged-${name}`, text);
  const fd = openSync(path, "r");
  try {
    const crcOf = (seq: number): number => markCrc(crcsOf(GIVEN)[seq - 1]!);
    const { place, isCut } = findPlace(fd, path, { seq: 4, crcOf, at: second(3), ...given });
    expect(ledger.slice(0, place.offset)).toMatch(/(?:^|\n)$/);
    return [place.seq, isCut];
  } finally {
    closeSync(fd);
  }
}

/** Only the checksum of the last line that was given is known. */
const LAST_ALONE = (seq: number): number | undefined =>
  seq === 4 ? markCrc(crcsOf(GIVEN)[3]!) : undefined;

describe("a reader goes on", () => {
  const longer = ledgerText(events("a", "b", "c", "d", "e"));
  const other = ledgerText(events("a", "b", "x", "y", "z"));

  it.each<[string, string, Partial<GivenLines>, [number, boolean]]>([
    ["at the start where nothing was given", longer, { seq: 0 }, [0, false]],
    ["after the last line", GIVEN, {}, [4, false]],
    ["after the last line that was given", longer, {}, [4, false]],
    ["where the ledger was cut", ledgerText(events("a", "b")), {}, [2, true]],
    ["where it was written again", other, {}, [2, true]],
    ["at the start of an empty one", "", {}, [0, true]],
    [
      "at the start of one that has nothing in common",
      ledgerText(events("x", "y")),
      { at: "" },
      [0, true],
    ],
    [
      "by the time, where no checksum is known",
      other,
      { crcOf: () => undefined, at: second(2) },
      [3, true],
    ],
    [
      "by the time, a line of that very time included",
      other,
      { crcOf: LAST_ALONE, at: second(3) },
      [4, true],
    ],
    ["where an earlier release was, unchecked", other, { isUnchecked: true }, [4, false]],
  ])("%s", (_what, ledger, given, place) => {
    expect(found(ledger, given)).toEqual(place);
  });

  it("after what a copy that has the line and the ledger have in common", () => {
    const given = { crcOf: LAST_ALONE, at: second(9) };
    expect(found(other, given, { 1: GIVEN })).toEqual([2, true]);
    expect(found(ledgerText(events("a", "b")), given, { 1: GIVEN })).toEqual([2, true]);
    expect(found(other, given, { 1: other })).toEqual([5, true]);
    expect(found(ledgerText(events("x", "y")), given, { 1: GIVEN })).toEqual([0, true]);
  });

  it("by the newest of the copies that have it", () => {
    const given = { crcOf: LAST_ALONE, at: second(9) };
    // By chance a line of an older copy has the same checksum.
    const [wanted, own] = [crcsOf(GIVEN)[3]!, crcsOf(ledgerText(events("a", "q", "r", "s")))[3]!];
    const hex = (crc: number): string => crc.toString(16).padStart(8, "0");
    const old = ledgerText(events("a", "q", "r", "s")).replace(hex(own), hex(wanted));
    expect(found(other, given, { 9: old })).toEqual([1, true]);
    expect(found(other, given, { 9: old, 10: GIVEN })).toEqual([2, true]);
    expect(found(other, given, { 9: GIVEN, 10: old })).toEqual([1, true]);
  });

  it.each([65_535, 65_536, 65_537, 131_072])("past a beginning of %i bytes in common", (length) => {
    const long = (...rest: string[]): string => {
      const empty = ledgerText([{ type: "a", text: "" }]).length;
      return ledgerText([{ type: "a", text: "x".repeat(length - empty) }, ...events(...rest)]);
    };
    const wanted = crcsOf(long("b", "c", "d"))[3]!;
    const crcOf = (seq: number) => (seq === 4 ? markCrc(wanted) : undefined);
    const copies = { 1: long("b", "c", "d") };
    expect(found(long("x", "y"), { crcOf, at: second(9) }, copies)).toEqual([1, true]);
  });
});

describe("what is read of a file", () => {
  const file = (text: string | Buffer): string => {
    const path = join(tempRoot().root, "f");
    writeFileSync(path, text);
    return path;
  };
  const first = (text: string): number | undefined => withLedger(file(text), firstCrc);

  it("is the checksum of its first line, however long that is", () => {
    for (const length of [0, 3_900, 4_096, 70_000]) {
      const text = ledgerText([{ type: "a", text: "x".repeat(length) }, { type: "b" }]);
      expect(first(text)).toBe(crcsOf(text)[0]);
      expect(first(text.slice(0, text.indexOf("\n")))).toBeUndefined();
    }
    expect(first("")).toBeUndefined();
    expect(first("no line of a ledger\n")).toBeUndefined();
    expect(first(" ".repeat(MAX_LINE_BYTES + 4_096))).toBeUndefined();
  });

  it("is nothing of a folder, of what is not there, and closes what it opened", () => {
    const path = tempRoot().root;
    expect(withLedger(path, () => 1)).toBeUndefined();
    expect(withLedger(join(path, "none"), () => 1)).toBeUndefined();
    expect(withLedger(file("abc"), (_fd, size) => size)).toBe(3);
    let held = -1;
    withLedger(file("abc"), (fd) => (held = fd));
    expect(() => closeSync(held)).toThrow(/EBADF/);
    const failing = (error: Error) => () => {
      throw error;
    };
    const gone = Object.assign(new Error("gone"), { code: "EIO" });
    expect(withLedger(file("abc"), failing(gone))).toBeUndefined();
    expect(() => withLedger(file("abc"), failing(new Error("a fault")))).toThrow("a fault");
  });

  it("are whole lines from its end, and none that is torn or no line", () => {
    const [a, b, c] = ledgerText(events("a", "b", "c")).split("\n");
    const path = file(`${a}\nno line\n${b}\n{"crc":"00000000"}\n${c}`);
    const lines = withLedger(path, (fd) => [...linesBackwards(fd)])!;
    expect(lines.map(({ type, seq, raw }) => [type, seq, raw])).toEqual([
      ["b", 2, b],
      ["a", 1, a],
    ]);
    expect(lines.at(-1)!.offset).toBe(a!.length + 1);
  });

  it("is what follows the last line that is not later than a time", () => {
    const path = file(GIVEN);
    const seqAt = (at: string): number => placeAfterTime(path, at).seq;
    expect([seqAt(""), seqAt(second(0)), seqAt(second(1)), seqAt(second(9))]).toEqual([0, 1, 2, 4]);
    expect(placeAfterTime(`${path}-none`, second(9)).seq).toBe(0);
  });
});

describe("a pipeline's files", () => {
  const textOf = (at: string, type = "pipeline.loaded"): string => ledgerText([{ type, at }], at);
  const filesOf = (texts: Record<string, string>): string[] => {
    const { runs } = tempRoot();
    const store = new RunStore(runs);
    const folder = dirname(store.pipelineLedger("p"));
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text);
    return pipelineFiles(store, "p").map(
      ({ path, kind }) => `${kind} ${path.slice(folder.length + 1)}`,
    );
  };

  it("go from the oldest to the one in use, damaged ones by the time of their first line", () => {
    expect(
      filesOf({
        "pipeline.jsonl": textOf(second(9)),
        "pipeline-2026-11-22-9.jsonl": textOf(second(1)),
        "pipeline-2026-11-22-10.jsonl": textOf(second(5)),
        "pipeline.jsonl.damaged-1": textOf(second(3)),
        "pipeline.jsonl.damaged-2": textOf(second(5), "pipeline.invalid"),
        "pipeline.jsonl.damaged-3": textOf(second(0)),
        "pipeline.jsonl.damaged-4": "",
        "other.jsonl": textOf(second(2)),
      }).map((one) => one.replace("pipeline-2026-11-", "")),
    ).toEqual([
      "damaged pipeline.jsonl.damaged-3",
      "rotated 22-9.jsonl",
      "damaged pipeline.jsonl.damaged-1",
      "rotated 22-10.jsonl",
      "damaged pipeline.jsonl.damaged-2",
      "current pipeline.jsonl",
    ]);
  });

  it("are each once, by its newest name, and none without a whole first line", () => {
    const text = textOf(second(5));
    expect(filesOf({ "pipeline.jsonl": text, "pipeline.jsonl.damaged-1": text })).toEqual([
      "current pipeline.jsonl",
    ]);
    expect(filesOf({ "pipeline.jsonl": text.trimEnd() })).toEqual([]);
    expect(filesOf({})).toEqual([]);
  });
});
