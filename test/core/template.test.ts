/** `${params.…}` and `${run.…}`: two passes, types stay, data is never read as a template. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Json } from "../../src/core/snapshot.ts";
import {
  bindParams,
  bindRun,
  bindRunEnv,
  hasParams,
  literalText,
  TemplateError,
  templateFaults,
} from "../../src/core/template.ts";

const run = { id: "log@20261123T020000Z", scheduledFor: "2026-11-23T02:00:00.000Z" };

describe("the first pass", () => {
  it("keeps a value's type where the placeholder is the whole text", () => {
    expect(
      bindParams(
        { n: "${params.n}", list: ["${params.o}"], text: "n=${params.n} o=${params.o}" },
        { n: 3, o: { a: [1] } },
      ),
    ).toEqual({
      n: 3,
      list: [{ a: [1] }],
      text: 'n=3 o={"a":[1]}',
    });
  });

  it("lets what is given win over the defaults", () => {
    expect(bindParams("${params.a}-${params.b}", { a: 1, b: 2 }, { b: "x" })).toBe("1-x");
  });

  it("gives $ before a brace back where it is doubled", () => {
    expect(bindParams("$${HOME} $$${params.a} $${params.a}", { a: 1 })).toBe(
      "${HOME} $1 ${params.a}",
    );
  });

  it("refuses a param without a value, and a secret within a longer text", () => {
    expect(() => bindParams("${params.gone}", {})).toThrow(TemplateError);
    expect(() => bindParams("Bearer ${params.token}", { token: { secret: "api" } })).toThrow(
      /secret/,
    );
    expect(bindParams("${params.token}", { token: { secret: "api" } })).toEqual({ secret: "api" });
  });

  it("does not look into names that every object has", () => {
    expect(() => bindParams("${params.constructor}", {})).toThrow(TemplateError);
  });

  it("gives back the same object where nothing is to be replaced", () => {
    const value = { a: ["x", 1, null], b: "${run.id}" };
    expect(bindParams(value, {})).toBe(value);
  });
});

describe("a literal text", () => {
  it("is what both passes give back, whatever it holds", () => {
    const piece = fc.constantFrom("$", "$$", "{", "}", "${run.id}", "${params.a}", "${HOME}", "x");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = pieces.join("");
        const written = { A: literalText(text) };
        expect(templateFaults(written, [], new Set())).toEqual([]);
        const bound = bindParams(written, {}) as Record<string, string>;
        expect(bindRunEnv(bound, run)).toEqual({ A: text });
      }),
    );
  });
});

describe("the second pass", () => {
  it("puts in the run's id and slot", () => {
    expect(bindRun({ file: "out-${run.id}.txt", at: "${run.scheduledFor}" }, run)).toEqual({
      file: `out-${run.id}.txt`,
      at: run.scheduledFor,
    });
  });

  it("has null, or nothing within a text, for a run without a slot", () => {
    expect(
      bindRun({ at: "${run.scheduledFor}", text: "[${run.scheduledFor}]" }, { id: "x" }),
    ).toEqual({ at: null, text: "[]" });
    expect(bindRunEnv({ AT: "${run.scheduledFor}", KEY: { secret: "k" } }, { id: "x" })).toEqual({
      AT: "",
      KEY: { secret: "k" },
    });
  });

  it("gives data from a request back as it came, whatever is in it", () => {
    const pieces = fc.constantFrom(
      "$",
      "{",
      "}",
      "run.id",
      "run.scheduledFor",
      "params.x",
      "${run.id}",
      "$${run.id}",
      "${params.x}",
      "x",
    );
    fc.assert(
      fc.property(
        fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join("")),
        (data) => {
          expect(bindRun(bindParams("${params.x}", {}, { x: data }), run)).toBe(data);
          expect(
            bindRun(bindParams({ deep: ["${params.x}"] }, {}, { x: { y: data } }), run),
          ).toEqual({ deep: [{ y: data }] });
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe("a value in a hundred others", () => {
  const within = (inner: Json): Json => {
    let value = inner;
    for (let depth = 0; depth < 100; depth += 1) value = depth % 2 === 0 ? [1, value] : { value };
    return value;
  };

  it("is bound as fast as one alone, and leaves what has no placeholder as it is", () => {
    const bound = bindParams(within("${params.x}"), { x: 7 });
    expect(bound).toEqual(within(7));
    const plain = within("x");
    expect(bindParams(plain, { x: 7 })).toBe(plain);
  });

  it("is asked for once", () => {
    let asked = 0;
    const given = {
      get x(): Json {
        asked += 1;
        return 7;
      },
    };
    bindParams(within("${params.x}"), given);
    expect(asked).toBe(1);
  });
});

describe("what is not known", () => {
  it("is named with its place and what was meant", () => {
    expect(templateFaults({ a: { b: ["${params.pth}"] } }, ["params"], new Set(["path"]))).toEqual([
      {
        path: ["params", "a", "b", 0],
        message:
          'refers to ${params.pth}, but the pipeline has no param "pth"; did you mean "path"?',
      },
    ]);
    expect(templateFaults("${HOME}/x", ["env", "A"], new Set())[0]?.message).toContain(
      "write $${HOME}",
    );
    expect(templateFaults("$${HOME} ${run.id} ${run.scheduledFor} $5 {x}", [], new Set())).toEqual(
      [],
    );
    expect(templateFaults("${run.attempt}", [], new Set())).toHaveLength(1);
  });

  it("is all that can fail: a text without faults binds, and one with params says so", () => {
    const pieces = fc.constantFrom("$", "$$", "{", "}", "${params.a}", "${run.id}", "${x}", "text");
    fc.assert(
      fc.property(
        fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join("")),
        (text) => {
          if (templateFaults(text, [], new Set(["a"])).length > 0) return;
          const bound = bindParams(text, { a: "v" });
          expect(hasParams(text) || bound === text).toBe(true);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
