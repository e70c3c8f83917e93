/** The newest lines of ledgers, and the position after them: what `orchd tail` begins with. */
import { defined } from "../core/defined.ts";
import { parseObject } from "../core/json-object.ts";
import { LinesBackwards } from "../ledger/lines-backwards.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { FeedLine, FeedScope } from "./feed-line.ts";
import { withLedger } from "./find-place.ts";
import { positionText } from "./position-text.ts";
import { presentPosition } from "./present-position.ts";

/** A line, and whose it is. */
export type RecentLine = Pick<FeedLine, "pipeline" | "run" | "line">;

/** Lines, the oldest first, and the position after the newest lines of all ledgers. */
export interface RecentLines {
  readonly lines: readonly RecentLine[];
  readonly position: string;
}

/**
 * The last `count` lines of a scope's ledgers, by their time. Rotated ledgers are not looked at.
 *
 * @throws a Node error, where the folders cannot be listed
 */
export function recentLines(store: RunStore, scope: FeedScope, count: number): RecentLines {
  const present = presentPosition(store, scope);
  const position = positionText(present, scope, undefined);
  const own: RecentLine[] = [];
  const runs = new Map<string, { readonly pipeline: string; readonly seq: number }>();
  for (const { pipeline, run, seq } of present.marks()) {
    if (pipeline === undefined || count === 0) continue;
    if (run !== undefined) runs.set(run, { pipeline, seq });
    else own.push(...linesUpTo(store.pipelineLedger(pipeline), seq, count, { pipeline }));
  }
  // A line of an ended run is among the last lines only if the pipeline's line about the end is.
  for (const { pipeline, line } of inOrder(own).slice(-count)) {
    const run = line["run"];
    if (typeof run === "string" && !runs.has(run) && isRunOf(store, run, pipeline))
      runs.set(run, { pipeline, seq: Infinity });
  }
  for (const [run, { pipeline, seq }] of runs)
    own.push(...linesUpTo(store.runLedger(run), seq, count, { pipeline, run }));
  return { lines: count === 0 ? [] : inOrder(own).slice(-count), position };
}

/** The last lines of one ledger, up to a `seq`, the oldest first. */
function linesUpTo(
  path: string,
  seq: number,
  count: number,
  owner: { readonly pipeline: string; readonly run?: string },
): RecentLine[] {
  const lines = withLedger(path, (fd) => {
    const found: RecentLine[] = [];
    const back = new LinesBackwards(fd);
    for (let raw = back.previous(); raw !== undefined; raw = back.previous()) {
      const line = parseObject(raw.toString("utf8"));
      if (line === undefined || Number(line["seq"]) > seq) continue;
      if (found.push({ ...defined(owner), line }) >= count) break;
    }
    return found.toReversed();
  });
  return lines ?? [];
}

function isRunOf(store: RunStore, run: string, pipeline: string): boolean {
  try {
    return store.parseRunId(run).pipeline === pipeline;
  } catch {
    return false;
  }
}

/**
 * Lines by time. Lines of one ledger stay in their order, also where the clock went back. Of one
 * moment the pipeline's line comes last, because it is written last.
 */
function inOrder(lines: readonly RecentLine[]): RecentLine[] {
  const latest = new Map<string, string>();
  const keyed = lines.map((given) => {
    const { pipeline, run, line } = given;
    const ledger = run ?? pipeline;
    const at = `${typeof line["at"] === "string" ? line["at"] : ""}${run === undefined ? "~" : ""}`;
    const before = latest.get(ledger);
    const key = before !== undefined && before > at ? before : at;
    latest.set(ledger, key);
    return [key, given] as const;
  });
  return keyed.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, given]) => given);
}
