/** How long the loads of a drop folder are waited for: the first ones, later ones, slow ones. */
import { expect, it } from "vitest";
import { LoadPatience } from "../../src/engine/load-patience.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** A load that ends when the test says so, and what its wait gave: `?` while it goes on. */
function loading(patience: LoadPatience, path = "/s/p.yaml") {
  let end!: (value: string) => void;
  const load = new Promise<string>((resolve) => (end = resolve));
  const seen: { given: unknown } = { given: "?" };
  void patience.soon(path, load).then((given) => (seen.given = given));
  return { end, seen };
}

/** In milliseconds. */
const TIMES = { first: 10_000, later: 4_000, slow: 500 };

function rig(first = false) {
  const clock = new VirtualClock();
  const patience = new LoadPatience(clock);
  if (!first) patience.firstReadingDone();
  return { clock, patience };
}

/** After how long a load is given up, by steps of half a second. */
async function patienceOf(clock: VirtualClock, patience: LoadPatience): Promise<number> {
  const { seen } = loading(patience);
  for (let waited = 0; ; waited += 500) {
    if (seen.given !== "?") return waited;
    if (waited > 120_000) throw new Error("it is waited for without end");
    await clock.advance(500);
  }
}

it("the first reading has more time than a later one, a hasty one little", async () => {
  const first = rig(true);
  const later = rig();
  const times = [
    await patienceOf(first.clock, first.patience),
    await patienceOf(later.clock, later.patience),
  ];
  expect(times).toEqual([TIMES.first, TIMES.later]);
  const hasty = rig();
  await hasty.patience.hastily(async () => {
    expect(await patienceOf(hasty.clock, hasty.patience)).toBe(1_000);
  });
  expect(await patienceOf(hasty.clock, hasty.patience)).toBe(TIMES.later);
  expect(hasty.clock.timers).toBe(0);
});

it("a load that ends in time gives what it gives, and leaves no timer", async () => {
  const { clock, patience } = rig();
  const { end, seen } = loading(patience);
  await clock.advance(TIMES.later - 1);
  end("loaded");
  await clock.settle();
  expect([seen.given, clock.timers]).toEqual(["loaded", 0]);
});

it("haste shortens the waits that are under way, from their own begin on", async () => {
  const { clock, patience } = rig();
  const old = loading(patience);
  await clock.advance(600);
  const young = loading(patience, "/s/q.yaml");
  await clock.advance(300);
  let over!: () => void;
  const asked = patience.hastily(() => new Promise<void>((resolve) => (over = resolve)));
  await clock.advance(99);
  expect([old.seen.given, young.seen.given]).toEqual(["?", "?"]);
  await clock.advance(1);
  expect([old.seen.given, young.seen.given]).toEqual([undefined, "?"]);
  await clock.advance(600);
  expect(young.seen.given).toBeUndefined();
  over();
  await asked;
});

it("haste goes on until the last who asked for it has what it wants", async () => {
  const { clock, patience } = rig();
  const ends: (() => void)[] = [];
  const ask = (): Promise<void> =>
    patience.hastily(() => new Promise<void>((resolve) => void ends.push(resolve)));
  const both = [ask(), ask()];
  ends[0]!();
  await both[0];
  expect(await patienceOf(clock, patience)).toBe(1_000);
  ends[1]!();
  await both[1];
  expect(await patienceOf(clock, patience)).toBe(TIMES.later);
});

it("a file that was slow is waited for only a moment, until it is not slow any more", async () => {
  const { clock, patience } = rig();
  const path = "/s/p.yaml";
  const ended = patience.late(path);
  expect(patience.isSlow(path)).toBe(true);
  expect(await patienceOf(clock, patience)).toBe(TIMES.slow);
  await clock.advance(TIMES.later);
  ended();
  // It was as slow as that.
  expect(patience.isSlow(path)).toBe(true);
  const quick = patience.late(path);
  await clock.advance(TIMES.later - 1);
  quick();
  expect(patience.isSlow(path)).toBe(false);
  patience.late(path);
  patience.forget(path);
  expect(patience.isSlow(path)).toBe(false);
});
