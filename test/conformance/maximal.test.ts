/**
 * An orchestrator that overrides everything, as a user has it: from a pipeline's file, by a name of
 * orchd.yaml, and held by a program. Each override is called, in its order and with its arguments,
 * and what it does is seen in the ledger.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { transformSync } from "esbuild";
import { describe, expect, it } from "vitest";
import { programRoot, runProgram } from "../program/program-rig.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { fullFigures } from "../support/figures.ts";
import { outcomeOf, runsOf, type PlainRun } from "../support/ledgers.ts";
import { projectRoot, type TempRoot } from "../support/temp-root.ts";

type Call = [name: string, ...given: unknown[]];

/** The class as a user's own file has it. */
const TEXT = readFileSync(
  join(projectRoot, "test/support/maximal-orchestrator.ts"),
  "utf8",
).replaceAll("../../src/index.ts", "orchd");
const SEEN = ["BASE", "LAYER", "MAXIMAL", "OWN", "ORCHD_ORCHESTRATOR_RUN_ID"];
const PRINT = `printf '"%s"' "${SEEN.map((name) => `$${name}`).join(" ")}" > "$ORCHD_OUTPUT"`;
/** Its second step fails once, and its third one is held to the order. */
const STATIC = `
executionMode: fail_fast
env: { LAYER: pipeline }
hooks: { init: "../hooks.mjs#init", cleanup: "../hooks.mjs#cleanup" }
steps:
  one: { run: ${JSON.stringify(PRINT)}, env: { OWN: "1" } }
  two:
    run: '[ "$ORCHD_ATTEMPT" = 2 ] || exit 7'
    after: one
    retry: { maxRetries: 3 }
  three: { uses: "../hooks.mjs#state", after: two, isolated: true }
`;
const FILES = {
  "maximal.ts": TEXT,
  "maximal.mjs": transformSync(TEXT, { loader: "ts", target: "node20" }).code,
  "hooks.mjs": `
    export const init = () => "opened";
    export const cleanup = () => null;
    export const state = ({ state }) => state;
  `,
};

/** How a pipeline says its orchestrator: by a path, by a name of orchd.yaml, or not at all. */
type Way = "path" | "name" | "local";
const NAMED = ["path", "name"] as const;

/** A root with two pipelines of the class, WAY and WAY-sweep. @param config of both */
function maximalRoot(way: Way, config: object = {}): TempRoot & { calls(): Call[] } {
  const root = programRoot(FILES);
  const path = join(root.root, "calls");
  const given = JSON.stringify({ calls: path, ...config });
  root.write(
    "orchd.yaml",
    `env: { BASE: base }\norchestrators: { named: { uses: ./maximal.ts, config: ${given} } }\n`,
  );
  const uses: Record<Way, string> = {
    path: `{ uses: "../maximal.ts", config: ${given} }`,
    name: '"named"',
    local: '"local"',
  };
  const own = way === "local" ? "" : `orchestrator: ${uses[way]}\n`;
  root.write(`schedules/${way}.yaml`, own + STATIC);
  root.write(
    `schedules/${way}-sweep.mjs`,
    `
      import { dynamicPipeline, step } from "orchd";
      export const list = step(async ({ state }) => [process.env.MAXIMAL, state]);
      const options = { name: "${way}-sweep", orchestrator: ${uses[way]} };
      export default dynamicPipeline(options, async (run) => void (await run.step(list)));
    `,
  );
  return {
    ...root,
    calls: () =>
      (existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : []).map(
        (line) => JSON.parse(line) as Call,
      ),
  };
}

/** The calls of one run: those that load the class, and those that ask after it, are left out. */
const callsIn = (root: ReturnType<typeof maximalRoot>): Call[] =>
  root.calls().filter(([name]) => name !== "describe" && name !== "fetchStatus");

function onlyRun(root: TempRoot, pipeline: string): PlainRun {
  const runs = runsOf(root.runs, pipeline);
  expect(runs).toHaveLength(1);
  return runs[0]!;
}

const of = ({ lines }: PlainRun, type: string) => lines.filter((line) => line.type === type);
const outputsOf = (run: PlainRun): Record<string, unknown> =>
  Object.fromEntries(
    of(run, "step.completed").map((line) => [
      line["step"],
      (line["outputs"] as { result: unknown }).result,
    ]),
  );

/** What is called in a run of {@link STATIC}, in order. */
function staticCalls({ run, lines }: PlainRun, pipeline: string, base: object = {}): Call[] {
  const id = `maximal-${run}`;
  const ids = { ORCHD_RUN_ID: run, ORCHD_ORCHESTRATOR_RUN_ID: id };
  const shared = { BASE: "base", LAYER: "pipeline", MAXIMAL: "here", ...ids, ...base };
  const { params } = lines[0] as { params?: object };
  const submitted = {
    steps: ["one", "two", "three"],
    stack: [true, "artifact_store", { MAXIMAL: "here", LAYER: "stack" }],
    base: shared,
    each: {
      one: { ...shared, OWN: "1", ORCHD_STEP: "one" },
      two: { ...shared, ORCHD_STEP: "two" },
      three: { ...shared, ORCHD_STEP: "three" },
    },
    run: {
      id: run,
      pipeline,
      status: "initializing",
      orchestratorRunId: id,
      params,
      metadata: {},
    },
  };
  return [
    ["runInitHook", pipeline],
    ["super.runInitHook", "opened"],
    ["submitPipeline", submitted],
    ["runStep", "one", 1],
    ["runStep", "two", 1],
    ["runStep", "three", 1],
    ["runStep rejects", "two", 1, "the command ended with status 7"],
    ["runStep", "two", 2],
    ["waitForCompletion"],
    ["runCleanupHook", pipeline],
    ["super.runCleanupHook"],
  ];
}

/** What the ledger has of a run of {@link STATIC}. */
function checkStatic(run: PlainRun): void {
  const id = `maximal-${run.run}`;
  expect(outcomeOf(run)).toBe("completed");
  expect(of(run, "submit.identified")).toMatchObject([{ orchestratorRunId: id }]);
  expect(of(run, "submit.accepted")).toMatchObject([
    { orchestratorRunId: id, metadata: { steps: 3 } },
  ]);
  expect(outputsOf(run)).toEqual({
    one: `base pipeline here 1 ${id}`,
    two: null,
    three: { own: "opened", from: "maximal" },
  });
  expect(
    of(run, "step.started").map(({ step, attempt }) => `${String(step)} ${String(attempt)}`),
  ).toEqual(["one 1", "two 1", "two 2", "three 1"]);
  expect(of(run, "hook.completed")).toMatchObject([
    { hook: "init", state: { own: "opened", from: "maximal" } },
    { hook: "cleanup" },
  ]);
}

/** What is called in a run of a dynamic pipeline, in order. */
function dynamicCalls({ run }: PlainRun, pipeline: string): Call[] {
  const id = `maximal-${run}`;
  const ids = { ORCHD_RUN_ID: run, ORCHD_ORCHESTRATOR_RUN_ID: id };
  return [
    ["runInitHook", pipeline],
    ["super.runInitHook", null],
    [
      "submitDynamicPipeline",
      {
        stack: [true, "artifact_store", { MAXIMAL: "here", LAYER: "stack" }],
        environment: { BASE: "base", LAYER: "stack", MAXIMAL: "here", ...ids },
        run: expect.objectContaining({ id: run, orchestratorRunId: id, status: "initializing" }),
      },
    ],
    ["runPipelineFunction"],
    ["waitForCompletion"],
    ["runCleanupHook", pipeline],
    ["super.runCleanupHook"],
  ];
}

function checkDynamic(run: PlainRun): void {
  expect(outcomeOf(run)).toBe("completed");
  expect(of(run, "submit.accepted")).toMatchObject([
    { orchestratorRunId: `maximal-${run.run}`, metadata: { dynamic: true } },
  ]);
  expect(outputsOf(run)).toEqual({ list: ["here", { own: null, from: "maximal" }] });
}

const CONFIG = { retries: true, caches: false };
const sorted = (calls: Call[]): string[] => calls.map((call) => JSON.stringify(call)).sort();

// A program has those of a name run in the quick form too: see below.
const ways = fullFigures ? NAMED : NAMED.slice(0, 1);

describe.each(ways)("a class that overrides everything, by its %s", (pipeline) => {
  it("is called for a static run and a dynamic one, each override once", async () => {
    const root = maximalRoot(pipeline, CONFIG);
    const ran = await orchd(root.root, "run", pipeline, "--foreground", "--json");
    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: "" });
    const run = onlyRun(root, pipeline);
    const calls = callsIn(root);
    expect(calls).toEqual(staticCalls(run, pipeline));
    checkStatic(run);
    expect(root.calls().some(([name]) => name === "describe")).toBe(true);

    const sweep = `${pipeline}-sweep`;
    const swept = await orchd(root.root, "run", sweep, "--foreground", "--json");
    expect({ status: swept.status, stderr: swept.stderr }).toEqual({ status: 0, stderr: "" });
    const dynamic = onlyRun(root, sweep);
    expect(callsIn(root).slice(calls.length)).toEqual(dynamicCalls(dynamic, sweep));
    checkDynamic(dynamic);
  });

  it("has its run stopping until the job elsewhere has ended; force reaches it", async () => {
    const root = maximalRoot(pipeline, { ...CONFIG, elsewhere: true });
    const daemon = await startDaemon({ root: root.root });
    const asked = await orchd(root.root, "run", pipeline, "--json");
    const { run } = asked.json<{ run: string }>();
    await until(() => of(onlyRun(root, pipeline), "submit.accepted").length === 1);
    expect((await orchd(root.root, "stop", run)).status).toBe(0);
    await until(() => of(onlyRun(root, pipeline), "stop.accepted").length === 1);
    const status = async () =>
      (await orchd(root.root, "status", run, "--json")).json<{ status: string }>().status;
    expect(await status()).toBe("stopping");
    expect(outcomeOf(onlyRun(root, pipeline))).toBeUndefined();
    expect((await orchd(root.root, "stop", run, "--force")).status).toBe(0);
    await until(() => outcomeOf(onlyRun(root, pipeline)) !== undefined);
    await daemon.end();
    const ended = onlyRun(root, pipeline);
    expect(outcomeOf(ended)).toBe("stopped");
    expect(of(ended, "step.started")).toEqual([]);
    expect(of(ended, "stop.accepted")).toMatchObject([{ mode: "graceful" }, { mode: "force" }]);
    const id = `maximal-${run}`;
    expect(sorted(callsIn(root).filter(([name]) => !name.startsWith("submit")))).toEqual(
      sorted([
        ["runInitHook", pipeline],
        ["super.runInitHook", "opened"],
        ["stopRun", id, "stopping", true],
        ["stopRun", id, "stopping", false],
        ["waitForCompletion", "stopped"],
        ["runCleanupHook", pipeline],
        ["super.runCleanupHook"],
      ]),
    );
  });
});

/** Looks until it holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(20);
}

/** A program that holds the class: it has functions to submit a pipeline, and to tell. */
const PROGRAM = `
import Maximal from "./maximal.mjs";
await using root = await openRoot(".");
const calls = process.cwd() + "/calls";
Maximal.calls = calls;
const make = (config) => new Maximal({ calls, ...config });
const submit = async (orchestrator, name, given = {}) => {
  const stack = new Stack({ name: "mine", orchestrator });
  const snapshot = await root.snapshot(name);
  const placeholderRun = await root.placeholder(snapshot);
  const submission = { snapshot, stack, baseEnvironment: {}, stepEnvironments: {}, placeholderRun };
  const result = snapshot.dynamic
    ? await orchestrator.submitDynamicPipeline({ ...submission, environment: {}, ...given })
    : await orchestrator.submitPipeline({ ...submission, ...given });
  return { placeholderRun, result };
};
`;

describe("a class that overrides everything, held by a program", () => {
  it("is called for a static run and a dynamic one, each override once", async () => {
    const root = maximalRoot("local");
    const said = await runProgram(
      root,
      `${PROGRAM}
      const orchestrator = make({ retries: true, caches: false });
      const one = await submit(orchestrator, "local", { baseEnvironment: { BASE: "given" } });
      await one.result.waitForCompletion();
      say(one.result.metadata);
      say(await orchestrator.fetchStatus(one.placeholderRun, { includeSteps: true }));
      const two = await submit(orchestrator, "local-sweep");
      await two.result.waitForCompletion();
      say(two.result.metadata);
    `,
    );
    expect(said).toEqual([
      { steps: 3 },
      { status: "completed", steps: { one: "completed", two: "completed", three: "completed" } },
      { dynamic: true },
    ]);
    const run = onlyRun(root, "local");
    const dynamic = onlyRun(root, "local-sweep");
    expect(callsIn(root)).toEqual([
      ...staticCalls(run, "local", { BASE: "given" }),
      ...dynamicCalls(dynamic, "local-sweep"),
    ]);
    expect(outputsOf(run)["one"]).toBe(`given pipeline here 1 maximal-${run.run}`);
    checkDynamic(dynamic);
  });

  it("has its run stopping until the job elsewhere has ended, which it tells itself", async () => {
    const root = maximalRoot("local");
    const said = await runProgram(
      root,
      `${PROGRAM}
      const orchestrator = make({ elsewhere: true, stopFault: "busy" });
      say(orchestrator.isRemote);
      const { placeholderRun, result } = await submit(orchestrator, "local");
      const status = async () => (await orchestrator.fetchStatus(placeholderRun)).status;
      say(await status());
      await orchestrator.stopRun(placeholderRun, { graceful: true }).catch(() => undefined);
      say(await status());
      await orchestrator.stopRun(placeholderRun, { graceful: false });
      await result.waitForCompletion();
      say(await status());
    `,
    );
    expect(said).toEqual([true, "running", "stopping", "stopped"]);
    const run = onlyRun(root, "local");
    expect(of(run, "stop.failed")).toMatchObject([{ error: { message: "busy" } }]);
    expect(of(run, "stop.accepted")).toMatchObject([{ mode: "force" }]);
    const id = `maximal-${run.run}`;
    expect(root.calls().filter(([name]) => name === "stopRun")).toEqual([
      ["stopRun", id, "stopping", true],
      ["stopRun", id, "stopping", false],
    ]);
    expect(root.calls()).toContainEqual(["fetchStatus", id, false, { job: run.run }]);
  });

  it.each(["down", "up"])("is one of orchd.yaml's, with the daemon %s", async (daemonIs) => {
    const root = maximalRoot("name", CONFIG);
    const daemon = daemonIs === "up" ? await startDaemon({ root: root.root }) : undefined;
    const said = await runProgram(
      root,
      `${PROGRAM}
      const orchestrator = root.orchestrator("named");
      say([orchestrator.name, orchestrator.isRemote, orchestrator.handlesStepRetries]);
      say(orchestrator.supportedExecutionModes);
      for (const name of ["name", "name-sweep"]) {
        const { placeholderRun, result } = await submit(orchestrator, name);
        await result.waitForCompletion();
        say((await orchestrator.fetchStatus(placeholderRun)).status);
      }
    `,
    );
    await daemon?.end();
    expect(said).toEqual([
      ["named", false, true],
      ["continue_on_failure", "stop_on_failure", "fail_fast"],
      "completed",
      "completed",
    ]);
    const run = onlyRun(root, "name");
    const dynamic = onlyRun(root, "name-sweep");
    checkStatic(run);
    checkDynamic(dynamic);
    expect(callsIn(root)).toEqual([
      ...staticCalls(run, "name"),
      ...dynamicCalls(dynamic, "name-sweep"),
    ]);
  });
});
