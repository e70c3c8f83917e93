/**
 * A build while the last one is in use: dist/ is whole all the time, and a daemon goes on running
 * module steps.
 */
import { spawn } from "node:child_process";
import { appendFileSync, cpSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { orchd, startDaemon } from "../support/daemon.ts";
import { runsOf } from "../support/ledgers.ts";
import { projectRoot, tempRoot, type TempRoot } from "../support/temp-root.ts";

const SOURCES = [
  "build.mjs",
  "code-cache.mjs",
  "esbuild.config.mjs",
  "package.json",
  "tsconfig.json",
  "tsconfig.build.json",
  "daemon",
  "src",
  "dist",
];

/** A copy of the built project, which a test may change. */
function copy(): TempRoot {
  const at = tempRoot({
    "schedules/p.yaml": "steps: { only: { uses: ./steps/pid.ts } }\n",
    "schedules/steps/pid.ts": "export default () => process.pid;\n",
  });
  for (const name of SOURCES)
    cpSync(join(projectRoot, name), join(at.root, name), {
      recursive: true,
      filter: (path) => !path.includes("dist/bench") && !path.includes("dist/test-programs"),
    });
  at.linkPackages();
  return at;
}

/** Without a check of types, which changes no file of dist/. */
function build(cwd: string): Promise<number | null> {
  const words = ["build.mjs", "--unchecked"];
  const child = spawn(process.execPath, words, { cwd, stdio: "ignore" });
  return new Promise((resolve, reject) => void child.on("error", reject).on("exit", resolve));
}

it(
  "commands work while dist/ is built, and module steps of a daemon before and after",
  { timeout: 120_000 },
  async () => {
    const { root } = copy();
    const program = join(root, "dist/bin/orchd.js");
    const daemon = await startDaemon({ root, program });
    const runnerOf = async (): Promise<number> => {
      const { stderr, status } = await orchd(root, "run", "p", "--wait", "--no-cache", { program });
      expect({ status, stderr }).toMatchObject({ status: 0 });
      const completed = runsOf(join(root, "runs"), "p")
        .at(-1)!
        .lines.find(({ type }) => type === "step.completed")!;
      return (completed["outputs"] as { result: number }).result;
    };
    const first = await runnerOf();

    // Enough of a change to give chunks new names, and a module that the new build does not have.
    appendFileSync(
      join(root, "src/cli/exit.ts"),
      "\nexport const another = 1;\nprocess.emitWarning.name;\n",
    );
    const stale = join(root, "dist/src/core/gone.js");
    cpSync(join(root, "dist/src/core/duration.js"), stale);
    const built = build(root);
    let over = false;
    void built.then(() => (over = true));
    let answers = 0;
    while (!over) {
      const { status, stderr } = await orchd(root, "next", "--json", { program });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      answers++;
    }
    expect(await built).toBe(0);
    expect(answers).toBeGreaterThan(0);
    expect(existsSync(stale)).toBe(false);
    expect(readdirSync(join(root, "dist"))).toEqual([".files", "bin", "daemon", "page", "src"]);

    // The runner that the daemon has, and one that starts from the new build.
    expect(await runnerOf()).toBe(first);
    process.kill(first, "SIGKILL");
    expect(await runnerOf()).not.toBe(first);
    expect(await daemon.end()).toEqual({ status: 0, signal: null });
  },
);

it("a build that fails leaves dist/ as it was", { timeout: 60_000 }, async () => {
  const { root } = copy();
  appendFileSync(join(root, "tsconfig.build.json"), "{");
  const files = (): string[] =>
    readdirSync(join(root, "dist"), { recursive: true, encoding: "utf8" });
  const before = files();
  expect(await build(root)).toBe(1);
  expect(files()).toEqual(before);
  expect((await orchd(root, "status", { program: join(root, "dist/bin/orchd.js") })).status).toBe(
    0,
  );
});
