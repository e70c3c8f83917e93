/** Which decimal numbers stay what was written: compared with whole numbers of any length. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { alteredNumber } from "../../src/core/exact-json.ts";

/** A decimal text as a whole number of 10^-400ths; exact. */
function exact(written: string): bigint {
  const [, sign, whole, fraction = "", exponent = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(written)!;
  const zeros = 400 - fraction.length + Number(exponent);
  return BigInt(`${sign}${whole}${fraction}`) * 10n ** BigInt(zeros);
}

it.each([
  ["1200000000000000000000", "1.2e+21"],
  ["-1200000000000000000000", "-1.2e+21"],
  ["100000000000000000000000", "1e+23"],
  ["0.00000012", "1.2e-7"],
  ["0.000000120", "1.2e-7"],
  ["1234500e-10", "0.00012345"],
  ["0.0120e3", "12"],
  ["12e22", "1.2e+23"],
  ["-1.50E+300", "-1.5e+300"],
  ["0.000e17", "0"],
  ["100.00000000000000000", "100"],
])("%s stays, and is written back as %s", (written, back) => {
  expect(String(Number(written))).toBe(back);
  expect(alteredNumber(written)).toBeUndefined();
});

it.each([
  "1200000000000000000001",
  "-1200000000000000000001",
  "0.12000000000000000001",
  "12.3e-400",
])("%s does not stay", (written) => {
  expect(alteredNumber(written)).toContain(`holds the number ${written}, which would become`);
});

it("a number stays where the text that it is written back as has the same value", () => {
  const digits = fc.stringMatching(/^[0-9]{1,24}$/);
  const written = fc
    .tuple(fc.boolean(), digits, fc.option(digits), fc.option(fc.integer({ min: -60, max: 60 })))
    .map(([isNegative, whole, fraction, exponent]) =>
      [
        isNegative ? "-" : "",
        whole.replace(/^0+(?=\d)/, ""),
        fraction === null ? "" : `.${fraction}`,
        exponent === null ? "" : `e${exponent}`,
      ].join(""),
    )
    // A negative zero is refused for its sign.
    .filter((text) => exact(text) !== 0n || !text.startsWith("-"));
  fc.assert(
    fc.property(written, (text) => {
      const isKept = exact(text) === exact(String(Number(text)));
      expect([text, alteredNumber(text) === undefined]).toEqual([text, isKept]);
    }),
  );
});
