import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * The path of one of the package's built programs: `dist/daemon/NAME.js`, or of the command line:
 * `dist/bin/orchd.js`. Whatever this module was built into, the package's folder is above it.
 *
 * @throws Error, with what to do, if nothing was built
 */
export function builtProgram(name: string, folder: "daemon" | "bin" = "daemon"): string {
  for (let above = dirname(fileURLToPath(import.meta.url)); ; above = dirname(above)) {
    if (existsSync(join(above, "package.json"))) {
      const program = join(above, "dist", folder, `${name}.js`);
      if (existsSync(program)) return program;
      throw new Error(
        `${program} does not exist: it has to be built JavaScript, so run "npm run build" first`,
      );
    }
    if (above === dirname(above))
      throw new Error("the package's folder was not found: no package.json above this module");
  }
}
