/** esbuild's process: what is said where it ends under a call, and that the next has another. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, it, onTestFinished } from "vitest";
import { BundlerLost, stopBundler, withBundler } from "../../src/schedules/bundler.ts";

/** The pids of esbuild's processes that this one has. */
function bundlers(): number[] {
  const task = `/proc/${process.pid}/task`;
  return readdirSync(task)
    .flatMap((thread) => readFileSync(`${task}/${thread}/children`, "utf8").split(" "))
    .filter((pid) => pid !== "")
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("--service="))
    .map(Number);
}

it("tells a process that ended from a fault in the code, and has another next time", async () => {
  onTestFinished(() => stopBundler());
  await withBundler((esbuild) => esbuild.transform("let a = 1;"));
  // It waits for this process in the middle of a call, and is killed there.
  const lost = withBundler((esbuild) =>
    esbuild.build({
      entryPoints: ["it"],
      write: false,
      plugins: [
        {
          name: "killer",
          setup(build) {
            build.onResolve({ filter: /./ }, () => {
              for (const pid of bundlers()) process.kill(pid, "SIGKILL");
              return new Promise(() => undefined);
            });
          },
        },
      ],
    }),
  );
  await expect(lost).rejects.toThrow(BundlerLost);
  await expect(lost).rejects.toThrow(/^esbuild, which bundles code, was ended: The service was st/);
  const fault = withBundler((esbuild) => esbuild.transform("let a = ;"));
  await expect(fault).rejects.toThrow("Unexpected");
  await expect(fault).rejects.not.toThrow(BundlerLost);
  const { code } = await withBundler((esbuild) => esbuild.transform("let a = 1;"));
  expect(code).toBe("let a = 1;\n");
});
