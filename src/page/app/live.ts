/**
 * What is new, as it becomes durable: the event stream, read by `fetch`, since an EventSource can
 * send no Authorization header.
 *
 * States: `off` (nobody listens, or the tab is hidden), `opening`, `live`, `lost` (it will be tried
 * again). At each new connection every listener is called once without a line: it fetches its view
 * again, and needs no position to resume at. There is one stream a page. Where all listeners care
 * for one pipeline, or one run, the server sends no other lines.
 *
 * A hidden tab closes its stream and does nothing until it is seen.
 */
import { signal } from "@preact/signals";
import { apiUrl, headers, problemOf, type Problem } from "./api.ts";
import { serverNow } from "./clock.ts";

/** Which lines a listener cares for; everything without both. */
export interface Scope {
  readonly pipeline?: string;
  readonly run?: string;
  /** Only what the daemon itself records: no line of a pipeline or a run. */
  readonly none?: true;
  /** Also that notify.jsonl or places.jsonl has changed, which is a line without a text. */
  readonly alerts?: true;
}

/** A durable line of a ledger. */
export interface FeedLine {
  /** The ledger's path below runs/, and the line's number in it. */
  readonly file: string;
  readonly seq: number;
  /** The line itself, as it stands in the ledger. */
  readonly text: string;
}

/** Is called with each line; undefined: anything may have changed. */
type Listener = (line: FeedLine | undefined) => void;

/** Whether what is shown follows the ledgers. `lines`: those that came since the page is open. */
export interface LiveState {
  readonly state: "off" | "opening" | "live" | "lost";
  readonly lines: number;
  /** When it is tried again, by the server's clock, in milliseconds since 1970. */
  readonly retryAt?: number;
  readonly problem?: Problem;
}

const NOTIFY = ".orchd/notify.jsonl";

export const live = signal<LiveState>({ state: "off", lines: 0 });

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** The server sends a comment every 15 s: a stream that is silent for longer is dead. */
const SILENCE_MS = 40_000;

const listeners = new Map<Listener, Scope>();
let stream: AbortController | undefined;
let openScope = "";
let wait = FIRST_WAIT_MS;
let timer: number | undefined;

/** Listens until the returned function is called. */
export function listen(scope: Scope, listener: Listener): () => void {
  listeners.set(listener, scope);
  plan(0);
  return () => {
    listeners.delete(listener);
    plan(0);
  };
}

/** Calls every listener: something that no line tells of has changed. */
export function refreshAll(): void {
  for (const listener of listeners.keys()) listener(undefined);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else plan(0);
});

/** Looks again, soon, whether the open stream is the one that is needed. */
function plan(after: number): void {
  window.clearTimeout(timer);
  timer = window.setTimeout(settle, after);
}

function settle(): void {
  const follows = [...listeners.values()].some(({ none }) => none !== true);
  if (!follows || document.hidden) return close();
  const wanted = commonScope();
  if (stream !== undefined && wanted === openScope) return;
  close();
  const mine = new AbortController();
  [stream, openScope] = [mine, wanted];
  void follow(wanted, mine).then((problem) => {
    if (stream !== mine) return;
    stream = undefined;
    wait = Math.min(LONGEST_WAIT_MS, wait * 2);
    // Pages that lost one server do not come back all in one moment.
    const after = wait * (0.75 + Math.random() / 2);
    live.value = {
      state: "lost",
      lines: live.value.lines,
      retryAt: serverNow() + after,
      ...(problem === undefined ? {} : { problem }),
    };
    plan(after);
  });
}

function close(): void {
  stream?.abort();
  stream = undefined;
  if (live.value.state !== "off") live.value = { state: "off", lines: live.value.lines };
}

/** The narrowest query that all listeners can live with. */
function commonScope(): string {
  const scopes = [...listeners.values()].filter(({ none }) => none !== true);
  const shared = (key: "pipeline" | "run"): string | undefined => {
    const [first] = scopes;
    return scopes.every((scope) => scope[key] === first?.[key]) ? first?.[key] : undefined;
  };
  const query = new URLSearchParams({ ids: "short" });
  const [run, pipeline] = [shared("run"), shared("pipeline")];
  if (run !== undefined) query.set("run", run);
  else if (pipeline !== undefined) query.set("pipeline", pipeline);
  return query.toString();
}

/** Reads a stream to its end. @returns why there was none */
async function follow(query: string, own: AbortController): Promise<Problem | undefined> {
  live.value = { state: "opening", lines: live.value.lines };
  let silence = window.setTimeout(() => own.abort(), SILENCE_MS);
  try {
    const response = await fetch(apiUrl(`events?${query}`), {
      headers: headers({ Accept: "text/event-stream" }),
      cache: "no-store",
      signal: own.signal,
    });
    if (!response.ok || response.body === null)
      return problemOf(response, await response.json().catch(() => undefined));
    wait = FIRST_WAIT_MS;
    live.value = { state: "live", lines: live.value.lines };
    refreshAll();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const feed = parser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      window.clearTimeout(silence);
      silence = window.setTimeout(() => own.abort(), SILENCE_MS);
      deliver(feed(value));
    }
  } catch {
    return undefined;
  } finally {
    window.clearTimeout(silence);
  }
}

function deliver(lines: readonly FeedLine[]): void {
  if (lines.length === 0) return;
  const { length } = lines.filter(({ file }) => file !== NOTIFY);
  live.value = { ...live.value, lines: live.value.lines + length };
  for (const line of lines)
    for (const [listener, scope] of listeners) if (concerns(line, scope)) listener(line);
}

/** Whether a line is about the pipeline or the run. */
function concerns({ file }: FeedLine, { pipeline, run, none, alerts }: Scope): boolean {
  if (file === NOTIFY) return alerts === true;
  // What the daemon itself records is about everything.
  if (file.startsWith(".orchd/")) return true;
  if (none === true) return false;
  if (run !== undefined) return file.includes(`/${run}.`) || file.endsWith("/pipeline.jsonl");
  return pipeline === undefined || file.startsWith(`${pipeline}/`);
}

/** Takes the stream's text as it comes, and gives the lines that are whole. */
export function parser(): (text: string) => FeedLine[] {
  let rest = "";
  let [id, name, data]: [string, string, string[]] = ["", "", []];
  return (text) => {
    const rows = (rest + text).split(/\r\n|\n|\r/);
    rest = rows.pop() ?? "";
    const found: FeedLine[] = [];
    for (const row of rows) {
      if (row === "" && data.length > 0)
        found.push(
          name === "notify" ? { file: NOTIFY, seq: 0, text: "" } : feedLine(id, data.join("\n")),
        );
      if (row === "") [name, data] = ["", []];
      else if (row.startsWith("event:")) name = row.slice(6).trimStart();
      else if (row.startsWith("id:")) id = row.slice(3).trimStart();
      else if (row.startsWith("data:")) data.push(row.slice(5).replace(/^ /, ""));
    }
    return found;
  };
}

function feedLine(id: string, text: string): FeedLine {
  const place = id.split(";")[0]!;
  const colon = place.lastIndexOf(":");
  return { file: place.slice(0, colon), seq: Number(place.slice(colon + 1)), text };
}
