/** Waiting for room on the disk, for everything that has to be written. */
import type { Clock } from "../clock.ts";
import { isExhausted } from "./disk-error.ts";

/** What waiting for room needs: a clock, and what to call when the disk is full. */
export interface RoomHost {
  readonly clock: Clock;
  /** Called with true when the disk is full, and with false when it no longer is. */
  readonly onHeld?: ((held: boolean, error?: unknown) => void) | undefined;
}

/** How long to wait before a write that found no room is tried again, in milliseconds. */
export const RETRY_MS = 1_000;

/**
 * Tries `act` until there is room for it, and gives its result.
 *
 * @param waits whether to wait after this error; default: {@link isExhausted}
 * @throws every other error
 */
export async function untilRoom<T>(
  host: RoomHost,
  act: () => Promise<T>,
  waits: (error: unknown) => boolean = isExhausted,
): Promise<T> {
  for (let held = false; ; held = true) {
    try {
      const result = await act();
      if (held) host.onHeld?.(false);
      return result;
    } catch (error) {
      if (!waits(error)) throw error;
      if (!held) host.onHeld?.(true, error);
      await new Promise<void>((resolve) => void host.clock.after(RETRY_MS, resolve));
    }
  }
}
