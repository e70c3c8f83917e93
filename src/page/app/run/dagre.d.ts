/** What is used of dagre. Its own types are written for another way of finding modules. */
declare module "@dagrejs/dagre" {
  export class Graph {
    setGraph(label: Readonly<Record<string, unknown>>): void;
    setDefaultEdgeLabel(make: () => object): void;
    setNode(name: string, label: { readonly width: number; readonly height: number }): void;
    setEdge(from: string, to: string, label?: { readonly weight: number }): void;
    /** After layout(): where a node's middle is. */
    node(name: string): { readonly x: number; readonly y: number };
    /** After layout(): the points by which an edge goes. */
    edge(
      from: string,
      to: string,
    ): { readonly points?: readonly { readonly x: number; readonly y: number }[] };
    /** After layout(): the size of all. */
    graph(): { readonly width?: number; readonly height?: number };
  }
  export function layout(graph: Graph): void;
}
