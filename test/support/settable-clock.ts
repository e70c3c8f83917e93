/** A daemon whose wall clock a test can set, by libfaketime. Monotonic time goes on as it is. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startDaemon, type Daemon } from "./daemon.ts";
import { fakeTimeLibrary } from "./fake-time.ts";
import type { TempRoot } from "./temp-root.ts";

/** A daemon, and what sets its clock: `set("+6h")` is six hours ahead of the real time. */
export interface ClockedDaemon {
  readonly daemon: Daemon;
  readonly set: (offset: string) => void;
}

/**
 * Starts a daemon. Only where {@link fakeTimeLibrary} is installed.
 *
 * @param at the clock's first offset from the real time
 * @param ready `false` for a daemon that does not become ready at that time
 */
export async function startWithClock(
  root: TempRoot,
  at = "+0",
  ready = true,
): Promise<ClockedDaemon> {
  const file = join(root.root, "clock");
  const set = (offset: string): void => writeFileSync(file, `${offset}\n`);
  set(at);
  const env = {
    LD_PRELOAD: fakeTimeLibrary!,
    FAKETIME_TIMESTAMP_FILE: file,
    DONT_FAKE_MONOTONIC: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    FAKETIME_NO_CACHE: "1",
  };
  return { daemon: await startDaemon({ root: root.root, env, ready }), set };
}
