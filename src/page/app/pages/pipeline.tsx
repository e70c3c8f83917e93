/** Pipeline: how it stands, what it did, what comes, and what may be asked of it. */
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { PipelinePage } from "../../../views/pipeline-page.ts";
import type { RunSummary } from "../../../views/run-list.ts";
import { now } from "../clock.ts";
import { Columns } from "../columns.tsx";
import { mayOperate } from "../here.ts";
import { useKeys } from "../keys.ts";
import { hrefOf } from "../location.ts";
import { Status } from "../marks.tsx";
import type { PageProps } from "../page-props.ts";
import { askToPause, pauseIntent, silenceIntent } from "../pipeline-requests.tsx";
import { NextSlots } from "../pipeline/next-slots.tsx";
import { Outlook } from "../pipeline/outlook.tsx";
import { ParamsForm } from "../pipeline/params-form.tsx";
import { StripCard } from "../pipeline/strip-card.tsx";
import { Trend } from "../pipeline/trend.tsx";
import { Versions } from "../pipeline/versions.tsx";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import { AskButton } from "../run/ask-button.tsx";
import { GraphDrawing, type GraphLabel } from "../run/graph.tsx";
import { MOST_DRAWN, needsOf } from "../run/graph-layout.ts";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { useNamed } from "../named-view.ts";
import { UnderWay } from "../under-way.tsx";
import { useView } from "../view.ts";
import { comingText, countText, durationText, someText } from "../words.ts";
import { commonZone, fullTime, offered, shortTime, zoned } from "../zone.ts";

export function Pipeline({ target }: PageProps): JSX.Element {
  const { value, problem } = useNamed<PipelinePage>(`pipelines/${encodeURIComponent(target)}`, {
    pipeline: target,
  });
  if (value !== undefined)
    return (
      <>
        {problem !== undefined && problem.status !== 0 && <ProblemBox problem={problem} />}
        <Shown page={value} />
      </>
    );
  if (problem === undefined) return <Waiting what="the pipeline" />;
  return (
    <>
      <Crumbs name={target} />
      <h1>{safeText(target)}</h1>
      <ProblemBox problem={problem}>
        <p>
          <a href={hrefOf([])}>All pipelines</a>
        </p>
      </ProblemBox>
    </>
  );
}

function Crumbs({ name }: { readonly name: string }): JSX.Element {
  return (
    <nav class="crumbs" aria-label="Where this is">
      <a href={hrefOf([])}>Overview</a> › <span aria-current="page">{safeText(name)}</span>
    </nav>
  );
}

function Shown({ page }: { readonly page: PipelinePage }): JSX.Element {
  const zone = commonZone([page.timezones]);
  useEffect(() => {
    if (zone !== undefined) offered.value = zone;
  }, [zone]);
  // A fault of its file stands in a box of its own.
  const because = page.because !== null && page.errors.includes(page.because) ? null : page.because;
  return (
    <article class="pipeline">
      <Crumbs name={page.name} />
      <div class="run-head">
        <div>
          <h1>
            <Standing page={page} /> {safeText(page.name)}
          </h1>
          <p class="lead">{sentence(page.description ?? because)}</p>
          {page.description !== null && because !== null && <p class="mute">{sentence(because)}</p>}
        </div>
        <Actions page={page} />
      </div>
      <Errors page={page} />
      <Facts page={page} />
      <StripCard page={page} />
      <UnderWay backfills={page.backfills} />
      <div class="cols">
        <div class="wide">
          <ParamsForm page={page} />
          <Trend page={page} />
          <Runs page={page} />
          <Steps page={page} />
        </div>
        <div class="side">
          <NextSlots page={page} />
          <Outlook page={page} />
          <Versions page={page} />
        </div>
      </div>
    </article>
  );
}

function Standing({ page }: { readonly page: PipelinePage }): JSX.Element {
  if (page.removed === true) return <Status status="skipped" text="removed" />;
  if (!page.valid) return <Status status="failed" text="not valid" />;
  if (page.paused) return <Status status="skipped" text="paused" />;
  if (page.active.length > 0) return <Status status="running" />;
  return (
    <Status
      status={page.lastRun?.status ?? "initializing"}
      text={page.lastRun?.status ?? "has not run"}
    />
  );
}

function Actions({ page }: { readonly page: PipelinePage }): JSX.Element {
  const { name, paused } = page;
  useKeys([
    {
      key: "p",
      does: paused ? "resume it" : "pause it",
      run: () => {
        if (mayOperate.value) askToPause(page);
      },
    },
  ]);
  return (
    <div class="acts">
      <a class="button primary" href="#run-it" onClick={toForm}>
        Run…
      </a>
      <AskButton intent={pauseIntent(page)} text={paused ? "Resume" : "Pause"} />
      <AskButton intent={silenceIntent(name)} text="Silence…" note="no messages for 2h" />
      <a class="button" href={hrefOf(["backfill"], { pipeline: name })}>
        Backfill… <small>the price first</small>
      </a>
      <a class="button" href={hrefOf(["slots"], { pipeline: name })}>
        Slots
      </a>
      <a class="button" href={hrefOf(["pipelines", name, "file"])}>
        File
      </a>
    </div>
  );
}

/** To the form's first field, or its button. */
function toForm(event: Event): void {
  event.preventDefault();
  const form = document.querySelector(".params-form");
  form?.scrollIntoView({ block: "center" });
  form?.querySelector<HTMLElement>("input, textarea, button")?.focus({ preventScroll: true });
}

function Errors({ page }: { readonly page: PipelinePage }): JSX.Element | null {
  if (page.errors.length === 0) return null;
  return (
    <div class="fault" role="alert">
      {page.errors.map((error, index) => (
        <p key={index}>{safeText(error)}</p>
      ))}
      <p>
        <a href={hrefOf(["pipelines", page.name, "file"])}>The file, with its faults</a>
      </p>
    </div>
  );
}

function Facts({ page }: { readonly page: PipelinePage }): JSX.Element {
  const { lastRun, counts } = page;
  return (
    <dl class="facts">
      <div>
        <dt>Schedule</dt>
        <dd>
          {page.schedule === null ? "none" : <code>{safeText(page.schedule)}</code>}
          <small>{safeText(page.timezones.join(", "))}</small>
        </dd>
      </div>
      <div>
        <dt>Next</dt>
        <dd>
          {page.nextFire === null
            ? page.paused
              ? "paused"
              : "–"
            : comingText(page.nextFire, now.value)}
          <small>{page.nextFire === null ? "" : zoned(shortTime(page.nextFire, now.value))}</small>
        </dd>
      </div>
      <div>
        <dt>Last run</dt>
        <dd>
          {lastRun === null ? (
            "–"
          ) : (
            <a href={hrefOf(["runs", lastRun.run])}>
              <Status status={lastRun.status} />
            </a>
          )}
          <small>
            {[
              page.lastMs === null ? "" : durationText(page.lastMs),
              page.usualMs === null ? "" : `usually ${durationText(page.usualMs)}`,
            ]
              .filter((part) => part !== "")
              .join(", ")}
          </small>
        </dd>
      </div>
      <div>
        <dt>Runs now</dt>
        <dd>
          {page.active.length + page.queued.length === 0 && "nothing"}
          {page.active.map((run) => (
            <a key={run} class="run-link" href={hrefOf(["runs", run])}>
              {safeText(run.slice(page.name.length + 1))}
            </a>
          ))}
          {page.queued.length > 0 && (
            <small title={sentence(page.waiting?.[0]?.because)}>
              {countText(page.queued.length, "run waits", "runs wait")}
            </small>
          )}
        </dd>
      </div>
      <div>
        <dt>So far</dt>
        <dd class="sums">
          <small>{countsText(counts)}</small>
        </dd>
      </div>
    </dl>
  );
}

function countsText(counts: PipelinePage["counts"]): string {
  const parts = Object.entries(counts)
    .filter((entry): entry is [string, number] => typeof entry[1] === "number" && entry[1] > 0)
    .map(([what, count]) => `${count.toLocaleString("en")} ${words(what)}`);
  return parts.length === 0 ? "nothing yet" : parts.join(", ");
}

/** `caughtUp` -> `caught up`. */
function words(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function Runs({ page: { name } }: { readonly page: PipelinePage }): JSX.Element {
  const { value } = useView<{ readonly runs: readonly RunSummary[] }>(
    `runs?pipeline=${encodeURIComponent(name)}&limit=15`,
    { pipeline: name },
  );
  return (
    <section class="card flush" aria-labelledby="its-runs">
      <div class="card-head">
        <h2 id="its-runs">Its runs</h2>
        <a href={hrefOf(["runs"], { pipeline: name })}>all of them</a>
      </div>
      <div class="scrolls" tabIndex={0} role="group" aria-label="Its newest runs">
        <table class="data stacked">
          <Columns names={["Status", "Run", "Began", "Took", "Because"]} />
          <tbody>
            {(value?.runs ?? []).map((run) => (
              <tr key={run.run}>
                <td>
                  <Status status={run.status} />
                </td>
                <td>
                  <a href={hrefOf(["runs", run.run])}>{safeText(run.run.slice(name.length + 1))}</a>
                </td>
                <td>{run.startedAt === null ? "not yet" : fullTime(run.startedAt)}</td>
                <td>{run.durationMs === null ? "–" : durationText(run.durationMs)}</td>
                <td class="mute cut" title={sentence(run.because)}>
                  {sentence(run.because)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {value?.runs.length === 0 && <p class="none">It has not run yet.</p>}
    </section>
  );
}

function Steps({ page: { graph, name } }: { readonly page: PipelinePage }): JSX.Element | null {
  if (graph === null || graph.steps.length === 0) return null;
  const steps = new Map(graph.steps.map((step) => [step.step, step]));
  const { name: run } = graph;
  const isOfRun = run.includes("@");
  const link = (step: string): string =>
    isOfRun ? hrefOf(["runs", run], { step }) : hrefOf(["pipelines", name, "file"]);
  const labelOf = (name: string): GraphLabel => {
    const step = steps.get(name);
    const needs = step === undefined ? [] : needsOf(step).map(([need]) => need);
    const needed = needs.length === 0 ? "needs nothing" : `needs ${someText(needs)}`;
    return {
      status: step?.status ?? "initializing",
      note: step?.status ?? needed,
      sentence: `${name}: ${step?.status === undefined ? needed : `${step.status}, ${needed}`}`,
      href: link(name),
    };
  };
  return (
    <section class="card" aria-labelledby="its-steps">
      <h2 id="its-steps">
        Steps <small>{isOfRun ? "as in its newest run" : "and what each needs"}</small>
      </h2>
      {graph.steps.length > MOST_DRAWN ? (
        <p>
          {`${countText(graph.steps.length, "step")}: `}
          <a href={hrefOf(["runs", run])}>the newest run lists them</a>.
        </p>
      ) : (
        <GraphDrawing graph={graph} selected={undefined} labelOf={labelOf} />
      )}
    </section>
  );
}
