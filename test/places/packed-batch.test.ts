/** Batches come out of their packing as they went in. */
import fc from "fast-check";
import { expect, it } from "vitest";
import {
  packEnds,
  packSteps,
  unpackEnds,
  unpackSteps,
} from "../../src/places/pool/packed-batch.ts";
import type { FromRunner, ToRunner } from "../../src/places/pool/protocol.ts";

const record = <T>(parts: { [name in keyof T]: fc.Arbitrary<T[name]> }): fc.Arbitrary<T> =>
  fc.record(parts, { noNullPrototype: true });
const text = fc.string({ unit: "binary" });
const number = fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 });
const times = { durationMs: number, startedAt: fc.nat(2 ** 31 - 1) };
const crossed = <T>(batch: T): T => JSON.parse(JSON.stringify(batch)) as T;

it("what a runner says", () => {
  const type = fc.constant("done" as const);
  const good = fc.constant(true as const);
  const results = fc.oneof(
    record({ ok: good, json: text }),
    record({ ok: good, value: fc.jsonValue({ noUnicodeString: false }) }),
    record({
      ok: fc.constant(false),
      outcome: fc.constant("failed"),
      error: record({ name: text }),
    }),
  );
  const message = fc.oneof(
    record({ type, id: text, result: record({ ok: good, json: text }), ...times }),
    record({ type, id: text, result: results, ...times }),
    record({ type: fc.constant("begun"), ids: fc.array(text) }),
  );
  fc.assert(
    fc.property(fc.array(message), (all) => {
      const batch = crossed(all) as FromRunner[];
      expect(unpackEnds(crossed(packEnds(batch)))).toStrictEqual(batch);
    }),
  );
});

it("what a runner is told", () => {
  const step = { type: fc.constant("step"), id: text, frame: fc.nat(2), step: text };
  const message = fc.oneof(
    record({ ...step, attempt: fc.nat(9) }),
    record({ ...step, attempt: fc.nat(9), parts: text }),
    record({ type: fc.constant("settled"), ids: fc.array(text) }),
  );
  fc.assert(
    fc.property(fc.array(message), (all) => {
      const batch = all as ToRunner[];
      expect(unpackSteps(crossed(packSteps(batch)))).toStrictEqual(batch);
    }),
  );
});

it("ends and steps that follow each other name no member for each of them", () => {
  const end = (id: string): FromRunner => ({
    type: "done",
    id,
    result: { ok: true, json: "null" },
    durationMs: 0.01,
    startedAt: 5,
  });
  const ends = packEnds([end("p@1#1"), end("p@1#2"), { type: "begun", ids: [] }, end("p@1#3")]);
  expect(ends).toEqual([
    { type: "ends", ends: ["p@1#1", "null", 0.01, 5, "p@1#2", "null", 0.01, 5] },
    { type: "begun", ids: [] },
    { type: "ends", ends: ["p@1#3", "null", 0.01, 5] },
  ]);
  const step = (id: string, frame: number): ToRunner => {
    return { type: "step", id, frame, step: "s", attempt: 1 };
  };
  expect(packSteps([step("p@1#1", 1), step("p@1#2", 1), step("q@1#1", 2)])).toEqual([
    { type: "steps", frame: 1, steps: ["p@1#1", "s", 1, 0, "p@1#2", "s", 1, 0] },
    { type: "steps", frame: 2, steps: ["q@1#1", "s", 1, 0] },
  ]);
});
