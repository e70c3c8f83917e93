/** A program gets the files that it is given: here by a process that a shell opened others for. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { projectRoot, tempRoot } from "../support/temp-root.ts";

const built = (file: string): string => JSON.stringify(join(projectRoot, "dist/src/disk", file));
const SOURCE = `
  import { startApart } from ${built("apart-program.js")};
  import { inheritedDescriptors } from ${built("inherited-descriptors.js")};
  const child = startApart("ls", ["-l", "/proc/self/fd"], { stdio: ["ignore", "pipe", "inherit"] });
  child.stdout.pipe(process.stdout);
  child.on("close", () => console.log("own", JSON.stringify(inheritedDescriptors(3))));
`;

it("gets nothing of what its starter was given, which keeps it", () => {
  const { root } = tempRoot({ secret: "nobody's" });
  const { stdout, stderr } = spawnSync(
    "bash",
    [
      "-c",
      'for n in 3 9 17 40 200; do eval "exec $n<$1"; done; exec "$2" --input-type=module -e "$3"',
      "bash",
      join(root, "secret"),
      process.execPath,
      SOURCE,
    ],
    { encoding: "utf8" },
  );
  expect(stderr).toBe("");
  expect(stdout).toMatch(/ 0 -> \/dev\/null$/m);
  expect(stdout).not.toContain("secret");
  const [, own] = /^own (\[.*\])$/m.exec(stdout)!;
  expect(JSON.parse(own!)).toEqual(expect.arrayContaining([40, 200]));
});
