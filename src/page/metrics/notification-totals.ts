/** What metrics say of messages to people: by channel, from notify.jsonl. */
import { statSync } from "node:fs";
import { NO_TOTALS, type ChannelTotals } from "../../core/notify-fold.ts";
import { readNotifyTotals } from "../../ledger/notify-totals.ts";
import type { RunStore } from "../../ledger/run-store.ts";
import type { Samples } from "./samples.ts";

/** How many channels have series of their own: each value of a label is a series for ever. */
const MOST_CHANNELS = 100;
/** The label of all other channels. No channel's name begins with an underscore. */
const OTHER = "_other";

type Totals = ReadonlyMap<string, ChannelTotals>;

/** The totals of one root. Keep it from scrape to scrape: it reads the ledger if it has changed. */
export class NotificationTotals {
  readonly #store: RunStore;
  #mark = "";
  #totals: Totals = new Map();

  constructor(store: RunStore) {
    this.#store = store;
  }

  /** By channel. Where it cannot be read, or is damaged, what was read before stays. */
  read(): Totals {
    try {
      const stats = statSync(this.#store.notifyLedger, { throwIfNoEntry: false });
      const mark = stats === undefined ? "" : `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
      // Somebody removed it: `orchd notify` writes it again, with all that it said.
      if (mark === this.#mark || stats === undefined) return this.#totals;
      const { totals, isDamaged } = readNotifyTotals(this.#store);
      if ((!isDamaged && totals.size > 0) || this.#totals.size === 0) this.#totals = totals;
      this.#mark = mark;
    } catch {
      // `orchd alerts` says what is wrong.
    }
    return this.#totals;
  }
}

/** Adds a channel's three series, zeroes too. */
export function addNotifications(out: Samples, totals: Totals): void {
  const names = [...totals.keys()].toSorted();
  const own = names.slice(0, MOST_CHANNELS).map((name) => [name, totals.get(name)!] as const);
  const others = names.slice(MOST_CHANNELS).map((name) => totals.get(name)!);
  const all = others.length === 0 ? own : [...own, [OTHER, others.reduce(together)] as const];
  for (const [channel, { sent, failed, gaveUp }] of all) {
    out.add("notifications", { channel, result: "sent" }, sent);
    out.add("notifications", { channel, result: "failed" }, failed);
    out.add("notifications", { channel, result: "gave_up" }, gaveUp);
  }
}

function together(one: ChannelTotals, other: ChannelTotals): ChannelTotals {
  return {
    ...NO_TOTALS,
    sent: one.sent + other.sent,
    failed: one.failed + other.failed,
    gaveUp: one.gaveUp + other.gaveUp,
  };
}
