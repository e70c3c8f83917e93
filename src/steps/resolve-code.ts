/**
 * Finds user code: imports the bundle, once a thread, and picks the function that a CodeRef names.
 *
 * A step that a module makes but does not export can be picked too, by its number in the order in
 * which the module makes steps (`made:N`). The same bundle always gives the same number.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { FAILURE_CODES, mapTexts, type StepError } from "../core/failure.ts";
import { KIND_SYMBOL, OPENING_SYMBOL } from "../core/loaded-definition.ts";
import type { CodeRef } from "../core/snapshot.ts";
import { messageOf } from "../core/thrown.ts";
import { bundleFactory, type BundleFactory } from "./bundle-factory.ts";
import {
  COLLECTOR_SYMBOL,
  DEFINITIONS_SYMBOL,
  FUNCTION_SYMBOL,
  ORIGIN_SYMBOL,
  stepParts,
  type StepParts,
} from "./authoring.ts";
import { RuntimeImports } from "./runtime-import.ts";
import { SourcePlaces } from "./source-places.ts";

/** The last statement of a bundle whose entry is a CommonJS module; esbuild writes no other one. */
const COMMON_JS = /^export default require_\w*\(\);$/m;
/** Every CommonJS module that this thread has loaded, by its path. */
const required = createRequire(import.meta.url).cache;
const OWN_FOLDER = fileURLToPath(new URL("..", import.meta.url));

/** User code that is not there, or that does not load. */
export class LoadError extends Error {
  override readonly name = "LoadError";
  readonly code: string = FAILURE_CODES.load;
}

/** A function that a user wrote. */
export type UserFunction = (context: unknown) => unknown;

/** A bundle that was imported. */
export interface LoadedModule {
  readonly exports: { readonly [name: string]: unknown };
  /** The steps that were made while the module was evaluated, in order. */
  readonly made: readonly unknown[];
  /** The definitions that were made meanwhile: by `pipeline()` and `dynamicPipeline()`. */
  readonly defined: readonly unknown[];
}

/** A bundle, and its instances by pipeline. */
interface Bundle {
  readonly text: string;
  readonly url: string;
  /** Made for the second instance. */
  factory?: Promise<BundleFactory | undefined>;
  readonly instances: Map<string, LoadedModule>;
}

/**
 * The bundles that a thread has imported: once for each pipeline, because what a module keeps (a
 * client, a counter) belongs to the pipeline that made it do so.
 */
export class Modules {
  readonly #folder: string;
  readonly #loaded = new Map<string, Bundle>();
  readonly #onText: (text: string) => Promise<void> | undefined;
  readonly #places: SourcePlaces;
  readonly #runtime = new RuntimeImports();
  /** While a module is evaluated: what to call when it opens a root. */
  readonly #loading = new AsyncLocalStorage<() => void>();
  /** Whether a bundle makes a `require` of its own, which nobody sees into. */
  #makesRequire = false;

  /** @param onText gets a bundle's text before it is evaluated */
  constructor(folder: string, onText: (text: string) => Promise<void> | undefined) {
    this.#folder = folder;
    this.#onText = onText;
    this.#places = new SourcePlaces(folder);
    this.#places.install();
    this.#runtime.install();
    const global = globalThis as Record<symbol, unknown>;
    global[COLLECTOR_SYMBOL] = undefined;
    global[DEFINITIONS_SYMBOL] = undefined;
    global[OPENING_SYMBOL] = (): Promise<never> => this.#opening();
  }

  /** An error with all its stacks in terms of the sources. */
  placed(error: StepError): StepError {
    return mapTexts(error, (text, part) => (part === "stack" ? this.#places.text(text) : text));
  }

  /** A file of the user's own that was loaded beside the bundles; undefined if there is none. */
  get loadedBeside(): string | undefined {
    if (this.#runtime.loaded === undefined && this.#makesRequire)
      this.#runtime.loaded = Object.keys(required).find(
        (path) => !path.includes("/node_modules/") && !path.startsWith(OWN_FOLDER),
      );
    return this.#runtime.loaded;
  }

  /** A module that was imported before: with it a step need not wait for a promise. */
  loaded(code: CodeRef, pipeline: string): LoadedModule | undefined {
    return this.#loaded.get(code.bundle)?.instances.get(pipeline);
  }

  /** Imports a bundle. @throws LoadError if it is not there, or throws while it is evaluated */
  async load(code: CodeRef, pipeline: string): Promise<LoadedModule> {
    const known = this.#loaded.get(code.bundle);
    const own = known?.instances.get(pipeline);
    if (own !== undefined) return own;
    const bundle = known ?? (await this.#read(code));
    const { text } = bundle;
    const made: unknown[] = [];
    const defined: unknown[] = [];
    const global = globalThis as Record<symbol, unknown>;
    global[COLLECTOR_SYMBOL] = made;
    global[DEFINITIONS_SYMBOL] = defined;
    try {
      const imported = await this.#evaluated(bundle);
      const exports = COMMON_JS.test(text) ? namesOf(imported["default"]) : imported;
      for (const step of made) nameByOrigin(step, join(this.#folder, `${code.bundle}.mjs`), text);
      const module = { exports, made, defined };
      bundle.instances.set(pipeline, module);
      this.#loaded.set(code.bundle, bundle);
      return module;
    } catch (error) {
      throw asLoadError(code, error);
    } finally {
      // Not deleted: V8 forgets what it compiled when a global goes.
      global[COLLECTOR_SYMBOL] = undefined;
      global[DEFINITIONS_SYMBOL] = undefined;
    }
  }

  /**
   * Evaluates a bundle, or as much of it as stands before a program opens its root: what it does
   * with the root is for the program's own process.
   */
  async #evaluated(bundle: Bundle): Promise<LoadedModule["exports"]> {
    let reach!: () => void;
    const reached = new Promise<void>((resolve) => (reach = resolve));
    // A program that does not wait at its top level ends its evaluation first, and has exports.
    const opened = reached.then(() => new Promise<void>((resolve) => setImmediate(resolve)));
    return await this.#loading.run(reach, () =>
      Promise.race([evaluate(bundle), opened.then(() => ({}))]),
    );
  }

  /** What `openRoot` gives in a thread. */
  #opening(): Promise<never> {
    const reach = this.#loading.getStore();
    if (reach === undefined)
      return Promise.reject(
        new Error("openRoot is for programs: a step runs within a run of one."),
      );
    reach();
    return new Promise(() => undefined);
  }

  async #read(code: CodeRef): Promise<Bundle> {
    const path = join(this.#folder, `${code.bundle}.mjs`);
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch {
      throw new LoadError(
        `${code.source}: its compiled code ${path} is gone; load the pipeline again ` +
          '("orchd validate"), or start a new run instead of re-running this one',
      );
    }
    await this.#onText(text);
    this.#makesRequire ||= /\bcreateRequire\b(?! as __orchd_)/.test(text);
    const url = pathToFileURL(path).href;
    return { text, url, instances: new Map() };
  }
}

/** Makes an instance of a bundle's module. */
async function evaluate(bundle: Bundle): Promise<LoadedModule["exports"]> {
  const { text, url, instances } = bundle;
  if (instances.size === 0) return (await import(url)) as LoadedModule["exports"];
  bundle.factory ??= bundleFactory(text, url);
  const factory = await bundle.factory;
  // Another query is another instance of the module.
  return factory === undefined
    ? ((await import(`${url}?${instances.size}`)) as LoadedModule["exports"])
    : factory();
}

/**
 * What a CommonJS module exports, as an ES module would: `module.exports` is the default export,
 * unless it says itself what is (`exports.default`, as compilers write it), and each of its members
 * is an export of that name.
 */
function namesOf(whole: unknown): LoadedModule["exports"] {
  if (whole === null || (typeof whole !== "object" && typeof whole !== "function"))
    return { default: whole };
  // Getters stay: compilers write them for what is exported from another module.
  const exports = Object.defineProperties({}, Object.getOwnPropertyDescriptors(whole)) as Table;
  return typeof whole === "object" && Object.hasOwn(whole, "default")
    ? exports
    : Object.defineProperty(exports, "default", {
        value: whole,
        enumerable: true,
        configurable: true,
      });
}

/**
 * Names a step by the variable that the bundle assigns it to: `var check = step(` gives `check`.
 */
function nameByOrigin(step: unknown, path: string, text: string): void {
  const stack = (step as Record<symbol, unknown>)[ORIGIN_SYMBOL];
  if (typeof stack !== "string") return;
  const call = stack.split("\n").find((frame) => frame.includes(path));
  const lineNumber = Number(call?.match(/:(\d+):\d+\)?$/)?.[1]);
  const line = text.split("\n")[lineNumber - 1];
  const name = line?.match(
    /(?:^|\s)(?:var|let|const)?\s*([A-Za-z_$][\w$]*)\s*=\s*(?:\/\*.*?\*\/\s*)?[\w$.()0, ]*\(/,
  )?.[1];
  if (name !== undefined) Object.defineProperty(step, "name", { value: name });
}

function asLoadError(code: CodeRef, error: unknown): LoadError {
  const because = messageOf(error);
  const failed = new LoadError(`${code.source} could not be loaded: ${because}`, {
    cause: error,
  });
  if (error instanceof Error && error.stack !== undefined)
    failed.stack = `${failed.name}: ${failed.message}\n${error.stack}`;
  return failed;
}

/**
 * The function that `code.pick` names.
 *
 * @throws LoadError if there is none; it says what the module has instead
 */
export function pickFunction(module: LoadedModule, code: CodeRef): UserFunction {
  const found = pickValue(module, code);
  if (typeof found === "function") return (stepParts(found)?.run ?? found) as UserFunction;
  const [kind, name] = code.pick.split(":");
  if (kind === "export") {
    const names = Object.keys(module.exports);
    const wanted = name === "default" ? "has no default export" : `exports no "${name ?? ""}"`;
    if (found !== undefined)
      throw new LoadError(
        `${code.source}: the export "${name ?? ""}" is ${kindText(found)}; it has to be a function`,
      );
    throw new LoadError(
      `${code.source} ${wanted}; it exports ${names.length === 0 ? "nothing" : names.join(", ")}`,
    );
  }
  throw new LoadError(`${code.source} has no function at ${code.pick}: it is ${kindText(found)}`);
}

/** The value that `code.pick` names; undefined if there is none. */
export function pickValue(module: LoadedModule, code: CodeRef): unknown {
  const within = withinDefinition(code.pick);
  if (within !== undefined)
    return pickIn(module, definitionNamed(module, code, within.name), within.pick);
  return pickIn(module, module.exports["default"], code.pick);
}

/** `in:NAME:PICK` is PICK of the definition NAME that the module makes, exported or not. */
export function withinDefinition(
  pick: string,
): { readonly name: string; readonly pick: string } | undefined {
  // It is asked for each step, and a pattern costs as much as the rest.
  const found = pick.startsWith("in:") ? /^in:([^:]*):(.*)$/s.exec(pick) : null;
  return found === null ? undefined : { name: found[1]!, pick: found[2]! };
}

/** @throws LoadError where the module does not make exactly one definition of that name */
function definitionNamed({ defined }: LoadedModule, code: CodeRef, name: string): unknown {
  const found = defined.filter((each) => ((each as { name?: string }).name ?? "") === name);
  if (found.length === 1) return found[0];
  const which = name === "" ? "without a name" : JSON.stringify(name);
  throw new LoadError(
    found.length === 0
      ? `${code.source} makes no pipeline ${which} before it opens a root; ` +
          "make it before openRoot is called, or in a module of its own"
      : `${code.source} makes ${found.length} pipelines ${which}; give each a name of its own`,
  );
}

/** A pick in its parts. */
interface Picked {
  readonly pick: string;
  readonly kind: string;
  readonly name: string;
  readonly owner: string;
}

/** The pick that was asked for last: the steps of a fan-out have one function. */
let lastPicked: Picked = { pick: "", kind: "", name: "", owner: "" };

function picked(pick: string): Picked {
  if (pick === lastPicked.pick) return lastPicked;
  const [kind = "", name = "", owner = ""] = pick.split(":");
  return (lastPicked = { pick, kind, name, owner });
}

function pickIn(module: LoadedModule, whole: unknown, pick: string): unknown {
  const { kind, name, owner } = picked(pick);
  const { exports } = module;
  const definition = whole as { steps?: Table; hooks?: Table } | undefined;
  switch (kind) {
    case "definition":
      return definition;
    case "export":
      return Object.hasOwn(exports, name) ? exports[name] : undefined;
    case "step":
      return usesOf(definition?.steps?.[name]);
    case "hook":
      return owner === ""
        ? definition?.hooks?.[name]
        : settingsOf(definition?.steps?.[owner]).hooks?.[name];
    case "cache":
      return settingsOf(definition?.steps?.[name]).cache?.["cacheFunction"];
    case "function":
      return (definition as unknown as Record<symbol, unknown> | undefined)?.[FUNCTION_SYMBOL];
    case "made":
      return owner === ""
        ? module.made[Number(name)]
        : madeMember(module.made[Number(name)], owner);
    default:
      return undefined;
  }
}

interface Table {
  readonly [name: string]: unknown;
}
interface Settings {
  readonly uses?: unknown;
  readonly hooks?: Table | undefined;
  readonly cache?: Table | undefined;
}

/** What stands at `steps.X.uses`; the entry may be the step itself. */
function usesOf(entry: unknown): unknown {
  return typeof entry === "function" ? entry : (entry as Settings | undefined)?.uses;
}

/** An entry's keys, and those of its step that the entry does not have. */
export function settingsOf(entry: unknown): Settings {
  const own =
    typeof entry === "function" || entry === null || typeof entry !== "object"
      ? {}
      : (entry as Settings);
  const parts = stepParts(usesOf(entry));
  return parts === undefined ? own : mergeSettings(parts, own);
}

function mergeSettings(parts: StepParts, own: Settings): Settings {
  const { name: _name, ...options } = parts.options;
  return { ...(options as Settings), ...own };
}

/** A function among the options of a step: `made:N:onSuccess`, `made:N:cacheFunction`. */
function madeMember(made: unknown, member: string): unknown {
  const options: Settings | undefined = stepParts(made)?.options;
  return member === "cacheFunction" ? options?.cache?.["cacheFunction"] : options?.hooks?.[member];
}

/** Which function returned this definition: `pipeline()`, `dynamicPipeline()`, or neither. */
export function definitionKind(value: unknown): "pipeline" | "dynamic" | undefined {
  if (value === null || typeof value !== "object") return undefined;
  const kind = (value as Record<symbol, unknown>)[KIND_SYMBOL];
  return kind === "pipeline" || kind === "dynamic" ? kind : undefined;
}

function kindText(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  return Array.isArray(value)
    ? "a list"
    : typeof value === "object"
      ? "an object"
      : `a ${typeof value}`;
}
