/** What a load of a file is tried again for, and which of several loads of a file counts. */
import { describe, expect, it } from "vitest";
import { FileLoads } from "../../src/engine/file-loads.ts";
import { silentLog } from "../../src/log.ts";
import { BundlerLost } from "../../src/schedules/bundler.ts";
import type { LoadResult } from "../../src/schedules/load-file.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const GOOD = { ok: true } as unknown as LoadResult;

/** Loads a file of which the first loads fail. @returns how it ended, and what was logged */
async function loaded(fault: Error, failures: number): Promise<[unknown, string[]]> {
  const clock = new VirtualClock();
  const told: string[] = [];
  let left = failures;
  const loads = new FileLoads({
    clock,
    log: { ...silentLog, error: (_fields, sentence) => void told.push(sentence) },
    load: async () => {
      left -= 1;
      if (left >= 0) throw fault;
      return GOOD;
    },
    inTurn: (act) => act(),
    take: async () => undefined,
  });
  let result: unknown;
  const load = loads.soon("/s/a.ts", undefined);
  const watched = load.then((one) => (result = one?.result));
  for (let second = 0; second < 8 && result === undefined; second += 1) await clock.advance(1_000);
  await watched;
  return [result, told];
}

it("is an esbuild that was ended, five times at most: it may be the file", async () => {
  const lost = new BundlerLost("esbuild, which bundles code, was ended: it was killed");
  const told = [
    "esbuild, which bundles code, was ended: it was killed: /s/a.ts waits to be loaded",
  ];
  expect(await loaded(lost, 2)).toEqual([GOOD, told]);
  expect(await loaded(lost, 4)).toEqual([GOOD, told]);
  expect(await loaded(lost, 5)).toEqual([{ ok: "failed", why: lost.message }, told]);
  expect(await loaded(lost, 9)).toEqual([{ ok: "failed", why: lost.message }, told]);
});

it("is a full disk or memory, and no fault of the file", async () => {
  const full = Object.assign(new Error("ENOSPC: no space"), { code: "ENOSPC" });
  expect(await loaded(full, 2)).toEqual([GOOD, ["the disk is full: /s/a.ts waits to be loaded"]]);
  const starved = Object.assign(new Error("spawn esbuild ENOMEM"), { code: "ENOMEM" });
  const why = "the machine has no memory for another process: /s/a.ts waits to be loaded";
  expect(await loaded(starved, 2)).toEqual([GOOD, [why]]);
  expect(await loaded(new Error("what"), 1)).toEqual([{ ok: "failed", why: "what" }, []]);
});

/** Loads that end when a test says so, in the order in which they were begun. */
function played() {
  const clock = new VirtualClock();
  const begun: {
    readonly path: string;
    readonly signal: AbortSignal;
    end: (why?: Error) => void;
  }[] = [];
  const taken: string[] = [];
  const warned: string[] = [];
  const full = Object.assign(new Error("ENOSPC: no space"), { code: "ENOSPC" });
  const loads = new FileLoads({
    clock,
    log: { ...silentLog, warn: (_, sentence) => void warned.push(sentence) },
    load: (path, signal) =>
      new Promise((resolve, reject) => {
        const nth = begun.length + 1;
        const result = { ok: true, loaded: nth } as unknown as LoadResult;
        begun.push({ path, signal, end: (why) => (why ? reject(why) : resolve(result)) });
      }),
    inTurn: (act) => act(),
    take: async (path, { result, held }) => {
      const { loaded: nth } = result as unknown as { loaded: number };
      taken.push(`${path} ${nth} of ${held ?? "none"}`);
    },
  });
  loads.firstReadingDone();
  /** A load that takes so long that nobody waits for it any more. */
  const late = async (path: string, held?: string): Promise<void> => {
    const soon = loads.soon(path, held);
    await clock.advance(60_000);
    expect(await soon).toBeUndefined();
  };
  return { begun, clock, full, late, loads, taken, warned };
}

describe("a file that takes long", () => {
  it("is taken in at its end, and told once while it stays slow", async () => {
    const { begun, clock, late, loads, taken, warned } = played();
    await late("/a", "p");
    await late("/a", "p");
    expect(warned).toEqual(["/a takes long to be loaded; the other files no longer wait for it"]);
    begun[1]!.end();
    await loads.noneLate();
    expect(taken).toEqual(["/a 2 of p"]);
    // One that is in time is not slow any more.
    const soon = loads.soon("/a", "p");
    begun[2]!.end();
    expect((await soon)?.result).toMatchObject({ loaded: 3 });
    await late("/a");
    expect(warned).toHaveLength(2);
    await clock.settle();
    expect(taken).toHaveLength(1);
  });

  it("and is loaded again meanwhile counts no more: its load is ended", async () => {
    const { begun, clock, late, loads, taken } = played();
    await late("/a", "p");
    const soon = loads.soon("/a", "p");
    expect(begun.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    begun[1]!.end();
    expect((await soon)?.result).toMatchObject({ loaded: 2 });
    begun[0]!.end();
    await clock.settle();
    expect(taken).toEqual([]);
  });

  it("is waited for until its newest load is taken in", async () => {
    const { begun, clock, late, loads, taken } = played();
    await late("/a");
    let isOver = false;
    const over = loads.noLongerLate("/a").then(() => (isOver = true));
    await late("/a");
    begun[0]!.end();
    await clock.settle();
    expect([isOver, taken]).toEqual([false, []]);
    begun[1]!.end();
    await over;
    expect(taken).toEqual(["/a 2 of none"]);
  });

  it("and goes is not taken in", async () => {
    const { begun, clock, late, loads, taken } = played();
    await late("/a");
    loads.gone("/a");
    expect(begun[0]!.signal.aborted).toBe(true);
    await loads.noneLate();
    begun[0]!.end();
    await clock.settle();
    expect(taken).toEqual([]);
  });

  it("is not taken in once all is closed", async () => {
    const { begun, clock, late, loads, taken } = played();
    await late("/a");
    loads.close();
    begun[0]!.end();
    await clock.settle();
    expect(taken).toEqual([]);
  });

  it.each<[string, (loads: FileLoads) => unknown]>([
    ["is closed", (loads) => loads.close()],
    ["is loaded again", (loads) => void loads.soon("/a", undefined)],
  ])("waits for no room where it %s", async (_, act) => {
    const { begun, clock, full, late, loads } = played();
    await late("/a");
    act(loads);
    const before = begun.length;
    begun[0]!.end(full);
    await clock.advance(5_000);
    expect(begun).toHaveLength(before);
  });
});
