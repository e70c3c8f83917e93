/** What the page's Pipeline shows of one pipeline. */
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import type { Json } from "../core/snapshot.ts";
import type { NextSlot } from "./coming-slots.ts";
import type { Graph } from "./graph.ts";
import type { WholeRow } from "./overview.ts";
import type { BackfillView } from "./pipeline-view.ts";
import type { Rehearsal } from "./rehearsal.ts";

/** `GET /api/v1/pipelines/{p}`. Times are ISO 8601 in UTC. */
export interface PipelinePage extends WholeRow {
  /** Declared params with their defaults; a secret is `{secret: NAME}`. */
  readonly params: Readonly<Record<string, Json>>;
  readonly schedules: readonly Schedule[];
  /** The next ten slots, gaps and overlaps marked. */
  readonly next: readonly NextSlot[];
  /** Overlaps and pile-ups of the coming days, as `orchd next --days` has them. */
  readonly rehearsal: Rehearsal;
  /** Durations of its last runs, oldest first, at most 200. */
  readonly trend: readonly {
    readonly run: string;
    readonly at: string;
    readonly status: string;
    readonly durationMs: number;
  }[];
  /** The versions of its file that the ledgers know, newest first. */
  readonly versions: readonly {
    readonly at: string;
    readonly digest: string | null;
    readonly valid: boolean;
    readonly errors: readonly string[];
  }[];
  /** Backfills that are under way, the oldest first; `id` is the request's. */
  readonly backfills: readonly BackfillView[];
  /** Its steps by the newest run; null where there was none. */
  readonly graph: Graph | null;
}

/** `GET /api/v1/pipelines/{p}/file`: the file as it stands, read-only. */
export interface PipelineFilePage {
  readonly file: string;
  /** Null where it cannot be read or is gone: `because` says why. */
  readonly text: string | null;
  readonly because: string | null;
  /** What is wrong with it, at its lines (from 1); line null where none is known. */
  readonly faults: readonly { readonly line: number | null; readonly text: string }[];
}
