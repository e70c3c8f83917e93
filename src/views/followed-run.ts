/** A run that is read and folded as its ledger grows. Whoever drives the run is asked nothing. */
import type { RunLine } from "../core/event.ts";
import { evolve } from "../core/run-fold.ts";
import type { RunState } from "../core/run-state.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { parseObject } from "../core/json-object.ts";
import { isCalledFinished } from "./called-finished.ts";
import { LineFollower } from "./line-follower.ts";
import { restored } from "./run-reading.ts";

/**
 * After how many looks without a new line the pipeline's ledger is asked whether the run has ended.
 * Each time after twice as many: an old run may have to be searched for there.
 */
const FIRST_ASKED = 5;
const MOST_LOOKS = 1_000;

/** Follows one run. Close it after use. */
export class FollowedRun {
  readonly #store: RunStore;
  readonly #run: string;
  readonly #follower: LineFollower;
  #state: RunState | undefined;
  /** Looks without a new line since it was asked, and how many there are until it is. */
  #looks = 0;
  #askAfter = FIRST_ASKED;
  #isCalledFinished = false;
  #isEndLost = false;

  /** @param run its ledger may come later */
  constructor(store: RunStore, run: string) {
    this.#store = store;
    this.#run = run;
    this.#follower = new LineFollower(store.runLedger(run));
  }

  /** The run as it stood at the last {@link read}; undefined while it has no ledger. */
  get state(): RunState | undefined {
    return this.#state;
  }

  /**
   * That its ledger will not tell its end, in a sentence: the pipeline's ledger calls it finished,
   * and its own was damaged or removed. Undefined: it may. Only some looks without a new line show
   * it.
   */
  get endLost(): string | undefined {
    return this.#isEndLost
      ? `run ${this.#run} has ended, and its ledger lost how: it was damaged or removed. ` +
          "`orchd verify` says what is wrong with it."
      : undefined;
  }

  /** Whether it has ended: no new line is to be waited for. */
  get isOver(): boolean {
    return this.#state?.finished !== undefined || this.#isEndLost;
  }

  /**
   * Reads on. @returns the new lines, as they stand in the ledger
   * @throws ArtifactUnusable; a Node error, except where the ledger is missing
   */
  read(): RunLine[] {
    const lines: RunLine[] = [];
    for (const text of this.#follower.read()) {
      const line = parseObject(text) as RunLine | undefined;
      if (line === undefined) continue;
      this.#state = evolve(this.#state, restored(this.#store, line));
      lines.push(line);
    }
    this.#lookForEnd(lines.length > 0);
    return lines;
  }

  /** Its own ledger has the end first: it is looked at once more after the pipeline's was. */
  #lookForEnd(isNew: boolean): void {
    if (isNew || this.isOver) {
      this.#looks = 0;
      this.#isCalledFinished = false;
      return;
    }
    this.#isEndLost = this.#isCalledFinished;
    this.#looks += 1;
    if (this.#looks < this.#askAfter) return;
    this.#looks = 0;
    this.#askAfter = Math.min(this.#askAfter * 2, MOST_LOOKS);
    try {
      this.#isCalledFinished = isCalledFinished(this.#store, this.#run);
    } catch {
      // The pipeline's ledger cannot be read. The run's own may still come to its end.
    }
  }

  close(): void {
    this.#follower.close();
  }
}
