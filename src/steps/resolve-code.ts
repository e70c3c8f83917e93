/**
 * Finds user code: imports the bundle, once a thread, and picks the function that a CodeRef names.
 *
 * A step that a module makes but does not export can be picked too, by its number in the order in
 * which the module makes steps (`made:N`). The same bundle always gives the same number.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { FAILURE_CODES } from "../core/failure.ts";
import { KIND_SYMBOL } from "../core/loaded-definition.ts";
import type { CodeRef } from "../core/snapshot.ts";
import {
  COLLECTOR_SYMBOL,
  FUNCTION_SYMBOL,
  ORIGIN_SYMBOL,
  stepParts,
  type StepParts,
} from "./authoring.ts";

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
}

/** The bundles that a thread has imported. */
export class Modules {
  readonly #folder: string;
  readonly #loaded = new Map<string, LoadedModule>();
  readonly #onText: (text: string) => void;

  /** @param onText gets a bundle's text before it is evaluated */
  constructor(folder: string, onText: (text: string) => void) {
    this.#folder = folder;
    this.#onText = onText;
  }

  /** A module that was imported before: with it a step need not wait for a promise. */
  loaded(code: CodeRef): LoadedModule | undefined {
    return this.#loaded.get(code.bundle);
  }

  /** Imports a bundle. @throws LoadError if it is not there, or throws while it is evaluated */
  async load(code: CodeRef): Promise<LoadedModule> {
    const known = this.#loaded.get(code.bundle);
    if (known !== undefined) return known;
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
    this.#onText(text);
    const made: unknown[] = [];
    const global = globalThis as Record<symbol, unknown>;
    global[COLLECTOR_SYMBOL] = made;
    try {
      const exports = (await import(pathToFileURL(path).href)) as LoadedModule["exports"];
      for (const step of made) nameByOrigin(step, path, text);
      const module = { exports, made };
      this.#loaded.set(code.bundle, module);
      return module;
    } catch (error) {
      throw asLoadError(code, error);
    } finally {
      delete global[COLLECTOR_SYMBOL];
    }
  }
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
  const because = error instanceof Error ? error.message : String(error);
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
  const [kind, name = "", owner = ""] = code.pick.split(":");
  const { exports } = module;
  const definition = exports["default"] as { steps?: Table; hooks?: Table } | undefined;
  switch (kind) {
    case "export":
      // The bundle of a CommonJS module has only a default export, which holds the others.
      return name in exports ? exports[name] : (exports["default"] as Table | undefined)?.[name];
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
