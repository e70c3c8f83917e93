/** Why a run failed, and why each of its steps was cached or not. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { StepError } from "../../../core/failure.ts";
import type { RunLogPage } from "../../../views/run-log.ts";
import type { RunPage, StepPage } from "../../../views/run-page.ts";
import { get } from "../api.ts";
import { hrefOf, withQuery } from "../location.ts";
import { Status } from "../marks.tsx";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { untilAnswered } from "../until-answered.ts";
import { countText, someText } from "../words.ts";
import { logPieces } from "./ansi.ts";

/** This many failed steps are explained, reasons to wait, steps of one reason, steps' cache. */
const MOST = { failed: 5, waits: 5, named: 6, cache: 12 } as const;
/** The last lines that a failed step printed on stderr. */
const LAST_LINES = 4;

/** The card; nothing where nothing failed. */
export function WhyItFailed({ page }: { readonly page: RunPage }): JSX.Element | null {
  const failed = page.steps.filter(({ status }) => status === "failed");
  if (failed.length === 0) return null;
  return (
    <section class="card why" aria-labelledby="why">
      <h2 id="why">Why it failed</h2>
      {failed.slice(0, MOST.failed).map((step) => (
        <FailedStep key={step.step} run={page.run} step={step} />
      ))}
      {failed.length > MOST.failed && (
        <p class="mute">
          {`${countText(failed.length - MOST.failed, "more step")} failed. `}
          <a href={withQuery({ steps: "list", only: "failed" })}>The list of steps</a> tells why.
        </p>
      )}
    </section>
  );
}

function FailedStep({ run, step }: { readonly run: string; readonly step: StepPage }): JSX.Element {
  const { error } = step;
  const kind = [error?.name, error?.code, step.because ?? countText(step.attempts, "attempt")]
    .filter((part) => part !== undefined)
    .join(" · ");
  return (
    <div class="failed-step">
      <p>
        <a href={withQuery({ step: step.step })}>
          <b>{safeText(step.step)}</b>
        </a>
        {`: ${sentence(error?.message ?? step.because ?? "it failed")}`}
      </p>
      <p class="mute">{sentence(kind)}</p>
      {error !== undefined && <Causes error={error} />}
      <LastLines run={run} step={step.step} attempts={step.attempts} />
      {error?.stack !== undefined && (
        <details>
          <summary>Stack</summary>
          <pre>{lines(error.stack)}</pre>
        </details>
      )}
    </div>
  );
}

function Causes({ error }: { readonly error: StepError }): JSX.Element | null {
  const causes = [error.cause, ...(error.errors ?? [])].filter((one) => one !== undefined);
  if (causes.length === 0) return null;
  return (
    <>
      {causes.map((cause, index) => (
        <p key={index} class="mute">
          {`because of ${safeText(`${cause.name}: ${cause.message}`)}`}
        </p>
      ))}
    </>
  );
}

/** A text of several lines, each made safe. */
function lines(text: string): string {
  return text
    .split("\n")
    .map((line) => safeText(line))
    .join("\n");
}

/** What the step printed last on stderr. */
function LastLines({
  run,
  step,
  attempts,
}: {
  readonly run: string;
  readonly step: string;
  readonly attempts: number;
}): JSX.Element | null {
  const [page, setPage] = useState<RunLogPage>();
  useEffect(() => {
    const own = new AbortController();
    const query = new URLSearchParams({ step, stream: "stderr", from: "-2000", limit: "2000" });
    const route = `runs/${encodeURIComponent(run)}/log?${query.toString()}`;
    const ask = async (): Promise<RunLogPage | undefined> => {
      const answer = await get<RunLogPage>(route);
      return answer.ok ? answer.value : undefined;
    };
    void untilAnswered(ask, own.signal).then((answer) => {
      if (answer !== undefined) setPage(answer);
    });
    return () => own.abort();
  }, [run, step, attempts]);
  const last = page?.lines.slice(-LAST_LINES) ?? [];
  if (last.length === 0) return null;
  return (
    <pre class="last-lines" tabIndex={0} aria-label={`What ${safeText(step)} printed last`}>
      {last.map(({ n, line }) => (
        <div key={n}>
          {logPieces(line).map(({ text, classes }, index) => (
            <span key={index} class={classes}>
              {safeText(text)}
            </span>
          ))}
        </div>
      ))}
    </pre>
  );
}

/** What steps wait for that could begin: a place, or an image. Nothing where none does. */
export function WhatWaits({ page }: { readonly page: RunPage }): JSX.Element | null {
  const reasons = new Map<string, string[]>();
  for (const { step, waits, because } of page.steps) {
    if (waits !== true) continue;
    const reason = (because ?? "").replace(/^it waits: /, "");
    reasons.set(reason, [...(reasons.get(reason) ?? []), step]);
  }
  if (reasons.size === 0) return null;
  return (
    <section class="card" aria-labelledby="waits">
      <h2 id="waits">What it waits for</h2>
      <ul class="reasons">
        {[...reasons].slice(0, MOST.waits).map(([reason, steps]) => (
          <li key={reason}>
            <b>{safeText(someText(steps, MOST.named))}</b>
            <br />
            <span class="mute">{sentence(reason)}</span>
          </li>
        ))}
      </ul>
      <p class="mute">
        <a href={hrefOf(["places"])}>Places</a> tells where steps may run.
      </p>
    </section>
  );
}

/** Why each step was answered by the cache, or not. */
export function CacheReasons({ page }: { readonly page: RunPage }): JSX.Element {
  const known = page.steps.filter(({ status, timeline }) => status === "cached" || timeline.length);
  const sorted = [
    ...known.filter(({ status }) => status === "cached"),
    ...known.filter(({ status }) => status !== "cached"),
  ];
  const cached = known.filter(({ status }) => status === "cached").length;
  return (
    <section class="card cache" aria-labelledby="cache">
      <h2 id="cache">
        Cache <small>{`${cached} of ${countText(page.steps.length, "step")}`}</small>
      </h2>
      {known.length === 0 && <p class="none">No step has begun yet.</p>}
      <ul class="reasons">
        {sorted.slice(0, MOST.cache).map((step) => (
          <li key={step.step}>
            <CacheReason step={step} />
          </li>
        ))}
      </ul>
      {known.length > MOST.cache && (
        <p class="mute">
          {`${countText(known.length - MOST.cache, "more step")}. `}
          <a href={withQuery({ steps: "list" })}>The list of steps</a> tells of all.
        </p>
      )}
    </section>
  );
}

function CacheReason({ step }: { readonly step: StepPage }): JSX.Element {
  const isCached = step.status === "cached";
  const because = isCached ? step.because : (step.timeline[0]?.because ?? step.because);
  return (
    <>
      {isCached ? <Status status="cached" /> : <span class="ran">ran</span>}{" "}
      <b>{safeText(step.step)}</b>
      <br />
      <span class="mute">
        {sentence(because ?? "no reason is recorded")}
        {step.source !== null && (
          <>
            {" · "}
            <a href={hrefOf(["runs", step.source.run], { step: step.source.step })}>its source</a>
          </>
        )}
      </span>
    </>
  );
}
