/** Diff: two runs side by side, and what is different about each step. The address names both. */
import type { JSX, TargetedSubmitEvent } from "preact";
import type { RunDiff, StepDiff } from "../../../views/run-diff.ts";
import type { RunSummary } from "../../../views/run-list.ts";
import type { RunPage } from "../../../views/run-page.ts";
import { Columns } from "../columns.tsx";
import { Command } from "../command.tsx";
import { formText } from "../form-text.ts";
import { address, hrefOf, setQuery } from "../location.ts";
import { Status } from "../marks.tsx";
import { useNamed } from "../named-view.ts";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { useView } from "../view.ts";
import { countText, durationText } from "../words.ts";
import { fullTime } from "../zone.ts";

export function Diff(): JSX.Element {
  const { query } = address.value;
  const [a, b] = [query.get("a") ?? "", query.get("b") ?? ""];
  const isAsked = a !== "" && b !== "";
  const { value, problem } = useNamed<RunDiff>(
    isAsked ? `diff?${new URLSearchParams({ a, b }).toString()}` : null,
    { pipeline: pipelineOf(b) },
  );
  return (
    <article>
      <h1>Compare two runs</h1>
      <Choice key={`${a} ${b}`} a={a} b={b} />
      {problem !== undefined && <ProblemBox problem={problem} />}
      {isAsked && value === undefined && problem === undefined && <Waiting what="both runs" />}
      {isAsked && value !== undefined && <Shown diff={value} />}
    </article>
  );
}

function pipelineOf(run: string): string {
  return run.split("@")[0] ?? "";
}

/**
 * Which runs: those of the same pipeline are offered. What is typed is the browser's until it is
 * sent: a `value` would take it away with each update.
 */
function Choice({ a, b }: { readonly a: string; readonly b: string }): JSX.Element {
  const pipeline = pipelineOf(b || a);
  const only = pipeline === "" ? "" : `&pipeline=${encodeURIComponent(pipeline)}`;
  const route = `runs?limit=100${only}`;
  const scope = pipeline === "" ? {} : { pipeline };
  const { value } = useNamed<{ readonly runs: readonly RunSummary[] }>(route, scope);
  const compare = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    setQuery({ a: formText(given, "a"), b: formText(given, "b") }, { replace: false });
  };
  return (
    <form class="card choice" onSubmit={compare}>
      <label>
        Before
        <input
          name="a"
          list="runs"
          required
          spellcheck={false}
          autocomplete="off"
          defaultValue={a}
        />
      </label>
      <label>
        After
        <input
          name="b"
          list="runs"
          required
          spellcheck={false}
          autocomplete="off"
          defaultValue={b}
        />
      </label>
      <datalist id="runs">
        {(value?.runs ?? []).map(({ run, status }) => (
          <option key={run} value={run}>
            {status}
          </option>
        ))}
      </datalist>
      <button type="submit" class="button primary">
        Compare
      </button>
      <button
        type="button"
        class="button"
        onClick={() => setQuery({ a: b, b: a }, { replace: false })}
      >
        Swap
      </button>
    </form>
  );
}

function Shown({ diff }: { readonly diff: RunDiff }): JSX.Element {
  const different = diff.steps.filter(({ changes }) => changes.length > 0).length;
  const ran = diff.steps.filter(({ ranAnew }) => ranAnew).length;
  const before = useView<RunPage>(`runs/${encodeURIComponent(diff.before)}`, { run: diff.before });
  const after = useView<RunPage>(`runs/${encodeURIComponent(diff.after)}`, { run: diff.after });
  return (
    <>
      <div class="two">
        <Side title="Before" run={diff.before} page={before.value} />
        <Side title="After" run={diff.after} page={after.value} />
      </div>
      <section class="card" aria-labelledby="changed">
        <h2 id="changed">What changed</h2>
        <p>
          {diff.pipelineChanged
            ? "The pipeline's file is another one."
            : "The pipeline is the same."}{" "}
          {`${different} of ${countText(diff.steps.length, "step")} differ, `}
          {`${countText(ran, "step")} ran in the second.`}
        </p>
        {diff.params.length > 0 && (
          <ParamTable names={diff.params} before={before.value} after={after.value} />
        )}
      </section>
      <section class="card flush" aria-labelledby="step-diffs">
        <h2 id="step-diffs">Steps</h2>
        <div class="scrolls" tabIndex={0} role="group" aria-label="Steps compared">
          <table class="data">
            <Columns names={["Step", "Before", "After", "What is different", "Because"]} />
            <tbody>
              {diff.steps.map((step) => (
                <StepRow key={step.step} step={step} diff={diff} />
              ))}
            </tbody>
          </table>
        </div>
      </section>
      <Command words={["orchd", "diff", diff.before, diff.after]} />
    </>
  );
}

function Side({
  title,
  run,
  page,
}: {
  readonly title: string;
  readonly run: string;
  readonly page: RunPage | undefined;
}): JSX.Element {
  return (
    <section class="card" aria-label={title}>
      <p class="mute">{title}</p>
      <p>
        <a href={hrefOf(["runs", run])}>
          <b>{safeText(run)}</b>
        </a>
      </p>
      {page !== undefined && (
        <p>
          <Status status={page.status} />{" "}
          {page.durationMs !== null && `in ${durationText(page.durationMs)} · `}
          {page.startedAt !== null && fullTime(page.startedAt)}
        </p>
      )}
      {typeof page?.because === "string" && <p class="mute">{sentence(page.because)}</p>}
    </section>
  );
}

function ParamTable({
  names,
  before,
  after,
}: {
  readonly names: readonly string[];
  readonly before: RunPage | undefined;
  readonly after: RunPage | undefined;
}): JSX.Element {
  const text = (page: RunPage | undefined, name: string): string => {
    if (page === undefined) return "…";
    const value = page.params[name];
    return value === undefined ? "–" : safeText(JSON.stringify(value));
  };
  return (
    <table class="data">
      <Columns names={["Param", "Before", "After"]} />
      <tbody>
        {names.map((name) => (
          <tr key={name}>
            <th scope="row">
              <code>{safeText(name)}</code>
            </th>
            <td>
              <code>{text(before, name)}</code>
            </td>
            <td>
              <code>{text(after, name)}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function StepRow({ step, diff }: { readonly step: StepDiff; readonly diff: RunDiff }): JSX.Element {
  return (
    <tr>
      <th scope="row">{safeText(step.step)}</th>
      <td>
        <StepLink run={diff.before} step={step.step} status={step.before} />
      </td>
      <td>
        <StepLink run={diff.after} step={step.step} status={step.after} />
      </td>
      <td>
        {step.changes.length === 0 ? (
          <span class="mute">nothing</span>
        ) : (
          safeText(step.changes.join(", "))
        )}
      </td>
      <td class="mute">
        {sentence(step.because)}
        {step.skippedBefore !== undefined && safeText(` (before: ${step.skippedBefore})`)}
      </td>
    </tr>
  );
}

function StepLink({
  run,
  step,
  status,
}: {
  readonly run: string;
  readonly step: string;
  readonly status: string | null;
}): JSX.Element {
  return status === null ? (
    <span class="mute">not there</span>
  ) : (
    <a href={hrefOf(["runs", run], { step })}>
      <Status status={status} />
    </a>
  );
}
