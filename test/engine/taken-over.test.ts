/**
 * Runs that an earlier daemon made, taken over beside a maker that a test plays: the lines that the
 * pipeline's ledger lacks, the terms under which a run waits, and what is said of one that cannot
 * go on.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  adoptRun,
  hasSlotLine,
  reopen,
  takeOver,
  type AdoptPorts,
} from "../../src/engine/adopted-run.ts";
import type { QueueTerms, RunTicket } from "../../src/engine/active-runs.ts";
import { readHeaderLine } from "../../src/ledger/header-line.ts";
import { LedgerBlocked, LedgerDamaged, LedgerFormatError } from "../../src/ledger/ledger-error.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import { header, ledgerText, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";
const STAMP = Date.UTC(2026, 10, 23, 2);
const NONE = Number.POSITIVE_INFINITY;
const TERMS: QueueTerms = { lane: "p", limit: 1, priority: 3, group: "db" };
const fault = (code: string): Error => Object.assign(new Error(code), { code });

function rig(recover: () => unknown = () => undefined) {
  const store = new RunStore(tempRoot().runs);
  const said: string[] = [];
  const tickets: RunTicket[] = [];
  const known = new Set<string>();
  let recovered = 0;
  const world = { going: true };
  const ports = {
    store,
    maker: {
      recover: async () => {
        recovered += 1;
        await Promise.resolve();
        return recover();
      },
    },
    runs: {
      get: (run: string) => (known.has(run) ? {} : undefined),
      takeOver: (ticket: RunTicket) => {
        tickets.push(ticket);
        return { ticket, going: world.going, because: "it waits for p@1" };
      },
    },
    log: { ...silentLog, error: (_: object, text: string) => void said.push(text) },
    onBlockedRun: (run: string, error: Error) => void said.push(`blocked ${run}: ${error.message}`),
  } as unknown as AdoptPorts;
  const over = (terms = TERMS) => takeOver(RUN, "p", ports, terms);
  return { store, ports, said, tickets, known, world, over, recovered: () => recovered };
}

/** A handle whose state is this. */
const handleOf = (trigger: object, more: object = {}, answer: object = { accepted: true }) => {
  const orders: unknown[] = [];
  const handle = {
    state: {
      run: RUN,
      phase: "submitted",
      trigger,
      snapshot: { gracePeriodMs: 700 },
      ...more,
    },
    requestStop: (order: unknown) => {
      orders.push(order);
      return Promise.resolve(answer);
    },
    finished: Promise.resolve({ status: "stopped", durationMs: 5, results: { completed: 1 } }),
  };
  return { handle, orders };
};

describe("a run that is taken over", () => {
  it.each<[string, object, QueueTerms, object, object]>([
    ["under its pipeline's terms", { kind: "manual" }, TERMS, {}, {}],
    [
      "as one of its backfill",
      { kind: "backfill", requestId: "b1" },
      TERMS,
      {},
      { lane: "backfill b1", backfill: "b1" },
    ],
    ["as any other where its backfill is not known", { kind: "backfill" }, TERMS, {}, {}],
    ["as any other where a request made it", { kind: "manual", requestId: "q1" }, TERMS, {}, {}],
    [
      "since it was asked for, where it is a re-run",
      { kind: "rerun" },
      TERMS,
      { submittedAt: new Date(STAMP + 9_000).toISOString() },
      { order: STAMP + 9_000 },
    ],
    [
      "under the terms that it was queued under, where none are in force",
      { kind: "manual" },
      { ...TERMS, limit: NONE, group: undefined },
      { limits: { lane: 4 }, group: "old" },
      { limit: 4, group: "old" },
    ],
    [
      "in its pipeline's group, where that is known",
      { kind: "manual" },
      { ...TERMS, limit: NONE },
      { limits: {}, group: "old" },
      { limit: NONE, group: "db" },
    ],
    [
      "under the limit in force, whatever the old one was",
      { kind: "manual" },
      TERMS,
      { limits: { lane: 4 }, group: "old" },
      { limit: 1, group: "db" },
    ],
  ])("waits %s", async (_, trigger, terms, state, own) => {
    const { handle } = handleOf(trigger, state);
    const { over, tickets } = rig(() => handle);
    const { lines, going } = await over(terms);
    const { kind, requestId } = trigger as { readonly kind: string; readonly requestId?: string };
    expect(tickets).toEqual([
      {
        lane: "p",
        limit: 1,
        priority: 3,
        group: "db",
        run: RUN,
        pipeline: "p",
        kind,
        order: STAMP,
        ...own,
        gracePeriodMs: 700,
      },
    ]);
    const more = requestId === undefined ? {} : { requestId };
    expect(lines).toEqual([{ type: "run.started", run: RUN, trigger: kind, ...more }]);
    expect(going).toMatchObject({ going: true });
  });

  it("says what it waits for, and which request made it", async () => {
    const { over, world } = rig(() => handleOf({ kind: "manual", requestId: "q1" }).handle);
    world.going = false;
    expect((await over()).lines).toEqual([
      { type: "run.queued", run: RUN, because: "it waits for p@1", requestId: "q1" },
    ]);
  });

  it("has ended meanwhile: its end is told, and nothing where it has not", async () => {
    const { over, store } = rig();
    writeRun(store.runsDir, RUN, [
      header(RUN, { a: [] }),
      { type: "run.finished", status: "failed", because: "it broke", durationMs: 9 },
    ]);
    const { lines, going } = await over();
    expect(going).toBeUndefined();
    expect(lines).toMatchObject([
      { type: "run.finished", run: RUN, status: "failed", because: "it broke", durationMs: 9 },
    ]);
    const other = rig();
    writeRun(other.store.runsDir, RUN, [header(RUN, { a: [] })]);
    expect(await other.over()).toEqual({ lines: [] });
  });

  it("is left to whoever has it: before it is opened, and after", async () => {
    const before = rig(() => handleOf({ kind: "manual" }).handle);
    before.known.add(RUN);
    expect(await reopen(RUN, before.ports)).toEqual({ handle: undefined });
    expect(await before.over()).toEqual({ lines: [] });
    expect([before.recovered(), before.tickets]).toEqual([0, []]);
    const after: ReturnType<typeof rig> = rig(() => {
      after.known.add(RUN);
      return handleOf({ kind: "manual" }).handle;
    });
    expect(await after.over()).toEqual({ lines: [] });
    expect([after.recovered(), after.tickets]).toEqual([1, []]);
  });
});

describe("a run that a program made", () => {
  const trigger = { kind: "manual", placeholder: true };
  it("and never submitted ends, with the reason", async () => {
    const { handle, orders } = handleOf(trigger);
    const { over, tickets } = rig(() => handle);
    const because = "its program ended before it submitted the run";
    expect(await over()).toEqual({
      lines: [
        { type: "run.finished", run: RUN, status: "stopped", durationMs: 5, because, completed: 1 },
      ],
    });
    expect(orders).toEqual([{ mode: "graceful", by: "daemon", because }]);
    expect(tickets).toEqual([]);
  });

  it.each<[string, object, object, number]>([
    ["and submitted goes on", { phase: "started" }, {}, 0],
    ["goes on where it cannot be stopped", {}, { accepted: false, reason: "no" }, 1],
  ])("%s", async (_, state, answer, asked) => {
    const { handle, orders } = handleOf(trigger, state, answer);
    const { over, tickets } = rig(() => handle);
    expect((await over()).lines).toMatchObject([{ type: "run.started" }]);
    expect([tickets.length, orders.length]).toEqual([1, asked]);
  });
});

describe("a run whose ledger cannot be opened", () => {
  const gone = {
    type: "run.finished",
    run: RUN,
    status: "failed",
    durationMs: 0,
    because: "its ledger is gone",
  };
  it.each<[string, Error, object[], RegExp]>([
    [
      "is gone has failed",
      fault("ENOENT"),
      [gone],
      /^run p@\w+ was active and its ledger is gone$/,
    ],
    ["has a bad path waits", fault("EISDIR"), [], /^blocked p@\w+: EISDIR$/],
    ["finds no descriptor waits", fault("EMFILE"), [], /^blocked p@\w+: EMFILE$/],
    [
      "has a path that lost its folder waits",
      new LedgerBlocked("/x", fault("ENOENT")),
      [],
      /^blocked p@\w+: The ledger/,
    ],
    [
      "is damaged is quarantined",
      new LedgerDamaged("/x", 2, "its crc"),
      [],
      /^run p@\w+ is quarantined: The ledger \/x is damaged/,
    ],
    [
      "is of a newer release is quarantined",
      new LedgerFormatError("/x", 9, 1),
      [],
      /^run p@\w+ is quarantined: The ledger \/x has format 9/,
    ],
    ["cannot be read says so", fault("EIO"), [], /^run p@\w+ could not be taken over$/],
  ])("and %s", async (_, error, lines, text) => {
    const { over, said } = rig(() => {
      throw error;
    });
    expect(await over()).toEqual({ lines });
    expect(said).toEqual([expect.stringMatching(text)]);
  });
});

describe("the run of a slot", () => {
  const slot = (type: string, run = RUN): object => ({ type, slot: "x", run, because: "y" });
  const write = (store: RunStore, name: string, ...events: object[]): void => {
    const path = join(store.pipelineDir("p"), name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, ledgerText(events as never));
  };

  it.each<[string, boolean, string, object[]]>([
    ["that fired", true, "pipeline.jsonl", [slot("slot.fired")]],
    ["that was caught up", true, "pipeline.jsonl", [slot("slot.caught_up")]],
    ["in a file of before", true, "pipeline-20261122.jsonl", [slot("slot.fired")]],
    ["in a damaged file", false, "pipeline.jsonl.damaged-1", [slot("slot.fired")]],
    ["that was backfilled", false, "pipeline.jsonl", [slot("slot.backfilled")]],
    ["whose run alone is told", false, "pipeline.jsonl", [{ type: "run.started", run: RUN }]],
    ["of a track", false, "pipeline.jsonl", [slot("slot.fired", `${RUN}.hourly`)]],
  ])("%s has its line: %s", (_, has, name, events) => {
    const { store } = rig();
    write(store, name, { type: "pipeline.loaded" }, ...events);
    expect(hasSlotLine(store, "p", RUN)).toBe(has);
  });

  it("is taken over where it has no line, as what its header says", async () => {
    for (const kind of ["schedule", "catch_up"] as const) {
      const { handle } = handleOf({ kind });
      const { ports, store } = rig(() => handle);
      write(store, "pipeline.jsonl", { type: "pipeline.loaded" });
      writeRun(store.runsDir, RUN, [{ ...header(RUN, { a: [] }), trigger: { kind } }]);
      expect(await adoptRun(RUN, "p", ports, TERMS)).toMatchObject({
        recorded: false,
        kind,
        lines: [{ type: "run.started", run: RUN, trigger: kind }],
        going: {},
      });
    }
  });

  it("is left where it has its line, and is a fault where its name is no file's", async () => {
    const { ports, store, recovered } = rig();
    write(store, "pipeline.jsonl", slot("slot.caught_up"));
    writeRun(store.runsDir, RUN, [{ ...header(RUN, { a: [] }), trigger: { kind: "catch_up" } }]);
    expect(await adoptRun(RUN, "p", ports, TERMS)).toEqual({
      recorded: true,
      kind: "catch_up",
      lines: [],
    });
    expect(recovered()).toBe(0);
    const other = rig();
    await expect(adoptRun(RUN, "p", other.ports, TERMS)).rejects.toMatchObject({ code: "ENOENT" });
    mkdirSync(other.store.runDir(RUN), { recursive: true });
    symlinkSync("nothing", other.store.runLedger(RUN));
    await expect(adoptRun(RUN, "p", other.ports, TERMS)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

it("a pipe that nobody writes to holds nobody up, and is no ledger", () => {
  const { root } = tempRoot();
  const path = join(root, "a.jsonl");
  execFileSync("mkfifo", [path]);
  // Whoever waits for a writer gets one, late.
  const begun = join(root, "begun");
  const writer = spawn("/bin/sh", ["-c", `sleep 10; : > ${begun}; echo 1 > ${path}`], {
    detached: true,
    stdio: "ignore",
  });
  onTestFinished(() => void process.kill(-writer.pid!, "SIGKILL"));
  expect(readHeaderLine(path)).toBeUndefined();
  expect(existsSync(begun)).toBe(false);
});
