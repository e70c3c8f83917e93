/**
 * A worker that test files share is left as it was found: its variables and its folder are put
 * back after each file, and a file that replaced what Node gives to all fails. It needs a worker of
 * its own (vitest.config.ts), since the next file would see what it replaced.
 */
import childProcess from "node:child_process";
import fs from "node:fs";
import { chdir, cwd, env, stderr, stdout } from "node:process";
import timers from "node:timers";
import workers from "node:worker_threads";
import { afterAll } from "vitest";

// What it stands on replaces `close` of node:fs as it is loaded, once in a process and for good.
await import("proper-lockfile");

const PARTS: Readonly<Record<string, object>> = {
  globalThis,
  "node:child_process": childProcess,
  "ChildProcess.prototype": childProcess.ChildProcess.prototype,
  "node:fs": fs,
  "node:fs/promises": fs.promises,
  "node:timers": timers,
  "node:worker_threads": workers,
  "process.stdout": stdout,
  "process.stderr": stderr,
};

/** Each function of a part, by its name. What a getter makes is left alone. */
function functionsOf(part: object): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(part)))
    if (typeof value === "function") found.set(name, value);
  return found;
}

const variables = { ...env };
const folder = cwd();
const functions = Object.entries(PARTS).map(([name, part]) => ({
  name,
  part,
  before: functionsOf(part),
}));

afterAll(() => {
  chdir(folder);
  for (const name of Object.keys(env)) if (!(name in variables)) delete env[name];
  Object.assign(env, variables);
  const replaced = functions.flatMap(({ name, part, before }) => {
    const after = functionsOf(part);
    return [...before]
      .filter(([key, it]) => after.get(key) !== it)
      .map(([key]) => `${name}.${key}`);
  });
  if (replaced.length > 0)
    throw new Error(
      `this file left ${replaced.join(", ")} replaced for the files after it; ` +
        "put it back, or give the file a worker of its own in vitest.config.ts.",
    );
});
