/**
 * What a real daemon gives a step, and what it makes of the result: docs/pipeline-files.md,
 * docs/semantics.md 15 to 20.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { awaitLine, awaitSight, linesOf } from "../support/await-event.ts";
import { ask } from "../support/asked-command.ts";
import { startDaemon, type Daemon } from "../support/daemon.ts";
import { outcomeOf, runsOf, type PlainRun } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const LONG = "ä".repeat(16 * 1024);

const FILES: Record<string, string> = {
  "orchd.yaml": "gracePeriod: 1s\nenv: { BASE: base, LOW: base, HIGH: base, ORCHD_RUN_ID: base }\n",
  "schedules/env.yaml": `enableCache: false
params: { word: given }
env: { LOW: pipeline, HIGH: pipeline, PIPE: "\${params.word}", ORCHD_PIPELINE: pipeline }
hooks: { onSuccess: "./steps/env.mjs#hook" }
steps:
  module: { uses: ./steps/env.mjs, env: { HIGH: step, WORD: "\${run.id}", ORCHD_STEP: step } }
  shell:
    run: "env -0 | tr '\\\\0' '\\\\n' > ../shell.env"
    after: [module]
    env: { HIGH: step, WORD: "\${run.id}", ORCHD_STEP: step }
`,
  "schedules/steps/env.mjs": `import { appendFileSync } from "node:fs";
export default ({ env }) => {
  const same = Object.entries(env).every(([name, value]) => process.env[name] === value);
  process.env.HIGH = "changed";
  process.env.NEW = "1";
  return { ...env, same };
};
export const hook = ({ env, step }) => {
  const line = JSON.stringify({ step, env, own: { ...process.env } }) + "\\n";
  appendFileSync(new URL("../../hook.env", import.meta.url), line);
};`,
  "schedules/values.yaml": `steps:
  give: { uses: ./steps/give.mjs, outputs: [rows, text] }
  take:
    run: |
      case "$ORCHD_PARAM_long1" in *.json) ;; *) exit 9 ;; esac
      test "$ORCHD_PARAM_text" = 'a "b" $(c)'
      test "$ORCHD_PARAM_count" = 3
      test "$ORCHD_PARAM_yes" = true
      printf %s "$ORCHD_PARAM_long" | wc -c
      cat "$ORCHD_PARAM_list" "$ORCHD_PARAM_none" "$ORCHD_INPUT_data"
      params=$(cat $ORCHD_PARAMS) inputs=$(cat $ORCHD_INPUTS)
      printf '{"params":%s,"inputs":%s,"cwd":"%s","sh":"%s"}' "$params" "$inputs" "$PWD" "$0" \\
        > "$ORCHD_OUTPUT"
    inputs: { data: give.rows, text: give.text }
    params:
      text: 'a "b" $(c)'
      count: 3
      yes: true
      long: "${LONG}"
      long1: "${LONG}a"
      list: [1, 2]
      none: null
  look: { uses: "./steps/give.mjs#look", inputs: { it: take } }
  bash: { run: 'x=(a b); echo "$PWD \${x[1]}"', shell: /bin/bash -eu, cwd: ../work }
`,
  "schedules/steps/give.mjs": `export default () => ({ rows: [{ a: 1 }], text: "plain" });
export const look = ({ inputs: { it } }) => {
  const { long, long1, ...params } = it.params;
  return { ...it, params, lengths: [long.length, long1.length] };
};`,
  "schedules/code.yaml": `enableCache: false
steps:
  where: { uses: ./steps/where.ts }
  other: { uses: "./steps/where.ts#other" }
  alone: { uses: "./steps/where.ts#thread", isolated: true }
  alone2: { uses: "./steps/where.ts#thread", isolated: true, after: [alone] }
`,
  "schedules/steps/where.ts": `import { threadId } from "node:worker_threads";
import { z } from "zod";
import words from "./words.json" with { type: "json" };
import { here, version } from "./lib/helper.ts";
const url = import.meta.url;
const dir = new URL(".", url).pathname;
export default (): unknown => ({ url, here, words, zod: typeof z.object, version, dir });
export const other = (): string => "other";
export const thread = (): number => threadId;
`,
  "schedules/steps/lib/helper.ts": `export const here = import.meta.url;
export const version: number = 1;
`,
  "schedules/steps/words.json": `["one"]`,
  "schedules/big.yaml": `steps:
  small: { uses: "./steps/big.mjs#small", outputs: [a, b] }
  large: { uses: "./steps/big.mjs#large" }
  count:
    uses: "./steps/big.mjs#count"
    inputs: { large: large, a: small.a, both: small }
    params: { long: "${"p".repeat(70_000)}" }
  missing: { uses: "./steps/big.mjs#small", outputs: [a, c] }
`,
  "schedules/steps/big.mjs": `export const small = () => ({ a: 1, b: [2] });
export const large = () => Array.from({ length: 200 }, (_, n) => String(n).padStart(10_000, "x"));
export const count = ({ inputs: { large, a, both }, params }) =>
  ({ n: large.length, a, both, long: params.long.length });`,
  "schedules/limits.yaml": `retry: { maxRetries: 1 }
steps:
  attempt: { uses: "./steps/limits.mjs#hears", timeout: 400ms }
  fine: { run: "sleep 0.2; echo attempt $ORCHD_ATTEMPT", timeout: 5s }
  shell: { run: "trap 'echo heard; exit 4' TERM; sleep 60 & wait", timeout: 400ms }
`,
  "schedules/short.yaml": `timeout: 600ms
steps:
  long: { uses: "./steps/limits.mjs#hears" }
  never: { run: "true", after: [long] }
`,
  "schedules/steps/limits.mjs": `
export const hears = ({ signal, run }) => new Promise((_, reject) => {
  const hold = setInterval(() => {}, 1000);
  signal.addEventListener("abort", () => {
    const { aborted, reason } = signal;
    console.log(run.attempt, aborted, reason.name, reason.message);
    clearInterval(hold);
    reject(reason);
  });
});`,
  "schedules/wide.yaml": `enableCache: false
maxParallelSteps: 64
steps:
${Array.from({ length: 48 }, (_, n) => `  s${n}: { uses: ./steps/wait.mjs }\n`).join("")}
  shell: { run: "true" }
`,
  "schedules/steps/wait.mjs":
    "export default () => new Promise((resolve) => setTimeout(resolve, 80));\n",
  "schedules/keep.yaml": `enableCache: false
steps:
  first: { run: "touch ../first; while ! test -e ../go; do sleep 0.05; done" }
  second: { uses: ./steps/keep.ts, after: [first] }
`,
  "schedules/steps/keep.ts": `import { version } from "./lib/kept.ts";
export default (): number => version;
`,
  "schedules/steps/lib/kept.ts": `export const version = 1;\n`,
};

describe("steps under a daemon", () => {
  let root: TempRoot;
  let daemon: Daemon;

  beforeAll(async () => {
    root = tempRoot(FILES);
    root.linkPackages();
    mkdirSync(join(root.root, "work"));
    daemon = await startDaemon({ root: root.root });
    return () => daemon.kill();
  });

  async function run(pipeline: string): Promise<PlainRun> {
    const asked = await ask(root.root, "run", pipeline, "--json");
    expect(asked.stderr).toBe("");
    const { run: id } = asked.json<{ run: string }>();
    return awaitSight(
      root.runs,
      () =>
        runsOf(root.runs, pipeline).find((one) => one.run === id && outcomeOf(one) !== undefined),
      () =>
        `an end of ${id}: ${JSON.stringify(runsOf(root.runs, pipeline).at(-1)?.lines.slice(1))}`,
    );
  }
  const outputs = (of: PlainRun, step: string): Record<string, unknown> => {
    const line = of.lines.find((one) => one.type === "step.completed" && one["step"] === step);
    if (line === undefined)
      throw new Error(`${step} did not complete: ${JSON.stringify(of.lines.slice(1))}`);
    return line["outputs"] as Record<string, unknown>;
  };
  const printed = (of: PlainRun): string[] =>
    linesOf(of.path.replace(/\.jsonl$/, ".log")).map(
      (line) => `${String(line["step"])} ${String(line["stream"])} ${String(line["line"])}`,
    );

  it("get their environment in layers, with orchd's own names over all of them", async () => {
    const done = await run("env");
    const header = done.lines[0]!;
    const expected = {
      BASE: "base",
      LOW: "pipeline",
      HIGH: "step",
      PIPE: "given",
      WORD: done.run,
      ORCHD_RUN_ID: done.run,
      ORCHD_ORCHESTRATOR_RUN_ID: header["orchestratorRunId"],
      ORCHD_PIPELINE: "env",
      ORCHD_ATTEMPT: "1",
      PATH: process.env["PATH"],
    };
    expect(outputs(done, "module")["result"]).toMatchObject({
      ...expected,
      ORCHD_STEP: "module",
      same: true,
    });
    const shell = Object.fromEntries(
      readFileSync(join(root.root, "shell.env"), "utf8")
        .split("\n")
        .filter((line) => line.includes("="))
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    expect(shell).toMatchObject({ ...expected, ORCHD_STEP: "shell" });
    // Of the daemon's own environment only PATH, HOME, LANG and TZ.
    expect(
      Object.keys(shell).filter(
        (name) =>
          !/^(ORCHD_|BASE|LOW|HIGH|PIPE|WORD|PATH|HOME|LANG|TZ|PWD|_|SHLVL|OLDPWD)/.test(name) &&
          name !== "TRACEPARENT",
      ),
    ).toEqual([]);
    const hooks = linesOf(join(root.root, "hook.env")) as unknown as {
      step: string;
      env: object;
      own: object;
    }[];
    expect(hooks.map(({ step }) => step)).toEqual(["module", "shell"]);
    for (const { step, env, own } of hooks) {
      expect(env).toMatchObject({ ...expected, ORCHD_STEP: step });
      expect(own).toMatchObject(env);
      expect(own).not.toHaveProperty("NEW");
    }
  });

  it("that are shell texts get values as text or files, their shell and their folder", async () => {
    const done = await run("values");
    const folder = join(root.root, "schedules");
    expect(outputs(done, "look")["result"]).toMatchObject({
      params: { text: 'a "b" $(c)', count: 3, yes: true, list: [1, 2], none: null },
      lengths: [LONG.length, LONG.length + 1],
      inputs: { data: [{ a: 1 }], text: "plain" },
      cwd: folder,
    });
    expect(printed(done)).toContain(`take stdout ${32 * 1024}`);
    expect(printed(done)).toContain(`take stdout [1,2]null[{"a":1}]`);
    expect(printed(done)).toContain(`bash stdout ${join(root.root, "work")} b`);
  });

  it("that are modules import what they need, know their file, run alone if asked", async () => {
    const done = await run("code");
    const steps = join(root.root, "schedules/steps");
    expect(outputs(done, "where")["result"]).toEqual({
      url: `file://${steps}/where.ts`,
      here: `file://${steps}/lib/helper.ts`,
      words: ["one"],
      zod: "function",
      version: 1,
      dir: `${steps}/`,
    });
    expect(outputs(done, "other")["result"]).toBe("other");
    expect(outputs(done, "alone")["result"]).not.toBe(outputs(done, "alone2")["result"]);
  });

  it("that return much have artifacts, and every line stays below 1 MiB", async () => {
    const done = await run("big");
    expect(outputs(done, "small")).toEqual({ a: 1, b: [2] });
    const { result } = outputs(done, "large") as { result: { $artifact: string; bytes: number } };
    expect(
      JSON.parse(readFileSync(join(root.runs, ".orchd/artifacts", result.$artifact), "utf8")),
    ).toHaveLength(200);
    expect(result.bytes).toBeGreaterThan(2_000_000);
    expect(outputs(done, "count")["result"]).toEqual({
      n: 200,
      a: 1,
      both: { a: 1, b: [2] },
      long: 70_000,
    });
    const missing = done.lines.find((line) => line.type === "step.failed")!;
    expect(missing).toMatchObject({
      step: "missing",
      error: { message: expect.stringMatching(/step "missing" .*"c"/) as string },
    });
    for (const line of readFileSync(done.path, "utf8").split("\n"))
      expect(Buffer.byteLength(line)).toBeLessThan(1024 * 1024);
  });

  it("have a time limit for each attempt, and a run has one for all its steps", async () => {
    const done = await run("limits");
    expect(outcomeOf(done)).toBe("failed");
    for (const step of ["attempt", "shell"]) {
      const failed = done.lines.filter(
        (line) => line.type === "step.failed" && line["step"] === step,
      );
      expect(failed.map((line) => line["attempt"])).toEqual([1, 2]);
      for (const { error } of failed as unknown as { error: { code: string; message: string } }[])
        expect(error).toMatchObject({
          code: "ORCHD_STEP_TIMEOUT",
          message: expect.stringMatching(new RegExp(`step "${step}".*400ms`)) as string,
        });
    }
    const lines = printed(done);
    expect(lines.filter((line) => line.startsWith("attempt stdout"))).toEqual([
      expect.stringMatching(/^attempt stdout 1 true TimeoutError .*400ms/) as string,
      expect.stringMatching(/^attempt stdout 2 true TimeoutError .*400ms/) as string,
    ]);
    expect(lines).toContain("fine stdout attempt 1");
    expect(lines.filter((line) => line === "shell stdout heard")).toHaveLength(2);
    const short = await run("short");
    expect(outcomeOf(short)).toBe("failed");
    expect(String(short.lines.at(-1)!["because"])).toContain("600ms");
    expect(
      short.lines.some((line) => line["step"] === "never" && line.type === "step.started"),
    ).toBe(false);
  });

  it("are started at most one ahead of each thread; shell steps do not wait for them", async () => {
    const done = await run("wide");
    let under = 0;
    let most = 0;
    for (const { type, step } of done.lines) {
      if (step === "shell") continue;
      if (type === "step.started") most = Math.max(most, (under += 1));
      else if (type === "step.completed") under -= 1;
    }
    expect(most).toBeGreaterThanOrEqual(8);
    expect(most).toBeLessThanOrEqual(16);
    const types = done.lines.map(({ type, step }) => `${type} ${String(step)}`);
    expect(types.indexOf("step.completed shell")).toBeLessThan(types.indexOf("step.started s40"));
  });

  it("keep the code that their run began with; a change is for the next run", async () => {
    const { run: id } = (await ask(root.root, "run", "keep", "--json")).json<{ run: string }>();
    await awaitSight(
      root.root,
      () =>
        runsOf(root.runs, "keep")[0]?.lines.some((line) => line.type === "step.started") === true
          ? true
          : undefined,
      "a start",
    );
    const ledger = join(root.runs, "keep/pipeline.jsonl");
    const before = linesOf(ledger).filter((line) => line.type === "pipeline.loaded").length;
    root.write("schedules/steps/lib/kept.ts", "export const version = 2;\n");
    await awaitSight(
      ledger,
      () =>
        linesOf(ledger).filter((line) => line.type === "pipeline.loaded").length > before
          ? true
          : undefined,
      "the change noticed",
    );
    root.write("go", "");
    const path = runsOf(root.runs, "keep").find((one) => one.run === id)!.path;
    await awaitLine(path, (line) => line.type === "run.finished");
    expect(outputs(runsOf(root.runs, "keep")[0]!, "second")["result"]).toBe(1);
    expect(outputs(await run("keep"), "second")["result"]).toBe(2);
  });
});
