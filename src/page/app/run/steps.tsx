/** The steps of a run, as a drawing or as a list; beyond 200 always a list. */
import { useMemo } from "preact/hooks";
import type { JSX } from "preact";
import type { RunPage, StepPage } from "../../../views/run-page.ts";
import { address, withQuery } from "../location.ts";
import { Status, toneOf } from "../marks.tsx";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { Segments } from "../segments.tsx";
import { countText, durationText } from "../words.ts";
import { MOST_DRAWN } from "./graph-layout.ts";
import { WhereAndWhy } from "./attempts.tsx";
import { GraphDrawing, type GraphLabel } from "./graph.tsx";
import { VirtualList } from "./virtual-list.tsx";

export function Steps({ page }: { readonly page: RunPage }): JSX.Element {
  const { query } = address.value;
  const selected = query.get("step") ?? undefined;
  const tooMany = page.steps.length > MOST_DRAWN;
  const isList = tooMany || query.get("steps") === "list";
  return (
    <section class="card" aria-labelledby="steps">
      <div class="card-head">
        <h2 id="steps">
          Steps <small>{tooMany ? countText(page.steps.length, "step") : ""}</small>
        </h2>
        {!tooMany && (
          <Segments
            isSmall
            label="Steps as"
            segments={[
              { text: "Graph", href: withQuery({ steps: null }), isChosen: !isList },
              { text: "List", href: withQuery({ steps: "list" }), isChosen: isList },
            ]}
          />
        )}
      </div>
      {isList && <StatusFilter steps={page.steps} />}
      {page.steps.length === 0 ? (
        <p class="none">No step has been added yet.</p>
      ) : isList ? (
        <StepList steps={page.steps.filter(isWanted)} selected={selected} />
      ) : (
        <StepGraph page={page} selected={selected} />
      )}
    </section>
  );
}

/** Whether the address asks for steps in this status. */
function isWanted({ status }: StepPage): boolean {
  const only = address.value.query.get("only");
  return only === null || status === only;
}

/** Which steps are listed, with how many there are in each status. */
function StatusFilter({ steps }: { readonly steps: readonly StepPage[] }): JSX.Element | null {
  const counts = new Map<string, number>();
  for (const { status } of steps) counts.set(status, (counts.get(status) ?? 0) + 1);
  const only = address.value.query.get("only");
  if (counts.size < 2 && only === null) return null;
  const choices = [...counts].toSorted((a, b) => a[1] - b[1]);
  return (
    <div class="step-filter scrolls">
      <Segments
        isSmall
        label="Which steps"
        segments={[
          { text: `All ${steps.length}`, href: withQuery({ only: null }), isChosen: only === null },
          ...choices.map(([status, count]) => ({
            text: `${status} ${count}`,
            href: withQuery({ only: status }),
            isChosen: only === status,
          })),
        ]}
      />
    </div>
  );
}

function StepGraph({
  page,
  selected,
}: {
  readonly page: RunPage;
  readonly selected: string | undefined;
}): JSX.Element {
  const byName = useMemo(() => new Map(page.steps.map((step) => [step.step, step])), [page.steps]);
  return (
    <GraphDrawing
      graph={page.graph}
      selected={selected}
      labelOf={(name) => labelOf(name, byName.get(name), name === selected)}
    />
  );
}

function labelOf(name: string, step: StepPage | undefined, selected: boolean): GraphLabel {
  const status = step?.status ?? "initializing";
  return {
    status,
    note: step === undefined ? status : noteOf(step),
    sentence: step === undefined ? `${name}: ${status}` : stepSentence(step),
    href: withQuery({ step: selected ? null : name }),
  };
}

/** `2.1s`, `failed · attempt 3`, `cached`, `waits`. */
function noteOf(step: StepPage): string {
  const { status, attempts, waits } = step;
  if (waits === true) return attempts > 1 ? `waits · attempt ${attempts}` : "waits";
  const took = stepMs(step);
  if (status === "completed" && took !== undefined)
    return attempts > 1 ? `${durationText(took)} · attempt ${attempts}` : durationText(took);
  return attempts > 1 ? `${status} · attempt ${attempts}` : status;
}

/** How long the step took from its first start to its end, with its waits. */
export function stepMs({ startedAt, finishedAt }: StepPage): number | undefined {
  return startedAt === null || finishedAt === null
    ? undefined
    : Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt));
}

/** A step in a whole sentence. */
export function stepSentence(step: StepPage): string {
  const took = stepMs(step);
  const because = step.error?.message ?? step.because;
  return (
    `${step.step}: ${step.status}` +
    (step.attempts > 1 ? `, ${step.attempts} attempts` : "") +
    (took === undefined || step.attempts === 0 ? "" : `, ${durationText(took)}`) +
    (because === null ? "" : `: ${sentence(because)}`)
  );
}

function StepList({
  steps,
  selected,
}: {
  readonly steps: readonly StepPage[];
  readonly selected: string | undefined;
}): JSX.Element {
  return (
    <VirtualList
      class="step-list"
      label="Steps"
      rows={steps.length}
      height={31}
      keyOf={(row) => steps[row]!.step}
    >
      {(row) => <StepRow step={steps[row]!} selected={steps[row]!.step === selected} />}
    </VirtualList>
  );
}

function StepRow({
  step,
  selected,
}: {
  readonly step: StepPage;
  readonly selected: boolean;
}): JSX.Element {
  const took = stepMs(step);
  const because = step.error?.message ?? step.because ?? "";
  return (
    <div class={`step-row ${toneOf(step.status)}${selected ? " selected" : ""}`}>
      <Status status={step.status} />
      <a
        class="g-n"
        href={withQuery({ step: selected ? null : step.step })}
        aria-current={selected ? "true" : undefined}
      >
        {safeText(step.step)}
      </a>
      <span class="num">
        {step.attempts > 1 && `${step.attempts} attempts · `}
        {took === undefined || step.attempts === 0 ? "" : durationText(took)}
      </span>
      <span class="g-w" title={sentence(because)}>
        <WhereAndWhy step={step} why={because} />
      </span>
    </div>
  );
}
