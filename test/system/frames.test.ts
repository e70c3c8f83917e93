/** Steps of several runs at once, each with what is its own run's: through a real daemon. */
import { expect, it } from "vitest";
import { orchd, startDaemon } from "../support/daemon.ts";
import { runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const TELL = `export default ({ run, env, params, state }: any) => {
  const told = [run.id, run.attempt, process.env.WHO, env.ORCHD_STEP, params.n, state.list];
  const text = told.join(" ");
  state.list.push("changed");
  return text;
};
export const init = ({ env }: any) => ({ list: [env.WHO] });
`;
const HEAD = `params: { who: nobody }
env: { WHO: "\${params.who} in \${run.id}" }
enableCache: false
maxActiveRuns: 3
hooks: { init: "./steps/tell.ts#init" }
`;
const NAMES = ["s0", "s1", "s2", "s3", "s4", "s5"];
const STEPS = NAMES.map(
  (id, n) =>
    `  ${id}: { uses: ./steps/tell.ts, params: { n: "${n} of \${params.who}" }` +
    `${n === 5 ? ", isolated: true" : ""} }\n`,
);
const DYNAMIC = `import { dynamicPipeline } from "orchd";
import tell, { init } from "./steps/tell.ts";
export { tell };
export default dynamicPipeline(
  {
    params: { who: "nobody" },
    env: { WHO: "\${params.who} in \${run.id}" },
    enableCache: false,
    maxActiveRuns: 3,
    hooks: { init },
  },
  async ({ submit, params }: any) => {
    const all = [0, 1, 2, 3, 4, 5].map((n) =>
      submit(tell, { id: "s" + n, params: { n: n + " of " + params.who } }),
    );
    for (const one of all) await one.result();
  },
);
`;
const FLAVOR = `import { BaseOrchestrator } from "orchd";
import type { PipelineSubmission } from "orchd";
export class Own extends BaseOrchestrator {
  static flavor = "own";
  override get canRunIsolatedSteps(): boolean {
    return true;
  }
  getOrchestratorRunId(): string {
    return "own-" + process.env["ORCHD_RUN_ID"];
  }
  async submitPipeline({ snapshot }: PipelineSubmission): Promise<void> {
    await Promise.all(snapshot.steps.map((step) => this.runStep(step)));
  }
}
export default Own;
`;

it("get what is their own run's, in files, in code and under an orchestrator", async () => {
  const root = tempRoot({
    "flavors/own.ts": FLAVOR,
    "schedules/steps/tell.ts": TELL,
    "schedules/file.yaml": `${HEAD}steps:\n${STEPS.join("")}`,
    "schedules/code.ts": DYNAMIC,
    "schedules/elsewhere.yaml": `orchestrator: ../flavors/own.ts\n${HEAD}steps:\n${STEPS.join("")}`,
  });
  root.linkPackages();
  const daemon = await startDaemon(root);
  const asked = ["file", "code", "elsewhere"].flatMap((pipeline) =>
    ["ann", "bob", "cid"].map((who) =>
      orchd(root.root, "run", pipeline, "-p", `who=${who}`, "--wait"),
    ),
  );
  for (const { status, stdout, stderr } of await Promise.all(asked))
    expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: "" });
  for (const pipeline of ["file", "code", "elsewhere"]) {
    const runs = runsOf(root.runs, pipeline);
    const seen = runs.map(({ run, lines }) => {
      const { who } = lines[0]!["params"] as { who: string };
      const results = lines
        .filter(({ type }) => type === "step.completed")
        .map((line) => [line["step"], (line["outputs"] as { result: string }).result]);
      expect(Object.fromEntries(results)).toEqual(
        Object.fromEntries(
          NAMES.map((id, n) => [
            id,
            `${run} 1 ${who} in ${run} ${id} ${n} of ${who} ${who} in ${run}`,
          ]),
        ),
      );
      return who;
    });
    expect(seen.toSorted()).toEqual(["ann", "bob", "cid"]);
  }
  await daemon.end();
}, 60_000);
