/**
 * How long a pipeline's last runs took. uPlot draws it and is loaded for that alone; the table
 * below says the same in words.
 */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import type { PipelinePage } from "../../../views/pipeline-page.ts";
import { Columns } from "../columns.tsx";
import { loadLate } from "../late-code.ts";
import { go, hrefOf } from "../location.ts";
import { Status, toneOf } from "../marks.tsx";
import { safeText } from "../safe-text.ts";
import { theme } from "../theme.ts";
import { countText, durationText } from "../words.ts";
import { clockText, dayText, fullTime, minuteText, zone } from "../zone.ts";

type Points = PipelinePage["trend"];

const HEIGHT = 170;
const [MINUTE, HOUR] = [60, 3_600];
/** Between labels of a duration, in seconds: each label is a round one. */
const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30].concat(
  [1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  [1, 2, 4, 6, 12, 24, 48, 96, 168, 336].map((hours) => hours * HOUR),
);
/** In seconds, as uPlot counts. */
const DAY = 86_400;
/** The widest labels (`Wed 28 May`, `00:00:00`) and what stands between two, in pixels. */
const [DAY_WIDTH, CLOCK_WIDTH, GAP] = [68, 50, 8];

export function Trend({ page: { trend, usualMs } }: { readonly page: PipelinePage }): JSX.Element {
  return (
    <section class="card" aria-labelledby="trend">
      <h2 id="trend">
        How long its runs took{" "}
        <small>
          {trend.length === 0
            ? ""
            : `the last ${countText(trend.length, "run")}` +
              (usualMs === null ? "" : `, median ${durationText(usualMs)}`)}
        </small>
      </h2>
      {trend.length === 0 ? (
        <p class="none">No run of it has ended yet.</p>
      ) : (
        <>
          <Plot trend={trend} />
          <TrendTable trend={trend} />
        </>
      )}
    </section>
  );
}

function Plot({ trend }: { readonly trend: Points }): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shown = useRef(trend);
  shown.current = trend;
  // The zone and the theme are drawn too.
  const look = `${zone.value.id} ${theme.value}`;
  useEffect(() => {
    const end = loadLate(
      () => import("uplot"),
      ({ default: Plotter }) => {
        if (frame.current === null) return;
        plot.current = new Plotter(
          optionsFor(frame.current, shown),
          dataOf(shown.current),
          frame.current,
        );
      },
    );
    const resized = new ResizeObserver(() => {
      const width = frame.current?.clientWidth ?? 0;
      if (width > 0) plot.current?.setSize({ width, height: HEIGHT });
    });
    if (frame.current !== null) resized.observe(frame.current);
    return () => {
      end();
      resized.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [look]);
  useEffect(() => plot.current?.setData(dataOf(trend)), [trend]);
  return <div class="trend" ref={frame} aria-hidden="true" style={{ minHeight: `${HEIGHT}px` }} />;
}

function dataOf(trend: Points): uPlot.AlignedData {
  return [
    trend.map(({ at }) => Date.parse(at) / 1_000),
    trend.map(({ durationMs }) => durationMs / 1_000),
  ];
}

function optionsFor(frame: HTMLElement, shown: { readonly current: Points }): uPlot.Options {
  const style = getComputedStyle(frame);
  const color = (name: string): string => style.getPropertyValue(`--${name}`);
  const font = "11px Inter, system-ui, sans-serif";
  const axis = { stroke: color("ink2"), font, grid: { stroke: color("line"), width: 1 } };
  return {
    width: Math.max(200, frame.clientWidth),
    height: HEIGHT,
    padding: [8, Math.ceil(DAY_WIDTH / 2), 0, 0],
    legend: { show: false },
    scales: {
      // One run alone stands in the middle of two minutes.
      x: { range: (_plot, min, max) => (min === max ? [min - 60, max + 60] : [min, max]) },
      y: { range: (_plot, _min, max) => [0, Math.max(0.001, max * 1.08)] },
    },
    axes: [
      {
        ...axis,
        space: (_plot, _axis, min, max) => GAP + (isOfDays(max - min) ? DAY_WIDTH : CLOCK_WIDTH),
        values: (plot, at) =>
          timeLabels(at, (plot.scales["x"]?.max ?? 0) - (plot.scales["x"]?.min ?? 0)),
      },
      {
        ...axis,
        size: 68,
        incrs: STEPS,
        values: (_plot, values) => values.map((one) => durationText(one * 1_000)),
      },
    ],
    series: [{}, { stroke: color("line2"), width: 1, points: { show: false } }],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 9 } },
    hooks: {
      draw: [(plot) => drawMarks(plot, shown.current, color)],
      ready: [(plot) => openOnClick(plot, shown)],
      setCursor: [
        (plot) => {
          const point = shown.current[plot.cursor.idx ?? -1];
          plot.over.title =
            point === undefined
              ? ""
              : safeText(
                  `${clockText(point.at)} ${point.status}, ${durationText(point.durationMs)}`,
                );
        },
      ],
    },
  };
}

/** Labels of times, each unlike its neighbour. @param at with `span` in seconds, as uPlot has it */
export function timeLabels(at: readonly number[], span: number): string[] {
  const [first = 0, second = Infinity] = at;
  const text = isOfDays(span) ? dayText : second - first < MINUTE ? clockText : minuteText;
  return at.map((one) => text(one * 1_000));
}

/** Whether a stretch of so many seconds has days for labels, and not times of a day. */
function isOfDays(span: number): boolean {
  return span > 2 * DAY;
}

/** A dot for what completed, a cross for what failed, a square for what was stopped. */
function drawMarks(plot: uPlot, trend: Points, color: (name: string) => string): void {
  const { ctx } = plot;
  const size = 3 * devicePixelRatio;
  ctx.save();
  for (const { at, durationMs, status } of trend) {
    const x = plot.valToPos(Date.parse(at) / 1_000, "x", true);
    const y = plot.valToPos(durationMs / 1_000, "y", true);
    ctx.fillStyle = ctx.strokeStyle = color(toneOf(status));
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.beginPath();
    if (status === "failed") {
      ctx.moveTo(x - size, y - size);
      ctx.lineTo(x + size, y + size);
      ctx.moveTo(x + size, y - size);
      ctx.lineTo(x - size, y + size);
      ctx.stroke();
    } else if (status === "stopped") ctx.fillRect(x - size, y - size, size * 2, size * 2);
    else {
      ctx.arc(x, y, size, 0, Math.PI * 2);
      ctx.fill();
    }
  }
  ctx.restore();
}

function openOnClick(plot: uPlot, shown: { readonly current: Points }): void {
  plot.over.addEventListener("click", () => {
    const point = shown.current[plot.cursor.idx ?? -1];
    if (point !== undefined) go(hrefOf(["runs", point.run]));
  });
}

/** The same for those who cannot see it, newest first. */
function TrendTable({ trend }: { readonly trend: Points }): JSX.Element {
  return (
    <details class="twin">
      <summary>As a table</summary>
      <div class="scrolls" tabIndex={0} role="group" aria-label="Durations of the last runs">
        <table>
          <Columns names={["Run", "At", "Status", "Took"]} />
          <tbody>
            {trend.toReversed().map(({ run, at, status, durationMs }) => (
              <tr key={run}>
                <td>
                  <a href={hrefOf(["runs", run])}>{safeText(run)}</a>
                </td>
                <td>{fullTime(at)}</td>
                <td>
                  <Status status={status} />
                </td>
                <td>{durationText(durationMs)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
