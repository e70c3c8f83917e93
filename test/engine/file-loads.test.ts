/** What a load of a file is tried again for: what says nothing about the file. */
import { expect, it } from "vitest";
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
