/**
 * The tooltip: one for the whole page. It opens where the pointer rests or the focus is, and stays
 * while the pointer or the focus is in it, so that its links can be reached. From the keyboard:
 * ArrowDown goes into it, Escape closes it and goes back.
 */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

interface Tip {
  readonly anchor: Element;
  readonly content: () => ComponentChildren;
}

const tip = signal<Tip | undefined>(undefined);
let timer: number | undefined;

const OPEN_AFTER_MS = 80;
const CLOSE_AFTER_MS = 200;
const GAP = 9;

/** Opens the tooltip at an element, after a moment. */
export function showTip(anchor: Element, content: () => ComponentChildren): void {
  window.clearTimeout(timer);
  const after = tip.value === undefined ? OPEN_AFTER_MS : 0;
  timer = window.setTimeout(() => {
    tip.value = { anchor, content };
  }, after);
}

/** Closes it, unless the pointer comes into it in time. */
export function hideTip(): void {
  window.clearTimeout(timer);
  timer = window.setTimeout(closeTip, CLOSE_AFTER_MS);
}

/** Closes it now. */
export function closeTip(): void {
  window.clearTimeout(timer);
  tip.value = undefined;
}

/** Moves the focus into the tooltip. @returns false where it is closed, or has no link */
export function enterTip(): boolean {
  const link = document.querySelector<HTMLElement>("#tip a, #tip button");
  link?.focus();
  return link !== null;
}

/** The tooltip's place; the frame has it once. */
export function TipBox() {
  const box = useRef<HTMLDivElement>(null);
  const now = tip.value;
  useLayoutEffect(() => {
    if (now !== undefined && box.current !== null) settle(box.current, now.anchor);
  });
  useEffect(() => {
    if (now === undefined) return;
    const close = (event: KeyboardEvent): void => {
      if (event.key !== "Escape") return;
      const hasFocus = box.current?.contains(document.activeElement) ?? false;
      if (hasFocus && now.anchor instanceof SVGElement) now.anchor.focus();
      else if (hasFocus && now.anchor instanceof HTMLElement) now.anchor.focus();
      closeTip();
    };
    addEventListener("keydown", close);
    addEventListener("scroll", closeTip, { capture: true, passive: true });
    return () => {
      removeEventListener("keydown", close);
      removeEventListener("scroll", closeTip, { capture: true });
    };
  }, [now]);
  if (now === undefined) return null;
  return (
    <div
      id="tip"
      ref={box}
      class="tip"
      role="dialog"
      aria-label="About this mark"
      onMouseEnter={() => window.clearTimeout(timer)}
      onMouseLeave={hideTip}
      onFocusCapture={() => window.clearTimeout(timer)}
      onClick={closeTip}
    >
      {now.content()}
    </div>
  );
}

/** Below the anchor, or above it where there is no room; always within the window. */
function settle(box: HTMLElement, anchor: Element): void {
  const at = anchor.getBoundingClientRect();
  const { width, height } = box.getBoundingClientRect();
  const middle = at.left + at.width / 2;
  const left = Math.max(8, Math.min(middle - 24, document.documentElement.clientWidth - width - 8));
  const isBelow = at.bottom + GAP + height < innerHeight || at.top < height + GAP;
  box.style.left = `${left}px`;
  box.style.top = `${isBelow ? at.bottom + GAP : at.top - GAP - height}px`;
  box.style.setProperty("--point", `${Math.max(6, Math.min(width - 16, middle - left - 5))}px`);
  box.dataset["side"] = isBelow ? "below" : "above";
}
