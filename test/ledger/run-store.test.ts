import fs, { mkdirSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";

function storeWith(runs: readonly string[]): RunStore {
  const store = new RunStore(tempRoot().runs);
  for (const run of runs) {
    mkdirSync(dirname(store.runLedger(run)), { recursive: true });
    writeFileSync(store.runLedger(run), "");
  }
  return store;
}

describe("the layout", () => {
  it.each(["runs", "./runs/", "/a//runs", "/a/../runs", ".", "..", "/"])(
    "names files in %s as a path that is joined does",
    (runs) => {
      const store = new RunStore(runs);
      expect(store.runsDir).toBe(runs);
      expect(store.pipelineLedger("p")).toBe(join(runs, "p", "pipeline.jsonl"));
      expect(store.bundles).toBe(join(runs, ".orchd", "bundles"));
      expect(store.runDir("p@20260131T235959Z")).toBe(join(runs, "p", "2026-01"));
    },
  );

  it("puts a run's files into its pipeline's folder for the month of the id", () => {
    const store = new RunStore("/runs");
    expect(store.runLedger("p@20260131T235959Z-r1")).toBe(
      "/runs/p/2026-01/p@20260131T235959Z-r1.jsonl",
    );
    expect(store.runLog("p@20260131T235959.001Z-m")).toBe(
      "/runs/p/2026-01/p@20260131T235959.001Z-m.log",
    );
    expect(store.pipelineLedger("p")).toBe("/runs/p/pipeline.jsonl");
    expect([
      store.orchdDir,
      store.requests,
      store.replies,
      store.bundles,
      store.artifacts,
      store.cache,
    ]).toEqual(
      ["", "/requests", "/replies", "/bundles", "/artifacts", "/cache"].map(
        (name) => `/runs/.orchd${name}`,
      ),
    );
  });

  it.each(["..", "../etc", ".orchd", "p/../q", "", "P", "p\0"])(
    "takes no pipeline named %j",
    (name) => {
      const store = new RunStore("/runs");
      expect(() => store.pipelineLedger(name)).toThrow(RangeError);
      expect(() => store.runLedger(`${name}@20260131T235959Z`)).toThrow(RangeError);
      expect(store.exists(`${name}@20260131T235959Z`)).toBe(false);
    },
  );
});

describe("the runs in the folder", () => {
  const runs = [
    "p@20251231T235959Z",
    "p@20260101T000000.500Z-m",
    "p@20260101T000000Z",
    "p@20260101T000000Z-r1",
    "p@20260301T000000Z",
  ];

  it("are listed by their times, over all months, or the newest only", () => {
    const store = storeWith([...runs, "q@20260101T000000Z"]);
    const ordered = [
      "p@20251231T235959Z",
      "p@20260101T000000Z",
      "p@20260101T000000Z-r1",
      "p@20260101T000000.500Z-m",
      "p@20260301T000000Z",
    ];
    expect(store.list("p")).toEqual(ordered);
    expect(store.list("p", { newestFirst: true, limit: 2 })).toEqual(
      ordered.toReversed().slice(0, 2),
    );
    expect(store.list("p", { limit: 0 })).toEqual([]);
    expect(store.months("p")).toEqual(["2025-12", "2026-01", "2026-03"]);
    expect(store.pipelines()).toEqual(["p", "q"]);
    expect(store.exists("p@20260101T000000Z-r1")).toBe(true);
    expect(store.exists("p@20260101T000000Z-r2")).toBe(false);
  });

  it("do not include files of other names, or in another month's folder", () => {
    const store = storeWith(runs);
    for (const stray of [
      "2026-01/.p@20260101T000001Z.jsonl.1-1",
      "2026-01/notes.jsonl",
      "2026-01/p@20260201T000000Z.jsonl",
      "2026-01/q@20260101T000000Z.jsonl",
    ]) {
      writeFileSync(`${store.pipelineDir("p")}/${stray}`, "");
    }
    expect(store.list("p")).toHaveLength(runs.length);
  });

  it("are none if there is no folder", () => {
    const store = new RunStore("/nowhere");
    expect([
      store.pipelines(),
      store.list("p"),
      store.months("p"),
      store.exists("p@20260101T000000Z"),
    ]).toEqual([[], [], [], false]);
    // Nor are there any in what is no folder.
    const { runs } = tempRoot();
    writeFileSync(join(runs, "p"), "");
    expect(new RunStore(runs).list("p")).toEqual([]);
  });

  it("decide the next free id of each kind", () => {
    const store = storeWith([
      "p@20260101T000000Z",
      "p@20260101T000000Z-r1",
      "p@20260101T000000Z-b1",
      "p@20260101T000000.000Z-m",
      "p@20260101T000000.001Z-m",
    ]);
    const slot = Date.UTC(2026, 0, 1);
    expect(store.nextManual("p", slot)).toBe("p@20260101T000000.002Z-m");
    expect(store.nextManual("p", slot - 1)).toBe("p@20251231T235959.999Z-m");
    expect(store.nextManual("p", slot + 1)).toBe("p@20260101T000000.002Z-m");
    expect(store.nextBackfill("p", slot)).toBe("p@20260101T000000Z-b2");
    expect(store.nextBackfill("p", slot, "weekly")).toBe("p@20260101T000000Z.weekly-b1");
    expect(store.nextRerun("p@20260101T000000Z-r1")).toBe("p@20260101T000000Z-r2");
  });
});

it("the runs of a slot are those that are known and those that were made since", () => {
  const own = "p@20260101T000000Z";
  const slot = Date.UTC(2026, 0, 1);
  const made = [own, `${own}-b2`, `${own}-b2-r1`, `${own}-b3-r1`, `${own}-r2`];
  const store = storeWith([...made, `${own}-b4`, `${own}.weekly`, `${own}.weekly-b1`]);
  // The first backfill, the third and the first re-run are known, and were pruned since.
  const known = [`${own}-b1`, `${own}-b3`, `${own}-r1`];
  expect(store.slotRuns(known, "p", slot).toSorted()).toEqual(
    [...known, ...made, `${own}-b4`].toSorted(),
  );
  expect(store.slotRuns([], "p", slot)).toEqual([own]);
  expect(store.slotRuns([], "p", slot, "weekly").toSorted()).toEqual([
    `${own}.weekly`,
    `${own}.weekly-b1`,
  ]);
});

it("lists more runs of one month than a call has room for arguments, in order", () => {
  const { runs } = tempRoot();
  mkdirSync(join(runs, "p", "2026-06"), { recursive: true });
  const stamp = (second: number): string =>
    new Date(Date.UTC(2026, 5, 1) + second * 1_000).toISOString().replaceAll(/[-:]|\.\d{3}/g, "");
  const names = Array.from({ length: 200_000 }, (_, second) => `p@${stamp(second)}`);
  const { readdirSync } = fs;
  const spy = vi
    .spyOn(fs, "readdirSync")
    .mockImplementation(((path: string) =>
      path.endsWith("2026-06")
        ? names.toReversed().map((name) => `${name}.jsonl`)
        : readdirSync(path)) as typeof readdirSync);
  syncBuiltinESMExports();
  onTestFinished(() => {
    spy.mockRestore();
    syncBuiltinESMExports();
  });
  expect(new RunStore(runs).list("p")).toEqual(names);
});

describe("one that looks for very many runs of a pipeline", () => {
  const runs = ["p@20261231T235959Z", "p@20270101T000000Z", "p@20270101T000100Z.day"];

  it("sees what a look at each would, in each month", () => {
    const store = storeWith(runs);
    const looks = store.looker("p");
    for (const run of [...runs, "p@20261231T235958Z", "p@20250101T000000Z", "p@20270101T000100Z"])
      expect([run, looks(run)]).toEqual([run, store.exists(run)]);
  });

  it("looks at each where a folder cannot be listed now", () => {
    const store = storeWith(runs);
    const { readdirSync } = fs;
    const set = (call: unknown): void => {
      Object.assign(fs, { readdirSync: call });
      syncBuiltinESMExports();
    };
    set(() => {
      throw Object.assign(new Error("no descriptor"), { code: "EMFILE" });
    });
    onTestFinished(() => set(readdirSync));
    const looks = store.looker("p");
    expect([...runs, "p@20261231T235958Z"].map((run) => looks(run))).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });
});
