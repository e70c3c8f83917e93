/**
 * What `orchd status` shows, as data: the daemon and the pipelines. It is read from files alone, so
 * it works with the daemon down.
 */
import { join } from "node:path";
import { nameOfFile } from "../core/pipeline-file-name.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import { readDaemon } from "../ledger/daemon-info.ts";
import { RunStore } from "../ledger/run-store.ts";
import { readSetAside, type SetAsideEntry } from "../ledger/set-aside-file.ts";
import { unknown, type NoView } from "./no-view.ts";
import { pipelineFiles, unreadFiles } from "./pipeline-file-list.ts";
import { readPipeline } from "./pipeline-reading.ts";
import { isHistory, unreadText, viewPipeline, type PipelineView } from "./pipeline-view.ts";
import { PresentRuns } from "./present-runs.ts";
import type { Roots } from "./roots.ts";

/** For how many waiting runs the reason is looked up: a queue may be long. */
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
  /**
   * Null until the daemon holds the lock, has recovered and has read the drop folder once
   * (semantics.md 27a).
   */
  readonly daemon: DaemonView | null;
  readonly pipelines: readonly PipelineView[];
}

/**
 * The status of all pipelines, or of one.
 *
 * @param now milliseconds since 1970
 * @param viewOf gives a pipeline's view; default: its ledger is read
 */
export function readStatus(
  roots: Pick<Roots, "schedules" | "runs">,
  target: string | undefined,
  now: number,
  viewOf?: ViewOf,
): { readonly ok: true; readonly view: StatusView } | NoView {
  const store = new RunStore(roots.runs);
  const info = readDaemon(store.orchdDir);
  const names =
    target === undefined ? store.pipelines() : PIPELINE_NAME.test(target) ? [target] : [];
  // What a daemon that is gone could not use may be well by now.
  const aside = info === null ? new Map<string, SetAsideEntry>() : readSetAside(store.orchdDir);
  const missing = [...aside.keys()].filter((name) => target === undefined || name === target);
  const views = readViews(
    viewOf ?? ((name) => readView(store, name, now)),
    [...new Set([...names, ...missing])],
    aside,
  );
  const present = new PresentRuns(store, target === undefined ? views : undefined);
  const told = views.map((view) =>
    view.queued.length === 0
      ? view
      : {
          ...view,
          waiting: view.queued
            .slice(0, WAITING_SHOWN)
            .map((run) => ({ run, because: present.waitsFor(run, view) })),
        },
  );
  // A run in the foreground leaves a ledger that does not know the pipeline's file.
  const dropped = told.some(lacksFile) ? pipelineFiles(roots.schedules) : [];
  const found = told.map((view) => {
    const file = lacksFile(view)
      ? dropped.find((name) => nameOfFile(name) === view.name)
      : undefined;
    return file === undefined
      ? view
      : { ...view, file: join(roots.schedules, file), errors: [unreadText(file, file)] };
  });
  // History is shown if it is asked for by name.
  const shown = found.filter((view) => target !== undefined || !isHistory(view));
  // A daemon that is up is about to read a file that no ledger speaks of.
  const unread =
    info === null
      ? unreadFiles(roots.schedules, views).map((file) => unreadView(roots.schedules, file))
      : [];
  const pipelines = [
    ...shown,
    ...unread.filter((view) => target === undefined || view.name === target),
  ].sort((a, b) => (a.name < b.name ? -1 : 1));
  if (target !== undefined && pipelines.length === 0)
    return unknown(
      `there is no pipeline "${target}"; \`orchd status\` lists those that there are.`,
    );
  const daemon = viewDaemon(info);
  return { ok: true, view: { daemon, pipelines } };
}

/** A pipeline's view; undefined where it has no ledger. May throw as {@link readPipeline} does. */
export type ViewOf = (name: string) => PipelineView | undefined;

function readView(store: RunStore, name: string, now: number): PipelineView | undefined {
  const reading = readPipeline(store, name);
  return reading && viewPipeline(name, reading, now);
}

/** The daemon, once it is ready; null while none is. */
export function viewDaemon(info: ReturnType<typeof readDaemon>): DaemonView | null {
  return info?.ready
    ? { pid: info.pid, since: info.since, version: info.version, tz: info.tz }
    : null;
}

function lacksFile(view: PipelineView): boolean {
  return view.file === null && view.errors[0] === unreadText(view.name);
}

/** @throws a Node error where this user may read none of the ledgers: it is said once, for all */
function readViews(
  viewOf: ViewOf,
  names: readonly string[],
  aside: ReadonlyMap<string, SetAsideEntry>,
): PipelineView[] {
  const views: PipelineView[] = [];
  let forbidden = 0;
  for (const name of names) {
    const entry = aside.get(name);
    try {
      const view = viewOf(name);
      if (entry !== undefined) views.push(asideView(view ?? emptyView(name), entry));
      else if (view !== undefined) views.push(view);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const isForbidden = code === "EACCES" || code === "EPERM";
      const view = { ...emptyView(name), errors: [message] };
      if (entry !== undefined) views.push(asideView(emptyView(name), entry));
      else if (isForbidden && (forbidden += 1) === names.length) throw error;
      else views.push(isForbidden ? { ...view, unread: true } : view);
    }
  }
  return views;
}

function asideView(view: PipelineView, { since, because }: SetAsideEntry): PipelineView {
  const errors = [...view.errors, `set aside since ${since}: ${because}`];
  return { ...view, valid: false, errors, aside: true };
}

function unreadView(schedules: string, file: string): PipelineView {
  return {
    ...emptyView(nameOfFile(file)),
    file: join(schedules, file),
    errors: [unreadText(file, file)],
    unread: true,
  };
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
