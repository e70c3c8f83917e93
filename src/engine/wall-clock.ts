/**
 * What an engine knows of the wall clock: that it has been set, since when the daemon is up by it,
 * and how it jumped.
 *
 * A machine without a battery starts in 1970, and nothing is decided by that clock. A clock that is
 * only behind the ledgers was set back while no daemon was up: the pipelines go back with it, as
 * they do where it is set back under the daemon (semantics.md 8).
 */
import type { Clock } from "../clock.ts";
import { iso } from "../core/time.ts";
import type { Log } from "../log.ts";
import type { PipelineDesk } from "./pipeline-desk.ts";
import type { ClockStep } from "./scheduler.ts";

/** A clock that is earlier than this has not been set: no release of orchd is older. */
const CLOCK_FLOOR = Date.UTC(2026, 0, 1);
/** How often it is looked whether the clock has been set, in milliseconds. */
const LOOK_MS = 1_000;

/** What following the wall clock needs. */
export interface WallClockPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** When the daemon took its lock, in milliseconds since 1970. */
  readonly upSince: number;
  readonly desks: () => Iterable<PipelineDesk>;
}

/** The wall clock of one engine. */
export class WallClock {
  readonly #ports: WallClockPorts;
  #upSince: number;
  #lastJump: ClockStep | undefined;

  constructor(ports: WallClockPorts) {
    this.#ports = ports;
    this.#upSince = ports.upSince;
  }

  /** Since when the daemon is up, in milliseconds since 1970. */
  get upSince(): number {
    return this.#upSince;
  }

  /** The last jump forward, as far as it was not taken back; undefined if there was none. */
  get lastJump(): ClockStep | undefined {
    return this.#lastJump;
  }

  /**
   * Waits while the clock has not been set. Then no pipeline is ahead of it.
   *
   * @param ending the daemon ends: it is waited for no longer, and nothing is decided
   */
  async whenSet(ending: AbortSignal): Promise<void> {
    const { clock, log, desks } = this.#ports;
    if (clock.now() < CLOCK_FLOOR) {
      log.warn(
        { now: iso(clock.now()) },
        "the clock has not been set: nothing is decided until it is",
      );
      await new Promise<void>((resolve) => {
        const look = (): void =>
          clock.now() < CLOCK_FLOOR && !ending.aborted
            ? void clock.after(LOOK_MS, look)
            : resolve();
        look();
      });
    }
    if (ending.aborted) return;
    for (const desk of desks()) await this.notBehind(desk);
  }

  /** The clock is behind what a pipeline's ledger says: the pipeline goes back with it. */
  async notBehind(desk: PipelineDesk): Promise<void> {
    const now = this.#ports.clock.now();
    const { through } = desk.state;
    if (through !== undefined && through > now) await desk.stepBack({ from: through, to: now });
  }

  /** The clock jumped under the daemon. */
  stepped(step: ClockStep): void {
    const { log, desks } = this.#ports;
    const by = `${((step.to - step.from) / 1_000).toFixed(1)} s`;
    log.warn({ from: iso(step.from), to: iso(step.to) }, `the wall clock jumped by ${by}`);
    if (step.to > step.from) {
      this.#lastJump = step;
      return;
    }
    const jump = this.#lastJump;
    if (jump !== undefined && step.to < jump.to)
      this.#lastJump = { from: jump.from, to: Math.max(jump.from, step.to) };
    // What comes due by the clock that was set back comes due while this daemon is up.
    this.#upSince = Math.min(this.#upSince, step.to);
    for (const desk of desks()) {
      desk
        .stepBack(step)
        .catch((error: unknown) =>
          log.error({ pipeline: desk.name, err: error }, "a clock step could not be recorded"),
        );
    }
  }
}
