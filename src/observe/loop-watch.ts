/**
 * Watches how long the turns of the daemon's event loop take: while one takes long, no slot fires
 * and nobody is answered.
 *
 * A timer says how much later than asked for it was called. It runs only while something goes on
 * (a run, or a line that was just written), so a daemon at rest wakes up for nothing. On a machine
 * with more to do than it can, the process itself may have to wait. So the processor time that it
 * used is taken into account: a turn cannot have taken longer than that.
 */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import type { Log } from "../log.ts";

/** The longest turn that nobody notices, in milliseconds. */
export const LONG_TURN_MS = 100;
/** How often the timer is called, in milliseconds. */
const TICK_MS = 50;
/** How long after the last sign of life it goes on, in milliseconds. */
const QUIET_MS = 1_000;
/** The shortest time between two lines of the log, in milliseconds. */
const SAY_MS = 60_000;
/** How many of the runs that go on are named. */
const RUNS_TOLD = 5;

/** What the watch asks and tells. */
export interface LoopWatchPorts {
  readonly log: Log;
  /** What goes on, for the log; undefined: nothing. */
  readonly underWay: () => readonly string[];
  /** Called now and then while something goes on. */
  readonly onTick?: () => void;
}

/** What was seen since the start, in milliseconds. */
export interface LoopFigures {
  readonly longestTurnMs: number;
  readonly longTurns: number;
  readonly turnP99Ms: number;
}

/** Watches the event loop of this process. */
export class LoopWatch {
  readonly #ports: LoopWatchPorts;
  readonly #turns: RecordableHistogram = createHistogram();
  #timer: NodeJS.Timeout | undefined;
  #stirred = 0;
  #last = 0;
  #cpu = process.cpuUsage();
  #longest = 0;
  #long = 0;
  #saidAt = Number.NEGATIVE_INFINITY;
  /** The longest turn that the log has not told. */
  #untold = 0;

  constructor(ports: LoopWatchPorts) {
    this.#ports = ports;
  }

  /** Something goes on. */
  stir(): void {
    this.#stirred = 0;
    if (this.#timer !== undefined) return;
    this.#last = performance.now();
    this.#cpu = process.cpuUsage();
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** The figures so far. */
  get figures(): LoopFigures {
    return {
      longestTurnMs: Math.round(this.#longest),
      longTurns: this.#long,
      turnP99Ms: this.#turns.count === 0 ? 0 : this.#turns.percentile(99),
    };
  }

  /** Watches no more. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const now = performance.now();
    const late = now - this.#last - TICK_MS;
    const before = this.#cpu;
    this.#cpu = process.cpuUsage();
    const usedUs = this.#cpu.user - before.user + this.#cpu.system - before.system;
    this.#last = now;
    this.#saw(Math.min(late, usedUs / 1_000));
    this.#stirred += TICK_MS;
    this.#ports.onTick?.();
    if (this.#stirred >= QUIET_MS && this.#ports.underWay().length === 0) this.close();
  }

  #saw(turnMs: number): void {
    this.#turns.record(Math.max(1, Math.round(turnMs)));
    this.#longest = Math.max(this.#longest, turnMs);
    if (turnMs <= LONG_TURN_MS) return;
    this.#long += 1;
    const underWay = this.#ports.underWay().slice(0, RUNS_TOLD);
    this.#ports.log.debug({ turnMs: Math.round(turnMs), underWay }, "a long turn");
    this.#untold = Math.max(this.#untold, turnMs);
    if (this.#last - this.#saidAt < SAY_MS) return;
    this.#saidAt = this.#last;
    const longestTurnMs = Math.round(this.#untold);
    this.#untold = 0;
    this.#ports.log.warn(
      { longestTurnMs, longTurns: this.#long, underWay },
      `the daemon was busy with one thing for ${longestTurnMs} ms: slots and answers waited`,
    );
  }
}
