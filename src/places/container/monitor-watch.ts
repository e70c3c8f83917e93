/**
 * Notices the end of a container that podman does not notice. A process beside each container, its
 * monitor (conmon), tells podman of the end. Where the monitor was killed, podman says for ever
 * that the container runs, and waits for it without end.
 *
 * While the monitor lives, it is left to it. Afterwards podman is asked to send the container a
 * signal that nobody heeds: then it looks at the process, and says that it is not there. So this
 * holds for a podman on another machine too, where the monitor's number says nothing.
 *
 * Docker watches by itself.
 */
import type { Clock, Timer } from "../../clock.ts";
import { EngineLost } from "./engine-away.ts";
import type { ContainerState, Engine } from "./engine.ts";

/** How often it is looked, in milliseconds. */
const LOOK_MS = 2_000;
/** What podman says of a container whose process is not there. */
const NOT_THERE = /container state improper: (?:stopped|exited)/;

/** Watches one container, until it is closed. */
export class MonitorWatch {
  /** Rejects with EngineLost when the container has ended and podman does not know. */
  readonly ended: Promise<never>;
  readonly #engine: Engine;
  readonly #name: string;
  readonly #clock: Clock;
  readonly #monitor: number | undefined;
  #timer: Timer | undefined;
  #isClosed = false;
  #reject!: (error: Error) => void;

  /** @param state as the engine told it last */
  constructor(engine: Engine, { name, monitor }: ContainerState, clock: Clock) {
    this.#engine = engine;
    this.#name = name;
    this.#clock = clock;
    this.#monitor = monitor;
    this.ended = new Promise((_, reject) => (this.#reject = reject));
    // Nobody may wait for it by then.
    this.ended.catch(() => undefined);
    if (engine.name === "podman") this.#lookLater();
  }

  /** Looks no more. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #lookLater(): void {
    if (!this.#isClosed) this.#timer = this.#clock.after(LOOK_MS, () => void this.#look());
  }

  async #look(): Promise<void> {
    if (this.#monitor === undefined || !lives(this.#monitor)) {
      const { status, stderr } = await this.#engine.ask(["kill", "--signal=URG", this.#name]);
      if (status !== 0 && NOT_THERE.test(stderr) && (await this.#seemsToRun()))
        return this.#reject(
          new EngineLost(
            "podman's monitor of the container (conmon) was killed, and nobody saw how it ended",
          ),
        );
    }
    this.#lookLater();
  }

  /** Whether podman still says so: otherwise it has noticed the end, and knows how it was. */
  async #seemsToRun(): Promise<boolean> {
    try {
      const [state] = await this.#engine.inspect([this.#name]);
      return state?.running === true;
    } catch {
      return false;
    }
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
