/** `TRACEPARENT` of all that a run starts: through a real daemon, read in real processes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { traceSeed } from "../../src/core/trace-id.ts";
import { attemptTraceparent, runTraceparent } from "../../src/core/trace-span.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { runsOf, type PlainRun } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const OWN = "00-11111111111111111111111111111111-2222222222222222-01";
const FILES = {
  "schedules/steps/tell.ts": `import { appendFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
export default ({ env, run }: any) => {
  if (run.attempt === 1 && env.FAILS) throw new Error("once");
  const child = execFileSync("/bin/sh", ["-c", 'printf %s "$TRACEPARENT"'], { encoding: "utf8" });
  return [env.TRACEPARENT, process.env.TRACEPARENT, child];
};
export const hook = ({ env, step }: any) => {
  const line = JSON.stringify([step ?? "init", env.TRACEPARENT]);
  appendFileSync(new URL("../../hooks.jsonl", import.meta.url), line + "\\n");
};
export const key = ({ env }: any) => {
  if (env.TRACEPARENT !== undefined) throw new Error("it would be in the cache's key");
  return "key";
};
`,
  "schedules/file.yaml": `enableCache: false
hooks: { init: "./steps/tell.ts#hook", onSuccess: "./steps/tell.ts#hook" }
steps:
  one: { uses: ./steps/tell.ts }
  two: { uses: ./steps/tell.ts }
  three: { uses: ./steps/tell.ts, env: { X: "1" } }
  keyed:
    uses: ./steps/tell.ts
    enableCache: true
    cache: { cacheFunction: "./steps/tell.ts#key" }
  again: { uses: ./steps/tell.ts, env: { FAILS: "1" }, retry: { maxRetries: 1, delay: 10ms } }
  own: { uses: ./steps/tell.ts, env: { TRACEPARENT: ${OWN} } }
  shell: { run: 'printf "[\\"%s\\"]" "$TRACEPARENT" > "$ORCHD_OUTPUT"' }
  ours:
    run: 'printf "[\\"%s\\"]" "$TRACEPARENT" > "$ORCHD_OUTPUT"'
    env: { TRACEPARENT: ${OWN} }
`,
  "schedules/code.ts": `import { dynamicPipeline } from "orchd";
import tell from "./steps/tell.ts";
export { tell };
export default dynamicPipeline({ enableCache: false }, async ({ step, submit, env }: any) => {
  await step(tell, { id: "first" });
  await step(tell, { id: "second", params: { own: env.TRACEPARENT } });
});
`,
};

/** What a step should have been told, by the ledger. */
function expected({ run, lines }: PlainRun, step: string): string {
  const started = lines.findLast((line) => line.type === "step.started" && line["step"] === step);
  return attemptTraceparent(traceSeed(run, lines[0]!.at), started!.seq);
}

it("is each attempt's own, in module and shell steps, hooks and calls", async () => {
  const root = tempRoot(FILES);
  root.linkPackages();
  const daemon = await startDaemon(root);
  for (const pipeline of ["file", "code"]) {
    const { status, stderr } = await orchd(root.root, "run", pipeline, "--wait");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  }
  await daemon.end();
  const [file, code] = ["file", "code"].map((pipeline) => runsOf(root.runs, pipeline)[0]!);
  for (const run of [file!, code!])
    for (const line of run.lines.filter(({ type }) => type === "step.completed")) {
      const step = String(line["step"]);
      const own = step === "own" || step === "ours" ? OWN : expected(run, step);
      for (const told of (line["outputs"] as { result: string[] }).result) expect(told).toBe(own);
    }
  const seed = traceSeed(code!.run, code!.lines[0]!.at);
  const added = code!.lines.find((line) => line["step"] === "second");
  expect(JSON.stringify(added)).toContain(runTraceparent(seed));
  const hooks = readFileSync(join(root.root, "hooks.jsonl"), "utf8").trim().split("\n");
  const told = new Map(hooks.map((line) => JSON.parse(line) as [string, string]));
  expect(told.get("init")).toBe(runTraceparent(traceSeed(file!.run, file!.lines[0]!.at)));
  for (const step of ["one", "again", "shell"]) expect(told.get(step)).toBe(expected(file!, step));
  expect(told.get("own")).toBe(OWN);
});
