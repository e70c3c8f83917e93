import { expect, it } from "vitest";
import { secretName } from "../../src/page/app/pipeline/param-field.ts";

it.each([
  [{ secret: "key" }, "key"],
  [{ secret: "key", other: 1 }, undefined],
  [{ other: 1, secret: "key" }, undefined],
  [{ secret: 1 }, undefined],
  [{ secrets: "key" }, undefined],
  [{}, undefined],
  [["secret"], undefined],
  [null, undefined],
  ["secret", undefined],
])("a param of %j names the secret %s", (value, name) => {
  expect(secretName(value as never)).toBe(name);
});
