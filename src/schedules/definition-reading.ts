/**
 * The reading of one definition: from its text, or from what its code gave, to a compiled pipeline
 * or to everything that is wrong, each with its place in the text.
 *
 * It touches no disk and waits for nothing, so it can go on beside the daemon's events: a file of
 * thousands of steps takes a second (definition-thread.ts). What goes in and comes out is plain
 * data. The definition stays here: only the code that it names goes out, each text once.
 */
import { codeKey, codeUses } from "../core/compile-step.ts";
import { compile, isModulePath } from "../core/compile.ts";
import type { FieldPath, Fault } from "../core/fault.ts";
import { isObject } from "../core/json-object.ts";
import type { CodeMark } from "../core/loaded-definition.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { pipelineSchema, type PipelineDefinition } from "../core/pipeline.ts";
import type { OrchdSettings } from "../core/settings.ts";
import { checkShape } from "../core/shape-faults.ts";
import type { CodeRef, Json } from "../core/snapshot.ts";
import { positionIn, problemOf, type Position, type Problem } from "./problem.ts";
import { MAX_DEPTH, readSourceText } from "./source-text.ts";
import { roundedNumber } from "./written-values.ts";

/**
 * Begins the text that takes the place of a function in a code file's definition; the mark's number
 * follows. No text that a person writes begins like this.
 */
const MARK = "\u0001orchd:";
/** Begins the text that stands for an orchestrator of orchd.yaml; its name follows. */
const NAMED = "\u0001orchestrator:";

/** What is read. */
export type DefinitionText =
  | { readonly kind: "yaml" | "json"; readonly text: string }
  /** The definition that the code of this text gave. */
  | { readonly kind: "code"; readonly text: string; readonly definition: Json };

/** Code that a definition names. */
export interface NamedCode {
  /** As it is written; for a function, the text in its place. */
  readonly uses: string;
  /** The function of a code file. */
  readonly mark?: CodeMark | undefined;
  /** The name of an orchestrator of orchd.yaml, or what may be one. */
  readonly orchestrator?: string | undefined;
  /** The first place that names it. */
  readonly path: FieldPath;
}

/** A definition whose shape is good, or what is wrong. */
export type ReadAnswer =
  | { readonly ok: true; readonly code: readonly NamedCode[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** What a definition is compiled with. */
export interface CompileOrder {
  /** The code, by the text that names it. */
  readonly code: ReadonlyMap<string, CodeRef>;
  /** Why code cannot be used, by the text that names it: a sentence for each place. */
  readonly faults: ReadonlyMap<string, string>;
  /** A dynamic pipeline's function. */
  readonly dynamic: CodeRef | undefined;
  readonly settings: OrchdSettings;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly watched: readonly string[];
}

/** A pipeline, or what is wrong. */
export type CompileAnswer =
  | { readonly ok: true; readonly loaded: LoadedPipeline }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Reads one definition: here, or in a thread. */
export interface DefinitionReader {
  /** Reads the text and checks the definition's shape. */
  read(text: DefinitionText): ReadAnswer | Promise<ReadAnswer>;
  /** Compiles what was read. */
  compile(order: CompileOrder): CompileAnswer | Promise<CompileAnswer>;
  /** The faults with their places. */
  locate(faults: readonly Fault[]): readonly Problem[] | Promise<readonly Problem[]>;
  /** The reader is needed no more. */
  end(): void;
}

/** Reads one definition. */
export class DefinitionReading implements DefinitionReader {
  readonly #file: string;
  readonly #marks: CodeMark[] = [];
  readonly #places = new Map<string, { readonly path: FieldPath; readonly key: string }[]>();
  #locate: (path: FieldPath, atKey?: boolean) => Position | undefined = () => undefined;
  #definition: PipelineDefinition | undefined;
  #remarks: readonly string[] = [];

  /** @param file the pipeline file's absolute path */
  constructor(file: string) {
    this.#file = file;
  }

  read(text: DefinitionText): ReadAnswer {
    const read = text.kind === "code" ? this.#fromCode(text) : this.#parse(text);
    if ("problems" in read) return { ok: false, problems: read.problems };
    const shape = checkShape(pipelineSchema, read.value);
    if (!shape.ok) return { ok: false, problems: this.locate(shape.faults) };
    this.#definition = shape.value;
    return { ok: true, code: this.#code(shape.value) };
  }

  compile(order: CompileOrder): CompileAnswer {
    const problems = [...order.faults].flatMap(([uses, message]) =>
      this.locate(this.#places.get(uses)!.map(({ path }) => ({ path, message }))),
    );
    const code = new Map<string, CodeRef>();
    for (const [uses, ref] of order.code)
      for (const { key } of this.#places.get(uses)!) code.set(key, ref);
    const compiled = compile({
      definition: this.#definition!,
      file: this.#file,
      code,
      dynamic: order.dynamic,
      settings: order.settings,
      now: order.now,
      watched: order.watched,
    });
    if (!compiled.ok)
      return { ok: false, problems: [...problems, ...this.locate(compiled.faults)] };
    if (problems.length > 0) return { ok: false, problems };
    const warnings = [...compiled.loaded.warnings, ...this.#remarks];
    return { ok: true, loaded: { ...compiled.loaded, warnings } };
  }

  locate(faults: readonly Fault[]): readonly Problem[] {
    return faults.map((fault) =>
      problemOf(this.#file, fault, this.#locate(fault.path, fault.atKey)),
    );
  }

  end(): void {}

  #problem(message: string, position?: Position): { readonly problems: readonly Problem[] } {
    return { problems: [{ file: this.#file, ...position, message }] };
  }

  #parse({
    text,
    kind,
  }: Extract<DefinitionText, { kind: "yaml" | "json" }>):
    | { readonly value: object }
    | { readonly problems: readonly Problem[] } {
    const parsed = readSourceText(text, kind);
    if (!parsed.ok)
      return {
        problems: parsed.faults.map(({ message, position }) => ({
          file: this.#file,
          ...position,
          message,
        })),
      };
    this.#locate = (path, atKey) => parsed.source.locate(path, atKey);
    const { value, remarks } = parsed.source;
    this.#remarks = remarks;
    if (!isObject(value))
      return this.#problem(
        "must hold a map of keys and values, such as name:, schedule: and steps:",
        this.#locate([]),
      );
    return { value };
  }

  #fromCode({
    text,
    definition,
  }: Extract<DefinitionText, { kind: "code" }>):
    | { readonly value: Json }
    | { readonly problems: readonly Problem[] } {
    this.#locate = (path) => findInCode(text, path);
    const value = this.#withMarks(definition, 0);
    if (value === undefined)
      return this.#problem(`exports a definition that is nested more than ${MAX_DEPTH} deep`);
    const rounded = roundedNumber(value);
    if (rounded === undefined) return { value };
    const message =
      "is a number beyond 2^53, whose last digits are lost as the code is read: write a text";
    return { problems: this.locate([{ path: rounded, message }]) };
  }

  /**
   * Puts a text in the place of each mark, so that the definition fits the schema. `#code` finds
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

  /** The code that the definition names; notes each place that names it. */
  #code(definition: PipelineDefinition): NamedCode[] {
    for (const { path, uses } of codeUses(definition)) this.#place(uses, path, codeKey(path));
    const written = definition.orchestrator;
    const orchestrator = typeof written === "string" ? written : written?.uses;
    const path = typeof written === "string" ? ["orchestrator"] : ["orchestrator", "uses"];
    if (orchestrator !== undefined) {
      const isCode = isModulePath(orchestrator) || orchestrator.startsWith(MARK);
      this.#place(isCode ? orchestrator : `${NAMED}${orchestrator}`, path, "orchestrator");
    }
    return [...this.#places].map(([uses, [first]]) => ({
      uses,
      orchestrator: uses.startsWith(NAMED) ? uses.slice(NAMED.length) : undefined,
      mark: uses.startsWith(MARK) ? this.#marks[Number(uses.slice(MARK.length))] : undefined,
      path: first!.path,
    }));
  }

  #place(uses: string, path: FieldPath, key: string): void {
    const places = this.#places.get(uses);
    if (places === undefined) this.#places.set(uses, [{ path, key }]);
    else places.push({ path, key });
  }
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
