/** Programs that import `orchd`, run by node against the built package in a root of their own. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "esbuild";
import { onTestFinished } from "vitest";
import { projectRoot, tempRoot, type TempRoot } from "../support/temp-root.ts";

/** A program that runs. */
export interface Program {
  readonly process: ChildProcess;
  /** The values that it said so far: `say(value)` writes one as a line of JSON. */
  readonly said: readonly unknown[];
  /** Resolves with the value that it says next, or rejects when it ends before. */
  next(): Promise<unknown>;
  /** Resolves when it has ended. */
  readonly ended: Promise<{
    readonly status: number | null;
    readonly said: readonly unknown[];
    readonly stderr: string;
  }>;
}

/** What each program has besides its own text. */
const SAY = `
const say = (value) => process.stdout.write(JSON.stringify(value ?? null) + "\\n");
`;
const HEAD = `
import * as orchd from "orchd";
const { openRoot, Stack, LocalOrchestrator, BaseOrchestrator } = orchd;
const { pipeline, dynamicPipeline, step } = orchd;
${SAY}`;

/** A root with these files, whose programs and pipelines find the built package. */
export function programRoot(files: Record<string, string> = {}): TempRoot {
  const made = tempRoot(files);
  mkdirSync(join(made.root, "node_modules"));
  symlinkSync(projectRoot, join(made.root, "node_modules/orchd"));
  return made;
}

/**
 * Starts a program in the root. Its text has all names of the package, and `say`.
 *
 * @param options `imports`: whether it has the names of the package; default true
 */
export function startProgram(
  root: TempRoot,
  text: string,
  options: { readonly imports?: boolean } = {},
): Program {
  const head = options.imports === false ? SAY : HEAD;
  // Node 20 has no `await using`.
  const { code } = transformSync(`${head}${text}`, {
    target: "node20",
    format: "esm",
    loader: "ts",
  });
  const path = root.write("program.mjs", code);
  const { VITEST: _vitest, NODE_OPTIONS: _options, ...env } = process.env;
  const child = spawn(process.execPath, [path], {
    cwd: root.root,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const said: unknown[] = [];
  const waiting: (() => void)[] = [];
  let taken = 0;
  let over = false;
  let rest = "";
  let stderr = "";
  const wake = (): void => {
    for (const go of waiting.splice(0)) go();
  };
  child.stderr.setEncoding("utf8").on("data", (part: string) => (stderr += part));
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    const lines = (rest + part).split("\n");
    rest = lines.pop()!;
    said.push(...lines.map((line) => JSON.parse(line) as unknown));
    wake();
  });
  const ended = new Promise<Awaited<Program["ended"]>>((resolve) => {
    child.on("close", (status) => {
      over = true;
      wake();
      resolve({ status, said, stderr });
    });
  });
  const next = async (): Promise<unknown> => {
    while (said.length === taken && !over)
      await new Promise<void>((resolve) => waiting.push(resolve));
    if (said.length === taken) throw new Error(`the program ended: ${stderr}`);
    return said[taken++];
  };
  return { process: child, said, next, ended };
}

/** Runs a program to its end. @throws Error with what it wrote to stderr, if it fails */
export async function runProgram(root: TempRoot, text: string): Promise<readonly unknown[]> {
  const { status, said, stderr } = await startProgram(root, text).ended;
  if (status !== 0) throw new Error(`the program ended with ${status}: ${stderr}`);
  return said;
}
