/**
 * The history of runs, a page at a time. A page tells what was so when the first one was read: a
 * run that ends meanwhile is neither given twice nor left out.
 */
import type { RunState } from "../core/run-state.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { parseObject } from "../core/json-object.ts";
import {
  mentions,
  summarize,
  type PipelineMention,
  type RunFilter,
  type RunSummary,
} from "./run-list.ts";
import { SearchedWords } from "./searched-words.ts";

/** How many runs are opened for one page: a filter may fit none. */
const MOST_OPENED = 2_000;

/** Where a page ended. */
export interface RunCursor {
  /** The newest mention when the first page was read, ISO 8601: newer lines are passed over. */
  readonly top: string;
  /** The last run that was looked at, and when it was mentioned. */
  readonly at: string;
  readonly pipeline: string;
  readonly run: string;
}

/** A page of runs. */
export interface RunPages {
  readonly runs: readonly RunSummary[];
  /** Where the next page begins; null at the history's end. A page may be short, or empty. */
  readonly cursor: string | null;
}

/** Which runs a page holds. */
export interface RunPageQuery {
  readonly filter: RunFilter;
  /** Only runs with these words in their id, status, tags, steps or reasons, in any case. */
  readonly q: string | undefined;
  /** Undefined: the first page. */
  readonly from: RunCursor | undefined;
  readonly limit: number;
}

/** Reads a page. @throws a Node error where this user may not read the ledgers */
export function readRunPages(
  store: RunStore,
  pipelines: readonly string[],
  { filter, q, from, limit }: RunPageQuery,
): RunPages {
  const runs: RunSummary[] = [];
  const isAfter = from === undefined ? () => true : after(from);
  const words = q === undefined ? undefined : new SearchedWords(q);
  const isWanted = words && ((state: RunState) => words.match(state) !== undefined);
  let top = from?.top;
  let opened = 0;
  for (const found of mentions(store, pipelines, filter.sinceMs, top)) {
    top ??= found.mention.at;
    if (!isAfter(found)) continue;
    const run = summarize(store, found.mention, filter, isWanted);
    if (run !== undefined) runs.push(run);
    if (runs.length < limit && (opened += 1) < MOST_OPENED) continue;
    const { pipeline, mention } = found;
    return { runs, cursor: cursorText({ top, at: mention.at, pipeline, run: mention.run }) };
  }
  return { runs, cursor: null };
}

/** Whether a mention comes after a place: of one moment, pipelines come by name. */
function after({ at, pipeline, run }: RunCursor): (found: PipelineMention) => boolean {
  let isPassed = false;
  return ({ pipeline: own, mention }) => {
    if (mention.at !== at) return mention.at < at;
    if (own !== pipeline) return own > pipeline;
    if (isPassed) return true;
    isPassed = mention.run === run;
    return false;
  };
}

function cursorText(cursor: RunCursor): string {
  return Buffer.from(JSON.stringify(cursor)).toString("base64url");
}

/** Reads a cursor; null where the text is none. */
export function readRunCursor(text: string): RunCursor | null {
  const { top, at, pipeline, run } =
    parseObject(Buffer.from(text, "base64url").toString("utf8")) ?? {};
  if (typeof top !== "string" || typeof at !== "string") return null;
  if (typeof pipeline !== "string" || typeof run !== "string") return null;
  return { top, at, pipeline, run };
}
