/**
 * Shortly before many pipelines are due at once, some of their decisions are made for nothing, into
 * runs that are thrown away. A thousand decisions have 20 ms, and code that V8 has not run for a
 * while, or never, takes three times as long. What runs of a version share is made, too.
 *
 * It goes on a few milliseconds in each turn of the event loop, and ends in time. Nothing of it is
 * kept, written or told: when the time comes, all is decided by what holds then.
 */
import type { Clock } from "../clock.ts";
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import type { Log } from "../log.ts";
import { ActiveRuns } from "./active-runs.ts";
import { SlotDecider, type DeciderPorts, type DeciderView } from "./slot-decider.ts";

/** How long it may take in one turn of the event loop, in milliseconds. */
const TURN_MS = 5;
/** It ends this long before the pipelines are due, in milliseconds. */
const SPARE_MS = 60;
/** This many decisions are enough. */
const MOST = 600;

/** What a rehearsal sees of a pipeline. */
export interface RehearsedDesk extends DeciderView {
  readonly schedules: readonly Schedule[];
}

/** What a rehearsal is given. */
export interface RehearsalPorts extends Omit<DeciderPorts, "runs" | "asidePeriod"> {
  readonly clock: Clock;
  readonly log: Log;
  readonly desk: (pipeline: string) => RehearsedDesk | undefined;
  /** Called at its end, when many decisions are about to be made in one turn. */
  readonly onReady?: (() => void) | undefined;
}

/** Rehearses the decisions of one engine. */
export class Rehearsal {
  readonly #ports: RehearsalPorts;
  #names: readonly string[] = [];
  #next = 0;
  #due = 0;

  constructor(ports: RehearsalPorts) {
    this.#ports = ports;
  }

  /** These pipelines are due at a time, in milliseconds since 1970. */
  begin(names: readonly string[], due: number): void {
    this.#names = names.slice(0, MOST);
    this.#next = 0;
    this.#due = due;
    this.#goOn();
  }

  #goOn(): void {
    const { clock, log, onReady } = this.#ports;
    const left = this.#due - SPARE_MS - clock.now();
    if (left <= 0 || this.#next >= this.#names.length) return onReady?.();
    const limits = { groups: {} };
    const handlers = { onStarted: () => undefined, onFinished: () => Promise.resolve() };
    const runs = new ActiveRuns({ clock, log, limits, handlers });
    const ports: DeciderPorts = { ...this.#ports, runs };
    const until = clock.monotonic() + Math.min(TURN_MS, left);
    while (this.#next < this.#names.length && clock.monotonic() < until) {
      this.#rehearse(this.#names[this.#next]!, ports);
      this.#next += 1;
    }
    setImmediate(() => this.#goOn());
  }

  #rehearse(pipeline: string, ports: DeciderPorts): void {
    const desk = this.#ports.desk(pipeline);
    if (desk === undefined) return;
    try {
      new SlotDecider(desk, ports, desk.schedules).decide(this.#due - 1, this.#due);
    } catch {
      // Where the decision itself fails, too, the log says why.
    }
  }
}
