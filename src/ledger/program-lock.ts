/**
 * Who runs a program beside the daemon (`orchd notify`, `orchd export otlp`): one process at a
 * time.
 *
 * The kernel decides, by a lock on a file of the program's in `.orchd/`, as it does for the daemon
 * (lock.ts). The file also says who holds it, so that a reader can ask without taking the lock. If
 * somebody removes the file, a second process gets the lock of the new one: a holder looks at
 * `stillHeld` before it writes.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { tryLock, unlock } from "fs-native-extensions";
import type { Clock } from "../clock.ts";
import { iso } from "../core/time.ts";
import { bootId, startTimeOf } from "./daemon-info.ts";
import { isFileAt } from "./lock-file.ts";
import { readProgramHolder, type ProgramHolder } from "./program-holder.ts";

const MODE = 0o640;
/** The file can be replaced between opening it and locking it. */
const ATTEMPTS = 20;

/** The lock while it is held. */
export interface ProgramLock {
  /** Whether the file is still this holder's. */
  stillHeld(): boolean;
  release(): void;
}

/** The lock, or who holds it, in words that can follow `by`. */
export type TakenProgramLock =
  | { readonly ok: true; readonly lock: ProgramLock }
  | { readonly ok: false; readonly holder: string };

/** Takes the lock. @throws a Node error where its file cannot be written */
export function takeProgramLock(
  path: string,
  { clock, version }: { readonly clock: Clock; readonly version: string },
): TakenProgramLock {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const fd = openSync(path, "a+", MODE);
    if (!tryLock(fd)) {
      closeSync(fd);
      return { ok: false, holder: holderText(path) };
    }
    if (isFileAt(fd, path) !== false) {
      const { pid } = process;
      const holder: ProgramHolder = {
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
  return { ok: false, holder: `something that replaces ${path} again and again` };
}

function heldLock(fd: number, path: string): ProgramLock {
  return {
    stillHeld: () => isFileAt(fd, path) !== false,
    release() {
      // Before the kernel lock is freed: a reader must not take the next holder for this one.
      ftruncateSync(fd);
      unlock(fd);
      closeSync(fd);
    },
  };
}

function holderText(path: string): string {
  const holder = readProgramHolder(path);
  return holder === null ? "another process" : `process ${holder.pid}, since ${holder.since}`;
}
