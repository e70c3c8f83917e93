import { chmodSync, statSync } from "node:fs";
import { errorCode } from "../disk/disk-error.ts";
import { makeFolder } from "../disk/make-folder.ts";
import type { Log } from "../log.ts";

/**
 * Of a folder that is made: its group may leave requests, whatever the umask. What is left gets the
 * folder's group, so that the daemon may read it. And nobody may remove or rename the request of
 * another (the sticky bit).
 */
const MODE = 0o3770;
const STICKY = 0o1000;
const OTHERS_WRITE = 0o022;

/**
 * Makes the folder for requests where it is missing. An existing one that others may write gets the
 * sticky bit: roots of older releases lack it. The rest of its mode is left to the administrator.
 */
export function makeRequestsFolder(path: string, log: Log): void {
  if (makeFolder(path)) {
    setMode(path, MODE, log);
    return;
  }
  const { mode, uid } = statSync(path);
  const self = process.geteuid?.() ?? uid;
  if (self !== 0 && uid !== self)
    log.error(
      { path, owner: uid },
      `the folder for requests belongs to user ${uid}, not to this daemon's (${self}): ` +
        "who may remove requests there is not the daemon's to say, and it may not be able to " +
        `itself; run chown ${self} ${path}`,
    );
  else if ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0)
    setMode(path, (mode & 0o7777) | STICKY, log);
}

function setMode(path: string, mode: number, log: Log): void {
  try {
    chmodSync(path, mode);
  } catch (error) {
    // Under systemd's RestrictSUIDSGID no mode with the set-group-ID bit can be set.
    const sticky = `run chmod +t ${path} as its owner`;
    log.warn(
      { path, code: errorCode(error) },
      `who may leave requests may also remove those of others: ${sticky}`,
    );
  }
}
