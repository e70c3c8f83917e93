/** Runs: the newest first, by pipeline, status, time and words. */
import { useEffect, useRef } from "preact/hooks";
import type { RunSummary } from "../../../views/run-list.ts";
import { now } from "../clock.ts";
import { Columns } from "../columns.tsx";
import { address, go, hrefOf, setQuery, withQuery } from "../location.ts";
import { Status } from "../marks.tsx";
import { useNamed } from "../named-view.ts";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import { useRowKeys } from "../row-keys.ts";
import { safeText } from "../safe-text.ts";
import { Segments } from "../segments.tsx";
import { sentence } from "../sentence.ts";
import { useHold, useSteady } from "../steady.ts";
import { countText, durationText, relativeText } from "../words.ts";
import { fullTime, shortTime } from "../zone.ts";

/** `GET /api/v1/runs`. */
interface RunList {
  readonly runs: readonly RunSummary[];
  /** Where the next page begins; null at the end. */
  readonly cursor: string | null;
}

const LIMIT = 50;
const STATUSES = ["", "running", "failed", "completed", "stopped"] as const;
const TIMES = [
  ["", "Any time"],
  ["1h", "1 h"],
  ["24h", "24 h"],
  ["7d", "7 d"],
] as const;
const PASSED_ON = ["pipeline", "status", "since", "q", "cursor"] as const;

export function Runs() {
  const { query } = address.value;
  const asked = new URLSearchParams({ limit: String(LIMIT) });
  for (const key of PASSED_ON) {
    const value = query.get(key);
    if (value !== null && value !== "") asked.set(key, value);
  }
  const pipeline = query.get("pipeline");
  const { value, problem, stale } = useNamed<RunList>(
    `runs?${asked.toString()}`,
    pipeline === null ? {} : { pipeline },
  );
  const hasProblem = problem !== undefined && problem.status !== 0;
  // Until the answer comes, the rows are those of the filter before.
  const filter = useRef("");
  if (!stale) filter.current = asked.toString();
  return (
    <>
      <Filters />
      {hasProblem && <ProblemBox problem={problem} />}
      {value === undefined
        ? !hasProblem && <Waiting what="the runs" />
        : !hasProblem && <Shown list={value} filter={filter.current} />}
    </>
  );
}

function Filters() {
  const { query } = address.value;
  const status = query.get("status") ?? "";
  const since = query.get("since") ?? "";
  const statuses = STATUSES.includes(status as "") ? STATUSES : [...STATUSES, status];
  const times = TIMES.some(([key]) => key === since)
    ? TIMES
    : [...TIMES, [since, `since ${timeText(since)}`] as const];
  return (
    <div class="heading">
      <h1>Runs</h1>
      <p />
      <Field name="pipeline" label="Pipeline" placeholder="Any pipeline" />
      <Field name="q" label="Words of a run, a step or a reason" placeholder="Any words" />
      <Segments
        label="Status"
        segments={statuses.map((one) => ({
          text: one === "" ? "All" : `${one[0]!.toUpperCase()}${one.slice(1)}`,
          href: withQuery({ status: one, cursor: null }),
          isChosen: one === status,
        }))}
      />
      <Segments
        label="Since"
        segments={times.map(([key, text]) => ({
          text,
          href: withQuery({ since: key, cursor: null }),
          isChosen: key === since,
        }))}
      />
    </div>
  );
}

/** A link from elsewhere may name a moment. */
function timeText(since: string): string {
  const at = Date.parse(since);
  return Number.isNaN(at) ? since : shortTime(at, now.value);
}

/** A text to filter by. What is typed is the browser's until Enter: no update takes it away. */
function Field({
  name,
  label,
  placeholder,
}: {
  name: "pipeline" | "q";
  label: string;
  placeholder: string;
}) {
  const input = useRef<HTMLInputElement>(null);
  const value = address.value.query.get(name) ?? "";
  useEffect(() => {
    if (input.current !== null) input.current.value = value;
  }, [value]);
  const apply = (): void => {
    const typed = input.current?.value.trim() ?? "";
    if (typed !== value) setQuery({ [name]: typed, cursor: null }, { replace: false });
  };
  return (
    <form
      class="field"
      onSubmit={(event) => {
        event.preventDefault();
        apply();
      }}
    >
      <input
        ref={input}
        type="search"
        aria-label={label}
        placeholder={placeholder}
        autocomplete="off"
        spellcheck={false}
        onChange={apply}
      />
    </form>
  );
}

function Shown({ list, filter }: { list: RunList; filter: string }) {
  const box = useRef<HTMLDivElement>(null);
  const hold = useHold(box);
  const rows = useSteady(list.runs, ({ run }) => run, hold, filter);
  useRowKeys(box);
  const isFirst = !address.value.query.has("cursor");
  return (
    <div ref={box}>
      {rows.length === 0 ? (
        <p class="card">No run is in this choice.</p>
      ) : (
        <table class="table runs">
          <Columns names={["Status", "Run", "Trigger", "Began", "Took", "Because"]} />
          <tbody>
            {rows.map((run) => (
              <RunRow key={run.run} run={run} />
            ))}
          </tbody>
        </table>
      )}
      <div class="pages">
        {!isFirst && (
          <a class="button" href={withQuery({ cursor: null })}>
            Newest
          </a>
        )}
        {list.cursor !== null && (
          <a class="button" href={withQuery({ cursor: list.cursor })}>
            Older
          </a>
        )}
      </div>
    </div>
  );
}

function RunRow({ run }: { run: RunSummary }) {
  const { status, pipeline, trigger, startedAt, submittedAt, durationMs, steps, because } = run;
  const at = startedAt ?? submittedAt;
  const open = (event: MouseEvent): void => {
    // The whole row is a way to the run; its links and marked text stay what they are.
    if (event.target instanceof Element && event.target.closest("a") !== null) return;
    if (getSelection()?.isCollapsed === false) return;
    go(hrefOf(["runs", run.run]));
  };
  return (
    <tr data-row={run.run} onClick={open}>
      <td>
        <Status status={status} />
      </td>
      <td>
        <a class="name" href={hrefOf(["runs", run.run])}>
          {safeText(pipeline)}
          <span class="at">{safeText(run.run.slice(pipeline.length))}</span>
        </a>
        <small>{countText(steps, "step")}</small>
      </td>
      <td>{trigger.kind.replaceAll("_", " ")}</td>
      <td title={fullTime(at)}>
        {shortTime(at, now.value)}
        <small>{relativeText(at, now.value)}</small>
      </td>
      <td>{durationMs === null ? "–" : durationText(durationMs)}</td>
      <td class="because">{sentence(because)}</td>
    </tr>
  );
}
