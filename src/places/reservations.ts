import type { Lane, Room } from "../core/lane.ts";

/**
 * Room that is promised and not yet taken, by lane. A step gets its room when its start is decided:
 * before its line is durable, and before its place hears of it.
 */
export class Reservations {
  readonly #promised = new Map<Lane, number>();

  /** Keeps room for one step. */
  promise(lane: Lane): void {
    this.#promised.set(lane, (this.#promised.get(lane) ?? 0) + 1);
  }

  /** The step takes its room, or will not come. */
  redeem(lane: Lane): void {
    this.#promised.set(lane, (this.#promised.get(lane) ?? 0) - 1);
  }

  /** What is left of this much room. */
  leave(room: Room): Room {
    const left: { [lane: Lane]: number } = { ...room };
    for (const [lane, promised] of this.#promised) left[lane] = (left[lane] ?? 0) - promised;
    return left;
  }
}
