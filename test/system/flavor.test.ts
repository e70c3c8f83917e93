/** A user's orchestrator in a real runner: its stack, its environments, its hooks of a run. */
import { expect, it } from "vitest";
import { orchd } from "../support/daemon.ts";
import { runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const FLAVOR = `import { BaseOrchestrator, LocalArtifactStore, Stack } from "orchd";
import type { PipelineSubmission, Snapshot } from "orchd";

export class Whole extends BaseOrchestrator {
  static flavor = "whole";
  override get environment() {
    return { REGION: "eu" };
  }
  static override async runInitHook(snapshot: Snapshot): Promise<void> {
    console.log("init of " + snapshot.name);
    console.log("state " + JSON.stringify(await super.runInitHook(snapshot)));
  }
  static override async runCleanupHook(snapshot: Snapshot): Promise<void> {
    await super.runCleanupHook(snapshot);
    console.log("cleanup of " + snapshot.name);
  }
  getOrchestratorRunId(): string {
    return "whole-" + process.env["ORCHD_RUN_ID"];
  }
  async submitPipeline({ snapshot, stack, stepEnvironments }: PipelineSubmission): Promise<void> {
    const isLive = stack instanceof Stack && stack.artifactStore instanceof LocalArtifactStore;
    console.log("submit " + isLive + (stack.orchestrator === this));
    const { REGION, OWN, ORCHD_ORCHESTRATOR_RUN_ID: id } = stepEnvironments["a"]!;
    console.log([REGION, OWN, id].join(" "));
    CALL;
    console.log("set up");
    await Promise.all(snapshot.steps.map((step) => this.runStep(step)));
  }
}
export default Whole;
export const init = () => ({ n: 1 });
export const cleanup = () => console.log("pipeline cleanup");
`;
const STEPS = `hooks:
  init: "../flavors/calling.ts#init"
  cleanup: "../flavors/calling.ts#cleanup"
steps: { a: { run: 'echo "\\"$REGION$OWN\\"" > "$ORCHD_OUTPUT"', env: { OWN: "1" } } }
`;

it("has live components, whole environments, and hooks that are called once a run", async () => {
  const root = tempRoot({
    "orchd.yaml": "orchestrators: { named: ./flavors/plain.ts }\n",
    "flavors/calling.ts": FLAVOR.replace("CALL", "await Whole.runInitHook(snapshot)"),
    "flavors/plain.ts": FLAVOR.replace("CALL", "await undefined"),
    "schedules/calling.yaml": `orchestrator: ../flavors/calling.ts\n${STEPS}`,
    "schedules/plain.yaml": `orchestrator: named\n${STEPS}`,
  });
  root.linkPackages();
  for (const pipeline of ["calling", "plain"]) {
    const ran = await orchd(root.root, "run", pipeline, "--foreground", "--json");
    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: "" });
    const [{ run, lines }] = runsOf(root.runs, pipeline) as [ReturnType<typeof runsOf>[number]];
    const logs = await orchd(root.root, "logs", run, "--json");
    const submitted = ["submit truetrue", `eu 1 whole-${run}`];
    const init = [`init of ${pipeline}`, 'state {"n":1}'];
    expect(logs.jsonLines<{ line: string }>().map(({ line }) => line)).toEqual([
      ...(pipeline === "calling" ? [...submitted, ...init] : [...init, ...submitted]),
      "set up",
      "pipeline cleanup",
      `cleanup of ${pipeline}`,
    ]);
    expect(lines.find(({ type }) => type === "step.completed")).toMatchObject({
      outputs: { result: "eu1" },
    });
    expect(lines.filter(({ type }) => type === "hook.completed")).toMatchObject([
      { hook: "init", state: { n: 1 } },
      { hook: "cleanup" },
    ]);
    expect(lines.find(({ type }) => type === "submit.accepted")).toMatchObject({
      orchestratorRunId: `whole-${run}`,
    });
  }
}, 60_000);
