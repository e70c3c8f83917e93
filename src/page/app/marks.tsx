/**
 * Marks: what became of a slot by shape, what became of its run by colour and sign. Neither colour
 * nor shape stands alone: each mark has its whole sentence as its label.
 */
import type { StripMark } from "../../views/overview.ts";
import { safeText } from "./safe-text.ts";
import { sentence } from "./sentence.ts";
import { durationText } from "./words.ts";
import { clockText, zoned } from "./zone.ts";

/** A run's or a step's status, with its sign. */
const SIGNS: Readonly<Record<string, string>> = {
  initializing: "○",
  provisioning: "○",
  queued: "○",
  running: "▸",
  completed: "✓",
  failed: "✗",
  cached: "≡",
  retrying: "↻",
  retried: "↻",
  stopping: "◧",
  stopped: "■",
  skipped: "–",
  missed: "┆",
};

/** Every status, in the order of the legend. */
export const STATUSES = [
  "running",
  "completed",
  "failed",
  "cached",
  "retrying",
  "retried",
  "stopping",
  "stopped",
  "initializing",
] as const;

/** The sign of a status; `○` of one that this page does not know. */
export function signOf(status: string): string {
  return SIGNS[status] ?? "○";
}

/** The CSS class that colours a status. */
export function toneOf(status: string): string {
  if (status === "provisioning" || status === "queued") return "initializing";
  return status in SIGNS ? status : "initializing";
}

/** `✓ completed`, coloured. */
export function Status({ status, text = status }: { status: string; text?: string }) {
  return (
    <span class={`status ${toneOf(status)}`}>
      <i aria-hidden="true">{signOf(status)}</i>
      {safeText(text)}
    </span>
  );
}

/** A filled circle with the sign: how a pipeline stands. */
export function Dot({ status, sign, label }: { status: string; sign?: string; label: string }) {
  return (
    <span class={`dot ${toneOf(status)}`} role="img" aria-label={label} title={label}>
      <span aria-hidden="true">{sign ?? signOf(status)}</span>
    </span>
  );
}

/** What a mark shows. */
export type MarkKind = Pick<StripMark, "decision" | "status" | "lateMs">;

/** From this on, a slot that fired counts as late. */
const LATE_MS = 1_000;

/** `fired`, `fired late`, `caught up`, `skipped`, `missed`, `by hand` … */
export function decisionText({ decision, lateMs }: MarkKind): string {
  if (decision === "fired") return (lateMs ?? 0) > LATE_MS ? "fired late" : "fired";
  if (decision === "pending") return "due, not decided yet";
  return decision.replaceAll("_", " ");
}

/**
 * A mark's sentence: `00:37:00Z, caught up 2m 46s late, completed in 7.7s: no daemon was up …`.
 */
export function markSentence(mark: StripMark, pipeline?: string): string {
  const time = mark.slot === null ? undefined : zoned(clockText(mark.slot));
  const isLate = (mark.lateMs ?? 0) > LATE_MS;
  const late = isLate ? ` ${durationText(mark.lateMs ?? 0)} late` : "";
  const took = mark.durationMs === null ? "" : ` in ${durationText(mark.durationMs)}`;
  const head = [
    pipeline,
    time,
    `${decisionText(mark).replace(" late", "")}${late}`,
    mark.status === null ? undefined : `${mark.status}${took}`,
  ].filter((part) => part !== undefined);
  return sentence(`${head.join(", ")}${mark.because === null ? "" : `: ${mark.because}`}`);
}

/**
 * The shape of a mark, 9 wide, in an SVG. Its foot is at `height`. A failed one is taller, so that
 * it stands out of its row.
 */
export function MarkShape({ decision, status, lateMs, height }: MarkKind & { height: number }) {
  const tone = `var(--${toneOf(status ?? "completed")})`;
  const [top, foot] = [height - 19, height];
  switch (decision) {
    case "skipped":
      return <LowBox foot={foot} />;
    case "missed":
      return <DashedBox top={Math.max(1, foot - 19)} foot={foot} />;
    case "coming":
    case "pending":
    case "none":
      return <HollowBar top={top + 4} foot={foot} />;
    case "by_hand":
    case "backfilled":
      return (
        <>
          <path
            d={`M4.5 ${foot - 15}L9.5 ${foot - 7.5}L4.5 ${foot}L-.5 ${foot - 7.5}z`}
            fill={tone}
          />
          <Sign status={status} middle={foot - 7.5} />
        </>
      );
    case "caught_up":
    case "fired": {
      const isTall = status === "failed";
      const peak = isTall ? Math.max(0, foot - 24) : top;
      const isLate = decision === "fired" && (lateMs ?? 0) > LATE_MS;
      const body =
        decision === "caught_up" ? pointed(peak, foot) : isLate ? slanted(peak, foot) : undefined;
      return (
        <>
          {body === undefined ? (
            <rect x="0" y={peak} width="9" height={foot - peak} rx="2" fill={tone} />
          ) : (
            <path d={body} fill={tone} />
          )}
          <Sign status={status} middle={(peak + foot) / 2 + (body === undefined ? 0 : 2.5)} />
        </>
      );
    }
  }
}

function pointed(top: number, foot: number): string {
  return `M0 ${foot - 1}V${top + 7}L4.5 ${top - 1}L9 ${top + 7}${rounded(foot)}`;
}

function slanted(top: number, foot: number): string {
  return `M0 ${foot - 1}V${top}L9 ${top + 9}${rounded(foot)}`;
}

/** From the right side round the foot to the left side. */
function rounded(foot: number): string {
  return `V${foot - 1}Q9 ${foot} 8 ${foot}H1Q0 ${foot} 0 ${foot - 1}z`;
}

function LowBox({ foot }: { foot: number }) {
  return (
    <rect
      x="1"
      y={foot - 9}
      width="7"
      height="8"
      rx="1.5"
      fill="none"
      stroke="var(--skipped)"
      stroke-width="1.5"
    />
  );
}

function DashedBox({ top, foot }: { top: number; foot: number }) {
  return (
    <>
      <rect
        x="1"
        y={top}
        width="7"
        height={foot - top - 1}
        rx="1.5"
        fill="none"
        stroke="var(--missed)"
        stroke-width="1.5"
        stroke-dasharray="2.5 2"
      />
      <circle cx="4.5" cy={(top + foot - 1) / 2} r="1.6" fill="var(--missed)" />
    </>
  );
}

function HollowBar({ top, foot }: { top: number; foot: number }) {
  return (
    <rect
      x="2"
      y={top}
      width="5"
      height={foot - top - 1}
      rx="2"
      fill="none"
      stroke="var(--ink3)"
      stroke-width="1"
    />
  );
}

/** The sign within a bar, of what is not simply completed. */
function Sign({ status, middle: y }: { status: string | null; middle: number }) {
  const line = { fill: "none", stroke: "var(--card)", "stroke-width": "1.6" };
  switch (status) {
    case "failed":
      return <path d={`M2.1 ${y - 2.4}l4.8 4.8m0-4.8l-4.8 4.8`} {...line} />;
    case "running":
      return <path d={`M2.5 ${y - 3}l4.4 3l-4.4 3z`} fill="var(--card)" />;
    case "cached":
      return <path d={`M2 ${y - 2}h5m-5 2h5m-5 2h5`} {...line} stroke-width="1" />;
    case "stopped":
      return <rect x="2.7" y={y - 1.8} width="3.6" height="3.6" fill="var(--card)" />;
    case "stopping":
      return <path d={`M4.5 ${y - 2.5}h-2.5v5h2.5z`} fill="var(--card)" />;
    case "retrying":
    case "retried":
      return <path d={`M2 ${y}a2.5 2.5 0 1 1 2.5 2.5`} {...line} stroke-width="1.3" />;
    case "initializing":
    case "provisioning":
    case "queued":
      return <circle cx="4.5" cy={y} r="1.7" {...line} stroke-width="1.2" />;
    default:
      return null;
  }
}

const LEGEND: readonly (readonly [MarkKind["decision"], string | null, string])[] = [
  ["fired", "completed", "ran"],
  ["fired", "failed", "failed"],
  ["fired", "running", "running"],
  ["caught_up", "completed", "caught up"],
  ["skipped", null, "skipped"],
  ["missed", null, "missed"],
];

/** What the marks of a strip mean. */
export function StripLegend() {
  return (
    <div class="legend">
      {LEGEND.map(([decision, status, text]) => (
        <LegendEntry key={text} kind={{ decision, status, lateMs: 0 }} text={text} />
      ))}
    </div>
  );
}

/** One mark and its word. */
export function LegendEntry({ kind, text }: { kind: MarkKind; text: string }) {
  return (
    <span class="legend-entry">
      <svg width="10" height="24" viewBox="-.5 0 10 24" aria-hidden="true">
        <MarkShape {...kind} height={24} />
      </svg>
      {text}
    </span>
  );
}
