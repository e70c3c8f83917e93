/** Whether a run is about some words, where, and which runs need not be looked at. */
import { describe, expect, it } from "vitest";
import type { RunState } from "../../src/core/run-state.ts";
import { SearchedWords } from "../../src/views/searched-words.ts";

const state = (more: object = {}): RunState =>
  ({
    run: "etl@20261128T020000Z",
    tags: ["nightly"],
    trigger: { kind: "manual" },
    because: "asked for",
    failed: 0,
    function: "none",
    steps: new Map<string, object>([
      [
        "load",
        {
          because: "all it needs is there",
          error: { name: "E", message: "No room", code: "ENOSPC" },
        },
      ],
      ["save", { error: { name: "RangeError", message: "too far" } }],
    ]),
    ...more,
  }) as unknown as RunState;

describe("words", () => {
  it.each<[string, { step: string | null; text: string } | undefined]>([
    ["ETL@2026", { step: null, text: "etl@20261128T020000Z" }],
    ["asked", { step: null, text: "asked for" }],
    ["manual", { step: null, text: "manual" }],
    ["night", { step: null, text: "nightly" }],
    ["load", { step: "load", text: "load" }],
    ["room no", { step: "load", text: "No room ENOSPC" }],
    ["enospc", { step: "load", text: "No room ENOSPC" }],
    ["needs", { step: "load", text: "all it needs is there" }],
    // An error without a code is known by its name.
    ["rangeerror", { step: "save", text: "too far RangeError" }],
    // Words may stand in several texts: the one with most of them is shown, the first of equals.
    ["nightly too far", { step: "save", text: "too far RangeError" }],
    ["nightly asked", { step: null, text: "asked for" }],
    ["load nowhere", undefined],
    ["nothing", undefined],
  ])("%j are found: %j", (text, match) => {
    expect(new SearchedWords(text).match(state())).toEqual(match);
  });

  it("are looked for in how a run ended, else in its stop, else in why it goes on", () => {
    const [finished, stop] = [{ because: "the end" }, { because: "the stop", by: "alice" }];
    const of = (more: object, text: string): string | undefined =>
      new SearchedWords(text).match(state({ steps: new Map(), ...more }))?.text;
    expect(of({ finished, stop }, "end")).toBe("the end");
    expect(of({ finished, stop }, "the stop")).toBeUndefined();
    expect(of({ stop }, "stop")).toBe("the stop");
    expect(of({ stop }, "asked")).toBeUndefined();
    expect(of({ stop }, "alice")).toBe("alice");
  });

  it("show 300 characters of a long text", () => {
    const long = state({ because: `word ${"x".repeat(300)}` });
    expect(new SearchedWords("word").match(long)!.text).toHaveLength(300);
  });

  it.each([
    ["etl@20", true, true, true],
    ["l@20", true, true, true],
    ["other@20", true, false, false],
    ["etl", false, true, true],
    ["etl@20 x", false, true, false],
    ["  ETL@20261128T020000Z ", true, true, true],
  ])("%j: of an id alone %s, maybe of etl %s, in its id %s", (text, ofId, mayBe, inId) => {
    const words = new SearchedWords(text);
    expect([words.areOfId, words.mayBeOf("etl"), words.matchesId(state().run)]).toEqual([
      ofId,
      mayBe,
      inId,
    ]);
  });
});
