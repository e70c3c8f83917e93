/**
 * What passes the daemon whole has a limit: the values that a dynamic pipeline's function gives
 * directly, an orchestrator's metadata, a definition in code, the text of a cache function. More is
 * refused with a sentence that says what to do.
 */
import { expect, it } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { daemonOver, orchd } from "../support/daemon.ts";
import { outcomeOf, pipelineLedger, runsOf } from "../support/ledgers.ts";

const MIB = 1_048_576;

const DYNAMIC = `import { dynamicPipeline, step } from "orchd";
export const size = step(({ inputs }) => inputs.text.length);
export default dynamicPipeline({ params: { length: 0 } }, async (run) => {
  await run.step(size, { inputs: { text: "x".repeat(run.params.length) } });
});
`;
const ORCHESTRATOR = `import { BaseOrchestrator } from "orchd";
export default class extends BaseOrchestrator {
  getOrchestratorRunId() { return "one"; }
  async submitPipeline() {
    return { metadata: { text: "x".repeat(this.config.length ?? 0) } };
  }
}
`;
const DEFINITION = `import { pipeline, step } from "orchd";
export const one = step(() => 1);
export default pipeline({ params: { text: "x".repeat(5 * ${MIB}) }, steps: { one } });
`;

it("more than the limit is refused with a sentence", { timeout: 120_000 }, async () => {
  const { root, daemon } = await daemonOver({
    "schedules/dynamic.mjs": DYNAMIC,
    "schedules/m/orchestrator.mjs": ORCHESTRATOR,
    "schedules/m/cache.mjs": `export const key = () => "x".repeat(5 * ${MIB});
export const one = () => 1;
`,
    "schedules/elsewhere.yaml": `orchestrator:
  uses: ./m/orchestrator.mjs
  config: { length: ${2 * MIB} }
steps: { s: { uses: "./m/cache.mjs#one" } }
`,
    "schedules/cached.yaml":
      'steps: { s: { uses: "./m/cache.mjs#one", ' +
      'cache: { cacheFunction: "./m/cache.mjs#key" } } }\n',
    "schedules/large.mjs": DEFINITION,
  });
  const run = async (name: string, ...words: string[]): Promise<string> => {
    const { stdout, stderr } = await orchd(root.root, "run", name, "--wait", ...words);
    return stdout + stderr;
  };
  await run("dynamic", "--param", `length=${MIB / 4 - 1_000}`);
  await run("dynamic", "--param", `length=${MIB / 4 + 1_000}`);
  const told = [await run("elsewhere"), await run("cached")];
  await awaitSight(
    root.runs,
    () => pipelineLedger(root.runs, "large").find(({ type }) => type === "pipeline.invalid"),
    "a refusal of the definition",
  );
  const [good, bad] = runsOf(root.runs, "dynamic");
  expect(outcomeOf(good!)).toBe("completed");
  expect(outcomeOf(bad!)).toBe("failed");
  expect(JSON.stringify(bad!.lines)).toContain(
    'step \\"size\\" is given 258 KiB of JSON directly, and at most 256 KiB can be given so: ' +
      "let a step return the value, and give its result",
  );
  expect(told[0]).toContain(
    "the orchestrator's metadata is 2049 KiB of JSON, and at most 1024 KiB can be recorded",
  );
  expect(JSON.stringify(runsOf(root.runs, "cached")[0]!.lines)).toContain(
    "the text of the cache function is 5.0 MiB of JSON, and at most 4 MiB can be taken",
  );
  expect(JSON.stringify(pipelineLedger(root.runs, "large"))).toContain(
    "the definition is 5.0 MiB of JSON, and at most 4 MiB can be taken",
  );
  await daemon.end();
});
