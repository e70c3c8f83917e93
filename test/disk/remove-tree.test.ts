/** What cannot be removed for now is left, and whoever asked goes on. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { projectRoot, tempRoot } from "../support/temp-root.ts";

const MODULE = JSON.stringify(join(projectRoot, "dist/src/disk/remove-tree.js"));
const SOURCE = `
  import { closeSync, openSync } from "node:fs";
  import { removeTrees } from ${MODULE};
  const [first, second] = process.argv.slice(1);
  await removeTrees([first], { holdsProcess: true });
  const open = [];
  try {
    for (;;) open.push(openSync("/dev/null", "r"));
  } catch {}
  await removeTrees([second], { holdsProcess: true });
  for (const descriptor of open) closeSync(descriptor);
  console.log("goes on");
`;

it("leaves a folder where no descriptor is left for the process that removes", () => {
  const { root } = tempRoot({ "first/file": "", "second/file": "" });
  const [first, second] = [join(root, "first"), join(root, "second")];
  const { stdout, stderr } = spawnSync(
    "bash",
    [
      "-c",
      'ulimit -n 1024; exec "$@"',
      "bash",
      process.execPath,
      "--input-type=module",
      "-e",
      SOURCE,
      first,
      second,
    ],
    { encoding: "utf8" },
  );
  expect([stdout, stderr]).toEqual(["goes on\n", ""]);
  expect([existsSync(first), existsSync(second)]).toEqual([false, true]);
});
