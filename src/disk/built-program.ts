import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION } from "../version.ts";

/**
 * The package's folder is not of this process's release, or not whole: it was installed anew, or is
 * being installed. Its programs may not understand this process.
 */
export class OtherRelease extends Error {
  override readonly name = "OtherRelease";
}

/**
 * The path of one of the package's built programs: `dist/daemon/NAME.js`, or of the command line:
 * `dist/bin/orchd.js`. Whatever this module was built into, the package's folder is above it.
 *
 * @param above where the package's folder is looked for, and then above it; default: this module's
 * @throws Error, with what to do, if nothing was built; OtherRelease
 */
export function builtProgram(
  name: string,
  folder: "daemon" | "bin" = "daemon",
  above = dirname(fileURLToPath(import.meta.url)),
): string {
  const manifest = join(above, "package.json");
  const installed = existsSync(manifest) ? versionIn(manifest) : undefined;
  // dist/bin has a manifest too, without a version: it says of what kind the files there are.
  if (installed === undefined) {
    if (above === dirname(above))
      throw new Error("the package's folder was not found: no package.json above this module");
    return builtProgram(name, folder, dirname(above));
  }
  if (installed !== VERSION)
    throw new OtherRelease(
      `orchd ${installed} was installed while this process is orchd ${VERSION}: start it again`,
    );
  const program = join(above, "dist", folder, `${name}.js`);
  if (existsSync(program)) return program;
  throw new Error(
    `${program} does not exist: it has to be built JavaScript, so run "npm run build" first`,
  );
}

/** Why no program of the package may be started now, in a clause. Undefined: that is no reason. */
export function whyOtherRelease(above?: string): string | undefined {
  try {
    builtProgram("runner", "daemon", above);
    return undefined;
  } catch (error) {
    return error instanceof OtherRelease ? error.message : undefined;
  }
}

function versionIn(manifest: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(manifest, "utf8")) as { version?: string }).version;
  } catch {
    throw new OtherRelease(`${manifest} is not whole: is orchd being installed?`);
  }
}
