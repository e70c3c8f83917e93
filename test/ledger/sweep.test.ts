/** A sweep gives way to the daemon after each run that it reads and each file that it removes. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pbkdf2 } from "node:crypto";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import { STAGED_PREFIX } from "../../src/core/task.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { sweep, type SweepOptions } from "../../src/ledger/sweep.ts";
import { tempRoot } from "../support/temp-root.ts";
import { calm, header } from "./sample-ledgers.ts";

const NOW = Date.UTC(2026, 5, 1);
const MINUTE = 60_000;
const hashed = promisify(pbkdf2);

/** Four runs, of which one refers to a spilled field, and three artifacts that none refers to. */
async function swept() {
  const store = new RunStore(tempRoot().runs);
  const artifacts = new Artifacts(store.artifacts);
  const spilled = await artifacts.put({ steps: ["of a snapshot"] });
  const unused = await Promise.all(["a", "b", "c"].map((text) => artifacts.put(text)));
  for (const ref of [spilled, ...unused]) aged(artifacts.path(ref), 60 * MINUTE);
  const runs = [1, 2, 3, 4].map((second) => `p@20260531T12000${second}Z`);
  for (const [at, run] of runs.entries()) {
    const more = at === 3 ? { snapshot: { ...spilled } } : {};
    const path = store.runLedger(run);
    mkdirSync(store.runDir(run), { recursive: true });
    await (await LedgerFile.create<RunEvent>(path, [header(run, more)], calm())).close();
  }
  const left = (): number => readdirSync(store.artifacts).length;
  const turns: number[] = [];
  const known = new Map();
  return {
    store,
    artifacts,
    runs,
    turns,
    known,
    left,
    spilled,
    unused,
    run: (options: Partial<SweepOptions> = {}, going: readonly string[] = []) => {
      turns.length = 0;
      const giveWay = (): Promise<void> => {
        // It waits: nothing is removed before the daemon had its turn.
        const before = left();
        return new Promise((resolve) =>
          setImmediate(() => {
            expect(left()).toBe(before);
            turns.push(before);
            resolve();
          }),
        );
      };
      const gone = new Map(going.map((run) => [run, "it is old"]));
      return sweep(store, { nowMs: NOW, ...options }, gone, known, giveWay);
    },
  };
}

function aged(path: string, ageMs: number): void {
  utimesSync(path, (NOW - ageMs) / 1_000, (NOW - ageMs) / 1_000);
}

it("gives way after each run, each spilled field, and each file", async () => {
  const { run, turns, left } = await swept();
  expect(await run()).toEqual({ files: 3, bytes: 9 });
  expect(turns).toEqual([4, 4, 4, 4, 4, 3, 2, 1]);
  expect(left()).toBe(1);
});

it("takes a folder with a ledger's name, or a pipe, for no run", async () => {
  const { store, run, runs, left } = await swept();
  const [folder, pipe] = ["p@20260531T130000Z", "p@20260531T130001Z"] as const;
  mkdirSync(store.runLedger(folder));
  execFileSync("mkfifo", [store.runLedger(pipe)]);
  expect(store.list("p")).toEqual([...runs, folder, pipe]);
  expect(await run()).toEqual({ files: 3, bytes: 9 });
  expect(left()).toBe(1);
});

it("gives way as often where nothing is removed, and says what would be", async () => {
  const { run, turns, left } = await swept();
  expect(await run({ dryRun: true })).toEqual({ files: 3, bytes: 9 });
  expect(turns).toEqual([4, 4, 4, 4, 4, 4, 4, 4]);
  expect(left()).toBe(4);
});

it("gives way after a run that is known too, and reads none that is going", async () => {
  const { run, runs, turns, known, unused, spilled } = await swept();
  const shas = new Set([unused[0]!.$artifact]);
  known.set(runs[0]!, { shas, fields: new Set() });
  expect(await run({ dryRun: true }, [runs[3]!, runs[2]!])).toEqual({
    files: 3,
    bytes: 6 + JSON.stringify({ steps: ["of a snapshot"] }).length,
  });
  expect(turns).toHaveLength(2 + 3);
  // A field that is known to be referred to may refer to more.
  known.set(runs[0]!, { shas, fields: new Set([spilled.$artifact]) });
  await run({ dryRun: true }, [runs[3]!, runs[2]!]);
  expect(turns).toHaveLength(2 + 1 + 3);
});

it("reads no run where nothing is old enough", async () => {
  const { run, turns, artifacts, spilled, unused } = await swept();
  for (const [options, old] of [
    [{}, 10 * MINUTE],
    [{ linesWait: true }, 24 * 60 * MINUTE],
  ] as const) {
    for (const ref of [spilled, ...unused]) aged(artifacts.path(ref), old);
    expect(await run(options)).toEqual({ files: 0, bytes: 0 });
    expect(turns).toEqual([]);
    aged(artifacts.path(unused[1]!), old + 1_000);
    expect(await run({ ...options, dryRun: true })).toEqual({ files: 1, bytes: 3 });
  }
});

it("leaves what is no artifact and no step code, and step code without a list of it", async () => {
  const { run, store, left } = await swept();
  const sha = "d".repeat(64);
  mkdirSync(store.bundles, { recursive: true });
  for (const name of [`${sha}.mjs`, `${sha}.mjs.map`, `${sha}.txt`, `x${sha}.mjs`, "notes"]) {
    writeFileSync(join(store.bundles, name), "12");
    aged(join(store.bundles, name), 24 * 60 * MINUTE + 1_000);
  }
  writeFileSync(join(store.artifacts, "notes"), "");
  aged(join(store.artifacts, "notes"), 60 * MINUTE);
  expect(await run()).toEqual({ files: 3, bytes: 9 });
  expect(left()).toBe(2);
  expect(readdirSync(store.bundles)).toHaveLength(5);
  expect(await run({ bundlesInUse: new Set([sha]) })).toEqual({ files: 0, bytes: 0 });
  expect(await run({ bundlesInUse: new Set() })).toEqual({ files: 2, bytes: 4 });
  expect(readdirSync(store.bundles).toSorted()).toEqual([`${sha}.txt`, "notes", `x${sha}.mjs`]);
});

it("leaves what a spilled field refers to: step code, and other artifacts", async () => {
  const there = await swept();
  const { artifacts, store } = there;
  const code = "c".repeat(64);
  mkdirSync(store.bundles, { recursive: true });
  const bundle = join(store.bundles, `${code}.mjs`);
  writeFileSync(bundle, "x");
  aged(bundle, 2 * 24 * 60 * MINUTE);
  // A line has the snapshot, the snapshot's field is a file of its own, and that names both.
  const value = await artifacts.put("a long output");
  const outputs = await artifacts.put({ result: { ...value }, code: { bundle: code } });
  const snapshot = await artifacts.put({ steps: [{ outputs: { ...outputs } }] });
  for (const ref of [value, outputs, snapshot]) aged(artifacts.path(ref), 60 * MINUTE);
  const run = "p@20260531T130000Z";
  const created = LedgerFile.create<RunEvent>(
    store.runLedger(run),
    [header(run, { snapshot: { ...snapshot } })],
    calm(),
  );
  await (await created).close();
  expect(await there.run({ bundlesInUse: new Set() })).toEqual({ files: 3, bytes: 9 });
  expect(existsSync(bundle)).toBe(true);
  for (const ref of [value, outputs, snapshot]) expect(artifacts.verify(ref)).toBe(true);
  // Once the run goes, all of it goes.
  expect(await there.run({ bundlesInUse: new Set() }, [run])).toMatchObject({ files: 4 });
});

it.each([
  ["an artifact", 10, {}],
  ["an artifact while lines wait for room", 24 * 60, { linesWait: true }],
  ["step code", 24 * 60, { bundlesInUse: new Set<string>() }],
])("%s stays for %i minutes", async (what, minutes, options) => {
  const { store, run, unused, artifacts } = await swept();
  const folder = what === "step code" ? store.bundles : store.artifacts;
  mkdirSync(folder, { recursive: true });
  for (const ref of unused) aged(artifacts.path(ref), 0);
  for (const [digit, ageMs] of [
    ["d", minutes * MINUTE],
    ["e", minutes * MINUTE + 1_000],
  ] as const) {
    const path = join(folder, digit.repeat(64) + (what === "step code" ? ".mjs" : ""));
    writeFileSync(path, "x");
    aged(path, ageMs);
  }
  expect(await run(options)).toEqual({ files: 1, bytes: 1 });
  expect(readdirSync(folder).some((name) => name.startsWith("d"))).toBe(true);
});

it("takes no file that is needed again while one with its content is being removed", async () => {
  const store = new RunStore(tempRoot().runs);
  const artifacts = new Artifacts(store.artifacts);
  const ref = await artifacts.put("needed again");
  aged(artifacts.path(ref), 60 * MINUTE);
  // The threads that would remove it have other work first.
  const busy = Array.from({ length: 8 }, () => hashed("x", "y", 50_000, 32, "sha256"));
  const done = sweep(store, { nowMs: NOW }, new Map(), new Map(), () => Promise.resolve());
  expect(await artifacts.put("needed again")).toEqual(ref);
  expect(await done).toMatchObject({ files: 1 });
  expect(artifacts.get(ref)).toBe("needed again");
  expect(readdirSync(store.artifacts)).toEqual([ref.$artifact]);
  await Promise.all(busy);
});

it("removes what a crash left under a dot-name a day ago, and no result that waits", async () => {
  const store = new RunStore(tempRoot().runs);
  for (const folder of [store.artifacts, store.bundles]) {
    mkdirSync(folder, { recursive: true });
    for (const [name, ageMs] of [
      [".d.1-1", 24 * 60 * MINUTE + 1_000],
      [".e.1-2", 24 * 60 * MINUTE],
      [`${STAGED_PREFIX}1`, 48 * 60 * MINUTE],
    ] as const) {
      writeFileSync(join(folder, name), "x");
      aged(join(folder, name), ageMs);
    }
  }
  const options = { nowMs: NOW, bundlesInUse: new Set<string>() };
  const done = await sweep(store, options, new Map(), new Map(), () => Promise.resolve());
  expect(done).toEqual({ files: 2, bytes: 2 });
  for (const folder of [store.artifacts, store.bundles])
    expect(readdirSync(folder)).toEqual([".e.1-2", `${STAGED_PREFIX}1`]);
});

it("leaves a file that became young again while the runs were read", async () => {
  const { store, runs, unused, artifacts } = await swept();
  let looks = 0;
  const giveWay = async (): Promise<void> => {
    if ((looks += 1) === runs.length) aged(artifacts.path(unused[0]!), 0);
  };
  const done = await sweep(store, { nowMs: NOW }, new Map(), new Map(), giveWay);
  expect(done).toEqual({ files: 2, bytes: 6 });
  expect(artifacts.verify(unused[0]!)).toBe(true);
});
