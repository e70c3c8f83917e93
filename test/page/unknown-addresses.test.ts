/** What an address is answered where what it names is not there: the status, and what there is. */
import { expect, it } from "vitest";
import type { Refusal } from "../../src/page/server/problem.ts";
import { ROUTES } from "../../src/page/server/routes.ts";
import { tempRoot } from "../support/temp-root.ts";
import { RunStore } from "../../src/ledger/run-store.ts";

async function answerOf(id: string, params: object): Promise<string> {
  const made = tempRoot();
  const route = ROUTES.find((one) => one.id === id)!;
  const source = { store: new RunStore(made.runs), roots: made, now: () => Date.now() };
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
