/**
 * Answers imports whose names a step computes as it runs, from the place of the source file.
 *
 * In a bundle, `import(name)` would look beside the bundle. So user-code.ts puts calls of these in
 * the place of such imports; they stand at a registered symbol, since a bundle is a module of its
 * own. What is loaded in this way is not part of the bundle: it may change while the bundle does
 * not, and a thread never forgets a module. So a thread that has loaded such a file of the user's
 * own is not used for another task.
 */
import { existsSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { extname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const RUNTIME_SYMBOL: symbol = Symbol.for("orchd.runtime");
const TYPESCRIPT = new Set([".ts", ".mts", ".cts", ".tsx"]);

/** The imports by computed names of one thread. */
export class RuntimeImports {
  /** A file of the user's own that was loaded; undefined if there was none. */
  loaded: string | undefined;

  /** Makes bundles of this thread find it. */
  install(): void {
    (globalThis as Record<symbol, unknown>)[RUNTIME_SYMBOL] = {
      importFrom: (file: string, name: unknown, options?: ImportCallOptions) =>
        this.#import(file, name, options),
      requireFrom: (file: string) => this.#requireFrom(file),
      resolveFrom: (file: string, name: unknown) => resolved(file, String(name)),
    };
  }

  async #import(file: string, name: unknown, options?: ImportCallOptions): Promise<unknown> {
    const url = resolved(file, String(name));
    if (url.startsWith("file:")) this.#check(fileURLToPath(url), file);
    return (await import(url, options)) as unknown;
  }

  #check(path: string, file: string): void {
    if (!existsSync(path)) {
      const message = `Cannot find module '${path}' imported from ${file}`;
      throw Object.assign(new Error(message), { code: "ERR_MODULE_NOT_FOUND" });
    }
    if (TYPESCRIPT.has(extname(path)) && !("typescript" in process.features)) {
      const message =
        `${path}, imported from ${file}, is TypeScript: name its folder where it is imported, ` +
        "as in import(`./jobs/${name}.ts`), so that it is compiled with the step";
      throw Object.assign(new Error(message), { code: "ERR_UNKNOWN_FILE_EXTENSION" });
    }
    this.#note(path);
  }

  #note(path: string): void {
    if (!path.includes("/node_modules/")) this.loaded ??= path;
  }

  #requireFrom(file: string): NodeJS.Require {
    const plain = createRequire(file);
    const noting = (name: string): unknown => {
      const path = plain.resolve(name);
      if (!isBuiltin(path)) this.#note(path);
      return plain(name);
    };
    return Object.assign(noting, plain);
  }
}

/** The URL that a name means in a file, as `import()` resolves it. */
function resolved(file: string, name: string): string {
  if (/^(?:\.{0,2}\/)/.test(name)) return new URL(name, pathToFileURL(file)).href;
  if (isBuiltin(name) || /^[a-z][\w+.-]*:/i.test(name)) return name;
  try {
    return pathToFileURL(createRequire(file).resolve(name)).href;
  } catch (error) {
    // A package for `import` alone: Node finds it from the bundle, if it is the root's.
    if ((error as NodeJS.ErrnoException).code === "ERR_PACKAGE_PATH_NOT_EXPORTED") return name;
    const message = `Cannot find package '${name}' imported from ${file}`;
    throw Object.assign(new Error(message), { code: "ERR_MODULE_NOT_FOUND" });
  }
}
