/**
 * What any process may ask of the daemon, with a file in `runs/.orchd/requests/` (docs/requests.md,
 * semantics.md 23).
 *
 * The daemon checks a request when it takes it up. It refuses an unknown key or type with a reason
 * and never ignores one.
 */
import * as z from "zod";
import { didYouMean } from "./did-you-mean.ts";
import { formatPath, type Fault } from "./fault.ts";
import { isObject } from "./json-object.ts";
import { SCHEDULE_NAME, parseRunId, PIPELINE_NAME } from "./run-id.ts";
import { checkShape } from "./shape-faults.ts";
import { kindOf } from "./value-words.ts";
import type { Json } from "./snapshot.ts";

/**
 * A request's id: its file's name without `.json`. A file whose name begins with a dot is not a
 * request.
 */
export const REQUEST_ID = /^(?!\.)[A-Za-z0-9._-]{1,64}$/;

const pipeline = z
  .string()
  .regex(PIPELINE_NAME, "must be a pipeline's name")
  .meta({ description: "a pipeline's name" });
const run = z
  .string()
  .refine((id) => parseRunId(id) !== undefined, "must be a run's id")
  .meta({ description: "a run's id" });
const time = z.iso
  .datetime({
    offset: true,
    error: "must be a time with its zone, such as 2026-11-23T02:00:00Z",
  })
  .meta({ description: "ISO 8601" });
const params = z.record(
  z.string(),
  z.custom<Json>((value) => value !== undefined),
);

const common = {
  by: z
    .string()
    .optional()
    .meta({ description: "who asks, as a remark; the file's owner is the one who asked" }),
  notAfter: time.optional().meta({ description: "refused if it is taken up later" }),
};

/** Any request. */
export const requestSchema = z.discriminatedUnion("type", [
  z
    .strictObject({
      type: z.literal("submit"),
      pipeline,
      params: params.optional(),
      noCache: z.boolean().optional(),
      run: run.optional().meta({
        description: "the id that the run gets, of a run by hand; refused if it is taken",
      }),
      digest: z.string().optional().meta({
        description: "refused unless this is the digest of the version that would run",
      }),
      ...common,
    })
    .meta({ description: "Run a pipeline now." }),
  z
    .strictObject({
      type: z.literal("stop"),
      run,
      mode: z.enum(["graceful", "force"]).default("graceful"),
      ...common,
    })
    .meta({ description: "Stop a run." }),
  z
    .strictObject({ type: z.literal("pause"), pipeline, ...common })
    .meta({ description: "Stop a pipeline's schedule." }),
  z
    .strictObject({ type: z.literal("resume"), pipeline, ...common })
    .meta({ description: "Let a pipeline's schedule go on." }),
  z
    .strictObject({
      type: z.literal("silence"),
      pipeline,
      until: time.nullable().meta({
        description: "nobody is told of the pipeline until then; null: people are told again",
      }),
      because: z.string().max(1_000).optional().meta({ description: "why" }),
      ...common,
    })
    .meta({ description: "Tell nobody of a pipeline for some time. Its schedule goes on." }),
  z
    .strictObject({
      type: z.literal("rerun"),
      run,
      failed: z.boolean().optional(),
      from: z.string().optional().meta({ description: "the step to begin with" }),
      edited: z
        .boolean()
        .optional()
        .meta({ description: "with the present pipeline file instead of the frozen snapshot" }),
      ...common,
    })
    .meta({ description: "Run again, reusing what is still valid." }),
  z
    .strictObject({
      type: z.literal("backfill"),
      pipeline,
      from: time,
      to: time,
      which: z.enum(["missing", "failed", "all"]).default("missing"),
      schedule: z.string().regex(SCHEDULE_NAME, "must be a schedule's name").optional(),
      params: params.optional(),
      maxActive: z.int().min(1).optional(),
      ...common,
    })
    .meta({ description: "Run past slots." }),
  z
    .strictObject({
      type: z.literal("cancel_backfill"),
      id: z.string().regex(REQUEST_ID, "must be a request's id"),
      ...common,
    })
    .meta({ description: "End a backfill; runs that have begun go on." }),
  z
    .strictObject({
      type: z.literal("prune"),
      pipeline: pipeline.optional(),
      keepDays: z.number().min(0).optional(),
      keepRuns: z.int().min(0).optional(),
      keepBytes: z.number().min(0).optional(),
      dryRun: z.boolean().optional(),
      ...common,
    })
    .meta({ description: "Remove old runs." }),
  z
    .strictObject({ type: z.literal("repair"), run, ...common })
    .meta({ description: "Cut a damaged ledger back to its good lines, keeping a copy." }),
  z
    .strictObject({ type: z.literal("rebuild"), ...common })
    .meta({ description: "Build the cache's index again from the ledgers." }),
]);

/** Any request, with its defaults filled in. */
export type Request = z.infer<typeof requestSchema>;
/** Any request, as a person or a program may write it. */
export type RequestInput = z.input<typeof requestSchema>;

/** The daemon's answer to a request. */
export interface Reply {
  readonly accepted: boolean;
  /** The run that the request made, or that it is about. */
  readonly run?: string | undefined;
  /** Why it was refused, or a remark. */
  readonly reason?: string | undefined;
  /** When the daemon answered; ISO 8601, UTC. */
  readonly at?: string | undefined;
  /** More about what was done; its shape depends on the request's type. */
  readonly result?: Json | undefined;
}

/** The answer to a request that is refused, with the reason. */
export function refused(reason: string): { readonly accepted: false; readonly reason: string } {
  return { accepted: false, reason };
}

/**
 * Checks a request.
 *
 * @returns the request, or why it is refused, in one sentence
 */
export function parseRequest(
  value: unknown,
):
  | { readonly ok: true; readonly request: Request }
  | { readonly ok: false; readonly reason: string } {
  const meant = isObject(value)
    ? requestSchema.options.find(({ shape }) => shape.type.value === value["type"])
    : undefined;
  if (meant === undefined) return { ok: false, reason: noRequest(value).slice(0, 500) };
  const checked = checkShape(meant, value);
  if (checked.ok) return { ok: true, request: checked.value };
  const type = meant.shape.type.value;
  return { ok: false, reason: reasonOf(type, checked.faults, Object.keys(meant.shape)) };
}

const TYPES = requestSchema.options.map(({ shape }) => shape.type.value);
const EXAMPLE = json({ type: "pause", pipeline: "etl" });

/** Why a value is a request of no type. */
function noRequest(value: unknown): string {
  if (!isObject(value)) {
    const given = value === null ? "null" : kindOf(value);
    return `the request must be a JSON object such as ${EXAMPLE}, not ${given}`;
  }
  const { type } = value;
  const near = typeof type === "string" ? didYouMean(type, TYPES) : "";
  const which = type === undefined ? "the request has no type" : `there is no type ${json(type)}`;
  return `${which}${near === "" ? ";" : near} a request is one of ${TYPES.join(", ")}`;
}

function reasonOf(type: string, faults: readonly Fault[], fields: readonly string[]): string {
  const unknown = faults.find(({ path, atKey }) => atKey === true && path.length === 1);
  const { path, message } = unknown ?? faults[0]!;
  if (unknown === undefined)
    return `the request's field ${formatPath(path)} ${message}`.slice(0, 500);
  const key = String(path[0]);
  const near = didYouMean(key, fields);
  const hint = near === "" ? `; it has ${fields.join(", ")}` : near;
  return `a ${type} request has no field ${json(key)}${hint}`.slice(0, 500);
}

function json(value: unknown): string {
  return JSON.stringify(value);
}
