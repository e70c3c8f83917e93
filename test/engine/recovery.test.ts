/** What an unclean end left without a line in the pipeline's ledger, and how it is looked for. */
import { mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { recoverRuns, type RecoveryPorts } from "../../src/engine/recovery.ts";
import type { PipelineDesk } from "../../src/engine/pipeline-desk.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { ledgerText } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const MINUTE_MS = 60_000;

/** A root whose daemon ended, and how long ago that is, in milliseconds. */
async function ended(agoMs: number): Promise<EngineRig> {
  const clock = new VirtualClock({ start: Date.now() - agoMs, turns: 4 });
  const there = new EngineRig({ runs: tempRoot().runs, clock });
  await there.up();
  await there.drop(pipelineOf("p", []));
  await there.down();
  return there;
}

/** The header of a run by hand, as a daemon leaves it that dies before the line. */
function headerOf({ store, clock }: EngineRig, atMs: number): string {
  const run = store.nextManual("p", atMs);
  const path = store.runLedger(run);
  mkdirSync(dirname(path), { recursive: true });
  const { snapshot } = pipelineOf("p", []);
  const header = {
    type: "run.submitted",
    format: 1,
    run,
    pipeline: "p",
    orchestratorRunId: run,
    trigger: { kind: "manual" },
    params: {},
    snapshot,
    tags: [],
  };
  writeFileSync(path, ledgerText([header], new Date(clock.now()).toISOString()));
  for (const each of [path, dirname(path), store.pipelineLedger("p")])
    utimesSync(each, atMs / 1_000, atMs / 1_000);
  return run;
}

test.each([1, 30, 20_000])(
  "a run by hand without a line is taken over, %i minutes after the end",
  async (minutes) => {
    const there = await ended(minutes * MINUTE_MS);
    const run = headerOf(there, there.clock.now() + 1_000);
    await there.clock.advance(minutes * MINUTE_MS);
    await there.up();
    await there.clock.until(() =>
      there.lines("p").some((line) => line.type === "run.finished" && line["run"] === run),
    );
    const lines = there.lines("p").filter((line) => line["run"] === run);
    expect(lines.map(({ type }) => type)).toEqual(["run.queued", "run.started", "run.finished"]);
    expect(readFileSync(there.store.runLedger(run), "utf8")).toContain('"run.finished"');
    await there.down();
  },
);

test("a month that was not touched since the last line is not listed", async () => {
  const there = await ended(60 * MINUTE_MS);
  const old = headerOf(there, there.clock.now() - 10 * MINUTE_MS);
  await there.up();
  await there.clock.advance(MINUTE_MS);
  expect(there.lines("p").some((line) => line["run"] === old)).toBe(false);
  expect(statSync(there.store.runLedger(old)).size).toBeGreaterThan(0);
  await there.down();
});

test("after an end that left nothing out, months are listed that changed later", async () => {
  const end = Date.parse("2026-11-23T02:00:00Z");
  const listed: string[] = [];
  class Store extends RunStore {
    override listMonth(pipeline: string, month: string): string[] {
      listed.push(month);
      return super.listMonth(pipeline, month);
    }
  }
  const store = new Store(tempRoot().runs);
  for (const [month, at] of [
    ["2026-09", end - 60_000],
    ["2026-10", end - 1_000],
    ["2026-11", end],
  ] as const) {
    const folder = `${store.pipelineDir("p")}/${month}`;
    mkdirSync(folder, { recursive: true });
    utimesSync(folder, at / 1_000, at / 1_000);
  }
  const desk = {
    name: "p",
    leftAt: end,
    untouchedSince: end,
    queueTerms: () => ({}),
    state: { active: new Map(), queued: new Set(), ended: new Set() },
  } as unknown as PipelineDesk;
  const ports = { store, clock: new VirtualClock(), runs: { of: () => [] } };
  await recoverRuns([desk], ports as unknown as RecoveryPorts, () => Promise.resolve());
  expect(listed).toEqual(["2026-11"]);
});

test("hundreds of pipelines with nothing to take over leave the event loop its turns", async () => {
  const store = new RunStore(tempRoot().runs);
  let at = 0;
  const clock = new VirtualClock();
  // Each look at the clock finds it 3 ms later: a pipeline's months took that long to list.
  const slow = { ...clock, now: () => clock.now(), monotonic: () => (at += 3) };
  const desks = Array.from({ length: 100 }, (_, index) => ({
    name: `p${index}`,
    leftAt: undefined,
    queueTerms: () => ({}),
    state: { active: new Map(), queued: new Set(), ended: new Set() },
  })) as unknown as PipelineDesk[];
  let turns = 0;
  let isOver = false;
  const count = async (): Promise<void> => {
    for (; !isOver; turns += 1) await nextTurn();
  };
  const counted = count();
  const ports = { store, clock: slow, runs: { of: () => [] } } as unknown as RecoveryPorts;
  await recoverRuns(desks, ports, () => Promise.resolve());
  isOver = true;
  await counted;
  expect(turns).toBeGreaterThan(2);
});
