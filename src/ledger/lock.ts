/**
 * Who may write: one process at a time (semantics.md 24 and 30).
 *
 * The kernel decides, by an open-file-description lock on `daemon.lock`. It is freed within
 * milliseconds of the holder's death, it is kept while the holder is stopped, and it does not
 * depend on clocks. But if somebody removes the file and it is made again, the kernel gives a
 * second process a lock on the new file.
 *
 * Two things prevent that. A newcomer claims the next `epoch/N`, which only one process can create,
 * and refuses while the process that the newest epoch names is alive. And the holder checks every
 * second whether `daemon.lock` is still its own file, and ends if it is not. If only its epoch file
 * was removed, it writes that again. If both files are removed while the holder is stopped, the
 * ledgers that it has open are still locked (ledger-file.ts): a newcomer ends at the first of them.
 *
 * Rejected: a pid file alone (pids are used again); proper-lockfile alone (measured: a stale
 * takeover gave one lock to two holders, and a clock 11 s ahead stole a live one); the epoch alone
 * (a dead holder is found only by looking).
 */
import { closeSync, linkSync, openSync, readdirSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tryLock, unlock } from "fs-native-extensions";
import { untilLook, type Clock, type Timer } from "../clock.ts";
import { defined } from "../core/defined.ts";
import { iso } from "../core/time.ts";
import { writeFileAtomically } from "../disk/atomic-file.ts";
import { ensureDirectory, syncDirectory } from "../disk/directories.ts";
import { errorCode, isExhausted } from "../disk/disk-error.ts";
import { isPathFault } from "../disk/path-fault.ts";
import { removeFile } from "../disk/remove-file.ts";
import { systemDisk } from "../disk/disk.ts";
import {
  bootId,
  epochDir,
  isAlive,
  newestEpoch,
  readEpoch,
  readHolder,
  startTimeOf,
  type Holder,
  type HolderRole,
} from "./daemon-info.ts";
import { isFileAt } from "./lock-file.ts";
import { checkOwnNames, clearOwnNames } from "./own-names.ts";
import { removeStaleFolderLock } from "./stale-folder-lock.ts";

const CHECK_MS = 1_000;
const MODE = 0o640;
/**
 * The lock file can be replaced between opening it and locking it. Nobody does so this often in a
 * row.
 */
const ATTEMPTS = 20;
const WAIT_MS = 250;

/** Another process holds the lock, and is alive. */
export class DaemonLockHeld extends Error {
  override readonly name = "DaemonLockHeld";
  /** Who holds it; null if that is not known (yet). */
  readonly holder: Holder | null;
  /** @param isCopied the kernel gave the lock, so the folder may be a copy of one that is in use */
  constructor(orchdDir: string, holder: Holder | null, isCopied = false) {
    super(
      `${orchdDir} is held by ${holderText(holder)}. Stop it first, or use another runs folder.` +
        (isCopied
          ? ` If this folder is a copy of the one that it has, remove ${epochDir(orchdDir)} here.`
          : ""),
    );
    this.holder = holder;
  }
}

function holderText(holder: Holder | null): string {
  if (holder === null) return "another process";
  const what = {
    daemon: "a daemon",
    foreground: `a run in the foreground (${holder.run ?? "not yet begun"})`,
    program: "a program that opened the root",
    command: "a command that writes",
  }[holder.role];
  return `${what}, process ${holder.pid}, since ${holder.since}`;
}

/** Who takes the lock. Other processes can read all of it but the clock. */
export interface LockOptions {
  readonly clock: Clock;
  /** Default: `daemon`. */
  readonly role?: HolderRole;
  readonly version?: string;
  /** The time-zone data's version; default: this process's. */
  readonly tz?: string;
  /** The run of a foreground holder. */
  readonly run?: string;
  /** Told of each thing that had a name of orchd's own and was moved out of the way: a sentence. */
  readonly onMoved?: (sentence: string) => void;
}

/** The lock while it is held. */
export interface DaemonLock {
  /** The number of this holder, counted from 1; greater than every earlier one. */
  readonly epoch: number;
  /**
   * Calls back once if the lock file is no longer this holder's. The holder must then end at once,
   * and write nothing more.
   */
  onLost(callback: () => void): void;
  /** Checks now whether the lock is still held. */
  stillHeld(): boolean;
  /**
   * Records that the daemon has recovered and knows its pipelines: `orchd status` then shows it.
   */
  setReady(): Promise<void>;
  /** Records which unfinished runs a program drives: who asks for one of them gets an answer. */
  setRuns(runs: readonly string[]): Promise<void>;
  /** Gives the lock back. @throws a Node error where the disk fails: it is free all the same */
  release(): Promise<void>;
}

/**
 * Takes the lock.
 *
 * @throws DaemonLockHeld if a living process has it; OwnNameTaken if another thing has a name that
 *   is orchd's; a Node error if the folder cannot be written
 */
export async function acquireDaemonLock(
  orchdDir: string,
  options: LockOptions,
): Promise<DaemonLock> {
  checkOwnNames(orchdDir);
  await ensureDirectory(systemDisk, epochDir(orchdDir));
  const path = join(orchdDir, "daemon.lock");
  const fd = lockFile(orchdDir, path);
  try {
    const holder = await claimEpoch(orchdDir, options);
    removeStaleFolderLock(orchdDir);
    for (const sentence of clearOwnNames(orchdDir)) options.onMoved?.(sentence);
    return new HeldLock(orchdDir, path, fd, holder, options.clock);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Takes the lock. Waits while a run in the foreground, a program or a command has it, and does not
 * wait for a daemon.
 *
 * @param onWaiting called once, with the holder that it waits for
 * @throws DaemonLockHeld if a daemon has it, or once `signal` is aborted
 */
export async function waitForDaemonLock(
  orchdDir: string,
  options: LockOptions & {
    readonly onWaiting?: (holder: Holder | null) => void;
    readonly signal?: AbortSignal;
  },
): Promise<DaemonLock> {
  for (let waiting = false; ; waiting = true) {
    try {
      return await acquireDaemonLock(orchdDir, options);
    } catch (error) {
      if (
        !(error instanceof DaemonLockHeld) ||
        error.holder?.role === "daemon" ||
        options.signal?.aborted === true
      )
        throw error;
      if (!waiting) options.onWaiting?.(error.holder);
      await new Promise<void>((resolve) => void options.clock.after(WAIT_MS, resolve));
    }
  }
}

/** Opens and locks the lock file, and makes sure that the locked file still has that name. */
function lockFile(orchdDir: string, path: string): number {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const fd = openSync(path, "a+", MODE);
    if (!tryLock(fd)) {
      closeSync(fd);
      throw new DaemonLockHeld(orchdDir, readHolder(orchdDir));
    }
    if (isFileAt(fd, path) !== false) return fd;
    closeSync(fd);
  }
  throw new Error(
    `${path} is replaced again and again while orchd tries to lock it; find out what replaces it.`,
  );
}

/**
 * Makes the next epoch this process's own. Its file is whole from the start, and is created
 * exclusively: of two processes that try, one fails.
 */
async function claimEpoch(orchdDir: string, options: LockOptions): Promise<Holder> {
  const epochs = epochDir(orchdDir);
  const newest = newestEpoch(orchdDir);
  const before = newest === 0 ? null : readEpoch(orchdDir, newest);
  if (before !== null && isAlive(before)) throw new DaemonLockHeld(orchdDir, before, true);
  const holder: Holder = defined({
    epoch: newest + 1,
    pid: process.pid,
    startTime: startTimeOf(process.pid),
    bootId: bootId(),
    role: options.role ?? "daemon",
    since: iso(options.clock.now()),
    version: options.version ?? "",
    tz: options.tz ?? process.versions["tz"] ?? "",
    ready: false,
    run: options.run,
  });
  const aside = join(epochs, `.${holder.epoch}.${process.pid}`);
  writeFileSync(aside, holderLine(holder), { mode: 0o644, flush: true });
  try {
    linkSync(aside, join(epochs, String(holder.epoch)));
  } catch (error) {
    if (errorCode(error) === "EEXIST") throw new DaemonLockHeld(orchdDir, readHolder(orchdDir));
    throw error;
  } finally {
    unlinkSync(aside);
  }
  await syncDirectory(systemDisk, epochs);
  for (const name of readdirSync(epochs)) {
    if (Number(name) < newest || (name.startsWith(".") && !name.endsWith(`.${process.pid}`)))
      removeFile(join(epochs, name));
  }
  return holder;
}

function holderLine(holder: Holder): string {
  return `${JSON.stringify(holder)}\n`;
}

class HeldLock implements DaemonLock {
  readonly epoch: number;
  readonly #orchdDir: string;
  readonly #path: string;
  readonly #clock: Clock;
  #fd: number | undefined;
  #holder: Holder;
  #timer: Timer | undefined;
  #lost = false;
  #recorded: Promise<void> = Promise.resolve();
  readonly #callbacks: (() => void)[] = [];

  constructor(orchdDir: string, path: string, fd: number, holder: Holder, clock: Clock) {
    this.epoch = holder.epoch;
    this.#orchdDir = orchdDir;
    this.#path = path;
    this.#fd = fd;
    this.#holder = holder;
    this.#clock = clock;
    this.#watch();
  }

  onLost(callback: () => void): void {
    this.#callbacks.push(callback);
    if (this.#lost) callback();
  }

  stillHeld(): boolean {
    if (this.#fd === undefined || this.#lost) return false;
    return this.#isHeldAt(this.#fd, this.#newestEpoch());
  }

  /** @param newest the newest epoch; undefined: not known */
  #isHeldAt(fd: number, newest: number | undefined): boolean {
    const isOwn = isFileAt(fd, this.#path) !== false;
    if (isOwn && (newest ?? 0) <= this.epoch) return true;
    this.#lost = true;
    for (const callback of this.#callbacks) callback();
    return false;
  }

  async setReady(): Promise<void> {
    this.#holder = { ...this.#holder, ready: true };
    await this.#record();
  }

  async setRuns(runs: readonly string[]): Promise<void> {
    this.#holder = { ...this.#holder, runs };
    await this.#record();
  }

  async release(): Promise<void> {
    if (this.#fd === undefined) return;
    this.#timer?.cancel();
    const fd = this.#fd;
    const own = this.stillHeld();
    this.#fd = undefined;
    this.#holder = { ...this.#holder, ready: false, released: true };
    // Before the kernel lock is freed: the next holder must find that this one is gone. Where there
    // is no room for the word, or no path, it finds what a crash leaves.
    try {
      if (own) await this.#record();
    } catch (error) {
      if (!isExhausted(error) && !isPathFault(error)) throw error;
    } finally {
      unlock(fd);
      closeSync(fd);
    }
  }

  /** One write at a time, so that the last one stands. */
  #record(): Promise<void> {
    const write = (): Promise<void> =>
      writeFileAtomically(
        join(epochDir(this.#orchdDir), String(this.epoch)),
        holderLine(this.#holder),
        { mode: 0o644 },
      );
    this.#recorded = this.#recorded.catch(() => undefined).then(write);
    return this.#recorded;
  }

  #watch(): void {
    this.#timer = this.#clock.after(untilLook(this.#clock, CHECK_MS), () => {
      if (this.#fd === undefined || this.#lost) return;
      const newest = this.#newestEpoch();
      if (!this.#isHeldAt(this.#fd, newest)) return;
      // Somebody removed the epoch file. `orchd status` would see no daemon, and if the lock file
      // goes too, a newcomer would see no holder.
      if ((newest ?? this.epoch) < this.epoch) this.#record().catch(() => undefined);
      this.#watch();
    });
  }

  /**
   * Undefined if the folder cannot be read now, for example because no descriptor is left. Then the
   * lock file decides alone: checking it needs no descriptor.
   */
  #newestEpoch(): number | undefined {
    try {
      return newestEpoch(this.#orchdDir);
    } catch {
      return undefined;
    }
  }
}
