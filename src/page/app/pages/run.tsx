/** Run: how one run stands, why, what its steps did and printed, and what may be asked of it. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { RunPage } from "../../../views/run-page.ts";
import { now } from "../clock.ts";
import { useKeys } from "../keys.ts";
import { address, hrefOf, setQuery } from "../location.ts";
import { Status } from "../marks.tsx";
import { useNamed } from "../named-view.ts";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import type { PageProps } from "../page-props.ts";
import { Attempts } from "../run/attempts.tsx";
import { loadDagre } from "../run/graph-layout.ts";
import { LedgerLines } from "../run/ledger-lines.tsx";
import { Log } from "../run/log.tsx";
import { RunActions } from "../run/run-actions.tsx";
import { RunFacts } from "../run/run-facts.tsx";
import { CacheReasons, WhatWaits, WhyItFailed } from "../run/run-reasons.tsx";
import { useSettled } from "../run/settled.ts";
import { Steps } from "../run/steps.tsx";
import { Values } from "../run/values.tsx";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { countText } from "../words.ts";

export function Run({ target }: PageProps): JSX.Element {
  const { value, problem } = useNamed<RunPage>(`runs/${encodeURIComponent(target)}`, {
    run: target,
  });
  // The drawing's code comes while the run is read.
  useEffect(() => void loadDagre(), []);
  if (value !== undefined)
    return (
      <>
        {problem !== undefined && problem.status !== 0 && <ProblemBox problem={problem} />}
        <Shown page={value} />
      </>
    );
  if (problem === undefined) return <Waiting what="the run" />;
  return (
    <>
      <Crumbs run={target} />
      <h1>{safeText(target)}</h1>
      <ProblemBox problem={problem}>
        <p>
          <a href={hrefOf(["runs"])}>All runs</a>
        </p>
      </ProblemBox>
    </>
  );
}

function Shown({ page }: { readonly page: RunPage }): JSX.Element {
  const side = useRef<HTMLDivElement>(null);
  // The reasons stand above what may be under the pointer, so they wait until it is free.
  const told = useSettled(page, side);
  useStepKeys(page);
  const { run, pipeline, status } = page;
  return (
    <article class="run">
      <Crumbs run={run} />
      <div class="run-head">
        <div>
          <h1>
            <Status status={status} /> {safeText(pipeline)}
            <span class="stamp">{safeText(run.slice(pipeline.length))}</span>
          </h1>
          <p class="lead">{sentence(leadOf(page))}</p>
        </div>
        <RunActions page={page} />
      </div>
      {page.fault !== undefined && (
        <p class="fault" role="alert">
          <b>Its ledger is damaged.</b>{" "}
          {safeText(
            `${page.fault}. What comes after it is not shown; \`orchd verify\` tells more.`,
          )}
        </p>
      )}
      <RunFacts page={page} />
      <div class="cols">
        <div class="wide">
          <Steps page={page} />
          <LiveAttempts page={page} />
          <Log run={run} steps={page.steps.map(({ step }) => step)} inProgress={page.inProgress} />
        </div>
        <div class="side" ref={side}>
          <WhyItFailed page={told} />
          <WhatWaits page={told} />
          <CacheReasons page={told} />
          <Values page={page} />
          <LedgerLines page={page} />
        </div>
      </div>
    </article>
  );
}

/** Only a run that goes on is drawn again each second. */
function LiveAttempts({ page }: { readonly page: RunPage }): JSX.Element {
  return <Attempts page={page} now={page.inProgress ? now.value : 0} />;
}

function leadOf({ because, inProgress, steps }: RunPage): string {
  if (!inProgress || steps.length === 0) return because ?? "";
  const ended = steps.filter(({ finishedAt }) => finishedAt !== null).length;
  const waiting = steps.filter(({ waits }) => waits === true).length;
  const said = because === null ? "" : `${because} · `;
  const waits = waiting === 0 ? "" : `, ${waiting} ${waiting === 1 ? "waits" : "wait"}`;
  return `${said}${ended} of ${countText(steps.length, "step")} ${
    steps.length === 1 ? "has" : "have"
  } ended${waits}`;
}

function Crumbs({ run }: { readonly run: string }): JSX.Element {
  const at = run.indexOf("@");
  const pipeline = at < 0 ? run : run.slice(0, at);
  return (
    <nav class="crumbs" aria-label="Where this is">
      <a href={hrefOf([])}>Overview</a> ›{" "}
      <a href={hrefOf(["pipelines", pipeline])}>{safeText(pipeline)}</a> ›{" "}
      <span aria-current="page">{safeText(at < 0 ? "" : run.slice(at + 1))}</span>
    </nav>
  );
}

/** j and k go from step to step. */
function useStepKeys({ steps }: RunPage): void {
  const move = (by: number): void => {
    if (steps.length === 0) return;
    const chosen = address.value.query.get("step");
    const at = steps.findIndex(({ step }) => step === chosen);
    const next = at < 0 ? (by > 0 ? 0 : steps.length - 1) : at + by;
    const step = steps[next]?.step;
    if (step !== undefined) setQuery({ step, line: null });
  };
  useKeys([
    { key: "j", does: "the next step", run: () => move(1) },
    { key: "k", does: "the step before", run: () => move(-1) },
  ]);
}
