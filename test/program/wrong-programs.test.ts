/** Programs that a person writes wrongly: a sentence tells it, and nothing half is done. */
import { describe, expect, it } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { programRoot, runProgram } from "./program-rig.ts";

const ETL = "steps: { a: { run: 'true' }, b: { run: 'true', after: a } }\n";
const FILES = {
  "schedules/etl.yaml": ETL,
  "schedules/other.yaml": ETL,
  "schedules/sweep.mjs": `
    import { dynamicPipeline } from "orchd";
    export default dynamicPipeline({ name: "sweep" }, async () => {});
  `,
};
const OPEN = `
process.on("unhandledRejection", ({ message }) => say("unhandled " + message));
const told = (what) =>
  new Promise((resolve) => resolve(typeof what === "function" ? what() : what)).then(
    () => say("no fault"),
    ({ name, message }) => say(name === "Error" ? message : name + ": " + message),
  );
const root = await openRoot(".");
const local = root.orchestrator("local");
const snapshot = await root.snapshot("etl");
const environments = { baseEnvironment: {}, stepEnvironments: {} };
const submit = async (orchestrator, given = {}) => {
  const placeholderRun = await root.placeholder(snapshot);
  const submission = { snapshot, ...environments, placeholderRun, ...given };
  return { placeholderRun, result: await orchestrator.submitPipeline(submission) };
};
`;

it("a root that could not be opened opens later, in the same program", async () => {
  const root = programRoot({ ...FILES, "orchd.yaml": "runner: { threads: none }\n" });
  const said = await runProgram(
    root,
    `
    import { writeFileSync } from "node:fs";
    await openRoot(".").catch(({ message }) => say(/threads/.test(message)));
    writeFileSync("orchd.yaml", "");
    await using root = await openRoot(".");
    say((await root.snapshot("etl")).name);
  `,
  );
  expect(said).toEqual([true, "etl"]);
});

describe("a program that gives something wrong", () => {
  it.each(["down", "up"])("is told what, with the daemon %s, and no step runs", async (is) => {
    const root = programRoot(FILES);
    const daemon = is === "up" ? await startDaemon({ root: root.root }) : undefined;
    const said = await runProgram(
      root,
      `${OPEN}
      await told(local.submitPipeline({ placeholderRun: null }));
      await told(local.stopRun(undefined));
      await told(() => root.orchestrator());
      await told(root.placeholder(snapshot, null));
      await told(root.placeholder(snapshot, { parms: {} }));
      await told(root.placeholder(snapshot, { params: "day" }));
      await told(root.placeholder(snapshot, { params: { a: [() => 1] } }));
      await told(openRoot(""));
      await told(submit(local, { snapshot: await root.snapshot("other") }));
      await told(submit(local, { stack: {} }));
      class Mine extends BaseOrchestrator {
        getOrchestratorRunId() { return "x"; }
        async submitPipeline() {}
      }
      await told(submit(local, { stack: new Stack({ name: "m", orchestrator: new Mine() }) }));
      const placeholderRun = await root.placeholder(snapshot);
      await told(local.submitDynamicPipeline({ snapshot, placeholderRun }));
      const sweep = await root.snapshot("sweep");
      const other = { snapshot: sweep, placeholderRun: await root.placeholder(sweep) };
      await told(local.submitPipeline(other));
      await told(submit(local, { baseEnvironment: "A=1" }));
      await told(submit(local, { baseEnvironment: { "A B": "1" } }));
      await told(submit(local, { baseEnvironment: { A: "a\\0b" } }));
      await told(submit(local, { stepEnvironments: [1] }));
      await told(submit(local, { stepEnvironments: { a: null } }));
      await root.close();
      await told(local.submitPipeline({ snapshot, placeholderRun }));
      await told(root.placeholder(snapshot));
    `,
    );
    await daemon?.end();
    const rootless = expect.stringContaining("needs a run of an open root");
    expect(said).toEqual([
      rootless,
      rootless,
      "orchestrator() takes a name.",
      "the options of placeholder() are an object: { params?, noCache? }.",
      'placeholder() has no option "parms"; did you mean "params"?',
      "params is no object: give each param by its name.",
      "the param a[0] is a function, which JSON cannot hold.",
      "openRoot() takes the path of a root: the folder of orchd.yaml.",
      expect.stringMatching(
        /^the placeholder run is of pipeline etl, .* snapshot is another one\.$/,
      ),
      "stack is no Stack: make one with new Stack({ name, orchestrator }).",
      "the stack's orchestrator is Mine, and local was asked to submit the run.",
      "pipeline etl decides nothing as it runs: call submitPipeline.",
      "pipeline sweep decides as it runs: call submitDynamicPipeline.",
      "baseEnvironment is no object: an environment holds texts by name.",
      expect.stringContaining('baseEnvironment has "A B": a name has letters'),
      "baseEnvironment A holds a NUL character, which no environment can.",
      "stepEnvironments is no object: give each step's environment by its id.",
      "stepEnvironments.a is no object: an environment holds texts by name.",
      rootless,
      `the root ${root.root} is closed.`,
    ]);
    const runs = runsOf(root.runs, "etl");
    expect(
      runs.flatMap(({ lines }) => lines.filter(({ type }) => type === "step.started")),
    ).toEqual([]);
    expect(new Set(runs.map(outcomeOf))).toEqual(new Set(is === "up" ? [] : ["stopped"]));
  });
});

it("is told that it submits a run twice at once, with a daemon, and the run goes on", async () => {
  const root = programRoot(FILES);
  const daemon = await startDaemon({ root: root.root });
  const said = await runProgram(
    root,
    `${OPEN}
    const placeholderRun = await root.placeholder(snapshot);
    const first = local.submitPipeline({ snapshot, placeholderRun });
    await told(local.submitPipeline({ snapshot, placeholderRun }));
    await (await first).waitForCompletion();
    await told(local.stopRun(placeholderRun));
    await root.close();
  `,
  );
  await daemon.end();
  expect(said).toEqual([
    expect.stringContaining("was submitted already"),
    expect.stringContaining("has finished already"),
  ]);
  expect(runsOf(root.runs, "etl").map(outcomeOf)).toEqual(["completed"]);
});

describe("an orchestrator of a program that is wrong", () => {
  it("is refused before its run begins where it lacks a method", async () => {
    const root = programRoot(FILES);
    const said = await runProgram(
      root,
      `${OPEN}
      class NoSubmit extends BaseOrchestrator { getOrchestratorRunId() { return "x"; } }
      class NoId extends BaseOrchestrator { async submitPipeline() {} }
      await told(submit(new NoSubmit()));
      await told(submit(new NoId()));
      await root.close();
    `,
    );
    const needed = "which every orchestrator needs.";
    expect(said).toEqual([
      `the orchestrator NoSubmit has no submitPipeline, ${needed}`,
      `the orchestrator NoId has no getOrchestratorRunId, ${needed}`,
    ]);
    const types = runsOf(root.runs, "etl").flatMap(({ lines }) => lines.map(({ type }) => type));
    expect(types).not.toContain("run.started");
  });

  it("is told why its result was not taken, and by a stop what it threw", async () => {
    const root = programRoot(FILES);
    const said = await runProgram(
      root,
      `${OPEN}
      class Odd extends BaseOrchestrator {
        getOrchestratorRunId() { return 7; }
        async submitPipeline({ snapshot }) {
          const metadata = {};
          if (this.config.circular) metadata.it = metadata;
          if (this.config.large) metadata.text = "x".repeat(2_000_000);
          if (this.config.circular || this.config.large) return { metadata };
          if (!this.config.elsewhere) for (const step of snapshot.steps) await this.runStep(step);
          return { waitForCompletion: () => new Promise((resolve) => (this.end = resolve)) };
        }
        async fetchStatus() {
          return { steps: this.odd ?? { b: "completed" } };
        }
        async stopRun() { this.end(); throw new Error("no permission"); }
      }
      await told(submit(new Odd({ circular: true })));
      await told(submit(new Odd({ large: true })));
      await told(() => (snapshot.steps[0].run = "exit 9"));
      const elsewhere = new Odd({ elsewhere: true });
      const { placeholderRun, result } = await submit(elsewhere);
      say(await elsewhere.fetchStatus(placeholderRun, { includeSteps: true }));
      elsewhere.odd = { a: 7 };
      await told(elsewhere.fetchStatus(placeholderRun));
      elsewhere.odd = undefined;
      await told(elsewhere.stopRun(placeholderRun, { graceful: true }));
      await result.waitForCompletion();
      say((await elsewhere.fetchStatus(placeholderRun)).status);
      await root.close();
    `,
    );
    expect(said).toEqual([
      expect.stringContaining("Converting circular structure to JSON"),
      "the orchestrator's metadata is 1954 KiB of JSON, and at most 1024 KiB can be recorded",
      expect.stringContaining("Cannot assign to read only property 'run'"),
      { status: "running", steps: { a: "initializing", b: "completed" } },
      expect.stringMatching(/^fetchStatus returned as status of step "a" a number; it is one of /),
      "the orchestrator Odd could not stop the run: no permission",
      "stopped",
    ]);
  });
});
