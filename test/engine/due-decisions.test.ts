/** Many pipelines that are due at once: in their order, each once, with turns between them. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { DueDecisions } from "../../src/engine/due-decisions.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const names = (many: number, from = 0): string[] =>
  Array.from({ length: many }, (_, nth) => `p${from + nth}`);

/** Decisions of which each takes so many milliseconds. */
function rig(tookMs: number) {
  const clock = new VirtualClock();
  let monotonic = 0;
  clock.monotonic = () => monotonic;
  const decided: string[] = [];
  const begun: string[] = [];
  const bursts = new Set<unknown>();
  const decisions: DueDecisions = new DueDecisions({
    clock,
    decide: (pipeline) => {
      monotonic += tookMs;
      decided.push(pipeline);
      bursts.add(decisions.burst);
      decisions.burst?.join(1, () => void begun.push(pipeline));
    },
  });
  return { decisions, decided, begun, bursts };
}

it("decides quick ones in one turn, in one burst", () => {
  const { decisions, decided, bursts } = rig(0);
  decisions.due(names(500));
  expect(decided).toEqual(names(500));
  expect([bursts.size, bursts.has(undefined), decisions.burst]).toEqual([1, false, undefined]);
  decisions.due(names(1));
  expect(bursts.size).toBe(2);
});

it("lets others have a turn between slow ones, and takes up what comes meanwhile", async () => {
  const { decisions, decided, bursts } = rig(5);
  decisions.due(names(200));
  const first = decided.length;
  expect(first).toBeGreaterThan(0);
  expect(first).toBeLessThan(200);
  decisions.due(names(10, 200));
  expect(decided).toHaveLength(first);
  await nextTurn();
  const second = decided.length - first;
  expect(second).toBe(first);
  for (let turn = 0; turn < 300; turn += 1) await nextTurn();
  expect(decided).toEqual(names(210));
  // They were due together.
  expect(bursts.size).toBe(1);
});

it("begins the runs of what was due once all of it is decided, in however many turns", async () => {
  const { decisions, begun } = rig(5);
  decisions.due(names(30));
  expect(begun).toEqual([]);
  await nextTurn();
  expect(begun).toEqual(names(30).slice(0, begun.length));
  expect(begun.length).toBeGreaterThan(0);
  // A burst that is over holds up nothing that is due later.
  decisions.due(["later"]);
  expect(begun.at(-1)).toBe("later");
});

it("decides all that is left in this turn where it has to", async () => {
  const { decisions, decided } = rig(5);
  decisions.due(names(200));
  decisions.finish();
  expect(decided).toEqual(names(200));
  decisions.finish();
  for (let turn = 0; turn < 5; turn += 1) await nextTurn();
  expect(decided).toHaveLength(200);
});

it("what was due before is decided with turns between, as long as it is wanted", async () => {
  const all = rig(5);
  await all.decisions.decideAll(names(200), () => true);
  expect(all.decided).toEqual(names(200));
  expect(all.bursts).toEqual(new Set([undefined]));
  const some = rig(5);
  let turns = 0;
  await some.decisions.decideAll(names(200), () => (turns += 1) < 2);
  expect(turns).toBe(2);
  expect(some.decided.length).toBeGreaterThan(0);
  expect(some.decided.length).toBeLessThan(200);
  const quick = rig(0);
  await quick.decisions.decideAll(names(200), () => false);
  expect(quick.decided).toHaveLength(200);
  // Each turn has its 40 ms, and not the first alone.
  const steady = rig(1);
  let given = 0;
  await steady.decisions.decideAll(names(200), () => (given += 1) > 0);
  expect(given).toBe(4);
});
