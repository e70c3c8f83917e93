/** Orchestrators that a program holds itself, and those that orchd.yaml names. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { programRoot, runProgram, startProgram } from "./program-rig.ts";

const PIPELINE = `
env: { FROM: pipeline }
steps:
  one:
    run: |
      id=$ORCHD_ORCHESTRATOR_RUN_ID
      printf "\\"%s %s %s\\"" "$FROM" "\${MORE-}" "$id" > "$ORCHD_OUTPUT"
  two:
    run: 'printf "\\"%s %s\\"" "$FROM" "\${MORE-}" > "$ORCHD_OUTPUT"'
    after: one
`;
const HEAD = `
const environments = { baseEnvironment: {}, stepEnvironments: {} };
class Live extends BaseOrchestrator {
  static flavor = "live";
  getOrchestratorRunId() { return "live-" + process.env.ORCHD_RUN_ID; }
  async submitPipeline({ snapshot, stack, baseEnvironment, stepEnvironments, placeholderRun }) {
    if (stack.orchestrator !== this) throw new Error("another stack");
    for (const step of snapshot.steps) await this.runStep(step);
    const { orchestratorRunId: id } = placeholderRun;
    return { metadata: { base: baseEnvironment.MORE ?? null, id } };
  }
}
await using root = await openRoot(".");
const orchestrator = new Live();
const stack = new Stack({ name: "mine", orchestrator });
const submit = async (given = {}) => {
  const snapshot = await root.snapshot("etl");
  const placeholderRun = await root.placeholder(snapshot);
  const submission = { snapshot, stack, ...environments, placeholderRun, ...given };
  return { placeholderRun, result: await orchestrator.submitPipeline(submission) };
};
`;

describe("an orchestrator that a program holds", () => {
  it("runs the steps that it asks for, with the environments that the program gives", async () => {
    const root = programRoot({ "schedules/etl.yaml": PIPELINE });
    const said = await runProgram(
      root,
      `${HEAD}
      const given = {
        baseEnvironment: { MORE: "base", FROM: "base" },
        stepEnvironments: { two: { MORE: "step", FROM: "step" } },
      };
      const [first, second] = await Promise.all([submit(given), submit()]);
      await first.result.waitForCompletion();
      await second.result.waitForCompletion();
      say([first.placeholderRun.id, first.result.metadata]);
      say([second.placeholderRun.id, second.result.metadata]);
      say(await orchestrator.fetchStatus(first.placeholderRun, { includeSteps: true }));
    `,
    );
    const [[first, metadata], [second, other], status] = said as [
      [string, unknown],
      [string, unknown],
      unknown,
    ];
    expect(metadata).toEqual({ base: "base", id: `live-${first}` });
    expect(other).toEqual({ base: null, id: `live-${second}` });
    expect(status).toEqual({ status: "completed", steps: { one: "completed", two: "completed" } });
    const runs = runsOf(root.runs, "etl");
    const { lines } = runs.find(({ run }) => run === first)!;
    expect(lines.map(({ type }) => type).slice(0, 5)).toEqual([
      "run.submitted",
      "submit.given",
      "run.started",
      "submit.started",
      "submit.identified",
    ]);
    expect(lines.filter(({ type }) => type === "submit.accepted").length).toBe(1);
    expect(lines.find(({ type }) => type === "submit.given")).toMatchObject({
      orchestrator: { flavor: "live", config: {} },
      baseEnvironment: { MORE: "base", FROM: "base" },
      stepEnvironments: { two: { MORE: "step", FROM: "step" } },
    });
    const outputs = lines.flatMap((line) =>
      line.type === "step.completed" ? [(line["outputs"] as { result: string }).result] : [],
    );
    expect(outputs).toEqual([`pipeline base live-${first}`, "step step"]);
    const keys = runs.map((run) =>
      run.lines.flatMap((line) => (line.type === "step.started" ? [line["cacheKey"]] : [])),
    );
    expect(new Set(keys.flat()).size).toBe(4);
  });

  it("says whether results are reused where the pipeline says nothing", async () => {
    const root = programRoot({
      "schedules/etl.yaml": "steps: { one: { uses: ./steps/one.mjs } }\n",
      "schedules/steps/one.mjs": "export default () => 1;\n",
    });
    await runProgram(
      root,
      `${HEAD}
      for (const enableCache of [true, true, false]) {
        const descriptor = { configurable: true, get: () => enableCache };
        Object.defineProperty(Live.prototype, "enableCache", descriptor);
        await (await submit()).result.waitForCompletion();
        delete Live.prototype.enableCache;
      }
    `,
    );
    const types = runsOf(root.runs, "etl").map(({ lines }) =>
      lines.map(({ type }) => type).find((type) => /^step\.(cached|completed)$/.test(type)),
    );
    expect(types).toEqual(["step.completed", "step.cached", "step.completed"]);
  });

  it("fails a run by what it throws, and no run by what its waiting throws", async () => {
    const root = programRoot({ "schedules/etl.yaml": PIPELINE });
    const said = await runProgram(
      root,
      `
      const told = (promise) => promise.then(() => say("no fault"), ({ message }) => say(message));
      class Bad extends BaseOrchestrator {
        getOrchestratorRunId() { return ""; }
        async submitPipeline({ snapshot }) {
          if (this.config.bad) throw new Error("no platform");
          await Promise.all(snapshot.steps.map((step) => this.runStep(step)));
          return { waitForCompletion: async () => { say("waiting"); throw new Error("lost"); } };
        }
      }
      await using root = await openRoot(".");
      const snapshot = await root.snapshot("etl");
      for (const bad of [true, false]) {
        const orchestrator = new Bad({ bad });
        const placeholderRun = await root.placeholder(snapshot);
        const submitted = orchestrator.submitPipeline({ snapshot, placeholderRun });
        await told(submitted);
        const result = await submitted.catch(() => undefined);
        if (result) await told(result.waitForCompletion());
        if (bad) await new Promise((resolve) => setTimeout(resolve, 300));
        say((await orchestrator.fetchStatus(placeholderRun)).status);
      }
      await told(new Bad({}).runStep("one"));
      await told(new Bad({}).submitPipeline({ snapshot, placeholderRun: { id: "etl@x" } }));
    `,
    );
    expect(said).toEqual([
      "no platform",
      "failed",
      "waiting",
      "no fault",
      "lost",
      "completed",
      "runStep works within submitPipeline only.",
      "runStep works within submitPipeline only.",
    ]);
  });

  it("stops a run elsewhere, and says how it stands there", async () => {
    const root = programRoot({ "schedules/etl.yaml": PIPELINE });
    const said = await runProgram(
      root,
      `
      let status = "running";
      class Elsewhere extends BaseOrchestrator {
        getOrchestratorRunId() { return "job-1"; }
        async submitPipeline() { return { metadata: { job: 1 } }; }
        async fetchStatus(run, { includeSteps }) {
          return { status, ...(includeSteps ? { steps: { one: "completed", two: status } } : {}) };
        }
        async stopRun(run, { graceful }) {
          say([run.orchestratorRunId, graceful]);
          status = "stopped";
        }
      }
      await using root = await openRoot(".");
      const snapshot = await root.snapshot("etl");
      const orchestrator = new Elsewhere();
      const placeholderRun = await root.placeholder(snapshot);
      const result = await orchestrator.submitPipeline({ snapshot, placeholderRun });
      say(await orchestrator.fetchStatus(placeholderRun, { includeSteps: true }));
      await orchestrator.stopRun(placeholderRun, { graceful: true });
      await result.waitForCompletion();
      say((await orchestrator.fetchStatus(placeholderRun)).status);
    `,
    );
    expect(said).toEqual([
      { status: "running", steps: { one: "completed", two: "running" } },
      ["job-1", true],
      "stopped",
    ]);
    expect(runsOf(root.runs, "etl").map(outcomeOf)).toEqual(["stopped"]);
  });

  it("is gone with its program: the next daemon says so in one sentence", async () => {
    const root = programRoot({ "schedules/etl.yaml": PIPELINE });
    const program = startProgram(
      root,
      `
      class Mine extends BaseOrchestrator {
        getOrchestratorRunId() { return "x"; }
        async submitPipeline() { return { waitForCompletion: () => new Promise(() => {}) }; }
      }
      await using root = await openRoot(".");
      const snapshot = await root.snapshot("etl");
      const placeholderRun = await root.placeholder(snapshot);
      await new Mine().submitPipeline({ snapshot, placeholderRun });
      say(placeholderRun.id);
    `,
    );
    await program.next();
    program.process.kill("SIGKILL");
    await program.ended;
    const daemon = await startDaemon({ root: root.root });
    const [run] = runsOf(root.runs, "etl");
    expect(outcomeOf(run!)).toBe("failed");
    expect(run!.lines.at(-1)!["because"]).toContain(
      'names "Mine", and there is no orchestrator of that name',
    );
    await daemon.end();
  });

  it("is not missed by a run whose steps have all ended: only its cleanup hook is", async () => {
    const root = programRoot({ "schedules/etl.yaml": PIPELINE });
    const program = startProgram(
      root,
      `
      class Mine extends BaseOrchestrator {
        static async runCleanupHook() { say("cleanup"); await new Promise(() => {}); }
        getOrchestratorRunId() { return "x"; }
        async submitPipeline({ snapshot }) {
          for (const step of snapshot.steps) await this.runStep(step);
        }
      }
      await using root = await openRoot(".");
      const snapshot = await root.snapshot("etl");
      const placeholderRun = await root.placeholder(snapshot);
      const result = await new Mine().submitPipeline({ snapshot, placeholderRun });
      await result.waitForCompletion();
    `,
    );
    expect(await program.next()).toBe("cleanup");
    program.process.kill("SIGKILL");
    await program.ended;
    const daemon = await startDaemon({ root: root.root });
    while (outcomeOf(runsOf(root.runs, "etl")[0]!) === undefined) await sleep(20);
    await daemon.end();
    const [run] = runsOf(root.runs, "etl");
    expect(outcomeOf(run!)).toBe("completed");
    expect(run!.lines.filter(({ type }) => type === "hook.failed")).toMatchObject([
      { hook: "cleanup", error: { message: expect.stringContaining("is not there") as string } },
    ]);
  });

  it("may be one of orchd.yaml's, whose class runs in a runner", async () => {
    const root = programRoot({
      "orchd.yaml": "orchestrators: { remote: { uses: ./far.mjs, config: { at: there } } }\n",
      "far.mjs": `
        import { BaseOrchestrator } from "orchd";
        export default class Far extends BaseOrchestrator {
          capabilities = { isSynchronous: true };
          getOrchestratorRunId() { return "far-1"; }
          async submitPipeline({ snapshot, placeholderRun }) {
            if (placeholderRun.params.bad) throw new Error("no room");
            for (const step of snapshot.steps) await this.runStep(step);
            return { metadata: { at: this.config.at } };
          }
        }
      `,
      "schedules/etl.yaml": PIPELINE,
    });
    const said = await runProgram(
      root,
      `
      await using root = await openRoot(".");
      const orchestrator = root.orchestrator("remote");
      say([orchestrator.name, orchestrator.isSynchronous, orchestrator.isSchedulable]);
      const snapshot = await root.snapshot("etl");
      const placeholderRun = await root.placeholder(snapshot);
      const stack = new Stack({ name: "mine", orchestrator });
      const result = await orchestrator.submitPipeline({ snapshot, stack, placeholderRun });
      say(result.metadata);
      await result.waitForCompletion();
      say((await orchestrator.fetchStatus(placeholderRun)).status);
      const bad = await root.placeholder(snapshot, { params: { bad: true } });
      const submission = { snapshot, stack, placeholderRun: bad };
      await orchestrator.submitPipeline(submission).catch(({ message }) => say(message));
    `,
    );
    expect(said).toEqual([["remote", true, false], { at: "there" }, "completed", "no room"]);
    expect(
      runsOf(root.runs, "etl")[0]!.lines.find(({ type }) => type === "submit.accepted"),
    ).toMatchObject({ orchestratorRunId: "far-1", metadata: { at: "there" } });
  });

  it("submits a dynamic pipeline, and overrides the hooks of a run", async () => {
    const root = programRoot({
      "schedules/sweep.mjs": `
        import { dynamicPipeline, step } from "orchd";
        export const list = step(async ({ state }) => ["a", state]);
        export const check = step(async ({ inputs }) => inputs.host + "!");
        export default dynamicPipeline({ name: "sweep" }, async (run) => {
          await run.map(check, { host: await run.step(list) });
        });
      `,
    });
    const said = await runProgram(
      root,
      `
      class Live extends BaseOrchestrator {
        static flavor = "live";
        static async runInitHook(snapshot) { say(["init", snapshot.name]); return "opened"; }
        static async runCleanupHook(snapshot) { say(["cleanup", snapshot.name]); }
        getOrchestratorRunId() { return "live-" + process.env.ORCHD_RUN_ID; }
        async submitPipeline() { throw new Error("not this one"); }
        async submitDynamicPipeline({ environment, placeholderRun }) {
          say(environment.MORE);
          await this.runPipelineFunction();
          return { metadata: { id: placeholderRun.orchestratorRunId } };
        }
      }
      await using root = await openRoot(".");
      const snapshot = await root.snapshot("sweep");
      const orchestrator = new Live();
      say(orchestrator.supportsDynamicPipelines);
      const placeholderRun = await root.placeholder(snapshot);
      const environment = { MORE: "more" };
      const submission = { snapshot, environment, placeholderRun };
      const result = await orchestrator.submitDynamicPipeline(submission);
      await result.waitForCompletion();
      say([placeholderRun.id, result.metadata]);
      say(await orchestrator.fetchStatus(placeholderRun, { includeSteps: true }));
    `,
    );
    expect(said.slice(0, 4)).toEqual([true, ["init", "sweep"], "more", ["cleanup", "sweep"]]);
    const [id, metadata] = said[4] as [string, unknown];
    expect(metadata).toEqual({ id: `live-${id}` });
    expect(said[5]).toEqual({
      status: "completed",
      steps: { list: "completed", check: "completed", check_2: "completed" },
    });
    const outputs = runsOf(root.runs, "sweep")[0]!.lines.flatMap((line) =>
      line.type === "step.completed" ? [line["outputs"]] : [],
    );
    expect(outputs).toContainEqual({ result: "opened!" });
  });

  it("leaves a run to the next daemon that it cannot stop; its placeholder ends", async () => {
    const root = programRoot({
      "orchd.yaml": "orchestrators: { stubborn: { uses: ./stubborn.mjs } }\n",
      "stubborn.mjs": `
        import { BaseOrchestrator } from "orchd";
        export default class Stubborn extends BaseOrchestrator {
          static flavor = "stubborn";
          capabilities = { canStop: false };
          getOrchestratorRunId() { return "s"; }
          async submitPipeline() { return { waitForCompletion: () => new Promise(() => {}) }; }
        }
      `,
      "schedules/etl.yaml": `${PIPELINE}orchestrator: stubborn\n`,
    });
    const said = await runProgram(
      root,
      `
      import Stubborn from "./stubborn.mjs";
      const root = await openRoot(".");
      const snapshot = await root.snapshot("etl");
      const placeholderRun = await root.placeholder(snapshot);
      const second = await root.placeholder(snapshot);
      const orchestrator = new Stubborn();
      const result = await orchestrator.submitPipeline({ snapshot, placeholderRun });
      await orchestrator.stopRun(placeholderRun).catch(({ message }) => say(message));
      const waiting = result.waitForCompletion().catch(({ message }) => say(message));
      await root.close();
      say([placeholderRun.id, second.id]);
    `,
    );
    const [id, second] = said.at(-1) as string[];
    expect(said[0]).toContain("The orchestrator stubborn cannot stop a run");
    expect(runsOf(root.runs, "etl").map((run) => [run.run, outcomeOf(run)])).toEqual([
      [id, undefined],
      [second, "stopped"],
    ]);
  });
});
