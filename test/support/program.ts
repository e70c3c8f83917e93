/** Small programs that tests start as processes of their own, in TypeScript: bundled by esbuild, since Node 20 runs none. */
import { build } from "esbuild";
import { join } from "node:path";
import { projectRoot } from "./temp-root.ts";

/** Bundles `test/faults/programs/NAME.ts` and gives the JavaScript file's path. Packages stay outside, and resolve from the project. */
export async function buildProgram(name: string): Promise<string> {
  const outfile = join(projectRoot, "dist/test-programs", `${name}-${process.pid}.mjs`);
  await build({
    entryPoints: [join(projectRoot, "test/faults/programs", `${name}.ts`)],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    logLevel: "error",
    outfile,
  });
  return outfile;
}
