/**
 * When pipelines decide the slots that are due: all in one turn of the event loop, so that the last
 * one is not late. On a machine that is too slow for that, the rest waits for the next turn: what
 * follows the decisions takes as long again.
 *
 * Pipelines that come due together are one burst (burst.ts), over however many turns they are
 * decided. Those that come due meanwhile join it.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../clock.ts";
import { Burst } from "./burst.ts";

/** How long the decisions of one turn of the event loop may take, in milliseconds. */
const DECIDING_MS = 40;
/** After how many decisions it is looked how long they took. */
const LOOK_AFTER = 16;

/** What deciding needs. */
export interface DueDecisionsPorts {
  readonly clock: Clock;
  /** Decides the slots of a pipeline that are due. */
  readonly decide: (pipeline: string) => void;
}

/** The decisions of one engine. */
export class DueDecisions {
  readonly #ports: DueDecisionsPorts;
  #burst: Burst | undefined;
  /** The burst of those that were due and are not decided yet. */
  #deciding: Burst | undefined;
  #undecided: string[] = [];

  constructor(ports: DueDecisionsPorts) {
    this.#ports = ports;
  }

  /** The burst of the decision that is being made; undefined where none of what is due is. */
  get burst(): Burst | undefined {
    return this.#burst;
  }

  /**
   * Decides what was due before this daemon came up.
   *
   * @param goesOn asked between two turns: whether the rest is still wanted
   */
  async decideAll(pipelines: Iterable<string>, goesOn: () => boolean): Promise<void> {
    const { clock, decide } = this.#ports;
    let from = clock.monotonic();
    for (const name of pipelines) {
      // Each may have hundreds of slots to decide.
      if (clock.monotonic() - from >= DECIDING_MS) {
        await nextTurn();
        if (!goesOn()) return;
        from = clock.monotonic();
      }
      decide(name);
    }
  }

  /** These pipelines are due. */
  due(names: readonly string[]): void {
    this.#undecided.push(...names);
    if (this.#deciding !== undefined) return;
    this.#deciding = new Burst(this.#ports.clock);
    this.#decideSome(DECIDING_MS);
  }

  /** Decides all that is left, in this turn. */
  finish(): void {
    this.#decideSome(Number.POSITIVE_INFINITY);
  }

  #decideSome(mostMs: number): void {
    if (this.#deciding === undefined) return;
    const { clock, decide } = this.#ports;
    const from = clock.monotonic();
    this.#burst = this.#deciding;
    let count = 0;
    for (const name of this.#undecided) {
      if (count > 0 && count % LOOK_AFTER === 0 && clock.monotonic() - from >= mostMs) break;
      count += 1;
      decide(name);
    }
    this.#burst = undefined;
    this.#undecided.splice(0, count);
    if (this.#undecided.length > 0) {
      setImmediate(() => this.#decideSome(mostMs));
      return;
    }
    this.#deciding.allJoined();
    this.#deciding = undefined;
  }
}
