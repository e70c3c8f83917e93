/** The ids of a run's trace: deterministic, apart from each other, and never zero. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { traceSeed } from "../../src/core/trace-id.ts";
import {
  addTraceparent,
  attemptSpanOf,
  attemptTraceparent,
  runSpanOf,
  runTraceparent,
  stepSpanOf,
  traceIdOf,
} from "../../src/core/trace-span.ts";

const AT = "2026-11-23T02:00:00.031Z";
const RUN = "log-digest@20261123T020000Z";
const seq = fc.integer({ min: 1, max: 4_294_967_295 });

describe("a run's trace", () => {
  it("is made of the run's id and the time of its first line", () => {
    const seed = traceSeed(RUN, AT);
    const digits = createHash("sha256").update(`orchd trace\n${RUN}\n${AT}`).digest("hex");
    expect(traceIdOf(seed)).toBe(digits.slice(0, 32));
    expect(traceSeed(RUN, AT)).toBe(seed);
    expect(traceIdOf(traceSeed(RUN, "2026-11-23T02:00:00.032Z"))).not.toBe(traceIdOf(seed));
  });

  it("has ids that no release may change: exports that are sent twice would be two", () => {
    const seed = traceSeed(RUN, AT);
    expect(runTraceparent(seed)).toMatchInlineSnapshot(
      `"00-30d5143b9e1b8c3f2ab92b2d8fceac12-e9f162167e2a3c7a-01"`,
    );
    expect(attemptTraceparent(seed, 3)).toMatchInlineSnapshot(
      `"00-30d5143b9e1b8c3f2ab92b2d8fceac12-e9f162167e2a3c79-01"`,
    );
    expect(stepSpanOf(seed, 3)).toMatchInlineSnapshot(`"482da7c6a2b54b69"`);
  });

  it("has a span id for the run, for each attempt and for each step, and none is zero", () => {
    fc.assert(
      fc.property(fc.string(), fc.uniqueArray(seq, { minLength: 2, maxLength: 20 }), (run, all) => {
        const seed = traceSeed(run, AT);
        const ids = [
          runSpanOf(seed),
          ...all.map((one) => attemptSpanOf(seed, one)),
          ...all.map((one) => stepSpanOf(seed, one)),
        ];
        expect(new Set(ids).size).toBe(ids.length);
        for (const id of ids) expect(id).toMatch(/^(?!0+$)[0-9a-f]{16}$/);
        expect(traceIdOf(seed)).toMatch(/^(?!0+$)[0-9a-f]{32}$/);
      }),
    );
  });

  it("is told to an attempt by its fencing token, but where somebody told it another", () => {
    const seed = traceSeed(RUN, AT);
    const env: Record<string, string> = {};
    addTraceparent(env, seed, `${RUN}#12`);
    expect(env).toEqual({ TRACEPARENT: attemptTraceparent(seed, 12) });
    const hook: Record<string, string> = {};
    addTraceparent(hook, seed, `${RUN}#hook-1-onSuccess:a`);
    expect(hook).toEqual({ TRACEPARENT: runTraceparent(seed) });
    const own = { TRACEPARENT: "mine" };
    addTraceparent(own, seed, `${RUN}#12`);
    expect(own).toEqual({ TRACEPARENT: "mine" });
  });
});
