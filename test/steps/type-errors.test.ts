/**
 * What the compiler says of a pipeline in code that is misspelt: it names what is wrong, and what
 * is probably meant.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { projectRoot, tempRoot } from "../support/temp-root.ts";

const HEAD = `
import { dynamicPipeline, pipeline, step, type StepContext } from "orchd";
const read = step(async ({ params }: StepContext<{ path: string }>) => [params.path]);
const count = step(({ inputs }: { inputs: { lines: string[] } }) => inputs.lines.length);
const half = step(({ inputs }: { inputs: { n: number } }) => ({ half: inputs.n / 2 }), {
  outputs: ["half"],
});
`;

/** What is written, and what the compiler has to say of it; nothing where it is right. */
const CASES: readonly (readonly [written: string, said: string | undefined])[] = [
  [`pipeline({ steps: { a: { uses: read, timeout: "5s" } } });`, undefined],
  [
    `pipeline({ steps: { a: { uses: read, timout: "5s" } } });`,
    "timout is no key of a step: did you mean timeout?",
  ],
  [`pipeline({ steps: { a: { uses: read, colour: "red" } } });`, "colour is no key of a step"],
  [
    `pipeline({ steps: { a: { uses: read, retry: { maxRetries: 1, dealy: "5s" } } } });`,
    "dealy is no key of retry: did you mean delay?",
  ],
  [
    `pipeline({ steps: { a: { uses: read, cache: { expireAfter: "5s" } } } });`,
    "Did you mean to write 'expiresAfter'?",
  ],
  [
    `pipeline({ steps: { a: { uses: read, hooks: { onSucess: "./hook.ts" } } } });`,
    "Did you mean to write 'onSuccess'?",
  ],
  [`pipeline({ steps: { b: {} } });`, "a step needs uses (a step, or a module) or run"],
  [`pipeline({ steps: { a: { run: "true" }, b: { after: "a" } } });`, "a step needs uses"],
  [
    `pipeline({ steps: { a: { uses: read, run: "true" } } });`,
    "a step has uses or run, and not both",
  ],
  [
    `pipeline({ steps: { read: { uses: read }, a: { uses: count, inputs: { lines: "raed" } } } });`,
    "raed is no step of this pipeline: did you mean read?",
  ],
  [
    `pipeline({ steps: { read: { uses: read }, a: { uses: count, inputs: { lnes: "read" } } } });`,
    "lnes is no input of the step: did you mean lines?",
  ],
  [
    `pipeline({ steps: { read: { uses: read }, a: { uses: half, inputs: { n: "read" } } } });`,
    "the result of read does not fit this input",
  ],
  [
    `pipeline({ steps: { n: { run: "echo 1" }, h: { uses: half, inputs: { n: "n" } }, ` +
      `a: { uses: half, inputs: { n: "h.hafl" } } } });`,
    "hafl is no output of h: did you mean half?",
  ],
  [
    `pipeline({ steps: { a: { uses: read, params: { paht: "x" } } } });`,
    "paht is no param of the step: did you mean path?",
  ],
  [
    `pipeline({ steps: { read: { uses: read }, a: { run: "true", after: "raed" } } });`,
    "raed is no step of this pipeline: did you mean read?",
  ],
  [
    `pipeline({ steps: { read: { uses: read }, a: { run: "true", after: ["read", "rad"] } } });`,
    "rad is no step of this pipeline: did you mean read?",
  ],
  [`pipeline({ nmae: "x", steps: {} });`, "nmae is no key of a pipeline: did you mean name?"],
  [
    `pipeline({ schedule: { crn: "@daily" }, steps: {} });`,
    "'crn' does not exist in type '{ name?: string | undefined; cron?: string",
  ],
  [
    `pipeline({ schedule: { cron: "@daily", tags: [], catchUp: "all" }, steps: {} });`,
    "tags is no key of schedule",
  ],
  [
    `pipeline({ schedule: [{ cron: "@daily", timezon: "UTC" }], steps: {} });`,
    "timezon is no key of schedule: did you mean timezone?",
  ],
  [`dynamicPipeline({ shedule: {} }, async () => {});`, "Did you mean to write 'schedule'?"],
  [`step(async () => 1, { timout: "5s" });`, "Did you mean to write 'timeout'?"],
];

/** The compiler's diagnostics of each case. */
let said: readonly string[];

beforeAll(() => {
  const files = CASES.map(([written], index) => [`case-${index}.ts`, HEAD + written] as const);
  const { root } = tempRoot({
    "package.json": JSON.stringify({ type: "module" }),
    ...Object.fromEntries(files),
    "tsconfig.json": JSON.stringify({
      extends: join(projectRoot, "tsconfig.json"),
      compilerOptions: {
        paths: { orchd: [join(projectRoot, "src/index.ts")] },
        typeRoots: [join(projectRoot, "node_modules/@types")],
      },
      include: ["."],
    }),
  });
  const { stdout } = spawnSync(join(projectRoot, "node_modules/.bin/tsc"), ["-p", root], {
    encoding: "utf8",
    cwd: root,
  });
  said = files.map(([name]) => {
    const parts = stdout.split(/^(?=\S+\(\d+,\d+\): )/m);
    return parts.filter((part) => part.startsWith(`${name}(`)).join("");
  });
}, 120_000);

describe("the compiler, about", () => {
  it.each(CASES.map((it, index) => [...it, index] as const))("%s", (_written, expected, index) => {
    if (expected === undefined) expect(said[index]).toBe("");
    else expect(said[index]).toContain(expected);
  });
});
