/** `orchd status` as data: the daemon and its pipelines, read from files alone, so that it works with the daemon down. */
import { join } from "node:path";
import { PIPELINE_NAME } from "../core/run-id.ts";
import { readDaemon } from "../ledger/daemon-info.ts";
import { RunStore } from "../ledger/run-store.ts";
import { unknownError } from "./exit.ts";
import { readPipeline, unreadFiles, unreadText, viewPipeline, type PipelineView } from "./pipeline-view.ts";
import type { Roots } from "./roots.ts";
import { readRun } from "./run-view.ts";

/** Of so many waiting runs the reason is looked up: a queue may be long. */
const WAITING_SHOWN = 10;

/** The daemon that is up, as `orchd status --json` shows it. */
export interface DaemonView {
  readonly pid: number;
  readonly since: string;
  readonly version: string;
  readonly tz: string;
}

/** `orchd status --json`. */
export interface StatusView {
  /** Null until it holds the lock, has recovered and has read the drop folder once (semantics.md 27a). */
  readonly daemon: DaemonView | null;
  readonly pipelines: readonly PipelineView[];
}

/** All pipelines, or one. @throws CliError (exit 3) where there is no such pipeline */
export function readStatus(roots: Roots, target: string | undefined, now: number): StatusView {
  const store = new RunStore(roots.runs);
  const info = readDaemon(store.orchdDir);
  const names = target === undefined ? store.pipelines() : PIPELINE_NAME.test(target) ? [target] : [];
  const views = names.flatMap((name) => {
    const view = readView(store, name, now);
    return view === undefined ? [] : [view];
  });
  // Removed pipelines are history; they are shown while they still run, and to whoever asks for one by name.
  const shown = views.filter((view) => target !== undefined || view.removed !== true || view.active.length + view.queued.length > 0);
  // With a daemon up, a file that no ledger speaks of is one it is about to read.
  const unread = info === null ? unreadFiles(roots.schedules, views).map((file) => unreadView(roots.schedules, file)) : [];
  const pipelines = [...shown, ...unread.filter((view) => target === undefined || view.name === target)].sort((a, b) => (a.name < b.name ? -1 : 1));
  if (target !== undefined && pipelines.length === 0)
    throw unknownError(`there is no pipeline "${target}"; \`orchd status\` lists those that there are.`);
  return { daemon: info?.ready ? { pid: info.pid, since: info.since, version: info.version, tz: info.tz } : null, pipelines };
}

function readView(store: RunStore, name: string, now: number): PipelineView | undefined {
  try {
    const reading = readPipeline(store, name);
    if (reading === undefined) return undefined;
    const view = viewPipeline(name, reading, now);
    return view.queued.length === 0
      ? view
      : { ...view, waiting: view.queued.slice(0, WAITING_SHOWN).map((run) => ({ run, because: reasonNow(reasonOf(store, run), run, view) })) };
  } catch (error) {
    return { ...emptyView(name), errors: [error instanceof Error ? error.message : String(error)] };
  }
}

/** Why a run waited when it was queued is in its own ledger. */
function reasonOf(store: RunStore, run: string): string {
  try {
    return readRun(store, run).state.because ?? "it has not said";
  } catch {
    return "its ledger cannot be read";
  }
}

const RUN_ID = /[a-z][a-z0-9_-]*@\d{8}T[\w.-]*[\w-]/g;
const OF_BACKFILL = /-b\d+$/;

/** What a run waits for now: the run that it was queued behind may have ended since, and another of its pipeline have its place. */
export function reasonNow(said: string, run: string, { active, queued }: Pick<PipelineView, "active" | "queued">): string {
  const named = said.match(RUN_ID) ?? [];
  // A reason that names no run is a limit, and holds as long as the run waits.
  if (named.length === 0 || named.some((one) => active.includes(one) || queued.includes(one))) return said;
  const alike = (other: string): boolean => OF_BACKFILL.test(other) === OF_BACKFILL.test(run);
  const running = active.filter(alike);
  if (running.length === 1) return `run ${running[0]!} goes on`;
  if (running.length > 1) return `${running.length} runs go on, the oldest is ${running[0]!}`;
  const ahead = queued.slice(0, queued.indexOf(run)).find(alike);
  if (ahead !== undefined) return `run ${ahead} waits before it`;
  return `a place under the limits that pipelines share; it was queued because ${said}`;
}

function unreadView(schedules: string, file: string): PipelineView {
  return { ...emptyView(file.replace(/\.[a-z]+$/, "")), file: join(schedules, file), errors: [unreadText(file, file)], unread: true };
}

function emptyView(name: string): PipelineView {
  return {
    name,
    file: null,
    valid: false,
    errors: [],
    paused: false,
    schedule: null,
    nextFire: null,
    lastRun: null,
    active: [],
    queued: [],
    counts: {},
  };
}
