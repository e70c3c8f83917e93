/**
 * Programs in TypeScript that tests start as processes of their own. esbuild bundles them, since
 * Node 20 runs no TypeScript.
 *
 * A program can be built without a protection, as the control of the test of that protection: one
 * passage of the sources is replaced in the build, so the program needs no switch for it. The build
 * fails if the passage is not there: the control must follow the code.
 */
import { build, type Plugin } from "esbuild";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "./temp-root.ts";

/** A passage of a source file, and what replaces it. */
export interface Plant {
  /** The file's path below the project's folder. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/**
 * Bundles `test/faults/programs/NAME.ts` and gives the path of the JavaScript file. Packages are
 * not bundled; they are found from the project.
 */
export function buildProgram(name: string, plant?: Plant): Promise<string> {
  return bundle(
    `test/faults/programs/${name}.ts`,
    plant === undefined ? name : `planted-${name}`,
    plant,
  );
}

/**
 * Builds `orchd` with a passage replaced, and gives the program's path, for `startDaemon({ program
 * })`. Its runners are those of dist/.
 */
export function buildPlanted(name: string, plant: Plant): Promise<string> {
  return bundle("test/faults/programs/orchd.ts", name, plant);
}

/** Bundles the program of a worker thread, of the sources as they are here, and gives its path. */
export function buildThread(): Promise<string> {
  return bundle("daemon/worker.ts", "worker", undefined);
}

async function bundle(entry: string, name: string, plant: Plant | undefined): Promise<string> {
  const outfile = join(projectRoot, "dist/test-programs", `${name}-${process.pid}.mjs`);
  await build({
    entryPoints: [join(projectRoot, entry)],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    logLevel: "error",
    outfile,
    plugins: plant === undefined ? [] : [planted(plant)],
  });
  return outfile;
}

function planted({ file, from, to }: Plant): Plugin {
  const source = join(projectRoot, file);
  return {
    name: "plant",
    setup(bundler) {
      bundler.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (path !== source) return undefined;
        const text = readFileSync(path, "utf8");
        if (text.split(from).length !== 2)
          throw new Error(`${file} does not hold this once: ${from}`);
        return { contents: text.replace(from, () => to), loader: "ts" };
      });
    },
  };
}
