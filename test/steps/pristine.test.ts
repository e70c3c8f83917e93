/**
 * What one pipeline changes and another one would see: in a thread of its own, since what steps
 * share is frozen in it. Each change is seen, and no longer once it is undone.
 */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { build } from "esbuild";
import { projectRoot, tempRoot } from "../support/temp-root.ts";

/** Evaluates what it is sent, with what steps share and the look at it, and answers. */
const PROGRAM = `
import { parentPort } from "node:worker_threads";
import fs from "node:fs";
import { createRequire } from "node:module";
import { Pristine } from "./src/steps/pristine.ts";
// As in a real thread: while the entry is evaluated, Node changes what is on process.
setImmediate(() => {
  const prepared = [];
  const pristine = new Pristine((name) => void prepared.push(name));
  pristine.foresee('import fs from "node:fs"');
  parentPort.on("message", (body) => {
    let answer;
    const run = new Function("pristine", "fs", "prepared", "require", body);
    try { answer = run(pristine, fs, prepared, createRequire(import.meta.url)); }
    catch (error) { answer = "threw " + error.message; }
    parentPort.postMessage(answer);
  });
});
`;

let file: string;
const threads: Worker[] = [];
beforeAll(async () => {
  const { outputFiles } = await build({
    stdin: { contents: PROGRAM, resolveDir: projectRoot, loader: "ts" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    write: false,
  });
  file = join(tempRoot().root, "pristine.mjs");
  writeFileSync(file, outputFiles[0]!.text);
});
afterAll(async () => void (await Promise.all(threads.map((thread) => thread.terminate()))));

const started = (): ((body: string) => Promise<unknown>) => {
  const thread = new Worker(file);
  threads.push(thread);
  return async (body) => {
    thread.postMessage(body);
    return ((await once(thread, "message")) as unknown[])[0];
  };
};

describe("a change", () => {
  let ask: ReturnType<typeof started>;
  beforeAll(() => void (ask = started()));

  it.each<[string, string, string, RegExp]>([
    [
      "of a method",
      "const was = Array.prototype.at; Array.prototype.at = () => 1;",
      "Array.prototype.at = was;",
      /at/,
    ],
    ["that adds a member", "Map.prototype.more = 1;", "delete Map.prototype.more;", /more|Map/],
    [
      "that adds a symbol",
      "const key = Symbol('k'); Date.prototype[key] = 1;",
      "delete Date.prototype[key];",
      /./,
    ],
    ["of a static", "const was = Math.abs; Math.abs = () => 1;", "Math.abs = was;", /abs/],
    [
      "of a global",
      "const was = globalThis.URL; globalThis.URL = class {};",
      "globalThis.URL = was;",
      /URL/,
    ],
    [
      "of a module",
      "const was = fs.readFileSync; fs.readFileSync = () => '';",
      "fs.readFileSync = was;",
      /readFileSync/,
    ],
    [
      "of a class of a module",
      "const was = fs.Stats.prototype.isFile; fs.Stats.prototype.isFile = () => true;",
      "fs.Stats.prototype.isFile = was;",
      /./,
    ],
    [
      "of a prototype that nothing names",
      "const of = Object.getPrototypeOf([].values()); const was = of.next; of.next = () => ({});",
      "of.next = was;",
      /./,
    ],
    [
      "of an attribute",
      "const was = Object.getOwnPropertyDescriptor(Math, 'max'); " +
        "Object.defineProperty(Math, 'max', { ...was, enumerable: true }); " +
        "pristine.redefined(Math);",
      "Object.defineProperty(Math, 'max', was);",
      /max/,
    ],
    [
      "of a prototype",
      "Object.setPrototypeOf(Math, { a: 1 }); pristine.redefined(Math);",
      "Object.setPrototypeOf(Math, Object.prototype);",
      /./,
    ],
    [
      "of a getter",
      "const was = Object.getOwnPropertyDescriptor(Map.prototype, 'size'); " +
        "Object.defineProperty(Map.prototype, 'size', { get: () => 1, configurable: true }); " +
        "pristine.redefined(Map.prototype);",
      "Object.defineProperty(Map.prototype, 'size', was);",
      /size/,
    ],
  ])("%s is seen, and no more when it is undone", async (_, change, undo, what) => {
    const [before, during, after] = (await ask(
      `const before = pristine.difference(); ${change} const during = pristine.difference();
       ${undo} return [before, during, pristine.difference()];`,
    )) as (string | undefined)[];
    expect([before, after]).toEqual([undefined, undefined]);
    expect(during).toMatch(/^(.* was changed|something was changed)$/);
    expect(during).toMatch(what);
  });

  it.each([
    ["a method", "Array.prototype.map"],
    ["a function of a module", "fs.statSync"],
    ["a function without a name", "Object.getOwnPropertyDescriptor(Map.prototype, 'size').get"],
  ])("on %s itself cannot be made", async (_, what) => {
    expect(await ask(`${what}.left = 1; return [${what}.left, pristine.difference()];`)).toEqual([
      undefined,
      undefined,
    ]);
    expect(await ask(`"use strict"; ${what}.left = 1;`)).toMatch(/^threw .*not extensible/);
  });

  it("of what is a step's own is none", async () => {
    const body = `class Own {} Own.prototype.a = 1; Own.b = 2; pristine.redefined(Own);
      pristine.redefined(new Proxy({}, {})); const map = new Map([[1, 2]]); map.left = 1;
      return pristine.difference();`;
    expect(await ask(body)).toBeUndefined();
  });

  it("of a class that was taken in later is seen", async () => {
    const body = (how: string): string => `
      class Made { a() {} } ${how}
      const before = pristine.difference(); Made.prototype.a = 1;
      const during = pristine.difference(); delete Made.prototype.a;
      Object.defineProperty(Made.prototype, "a", { value() {}, configurable: true });
      return [before, during !== undefined];`;
    expect(await ask(body("pristine.adopt(new Made());"))).toEqual([undefined, true]);
    const other = started();
    expect(await other(body("pristine.include({ Made, text: 1 });"))).toEqual([undefined, true]);
    const none = started();
    expect(await none(body(""))).toEqual([undefined, false]);
  });
});

describe("a module", () => {
  it.each([
    ['import "node:domain"', "node:domain was used"],
    ["require('inspector')", "node:inspector was used"],
  ])("that reaches past a thread is none to share: %s", async (text, why) => {
    const ask = started();
    expect(
      await ask(`pristine.foresee(${JSON.stringify(text)}); return pristine.difference()`),
    ).toBe(why);
    // And so it stays.
    expect(await ask("pristine.foresee(''); return pristine.difference()")).toBe(why);
  });

  it("that is foreseen is prepared and taken in; one that is not is told", async () => {
    const ask = started();
    expect(
      await ask(`pristine.foresee('import { x } from "zlib"; import y from "./zlib.js"');
        return [prepared.includes("zlib"), prepared[0], pristine.difference()]`),
    ).toEqual([true, "globalThis", undefined]);
    const load = "require('node:dgram'); return pristine.difference()";
    expect(await ask(load)).toBe("node:dgram was used unforeseen");
    expect(await ask("return pristine.difference()")).toBe("node:dgram was used unforeseen");
  });
});
