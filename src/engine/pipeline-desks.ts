/**
 * The desks of all pipelines that have a ledger: one for each. A desk is made when it is first
 * asked for, and its pipeline's ledger is opened for that.
 *
 * States of a pipeline: unknown -> opening (all who ask share the opening) -> open. A ledger whose
 * path is bad is not opened again by who asks: each gets the same error, until the watch of the
 * ledgers (ledger-watch.ts) finds that it can be opened.
 */
import { LedgerBlocked } from "../ledger/ledger-error.ts";
import type { LedgerHost } from "../ledger/ledger-host.ts";
import type { LeftLedgers } from "../ledger/left-ledgers.ts";
import { PipelineLedger, type PipelineLedgerOptions } from "../ledger/pipeline-ledger.ts";
import type { LedgerWatch } from "./ledger-watch.ts";
import { PipelineDesk, type DeskPorts } from "./pipeline-desk.ts";

/** How many ledgers are opened at the same time. */
const OPEN_AT_ONCE = 16;

/** What making desks needs. */
export interface PipelineDesksPorts
  extends LedgerHost, Pick<PipelineLedgerOptions, "onDurableLine"> {
  /** What every desk gets. */
  readonly desk: DeskPorts;
  /** How the daemon before this one left the ledgers; default: they are read. */
  readonly left?: LeftLedgers | undefined;
  readonly watch: Pick<LedgerWatch, "unopened" | "cannotOpen" | "held">;
  /** Somebody touched a pipeline's ledger, and it was mended: what happened, as a clause. */
  readonly onDisturbed: (pipeline: string, because: string) => void;
}

/** The desks of one engine. */
export class PipelineDesks {
  readonly #ports: PipelineDesksPorts;
  readonly #desks = new Map<string, PipelineDesk>();
  readonly #opening = new Map<string, Promise<PipelineDesk>>();

  constructor(ports: PipelineDesksPorts) {
    this.#ports = ports;
  }

  /** All desks there are. */
  all(): Iterable<PipelineDesk> {
    return this.#desks.values();
  }

  /** The names of their pipelines. */
  names(): Iterable<string> {
    return this.#desks.keys();
  }

  /** The desk of a pipeline; undefined where there is none. */
  known(name: string): PipelineDesk | undefined {
    return this.#desks.get(name);
  }

  /**
   * The desk of a pipeline. Opens its ledger where that is not open yet.
   *
   * @throws LedgerBlocked if the ledger's path is bad
   */
  open(name: string): Promise<PipelineDesk> {
    const known = this.#desks.get(name);
    if (known !== undefined) return Promise.resolve(known);
    let opening = this.#opening.get(name);
    const unopened = this.#ports.watch.unopened(name);
    if (opening === undefined && unopened !== undefined) return Promise.reject(unopened);
    if (opening === undefined) {
      opening = this.#open(name).finally(() => this.#opening.delete(name));
      this.#opening.set(name, opening);
    }
    return opening;
  }

  /** Opens the ledgers of pipelines, some at a time. Those whose path is bad are left out. */
  async openAll(pipelines: Iterable<string>): Promise<void> {
    const names = [...pipelines].values();
    const walk = async (): Promise<void> => {
      for (const name of names) {
        await this.open(name).catch((error: unknown) => {
          if (!(error instanceof LedgerBlocked)) throw error;
        });
      }
    };
    await Promise.all(Array.from({ length: OPEN_AT_ONCE }, walk));
    this.#ports.left?.forget();
  }

  /** Writes what `write` writes to a pipeline's ledger; nothing where there is no desk of it. */
  async written(pipeline: string, write: (desk: PipelineDesk) => Promise<unknown>): Promise<void> {
    const desk = this.#desks.get(pipeline);
    if (desk !== undefined) await write(desk);
  }

  /** How many pipelines have a version in force. */
  get inForce(): number {
    let count = 0;
    for (const desk of this.#desks.values()) if (desk.loaded !== undefined) count += 1;
    return count;
  }

  /** Closes all ledgers, and keeps for the next daemon how they are left. */
  async close(): Promise<void> {
    const desks = [...this.#desks.values()];
    await Promise.all(desks.map((desk) => desk.close()));
    const { clock, left, desk: ports } = this.#ports;
    try {
      await left?.keep(
        desks.flatMap(({ closed }) => closed ?? []),
        () => clock.now(),
      );
    } catch (error) {
      const what = "how the ledgers were left could not be kept: the next daemon reads them";
      ports.log.warn({ err: error }, what);
    }
  }

  async #open(name: string): Promise<PipelineDesk> {
    const ledger = await this.#openLedger(name);
    if (ledger.damage !== undefined) {
      const { line, fault, keptAs } = ledger.damage;
      this.#ports.desk.log.error(
        { pipeline: name, line, keptAs },
        `the ledger of pipeline ${name} was damaged at line ${line} (${fault}); ` +
          `it is kept as ${keptAs}, and a new one begins`,
      );
    }
    const desk = new PipelineDesk(ledger, this.#ports.desk);
    this.#desks.set(name, desk);
    return desk;
  }

  async #openLedger(name: string): Promise<PipelineLedger> {
    const { clock, disk, onDurableLine, onFatal, onHeld, onDisturbed, watch } = this.#ports;
    try {
      return await PipelineLedger.open(this.#ports.desk.store.runsDir, name, {
        clock,
        disk,
        onDurableLine,
        onFatal,
        left: this.#ports.left?.of(name),
        onHeld: (held, error) => {
          onHeld?.(held, error);
          watch.held(name, held, error);
        },
        onRestored: (because) => onDisturbed(name, because),
      });
    } catch (error) {
      if (error instanceof LedgerBlocked) watch.cannotOpen(name, error);
      throw error;
    }
  }
}
