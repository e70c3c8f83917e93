/**
 * One route of the API, as data: from a list of these both the server and the OpenAPI document are
 * made, so the document cannot say anything else than what is served.
 */
import * as z from "zod";
import { noTimeText, readGivenTime } from "../../core/given-time.ts";
import { DAY_MS } from "../../core/time.ts";
import type { NotifyReader } from "../../ledger/notify-reading.ts";
import type { RunStore } from "../../ledger/run-store.ts";
import type { NotifySetup } from "../../views/alerts-reading.ts";
import type { CacheSettings } from "../../views/cache-forecast.ts";
import type { PipelineMemory } from "../../views/pipeline-memory.ts";
import type { Roots } from "../../views/roots.ts";
import type { Operation } from "./answers.ts";
import { refusal } from "./problem.ts";

/** What routes read from. */
export interface PageSource {
  readonly roots: Roots;
  readonly store: RunStore;
  /** What was read before of each pipeline: only what has changed is read again. */
  readonly memory: PipelineMemory;
  /** The same of notify.jsonl. */
  readonly notifications: NotifyReader;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** What orchd.yaml says about the cache. */
  readonly cacheSettings: () => Promise<CacheSettings>;
  /** What orchd.yaml says about alerts. */
  readonly notifySetup: () => Promise<NotifySetup>;
  /** Makes sure that code can be loaded now (late-part.ts). @throws a Node error */
  readonly beforeLoad?: (() => void) | undefined;
}

/** A route as the document shows it. */
export interface RouteShape<Params extends z.ZodObject = z.ZodObject> {
  /** Below `/api/v1`, as OpenAPI writes it: `/pipelines/{pipeline}`. */
  readonly path: string;
  /** The operation's name in the document, under which answers.ts has what it answers. */
  readonly id: Operation;
  /** A sentence without its full stop. */
  readonly summary: string;
  /** What the path and the query hold, by name. */
  readonly params: Params;
}

/** A GET route. */
export interface Route<Params extends z.ZodObject = z.ZodObject> extends RouteShape<Params> {
  /** Those that ask at the same time get one answer: shared-answers.ts. It depends on no header. */
  readonly isShared?: true;
  /** @throws Refusal */
  readonly read: (
    source: PageSource,
    params: z.infer<Params>,
    accept: string,
  ) => object | Promise<object>;
}

/** A route. It gives `read` the types of its params. */
export function route<Params extends z.ZodObject>(given: Route<Params>): Route {
  return given;
}

/** An answer whose bytes are made already. */
export class Raw {
  readonly type: string;
  readonly text: string;

  constructor(type: string, text: string) {
    this.type = type;
    this.text = text;
  }
}

const LONGEST = 200;
const TIME_TEXT =
  "ISO 8601, a date, `now`, `today`, `yesterday`, or how long ago: `90m`, `2d`; without an " +
  "offset it is UTC";

/** A text. */
export function text(description: string): z.ZodString {
  return z.string().max(LONGEST).meta({ description });
}

/** A time, as people type it; {@link timeOf} reads it. */
export function moment(description: string): z.ZodString {
  return z
    .string()
    .max(LONGEST)
    .meta({ description: `${description}; ${TIME_TEXT}` });
}

/** A whole number. */
export function count(description: string, otherwise: number, most: number): z.ZodDefault {
  return z.coerce.number().int().min(1).max(most).default(otherwise).meta({ description });
}

/** The time that a param holds, in milliseconds since 1970. @throws Refusal where it holds none */
export function timeOf(value: string, name: string, now: number): number {
  const time = readGivenTime(value, now);
  if (time === undefined) throw refusal(400, noTimeText(name, value));
  return time;
}

/**
 * The stretch of time between two params, both included: `to` is now where nobody says it, and
 * `from` a day before. @throws Refusal where one is no time, or where it ends before it begins
 */
export function stretchOf(
  params: { readonly from?: string | undefined; readonly to?: string | undefined },
  now: number,
): { readonly from: number; readonly to: number } {
  const to = params.to === undefined ? now : timeOf(params.to, "to", now);
  const from = params.from === undefined ? to - DAY_MS : timeOf(params.from, "from", now);
  if (from <= to) return { from, to };
  throw refusal(
    400,
    params.to === undefined
      ? "`from` lies in the future, and without `to` the end is now; give `to` too."
      : "`to` lies before `from`; swap them.",
  );
}
