/**
 * How a daemon ends: the first SIGTERM or SIGINT drains it, a second one ends it at once
 * (semantics.md 12).
 *
 * A write that waits for room would keep the daemon for ever. It is given up when the drain period
 * and the grace period are over: it was acknowledged to nobody, and every ledger is whole, so the
 * next daemon decides it as after a crash.
 *
 * Whatever else waits has two seconds more: a request, a pipeline file on a file system that has
 * stopped, a runner. Then the process ends with status 1, and its log says what it waited for.
 */
import type { Clock, Timer } from "../clock.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Log } from "../log.ts";
import type { HeldWrites } from "./held-writes.ts";
import { onStopSignals } from "./stop-signals.ts";

/** How long after the drain and grace periods the process may still be there, in milliseconds. */
const MARGIN_MS = 2_000;
/** A runner takes up to two seconds to end its processes, however short the grace period is. */
const SHORTEST_GRACE_MS = 1_000;

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
  /** What the daemon waits for, for the log. */
  readonly waitsFor: () => string;
  /** Ends the process although something waits. */
  readonly giveUp: () => void;
}

/** Waits for signals from the moment it is made. */
export class Drain {
  /** Resolves once a signal came and the engine has stopped. */
  readonly done: Promise<void>;
  readonly #ports: DrainPorts;
  readonly #timers: Timer[] = [];
  readonly #ignoreSignals: () => void;
  #over = false;

  constructor(ports: DrainPorts) {
    this.#ports = ports;
    let ignoreSignals!: () => void;
    const stopped = new Promise<void>((resolve, reject) => {
      ignoreSignals = onStopSignals((signal, insists) => {
        this.#stop(signal, insists).then(resolve, reject);
      });
    });
    this.#ignoreSignals = ignoreSignals;
    this.done = stopped;
  }

  /** All is closed: signals do nothing more here, and the process is not ended from here. */
  close(): void {
    this.#over = true;
    this.#ignoreSignals();
    for (const timer of this.#timers) timer.cancel();
  }

  #stop(signal: NodeJS.Signals, insists: boolean): Promise<void> {
    const { clock, log, held, settings, onBegin, stop } = this.#ports;
    const { drainPeriodMs, gracePeriodMs } = settings();
    const periodMs = insists ? 0 : drainPeriodMs;
    log.info(
      { signal, drainPeriodMs: periodMs },
      insists ? "ending at once" : "draining: nothing new starts; a second signal ends it at once",
    );
    if (!insists) onBegin();
    const stopped = stop(periodMs);
    const lastMs = periodMs + Math.max(gracePeriodMs, SHORTEST_GRACE_MS) + MARGIN_MS;
    this.#timers.push(
      clock.after(periodMs + gracePeriodMs, () => {
        if (held.count > 0)
          this.#giveUp(
            { files: held.count },
            `${held.ranOut}: the daemon gives up the writes that wait, and ends`,
          );
      }),
      clock.after(lastMs, () =>
        this.#giveUp(
          { waitsFor: this.#ports.waitsFor() },
          "the drain and grace periods are over: the daemon ends, whatever still waits",
        ),
      ),
    );
    return stopped;
  }

  #giveUp(fields: object, sentence: string): void {
    if (this.#over) return;
    this.close();
    this.#ports.log.error(fields, sentence);
    this.#ports.giveUp();
  }
}
