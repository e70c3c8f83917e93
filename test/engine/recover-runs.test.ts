/**
 * What a daemon takes over as it starts, beside desks and a maker that a test plays: which runs, in
 * which order, what is written of them, and what comes before what.
 */
import { mkdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { PipelineEvent } from "../../src/core/event.ts";
import { recoverRuns, type RecoveryPorts } from "../../src/engine/recovery.ts";
import type { PipelineDesk } from "../../src/engine/pipeline-desk.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import { header, ledgerText, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const START = Date.UTC(2026, 10, 23, 2);
const manual = (minute: number): string =>
  `p@20261123T01${String(minute).padStart(2, "0")}00.000Z-m`;
const slotted = (minute: number): string => `p@20261123T02${String(minute).padStart(2, "0")}00Z`;

interface Given {
  readonly active?: Record<string, object>;
  readonly queued?: readonly string[];
  readonly ended?: readonly string[];
  readonly leftAt?: number;
  readonly untouchedSince?: number;
}

function rig({ active = {}, queued = [], ended = [], leftAt = 0, untouchedSince }: Given = {}) {
  const store = new RunStore(tempRoot().runs);
  const clock = new VirtualClock({ start: START });
  const done: string[] = [];
  const lines: PipelineEvent[] = [];
  const known = new Set<string>();
  const kinds: Record<string, string> = {};
  const desk = {
    name: "p",
    leftAt,
    untouchedSince,
    state: {
      active: new Map(Object.entries(active)),
      queued: new Set(queued),
      ended: new Set(ended),
    },
    queueTerms: () => ({ lane: "p", limit: 1, priority: 0, group: undefined }),
    mayLackLine: () => void done.push("may lack a line"),
    append: async (events: readonly PipelineEvent[]) => {
      done.push(`append ${events.length}`);
      lines.push(...events);
      await nextTurn();
      done.push("durable");
    },
  } as unknown as PipelineDesk;
  const ports = {
    store,
    clock,
    log: { ...silentLog, warn: (_: object, text: string) => void done.push(text) },
    maker: {
      recover: async (run: string) => {
        done.push(`open ${run}`);
        await Promise.resolve();
        const trigger = { kind: kinds[run] ?? "manual" };
        return { state: { run, phase: "started", trigger, snapshot: { gracePeriodMs: 1 } } };
      },
    },
    runs: {
      get: (run: string) => (known.has(run) ? {} : undefined),
      takeOver: (ticket: { run: string }) => {
        known.add(ticket.run);
        done.push(`take over ${ticket.run}`);
        return { ticket, going: !queued.includes(ticket.run), because: "it waits" };
      },
      record: ({ ticket }: { ticket: { run: string } }) => void done.push(`record ${ticket.run}`),
      of: (name: string) => [...known].filter((run) => run.startsWith(`${name}@`)),
    },
  } as unknown as RecoveryPorts;
  const recover = () => recoverRuns([desk], ports, async () => void done.push("before the start"));
  /** A ledger whose header alone is there. */
  const left = (run: string, atMs?: number, more: readonly object[] = []): void => {
    writeRun(store.runsDir, run, [header(run, { a: [] }), ...(more as never[])]);
    const path = store.runLedger(run);
    if (atMs !== undefined)
      for (const each of [path, dirname(path)]) utimesSync(each, atMs / 1_000, atMs / 1_000);
  };
  return { store, desk, ports, done, lines, kinds, recover, left };
}

describe("what is taken over", () => {
  it("goes on in order: what ran before what waited, the older first", async () => {
    const runs = { [manual(30)]: {}, [manual(10)]: {} };
    const { done, lines, recover } = rig({ active: runs, queued: [manual(5), manual(20)] });
    expect(await recover()).toEqual({ pipelines: 1, runs: 4 });
    const order = [manual(10), manual(30), manual(5), manual(20)];
    expect(done.filter((one) => one.startsWith("take over"))).toEqual(
      order.map((run) => `take over ${run}`),
    );
    // All are opened before the first is looked at.
    expect(done.slice(0, 4).toSorted()).toEqual(order.map((run) => `open ${run}`).toSorted());
    // Those that waited have their line; those that had begun may have only that they wait.
    expect(lines.map((line) => [line.type, "run" in line && line.run])).toEqual([
      ["run.started", manual(10)],
      ["run.started", manual(30)],
    ]);
  });

  it("has its lines given to the ledger first, and is recorded then", async () => {
    const { done, recover } = rig({ active: { [manual(1)]: {} } });
    await recover();
    expect(done).toEqual([
      `open ${manual(1)}`,
      `take over ${manual(1)}`,
      "append 1",
      `record ${manual(1)}`,
      "durable",
      "before the start",
    ]);
  });

  it("has no line again that the ledger has", async () => {
    const { lines, recover, done } = rig({
      active: { [manual(1)]: { startedAt: "x" } },
      queued: [manual(2)],
    });
    await recover();
    expect(lines).toEqual([]);
    expect(done).toContain(`record ${manual(1)}`);
    expect(done).toContain(`record ${manual(2)}`);
  });
});

it("the runs of several pipelines that are opened at the same time are all counted", async () => {
  const { desk, ports } = rig();
  const named = (name: string): PipelineDesk => {
    const active = new Map([[manual(1).replace("p@", `${name}@`), {}]]);
    return { ...desk, name, state: { ...desk.state, active } } as unknown as PipelineDesk;
  };
  const told = await recoverRuns(["p", "q", "r"].map(named), ports, async () => undefined);
  expect(told).toEqual({ pipelines: 3, runs: 3 });
});

describe("a run by hand without a line", () => {
  const at = START - 3_600_000;
  it.each<[string, boolean, Given, number, readonly object[]]>([
    ["is found", true, {}, at, []],
    ["that the ledger calls ended is left", false, { ended: [manual(1)] }, at, []],
    [
      "that has finished is left",
      false,
      {},
      at,
      [{ type: "run.finished", status: "completed", because: "x", durationMs: 1 }],
    ],
    ["two minutes older than the last line is found", true, { leftAt: at + 120_000 }, at, []],
    ["older than that is left", false, { leftAt: at + 120_001 }, at, []],
    [
      "written 50 ms before the last look, where nobody touched the ledger since, is found",
      true,
      { untouchedSince: at + 50 },
      at,
      [],
    ],
    ["written before that is left", false, { untouchedSince: at + 51 }, at, []],
  ])("%s: %s", async (_, isFound, given, atMs, more) => {
    const { store, done, recover, left } = rig(given);
    left(manual(1), atMs, more);
    mkdirSync(dirname(store.pipelineLedger("p")), { recursive: true });
    writeFileSync(store.pipelineLedger("p"), "");
    await recover();
    // Its birth is now, which is later than all of these: the folder's time decides.
    expect(done.includes(`take over ${manual(1)}`)).toBe(isFound);
  });

  it("is found by its last change, in a folder that changed since", async () => {
    const { store, done, recover, left } = rig({ untouchedSince: Date.now() + 3_600_000 });
    left(manual(1));
    left(manual(2));
    const later = Date.now() / 1_000 + 7_200;
    utimesSync(store.runLedger(manual(1)), later, later);
    utimesSync(store.runDir(manual(1)), later, later);
    expect(statSync(store.runLedger(manual(2))).mtimeMs).toBeLessThan(Date.now() + 60_000);
    await recover();
    expect(done).toContain(`take over ${manual(1)}`);
    expect(done).not.toContain(`take over ${manual(2)}`);
  });
});

describe("the run of a slot without a line", () => {
  it("is left to its slot where that is due, and taken over where it lies ahead", async () => {
    const { store, done, lines, kinds, recover, left } = rig();
    const [due, ahead, late] = [slotted(0), slotted(7), slotted(8)];
    for (const run of [due, ahead]) left(run);
    kinds[late] = "catch_up";
    mkdirSync(dirname(store.runLedger(late)), { recursive: true });
    const trigger = { kind: "catch_up", scheduledFor: "2026-11-23T02:08:00.000Z" };
    writeFileSync(store.runLedger(late), ledgerText([{ ...header(late, { a: [] }), trigger }]));
    mkdirSync(dirname(store.pipelineLedger("p")), { recursive: true });
    writeFileSync(store.pipelineLedger("p"), "");
    await recover();
    expect(done.filter((one) => one.startsWith("take over"))).toEqual([
      `take over ${ahead}`,
      `take over ${late}`,
    ]);
    const because =
      "its run was there already: a crash came before this line, and the clock was ahead";
    expect(lines).toMatchObject([
      { type: "slot.fired", slot: "2026-11-23T02:07:00.000Z", run: ahead, because },
      { type: "run.started", run: ahead },
      { type: "slot.caught_up", slot: "2026-11-23T02:08:00.000Z", run: late, because },
      { type: "run.started", run: late },
    ]);
    expect(done).toContain(`record ${ahead}`);
  });
});

it("the re-run of a slot's run is taken over as one by hand: it fired no slot", async () => {
  const { store, done, lines, kinds, recover, left } = rig();
  const again = `${slotted(0)}-r1`;
  kinds[again] = "rerun";
  left(again);
  writeFileSync(store.pipelineLedger("p"), "");
  await recover();
  expect(lines).toEqual([{ type: "run.started", run: again, trigger: "rerun" }]);
  expect(done).toContain(`record ${again}`);
});

it("the run of a slot that lies ahead has no second line", async () => {
  const { store, done, lines, recover, left } = rig();
  const ahead = slotted(7);
  left(ahead);
  const fired = { type: "slot.fired", slot: "2026-11-23T02:07:00.000Z", run: ahead, because: "x" };
  writePipeline(store.runsDir, "p", [{ type: "pipeline.loaded" }, fired]);
  await recover();
  expect([lines, done.filter((one) => one.startsWith("append"))]).toEqual([[], []]);
});

describe("a path that is bad", () => {
  it("of a month may hide a run: the next daemon has to look, and the rest goes on", async () => {
    const { store, done, recover } = rig({ active: { [manual(1)]: {} } });
    const month = `${store.pipelineDir("p")}/2026-10`;
    mkdirSync(store.pipelineDir("p"), { recursive: true });
    store.months = () => ["2026-10"];
    symlinkSync("2026-10", month);
    await recover();
    expect(done).toContain("a month's folder cannot be read");
    expect(done).toContain("may lack a line");
    expect(done).toContain(`take over ${manual(1)}`);
  });

  it("of a slot's run lets the others go on", async () => {
    const run = slotted(7);
    const { store, done, recover, left } = rig();
    left(run);
    left(manual(3));
    mkdirSync(dirname(store.pipelineLedger("p")), { recursive: true });
    writeFileSync(store.pipelineLedger("p"), "");
    // It is seen as it is listed, and is another thing as it is taken over.
    const path = store.runLedger.bind(store);
    let looks = 0;
    store.runLedger = (one) => (one === run && (looks += 1) > 3 ? `${path(one)}/x` : path(one));
    await recover();
    expect(done).toContain(`run ${run} could not be taken over`);
    expect(done).toContain("may lack a line");
    expect(done).toContain(`take over ${manual(3)}`);
  });
});
