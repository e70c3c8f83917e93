/**
 * What an engine does every hour: it makes the month's folders a day ahead, and then what its owner
 * wants (retention). That is asked every minute: a disk that fills cannot wait for the hour.
 */
import type { Clock, Timer } from "../clock.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../core/time.ts";
import type { Log } from "../log.ts";

/** What working every hour needs. */
export interface HourlyWorkPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** Makes the folders of the month of that time, in milliseconds since 1970. Never rejects. */
  readonly makeFolders: (at: number) => Promise<void>;
  /** What else is done; undefined: nothing. */
  readonly act?: (() => Promise<void>) | undefined;
  /** Asked every minute: whether to act before the hour is over. */
  readonly isWanted?: (() => boolean) | undefined;
}

/** The hourly work of one engine. */
export class HourlyWork {
  readonly #ports: HourlyWorkPorts;
  #timer: Timer | undefined;
  #closed = false;

  constructor(ports: HourlyWorkPorts) {
    this.#ports = ports;
  }

  /** Begins, first after a minute. */
  start(): void {
    this.#in(MINUTE_MS);
  }

  /** Does no more of it. What is under way goes on. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #in(leftMs: number): void {
    const { clock, act, isWanted } = this.#ports;
    const waitMs = act === undefined ? leftMs : Math.min(leftMs, MINUTE_MS);
    this.#timer = clock.after(waitMs, () => {
      if (waitMs < leftMs && isWanted?.() !== true) this.#in(leftMs - waitMs);
      else void this.#work();
    });
  }

  async #work(): Promise<void> {
    const { clock, log, makeFolders, act } = this.#ports;
    try {
      await makeFolders(clock.now() + DAY_MS);
      await act?.();
    } catch (error) {
      log.error({ err: error }, "retention failed; it is tried again in an hour");
    }
    if (!this.#closed) this.#in(HOUR_MS);
  }
}
