/** `process.env` of a thread: each step has its own, and no step that of another one. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { TOKEN_VARIABLE } from "../../src/core/task.ts";
import { StepEnv } from "../../src/steps/step-env.ts";

const own = Object.getOwnPropertyDescriptor(process, "env")!;
const before = { ...process.env };
let env: StepEnv;
beforeEach(() => void (env = new StepEnv({ BASE: "b", BOTH: "base" }, "token")));
afterEach(() => {
  Object.defineProperty(process, "env", own);
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, before);
});

it("has the variables of every step, the step's own above them, and the token", () => {
  env.begin({ OWN: "o", BOTH: "own" }, "t1");
  expect({ ...process.env }).toEqual({
    BASE: "b",
    BOTH: "own",
    OWN: "o",
    [TOKEN_VARIABLE]: "token/t1",
  });
  expect(env.token).toBe("token/t1");
});

it("is that of the task that runs now, also through a reference of an earlier one", () => {
  env.begin({ A: "1" }, "t1");
  const kept = process.env;
  kept["LEFT"] = "x";
  delete kept["BASE"];
  env.begin({ B: "2" }, "t2");
  // Nobody has looked at `process.env` of the second task yet.
  expect({ ...kept }).toEqual({ BASE: "b", BOTH: "base", B: "2", [TOKEN_VARIABLE]: "token/t2" });
  expect(process.env).toBe(kept);
});

it("keeps what a step sets as long as the step runs", () => {
  env.begin({ A: "1" }, "t1");
  process.env["NEW"] = "x";
  expect(process.env["NEW"]).toBe("x");
  process.env = { ONLY: 5 as never };
  expect({ ...process.env }).toEqual({ ONLY: "5" });
  env.begin({ A: "1" }, "t2");
  expect({ ...process.env }).toEqual({
    BASE: "b",
    BOTH: "base",
    A: "1",
    [TOKEN_VARIABLE]: "token/t2",
  });
});

it("is set for a step that assigns it before it looks at it", () => {
  env.begin({ A: "1" }, "t1");
  process.env = { X: "1" };
  expect({ ...process.env }).toEqual({ X: "1" });
});

/** Runs a module in a Node of its own, where nothing but Node and the module looks at it. */
function inNode(text: string): string {
  const file = JSON.stringify(join(import.meta.dirname, "../../dist/src/steps/step-env.js"));
  const module = `
    const real = process.env;
    const { StepEnv } = await import(${file});
    const env = new StepEnv({}, "token");
    env.begin({ A: "1" }, "t1");
    ${text}
    env.begin({ A: "2" }, "t2");
    console.log(real.A);`;
  const given = ["--input-type=module", "-e", module];
  return execFileSync(process.execPath, given, { encoding: "utf8" }).trim();
}

it("is not set up for a step where only Node's module loader looked at it before", () => {
  expect(inNode('await import("data:text/javascript,export default 1");')).toBe("1");
});

it("is set up for each step once code could keep it, however stacks are made", () => {
  const looks = 'await import("data:text/javascript,globalThis.kept = process.env");';
  expect(inNode(looks)).toBe("2");
  for (const changed of ["prepareStackTrace = () => []", "stackTraceLimit = 0"])
    expect(inNode(`Error.${changed}; await import("data:text/javascript,0");`)).toBe("2");
});
