/**
 * The quick way of `orchd status` refuses a root that is not there, as every command does; and it
 * runs from bytecode only where that is of the same text.
 */
import { spawnSync } from "node:child_process";
import { cpSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { runFast } from "../../src/cli/entry.ts";
import { orchdProgram } from "../support/daemon.ts";
import { projectRoot, tempRoot } from "../support/temp-root.ts";

it("a root that is not there is no empty project", async () => {
  const said: string[] = [];
  const write = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said.push(String(text));
    return true;
  });
  const root = join(tempRoot().root, "gone");
  const status = await runFast(["status", "--root", root]);
  write.mockRestore();
  expect(status).toBe(2);
  expect(said.join("")).toContain(root);
});

it("words that yargs has to read are left to it", async () => {
  expect(await runFast(["status", "--no-such-option"])).toBeUndefined();
  expect(await runFast(["runs"])).toBeUndefined();
});

/** The quick program of a built package. */
interface Quick {
  readonly text: string;
  readonly bytecode: string;
}

const OLD = "there is no pipeline";
const NEW = "THERE IS NO PIPELINE";

/** Changes a sentence of the program, not its length: V8 compares no more than that. */
function change({ text }: Quick): void {
  const changed = readFileSync(text, "latin1").replace(OLD, NEW);
  writeFileSync(text, changed, "latin1");
}

it.each<readonly [string, string, (quick: Quick) => void]>([
  ["as it was built", OLD, () => {}],
  ["without bytecode", OLD, ({ bytecode }) => rmSync(bytecode)],
  ["with something else for bytecode", OLD, ({ bytecode }) => writeFileSync(bytecode, "none")],
  [
    "with bytecode, whatever the text says",
    OLD,
    (quick) => {
      change(quick);
      utimesSync(quick.text, 1, 1);
    },
  ],
  [
    "with a text that is newer than the bytecode",
    NEW,
    (quick) => {
      change(quick);
      utimesSync(quick.bytecode, 1, 1);
    },
  ],
])("answers %s", (_, sentence, edit) => {
  const { root } = tempRoot();
  cpSync(join(projectRoot, "dist/bin"), join(root, "bin"), {
    recursive: true,
    preserveTimestamps: true,
    filter: (path) => !/[^/]\.mjs$/.test(path),
  });
  const text = /chunks\/quick-\w+\.js/.exec(readFileSync(orchdProgram, "utf8"))![0];
  const quick = join(root, "bin", text);
  edit({ text: quick, bytecode: quick.replace(/js$/, "cache") });
  const words = [join(root, "bin/orchd.js"), "status", "none", "--root", root];
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 3, stderr: expect.stringContaining(sentence) });
});
