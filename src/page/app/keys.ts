/**
 * Keys: one letter each, and only while nothing is typed and no dialog is open. A page names its
 * own; the frame has `/` and `?`.
 */
import { useLayoutEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";

/** What a key does. */
export interface Key {
  /** As KeyboardEvent.key has it: `j`, `Enter`, `?`. */
  readonly key: string;
  /** What it does, for the list of keys: "the next row". */
  readonly does: string;
  readonly run: () => void;
}

/** The keys that work now, the newest page's last. */
export const keys = signal<readonly (readonly Key[])[]>([]);

/** Gives the page keys while it is shown. */
export function useKeys(given: readonly Key[]): void {
  const now = useRef(given);
  now.current = given;
  const names = given.map(({ key }) => key).join(" ");
  // Not after the browser has shown it: what is pressed in between would be lost.
  useLayoutEffect(() => {
    // The list is made once, and each key does what it does at the latest drawing.
    const mine = now.current.map(({ key, does }) => ({
      key,
      does,
      run: () => now.current.find((one) => one.key === key)?.run(),
    }));
    keys.value = [...keys.value, mine];
    return () => {
      keys.value = keys.value.filter((one) => one !== mine);
    };
  }, [names]);
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target instanceof Element ? event.target : undefined;
  if (target?.closest("input, textarea, select, [contenteditable], dialog") !== null && target)
    return;
  // Enter on a link or a button is theirs.
  if (event.key === "Enter" && target?.closest("a, button, summary")) return;
  for (const set of keys.value.toReversed()) {
    const found = set.find(({ key }) => key === event.key);
    if (found === undefined) continue;
    event.preventDefault();
    return found.run();
  }
});
