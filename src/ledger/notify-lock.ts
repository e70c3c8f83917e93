/**
 * Who runs `orchd notify`: one process at a time.
 *
 * The kernel decides, by a lock on `.orchd/notify.lock`, as it does for the daemon (lock.ts). The
 * file also says who holds it, so that a reader can ask without taking the lock. If somebody
 * removes the file, a second process gets the lock of the new one, and then meets the lock of the
 * ledger that the first has open.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, statSync, writeSync } from "node:fs";
import { tryLock, unlock } from "fs-native-extensions";
import type { Clock } from "../clock.ts";
import { iso } from "../core/time.ts";
import { bootId, startTimeOf } from "./daemon-info.ts";
import { notifyLockPath, readNotifyHolder, type NotifyHolder } from "./notify-holder.ts";
import type { RunStore } from "./run-store.ts";

const MODE = 0o640;
/** The file can be replaced between opening it and locking it. */
const ATTEMPTS = 20;

/** The lock while it is held. */
export interface NotifyLock {
  /** Whether the file is still this holder's. */
  stillHeld(): boolean;
  release(): void;
}

/** The lock, or a sentence why it cannot be had. */
export type TakenNotifyLock =
  | { readonly ok: true; readonly lock: NotifyLock }
  | { readonly ok: false; readonly because: string };

/** Takes the lock. @throws a Node error where its file cannot be written */
export function takeNotifyLock(
  store: RunStore,
  { clock, version }: { readonly clock: Clock; readonly version: string },
): TakenNotifyLock {
  const path = notifyLockPath(store);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const fd = openSync(path, "a+", MODE);
    if (!tryLock(fd)) {
      closeSync(fd);
      return { ok: false, because: heldText(store) };
    }
    if (isFileAt(fd, path)) {
      const { pid } = process;
      const holder: NotifyHolder = {
        pid,
        startTime: startTimeOf(pid),
        bootId: bootId(),
        since: iso(clock.now()),
        version,
      };
      ftruncateSync(fd);
      writeSync(fd, `${JSON.stringify(holder)}\n`);
      return { ok: true, lock: heldLock(fd, path) };
    }
    closeSync(fd);
  }
  const because = `${path} is replaced again and again; find out what replaces it.`;
  return { ok: false, because };
}

function heldLock(fd: number, path: string): NotifyLock {
  return {
    stillHeld: () => isFileAt(fd, path),
    release() {
      // Before the kernel lock is freed: a reader must not take the next holder for this one.
      ftruncateSync(fd);
      unlock(fd);
      closeSync(fd);
    },
  };
}

function heldText(store: RunStore): string {
  const holder = readNotifyHolder(store);
  const who = holder === null ? "another process" : `process ${holder.pid}, since ${holder.since}`;
  return (
    `orchd notify runs already for ${store.runsDir}: ${who}. Stop it first. Where orchd.yaml has ` +
    "`notify`, the daemon runs it."
  );
}

function isFileAt(fd: number, path: string): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const own = fstatSync(fd);
  return there !== undefined && there.ino === own.ino && there.dev === own.dev;
}
