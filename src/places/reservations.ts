import type { Lane, Room } from "../core/lane.ts";

/**
 * Room that is promised and not yet taken, by lane. A step gets its room when its start is decided:
 * before its line is durable, and before its place hears of it.
 */
export class Reservations {
  readonly #promised = new Map<Lane, number>();

  /** Keeps room for one step. @param share 1, or 1 divided by a power of 2: sums are exact */
  promise(lane: Lane, share = 1): void {
    this.#promised.set(lane, (this.#promised.get(lane) ?? 0) + share);
  }

  /** The step takes its room, or will not come. */
  redeem(lane: Lane, share = 1): void {
    this.#promised.set(lane, (this.#promised.get(lane) ?? 0) - share);
  }

  /** How much of a lane's room is promised. */
  promised(lane: Lane): number {
    return this.#promised.get(lane) ?? 0;
  }

  /** What is left of this much room. */
  leave(room: Room): Room {
    const left: { [lane: Lane]: number } = { ...room };
    for (const [lane, promised] of this.#promised) left[lane] = (left[lane] ?? 0) - promised;
    return left;
  }
}
