/**
 * Whether steps may begin, where something on this machine keeps runners from being started for
 * now. A step that waits has not begun, so it costs no attempt, and the next daemon starts it.
 *
 * A runner that is up is no reason to go on: it starts threads, which are programs too. So does one
 * in a container, which has this machine's package. For a daemon that was renewed no step begins
 * anywhere: it may not be able to read a large result.
 */
import type { Clock, Timer } from "../../clock.ts";
import type { Log } from "../../log.ts";

/** How often it is looked, in milliseconds. */
const LOOK_MS = 1_000;

/** What the gate needs. */
export interface StartGatePorts {
  readonly clock: Clock;
  readonly log?: Log | undefined;
  /** Why no program can be started now, in a clause that says what to do. Undefined: they can. */
  readonly whyNot?: (() => string | undefined) | undefined;
  /** Called when it is open again. */
  readonly onOpen: () => void;
}

/** Says so, once a change. */
export class StartGate {
  readonly #ports: StartGatePorts;
  #lookedAt = -Infinity;
  #because: string | undefined;
  #timer: Timer | undefined;

  constructor(ports: StartGatePorts) {
    this.#ports = ports;
  }

  /** Whether steps may begin. Looks once a second at most. */
  get isOpen(): boolean {
    const { clock, whyNot } = this.#ports;
    if (whyNot === undefined) return true;
    if (this.#because === undefined && clock.monotonic() - this.#lookedAt >= LOOK_MS) this.#look();
    return this.#because === undefined;
  }

  /** Looks no more. */
  close(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    const { clock, log, whyNot, onOpen } = this.#ports;
    const before = this.#because;
    this.#lookedAt = clock.monotonic();
    this.#because = whyNot?.();
    if (this.#because !== undefined) {
      if (this.#because !== before) log?.error({}, `no step begins: ${this.#because}`);
      this.#timer = clock.after(LOOK_MS, () => this.#look());
    } else if (before !== undefined) {
      log?.info({}, "steps begin again");
      onOpen();
    }
  }
}
