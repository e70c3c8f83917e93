/**
 * The time of day for what counts on the page: it moves once a second, and only while seen. It is
 * the server's time, as far as its answers tell: a browser's clock may be minutes off.
 */
import { signal } from "@preact/signals";

/** A smaller difference is the time that an answer takes. */
const SKEW_MS = 2_000;

/** The server's clock before the browser's, in milliseconds. */
let skew = 0;

/** Milliseconds since 1970, of the last whole step. */
export const now = signal(Date.now());

/** The server's time at this moment, in milliseconds since 1970. */
export function serverNow(): number {
  return Date.now() + skew;
}

function tick(): void {
  if (!document.hidden) now.value = serverNow();
}

/** Takes the time at which the server answered. @param at ISO 8601 */
export function setServerTime(at: string): void {
  const difference = Date.parse(at) - Date.now();
  if (Math.abs(difference - skew) < SKEW_MS) return;
  skew = difference;
  tick();
}

window.setInterval(tick, 1_000);
document.addEventListener("visibilitychange", tick);
