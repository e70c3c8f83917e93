/**
 * One pipeline's marks: what became of each slot, its run below it, and what comes. Where marks
 * would lie upon each other, one stands for its cell: the worst, with the number of all.
 */
import { memo } from "preact/compat";
import type { StripMark } from "../../../views/overview.ts";
import type { SlotCell, SlotGrid, SlotGridRow } from "../../../views/slot-grid.ts";
import { hrefOfMark, MarkTip } from "../mark-tip.tsx";
import { MarkShape, markSentence, toneOf } from "../marks.tsx";
import { moveFocus } from "../strip.tsx";
import { hideTip, showTip } from "../tip.tsx";
import { fullTime } from "../zone.ts";
import { xOf, type Axis } from "./axis.ts";

/** A row's height, and where its marks stand. */
export const ROW_PX = 40;
const FOOT = 25;
const BAR_TOP = 28;
const BAR_PX = 6;
/** The room that a mark takes at least: the width of what is pressed. */
export const PITCH = 18;
/** From this distance on, a dashed line leads from a slot to the run that caught up with it. */
const LEAP_PX = 12;

export const GridMarks = memo(DrawnMarks);

function DrawnMarks({ row, axis, grid }: { row: SlotGridRow; axis: Axis; grid: SlotGrid }) {
  const marks = row.marks ?? [];
  const cells = row.cells ?? [];
  return (
    <svg
      class="grid-marks"
      role="group"
      aria-label={`Slots of ${row.pipeline}, oldest first`}
      width={axis.width}
      height={ROW_PX}
      onKeyDown={moveFocus}
    >
      <g aria-hidden="true">
        {marks.map((mark) => (
          <RunBar key={`${mark.slot} ${mark.run}`} mark={mark} axis={axis} at={grid.at} />
        ))}
        <Coming row={row} axis={axis} />
      </g>
      {marks.map((mark, index) => (
        <MarkLink
          key={`${mark.slot} ${mark.schedule} ${mark.run}`}
          pipeline={row.pipeline}
          mark={mark}
          x={xOf(axis, mark.slot ?? 0)}
          isStop={index === marks.length - 1}
        />
      ))}
      {cells.map((cell, index) => (
        <MarkLink
          key={cell.cell}
          pipeline={row.pipeline}
          mark={cell.worst}
          count={cell.count}
          x={middleOf(cell, grid, axis)}
          isStop={index === cells.length - 1}
        />
      ))}
    </svg>
  );
}

/** The grid's own cells; the axis may be that of a moment before. */
function middleOf({ cell }: SlotCell, grid: SlotGrid, axis: Axis): number {
  const [from, to] = [Date.parse(grid.from), Date.parse(grid.to)];
  return xOf(axis, from + ((cell + 0.5) / cellsOf(axis)) * (to - from));
}

/** How many cells an axis is asked for. */
export function cellsOf({ width }: Pick<Axis, "width">): number {
  return Math.max(12, Math.floor(width / PITCH));
}

function MarkLink({
  pipeline,
  mark,
  count = 1,
  x,
  isStop,
}: {
  pipeline: string;
  mark: StripMark;
  count?: number;
  x: number;
  isStop: boolean;
}) {
  const open = (event: Event): void =>
    showTip(event.currentTarget as Element, () => (
      <MarkTip pipeline={pipeline} mark={mark} count={count} />
    ));
  const said = markSentence(mark, pipeline);
  return (
    <a
      class="mark"
      href={hrefOfMark(pipeline, mark)}
      aria-label={count > 1 ? `The worst of ${count} slots: ${said}` : said}
      tabindex={isStop ? 0 : -1}
      onMouseEnter={open}
      onMouseLeave={hideTip}
      onFocus={open}
      onBlur={hideTip}
    >
      <g transform={`translate(${(x - 4.5).toFixed(1)} 0)`}>
        <rect x="-2" y="1" width="13" height={ROW_PX - 3} rx="3" fill="transparent" />
        <MarkShape {...mark} height={FOOT} />
        {count > 1 && (
          <text x="4.5" y={ROW_PX - 5} text-anchor="middle">
            {shortCount(count)}
          </text>
        )}
      </g>
    </a>
  );
}

/** At most three characters. */
function shortCount(count: number): string {
  return count < 1_000 ? String(count) : `${Math.min(99, Math.floor(count / 1_000))}k`;
}

/** When a slot's run began and how long it took, below its mark. */
function RunBar({ mark, axis, at }: { mark: StripMark; axis: Axis; at: string }) {
  const { slot, run, status, lateMs, durationMs, decision } = mark;
  if (run === null || slot === null || status === null) return null;
  const began = Date.parse(slot) + (lateMs ?? 0);
  const ended = durationMs === null ? Math.max(began, Date.parse(at)) : began + durationMs;
  const [left, right] = [xOf(axis, began), xOf(axis, ended)];
  const from = xOf(axis, slot);
  const leaps = decision === "caught_up" && left - from > LEAP_PX;
  return (
    <>
      {leaps && (
        <path
          d={`M${from + 4} 6Q${(from + left) / 2} 1 ${left} ${BAR_TOP - 2}`}
          fill="none"
          stroke="var(--ink3)"
          stroke-dasharray="2 2"
        />
      )}
      <rect
        x={left}
        y={BAR_TOP}
        width={Math.max(2, right - left)}
        height={BAR_PX}
        rx="2"
        fill={`var(--${toneOf(status)})`}
        opacity="0.55"
      />
    </>
  );
}

function Coming({ row, axis }: { row: SlotGridRow; axis: Axis }) {
  return (
    <>
      {row.coming.map(({ slot, schedule, note }) => (
        <g key={`${slot} ${schedule}`} transform={`translate(${xOf(axis, slot) - 4.5} 0)`}>
          <title>{`comes at ${fullTime(slot)}${note === undefined ? "" : `: ${note}`}`}</title>
          <rect
            x="2"
            y="11"
            width="5"
            height="13"
            rx="2"
            fill="transparent"
            stroke="var(--ink3)"
            stroke-dasharray={note === undefined ? undefined : "2 1.5"}
          />
        </g>
      ))}
    </>
  );
}
