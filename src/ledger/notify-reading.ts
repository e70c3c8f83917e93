/**
 * What `notify.jsonl` says, for readers: what waits, what was sent, what was given up. It takes no
 * lock and changes nothing.
 *
 * A reader that stays goes on after the last line that it read, so that a page pays for new lines
 * alone. It begins again where the file is another one. Rotated files do not change: each is read
 * once, and only where the newer ones have too few messages. Most of them hold none that was given
 * up, which a look for those words tells without parsing a line.
 *
 * A rotation takes no lock that a reader could wait for. So the file in use has to be the same one
 * before and after the reading, and the second name that a rotation gives it is passed over: else a
 * message is told twice or left out, or a whole ledger is called damaged.
 */
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { NotifyEvent } from "../core/notify-event.ts";
import {
  emptyNotifyRecord,
  evolveNotify,
  type ChannelTotals,
  type NotifyCheckpoint,
  type NotifyMessage,
  type NotifyRecord,
} from "../core/notify-fold.ts";
import { errorCode } from "../disk/disk-error.ts";
import { namesIn } from "../disk/names-in.ts";
import { LEDGER_START, readLedger, type LedgerFault, type LedgerMark } from "./ledger-reader.ts";
import { rotatedNotify } from "./rotated-ledgers.ts";
import type { RunStore } from "./run-store.ts";

/** How many messages that ended are listed, of each end. */
const MOST = 200;
/** How often a ledger that is rotated while it is read is read again. */
const TRIES = 8;
const GAVE_UP = Buffer.from('"type":"notify.gave_up"');

/** What the ledger says now. Lists: the newest first. */
export interface NotifyReading {
  /** Undefined where nothing was ever folded. */
  readonly checkpoint: NotifyCheckpoint | undefined;
  /** When it was written; ISO 8601, UTC. */
  readonly checkpointAt: string | undefined;
  /** All messages that are due and did not end. */
  readonly waiting: readonly NotifyMessage[];
  /** The newest 200 of each. */
  readonly sent: readonly NotifyMessage[];
  readonly gaveUp: readonly NotifyMessage[];
  /** By channel, since the ledger began. */
  readonly totals: ReadonlyMap<string, ChannelTotals>;
  /** The first bad line and what is wrong with it: what came after it is not told. */
  readonly fault: LedgerFault | undefined;
}

/**
 * Reads the ledger once; undefined where there is none.
 *
 * @throws LedgerFormatError if a newer release wrote it; a Node error if it cannot be read
 */
export function readNotifications(store: RunStore, most = MOST): NotifyReading | undefined {
  return new NotifyReader(store, most).read();
}

/** Messages that ended, the oldest first. */
interface Ended {
  sent: NotifyMessage[];
  gaveUp: NotifyMessage[];
}

/** One file, as far as it was read. */
interface Followed extends Ended {
  readonly inode: number;
  readonly state: NotifyRecord;
  mark: LedgerMark;
  fault: LedgerFault | undefined;
  /** Length and time of the file when it was read. */
  stamp: string;
}

/** Reads the ledger again and again. */
export class NotifyReader {
  readonly #store: RunStore;
  readonly #most: number;
  readonly #rotated = new Map<string, Ended>();
  #own: Followed | undefined;
  #last: NotifyReading | undefined;

  constructor(store: RunStore, most = MOST) {
    this.#store = store;
    this.#most = most;
  }

  /** What it says now; undefined where there is none. Throws as {@link readNotifications}. */
  read(): NotifyReading | undefined {
    const path = this.#store.notifyLedger;
    for (let tries = 1; ; tries += 1) {
      const inode = inodeOf(path);
      const reading = this.#readOnce(path);
      if (inodeOf(path) === inode || tries === TRIES) return reading;
    }
  }

  #readOnce(path: string): NotifyReading | undefined {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined) {
      this.#own = undefined;
      return undefined;
    }
    const stamp = `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
    if (this.#own?.stamp === stamp && this.#last !== undefined) return this.#last;
    const own = this.#follow(path, stats.ino, stats.size, stamp);
    if (own === undefined) return undefined;
    const { state, fault } = own;
    const { sent, gaveUp } = this.#withOlder(own, dirname(path));
    this.#last = {
      checkpoint: state.checkpoint,
      checkpointAt: state.checkpointAt,
      waiting: [...state.waiting.values()].toReversed(),
      sent: sent.toReversed(),
      gaveUp: gaveUp.toReversed(),
      totals: new Map(state.totals),
      fault,
    };
    return this.#last;
  }

  /** Reads what is new in the file in use. */
  #follow(path: string, inode: number, size: number, stamp: string): Followed | undefined {
    const before = this.#own;
    const goesOn =
      before?.inode === inode && before.fault === undefined && before.mark.offset <= size;
    const own: Followed = goesOn
      ? { ...before, stamp }
      : {
          inode,
          state: emptyNotifyRecord(),
          mark: LEDGER_START,
          fault: undefined,
          stamp,
          ...none(),
        };
    this.#own = undefined;
    try {
      const { end, mark, fault } = readLedger<NotifyEvent>(path, {
        from: own.mark,
        each: (line) => evolveNotify(own.state, line, (message) => this.#add(own, message)),
      });
      own.mark = mark;
      own.fault = end === "damaged" ? fault : undefined;
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
    this.#own = own;
    return own;
  }

  /** The newest messages that ended, those of rotated files too. */
  #withOlder(own: Followed, folder: string): Ended {
    const most = this.#most;
    const all = { sent: own.sent.slice(-most), gaveUp: own.gaveUp.slice(-most) };
    const names = rotatedNotify(namesIn(folder));
    for (const name of this.#rotated.keys()) if (!names.includes(name)) this.#rotated.delete(name);
    for (const name of names) {
      if (all.sent.length >= most && all.gaveUp.length >= most) break;
      if (!this.#rotated.has(name) && inodeOf(join(folder, name)) === own.inode) continue;
      const older = this.#olderFile(join(folder, name), name, all.sent.length >= most);
      all.sent = [...older.sent, ...all.sent].slice(-most);
      all.gaveUp = [...older.gaveUp, ...all.gaveUp].slice(-most);
    }
    return all;
  }

  /** @param onlyGivenUp no message that was sent is wanted of it */
  #olderFile(path: string, name: string, onlyGivenUp: boolean): Ended {
    const known = this.#rotated.get(name);
    if (known !== undefined) return known;
    const ended = none();
    try {
      if (!onlyGivenUp || readFileSync(path).includes(GAVE_UP)) {
        const state = emptyNotifyRecord();
        readLedger<NotifyEvent>(path, {
          each: (line) => evolveNotify(state, line, (message) => this.#add(ended, message)),
        });
      }
    } catch (error) {
      // Retention removed it meanwhile.
      if (errorCode(error) !== "ENOENT") throw error;
    }
    const most = this.#most;
    const kept = { sent: ended.sent.slice(-most), gaveUp: ended.gaveUp.slice(-most) };
    this.#rotated.set(name, kept);
    return kept;
  }

  #add(ended: Ended, message: NotifyMessage): void {
    const how = message.ended?.how === "sent" ? "sent" : "gaveUp";
    const list = ended[how];
    list.push(message);
    if (list.length > 2 * this.#most) ended[how] = list.slice(-this.#most);
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function none(): Ended {
  return { sent: [], gaveUp: [] };
}
