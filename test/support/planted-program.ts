/**
 * The command line and the daemon with a protection taken out, as the control of a test that holds that protection: built from the sources with one passage
 * replaced, so that no switch for it stands in the program. A passage that is no longer there fails the build: the control has to follow the code.
 */
import { build } from "esbuild";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "./temp-root.ts";

/** A passage of a source file, and what stands in its place. */
export interface Plant {
  /** Below the project's folder. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Builds `orchd` so changed, and gives the program's path, for `startDaemon({ program })`. Its runners are the build's own. */
export async function buildPlanted(name: string, plant: Plant): Promise<string> {
  const source = join(projectRoot, plant.file);
  const outfile = join(projectRoot, "dist/test-programs", `${name}-${process.pid}.mjs`);
  await build({
    entryPoints: [join(projectRoot, "daemon/orchd.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    logLevel: "error",
    outfile,
    plugins: [
      {
        name: "plant",
        setup(bundler) {
          bundler.onLoad({ filter: /\.ts$/ }, ({ path }) => {
            if (path !== source) return undefined;
            const text = readFileSync(path, "utf8");
            if (text.split(plant.from).length !== 2) throw new Error(`${plant.file} does not hold this once: ${plant.from}`);
            return { contents: text.replace(plant.from, () => plant.to), loader: "ts" };
          });
        },
      },
    ],
  });
  return outfile;
}
