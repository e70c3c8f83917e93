/**
 * Looks after ledgers that somebody else may touch. At each look it asks half of them whether they
 * still have their names and are as this daemon left them (ledger-file.ts mends them). It also
 * tries what is set aside again: ledgers that could not be opened, runs that could not be taken
 * over, folders in which no run could be made.
 *
 * Pipelines at rest are watched instead (rest-watch.ts), and looked at once a minute.
 *
 * Rejected: a watcher on each folder, always. It wakes the daemon at each of its own writes. Names
 * of open files under `/proc/self/fd`: a ledger is created under another name (ledger-creation.ts),
 * and the kernel shows that one.
 */
import { accessSync, constants } from "node:fs";
import { dirname } from "node:path";
import type { Clock, Timer } from "../clock.ts";
import { parseRunId } from "../core/run-id.ts";
import { errorCode } from "../disk/disk-error.ts";
import { isPathFault, isThere, pathReason, regularFile } from "../disk/path-fault.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { Log } from "../log.ts";
import type { ActiveRuns } from "./active-runs.ts";
import type { PipelineDesk } from "./pipeline-desk.ts";
import { RestWatch } from "./rest-watch.ts";
import type { SetAside } from "./set-aside.ts";

/**
 * How often it looks, in milliseconds. Each ledger's turn comes every second time: what somebody
 * did is noticed within 5 s.
 */
const LOOK_MS = 2_400;
/** Pipelines that are watched (rest-watch.ts) are looked at in two turns of so many. */
const SLOW_TURNS = 24;
/** What the log says where a look itself fails. */
const BLIND = "ledgers could not be looked at";
/** Looks before other work gets its turn. */
const LOOKS_A_TURN = 128;
const USABLE = constants.R_OK | constants.W_OK;
const FOLDER_USABLE = USABLE | constants.X_OK;

/** What watching ledgers needs. */
export interface LedgerWatchPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: RunStore;
  readonly runs: ActiveRuns;
  readonly setAside: SetAside;
  readonly desks: () => Iterable<PipelineDesk>;
  /** Opens a pipeline that could not be opened. @throws LedgerBlocked where it still cannot */
  readonly bringBack: (pipeline: string) => Promise<void>;
  /** How often it looks, in milliseconds; default: {@link LOOK_MS}. */
  readonly lookMs?: number | undefined;
  /** Takes over a run that could not be taken over. */
  readonly takeOver: (run: string, pipeline: string) => Promise<void>;
}

/** Watches the ledgers of one daemon. */
export class LedgerWatch {
  readonly #ports: LedgerWatchPorts;
  /** Pipelines whose ledger could not be opened, and why. */
  readonly #unopened = new Map<string, Error>();
  /** Runs whose ledger could not be opened. */
  readonly #runs = new Set<string>();
  /** The run that could not be made last, by pipeline. */
  readonly #unmade = new Map<string, string>();
  readonly #rest = new RestWatch();
  #turn = 0;
  #timer: Timer | undefined;
  #closed = false;

  constructor(ports: LedgerWatchPorts) {
    this.#ports = ports;
  }

  /** From now on it looks. */
  start(): void {
    this.#timer = this.#ports.clock.after(this.#ports.lookMs ?? LOOK_MS, () => {
      this.#look()
        .catch((error: unknown) => this.#ports.log.error({ err: error }, BLIND))
        .finally(() => {
          if (!this.#closed) this.start();
        });
    });
  }

  /** Looks no more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#rest.close();
  }

  /** A pipeline's ledger could not be opened. */
  cannotOpen(pipeline: string, error: Error): void {
    this.#unopened.set(pipeline, error);
    this.#ports.setAside.add(pipeline, "ledger", error.message);
  }

  /**
   * Why a pipeline's ledger could not be opened, so that nothing is known of the pipeline. Only a
   * look opens it again.
   */
  unopened(pipeline: string): Error | undefined {
    return this.#unopened.get(pipeline);
  }

  /** Whether there is a pipeline of which nothing is known: see {@link unopened}. */
  get hasUnopened(): boolean {
    return this.#unopened.size > 0;
  }

  /** A pipeline's ledger waits, because its path is bad, or goes on. */
  held(pipeline: string, held: boolean, error: unknown): void {
    if (!held) this.#ports.setAside.remove(pipeline, "ledger");
    else if (isPathFault(error))
      this.#ports.setAside.add(pipeline, "ledger", (error as Error).message);
  }

  /** A run could not be made, because a path is bad. */
  cannotMake(pipeline: string, run: string, error: Error): void {
    this.#unmade.set(pipeline, run);
    this.#ports.setAside.add(
      pipeline,
      "runs",
      whyOf(dirname(this.#ports.store.runLedger(run)), error),
    );
  }

  /** A run of an earlier daemon could not be opened, because its path is bad. */
  cannotTakeOver(run: string, error: unknown): void {
    const path = this.#ports.store.runLedger(run);
    this.#runs.add(run);
    this.#ports.setAside.add(
      pipelineOf(run),
      `run ${run}`,
      `Run ${run} cannot go on: its ledger ${path} cannot be used: ${pathReason(error)}.`,
    );
  }

  async #look(): Promise<void> {
    this.#turn += 1;
    await this.#lookAt(this.#ports.desks(), (desk) => this.#lookAtDesk(desk));
    await this.#lookAt(this.#ports.runs.all(), ({ handle }) => handle?.look?.());
    for (const [pipeline, run] of this.#unmade) {
      if (folderFault(dirname(this.#ports.store.runLedger(run))) !== undefined) continue;
      this.#unmade.delete(pipeline);
      this.#ports.setAside.remove(pipeline, "runs");
    }
    for (const pipeline of Array.from(this.#unopened.keys())) await this.#bringBack(pipeline);
    for (const run of Array.from(this.#runs)) await this.#takeOver(run);
  }

  #lookAtDesk(desk: PipelineDesk): void {
    const { name } = desk;
    if (this.#rest.has(name) && this.#turn % SLOW_TURNS > 1) return;
    desk.look();
    const folder = this.#ports.store.pipelineDir(name);
    this.#rest.seen(name, desk.lastSeq, folder, () => {
      try {
        desk.look();
      } catch (error) {
        this.#ports.log.error({ pipeline: name, err: error }, BLIND);
      }
    });
  }

  /** Each second one in turn: what has an odd place at one look, and an even one at the next. */
  async #lookAt<T>(all: Iterable<T>, look: (one: T) => void): Promise<void> {
    let place = 0;
    let looked = 0;
    for (const one of all) {
      place += 1;
      if (place % 2 !== this.#turn % 2) continue;
      look(one);
      looked += 1;
      if (looked % LOOKS_A_TURN === 0)
        await new Promise<void>((resolve) => void setImmediate(resolve));
      if (this.#closed) return;
    }
  }

  async #bringBack(pipeline: string): Promise<void> {
    this.#unopened.delete(pipeline);
    try {
      await this.#ports.bringBack(pipeline);
    } catch (error) {
      this.cannotOpen(pipeline, error as Error);
    }
  }

  async #takeOver(run: string): Promise<void> {
    const { store, setAside, takeOver } = this.#ports;
    try {
      const path = store.runLedger(run);
      if (regularFile(path) !== undefined) accessSync(path, USABLE);
    } catch (error) {
      if (isPathFault(error)) return;
      throw error;
    }
    if (this.#unopened.has(pipelineOf(run))) return;
    this.#runs.delete(run);
    // If it still cannot be opened, it is noted again.
    await takeOver(run, pipelineOf(run));
    if (!this.#runs.has(run)) setAside.remove(pipelineOf(run), `run ${run}`);
  }
}

function pipelineOf(run: string): string {
  return parseRunId(run)!.pipeline;
}

/** The folder is named where it is to blame: the name of each run in it would be news. */
function whyOf(folder: string, error: Error): string {
  const fault = folderFault(folder);
  return fault === undefined
    ? error.message
    : `Its runs cannot be made: the folder ${folder} cannot be used: ${pathReason(fault)}.`;
}

/** Why no run can be made in a folder; undefined: one can. */
function folderFault(path: string): unknown {
  try {
    accessSync(`${path}/.`, FOLDER_USABLE);
    return undefined;
  } catch (error) {
    // It is made when it is needed, if the folder above lets it be made.
    return errorCode(error) === "ENOENT" && !isThere(path) ? folderFault(dirname(path)) : error;
  }
}
