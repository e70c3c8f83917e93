/** What an address is answered where what it names is not there: the status, and what there is. */
import { expect, it } from "vitest";
import type { Refusal } from "../../src/page/server/problem.ts";
import { ROUTES } from "../../src/page/server/routes.ts";
import { loaded, writePipeline } from "../support/hand-ledger.ts";
import { at, NOW } from "../support/made-up-root.ts";
import { tempRoot } from "../support/temp-root.ts";
import { RunStore } from "../../src/ledger/run-store.ts";

async function answerOf(id: string, params: object, made = tempRoot()): Promise<string> {
  const route = ROUTES.find((one) => one.id === id)!;
  const source = {
    store: new RunStore(made.runs),
    roots: made,
    now: () => NOW,
    cacheSettings: () => Promise.resolve({ project: "default", enableCache: true }),
  };
  try {
    await route.read(source as never, params as never, undefined as never);
    return "answered";
  } catch (error) {
    const { status, detail, exitCode } = (error as Refusal).problem;
    return `${status} (${exitCode}) ${detail}`;
  }
}

it.each([
  ["pipeline", "answered"],
  ["ledger", "answered"],
  ["request", "answered"],
  ["settings", "answered"],
  [
    "other",
    '404 (3) there is no schema of "other"; there is one of pipeline, ledger, request, settings.',
  ],
  [
    "toString",
    '404 (3) there is no schema of "toString"; ' +
      "there is one of pipeline, ledger, request, settings.",
  ],
])("the schema of %s: %s", async (what, answer) => {
  expect(await answerOf("getSchema", { what })).toBe(answer);
});

it("the price of a backfill: as the command line has it, in status and sentence", async () => {
  const made = tempRoot();
  const price = async (): Promise<string> => {
    const query = { pipeline: "p", from: at(0), to: at(9), which: "missing", maxActive: 1 };
    return answerOf("getBackfillPrice", query, made);
  };
  writePipeline(made.runs, "p", [
    { type: "pipeline.invalid", format: 1, at: at(0), file: "/s/p.yaml", errors: ["no"] },
  ]);
  expect(await price()).toMatch(/^422 \(2\) no version of "p" has been in force yet/);
  writePipeline(made.runs, "p", [{ ...loaded("* * * * * *"), at: at(0) }]);
  expect(await price()).toMatch(/^422 \(5\) there are more than 20,000 slots/);
});

it.each(["late,nope", "FIRED", "fired,,x"])("slots of the decision %s: none", async (decision) => {
  const word = decision.split(",").at(-1)!;
  expect(await answerOf("getSlots", { decision, cells: 9 })).toBe(
    `400 (2) decision: "${word}" is none of fired, caught_up, skipped, missed, backfilled, ` +
      "by_hand, late, not_run, all.",
  );
});

it.each(["getPipeline", "getPipelineFile", "getPipelineSlots", "getWhy"])(
  "%s of a pipeline that is not there says so",
  async (id) => {
    expect(await answerOf(id, { pipeline: "none" })).toMatch(/^404 \(3\) .*none/);
  },
);

it.each(["getRun", "getRunLedger", "getRunLog", "getRunGraph"])(
  "%s of a run that is not there says so",
  async (id) => {
    expect(await answerOf(id, { run: "none@1" })).toMatch(/^404 \(3\) .*none@1/);
  },
);
