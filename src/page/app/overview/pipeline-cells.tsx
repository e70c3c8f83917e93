/** The cells of a pipeline's row. */
import type { PipelineRow, StripMark } from "../../../views/overview.ts";
import { now } from "../clock.ts";
import { here } from "../here.ts";
import { hrefOf } from "../location.ts";
import { Dot, Status } from "../marks.tsx";
import { scheduleText } from "../schedule-text.ts";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { Strip } from "../strip.tsx";
import { comingText, durationText, relativeText, someText } from "../words.ts";
import { shortTime, zoned } from "../zone.ts";

export function PipelineCells({
  row,
  strip,
}: {
  row: PipelineRow;
  /** Undefined until it is there. */
  strip: readonly StripMark[] | undefined;
}) {
  return (
    <>
      <span role="cell" class="c-state">
        <State row={row} />
      </span>
      <span role="cell" class="c-name">
        <a class="name" href={hrefOf(["pipelines", row.name])}>
          {safeText(row.name)}
        </a>
        {row.description !== null && (
          <small title={safeText(row.description)}>{safeText(row.description)}</small>
        )}
      </span>
      <span role="cell" class="c-schedule">
        <code title={row.schedule ?? undefined}>{scheduleText(row)}</code>
        <small>{safeText(someText(row.timezones, 1))}</small>
      </span>
      <span role="cell" class="c-next">
        <Next row={row} />
      </span>
      <span role="cell" class="c-strip">
        {strip !== undefined && <Strip pipeline={row.name} marks={strip} />}
      </span>
      <span role="cell" class="c-last">
        <Last row={row} />
      </span>
      <span role="cell" class="c-because" title={row.because ?? undefined}>
        <span>{sentence(row.because?.replaceAll(`${here.value?.root}/`, ""))}</span>
      </span>
    </>
  );
}

function State({ row }: { row: PipelineRow }) {
  const status = row.lastRun?.status;
  if (!row.valid) return <Dot status="failed" sign="!" label="its file is not valid" />;
  if (row.active.length > 0) return <Dot status="running" label="running" />;
  if (row.paused) return <Dot status="skipped" sign="‖" label="paused" />;
  if (status === undefined) return <Dot status="initializing" label="has not run yet" />;
  return <Dot status={status} label={`last run ${status}`} />;
}

function Next({ row: { paused, nextFire } }: { row: PipelineRow }) {
  if (paused) return <span class="mute">paused</span>;
  if (nextFire === null) return <span class="mute">–</span>;
  return (
    <>
      {comingText(nextFire, now.value)}
      <small title={zoned(shortTime(nextFire, now.value))}>{shortTime(nextFire, now.value)}</small>
    </>
  );
}

function Last({ row: { lastRun, lastMs, active } }: { row: PipelineRow }) {
  if (lastRun === null) return <span class="mute">–</span>;
  const { run, status, startedAt, finishedAt } = lastRun;
  const isOver = finishedAt !== null && !active.includes(run);
  const begun = startedAt === null ? "waits" : `since ${shortTime(startedAt, now.value)}`;
  const took = lastMs === null ? "" : `${durationText(lastMs)} · `;
  return (
    <a href={hrefOf(["runs", run])}>
      <Status status={status} />
      <small>{isOver ? `${took}${relativeText(finishedAt, now.value)}` : begun}</small>
    </a>
  );
}
