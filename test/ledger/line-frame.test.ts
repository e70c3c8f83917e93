import { crc32 } from "node:zlib";
import fc from "fast-check";
import { expect, it } from "vitest";
import { bodiesOf, frame } from "../../src/ledger/line-frame.ts";
import { LEDGER_START } from "../../src/ledger/ledger-reader.ts";

const AT = "2026-11-23T02:00:00.031Z";
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("\n", "é\n", '","crc":"00000000"}\n', "\u2028", "\ud800", "x".repeat(70_000)),
);
const event = fc.record({ type: fc.constant("told"), text });

it("each line's checksum is over its own bytes and goes on from that of the line before", () => {
  const groups = fc.array(fc.array(event, { minLength: 1, maxLength: 4 }), { minLength: 1 });
  fc.assert(
    fc.property(groups, fc.nat(0xffffffff), (all, seed) => {
      const { bytes, mark } = frame(
        { ...LEDGER_START, crc: seed },
        all.map((events) => ({ ...bodiesOf("p", events), at: AT })),
      );
      const lines = bytes.toString().split("\n");
      expect(lines.pop()).toBe("");
      expect(lines.map((line) => JSON.parse(line).text)).toEqual(
        all.flat().map((one) => JSON.parse(JSON.stringify(one)).text),
      );
      let crc = seed;
      for (const line of lines) {
        const at = line.lastIndexOf(',"crc":');
        crc = crc32(line.slice(0, at), crc);
        expect(line.slice(at)).toBe(`,"crc":"${crc.toString(16).padStart(8, "0")}"}`);
      }
      expect(mark.crc).toBe(crc);
    }),
    { numRuns: 60 },
  );
});

it("an event that was read from a ledger loses the framing that it had there", () => {
  const fresh = { type: "told", text: "a" };
  const read = { seq: 7, b: 7, at: "2020-01-01T00:00:00.000Z", ...fresh, crc: "00000000" };
  const late = { text: "a", type: "told", at: "2020-01-01T00:00:00.000Z" };
  const { events, bodies } = bodiesOf("p", [fresh, read, late]);
  expect(events[0]).toBe(fresh);
  expect(bodies).toEqual(Array.from({ length: 3 }, () => '{"type":"told","text":"a"}'));
  const { lines } = frame(LEDGER_START, [{ events, bodies, at: AT }]);
  expect(lines).toEqual([1, 2, 3].map((seq) => ({ seq, b: 1, at: AT, ...fresh })));
});
