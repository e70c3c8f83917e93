/**
 * docs/places.md says in one table what a step can do where. What is refused is tried here; what
 * the rest of a row says is held by the test that its last column names.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compile } from "../../src/core/compile.ts";
import { pipelineSchema, type PipelineDefinition } from "../../src/core/pipeline.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { checkShape } from "../../src/core/shape-faults.ts";
import { farBundleFault } from "../../src/places/pool/far-bundle.ts";
import { projectRoot } from "../support/temp-root.ts";
import { expectTable, markdownTable } from "./held-table.ts";

const PIPELINES = "test/system/place-pipelines.test.ts";
const SUITE = "test/conformance/place/far-suite.ts";
const HEAD = ["", "here", "container", "`exec`", "SSH", "NATS, Redis", "held by"];

/** A row: what, then each place, then the test. */
const ROWS: readonly (readonly string[])[] = [
  [
    "a whole pipeline by one key",
    "–",
    "`container`",
    "`container`",
    "`orchestrator`",
    "`orchestrator`",
    PIPELINES,
  ],
  [
    "modules, and steps of dynamic pipelines",
    "yes",
    "with Node 20 in the image",
    "no",
    "yes",
    "yes",
    PIPELINES,
  ],
  ["shell texts", "yes", "yes", "yes", "yes", "yes", PIPELINES],
  [
    "hooks, cache functions, a dynamic pipeline's function",
    "here",
    "here",
    "here",
    "here",
    "here",
    PIPELINES,
  ],
  [
    "retries, time limits, stops, errors with cause and stack",
    "yes",
    "yes",
    "yes",
    "yes",
    "yes",
    PIPELINES,
  ],
  [
    "a cached result of here counts there, and the other way round",
    "–",
    "no: the image is in the key",
    "never cached",
    "yes",
    "yes",
    PIPELINES,
  ],
  ["inputs and results of any size", "yes", "yes", "no", "yes", "yes", PIPELINES],
  ["packages of `node_modules`", "yes", "no", "–", "no", "no", SUITE],
  ["`resources.memoryMb`", "yes", "yes", "no", "yes", "yes", SUITE],
  ["`resources.cpus`, `gpus`", "no", "yes", "no", "no", "no", "test/core/container.test.ts"],
  [
    "`cwd` from the pipeline's folder",
    "yes",
    "no: `workdir`",
    "no: `workdir`",
    "no: absolute",
    "no: absolute",
    "test/core/place-settings.test.ts",
  ],
  [
    "a step outlives the daemon",
    "no",
    "a shell text",
    "no",
    "no",
    "for 6 s",
    "test/faults/container-kill.test.ts",
  ],
  [
    "`isRemote` of the orchestrator",
    "false",
    "false",
    "false",
    "true",
    "true",
    "test/program/own-mode.test.ts",
  ],
];

it("is the table of docs/places.md, and each row names a test that is there", () => {
  expectTable(
    "docs/places.md",
    "what each place can",
    markdownTable(
      HEAD,
      ROWS.map((row) => [...row.slice(0, -1), `\`${row.at(-1)!}\``]),
    ),
  );
  for (const row of ROWS) expect(existsSync(join(projectRoot, row.at(-1)!)), row[0]).toBe(true);
});

describe("what the table says no to is refused with a sentence", () => {
  const settings = {
    ...DEFAULT_SETTINGS,
    places: { far: { engine: "ssh", host: "h", threads: 1, labels: [] } },
  } as const;
  const code = { bundle: "b", pick: "export:default", source: "./a.ts" };

  function faultsOf(step: object, pipeline: object): string[] {
    const shape = checkShape(pipelineSchema, { ...pipeline, steps: { s: step } });
    if (!shape.ok) return shape.faults.map(({ message }) => message);
    const made = compile({
      definition: (shape as { value: PipelineDefinition }).value,
      file: "/srv/p.yaml",
      code: new Map([["steps/s/uses", code]]),
      settings,
      now: 0,
      watched: [],
    });
    return made.ok ? [] : made.faults.map(({ message }) => message);
  }

  const far = { orchestrator: "far" };
  const exec = { container: { exec: "db" } };
  const image = { container: "a:1" };
  it.each<[what: string, step: object, pipeline: object, sentence: RegExp]>([
    ["a module by exec", { uses: "./a.ts" }, exec, /is for shell steps \(run\)/],
    ["a result by exec", { run: "x", outputs: ["a"] }, exec, /there is no \$ORCHD_OUTPUT/],
    ["a cached step by exec", { run: "x", enableCache: true }, exec, /nobody knows what is in/],
    ["memory by exec", { run: "x", resources: { memoryMb: 99 } }, exec, /limits of a container/],
    ["cpus here", { run: "x", resources: { cpus: 1 } }, {}, /belongs to a step in a container/],
    ["cpus far away", { run: "x", resources: { cpus: 1 } }, far, /belongs to a step in a contain/],
    ["gpus far away", { run: "x", resources: { gpus: 1 } }, far, /belongs to a step in a contain/],
    ["a folder in a container", { run: "x", cwd: "a" }, image, /is a folder of this machine/],
    ["a folder far away", { run: "x", cwd: "a" }, far, /write an absolute path of that machine/],
    ["a container far away", { run: "x", container: "a:1" }, far, /containers run on this machine/],
  ])("%s", (_what, step, pipeline, sentence) => {
    expect(faultsOf(step, pipeline)).toEqual([expect.stringMatching(sentence)]);
  });

  it("packages", () => {
    expect(farBundleFault('import x from "file:///srv/node_modules/left/x.js";')).toMatch(
      /needs the package left, which is on this machine only/,
    );
  });
});

it("each place's own declaration in the suite says the same of packages and memory", () => {
  const declared = (file: string): string =>
    readFileSync(join(projectRoot, "test/conformance/place", file), "utf8");
  for (const file of ["ssh.test.ts", "stdio.test.ts"]) {
    expect(declared(file)).toContain("limitsMemory: true");
    expect(declared(file)).toContain("hasPackages: false");
  }
});
