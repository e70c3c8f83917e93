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
/** What is found as quick ends are taken. */
let takeEnds: () => void;
let warm: WarmThreads<Placed>;

beforeEach(() => {
  vi.useFakeTimers();
  threads = [];
  isStarved = false;
  takeEnds = () => undefined;
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
    takeEnds: () => takeEnds(),
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

  it.each([
    [2, 3],
    [3, 2],
  ])("that ended %d pieces in a moment, two of them, are then %d", (ends, then) => {
    const many = Array.from({ length: 12 }, (_, index) => piece(`s${index}`));
    place(...many);
    vi.advanceTimersByTime(3);
    warm.pump();
    // What ends now counts from here on.
    vi.advanceTimersByTime(1);
    for (let turn = 0; turn < ends; turn += 1) {
      end(threads[0]!, many, 1);
      warm.pump();
    }
    vi.advanceTimersByTime(2);
    expect(threads).toHaveLength(then);
  });

  it("that import nothing more are not of those that change hands", () => {
    place(...Array.from({ length: 4 }, (_, index) => piece(`s${index}`)));
    vi.advanceTimersByTime(3);
    expect(threads).toHaveLength(2);
    threads[1]!.isFull = true;
    vi.advanceTimersByTime(30);
    expect(threads.map(({ reused }) => reused)).toEqual([true, true, true, false]);
  });

  it("are no more than there are cores for brief pieces, though more are idle", () => {
    const first = ["x", "y", "z"].map((id) => piece(id));
    place(...first);
    vi.advanceTimersByTime(30);
    for (const thread of threads) end(thread, first, 0.05);
    const many = Array.from({ length: 6 }, (_, index) => piece(`s${index}`));
    place(...many);
    // An idle one that knows the code is taken first, whichever it is.
    expect(threads.map(({ given }) => given)).toEqual([["s0", "s2", "s4"], ["s1", "s3", "s5"], []]);
  });

  it("take the ends that were not looked at before they call one late", () => {
    brisk();
    const many = Array.from({ length: 6 }, (_, index) => piece(`s${index}`));
    place(...many);
    threads[0]!.busyMs = 5;
    takeEnds = () => {
      end(threads[0]!, many, 0.05);
      threads[0]!.busyMs = 0;
    };
    vi.advanceTimersByTime(3);
    expect(threads.map(({ given }) => given)).toEqual([
      ["s2", "s4"],
      ["s1", "s3", "s5"],
    ]);
  });

  it("put what is taken back before what waited, in its order", () => {
    brisk();
    const many = Array.from({ length: 67 }, (_, index) => piece(`s${index}`));
    place(...many);
    expect(warm.waiting.map(({ id }) => id)).toEqual(["s64", "s65", "s66"]);
    warm.leave(threads[0] as unknown as WorkerThread);
    const odd = Array.from({ length: 31 }, (_, index) => `s${2 * index + 2}`);
    expect(warm.waiting.map(({ id }) => id)).toEqual([...odd, "s64", "s65", "s66"]);
  });

  it.each([
    [99, 2],
    [100, 1],
  ])("that import new code for %d ms keep %d pieces", (busyMs, kept) => {
    brisk();
    const fresh = ["f1", "f2"].map((id) => piece(id, { source: "c.ts" }));
    for (const thread of threads) thread.isOpen = true;
    // It was brief elsewhere.
    warm.ended(threads[0] as unknown as WorkerThread, fresh[0]!, 0.05);
    warm.leave(threads[1] as unknown as WorkerThread);
    place(...fresh);
    expect(threads[0]!.given).toEqual(["f1", "f2"]);
    threads[0]!.busyMs = busyMs;
    vi.advanceTimersByTime(3);
    expect(threads[0]!.given).toHaveLength(kept);
    end(threads[0]!, fresh, 0.05);
    // Now it has the code.
    warm.pump();
    const next = ["g1", "g2"].map((id) => piece(id, { source: "c.ts" }));
    place(...next);
    threads[0]!.busyMs = 3;
    const had = threads[0]!.given.length;
    vi.advanceTimersByTime(3);
    expect(threads[0]!.given.length).toBeLessThan(had);
  });

  it("that know the code come before those that are as idle", () => {
    brisk();
    const [one, two] = threads as [PlayedThread, PlayedThread];
    for (const thread of [one, two]) thread.isOpen = true;
    [one.source, one.pipeline, two.pipeline] = ["z.ts", "p", "q"];
    place(piece("a"));
    expect([one.given, two.given]).toEqual([[], ["a"]]);
  });

  it("get no brief piece ahead whose bundle they do not have", () => {
    brisk();
    for (const thread of threads) thread.isOpen = true;
    const other = piece("o", { source: "c.ts", bundle: "c" });
    warm.ended(threads[0] as unknown as WorkerThread, other, 0.05);
    place(piece("a"), piece("b"), other);
    expect(threads.map(({ given }) => given)).toEqual([["a"], ["b"]]);
    expect(warm.waiting).toEqual([other]);
  });

  it("become more for changed code, however many pieces of its file end", () => {
    brisk();
    const many = Array.from({ length: 12 }, (_, index) => piece(`s${index}`));
    const changed = piece("changed", { bundle: "new" });
    place(...many, changed);
    for (let ends = 0; ends < 4; ends += 1) end(threads[0]!, many, 0.05);
    vi.advanceTimersByTime(3);
    expect(threads).toHaveLength(CORES + 1);
    warm.pump();
    expect(threads[CORES]!.given).toEqual(["changed"]);
  });

  it("make room only where they have started", () => {
    const first = Array.from({ length: MOST }, (_, index) => piece(`s${index}`));
    place(...first);
    vi.advanceTimersByTime(60);
    for (const thread of threads.slice(0, 2)) end(thread, first, 100);
    threads[0]!.ready = false;
    place(piece("other", { source: "other.ts" }));
    vi.advanceTimersByTime(3);
    expect(threads.map(({ ended }) => ended)).toEqual([false, true, false, false, false]);
  });

  it("have nothing of a piece that was withdrawn", () => {
    brisk();
    const many = ["a", "b", "c"].map((id) => piece(id));
    place(...many);
    expect(warm.firsts()).toEqual(["a"]);
    expect(warm.withdraw(many[2]!)).toBe(true);
    expect([warm.firsts(), warm.withdraw(many[2]!)]).toEqual([[], false]);
  });

  it("give up all that they have not begun, and are given none of it again", () => {
    brisk();
    place(...Array.from({ length: 67 }, (_, index) => piece(`s${index}`)));
    const all = warm.withdrawAll();
    expect(all.map(({ id }) => id).toSorted()).toEqual(
      Array.from({ length: 65 }, (_, index) => `s${index + 2}`).toSorted(),
    );
    expect(warm.waiting).toEqual([]);
    warm.pump();
    vi.advanceTimersByTime(60);
    expect(threads.map(({ given }) => given)).toEqual([["s0"], ["s1"]]);
  });

  it("are ended with the piece that is to be ended, where that is still the one", () => {
    brisk();
    const many = Array.from({ length: 6 }, (_, index) => piece(`s${index}`));
    place(...many);
    const [one, two] = threads as [PlayedThread, PlayedThread];
    const isolated = (thread: PlayedThread, of: Placed): boolean =>
      warm.isolate(thread as unknown as WorkerThread, of);
    expect([isolated(one, many[0]!), one.given]).toEqual([true, ["s0"]]);
    expect(warm.waiting.map(({ id }) => id)).toEqual(["s2", "s4"]);
    // It has begun the next one meanwhile.
    two.begun.add("s3");
    expect([isolated(two, many[1]!), two.given]).toEqual([false, ["s1", "s3"]]);
    warm.leave(one as unknown as WorkerThread);
    warm.leave(two as unknown as WorkerThread);
    expect([isolated(one, many[0]!), warm.endsSoon]).toEqual([true, false]);
  });
});
