/**
 * Draws only the rows that are in sight, where there are many: a thousand rows with their strips
 * are a hundred thousand elements. Up to `ALL` rows all are drawn, so that the browser's own search
 * finds them. Rows have no fixed height: each is measured once it is drawn.
 */
import {
  observeWindowOffset,
  observeWindowRect,
  Virtualizer,
  windowScroll,
  type VirtualItem,
} from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

const ALL = 60;
const OVERSCAN = 6;

/** Which rows to draw, and where. */
export interface InSight {
  /** Undefined: all rows, one below the other. */
  readonly items: readonly VirtualItem[] | undefined;
  /** The height of all rows, in pixels. */
  readonly height: number;
  /** The distance of the first row from the top of the document, in pixels. */
  readonly margin: number;
  /** Measures a row that was drawn; it has its number in `data-index`. */
  readonly measure: (element: HTMLElement | null) => void;
  readonly scrollTo: (index: number) => void;
}

/** @param guess a row's height until it is measured, in pixels */
export function useRowsInSight(
  box: RefObject<HTMLElement | null>,
  count: number,
  guess: (index: number) => number,
  keyOf: (index: number) => string,
): InSight {
  const [, setDrawn] = useState(0);
  const [margin, setMargin] = useState(0);
  const held = useRef<Virtualizer<Window, HTMLElement> | undefined>(undefined);
  const isMany = count > ALL;
  const options = {
    count: isMany ? count : 0,
    getScrollElement: () => window,
    estimateSize: guess,
    getItemKey: keyOf,
    overscan: OVERSCAN,
    scrollMargin: margin,
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    scrollToFn: windowScroll,
    initialRect: { width: innerWidth, height: innerHeight },
    initialOffset: () => scrollY,
    onChange: () => setDrawn((times) => times + 1),
  };
  held.current ??= new Virtualizer<Window, HTMLElement>(options);
  const rows = held.current;
  rows.setOptions(options);
  // The two calls are how virtual-core's own adapters drive it: their names begin with `_`.
  // oxlint-disable-next-line no-underscore-dangle
  useLayoutEffect(() => rows._didMount(), []);
  useLayoutEffect(() => {
    // oxlint-disable-next-line no-underscore-dangle
    rows._willUpdate();
    const top = box.current === null ? 0 : box.current.getBoundingClientRect().top + scrollY;
    if (Math.abs(top - margin) > 1) setMargin(top);
  });
  return {
    items: isMany ? rows.getVirtualItems() : undefined,
    height: rows.getTotalSize(),
    margin,
    measure: (element) => rows.measureElement(element),
    scrollTo: (index) => (isMany ? rows.scrollToIndex(index, { align: "auto" }) : undefined),
  };
}
