/**
 * Which file says what a pipeline is: from changes in the drop folder to versions in force.
 *
 * A file gives at most one pipeline, and a pipeline comes from one file: of several that claim a name, the first by file name has it and the others are
 * refused. A file that cannot be read keeps the name it had, and its last good version stays in force, across a restart too: each
 * version that comes into force is kept beside the ledgers (`.orchd/in-force/NAME.json`; derived, and used only if the ledger knows its digest).
 *
 * Files are loaded a few at a time, and what they mean is settled name by name, so that a file that is renamed is no removal.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { didYouMean } from "../core/did-you-mean.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import type { LoadResult } from "../schedules/load-file.ts";
import { formatProblem } from "../schedules/problem.ts";
import type { PipelineDesk } from "./pipeline-desk.ts";
import type { Log } from "./ports.ts";

const LOADS_AT_ONCE = 8;

/** What changed in the drop folder: absolute paths. */
export interface FileChanges {
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** What this needs. */
export interface PipelineFilesPorts {
  readonly log: Log;
  /** `.orchd` */
  readonly orchdDir: string;
  readonly load: (path: string) => Promise<LoadResult>;
  /** The desk of a pipeline, made if there is none. */
  readonly desk: (name: string) => Promise<PipelineDesk>;
  /** All desks there are. */
  readonly desks: () => Iterable<PipelineDesk>;
  /** These files belong to that pipeline file: their change is its change. */
  readonly watch: (path: string, watched: readonly string[]) => void;
}

interface Read {
  /** The pipeline it is, or was when it was last good. */
  readonly name: string;
  readonly loaded?: LoadedPipeline;
  readonly errors: readonly string[];
}

/** See the head of this file. */
export class PipelineFiles {
  readonly #ports: PipelineFilesPorts;
  readonly #read = new Map<string, Read>();
  /** The files of each name. */
  readonly #named = new Map<string, Set<string>>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: PipelineFilesPorts) {
    this.#ports = ports;
    mkdirSync(join(ports.orchdDir, "in-force"), { recursive: true, mode: 0o750 });
  }

  /** How many files are known. */
  get size(): number {
    return this.#read.size;
  }

  /** Whether a file gives this pipeline, or gave it when it was last good. */
  knows(name: string): boolean {
    return this.#named.has(name);
  }

  /** Takes in what changed; resolves once it is in force, or refused. Calls are served in order. */
  apply(changes: FileChanges): Promise<void> {
    return this.#inTurn(() => this.#apply(changes));
  }

  /** The first reading is done: pipelines that no file gives any more are removed. */
  async firstReadingDone(): Promise<void> {
    for (const desk of this.#ports.desks()) {
      if (!this.knows(desk.name) && !desk.state.removed) {
        if (desk.state.digest !== undefined || desk.state.errors.length > 0)
          this.#ports.log.info({ pipeline: desk.name, file: desk.state.file }, `pipeline ${desk.name} was removed`);
        await desk.remove(desk.state.file);
      }
    }
  }

  /**
   * Reads a pipeline's file once more, so that what was just saved is what runs (semantics.md 0).
   *
   * @returns the version in force, or in one sentence why there is none
   */
  refresh(
    name: string,
  ): Promise<{ readonly ok: true; readonly loaded: LoadedPipeline; readonly desk: PipelineDesk } | { readonly ok: false; readonly reason: string }> {
    return this.#inTurn(async () => {
      const path = this.#claims(name)[0] ?? this.#named.get(name)?.values().next().value;
      if (path === undefined)
        return {
          ok: false,
          reason: `there is no pipeline ${JSON.stringify(name)}${didYouMean(name, [...this.#named.keys()])}`,
        };
      await this.#apply({ changed: [path], removed: [] });
      const read = this.#read.get(path)!;
      const desk = await this.#ports.desk(name);
      if (read.loaded === undefined) return { ok: false, reason: read.errors[0] ?? "its file is invalid" };
      if (read.name !== name || desk.loaded === undefined) return { ok: false, reason: `${path} no longer holds pipeline ${JSON.stringify(name)}` };
      return { ok: true, loaded: desk.loaded, desk };
    });
  }

  /** Reads every file once more: settings that go into pipelines changed. */
  reload(): Promise<void> {
    return this.#inTurn(() => this.#apply({ changed: [...this.#read.keys()], removed: [] }));
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(act);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #apply({ changed, removed }: FileChanges): Promise<void> {
    const affected = new Set<string>();
    for (const path of removed) {
      const before = this.#read.get(path);
      if (before === undefined) continue;
      affected.add(before.name);
      this.#remember(path, undefined);
      this.#ports.watch(path, []);
    }
    const rest = changed.values();
    const walk = async (): Promise<void> => {
      for (const path of rest) {
        const before = this.#read.get(path)?.name;
        const read = await this.#load(path, before);
        this.#remember(path, read);
        if (before !== undefined) affected.add(before);
        affected.add(read.name);
      }
    };
    await Promise.all(Array.from({ length: Math.min(LOADS_AT_ONCE, changed.length) }, walk));
    const names = [...affected].sort().values();
    const settle = async (): Promise<void> => {
      for (const name of names) await this.#settle(name);
    };
    await Promise.all(Array.from({ length: Math.min(LOADS_AT_ONCE, affected.size) }, settle));
  }

  #remember(path: string, read: Read | undefined): void {
    const before = this.#read.get(path);
    if (before !== undefined) {
      const paths = this.#named.get(before.name);
      paths?.delete(path);
      if (paths?.size === 0) this.#named.delete(before.name);
    }
    this.#read.delete(path);
    if (read === undefined) return;
    this.#read.set(path, read);
    const paths = this.#named.get(read.name);
    if (paths === undefined) this.#named.set(read.name, new Set([path]));
    else paths.add(path);
  }

  async #load(path: string, before: string | undefined): Promise<Read> {
    let result: LoadResult;
    try {
      result = await this.#ports.load(path);
    } catch (error) {
      return {
        name: before ?? this.#nameFor(path),
        errors: [`${path}: could not be loaded: ${error instanceof Error ? error.message : String(error)}`],
      };
    }
    this.#ports.watch(path, result.ok ? result.loaded.watched : result.watched);
    if (result.ok) return { name: result.loaded.name, loaded: result.loaded, errors: [] };
    return { name: before ?? this.#nameFor(path), errors: result.errors.map(formatProblem) };
  }

  /** The pipeline that a file which was never good stands for: the one that its path had before, else its own name. */
  #nameFor(path: string): string {
    for (const desk of this.#ports.desks()) if (desk.state.file === path && !desk.state.removed) return desk.name;
    const stem = basename(path, extname(path));
    if (PIPELINE_NAME.test(stem)) return stem;
    const plain = stem
      .toLowerCase()
      .replace(/[^a-z0-9_-]/g, "-")
      .replace(/^[^a-z0-9]+/, "")
      .slice(0, 64);
    return PIPELINE_NAME.test(plain) ? plain : "unnamed";
  }

  /** The good files that claim a name, the one that has it first. */
  #claims(name: string): string[] {
    return [...(this.#named.get(name) ?? [])]
      .filter((path) => this.#read.get(path)?.loaded !== undefined)
      .sort((a, b) => (basename(a) < basename(b) ? -1 : basename(a) > basename(b) ? 1 : a < b ? -1 : 1));
  }

  async #settle(name: string): Promise<void> {
    const { log } = this.#ports;
    const [winner, ...losers] = this.#claims(name);
    const broken = [...(this.#named.get(name) ?? [])].flatMap((path) => {
      const read = this.#read.get(path)!;
      return read.loaded === undefined ? [{ path, errors: read.errors }] : [];
    });
    const desk = await this.#ports.desk(name);
    if (winner !== undefined) await this.#putInForce(desk, this.#read.get(winner)!.loaded!);
    for (const loser of losers) {
      const error = `${loser}: the name ${JSON.stringify(name)} is taken by ${winner!}; give this pipeline another name`;
      log.error({ pipeline: name, file: loser }, error);
      const stem = this.#nameFor(loser);
      const own = this.#claims(stem).length > 0 ? desk : await this.#ports.desk(stem);
      await own.invalid([error], loser);
    }
    for (const { path, errors } of broken) {
      for (const error of errors) log.error({ pipeline: name, file: path }, error);
      if (winner === undefined) await this.#restore(desk);
      await desk.invalid(errors, path);
    }
    if (winner === undefined && broken.length === 0) {
      if (!desk.state.removed) log.info({ pipeline: name }, `pipeline ${name} was removed`);
      rmSync(this.#keptPath(name), { force: true });
      await desk.remove(desk.state.file);
    }
  }

  async #putInForce(desk: PipelineDesk, loaded: LoadedPipeline): Promise<void> {
    const before = desk.loaded?.digest;
    await desk.load(loaded);
    if (before === loaded.digest) return;
    this.#ports.log.info(
      { pipeline: loaded.name, file: loaded.file, digest: loaded.digest.slice(0, 12) },
      `pipeline ${loaded.name} ${before === undefined ? "loaded" : "changed"}`,
    );
    for (const warning of loaded.warnings) this.#ports.log.warn({ pipeline: loaded.name, file: loaded.file }, warning);
    const path = this.#keptPath(loaded.name);
    // Not synced: if it is lost, a bad file at the next start has no version in force, and says so.
    writeFileSync(`${path}.new`, JSON.stringify(loaded), { mode: 0o640 });
    renameSync(`${path}.new`, path);
  }

  /** Brings back the last good version of an earlier daemon, if its ledger still calls it the one in force. */
  async #restore(desk: PipelineDesk): Promise<void> {
    if (desk.loaded !== undefined || desk.state.removed || desk.state.digest === undefined) return;
    try {
      const kept = JSON.parse(readFileSync(this.#keptPath(desk.name), "utf8")) as LoadedPipeline;
      if (kept.digest === desk.state.digest && kept.name === desk.name) await desk.restore(kept);
    } catch {
      // It was never kept, or not whole: there is no version in force, and the desk says so for each slot.
    }
  }

  #keptPath(name: string): string {
    return join(this.#ports.orchdDir, "in-force", `${name}.json`);
  }
}
