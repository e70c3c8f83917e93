import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alteredNumber, readJson } from "../../src/core/exact-json.ts";

describe("a JSON text that would be altered is refused", () => {
  it.each([
    ["1285704473650888702", "1285704473650888702, which would become 1285704473650888700"],
    ['{"a":[1,{"b":9007199254740993}]}', "9007199254740993, which would become 9007199254740992"],
    ["-0", "holds -0, which would become 0"],
    ["-0.00e5", "holds -0.00e5"],
    ["1e400", "no number at all"],
    ["-1e400", "no number at all"],
    ["1e-400", "would become 0"],
    ["0.1000000000000000055511151231257827", "would become 0.1:"],
    ["9".repeat(100), "the number of 100 characters, which"],
    ['{"a":1,"b":{"a":1},"a":2}', 'has the key "a" twice'],
    ['{"a":1,"\\u0061":2}', 'has the key "a" twice'],
    [`{"${"k".repeat(100)}":1,"${"k".repeat(100)}":1}`, "a key of 100 characters twice"],
    [`{${Array.from({ length: 50 }, (_, n) => `"k${n}":0`).join()},"k3":0}`, '"k3" twice'],
    ["9".repeat(64), `the number ${"9".repeat(64)}, which`],
    ["9".repeat(65), "the number of 65 characters, which"],
    [`-0.${"0".repeat(61)}`, `holds -0.${"0".repeat(61)}, which would become 0`],
    [`-0.${"0".repeat(62)}`, "holds a -0, which would become 0: write 0, or put it in quotes"],
    [
      `{"${"k".repeat(64)}":1,"${"k".repeat(64)}":1}`,
      `has the key "${"k".repeat(64)}" twice in one map; only one of them could count`,
    ],
    [`{"${"k".repeat(65)}":1,"${"k".repeat(65)}":1}`, "a key of 65 characters twice"],
  ])("%s", (text, sentence) => {
    const read = readJson(text);
    expect(read).toMatchObject({ ok: false, kind: "altered" });
    expect(read.ok || read.message).toContain(sentence);
  });
});

it.each([
  "0",
  "1.10",
  "1e3",
  "1E+3",
  "5e-324",
  "1.7976931348623157e308",
  "9007199254740992",
  "0e9",
])("%s stays the number that it is", (text) => {
  expect(readJson(text)).toEqual({ ok: true, value: Number(text) });
});

it("what is no JSON is told without its text", () => {
  for (const text of ["secret", '{"a": secret}', '["secret', "[1] secret", "NaN", "01", ""])
    expect(readJson(text)).toEqual({ ok: false, kind: "syntax", message: "is not JSON" });
});

it("every value that JSON can write is read back as it is", () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      const text = JSON.stringify(value);
      const read = readJson(text);
      expect(read.ok && JSON.stringify(read.value)).toBe(text);
    }),
  );
});

it("a whole number is kept exactly if it is the same as a BigInt", () => {
  fc.assert(
    fc.property(fc.bigInt(-(2n ** 80n), 2n ** 80n), (value) => {
      const back = BigInt(Number(value).toLocaleString("fullwide", { useGrouping: false }));
      const shown = Number(value);
      const kept = alteredNumber(String(value)) === undefined;
      if (kept) expect(BigInt(shown)).toBe(back);
      expect(kept).toBe(back === value);
    }),
  );
});
