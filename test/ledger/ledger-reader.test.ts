import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Framed } from "../../src/core/event.ts";
import { LedgerFormatError } from "../../src/ledger/ledger-error.ts";
import { parseLedger, readLedger, readTail } from "../../src/ledger/ledger-reader.ts";
import { reached, trials } from "../support/figures.ts";
import { plainCrc32, readWholeLedger } from "../support/independent-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { SEVEN, writeLedger, type Note } from "./sample-ledgers.ts";

/** Frames lines by hand, so that a test can write anything with a right checksum. */
function framed(texts: readonly string[]): Buffer {
  let crc = 0;
  return Buffer.concat(
    texts.map((text) => {
      const bytes = Buffer.from(text, "latin1");
      crc = plainCrc32(bytes, crc);
      return Buffer.concat([
        bytes,
        Buffer.from(`,"crc":"${crc.toString(16).padStart(8, "0")}"}\n`),
      ]);
    }),
  );
}

const at = '"at":"2026-11-23T02:00:00.000Z"';
const lineText = (seq: number, b = seq, rest = ""): string =>
  `{"seq":${seq},"b":${b},${at},"type":"note"${rest}`;

function lineStarts(bytes: Buffer): number[] {
  const starts = [0];
  for (let lf = bytes.indexOf(10); lf >= 0; lf = bytes.indexOf(10, lf + 1)) starts.push(lf + 1);
  return starts;
}

describe("a whole ledger", () => {
  it("is read as an independent reader reads it", async () => {
    const path = await writeLedger(tempRoot().root, SEVEN);
    const reading = readLedger<Note>(path);
    expect(reading.end).toBe("whole");
    expect(reading.lines).toEqual(readWholeLedger(path));
    expect(reading.lines.map(({ b }) => b)).toEqual([1, 2, 2, 4, 5, 5, 5]);
    expect(reading.validBytes).toBe(readFileSync(path).length);
  });

  it("is read from a mark, and up to where the caller stops", async () => {
    const path = await writeLedger(tempRoot().root, SEVEN);
    const seen: number[] = [];
    const first = readLedger<Note>(path, {
      each: ({ seq }) => (seq === 4 ? false : void seen.push(seq)),
    });
    expect([first.end, first.mark.seq, seen]).toEqual(["whole", 3, [1, 2, 3]]);
    const rest = readLedger<Note>(path, { from: first.mark });
    expect(rest.lines.map(({ seq }) => seq)).toEqual([4, 5, 6, 7]);
    expect(rest.end).toBe("whole");
  });

  it("is read in blocks, with lines across every edge of a block", async () => {
    const long = (bytes: number): Note => ({ type: "note", text: "x".repeat(bytes) });
    const batches = [
      [{ type: "note", format: 1 }],
      ...[1_000_000, 1_048_000, 3, 900_000, 70_000, 1_048_000].map((bytes) => [long(bytes)]),
    ];
    const path = await writeLedger(tempRoot().root, batches);
    const reading = readLedger<Note>(path);
    expect([reading.end, reading.lines.length]).toEqual(["whole", 7]);
    expect(readTail<Note>(path, () => true).lines.map(({ seq }) => seq)).toEqual([7]);
  });
});

describe("a ledger that was cut", () => {
  it("at any byte, gives the whole lines and a torn tail", async () => {
    const folder = tempRoot().root;
    const bytes = readFileSync(await writeLedger(folder, SEVEN));
    const starts = lineStarts(bytes);
    const path = join(folder, "cut.jsonl");
    for (let length = 0; length <= bytes.length; length += 1) {
      const whole = starts.filter((start) => start <= length).length - 1;
      writeFileSync(path, bytes.subarray(0, length));
      for (const reading of [
        readLedger<Note>(path),
        parseLedger<Note>(bytes.subarray(0, length)),
      ]) {
        expect(reading.lines.length).toBe(whole);
        expect(reading.validBytes).toBe(starts[whole]);
        expect(reading.end).toBe(starts.includes(length) ? "whole" : "torn");
      }
    }
  });
});

describe("a ledger that was changed", () => {
  it("is never called whole, gives only lines that were written, and never throws", async () => {
    const original = readFileSync(await writeLedger(tempRoot().root, SEVEN));
    const lines = parseLedger<Note>(original).lines;
    const place = fc.nat(original.length - 1);
    const mutation = fc.oneof(
      fc.record({ at: place, byte: fc.nat(255) }).map(
        ({ at, byte }) =>
          (b: Buffer) => (((b = Buffer.from(b))[at] = byte), b),
      ),
      fc.record({ from: place, length: fc.integer({ min: 1, max: 200 }) }).map(
        ({ from, length }) =>
          (b: Buffer) =>
            Buffer.concat([b.subarray(0, from), b.subarray(from + length)]),
      ),
      fc.record({ at: place, bytes: fc.uint8Array({ minLength: 1, maxLength: 50 }) }).map(
        ({ at, bytes }) =>
          (b: Buffer) =>
            Buffer.concat([b.subarray(0, at), bytes, b.subarray(at)]),
      ),
      fc.record({ from: place, length: fc.integer({ min: 1, max: 300 }) }).map(
        ({ from, length }) =>
          (b: Buffer) => (
            (b = Buffer.from(b)),
            b.fill(0, Math.min(from, b.length), Math.min(from + length, b.length))
          ),
      ),
      fc.record({ line: fc.nat(6), to: fc.nat(6) }).map(({ line, to }) => (b: Buffer) => {
        const starts = lineStarts(b);
        const pieces = starts
          .slice(0, -1)
          .map((start, index) => b.subarray(start, starts[index + 1]));
        pieces.splice(to, 0, ...pieces.splice(line, 1));
        return Buffer.concat(pieces);
      }),
    );
    const mutants = trials(3_000, 20_000);
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
        const bytes = mutations.reduce(
          (b, mutate) => (b.length === 0 ? b : mutate(b)),
          original as Buffer,
        );
        const reading = parseLedger<Note>(bytes);
        expect(reading.lines).toEqual(lines.slice(0, reading.lines.length));
        if (reading.end === "whole")
          expect(bytes.equals(original.subarray(0, bytes.length))).toBe(true);
        else expect(reading.fault?.line).toBe(reading.lines.length + 1);
        expect(parseLedger<Note>(bytes.subarray(0, reading.validBytes)).end).toBe("whole");
      }),
      { numRuns: mutants },
    );
    reached(4, "mutants of a ledger of which exactly a prefix was kept", mutants, mutants);
  });

  const flip = (bytes: Buffer, line: number): Buffer => {
    const changed = Buffer.from(bytes);
    const start = lineStarts(bytes)[line - 1]!;
    changed[start + 60] = changed[start + 60]! ^ 1;
    return changed;
  };

  it.each([
    [1, "damaged"],
    [2, "damaged"],
    [3, "damaged"],
    [4, "damaged"],
    // Lines 5 to 7 are the last write: nothing after them says that it was acknowledged.
    [5, "torn"],
    [6, "torn"],
    [7, "torn"],
  ])("in line %i is %s", async (line, end) => {
    const bytes = readFileSync(await writeLedger(tempRoot().root, SEVEN));
    const reading = parseLedger<Note>(flip(bytes, line));
    expect([reading.end, reading.lines.length, reading.fault]).toEqual([
      end,
      line - 1,
      { line, fault: "its checksum does not match" },
    ]);
  });

  it.each([
    ["b", '"b":4', '"b":6'],
    ["seq", '"seq":4', '"seq":6'],
  ])(
    "in the %s of its last line is torn, though that line then names a later one",
    async (_what, from, to) => {
      const path = await writeLedger(tempRoot().root, SEVEN.slice(0, 3));
      const text = readFileSync(path, "latin1");
      expect(text.split(from)).toHaveLength(2);
      const reading = parseLedger<Note>(Buffer.from(text.replace(from, to), "latin1"));
      expect([reading.end, reading.lines.length]).toEqual(["torn", 3]);
    },
  );

  it("in the b of a line that is not the last is damaged", async () => {
    const text = readFileSync(await writeLedger(tempRoot().root, SEVEN), "latin1");
    const reading = parseLedger<Note>(Buffer.from(text.replace('"b":4', '"b":6'), "latin1"));
    expect([reading.end, reading.lines.length]).toEqual(["damaged", 3]);
  });

  it("by a missing line is damaged, though the next line begins a later write", async () => {
    const bytes = readFileSync(
      await writeLedger(tempRoot().root, [...SEVEN.slice(0, 3), [{ type: "note" }]]),
    );
    const starts = lineStarts(bytes);
    const reading = parseLedger<Note>(
      Buffer.concat([bytes.subarray(0, starts[3]), bytes.subarray(starts[4])]),
    );
    expect([reading.end, reading.lines.length]).toEqual(["damaged", 3]);
  });

  it("by a block of zeros in its last write is torn", async () => {
    const bytes = readFileSync(await writeLedger(tempRoot().root, SEVEN));
    const starts = lineStarts(bytes);
    expect(
      parseLedger<Note>(Buffer.from(bytes).fill(0, starts[4]! + 10, starts[5]! + 10)),
    ).toMatchObject({ end: "torn", validBytes: starts[4] });
  });
});

describe("a line", () => {
  it.each([
    ["a wrong seq", [lineText(1), lineText(3, 2)], "its seq is 3 where 2 is due"],
    [
      "a b of no write",
      [lineText(1), lineText(2), lineText(3, 1)],
      "its b is 1, which is no write's first line",
    ],
    ["no type", [`{"seq":1,"b":1,${at}`], "it has no time or no type"],
    ["no object", ['[{"seq":1'], "it is not JSON in UTF-8"],
    ["bad UTF-8", [lineText(1, 1, ',"x":"\xff"')], "it is not JSON in UTF-8"],
    ["an overlong encoding", [lineText(1, 1, ',"x":"\xc0\xaf"')], "it is not JSON in UTF-8"],
  ])("with %s is bad, whatever its checksum says", (_, texts, fault) => {
    expect(parseLedger(framed(texts))).toMatchObject({
      end: "torn",
      fault: { line: texts.length, fault },
    });
  });

  it("ends in its checksum, in lower case", () => {
    const bytes = framed([lineText(1, 1, ',"n":12')]);
    expect(parseLedger(bytes).end).toBe("whole");
    const upper = Buffer.from(
      bytes
        .toString()
        .replace(/"crc":"(\w+)"/, (text, crc: string) => text.replace(crc, crc.toUpperCase())),
    );
    expect(upper.equals(bytes)).toBe(false);
    expect(parseLedger(upper).fault?.fault).toBe("it does not end in a checksum");
  });

  it("of 1 MiB is bad, and one byte less is good", () => {
    const ofLength = (bytes: number): Buffer => {
      const empty = framed([lineText(1, 1, ',"x":""')]).length;
      return framed([lineText(1, 1, `,"x":"${"y".repeat(bytes - empty)}"`)]);
    };
    expect(ofLength(1 << 20).length).toBe(1 << 20);
    expect(parseLedger(ofLength((1 << 20) - 1)).end).toBe("whole");
    expect(parseLedger(ofLength(1 << 20))).toMatchObject({
      end: "torn",
      fault: { fault: "it is longer than 1 MiB" },
    });
  });

  it("without an end takes no memory, and lines after it still show damage", () => {
    const path = join(tempRoot().root, "long.jsonl");
    const good = framed([lineText(1)]);
    writeFileSync(
      path,
      Buffer.concat([good, Buffer.alloc(60 << 20, 0x20), Buffer.from(`\n${lineText(9, 9)}}\n`)]),
    );
    const before = process.memoryUsage().arrayBuffers;
    expect(readLedger(path)).toMatchObject({
      end: "damaged",
      validBytes: good.length,
      fault: { line: 2, fault: "it is longer than 1 MiB" },
    });
    expect(readTail(path, "nothing")).toMatchObject({ end: "damaged", validBytes: good.length });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20);
  });

  it("cannot set a prototype, however it spells the name", () => {
    for (const name of ["__proto__", "\\u005f_proto__", "__\\u0070roto__"]) {
      const [line] = parseLedger<Note>(
        framed([lineText(1, 1, `,"params":{"${name}":{"polluted":true},"list":[{"a":1}]}`)]),
      ).lines;
      const params = line!["params"] as Record<string, unknown>;
      expect(Object.getPrototypeOf(params)).toBeNull();
      expect(Object.assign(Object.create(null), params).polluted).toBeUndefined();
      expect(JSON.stringify(params)).toBe('{"__proto__":{"polluted":true},"list":[{"a":1}]}');
    }
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it("is read even if it is nested a hundred thousand deep", () => {
    const nested = `,"x":${"[".repeat(100_000)}${"]".repeat(100_000)},"__proto__":1`;
    expect(parseLedger(framed([lineText(1, 1, nested)])).end).toBe("whole");
  });
});

describe("a newer format", () => {
  it("is refused with a sentence, by its header or a checkpoint", () => {
    const header = framed([lineText(1, 1, ',"format":2')]);
    expect(() => parseLedger(header, "runs/p/pipeline.jsonl")).toThrow(LedgerFormatError);
    expect(() => parseLedger(header, "runs/p/pipeline.jsonl")).toThrow(
      "The ledger runs/p/pipeline.jsonl has format 2, " +
        "and this orchd reads formats up to 1. Install a newer orchd to use it.",
    );
    expect(parseLedger(header, "x", { format: 2 }).end).toBe("whole");
  });
});

describe("a ledger's tail", () => {
  const many = Array.from({ length: 2_000 }, (_, index) => [
    { type: index % 300 === 1 ? "checkpoint" : "note", text: "t".repeat(index % 400) },
  ]);

  it("is the end of the whole reading, from the newest wanted line", async () => {
    const path = await writeLedger(tempRoot().root, many);
    const { lines } = readLedger<Note>(path);
    const newest = lines.findLast(({ type }) => type === "checkpoint")!.seq;
    expect(readTail<Note>(path, "checkpoint").lines).toEqual(lines.slice(newest - 1));
    for (const wanted of [2_000, 1_999, 1_500, 77, 2, 1]) {
      const tail = readTail<Note>(path, ({ seq }) => seq === wanted);
      expect(tail.lines).toEqual(lines.slice(wanted - 1));
      expect(tail.mark).toEqual(readLedger(path).mark);
    }
  });

  it("is everything if no line is wanted, or if the wanted text is only a value", async () => {
    const path = await writeLedger(tempRoot().root, [
      [{ type: "note" }],
      [{ type: "note", params: { type: "checkpoint" } }],
      [{ type: "note" }],
    ]);
    expect(readTail<Note>(path, "checkpoint").lines.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  it("begins with a whole write", async () => {
    const path = await writeLedger(tempRoot().root, SEVEN);
    expect(readTail<Note>(path, ({ seq }) => seq === 6).lines.map(({ seq }) => seq)).toEqual([
      5, 6, 7,
    ]);
  });

  it("skips a wanted line that is bad, and distinguishes a tear from damage", async () => {
    const folder = tempRoot().root;
    const path = await writeLedger(folder, [
      [{ type: "checkpoint" }],
      [{ type: "note" }],
      [{ type: "checkpoint" }],
      [{ type: "note" }],
    ]);
    const bytes = readFileSync(path);
    const starts = lineStarts(bytes);
    const damaged = Buffer.from(bytes);
    damaged[starts[2]! + 50] = 0x21;
    writeFileSync(path, damaged);
    const reading = readTail<Note>(path, "checkpoint");
    expect([reading.end, reading.lines.map(({ seq }) => seq), reading.fault?.line]).toEqual([
      "damaged",
      [1, 2],
      3,
    ]);
    writeFileSync(path, bytes.subarray(0, bytes.length - 5));
    const torn = readTail<Note>(path, "checkpoint");
    expect([torn.end, torn.lines.map(({ seq }) => seq), torn.validBytes]).toEqual([
      "torn",
      [3],
      starts[3],
    ]);
  });

  it("is the end of the whole reading, wherever the file is cut", async () => {
    const folder = tempRoot().root;
    const bytes = readFileSync(await writeLedger(folder, SEVEN));
    const path = join(folder, "cut.jsonl");
    for (let length = 0; length <= bytes.length; length += 1) {
      writeFileSync(path, bytes.subarray(0, length));
      const whole = readLedger<Note>(path);
      const tail = readTail<Note>(path, "step.started");
      expect([tail.end, tail.validBytes, tail.mark.crc]).toEqual([
        whole.end,
        whole.validBytes,
        whole.mark.crc,
      ]);
      expect(tail.lines).toEqual(
        whole.lines.slice(whole.lines.length - tail.lines.length) satisfies Framed<Note>[],
      );
    }
  });
});
