/** Whose runs folder it is, and whether it can be written: what a person is told. */
import { chownSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import {
  foreignDaemonsFolder,
  foreignRunsFolder,
  makeRunsFolder,
} from "../../src/engine/runs-folder.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";

const own = process.geteuid!();

it("is made where it is missing", () => {
  const store = new RunStore(join(tempRoot().root, "other/runs"));
  expect(makeRunsFolder(store)).toBeUndefined();
  expect(existsSync(store.orchdDir)).toBe(true);
  expect(statSync(store.orchdDir).mode & 0o777).toBe(0o750);
});

it("a file in its place is told", () => {
  const { root } = tempRoot();
  writeFileSync(join(root, "file"), "");
  const path = join(root, "file/runs");
  expect(makeRunsFolder(new RunStore(path))).toBe(
    `the folder ${path}/.orchd cannot be made: a part of its path is a file (ENOTDIR); ` +
      "name a folder that can be written with --runs or --root.",
  );
});

it.runIf(own === 0)("another user's is not written, neither by a run nor by a daemon", () => {
  const store = new RunStore(tempRoot().runs);
  chownSync(store.runsDir, 12_345, 12_345);
  const told =
    `the runs folder ${store.runsDir} belongs to user 12345, and this is user 0: ` +
    "a daemon of that user could not go on with what is written here.";
  expect(foreignRunsFolder(store)).toBe(
    `${told} Run it as that user (\`sudo -u '#12345' orchd run …\`), ` +
      "or leave --foreground out to ask the daemon.",
  );
  // No daemon has been there: it is nobody's yet.
  expect(foreignDaemonsFolder(store)).toBeUndefined();
  mkdirSync(store.orchdDir);
  chownSync(store.orchdDir, 12_345, 12_345);
  expect(foreignDaemonsFolder(store)).toBe(
    `${told} Run it as that user (\`sudo -u '#12345' orchd start\`).`,
  );
  // Who made .orchd has the folder as much as its owner.
  chownSync(store.orchdDir, 0, 0);
  expect([foreignRunsFolder(store), foreignDaemonsFolder(store)]).toEqual([undefined, undefined]);
});

it("one's own, or none, is nobody else's", () => {
  const { root, runs } = tempRoot();
  expect(foreignRunsFolder(new RunStore(runs))).toBeUndefined();
  expect(foreignRunsFolder(new RunStore(join(root, "none")))).toBeUndefined();
});
