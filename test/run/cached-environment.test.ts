/** An earlier result is used only where the step's whole environment is what it was. */
import { expect, it } from "vitest";
import type { Snapshot } from "../../src/core/snapshot.ts";
import { moduleStep, RunBench } from "../support/run-bench.ts";

it.each<[string, Partial<Snapshot>]>([
  ["orchd.yaml's", { baseEnv: { A: "2" } }],
  ["the stack's", { stackEnv: { A: "2" } }],
  ["the pipeline's", { env: { A: "2" } }],
])("%s variable is a part of the key", async (_whose, changed) => {
  const bench = new RunBench({ functions: { work: () => 1 } });
  const before = { baseEnv: { A: "1" }, env: {} };
  const statusOf = async (more: Partial<Snapshot>): Promise<unknown> => {
    const { state } = await bench.run([moduleStep("work")], {}, { ...before, ...more });
    return state.steps.get("work");
  };
  expect(await statusOf({})).toMatchObject({ status: "completed" });
  expect(await statusOf({})).toMatchObject({ status: "cached" });
  expect(await statusOf(changed)).toMatchObject({
    status: "completed",
    because: expect.stringContaining('env "A" changed') as string,
  });
});
