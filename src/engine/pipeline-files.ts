/**
 * From changes in the drop folder to versions in force: which file defines which pipeline.
 *
 * A file defines at most one pipeline, and a pipeline comes from one file. Where several files
 * claim a name, one holds it (name-holder.ts): the file that the pipeline was last loaded from, by
 * its ledger. The others are refused. A file that is bad now keeps the name that it had, and its
 * last good version stays in force. That holds across a restart too (kept-versions.ts).
 *
 * Files are loaded a few at a time, and then settled name by name: so a file that is renamed
 * removes no pipeline. The others do not wait for a file that takes long (file-loads.ts). Its last
 * version stays in force meanwhile.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { basename, extname } from "node:path";
import type { Clock } from "../clock.ts";
import { didYouMean } from "../core/did-you-mean.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { isSameFile, nameHolder } from "../core/name-holder.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import { formatProblem } from "../schedules/problem.ts";
import { FileLoads, type FileLoad, type FileLoadsPorts } from "./file-loads.ts";
import { KeptVersions, type ReadLarge } from "./kept-versions.ts";
import { LedgerBlocked } from "../ledger/ledger-error.ts";
import type { PipelineDesk } from "./pipeline-desk.ts";
import type { Log } from "../log.ts";

const LOADS_AT_ONCE = 8;
/** So many faults of one file are told, or warnings. A file of 5,000 steps may have one in each. */
const MOST_TOLD = 50;
/**
 * After how many files, or milliseconds, the event loop gets a turn. Loading a declared file waits
 * for nothing, and slots are due while thousands are loaded.
 */
const FILES_A_TURN = 8;
const MS_A_TURN = 20;

/** What changed in the drop folder, by absolute path. */
export interface FileChanges {
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Files that are gone since a moment ago: they may come back, or count as removed soon. */
  readonly missing?: readonly string[];
}

/** What reading pipeline files needs. */
export interface PipelineFilesPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** `.orchd` */
  readonly orchdDir: string;
  readonly load: FileLoadsPorts["load"];
  /** Reads a large version that was kept: see {@link KeptVersions}. */
  readonly kept?: ReadLarge | undefined;
  /** The desk of a pipeline; made where there is none. */
  readonly desk: (name: string) => Promise<PipelineDesk>;
  /** All desks there are. */
  readonly desks: () => Iterable<PipelineDesk>;
  /** The desk of a pipeline; undefined where there is none. */
  readonly known: (name: string) => PipelineDesk | undefined;
  /** Waits for work on a pipeline, but not while the pipeline is set aside. */
  readonly unlessAside: (name: string, work: Promise<void>) => Promise<void>;
  /**
   * Watches the files that belong to a pipeline file: their change is its change. That includes
   * changes after `since` (wall time, in milliseconds since 1970).
   */
  readonly watch: (path: string, watched: readonly string[], since?: number) => void;
}

interface Read {
  /** The pipeline that the file defines, or defined when it was last good. */
  readonly name: string;
  readonly loaded?: LoadedPipeline;
  readonly errors: readonly string[];
  /** Its first loading is still under way: only its name is known. */
  readonly loading?: true;
}

/** The pipeline files of one drop folder. */
export class PipelineFiles {
  readonly #ports: PipelineFilesPorts;
  readonly #read = new Map<string, Read>();
  /** The files that define, or defined, each pipeline, by its name. */
  readonly #named = new Map<string, Set<string>>();
  readonly #loads: FileLoads;
  readonly #kept: KeptVersions;
  /**
   * Files that claim a name that another file has, and the pipeline in whose ledger the refusal is
   * written: one that no file defines.
   */
  readonly #strays = new Map<string, string>();
  /** Files that are gone and do not count as removed yet. */
  #missing: ReadonlySet<string> = new Set();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: PipelineFilesPorts) {
    this.#ports = ports;
    this.#kept = new KeptVersions(ports.orchdDir, ports.log, ports.kept);
    this.#loads = new FileLoads({
      clock: ports.clock,
      log: ports.log,
      load: ports.load,
      inTurn: (act) => this.#inTurn(act),
      take: async (path, loaded) => {
        const affected = new Set<string>();
        this.#take(path, loaded, affected);
        await this.#settleAll(affected);
      },
    });
  }

  /** How many files are known. */
  get size(): number {
    return this.#read.size;
  }

  /** Whether a file defines this pipeline, or defined it when it was last good. */
  knows(name: string): boolean {
    return this.#named.has(name);
  }

  /** Takes changes in; resolves once they are in force, or refused. Calls are served in order. */
  apply(changes: FileChanges): Promise<void> {
    return this.#inTurn(() => this.#apply(changes));
  }

  /** The first reading is done: removes the pipelines that no file defines any more. */
  async firstReadingDone(): Promise<void> {
    this.#loads.firstReadingDone();
    const told = new Set(this.#strays.values());
    for (const desk of this.#ports.desks()) {
      if (
        !this.knows(desk.name) &&
        !told.has(desk.name) &&
        (!desk.state.removed || desk.state.errors.length > 0)
      ) {
        if (desk.state.digest !== undefined || desk.state.errors.length > 0)
          this.#ports.log.info(
            { pipeline: desk.name, file: desk.state.file },
            `pipeline ${desk.name} was removed`,
          );
        await desk.remove(desk.state.file);
      }
    }
  }

  /**
   * Reads a pipeline's file again: what was just saved is what runs (semantics.md 0).
   *
   * @returns the version in force, or in one sentence why there is none
   */
  async refresh(
    name: string,
  ): Promise<
    | { readonly ok: true; readonly loaded: LoadedPipeline; readonly desk: PipelineDesk }
    | { readonly ok: false; readonly reason: string }
  > {
    // A slow file may define it: that is not known before the file is loaded.
    if (!this.knows(name)) await this.#loads.noneLate();
    const path = await this.#loads.hastily(() =>
      this.#inTurn(async () => {
        const found = this.#holder(name) ?? this.#named.get(name)?.values().next().value;
        if (found !== undefined) await this.#apply({ changed: [found], removed: [] });
        return found;
      }),
    );
    if (path === undefined) {
      const meant = didYouMean(name, [...this.#named.keys()]);
      return { ok: false, reason: `there is no pipeline ${JSON.stringify(name)}${meant}` };
    }
    // Only this caller waits for a slow file.
    await this.#loads.noLongerLate(path);
    return this.#inTurn(async () => {
      const read = this.#read.get(path);
      const desk = await this.#ports.desk(name).catch((error: unknown) => {
        if (error instanceof LedgerBlocked) return error;
        throw error;
      });
      if (desk instanceof LedgerBlocked) return { ok: false, reason: desk.message };
      if (read === undefined) return { ok: false, reason: `${path} was removed` };
      if (read.loaded === undefined)
        return { ok: false, reason: read.errors[0] ?? "its file is invalid" };
      if (read.name !== name || desk.loaded === undefined)
        return { ok: false, reason: `${path} no longer holds pipeline ${JSON.stringify(name)}` };
      return { ok: true, loaded: desk.loaded, desk };
    });
  }

  /** A pipeline could not be opened, and can be now: puts in force what its files say. */
  settleAgain(name: string): Promise<void> {
    return this.#inTurn(() => this.#settle(name));
  }

  /** Reads every file again: settings that go into pipelines changed. */
  reload(): Promise<void> {
    return this.#inTurn(() => this.#apply({ changed: [...this.#read.keys()], removed: [] }));
  }

  /** Forgets the loads that are under way. */
  close(): void {
    this.#loads.close();
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(act);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #apply({ changed, removed, missing = [] }: FileChanges): Promise<void> {
    this.#missing = new Set(missing);
    const affected = new Set<string>();
    for (const path of removed) {
      const before = this.#read.get(path);
      if (before === undefined) continue;
      affected.add(before.name);
      this.#remember(path, undefined);
      this.#loads.gone(path);
      this.#ports.watch(path, []);
    }
    const rest = changed.values();
    const pace = new LoadPace(this.#ports.clock);
    const walk = async (): Promise<void> => {
      for (const path of rest) {
        await pace.next();
        const soon = await this.#loads.soon(path, this.#heldName(path));
        if (soon !== undefined) this.#take(path, soon, affected);
        else if (!this.#read.has(path)) {
          const name = this.#nameFor(path);
          this.#remember(path, { name, errors: [], loading: true });
          affected.add(name);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(LOADS_AT_ONCE, changed.length) }, walk));
    await this.#settleAll(affected);
  }

  #take(path: string, { result, since, held }: FileLoad, affected: Set<string>): void {
    const before = this.#read.get(path)?.name;
    const read = this.#readOf(path, result, held);
    this.#remember(path, read);
    const watched =
      result.ok === true ? result.loaded.watched : result.ok ? undefined : result.watched;
    if (watched !== undefined) this.#ports.watch(path, watched, since);
    if (before !== undefined) affected.add(before);
    affected.add(read.name);
  }

  async #settleAll(affected: ReadonlySet<string>): Promise<void> {
    for (const name of affected) {
      for (const loser of this.#losers(name)) {
        const told = this.#nameFor(loser);
        if (this.#good(told).length === 0) this.#strays.set(loser, told);
      }
    }
    const names = [...affected].sort().values();
    const settle = async (): Promise<void> => {
      for (const name of names) await this.#settle(name);
    };
    await Promise.all(Array.from({ length: Math.min(LOADS_AT_ONCE, affected.size) }, settle));
    for (const [path, told] of this.#strays) {
      const read = this.#read.get(path);
      if (read?.loaded !== undefined && this.#holder(read.name) !== path) continue;
      this.#strays.delete(path);
      if (!affected.has(told)) await this.#settle(told);
    }
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

  #readOf(path: string, result: FileLoad["result"], held: string | undefined): Read {
    if (result.ok === true) return { name: result.loaded.name, loaded: result.loaded, errors: [] };
    const errors =
      result.ok === "failed"
        ? [`${path}: could not be loaded: ${result.why}`]
        : told(path, result.errors.map(formatProblem));
    return { name: held ?? this.#nameFor(path), errors };
  }

  /**
   * The name of the pipeline that a file stands for while it was never good: the pipeline that came
   * from its path before, else the file's own name.
   */
  #nameFor(path: string): string {
    for (const desk of this.#ports.desks())
      if (isSameFile(desk.state.file, path) && !desk.state.removed) return desk.name;
    const stem = basename(path, extname(path));
    if (PIPELINE_NAME.test(stem)) return stem;
    const plain = stem
      .toLowerCase()
      .replace(/[^a-z0-9_-]/g, "-")
      .replace(/^[^a-z0-9]+/, "")
      .slice(0, 64);
    return PIPELINE_NAME.test(plain) ? plain : "unnamed";
  }

  /** The good files that claim a name. */
  #good(name: string): string[] {
    return [...(this.#named.get(name) ?? [])].filter(
      (path) => this.#read.get(path)?.loaded !== undefined,
    );
  }

  /** The file that holds a name, which may be bad now. */
  #holder(name: string): string | undefined {
    const claims = [...(this.#named.get(name) ?? [])].map((path) => ({
      path,
      digest: this.#read.get(path)?.loaded?.digest,
    }));
    return nameHolder(claims, this.#ports.known(name)?.state)?.path;
  }

  /** The good files that claim a name and do not hold it. */
  #losers(name: string): string[] {
    const holder = this.#holder(name);
    // A holder that is missing may only be renamed: then there is nothing to refuse.
    if (holder === undefined || this.#missing.has(holder)) return [];
    return this.#good(name).filter((path) => path !== holder);
  }

  /** The name that a file holds: it keeps it if it is bad now. */
  #heldName(path: string): string | undefined {
    const name = this.#read.get(path)?.name;
    return name !== undefined && this.#holder(name) === path ? name : undefined;
  }

  /**
   * Puts in force what the files of a name say. A pipeline that is set aside is not waited for: its
   * ledger takes what came meanwhile once it can be written.
   */
  #settle(name: string): Promise<void> {
    const settled = this.#settleNow(name).catch((error: unknown) => {
      // It is settled again when it can be opened.
      if (!(error instanceof LedgerBlocked)) throw error;
    });
    return this.#ports.unlessAside(name, settled);
  }

  async #settleNow(name: string): Promise<void> {
    const { log } = this.#ports;
    const holder = this.#holder(name);
    const loaded = holder === undefined ? undefined : this.#read.get(holder)?.loaded;
    const winner = loaded === undefined ? undefined : holder;
    const losers = this.#losers(name);
    const others = [...(this.#named.get(name) ?? [])].flatMap((path) => {
      const read = this.#read.get(path)!;
      return read.loaded === undefined ? [{ path, ...read }] : [];
    });
    const broken = others.filter(({ loading }) => loading !== true);
    const desk = await this.#ports.desk(name);
    if (loaded !== undefined) await this.#putInForce(desk, loaded);
    for (const loser of losers) {
      const error =
        `${loser}: the name ${JSON.stringify(name)} is taken by ${holder!}; ` +
        "give this pipeline another name";
      log.error({ pipeline: name, file: loser }, error);
      const told = this.#strays.get(loser);
      const own = told === undefined ? desk : await this.#ports.desk(told);
      if (told !== undefined) await this.#kept.restore(own);
      await own.invalid([error], loser);
    }
    for (const { path, errors } of broken) {
      for (const error of errors) log.error({ pipeline: name, file: path }, error);
      if (winner === undefined) await this.#kept.restore(desk);
      await desk.invalid(errors, path);
    }
    // A file that is still being loaded may be the same as when the last daemon ended.
    if (winner === undefined && broken.length < others.length) await this.#kept.restore(desk);
    if (winner === undefined && others.length === 0 && ![...this.#strays.values()].includes(name)) {
      if (!desk.state.removed) log.info({ pipeline: name }, `pipeline ${name} was removed`);
      this.#kept.forget(name);
      await desk.remove(desk.state.file);
    }
  }

  async #putInForce(desk: PipelineDesk, loaded: LoadedPipeline): Promise<void> {
    const before = desk.loaded;
    await desk.load(loaded);
    if (before?.digest === loaded.digest && before.file === loaded.file) return;
    const what = before === undefined ? "loaded" : "changed";
    this.#ports.log.info(
      { pipeline: loaded.name, file: loaded.file, digest: loaded.digest.slice(0, 12) },
      `pipeline ${loaded.name} ${before?.digest === loaded.digest ? "has another file" : what}`,
    );
    for (const warning of told(loaded.file, loaded.warnings))
      this.#ports.log.warn({ pipeline: loaded.name, file: loaded.file }, warning);
    await this.#kept.keep(loaded);
  }
}

/** Says when the next file may be loaded: all who load share the turns of the event loop. */
class LoadPace {
  readonly #clock: Clock;
  #files = 0;
  #began = Number.NEGATIVE_INFINITY;
  #turn: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async next(): Promise<void> {
    while (this.#isOver) {
      this.#turn ??= nextTurn().then(() => {
        this.#files = 0;
        this.#turn = undefined;
      });
      await this.#turn;
    }
    if (this.#files === 0) this.#began = this.#clock.monotonic();
    this.#files += 1;
  }

  get #isOver(): boolean {
    return (
      this.#files >= FILES_A_TURN ||
      (this.#files > 0 && this.#clock.monotonic() - this.#began >= MS_A_TURN)
    );
  }
}

/** The first sentences about a file, and how many more there are. */
function told(path: string, sentences: readonly string[]): readonly string[] {
  const more = sentences.length - MOST_TOLD;
  if (more <= 0) return sentences;
  const rest = `${path}: and ${more} more; orchd validate ${path} tells them all`;
  return [...sentences.slice(0, MOST_TOLD), rest];
}
