/** Sending: nothing is lost, the position waits for the collector, a bad span holds up no other. */
import { describe, expect, it } from "vitest";
import type { Feed, FeedLine } from "../../src/feed/feed-line.ts";
import type { Sent } from "../../src/traces/otlp-sender.ts";
import type { Span } from "../../src/traces/span.ts";
import { CollectorAway, TraceExport, type ExportOptions } from "../../src/traces/trace-export.ts";
import { TraceFold } from "../../src/traces/trace-fold.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const RUN = "p@20261123T020000Z";
const AT = "2026-11-23T02:00:00.000Z";

/** Lines that come when a test says so. */
class HandFeed implements Feed {
  position = "begin";
  isClosed = false;
  readonly #lines: FeedLine[] = [];
  #wake: ((result: IteratorResult<FeedLine, undefined>) => void) | undefined;

  give(line: Record<string, unknown>): void {
    const seq = Number(line["seq"]);
    this.#lines.push({
      position: `after ${seq}`,
      pipeline: "p",
      run: RUN,
      file: "",
      seq,
      raw: "",
      line,
    });
    this.#next();
  }

  close(): void {
    this.isClosed = true;
    this.#wake?.({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): AsyncIterator<FeedLine, undefined> {
    return {
      next: () =>
        new Promise((resolve) => {
          this.#wake = resolve;
          this.#next();
        }),
    };
  }

  #next(): void {
    const wake = this.#wake;
    if (wake === undefined || this.#lines.length === 0) return;
    this.#wake = undefined;
    wake({ done: false, value: this.#lines.shift()! });
  }
}

function rig(
  answer: (spans: readonly Span[]) => Sent,
  options: Partial<ExportOptions> = {},
  full: { is: boolean } = { is: false },
) {
  const clock = new VirtualClock();
  const feed = new HandFeed();
  const sent: (readonly string[])[] = [];
  const kept: string[] = [];
  const told: string[] = [];
  const ends = new AbortController();
  const work = new TraceExport(
    {
      clock,
      feed,
      fold: new TraceFold(() => undefined),
      send: async (spans) => {
        sent.push(spans.map(({ name }) => name));
        return answer(spans);
      },
      keep: async (position) => {
        if (full.is) throw new Error("no room");
        kept.push(position);
      },
      tell: (clause) => told.push(clause),
      signal: ends.signal,
    },
    { first: [], once: false, mostTries: 3, ...options },
  );
  let seq = 0;
  const give = (line: Record<string, unknown>): void =>
    feed.give({ seq: (seq += 1), at: AT, ...line });
  const header = (): void =>
    give({ type: "run.submitted", run: RUN, pipeline: "p", trigger: {}, params: {} });
  const skipped = (step: string): void => give({ type: "step.skipped", step, because: "x" });
  return { clock, feed, sent, kept, told, ends, work, header, skipped };
}

const TAKEN: Sent = { kind: "taken" };

describe("a stretch of lines", () => {
  it("is sent a second after its first span, and its position is kept after that", async () => {
    const { clock, sent, kept, work, header, skipped, ends } = rig(() => TAKEN);
    const over = work.run();
    header();
    skipped("a");
    await clock.advance(900);
    expect([sent, kept]).toEqual([[], ["begin"]]);
    skipped("b");
    await clock.advance(200);
    expect([sent, kept]).toEqual([[["a", "b"]], ["begin", "after 3"]]);
    ends.abort();
    expect(await over).toEqual({ spans: 2, refused: 0 });
    expect(clock.timers).toBe(0);
  });

  it("is sent at once where it has many spans, 512 a request", async () => {
    const { clock, sent, kept, work, header, skipped, ends } = rig(() => TAKEN);
    const over = work.run();
    header();
    for (let n = 0; n < 1_100; n += 1) skipped(`s${n}`);
    await clock.until(() => sent.length === 2);
    expect(sent.map(({ length }) => length)).toEqual([512, 512]);
    await clock.advance(1_000);
    expect(sent.map(({ length }) => length)).toEqual([512, 512, 76]);
    expect(kept).toEqual(["begin", "after 513", "after 1025", "after 1101"]);
    ends.abort();
    await over;
  });

  it.each([
    ["", 1],
    [", also while more of them come,", 3],
  ])("without spans%s has its position kept within half a minute", async (_, lines) => {
    const { clock, sent, kept, work, header, ends } = rig(() => TAKEN);
    const over = work.run();
    for (let line = 0; line < lines; line += 1) {
      header();
      await clock.advance(10_000);
    }
    await clock.advance(31_000 - lines * 10_000);
    expect([sent, kept]).toEqual([[], ["begin", `after ${lines}`]]);
    ends.abort();
    await over;
  });
});

describe("a position that cannot be written", () => {
  it("is told, and holds up no span", async () => {
    const full = { is: true };
    const { clock, sent, kept, told, work, header, skipped, ends } = rig(() => TAKEN, {}, full);
    const over = work.run();
    header();
    skipped("a");
    await clock.advance(1_500);
    skipped("b");
    await clock.advance(1_500);
    expect([sent, kept]).toEqual([[["a"], ["b"]], []]);
    expect(told).toEqual(["the position cannot be written: no room"]);
    full.is = false;
    skipped("c");
    await clock.advance(1_500);
    expect(kept).toEqual(["after 4"]);
    ends.abort();
    await over;
  });

  it("ends an export of what there is", async () => {
    const { feed, work } = rig(() => TAKEN, { once: true }, { is: true });
    await expect(work.run()).rejects.toThrow("no room");
    expect(feed.isClosed).toBe(true);
  });
});

describe("a collector", () => {
  it.each([
    [undefined, [1, 2, 4]],
    // It may ask for more than the export would wait, and not for less.
    [500, [1, 2, 4]],
    [3_000, [3, 3, 4]],
  ])("that asks for %s ms is tried again after %j s", async (afterMs, waits) => {
    const tries: number[] = [];
    const made = rig(() => {
      tries.push(made.clock.monotonic());
      return { kind: "later", because: "busy", ...(afterMs === undefined ? {} : { afterMs }) };
    });
    const over = made.work.run();
    made.header();
    made.skipped("a");
    await made.clock.until(() => tries.length === 4);
    expect(tries.slice(1).map((at, nth) => (at - tries[nth]!) / 1_000)).toEqual(waits);
    made.ends.abort();
    await over;
  });

  it("that is away for a day is tried again, told once an hour, and gets all of it", async () => {
    let isAway = true;
    const { clock, sent, kept, told, work, header, skipped, ends } = rig(() =>
      isAway ? { kind: "later", because: "nothing listens there" } : TAKEN,
    );
    const over = work.run();
    header();
    skipped("a");
    await clock.advance(24 * 3_600_000);
    expect(kept).toEqual(["begin"]);
    expect(sent.length).toBeGreaterThan(1_400);
    expect(sent.length).toBeLessThan(1_450);
    expect([23, 24]).toContain(told.length);
    skipped("b");
    isAway = false;
    await clock.advance(62_000);
    expect(sent.slice(-2)).toEqual([["a"], ["b"]]);
    expect(kept).toEqual(["begin", "after 2", "after 3"]);
    expect(told.at(-1)).toBe("the collector takes spans again");
    expect(told.filter((clause) => clause === told.at(-1))).toHaveLength(1);
    ends.abort();
    await over;
  });

  it("that asks for ten hours is tried again after one", async () => {
    const { clock, sent, work, header, skipped, ends } = rig(() => ({
      kind: "later",
      because: "busy",
      afterMs: 36_000_000,
    }));
    const over = work.run();
    header();
    skipped("a");
    await clock.advance(1_000 + 3_599_999);
    expect(sent).toHaveLength(1);
    await clock.advance(1);
    expect(sent).toHaveLength(2);
    ends.abort();
    await over;
  });

  it("that is away for another reason says so at once", async () => {
    const reasons = ["one", "one", "two", "two", "one"];
    const { clock, told, sent, work, header, skipped, ends } = rig(() => ({
      kind: "later",
      because: reasons[sent.length - 1] ?? "one",
    }));
    const over = work.run();
    header();
    skipped("a");
    await clock.until(() => sent.length === reasons.length);
    expect(told.map((clause) => /: (\w+);/.exec(clause)![1])).toEqual(["one", "two", "one"]);
    ends.abort();
    await over;
  });

  it("that asks for time is given it", async () => {
    const answers: Sent[] = [{ kind: "later", because: "it answers 429", afterMs: 90_000 }, TAKEN];
    const { clock, sent, work, header, skipped, ends } = rig(() => answers.shift()!);
    const over = work.run();
    header();
    skipped("a");
    await clock.advance(90_900);
    expect(sent).toHaveLength(1);
    await clock.advance(200);
    expect(sent).toHaveLength(2);
    ends.abort();
    await over;
  });

  it("that refuses a request for one span gets all others", async () => {
    const { clock, sent, kept, told, work, header, skipped, ends } = rig((spans) =>
      spans.some(({ name }) => name === "s77")
        ? { kind: "never", because: "it answers 400" }
        : TAKEN,
    );
    const over = work.run();
    header();
    for (let n = 0; n < 100; n += 1) skipped(`s${n}`);
    await clock.advance(1_000);
    const taken = sent.filter((names) => !names.includes("s77")).flat();
    expect(new Set(taken).size).toBe(99);
    expect(taken).toHaveLength(99);
    expect(kept.at(-1)).toBe("after 101");
    expect(told).toEqual([
      "a span is left out, because the collector refuses them: it answers 400",
    ]);
    ends.abort();
    expect(await over).toEqual({ spans: 99, refused: 1 });
  });

  it("that takes a part of a request is not sent that part again", async () => {
    const { clock, sent, kept, told, work, header, skipped, ends } = rig(() => ({
      kind: "taken",
      refused: { count: 2, because: "too old" },
    }));
    const over = work.run();
    header();
    for (const name of ["a", "b", "c"]) skipped(name);
    await clock.advance(1_000);
    expect([sent.length, kept.at(-1)]).toEqual([1, "after 4"]);
    expect(told).toEqual(["2 spans are left out, because the collector refuses them: too old"]);
    ends.abort();
    expect(await over).toEqual({ spans: 1, refused: 2 });
  });
});

describe("a collector that is away", () => {
  const AWAY: Sent = { kind: "later", because: "away" };

  it("is tried after 1, 2, 4 … seconds, and each minute at the latest", async () => {
    const at: number[] = [];
    const { clock, work, header, skipped, ends } = rig(() => {
      at.push(clock.monotonic());
      return AWAY;
    });
    const over = work.run();
    header();
    skipped("a");
    await clock.advance(600_000);
    const waits = at.slice(1).map((time, index) => (time - at[index]!) / 1_000);
    expect(waits.slice(0, 9)).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
    ends.abort();
    await over;
  });

  it.each([
    [undefined, 1],
    [900, 1],
    [1_001, 2],
    [90_000, 90],
  ])(
    "that asks for %j ms is told with a wait of %i s, which is none too short",
    async (afterMs, s) => {
      const { clock, work, told, header, skipped, ends } = rig(() => ({ ...AWAY, afterMs }));
      const over = work.run();
      header();
      skipped("a");
      await clock.until(() => told.length > 0);
      expect(told).toEqual([
        `the collector does not take spans: away; the next try is in ${s} s, and ` +
          "nothing is lost meanwhile",
      ]);
      ends.abort();
      await over;
    },
  );

  it.each([1, 2, 3, 5])(
    "refuses one of %i spans: the others are sent, each once",
    async (count) => {
      const { clock, work, sent, told, header, skipped, ends } = rig((spans) =>
        spans.some(({ name }) => name === "bad") ? { kind: "never", because: "bad" } : TAKEN,
      );
      const over = work.run();
      header();
      for (let n = 1; n < count; n += 1) skipped(`s${n}`);
      skipped("bad");
      await clock.advance(2_000);
      ends.abort();
      expect(await over).toEqual({ spans: count - 1, refused: 1 });
      const alone = sent.filter((names) => !names.includes("bad")).flat();
      expect(alone).toEqual(Array.from({ length: count - 1 }, (_, index) => `s${index + 1}`));
      expect(told).toEqual(["a span is left out, because the collector refuses them: bad"]);
    },
  );

  it("takes a part: those that it refused do not count as sent", async () => {
    const { clock, work, header, skipped, ends } = rig(() => ({
      kind: "taken",
      refused: { count: 2, because: "too old" },
    }));
    const over = work.run();
    header();
    for (const step of ["a", "b", "c"]) skipped(step);
    await clock.advance(2_000);
    ends.abort();
    expect(await over).toEqual({ spans: 1, refused: 2 });
  });
});

describe("an export", () => {
  it("of what there is ends when the feed is quiet", async () => {
    const { clock, sent, kept, work, header, skipped, feed } = rig(() => TAKEN, { once: true });
    const over = work.run();
    header();
    skipped("a");
    await clock.advance(400);
    expect(await over).toEqual({ spans: 1, refused: 0 });
    expect([sent, kept, feed.isClosed]).toEqual([[["a"]], ["begin", "after 2"], true]);
  });

  it("of what there is gives up after three tries, and keeps no position", async () => {
    const away: Sent = { kind: "later", because: "nothing listens there" };
    const { clock, sent, kept, work, header, skipped } = rig(() => away, { once: true });
    const over = work.run().catch((error: unknown) => error);
    header();
    skipped("a");
    await clock.advance(10_000);
    expect(await over).toBeInstanceOf(CollectorAway);
    expect([sent.length, kept]).toEqual([3, ["begin"]]);
  });

  it("that is told to end while it waits ends, and keeps no position", async () => {
    const away: Sent = { kind: "later", because: "nothing listens there" };
    const { clock, kept, work, header, skipped, ends } = rig(() => away);
    const over = work.run();
    header();
    skipped("a");
    await clock.advance(5_000);
    ends.abort();
    await over;
    expect([kept, clock.timers]).toEqual([["begin"], 0]);
  });
});
