/** A stop of a run that a custom orchestrator has elsewhere, by the command line. */
import { expect, it } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { awaitLine } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";

/** @param members what the class has besides */
const orchestrator = (members: string): string => `import { BaseOrchestrator } from "orchd";
export default class Elsewhere extends BaseOrchestrator {
  getOrchestratorRunId() { return "elsewhere-" + process.env.ORCHD_RUN_ID; }
  async submitPipeline() {
    const waitForCompletion = () => new Promise((done) => setTimeout(done, 60_000));
    return { metadata: { job: 1 }, waitForCompletion };
  }
  ${members}
}
`;

it("is stopping while stopRun fails, whose error the command tells; force ends it", async () => {
  const root = tempRoot({
    "orchd.yaml": "gracePeriod: 300ms\n",
    "schedules/m/able.mjs": orchestrator(`async stopRun(run, { graceful }) {
    if (graceful) throw new Error("no permission");
  }`),
    "schedules/m/unable.mjs": orchestrator(""),
    "schedules/able.yaml": `orchestrator: ./m/able.mjs\nsteps: { s: { run: "true" } }\n`,
    "schedules/unable.yaml": `orchestrator: ./m/unable.mjs\nsteps: { s: { run: "true" } }\n`,
  });
  root.linkPackages();
  await startDaemon({ root: root.root });
  const begin = async (pipeline: string): Promise<{ run: string; ledger: string }> => {
    const asked = await orchd(root.root, "run", pipeline, "--json");
    const { run } = JSON.parse(asked.stdout) as { run: string };
    const ledger = new RunStore(root.runs).runLedger(run);
    await awaitLine(ledger, ({ type }) => type === "submit.accepted");
    return { run, ledger };
  };
  const { run, ledger } = await begin("able");
  const graceful = await orchd(root.root, "stop", run);
  expect(graceful.status).toBe(1);
  expect(graceful.stderr).toContain("could not stop the run: no permission");
  expect(graceful.stderr).toContain(`\`orchd stop --force ${run}\``);
  const view = await orchd(root.root, "status", run, "--json");
  expect(JSON.parse(view.stdout)).toMatchObject({ status: "stopping", inProgress: true });
  const forced = await orchd(root.root, "stop", run, "--force");
  expect(forced.status).toBe(0);
  const end = await awaitLine(ledger, ({ type }) => type === "run.finished");
  expect(end["status"]).toBe("stopped");

  const other = await begin("unable");
  const refused = await orchd(root.root, "stop", other.run);
  expect(refused.status).toBe(5);
  expect(refused.stderr).toContain("cannot stop a run");
});
