/**
 * What was asked of the daemon and what became of it: from the requests that wait, from the replies
 * of the last hour, and from the pipelines' ledgers (docs/requests.md).
 *
 * A ledger tells of an accepted request for as long as the line is kept. A refusal is in its reply
 * alone, and so are the stop of a run, a prune and what else leaves no line in a pipeline's ledger.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Reply } from "../core/request.ts";
import { parseRunId, PIPELINE_NAME } from "../core/run-id.ts";
import { iso } from "../core/time.ts";
import { isRequestId, readReply, readRequest, requestIds } from "../ledger/requests.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { linesBackwards } from "./run-history.ts";

/** How many waiting requests, and how many replies, are looked at. */
const MOST_FILES = 2_000;
/** How many lines of a pipeline are looked at for one page. */
const MOST_LINES = 5_000;
const NEEDLE = Buffer.from('"requestId":"');

/** One request. Times are ISO 8601 in UTC. */
export interface RequestRow {
  readonly id: string;
  /** Null where nothing tells it any more. */
  readonly type: string | null;
  readonly pipeline: string | null;
  /** The run that it is about, or that it made. */
  readonly run: string | null;
  /** Who asked: the remark that the request carries. */
  readonly by: string | null;
  /** When it was written, or answered, or its line. */
  readonly at: string;
  readonly state: "open" | "accepted" | "refused";
  readonly reason: string | null;
}

/** A page of requests, the newest first. */
export interface RequestPage {
  readonly requests: readonly RequestRow[];
  /** Where the next page begins; null where there is none. */
  readonly cursor: string | null;
}

/**
 * The newest requests.
 *
 * @param cursor of the page before; undefined: the first page
 * @throws a Node error where this user may not read them
 */
export function readRequests(
  store: RunStore,
  { cursor, limit }: { readonly cursor?: string | undefined; readonly limit: number },
): RequestPage {
  const before = cursor === undefined ? undefined : readCursor(cursor);
  const rows = new Map<string, RequestRow>();
  for (const row of [...openRequests(store), ...replied(store)]) rows.set(row.id, row);
  const taken = tracesBefore(store, before, limit);
  for (const row of taken) {
    const known = rows.get(row.id);
    rows.set(row.id, known === undefined ? row : merged(known, row));
  }
  const found = [...rows.values()]
    .filter((row) => before === undefined || isBefore(row, before))
    .toSorted((a, b) => (isBefore(b, a) ? -1 : 1));
  const requests = found.slice(0, limit);
  const last = requests.at(-1);
  return {
    requests,
    cursor: last === undefined || found.length <= limit ? null : `${last.at} ${last.id}`,
  };
}

/** One request; undefined where nothing tells of it. @throws a Node error */
export function readRequestRow(store: RunStore, id: string): RequestRow | undefined {
  if (!isRequestId(id)) return undefined;
  // The request first: it is removed after the reply was written.
  const open = openRequest(store, id);
  const reply = replyRow(store, id);
  if (reply === undefined && open !== undefined) return open;
  const needle = Buffer.from(`"requestId":"${id}"`);
  for (const pipeline of namesOf(store, reply))
    for (const line of linesBackwards(store, pipeline, () => needle)) {
      const row = line["requestId"] === id ? traceOf(pipeline, line) : undefined;
      if (row !== undefined) return reply === undefined ? row : merged(reply, row);
    }
  return reply;
}

/** The pipelines whose ledgers may tell of a request. */
function namesOf(store: RunStore, reply: RequestRow | undefined): readonly string[] {
  const pipeline = reply?.pipeline ?? null;
  if (pipeline !== null) return [pipeline];
  return reply?.state === "refused" ? [] : store.pipelines();
}

/** What a reply does not tell, a ledger's line may. */
function merged(known: RequestRow, trace: RequestRow): RequestRow {
  if (known.state === "open") return known;
  return {
    ...known,
    type: known.type ?? trace.type,
    pipeline: known.pipeline ?? trace.pipeline,
    run: known.run ?? trace.run,
    by: known.by ?? trace.by,
    reason: known.reason ?? trace.reason,
  };
}

function openRequests(store: RunStore): RequestRow[] {
  const rows: RequestRow[] = [];
  for (const id of requestIds(store.requests)) {
    if (rows.length >= MOST_FILES) break;
    const row = openRequest(store, id);
    if (row !== undefined) rows.push(row);
  }
  return rows;
}

function openRequest(store: RunStore, id: string): RequestRow | undefined {
  // Nothing is checked here: the daemon says what is wrong with it.
  const read = readRequest(store.requests, id, (value) => ({
    ok: true,
    request: (typeof value === "object" && value !== null ? value : {}) as never,
  }));
  if (read === undefined) return undefined;
  const fields: Readonly<Record<string, unknown>> = read.ok ? read.request : {};
  const run = textOf(fields["run"]);
  return {
    id,
    type: textOf(fields["type"]),
    pipeline: textOf(fields["pipeline"]) ?? pipelineOf(run),
    run,
    by: textOf(fields["by"]),
    at: iso(read.writtenAt),
    state: "open",
    reason: read.ok ? null : read.reason,
  };
}

function replied(store: RunStore): RequestRow[] {
  const rows: RequestRow[] = [];
  for (const id of requestIds(store.replies)) {
    if (rows.length >= MOST_FILES) break;
    const row = replyRow(store, id);
    if (row !== undefined) rows.push(row);
  }
  return rows;
}

function replyRow(store: RunStore, id: string): RequestRow | undefined {
  const reply: Partial<Reply> | null = isRequestId(id) ? readReply(store.runsDir, id) : null;
  if (reply === null || typeof reply.accepted !== "boolean") return undefined;
  const written = statSync(join(store.replies, `${id}.json`), { throwIfNoEntry: false });
  const run = textOf(reply.run);
  return {
    id,
    type: null,
    pipeline: pipelineOf(run),
    run,
    by: null,
    at: textOf(reply.at) ?? iso(written?.mtimeMs ?? 0),
    state: reply.accepted ? "accepted" : "refused",
    reason: textOf(reply.reason),
  };
}

/**
 * What the pipelines' ledgers tell: enough for a page. The ledgers with the newest lines come
 * first, and those that have none as new as what was found are not read any further. So no pipeline
 * hides what was asked of another one.
 */
function tracesBefore(
  store: RunStore,
  before: Place | undefined,
  limit: number,
): readonly RequestRow[] {
  const ledgers = store
    .pipelines()
    .flatMap((pipeline) => newestTrace(store, pipeline) ?? [])
    .toSorted((a, b) => (isBefore(b, a) ? -1 : 1));
  let found: readonly RequestRow[] = [];
  for (const { pipeline, at } of ledgers) {
    // One more than the page has: it says whether there is a next page.
    const least = found[limit]?.at ?? "";
    if (at < least) break;
    found = [...found, ...tracesIn(store, pipeline, { before, least, limit })]
      .toSorted((a, b) => (isBefore(b, a) ? -1 : 1))
      .slice(0, limit + 1);
  }
  return found;
}

/** When a pipeline's ledger was written last for a request; undefined: never. */
function newestTrace(
  store: RunStore,
  pipeline: string,
): (Place & { readonly pipeline: string }) | undefined {
  for (const line of linesBackwards(store, pipeline, () => NEEDLE)) {
    const row = traceOf(pipeline, line);
    if (row !== undefined) return { at: row.at, id: row.id, pipeline };
  }
  return undefined;
}

/** What one pipeline's ledger tells of requests from `least` on, and of more than a page has. */
function tracesIn(
  store: RunStore,
  pipeline: string,
  { before, least, limit }: { before: Place | undefined; least: string; limit: number },
): Iterable<RequestRow> {
  const own = new Map<string, RequestRow>();
  /** Backfills of which an older line is to come. */
  const begun = new Set<string>();
  let lines = 0;
  for (const line of linesBackwards(store, pipeline, () => NEEDLE)) {
    if ((lines += 1) > MOST_LINES) break;
    const row = traceOf(pipeline, line);
    if (row === undefined) continue;
    if (begun.size === 0 && (own.size > limit || row.at < least)) break;
    // A backfill leaves a line for each of its runs: the oldest one tells of the request.
    if (line["type"] === "backfill.started") begun.delete(row.id);
    else if (row.type === "backfill") begun.add(row.id);
    if (before === undefined || isBefore(row, before)) own.set(row.id, row);
  }
  return own.values();
}

const TYPES: Readonly<Record<string, string>> = {
  "pipeline.paused": "pause",
  "pipeline.resumed": "resume",
  "pipeline.silenced": "silence",
  "backfill.started": "backfill",
  "backfill.finished": "backfill",
  "slot.backfilled": "backfill",
};
const TRIGGERED: Readonly<Record<string, string>> = {
  manual: "submit",
  rerun: "rerun",
  backfill: "backfill",
};

/** What a line tells of the request that it names. */
function traceOf(
  pipeline: string,
  line: Readonly<Record<string, unknown>>,
): RequestRow | undefined {
  const { requestId: id, at, type, trigger, run, by, because } = line;
  if (typeof id !== "string" || typeof at !== "string") return undefined;
  const kind = TYPES[String(type)] ?? TRIGGERED[String(trigger)] ?? null;
  return {
    id,
    type: kind,
    pipeline,
    run: kind === "backfill" ? null : textOf(run),
    by: textOf(by),
    at,
    state: "accepted",
    reason: textOf(because),
  };
}

interface Place {
  readonly at: string;
  readonly id: string;
}

/** Whether the one is older than the other. */
function isBefore(one: Place, other: Place): boolean {
  return one.at < other.at || (one.at === other.at && one.id < other.id);
}

/** A cursor of somebody's own making gives whatever is older than it. */
function readCursor(text: string): Place {
  const [at = "", id = ""] = text.split(" ");
  return { at, id };
}

function pipelineOf(run: string | null): string | null {
  const name = run === null ? undefined : parseRunId(run)?.pipeline;
  return name !== undefined && PIPELINE_NAME.test(name) ? name : null;
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
