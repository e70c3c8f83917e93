/**
 * Waiting, for commands that follow something: files are looked at a few times a second, since
 * watchers lose events.
 */

/** Milliseconds between two looks. */
export const LOOK_MS = 100;

/** Waits so many milliseconds. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
