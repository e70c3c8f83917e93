/** What of a program's stderr reaches the daemon's log. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { ChildLines } from "../../src/supervise/child-lines.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const SECRET = "s3cret-0123456789-abcdefghijklmnop";

function rig(secrets: readonly string[] = [SECRET]) {
  const clock = new VirtualClock();
  const given: string[] = [];
  const lines = new ChildLines(clock, secrets, (line) => given.push(line));
  return { clock, given, lines, add: (text: string) => lines.add(Buffer.from(text)) };
}

it("cuts lines, wherever the chunks end", () => {
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[a-zäß]{1,20}$/u), { maxLength: 20 }),
      fc.integer({ min: 1, max: 9 }),
      (words, size) => {
        const { given, lines } = rig();
        const bytes = Buffer.from(words.join("\n"));
        for (let at = 0; at < bytes.length; at += size) lines.add(bytes.subarray(at, at + size));
        lines.end();
        expect(given).toEqual(words);
      },
    ),
  );
});

it("takes out controls, secrets and what stands where a token stands", () => {
  const { given, add } = rig();
  add(`a\u001b[31mred\u001b[0m\u0007 ${SECRET} b\r\n`);
  add("see http://127.0.0.1:4114/#token=OTHER now\nAuthorization: Bearer abc.def\n\n  \n");
  expect(given).toEqual([
    "ared *** b",
    "see http://127.0.0.1:4114/#token=*** now",
    "Authorization: Bearer ***",
  ]);
});

it("bounds a line, and never shows a part of a secret", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1_900, max: 2_060 }),
      fc.integer({ min: 0, max: 4 }),
      fc.boolean(),
      (before, more, whole) => {
        const { given, add, lines } = rig();
        const line = SECRET.repeat(more) + "x".repeat(before) + SECRET + "y".repeat(5_000);
        if (whole) add(`${line}\n`);
        else {
          for (let at = 0; at < line.length; at += 700) add(line.slice(at, at + 700));
          lines.end();
        }
        expect(given).toHaveLength(1);
        expect(given[0]!.length).toBeLessThan(2_100);
        expect(given[0]).not.toContain(SECRET.slice(0, 4));
      },
    ),
  );
});

it("lets 50 lines through in ten seconds, and counts the others", async () => {
  const { given, add, lines, clock } = rig();
  add("flood\n".repeat(100_000));
  expect(given).toHaveLength(50);
  await clock.advance(10_000);
  add("later\n");
  expect(given.slice(50)).toEqual(["99950 more lines were left out", "later"]);
  add("x\n".repeat(60));
  lines.end();
  expect(given.at(-1)).toBe("11 more lines were left out");
});

it("keeps little of a line that never ends", () => {
  const { given, lines } = rig();
  const chunk = Buffer.alloc(65_536, "x");
  for (let count = 0; count < 1_000; count += 1) lines.add(chunk);
  lines.end();
  expect(given[0]!.length).toBeLessThan(2_100);
});

it("counts lines anew after ten seconds to the millisecond", async () => {
  const clock = new VirtualClock();
  const given: string[] = [];
  const lines = new ChildLines(clock, [], (line) => void given.push(line));
  const add = (count: number): void => lines.add(Buffer.from("x\n".repeat(count)));
  add(60);
  await clock.advance(9_999);
  add(1);
  expect(given).toHaveLength(50);
  await clock.advance(1);
  add(1);
  expect(given.slice(50)).toEqual(["11 more lines were left out", "x"]);
});

it.each([
  [50, []],
  [51, ["1 more line was left out"]],
  [52, ["2 more lines were left out"]],
])("of %i lines it tells of those that were left out: %j", (count, told) => {
  const { given, add, lines } = rig();
  add("x\n".repeat(count));
  lines.end();
  expect(given.slice(50)).toEqual(told);
});

it("a secret without a character hides nothing", () => {
  const { given, add } = rig(["", SECRET]);
  add(`plain ${SECRET}\n`);
  expect(given).toEqual(["plain ***"]);
});

it.each([
  ["Authorization: Bearer abc.def", "Authorization: Bearer ***"],
  ["authorization: bearer abc.def x", "authorization: bearer *** x"],
  ["BEARER\tabc", "BEARER\t***"],
  ["/#token=abc", "/#token=***"],
  ["/#TOKEN=abc&x", "/#TOKEN=***"],
  ['"bearer abc"', '"bearer ***"'],
  ["<bearer abc>, bearer def", "<bearer ***>, bearer ***"],
  ["forbearer abc", "forbearer abc"],
])("of %j it gives %j: a token's name counts in any case", (line, shown) => {
  const { given, add } = rig();
  add(`${line}\n`);
  expect(given.map((text) => text.replaceAll(/\s/g, " "))).toEqual([shown.replace("\t", " ")]);
});
