/** What finds a run: words of its id, its tags, its steps and its reasons. */
import { describe, expect, test } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readRunPages } from "../../src/views/run-pages.ts";
import { searchRuns } from "../../src/views/run-search.ts";
import { idOf, madeUpRoot } from "../support/made-up-root.ts";

const store = (): RunStore => new RunStore(madeUpRoot().runs);

describe("the search for runs", () => {
  test.each([
    ["no room", [[idOf("etl", 2), "load", "no room ENOSPC"]]],
    ["enospc LOAD", [[idOf("etl", 2), null, 'step "load" failed']]],
    ["asked hand", [[idOf("etl", 3), null, "asked by hand"]]],
    ["alice", [[idOf("etl", 3), null, "alice"]]],
    ["stopped pull", [[idOf("etl", 3), null, "stopped"]]],
    ["etl@20261123T02", [[idOf("etl", 2), null, idOf("etl", 2)]]],
    ["nothing of it", []],
    ["other@2026", []],
  ])("finds %s", (words, found) => {
    const { runs, hasMore } = searchRuns(store(), words, 50);
    expect(runs.map(({ run, step, text }) => [run, step, text])).toEqual(found);
    expect(hasMore).toBe(false);
    const filter = { status: undefined, sinceMs: Number.NEGATIVE_INFINITY };
    const page = readRunPages(store(), ["etl"], { filter, q: words, from: undefined, limit: 50 });
    expect(page.runs.map(({ run }) => run)).toEqual(found.map(([run]) => run));
  });

  test("gives the newest first, no more than asked for, and says that there are more", () => {
    const { runs, looked, hasMore } = searchRuns(store(), "etl", 2);
    expect(runs.map(({ run }) => run)).toEqual([idOf("etl", 9, 30), idOf("etl", 9)]);
    expect([looked, hasMore]).toEqual([2, true]);
  });

  test("gives no params and no outputs", () => {
    const text = JSON.stringify(searchRuns(store(), "etl", 50));
    expect(text).not.toContain('"params"');
    expect(text).not.toContain('"outputs"');
  });
});
