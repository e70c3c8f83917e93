/**
 * A list that draws only what is in view, for logs, ledgers and long lists of steps.
 *
 * Below {@link ALL_ROWS} rows everything is drawn: a browser's own search and a screen reader then
 * see all of it, and nothing has to be measured.
 */
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
} from "@tanstack/virtual-core";
import type { ComponentChildren, JSX, RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

/** Up to this many rows are drawn whole. */
const ALL_ROWS = 60;

type ListVirtualizer = Virtualizer<HTMLDivElement, HTMLDivElement>;

/** What a list draws. */
export interface VirtualListProps {
  readonly rows: number;
  /** A row's height in pixels, before it is measured. */
  readonly height: number;
  /** What tells a row from others, where rows are put before it. */
  readonly keyOf: (row: number) => string | number;
  readonly children: (row: number) => ComponentChildren;
  readonly label: string;
  readonly class: string;
  /** The element that scrolls, for an owner that moves it. */
  readonly scroller?: RefObject<HTMLDivElement | null>;
  /** Whether the end stays in view as rows come. */
  readonly stickToEnd?: boolean;
  readonly onScroll?: (element: HTMLDivElement) => void;
}

/** Draws the rows in view; the element itself scrolls, and takes the keyboard's focus for that. */
export function VirtualList(props: VirtualListProps): JSX.Element {
  const own = useRef<HTMLDivElement>(null);
  const scroller = props.scroller ?? own;
  const whole = props.rows <= ALL_ROWS;
  useStick(scroller, props.stickToEnd === true);
  return (
    <div
      ref={scroller}
      class={`scrolls ${props.class}`}
      role="group"
      aria-label={props.label}
      tabIndex={0}
      onScroll={(event) => props.onScroll?.(event.currentTarget)}
    >
      {whole ? (
        <div role="list" aria-label={props.label}>
          {Array.from({ length: props.rows }, (_, row) => (
            <div role="listitem" key={props.keyOf(row)}>
              {props.children(row)}
            </div>
          ))}
        </div>
      ) : (
        <RowsInView {...props} scroller={scroller} />
      )}
    </div>
  );
}

function RowsInView({
  rows,
  height,
  keyOf,
  children,
  label,
  scroller,
  stickToEnd,
}: VirtualListProps & { readonly scroller: RefObject<HTMLDivElement | null> }): JSX.Element {
  const virtualizer = useVirtualizer(rows, height, keyOf, scroller);
  const items = virtualizer.getVirtualItems();
  useAnchor(rows, keyOf, scroller, virtualizer);
  // Rows that were measured have another height than was thought.
  useStick(scroller, stickToEnd === true);
  return (
    <div
      role="list"
      aria-label={label}
      class="rows-in-view"
      style={{ height: `${virtualizer.getTotalSize()}px` }}
    >
      {items.map(({ index, key, start }) => (
        <div
          key={key}
          role="listitem"
          aria-setsize={rows}
          aria-posinset={index + 1}
          data-index={index}
          ref={virtualizer.measureElement}
          style={{ transform: `translateY(${start}px)` }}
        >
          {children(index)}
        </div>
      ))}
    </div>
  );
}

/** Where rows came before the first one, what is in view stays where it is. */
function useAnchor(
  rows: number,
  keyOf: (row: number) => string | number,
  scroller: RefObject<HTMLDivElement | null>,
  virtualizer: ListVirtualizer,
): void {
  const first = rows === 0 ? undefined : keyOf(0);
  const before = useRef(first);
  useLayoutEffect(() => {
    const known = before.current;
    before.current = first;
    if (known === undefined || known === first) return;
    let row = 1;
    while (row < rows && keyOf(row) !== known) row += 1;
    const element = scroller.current;
    const start = virtualizer.getOffsetForIndex(row, "start")?.[0];
    if (row < rows && element !== null && start !== undefined) element.scrollTop += start;
  }, [first]);
}

/** After each drawing, scrolls to the end. */
function useStick(scroller: RefObject<HTMLDivElement | null>, stick: boolean): void {
  useLayoutEffect(() => {
    const element = scroller.current;
    if (stick && element !== null) element.scrollTop = element.scrollHeight;
  });
}

function useVirtualizer(
  rows: number,
  height: number,
  keyOf: (row: number) => string | number,
  scroller: RefObject<HTMLDivElement | null>,
): ListVirtualizer {
  const [, draw] = useState(0);
  const [virtualizer] = useState<ListVirtualizer>(() => new Virtualizer(options()));
  function options(): ConstructorParameters<typeof Virtualizer<HTMLDivElement, HTMLDivElement>>[0] {
    return {
      count: rows,
      estimateSize: () => height,
      getItemKey: keyOf,
      overscan: 12,
      getScrollElement: () => scroller.current,
      observeElementRect,
      observeElementOffset,
      scrollToFn: elementScroll,
      onChange: () => draw((count) => count + 1),
    };
  }
  virtualizer.setOptions(options());
  // The library gives its two hooks for frameworks these names.
  const { _didMount: mounted, _willUpdate: updated } = virtualizer;
  useLayoutEffect(() => mounted(), [mounted]);
  useLayoutEffect(() => updated());
  return virtualizer;
}
