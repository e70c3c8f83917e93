/** Who runs `orchd notify`: one process at a time (program-lock.ts). */
import type { Clock } from "../clock.ts";
import { notifyLockPath } from "./notify-holder.ts";
import { takeProgramLock, type ProgramLock } from "./program-lock.ts";
import type { RunStore } from "./run-store.ts";

/** The lock while it is held. */
export type NotifyLock = ProgramLock;

/** The lock, or a sentence why it cannot be had. */
export type TakenNotifyLock =
  | { readonly ok: true; readonly lock: NotifyLock }
  | { readonly ok: false; readonly because: string };

/** Takes the lock. @throws a Node error where its file cannot be written */
export function takeNotifyLock(
  store: RunStore,
  needs: { readonly clock: Clock; readonly version: string },
): TakenNotifyLock {
  const taken = takeProgramLock(notifyLockPath(store), needs);
  if (taken.ok) return taken;
  const because =
    `orchd notify runs already for ${store.runsDir}: ${taken.holder}. Stop it first. Where ` +
    "orchd.yaml has `notify`, the daemon runs it.";
  return { ok: false, because };
}
