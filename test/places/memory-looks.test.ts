/** How a runner holds tasks to their memory, and what it says of one that ended its thread. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { watchMemoryLimits } from "../../src/places/runner/memory-limits.ts";
import { groupHeldKib, OutsideLook } from "../../src/places/runner/outside-look.ts";
import { describeTask, endResult, threadDeath, type Piece } from "../../src/places/runner/piece.ts";
import type { TaskHead } from "../../src/places/pool/protocol.ts";

const MIB = 1024;

describe("a look from outside", () => {
  it("believes a thread that speaks, and counts growth past a slack while it is silent", () => {
    const look = new OutsideLook();
    const slack = 64 * MIB;
    expect(look.look({ heldKib: 10, looks: 0 }, 1_000)).toEqual({ kib: 10, certain: true });
    expect(look.look({ heldKib: 10, looks: 0 }, 1_000 + slack)).toEqual({
      kib: 10,
      certain: false,
    });
    expect(look.look({ heldKib: 10, looks: 0 }, 1_001 + slack)).toEqual({
      kib: 11,
      certain: false,
    });
    // A process that shrinks takes nothing off.
    expect(look.look({ heldKib: 10, looks: 0 }, 1)).toEqual({ kib: 10, certain: false });
    expect(look.look({ heldKib: 20, looks: 1 }, 9_000)).toEqual({ kib: 20, certain: true });
    expect(look.look({ heldKib: 20, looks: 1 }, 9_005 + slack)).toEqual({
      kib: 25,
      certain: false,
    });
  });

  it("of a group that is not there holds nothing", () => {
    expect(groupHeldKib(-5)).toBe(0);
  });
});

const head = (more: Partial<TaskHead> = {}): TaskHead => ({
  kind: "module",
  run: "p@1",
  pipeline: "p",
  step: "s",
  attempt: 1,
  isolated: false,
  gracePeriodMs: 1,
  ...more,
});
const piece = (more: object = {}): Piece => ({ head: head(), timers: [], ...more }) as never;

describe("the watch over limits", () => {
  let rss = 0;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    vi.spyOn(process.memoryUsage, "rss").mockImplementation(() => rss * 1024);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
  const limited = (heldKib: number, more: object = {}): Piece =>
    piece({ head: head({ memoryMb: 10 }), thread: { heldKib, looks: 1 }, ...more });
  const ended = (...pieces: Piece[]): Piece[] => {
    const found: Piece[] = [];
    watchMemoryLimits(new Map(pieces.map((one, index) => [String(index), one])), (one) =>
      found.push(one),
    );
    vi.advanceTimersByTime(99);
    expect(found).toEqual([]);
    vi.advanceTimersByTime(1);
    return found;
  };

  it("ends a piece that says that it holds more, and none that holds as much", () => {
    const [fits, more] = [limited(10 * MIB), limited(10 * MIB + 1)];
    expect(ended(fits, more)).toEqual([more]);
    expect(more.aside).toBeUndefined();
    expect(more.fault).toMatchObject({ message: expect.stringContaining('"s"') as string });
    expect(fits.fault).toBeUndefined();
  });

  it("passes over one without a limit, and one that is being ended", () => {
    expect(ended(piece({ thread: { heldKib: 99 * MIB, looks: 1 } }))).toEqual([]);
    expect(ended(limited(99 * MIB, { killing: true }))).toEqual([]);
    expect(ended(piece({ head: head({ memoryMb: 10 }) }))).toEqual([]);
  });

  it("sets a silent one aside where another may have grown, and ends it where it is alone", () => {
    for (const others of [[], [piece()], [piece({ thread: { heldKib: 0, looks: 0 } })]]) {
      const silent = limited(1);
      rss = 0;
      const found: Piece[] = [];
      const pieces = [silent, ...others];
      watchMemoryLimits(new Map(pieces.map((one, index) => [String(index), one])), (one) =>
        found.push(one),
      );
      vi.advanceTimersByTime(100);
      rss = 64 * MIB + 10 * MIB;
      vi.advanceTimersByTime(100);
      expect(found).toEqual([silent]);
      expect(silent.aside).toBe(
        others[0]?.thread === undefined
          ? undefined
          : 'the runner grew beyond what step "s" may hold, while that did not yield,',
      );
      vi.clearAllTimers();
    }
  });
});

it.each<[object, object]>([
  [
    { fault: { name: "E", message: "m" } },
    { outcome: "failed", error: { name: "E", message: "m" } },
  ],
  [
    { ending: { outcome: "timeout", because: "its time limit of 1s is over" } },
    {
      outcome: "timeout",
      error: {
        name: "TimeoutError",
        message: "its time limit of 1s is over: raise it (timeout), or find what holds it up",
        code: "ORCHD_STEP_TIMEOUT",
      },
    },
  ],
  [
    { ending: { outcome: "stopped", because: "asked" } },
    { outcome: "stopped", error: { name: "Stopped", message: "asked" } },
  ],
  [{}, { outcome: "stopped", error: { name: "Stopped", message: "the step was ended" } }],
  [
    { fault: { name: "E", message: "m" }, ending: { outcome: "timeout", because: "x" } },
    { outcome: "failed", error: { name: "E", message: "m" } },
  ],
])("a piece that was told to end, with %j", (more, result) => {
  expect(endResult(piece(more))).toEqual({ ok: false, ...result });
});

describe("a thread that ended without being told to", () => {
  const memory = Object.assign(new Error("x"), { code: "ERR_WORKER_OUT_OF_MEMORY" });
  it("says how", () => {
    expect(threadDeath(piece(), undefined, 3, undefined)).toEqual({
      name: "WorkerExit",
      message: 'step "s" ended its own thread (process.exit(3)): return or throw instead',
      code: "ORCHD_WORKER_EXIT",
    });
    expect(threadDeath(piece(), new TypeError("no"), 1, undefined)).toMatchObject({
      name: "TypeError",
      message: "no",
    });
  });

  it("names the limit that it passed: the step's, the runner's, or Node's", () => {
    const limited = piece({ head: head({ memoryMb: 7 }) });
    expect(threadDeath(limited, memory, 1, 9).message).toContain("7 MiB");
    expect(threadDeath(limited, memory, 1, 9).message).not.toContain("orchd.yaml");
    const ofRunner = threadDeath(piece(), memory, 1, 9).message;
    expect(ofRunner).toContain("9 MiB");
    expect(ofRunner).toContain("runner.memoryMb in orchd.yaml");
    expect(threadDeath(piece(), memory, 1, undefined)).toEqual({
      name: "OutOfMemory",
      message: 'step "s" wants more memory than Node gives a thread',
      code: "ORCHD_OUT_OF_MEMORY",
    });
  });
});

it.each<[Partial<TaskHead>, string]>([
  [{}, 'step "s"'],
  [{ kind: "shell" }, 'step "s"'],
  [{ kind: "hook", step: "(init)" }, "the hook init"],
  [{ kind: "dynamic", step: "(function)" }, "the dynamic function"],
  [{ kind: "cacheFunction" }, "the cacheFunction function"],
])("%j is told as %s", (more, text) => {
  expect(describeTask(head(more))).toBe(text);
});
