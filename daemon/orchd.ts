#!/usr/bin/env node
/**
 * The entry of the command line. It runs the quick program (quick.ts) from the bytecode that V8
 * made of it as it was built (code-cache.mjs). To read the program's text takes V8 as long as all
 * that the program does.
 *
 * V8 takes the bytecode only if its own version and flags are those of the build. Otherwise, and
 * where there is none, it reads the text: nothing but time depends on it.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Script } from "node:vm";
import type { runQuick } from "./quick.ts";

/** The path of the quick program from this file's folder. The build puts it here. */
declare const QUICK_PROGRAM: string;

/** A copy of the package has files of the time of copying: so much is no edit of the text. */
const COPYING_MS = 60_000;

const program = join(__dirname, QUICK_PROGRAM);
const cachedData = bytecodeOf(program);
const script = new Script(readFileSync(program, "latin1"), {
  filename: program,
  ...(cachedData === undefined ? {} : { cachedData }),
});
const quick = { exports: {} };
(script.runInThisContext() as (load: NodeJS.Require, module: object) => void)(require, quick);
void (quick.exports as { runQuick: typeof runQuick }).runQuick({
  commands: () => import("./commands.ts"),
  page: () => import("./page-alone.ts"),
});

/** Undefined where the text was changed after it: of the text V8 compares the length alone. */
function bytecodeOf(path: string): Buffer | undefined {
  const made = path.replace(/js$/, "cache");
  try {
    const edited = statSync(path).mtimeMs - statSync(made).mtimeMs > COPYING_MS;
    return edited ? undefined : readFileSync(made);
  } catch {
    return undefined;
  }
}
