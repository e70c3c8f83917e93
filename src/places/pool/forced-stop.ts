/**
 * The watch over a task that is ended by force. Its runner ends it, once the grace period is over.
 * A runner that hangs cannot do that: it is killed, with all that it holds.
 *
 * A machine with much to do makes a runner slow, and its other tasks must not pay for that. So the
 * runner is asked for a sign of life as the grace period ends. As long as it gives one each time,
 * it has more time, up to {@link MOST_MS}. One that hangs is killed as early as before.
 */
import type { Clock, Timer } from "../../clock.ts";
import type { RunnerProcess } from "./runner-process.ts";

/** How long a runner may take for a sign of life, in milliseconds. */
const SIGN_MS = 1_250;
/** How long after the grace period a runner that lives is killed all the same, in milliseconds. */
const MOST_MS = 8 * SIGN_MS;

/** One task's forced stop. */
export class ForcedStop {
  readonly because: string;
  readonly #clock: Clock;
  readonly #runner: () => RunnerProcess;
  #timer: Timer;
  #waitedMs = 0;

  /** @param runner the one that holds the task now */
  constructor(clock: Clock, gracePeriodMs: number, because: string, runner: () => RunnerProcess) {
    this.because = because;
    this.#clock = clock;
    this.#runner = runner;
    this.#timer = clock.after(gracePeriodMs, () => this.#ask());
  }

  /** The task has ended. */
  cancel(): void {
    this.#timer.cancel();
  }

  #ask(): void {
    const asked = this.#runner();
    asked.ask();
    this.#timer = this.#clock.after(SIGN_MS, () => {
      this.#waitedMs += SIGN_MS;
      // Another runner has the task now: that one was not asked.
      const lives = this.#runner() !== asked || asked.lives;
      if (lives && this.#waitedMs < MOST_MS) this.#ask();
      else this.#runner().kill();
    });
  }
}
