/**
 * The attempts of each step and the waits between them, on one time axis.
 *
 * Each row says the same in words, so a screen reader needs no twin of it.
 */
import type { JSX } from "preact";
import type { RunPage, StepPage } from "../../../views/run-page.ts";
import { withQuery } from "../location.ts";
import { signOf, toneOf } from "../marks.tsx";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { durationText } from "../words.ts";
import { VirtualList } from "./virtual-list.tsx";

/** A wait's length is written on it if it has this part of the axis, in percent. */
const LABELLED = 9;
/** A bar has its attempt's number on it if it has this part of the axis, in percent. */
const NUMBERED = 2.5;
const LEAST_BAR = 0.6;

interface Axis {
  readonly from: number;
  readonly length: number;
}

type Attempt = StepPage["timeline"][number];

/** The rows. @param now milliseconds since 1970: where what goes on ends for now */
export function Attempts({
  page,
  now,
}: {
  readonly page: RunPage;
  readonly now: number;
}): JSX.Element {
  const from = Date.parse(page.startedAt ?? page.submittedAt);
  const to = page.finishedAt === null ? Math.max(now, from) : Date.parse(page.finishedAt);
  const axis = { from, length: Math.max(1, to - from) };
  return (
    <section class="card" aria-labelledby="attempts">
      <h2 id="attempts">
        Attempts <small>{`0 – ${durationText(axis.length)}`}</small>
      </h2>
      <VirtualList
        class="gantt"
        label="Attempts and waits of each step"
        rows={page.steps.length}
        height={30}
        keyOf={(row) => page.steps[row]!.step}
      >
        {(row) => <Row step={page.steps[row]!} axis={axis} now={to} />}
      </VirtualList>
    </section>
  );
}

function Row({
  step,
  axis,
  now,
}: {
  readonly step: StepPage;
  readonly axis: Axis;
  readonly now: number;
}): JSX.Element {
  const why = step.error?.message ?? step.because ?? "";
  return (
    <div class="g-r">
      <a class="g-n" href={withQuery({ step: step.step })}>
        {safeText(step.step)}
      </a>
      <div class="g-b">
        {step.timeline.length === 0 ? (
          <Point step={step} axis={axis} />
        ) : (
          step.timeline.flatMap((attempt, index) => [
            <Bar key={`a${index}`} attempt={attempt} step={step} axis={axis} now={now} />,
            <Wait
              key={`w${index}`}
              from={attempt.endedAt}
              to={step.timeline[index + 1]?.startedAt ?? waitsUntil(step, index, now)}
              axis={axis}
            />,
          ])
        )}
      </div>
      <div class="g-w" title={sentence(why)}>
        <WhereAndWhy step={step} why={why} />
      </div>
    </div>
  );
}

/** Where a step's attempts ran, and why it is as it is. */
export function WhereAndWhy({
  step,
  why,
}: {
  readonly step: StepPage;
  readonly why: string;
}): JSX.Element {
  const isPlaced = step.timeline.some(({ placed }) => placed !== undefined);
  return (
    <>
      <Where step={step} />
      {isPlaced && why !== "" && " · "}
      {sentence(why)}
    </>
  );
}

/** Where its attempts ran, if not all in processes of the daemon's machine. */
function Where({ step }: { readonly step: StepPage }): JSX.Element | null {
  const places = step.timeline.flatMap(({ placed }) =>
    placed === undefined ? [] : [placeText(placed)],
  );
  if (places.length === 0) return null;
  const told = [...new Set(places)].join(", then ");
  const refs = step.timeline.flatMap(({ placed }) => (placed === undefined ? [] : [placed.ref]));
  return (
    <small class="where" title={safeText(refs.join(", "))}>
      {safeText(told)}
    </small>
  );
}

/** `on farm at w1`. */
function placeText({ place, host }: NonNullable<Attempt["placed"]>): string {
  return `on ${place} at ${host}`;
}

/** Until when the wait after an attempt lasts; null where there is none. */
function waitsUntil(step: StepPage, index: number, now: number): string | null {
  return index === step.timeline.length - 1 && step.status === "retrying"
    ? new Date(now).toISOString()
    : null;
}

/** A step that made no attempt: the cache answered, it was skipped, or it has not begun. */
function Point({ step, axis }: { readonly step: StepPage; readonly axis: Axis }): JSX.Element {
  const at = step.finishedAt ?? step.startedAt;
  const left = at === null ? (step.status === "initializing" ? 0 : 100) : part(axis, at);
  return (
    <span class={`pt ${toneOf(step.status)}`} style={{ left: `${left}%` }}>
      <span aria-hidden="true">{signOf(step.status)}</span>
      <span class="unseen">{step.status}</span>
    </span>
  );
}

function Bar({
  attempt,
  step,
  axis,
  now,
}: {
  readonly attempt: Attempt;
  readonly step: StepPage;
  readonly axis: Axis;
  readonly now: number;
}): JSX.Element {
  const end = attempt.endedAt === null ? now : Date.parse(attempt.endedAt);
  const left = part(axis, attempt.startedAt);
  const tookMs = Math.max(0, end - Date.parse(attempt.startedAt));
  const width = Math.max(LEAST_BAR, (tookMs / axis.length) * 100);
  const told =
    `attempt ${attempt.attempt}: ${attempt.status}, ${durationText(tookMs)}` +
    (attempt.placed === undefined ? "" : `, ${placeText(attempt.placed)}`) +
    (attempt.because === null ? "" : `: ${attempt.because}`);
  return (
    <span
      class={`bar ${toneOf(attempt.status)}`}
      style={{ left: `${Math.min(left, 100 - LEAST_BAR)}%`, width: `${width}%` }}
      title={sentence(told)}
    >
      <span aria-hidden="true">
        {step.timeline.length > 1 && width >= NUMBERED ? attempt.attempt : ""}
      </span>
      <span class="unseen">{sentence(told)}</span>
    </span>
  );
}

function Wait({
  from,
  to,
  axis,
}: {
  readonly from: string | null;
  readonly to: string | null;
  readonly axis: Axis;
}): JSX.Element | null {
  if (from === null || to === null) return null;
  const waitedMs = Math.max(0, Date.parse(to) - Date.parse(from));
  const width = (waitedMs / axis.length) * 100;
  return (
    <span class="wait" style={{ left: `${part(axis, from)}%`, width: `${width}%` }}>
      {width >= LABELLED && <em aria-hidden="true">{durationText(waitedMs)}</em>}
      <span class="unseen">{`, then it waited ${durationText(waitedMs)},`}</span>
    </span>
  );
}

/** Where a time is on the axis, in percent. */
function part({ from, length }: Axis, at: string): number {
  return Math.min(100, Math.max(0, ((Date.parse(at) - from) / length) * 100));
}
