/** A run that is read and folded as its ledger grows. Whoever drives the run is asked nothing. */
import type { RunLine } from "../core/event.ts";
import { evolve } from "../core/run-fold.ts";
import type { RunState } from "../core/run-state.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { parseObject } from "../core/json-object.ts";
import { LineFollower } from "./line-follower.ts";
import { restored } from "./run-reading.ts";

/** Follows one run. Close it after use. */
export class FollowedRun {
  readonly #store: RunStore;
  readonly #follower: LineFollower;
  #state: RunState | undefined;

  /** @param run its ledger may come later */
  constructor(store: RunStore, run: string) {
    this.#store = store;
    this.#follower = new LineFollower(store.runLedger(run));
  }

  /** The run as it stood at the last {@link read}; undefined while it has no ledger. */
  get state(): RunState | undefined {
    return this.#state;
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
    return lines;
  }

  close(): void {
    this.#follower.close();
  }
}
