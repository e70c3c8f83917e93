/**
 * The runs that are driven, and who of them is told when room for steps comes free.
 *
 * A thousand runs may wait for room at once, and room comes free with each step that ends. To plan
 * them all each time would cost a thousand times a thousand plans. So runs are asked in turn,
 * oldest first, and only as long as there is room in a lane that one waits for. A run takes its
 * turn at once, and the room that it takes is gone for those behind it.
 */
import type { Room } from "../core/lane.ts";

/** What is asked of a run. */
export interface DrivenRun {
  /** Resolves when it has ended. */
  readonly finished: Promise<unknown>;
  /** Takes a turn if a step of it could start with this much room. @returns whether it did */
  poke(room: Room): boolean;
}

/** What is asked of the place. */
export interface RoomyPlace {
  capacity(): Room;
  onCapacity(callback: () => void): unknown;
}

/** Tells runs of room. */
export class DrivenRuns<R extends DrivenRun> {
  readonly #runs = new Set<R>();
  readonly #place: RoomyPlace;
  #isDue = false;

  constructor(place: RoomyPlace) {
    this.#place = place;
    place.onCapacity(() => {
      if (this.#isDue) return;
      this.#isDue = true;
      // In a microtask, behind those of the runs whose steps have just ended: what follows on these
      // steps goes first.
      queueMicrotask(() => this.#serve());
    });
  }

  /** Tells a run of room until it has ended. */
  keep(run: R): R {
    this.#runs.add(run);
    void run.finished.then(() => this.#runs.delete(run));
    return run;
  }

  #serve(): void {
    this.#isDue = false;
    let room = this.#place.capacity();
    for (const run of this.#runs) if (run.poke(room)) room = this.#place.capacity();
  }
}
