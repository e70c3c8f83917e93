/** When what a process is started with is asked for, and when the start is put off. */
import { expect, it } from "vitest";
import { OtherRelease } from "../../src/disk/built-program.ts";
import { ifStartable } from "../../src/places/pool/startable.ts";

it("puts a start off where another release was installed, and throws all else", () => {
  expect(ifStartable(() => "runner.js")).toBe("runner.js");
  const otherwise = (error: Error) => (): never => {
    throw error;
  };
  expect(ifStartable(otherwise(new OtherRelease("orchd 2 was installed")))).toBeUndefined();
  expect(() => ifStartable(otherwise(new Error("it was not built")))).toThrow("it was not built");
});
