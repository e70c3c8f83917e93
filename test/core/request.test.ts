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

it("is cut at 500 characters", () => {
  const long = reason({ type: "pause", pipeline: "p", ["x".repeat(600)]: 1 });
  expect(long).toHaveLength(500);
});
