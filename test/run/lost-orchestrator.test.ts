/** A run of an earlier daemon whose orchestrator is not there any more. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Flavors } from "../../src/orchestrators/flavors.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import { moduleStep, RunBench } from "../support/run-bench.ts";

/** Flavors of which only what orchd has itself is there. */
class Gone extends Flavors {
  override resolve(...[ref]: Parameters<Flavors["resolve"]>): ReturnType<Flavors["resolve"]> {
    return ref === undefined ? super.resolve(ref) : Promise.reject(new Error("the file is gone"));
  }
}

/** Takes a run over that was cut before its first line of a type. */
async function takenOver(cutBefore: string) {
  const first = new RunBench({ functions: { a: () => 1 } });
  const { run } = await first.run([moduleStep("a")]);
  const path = first.store.runLedger(run);
  const text = readFileSync(path, "utf8");
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line.includes(`"type":"${cutBefore}"`));
  writeFileSync(path, `${lines.slice(0, at).join("\n")}\n`);
  const second = new RunBench({ runsDir: first.store.runsDir, functions: { a: () => 2 } });
  const deps = { ...second.deps, orchestrators: new Gone({ place: second.pool }) };
  const loop = (await RunLoop.recover(run, deps))!;
  loop.start("again");
  return second.end(loop);
}

it("completes where every step has ended: nothing is left for the orchestrator", async () => {
  const ended = await takenOver("run.finished");
  expect([ended.status, ended.output("a")]).toEqual(["completed", 1]);
  expect(ended.of("submit.failed")).toEqual([]);
});

it("fails where a step is left, and says why", async () => {
  const ended = await takenOver("step.started");
  expect(ended.status).toBe("failed");
  expect(ended.because).toContain("the file is gone");
  expect(ended.statuses()).toEqual({ a: "skipped" });
});
