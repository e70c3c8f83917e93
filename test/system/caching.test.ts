/**
 * What makes a step run again and what does not, with a real daemon and real files (docs/zenml.md
 * "Cache").
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { ask } from "../support/asked-command.ts";
import { daemonOver, type Daemon } from "../support/daemon.ts";
import { outcomeOf, runsOf, type PlainRun } from "../support/ledgers.ts";
import { ended, submit } from "../support/request.ts";
import type { TempRoot } from "../support/temp-root.ts";

const CHANGES = `params: { label: one }
steps:
  read:
    uses: ./steps/read.ts
    params: { label: "\${params.label}" }
    cache: { fileDependencies: [../data.txt] }
  count: { uses: ./steps/count.ts, inputs: { lines: read } }
  twice: { uses: ./steps/twice.ts, inputs: { n: count } }
  ignores: { uses: ./steps/ignores.ts, inputs: { lines: read }, cache: { ignoredInputs: [lines] } }
  codeless: { uses: ./steps/codeless.ts, cache: { includeStepCode: false } }
  env: { uses: ./steps/env.ts, env: { LEVEL: low } }
  declares: { uses: ./steps/declares.ts, outputs: [a, b] }
  asks: { uses: ./steps/asks.ts, cache: { cacheFunction: ./steps/key.ts } }
  expires: { uses: ./steps/expires.ts, cache: { expiresAfter: 1h } }
  big: { uses: ./steps/big.ts }
  shell: { run: "echo anew" }
  kept: { run: "echo once", cache: {} }
`;

const FILES: Record<string, string> = {
  "data.txt": "a\nb\n",
  "key.txt": "one",
  "schedules/changes.yaml": CHANGES,
  "schedules/steps/read.ts": `import { readFileSync } from "node:fs";
import { lines } from "./lib/lines.ts";
export default () => lines(readFileSync(new URL("../../data.txt", import.meta.url), "utf8"));\n`,
  "schedules/steps/lib/lines.ts": `
export const lines = (text: string): string[] => text.trim().split("\\n");\n`,
  "schedules/steps/count.ts": "export default ({ inputs }: any) => inputs.lines.length;\n",
  "schedules/steps/twice.ts": "export default ({ inputs }: any) => inputs.n * 2;\n",
  "schedules/steps/ignores.ts": "export default ({ inputs }: any) => typeof inputs.lines;\n",
  "schedules/steps/codeless.ts": `export default () => "codeless";\n`,
  "schedules/steps/env.ts": "export default ({ env }: any) => env.LEVEL;\n",
  "schedules/steps/declares.ts": "export default () => ({ a: 1, b: 2 });\n",
  "schedules/steps/asks.ts": `export default () => "asks";\n`,
  "schedules/steps/key.ts": `import { readFileSync } from "node:fs";
export default () => readFileSync(new URL("../../key.txt", import.meta.url), "utf8");\n`,
  "schedules/steps/expires.ts": `export default () => "expires";\n`,
  "schedules/steps/big.ts": `export default () => "big".repeat(50_000);\n`,
  "schedules/steps/plain.ts": `export default () => "plain";\n`,
  "schedules/steps/off.ts": `import { BaseOrchestrator } from "orchd";
export default class Off extends BaseOrchestrator {
  get capabilities() { return { enableCache: false }; }
  getOrchestratorRunId() { return "off-" + process.env.ORCHD_RUN_ID; }
  async submitPipeline({ snapshot }) {
    console.log("submitted");
    for (const step of snapshot.steps) await this.runStep(step);
  }
}\n`,
};

describe("a daemon", () => {
  let root: TempRoot;
  let daemon: Daemon;

  beforeAll(async () => {
    ({ root, daemon } = await daemonOver(FILES));
    return async () => void (await daemon.end());
  });

  /** The steps that ran, each with its reason, and those that the cache answered. */
  const told = (run: PlainRun): { ran: Record<string, string>; cached: string[] } => ({
    ran: Object.fromEntries(
      run.lines
        .filter(({ type }) => type === "step.started")
        .map((line) => [line["step"], line["because"]]),
    ),
    cached: run.lines
      .filter(({ type }) => type === "step.cached")
      .map((line) => String(line["step"])),
  });
  const run = async (
    pipeline: string,
    params?: Record<string, unknown>,
  ): Promise<ReturnType<typeof told>> => {
    const done = await ended(root.runs, await submit(root.runs, pipeline, params));
    expect(outcomeOf(done)).toBe("completed");
    return told(done);
  };
  const artifact = (): string => {
    const line = runsOf(root.runs, "changes")[0]!.lines.find(
      (one) => one.type === "step.completed" && one["step"] === "big",
    )!;
    return join(
      root.runs,
      ".orchd/artifacts",
      (line["outputs"] as { result: { $artifact: string } }).result.$artifact,
    );
  };

  it(
    "runs again exactly what a change touches, and says what it was",
    { timeout: 60_000 },
    async () => {
      const steps = [...CHANGES.matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name!);
      const first = await run("changes");
      expect(Object.keys(first.ran).sort()).toEqual([...steps].sort());
      // Every change stays, except that of the param.
      let text = CHANGES;
      const edit = (from: string, to: string): void => {
        expect(text).toContain(from);
        root.write("schedules/changes.yaml", (text = text.replace(from, to)));
      };
      const code = (name: string, from: string, to: string): void => {
        const path = `schedules/steps/${name}.ts`;
        expect(FILES[path]).toContain(from);
        root.write(path, FILES[path]!.replace(from, to));
      };
      const cases: readonly (readonly [
        what: string,
        change: () => unknown,
        ran: Record<string, string>,
        params?: Record<string, unknown>,
      ])[] = [
        ["nothing", () => undefined, {}],
        [
          "a step's body, while its result stays: nothing after it runs",
          () => code("count", "inputs.lines.length", "0 + inputs.lines.length"),
          { count: "code changed" },
        ],
        [
          "a module that a step imports",
          () => code("lib/lines", "text.trim()", "text.trimEnd()"),
          { read: "code changed" },
        ],
        ["a param", () => undefined, { read: 'param "label" changed' }, { label: "two" }],
        ["a param that is as before again: the older result is used", () => undefined, {}],
        [
          "content upstream",
          () => root.write("data.txt", "a\nb\nc\n"),
          {
            read: 'file "../data.txt" changed',
            count: 'input "lines" changed',
            twice: 'input "n" changed',
          },
        ],
        [
          "content upstream that gives the same result",
          () => root.write("data.txt", "a\nb\nc\n\n"),
          { read: 'file "../data.txt" changed' },
        ],
        [
          "content in the middle: nothing runs after a result that is equal",
          () => root.write("data.txt", "a\nb\nd\n"),
          { read: 'file "../data.txt" changed', count: 'input "lines" changed' },
        ],
        [
          "the step's own environment",
          () => edit("LEVEL: low", "LEVEL: high"),
          { env: 'env "LEVEL" changed' },
        ],
        [
          "the pipeline's environment, which every step sees",
          () => edit("params: { label: one }", "params: { label: one }\nenv: { REGION: eu }"),
          Object.fromEntries(
            steps.filter((name) => name !== "shell").map((name) => [name, 'env "REGION" added']),
          ),
        ],
        [
          "a variable of the pipeline that the step overrides with what it had",
          () => edit("REGION: eu", "REGION: eu, LEVEL: none"),
          Object.fromEntries(
            steps
              .filter((name) => name !== "shell" && name !== "env")
              .map((name) => [name, 'env "LEVEL" added']),
          ),
        ],
        [
          "declared outputs",
          () => edit("outputs: [a, b]", "outputs: [b, a]"),
          { declares: "declared outputs changed" },
        ],
        [
          "the cache function's answer",
          () => root.write("key.txt", "two"),
          { asks: "the cache function's answer changed" },
        ],
        ["code that is not part of the key", () => code("codeless", `"codeless"`, `"other"`), {}],
        [
          "the cache function's code, while its answer stays",
          () => code("key", `"utf8"`, `"latin1"`),
          {},
        ],
        [
          "how long a result may be used",
          () => edit("expiresAfter: 1h", "expiresAfter: 1ms"),
          { expires: "expired" },
        ],
        [
          "an artifact that is gone",
          () => {
            edit("expiresAfter: 1ms", "expiresAfter: 1h");
            rmSync(artifact());
          },
          { big: "output missing" },
        ],
        [
          "order, retries and time limits",
          () =>
            edit(
              "outputs: [b, a]",
              "outputs: [b, a], after: [big], timeout: 1h, retry: { maxRetries: 3 }",
            ),
          {},
        ],
      ];
      for (const [what, change, ran, params] of cases) {
        change();
        const { shell, ...seen } = (await run("changes", params)).ran;
        // A shell step runs for what it does, unless it asks for the cache.
        expect(shell, what).toBeDefined();
        const reasons = Object.fromEntries(
          Object.entries(seen).map(([step, because]) => [step, because.split("; ").at(-1)]),
        );
        expect(reasons, what).toEqual(ran);
      }
    },
  );

  it("asks step, pipeline, orchestrator, in this order, whether to use the cache", async () => {
    const written = (pipeline: string): string =>
      `orchestrator: ./steps/off.ts
${pipeline}steps:
  silent: { uses: ./steps/plain.ts }
  asks: { uses: ./steps/plain.ts, enableCache: true }
  never: { uses: ./steps/plain.ts, enableCache: false }
`;
    root.write("schedules/layers.yaml", written(""));
    await run("layers");
    // The orchestrator prints under a name that no step can have.
    const [first] = runsOf(root.runs, "layers");
    expect(linesOf(first!.path.replace(/jsonl$/, "log"))).toMatchObject([
      { step: "(orchestrator)", line: "submitted" },
    ]);
    expect(await run("layers")).toMatchObject({
      cached: ["asks"],
      ran: { silent: expect.any(String), never: expect.any(String) },
    });
    root.write("schedules/layers.yaml", written("enableCache: true\n"));
    expect((await run("layers")).cached).toEqual(["silent", "asks"]);
  });

  it("counts orchd.yaml's env too, and a run keeps the one that it was made with", async () => {
    const settings = async (text: string): Promise<void> => {
      root.write("orchd.yaml", text);
      const again = (): number =>
        daemon.log().filter(({ msg }) => msg === "orchd.yaml was read again").length;
      const before = again();
      process.kill(daemon.pid, "SIGHUP");
      await awaitSight(root.runs, () => again() > before || undefined, "the settings");
    };
    root.write(
      "schedules/stage.yaml",
      `steps:
  one: { uses: ./steps/stage.ts }
  own: { uses: ./steps/stage.ts, env: { STAGE: own } }
  named: { uses: ./steps/stage.ts, env: { STAGE: own, RUN: "\${run.id}" } }
`,
    );
    root.write("schedules/steps/stage.ts", "export default ({ env }: any) => env.STAGE;\n");
    await settings("env: { STAGE: test }\n");
    await run("stage");
    const second = await ended(root.runs, await submit(root.runs, "stage"));
    // A step that sees the run's id is another step in every run.
    expect(told(second)).toEqual({
      ran: { named: expect.stringContaining('env "RUN" changed') },
      cached: ["one", "own"],
    });
    await settings("env: { STAGE: live }\n");
    const third = await ended(root.runs, await submit(root.runs, "stage"));
    expect(told(third)).toMatchObject({
      ran: { one: expect.stringContaining('env "STAGE" changed') },
      cached: ["own"],
    });
    const diff = await ask(root.root, "diff", second.run, third.run, "--json");
    expect(diff.json<{ steps: { changes: string[] }[] }>().steps[0]!.changes).toEqual([
      'env "STAGE" changed',
    ]);
    const again = await ask(root.root, "rerun", second.run, "--from", "own", "--wait");
    expect(again.status).toBe(0);
    const rerun = runsOf(root.runs, "stage").find((one) => one.run === `${second.run}-r1`)!;
    expect(told(rerun).cached).toContain("one");
    await settings("env: { STAGE: live, OTHER: x }\n");
    expect((await run("stage")).ran).toMatchObject({
      one: expect.stringContaining('env "OTHER" added'),
    });
    await settings("env: { STAGE: live, OTHER: x }\nproject: another\n");
    expect((await run("stage")).ran).toMatchObject({
      one: expect.stringContaining("the project changed"),
    });
    await settings("");
  });

  it("takes a result into another slot only where the step says so", async () => {
    root.write(
      "schedules/slots.yaml",
      `schedule: { cron: "* * * * * *" }
steps:
  anew: { uses: ./steps/plain.ts, params: { of: anew } }
  taken: { uses: ./steps/plain.ts, params: { of: taken }, cache: { acrossSlots: true } }
`,
    );
    const [first, second] = await awaitSight(
      root.runs,
      () => {
        const runs = runsOf(root.runs, "slots");
        return runs.length >= 2 && runs.slice(0, 2).every((one) => outcomeOf(one) !== undefined)
          ? runs
          : undefined;
      },
      "two slots' runs",
    );
    rmSync(join(root.schedules, "slots.yaml"));
    expect(Object.keys(told(first!).ran)).toEqual(["anew", "taken"]);
    expect(told(second!)).toEqual({
      ran: { anew: expect.stringContaining("slot changed") },
      cached: ["taken"],
    });
  });
});
