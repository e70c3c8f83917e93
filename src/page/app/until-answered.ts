/** Asks for what nobody else asks for again, until there is an answer. */

const FIRST_AGAIN_MS = 1_000;
const LAST_AGAIN_MS = 15_000;

/**
 * The first answer. The next question comes a second after one without, then after twice as long
 * each time, up to 15 s. A tab that is hidden asks for nothing again.
 *
 * @param ask gives undefined where there is no answer now
 * @returns undefined where the signal ended it
 */
export async function untilAnswered<T>(
  ask: () => Promise<T | undefined>,
  signal: AbortSignal,
): Promise<T | undefined> {
  for (let again = FIRST_AGAIN_MS, tries = 0; !signal.aborted; tries += 1) {
    const answer = tries > 0 && document.hidden ? undefined : await ask();
    if (signal.aborted) return undefined;
    if (answer !== undefined) return answer;
    await pause(again, signal);
    again = Math.min(LAST_AGAIN_MS, again * 2);
  }
  return undefined;
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = window.setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      window.clearTimeout(timer);
      resolve();
    });
  });
}
