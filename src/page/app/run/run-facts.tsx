/** A run's facts in a row: why it exists, when it began, how long it took, and the runs before. */
import type { JSX } from "preact";
import type { Json } from "../../../core/snapshot.ts";
import type { RunPage } from "../../../views/run-page.ts";
import { now } from "../clock.ts";
import { hrefOf } from "../location.ts";
import { toneOf } from "../marks.tsx";
import { secretName } from "../pipeline/param-field.ts";
import { safeText } from "../safe-text.ts";
import { moveFocus } from "../strip.tsx";
import { countText, durationText } from "../words.ts";
import { clockText, dateText, fullTime, zoned } from "../zone.ts";

/** A param is cut to this many characters; the whole is its tooltip. */
const MOST_PARAM = 60;

export function RunFacts({ page }: { readonly page: RunPage }): JSX.Element {
  return (
    <dl class="facts">
      <div>
        <dt>Trigger</dt>
        <Trigger page={page} />
      </div>
      <div>
        <dt>Began</dt>
        <Began page={page} />
      </div>
      <div>
        <dt>Took</dt>
        <Took page={page} />
      </div>
      <div>
        <dt>Params</dt>
        <dd class="params">
          <Params params={page.params} />
          {page.tags.length > 0 && (
            <small>{safeText(page.tags.map((tag) => `#${tag}`).join(" "))}</small>
          )}
        </dd>
      </div>
      <div class="spark">
        <dt>The runs before</dt>
        <dd>
          <Before page={page} />
        </dd>
      </div>
    </dl>
  );
}

const KINDS: Readonly<Record<string, string>> = {
  schedule: "schedule",
  catch_up: "caught up",
  manual: "by hand",
  backfill: "backfill",
  rerun: "re-run",
};

function Trigger({ page: { trigger, submittedAt } }: { readonly page: RunPage }): JSX.Element {
  const { kind, scheduledFor, schedule, of, requestId } = trigger;
  const slot = scheduledFor === undefined ? "" : `, slot ${zoned(clockText(scheduledFor))}`;
  const named = schedule === undefined ? "" : ` of ${schedule}`;
  return (
    <dd>
      {safeText(`${KINDS[kind] ?? kind}${slot}${named}`)}
      <small>
        {dateText(scheduledFor ?? submittedAt)}
        {of !== undefined && (
          <>
            {" · of "}
            <a href={hrefOf(["runs", of])}>{safeText(of)}</a>
          </>
        )}
        {requestId !== undefined && (
          <>
            {" · "}
            <a href={hrefOf(["requests"], { id: requestId })}>its request</a>
          </>
        )}
      </small>
    </dd>
  );
}

function Began({ page }: { readonly page: RunPage }): JSX.Element {
  const { startedAt, submittedAt, lateMs } = page;
  if (startedAt === null)
    return (
      <dd>
        not yet<small>{`asked for at ${zoned(clockText(submittedAt))}`}</small>
      </dd>
    );
  const waitedMs = lateMs ?? Date.parse(startedAt) - Date.parse(submittedAt);
  const after =
    `${durationText(Math.max(0, waitedMs))} after ` +
    (lateMs === null ? "it was asked for" : "its slot");
  return (
    <dd title={fullTime(startedAt)}>
      {zoned(clockText(startedAt))}
      <small>{after}</small>
    </dd>
  );
}

function Took({ page }: { readonly page: RunPage }): JSX.Element {
  const { durationMs, startedAt, inProgress, usual } = page;
  // The clock is read only where it counts: a run that has ended is drawn once.
  const tookMs =
    durationMs ??
    (inProgress && startedAt !== null ? Math.max(0, now.value - Date.parse(startedAt)) : null);
  return (
    <dd>
      {tookMs === null
        ? "–"
        : durationText(inProgress ? Math.floor(tookMs / 1_000) * 1_000 : tookMs)}
      {inProgress && tookMs !== null && " so far"}
      <small>
        {usual.medianMs === null
          ? "no run of it has completed yet"
          : `median ${durationText(usual.medianMs)} of ${countText(usual.runs, "run")}`}
      </small>
    </dd>
  );
}

function Params({ params }: { readonly params: RunPage["params"] }): JSX.Element {
  const entries = Object.entries(params);
  if (entries.length === 0) return <span class="none">none</span>;
  return (
    <>
      {entries.map(([name, value]) => {
        const text = `${name}=${paramText(value)}`;
        return (
          <code key={name} title={safeText(text)}>
            {safeText(text.length > MOST_PARAM ? `${text.slice(0, MOST_PARAM - 1)}…` : text)}
          </code>
        );
      })}
    </>
  );
}

/** A param's value as JSON; a secret by its name. */
function paramText(value: Json): string {
  const name = secretName(value);
  return name === undefined ? JSON.stringify(value) : `secret ${name}`;
}

function Before({ page }: { readonly page: RunPage }): JSX.Element {
  const most = Math.max(1, ...page.before.map(({ durationMs }) => durationMs ?? 0));
  return (
    <div class="bars" role="group" aria-label="The runs before, oldest first" onKeyDown={moveFocus}>
      {page.before.map(({ run, status, durationMs }) => {
        const took = durationMs === null ? "" : `, ${durationText(durationMs)}`;
        const sentence = `${run}: ${status}${took}`;
        return (
          <a
            key={run}
            href={hrefOf(["runs", run])}
            class={toneOf(status)}
            aria-label={safeText(sentence)}
            title={safeText(sentence)}
            aria-current={run === page.run ? "true" : undefined}
            tabIndex={run === page.run ? 0 : -1}
          >
            <i style={{ height: `${Math.max(8, ((durationMs ?? most) / most) * 100)}%` }} />
          </a>
        );
      })}
    </div>
  );
}
