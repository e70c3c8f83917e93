/**
 * From a file in the drop folder to a pipeline that is ready to be scheduled, or to everything that
 * is wrong with the file.
 *
 * A declared file is read safely, decoded and parsed. A code file is bundled and evaluated in a
 * runner, never here. The rest is the same for both: check the shape, bundle the modules that the
 * definition names, compile, and turn each fault into a sentence with its place in the file.
 *
 * A declared file is read again before every run that is asked for. The former result is given if
 * nothing that went into it has changed.
 */
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, extname, resolve } from "node:path";
import { codeKey, codeUses } from "../core/compile-step.ts";
import { compile, isModulePath, withStackEnv } from "../core/compile.ts";
import { didYouMean } from "../core/did-you-mean.ts";
import type { FieldPath, Fault } from "../core/fault.ts";
import type { CodeMark, LoadedDefinition } from "../core/loaded-definition.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { pipelineSchema, type PipelineDefinition } from "../core/pipeline.ts";
import type { OrchdSettings } from "../core/settings.ts";
import { checkShape } from "../core/shape-faults.ts";
import type { CodeRef, Json, Snapshot } from "../core/snapshot.ts";
import { bundleModule, placeInSource, type Bundle, type GoodBundle } from "./bundle.ts";
import { positionIn, problemOf, type Position, type Problem } from "./problem.ts";
import { readSafeFile } from "./safe-file.ts";
import { sha256 } from "./sha256.ts";
import { decodeUtf8, MAX_DEPTH, readSourceText } from "./source-text.ts";
import { roundedNumber } from "./written-values.ts";

/** What loading needs besides the file. */
export interface LoadContext {
  /** The project's root, absolute. */
  readonly root: string;
  /** Where bundles are kept: `runs/.orchd/bundles`, absolute. */
  readonly bundlesDir: string;
  readonly settings: OrchdSettings;
  /**
   * Evaluates a code file's bundle in a runner, and describes its default export. Rejects with what
   * the code threw.
   */
  evaluate(code: CodeRef): Promise<LoadedDefinition>;
  /**
   * Why the orchestrator that a pipeline names cannot run it; undefined if it can. Never rejects.
   */
  refuses(snapshot: Snapshot, scheduled: boolean): Promise<Fault | undefined>;
  /**
   * The environment of the stack that a pipeline runs on. It is asked for where the orchestrator
   * does not refuse the pipeline. Default: none.
   */
  stackEnv?(snapshot: Snapshot): Promise<Snapshot["stackEnv"]>;
  /** The folder that the file must not leave; default: the file's own. */
  readonly folder?: string | undefined;
  /** Milliseconds since 1970, for warnings about future slots. */
  readonly now: number;
}

/**
 * A pipeline that is ready, or all that is wrong. `watched` are the absolute paths of the files
 * whose change may change the answer.
 */
export type LoadResult =
  | { readonly ok: true; readonly loaded: LoadedPipeline }
  | {
      readonly ok: false;
      readonly errors: readonly Problem[];
      readonly watched: readonly string[];
    };

const CODE_ENDINGS = new Set([".ts", ".mts", ".js", ".mjs"]);
/**
 * Begins the text that takes the place of a function in a code file's definition; the mark's number
 * follows. No text that a person writes begins like this.
 */
const MARK = "\u0001orchd:";
const BUNDLES_AT_ONCE = 8;
const REMEMBERED = 1_024;

/**
 * What a declared file was loaded as. It holds while the file's text, the settings and every module
 * that the file names are the same.
 */
interface Remembered {
  readonly text: string;
  readonly realPath: string;
  readonly settings: OrchdSettings;
  readonly bundlesDir: string;
  /** By the module's path. The same object again means an unchanged bundle (bundle-memory.ts). */
  readonly modules: ReadonlyMap<string, Bundle>;
  readonly result: LoadResult & { readonly ok: true };
}

/** By the file's path. */
const remembered = new Map<string, Remembered>();

/**
 * Loads one pipeline file. What is wrong with the file or its code is a value.
 *
 * @throws a Node error for what is wrong with orchd's own folders, or if too few descriptors are
 *   left
 */
export async function loadPipelineFile(path: string, context: LoadContext): Promise<LoadResult> {
  return await new Loading(resolve(path), context).load();
}

/** A file's text. */
interface Source {
  readonly kind: "yaml" | "json" | "code";
  readonly text: string;
  readonly realPath: string;
}

/** A definition as JSON; `own` is the bundle of a code file. */
interface ReadDefinition {
  readonly value: unknown;
  readonly kind: "pipeline" | "dynamic";
  readonly own?: GoodBundle;
}

/** The loading of one file. */
class Loading {
  readonly #path: string;
  readonly #context: LoadContext;
  readonly #watched: Set<string>;
  readonly #problems: Problem[] = [];
  readonly #marks: CodeMark[] = [];
  readonly #bundles = new Map<string, Promise<Bundle>>();
  #locate: (path: FieldPath, atKey?: boolean) => Position | undefined = () => undefined;
  #remarks: readonly string[] = [];

  constructor(path: string, context: LoadContext) {
    this.#path = path;
    this.#context = context;
    this.#watched = new Set([path]);
  }

  async load(): Promise<LoadResult> {
    const source = this.#source();
    if (source === undefined) return this.#failed();
    const known = source.kind === "code" ? undefined : await this.#recall(source);
    if (known !== undefined) return known;
    const read =
      source.kind === "code"
        ? await this.#evaluate(source.text, source.realPath)
        : this.#parse(source);
    if (read === undefined) return this.#failed();
    const shape = checkShape(pipelineSchema, read.value);
    if (!shape.ok) return this.#failed(shape.faults);
    const code = await this.#bundleAll(shape.value, read.own);
    const compiled = compile({
      definition: shape.value,
      file: this.#path,
      code,
      dynamic:
        read.kind === "dynamic"
          ? refTo(read.own!, "function", `./${basename(this.#path)}`)
          : undefined,
      settings: this.#context.settings,
      now: this.#context.now,
      watched: [...this.#watched],
    });
    if (!compiled.ok) return this.#failed(compiled.faults);
    if (this.#problems.length > 0) return this.#failed();
    const { snapshot, schedules } = compiled.loaded;
    const refusal = await this.#context.refuses(snapshot, schedules.length > 0);
    if (refusal !== undefined) return this.#failed([refusal]);
    const stacked = withStackEnv(compiled.loaded, await this.#context.stackEnv?.(snapshot));
    if (!stacked.ok) return this.#failed(stacked.faults);
    const warnings = [...stacked.loaded.warnings, ...this.#remarks];
    const result = { ok: true, loaded: { ...stacked.loaded, warnings } } as const;
    if (source.kind !== "code") await this.#remember(source, result);
    return result;
  }

  async #recall({ text, realPath }: Source): Promise<LoadResult | undefined> {
    const known = remembered.get(this.#path);
    const { settings, bundlesDir, root } = this.#context;
    if (
      known?.text !== sha256(text) ||
      known.realPath !== realPath ||
      known.settings !== settings ||
      known.bundlesDir !== bundlesDir
    )
      return undefined;
    for (const [entry, bundle] of known.modules)
      if ((await bundleModule(entry, { root, bundlesDir })) !== bundle) return undefined;
    return known.result;
  }

  async #remember(
    { text, realPath }: Source,
    result: LoadResult & { readonly ok: true },
  ): Promise<void> {
    const { settings, bundlesDir } = this.#context;
    const modules = new Map<string, Bundle>();
    for (const [entry, bundle] of this.#bundles) modules.set(entry, await bundle);
    remembered.delete(this.#path);
    if (remembered.size >= REMEMBERED) remembered.delete(remembered.keys().next().value!);
    remembered.set(this.#path, {
      text: sha256(text),
      realPath,
      settings,
      bundlesDir,
      modules,
      result,
    });
  }

  #failed(faults: readonly Fault[] = []): LoadResult {
    this.#problems.push(
      ...faults.map((fault) => problemOf(this.#path, fault, this.#locate(fault.path, fault.atKey))),
    );
    const errors = [...this.#problems].sort(
      (a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
    );
    return { ok: false, errors, watched: [...this.#watched] };
  }

  #problem(message: string, position?: Position): undefined {
    this.#problems.push({ file: this.#path, ...position, message });
  }

  /** Reads and decodes the file. */
  #source(): Source | undefined {
    const ending = extname(this.#path).toLowerCase();
    const file = readSafeFile(this.#path, { within: this.#context.folder ?? dirname(this.#path) });
    if (!file.ok) return this.#problem(file.message);
    const { realPath } = file;
    this.#watched.add(realPath);
    const decoded = decodeUtf8(file.bytes);
    if (!decoded.ok) return this.#problem(decoded.message, decoded.position);
    if (CODE_ENDINGS.has(ending)) return { kind: "code", text: decoded.text, realPath };
    if (ending !== ".yaml" && ending !== ".yml" && ending !== ".json")
      return this.#problem(
        `ends in ${ending === "" ? "nothing" : ending}; ` +
          "a pipeline file ends in .yaml, .yml, .json, .ts, .mts, .js or .mjs",
      );
    return { kind: ending === ".json" ? "json" : "yaml", text: decoded.text, realPath };
  }

  #parse({ text, kind }: Source): ReadDefinition | undefined {
    const parsed = readSourceText(text, kind === "json" ? "json" : "yaml");
    if (!parsed.ok) {
      for (const fault of parsed.faults) this.#problem(fault.message, fault.position);
      return undefined;
    }
    this.#locate = (path, atKey) => parsed.source.locate(path, atKey);
    const { value, remarks } = parsed.source;
    this.#remarks = remarks;
    if (value === null || typeof value !== "object" || Array.isArray(value))
      return this.#problem(
        "must hold a map of keys and values, such as name:, schedule: and steps:",
        this.#locate([]),
      );
    return { value, kind: "pipeline" };
  }

  async #evaluate(text: string, realPath: string): Promise<ReadDefinition | undefined> {
    const options = {
      root: this.#context.root,
      bundlesDir: this.#context.bundlesDir,
      within: this.#context.folder ?? dirname(this.#path),
    };
    const bundle = await bundleModule(realPath, options);
    for (const input of bundle.inputs) this.#watched.add(input);
    if (!bundle.ok) {
      for (const { file, message, ...position } of bundle.faults)
        this.#problems.push({ file: file === realPath ? this.#path : file, ...position, message });
      return undefined;
    }
    if (!bundle.exports.includes("default") && !bundle.open) {
      return this.#problem("has no default export; write export default pipeline({…})", {
        line: 1,
        column: 1,
      });
    }
    let loaded: LoadedDefinition;
    const source = `./${basename(this.#path)}`;
    try {
      loaded = await this.#context.evaluate({ bundle: bundle.sha, pick: "export:default", source });
    } catch (thrown) {
      const { name, message, stack } = thrown as Partial<Error>;
      if (name !== "LoadError" || message?.startsWith(source) !== true) {
        const kind = name === undefined || name === "Error" ? "" : `${name}: `;
        return this.#problem(`could not be evaluated: ${kind}${message ?? String(thrown)}`);
      }
      // The sentence begins with the file, as a problem's own place does: it is cut off.
      const about = message.slice(source.length);
      const sentence = about.replace(/^:? /, "");
      const place = stack === undefined ? undefined : placeInSource(stack, bundle.inputs);
      if (place !== undefined) {
        const file = place.file === realPath ? this.#path : place.file;
        this.#problems.push({ ...place, file, message: sentence });
        return undefined;
      }
      // With a colon it is about the export itself, and so has a place.
      const at = about.startsWith(":") ? /^export\s+default\b/m.exec(text)?.index : undefined;
      return this.#problem(sentence, at === undefined ? undefined : positionIn(text, at));
    }
    this.#locate = (path) => findInCode(text, path);
    const value = this.#withMarks(loaded.definition, 0);
    if (value === undefined)
      return this.#problem(`exports a definition that is nested more than ${MAX_DEPTH} deep`);
    const rounded = roundedNumber(value);
    if (rounded !== undefined) {
      const message =
        "is a number beyond 2^53, whose last digits are lost as the code is read: write a text";
      this.#problems.push(problemOf(this.#path, { path: rounded, message }, this.#locate(rounded)));
      return undefined;
    }
    return { value, kind: loaded.kind, own: bundle };
  }

  /**
   * Puts a text in the place of each mark, so that the definition fits the schema. `#codeFor` finds
   * the mark by that text.
   *
   * @returns undefined if the definition is nested too deeply
   */
  #withMarks(value: Json, depth: number): Json | undefined {
    if (depth > MAX_DEPTH) return undefined;
    if (value === null || typeof value !== "object") return value;
    if ("$code" in value && typeof value["$code"] === "string")
      return `${MARK}${this.#marks.push(value as unknown as CodeMark) - 1}`;
    if (Array.isArray(value)) {
      const copy = (value as readonly Json[]).map((member) => this.#withMarks(member, depth + 1));
      return copy.includes(undefined) ? undefined : (copy as Json[]);
    }
    const copy: [string, Json][] = [];
    for (const [key, member] of Object.entries(value)) {
      const inner = this.#withMarks(member, depth + 1);
      if (inner === undefined) return undefined;
      copy.push([key, inner]);
    }
    return Object.fromEntries(copy);
  }

  /** Bundles every module that the definition names, each once; a few at a time. */
  async #bundleAll(
    definition: PipelineDefinition,
    own: GoodBundle | undefined,
  ): Promise<Map<string, CodeRef>> {
    const code = new Map<string, CodeRef>();
    const uses = codeUses(definition);
    const orchestrator =
      typeof definition.orchestrator === "string"
        ? definition.orchestrator
        : definition.orchestrator?.uses;
    const orchestratorPath: FieldPath =
      typeof definition.orchestrator === "string" ? ["orchestrator"] : ["orchestrator", "uses"];
    const wanted = uses.map(({ path, uses: text }) => ({ path, uses: text, key: codeKey(path) }));
    if (orchestrator !== undefined && (isModulePath(orchestrator) || orchestrator.startsWith(MARK)))
      wanted.push({ path: orchestratorPath, uses: orchestrator, key: "orchestrator" });
    const rest = wanted.values();
    const walk = async (): Promise<void> => {
      for (const { path, uses: text, key } of rest) {
        const ref = await this.#codeFor(text, path, own);
        if (ref !== undefined) code.set(key, ref);
      }
    };
    await Promise.all(Array.from({ length: BUNDLES_AT_ONCE }, walk));
    return code;
  }

  async #codeFor(
    text: string,
    path: FieldPath,
    own: GoodBundle | undefined,
  ): Promise<CodeRef | undefined> {
    const file = basename(this.#path);
    const mark = text.startsWith(MARK) ? this.#marks[Number(text.slice(MARK.length))] : undefined;
    if (mark !== undefined && own !== undefined) {
      const fragment = mark.name === undefined ? "" : `#${mark.name}`;
      return refTo(own, mark.$code, `./${file}${fragment}`);
    }
    const hash = text.indexOf("#");
    const module = hash === -1 ? text : text.slice(0, hash);
    const name = hash === -1 ? "default" : text.slice(hash + 1);
    const fault = (message: string): undefined =>
      void this.#problems.push(problemOf(this.#path, { path, message }, this.#locate(path)));
    if (!isModulePath(module)) {
      const isThere = existsSync(resolve(dirname(this.#path), module));
      return fault(
        `names ${JSON.stringify(module)}, which is no path: ` +
          `begin it with ./ for a file beside this one${isThere ? ` (./${module})` : ""}`,
      );
    }
    const entry = resolve(dirname(this.#path), module);
    const first = !this.#bundles.has(entry);
    const missing = first ? this.#missingModule(entry, module) : undefined;
    if (missing !== undefined) return fault(missing);
    const { root, bundlesDir } = this.#context;
    if (first) this.#bundles.set(entry, bundleModule(entry, { root, bundlesDir }));
    const bundle = await this.#bundles.get(entry)!;
    for (const input of bundle.inputs) this.#watched.add(input);
    if (!bundle.ok) {
      const where = `in the code of ${path.join(".")} in ${file}`;
      if (first)
        for (const { message, ...place } of bundle.faults)
          this.#problems.push({ ...place, message: `${message} (${where})` });
      return undefined;
    }
    if (!bundle.exports.includes(name) && !bundle.open) {
      const all = bundle.exports.length === 0 ? "nothing" : bundle.exports.join(", ");
      return fault(
        `names export ${JSON.stringify(name)} of ${module}, ` +
          `which exports ${all}${didYouMean(name, bundle.exports)}`,
      );
    }
    return refTo(bundle, `export:${name}`, text);
  }

  /** Why a module is not there, with the file that was probably meant; undefined if it is there. */
  #missingModule(entry: string, written: string): string | undefined {
    this.#watched.add(entry);
    if (existsSync(entry) && extname(entry) !== "") return undefined;
    let there: string[] = [];
    try {
      there = readdirSync(dirname(entry));
    } catch {
      // The folder is not there either, so there is nothing to suggest.
    }
    const base = basename(entry);
    const stem = there.find(
      (name) =>
        name !== base &&
        basename(name, extname(name)) === basename(entry, extname(entry)) &&
        CODE_ENDINGS.has(extname(name)),
    );
    const near =
      stem !== undefined
        ? `; did you mean ${JSON.stringify(stem)}?`
        : existsSync(entry)
          ? ""
          : didYouMean(base, there);
    return existsSync(entry)
      ? `names ${written}, which is no module${near}`
      : `names ${written}, but there is no file ${entry}${near}`;
  }
}

function refTo({ sha, runtimeImports }: GoodBundle, pick: string, source: string): CodeRef {
  return { bundle: sha, pick, source, ...(runtimeImports ? { runtimeImports } : {}) };
}

/**
 * Where a field probably stands in a code file. Each key of its path is looked for after the one
 * before it.
 */
function findInCode(text: string, path: FieldPath): Position | undefined {
  let from = 0;
  let found: number | undefined;
  for (const part of path) {
    if (typeof part === "number") continue;
    const key = new RegExp(
      `(?<![\\w$.])(["']?)${part.replace(/[^\w-]/g, "\\$&")}\\1\\s*[:,}]`,
      "g",
    );
    key.lastIndex = from;
    const match = key.exec(text);
    if (match === null) break;
    found = match.index;
    from = match.index + match[0].length;
  }
  return found === undefined ? undefined : positionIn(text, found);
}
