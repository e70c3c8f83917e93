/** Which forms of a secret are looked for: none that is too short, and each one from there on. */
import { expect, it } from "vitest";
import { formsOf } from "../../src/core/secret-forms.ts";

const hex = (text: string): string => Buffer.from(text).toString("hex");

it.each<[string, boolean]>([
  ["", false],
  [" ", false],
  ["\n\t ", false],
  ["x", true],
  [" x ", true],
])("of %j there is a form: %s", (secret, any) => {
  expect(formsOf(secret).length > 0).toBe(any);
  if (any) expect(formsOf(secret)).toContain(secret);
});

it.each<[string, boolean]>([
  ["ab?", false],
  ["ab?d", true],
])("%s is looked for encoded: %s", (secret, encoded) => {
  const forms = formsOf(secret);
  expect(forms.includes(hex(secret))).toBe(encoded);
  expect(forms.includes(hex(secret).toUpperCase())).toBe(encoded);
  expect(forms.includes(encodeURIComponent(secret))).toBe(encoded);
  expect(forms.includes(encodeURIComponent(secret).toLowerCase())).toBe(encoded);
});

it("a line of four letters or more is looked for by itself, with its quotes", () => {
  const forms = formsOf('}\nabc\nab"d\r\n    \nlast');
  expect(forms).toContain('ab"d');
  expect(forms).toContain('ab\\"d');
  expect(forms).toContain("last");
  for (const short of ["}", "abc", "    ", ""]) expect(forms).not.toContain(short);
});

it("base64 has at least six letters, those that no neighbour changes", () => {
  // "abcd" is 5 whole letters at the start of a text, and fewer behind others.
  const text = Buffer.from("abcd").toString("base64url");
  expect(formsOf("abcd").some((form) => form === text.slice(0, 5))).toBe(false);
  for (const secret of ["abcdefg", "??>>??>>"])
    for (let before = 0; before < 6; before += 1)
      for (const kind of ["base64", "base64url"] as const) {
        const whole = Buffer.from(`${"u".repeat(before)}${secret}zz`).toString(kind);
        const long = formsOf(secret).filter((form) => form.length >= 6);
        expect([whole, long.some((form) => whole.includes(form))]).toEqual([whole, true]);
      }
});

it("quotes of a shell and of console.log are forms, and each form stands once", () => {
  const forms = formsOf(`it's "x"`);
  for (const form of [
    `it's "x"`,
    `it's \\"x\\"`,
    `it's \\\\\\"x\\\\\\"`,
    `it'\\''s "x"`,
    `it'"'"'s "x"`,
    `it\\'s "x"`,
    "it%27s%20%22x%22".replace("%27", "'"),
    "it%27s+%22x%22",
  ])
    expect(forms).toContain(form);
  expect(new Set(forms).size).toBe(forms.length);
  expect(formsOf(`it's "x"`)).toBe(forms);
});

it("the forms of the newest 256 values are remembered", () => {
  const first = formsOf("secret-number-0");
  for (let at = 1; at < 256; at += 1) formsOf(`secret-number-${at}`);
  expect(formsOf("secret-number-0")).toBe(first);
  formsOf("secret-number-256");
  expect(formsOf("secret-number-256")).toBe(formsOf("secret-number-256"));
  expect(formsOf("secret-number-0")).not.toBe(first);
});
