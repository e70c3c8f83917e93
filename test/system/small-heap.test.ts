/**
 * How wide V8 makes the young heap of a daemon and of a command when much survives in it, as their
 * own processes tell it.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { orchd, startDaemon } from "../support/daemon.ts";
import { projectRoot } from "../support/project-root.ts";
import { ended, submit } from "../support/request.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

/**
 * At its end, lets 100 MB survive and writes how many MiB the young heap takes: 32 in a process
 * that sets no flags.
 */
const TELLS = `import { writeFileSync } from "node:fs";
import { getHeapSpaceStatistics } from "node:v8";
import { isMainThread } from "node:worker_threads";
const youngMiB = () =>
  getHeapSpaceStatistics().find((space) => space.space_name === "new_space").space_size / 1048576;
if (isMainThread && /orchd\\.js$/.test(process.argv[1]))
  process.on("exit", () => {
    const kept = [];
    for (let made = 0; made < 800; made += 1) kept.push(new Array(16384).fill({ made }));
    writeFileSync(process.env.TELLS_INTO, JSON.stringify(youngMiB()));
  });
`;

function telling(): { readonly at: TempRoot; readonly env: Record<string, string> } {
  const at = tempRoot({
    "tells.mjs": TELLS,
    "schedules/one.yaml": 'steps: { one: { run: "sleep 0.3" } }\n',
  });
  const env = {
    NODE_OPTIONS: `--import=${join(at.root, "tells.mjs")}`,
    TELLS_INTO: join(at.root, "young"),
  };
  return { at, env };
}

const youngMiB = ({ root }: TempRoot): number => Number(readFileSync(join(root, "young"), "utf8"));

describe("the young heap", () => {
  it("stays at 2 MiB in a command", async () => {
    const { at, env } = telling();
    const { status } = await orchd(at.root, "validate", { env });
    expect(status).toBe(0);
    expect(youngMiB(at)).toBe(2);
  });

  it("is 8 MiB in a daemon that was busy", async () => {
    const { at, env } = telling();
    const daemon = await startDaemon({ root: at.root, env });
    await ended(at.runs, await submit(at.runs, "one"));
    await daemon.end("SIGTERM");
    expect(youngMiB(at)).toBe(8);
  });
});

/** Says how much of the young heap is in use before and after, and how wide it is then. */
const EMPTIES = `import { getHeapSpaceStatistics } from "node:v8";
import { emptyYoungHeap } from ${JSON.stringify(join(projectRoot, "dist/src/small-heap.js"))};
const young = () => getHeapSpaceStatistics().find((space) => space.space_name === "new_space");
emptyYoungHeap();
const made = [];
while (young().space_used_size < 2_500_000) made.push(new Array(128).fill({}));
made.length = 0;
emptyYoungHeap();
const { space_used_size, space_size } = young();
console.log(JSON.stringify([space_used_size < 1_500_000, space_size / 1048576]));
`;

it("the young heap is wide and nearly empty where much is about to be made", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "--eval",
    EMPTIES,
  ]);
  expect(JSON.parse(stdout)).toEqual([true, 8]);
});
