/**
 * Pipeline files while they are loaded.
 *
 * Evaluating a file of code may take long, or hang until its time limit. After some seconds the
 * other files no longer wait for it (load-patience.ts): it is late. The load goes on by itself, and
 * the file is taken in when it is loaded. If the file changed or went meanwhile, that load is
 * ended. The newest load of each path counts.
 */
import { messageOf } from "../core/thrown.ts";
import { isExhausted } from "../disk/disk-error.ts";
import { startsLater, whatLacks } from "../disk/process-start.ts";
import { untilRoom } from "../disk/until-room.ts";
import type { Clock } from "../clock.ts";
import { BundlerLost } from "../schedules/bundler.ts";
import type { LoadResult } from "../schedules/load-file.ts";
import type { Log } from "../log.ts";
import { LoadPatience } from "./load-patience.ts";

/** How often esbuild may end under the load of one file: the file itself may be too much for it. */
const MOST_LOSSES = 5;

/** What loading files needs. */
export interface FileLoadsPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** @param signal nobody waits for the result any more */
  readonly load: (path: string, signal: AbortSignal) => Promise<LoadResult>;
  /** Acts when all that was begun before is done. */
  readonly inTurn: (act: () => Promise<void>) => Promise<void>;
  /** Takes in a file that was late. */
  readonly take: (path: string, loaded: FileLoad) => Promise<void>;
}

/** The result of loading a file, not taken in yet. */
export interface FileLoad {
  readonly result: LoadResult | { readonly ok: "failed"; readonly why: string };
  /** When the load began, wall time in milliseconds since 1970. */
  readonly since: number;
  /** The name of the pipeline that the file held when the load began. */
  readonly held: string | undefined;
}

/** A load that goes on by itself. */
interface LateLoad {
  /** Resolves once the file is taken in. */
  readonly taken: Promise<void>;
  readonly abort: AbortController;
}

/** The loads of the files of one drop folder. */
export class FileLoads {
  readonly #ports: FileLoadsPorts;
  readonly #patience: LoadPatience;
  /** Loads that the other files no longer wait for, by path. */
  readonly #late = new Map<string, LateLoad>();
  #closed = false;

  constructor(ports: FileLoadsPorts) {
    this.#ports = ports;
    this.#patience = new LoadPatience(ports.clock);
  }

  /** The first reading is done: from now on there is less patience. */
  firstReadingDone(): void {
    this.#patience.firstReadingDone();
  }

  /** Somebody waits: nothing in `act` waits long for a slow file. */
  hastily<T>(act: () => Promise<T>): Promise<T> {
    return this.#patience.hastily(act);
  }

  /**
   * Loads a file. Undefined where that takes long: the load goes on by itself, and the file is
   * taken in at its end.
   *
   * @param held the name of the pipeline that the file holds
   */
  async soon(path: string, held: string | undefined): Promise<FileLoad | undefined> {
    this.#endLate(path);
    const abort = new AbortController();
    const load = this.#load(path, held, abort.signal);
    const soon = await this.#patience.soon(path, load);
    if (soon !== undefined) {
      this.#patience.forget(path);
      return soon;
    }
    const { log, inTurn, take } = this.#ports;
    if (!this.#patience.isSlow(path))
      log.warn(
        { file: path },
        `${path} takes long to be loaded; the other files no longer wait for it`,
      );
    const ended = this.#patience.late(path);
    const taken: Promise<void> = load.then((loaded) =>
      inTurn(async () => {
        if (this.#late.get(path)?.abort !== abort) return;
        this.#late.delete(path);
        if (this.#closed) return;
        ended();
        await take(path, loaded);
      }),
    );
    taken.catch((error: unknown) =>
      log.error({ file: path, err: error }, "a file could not be taken in"),
    );
    this.#late.set(path, { taken, abort });
    return undefined;
  }

  /** A file is gone: its load is ended. */
  gone(path: string): void {
    this.#endLate(path);
    this.#patience.forget(path);
  }

  /** Resolves once no load of the file is late: a load that was superseded has a successor. */
  async noLongerLate(path: string): Promise<void> {
    while (this.#late.has(path)) await this.#late.get(path)!.taken;
  }

  /** Resolves once every file that is late now is taken in. */
  async noneLate(): Promise<void> {
    await Promise.all([...this.#late.keys()].map((path) => this.noLongerLate(path)));
  }

  /** Forgets the loads that are under way. */
  close(): void {
    this.#closed = true;
  }

  /** Ends a load whose file is loaded again, or is gone. */
  #endLate(path: string): void {
    this.#late.get(path)?.abort.abort();
    this.#late.delete(path);
  }

  async #load(path: string, held: string | undefined, signal: AbortSignal): Promise<FileLoad> {
    const since = Date.now();
    try {
      return { result: await this.#loadOnceItCan(path, signal), since, held };
    } catch (error) {
      const why = messageOf(error);
      return { result: { ok: "failed", why }, since, held };
    }
  }

  /**
   * Loads a file once the machine can: no room for its bundle, or no descriptor to read it, says
   * nothing about the file.
   */
  #loadOnceItCan(path: string, signal: AbortSignal): Promise<LoadResult> {
    const { clock, log, load } = this.#ports;
    let losses = 0;
    const isLost = (error: unknown): boolean =>
      error instanceof BundlerLost && (losses += 1) < MOST_LOSSES;
    const onHeld = (held: boolean, error?: unknown): void => {
      if (!held) return;
      const why = error instanceof BundlerLost ? error.message : whatLacks(error);
      log.error({ file: path, err: error }, `${why}: ${path} waits to be loaded`);
    };
    return untilRoom(
      { clock, onHeld },
      () => load(path, signal),
      (error) =>
        (isExhausted(error) || startsLater(error) || isLost(error)) &&
        !this.#closed &&
        !signal.aborted,
    );
  }
}
