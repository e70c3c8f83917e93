/**
 * The heartbeat: an address that is asked every minute while the daemon schedules, as
 * healthchecks.io and its like want. When it is asked no more, the receiver alarms: it catches the
 * machine that is gone and the daemon that hangs, which nothing on this machine could tell.
 *
 * It is asked only while nothing speaks against the daemon: its lock is held, its sign of life is
 * not older than a minute, and no slot has been due and undecided for a minute. On trouble nothing
 * is sent, and the log says why, once.
 */
import type { Clock, Timer } from "../clock.ts";
import { formatDuration } from "../core/duration.ts";
import type { Log } from "../log.ts";

/** How old a sign of life, and how late a decision may be, in milliseconds. */
export const LATE_MS = 60_000;

/** What is known of the daemon. Times: milliseconds since 1970. */
export interface DaemonSigns {
  /** Whether a daemon holds the lock. */
  readonly isHeld: boolean;
  /** When it was seen last; undefined: not known. */
  readonly seenAt: number | undefined;
  /** The slot that was due first of those that are not decided; undefined: none. */
  readonly undecided: { readonly pipeline: string; readonly due: number } | undefined;
}

/** Why the heartbeat is not sent, as a clause; undefined: it is. */
export function whySilent(signs: DaemonSigns, now: number): string | undefined {
  if (!signs.isHeld) return "no daemon runs";
  if (signs.seenAt !== undefined && now - signs.seenAt > LATE_MS)
    return `the daemon gave its last sign of life ${ago(now - signs.seenAt)} ago`;
  if (signs.undecided !== undefined && now - signs.undecided.due > LATE_MS) {
    const { pipeline, due } = signs.undecided;
    return `a slot of ${pipeline} has been due for ${ago(now - due)} and is not decided`;
  }
  return undefined;
}

/** What {@link Heartbeat} needs. */
export interface HeartbeatPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly everyMs: number;
  readonly timeoutMs: number;
  /** Looks at the daemon. */
  readonly signs: (now: number) => Promise<DaemonSigns>;
  /** Asks the address. Never throws. `because`: without secrets. */
  readonly ask: (
    signal: AbortSignal,
  ) => Promise<{ readonly ok: true } | { readonly ok: false; readonly because: string }>;
}

/** Sends the heartbeat until it is closed. */
export class Heartbeat {
  readonly #ports: HeartbeatPorts;
  #timer: Timer | undefined;
  #isBeating = false;
  /** Ends the beat that is under way. */
  #beating = new AbortController();
  readonly #ended = new AbortController();
  /** What the log said last. */
  #told: string | undefined;

  /** The first one is sent at once. */
  constructor(ports: HeartbeatPorts) {
    this.#ports = ports;
    this.#beat();
  }

  /** Ends. A beat that is under way is let go. */
  close(): void {
    this.#timer?.cancel();
    this.#ended.abort();
    this.#beating.abort();
  }

  #beat(): void {
    if (this.#ended.signal.aborted) return;
    const { clock, everyMs } = this.#ports;
    this.#timer = clock.after(everyMs, () => this.#beat());
    // One that takes longer than a beat is not sent twice.
    if (this.#isBeating) return;
    this.#isBeating = true;
    void this.#once().finally(() => (this.#isBeating = false));
  }

  async #once(): Promise<void> {
    const { clock, timeoutMs, signs, ask } = this.#ports;
    // No AbortSignal.any of it and the end: each would hold some bytes until then.
    const beating = (this.#beating = new AbortController());
    const timer = clock.after(timeoutMs, () => beating.abort());
    try {
      const now = clock.now();
      const silent = whySilent(await signs(now), now);
      if (silent !== undefined) return this.#tell(`the heartbeat is not sent: ${silent}`);
      const answer = await ask(beating.signal);
      if (answer.ok) this.#tell(undefined);
      else if (!this.#ended.signal.aborted)
        this.#tell(`the heartbeat was not taken: ${answer.because}`);
    } catch (error) {
      this.#tell(`the heartbeat is not sent: ${(error as Error).message}`);
    } finally {
      timer.cancel();
    }
  }

  #tell(trouble: string | undefined): void {
    // The ages in it change with each beat.
    const kind = trouble?.replaceAll(/\d+/g, "");
    if (kind === this.#told) return;
    this.#told = kind;
    const { log } = this.#ports;
    if (trouble === undefined) log.info({}, "the heartbeat is sent");
    else log.warn({}, trouble);
  }
}

function ago(milliseconds: number): string {
  return formatDuration(Math.round(milliseconds / 1_000) * 1_000);
}
