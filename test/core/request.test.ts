/** Why a request is refused before anybody looks at what it asks for: one short sentence. */
import { expect, it } from "vitest";
import { parseRequest } from "../../src/core/request.ts";

const reason = (value: unknown): string => {
  const parsed = parseRequest(value);
  return parsed.ok ? "" : parsed.reason;
};

it("names the field, or the request as a whole", () => {
  expect(reason({ type: "pause", pipeline: "p" })).toBe("");
  expect(reason("pause")).toMatch(/^the request must be /);
  expect(reason({ type: "pause", pipeline: 7 })).toMatch(/^the request's field pipeline must be /);
  expect(reason({ type: "backfill", pipeline: "p", from: "x", to: "y", which: 1 })).toMatch(
    /^the request's field \w+ must be /,
  );
});

const OBJECT = 'the request must be a JSON object such as {"type":"pause","pipeline":"etl"}, not ';
const TIME = "must be a time with its zone, such as 2026-11-23T02:00:00Z";
const SPAN = { from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z" };

it.each([
  [[], `${OBJECT}a list`],
  ["pause", `${OBJECT}"pause"`],
  [null, `${OBJECT}null`],
  [3, `${OBJECT}3`],
  [{ type: "pause" }, "the request's field pipeline is missing; it must be text"],
  [
    { type: "pause", pipeline: "A b" },
    `the request's field pipeline must be a pipeline's name, not "A b"`,
  ],
  [
    { type: "pause", pipeline: 7 },
    "the request's field pipeline must be text, not 7; put it in quotes",
  ],
  [
    { type: "submit", pipeline: "p", params: [1] },
    "the request's field params must be a map of keys and values, not a list",
  ],
  [{ type: "stop", run: "x" }, `the request's field run must be a run's id, not "x"`],
  [
    { type: "stop", run: "p@20261123T020000Z", mode: "hard" },
    `the request's field mode must be one of graceful, force, not "hard"`,
  ],
  [{ type: "silence", pipeline: "p", until: "x" }, `the request's field until ${TIME}, not "x"`],
  [
    { type: "backfill", pipeline: "p", ...SPAN, from: "2026-01-01" },
    `the request's field from ${TIME}, not "2026-01-01"`,
  ],
  [
    { type: "backfill", pipeline: "p", ...SPAN, maxActive: 0 },
    "the request's field maxActive must be at least 1, not 0",
  ],
  [
    { type: "cancel_backfill", id: "../x" },
    `the request's field id must be a request's id, not "../x"`,
  ],
])("says of %j what the field must be", (value, told) => {
  expect(reason(value)).toBe(told);
});

const ALL =
  "a request is one of submit, stop, pause, resume, silence, rerun, backfill, cancel_backfill, " +
  "prune, repair, rebuild";

it.each([
  [{}, `the request has no type; ${ALL}`],
  [{ type: 7 }, `there is no type 7; ${ALL}`],
  [{ type: "explode" }, `there is no type "explode"; ${ALL}`],
  [{ type: "sbmit" }, `there is no type "sbmit"; did you mean "submit"? ${ALL}`],
  [
    { type: "pause", pipelne: "p" },
    'a pause request has no field "pipelne"; did you mean "pipeline"?',
  ],
  [
    { type: "pause", pipeline: "p", zzz: 1 },
    'a pause request has no field "zzz"; it has type, pipeline, by, notAfter',
  ],
])("says of %j what is meant", (value, told) => {
  expect(reason(value)).toBe(told);
});

it("is cut at 500 characters", () => {
  const long = reason({ type: "pause", pipeline: "p", ["x".repeat(600)]: 1 });
  expect(long).toHaveLength(500);
});
