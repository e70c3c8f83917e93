/**
 * What a run's steps printed, live.
 *
 * It follows the end until the reader scrolls up, and again once they are back at the end. Lines
 * that come meanwhile change nothing that is in view. The filter and a line that a link names are
 * in the address.
 */
import type { JSX } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { spokenLine } from "../../../core/spoken-line.ts";
import type { NumberedLine, RunLogPage } from "../../../views/run-log.ts";
import { get } from "../api.ts";
import { Command } from "../command.tsx";
import { address, setQuery, withQuery } from "../location.ts";
import { safeText } from "../safe-text.ts";
import { Segments } from "../segments.tsx";
import { untilAnswered } from "../until-answered.ts";
import { countText } from "../words.ts";
import { clockText } from "../zone.ts";
import { logPieces } from "./ansi.ts";
import { newerLines, olderLines, openLog, type LogFilter, type LogLines } from "./log-window.ts";
import { VirtualList } from "./virtual-list.tsx";

/** How often a run that goes on is asked for more lines, in milliseconds. */
const LOOK_MS = 1_000;
/** How long after the last key the search begins, in milliseconds. */
const TYPED_MS = 250;
const STREAMS = [
  ["", "All"],
  ["stdout", "stdout"],
  ["stderr", "stderr"],
  ["log", "log"],
] as const;

/** The log's card. @param inProgress whether more lines may come */
export function Log({
  run,
  steps,
  inProgress,
}: {
  readonly run: string;
  readonly steps: readonly string[];
  readonly inProgress: boolean;
}): JSX.Element {
  const { query } = address.value;
  const filter = useMemo(
    () => ({
      step: query.get("step") ?? "",
      stream: query.get("stream") ?? "",
      q: query.get("q") ?? "",
    }),
    [query.get("step"), query.get("stream"), query.get("q")],
  );
  const line = Number(query.get("line") ?? "") || undefined;
  const log = useLog(run, filter, line, inProgress);
  return (
    <section class="card log" aria-labelledby="log">
      <div class="card-head">
        <h2 id="log">
          Log <small>{countOf(log.held, filter)}</small>
        </h2>
        <Filter filter={filter} steps={steps} />
      </div>
      <Lines log={log} filter={filter} line={line} inProgress={inProgress} />
      <Command words={["orchd", "logs", run, ...(filter.step === "" ? [] : [filter.step])]} />
    </section>
  );
}

function countOf(held: LogLines | undefined, { q, step, stream }: LogFilter): string {
  if (held === undefined) return "";
  const { lines, from, after } = held;
  const filtered = q !== "" || step !== "" || stream !== "";
  if (lines.length === 0) return filtered ? "no line fits" : "nothing printed";
  if (from > 1 || after)
    return `lines ${lines[0]!.n.toLocaleString("en")} – ${lines.at(-1)!.n.toLocaleString("en")}`;
  const errors = lines.filter((one) => one.stream === "stderr").length;
  const count = countText(lines.length, "line");
  return errors === 0 || stream === "stderr" ? count : `${count}, ${errors} on stderr`;
}

function Filter({
  filter: { step, stream, q },
  steps,
}: {
  readonly filter: LogFilter;
  readonly steps: readonly string[];
}): JSX.Element {
  return (
    <div class="log-filter">
      <label>
        <span class="unseen">Step</span>
        <select
          value={step}
          onChange={(event) => setQuery({ step: event.currentTarget.value, line: null })}
        >
          <option value="">All steps</option>
          {steps.map((name) => (
            <option key={name} value={name}>
              {safeText(name)}
            </option>
          ))}
        </select>
      </label>
      <Segments
        isSmall
        label="Stream"
        segments={STREAMS.map(([value, text]) => ({
          text,
          href: withQuery({ stream: value, line: null }),
          isChosen: stream === value,
        }))}
      />
      <Search q={q} />
    </div>
  );
}

/** What is typed stays, whatever is updated around it. */
function Search({ q }: { readonly q: string }): JSX.Element {
  const [typed, setTyped] = useState(q);
  const timer = useRef(0);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (document.activeElement !== input.current) setTyped(q);
  }, [q]);
  // It would search the page that somebody has gone to meanwhile.
  useEffect(() => () => window.clearTimeout(timer.current), []);
  return (
    <label>
      <span class="unseen">Search the log</span>
      <input
        ref={input}
        type="search"
        class="search"
        placeholder="Search"
        value={typed}
        onInput={(event) => {
          const { value } = event.currentTarget;
          setTyped(value);
          window.clearTimeout(timer.current);
          timer.current = window.setTimeout(() => setQuery({ q: value, line: null }), TYPED_MS);
        }}
      />
    </label>
  );
}

interface LogState {
  readonly held: LogLines | undefined;
  readonly problem: string | undefined;
  readonly older: () => Promise<unknown>;
  readonly newer: () => Promise<unknown>;
  /** Whether the end is followed. */
  readonly follow: boolean;
  readonly setFollow: (follow: boolean) => void;
}

function Lines({
  log: { held, problem, older, newer, follow, setFollow },
  filter,
  line,
  inProgress,
}: {
  readonly log: LogState;
  readonly filter: LogFilter;
  readonly line: number | undefined;
  readonly inProgress: boolean;
}): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const top = useRef(0);
  useEffect(() => {
    if (line === undefined || held === undefined) return;
    const index = held.lines.findIndex(({ n }) => n >= line);
    const element = scroller.current;
    if (element !== null && index >= 0)
      element.scrollTop = (element.scrollHeight * index) / held.lines.length - 60;
  }, [line, held === undefined]);
  if (problem !== undefined && held === undefined) return <p class="fault">{safeText(problem)}</p>;
  const lines = held?.lines ?? [];
  return (
    <div class="log-body">
      {(held?.from ?? 1) > 1 && (
        <p class="log-more">
          <button type="button" class="quiet" onClick={() => void older()}>
            Earlier lines
          </button>
          <a href={withQuery({ line: 1 })}>The beginning</a>
        </p>
      )}
      <VirtualList
        class="lls"
        label="What the steps printed"
        rows={lines.length}
        height={19}
        keyOf={(row) => lines[row]!.n}
        scroller={scroller}
        stickToEnd={follow}
        onScroll={(element) => {
          const { scrollTop, scrollHeight, clientHeight } = element;
          if (scrollHeight - scrollTop - clientHeight < 24) setFollow(true);
          else if (scrollTop < top.current - 1) setFollow(false);
          top.current = scrollTop;
          if (scrollHeight - scrollTop - clientHeight < 400 && held?.after === true) void newer();
          if (scrollTop < 200 && (held?.from ?? 1) > 1 && !follow) void older();
        }}
      >
        {(row) => <Line line={lines[row]!} q={filter.q} selected={lines[row]!.n === line} />}
      </VirtualList>
      {!follow && inProgress && (
        <p class="log-more">
          <button type="button" class="quiet" onClick={() => setFollow(true)}>
            Follow the end
          </button>
        </p>
      )}
    </div>
  );
}

function Line({
  line: { n, at, step, attempt, stream, line },
  q,
  selected,
}: {
  readonly line: NumberedLine;
  readonly q: string;
  readonly selected: boolean;
}): JSX.Element {
  return (
    <div class={`ll ${stream === "stderr" ? "stderr" : "stdout"}${selected ? " selected" : ""}`}>
      <a class="ll-n" href={withQuery({ line: n })} tabIndex={-1} aria-label={`Line ${n}`}>
        {n}
      </a>
      <time dateTime={at}>{`${clockText(at)}${at.slice(19, 23)}`}</time>
      <span class="ll-s">{safeText(attempt > 1 ? `${step}·${attempt}` : step)}</span>
      <span class="ll-t">
        {stream === "stderr" && <span class="unseen">stderr: </span>}
        {logPieces(spokenLine(line)).map(({ text, classes }, index) => (
          <span key={index} class={classes}>
            {marked(safeText(text), q)}
          </span>
        ))}
      </span>
    </div>
  );
}

/** The text with what was searched for marked in it. */
function marked(text: string, q: string): (string | JSX.Element)[] {
  if (q === "") return [text];
  const [where, what] = [text.toLowerCase(), q.toLowerCase()];
  const parts: (string | JSX.Element)[] = [];
  let from = 0;
  for (let at = where.indexOf(what); at >= 0; at = where.indexOf(what, from)) {
    parts.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + q.length)}</mark>);
    from = at + q.length;
  }
  return [...parts, text.slice(from)];
}

/** What has to be known at once, and not with the next drawing. */
interface Now {
  held: LogLines | undefined;
  follow: boolean;
  busy: boolean;
  /** Whether the last question was not answered. */
  lost: boolean;
}

function useLog(
  run: string,
  filter: LogFilter,
  line: number | undefined,
  inProgress: boolean,
): LogState {
  const [held, setHeld] = useState<LogLines>();
  const [problem, setProblem] = useState<string>();
  const [follow, setFollow] = useState(line === undefined);
  const now = useRef<Now>({ held: undefined, follow, busy: false, lost: false });
  now.current.follow = follow;
  const read = useCallback(
    async (query: Readonly<Record<string, string>>) => {
      const route = `runs/${encodeURIComponent(run)}/log?${new URLSearchParams(query).toString()}`;
      const answer = await get<RunLogPage>(route);
      now.current.lost = !answer.ok;
      setProblem(answer.ok ? undefined : answer.problem.detail);
      return answer.ok ? answer.value : undefined;
    },
    [run],
  );
  /** @returns whether the window has what it was to have; undefined: it is to be asked for again */
  const change = useCallback(async (next: (held: LogLines) => Promise<LogLines>) => {
    const before = now.current.held;
    if (before === undefined || now.current.busy) return undefined;
    now.current.busy = true;
    const made = await next(before);
    now.current.busy = false;
    // Another filter was chosen meanwhile.
    if (now.current.held !== before) return undefined;
    if (made !== before) {
      now.current.held = made;
      setHeld(made);
    }
    return now.current.lost ? undefined : true;
  }, []);
  useEffect(() => {
    const own = new AbortController();
    setFollow(line === undefined);
    const open = async (): Promise<LogLines | undefined> => {
      const opened = await openLog(read, filter, line);
      return now.current.lost ? undefined : opened;
    };
    void untilAnswered(open, own.signal).then((opened) => {
      if (opened === undefined) return;
      now.current.held = opened;
      setHeld(opened);
    });
    return () => {
      own.abort();
      now.current.held = undefined;
    };
  }, [read, filter, line]);
  const newer = useCallback(
    () => change((known) => newerLines(read, filter, known, !now.current.follow)),
    [read, filter, change],
  );
  const older = useCallback(
    () => change((known) => olderLines(read, filter, known)),
    [read, filter, change],
  );
  useNewest(newer, inProgress);
  return { held, problem, older, newer, follow, setFollow };
}

/** Looks for more lines as long as the run goes on, and once after its end: the last come then. */
function useNewest(newer: () => Promise<true | undefined>, inProgress: boolean): void {
  const wentOn = useRef(inProgress);
  useEffect(() => {
    wentOn.current ||= inProgress;
    if (!wentOn.current) return undefined;
    const own = new AbortController();
    const look = (): void => {
      if (!document.hidden) void newer();
    };
    const timer = inProgress ? setInterval(look, LOOK_MS) : undefined;
    if (!inProgress) void untilAnswered(newer, own.signal);
    return () => {
      clearInterval(timer);
      own.abort();
    };
  }, [newer, inProgress]);
}
