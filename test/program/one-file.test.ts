/** Programs that make their pipelines themselves, in the same file or in a module of their own. */
import { describe, expect, it } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { programRoot, runProgram, startProgram } from "./program-rig.ts";

const RUN = `
const orchestrator = root.orchestrator("local");
const run = async (definition) => {
  const snapshot = await root.snapshot(definition);
  const placeholderRun = await root.placeholder(snapshot);
  const submission = { snapshot, placeholderRun };
  const result = snapshot.dynamic
    ? await orchestrator.submitDynamicPipeline(submission)
    : await orchestrator.submitPipeline(submission);
  await result.waitForCompletion();
  return orchestrator.fetchStatus(placeholderRun, { includeSteps: true });
};
`;

/** The results of a pipeline's only run, by step. */
function resultsOf(runs: string, pipeline: string): Record<string, unknown> {
  const [run] = runsOf(runs, pipeline);
  return Object.fromEntries(
    run!.lines.flatMap((line) =>
      line.type === "step.completed"
        ? [[line["step"], (line["outputs"] as { result: unknown }).result]]
        : [],
    ),
  );
}

describe("a definition of a program", () => {
  it("runs from the one file that makes it and opens the root", async () => {
    const root = programRoot();
    const said = await runProgram(
      root,
      `
      import { appendFileSync } from "node:fs";
      const log = (text) => appendFileSync("log", text + "\\n");
      log("begun");
      const read = step(async ({ params }) => [params.who, "two"], { name: "read" });
      const etl = pipeline({
        name: "etl",
        params: { who: "one" },
        hooks: { onSuccess: () => log("hook") },
        steps: {
          read: { uses: read, params: { who: "\${params.who}" } },
          count: { uses: ({ inputs }) => inputs.lines.length, inputs: { lines: "read" } },
          shell: { run: 'printf "$ORCHD_INPUT_n" > $ORCHD_OUTPUT', inputs: { n: "count" } },
        },
      });
      const shout = step(async ({ inputs }) => inputs.word + "!");
      const sweep = dynamicPipeline({ name: "sweep" }, async (run) => {
        await run.map(shout, { word: await run.step(read, { params: { who: "a" } }) });
      });
      const root = await openRoot(".");
      log("opened");
      ${RUN}
      say(await run(etl));
      say(await run(sweep));
      await root.close();
      log("closed");
      say((await import("node:fs")).readFileSync("log", "utf8").split("\\n"));
    `,
    );
    const log = said[2] as string[];
    expect(said.slice(0, 2)).toEqual([
      {
        status: "completed",
        steps: { read: "completed", count: "completed", shell: "completed" },
      },
      {
        status: "completed",
        steps: { read: "completed", shout: "completed", shout_2: "completed" },
      },
    ]);
    expect(resultsOf(root.runs, "etl")).toEqual({ read: ["one", "two"], count: 2, shell: 2 });
    expect(resultsOf(root.runs, "sweep")).toMatchObject({ shout: "a!", shout_2: "two!" });
    expect(log.filter((line) => line === "opened").length).toBe(1);
    expect(log.filter((line) => line === "closed").length).toBe(1);
    expect(log.filter((line) => line === "hook").length).toBe(3);
  });

  it("runs where the root is opened in a function, and from a module of its own", async () => {
    const root = programRoot({
      "own.mjs": `
        import { pipeline, step } from "orchd";
        const one = step(async () => 1);
        export const first = pipeline({ name: "first", steps: { one } });
        export const second = pipeline({ name: "second", steps: { one: { uses: one } } });
      `,
    });
    const said = await runProgram(
      root,
      `
      import { second } from "./own.mjs";
      const inline = pipeline({ name: "inline", steps: { two: { uses: async () => 2 } } });
      async function main() {
        await new Promise((resolve) => setTimeout(resolve, 10));
        const root = await openRoot(".");
        ${RUN}
        say((await run(second)).status);
        say((await run(inline)).status);
        const late = pipeline({ name: "late", steps: { two: { uses: async () => 2 } } });
        await root.snapshot(late).catch(({ message }) => say(message));
        await root.snapshot({ steps: {} }).catch(({ message }) => say(message));
        const bad = pipeline({ name: "inline", steps: { two: { uses: async () => 2 } } });
        await root.snapshot(bad).then(({ name }) => say(name));
        await root.close();
      }
      await main();
    `,
    );
    expect(said).toEqual([
      "completed",
      "completed",
      expect.stringMatching(/program\.mjs.*makes no pipeline "late" before it opens a root/),
      expect.stringContaining("snapshot() takes a pipeline's name"),
      "inline",
    ]);
    expect(resultsOf(root.runs, "second")).toEqual({ one: 1 });
    expect(resultsOf(root.runs, "inline")).toEqual({ two: 2 });
  });

  it("goes on with the next daemon after its program was killed", async () => {
    const root = programRoot();
    const program = startProgram(
      root,
      `
      import { existsSync } from "node:fs";
      const wait = step(async () => {
        while (!existsSync(${JSON.stringify(`${root.root}/go`)}))
          await new Promise((resolve) => setTimeout(resolve, 20));
        return "went";
      });
      const steps = { wait: { uses: wait, onInterruption: "rerun" } };
      const etl = pipeline({ name: "etl", steps });
      const root = await openRoot(".");
      const orchestrator = root.orchestrator("local");
      const snapshot = await root.snapshot(etl);
      const placeholderRun = await root.placeholder(snapshot);
      await orchestrator.submitPipeline({ snapshot, placeholderRun });
      const status = () => orchestrator.fetchStatus(placeholderRun, { includeSteps: true });
      while ((await status()).steps.wait !== "running")
        await new Promise((resolve) => setTimeout(resolve, 20));
      say("running");
    `,
    );
    expect(await program.next()).toBe("running");
    program.process.kill("SIGKILL");
    await program.ended;
    const daemon = await startDaemon({ root: root.root });
    root.write("go", "");
    while (outcomeOf(runsOf(root.runs, "etl")[0]!) === undefined)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect(resultsOf(root.runs, "etl")).toEqual({ wait: "went" });
    await daemon.end();
  });

  it("is refused where a daemon holds the root, but for one of its own files", async () => {
    const root = programRoot({
      "schedules/dropped.mjs": `
        import { pipeline } from "orchd";
        export default pipeline({ name: "dropped", steps: { one: { uses: async () => 1 } } });
      `,
      // Its file names it.
      "schedules/nameless.mjs": `
        import { pipeline } from "orchd";
        export default pipeline({ steps: { one: { uses: async () => 1 } } });
      `,
    });
    const daemon = await startDaemon({ root: root.root });
    const said = await runProgram(
      root,
      `
      import dropped from "./schedules/dropped.mjs";
      import nameless from "./schedules/nameless.mjs";
      const etl = pipeline({ name: "etl", steps: { one: { uses: async () => 1 } } });
      const root = await openRoot(".");
      ${RUN}
      say((await run(dropped)).status);
      say((await run(nameless)).status);
      await run(etl).catch(({ message }) => say(message));
      await root.close();
    `,
    );
    expect(said).toEqual([
      "completed",
      "completed",
      "a daemon holds the root, and a request names a pipeline and brings no code: " +
        `put pipeline etl into a file of ${root.schedules}.`,
    ]);
    await daemon.end();
  });
});
