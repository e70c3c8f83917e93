/** Waiting for room on the disk, for whatever has to be written. */
import type { Clock } from "../clock.ts";
import { isExhausted } from "./disk-error.ts";

/** Who waits: whose clock is used, and who is told that the disk is full. */
export interface RoomHost {
  readonly clock: Clock;
  /** The disk is full, or no longer. */
  readonly onHeld?: ((held: boolean, error?: unknown) => void) | undefined;
}

/** How long to wait before what there was no room for is tried again, in milliseconds. */
export const RETRY_MS = 1_000;

/** Does something until there is room for it. @throws whatever else goes wrong */
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
