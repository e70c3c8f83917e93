/** A program that holds a root itself: no daemon runs. */
import { describe, expect, it } from "vitest";
import { ask } from "../support/asked-command.ts";
import { startDaemon } from "../support/daemon.ts";
import { outcomeOf, pipelineLedger, runsOf } from "../support/ledgers.ts";
import { programRoot, runProgram, startProgram } from "./program-rig.ts";

const ETL = `
params: { who: you }
steps:
  greet:
    run: 'printf "%s" "\\"hello $ORCHD_PARAM_who\\"" > "$ORCHD_OUTPUT"'
    params: { who: "\${params.who}" }
  shout: { run: 'printf "%s!" "$ORCHD_INPUT_text"', inputs: { text: greet } }
`;
/** A pipeline whose step runs until it is told to end. */
const LONG = `
steps:
  wait: { run: 'trap "exit 1" TERM; echo begun; sleep 60 & wait' }
`;
const OPEN = `
const root = await openRoot(".");
const orchestrator = root.orchestrator("local");
const stack = new Stack({ name: "default", orchestrator });
const submit = async (name, options) => {
  const snapshot = await root.snapshot(name);
  const placeholderRun = await root.placeholder(snapshot, options);
  const result = await orchestrator.submitPipeline({
    snapshot, stack, baseEnvironment: {}, stepEnvironments: {}, placeholderRun,
  });
  return { placeholderRun, result };
};
`;

describe("a program without a daemon", () => {
  it("runs a named pipeline as the class of ZenML is used", async () => {
    const root = programRoot({ "schedules/etl.yaml": ETL });
    const said = await runProgram(
      root,
      `
      await using root = await openRoot(".");
      const orchestrator = root.orchestrator("local");
      say(orchestrator instanceof BaseOrchestrator && orchestrator.isSchedulable);
      const stack = new Stack({ name: "default", orchestrator });
      const snapshot = await root.snapshot("etl");
      const placeholderRun = await root.placeholder(snapshot, { params: { who: "Ada" } });
      say(placeholderRun);
      say(await orchestrator.fetchStatus(placeholderRun, { includeSteps: true }));
      const result = await orchestrator.submitPipeline({
        snapshot, stack, baseEnvironment: {}, stepEnvironments: {}, placeholderRun,
      });
      await result?.waitForCompletion?.();
      say(await orchestrator.fetchStatus(placeholderRun, { includeSteps: true }));
      say(await orchestrator.fetchStatus(placeholderRun));
    `,
    );
    const [run] = runsOf(root.runs, "etl");
    expect(said).toEqual([
      true,
      {
        id: run!.run,
        pipeline: "etl",
        status: "initializing",
        orchestratorRunId: run!.run,
        params: { who: "Ada" },
        metadata: {},
      },
      { status: "initializing", steps: { greet: "initializing", shout: "initializing" } },
      { status: "completed", steps: { greet: "completed", shout: "completed" } },
      { status: "completed" },
    ]);
    expect(run!.lines.map(({ type }) => type)).toEqual([
      "run.submitted",
      "run.started",
      "step.started",
      "step.completed",
      "step.started",
      "step.completed",
      "run.finished",
    ]);
    expect(
      run!.lines.find((line) => line["step"] === "greet" && line.type === "step.completed"),
    ).toMatchObject({ outputs: { result: "hello Ada" } });
    expect(
      pipelineLedger(root.runs, "etl")
        .map(({ type }) => type)
        .filter((type) => type.startsWith("run.")),
    ).toEqual(["run.queued", "run.started", "run.finished"]);
  });

  it("has a place of orchd.yaml as an orchestrator, which is remote", async () => {
    const nobody = "{ engine: ssh, host: 127.0.0.1, port: 1 }";
    const root = programRoot({
      "orchd.yaml": `places: { far: ${nobody} }`,
      "schedules/far.yaml":
        "orchestrator: far\nsteps:\n" +
        "  s: { run: date, startWithin: 300ms }\n  t: { run: date, on: local }\n",
    });
    const said = await runProgram(
      root,
      `
      await using root = await openRoot(".");
      const [orchestrator, local] = ["far", "local"].map((name) => root.orchestrator(name));
      const stack = new Stack({ name: "remote", orchestrator });
      say([stack.orchestrator.isRemote, local.isRemote]);
      say(JSON.stringify(orchestrator.capabilities) === JSON.stringify(local.capabilities));
      const snapshot = await root.snapshot("far");
      const placeholderRun = await root.placeholder(snapshot);
      const result = await orchestrator.submitPipeline({
        snapshot, stack, baseEnvironment: {}, stepEnvironments: {}, placeholderRun,
      });
      await result?.waitForCompletion?.();
      say(await orchestrator.fetchStatus(placeholderRun, { includeSteps: true }));
    `,
    );
    expect(said).toEqual([
      [true, false],
      true,
      { status: "failed", steps: { s: "failed", t: "completed" } },
    ]);
    const [run] = runsOf(root.runs, "far");
    expect(run!.lines.find(({ type }) => type === "step.failed")!["error"]).toMatchObject({
      code: "ORCHD_PLACE",
      message: expect.stringMatching(/^it did not start within 300ms: .*127\.0\.0\.1/) as string,
    });
    // What the place said is there for who looks later.
    const { places } = (await ask(root.root, "places", "--json")).json<{ places: object[] }>();
    expect(places).toContainEqual(
      expect.objectContaining({ place: "far", because: expect.stringContaining("127.0.0.1") }),
    );
  });

  it("drives several runs at once, and stops one of them", async () => {
    const root = programRoot({ "schedules/long.yaml": LONG, "schedules/etl.yaml": ETL });
    const said = await runProgram(
      root,
      `${OPEN}
      const { placeholderRun, result } = await submit("long");
      const other = await submit("etl");
      await other.result.waitForCompletion();
      say(await orchestrator.fetchStatus(placeholderRun));
      await orchestrator.stopRun(placeholderRun, { graceful: true });
      say(await orchestrator.fetchStatus(placeholderRun));
      await result.waitForCompletion();
      say(await new LocalOrchestrator().fetchStatus(placeholderRun, { includeSteps: true }));
      const again = orchestrator.stopRun(placeholderRun, { graceful: true });
      await again.catch(({ message }) => say(message));
      await root.close();
    `,
    );
    const [run] = runsOf(root.runs, "long");
    expect(said).toEqual([
      { status: "running" },
      { status: "stopping" },
      { status: "stopped", steps: { wait: "stopped" } },
      `run ${run!.run} has finished already`,
    ]);
    expect(runsOf(root.runs, "etl").map(outcomeOf)).toEqual(["completed"]);
  });

  it("answers a stop from the command line, and a closed root stops what runs", async () => {
    const root = programRoot({ "schedules/long.yaml": LONG });
    const program = startProgram(
      root,
      `${OPEN}
      const first = await submit("long");
      const second = await submit("long");
      say([first.placeholderRun.id, second.placeholderRun.id]);
      await first.result.waitForCompletion();
      say(await root.placeholder(await root.snapshot("long")));
      await root.close();
      await root.close();
      await root.snapshot("long").catch(({ message }) => say(message));
    `,
    );
    const [first, second] = (await program.next()) as string[];
    const stopped = await ask(root.root, "stop", first!);
    expect({ status: stopped.status, stderr: stopped.stderr }).toEqual({ status: 0, stderr: "" });
    const placeholder = (await program.next()) as { id: string };
    expect(await program.next()).toBe(`the root ${root.root} is closed.`);
    expect(await program.ended).toMatchObject({ status: 0 });
    expect(
      runsOf(root.runs, "long").map((run) => [
        run.run,
        outcomeOf(run),
        run.lines.at(-1)!["because"],
      ]),
    ).toEqual([
      [first, "stopped", expect.stringMatching(/^stopped by /)],
      [second, "stopped", "its program closed the root"],
      [placeholder.id, "stopped", "its program closed the root before it submitted the run"],
    ]);
    expect(
      pipelineLedger(root.runs, "long").filter(({ type }) => type === "run.finished").length,
    ).toBe(3);
  });

  it("is killed: a daemon goes on with its run, and ends its placeholder", async () => {
    const root = programRoot({
      "schedules/long.yaml": "steps: { wait: { run: sleep 60, onInterruption: rerun } }\n",
    });
    const program = startProgram(
      root,
      `${OPEN}
      const { placeholderRun } = await submit("long");
      const { id } = await root.placeholder(await root.snapshot("long"));
      const status = () => orchestrator.fetchStatus(placeholderRun, { includeSteps: true });
      while ((await status()).steps.wait !== "running")
        await new Promise((resolve) => setTimeout(resolve, 20));
      say([placeholderRun.id, id]);
    `,
    );
    const [id, placeholder] = (await program.next()) as string[];
    program.process.kill("SIGKILL");
    await program.ended;
    const daemon = await startDaemon({ root: root.root });
    const [run, left] = runsOf(root.runs, "long");
    expect([run!.run, left!.run]).toEqual([id, placeholder]);
    expect(left!.lines.at(-1)).toMatchObject({
      status: "stopped",
      because: "its program ended before it submitted the run",
    });
    expect(run!.lines.map(({ type }) => type)).toContain("run.recovered");
    expect((await ask(root.root, "stop", id!)).status).toBe(0);
    await daemon.end();
    expect(outcomeOf(runsOf(root.runs, "long")[0]!)).toBe("stopped");
    const verified = await ask(root.root, "verify", "--json");
    expect(verified.json()).toMatchObject({ faults: [] });
  });

  it("refuses a root that another program holds, and one that it has open already", async () => {
    const root = programRoot({ "schedules/etl.yaml": ETL });
    const program = startProgram(
      root,
      `
      const root = await openRoot(".");
      await openRoot(process.cwd()).catch(({ message }) => say(message));
    `,
    );
    expect(await program.next()).toBe(
      `this program has ${root.root} open already: use the root that it has, or close it first.`,
    );
    const [held] = await runProgram(
      root,
      `await openRoot(".").catch(({ message }) => say(message));`,
    );
    expect(String(held).replace(/since \S+Z/, "since T")).toBe(
      `${root.runs}/.orchd is held by a program that opened the root, ` +
        `process ${program.process.pid!}, since T. Stop it first, or use another runs folder.`,
    );
    const daemon = await startDaemon({ root: root.root, ready: false });
    program.process.kill("SIGTERM");
    await program.ended;
    while ((await ask(root.root, "status", "--json")).json<{ daemon: unknown }>().daemon === null);
    await daemon.end();
  });

  it("says in sentences what is wrong", async () => {
    const root = programRoot({
      "schedules/etl.yaml": ETL,
      "schedules/bad.yaml": "shedule: { cron: x }\nsteps:\n  a: { run: echo, tiemout: 5s }\n",
      "elsewhere/own.yaml": "steps: { a: { run: echo hi } }\n",
    });
    const said = await runProgram(
      root,
      `
      const told = (promise) => promise.then(() => say("no fault"), ({ message }) => say(message));
      await told(openRoot("nowhere"));
      await told(new LocalOrchestrator().submitPipeline({ placeholderRun: { id: "p@1" } }));
      await using root = await openRoot(".");
      await told((async () => root.orchestrator("locl"))());
      await told(root.snapshot("elt"));
      await told(root.snapshot("bad"));
      await told(root.snapshot("./schedules/bad.yaml"));
      await told(root.snapshot("elsewhere/own.yaml"));
      const snapshot = await root.snapshot("etl");
      await told(root.placeholder(snapshot, { params: { whom: 1 } }));
      await told(root.placeholder({ ...snapshot }));
      const placeholderRun = await root.placeholder(snapshot);
      const local = root.orchestrator("local");
      await told(local.submitPipeline({ snapshot, placeholderRun }));
      await told(local.submitPipeline({ snapshot, placeholderRun }));
    `,
    );
    const nowhere = `${root.root}/nowhere`;
    const file = `${root.schedules}/bad.yaml`;
    const bad =
      `${file}:1:1: shedule is not known here; did you mean "schedule"?\n` +
      `${file}:3:19: steps.a.tiemout is not known here; did you mean "timeout"?`;
    expect(said).toEqual([
      `the root ${nowhere} is no folder; make one with \`orchd init ${nowhere}\`.`,
      expect.stringContaining('open one with openRoot("/path")'),
      'there is no orchestrator "locl": orchd.yaml and orchd itself have local; ' +
        'did you mean "local"?',
      `there is no pipeline "elt" in ${root.schedules}; did you mean "etl"?`,
      bad,
      bad,
      "no fault",
      'pipeline etl declares no param "whom"; did you mean "who"?',
      "placeholder() takes a snapshot that snapshot() of this root gave.",
      "no fault",
      expect.stringMatching(/^run etl@\S+-m was submitted already$/),
    ]);
  });
});
