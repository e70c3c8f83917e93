/** Why a request is refused before anybody looks at what it asks for: one short sentence. */
import { expect, it } from "vitest";
import { parseRequest } from "../../src/core/request.ts";

const reason = (value: unknown): string => {
  const parsed = parseRequest(value);
  return parsed.ok ? "" : parsed.reason;
};

it("names the field, or the request as a whole", () => {
  expect(reason({ type: "pause", pipeline: "p" })).toBe("");
  expect(reason("pause")).toMatch(/^the request: /);
  expect(reason({ type: "pause", pipeline: 7 })).toMatch(/^the request's field pipeline: /);
  expect(reason({ type: "backfill", pipeline: "p", from: "x", to: "y", which: 1 })).toMatch(
    /^the request's field \w+: /,
  );
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
