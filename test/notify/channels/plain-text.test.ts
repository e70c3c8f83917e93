import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  clipped,
  clippedBytes,
  oneLine,
  pieces,
  unmentioned,
  wellFormed,
  wellFormedJson,
} from "../../../src/notify/channels/plain-text.ts";

/** Any UTF-16, halves of pairs and line feeds among it. */
const anyText = fc
  .array(
    fc.oneof(
      fc.constantFrom("\n", "\uD83D", "\uDCA5", "\u{1F4A5}", "ü", "€", "@", "all", "here", " "),
      fc.string({ maxLength: 4 }),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(""));
const isWhole = (text: string): boolean => !/\p{Surrogate}/u.test(text);

describe("a text for a receiver", () => {
  it("has whole characters, whatever it was", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const whole = wellFormed(text);
        return isWhole(whole) && whole.length === text.length && wellFormed(whole) === whole;
      }),
    );
    expect(wellFormedJson({ a: ["\uD800", 1, null], b: "\u{1F4A5}" })).toBe(
      '{"a":["\uFFFD",1,null],"b":"\u{1F4A5}"}',
    );
  });

  it("is cut at its limit, and only there", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 1, max: 50 }), (text, limit) => {
        const cut = clipped(text, limit);
        return (
          isWhole(cut) &&
          cut.length <= limit &&
          (text.length <= limit ? cut === wellFormed(text) : cut.endsWith("…"))
        );
      }),
    );
  });

  it("is cut at its limit in bytes, and only there", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 3, max: 50 }), (text, limit) => {
        const cut = clippedBytes(text, limit);
        const whole = wellFormed(text);
        return (
          isWhole(cut) &&
          Buffer.byteLength(cut) <= limit &&
          (Buffer.byteLength(whole) <= limit
            ? cut === whole
            : cut.endsWith("…") && whole.startsWith(cut.slice(0, -1)))
        );
      }),
    );
  });

  it("is cut into pieces that lose nothing but line feeds between them", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 2, max: 20 }), (text, limit) => {
        const all = pieces(text, limit, 1_000);
        return (
          all.every((piece) => piece !== "" && piece.length <= limit && isWhole(piece)) &&
          all.join("").replaceAll("\n", "") === wellFormed(text).replaceAll("\n", "")
        );
      }),
    );
    expect(pieces("ab\ncd\nef", 5, 9)).toEqual(["ab\ncd", "ef"]);
    expect(pieces("abcdef", 2, 2)).toEqual(["ab", "c…"]);
  });

  it("is on one line", () => {
    fc.assert(fc.property(anyText, (text) => /^(\S( ?\S)*)?$/u.test(oneLine(text, 1_000))));
  });

  it("calls nobody, and leaves addresses of mail alone", () => {
    fc.assert(
      fc.property(anyText, (text) => !/@(all|channel|everyone|here)\b/i.test(unmentioned(text))),
    );
    expect(unmentioned("a@allied.example @HERE, @heretic")).toBe(
      "a@allied.example @\u200BHERE, @heretic",
    );
  });
});
