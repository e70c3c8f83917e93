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
import { existsSync } from "node:fs";
import { basename, dirname, extname, resolve } from "node:path";
import { isModulePath, withStackEnv } from "../core/compile.ts";
import { didYouMean } from "../core/did-you-mean.ts";
import type { Fault } from "../core/fault.ts";
import type { CodeMark, LoadedDefinition } from "../core/loaded-definition.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { CodeRef, Json, Snapshot } from "../core/snapshot.ts";
import { bundleModule, placeInSource, type Bundle, type GoodBundle } from "./bundle.ts";
import type { CompiledFrom, CompiledVersions } from "./compiled-versions.ts";
import {
  DefinitionReading,
  type DefinitionReader,
  type DefinitionText,
  type NamedCode,
} from "./definition-reading.ts";
import { loadOrchestrator } from "./load-settings.ts";
import { missingModule } from "./missing-module.ts";
import { positionIn, type Position, type Problem } from "./problem.ts";
import { readSafeFile } from "./safe-file.ts";
import { sha256 } from "../core/sha256.ts";
import { decodeUtf8 } from "./source-text.ts";

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
  /** Reads a large definition beside the daemon's events; default: it is read here. */
  readonly readerOf?: ((file: string) => DefinitionReader) | undefined;
  /** The folder that the file must not leave; default: the file's own. */
  readonly folder?: string | undefined;
  /**
   * The name of the definition that the file makes, where a program gives one. Empty: it has none.
   * Default: the file's default export is the pipeline.
   */
  readonly definition?: string | undefined;
  /** What was compiled before, by an earlier process; default: every file is compiled. */
  readonly compiled?: CompiledVersions | undefined;
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
/** A definition is large if it has more characters than this. */
const LARGE = 8_192;
/** How many characters a value of a definition in code counts for, besides those of its text. */
const A_VALUE = 16;
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

/** A definition that can be read; `own` is the bundle of a code file. */
interface Found {
  readonly text: DefinitionText;
  readonly kind: "pipeline" | "dynamic";
  readonly own?: GoodBundle;
}

/** The code of a definition, by the text that names it, and why code cannot be used. */
interface Code {
  readonly refs: Map<string, CodeRef>;
  readonly faults: Map<string, string>;
}

/** The loading of one file. */
class Loading {
  readonly #path: string;
  readonly #context: LoadContext;
  readonly #watched: Set<string>;
  readonly #problems: Problem[] = [];
  readonly #bundles = new Map<string, Promise<Bundle>>();
  /** The pipeline as it was compiled, before its orchestrator and its stack were asked. */
  #compiled: LoadedPipeline | undefined;

  constructor(path: string, context: LoadContext) {
    this.#path = path;
    this.#context = context;
    this.#watched = new Set([path]);
  }

  /** How picks begin that mean the definition of a program. */
  get #within(): string {
    const { definition } = this.#context;
    return definition === undefined ? "" : `in:${definition}:`;
  }

  async load(): Promise<LoadResult> {
    const source = this.#source();
    if (source === undefined) return this.#failed();
    const known =
      source.kind === "code"
        ? undefined
        : ((await this.#recall(source)) ?? (await this.#compiledBefore(source)));
    if (known !== undefined) return known;
    const found: Found | undefined =
      source.kind === "code"
        ? await this.#evaluate(source.text, source.realPath)
        : { text: { kind: source.kind, text: source.text }, kind: "pipeline" };
    if (found === undefined) return this.#failed();
    const readerOf = isLarge(found.text) ? this.#context.readerOf : undefined;
    const reader = readerOf?.(this.#path) ?? new DefinitionReading(this.#path);
    try {
      const result = await this.#read(reader, found);
      if (source.kind !== "code" && result.ok) {
        await this.#remember(source, result);
        await this.#keepCompiled(source);
      }
      return result;
    } finally {
      reader.end();
    }
  }

  async #read(reader: DefinitionReader, { text, kind, own }: Found): Promise<LoadResult> {
    const read = await reader.read(text);
    if (!read.ok) return this.#failed(read.problems);
    const code = await this.#bundleAll(read.code, own);
    const compiled = await reader.compile({
      code: code.refs,
      faults: code.faults,
      dynamic:
        kind === "dynamic"
          ? refTo(own!, `${this.#within}function`, `./${basename(this.#path)}`)
          : undefined,
      settings: this.#context.settings,
      now: this.#context.now,
      watched: [...this.#watched],
    });
    if (!compiled.ok) return this.#failed(compiled.problems);
    if (this.#problems.length > 0) return this.#failed();
    const { loaded } = compiled;
    this.#compiled = loaded;
    const refusal = await this.#context.refuses(loaded.snapshot, loaded.schedules.length > 0);
    if (refusal !== undefined) return this.#failed(await reader.locate([refusal]));
    const stacked = withStackEnv(loaded, await this.#context.stackEnv?.(loaded.snapshot));
    if (!stacked.ok) return this.#failed(await reader.locate(stacked.faults));
    return { ok: true, loaded: stacked.loaded };
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

  /**
   * The pipeline that an earlier process compiled from the same text, if the modules that it names
   * are still the same and its orchestrator takes it. Where one of that is not so the file is
   * loaded as a new one, which finds what is wrong and where.
   */
  async #compiledBefore(source: Source): Promise<LoadResult | undefined> {
    const { compiled, root, bundlesDir } = this.#context;
    const version = compiled?.recall(this.#compiledFrom(source));
    if (version === undefined) return undefined;
    const bundles = new Map<string, Promise<Bundle>>();
    for (const [entry, print] of Object.entries(version.modules)) {
      const bundling = bundleModule(entry, { root, bundlesDir });
      if (printOf(await bundling) !== print) return undefined;
      bundles.set(entry, bundling);
    }
    const { loaded } = version;
    const isScheduled = loaded.schedules.length > 0;
    if ((await this.#context.refuses(loaded.snapshot, isScheduled)) !== undefined) return undefined;
    const stacked = withStackEnv(loaded, await this.#context.stackEnv?.(loaded.snapshot));
    if (!stacked.ok) return undefined;
    for (const [entry, bundling] of bundles) this.#bundles.set(entry, bundling);
    const result = { ok: true, loaded: stacked.loaded } as const;
    await this.#remember(source, result);
    return result;
  }

  /** Keeps what was compiled, unless the module of an orchestrator of orchd.yaml is part of it. */
  async #keepCompiled(source: Source): Promise<void> {
    const { compiled } = this.#context;
    const loaded = this.#compiled;
    if (compiled === undefined || loaded?.template.orchestrator.code !== undefined) return;
    const modules: [string, string][] = [];
    for (const [entry, bundling] of this.#bundles) modules.push([entry, printOf(await bundling)]);
    compiled.keep(this.#compiledFrom(source), {
      loaded: loaded!,
      modules: Object.fromEntries(modules),
    });
  }

  #compiledFrom({ text, realPath }: Source): CompiledFrom {
    const { settings, now } = this.#context;
    return { path: this.#path, realPath, text, settings, now };
  }

  #failed(problems: readonly Problem[] = []): LoadResult {
    this.#problems.push(...problems);
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

  async #evaluate(text: string, realPath: string): Promise<Found | undefined> {
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
    const isExport = this.#within === "";
    if (isExport && !bundle.exports.includes("default") && !bundle.open) {
      return this.#problem("has no default export; write export default pipeline({…})", {
        line: 1,
        column: 1,
      });
    }
    let loaded: LoadedDefinition;
    const source = `./${basename(this.#path)}`;
    try {
      loaded = await this.#context.evaluate({
        bundle: bundle.sha,
        pick: isExport ? "export:default" : `${this.#within}definition`,
        source,
      });
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
    const { definition } = loaded;
    return { text: { kind: "code", text, definition }, kind: loaded.kind, own: bundle };
  }

  /** Bundles every module that the definition names, each once; a few at a time. */
  async #bundleAll(named: readonly NamedCode[], own: GoodBundle | undefined): Promise<Code> {
    const code: Code = { refs: new Map(), faults: new Map() };
    const rest = named.values();
    const walk = async (): Promise<void> => {
      for (const one of rest) {
        const { mark, uses, orchestrator } = one;
        const found =
          mark !== undefined && own !== undefined
            ? this.#markedCode(mark, own)
            : orchestrator !== undefined
              ? await this.#namedOrchestrator(orchestrator)
              : await this.#codeFor(one);
        if (typeof found === "string") code.faults.set(uses, found);
        else if (found !== undefined) code.refs.set(uses, found);
      }
    };
    await Promise.all(Array.from({ length: BUNDLES_AT_ONCE }, walk));
    return code;
  }

  #markedCode(mark: CodeMark, own: GoodBundle): CodeRef {
    const fragment = mark.name === undefined ? "" : `#${mark.name}`;
    return refTo(own, mark.$code, `./${basename(this.#path)}${fragment}`);
  }

  /**
   * The module of an orchestrator of orchd.yaml. It is read with each pipeline that names it, as
   * the pipeline's own modules are: so its edit is the pipeline's, and a bad one leaves the last
   * good version of the pipeline in force. Undefined: there is no such module, or the reason why it
   * cannot be used is among the problems.
   */
  async #namedOrchestrator(name: string): Promise<CodeRef | string | undefined> {
    const { root, bundlesDir, settings } = this.#context;
    const { orchestrators } = settings;
    const named = Object.hasOwn(orchestrators, name) ? orchestrators[name]! : undefined;
    const uses = named?.code?.source ?? named?.uses;
    if (uses === undefined) return undefined;
    const loaded = await loadOrchestrator(name, uses, root, bundlesDir);
    for (const file of loaded.watched) this.#watched.add(file);
    const where = `in the code of the orchestrator ${name} of orchd.yaml`;
    for (const { message, ...place } of loaded.problems ?? [])
      this.#problems.push({ ...place, message: `${message} (${where})` });
    const [fault] = loaded.faults ?? [];
    if (fault !== undefined)
      return `names ${name}, an orchestrator of orchd.yaml that ${fault.message}`;
    if (loaded.ref?.code === undefined) return undefined;
    const entry = resolve(root, uses.split("#")[0]!);
    this.#bundles.set(entry, bundleModule(entry, { root, bundlesDir }));
    return loaded.ref.code;
  }

  /**
   * The code of a module; a sentence where it cannot be used. Undefined: it cannot, and the reason
   * is among the problems.
   */
  async #codeFor({ uses: text, path }: NamedCode): Promise<CodeRef | string | undefined> {
    const hash = text.indexOf("#");
    const module = hash === -1 ? text : text.slice(0, hash);
    const name = hash === -1 ? "default" : text.slice(hash + 1);
    if (!isModulePath(module)) {
      const isThere = existsSync(resolve(dirname(this.#path), module));
      return (
        `names ${JSON.stringify(module)}, which is no path: ` +
        `begin it with ./ for a file beside this one${isThere ? ` (./${module})` : ""}`
      );
    }
    const entry = resolve(dirname(this.#path), module);
    const first = !this.#bundles.has(entry);
    if (first) this.#watched.add(entry);
    const missing = first ? missingModule(entry, module) : undefined;
    if (missing !== undefined) return missing;
    const { root, bundlesDir } = this.#context;
    if (first) this.#bundles.set(entry, bundleModule(entry, { root, bundlesDir }));
    const bundle = await this.#bundles.get(entry)!;
    for (const input of bundle.inputs) this.#watched.add(input);
    if (!bundle.ok) {
      const where = `in the code of ${path.join(".")} in ${basename(this.#path)}`;
      if (first)
        for (const { message, ...place } of bundle.faults)
          this.#problems.push({ ...place, message: `${message} (${where})` });
      return undefined;
    }
    if (!bundle.exports.includes(name) && !bundle.open) {
      const all = bundle.exports.length === 0 ? "nothing" : bundle.exports.join(", ");
      return (
        `names export ${JSON.stringify(name)} of ${module}, ` +
        `which exports ${all}${didYouMean(name, bundle.exports)}`
      );
    }
    return refTo(bundle, `export:${name}`, text);
  }
}

function refTo({ sha, runtimeImports }: GoodBundle, pick: string, source: string): CodeRef {
  return { bundle: sha, pick, source, ...(runtimeImports ? { runtimeImports } : {}) };
}

/** A text that is equal for two bundles only if they are. */
function printOf(bundle: Bundle): string {
  return sha256(JSON.stringify(bundle));
}

/** Whether reading a definition may take long. */
function isLarge(definition: DefinitionText): boolean {
  return definition.kind === "code"
    ? roomAfter(definition.definition, LARGE) < 0
    : definition.text.length > LARGE;
}

/** How much of some room is left after a value; negative if it is too little. */
function roomAfter(value: Json, room: number): number {
  let left = room - A_VALUE - (typeof value === "string" ? value.length : 0);
  if (value === null || typeof value !== "object") return left;
  for (const member of Object.values(value)) {
    if (left < 0) break;
    left = roomAfter(member, left);
  }
  return left;
}
