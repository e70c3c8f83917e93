/** What an earlier daemon left of a request: which run, which re-run, which stop it made. */
import { rmSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { EarlierTraces } from "../../src/engine/earlier-traces.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { header, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";
const BY_HAND = "p@20261123T020000.001Z-m";

function rig() {
  const store = new RunStore(tempRoot().runs);
  const made = (run: string, requestId?: string): string =>
    writeRun(store.runsDir, run, [header(run, {}, { trigger: { kind: "manual", requestId } })]);
  return { store, made, traces: new EarlierTraces(store) };
}

it("finds a run by hand by the request that made it, in every month, none of a slot", async () => {
  const { made, traces } = rig();
  made("p@20250101T000000.000Z-m", "old");
  made(BY_HAND, "new");
  made("p@20261123T020000.002Z-m");
  made(RUN, "slot");
  made(`${BY_HAND}-r1`, "again");
  made("q@20261123T020000.001Z-m", "other");
  const found = await Promise.all(
    ["old", "new", "slot", "again", "other"].map((id) => traces.runBy(id, "p")),
  );
  expect(found).toEqual(["p@20250101T000000.000Z-m", BY_HAND, undefined, undefined, undefined]);
  expect(await traces.runBy("other", "q")).toBe("q@20261123T020000.001Z-m");
  expect(await traces.runBy("old", "none")).toBeUndefined();
});

it("finds the newest of a pipeline's runs, and looks no further than 2,000 of them", async () => {
  const { store, made, traces } = rig();
  const ids = Array.from(
    { length: 1_999 },
    (_, n) =>
      `p@20261123T02${String(n)
        .padStart(7, "0")
        .replace(/^(\d{4})/, "$1.")}Z-m`,
  );
  made("p@20261002T000000.000Z-m", "the 2,000th");
  made("p@20261001T000000.000Z-m", "the 2,001st");
  store.listMonth = (pipeline: string, month: string, wanted: (run: string) => boolean) =>
    month === "2026-11" ? ids : new RunStore(store.runsDir).listMonth(pipeline, month, wanted);
  made(ids.at(-1)!, "the newest");
  expect(await traces.runBy("the newest", "p")).toBe(ids.at(-1));
  expect(await traces.runBy("the 2,000th", "p")).toBe("p@20261002T000000.000Z-m");
  expect(await traces.runBy("the 2,001st", "p")).toBeUndefined();
});

it.each([RUN, BY_HAND, `${RUN}-b1`, `${RUN}.weekly`])(
  "finds a re-run of %s, whichever of its re-runs is named",
  async (first) => {
    const { made, traces } = rig();
    made(first, "first");
    made(`${first}-r1`, "one");
    made(`${first}-r2`, "two");
    made(first.replace("20261123", "20261124") + "-r1", "another");
    for (const named of [first, `${first}-r1`, `${first}-r2`]) {
      expect(await traces.rerunBy("one", named)).toBe(`${first}-r1`);
      expect(await traces.rerunBy("two", named)).toBe(`${first}-r2`);
      for (const id of ["first", "another", "none"])
        expect(await traces.rerunBy(id, named)).toBeUndefined();
    }
  },
);

it("finds a stop in its run's ledger, and nothing where there is no such run", () => {
  const { store, traces } = rig();
  const stop = { type: "run.stop_requested", mode: "graceful", by: "cli:ann", because: "x" };
  writeRun(store.runsDir, RUN, [
    header(RUN, {}, { trigger: { kind: "manual", requestId: "made" } }),
    stop,
    { ...stop, requestId: "one" },
    { ...stop, requestId: "two" },
  ]);
  expect(["one", "two", "made", "three"].map((id) => traces.hasStop(id, RUN))).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(traces.hasStop("one", BY_HAND)).toBe(false);
});

it("passes over a run whose header cannot be read", async () => {
  const { made, traces } = rig();
  writeFileSync(made("p@20261123T020000.002Z-m", "spoilt"), "{");
  rmSync(made("p@20261123T020000.003Z-m", "removed"));
  made(BY_HAND, "new");
  expect(await traces.runBy("new", "p")).toBe(BY_HAND);
  expect(await traces.runBy("spoilt", "p")).toBeUndefined();
  expect(await traces.runBy("removed", "p")).toBeUndefined();
});

it("reads each ledger once for all requests, until it is told to forget", async () => {
  const { made, traces, store } = rig();
  made(BY_HAND, "one");
  made(`${BY_HAND}-r1`, "rerun");
  const ask = async (id: string): Promise<unknown[]> => [
    await traces.runBy(id, "p"),
    await traces.rerunBy(id, BY_HAND),
    traces.hasStop(id, BY_HAND),
  ];
  expect(await ask("late")).toEqual([undefined, undefined, false]);
  made("p@20261123T020000.002Z-m", "late");
  made(`${BY_HAND}-r2`, "late");
  writeRun(store.runsDir, BY_HAND, [
    header(BY_HAND, {}),
    { type: "run.stop_requested", mode: "force", by: "x", because: "x", requestId: "late" },
  ]);
  expect(await ask("late")).toEqual([undefined, undefined, false]);
  traces.forget();
  expect(await ask("late")).toEqual(["p@20261123T020000.002Z-m", `${BY_HAND}-r2`, true]);
});
