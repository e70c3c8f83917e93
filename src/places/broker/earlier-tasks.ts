/**
 * Tasks of an earlier daemon: which of them live at a worker, and go on.
 *
 * A worker that is here lists its tasks with each beat. One of them that is asked for is adopted:
 * the worker is told which output is known, and says the rest. What no list names is waited for,
 * until {@link PATIENCE_MS} after this daemon's start: all leases that the earlier daemon gave are
 * over by then. A worker that is the one where a task was placed, by name and incarnation, is
 * believed at once.
 */
import type { Clock, Timer } from "../../clock.ts";
import type { EarlierAttempt, TaskHandlers } from "../place.ts";
import type { PlacedAt } from "../../core/run-state.ts";
import type { FarWorker } from "./far-worker.ts";
import { PATIENCE_MS } from "./messages.ts";

/** What a worker said to an adoption. */
export type AdoptionAnswer =
  | { readonly kind: "taken"; readonly number: number }
  /** It has not begun it, and will not. */
  | { readonly kind: "refused" }
  /** Ask again at its next beat. */
  | { readonly kind: "silent" };

/** What adoption needs. */
export interface EarlierTasksPorts {
  readonly clock: Clock;
  /** When leases of earlier daemons began to count. */
  readonly since: number;
  /** The workers that are here. */
  here(): readonly FarWorker[];
  /** Tells a worker that its task goes on. */
  ask(worker: FarWorker, id: string, attempt: EarlierAttempt): Promise<AdoptionAnswer>;
  /** The task goes on there. */
  adopted(
    worker: FarWorker,
    number: number,
    id: string,
    attempt: EarlierAttempt,
    handlers: TaskHandlers,
  ): void;
}

interface Asked {
  readonly id: string;
  readonly attempt: EarlierAttempt | undefined;
  readonly placed: PlacedAt | undefined;
  readonly handlers: () => TaskHandlers;
  readonly answer: (lives: boolean) => void;
  /** The worker that is being told. */
  telling: FarWorker | undefined;
  /** A list named it, and it is not to go on: it is over once no list does. */
  unwanted: boolean;
}

/** Adopts tasks. */
export class EarlierTasks {
  readonly #ports: EarlierTasksPorts;
  readonly #asked = new Map<string, Asked>();
  /** Whether a task that was asked for may have begun. */
  readonly #begun = new Map<string, boolean>();
  #end: Timer | undefined;

  constructor(ports: EarlierTasksPorts) {
    this.#ports = ports;
  }

  /** How many are asked for and not found yet. */
  get size(): number {
    return this.#asked.size;
  }

  /** Whether a task that was asked for may have begun. Undefined: it was not asked for. */
  mayHaveBegun(id: string): boolean | undefined {
    return this.#begun.get(id);
  }

  /**
   * Whether a worker may go on with a task that this daemon did not give: for as long as it may be
   * asked for, it is not known to be unwanted.
   */
  mayBeWanted(id: string): boolean {
    const asked = this.#asked.get(id);
    return asked === undefined ? !this.#isOver : !asked.unwanted;
  }

  /** Asks for a task. @returns whether it lives, and is heard now */
  ask(
    id: string,
    handlers: () => TaskHandlers,
    attempt: EarlierAttempt | undefined,
    placed: PlacedAt | undefined,
  ): Promise<boolean> {
    this.#begun.set(id, true);
    return new Promise((answer) => {
      const unwanted = attempt === undefined;
      this.#asked.set(id, { id, attempt, placed, handlers, answer, telling: undefined, unwanted });
      for (const worker of this.#ports.here()) this.#look(worker, this.#asked.get(id));
      this.#endAt();
    });
  }

  /** A worker beat. */
  beat(worker: FarWorker): void {
    for (const asked of this.#asked.values()) this.#look(worker, asked);
    if (this.#isOver) this.#over();
  }

  /** A worker asks to begin a task, so it has not begun. */
  unbegun(id: string): void {
    if (this.#asked.has(id)) this.#begun.set(id, false);
  }

  /** A worker is gone, and with it all that it listed. */
  gone(): void {
    if (this.#isOver) this.#over();
  }

  /** Nobody is answered any more. */
  close(): void {
    this.#end?.cancel();
    this.#asked.clear();
  }

  get #isOver(): boolean {
    return this.#ports.clock.monotonic() >= this.#ports.since + PATIENCE_MS;
  }

  #look(worker: FarWorker, asked: Asked | undefined): void {
    if (asked === undefined || worker.beat === undefined) return;
    if (!worker.tasks.has(asked.id)) {
      const { placed } = asked;
      if (placed?.host === worker.name && placed.ref === worker.incarnation) this.#gone(asked);
      return;
    }
    if (asked.unwanted || asked.telling !== undefined || asked.attempt === undefined) return;
    asked.telling = worker;
    void this.#tell(worker, asked, asked.attempt);
  }

  async #tell(worker: FarWorker, asked: Asked, attempt: EarlierAttempt): Promise<void> {
    const { session } = worker;
    const answer = await this.#ports.ask(worker, asked.id, attempt);
    asked.telling = undefined;
    if (this.#asked.get(asked.id) !== asked) return;
    if (answer.kind === "refused") {
      asked.unwanted = true;
      this.#begun.set(asked.id, false);
    }
    if (answer.kind !== "taken" || worker.session !== session) {
      // Its worker may have gone meanwhile, and no other may ever beat.
      if (this.#isOver) this.#over();
      return;
    }
    this.#asked.delete(asked.id);
    this.#ports.adopted(worker, answer.number, asked.id, attempt, asked.handlers());
    asked.answer(true);
  }

  #gone(asked: Asked): void {
    this.#asked.delete(asked.id);
    asked.answer(false);
  }

  #endAt(): void {
    const left = this.#ports.since + PATIENCE_MS - this.#ports.clock.monotonic();
    this.#end ??= this.#ports.clock.after(Math.max(0, left), () => {
      this.#end = undefined;
      this.#over();
    });
  }

  /** All leases are over: what no worker lists is gone. */
  #over(): void {
    const here = this.#ports.here();
    // To remove one of a map while it is read is fine.
    for (const asked of this.#asked.values()) {
      const isListed = here.some(({ tasks }) => tasks.has(asked.id));
      if (!isListed && asked.telling === undefined) this.#gone(asked);
    }
  }
}
