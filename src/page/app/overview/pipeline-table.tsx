/**
 * Every pipeline in a row. Rows stay where they are while the pointer or the focus is in the table
 * (steady.ts), and only those in sight are drawn (rows-in-sight.ts).
 */
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { PipelineRow } from "../../../views/overview.ts";
import { useKeys } from "../keys.ts";
import { go, hrefOf } from "../location.ts";
import { askToPause, askToRun } from "../pipeline-requests.tsx";
import { useRowsInSight } from "../rows-in-sight.ts";
import { mayOperate } from "../here.ts";
import { useSteady, type Hold } from "../steady.ts";
import { useStrips } from "./strips.ts";
import { PipelineCells } from "./pipeline-cells.tsx";

const COLUMNS = [
  "State",
  "Pipeline",
  "Schedule",
  "Next",
  "Its last slots, newest at the right",
  "Last run",
  "Because",
];
const TALL_PX = 70;
const LOW_PX = 55;

export function PipelineTable({
  rows,
  box,
  hold,
  filter,
}: {
  rows: readonly PipelineRow[];
  box: RefObject<HTMLDivElement | null>;
  hold: Hold;
  /** The filter's words: other rows are put in order at once. */
  filter: string;
}) {
  const shown = useSteady(rows, ({ name }) => name, hold, filter);
  const body = useRef<HTMLDivElement>(null);
  const heights = useHeldHeights(body, hold);
  const sight = useRowsInSight(
    body,
    shown.length,
    (index) => (shown[index]?.needsYou === true ? TALL_PX : LOW_PX),
    (index) => shown[index]?.name ?? "",
  );
  const [chosen, setChosen] = useRowKeys(shown, body, sight.scrollTo);
  const drawn = sight.items?.map(({ index, start }) => ({ index, top: start - sight.margin }));
  const items = drawn ?? shown.map((_, index) => ({ index, top: undefined }));
  const strips = useStrips(items.flatMap(({ index }) => shown[index] ?? []));
  return (
    <div
      ref={box}
      class="table pipelines"
      role="table"
      aria-label="Pipelines"
      aria-rowcount={shown.length + 1}
      aria-colcount={COLUMNS.length}
    >
      <Head />
      <div
        ref={body}
        class={drawn === undefined ? "body" : "body many"}
        role="rowgroup"
        style={drawn === undefined ? {} : { height: `${sight.height}px` }}
      >
        {items.map(({ index, top }) => {
          const row = shown[index];
          if (row === undefined) return null;
          return (
            <div
              key={row.name}
              ref={top === undefined ? null : sight.measure}
              class={row.needsYou ? "row hot" : "row"}
              role="row"
              aria-rowindex={index + 2}
              aria-selected={row.name === chosen}
              data-index={index}
              data-name={row.name}
              style={rowStyle(top, heights.get(row.name))}
              onFocusCapture={() => setChosen(row.name)}
            >
              <PipelineCells row={row} strip={row.strip ?? strips.get(row.name)} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Head() {
  return (
    <div class="head" role="rowgroup">
      <div class="row" role="row" aria-rowindex={1}>
        {COLUMNS.map((text) => (
          <span role="columnheader" key={text}>
            {text === "State" ? <span class="unseen">{text}</span> : text}
          </span>
        ))}
      </div>
    </div>
  );
}

function rowStyle(top: number | undefined, height: number | undefined): Record<string, string> {
  return {
    ...(top === undefined ? {} : { transform: `translateY(${top}px)` }),
    ...(height === undefined ? {} : { height: `${height}px` }),
  };
}

/** Rows keep their height, too, while somebody is at them. */
function useHeldHeights(
  body: RefObject<HTMLElement | null>,
  { isHeld }: Hold,
): ReadonlyMap<string, number> {
  const [heights, setHeights] = useState<ReadonlyMap<string, number>>(new Map());
  useLayoutEffect(() => {
    const rows = isHeld
      ? [...(body.current?.querySelectorAll<HTMLElement>("[data-name]") ?? [])]
      : [];
    setHeights(
      new Map(rows.map((row) => [row.dataset["name"] ?? "", row.getBoundingClientRect().height])),
    );
  }, [isHeld]);
  return heights;
}

/** j and k go from row to row, Enter opens, r runs, p pauses. The row's link has the focus. */
function useRowKeys(
  shown: readonly PipelineRow[],
  body: RefObject<HTMLElement | null>,
  scrollTo: (index: number) => void,
): readonly [string | undefined, (name: string) => void] {
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  const [wanted, setWanted] = useState<string | undefined>(undefined);
  useEffect(() => {
    if (wanted === undefined) return;
    const row = body.current?.querySelector(`[data-name="${CSS.escape(wanted)}"] a.name`);
    if (!(row instanceof HTMLElement)) return;
    row.focus({ preventScroll: false });
    setWanted(undefined);
  });
  const move = (by: number): void => {
    const at = shown.findIndex(({ name }) => name === chosen);
    const next = at === -1 ? (by > 0 ? 0 : shown.length - 1) : at + by;
    const row = shown[Math.max(0, Math.min(shown.length - 1, next))];
    if (row === undefined) return;
    scrollTo(shown.indexOf(row));
    setChosen(row.name);
    setWanted(row.name);
  };
  const withRow = (act: (row: PipelineRow) => void) => (): void => {
    const row = shown.find(({ name }) => name === chosen);
    if (row !== undefined) act(row);
  };
  useKeys([
    { key: "j", does: "the next row", run: () => move(1) },
    { key: "k", does: "the row before", run: () => move(-1) },
    {
      key: "Enter",
      does: "open the row",
      run: withRow(({ name }) => go(hrefOf(["pipelines", name]))),
    },
    ...(mayOperate.value
      ? [
          { key: "r", does: "run the row's pipeline", run: withRow(askToRun) },
          { key: "p", does: "pause it, or let it go on", run: withRow(askToPause) },
        ]
      : []),
  ]);
  return [chosen, setChosen];
}
