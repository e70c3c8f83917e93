/** A program beside a daemon: it asks by requests. */
import { join } from "node:path";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { orchd, startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { programRoot, runProgram, startProgram } from "./program-rig.ts";

const ETL = `
params: { who: you }
steps:
  greet: { run: 'echo "hello $ORCHD_PARAM_who"', params: { who: "\${params.who}" } }
`;
const LONG = "steps: { wait: { run: sleep 60, onInterruption: rerun } }\n";

describe("a program beside a daemon", () => {
  it("asks for the run under the placeholder's id, follows it, and stops another", async () => {
    const root = programRoot({ "schedules/etl.yaml": ETL, "schedules/long.yaml": LONG });
    const daemon = await startDaemon({ root: root.root });
    const said = await runProgram(
      root,
      `
      await using root = await openRoot(".");
      const orchestrator = root.orchestrator("local");
      const stack = new Stack({ name: "default", orchestrator });
      const environments = { baseEnvironment: {}, stepEnvironments: {} };
      const snapshot = await root.snapshot("etl");
      const placeholderRun = await root.placeholder(snapshot, { params: { who: "Ada" } });
      say(placeholderRun);
      say(await orchestrator.fetchStatus(placeholderRun, { includeSteps: true }));
      const submission = { snapshot, stack, ...environments, placeholderRun };
      const result = await orchestrator.submitPipeline(submission);
      await result?.waitForCompletion?.();
      say(await orchestrator.fetchStatus(placeholderRun, { includeSteps: true }));
      const long = await root.snapshot("long");
      const second = await root.placeholder(long);
      const other = { snapshot: long, stack, ...environments, placeholderRun: second };
      const waiting = await orchestrator.submitPipeline(other);
      await orchestrator.stopRun(second, { graceful: false });
      await waiting.waitForCompletion();
      say(await orchestrator.fetchStatus(second));
    `,
    );
    const [run] = runsOf(root.runs, "etl");
    expect(said).toEqual([
      {
        id: run!.run,
        pipeline: "etl",
        status: "initializing",
        orchestratorRunId: run!.run,
        params: { who: "Ada" },
        metadata: {},
      },
      { status: "initializing", steps: { greet: "initializing" } },
      { status: "completed", steps: { greet: "completed" } },
      { status: "stopped" },
    ]);
    expect(run!.lines[0]).toMatchObject({ trigger: { kind: "manual" }, params: { who: "Ada" } });
    await daemon.end();
  });

  it("gives placeholders of one moment an id each", async () => {
    const root = programRoot({ "schedules/etl.yaml": ETL });
    const daemon = await startDaemon({ root: root.root });
    const said = await runProgram(
      root,
      `
      await using root = await openRoot(".");
      const snapshot = await root.snapshot("etl");
      const all = await Promise.all(Array.from({ length: 20 }, () => root.placeholder(snapshot)));
      say(new Set(all.map(({ id }) => id)).size);
    `,
    );
    expect(said).toEqual([20]);
    await daemon.end();
  });

  it("waits for a daemon that goes away and comes back", async () => {
    const root = programRoot({
      "schedules/etl.yaml": `
steps:
  wait: { run: 'while [ ! -e ../go ]; do sleep 0.05; done', onInterruption: rerun }
`,
    });
    const daemon = await startDaemon({ root: root.root });
    const program = startProgram(
      root,
      `
      import { existsSync } from "node:fs";
      await using root = await openRoot(".");
      const orchestrator = root.orchestrator("local");
      const snapshot = await root.snapshot("etl");
      const submit = async () => {
        const placeholderRun = await root.placeholder(snapshot);
        const result = await orchestrator.submitPipeline({ snapshot, placeholderRun });
        return { placeholderRun, ...result };
      };
      const first = await submit();
      say(first.placeholderRun.id);
      while (!existsSync("down")) await new Promise((resolve) => setTimeout(resolve, 20));
      say("asking");
      const second = await submit();
      await Promise.all([first.waitForCompletion(), second.waitForCompletion()]);
      say(await orchestrator.fetchStatus(second.placeholderRun));
    `,
    );
    await program.next();
    await daemon.kill();
    root.write("down", "");
    expect(await program.next()).toBe("asking");
    const requests = join(root.runs, ".orchd/requests");
    while (readdirSync(requests).filter((name) => !name.startsWith(".")).length === 0)
      await new Promise((resolve) => setTimeout(resolve, 20));
    const again = await startDaemon({ root: root.root });
    root.write("go", "");
    expect(await program.next()).toEqual({ status: "completed" });
    expect(await program.ended).toMatchObject({ status: 0, stderr: "" });
    await again.end();
    expect(runsOf(root.runs, "etl").map(outcomeOf)).toEqual(["completed", "completed"]);
  });

  it("refuses in sentences what a request cannot bring", async () => {
    const root = programRoot({
      "schedules/etl.yaml": ETL,
      "elsewhere/own.yaml": "steps: { a: { run: echo hi } }\n",
    });
    const daemon = await startDaemon({ root: root.root });
    const said = await runProgram(
      root,
      `
      import { writeFileSync } from "node:fs";
      const told = (promise) => promise.then(() => say("no fault"), ({ message }) => say(message));
      await using root = await openRoot(".");
      const orchestrator = root.orchestrator("local");
      const snapshot = await root.snapshot("etl");
      const placeholderRun = await root.placeholder(snapshot);
      const submit = (more) =>
        told(orchestrator.submitPipeline({ snapshot, placeholderRun, ...more }));
      await submit({ baseEnvironment: { A: "1" } });
      await submit({ stepEnvironments: { greet: { A: "1" } } });
      await submit({ baseEnvironment: { ORCHD_RUN_ID: "1" } });
      class Other extends BaseOrchestrator {
        getOrchestratorRunId() { return "x"; }
        async submitPipeline() { say("called"); }
      }
      await told(new Other().submitPipeline({ snapshot, placeholderRun }));
      await told(orchestrator.stopRun(placeholderRun));
      await told(root.placeholder(snapshot, { params: { whom: 1 } }));
      const own = await root.snapshot("elsewhere/own.yaml");
      await told(orchestrator.submitPipeline({ placeholderRun: await root.placeholder(own) }));
      writeFileSync("schedules/etl.yaml", "steps: { other: { run: echo } }\\n");
      await submit({});
    `,
    );
    const held = "a daemon holds the root, and";
    expect(said).toEqual([
      `${held} a request brings no environment: leave baseEnvironment empty, ` +
        "and write env into the pipeline's file.",
      `${held} a request brings no environment: leave stepEnvironments empty, ` +
        "and write env into the pipeline's file.",
      "baseEnvironment has ORCHD_RUN_ID: names that begin with ORCHD_ are orchd's own.",
      `${held} pipeline etl names the orchestrator local: the daemon submits it to that one, ` +
        "and not to Other.",
      expect.stringMatching(/^run etl@\S+ was not submitted: there is nothing to stop$/),
      'pipeline etl declares no param "whom"; did you mean "who"?',
      expect.stringContaining('there is no pipeline "own"'),
      expect.stringMatching(
        /^version \w{12} of pipeline etl was asked for, and its file \S+ is version \w{12} now$/,
      ),
    ]);
    expect(existsSync(join(root.runs, "etl/2026-11"))).toBe(false);
    await daemon.end();
  });

  it("has requests that make one run, however often they are carried out", async () => {
    const root = programRoot({ "schedules/etl.yaml": ETL });
    const daemon = await startDaemon({ root: root.root });
    const ask = async (name: string, request: object): Promise<unknown> => {
      root.write(`runs/.orchd/requests/${name}.json`, JSON.stringify(request));
      const reply = join(root.runs, `.orchd/replies/${name}.json`);
      while (!existsSync(reply)) await new Promise((resolve) => setTimeout(resolve, 20));
      const { at: _at, ...rest } = JSON.parse(readFileSync(reply, "utf8")) as Record<
        string,
        unknown
      >;
      return rest;
    };
    const run = "etl@20261123T101512.481Z-m";
    const submit = { type: "submit", pipeline: "etl", run };
    expect(await ask("one", submit)).toEqual({ accepted: true, run });
    expect(await ask("two", submit)).toEqual({
      accepted: false,
      reason: `there is a run ${run} already`,
    });
    for (const [name, id] of Object.entries({
      three: "etl@20261123T101512Z",
      four: "long@20261123T101512.481Z-m",
      five: "etl@20261123T101512.481Z-m-r1",
    }))
      expect(await ask(name, { ...submit, run: id })).toEqual({
        accepted: false,
        reason: `${id} is no id of a run of etl by hand`,
      });
    expect(runsOf(root.runs, "etl").length).toBe(1);
    await daemon.end();
    expect((await orchd(root.root, "verify")).status).toBe(0);
  });

  it("takes a live instance for the orchestrator that the pipeline names", async () => {
    const far = `
      import { BaseOrchestrator, z } from "orchd";
      const config = z.object({ at: z.string().default("here") });
      export default class Far extends BaseOrchestrator {
        static flavor = "far";
        static config = config;
        getOrchestratorRunId() { return "far-" + process.env.ORCHD_RUN_ID; }
        async submitPipeline({ snapshot }) {
          for (const step of snapshot.steps) await this.runStep(step);
          return { metadata: { at: this.config.at } };
        }
      }
    `;
    const root = programRoot({
      "schedules/lib/far.mjs": far,
      "orchd.yaml": "orchestrators: { remote: { uses: ./schedules/lib/far.mjs } }\n",
      "schedules/etl.yaml": `${ETL}orchestrator: ./lib/far.mjs\n`,
      "schedules/named.yaml": `${ETL}orchestrator: remote\n`,
    });
    const daemon = await startDaemon({ root: root.root });
    const said = await runProgram(
      root,
      `
      import Far from "./schedules/lib/far.mjs";
      await using root = await openRoot(".");
      const submit = async (orchestrator, name) => {
        const snapshot = await root.snapshot(name);
        const placeholderRun = await root.placeholder(snapshot);
        const stack = new Stack({ name: "default", orchestrator });
        try {
          const submission = { snapshot, stack, placeholderRun };
          await (await orchestrator.submitPipeline(submission)).waitForCompletion();
          return (await orchestrator.fetchStatus(placeholderRun)).status;
        } catch ({ message }) {
          return message;
        }
      };
      say(await submit(new Far(), "etl"));
      say(await submit(root.orchestrator("remote"), "named"));
      say(await submit(new Far({ at: "there" }), "etl"));
    `,
    );
    expect(said).toEqual([
      "completed",
      "completed",
      expect.stringContaining("the daemon submits it to that one, and not to far"),
    ]);
    await daemon.end();
  });
});
