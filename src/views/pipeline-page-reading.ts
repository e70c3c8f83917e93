/** Reads what the page's Pipeline shows. */
import type { RunEvent } from "../core/event.ts";
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import { DAY_MS, HOUR_MS } from "../core/time.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import { RunStore } from "../ledger/run-store.ts";
import { comingSlots } from "./coming-slots.ts";
import { dayStart } from "./day-tally.ts";
import { pipelineGraph, runGraph, type Graph } from "./graph.ts";
import { knownPipeline } from "./known-pipeline.ts";
import { unknown, unlessDamaged, type NoView } from "./no-view.ts";
import { PipelineMemory } from "./pipeline-memory.ts";
import type { PipelinePage } from "./pipeline-page.ts";
import { pipelineRow } from "./pipeline-row.ts";
import { backfillsOf, type PipelineView } from "./pipeline-view.ts";
import { plannedByLedger, type Planned } from "./planned.ts";
import { wholeSchedule } from "./recorded-schedule.ts";
import { rehearse, type Rehearsal } from "./rehearsal.ts";
import type { Roots } from "./roots.ts";
import { linesBackwards } from "./run-history.ts";
import { restored, stateOfRun } from "./run-reading.ts";
import { isRepeatedLoad } from "./repeated-load.ts";
import type { PlainLine } from "./plain-line.ts";
import { readStatus } from "./status-view.ts";

const NEXT_SLOTS = 10;
const TREND_RUNS = 200;
const MOST_VERSIONS = 50;
/** So many checkpoints back versions are looked for: 100,000 lines. */
const MOST_CHECKPOINTS = 400;
/** The rehearsal looks this far ahead, and less where the pipeline fires often. */
const MOST_DAYS = 7;
const MOST_REHEARSED = 20_000;
/** More slots than this in one second are a pile-up, as in `orchd next --days`. */
const PILE_UP = 10;
const FINISHED = Buffer.from('"type":"run.finished"');
const OF_FILE = Buffer.from('"type":"pipeline.');

/**
 * A pipeline with all that its ledger says.
 *
 * @param now milliseconds since 1970
 * @param memory what was read before
 * @throws a Node error where this user may not read its ledger
 */
export function readPipelinePage(
  roots: Roots,
  name: string,
  now: number,
  memory: PipelineMemory = new PipelineMemory(new RunStore(roots.runs)),
): { readonly ok: true; readonly page: PipelinePage } | NoView {
  const known = knownPipeline(roots, name);
  if (!known.ok) return known;
  return unlessDamaged(() => {
    const status = readStatus(roots, name, now, (one) => memory.view(one, now));
    if (!status.ok) return status;
    const view = status.view.pipelines.find((one) => one.name === name);
    return view === undefined
      ? unknown(`there is no pipeline "${name}"; \`orchd status\` lists those that there are.`)
      : { ok: true as const, page: pageOf(memory, view, now) };
  });
}

function pageOf(memory: PipelineMemory, view: PipelineView, now: number): PipelinePage {
  const { store } = memory;
  const { name } = view;
  const facts = memory.facts(name, now);
  const firing = memory.firing(name, now);
  const planned =
    firing === undefined || view.removed === true ? undefined : plannedByLedger(name, firing, now);
  const row = pipelineRow(view, facts, facts?.tally.reasons(dayStart(now)) ?? []);
  const schedules = (firing?.schedules ?? []) as unknown as readonly Schedule[];
  return {
    ...row,
    params: facts?.about.params ?? {},
    schedules: schedules.map(wholeSchedule),
    next: planned === undefined ? [] : comingSlots([planned], now, NEXT_SLOTS),
    rehearsal: rehearsalOf(store, planned, now),
    trend: trendOf(store, name),
    versions: versionsOf(store, name),
    backfills: backfillsOf(facts?.backfills ?? []),
    graph: graphOf(store, view),
  };
}

/** The coming whole days or hours of this pipeline alone: how many, its slots decide. */
function rehearsalOf(store: RunStore, planned: Planned | undefined, now: number): Rehearsal {
  const some = planned?.table.dueSlots(now, now + MOST_DAYS * DAY_MS, NEXT_SLOTS) ?? [];
  const last = some.length < NEXT_SLOTS ? undefined : some.at(-1);
  const everyMs = last === undefined ? DAY_MS : Math.max(1, (last.due - now) / NEXT_SLOTS);
  const spanMs = Math.min(MOST_DAYS * DAY_MS, everyMs * MOST_REHEARSED);
  const unit = spanMs < DAY_MS ? HOUR_MS : DAY_MS;
  const days = (Math.max(1, Math.floor(spanMs / unit)) * unit) / DAY_MS;
  const list = planned === undefined ? [] : [planned];
  return rehearse(store, list, { from: now, days, most: PILE_UP });
}

function trendOf(store: RunStore, pipeline: string): PipelinePage["trend"] {
  const trend: { run: string; at: string; status: string; durationMs: number }[] = [];
  for (const line of linesBackwards(store, pipeline, () => FINISHED)) {
    const { type, run, at, status } = line;
    // A run that a dead daemon left behind has not worked while none was up.
    const durationMs = line["workedMs"] ?? line["durationMs"];
    if (
      type === "run.finished" &&
      typeof run === "string" &&
      typeof at === "string" &&
      typeof status === "string" &&
      typeof durationMs === "number"
    )
      trend.push({ run, at, status, durationMs });
    if (trend.length === TREND_RUNS) break;
  }
  return trend.toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

function versionsOf(store: RunStore, pipeline: string): PipelinePage["versions"] {
  const versions: PipelinePage["versions"][number][] = [];
  let checkpoints = 0;
  let newer: PlainLine | undefined;
  for (const line of linesBackwards(store, pipeline, () => OF_FILE)) {
    const version = isRepeatedLoad(line, newer) ? undefined : versionOf(line);
    newer = line;
    if (line["type"] === "pipeline.checkpoint") checkpoints += 1;
    if (version !== undefined) {
      // An upgrade of orchd repeats a load: the older line of a version is when it came.
      if (version.valid && versions.at(-1)?.digest === version.digest) versions.pop();
      versions.push(version);
    }
    if (versions.length === MOST_VERSIONS || checkpoints === MOST_CHECKPOINTS) break;
  }
  return versions;
}

function versionOf(line: PlainLine): PipelinePage["versions"][number] | undefined {
  const { type, at, digest, errors } = line;
  if (typeof at !== "string") return undefined;
  if (type === "pipeline.loaded")
    return { at, digest: typeof digest === "string" ? digest : null, valid: true, errors: [] };
  if (type !== "pipeline.invalid") return undefined;
  const texts = Array.isArray(errors) ? errors.filter((it) => typeof it === "string") : [];
  return { at, digest: null, valid: false, errors: texts };
}

/** The steps of its newest run, without how they stand; null where none can be read. */
function graphOf(store: RunStore, { name, lastRun, active }: PipelineView): Graph | null {
  const run = lastRun?.run ?? active.at(-1);
  if (run === undefined) return null;
  let graph: Graph | null = null;
  try {
    readLedger<RunEvent>(store.runLedger(run), {
      each(line) {
        const header = restored(store, line);
        if (header.type === "run.submitted") graph = pipelineGraph(name, header.snapshot);
        return false;
      },
    });
  } catch {
    return null;
  }
  return (graph as Graph | null)?.dynamic === true ? dynamicGraph(store, name, run) : graph;
}

/** A dynamic pipeline's steps are known from a run alone. */
function dynamicGraph(store: RunStore, name: string, run: string): Graph | null {
  const state = stateOfRun(store, run);
  if (state === undefined) return null;
  const steps = runGraph(state).steps.map(({ step, inputs, after }) => ({ step, inputs, after }));
  return { name, dynamic: true, steps };
}
