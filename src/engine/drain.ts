/**
 * How a daemon ends: the first SIGTERM or SIGINT drains it, a second one ends it at once
 * (semantics.md 12).
 *
 * A write that waits for room would keep the daemon for ever. It is given up when the drain period
 * and the grace period are over: it was acknowledged to nobody, and every ledger is whole, so the
 * next daemon decides it as after a crash.
 */
import type { Clock, Timer } from "../clock.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Log } from "../log.ts";
import type { HeldWrites } from "./held-writes.ts";
import { onStopSignals } from "./stop-signals.ts";

/** What a drain needs. */
export interface DrainPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly held: HeldWrites;
  /** The settings in force. */
  readonly settings: () => OrchdSettings;
  /** The first signal came. */
  readonly onBegin: () => void;
  /** Stops the engine; a shorter period cuts an earlier one short. */
  readonly stop: (drainPeriodMs: number) => Promise<void>;
  /** Ends the process although writes wait. */
  readonly giveUp: () => void;
}

/** Waits for signals from the moment it is made. */
export class Drain {
  /** Resolves once a signal came and the engine has stopped. */
  readonly done: Promise<void>;
  readonly #ports: DrainPorts;
  readonly #timers: Timer[] = [];
  readonly #ignoreSignals: () => void;

  constructor(ports: DrainPorts) {
    this.#ports = ports;
    let ignoreSignals!: () => void;
    const stopped = new Promise<void>((resolve, reject) => {
      ignoreSignals = onStopSignals((signal, insists) => {
        this.#stop(signal, insists).then(resolve, reject);
      });
    });
    this.#ignoreSignals = ignoreSignals;
    this.done = stopped.then(() => this.#cancelTimers());
  }

  /** Signals do nothing more here. */
  close(): void {
    this.#ignoreSignals();
  }

  #stop(signal: NodeJS.Signals, insists: boolean): Promise<void> {
    const { clock, log, held, settings, onBegin, stop, giveUp } = this.#ports;
    const { drainPeriodMs, gracePeriodMs } = settings();
    const periodMs = insists ? 0 : drainPeriodMs;
    log.info(
      { signal, drainPeriodMs: periodMs },
      insists ? "ending at once" : "draining: nothing new starts; a second signal ends it at once",
    );
    if (!insists) onBegin();
    const stopped = stop(periodMs);
    const timer = clock.after(periodMs + gracePeriodMs, () => {
      if (held.count === 0) return;
      log.error(
        { files: held.count },
        `${held.ranOut}: the daemon gives up the writes that wait, and ends`,
      );
      giveUp();
    });
    this.#timers.push(timer);
    return stopped;
  }

  #cancelTimers(): void {
    for (const timer of this.#timers) timer.cancel();
  }
}
