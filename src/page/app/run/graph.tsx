/**
 * The steps of a run or a pipeline and what each needs, as a drawing.
 *
 * Where a box stands depends on names and needs alone, so a status that changes moves nothing.
 * Steps that a dynamic pipeline adds do change the drawing: while the pointer or the focus is in
 * it, it waits, and says how many are to come.
 */
import { countText } from "../words.ts";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Graph } from "../../../views/graph.ts";
import { signOf, toneOf } from "../marks.tsx";
import { safeText } from "../safe-text.ts";
import { BOX, layOut, likelyHeight, shapeOf, type GraphLayout } from "./graph-layout.ts";

/** What a box says of its step. */
export interface GraphLabel {
  readonly status: string;
  /** The second line: how long it took, or its status. */
  readonly note: string;
  /** A whole sentence. */
  readonly sentence: string;
  readonly href: string;
}

/** How many characters of a name fit into a box, and of the line below it. */
const FITS = { name: 17, note: 20 } as const;

/** The drawing. @param labelOf what a step's box says */
export function GraphDrawing({
  graph,
  labelOf,
  selected,
}: {
  readonly graph: Graph;
  readonly labelOf: (step: string) => GraphLabel;
  readonly selected: string | undefined;
}): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const { layout, waiting } = useLayout(graph, frame);
  return (
    <div class="dag-frame scrolls" ref={frame} style={{ minHeight: `${likelyHeight(graph)}px` }}>
      {layout !== undefined && (
        <Drawing layout={layout} labelOf={labelOf} selected={selected} name={graph.name} />
      )}
      {waiting > 0 && (
        <p class="mute">
          {`${countText(waiting, "more step")} came; the drawing follows in a moment.`}
        </p>
      )}
    </div>
  );
}

function Drawing({
  layout,
  labelOf,
  selected,
  name,
}: {
  readonly layout: GraphLayout;
  readonly labelOf: (step: string) => GraphLabel;
  readonly selected: string | undefined;
  readonly name: string;
}): JSX.Element {
  return (
    <svg
      class="dag"
      viewBox={`0 0 ${layout.width} ${layout.height}`}
      width={layout.width}
      height={layout.height}
      role="group"
      aria-label={`The steps of ${safeText(name)} and what each needs`}
    >
      {layout.edges.map(({ from, to, orderOnly, path }) => (
        <path
          key={`${from}\n${to}`}
          d={path}
          class={`edge${passed(labelOf(from).status) ? " passed" : ""}${orderOnly ? " order" : ""}`}
        />
      ))}
      {[...layout.boxes].map(([step, at]) => (
        <Box key={step} step={step} at={at} label={labelOf(step)} selected={selected === step} />
      ))}
    </svg>
  );
}

function Box({
  step,
  at: { x, y },
  label: { status, note, sentence, href },
  selected,
}: {
  readonly step: string;
  readonly at: { readonly x: number; readonly y: number };
  readonly label: GraphLabel;
  readonly selected: boolean;
}): JSX.Element {
  const inner = BOX.height - 14;
  const path = `M${x + 7} ${y}h19v${BOX.height}h-19a7 7 0 0 1-7-7v-${inner}a7 7 0 0 1 7-7z`;
  return (
    <a
      href={href}
      class={`box ${toneOf(status)}${selected ? " selected" : ""}`}
      aria-label={safeText(sentence)}
      {...(selected ? { "aria-current": "true" as const } : {})}
    >
      <title>{safeText(sentence)}</title>
      <rect class="out" x={x} y={y} width={BOX.width} height={BOX.height} rx="7" />
      <path class="strap" d={path} />
      <text class="gl" x={x + 13} y={y + 27} text-anchor="middle" aria-hidden="true">
        {signOf(status)}
      </text>
      <text class="nm" x={x + 34} y={y + 19} aria-hidden="true">
        {cut(safeText(step), FITS.name)}
      </text>
      <text class="sb" x={x + 34} y={y + 35} aria-hidden="true">
        {cut(safeText(note), FITS.note)}
      </text>
    </a>
  );
}

function passed(status: string): boolean {
  return status === "completed" || status === "cached";
}

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** The layout, held while somebody points at the drawing; and how many steps it lacks by that. */
function useLayout(
  graph: Graph,
  frame: { readonly current: HTMLDivElement | null },
): { readonly layout: GraphLayout | undefined; readonly waiting: number } {
  const [layout, setLayout] = useState<GraphLayout>();
  const shape = shapeOf(graph);
  useEffect(() => {
    let current = true;
    const element = frame.current;
    const draw = (): void => {
      if (element?.matches(":hover, :focus-within") === true && layout !== undefined) return;
      void layOut(graph).then((made) => {
        if (current) setLayout(made);
      });
    };
    draw();
    const later = (): void => void setTimeout(draw);
    element?.addEventListener("pointerleave", later);
    element?.addEventListener("focusout", later);
    return () => {
      current = false;
      element?.removeEventListener("pointerleave", later);
      element?.removeEventListener("focusout", later);
    };
    // The drawing depends on the shape alone.
  }, [shape]);
  return { layout, waiting: layout === undefined ? 0 : graph.steps.length - layout.boxes.size };
}
