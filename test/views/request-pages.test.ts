/** Requests page by page: each once, the newest first, and no page that is empty. */
import { readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { writeReply, writeRequest } from "../../src/ledger/requests.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readRequestRow, readRequests } from "../../src/views/request-list.ts";
import { loaded, writePipeline } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

it.each([
  [3, 4, [3]],
  [3, 3, [3]],
  [4, 3, [3, 1]],
  [6, 3, [3, 3]],
  [7, 3, [3, 3, 1]],
])("of %i, %i a page", async (count, limit, pages) => {
  const { runs } = tempRoot();
  const store = new RunStore(runs);
  const ids = Array.from({ length: count }, (_, nth) => `r${nth}`);
  for (const [nth, id] of ids.entries()) {
    await writeRequest(runs, { type: "pause", pipeline: "p" }, { id });
    utimesSync(join(store.requests, `${id}.json`), 1_000_000 + nth, 1_000_000 + nth);
  }
  const found: string[] = [];
  const sizes: number[] = [];
  let cursor: string | undefined;
  do {
    const page = readRequests(store, { cursor, limit });
    sizes.push(page.requests.length);
    found.push(...page.requests.map(({ id }) => id));
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
  expect(sizes).toEqual(pages);
  expect(found).toEqual(ids.toReversed());
});

it("a backfill is told by its oldest line, not once for each of its runs", () => {
  const { runs } = tempRoot();
  const slot = (nth: number): string => `2026-11-28T0${nth}:00:00.000Z`;
  const backfilled = (nth: number) => ({
    type: "slot.backfilled",
    slot: slot(nth),
    run: `p@20261128T0${nth}0000Z-b1`,
    backfill: "b1",
    requestId: "b1",
  });
  writePipeline(runs, "p", [loaded("0 * * * *"), backfilled(1), backfilled(2), backfilled(3)]);
  const store = new RunStore(runs);
  const [, first, second] = readFileSync(store.pipelineLedger("p"), "utf8").split("\n");
  const at = (line: string | undefined): unknown => (JSON.parse(line!) as { at: unknown }).at;
  expect(at(first)).not.toBe(at(second));
  const { requests } = readRequests(store, { limit: 10 });
  expect(requests.map((row) => [row.id, row.at])).toEqual([["b1", at(first)]]);
});

it("each request is told with what its file, its answer and the ledger say of it", async () => {
  const { runs } = tempRoot();
  const store = new RunStore(runs);
  const at = "2026-11-28T01:00:00.000Z";
  await writeRequest(runs, { type: "stop", run: "p@20261128T010000Z", by: "cli:bob" } as never, {
    id: "open",
  });
  writeFileSync(join(store.requests, "bad.json"), "no json");
  writeFileSync(join(store.requests, "list.json"), "[1]");
  await writeReply(runs, "yes", { accepted: true, run: "p@20261128T020000Z", at });
  await writeReply(runs, "no", { accepted: false, reason: "it has ended", at });
  for (const id of ["open", "bad", "list"])
    utimesSync(join(store.requests, `${id}.json`), 1_000_000, 1_000_000);
  const paused = { type: "pipeline.paused", by: "cli:ann", because: "upkeep", requestId: "no" };
  writePipeline(runs, "p", [loaded("0 * * * *"), paused]);
  const { requests } = readRequests(store, { limit: 10 });
  const byId = Object.fromEntries(requests.map(({ id, ...row }) => [id, row]));
  const open = { state: "open", type: null, pipeline: null, run: null, by: null };
  const written = "1970-01-12T13:46:40.000Z";
  expect(byId).toMatchObject({
    open: {
      ...open,
      type: "stop",
      pipeline: "p",
      run: "p@20261128T010000Z",
      by: "cli:bob",
      at: written,
      reason: null,
    },
    bad: { ...open, at: written, reason: expect.stringMatching(/JSON/) as string },
    list: { ...open, at: written },
    yes: { state: "accepted", pipeline: "p", run: "p@20261128T020000Z", at, reason: null },
    no: { state: "refused", pipeline: "p", by: "cli:ann", at, reason: "it has ended" },
  });
  expect(requests).toHaveLength(5);
});

it("one request is told by what is left of it: a file, an answer, a line", async () => {
  const { runs } = tempRoot();
  const store = new RunStore(runs);
  const at = "2026-11-28T01:00:00.000Z";
  const slot = "2026-11-28T01:00:00.000Z";
  const run = "p@20261128T010000Z-b1";
  expect(readRequestRow(store, "r1")).toBeUndefined();
  expect(readRequestRow(store, "../p/pipeline")).toBeUndefined();
  await writeRequest(runs, { type: "pause", pipeline: "p", by: "cli:ann" } as never, { id: "r1" });
  expect(readRequestRow(store, "r1")).toMatchObject({
    state: "open",
    type: "pause",
    by: "cli:ann",
  });
  writePipeline(runs, "o", [loaded("0 * * * *")]);
  const paused = { type: "pipeline.paused", at, by: "cli:bob", because: "upkeep" };
  writePipeline(runs, "p", [
    loaded("0 * * * *"),
    { type: "slot.backfilled", at, slot, run, backfill: "b1", requestId: "b1" },
    { ...paused, requestId: "r11", by: "cli:cid" },
    { ...paused, requestId: "r1" },
    { type: "slot.skipped", at, slot, because: '"requestId":"r1"', through: slot },
  ]);
  // The answer came, and the file is about to go.
  const answered = "2026-11-28T01:00:09.000Z";
  await writeReply(runs, "r1", { accepted: true, at: answered });
  const told = { id: "r1", type: "pause", pipeline: "p", run: null, by: "cli:bob", at };
  expect(readRequestRow(store, "r1")).toEqual({
    ...told,
    at: answered,
    state: "accepted",
    reason: "upkeep",
  });
  writeFileSync(join(store.orchdDir, "x.json"), "{}");
  expect(readRequestRow(store, "../x")).toBeUndefined();
  // Of a refusal no ledger tells: a line with its id is another's.
  await writeReply(runs, "b1", { accepted: false, at });
  expect(readRequestRow(store, "b1")).toMatchObject({ state: "refused", type: null });
  rmSync(join(store.replies, "b1.json"));
  expect(readRequestRow(store, "b1")).toMatchObject({ type: "backfill", run: null, by: null });
  expect(readRequestRow(store, "r2")).toBeUndefined();
  // The reply names a pipeline: no other one is asked.
  await writeReply(runs, "r3", { accepted: true, run: "o@20261128T010000Z", at });
  writePipeline(runs, "q", [loaded("0 * * * *"), { ...paused, requestId: "r3", by: "x" }]);
  expect(readRequestRow(store, "r3")).toMatchObject({ pipeline: "o", type: null, by: null });
});

it("what a run by hand, a re-run and a resume are called, and requests of one moment", () => {
  const { runs } = tempRoot();
  const at = "2026-11-28T01:00:00.000Z";
  const made = (trigger: string, id: string) => ({
    type: "run.triggered",
    at,
    trigger,
    run: `p@20261128T010000Z-${id}`,
    by: "",
    requestId: id,
  });
  writePipeline(runs, "p", [
    loaded("0 * * * *"),
    made("manual", "a"),
    made("rerun", "b"),
    made("event", "c"),
    { type: "pipeline.resumed", at, requestId: "d" },
    { type: "pipeline.silenced", at, until: at, requestId: "e" },
    { type: "pipeline.paused", at, requestId: 7 },
  ]);
  const store = new RunStore(runs);
  const { requests } = readRequests(store, { limit: 10 });
  expect(requests.map(({ id, type, run, by }) => [id, type, run, by])).toEqual([
    ["e", "silence", null, null],
    ["d", "resume", null, null],
    ["c", null, "p@20261128T010000Z-c", null],
    ["b", "rerun", "p@20261128T010000Z-b", null],
    ["a", "submit", "p@20261128T010000Z-a", null],
  ]);
  const page = readRequests(store, { limit: 3 });
  expect(page.cursor).toBe(`${at} c`);
  const rest = readRequests(store, { limit: 3, cursor: page.cursor! });
  expect([rest.requests.map(({ id }) => id), rest.cursor]).toEqual([["b", "a"], null]);
  expect(readRequests(store, { limit: 3, cursor: at }).requests).toEqual([]);
});

/** The ids of all pages, one after the other. */
function pagesOf(store: RunStore, limit: number): string[] {
  const found: string[] = [];
  for (let cursor: string | undefined, more = true; more;) {
    const page = readRequests(store, { cursor, limit });
    found.push(...page.requests.map(({ id }) => id));
    cursor = page.cursor ?? undefined;
    more = cursor !== undefined;
  }
  return found;
}

const paused = (id: string, at: string) => ({
  type: "pipeline.paused",
  at,
  by: "x",
  requestId: id,
});
const backfilled = (id: string, at: string, nth: number) => ({
  type: "slot.backfilled",
  at,
  slot: "2026-11-28T01:00:00.000Z",
  run: `p@20261128T010000Z-${id}-${nth}`,
  backfill: id,
  requestId: id,
});

it("no pipeline's many lines hide what was asked of another one", () => {
  const { runs } = tempRoot();
  const moment = (nth: number): string => new Date(Date.UTC(2026, 10, 28) + nth).toISOString();
  const many = Array.from({ length: 6_000 }, (_, nth) => backfilled("b1", moment(10 + nth), nth));
  writePipeline(runs, "a", [loaded("0 * * * *"), ...many]);
  writePipeline(runs, "b", [loaded("0 * * * *"), paused("r2", moment(9_000))]);
  writePipeline(runs, "c", [loaded("0 * * * *")]);
  writePipeline(runs, "d", [loaded("0 * * * *"), paused("r1", moment(0))]);
  const store = new RunStore(runs);
  expect(pagesOf(store, 10)).toEqual(["r2", "b1", "r1"]);
  expect(pagesOf(store, 1)).toEqual(["r2", "b1", "r1"]);
});

it("a backfill that goes on beside other requests is on one page, where it began", () => {
  const { runs } = tempRoot();
  const moment = (nth: number): string => `2026-11-28T00:00:0${nth}.000Z`;
  const lines = [1, 2, 3, 4, 5, 6].flatMap((nth) => [
    backfilled("b1", moment(nth), nth),
    paused(`r${nth}`, moment(nth)),
  ]);
  const { run: _run, slot: _slot, ...begun } = backfilled("b1", moment(0), 0);
  writePipeline(runs, "p", [
    loaded("0 * * * *"),
    paused("r0", moment(0)),
    { ...begun, type: "backfill.started" },
    ...lines,
  ]);
  expect(pagesOf(new RunStore(runs), 3)).toEqual(["r6", "r5", "r4", "r3", "r2", "r1", "r0", "b1"]);
});
