/**
 * The decisions of all pipelines on one time axis. A row is a pipeline; only rows in sight are
 * drawn. Behind the rows lies one backdrop: downtimes hatched, what comes shaded, the present.
 */
import type { RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { SlotGrid } from "../../../views/slot-grid.ts";
import { now } from "../clock.ts";
import { useKeys } from "../keys.ts";
import { hrefOf } from "../location.ts";
import { safeText } from "../safe-text.ts";
import { scheduleText } from "../schedule-text.ts";
import { sentence } from "../sentence.ts";
import { useRowsInSight } from "../rows-in-sight.ts";
import { durationText } from "../words.ts";
import { fullTime } from "../zone.ts";
import { ticksOf, xOf, type Axis } from "./axis.ts";
import { GridMarks, ROW_PX } from "./grid-marks.tsx";

export function Grid({
  grid,
  axis,
  box,
}: {
  grid: SlotGrid;
  axis: Axis;
  box: RefObject<HTMLDivElement | null>;
}) {
  const body = useRef<HTMLDivElement>(null);
  const { rows } = grid;
  const sight = useRowsInSight(
    body,
    rows.length,
    () => ROW_PX,
    (index) => rows[index]?.pipeline ?? "",
  );
  useRowKeys(body);
  const items =
    sight.items?.map(({ index, start }) => ({ index, top: start - sight.margin })) ??
    rows.map((_, index) => ({ index, top: undefined }));
  return (
    <div ref={box} class="grid" role="group" aria-label="Slots by pipeline and time">
      <Outages grid={grid} axis={axis} />
      <div
        ref={body}
        class={sight.items === undefined ? "body" : "body many"}
        style={{ height: sight.items === undefined ? "" : `${sight.height}px` }}
      >
        <Backdrop grid={grid} axis={axis} />
        {items.map(({ index, top }) => {
          const row = rows[index];
          if (row === undefined) return null;
          return (
            <div
              key={row.pipeline}
              class="row"
              data-index={index}
              style={{ transform: top === undefined ? "" : `translateY(${top}px)` }}
            >
              <div class="row-name">
                <a href={hrefOf(["pipelines", row.pipeline])}>{safeText(row.pipeline)}</a>
                <code title={row.schedule ?? undefined}>
                  {row.schedule === null ? "" : scheduleText(row)}
                </code>
              </div>
              <GridMarks row={row} axis={axis} grid={grid} />
            </div>
          );
        })}
      </div>
      <Scale axis={axis} />
    </div>
  );
}

/** j and k go from row to row, to the newest mark of each. */
function useRowKeys(body: RefObject<HTMLElement | null>): void {
  const move = (by: number) => (): void => {
    const rows = [...(body.current?.querySelectorAll<HTMLElement>(".row") ?? [])]
      .toSorted((a, b) => Number(a.dataset["index"]) - Number(b.dataset["index"]))
      .filter((row) => row.querySelector("svg a") !== null);
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const next = rows[at === -1 ? 0 : Math.max(0, Math.min(rows.length - 1, at + by))];
    next?.querySelector<SVGAElement>('svg a[tabindex="0"]')?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  useKeys([
    { key: "j", does: "the next pipeline", run: move(1) },
    { key: "k", does: "the pipeline before", run: move(-1) },
  ]);
}

/** The width of the plot, in pixels, as it is drawn. */
export function usePlotWidth(box: RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const measure = (): void => setWidth(Math.floor(element.clientWidth));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return width;
}

/** The least width of a downtime's words. */
const OUTAGE_PX = 70;

function Outages({ grid, axis }: { grid: SlotGrid; axis: Axis }) {
  let free = -Infinity;
  return (
    <div class="outages">
      {grid.downtimes.map(({ from, to, because }) => {
        const end = to === null ? now.value : Date.parse(to);
        const length = durationText(end - Math.max(Date.parse(from), 0));
        const left = Math.max(0, xOf(axis, from));
        const right = Math.min(axis.width, xOf(axis, end));
        const middle = Math.max(OUTAGE_PX / 2, (left + right) / 2);
        const isShown = middle - OUTAGE_PX / 2 > free && right > 0 && left < axis.width;
        if (isShown) free = middle + OUTAGE_PX / 2;
        const told = `No daemon was up for ${length}, from ${fullTime(from)}: ${sentence(because)}`;
        return (
          <span
            key={from}
            class={isShown ? "outage" : "unseen"}
            style={{ left: `${middle}px` }}
            title={told}
          >
            <span class="unseen">{told}</span>
            <span aria-hidden="true">
              no daemon
              <br />
              {length}
            </span>
          </span>
        );
      })}
    </div>
  );
}

function Backdrop({ grid, axis }: { grid: SlotGrid; axis: Axis }) {
  const present = Math.max(0, Math.min(axis.width, xOf(axis, now.value)));
  return (
    <svg class="backdrop" aria-hidden="true" width={axis.width} height="100%">
      <defs>
        <pattern
          id="hatch"
          width="8"
          height="8"
          patternUnits="userSpaceOnUse"
          patternTransform="rotate(45)"
        >
          <rect width="8" height="8" fill="var(--down)" />
          <rect width="1.4" height="8" fill="var(--down2)" />
        </pattern>
      </defs>
      <rect x={present} width={axis.width - present} height="100%" fill="var(--future)" />
      {grid.downtimes.map(({ from, to }) => {
        const left = Math.max(0, xOf(axis, from));
        const right = Math.min(axis.width, to === null ? present : xOf(axis, to));
        const width = Math.max(0, Math.max(right - left, 1.5));
        return right < 0 || left > axis.width ? null : (
          <rect key={from} x={left} width={width} height="100%" fill="url(#hatch)" />
        );
      })}
      {ticksOf(axis).map(({ at }) => (
        <line key={at} x1={xOf(axis, at)} x2={xOf(axis, at)} y2="100%" stroke="var(--line)" />
      ))}
      {now.value <= axis.to && (
        <line x1={present} x2={present} y2="100%" stroke="var(--ink)" stroke-width="1.5" />
      )}
    </svg>
  );
}

function Scale({ axis }: { axis: Axis }) {
  const present = xOf(axis, now.value);
  const isPresent = present >= 0 && present <= axis.width;
  // A word begins at its moment; the present's stands across its own.
  const isFree = (x: number): boolean => !isPresent || x < present - 66 || x > present + 18;
  return (
    <div class="scale" aria-hidden="true">
      {ticksOf(axis).map(({ at, text }) => {
        const x = xOf(axis, at);
        return x > axis.width - 20 || !isFree(x) ? null : (
          <span key={at} style={{ left: `${x}px` }}>
            {text}
          </span>
        );
      })}
      {isPresent && (
        <b class="present" style={{ left: `${present}px` }}>
          now
        </b>
      )}
    </div>
  );
}
