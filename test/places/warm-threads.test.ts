import { beforeEach, describe, expect, it, vi } from "vitest";
import type { TaskHead } from "../../src/places/pool/protocol.ts";
import { WarmThreads, type Placed } from "../../src/places/runner/warm-threads.ts";
import type { Code, WorkerThread } from "../../src/places/runner/worker-thread.ts";

const CORES = 2;
const MOST = 4;

/** A thread that begins a piece when the test says so. */
class PlayedThread {
  ready = true;
  busyMs = 0;
  given: string[] = [];
  begun = new Set<string>();
  ended = false;
  pipeline: string | undefined;
  source: string | undefined;
  bundle: string | undefined;

  reused = true;
  isFull = false;
  bound = false;

  /** Takes every source. */
  isOpen = false;

  suits(code: Code): boolean {
    return this.isOpen || this.source === undefined || this.knows(code);
  }
  knows({ bundle, source }: Code): boolean {
    return this.source === source && this.bundle === bundle;
  }
  has(bundle: string): boolean {
    return this.bundle === bundle;
  }
  run({ id }: { readonly id: string }, { bundle, source }: Code): void {
    this.source = source;
    this.bundle = bundle;
    if (this.given.length === 0) this.begun.add(id);
    this.given.push(id);
  }
  takeBack(id: string): boolean {
    if (!this.given.includes(id) || this.begun.has(id)) return false;
    this.given = this.given.filter((given) => given !== id);
    return true;
  }
}

let threads: PlayedThread[];
/** The machine starts no thread now. */
let isStarved: boolean;
let warm: WarmThreads<Placed>;

beforeEach(() => {
  vi.useFakeTimers();
  threads = [];
  isStarved = false;
  warm = new WarmThreads<Placed>({
    cores: CORES,
    threads: MOST,
    newThread: (reused) => {
      if (isStarved) return undefined;
      const thread = new PlayedThread();
      thread.reused = reused;
      threads.push(thread);
      return thread as unknown as WorkerThread;
    },
    end: (thread) => {
      (thread as unknown as PlayedThread).ended = true;
    },
    given: () => undefined,
    takeEnds: () => undefined,
  });
  return () => void vi.useRealTimers();
});

const piece = (id: string, more: Partial<TaskHead> = {}): Placed => ({
  id,
  body: "{}",
  head: {
    kind: "module",
    run: "r",
    pipeline: "p",
    step: id,
    attempt: 1,
    source: "a.ts",
    bundle: "b",
    isolated: false,
    gracePeriodMs: 0,
    ...more,
  },
});

function place(...pieces: Placed[]): void {
  for (const one of pieces) warm.add(one);
  warm.pump();
}

/** A thread's first piece ends, and its next one begins. */
function end(thread: PlayedThread, all: readonly Placed[], durationMs: number): void {
  const id = thread.given.shift()!;
  thread.begun.delete(id);
  if (thread.given[0] !== undefined) thread.begun.add(thread.given[0]);
  warm.ended(
    thread as unknown as WorkerThread,
    all.find((one) => one.id === id)!,
    durationMs,
  );
}

/** Makes two threads that have shown that the pieces are brief. */
function brisk(): void {
  const first = ["x", "y"].map((id) => piece(id));
  place(...first);
  for (let looks = 0; looks < 2; looks += 1) vi.advanceTimersByTime(3);
  warm.pump();
  for (const thread of threads) end(thread, first, 0.05);
  warm.pump();
}

describe("threads that steps share", () => {
  it("take one piece each; another starts only when a piece has waited", () => {
    place(piece("a"), piece("b"), piece("c"));
    expect(threads).toHaveLength(1);
    warm.pump();
    expect(threads[0]!.given).toEqual(["a"]);
    expect(warm.waiting.map(({ id }) => id)).toEqual(["b", "c"]);
    vi.advanceTimersByTime(3);
    expect(threads).toHaveLength(2);
    vi.advanceTimersByTime(30);
    expect(threads.map(({ given }) => given)).toEqual([["a"], ["b"], ["c"]]);
  });

  it("are waited for where none can be started, and begin what waits in its order", () => {
    isStarved = true;
    place(piece("a"), piece("b"));
    vi.advanceTimersByTime(100);
    expect([threads.length, warm.waiting.map(({ id }) => id)]).toEqual([0, ["a", "b"]]);
    isStarved = false;
    warm.pump();
    vi.advanceTimersByTime(100);
    expect(threads.map(({ given }) => given)).toEqual([["a"], ["b"]]);
  });

  it("get new code of their own pipeline before that of another one", () => {
    brisk();
    const [one, two] = threads as [PlayedThread, PlayedThread];
    for (const thread of [one, two]) thread.isOpen = true;
    for (const [other, own] of [
      [one, two],
      [two, one],
    ] as const) {
      other.pipeline = "q";
      own.pipeline = "p";
      const id = `fresh ${threads.indexOf(own)}`;
      const fresh = piece(id, { source: `${id}.ts`, bundle: id });
      place(fresh);
      expect(own.given).toEqual([fresh.id]);
      end(own, [fresh], 1);
    }
  });

  it("start no more at once than there are cores", () => {
    place(...["a", "b", "c", "d"].map((id) => piece(id)));
    for (const thread of threads) thread.ready = false;
    for (let ms = 0; ms < 50; ms += 3) {
      vi.advanceTimersByTime(3);
      for (const thread of threads) thread.ready = false;
    }
    expect(threads).toHaveLength(CORES);
  });

  it("name the first of their pieces where others wait behind it, and no other", () => {
    brisk();
    const many = ["a", "b", "c"].map((id) => piece(id));
    place(many[0]!, many[1]!);
    expect(warm.firsts()).toEqual([]);
    place(many[2]!);
    const one = threads.find(({ given }) => given.length === 2);
    expect(warm.firsts()).toEqual([one!.given[0]]);
  });

  it("tell whether one of them is about to end a brief piece", () => {
    brisk();
    expect(warm.endsSoon).toBe(false);
    const [long, brief] = [piece("l", { source: "l.ts" }), piece("b")];
    place(long);
    expect(warm.endsSoon).toBe(false);
    place(brief);
    expect(warm.endsSoon).toBe(true);
    end(
      threads.find(({ given }) => given[0] === "b")!,
      [brief],
      0.05,
    );
    expect(warm.endsSoon).toBe(false);
  });

  it("get brief pieces ahead, on as many threads as there are cores", () => {
    brisk();
    const many = Array.from({ length: 68 }, (_, index) => piece(`s${index}`));
    place(...many);
    expect(threads).toHaveLength(CORES);
    expect(threads.map(({ given }) => given.length)).toEqual([32, 32]);
    expect(warm.waiting).toHaveLength(4);
    end(threads[0]!, many, 0.05);
    warm.pump();
    expect(warm.waiting).toHaveLength(3);
  });

  it("do not become more while they end pieces faster than one would start", () => {
    const many = Array.from({ length: 12 }, (_, index) => piece(`s${index}`));
    place(...many);
    vi.advanceTimersByTime(3);
    warm.pump();
    expect(threads).toHaveLength(2);
    for (let turn = 0; turn < 4; turn += 1) {
      end(threads[0]!, many, 1);
      warm.pump();
    }
    vi.advanceTimersByTime(3);
    expect(threads).toHaveLength(2);
    vi.advanceTimersByTime(3);
    expect(threads).toHaveLength(3);
  });

  it("can change hands where one that could not had to make room", () => {
    const all = Array.from({ length: 6 }, (_, index) =>
      piece(`s${index}`, { source: `s${index}.ts` }),
    );
    place(...all.slice(0, 4));
    for (let ms = 0; ms < 30; ms += 3) vi.advanceTimersByTime(3);
    expect(threads.map(({ reused }) => reused)).toEqual([true, true, false, false]);
    end(threads[2]!, all, 20);
    place(all[4]!);
    vi.advanceTimersByTime(3);
    expect(threads[2]!.ended).toBe(true);
    expect(threads[4]!.reused).toBe(true);
  });

  it("make room for a brief piece that none of them may run: its code has changed", () => {
    brisk();
    const changed = piece("changed", { bundle: "new" });
    place(changed);
    vi.advanceTimersByTime(12);
    expect(threads).toHaveLength(CORES + 1);
    expect(threads.at(-1)!.given).toEqual(["changed"]);
    // As many threads as there may be, all with the old code.
    place(...["c", "d", "e"].map((id) => piece(id, { bundle: `new ${id}` })));
    vi.advanceTimersByTime(50);
    expect(warm.waiting).toEqual([]);
    expect(threads.filter(({ ended }) => !ended)).toHaveLength(MOST);
  });

  it("give back what waits behind a piece that turns out long", () => {
    brisk();
    const many = ["a", "b", "c", "d"].map((id) => piece(id));
    place(...many);
    expect(threads.map(({ given }) => given.length)).toEqual([2, 2]);
    for (const thread of threads) thread.busyMs = 5;
    vi.advanceTimersByTime(3);
    expect(threads.slice(0, CORES).map(({ given }) => given)).toEqual([["a"], ["b"]]);
    // No thread is free for them: another one starts.
    expect(threads.length).toBeGreaterThan(CORES);
    vi.advanceTimersByTime(6);
    // They no longer count as brief: each has a thread of its own.
    expect(threads.map(({ given }) => given.length)).toEqual([1, 1, 1, 1]);
    expect(threads.flatMap(({ given }) => given).sort()).toEqual(["a", "b", "c", "d"]);
  });

  it("give what waits behind one that is late to those that are not, as brief as before", () => {
    brisk();
    const many = Array.from({ length: 8 }, (_, index) => piece(`s${index}`));
    place(...many.slice(0, 6));
    const [late, other] = threads as [PlayedThread, PlayedThread];
    late.busyMs = 5;
    vi.advanceTimersByTime(3);
    expect(late.given).toEqual(["s0"]);
    expect(other.given).toEqual(["s1", "s3", "s5", "s2", "s4"]);
    for (let looks = 0; looks < 3; looks += 1) {
      end(other, many, 0.05);
      vi.advanceTimersByTime(3);
    }
    // The machine held it up, and nothing else: it gets pieces again.
    end(late, many, 15);
    late.busyMs = 0;
    place(...many.slice(6));
    expect(threads).toHaveLength(CORES);
    expect(threads.map(({ given }) => given)).toEqual([
      ["s6", "s7"],
      ["s2", "s4"],
    ]);
  });

  it("do not become more where the machine held all of them up among many ends", () => {
    brisk();
    const many = Array.from({ length: 12 }, (_, index) => piece(`s${index}`));
    place(...many);
    for (const thread of threads) for (let ends = 0; ends < 2; ends += 1) end(thread, many, 0.05);
    for (const thread of threads) thread.busyMs = 5;
    vi.advanceTimersByTime(3);
    expect([threads.length, warm.waiting.length]).toEqual([CORES, 6]);
    // Nothing ends any more.
    vi.advanceTimersByTime(3);
    expect(threads).toHaveLength(CORES + 1);
  });

  it("are each late by themselves, until one is so twice while no piece of its source ends", () => {
    brisk();
    place(...Array.from({ length: 8 }, (_, index) => piece(`s${index}`)));
    threads[0]!.busyMs = 5;
    vi.advanceTimersByTime(3);
    expect(threads.map(({ given }) => given.length)).toEqual([1, 7]);
    threads[1]!.busyMs = 5;
    vi.advanceTimersByTime(3);
    expect(threads.slice(0, CORES).map(({ given }) => given)).toEqual([["s0"], ["s1"]]);
    vi.advanceTimersByTime(9);
    expect(threads.map(({ given }) => given.length)).toEqual([1, 1, 1, 1]);
    expect(warm.waiting).toHaveLength(4);
  });

  it("let no brief piece wait for those of another source that do not end", () => {
    brisk();
    for (const thread of threads) thread.isOpen = true;
    const long = ["l1", "l2"].map((id) => piece(id, { source: "long.ts", bundle: "l" }));
    place(...long);
    expect(threads.map(({ given }) => given)).toEqual([["l1"], ["l2"]]);
    for (const thread of threads) thread.busyMs = 60_000;
    const brief = Array.from({ length: 40 }, (_, index) => piece(`s${index}`));
    place(...brief);
    vi.advanceTimersByTime(3);
    expect(threads).toHaveLength(CORES + 1);
    vi.advanceTimersByTime(3);
    expect(threads[2]!.given).toHaveLength(32);
    while (threads[2]!.given.length > 0 || warm.waiting.length > 0) {
      end(threads[2]!, brief, 0.05);
      warm.pump();
    }
    expect(threads.slice(0, 2).map(({ given }) => given)).toEqual([["l1"], ["l2"]]);
  });

  it("let no brief piece wait behind threads of other pipelines that are full of long ones", () => {
    brisk();
    for (const thread of threads) thread.isOpen = true;
    const long = ["l1", "l2", "l3"].map((id) => piece(id, { source: "long.ts", bundle: "l" }));
    place(...long);
    for (let ms = 0; ms < 12; ms += 3) vi.advanceTimersByTime(3);
    expect(threads.map(({ given }) => given)).toEqual([["l1"], ["l2"], ["l3"]]);
    for (const thread of threads) Object.assign(thread, { isOpen: true, busyMs: 60_000 });
    const brief = ["a", "b", "c"].map((id) => piece(id));
    place(...brief);
    vi.advanceTimersByTime(6);
    expect(threads[3]!.given).toEqual(["a", "b", "c"]);
  });

  it("begin a piece with a time limit at once, or not at all", () => {
    brisk();
    const limited = ["a", "b", "c"].map((id) => piece(id, { timeoutMs: 50 }));
    place(...limited);
    expect(threads.map(({ given }) => given.length)).toEqual([1, 1]);
    expect(warm.waiting.map(({ id }) => id)).toEqual(["c"]);
  });

  it("give up a piece that is withdrawn before it begins, and no other", () => {
    brisk();
    const many = ["a", "b", "c", "d", "e"].map((id) => piece(id));
    place(...many);
    const [a, , c] = many;
    expect(warm.withdraw(c!)).toBe(true);
    expect(warm.withdraw(a!)).toBe(false);
    expect(threads.flatMap(({ given }) => given)).not.toContain("c");
    expect(threads.flatMap(({ given }) => given)).toContain("a");
  });

  it("take over what a thread that ends has not begun", () => {
    brisk();
    const many = ["a", "b", "c", "d"].map((id) => piece(id));
    place(...many);
    warm.leave(threads[0] as unknown as WorkerThread);
    expect(warm.waiting.map(({ id }) => id)).toEqual(["c"]);
    warm.pump();
    expect(threads[1]!.given).toEqual(["b", "d", "c"]);
  });

  it("make room for other code when there are as many as there may be", () => {
    const first = Array.from({ length: MOST }, (_, index) => piece(`s${index}`));
    place(...first);
    vi.advanceTimersByTime(60);
    expect(threads).toHaveLength(MOST);
    for (const thread of threads) end(thread, first, 100);
    place(piece("other", { source: "other.ts" }));
    expect(warm.waiting).toHaveLength(1);
    vi.advanceTimersByTime(9);
    expect(threads.filter(({ ended }) => ended)).toHaveLength(1);
    expect(threads.at(-1)!.given).toEqual(["other"]);
  });
});
