import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { PipelineEvent, RunEvent } from "../../src/core/event.ts";
import { runIdForSlot } from "../../src/core/run-id.ts";
import type { Json } from "../../src/core/snapshot.ts";
import { systemDisk } from "../../src/disk/disk.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { prune, type PruneOptions } from "../../src/ledger/prune.ts";
import {
  DEFAULT_RETENTION,
  decideRetention,
  KEEP_ALL,
  type FileFacts,
  type PipelineFacts,
  type RunFacts,
  type RunFactsByIndex,
} from "../../src/ledger/retention.ts";
import { RunFactsList } from "../../src/ledger/run-facts-list.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { calm, header } from "./sample-ledgers.ts";

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 5, 1);
const AGO = NOW - 40 * DAY;
const none = (): string[] => [];

/** A run that ended this many days ago. */
const run = (daysAgo: number, more: Partial<RunFacts> = {}): RunFacts => ({
  run: `r${daysAgo}`,
  stampMs: NOW - daysAgo * DAY,
  scheduled: true,
  finishedAt: NOW - daysAgo * DAY,
  bytes: 100,
  ...more,
});
const pipeline = (runs: RunFactsByIndex, more: Partial<PipelineFacts> = {}): PipelineFacts => ({
  pipeline: "p",
  policy: DEFAULT_RETENTION,
  through: NOW,
  active: new Set(),
  runs,
  ...more,
});

describe("deciding what is removed", () => {
  it("removes runs by age, by number and by size, each with its reason", () => {
    const runs = [run(0), run(1), run(29), run(31)];
    expect([...decideRetention([pipeline(runs)], NOW, none).prune]).toEqual([
      ["r31", "it is older than 30 days"],
    ]);
    expect([
      ...decideRetention([pipeline(runs, { policy: { keepDays: 100, keepRuns: 2 } })], NOW, none)
        .prune,
    ]).toEqual([
      ["r29", "2 newer runs are kept"],
      ["r31", "2 newer runs are kept"],
    ]);
    const least = pipeline([run(0), run(1.5)], { policy: { keepDays: 1, keepRuns: 9 } });
    expect([...decideRetention([least], NOW, none).prune]).toEqual([
      ["r1.5", "it is older than 1 day"],
    ]);
    const one = pipeline([run(0), run(1)], { policy: { keepDays: 9, keepRuns: 1 } });
    expect([...decideRetention([one], NOW, none).prune]).toEqual([["r1", "1 newer run is kept"]]);
    expect([
      ...decideRetention(
        [pipeline(runs, { policy: { keepDays: 100, keepRuns: 9, keepBytes: 300 } })],
        NOW,
        none,
      ).prune,
    ]).toEqual([["r31", "newer runs fill 300 bytes"]]);
  });

  it("keeps what is newest, active, unfinished or undecided, and says why", () => {
    const runs = [run(40), run(41), run(42, { finishedAt: undefined }), run(43), run(44)];
    const { prune: going, kept } = decideRetention(
      [pipeline(runs, { active: new Set(["r41"]) })],
      NOW,
      none,
    );
    expect([...going.keys()]).toEqual(["r43", "r44"]);
    expect([...kept]).toEqual([
      ["r40", "it is the newest"],
      ["r41", "it is active"],
      ["r42", "it has not finished"],
    ]);
    const undecided = decideRetention([pipeline(runs, { through: NOW - 43.5 * DAY })], NOW, none);
    expect([...undecided.prune.keys()]).toEqual(["r44"]);
    expect(undecided.kept.get("r43")).toBe("its slot is not durably decided");
  });

  it("keeps the run that ended last, however many newer ones have not finished", () => {
    const runs = [
      run(0, { finishedAt: undefined }),
      run(1, { finishedAt: undefined }),
      // It began earlier than the next one, and ended later.
      run(42, { finishedAt: NOW - 38 * DAY }),
      run(41),
      run(43),
    ];
    const { prune: going, kept } = decideRetention([pipeline(runs)], NOW, none);
    expect([...going.keys()]).toEqual(["r41", "r43"]);
    expect([...kept]).toEqual([["r42", "it is the newest"]]);
  });

  it("without a watermark removes only runs that no slot asked for", () => {
    const runs = [run(40), run(41), run(42, { scheduled: false })];
    expect([
      ...decideRetention([pipeline(runs, { through: undefined })], NOW, none).prune.keys(),
    ]).toEqual(["r42"]);
  });

  it("removes a run by hand beyond the watermark, once its pipeline records its end", () => {
    const runs = [run(40), run(41, { scheduled: false }), run(42, { scheduled: false }), run(43)];
    const { prune: going, kept } = decideRetention(
      [pipeline(runs, { through: NOW - 50 * DAY, recordedUntil: NOW - 42 * DAY })],
      NOW,
      none,
    );
    expect([...going.keys()]).toEqual(["r42"]);
    expect(kept.get("r41")).toBe("its pipeline's ledger does not tell its end yet");
    expect(kept.get("r43")).toBe("its slot is not durably decided");
  });

  it("keeps a run whose result one that stays took, through other runs and pipelines", () => {
    const sources: Record<string, string[]> = {
      r0: ["r50"],
      r50: ["q60"],
      q60: ["q61"],
      r51: ["q62"],
    };
    const q = [0, 60, 61, 62].map((days) => run(days, { run: `q${days}` }));
    const { prune: going, kept } = decideRetention(
      [pipeline([run(0), run(50), run(51)]), pipeline(q, { pipeline: "q" })],
      NOW,
      (id) => sources[id] ?? [],
    );
    expect([...going.keys()]).toEqual(["r51", "q62"]);
    expect(kept.get("r50")).toBe("r0 took a result from it");
    expect(kept.get("q61")).toBe("q60 took a result from it");
  });

  it("removes the oldest of all pipelines by size, except what stays whatever the limits", () => {
    const q = [1.5, 2.5, 3.5].map((days) => run(days, { run: `q${days}` }));
    const all = [
      pipeline([run(1), run(2), run(3, { finishedAt: undefined }), run(4)]),
      pipeline(q, { pipeline: "q" }),
    ];
    const { prune: going, kept } = decideRetention(all, NOW, none, 300);
    expect([...going.keys()]).toEqual(["q2.5", "q3.5", "r4"]);
    expect(going.get("r4")).toBe("newer runs of all pipelines fill 300 bytes");
    expect([...kept]).toEqual([["r3", "it has not finished"]]);
    const spared = [all[0]!, pipeline(q, { pipeline: "q", policy: KEEP_ALL })];
    expect([...decideRetention(spared, NOW, none, 300).prune.keys()]).toEqual(["r4"]);
    // A run stays if one that stays took a result from it.
    expect([
      ...decideRetention(all, NOW, (id) => (id === "r1" ? ["q3.5"] : []), 300).prune.keys(),
    ]).toEqual(["q2.5", "r4"]);
  });

  it("counts an artifact once, at its newest run, and rotated ledgers in their place", () => {
    const shared = { sha: "s", bytes: 500 };
    const runs = [
      run(1, { artifacts: [shared] }),
      run(2, { artifacts: [shared] }),
      run(3, { artifacts: [{ sha: "t", bytes: 1 }] }),
      run(4),
    ];
    const policy = { keepDays: 100, keepRuns: 9, keepBytes: 800 };
    expect([...decideRetention([pipeline(runs, { policy })], NOW, none).prune.keys()]).toEqual([
      "r3",
      "r4",
    ]);
    expect([...decideRetention([pipeline(runs)], NOW, none, 700).prune.keys()]).toEqual([
      "r3",
      "r4",
    ]);
    const files = [2.5, 3.5].map((days) => ({
      path: `f${days}`,
      stampMs: NOW - days * DAY,
      bytes: 100,
      evidence: false,
    }));
    const withFiles = decideRetention([pipeline(runs, { policy, files })], NOW, none);
    expect([...withFiles.prune.keys()]).toEqual(["r3", "r4"]);
    expect([...withFiles.files]).toEqual([["f3.5", "newer runs fill 800 bytes"]]);
    expect([...decideRetention([pipeline(runs, { files })], NOW, none, 800).files.keys()]).toEqual([
      "f3.5",
    ]);
    // What is removed by its age or number takes no room from the rest.
    const few = decideRetention(
      [pipeline(runs, { policy: { keepDays: 100, keepRuns: 1, keepBytes: 700 }, files })],
      NOW,
      none,
    );
    expect([...few.files.keys()]).toEqual(["f3.5"]);
  });

  it.each<[string, Partial<RunFacts>, Partial<PipelineFacts>, boolean]>([
    ["is as old as the limit", { finishedAt: NOW - 30 * DAY }, {}, false],
    ["is older by a millisecond", { finishedAt: NOW - 30 * DAY - 1 }, {}, true],
    ["began before the limit, and ended after it", { finishedAt: NOW - 29 * DAY }, {}, false],
    ["is the last slot that is decided", {}, { through: NOW - 40 * DAY }, true],
    ["is the first that is not", {}, { through: NOW - 40 * DAY - 1 }, false],
    ["by hand ended as the ledger says last", { scheduled: false }, { recordedUntil: AGO }, true],
    ["by hand ended after that", { scheduled: false }, { recordedUntil: AGO - 1 }, false],
  ])("a run that %s", (_, one, facts, goes) => {
    const runs = [run(0), run(40, one)];
    expect(decideRetention([pipeline(runs, facts)], NOW, none).prune.has("r40")).toBe(goes);
  });

  it.each<[string, Partial<FileFacts>, boolean]>([
    ["evidence of seven days", { evidence: true, stampMs: NOW - 7 * DAY }, false],
    ["evidence that is older", { evidence: true, stampMs: NOW - 7 * DAY - 1 }, true],
    ["an old ledger, while a run goes on", {}, true],
  ])("%s: %j goes: %s", (_, more, goes) => {
    const file = { path: "f", stampMs: NOW - 60 * DAY, bytes: 1, evidence: false, ...more };
    const runs = [run(0), run(1, { finishedAt: undefined })];
    const policy = { keepDays: 1, keepRuns: 100 };
    const facts = pipeline(runs, { policy, files: [file], active: new Set(["r1"]) });
    expect(decideRetention([facts], NOW, none).files.has("f")).toBe(goes);
  });

  it("keeps a pipeline's old ledgers while a run does not tell its end, with the reason", () => {
    const files = [{ path: "f", stampMs: NOW - 60 * DAY, bytes: 100, evidence: false }];
    const lost = decideRetention(
      [pipeline([run(0), run(50, { finishedAt: undefined, damaged: true })], { files })],
      NOW,
      none,
    );
    expect([...lost.kept]).toEqual([["r50", "its ledger is damaged: `orchd repair r50` first"]]);
    expect([...lost.files]).toEqual([]);
    expect([...decideRetention([pipeline([run(0)], { files })], NOW, none).files.keys()]).toEqual([
      "f",
    ]);
  });

  it.each([true, false])(
    "keeps a damaged run that is too old, made by its slot: %s",
    (scheduled) => {
      const runs = [run(0), run(40, { finishedAt: AGO, damaged: true, scheduled })];
      const { prune: going, kept } = decideRetention([pipeline(runs)], NOW, none);
      expect([...going]).toEqual([]);
      expect([...kept]).toEqual([["r40", "its ledger is damaged: `orchd repair r40` first"]]);
    },
  );

  it("removes old evidence, though a run's ledger does not tell its end", () => {
    const file = { path: "f", stampMs: NOW - 60 * DAY, bytes: 1 };
    const files = [
      { ...file, evidence: false },
      { ...file, path: "e", evidence: true },
    ];
    const facts = pipeline([run(0), run(1, { finishedAt: undefined })], { files });
    expect([...decideRetention([facts], NOW, none).files.keys()]).toEqual(["e"]);
  });

  it("keeps evidence of damage for seven days, whatever the limits", () => {
    const files = [6, 8].map((days) => ({
      path: `e${days}`,
      stampMs: NOW - days * DAY,
      bytes: 100,
      evidence: true,
    }));
    const policy = { keepDays: 0, keepRuns: 1, keepBytes: 0 };
    expect([
      ...decideRetention([pipeline([run(0)], { policy, files })], NOW, none, 0).files.keys(),
    ]).toEqual(["e8"]);
  });

  it("decides on more runs than a call has room for arguments", () => {
    const list = new RunFactsList();
    for (let month = 0; month < 2; month += 1) {
      list.begin(200_000);
      for (let nth = 0; nth < 150_000; nth += 1) {
        const at = NOW - 400 * DAY + (month * 150_000 + nth) * 60_000;
        list.add(run(0, { run: `r${month}-${nth}`, stampMs: at, finishedAt: at }));
      }
    }
    expect(list.length).toBe(300_000);
    expect(list.at(150_000)).toMatchObject({ run: "r1-0", finishedAt: NOW - 400 * DAY + 9e9 });
    expect(list.at(300_000)).toBeUndefined();
    const policy = { keepDays: 1_000, keepRuns: 1_000_000 };
    const left = decideRetention([pipeline(list, { policy })], NOW, none);
    expect(left.prune.size).toBe(0);
    const facts = pipeline(list, { policy });
    expect(decideRetention([facts], NOW, none, 20_000_000).prune.size).toBe(100_000);
  });

  it("gives back all that a list of runs was given, beyond 4 GiB too", () => {
    const given: RunFacts[] = [
      run(3, { bytes: 5 * 2 ** 30 + 1, scheduled: false }),
      run(2, { finishedAt: undefined, damaged: true }),
      run(1, { bytes: 0, artifacts: [{ sha: "a", bytes: 3 * 2 ** 30 }] }),
    ];
    const list = new RunFactsList();
    list.begin(2);
    for (const facts of given.slice(0, 2)) list.add(facts);
    list.begin(1);
    list.add(given[2]!);
    expect(given.map((_, index) => list.at(index))).toEqual(
      given.map((facts) => ({ damaged: false, artifacts: undefined, ...facts })),
    );
    const due = decideRetention([pipeline(list)], NOW, none, 4 * 2 ** 30);
    expect([...due.prune.keys()]).toEqual(["r3"]);
  });

  it("asks for no sources if nothing would be removed", () => {
    const asked: string[] = [];
    decideRetention([pipeline([run(0), run(1)])], NOW, (id) => {
      asked.push(id);
      return [];
    });
    expect(asked).toEqual([]);
  });

  it("never removes what must stay, whatever the facts", () => {
    const arbitrary = fc.record({
      days: fc.nat(100),
      finished: fc.boolean(),
      scheduled: fc.boolean(),
      active: fc.boolean(),
      source: fc.option(fc.nat(30), { nil: undefined }),
    });
    fc.assert(
      fc.property(
        fc.array(arbitrary, { maxLength: 30 }),
        fc.nat(40),
        fc.nat(10),
        fc.option(fc.nat(100), { nil: undefined }),
        fc.option(fc.nat(3_000), { nil: undefined }),
        (all, keepDays, keepRuns, throughDays, totalBytes) => {
          const runs = all.map((one, n) =>
            run(one.days, {
              run: `r${n}`,
              scheduled: one.scheduled,
              ...(one.finished ? {} : { finishedAt: undefined }),
            }),
          );
          const active = new Set(all.flatMap((one, n) => (one.active ? [`r${n}`] : [])));
          const through = throughDays === undefined ? undefined : NOW - throughDays * DAY;
          const sourcesOf = (id: string): string[] => {
            const source = all[Number(id.slice(1))]!.source;
            return source === undefined ? [] : [`r${source}`];
          };
          const { prune: going } = decideRetention(
            [pipeline(runs, { policy: { keepDays, keepRuns }, active, through })],
            NOW,
            sourcesOf,
            totalBytes,
          );
          const newest = Math.max(...runs.map(({ stampMs }) => stampMs));
          const left = runs.filter((one) => !going.has(one.run));
          for (const one of runs.filter(({ run: id }) => going.has(id))) {
            expect(active.has(one.run) || one.finishedAt === undefined).toBe(false);
            if (one.scheduled)
              expect(one.stampMs).toBeLessThanOrEqual(through ?? Number.NEGATIVE_INFINITY);
            expect(left.flatMap(({ run: id }) => sourcesOf(id))).not.toContain(one.run);
          }
          if (runs.length > 0) expect(left.some(({ stampMs }) => stampMs === newest)).toBe(true);
        },
      ),
    );
  });
});

describe("pruning", () => {
  const finished: RunEvent = {
    type: "run.finished",
    status: "completed",
    because: "all steps completed",
    durationMs: 1,
  };

  /**
   * A pipeline `p` with a run on each of the last `days` days up to yesterday. All are decided, and
   * the newest is still active.
   */
  async function history(days: number): Promise<{
    readonly store: RunStore;
    readonly runs: string[];
    readonly options: PruneOptions;
  }> {
    const store = new RunStore(tempRoot().runs);
    const runs = Array.from({ length: days }, (_, n) => runIdForSlot("p", NOW - (days - n) * DAY));
    const events = runs.map<PipelineEvent>((id, n) => ({
      type: "slot.fired",
      slot: iso(NOW - (days - n) * DAY),
      run: id,
      through: iso(NOW - (days - n) * DAY),
    }));
    const loaded: PipelineEvent = {
      type: "pipeline.loaded",
      format: 1,
      digest: "d",
      schedules: [],
      tz: "UTC",
      tzdata: "2026c",
      through: iso(NOW - 900 * DAY),
    };
    const ends = runs.slice(0, -1).map<PipelineEvent>((id) => ({
      type: "run.finished",
      run: id,
      status: "completed",
      durationMs: 1,
    }));
    const clock = new VirtualClock({ start: NOW - 900 * DAY });
    await (
      await LedgerFile.create<PipelineEvent>(
        store.pipelineLedger("p"),
        [loaded, ...events, ...ends],
        calm({ clock }),
      )
    ).close();
    for (const [n, id] of runs.entries()) {
      await write(store, id, n === days - 1 ? [] : [finished], NOW - (days - n) * DAY);
      writeFileSync(store.runLog(id), "printed\n");
    }
    return {
      store,
      runs,
      options: { nowMs: NOW, policyOf: () => ({ keepDays: 10, keepRuns: 100 }) },
    };
  }
  const iso = (ms: number): string => new Date(ms).toISOString();
  async function write(
    store: RunStore,
    id: string,
    events: readonly RunEvent[],
    atMs: number,
  ): Promise<void> {
    const clock = new VirtualClock({ start: atMs });
    await (
      await LedgerFile.create<RunEvent>(
        store.runLedger(id),
        [header(id), ...events],
        calm({ clock }),
      )
    ).close();
  }
  const old = (path: string): void =>
    utimesSync(path, (NOW - 5 * DAY) / 1_000, (NOW - 5 * DAY) / 1_000);

  it("removes old runs, their logs and empty months; a dry run removes nothing", async () => {
    const { store, runs, options } = await history(45);
    const dry = await prune(store.runsDir, { ...options, dryRun: true });
    expect(store.list("p")).toEqual(runs);
    const done = await prune(store.runsDir, options);
    expect(done).toEqual(dry);
    expect(done.runs.map(({ run: id }) => id).toSorted()).toEqual(runs.slice(0, 35));
    expect(done.bytes).toBeGreaterThan(35 * 200);
    expect(store.list("p")).toEqual(runs.slice(35));
    expect(
      runs.filter((id) => existsSync(store.runDir(id)) && existsSync(store.runLog(id))),
    ).toEqual(runs.slice(35));
    expect(store.months("p")).toEqual(["2026-05"]);
    expect((await prune(store.runsDir, options)).runs).toEqual([]);
  });

  it("removes nothing before the watermark is durable, and makes what it removed so", async () => {
    const { store, runs, options } = await history(12);
    const calls: string[] = [];
    const paths = new Map<number, string>();
    const { open, fsync, unlink } = systemDisk;
    const spies = [
      vi.spyOn(systemDisk, "open").mockImplementation(async (path, ...rest) => {
        const fd = await open.call(systemDisk, path, ...rest);
        paths.set(fd, path);
        return fd;
      }),
      vi.spyOn(systemDisk, "fsync").mockImplementation((fd) => {
        calls.push(`sync ${paths.get(fd)!}`);
        return fsync.call(systemDisk, fd);
      }),
      vi.spyOn(systemDisk, "unlink").mockImplementation((path) => {
        calls.push("unlink");
        return unlink.call(systemDisk, path);
      }),
    ];
    onTestFinished(() => {
      for (const spy of spies) spy.mockRestore();
    });
    await prune(store.runsDir, options);
    const watermark = calls.indexOf(`sync ${store.pipelineLedger("p")}`);
    expect(watermark).toBeGreaterThanOrEqual(0);
    expect(watermark).toBeLessThan(calls.indexOf("unlink"));
    expect(calls.lastIndexOf(`sync ${store.runDir(runs[0]!)}`)).toBeGreaterThan(
      calls.lastIndexOf("unlink"),
    );
  });

  it("leaves no log without its ledger where it is killed, and goes on the next time", async () => {
    for (let dies = 0; dies < 4; dies += 1) {
      const { store, runs, options } = await history(12);
      const unlink = systemDisk.unlink.bind(systemDisk);
      let calls = 0;
      const spy = vi.spyOn(systemDisk, "unlink").mockImplementation((path) => {
        calls += 1;
        return calls > dies ? Promise.reject(new Error("killed")) : unlink(path);
      });
      onTestFinished(() => spy.mockRestore());
      await expect(prune(store.runsDir, options)).rejects.toThrow("killed");
      spy.mockRestore();
      expect(
        runs.filter((id) => existsSync(store.runLog(id)) && !existsSync(store.runLedger(id))),
      ).toEqual([]);
      await prune(store.runsDir, options);
      expect(runs.filter((id) => existsSync(store.runLog(id)))).toEqual(runs.slice(2));
      expect(store.list("p")).toEqual(runs.slice(2));
    }
  });

  it("spares other pipelines, runs that feed a cache, and runs that still go on", async () => {
    const { store, runs, options } = await history(20);
    const newest = "p@20260531T120000Z";
    const cached: RunEvent = {
      type: "step.cached",
      step: "a",
      source: { run: runs[0]!, step: "a" },
      outputs: {},
      because: "same key",
    };
    await write(store, newest, [cached, finished], NOW);
    await write(store, "p@20260531T120001Z", [], NOW);
    const { runs: gone, kept } = await prune(store.runsDir, {
      ...options,
      alsoActive: new Set([runs[1]!]),
    });
    expect(gone.map(({ run: id }) => id).toSorted()).toEqual(runs.slice(2, 10));
    expect(kept.find(({ run: id }) => id === runs[0])?.because).toBe(
      `${newest} took a result from it`,
    );
    expect(kept.find(({ run: id }) => id === runs[1])?.because).toBe("it is active");
    expect(
      (
        await prune(store.runsDir, {
          ...options,
          pipeline: "q",
          policyOf: () => ({ keepDays: 0, keepRuns: 0 }),
        })
      ).runs,
    ).toEqual([]);
  });

  it("removes nothing beyond the watermark, even if it is old", async () => {
    const { store, options } = await history(2);
    const beyond = runIdForSlot("p", NOW - DAY / 2);
    await write(store, beyond, [finished], NOW - DAY / 2);
    await write(store, runIdForSlot("p", NOW - DAY / 4), [finished], NOW - DAY / 4);
    const { runs: gone, kept } = await prune(store.runsDir, {
      ...options,
      policyOf: () => ({ keepDays: 0, keepRuns: 0 }),
    });
    expect(gone.map(({ run: id }) => id)).toEqual([runIdForSlot("p", NOW - 2 * DAY)]);
    expect(kept.find(({ run: id }) => id === beyond)?.because).toBe(
      "its slot is not durably decided",
    );
  });

  it("keeps damaged ledgers: nobody knows how they ended", async () => {
    const { store, runs, options } = await history(20);
    writeFileSync(store.runLedger(runs[3]!), "rubbish\n");
    const { runs: gone } = await prune(store.runsDir, options);
    expect(gone.map(({ run: id }) => id)).not.toContain(runs[3]);
    expect(gone).toHaveLength(9);
  });

  it("removes artifacts and step code that nothing refers to, but no young ones", async () => {
    const { store, runs, options } = await history(3);
    const artifacts = new Artifacts(store.artifacts);
    const [nested, unused, young] = [
      await artifacts.put("nested"),
      await artifacts.put("unused"),
      await artifacts.put("young"),
    ];
    // A step's value may look like a reference. Only a whole field of a line is one.
    const used = await artifacts.put({ lookalike: { ...unused } });
    const outputs = await artifacts.put({ result: { ...nested } });
    const bundle = (letter: string): string => letter.repeat(64);
    const spilled = await artifacts.put({ steps: [{ code: { bundle: bundle("b") } }] });
    mkdirSync(store.bundles, { recursive: true });
    for (const letter of ["a", "b", "c", "d"]) {
      writeFileSync(join(store.bundles, `${bundle(letter)}.mjs`), "");
      old(join(store.bundles, `${bundle(letter)}.mjs`));
    }
    // A source map stays as long as its bundle.
    for (const letter of ["a", "d"]) {
      writeFileSync(join(store.bundles, `${bundle(letter)}.mjs.map`), "");
      old(join(store.bundles, `${bundle(letter)}.mjs.map`));
    }
    for (const ref of [used, unused, nested, outputs, spilled]) old(artifacts.path(ref));
    utimesSync(artifacts.path(young), NOW / 1_000, NOW / 1_000);
    const id = "p@20260531T120000Z";
    const snapshot = { steps: [{ code: { bundle: bundle("a") } }] };
    const completed = (of: Json): RunEvent => ({
      type: "step.completed",
      step: "a",
      attempt: 1,
      outputs: of as Record<string, Json>,
      durationMs: 1,
    });
    await write(store, id, [completed({ result: { ...used } })], NOW);
    await write(store, "p@20260531T120001Z", [completed({ ...outputs })], NOW);
    await (
      await LedgerFile.create<RunEvent>(
        store.runLedger("p@20260531T120002Z"),
        [header("p@20260531T120002Z", { snapshot })],
        calm(),
      )
    ).close();
    await (
      await LedgerFile.create<RunEvent>(
        store.runLedger("p@20260531T120003Z"),
        [header("p@20260531T120003Z", { snapshot: { ...spilled } })],
        calm(),
      )
    ).close();
    expect(await prune(store.runsDir, options)).toMatchObject({ runs: [], files: 1 });
    expect(readdirSync(store.artifacts).toSorted()).toEqual(
      [used, young, spilled, outputs, nested].map(({ $artifact }) => $artifact).toSorted(),
    );
    expect(readdirSync(store.bundles)).toHaveLength(6);
    expect(
      await prune(store.runsDir, { ...options, bundlesInUse: new Set([bundle("c")]) }),
    ).toMatchObject({ files: 2 });
    expect(readdirSync(store.bundles)).toEqual(
      ["a.mjs", "a.mjs.map", "b.mjs", "c.mjs"].map((name) => bundle(name[0]!) + name.slice(1)),
    );
    expect(runs).toHaveLength(3);
  });

  it("leaves an artifact that is put again while others are removed", async () => {
    const { store, options } = await history(2);
    const artifacts = new Artifacts(store.artifacts);
    const paths = await Promise.all(
      ["one", "two"].map(async (text) => artifacts.path(await artifacts.put(text))),
    );
    for (const path of paths) old(path);
    // A step spills the same value again: the line that refers to it comes after the sweep.
    const putAgain = (): void => {
      const left = paths.filter((path) => existsSync(path));
      if (left.length === 1) utimesSync(left[0]!, NOW / 1_000, NOW / 1_000);
    };
    const signal = { throwIfAborted: putAgain } as AbortSignal;
    expect(await prune(store.runsDir, { ...options, signal })).toMatchObject({ files: 1 });
    expect(paths.filter((path) => existsSync(path))).toHaveLength(1);
  });

  it("removes what crashes left behind, and rotated ledgers that are too old", async () => {
    const { store, runs, options } = await history(3);
    const rotated = join(store.pipelineDir("p"), "pipeline-2026-01-01.jsonl");
    const left = [
      join(store.runDir(runs[0]!), ".r.jsonl.1-1"),
      join(store.pipelineDir("p"), ".pipeline.jsonl.1-1"),
      rotated,
    ];
    const fresh = [
      join(store.runDir(runs[0]!), ".r.jsonl.1-2"),
      join(store.pipelineDir("p"), "pipeline-2026-05-30.jsonl"),
    ];
    for (const path of [...left, ...fresh]) writeFileSync(path, "");
    for (const path of left) old(path);
    utimesSync(rotated, (NOW - 11 * DAY) / 1_000, (NOW - 11 * DAY) / 1_000);
    for (const path of fresh) utimesSync(path, NOW / 1_000, NOW / 1_000);
    await prune(store.runsDir, options);
    expect(left.filter((path) => existsSync(path))).toEqual([]);
    expect(fresh.filter((path) => existsSync(path))).toEqual(fresh);
  });

  it("counts artifacts, rotated ledgers and evidence in bytes, and frees them", async () => {
    const { store, runs, options } = await history(6);
    const artifacts = new Artifacts(store.artifacts);
    const refs = await Promise.all(
      ["a", "b", "c"].map((letter) => artifacts.put(letter.repeat(100_000))),
    );
    for (const [n, ref] of refs.entries()) {
      old(artifacts.path(ref));
      const id = `p@20260530T12000${n}Z`;
      await write(
        store,
        id,
        [
          {
            type: "step.completed",
            step: "a",
            attempt: 1,
            outputs: { result: { ...ref } },
            durationMs: 1,
          },
          finished,
        ],
        NOW - DAY,
      );
    }
    const rotated = join(store.pipelineDir("p"), "pipeline-2026-05-01.jsonl");
    writeFileSync(rotated, "x".repeat(50_000));
    utimesSync(rotated, (NOW - 5.5 * DAY) / 1_000, (NOW - 5.5 * DAY) / 1_000);
    const policy: PruneOptions = {
      ...options,
      policyOf: () => ({ keepDays: 100, keepRuns: 100, keepBytes: 210_000 }),
    };
    const dry = await prune(store.runsDir, { ...policy, dryRun: true });
    expect(existsSync(rotated)).toBe(true);
    const done = await prune(store.runsDir, policy);
    expect(done).toEqual(dry);
    // The newest two artifacts fill the limit. The run of the third, everything that is older, and
    // the rotated ledger are removed.
    expect(store.list("p")).toEqual(["p@20260530T120001Z", "p@20260530T120002Z", runs[5]!]);
    expect(readdirSync(store.artifacts).toSorted()).toEqual(
      [refs[1], refs[2]].map((ref) => ref!.$artifact).toSorted(),
    );
    expect(existsSync(rotated)).toBe(false);
    expect(done.files).toBe(2);
    expect(done.bytes).toBeGreaterThan(150_000);
  });

  it("keeps an artifact for ten minutes, and for a day while lines wait for room", async () => {
    const { store, options } = await history(1);
    const artifacts = new Artifacts(store.artifacts);
    const path = artifacts.path(await artifacts.put("alone"));
    const age = (ms: number): void => utimesSync(path, (NOW - ms) / 1_000, (NOW - ms) / 1_000);
    age(590_000);
    expect((await prune(store.runsDir, options)).files).toBe(0);
    age(610_000);
    expect((await prune(store.runsDir, { ...options, linesWait: true })).files).toBe(0);
    expect((await prune(store.runsDir, options)).files).toBe(1);
  });

  it("keeps evidence as long as its run, and removes it after", async () => {
    const { store, runs, options } = await history(20);
    const beside = `${store.runLedger(runs[0]!)}.damaged-1`;
    const headless = `${store.runLedger("p@20260501T000000Z")}.damaged-1`;
    const own = `${store.pipelineLedger("p")}.damaged-1`;
    for (const path of [beside, headless, own]) writeFileSync(path, "evidence\n");
    const all: PruneOptions = { ...options, policyOf: () => ({ keepDays: 1, keepRuns: 1 }) };
    // By the machine's clock they were set aside after the virtual now, so they are young.
    expect(
      (await prune(store.runsDir, { ...all, alsoActive: new Set([runs[0]!]) })).runs,
    ).not.toHaveLength(0);
    expect([beside, headless, own].filter((path) => existsSync(path))).toHaveLength(3);
    const later = { ...all, nowMs: Date.now() + 8 * DAY };
    expect((await prune(store.runsDir, { ...later, alsoActive: new Set([runs[0]!]) })).files).toBe(
      2,
    );
    expect([beside, headless, own].map((path) => existsSync(path))).toEqual([true, false, false]);
    expect((await prune(store.runsDir, later)).runs.map(({ run: id }) => id)).toContain(runs[0]);
    expect(existsSync(beside)).toBe(true);
    expect(await prune(store.runsDir, later)).toMatchObject({ runs: [], files: 1 });
    expect(existsSync(beside)).toBe(false);
  });

  it("stops between two files when its lock is lost", async () => {
    const { store, runs, options } = await history(20);
    await expect(
      prune(store.runsDir, { ...options, signal: AbortSignal.abort(new Error("lost")) }),
    ).rejects.toThrow("lost");
    expect(store.list("p")).toEqual(runs);
  });
});
