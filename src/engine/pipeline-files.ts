/**
 * Which file says what a pipeline is: from changes in the drop folder to versions in force.
 *
 * A file gives at most one pipeline, and a pipeline comes from one file: of several that claim a
 * name, the first by file name has it and the others are refused. A file that cannot be read keeps
 * the name it had, and its last good version stays in force, across a restart too: each version
 * that comes into force is kept beside the ledgers (`.orchd/in-force/NAME.json`; derived, and used
 * only if the ledger knows its digest).
 *
 * Files are loaded a few at a time, and what they mean is settled name by name, so that a file that
 * is renamed is no removal. A file in code may take long to be evaluated, or hang until its time
 * limit: after some seconds the others no longer wait for it. What it was before stays in force
 * meanwhile, and it is taken in when it is done, unless it changed or went since.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { isExhausted, whatRanOut } from "../disk/disk-error.ts";
import { untilRoom } from "../disk/until-room.ts";
import { makeFolder } from "../disk/make-folder.ts";
import type { Clock } from "../clock.ts";
import { didYouMean } from "../core/did-you-mean.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import type { LoadResult } from "../schedules/load-file.ts";
import { formatProblem } from "../schedules/problem.ts";
import type { PipelineDesk } from "./pipeline-desk.ts";
import type { Log } from "../log.ts";

const LOADS_AT_ONCE = 8;
/**
 * How long a file's loading may hold the others up, in milliseconds: all that is there should be
 * known when the daemon is ready, and edits within 15 s.
 */
const FIRST_PATIENCE_MS = 10_000;
const PATIENCE_MS = 4_000;

/** What changed in the drop folder: absolute paths. */
export interface FileChanges {
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** What this needs. */
export interface PipelineFilesPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** `.orchd` */
  readonly orchdDir: string;
  readonly load: (path: string) => Promise<LoadResult>;
  /** The desk of a pipeline, made if there is none. */
  readonly desk: (name: string) => Promise<PipelineDesk>;
  /** All desks there are. */
  readonly desks: () => Iterable<PipelineDesk>;
  /**
   * These files belong to that pipeline file: their change is its change, also if they were written
   * since then (wall time, milliseconds).
   */
  readonly watch: (path: string, watched: readonly string[], since?: number) => void;
}

interface Read {
  /** The pipeline it is, or was when it was last good. */
  readonly name: string;
  readonly loaded?: LoadedPipeline;
  readonly errors: readonly string[];
  /** Its first loading is still under way: nothing is known of it but its name. */
  readonly loading?: true;
}

/** What came of loading a file, not yet taken in. */
interface Loaded {
  readonly read: Read;
  readonly watched?: readonly string[];
  readonly since: number;
}

/** See the head of this file. */
export class PipelineFiles {
  readonly #ports: PipelineFilesPorts;
  readonly #read = new Map<string, Read>();
  /** The files of each name. */
  readonly #named = new Map<string, Set<string>>();
  /** Loads that the others no longer wait for, by path; the newest of each path counts. */
  readonly #late = new Map<string, Promise<void>>();
  /**
   * Files that claim another's name, and the pipeline under whose name that is told: one that no
   * file gives.
   */
  readonly #strays = new Map<string, string>();
  #turn: Promise<unknown> = Promise.resolve();
  #first = true;
  #closed = false;

  constructor(ports: PipelineFilesPorts) {
    this.#ports = ports;
    makeFolder(join(ports.orchdDir, "in-force"), 0o750);
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
    this.#first = false;
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
   * Reads a pipeline's file once more, so that what was just saved is what runs (semantics.md 0).
   *
   * @returns the version in force, or in one sentence why there is none
   */
  async refresh(
    name: string,
  ): Promise<
    | { readonly ok: true; readonly loaded: LoadedPipeline; readonly desk: PipelineDesk }
    | { readonly ok: false; readonly reason: string }
  > {
    // What a slow file holds is not known before it is loaded.
    if (!this.knows(name)) await Promise.all(this.#late.values());
    const path = await this.#inTurn(async () => {
      const found = this.#claims(name)[0] ?? this.#named.get(name)?.values().next().value;
      if (found !== undefined) await this.#apply({ changed: [found], removed: [] });
      return found;
    });
    if (path === undefined)
      return {
        ok: false,
        reason: `there is no pipeline ${JSON.stringify(name)}${didYouMean(name, [...this.#named.keys()])}`,
      };
    // Only who asked for it waits for a slow file.
    await this.#late.get(path);
    return this.#inTurn(async () => {
      const read = this.#read.get(path);
      const desk = await this.#ports.desk(name);
      if (read === undefined) return { ok: false, reason: `${path} was removed` };
      if (read.loaded === undefined)
        return { ok: false, reason: read.errors[0] ?? "its file is invalid" };
      if (read.name !== name || desk.loaded === undefined)
        return { ok: false, reason: `${path} no longer holds pipeline ${JSON.stringify(name)}` };
      return { ok: true, loaded: desk.loaded, desk };
    });
  }

  /** Reads every file once more: settings that go into pipelines changed. */
  reload(): Promise<void> {
    return this.#inTurn(() => this.#apply({ changed: [...this.#read.keys()], removed: [] }));
  }

  /** Loads that are under way are forgotten. */
  close(): void {
    this.#closed = true;
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
      this.#late.delete(path);
      this.#ports.watch(path, []);
    }
    const rest = changed.values();
    const walk = async (): Promise<void> => {
      for (const path of rest) {
        const soon = await this.#loadSoon(path);
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

  /**
   * Loads a file; undefined where that takes long: it goes on by itself then, and is taken in at
   * its end.
   */
  async #loadSoon(path: string): Promise<Loaded | undefined> {
    const { clock, log } = this.#ports;
    this.#late.delete(path);
    const load = this.#load(path, this.#read.get(path)?.name);
    let stop!: () => void;
    const patience = new Promise<undefined>((resolve) => {
      const timer = clock.after(this.#first ? FIRST_PATIENCE_MS : PATIENCE_MS, () =>
        resolve(undefined),
      );
      stop = () => timer.cancel();
    });
    const soon = await Promise.race([load, patience]);
    stop();
    if (soon !== undefined) return soon;
    log.warn(
      { file: path },
      `${path} takes long to be loaded; the other files no longer wait for it`,
    );
    const late: Promise<void> = load.then((loaded) =>
      this.#inTurn(async () => {
        if (this.#closed || this.#late.get(path) !== late) return;
        this.#late.delete(path);
        const affected = new Set<string>();
        this.#take(path, loaded, affected);
        await this.#settleAll(affected);
      }),
    );
    late.catch((error: unknown) =>
      log.error({ file: path, err: error }, "a file could not be taken in"),
    );
    this.#late.set(path, late);
    return undefined;
  }

  #take(path: string, { read, watched, since }: Loaded, affected: Set<string>): void {
    const before = this.#read.get(path)?.name;
    this.#remember(path, read);
    if (watched !== undefined) this.#ports.watch(path, watched, since);
    if (before !== undefined) affected.add(before);
    affected.add(read.name);
  }

  async #settleAll(affected: ReadonlySet<string>): Promise<void> {
    for (const name of affected) {
      for (const loser of this.#claims(name).slice(1)) {
        const told = this.#nameFor(loser);
        if (this.#claims(told).length === 0) this.#strays.set(loser, told);
      }
    }
    const names = [...affected].sort().values();
    const settle = async (): Promise<void> => {
      for (const name of names) await this.#settle(name);
    };
    await Promise.all(Array.from({ length: Math.min(LOADS_AT_ONCE, affected.size) }, settle));
    for (const [path, told] of this.#strays) {
      const read = this.#read.get(path);
      if (read?.loaded !== undefined && this.#claims(read.name)[0] !== path) continue;
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

  async #load(path: string, before: string | undefined): Promise<Loaded> {
    const since = Date.now();
    let result: LoadResult;
    try {
      result = await this.#loadOnceItCan(path);
    } catch (error) {
      return {
        read: {
          name: before ?? this.#nameFor(path),
          errors: [
            `${path}: could not be loaded: ${error instanceof Error ? error.message : String(error)}`,
          ],
        },
        since,
      };
    }
    if (result.ok)
      return {
        read: { name: result.loaded.name, loaded: result.loaded, errors: [] },
        watched: result.loaded.watched,
        since,
      };
    return {
      read: { name: before ?? this.#nameFor(path), errors: result.errors.map(formatProblem) },
      watched: result.watched,
      since,
    };
  }

  /**
   * That there is no room for its bundle, or no descriptor to read it with, says nothing about a
   * file: it is loaded when there is.
   */
  #loadOnceItCan(path: string): Promise<LoadResult> {
    const { clock, log, load } = this.#ports;
    const onHeld = (held: boolean, error?: unknown): void => {
      if (held)
        log.error({ file: path, err: error }, `${whatRanOut(error)}: ${path} waits to be loaded`);
    };
    return untilRoom(
      { clock, onHeld },
      () => load(path),
      (error) => isExhausted(error) && !this.#closed,
    );
  }

  /**
   * The pipeline that a file which was never good stands for: the one that its path had before,
   * else its own name.
   */
  #nameFor(path: string): string {
    for (const desk of this.#ports.desks())
      if (desk.state.file === path && !desk.state.removed) return desk.name;
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
      .sort((a, b) =>
        basename(a) < basename(b) ? -1 : basename(a) > basename(b) ? 1 : a < b ? -1 : 1,
      );
  }

  async #settle(name: string): Promise<void> {
    const { log } = this.#ports;
    const [winner, ...losers] = this.#claims(name);
    const others = [...(this.#named.get(name) ?? [])].flatMap((path) => {
      const read = this.#read.get(path)!;
      return read.loaded === undefined ? [{ path, ...read }] : [];
    });
    const broken = others.filter(({ loading }) => loading !== true);
    const desk = await this.#ports.desk(name);
    if (winner !== undefined) await this.#putInForce(desk, this.#read.get(winner)!.loaded!);
    for (const loser of losers) {
      const error = `${loser}: the name ${JSON.stringify(name)} is taken by ${winner!}; give this pipeline another name`;
      log.error({ pipeline: name, file: loser }, error);
      const told = this.#strays.get(loser);
      const own = told === undefined ? desk : await this.#ports.desk(told);
      if (told !== undefined) await this.#restore(own);
      await own.invalid([error], loser);
    }
    for (const { path, errors } of broken) {
      for (const error of errors) log.error({ pipeline: name, file: path }, error);
      if (winner === undefined) await this.#restore(desk);
      await desk.invalid(errors, path);
    }
    // What is only being loaded may be what it was when the last daemon ended.
    if (winner === undefined && broken.length < others.length) await this.#restore(desk);
    if (winner === undefined && others.length === 0 && ![...this.#strays.values()].includes(name)) {
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
    for (const warning of loaded.warnings)
      this.#ports.log.warn({ pipeline: loaded.name, file: loaded.file }, warning);
    const path = this.#keptPath(loaded.name);
    // Not synced: if it is lost, a bad file at the next start has no version in force, and says so.
    try {
      writeFileSync(`${path}.new`, JSON.stringify(loaded), { mode: 0o640 });
      renameSync(`${path}.new`, path);
    } catch (error) {
      this.#ports.log.warn(
        { pipeline: loaded.name, err: error },
        `the version of ${loaded.name} in force could not be kept for the next daemon`,
      );
    }
  }

  /**
   * Brings back the last good version of an earlier daemon, if its ledger still calls it the one in
   * force.
   */
  async #restore(desk: PipelineDesk): Promise<void> {
    if (desk.loaded !== undefined || desk.state.removed || desk.state.digest === undefined) return;
    try {
      const kept = JSON.parse(readFileSync(this.#keptPath(desk.name), "utf8")) as LoadedPipeline;
      if (kept.digest === desk.state.digest && kept.name === desk.name) await desk.restore(kept);
    } catch {
      // It was never kept, or not whole: there is no version in force, and the desk says so for
      // each slot.
    }
  }

  #keptPath(name: string): string {
    return join(this.#ports.orchdDir, "in-force", `${name}.json`);
  }
}
