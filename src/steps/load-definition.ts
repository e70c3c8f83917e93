/**
 * Describes the pipeline that a module exports by default: the definition as JSON, with a mark in
 * the place of each function that says how to find it again.
 *
 * The marks are what `pickFunction` understands: a function that is marked here must be found
 * there, in the same bundle.
 */
import { stepParts } from "./authoring.ts";
import {
  definitionKind,
  LoadError,
  pickValue,
  settingsOf,
  withinDefinition,
  type LoadedModule,
} from "./resolve-code.ts";
import type { LoadedDefinition } from "../core/loaded-definition.ts";
import type { CodeRef, Json } from "../core/snapshot.ts";

type Path = readonly string[];

/**
 * Describes the default export of a module.
 *
 * @throws LoadError if it is no pipeline, or if it holds something that JSON cannot
 */
export function describeDefinition(module: LoadedModule, code: CodeRef): LoadedDefinition {
  const exported = pickValue(module, code);
  const kind =
    definitionKind(exported) ??
    (isPlain(exported) && ("steps" in exported || "schedule" in exported) ? "pipeline" : undefined);
  if (kind === undefined) {
    throw new LoadError(
      `${code.source}: the default export is no pipeline; write export default pipeline({ … }) ` +
        "or export default dynamicPipeline({ … }, async (run) => { … })",
    );
  }
  const { steps, ...rest } = exported as { readonly steps?: { readonly [id: string]: unknown } };
  const describe = new Describer(module, code);
  const definition: { [key: string]: Json } = {
    ...(describe.value(rest, []) as { [key: string]: Json }),
  };
  if (steps !== undefined)
    definition["steps"] = isPlain(steps)
      ? describeSteps(describe, steps)
      : describe.value(steps, ["steps"]);
  return { kind, definition };
}

function describeSteps(describe: Describer, steps: { readonly [id: string]: unknown }): Json {
  return Object.fromEntries(
    Object.entries(steps).map(([id, entry]) => {
      // `steps: { read }` is short for `steps: { read: { uses: read } }`.
      const whole = typeof entry === "function" ? { uses: entry } : entry;
      return [
        id,
        isPlain(whole)
          ? describe.value({ ...settingsOf(whole), ...whole }, ["steps", id])
          : describe.value(whole, ["steps", id]),
      ];
    }),
  );
}

class Describer {
  readonly #module: LoadedModule;
  readonly #code: CodeRef;

  constructor(module: LoadedModule, code: CodeRef) {
    this.#module = module;
    this.#code = code;
  }

  /** A value as JSON. Its functions are marked by the place at which they stand. */
  value(value: unknown, path: Path): Json {
    if (path.length > 100) return this.#refuse(path, "is nested too deep");
    switch (typeof value) {
      case "function":
        return this.#mark(value, path);
      case "bigint":
      case "symbol":
        return this.#refuse(path, `is a ${typeof value}`);
      case "number":
        return Number.isFinite(value) ? value : this.#refuse(path, `is ${value}`);
      case "object":
        break;
      default:
        return value as Json;
    }
    if (value === null) return null;
    if (Array.isArray(value))
      return value.map((element, index) => this.value(element, [...path, String(index)]) ?? null);
    if (typeof (value as { toJSON?: unknown }).toJSON === "function")
      return this.value((value as { toJSON(): unknown }).toJSON(), path);
    if (!isPlain(value))
      return this.#refuse(path, `is a ${value.constructor?.name ?? "strange object"}`);
    const members = Object.entries(value).flatMap(([name, member]) =>
      member === undefined ? [] : [[name, this.value(member, [...path, name])] as const],
    );
    return Object.fromEntries(members);
  }

  #mark(value: object, path: Path): Json {
    const found = this.#pickOf(value, path);
    const within = withinDefinition(this.#code.pick);
    const isOwn = found !== undefined && !found.startsWith("export:");
    const pick = isOwn && within !== undefined ? `in:${within.name}:${found}` : found;
    if (pick === undefined) return this.#refuse(path, "is a function, which has no meaning there");
    const name = (value as { readonly name?: string }).name;
    return name === undefined || name === "" ? { $code: pick } : { $code: pick, name };
  }

  #pickOf(value: object, path: Path): string | undefined {
    const [first, second, third, fourth] = path;
    if (first === "hooks" && second !== undefined && path.length === 2) return `hook:${second}`;
    if (first === "steps" && second !== undefined) {
      if (third === "uses" && path.length === 3) return `step:${second}`;
      if (third === "hooks" && fourth !== undefined && path.length === 4)
        return `hook:${fourth}:${second}`;
      if (third === "cache" && fourth === "cacheFunction" && path.length === 4)
        return `cache:${second}`;
    }
    // An orchestrator's class can be found again only if it is exported.
    return first === "orchestrator" ? exportOf(this.#module, value) : undefined;
  }

  #refuse(path: Path, what: string): never {
    throw new LoadError(
      `${this.#code.source}: ${path.length === 0 ? "the definition" : path.join(".")} ${what}`,
    );
  }
}

function exportOf(module: LoadedModule, value: unknown): string | undefined {
  for (const [name, exported] of Object.entries(module.exports))
    if (exported === value) return `export:${name}`;
  return undefined;
}

/**
 * The name of a step that a dynamic pipeline's function calls, and how the step is found again.
 *
 * @returns `made`: the step's number among those that the module made, if it made the step
 * @throws LoadError if the value is no step, has no name, or cannot be found again
 */
export function locateStep(
  module: LoadedModule,
  code: CodeRef,
  value: unknown,
): { readonly pick: string; readonly name: string; readonly made?: number } {
  if (typeof value !== "function")
    throw new LoadError(
      `${code.source}: what was called is no step; ` +
        "give run.step() a function, or what step() returned",
    );
  const parts = stepParts(value);
  const exported = exportOf(module, value);
  const made = module.made.indexOf(value);
  const exportName = exported?.slice("export:".length);
  const name =
    parts?.options.name ??
    (exportName === "default" ? undefined : exportName) ??
    (value.name === "" ? exportName : value.name);
  if (name === undefined || name === "")
    throw new LoadError(
      `${code.source}: a step without a name was called; ` +
        'export it, or name it: step(fn, { name: "read" })',
    );
  const pick = made === -1 ? exported : (exported ?? `made:${made}`);
  if (pick === undefined) {
    throw new LoadError(
      `${code.source}: the step "${name}" cannot be found again outside this function; ` +
        "make it at the top level of a module with step(), or export it from the pipeline's file",
    );
  }
  return { pick, name, ...(made === -1 ? {} : { made }) };
}

function isPlain(value: unknown): value is { readonly [key: string]: unknown } {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
