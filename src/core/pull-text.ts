/**
 * What a run's log says while an image is pulled for a step, and what that means for who looks at
 * the run: no ledger says it, since a pull is over in a while and may print much. Pure.
 */

/** That a pull begins. */
export function pullBegins(engine: string, image: string): string {
  return `[orchd: ${engine} pulls the image ${image}]`;
}

/** What the engine says of it. */
export function pullSays(engine: string, line: string): string {
  return `[${engine}: ${line}]`;
}

/** That the image is there. */
export function pullEnded(image: string): string {
  return `[orchd: the image ${image} is pulled]`;
}

const BEGINS = /^\[orchd: (podman|docker) pulls the image .+\]$/;
const SAYS = /^\[(podman|docker): (.*)\]$/;
const LAYER = /^(\w+): (Pulling fs layer|Already exists|Pull complete)/;

/**
 * How far a pull is, in a sentence, by the lines that orchd itself wrote for a step, oldest first.
 * Undefined: none goes on.
 */
export function pullIn(lines: readonly string[], image: string): string | undefined {
  const last = lines.at(-1) ?? "";
  const [, engine] = BEGINS.exec(last) ?? SAYS.exec(last) ?? [];
  if (engine === undefined) return undefined;
  const from = lines.findLastIndex((line) => BEGINS.test(line));
  const said = lines.slice(from + 1).map((line) => SAYS.exec(line)?.[2] ?? "");
  const layers = new Map<string, boolean>();
  for (const line of said) {
    const [, layer, is] = LAYER.exec(line) ?? [];
    if (layer !== undefined) layers.set(layer, is !== "Pulling fs layer");
  }
  const there = [...layers.values()].filter(Boolean).length;
  const far =
    layers.size > 0
      ? `: ${there} of ${layers.size} ${layers.size === 1 ? "layer" : "layers"}`
      : said.length > 0
        ? `: ${said.at(-1)!.slice(0, 100)}`
        : "";
  return `${engine} pulls the image ${image}${far}`;
}
