/** What upkeep removes, says and waits for, over an engine of the test's own. */
import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { PipelineEvent } from "../../src/core/event.ts";
import { runIdForSlot } from "../../src/core/run-id.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { Upkeep } from "../../src/engine/upkeep.ts";
import { CacheIndex } from "../../src/ledger/cache-index.ts";
import { DaemonHistory } from "../../src/ledger/daemon-history.ts";
import { LedgerClosed } from "../../src/ledger/ledger-error.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import { calm, header } from "../ledger/sample-ledgers.ts";
import { snapshotOf } from "../support/given-run.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 5, 2);
const iso = (ms: number): string => new Date(ms).toISOString();

async function write(path: string, lines: readonly object[], at: number): Promise<void> {
  const clock = new VirtualClock({ start: at });
  await (await LedgerFile.create(path, lines as { type: string }[], calm({ clock }))).close();
}

interface Desk {
  name: string;
  loaded: object | undefined;
  state: object;
  append: (lines: readonly PipelineEvent[]) => Promise<unknown>;
}

class Rig {
  readonly clock = new VirtualClock({ start: NOW });
  readonly store = new RunStore(tempRoot().runs);
  readonly said: [object, string][] = [];
  readonly lines: PipelineEvent[] = [];
  readonly cacheIndex = new CacheIndex(this.store.cache, { clock: this.clock });
  compacted = 0;
  linesWait = false;
  /** Runs that go on. */
  readonly active = new Set<string>();
  readonly desks: Desk[] = [];
  /** The daemon ends. */
  readonly ending = new AbortController();
  readonly upkeep: Upkeep;
  readonly engine: Engine;

  constructor() {
    const note = (fields: object, text: string): void => void this.said.push([fields, text]);
    this.cacheIndex.compact = () => Promise.resolve(void (this.compacted += 1)) as never;
    this.engine = {
      settings: { retention: { keepDays: 10, keepRuns: 100 } },
      desks: () => this.desks,
      runs: { ids: () => this.active, get: () => undefined },
      ending: this.ending.signal,
    } as unknown as Engine;
    this.upkeep = new Upkeep({
      clock: this.clock,
      log: { ...silentLog, info: note, warn: note },
      store: this.store,
      cacheIndex: this.cacheIndex,
      onFatal: (error) => {
        throw error;
      },
      signal: new AbortController().signal,
      linesWait: () => this.linesWait,
    });
  }

  /** A pipeline with runs of so many days ago. */
  async pipeline(name: string, days: readonly number[], more: Partial<Desk> = {}): Promise<Desk> {
    const slots = days.map((ago) => NOW - ago * DAY);
    const through = iso(NOW - 900 * DAY);
    await write(
      this.store.pipelineLedger(name),
      [
        { type: "pipeline.loaded", format: 1, digest: "d", schedules: [], tz: "UTC", tzdata: "x" },
        ...slots.map((slot) => ({
          type: "slot.fired",
          slot: iso(slot),
          run: runIdForSlot(name, slot),
          through: iso(slot),
        })),
        ...slots.map((slot) => ({
          type: "run.finished",
          run: runIdForSlot(name, slot),
          status: "completed",
          durationMs: 1,
        })),
      ].map((line) => ({ through, ...line })),
      NOW,
    );
    for (const slot of slots)
      await write(
        this.store.runLedger(runIdForSlot(name, slot)),
        [
          header(runIdForSlot(name, slot)),
          { type: "run.finished", status: "completed", because: "all", durationMs: 1 },
        ],
        slot,
      );
    const desk: Desk = {
      name,
      loaded: { template: snapshotOf([]), retention: undefined },
      state: { removed: false, digest: "d" },
      append: (lines) => Promise.resolve(void this.lines.push(...lines)),
      ...more,
    };
    this.desks.push(desk);
    return desk;
  }

  /** A file that nothing refers to, so many days old. */
  left(folder: string, days: number, name = "a".repeat(64)): string {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, name);
    writeFileSync(path, "x");
    const at = (NOW - days * DAY) / 1_000;
    utimesSync(path, at, at);
    return path;
  }
}

it("the hour's sweep tells each ledger, compacts the index, and says what went", async () => {
  const rig = new Rig();
  await rig.pipeline("p", [30, 20, 1]);
  await rig.upkeep.retain(rig.engine);
  expect(rig.lines).toEqual([{ type: "runs.pruned", until: iso(NOW - 20 * DAY), runs: 2 }]);
  expect([rig.compacted, rig.said.map(([, text]) => text)]).toEqual([
    1,
    ["retention removed 2 runs and 0 other files"],
  ]);
  expect(rig.said[0]![0]).toMatchObject({ runs: 2, files: 0, bytes: expect.any(Number) });
  await rig.upkeep.retain(rig.engine);
  expect([rig.compacted, rig.said.length]).toEqual([1, 1]);
});

it("a run that goes on stays, whatever its ledger says", async () => {
  const rig = new Rig();
  await rig.pipeline("p", [30, 20, 1]);
  const [first, second] = [30, 20].map((ago) => runIdForSlot("p", NOW - ago * DAY));
  rig.active.add(first!);
  await rig.upkeep.retain(rig.engine);
  expect([rig.store.exists(first!), rig.store.exists(second!)]).toEqual([true, false]);
});

it("files alone are said too, and need no new index", async () => {
  const rig = new Rig();
  await rig.pipeline("p", [1]);
  const path = rig.left(rig.store.artifacts, 2);
  await rig.upkeep.retain(rig.engine);
  expect(existsSync(path)).toBe(false);
  expect([rig.compacted, rig.said.map(([, text]) => text)]).toEqual([
    0,
    ["retention removed 0 runs and 1 other file"],
  ]);
});

it("a dry run removes, tells and compacts nothing, and answers what would go", async () => {
  const rig = new Rig();
  await rig.pipeline("p", [30, 1]);
  const reply = await rig.upkeep.carryOut({ type: "prune", dryRun: true }, rig.engine);
  const run = runIdForSlot("p", NOW - 30 * DAY);
  expect(reply).toMatchObject({
    accepted: true,
    result: { runs: [{ run, because: "it is older than 10 days" }], files: 0 },
  });
  expect([rig.lines, rig.compacted, rig.store.exists(run)]).toEqual([[], 0, true]);
});

it("rules of a request win over the file's, and those over orchd.yaml's", async () => {
  const rig = new Rig();
  const days = [8, 6, 4, 1];
  await rig.pipeline("a", days);
  await rig.pipeline("b", days, {
    loaded: { template: snapshotOf([]), retention: { keepDays: 7, keepRuns: 100 } },
  });
  const gone = async (request: object): Promise<string[]> => {
    const reply = await rig.upkeep.carryOut(
      { type: "prune", dryRun: true, ...request } as never,
      rig.engine,
    );
    const { runs } = (reply as unknown as { result: { runs: { run: string }[] } }).result;
    return runs.map(({ run }) => `${run[0]!}${run.slice(8, 10)}`).toSorted();
  };
  expect(await gone({})).toEqual(["b25"]);
  expect(await gone({ keepDays: 5 })).toEqual(["a25", "a27", "b25", "b27"]);
  expect(await gone({ keepDays: 5, pipeline: "a" })).toEqual(["a25", "a27"]);
});

it.each<[string, Partial<Desk>, boolean]>([
  ["in force", {}, false],
  ["removed", { loaded: undefined, state: { removed: true, digest: "d" } }, false],
  ["never loaded", { loaded: undefined, state: { removed: false } }, false],
  ["not known", { loaded: undefined }, true],
])("step code is kept where any version is %s: %j, %s", async (_, more, kept) => {
  const rig = new Rig();
  await rig.pipeline("p", [1]);
  await rig.pipeline("q", [1], more);
  const sha = "b".repeat(64);
  const path = rig.left(rig.store.bundles, 3, `${sha}.mjs`);
  await rig.upkeep.retain(rig.engine);
  expect(existsSync(path)).toBe(kept);
});

it("step code of a version in force stays", async () => {
  const rig = new Rig();
  const bundle = "c".repeat(64);
  const code = { bundle, pick: "export:default", source: "./a.ts" };
  await rig.pipeline("p", [1], {
    loaded: { template: snapshotOf([], { hooks: { init: code } }) },
  });
  const path = rig.left(rig.store.bundles, 3, `${bundle}.mjs`);
  await rig.upkeep.retain(rig.engine);
  expect(existsSync(path)).toBe(true);
});

it("while lines wait for room an artifact of an hour stays", async () => {
  const rig = new Rig();
  await rig.pipeline("p", [1]);
  rig.linesWait = true;
  const path = rig.left(rig.store.artifacts, 0.5);
  await rig.upkeep.retain(rig.engine);
  expect(existsSync(path)).toBe(true);
  rig.linesWait = false;
  await rig.upkeep.retain(rig.engine);
  expect(existsSync(path)).toBe(false);
});

it("removing waits five seconds for a line without room, and not for one that fails", async () => {
  const rig = new Rig();
  const desk = await rig.pipeline("p", [30, 1], { append: () => new Promise(() => undefined) });
  const run = runIdForSlot("p", NOW - 30 * DAY);
  const swept = rig.upkeep.retain(rig.engine);
  await rig.clock.until(() => rig.clock.timers > 0);
  await rig.clock.advance(4_999);
  expect(rig.store.exists(run)).toBe(true);
  await rig.clock.advance(1);
  await swept;
  expect([rig.store.exists(run), rig.clock.timers]).toEqual([false, 0]);
  desk.append = () => Promise.reject(new Error("no disk"));
  const second = runIdForSlot("p", NOW - 1 * DAY);
  const later = { ...rig.engine, settings: { retention: { keepDays: 0, keepRuns: 1 } } };
  await rig.pipeline("q", [30, 1], { append: desk.append });
  await rig.upkeep.retain(later as unknown as Engine);
  expect(rig.said.map(([, text]) => text)).toContain("retention could not be recorded");
  expect(rig.store.exists(second)).toBe(true);
  expect(rig.clock.timers).toBe(0);
});

it.each([
  ["and its line is written", () => Promise.resolve()],
  ["and its ledger is closed", () => Promise.reject(new LedgerClosed("p"))],
])(
  "a sweep ends where the daemon ends, %s: no run goes, and a request stays",
  async (_, append) => {
    const rig = new Rig();
    const end = (): Promise<void> => {
      rig.ending.abort();
      return append();
    };
    await rig.pipeline("p", [30, 20, 1], { append: end });
    const artifact = rig.left(rig.store.artifacts, 9);
    await expect(rig.upkeep.carryOut({ type: "prune" }, rig.engine)).rejects.toThrow(LedgerClosed);
    await rig.upkeep.retain(rig.engine);
    const left = [30, 20, 1].map((ago) => rig.store.exists(runIdForSlot("p", NOW - ago * DAY)));
    expect([left, existsSync(artifact), rig.compacted]).toEqual([[true, true, true], true, 0]);
    expect(rig.said.filter(([, text]) => text.startsWith("retention removed"))).toEqual([]);
  },
);

it("a clock that jumped years ahead makes no run old for a day, and then it does", async () => {
  const rig = new Rig();
  await rig.pipeline("p", [30, 5, 2, 1]);
  const isThere = (): boolean[] =>
    [30, 5, 2, 1].map((ago) => rig.store.exists(runIdForSlot("p", NOW - ago * DAY)));
  rig.clock.step(3_650 * DAY);
  Object.assign(rig.engine, { lastJump: { from: NOW, to: NOW + 3_650 * DAY } });
  await rig.upkeep.retain(rig.engine);
  expect(isThere()).toEqual([false, true, true, true]);
  await rig.clock.advance(DAY);
  await rig.upkeep.retain(rig.engine);
  expect(isThere()).toEqual([false, false, false, true]);
});

it("a daemon that comes up with a clock years ahead takes no run as old for a day", async () => {
  const rig = new Rig();
  await rig.pipeline("p", [30, 5, 2, 1]);
  const isThere = (): boolean[] =>
    [30, 5, 2, 1].map((ago) => rig.store.exists(runIdForSlot("p", NOW - ago * DAY)));
  const up = async (): Promise<DaemonHistory> => {
    const own = { pid: 1, epoch: 1, version: "1" };
    const daemon = new DaemonHistory(rig.store.orchdDir, rig.clock, own);
    await daemon.began(rig.clock.now());
    return daemon;
  };
  mkdirSync(rig.store.orchdDir, { recursive: true });
  (await up()).ended();
  rig.clock.step(3_650 * DAY);
  // It is started again meanwhile.
  (await up()).ended();
  const last = await up();
  await rig.upkeep.retain(rig.engine);
  expect(isThere()).toEqual([false, true, true, true]);
  await rig.clock.advance(DAY);
  await rig.upkeep.retain(rig.engine);
  expect(isThere()).toEqual([false, false, false, true]);
  last.ended();
});

it("one thing is done at a time, and after one that failed the next is done", async () => {
  const rig = new Rig();
  let release: (error: Error) => void = () => undefined;
  const order: string[] = [];
  await rig.pipeline("p", [30, 1]);
  rig.cacheIndex.rebuild = () => {
    order.push("rebuild");
    return new Promise((_, reject) => (release = reject));
  };
  const first = rig.upkeep.carryOut({ type: "rebuild" } as never, rig.engine);
  const second = rig.upkeep
    .carryOut({ type: "prune" }, rig.engine)
    .then(() => void order.push("pruned"));
  await rig.clock.settle();
  expect(order).toEqual(["rebuild"]);
  release(new Error("no"));
  await expect(first).rejects.toThrow("no");
  await second;
  expect(order).toEqual(["rebuild", "pruned"]);
});

it.each<[string, Parameters<Upkeep["carryOut"]>[0]]>([
  ["a prune", { type: "prune" }],
  ["a repair", { type: "repair", run: runIdForSlot("p", NOW) }],
  ["a rebuild", { type: "rebuild" }],
])("%s waits for the sweep that is under way", async (_, request) => {
  const rig = new Rig();
  await rig.pipeline("p", [30, 1]);
  rig.cacheIndex.rebuild = () => Promise.resolve(0);
  let release: (() => void) | undefined;
  const order: string[] = [];
  rig.cacheIndex.compact = () => new Promise<void>((resolve) => (release = resolve)) as never;
  const swept = rig.upkeep.retain(rig.engine).then(() => void order.push("swept"));
  await rig.clock.until(() => release !== undefined);
  const asked = rig.upkeep.carryOut(request, rig.engine).then(() => void order.push("asked"));
  await rig.clock.settle();
  expect(order).toEqual([]);
  release!();
  await Promise.all([swept, asked]);
  expect(order).toEqual(["swept", "asked"]);
});
