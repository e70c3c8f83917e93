/** Whose words the first ones on stderr are: the engine's, which are held, or the step's. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OutputHold } from "../../../src/places/container/output-hold.ts";

let given: string[];
let hold: OutputHold;
beforeEach(() => {
  vi.useFakeTimers();
  given = [];
  hold = new OutputHold((stream, chunk) => void given.push(`${stream} ${chunk.toString()}`));
});
afterEach(() => void vi.useRealTimers());

const stderr = (text: string): void => hold.take("stderr", Buffer.from(text));

describe("a first text on stderr", () => {
  it.each(["Error: no such", "docker: Error", "time=now", "WARN[0]", "unable to", "Unable to"])(
    "that may be the engine's is held for a second: %s",
    (text) => {
      stderr(text);
      vi.advanceTimersByTime(999);
      expect(given).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(given).toEqual([`stderr ${text}`]);
    },
  );

  it.each(["a warning", " Error", "ERROR", "the Error"])(
    "that is not is the step's: %s",
    (text) => {
      stderr(text);
      expect(given).toEqual([`stderr ${text}`]);
    },
  );

  it("is held with what follows it, up to 16 KiB together", () => {
    stderr("Error: ");
    stderr("of any words");
    expect(given).toEqual([]);
    stderr("x".repeat(16 * 1024 - 19));
    expect(given).toEqual([]);
    stderr("y");
    expect(given.map((text) => text.length)).toEqual([14, 19, 16 * 1024 - 12, 8]);
  });

  it("is given before what comes on stdout", () => {
    stderr("Error: a");
    hold.take("stdout", Buffer.from("b"));
    expect(given).toEqual(["stderr Error: a", "stdout b"]);
    vi.advanceTimersByTime(2_000);
    expect(given).toHaveLength(2);
  });

  it("is the engine's where it is dropped: then it is given to nobody", () => {
    stderr("Error: a");
    stderr(" b");
    expect(hold.drop()).toBe("Error: a b");
    expect(hold.drop()).toBeUndefined();
    vi.advanceTimersByTime(2_000);
    expect(given).toEqual([]);
  });
});

it("once the step has printed, what looks like the engine's beginning is the step's", () => {
  stderr("begun");
  stderr("Error: x");
  expect(given).toEqual(["stderr begun", "stderr Error: x"]);
});
