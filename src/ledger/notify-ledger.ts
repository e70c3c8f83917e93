/**
 * The ledger of what people are told: `runs/.orchd/notify.jsonl`. core/notify-fold.ts says what its
 * lines mean. It is written by `orchd notify` alone, and not by the daemon.
 *
 * - Two locks keep a second writer out: `notify.lock` (notify-lock.ts), and the kernel's lock on
 *   the open ledger, for a person who removes the first.
 * - A file begins with `notify.began`, the messages that wait, and a checkpoint. Opening reads the
 *   file to its end, and no other file.
 * - At 8 MiB the file is renamed `notify-DATE.jsonl`, and a new one begins. Of the renamed ones the
 *   newest eight stay, and none that is older than the days that runs are kept.
 * - A damaged file is kept as `notify.jsonl.damaged-N`, and a new one begins with what the good
 *   lines say. What was sent after them is decided again, under the keys that it had.
 *
 * In both cases the new file takes the name in one rename: a whole `notify.jsonl` exists at every
 * moment.
 */
import { statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Alert } from "../core/alert.ts";
import type { Framed } from "../core/event.ts";
import { LEDGER_FORMAT } from "../core/ledger-format.ts";
import { dueEvent } from "../core/due-alert.ts";
import type { NotifyEvent } from "../core/notify-event.ts";
import {
  carriedOver,
  checkpointEvents,
  emptyNotifyRecord,
  evolveNotify,
  type NotifyCheckpoint,
  type NotifyMessage,
  type NotifyOutcome,
  type NotifyRecord,
} from "../core/notify-fold.ts";
import { DAY_MS } from "../core/time.ts";
import { namesIn } from "../disk/names-in.ts";
import { regularFile } from "../disk/path-fault.ts";
import { removeFile } from "../disk/remove-file.ts";
import { damagedNamesOf, ownDamagedName, type KeptDamage } from "./damaged-name.ts";
import { FileChange } from "./file-change.ts";
import { LedgerDamaged } from "./ledger-error.ts";
import { LedgerFile, type LedgerOptions } from "./ledger-file.ts";
import type { LedgerHost } from "./ledger-host.ts";
import { rotatedName } from "./ledger-names.ts";
import { readLedger } from "./ledger-reader.ts";
import { EVIDENCE_DAYS } from "./retention.ts";
import { isRotatedNotify, rotatedNotify } from "./rotated-ledgers.ts";
import type { RunStore } from "./run-store.ts";
import { shortened } from "./short-line.ts";

const ROTATE_BYTES = 8 * 1_048_576;
/** How many rotated files stay. */
const KEEP_FILES = 8;
const KEEP_DAYS = 30;

/** What {@link NotifyLedger.open} needs. */
export interface NotifyLedgerOptions extends LedgerHost {
  /** Somebody touched the file, and it was mended: what happened, as a clause. */
  readonly onRestored?: ((because: string) => void) | undefined;
  /** The length at which a new file begins, in bytes; default 8 MiB. */
  readonly rotateBytes?: number | undefined;
  /** Tells how many days rotated files are kept; it may change meanwhile. Default: 30 days. */
  readonly keepDays?: (() => number) | undefined;
}

/** The open ledger. It rotates by itself. */
export class NotifyLedger {
  readonly path: string;
  /** The damage that opening found; undefined if none. */
  damage: KeptDamage | undefined;
  readonly #options: NotifyLedgerOptions;
  readonly #state: NotifyRecord = emptyNotifyRecord();
  #file: LedgerFile<NotifyEvent> | undefined;
  /** The position at which the first file's feed begins. */
  #began = "";
  readonly #change = new FileChange();
  #rotateAt: number;

  private constructor(path: string, options: NotifyLedgerOptions) {
    this.path = path;
    this.#options = options;
    this.#rotateAt = options.rotateBytes ?? ROTATE_BYTES;
  }

  /**
   * Opens the ledger, and recovers it. If there is none, the first `decided` creates it. The caller
   * holds the lock of notify-lock.ts.
   *
   * @throws LedgerBlocked or a Node error if its path is bad; LedgerFormatError if a newer release
   *   wrote it; LedgerFailed, after `onFatal`
   */
  static async open(store: RunStore, options: NotifyLedgerOptions): Promise<NotifyLedger> {
    const ledger = new NotifyLedger(store.notifyLedger, options);
    if (regularFile(ledger.path) === undefined) return ledger;
    try {
      const opened = await LedgerFile.open<NotifyEvent>(ledger.path, ledger.#fileOptions());
      for (const line of opened.lines) ledger.#fold(line);
      ledger.#file = opened.file;
    } catch (error) {
      if (!(error instanceof LedgerDamaged)) throw error;
      await ledger.#beginAfter(error);
    }
    ledger.prune();
    return ledger;
  }

  /** The last durable checkpoint; undefined: nothing was ever folded. */
  get checkpoint(): NotifyCheckpoint | undefined {
    return this.#state.checkpoint;
  }

  /** The messages that are due and did not end, in the order in which they were due. */
  get waiting(): Iterable<NotifyMessage> {
    return this.#state.waiting.values();
  }

  /** The length of the durable lines, in bytes. */
  get size(): number {
    return this.#file?.size ?? 0;
  }

  /**
   * Makes messages and the checkpoint after them durable, in one write.
   *
   * @returns when they were due; ISO 8601, UTC
   * @throws LineTooLong, LedgerClosed, LedgerFailed
   */
  async decided(alerts: readonly Alert[], checkpoint: NotifyCheckpoint): Promise<string> {
    const lines = await this.#append(checkpoint.position, () => [
      ...alerts.map(dueEvent),
      ...checkpointEvents(checkpoint, this.#state.totals),
    ]);
    return lines.at(-1)!.at;
  }

  /** Makes durable what became of a try. @throws LedgerClosed, LedgerFailed */
  async tried(
    { key, channel }: Pick<Alert, "key" | "channel">,
    outcome: NotifyOutcome,
  ): Promise<void> {
    const { how, ...more } = outcome;
    const event = { type: `notify.${how}`, key, channel, ...more } as NotifyEvent;
    await this.#append(this.#state.checkpoint?.position ?? "", () => [event]);
  }

  /** Looks whether somebody touched the file, and mends it if so. Cheap. */
  look(): void {
    if (this.#change.underWay === undefined) this.#file?.look()?.catch(() => undefined);
  }

  /**
   * Removes rotated files, and evidence of damage, that are too many or too old.
   *
   * @returns why some are left; undefined: none is
   */
  prune(): Error | undefined {
    try {
      this.#removeOld();
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  #removeOld(): void {
    const folder = dirname(this.path);
    const names = namesIn(folder);
    const now = this.#options.clock.now();
    const keepDays = this.#options.keepDays?.() ?? KEEP_DAYS;
    const isOlder = (name: string, days: number): boolean => {
      const mtimeMs = statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? now;
      return now - mtimeMs > days * DAY_MS;
    };
    for (const [index, name] of rotatedNotify(names).entries())
      if (index >= KEEP_FILES || isOlder(name, keepDays)) removeFile(join(folder, name));
    for (const name of damagedNamesOf(basename(this.path), names))
      if (isOlder(name, Math.max(keepDays, EVIDENCE_DAYS))) removeFile(join(folder, name));
  }

  /** Writes the lines that still wait, and closes the file. */
  async close(): Promise<void> {
    await this.#change.underWay;
    await this.#file?.close();
  }

  /** @param make is called when the file stands: the totals may have changed meanwhile */
  async #append(position: string, make: () => NotifyEvent[]): Promise<Framed<NotifyEvent>[]> {
    for (;;) {
      if (this.#change.underWay !== undefined) {
        await this.#change.underWay;
      } else if (this.#file === undefined) {
        this.#began = position;
        const first = [this.#header(), ...make()];
        let written: readonly Framed<NotifyEvent>[] = [];
        const options = this.#fileOptions();
        const onDurable = (lines: readonly Framed<NotifyEvent>[]): void => {
          written = lines;
          options.onDurable?.(lines);
        };
        await this.#change.make(async () => {
          this.#file = await LedgerFile.create(this.path, first, { ...options, onDurable });
        });
        return [...written];
      } else if (this.#file.size >= this.#rotateAt) {
        await this.#change.make(() => this.#rotate());
      } else {
        return this.#file.append(make());
      }
    }
  }

  #fileOptions(): LedgerOptions<NotifyEvent> {
    return {
      ...this.#options,
      locked: true,
      shorten: shortened,
      rebuild: () => this.#firstLines(),
      onDurable: (lines) => {
        for (const line of lines) this.#fold(line);
      },
    };
  }

  #fold(line: Framed<NotifyEvent>): void {
    if (line.type === "notify.began") this.#began = line.position;
    evolveNotify(this.#state, line);
  }

  /** The first lines of a new file, which say all that is known. */
  #firstLines(): NotifyEvent[] {
    return [this.#header(), ...carriedOver(this.#state)];
  }

  #header(): NotifyEvent {
    return { type: "notify.began", format: LEDGER_FORMAT, position: this.#began };
  }

  async #rotate(): Promise<void> {
    const old = this.#file!;
    // Somebody may have removed it: then it is put back before it gets its second name.
    await old.look();
    await old.close();
    const name = rotatedName(this.path, this.#options.clock.now(), isRotatedNotify);
    this.#file = await this.#replace(name);
    // Otherwise a file that begins with much that waits would be full from the start.
    this.#rotateAt = Math.max(this.#options.rotateBytes ?? ROTATE_BYTES, 2 * this.#file.size);
    this.prune();
  }

  /** After damage: begins a new file with what the good lines say. */
  async #beginAfter({ line, fault }: LedgerDamaged): Promise<void> {
    readLedger<NotifyEvent>(this.path, { each: (good) => this.#fold(good) });
    const keptAs = ownDamagedName(this.path);
    this.#file = await this.#replace(keptAs);
    this.damage = { line, fault, keptAs };
  }

  #replace(keepAs: string): Promise<LedgerFile<NotifyEvent>> {
    return LedgerFile.replace(this.path, keepAs, this.#firstLines(), this.#fileOptions());
  }
}
