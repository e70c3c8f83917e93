import fc from "fast-check";
import { expect, it } from "vitest";
import { packPieces, unpackPieces } from "../../src/steps/sent-pieces.ts";

const seq = fc.integer({ min: 1, max: 2_147_483_647 });
const text = fc.string({ unit: "binary" });
const own = { seq, id: text, pipeline: text, body: text };
const whole = fc.record(own, { noNullPrototype: true });
const framed = fc.record(
  { ...own, frame: seq, step: text, attempt: fc.nat(99) },
  { noNullPrototype: true },
);

it("pieces come out of their packing as they went in, in their order", () => {
  const pieces = fc.array(fc.oneof(whole, framed));
  fc.assert(
    fc.property(pieces, (all) => {
      expect(unpackPieces(structuredClone(packPieces(all)))).toStrictEqual(all);
    }),
  );
});

it("a step without params and inputs takes seventy bytes of a message, and no object", () => {
  const id = "chain@20261128T103903Z#19";
  const piece = { seq: 19, id, pipeline: "chain", body: "", frame: 1, step: "step-19", attempt: 1 };
  const { heads, bodies } = packPieces([piece]);
  expect(heads.length).toBeLessThanOrEqual(70);
  expect(bodies).toEqual([]);
});

it("pieces are read though a step has changed what JSON.parse is", () => {
  const { parse } = JSON;
  const packed = packPieces([{ seq: 1, id: "p@1#1", pipeline: "p", body: "{}" }]);
  try {
    JSON.parse = () => null;
    expect(unpackPieces(packed)).toHaveLength(1);
  } finally {
    JSON.parse = parse;
  }
});
