/** Overview: five questions answered, and every pipeline in a row, those that need you first. */
import { useEffect, useRef } from "preact/hooks";
import type { Overview as OverviewView, PipelineRow } from "../../../views/overview.ts";
import { live } from "../live.ts";
import { address, withQuery } from "../location.ts";
import { mayOperate } from "../here.ts";
import { StripLegend } from "../marks.tsx";
import { PipelineTable } from "../overview/pipeline-table.tsx";
import { Questions } from "../overview/questions.tsx";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import { safeText } from "../safe-text.ts";
import { Segments } from "../segments.tsx";
import { useHold } from "../steady.ts";
import { useView } from "../view.ts";
import { countText } from "../words.ts";
import { clockText, commonZone, offered, zoned } from "../zone.ts";

/** The states to choose from: the key in the address, the text, and which rows it holds. */
const STATES: readonly (readonly [
  key: string,
  text: string,
  has: (row: PipelineRow) => boolean,
])[] = [
  ["", "All", () => true],
  ["need", "Need you", ({ needsYou }) => needsYou],
  ["running", "Running", ({ active }) => active.length > 0],
  ["paused", "Paused", ({ paused }) => paused],
];

/** The strips of the first rows come with the view; those further down when they are in sight. */
const FIRST_STRIPS = 60;

export function Overview() {
  const { value, problem } = useView<OverviewView>(`overview?strips=${FIRST_STRIPS}`, {
    alerts: true,
  });
  useEffect(() => {
    offered.value = commonZone((value?.pipelines ?? []).map(({ timezones }) => timezones));
  }, [value]);
  if (value === undefined)
    return problem === undefined ? (
      <Waiting what="the ledgers" />
    ) : (
      <ProblemBox problem={problem} />
    );
  return (
    <>
      <h1 class="unseen">Overview</h1>
      {problem !== undefined && problem.status !== 0 && <ProblemBox problem={problem} />}
      <Shown view={value} />
    </>
  );
}

function Shown({ view }: { view: OverviewView }) {
  const { query } = address.value;
  const [state, tag] = [query.get("state") ?? "", query.get("tag") ?? ""];
  const has = (STATES.find(([key]) => key === state) ?? STATES[0]!)[2];
  const tagged = view.pipelines.filter(({ tags }) => tag === "" || tags.includes(tag));
  const rows = tagged.filter(has);
  const box = useRef<HTMLDivElement>(null);
  const top = useRef<HTMLDivElement>(null);
  const hold = useHold(box);
  // What stands above the table must not grow while somebody is at a row.
  const height = hold.isHeld ? top.current?.getBoundingClientRect().height : undefined;
  const kept = useRef<number | undefined>(undefined);
  kept.current = hold.isHeld ? (kept.current ?? height) : undefined;
  return (
    <>
      <div
        ref={top}
        class="above"
        style={kept.current === undefined ? { height: "" } : { height: `${kept.current}px` }}
      >
        <Questions view={view} />
        <Filters all={view.pipelines} tagged={tagged} state={state} tag={tag} />
      </div>
      {rows.length === 0 ? (
        <p class="card">{emptyText(view, state, tag)}</p>
      ) : (
        <PipelineTable rows={rows} box={box} hold={hold} filter={`${state} ${tag}`} />
      )}
      <Foot at={view.at} />
    </>
  );
}

function emptyText({ pipelines, root }: OverviewView, state: string, tag: string): string {
  if (pipelines.length === 0)
    return `No pipeline is in ${root}/schedules. A file that is dropped there appears here.`;
  if (state === "need" && tag === "") return "No pipeline needs you.";
  return "No pipeline is in this choice.";
}

function Filters({
  all,
  tagged,
  state,
  tag,
}: {
  all: readonly PipelineRow[];
  tagged: readonly PipelineRow[];
  state: string;
  tag: string;
}) {
  const tags = [...new Set(all.flatMap((row) => row.tags))].sort();
  return (
    <div class="filters">
      <Segments
        label="State"
        segments={STATES.map(([key, text, has]) => {
          const count = tagged.filter(has).length;
          return {
            text: `${text} ${count}`,
            label: `${text}: ${countText(count, "pipeline")}`,
            href: withQuery({ state: key }),
            isChosen: key === state,
          };
        })}
      />
      {tags.length > 0 && (
        <div class="tags" role="group" aria-label="Tag">
          {tags.map((one) => (
            <a
              key={one}
              href={withQuery({ tag: one === tag ? "" : one })}
              aria-current={one === tag ? "true" : undefined}
            >
              #{safeText(one)}
            </a>
          ))}
        </div>
      )}
      <StripLegend />
    </div>
  );
}

function Foot({ at }: { at: string }) {
  const { state, lines } = live.value;
  return (
    <p class="foot">
      Read from <code>runs/*/pipeline.jsonl</code> at {zoned(clockText(at))} ·{" "}
      {state === "live" ? `live, ${countText(lines, "line")} since` : "not live"}
      <span class="foot-keys">
        {" · "}
        <kbd>j</kbd>
        <kbd>k</kbd> move <kbd>Enter</kbd> open{" "}
        {mayOperate.value && (
          <>
            <kbd>r</kbd> run <kbd>p</kbd> pause{" "}
          </>
        )}
        <kbd>?</kbd> all keys
      </span>
    </p>
  );
}
