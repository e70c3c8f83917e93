/**
 * What `notify.jsonl` says, for readers: what waits, what was sent, what was given up. It takes no
 * lock and changes nothing. Where the file has few messages, the rotated ones are read too.
 */
import { dirname, join } from "node:path";
import type { NotifyEvent } from "../core/notify-event.ts";
import {
  emptyNotifyState,
  evolveNotify,
  type ChannelTotals,
  type NotifyCheckpoint,
  type NotifyMessage,
} from "../core/notify-fold.ts";
import { errorCode } from "../disk/disk-error.ts";
import { namesIn } from "../disk/names-in.ts";
import { readLedger } from "./ledger-reader.ts";
import { rotatedNotify } from "./rotated-ledgers.ts";
import type { RunStore } from "./run-store.ts";

/** How many messages that ended are listed, of each end. */
const MOST = 200;

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
  readonly fault: { readonly line: number; readonly fault: string } | undefined;
}

/**
 * Reads the ledger; undefined where there is none.
 *
 * @throws LedgerFormatError if a newer release wrote it; a Node error if it cannot be read
 */
export function readNotifications(store: RunStore, most = MOST): NotifyReading | undefined {
  const path = store.notifyLedger;
  const own = readOne(path, most);
  if (own === undefined) return undefined;
  const { state, fault } = own;
  const ended = { sent: own.sent, gaveUp: own.gaveUp };
  const folder = dirname(path);
  for (const name of rotatedNotify(namesIn(folder))) {
    if (ended.sent.length >= most && ended.gaveUp.length >= most) break;
    const older = readOne(join(folder, name), most);
    if (older === undefined) continue;
    ended.sent = [...older.sent, ...ended.sent].slice(-most);
    ended.gaveUp = [...older.gaveUp, ...ended.gaveUp].slice(-most);
  }
  return {
    checkpoint: state.checkpoint,
    checkpointAt: state.checkpointAt,
    waiting: [...state.waiting.values()].toReversed(),
    sent: ended.sent.toReversed(),
    gaveUp: ended.gaveUp.toReversed(),
    totals: state.totals,
    fault,
  };
}

/** One file. Ended messages: the oldest first. */
function readOne(path: string, most: number) {
  const state = emptyNotifyState();
  let sent: NotifyMessage[] = [];
  let gaveUp: NotifyMessage[] = [];
  const add = (list: NotifyMessage[], message: NotifyMessage): NotifyMessage[] => {
    list.push(message);
    return list.length > 2 * most ? list.slice(-most) : list;
  };
  try {
    const reading = readLedger<NotifyEvent>(path, {
      each: (line) =>
        evolveNotify(state, line, (message) => {
          if (message.ended?.how === "sent") sent = add(sent, message);
          else gaveUp = add(gaveUp, message);
        }),
    });
    const fault = reading.end === "damaged" ? reading.fault : undefined;
    return { state, sent: sent.slice(-most), gaveUp: gaveUp.slice(-most), fault };
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
