/** Slots: every slot that was due has one mark, and every mark has its reason. */
import { useEffect, useRef } from "preact/hooks";
import type { SlotGrid } from "../../../views/slot-grid.ts";
import { iso } from "../../../core/time.ts";
import { now } from "../clock.ts";
import { address, withQuery } from "../location.ts";
import { LegendEntry, Status, STATUSES, type MarkKind } from "../marks.tsx";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import { safeText } from "../safe-text.ts";
import { Segments } from "../segments.tsx";
import { cellsOf } from "../slots/grid-marks.tsx";
import { Grid, usePlotWidth } from "../slots/grid.tsx";
import { Reasons } from "../slots/reasons.tsx";
import { SlotTable } from "../slots/slot-table.tsx";
import { SPANS, spanOf, useStretch, type Span } from "../slots/span.ts";
import { useHold } from "../steady.ts";
import { useView } from "../view.ts";
import { commonZone, offered } from "../zone.ts";

/** The width of the names, and the least width of the marks beside them, in pixels. */
const NAMES_PX = { wide: 200, narrow: 112 };
const LEAST_PX = 880;
const NARROW_PX = 720;

export function Slots() {
  const { query } = address.value;
  const span = spanOf(query.get("span"));
  const given = Date.parse(query.get("until") ?? "");
  const until = Number.isNaN(given) ? undefined : given;
  const [card, box] = [useRef<HTMLDivElement>(null), useRef<HTMLDivElement>(null)];
  const hold = useHold(card);
  const all = usePlotWidth(card);
  const names = all < NARROW_PX ? NAMES_PX.narrow : NAMES_PX.wide;
  const width = Math.max(LEAST_PX, all - names);
  const stretch = useStretch(span, until, hold);
  const route = routeOf(stretch, { cells: cellsOf({ width }), query });
  const { value, problem } = useView<SlotGrid>(all === 0 ? null : route);
  useEffect(() => {
    offered.value = commonZone((value?.rows ?? []).map(({ timezones }) => timezones));
  }, [value]);
  const isTable = query.get("as") === "table";
  // On a phone the marks scroll sideways: the newest are in sight first.
  useEffect(() => {
    if (card.current !== null) card.current.scrollLeft = card.current.scrollWidth;
  }, [value === undefined, width, isTable]);
  return (
    <>
      <Heading span={span} until={until} grid={value} />
      {problem !== undefined && problem.status !== 0 && <ProblemBox problem={problem} />}
      <div ref={card} class={isTable ? "grid-card as-table" : "grid-card"}>
        {value === undefined ? (
          problem === undefined && <Waiting what="the slots" />
        ) : isTable ? (
          <SlotTable grid={value} />
        ) : (
          <Grid
            grid={value}
            axis={{ from: Date.parse(value.from), to: Date.parse(value.to), width }}
            box={box}
          />
        )}
      </div>
      {value !== undefined && <Under grid={value} />}
    </>
  );
}

function routeOf(
  { from, to }: { from: number; to: number },
  { cells, query }: { cells: number; query: URLSearchParams },
): string {
  const asked = new URLSearchParams({ from: iso(from), to: iso(to), cells: String(cells) });
  for (const key of ["decision", "pipeline"]) {
    const value = query.get(key);
    if (value !== null) asked.set(key, value);
  }
  return `slots?${asked.toString()}`;
}

function Heading({
  span,
  until,
  grid,
}: {
  span: Span;
  until: number | undefined;
  grid: SlotGrid | undefined;
}) {
  const pipeline = address.value.query.get("pipeline");
  return (
    <div class="heading">
      <h1>Slots</h1>
      <p>
        {pipeline === null ? (
          "Every slot that was due has one mark, and every mark has its reason."
        ) : (
          <>
            of {safeText(pipeline)} · <a href={withQuery({ pipeline: null })}>all pipelines</a>
          </>
        )}
      </p>
      <Steps span={span} until={until} />
      <Segments
        label="Span"
        segments={SPANS.map(({ key, text }) => ({
          text,
          href: withQuery({ span: key === SPANS[0]!.key ? null : key }),
          isChosen: key === span.key,
        }))}
      />
      <Decisions grid={grid} />
      <Segments
        label="Shown as"
        segments={["chart", "table"].map((as) => ({
          text: as === "chart" ? "Chart" : "Table",
          href: withQuery({ as: as === "chart" ? null : as }),
          isChosen: (address.value.query.get("as") ?? "chart") === as,
        }))}
      />
    </div>
  );
}

/** The same span, earlier or later. */
function Steps({ span, until }: { span: Span; until: number | undefined }) {
  const end = until ?? Math.floor(now.value / 60_000) * 60_000;
  const later = end + span.ms;
  return (
    <div class="segments" role="group" aria-label="Time">
      <a href={withQuery({ until: iso(end - span.ms) })} aria-label={`${span.text} earlier`}>
        ‹
      </a>
      <a href={withQuery({ until: null })} aria-current={until === undefined ? "true" : undefined}>
        Now
      </a>
      {until !== undefined && (
        <a
          href={withQuery({ until: later >= now.value ? null : iso(later) })}
          aria-label={`${span.text} later`}
        >
          ›
        </a>
      )}
    </div>
  );
}

function Decisions({ grid }: { grid: SlotGrid | undefined }) {
  const chosen = address.value.query.get("decision") ?? "";
  const sums = grid?.sums;
  const choices: readonly (readonly [key: string, text: string, count: number | undefined])[] = [
    ["", "All", undefined],
    ["not_run", "Not run", sums === undefined ? undefined : sums.skipped + sums.missed],
    ["late", "Late", sums?.late],
    // Links from elsewhere may ask for one decision.
    ...(["", "not_run", "late"].includes(chosen)
      ? []
      : [[chosen, chosen.replaceAll("_", " "), undefined] as const]),
  ];
  return (
    <Segments
      label="Decision"
      segments={choices.map(([key, text, count]) => ({
        text: count === undefined ? text : `${text} ${count.toLocaleString("en")}`,
        href: withQuery({ decision: key }),
        isChosen: key === chosen,
      }))}
    />
  );
}

const DECISIONS: readonly (readonly [text: string, kind: MarkKind])[] = [
  ["fired", { decision: "fired", status: "completed", lateMs: 0 }],
  ["fired late", { decision: "fired", status: "completed", lateMs: 60_000 }],
  ["caught up", { decision: "caught_up", status: "completed", lateMs: 0 }],
  ["skipped", { decision: "skipped", status: null, lateMs: null }],
  ["missed", { decision: "missed", status: null, lateMs: null }],
  ["by hand", { decision: "by_hand", status: "completed", lateMs: null }],
];

function Under({ grid }: { grid: SlotGrid }) {
  const cut = grid.rows.flatMap((row) => row.cut ?? []);
  return (
    <>
      <div class="legend under">
        <b>Decision</b>
        {DECISIONS.map(([text, kind]) => (
          <LegendEntry key={text} kind={kind} text={text} />
        ))}
        <b>Run</b>
        {STATUSES.map((status) => (
          <Status key={status} status={status} />
        ))}
      </div>
      {cut.length > 0 && (
        <p class="foot">
          There are too many slots to show all: the oldest of {cut.length} pipelines are left out.
        </p>
      )}
      <Reasons reasons={grid.reasons} />
    </>
  );
}
