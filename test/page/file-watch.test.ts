/** When a change of a file is told: while somebody wants to know, and each change once. */
import { appendFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { FileWatch } from "../../src/page/server/file-watch.ts";
import { tempRoot } from "../support/temp-root.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
afterEach(() => void vi.useRealTimers());

function watched() {
  const { root } = tempRoot({ one: "1" });
  const [one, two] = [join(root, "one"), join(root, "one", "two")];
  let told = 0;
  const watch = new FileWatch([one, join(root, "other"), two], () => void (told += 1));
  /** How often it was told in the next second. */
  const inASecond = (): number => {
    const before = told;
    vi.advanceTimersByTime(1_000);
    return told - before;
  };
  return { root, one, watch, inASecond };
}

it("each kind of change is told once, within a second", () => {
  const { root, one, watch, inASecond } = watched();
  watch.on = true;
  expect(inASecond()).toBe(0);
  const changes = [
    () => appendFileSync(one, "2"),
    () => utimesSync(one, 1, 1),
    () => writeFileSync(join(root, "other"), ""),
    () => rmSync(join(root, "other")),
    () => {
      // Another file of the same size and time.
      writeFileSync(join(root, "next"), "12");
      utimesSync(join(root, "next"), 1, 1);
      renameSync(join(root, "next"), one);
    },
    () => rmSync(one),
  ];
  for (const change of changes) {
    change();
    vi.advanceTimersByTime(0);
    expect([inASecond(), inASecond()]).toEqual([1, 0]);
  }
  watch.on = false;
});

it("what changed while nobody wanted to know is not told later", () => {
  const { one, watch, inASecond } = watched();
  appendFileSync(one, "2");
  watch.on = true;
  expect(inASecond()).toBe(0);
  watch.on = false;
  expect(vi.getTimerCount()).toBe(0);
  appendFileSync(one, "3");
  expect(inASecond()).toBe(0);
  watch.on = true;
  watch.on = true;
  expect([vi.getTimerCount(), inASecond()]).toEqual([1, 0]);
  // Wanted once more: what has changed since the last look is still told.
  appendFileSync(one, "4");
  watch.on = true;
  expect(inASecond()).toBe(1);
  watch.on = false;
  watch.on = false;
});
