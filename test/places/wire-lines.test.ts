/** Lines out of chunks: whole ones, in order, and nothing after one that is too long. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { WireLines } from "../../src/places/pool/wire-lines.ts";

function cut(chunks: readonly string[], limit: number): string[] {
  const found: string[] = [];
  const lines = new WireLines(
    limit,
    (line) => void found.push(line),
    () => void found.push("too long"),
  );
  for (const chunk of chunks) lines.add(Buffer.from(chunk));
  return found;
}

it.each<[string[], string[]]>([
  [["a\nb\n"], ["a", "b"]],
  [
    ["a", "b\n", "\nc"],
    ["ab", ""],
  ],
  [["abcde\n"], ["abcde"]],
  [["abc", "de", "\n"], ["abcde"]],
  [["abcdef\n", "a\n"], ["too long"]],
  [["abc", "def", "a\n"], ["too long"]],
  [
    ["a\nabcdef\nb\n", "c\n"],
    ["a", "too long"],
  ],
])("of %j with at most five bytes a line come %j", (chunks, lines) => {
  expect(cut(chunks, 5)).toEqual(lines);
});

it("are the same however a text is cut, and letters of several bytes stay whole", () => {
  const bytes = Buffer.from("ä€😀\nb\n\ncd\n");
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 6 }), (cuts) => {
      const at = [...cuts, 0, bytes.length].toSorted((a, b) => a - b);
      const found: string[] = [];
      const lines = new WireLines(100, (line) => void found.push(line), expect.unreachable);
      for (const [nth, from] of at.slice(0, -1).entries())
        lines.add(bytes.subarray(from, at[nth + 1]));
      expect(found).toEqual(["ä€😀", "b", "", "cd"]);
    }),
  );
});

it("are none once nobody reads any more, not even those of the same chunk", () => {
  const found: string[] = [];
  const lines: WireLines = new WireLines(
    9,
    (line) => {
      found.push(line);
      lines.end();
    },
    expect.unreachable,
  );
  lines.add(Buffer.from("a\nb\n"));
  lines.add(Buffer.from("c\n"));
  expect(found).toEqual(["a"]);
});
