/**
 * Rows that stay where they are while somebody is at them: while the pointer is on the table, or
 * the focus in it, rows keep their order, and what they show is still updated. New rows go to the
 * end, rows that are gone stay as they were last. The new order comes with the leave.
 */
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** What somebody is at. */
export interface Hold {
  readonly isHeld: boolean;
}

/** Whether the pointer or the focus is within an element. */
export function useHold(box: RefObject<HTMLElement | null>): Hold {
  const [isHeld, setHeld] = useState(false);
  const heard = useRef<{ readonly element: HTMLElement | null; readonly end: () => void }>(null);
  // After each drawing: an element that is gone tells of no leave.
  useEffect(() => {
    const element = box.current;
    if (heard.current?.element === element) return;
    heard.current?.end();
    setHeld(false);
    heard.current = { element, end: element === null ? () => {} : hear(element, setHeld) };
  });
  useEffect(() => () => heard.current?.end(), []);
  return { isHeld };
}

/** Tells whether somebody is at an element, until the returned function is called. */
function hear(element: HTMLElement, tell: (isHeld: boolean) => void): () => void {
  let [hasPointer, hasFocus] = [false, false];
  const handlers: readonly (readonly [string, () => void])[] = [
    ["pointerenter", () => (hasPointer = true)],
    ["pointerleave", () => (hasPointer = false)],
    ["focusin", () => (hasFocus = true)],
    ["focusout", () => (hasFocus = false)],
  ].map(([name, set]) => [
    name as string,
    () => {
      (set as () => void)();
      tell(hasPointer || hasFocus);
    },
  ]);
  for (const [name, handler] of handlers) element.addEventListener(name, handler);
  return () => {
    for (const [name, handler] of handlers) element.removeEventListener(name, handler);
  };
}

/**
 * The rows in the order to show them.
 *
 * @param reason the filter: rows of another filter are put in order at once
 */
export function useSteady<T>(
  rows: readonly T[],
  keyOf: (row: T) => string,
  { isHeld }: Hold,
  reason: string,
): readonly T[] {
  const shown = useRef<{ rows: readonly T[]; reason: string }>({ rows, reason });
  const before = shown.current;
  const next = isHeld && before.reason === reason ? inOrderOf(before.rows, rows, keyOf) : rows;
  shown.current = { rows: next, reason };
  return next;
}

/** The fresh rows in the order of the rows before. */
export function inOrderOf<T>(
  before: readonly T[],
  fresh: readonly T[],
  keyOf: (row: T) => string,
): readonly T[] {
  const byKey = new Map(fresh.map((row) => [keyOf(row), row]));
  const kept = before.map((row) => {
    const key = keyOf(row);
    const found = byKey.get(key) ?? row;
    byKey.delete(key);
    return found;
  });
  return [...kept, ...byKey.values()];
}
