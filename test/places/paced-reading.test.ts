/** How what programs print is read: in pieces, between which others have their turn. */
import { PassThrough } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { readInTurns, readWithRests } from "../../src/places/pool/paced-reading.ts";

const CHUNK = 32 * 1024;

/** An output in which so many chunks lie already. */
function full(chunks: number): PassThrough {
  const output = new PassThrough({ highWaterMark: 64 * 1024 * 1024 });
  for (let n = 0; n < chunks; n += 1) output.write(Buffer.alloc(CHUNK, n));
  return output;
}

describe("an output is read", () => {
  it("by 64 KiB, and then others have their turn", async () => {
    const heard: Buffer[] = [];
    const output = full(10);
    readInTurns(output, (chunk) => heard.push(chunk));
    const counts = [0];
    while (heard.length < 10) {
      await nextTurn();
      counts.push(heard.length);
    }
    const steps = counts.slice(1).map((count, n) => count - counts[n]!);
    expect(Math.max(...steps)).toBe(2);
    expect(Buffer.concat(heard)).toEqual(
      Buffer.concat(Array.from({ length: 10 }, (_, n) => Buffer.alloc(CHUNK, n))),
    );
  });

  it("with a rest after each MiB, where its writer may be a flood", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    let heard = 0;
    const turns = async (): Promise<void> => {
      for (let turn = 0; turn < 100; turn += 1) await nextTurn();
    };
    readWithRests(full(100), () => (heard += 1));
    for (const count of [32, 64, 96, 100]) {
      await turns();
      expect(heard).toBe(count);
      vi.advanceTimersByTime(1);
      await turns();
      expect(heard).toBe(count);
      vi.advanceTimersByTime(1);
    }
    vi.useRealTimers();
  });

  it("without a rest, where it is a runner's channel", async () => {
    let heard = 0;
    readInTurns(full(100), () => (heard += 1));
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    for (let turn = 0; turn < 200; turn += 1) await nextTurn();
    vi.useRealTimers();
    expect(heard).toBe(100);
  });

  it("and one that breaks is no error of the daemon's", async () => {
    const output = full(1);
    let heard = 0;
    readInTurns(output, () => (heard += 1));
    await nextTurn();
    output.destroy(new Error("reset"));
    await nextTurn();
    expect(heard).toBe(1);
  });
});
