/** Decisions that are made for nothing, shortly before many pipelines are due. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { Rehearsal, type RehearsedDesk } from "../../src/engine/rehearsal.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const DUE = Date.UTC(2026, 10, 23, 12);
const names = (many: number): string[] => Array.from({ length: many }, (_, nth) => `p${nth}`);

/** Pipelines that are due at noon. A decision takes `tookMs`; the one on `fails` throws. */
function rig({ tookMs = 0, fails = "" } = {}) {
  const clock = new VirtualClock({ start: DUE - 300 });
  const schedules = [scheduleOf({ cron: "0 12 * * *" })];
  const loaded = pipelineOf("p", schedules);
  const seen = { decided: [] as string[], ready: 0 };
  let monotonic = 0;
  clock.monotonic = () => monotonic;
  const rehearsal = new Rehearsal({
    clock,
    log: silentLog,
    store: new RunStore(tempRoot().runs),
    settings: () => DEFAULT_SETTINGS,
    upSince: () => DUE - 60_000,
    lastJump: () => undefined,
    desk: (name): RehearsedDesk => ({
      name,
      schedules,
      without: undefined,
      damaged: false,
      state: Object.freeze(emptyPipelineState()),
      get loaded() {
        monotonic += tookMs;
        clock.step(tookMs);
        if (name === fails) throw new Error("no");
        if (seen.decided.at(-1) !== name) seen.decided.push(name);
        return loaded;
      },
    }),
    onReady: () => void (seen.ready += 1),
  });
  return { rehearsal, seen };
}

async function turns(many: number): Promise<void> {
  for (let turn = 0; turn < many; turn += 1) await nextTurn();
}

it("decides each, but for one that cannot be decided, and says once that it is ready", async () => {
  const { rehearsal, seen } = rig({ fails: "p3" });
  rehearsal.begin(names(100), DUE);
  await turns(20);
  expect(seen).toEqual({ decided: names(100).filter((name) => name !== "p3"), ready: 1 });
});

it("goes on in turns of the event loop, and ends in time", async () => {
  const { rehearsal, seen } = rig({ tookMs: 2 });
  rehearsal.begin(names(1_000), DUE);
  const first = seen.decided.length;
  expect(first).toBeGreaterThan(0);
  expect(first).toBeLessThan(5);
  expect(seen.ready).toBe(0);
  await turns(200);
  expect(seen.ready).toBe(1);
  // A decision looks at its version more than once.
  expect(seen.decided.length).toBeGreaterThan(20);
  expect(seen.decided.length).toBeLessThan(130);
});

it("is enough after some hundreds", async () => {
  const { rehearsal, seen } = rig();
  rehearsal.begin(names(5_000), DUE);
  await turns(400);
  expect(seen.ready).toBe(1);
  expect(seen.decided.length).toBeGreaterThan(300);
  expect(seen.decided.length).toBeLessThan(1_000);
});
