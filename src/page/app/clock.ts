/** The time of day for what counts on the page: it moves once a second, and only while seen. */
import { signal } from "@preact/signals";

/** Milliseconds since 1970, of the last whole step. */
export const now = signal(Date.now());

window.setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1_000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) now.value = Date.now();
});
