/**
 * How much room the threads of the shared runner have, counted seldom. Each start of a step asks
 * several times, and a count walks past all tasks that run. So it holds until a task ends, and a
 * task that begins is taken off it.
 *
 * Time alone makes a step a long one, which takes more room. That is seen a moment late.
 */
import type { RoomLeft, RoomTaken, ThreadRoom } from "./thread-room.ts";

/** How long a count holds, in milliseconds. */
const HOLDS_MS = 1;

/** Counts the room of one pool. */
export class CountedRoom {
  readonly #room: ThreadRoom;
  readonly #taken: () => Iterable<RoomTaken>;
  #counted: { readonly at: number; left: RoomLeft } | undefined;

  /** @param taken all tasks that run */
  constructor(room: ThreadRoom, taken: () => Iterable<RoomTaken>) {
    this.#room = room;
    this.#taken = taken;
  }

  /** What is left. @param now monotonic time, in milliseconds */
  left(now: number): RoomLeft {
    if (this.#counted === undefined || now - this.#counted.at >= HOLDS_MS)
      this.#counted = { at: now, left: this.#room.left(this.#taken(), now) };
    return this.#counted.left;
  }

  /** A task has begun. */
  began(task: RoomTaken): void {
    const counted = this.#counted;
    if (counted !== undefined) counted.left = this.#room.leftWith(counted.left, task);
  }

  /** Tasks have ended, or run elsewhere now. */
  changed(): void {
    this.#counted = undefined;
  }
}
