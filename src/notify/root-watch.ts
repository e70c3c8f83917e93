/**
 * What concerns the daemon and its files, and no line of the feed tells: a daemon that ended by
 * itself, a full disk, damaged ledgers. It looks every few seconds, and tells each change once. The
 * fold knows what it was told already, by any process.
 */
import type { Clock, Timer } from "../clock.ts";
import type { NotifyState } from "../core/notify-state.ts";
import { iso, MINUTE_MS } from "../core/time.ts";
import type { Log } from "../log.ts";
import type { NotifyFact } from "./notifier.ts";

const LOOK_MS = 5_000;
const DAMAGE_MS = MINUTE_MS;

/** A daemon's beginning, or how one ended: a line of `daemon.jsonl`. */
export interface DaemonMoment {
  readonly at: string;
  readonly type: string;
  readonly epoch: number;
}

/** A ledger that is damaged now. */
export interface DamagedLedger {
  /** Its path below the runs folder. */
  readonly file: string;
  readonly pipeline: string | undefined;
  readonly because: string;
  readonly at: string;
}

/** What {@link RootWatch} looks at. */
export interface RootWatchPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly tell: (fact: NotifyFact) => void;
  /** The lines of `daemon.jsonl`, oldest first; undefined: they did not change since. */
  readonly daemons: () => readonly DaemonMoment[] | undefined;
  /** Why the disk of runs/ takes nothing more, as a clause; undefined: it has room. */
  readonly full: () => Promise<string | undefined>;
  /** The damaged ledgers. @param isNew a daemon has begun since the last look */
  readonly damaged: (isNew: boolean) => readonly DamagedLedger[];
}

/** Looks until it is closed. */
export class RootWatch {
  readonly #ports: RootWatchPorts;
  readonly #damaged: Map<string, string | undefined>;
  #epoch: number;
  #isFull: boolean;
  #isHeld = false;
  #isNew = true;
  #lookedForDamage: number | undefined;
  #timer: Timer | undefined;
  #isLooking = false;
  #isClosed = false;

  /** @param state what the fold knows: what is over since is told too */
  constructor(state: NotifyState, ports: RootWatchPorts) {
    this.#ports = ports;
    this.#damaged = damagedIn(state);
    this.#epoch = state.epoch ?? 0;
    this.#isFull = state.daemon.has("disk_full");
    this.#look();
  }

  /** Whether a write waits for room. */
  held(isHeld: boolean): void {
    this.#isHeld = isHeld;
    if (isHeld) this.#tellFull("orchd notify found no room for its own ledger");
  }

  /** Ends. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #look(): void {
    if (this.#isClosed) return;
    this.#timer = this.#ports.clock.after(LOOK_MS, () => this.#look());
    if (this.#isLooking) return;
    this.#isLooking = true;
    void this.#once()
      .catch((error: unknown) =>
        this.#ports.log.warn({ err: error }, "the root could not be looked at"),
      )
      .finally(() => (this.#isLooking = false));
  }

  async #once(): Promise<void> {
    this.#lookAtDaemons();
    const { clock, full } = this.#ports;
    const because = await full();
    if (this.#isClosed) return;
    if (because !== undefined) this.#tellFull(because);
    else if (this.#isFull && !this.#isHeld) this.#tellRoom();
    const at = clock.monotonic();
    if (this.#lookedForDamage !== undefined && at - this.#lookedForDamage < DAMAGE_MS) return;
    this.#lookedForDamage = at;
    this.#lookForDamage();
  }

  #lookAtDaemons(): void {
    const lines = this.#ports.daemons();
    if (lines === undefined) return;
    let lost: DaemonMoment | undefined;
    for (const line of lines) {
      if (line.type === "daemon.began" && line.epoch > this.#epoch) {
        this.#isNew = true;
        if (lost !== undefined) this.#tellRestart(line, lost);
      }
      lost = line.type === "daemon.lost" ? line : undefined;
    }
    this.#epoch = Math.max(this.#epoch, ...lines.map(({ epoch }) => epoch));
  }

  #tellRestart({ at, epoch }: DaemonMoment, lost: DaemonMoment): void {
    const now = this.#ports.clock.now();
    const because =
      `the daemon ended without being told to, and was last seen at ${lost.at}; ` +
      `a new one began at ${at}`;
    this.#ports.tell({ type: "restarted", now, at, epoch, because });
  }

  #tellFull(because: string): void {
    if (this.#isFull) return;
    this.#isFull = true;
    const now = this.#ports.clock.now();
    this.#ports.tell({ type: "disk", now, at: iso(now), full: true, because });
  }

  #tellRoom(): void {
    this.#isFull = false;
    const now = this.#ports.clock.now();
    this.#ports.tell({ type: "disk", now, at: iso(now), full: false, because: "there is room" });
  }

  #lookForDamage(): void {
    const { clock, damaged, tell } = this.#ports;
    const now = clock.now();
    const found = damaged(this.#isNew);
    this.#isNew = false;
    for (const { file, pipeline, because, at } of found) {
      if (this.#damaged.has(file)) continue;
      this.#damaged.set(file, pipeline);
      tell({ type: "damage", now, at, file, pipeline, damaged: true, because });
    }
    const files = new Set(found.map(({ file }) => file));
    for (const [file, pipeline] of this.#damaged) {
      if (files.has(file)) continue;
      this.#damaged.delete(file);
      const because = "it was repaired, or the damaged file was removed";
      tell({ type: "damage", now, at: iso(now), file, pipeline, damaged: false, because });
    }
  }
}

/** The damaged files that were told, with their pipelines. */
function damagedIn({ daemon, pipelines }: NotifyState): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>();
  const add = (firing: ReadonlyMap<string, unknown>, pipeline: string | undefined): void => {
    for (const variant of firing.keys())
      if (variant.startsWith("damaged@")) found.set(variant.slice("damaged@".length), pipeline);
  };
  add(daemon, undefined);
  for (const [pipeline, { firing }] of pipelines) add(firing, pipeline);
  return found;
}
