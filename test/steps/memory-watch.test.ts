/** When a step's memory is looked at, and in which words its end is told. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { outOfMemory, watchMemory } from "../../src/steps/memory-watch.ts";
import { CELLS } from "../../src/steps/thread-protocol.ts";

const MIB = 1_048_576;
const KINDS = ["alloc", "allocUnsafe", "allocUnsafeSlow"] as const;

describe("memory", () => {
  const own = KINDS.map((kind) => Buffer[kind]);
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
  afterEach(() => {
    for (const [index, kind] of KINDS.entries()) Buffer[kind] = own[index]!;
    vi.useRealTimers();
  });
  const watched = (limit: number) => {
    const cells = new Int32Array(16);
    const exceeded = vi.fn<(held: number) => void>();
    watchMemory(limit, cells, exceeded);
    return { looks: () => Atomics.load(cells, CELLS.looks), cells, exceeded };
  };

  it.each(KINDS)("is looked at after each MiB of Buffers of %s", (kind) => {
    const { looks } = watched(Number.POSITIVE_INFINITY);
    const made = Buffer[kind](MIB - 1);
    expect([looks(), made.length]).toEqual([0, MIB - 1]);
    Buffer[kind](1);
    expect(looks()).toBe(1);
    // The count begins again.
    Buffer[kind](MIB - 1);
    expect(looks()).toBe(1);
    Buffer[kind](8 * MIB);
    expect(looks()).toBe(2);
  });

  it("is looked at every 20 ms, and what is held is told in KiB", () => {
    const { looks, cells } = watched(Number.POSITIVE_INFINITY);
    vi.advanceTimersByTime(19);
    expect(looks()).toBe(0);
    vi.advanceTimersByTime(1);
    expect(looks()).toBe(1);
    vi.advanceTimersByTime(200);
    expect(looks()).toBe(11);
    const { heapUsed, external } = process.memoryUsage();
    const held = (heapUsed + external) / 1_024;
    expect(cells[CELLS.heldKib]).toBeGreaterThan(held / 3);
    expect(cells[CELLS.heldKib]).toBeLessThan(held * 3);
  });

  it("that is exceeded is told once, with the Buffer that is about to be made", () => {
    const { exceeded } = watched(100 * 1_024 * MIB);
    vi.advanceTimersByTime(100);
    expect(exceeded).not.toHaveBeenCalled();
    const over = watched(1);
    vi.advanceTimersByTime(100);
    expect(over.exceeded).toHaveBeenCalledTimes(1);
  });
});

it.each<[number | undefined, string | undefined, string]>([
  [undefined, undefined, 'step "s" wants more than its limit of 64 MiB (resources.memoryMb)'],
  [65_537, undefined, 'step "s" holds 65 MiB, more than its limit of 64 MiB (resources.memoryMb)'],
  [65_536, "x", 'step "s" holds 64 MiB, more than its limit of 64 MiB (x)'],
])("with %s KiB held, by %s", (held, setting, said) => {
  expect(outOfMemory("s", held, 64, setting)).toEqual({
    name: "OutOfMemory",
    message: `${said}: raise the limit, or let it hold less at once`,
    code: "ORCHD_OUT_OF_MEMORY",
  });
});
