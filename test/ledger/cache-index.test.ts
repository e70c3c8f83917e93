import { appendFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import { CacheIndex } from "../../src/ledger/cache-index.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { OffsetTable } from "../../src/ledger/offset-table.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";
import { calm, header } from "./sample-ledgers.ts";

const key = (text: string): string => createHash("sha256").update(text).digest("hex");
const at = (n: number): string => new Date(Date.UTC(2026, 0, 1) + n).toISOString();
const candidate = (n: number): { run: string; step: string; at: string } => ({
  run: `p@${n}`,
  step: "a",
  at: at(n),
});

describe("the index", () => {
  it("finds what was recorded, newest first, and still after it was closed", () => {
    const folder = join(tempRoot().runs, "cache");
    const index = new CacheIndex(folder);
    expect(index.lookup(key("x"))).toEqual([]);
    for (const n of [1, 2, 3]) index.record(key("x"), candidate(n));
    index.record(key("y"), candidate(4));
    for (const again of [index, new CacheIndex(folder)]) {
      expect(again.lookup(key("x"))).toEqual([3, 2, 1].map(candidate));
      expect(again.lookup(key("y"))).toEqual([candidate(4)]);
      expect(again.lookup(key("z"))).toEqual([]);
      again.close();
      expect(again.lookup(key("y"))).toEqual([candidate(4)]);
    }
  });

  it("takes several at once, also with one key twice, and none of them if one is no key", () => {
    const folder = join(tempRoot().runs, "cache");
    const index = new CacheIndex(folder);
    index.record(key("x"), candidate(1));
    index.recordAll([
      [key("x"), candidate(2)],
      [key("y"), candidate(3)],
      [key("x"), candidate(4)],
    ]);
    expect(() =>
      index.recordAll([
        [key("x"), candidate(5)],
        ["none", candidate(6)],
      ]),
    ).toThrow(RangeError);
    for (const again of [index, new CacheIndex(folder)]) {
      expect(again.lookup(key("x"))).toEqual([4, 2, 1].map(candidate));
      expect(again.lookup(key("y"))).toEqual([candidate(3)]);
    }
  });

  it("gives no more than sixteen", () => {
    const index = new CacheIndex(join(tempRoot().runs, "cache"));
    for (let n = 0; n < 40; n += 1) index.record(key("x"), candidate(n));
    expect(index.lookup(key("x"))).toEqual(Array.from({ length: 16 }, (_, n) => candidate(39 - n)));
  });

  it("tells keys apart that begin with the same digits", () => {
    const index = new CacheIndex(join(tempRoot().runs, "cache"));
    const alike = ["0", "1", "2"].map((last) => "ab".repeat(31) + `a${last}`);
    alike.forEach((one, n) => index.record(one, candidate(n)));
    alike.forEach((one, n) => expect(index.lookup(one)).toEqual([candidate(n)]));
    index.close();
    alike.forEach((one, n) => expect(index.lookup(one)).toEqual([candidate(n)]));
  });

  it("behaves like a map, for any order of recording, looking and closing", () => {
    const act = fc.record({ key: fc.nat(5), what: fc.constantFrom("record", "lookup", "close") });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        const index = new CacheIndex(join(tempRoot().runs, "cache"));
        const model = new Map<number, number[]>();
        acts.forEach((one, n) => {
          if (one.what === "record") {
            index.record(key(String(one.key)), candidate(n));
            model.set(one.key, [n, ...(model.get(one.key) ?? [])]);
          } else if (one.what === "close") index.close();
          expect(index.lookup(key(String(one.key)))).toEqual(
            (model.get(one.key) ?? []).slice(0, 16).map(candidate),
          );
        });
        index.close();
      }),
      { numRuns: 40 },
    );
  });

  it("skips torn and damaged lines, and never gives what was not recorded", () => {
    const folder = join(tempRoot().runs, "cache");
    const path = join(folder, "index.jsonl");
    const index = new CacheIndex(folder);
    for (let n = 0; n < 6; n += 1) index.record(key(String(n % 2)), candidate(n));
    index.close();
    const whole = readFileSync(path);
    const known = new Set(Array.from({ length: 6 }, (_, n) => JSON.stringify(candidate(n))));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.boolean(), (place, byte, cut) => {
        const bytes = Buffer.from(whole);
        bytes[place] = byte;
        writeFileSync(path, cut ? bytes.subarray(0, place) : bytes);
        const reopened = new CacheIndex(folder);
        // A run's name with a changed letter is still a name: the user of a candidate reads its
        // ledger.
        const found = [...reopened.lookup(key("0")), ...reopened.lookup(key("1"))].filter((one) =>
          known.has(JSON.stringify(one)),
        );
        expect(found.length).toBeGreaterThanOrEqual(cut ? 0 : 2);
        reopened.record(key("new"), candidate(9));
        expect(reopened.lookup(key("new"))).toEqual([candidate(9)]);
        reopened.close();
        expect(reopened.lookup(key("new"))).toEqual([candidate(9)]);
        reopened.close();
      }),
      { numRuns: 100 },
    );
    truncateSync(path, 0);
    appendFileSync(path, `{"key":"${key("0")}","run":"p@1","step":"a","at":"x","prev":0}\n`);
    expect(new CacheIndex(folder).lookup(key("0"))).toHaveLength(1);
  });

  it("refuses a key that is not one", () => {
    const index = new CacheIndex(join(tempRoot().runs, "cache"));
    expect(() => index.record('x","run":"', candidate(1))).toThrow(RangeError);
    expect(index.lookup("../x")).toEqual([]);
  });
});

describe("rebuilding the index", () => {
  async function ledger(store: RunStore, run: string, events: readonly RunEvent[]): Promise<void> {
    const file = await LedgerFile.create<RunEvent>(
      store.runLedger(run),
      [header(run), ...events],
      calm(),
    );
    await file.close();
  }
  const started = (step: string, cacheKey: string): RunEvent => ({
    type: "step.started",
    step,
    attempt: 1,
    cacheKey,
    because: "inputs ready",
  });
  const completed = (step: string): RunEvent => ({
    type: "step.completed",
    step,
    attempt: 1,
    outputs: { result: 1 },
    durationMs: 1,
  });

  it("finds every step that completed under a key, but none in a damaged ledger", async () => {
    const { runs } = tempRoot();
    const store = new RunStore(runs);
    await ledger(store, "p@20260101T000000Z", [
      started("a", key("a")),
      started("b", key("b")),
      completed("a"),
    ]);
    await ledger(store, "q@20260101T000001Z", [
      started("a", key("a")),
      completed("a"),
      { type: "step.started", step: "c", attempt: 1, because: "" },
      completed("c"),
    ]);
    await ledger(store, "q@20260101T000002Z", [started("a", key("d")), completed("a")]);
    const path = store.runLedger("q@20260101T000002Z");
    const bytes = readFileSync(path);
    writeFileSync(
      path,
      Buffer.concat([bytes.subarray(bytes.indexOf(10) + 1), Buffer.from('{"seq":9,"b":9}\n')]),
    );
    const index = new CacheIndex(store.cache);
    index.record(key("old"), candidate(1));
    expect(await index.rebuild(runs)).toBe(2);
    const runsOf = (text: string): string[] =>
      index.lookup(key(text)).map(({ run, step }) => `${run} ${step}`);
    expect(runsOf("a").toSorted()).toEqual(["p@20260101T000000Z a", "q@20260101T000001Z a"]);
    expect([runsOf("b"), runsOf("d"), runsOf("old")]).toEqual([[], [], []]);
  });

  it("keeps what is recorded during the rebuild", async () => {
    const { runs } = tempRoot();
    const store = new RunStore(runs);
    await ledger(store, "p@20260101T000000Z", [started("a", key("a")), completed("a")]);
    const index = new CacheIndex(store.cache);
    const rebuilt = index.rebuild(runs);
    index.record(key("new"), candidate(7));
    await rebuilt;
    expect(index.lookup(key("new"))).toEqual([candidate(7)]);
    expect(index.lookup(key("a"))).toHaveLength(1);
  });

  it("keeps the entries of the runs that are left, when others are gone", async () => {
    const store = new RunStore(tempRoot().runs);
    const index = new CacheIndex(store.cache);
    for (let n = 0; n < 20; n += 1) index.record(key(String(n % 3)), candidate(n));
    expect(await index.compact((run) => Number(run.slice(2)) >= 15)).toBe(5);
    expect(
      [0, 1, 2]
        .flatMap((n) => index.lookup(key(String(n))))
        .map(({ run }) => run)
        .toSorted(),
    ).toEqual(["p@15", "p@16", "p@17", "p@18", "p@19"]);
  });
});

describe("the table of offsets", () => {
  it("behaves like a map, however many keys share their bits, and grows", () => {
    const table = new OffsetTable();
    const keys = Array.from({ length: 5_000 }, (_, n) => n);
    const byOffset = new Map<number, number>();
    const bitsOf = (one: number): number => ((one % 700) * 2_654_435_761) >>> 0;
    for (const round of [1, 2]) {
      for (const one of keys) {
        const offset = one * 10 + round;
        byOffset.set(offset, one);
        table.set(bitsOf(one), offset, (there) => byOffset.get(there) === one);
      }
      expect(table.size).toBe(keys.length);
      for (const one of keys)
        expect(table.find(bitsOf(one), (there) => byOffset.get(there) === one)).toBe(
          one * 10 + round,
        );
    }
    expect(table.find(1, () => true)).toBe(-1);
  });
});
