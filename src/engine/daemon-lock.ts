import type { Clock } from "../clock.ts";
import { DaemonLockHeld, waitForDaemonLock, type DaemonLock } from "../ledger/lock.ts";
import { OwnNameTaken } from "../ledger/own-names.ts";
import type { Log } from "../log.ts";
import { VERSION } from "../version.ts";

/**
 * Takes the lock for a daemon. A run in the foreground, a program, or a command that writes, is
 * waited for and logged; beside another daemon there is no lock.
 *
 * @returns the lock, or why this daemon cannot have it, in a sentence
 */
export async function takeDaemonLock(
  orchdDir: string,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<
  { readonly ok: true; readonly lock: DaemonLock } | { readonly ok: false; readonly reason: string }
> {
  try {
    const lock = await waitForDaemonLock(orchdDir, {
      clock,
      role: "daemon",
      version: VERSION,
      onMoved: (sentence) => log.warn({}, sentence),
      onWaiting: (holder) => {
        const whom =
          holder?.role === "foreground"
            ? `a run in the foreground (${holder.run ?? "not yet begun"})`
            : holder?.role === "program"
              ? "a program that opened the root"
              : "another process";
        log.info({ holder: holder?.pid }, `waiting for ${whom} to end`);
      },
    });
    return { ok: true, lock };
  } catch (error) {
    if (!(error instanceof DaemonLockHeld || error instanceof OwnNameTaken)) throw error;
    return { ok: false, reason: error.message };
  }
}
