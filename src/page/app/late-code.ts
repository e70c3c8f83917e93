/**
 * Code that is loaded when it is needed. A browser drops what it loads where the network changes or
 * the server starts again, and asks for none of it a second time: this asks until it comes.
 */
import { messageOf } from "../../core/thrown.ts";

/** When it is asked for again, in milliseconds; at last again and again after the same time. */
const AGAIN_MS = [500, 1_000, 2_000, 4_000, 8_000] as const;
const LATER_MS = 15_000;
/** After so many tries it is told that it is missing. */
const TOLD_AFTER = 4;

/**
 * Loads code.
 *
 * @param load imports it, anew each time
 * @param came is called with it, once
 * @param missing is called once where it has not come after some seconds; it is still asked for
 * @returns ends the asking
 */
export function loadLate<T>(
  load: () => Promise<T>,
  came: (code: T) => void,
  missing: () => void = () => {},
): () => void {
  const own: { timer?: number; ended: boolean } = { ended: false };
  const ask = (tries: number): void => {
    // A hidden tab asks nothing. What it was opened with is asked for once.
    if (tries > 0 && document.hidden) return later(tries, LATER_MS);
    load().then(
      (code) => {
        if (!own.ended) came(code);
      },
      (error: unknown) => {
        if (own.ended) return;
        console.warn(messageOf(error));
        if (tries + 1 === TOLD_AFTER) missing();
        later(tries + 1, AGAIN_MS[tries] ?? LATER_MS);
      },
    );
  };
  const later = (tries: number, ms: number): void => {
    own.timer = window.setTimeout(ask, ms, tries);
  };
  ask(0);
  return () => {
    own.ended = true;
    window.clearTimeout(own.timer);
  };
}
