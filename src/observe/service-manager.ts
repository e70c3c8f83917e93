/**
 * Tells systemd the daemon's state: ready, alive, stopping. Node has no AF_UNIX datagram sockets,
 * so each message goes through the `systemd-notify` program (the unit has NotifyAccess=all for
 * that). Without NOTIFY_SOCKET nothing happens.
 */
import type { ChildProcess } from "node:child_process";
import { startApart } from "../disk/apart-program.ts";
import type { Clock, Timer } from "../clock.ts";
import { startedProcess } from "../disk/process-start.ts";

/** The environment of the daemon. */
export type NotifyEnvironment = Readonly<Record<string, string | undefined>>;

/** The systemd that started this process, if one did. */
export class ServiceManager {
  readonly #environment: NotifyEnvironment;
  readonly #clock: Clock;
  readonly #onError: (error: Error) => void;
  #timer: Timer | undefined;
  #failed = false;
  #ends = false;
  /** How many signs of life were due. The newest is wanted; none is once this is closed. */
  #beats = 0;

  constructor(options: {
    readonly environment: NotifyEnvironment;
    readonly clock: Clock;
    readonly onError: (error: Error) => void;
  }) {
    this.#environment = options.environment;
    this.#clock = options.clock;
    this.#onError = options.onError;
  }

  /** Whether systemd listens. */
  get listens(): boolean {
    return (this.#environment["NOTIFY_SOCKET"] ?? "") !== "";
  }

  /**
   * The daemon is ready.
   *
   * From now on the watchdog hears a sign of life twice within its time.
   *
   * @param status one sentence for `systemctl status`
   */
  ready(status: string): void {
    // Systemd waits for this one, and ends the daemon where it does not come.
    this.#tell(["READY=1", `STATUS=${status}`], () => !this.#ends);
    const watchdogMs = Number(this.#environment["WATCHDOG_USEC"] ?? Number.NaN) / 1_000;
    if (!this.listens || !(watchdogMs > 0)) return;
    const beat = (): void => {
      const own = (this.#beats += 1);
      // Systemd ends the daemon where one is left out: the next comes as its time is over.
      this.#tell(["WATCHDOG=1"], () => this.#beats === own);
      this.#timer = this.#clock.after(watchdogMs / 2, beat);
    };
    beat();
  }

  /** The daemon is about to end. */
  stopping(): void {
    this.#ends = true;
    // Not --stopping, which systemd 252 does not know.
    this.#tell(["STOPPING=1"]);
  }

  /** Sends no more signs of life. */
  close(): void {
    this.#beats += 1;
    this.#timer?.cancel();
  }

  /** @param isWanted whether it is said later too, where no process can be started now */
  #tell(words: readonly string[], isWanted = (): boolean => false): void {
    if (!this.listens) return;
    const start = (): ChildProcess =>
      startApart("systemd-notify", words, {
        stdio: ["ignore", "ignore", "ignore"],
        env: {
          PATH: this.#environment["PATH"] ?? "/usr/bin:/bin",
          NOTIFY_SOCKET: this.#environment["NOTIFY_SOCKET"],
        },
      });
    startedProcess(start, { isWanted }).then(
      (child) => child.unref(),
      (error: unknown) => {
        if (!this.#failed) this.#onError(error as Error);
        this.#failed = true;
      },
    );
  }
}
