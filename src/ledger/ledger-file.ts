/**
 * A ledger that is being written: create it, open it again after a crash, append to it. Only the
 * holder of the daemon's lock may do so.
 *
 * ## The file
 *
 * One JSON object a line (docs/ledger.md): `seq`, `b`, `at`, `type`, the event's own fields, and
 * last `crc`. `crc` is the CRC-32 of the line's bytes before `,"crc":`, seeded with the crc of the
 * line before. The chain makes a line good only in its place: a line that was moved, doubled or
 * left out shows. `b` is the seq of the first line of the same write. It tells a reader which lines
 * were acknowledged together.
 *
 * ## A write
 *
 * One write is in flight at a time. Events that come meanwhile wait and become the next write: one
 * string, one write(2), one fdatasync(2), for all callers together. So a finished step and its
 * successors' starts cost one sync. `append` answers when its lines are on the disk, and nobody
 * acts on a line before that.
 *
 * - No room: the file is cut back to where the write began, its lines keep waiting, and the same
 *   write is tried again every second.
 * - Any other failed write, and every failed sync: the kernel may have marked the pages clean
 *   without writing them. Then neither a second sync nor a second read tells what the disk holds.
 *   Nothing more is acknowledged, and the daemon must end (semantics.md 29).
 *
 * ## After a crash
 *
 * A ledger is created whole (ledger-creation.ts). Opening one again cuts off a torn tail, and
 * writes the last batch once more before it is trusted: the crash may have come after a sync that
 * failed.
 *
 * ## One writer
 *
 * The daemon's lock keeps other writers out (lock.ts), unless somebody removes its files while the
 * daemon is stopped. So a pipeline's ledger is locked in the kernel while it is open, from before
 * it has its name. A process that meets a locked ledger ends, and it meets the pipelines' ledgers
 * before any run's. Looking at the daemon's lock before each write was tried, and is not enough: a
 * process can be stopped between the look and the write.
 *
 * ## Under somebody's hands
 *
 * Somebody may remove, replace or change the file while it is open. It is looked for before writes
 * and now and then, and put back (docs/adr/0020-a-ledger-is-put-back.md). That and the writes share
 * the descriptor and the mark, so they stay one file.
 *
 * Rejected: O_APPEND (a write must land where the good lines end, whatever the file's length); a
 * length prefix (`jq` reads these files); one checksum a write (`tail -F` shows lines); a
 * write-ahead log beside it (the ledger is one).
 */
import { closeSync, constants, fstatSync, openSync, statSync, type Stats } from "node:fs";
import { countText } from "../core/counted.ts";
import { tryLock } from "fs-native-extensions";
import type { Timer } from "../clock.ts";
import type { Framed } from "../core/event.ts";
import { iso } from "../core/time.ts";
import { errorCode, isExhausted } from "../disk/disk-error.ts";
import { isPathFault, regularFile } from "../disk/path-fault.ts";
import { systemDisk, writeAll, type Disk } from "../disk/disk.ts";
import { readBytes } from "../disk/read-bytes.ts";
import { RETRY_MS, untilRoom } from "../disk/until-room.ts";
import { freeDamagedName } from "./damaged-name.ts";
import { createLedger, syncNameOf } from "./ledger-creation.ts";
import {
  LedgerBlocked,
  LedgerClosed,
  LedgerDamaged,
  LedgerExists,
  LedgerFailed,
  LedgerOverwritten,
} from "./ledger-error.ts";
import { fatal, type LedgerHost } from "./ledger-host.ts";
import {
  LEDGER_START,
  readLedger,
  readTail,
  type LedgerMark,
  type LedgerReading,
} from "./ledger-reader.ts";
import { bodiesOf, frame, type Frame } from "./line-frame.ts";

/**
 * How often at most a run's ledger is looked for before a write, in milliseconds. A look costs a
 * few microseconds, and most runs are over sooner.
 */
const LOOK_MS = 1_000;

/**
 * What somebody did to an open ledger: its name is gone, another file has it, it does not end where
 * this process left it, or there are other bytes in it.
 */
type Trouble = "gone" | "replaced" | "resized" | "edited";

/** How a ledger is written. */
export interface LedgerOptions<E> extends LedgerHost {
  /**
   * Called with the lines of each write once they are durable: before the callers that wait for
   * them go on, and before the next write begins.
   */
  readonly onDurable?: ((lines: readonly Framed<E>[]) => void) | undefined;
  /** Called with the lines of a write that is about to be made; may add events to it. */
  readonly complete?: ((lines: readonly Framed<E>[]) => readonly E[]) | undefined;
  /** Cuts an event that is too long for a line. Default: the append throws LineTooLong. */
  readonly shorten?: ((event: E) => E) | undefined;
  /** The newest format that is understood. */
  readonly format?: number | undefined;
  /**
   * The first lines of a new ledger that says all that this one said. Without it, a ledger that
   * another program changed is not gone on with.
   */
  readonly rebuild?: (() => readonly E[]) | undefined;
  /** Somebody removed, replaced or changed the file, and it was mended: what happened, a clause. */
  readonly onRestored?: ((because: string) => void) | undefined;
  /** Whether the file is locked in the kernel while it is open; default: false. */
  readonly locked?: boolean | undefined;
}

/** How {@link LedgerFile.open} reads the file. */
export interface OpenOptions<E> extends LedgerOptions<E> {
  /**
   * Another ledger says that this one is complete: a torn tail is damage then (semantics.md 28).
   */
  readonly finishedElsewhere?: boolean | undefined;
  /** Read no further back than the newest line of this type. */
  readonly since?: string | undefined;
  /** Called with each line that is read; the answer's `lines` then stay empty. */
  readonly each?: ((line: Framed<E>) => void) | undefined;
  /**
   * Cut the file and make it durable together with the first lines that are appended, in one sync,
   * and not before. For a caller that acts on none of the lines until then.
   */
  readonly withFirstWrite?: boolean | undefined;
}

/** Events with their text, and the caller that waits for them. */
interface Waiting<E> {
  readonly events: readonly E[];
  readonly bodies: readonly string[];
  readonly at: string;
  readonly resolve: (lines: Framed<E>[]) => void;
  readonly reject: (error: Error) => void;
}

/** One open ledger. Lines are appended in order, and acknowledged when they are durable. */
export class LedgerFile<E extends { readonly type: string }> {
  /** The file's path. */
  readonly path: string;
  #fd: number;
  /** Which file is open, since it was first looked at. A thousand ledgers hold no more of it. */
  #own: Pick<Stats, "ino" | "dev"> | undefined;
  /** When it was last looked at for edits: where it ended, and when it was last changed. */
  #unedited: { readonly offset: number; readonly ctimeMs: number } | undefined;
  #lookedAt: number;
  /** Whether a file keeps its inode number here. */
  #trustsInodes = true;
  readonly #options: LedgerOptions<E>;
  readonly #disk: Disk;
  #mark: LedgerMark;
  #waiting: Waiting<E>[] = [];
  #writing: Promise<void> | undefined;
  #failed: LedgerFailed | LedgerOverwritten | undefined;
  /** Lines that were appended are not in it. */
  #lacks = false;
  #closing = false;
  #hold: { readonly timer: Timer; readonly wake: () => void } | undefined;
  /**
   * The last batch from before this opening, and whether a torn tail follows it. The batch must be
   * written once more.
   */
  #unproven: { readonly batch: Buffer; readonly torn: boolean } | undefined;

  private constructor(path: string, fd: number, mark: LedgerMark, options: LedgerOptions<E>) {
    this.path = path;
    this.#fd = fd;
    this.#mark = mark;
    this.#options = options;
    this.#disk = options.disk ?? systemDisk;
    this.#lookedAt = options.clock.monotonic();
  }

  /** The seq of the last durable line. */
  get lastSeq(): number {
    return this.#mark.seq;
  }

  /** The length of the durable lines, in bytes. */
  get size(): number {
    return this.#mark.offset;
  }

  /** Where it ends, if all that was ever appended is durable, and nothing is left to be proven. */
  get wholeEnd(): LedgerMark | undefined {
    const isWhole = this.idle && !this.#lacks && this.#failed === undefined;
    return isWhole && this.#unproven === undefined ? this.#mark : undefined;
  }

  /** Whether every appended line is durable. */
  get idle(): boolean {
    return this.#writing === undefined && this.#waiting.length === 0;
  }

  /**
   * Creates a ledger with its first lines, durably, folder included. Waits while the disk is full.
   *
   * @param first at least one event; the first is the header
   * @param at the time that the lines carry, if what they say was decided earlier; default: now
   * @throws LedgerExists if the name is taken; LineTooLong; LedgerFailed, after `onFatal`
   */
  static create<E extends { readonly type: string }>(
    path: string,
    first: readonly E[],
    options: LedgerOptions<E>,
    at = iso(options.clock.now()),
  ): Promise<LedgerFile<E>> {
    return LedgerFile.#begin(path, first, options, at);
  }

  /**
   * Replaces an existing ledger by a new one, atomically: at every moment there is one. The old one
   * is kept at `keepAs`. The caller has closed the old one, and no other process writes it.
   *
   * @throws LedgerFailed, after `onFatal`
   */
  static replace<E extends { readonly type: string }>(
    path: string,
    keepAs: string,
    first: readonly E[],
    options: LedgerOptions<E>,
  ): Promise<LedgerFile<E>> {
    return LedgerFile.#begin(path, first, options, iso(options.clock.now()), keepAs);
  }

  static async #begin<E extends { readonly type: string }>(
    path: string,
    first: readonly E[],
    options: LedgerOptions<E>,
    at: string,
    keepAs?: string,
  ): Promise<LedgerFile<E>> {
    const write = framed(path, first, at, options.shorten);
    const { bytes } = write;
    const fd = await createLedger(
      path,
      { bytes, locked: options.locked === true, keepAs },
      options,
    );
    options.onDurable?.(write.lines);
    return new LedgerFile<E>(path, fd, write.mark, options);
  }

  /**
   * Opens a ledger to go on with it: cuts off a torn tail, and makes the rest durable.
   *
   * @returns the ledger, the lines that were read, and how many bytes were cut
   * @throws LedgerDamaged, with nothing changed; LedgerFormatError; LedgerFailed, after `onFatal`;
   *   a Node error if it cannot be opened
   */
  static async open<E extends { readonly type: string }>(
    path: string,
    options: OpenOptions<E>,
  ): Promise<{ readonly file: LedgerFile<E>; readonly lines: Framed<E>[]; readonly cut: number }> {
    const disk = options.disk ?? systemDisk;
    const fd = await disk.open(path, "r+");
    let reading: LedgerReading<E>;
    try {
      // Lock before reading: lines that another process is writing would look torn.
      if (options.locked === true) lockLedger(fd, path, options);
      reading =
        options.since === undefined
          ? readLedger<E>(path, options)
          : readTail<E>(path, options.since, options);
      checkWhole(path, reading, options.finishedElsewhere === true);
    } catch (error) {
      await disk.close(fd);
      throw error;
    }
    const { mark } = reading;
    const cut = reading.size - reading.validBytes;
    const batch = bytesBetween(fd, mark.batchOffset, mark.offset);
    const file = new LedgerFile<E>(path, fd, mark, options);
    file.#unproven = { batch, torn: cut > 0 };
    if (options.withFirstWrite !== true) {
      await file.#prove().catch(async (error: unknown) => {
        await disk.close(fd);
        throw error;
      });
    }
    return { file, lines: reading.lines, cut };
  }

  /**
   * Goes on with a ledger that is known to be durable as it stands. Nothing of it is read but its
   * end.
   *
   * @param mark where it ends
   * @param isKnown whether the open file is the one that is known
   * @returns undefined if it is not: then it has to be opened and read
   * @throws LedgerFailed, after `onFatal`
   */
  static resume<E extends { readonly type: string }>(
    path: string,
    mark: LedgerMark,
    isKnown: (stats: Stats) => boolean,
    options: LedgerOptions<E>,
  ): LedgerFile<E> | undefined {
    let fd: number;
    try {
      fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    } catch {
      return undefined;
    }
    let file: LedgerFile<E> | undefined;
    try {
      if (!fstatSync(fd).isFile()) return undefined;
      if (options.locked === true) lockLedger(fd, path, options);
      if (!isKnown(fstatSync(fd))) return undefined;
      const known = new LedgerFile<E>(path, fd, mark, options);
      if (known.#endIsOwn()) file = known;
      return file;
    } finally {
      if (file === undefined) closeSync(fd);
    }
  }

  /**
   * Appends events as one group: no other caller's lines come between them.
   *
   * @param at the time that the lines carry, for a caller that has folded them already; default:
   *   now
   * @returns the lines, once they are durable
   * @throws LineTooLong, LedgerClosed, LedgerFailed: none of the events was acknowledged, and none
   *   will be
   */
  append(events: readonly E[], at?: string): Promise<Framed<E>[]> {
    return new Promise((resolve, reject) => {
      if (this.#failed !== undefined) throw this.#failed;
      if (this.#closing) throw new LedgerClosed(this.path);
      if (events.length === 0) return resolve([]);
      // Made into text now: later changes to the caller's objects must not reach the disk.
      const made = bodiesOf(this.path, events, this.#options.shorten);
      // No spread: each object would get a shape of its own, which costs twenty times as much.
      this.#waiting.push({
        events: made.events,
        bodies: made.bodies,
        at: at ?? iso(this.#options.clock.now()),
        resolve,
        reject,
      });
      // In a microtask, so that everything appended in this turn is one write.
      this.#writing ??= Promise.resolve().then(() => this.#writeAll());
    });
  }

  /**
   * Writes the lines that still wait, and closes the file. Lines that wait for room on the disk are
   * dropped: their appends throw LedgerClosed.
   */
  async close(): Promise<void> {
    if (this.#closing) return this.#writing;
    this.#closing = true;
    this.#hold?.wake();
    await this.#writing;
    try {
      if (this.#failed === undefined) await this.#prove();
    } finally {
      await this.#disk.close(this.#fd);
    }
  }

  /** Makes durable what was in the file when it was opened, unless a write has done so. */
  async #prove(): Promise<void> {
    if (this.#unproven === undefined) return;
    const { batch, torn } = this.#unproven;
    const { offset } = this.#mark;
    try {
      const act = async (): Promise<void> => {
        if (torn) await this.#disk.ftruncate(this.#fd, offset);
        await writeAll(this.#disk, this.#fd, batch, offset - batch.length);
      };
      await untilRoom(this.#options, act, (error) => !this.#closing && isExhausted(error));
      await this.#syncAll();
    } catch (error) {
      // Whoever opens the ledger next does it: nobody counts on it before.
      if (this.#closing && isExhausted(error)) return;
      throw this.#unlessBlocked("Recovering", error);
    }
    this.#unproven = undefined;
  }

  /**
   * fsync, not fdatasync: the cut must be durable too. So must the name: the crash may have come
   * before its folder was synced.
   */
  async #syncAll(): Promise<void> {
    const syncs = [this.#disk.fsync(this.#fd), syncNameOf(this.path, this.#options)];
    // The folder may be closed to this user. A failed sync of the file is worse, and is told first.
    for (const sync of await Promise.allSettled(syncs))
      if (sync.status === "rejected") throw sync.reason;
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const groups = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(groups);
      } catch (error) {
        const reason = error as Error;
        this.#lacks = true;
        for (const group of [...groups, ...this.#waiting.splice(0)]) group.reject(reason);
      }
    }
    this.#writing = undefined;
  }

  async #write(groups: readonly Waiting<E>[]): Promise<void> {
    const { lines, mark, counts } = await this.#whenItCan(async () => {
      if (this.#looksNow()) await this.#keepName(this.#trouble());
      const framed = this.#frame(groups);
      const unproven = this.#unproven;
      if (unproven?.torn === true) await this.#cutBack(this.#mark.offset);
      const { bytes } = framed;
      const whole = unproven === undefined ? bytes : Buffer.concat([unproven.batch, bytes]);
      const at = this.#mark.offset - whole.length + bytes.length;
      await writeAll(this.#disk, this.#fd, whole, at);
      return framed;
    });
    try {
      if (this.#unproven === undefined) await this.#disk.fdatasync(this.#fd);
      else await this.#syncAll();
    } catch (error) {
      throw this.#unlessBlocked("Syncing", error);
    }
    this.#unproven = undefined;
    this.#mark = mark;
    if (this.#options.locked === true)
      this.#unedited = { offset: mark.offset, ctimeMs: fstatSync(this.#fd).ctimeMs };
    this.#options.onDurable?.(lines);
    let next = 0;
    groups.forEach((group, index) => group.resolve(lines.slice(next, (next += counts[index]!))));
  }

  #frame(groups: readonly Waiting<E>[]): Frame<E> {
    const { complete } = this.#options;
    if (complete === undefined) return frame(this.#mark, groups);
    return frame(this.#mark, groups, (lines) => bodiesOf(this.path, complete(lines)));
  }

  /**
   * Tries a write, every second again while there is no room or while the path is bad.
   *
   * @throws LedgerBlocked, if nothing was proven since the opening: then nobody counts on the file
   *   yet, and the caller opens it again; LedgerClosed; LedgerOverwritten; LedgerFailed
   */
  async #whenItCan<T>(act: () => Promise<T>): Promise<T> {
    for (let held = false; ; held = true) {
      try {
        const result = await act();
        if (held) this.#options.onHeld?.(false);
        return result;
      } catch (error) {
        if (error instanceof LedgerFailed || error instanceof LedgerOverwritten)
          throw (this.#failed ??= error);
        const blocked = isPathFault(error);
        if ((!blocked && !isExhausted(error)) || (blocked && this.#unproven !== undefined))
          throw this.#unlessBlocked("Writing to", error);
        // Where a file may become no longer, a part of the write may be in it.
        if (!blocked || errorCode(error) === "EFBIG") await this.#cutBack(this.#mark.offset);
        // Node's own text is no sentence that helps.
        if (!held) this.#options.onHeld?.(true, blocked ? asBlocked(this.path, error) : error);
        await this.#pause();
        if (this.#closing) throw new LedgerClosed(this.path);
      }
    }
  }

  // --- The file under somebody's hands ---

  /**
   * Looks whether the file still has its name and is as it was left, and mends it if not. For a
   * ledger that is seldom written: writes look, too. Costs one stat.
   *
   * @returns undefined if nothing was to be done; else a promise that resolves when it is mended,
   *   or rejects with LedgerOverwritten, LedgerFailed or LedgerClosed
   */
  look(): Promise<void> | undefined {
    if (this.#writing !== undefined || this.#closing || this.#failed !== undefined)
      return this.#writing;
    if (this.#unproven !== undefined || !this.#trustsInodes) return undefined;
    const trouble = this.#trouble();
    if (trouble === undefined) return undefined;
    const mended = this.#whenItCan(() => this.#keepName(trouble));
    this.#writing = mended.catch(() => undefined).then(() => this.#writeAll());
    return mended;
  }

  /** Whether it is time to look before a write: always for a pipeline's ledger. */
  #looksNow(): boolean {
    if (this.#unproven !== undefined || !this.#trustsInodes) return false;
    if (this.#options.locked === true) return true;
    const now = this.#options.clock.monotonic();
    if (now - this.#lookedAt < LOOK_MS) return false;
    this.#lookedAt = now;
    return true;
  }

  /** What somebody did to the file; undefined: nothing, or it cannot be found out. */
  #trouble(): Trouble | undefined {
    if (this.#own === undefined) {
      const { ino, dev } = fstatSync(this.#fd);
      this.#own = { ino, dev };
    }
    let there: Stats | undefined;
    try {
      there = statSync(this.path, { throwIfNoEntry: false });
    } catch (error) {
      // It may be there all the same, behind a folder that this user may not enter. What is
      // written reaches the open file, whatever its name.
      return ["EACCES", "EPERM"].includes(errorCode(error) ?? "") ? undefined : "gone";
    }
    if (there === undefined) return "gone";
    if (there.ino !== this.#own.ino || there.dev !== this.#own.dev) return "replaced";
    if (there.size !== this.#mark.offset) return "resized";
    return this.#isEdited(there.ctimeMs) ? "edited" : undefined;
  }

  /**
   * Whether somebody changed lines in place, as an editor does, and kept the length. The file is
   * read only if it was touched since the last look or write, and not by this process. Where that
   * is not known, only its end is looked at.
   */
  #isEdited(ctimeMs: number): boolean {
    const { offset, crc } = this.#mark;
    const before = this.#unedited;
    this.#unedited = { offset, ctimeMs };
    if (before?.offset !== offset) return !this.#endIsOwn();
    if (before.ctimeMs === ctimeMs) return false;
    try {
      const reading = readLedger<E>(this.path, { each: () => undefined });
      return reading.end !== "whole" || reading.mark.crc !== crc;
    } catch {
      return true;
    }
  }

  /**
   * Puts the file back where somebody moved, removed or replaced it: this process still has it
   * open, whole. Where somebody changed what is in it, a new one begins with what is known, if
   * that can be said in a few lines.
   *
   * @throws PathFault, LedgerBlocked, LedgerOverwritten, LedgerFailed; a Node error
   */
  async #keepName(found: Trouble | undefined): Promise<void> {
    for (let trouble = found; trouble !== undefined; trouble = this.#trouble()) {
      const { offset } = this.#mark;
      const { size } = fstatSync(this.#fd);
      const whole = trouble !== "edited" && size >= offset && this.#endIsOwn();
      if (trouble === "resized" && whole) {
        await this.#cutOff(offset, size - offset);
        continue;
      }
      const { rebuild } = this.#options;
      if (!whole && rebuild === undefined) throw new LedgerOverwritten(this.path, size, offset);
      const keepAs = regularFile(this.path) === undefined ? undefined : freeDamagedName(this.path);
      const again = whole
        ? { bytes: bytesBetween(this.#fd, 0, offset), mark: this.#mark, lines: [] }
        : framed<E>(this.path, rebuild!(), iso(this.#options.clock.now()));
      const { bytes, mark, lines } = again;
      const locked = this.#options.locked === true;
      let fd: number;
      try {
        fd = await createLedger(this.path, { bytes, locked, keepAs }, this.#options);
      } catch (error) {
        if (error instanceof LedgerExists) continue;
        throw error;
      }
      const old = this.#fd;
      this.#fd = fd;
      this.#own = undefined;
      this.#unedited = undefined;
      this.#mark = mark;
      await this.#disk.close(old);
      if (lines.length > 0) this.#options.onDurable?.(lines);
      this.#options.onRestored?.(restoredText(trouble, whole, keepAs));
      // On a file system that gives a file another number each time, nothing can be told.
      this.#trustsInodes = this.#trouble() === undefined;
      return;
    }
  }

  async #cutOff(offset: number, bytes: number): Promise<void> {
    await this.#disk.ftruncate(this.#fd, offset);
    this.#unedited = undefined;
    try {
      await this.#disk.fsync(this.#fd);
    } catch (error) {
      throw this.#fail("Syncing", error);
    }
    this.#options.onRestored?.(
      `another program appended ${countText(bytes, "byte")} to the ledger, which was cut back`,
    );
  }

  /** Whether the last line of the open file is the one that this process wrote. */
  #endIsOwn(): boolean {
    const { offset, crc } = this.#mark;
    const end = `"crc":"${crc.toString(16).padStart(8, "0")}"}\n`;
    const from = Math.max(0, offset - end.length);
    return bytesBetween(this.#fd, from, offset).toString("latin1") === end;
  }

  async #cutBack(length: number): Promise<void> {
    try {
      await this.#disk.ftruncate(this.#fd, length);
    } catch (error) {
      throw this.#fail("Cutting back", error);
    }
  }

  async #pause(): Promise<void> {
    if (this.#closing) return;
    await new Promise<void>((wake) => {
      this.#hold = { timer: this.#options.clock.after(RETRY_MS, wake), wake };
    });
    this.#hold?.timer.cancel();
    this.#hold = undefined;
  }

  /** A bad path is no failure of the disk: the process goes on. */
  #unlessBlocked(what: string, error: unknown): LedgerFailed | LedgerBlocked {
    return isPathFault(error) ? asBlocked(this.path, error) : this.#fail(what, error);
  }

  #fail(what: string, error: unknown): LedgerFailed {
    const failed = fatal(this.#options, new LedgerFailed(this.path, what, error));
    this.#failed = failed;
    return failed;
  }
}

function asBlocked(path: string, error: unknown): LedgerBlocked {
  return error instanceof LedgerBlocked ? error : new LedgerBlocked(path, error);
}

/** @throws LedgerFailed, after `onFatal` */
function lockLedger(fd: number, path: string, host: LedgerHost): void {
  if (tryLock(fd)) return;
  const held = "another process has it open to write it; find it with `fuser` and end it";
  throw fatal(host, new LedgerFailed(path, "Opening", new Error(held)));
}

function checkWhole<E extends { readonly type: string }>(
  path: string,
  reading: LedgerReading<E>,
  finishedElsewhere: boolean,
): void {
  if (reading.end === "damaged")
    throw new LedgerDamaged(path, reading.fault!.line, reading.fault!.fault);
  if (reading.mark.seq === 0)
    throw new LedgerDamaged(path, 1, reading.size === 0 ? "it is empty" : "it has no whole header");
  if (!finishedElsewhere) return;
  if (reading.end === "torn")
    throw new LedgerDamaged(
      path,
      reading.fault!.line,
      `${reading.fault!.fault}, and the run had finished`,
    );
  if (reading.lines.at(-1)?.type !== "run.finished")
    throw new LedgerDamaged(
      path,
      reading.mark.seq + 1,
      "lines are missing at the end: the run had finished",
    );
}

function bytesBetween(fd: number, from: number, to: number): Buffer {
  const bytes = readBytes(fd, from, to - from);
  if (bytes.length < to - from) throw new Error("a ledger became shorter while it was read");
  return bytes;
}

/** The whole content of a ledger that begins with these events. */
function framed<E extends { readonly type: string }>(
  path: string,
  first: readonly E[],
  at: string,
  shorten?: (event: E) => E,
): Frame<E> {
  const { events, bodies } = bodiesOf(path, first, shorten);
  return frame<E>(LEDGER_START, [{ events, bodies, at }]);
}

function restoredText(trouble: Trouble, whole: boolean, keptAs: string | undefined): string {
  const kept = keptAs === undefined ? "" : `; what was there is kept as ${keptAs}`;
  if (!whole)
    return `another program changed the ledger; a new one begins with what is known${kept}`;
  return trouble === "gone"
    ? "the ledger was removed or moved away; it was written again, whole"
    : `another file took the ledger's place; the ledger was written again, whole${kept}`;
}
