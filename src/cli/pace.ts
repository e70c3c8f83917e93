/**
 * Waiting, for commands that follow something. They look at files a few times a second, because
 * watchers lose events.
 */

/** Milliseconds between two looks. */
export const LOOK_MS = 100;

/** Waits. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
