/** Holds a value back while somebody points at, or is within, what it would move. */
import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

/** The newest value; the one before it while the element has the pointer or the focus. */
export function useSettled<T>(value: T, element: RefObject<HTMLElement | null>): T {
  const [shown, setShown] = useState(value);
  useEffect(() => {
    const frame = element.current;
    const settle = (): void => {
      if (frame?.matches(":hover, :focus-within") !== true) setShown(value);
    };
    settle();
    // The focus has not arrived anywhere yet when it leaves.
    const later = (): void => void window.setTimeout(settle);
    frame?.addEventListener("pointerleave", later);
    frame?.addEventListener("focusout", later);
    return () => {
      frame?.removeEventListener("pointerleave", later);
      frame?.removeEventListener("focusout", later);
    };
  }, [value, element]);
  return shown;
}
