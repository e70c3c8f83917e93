/** Where the steps of a graph stand, by dagre. It depends on names and needs, and on no status. */
import type * as Dagre from "@dagrejs/dagre";
import type { Graph } from "../../../views/graph.ts";
import { loadLate } from "../late-code.ts";

/** A step's box, in pixels. */
export const BOX = { width: 160, height: 44 } as const;
/** More steps than this are a list: dagre takes a second for 350, and nobody reads that many. */
export const MOST_DRAWN = 200;
/** No step can have this name. */
const ROOT = "\n";
const HELD = { weight: 100 } as const;
const GAP = { across: 48, down: 18, edge: 8 } as const;

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Where everything stands. `x` and `y` are a box's upper left corner. */
export interface GraphLayout {
  readonly width: number;
  readonly height: number;
  readonly boxes: ReadonlyMap<string, Point>;
  readonly edges: readonly GraphEdge[];
}

/** A line from the step that is needed to the one that needs it. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  /** Order without data. */
  readonly orderOnly: boolean;
  /** An SVG path. */
  readonly path: string;
}

/** What a layout depends on, as a text. */
export function shapeOf({ steps }: Graph): string {
  return JSON.stringify(
    steps.map(({ step, inputs, after }) => [step, inputs.map(({ from }) => from), after]),
  );
}

/** The height that a graph will about have, so that nothing moves when it is there. */
export function likelyHeight(graph: Graph): number {
  const level = new Map<string, number>();
  const sizes: number[] = [];
  for (const step of graph.steps) {
    const needs = needsOf(step).map(([need]) => level.get(need) ?? -1);
    const at = Math.max(-1, ...needs) + 1;
    level.set(step.step, at);
    sizes[at] = (sizes[at] ?? 0) + 1;
  }
  return Math.max(1, ...sizes) * (BOX.height + GAP.down) + GAP.edge;
}

let loading: Promise<typeof Dagre> | undefined;

/** Has dagre loaded, where a graph is about to be drawn. */
export function loadDagre(): Promise<typeof Dagre> {
  return (loading ??= new Promise((resolve) => {
    loadLate(() => import("@dagrejs/dagre"), resolve);
  }));
}

/** Lays a graph out, from left to right. */
export async function layOut(graph: Graph): Promise<GraphLayout> {
  const { Graph: DagreGraph, layout } = await loadDagre();
  const drawn = new DagreGraph();
  drawn.setGraph({
    rankdir: "LR",
    nodesep: GAP.down,
    ranksep: GAP.across,
    marginx: GAP.edge,
    marginy: GAP.edge,
  });
  drawn.setDefaultEdgeLabel(() => ({}));
  const names = new Set(graph.steps.map(({ step }) => step));
  for (const { step } of graph.steps) drawn.setNode(step, { ...BOX });
  const needs = graph.steps.flatMap((step) =>
    needsOf(step)
      .filter(([from]) => names.has(from))
      .map(([from, orderOnly]) => ({ from, to: step.step, orderOnly })),
  );
  // Steps that need nothing all stand at the left: a box that is not drawn holds them there.
  drawn.setNode(ROOT, { width: 0, height: 0 });
  const needy = new Set(needs.map(({ to }) => to));
  for (const { step } of graph.steps) if (!needy.has(step)) drawn.setEdge(ROOT, step, HELD);
  for (const { from, to } of needs) drawn.setEdge(from, to);
  layout(drawn);
  return readLayout(drawn, graph, needs);
}

/** What dagre has laid out, without the box that is not drawn, and the first step uppermost. */
function readLayout(
  drawn: Dagre.Graph,
  { steps }: Graph,
  needs: readonly Omit<GraphEdge, "path">[],
): GraphLayout {
  const { width = 0, height = 0 } = drawn.graph();
  const centres = steps.map(({ step }) => drawn.node(step));
  const shift = Math.max(0, Math.min(...centres.map(({ x }) => x)) - BOX.width / 2 - GAP.edge);
  const column = centres.filter(({ x }) => x === centres[0]?.x);
  const isTurned = (column[0]?.y ?? 0) > (column.at(-1)?.y ?? 0);
  const place = ({ x, y }: Point): Point => ({ x: x - shift, y: isTurned ? height - y : y });
  const boxes = new Map(
    steps.map(({ step }, index) => {
      const { x, y } = place(centres[index]!);
      return [step, { x: x - BOX.width / 2, y: y - BOX.height / 2 }];
    }),
  );
  const edges = needs.map((need) => {
    const way = (drawn.edge(need.from, need.to).points ?? []).map(place);
    return { ...need, path: pathBetween(boxes.get(need.from)!, boxes.get(need.to)!, way) };
  });
  return { width: width - shift, height, boxes, edges };
}

/** What a step needs, each once, and whether it needs it for its order alone. */
export function needsOf({ inputs, after }: Graph["steps"][number]): [string, boolean][] {
  const data = new Set(inputs.map(({ from }) => from));
  return [
    ...[...data].map((from): [string, boolean] => [from, false]),
    ...[...new Set(after)]
      .filter((from) => !data.has(from))
      .map((from): [string, boolean] => [from, true]),
  ];
}

/** A curve from box to box, by way of the points at which dagre found room between other boxes. */
function pathBetween(from: Point, to: Point, way: readonly Point[]): string {
  const points = [
    { x: from.x + BOX.width, y: from.y + BOX.height / 2 },
    ...way.slice(1, -1),
    { x: to.x, y: to.y + BOX.height / 2 },
  ];
  let path = `M${points[0]!.x} ${points[0]!.y}`;
  for (const [index, { x, y }] of points.slice(1).entries()) {
    const before = points[index]!;
    const middle = (before.x + x) / 2;
    path += `C${middle} ${before.y},${middle} ${y},${x} ${y}`;
  }
  return path;
}
