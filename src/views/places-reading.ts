/**
 * Reads where steps run and what waits for a place: from `places.jsonl`, which the daemon writes,
 * and from the ledgers of runs that are active. The daemon may be down.
 */
import { whyUnserved, type PlaceHost } from "../core/place-report.ts";
import type { RunState } from "../core/run-state.ts";
import { iso } from "../core/time.ts";
import { readDaemonPast } from "../ledger/daemon-history.ts";
import { readDaemon } from "../ledger/daemon-info.ts";
import { readPlaces, type PlaceChanged } from "../ledger/place-lines.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { readPipeline } from "./pipeline-reading.ts";
import type { PlaceHostView, PlacesView, PlaceView, WaitingSteps } from "./places.ts";
import { stateOfRun } from "./run-reading.ts";
import { viewDaemon } from "./status-view.ts";

/** How many active runs are read. */
const MOST_RUNS = 2_000;
/** How many runs are named of those whose steps wait. */
const MOST_NAMED = 20;
/** This machine's own place. */
const LOCAL = "local";

/** @param now milliseconds since 1970 */
export function readPlacesView(store: RunStore, now: number): PlacesView {
  const daemon = viewDaemon(readDaemon(store.orchdDir));
  const lines = readPlaces(store.orchdDir);
  const asOf = daemon === null ? lastSaid(store, lines) : now;
  const runs = startedRuns(store);
  const steps = new PresentSteps();
  for (const run of runs.slice(0, MOST_RUNS)) {
    const state = stateOfRun(store, run);
    if (state !== undefined) steps.take(state);
  }
  return {
    at: iso(now),
    daemon,
    asOf: lines.length === 0 ? null : iso(Math.floor(asOf)),
    places: lines.map((line) => viewPlace(line, steps, daemon?.version)).toSorted(byName),
    waiting: steps.waiting(lines),
    unread: Math.max(0, runs.length - MOST_RUNS),
  };
}

/** When a daemon was last seen; or a program that ran without one, if that was later. */
function lastSaid(store: RunStore, lines: readonly PlaceChanged[]): number {
  const { seenMs = 0 } = readDaemonPast(store.orchdDir);
  return lines.reduce((last, { at }) => Math.max(last, Date.parse(at)), seenMs);
}

/** The active runs that do not wait for their turn, the oldest of each pipeline first. */
function startedRuns(store: RunStore): string[] {
  return store.pipelines().flatMap((name) => {
    try {
      const state = readPipeline(store, name)?.state;
      if (state === undefined) return [];
      return [...state.active.keys()].filter((run) => !state.queued.has(run));
    } catch {
      // Other views say that this ledger cannot be read.
      return [];
    }
  });
}

/** What the steps of active runs do now, counted. */
class PresentSteps {
  /** How many run, by place and by host of a place. */
  readonly #running = new Map<string, number>();
  readonly #waiting = new Map<string, Wait>();

  /** Takes one run. */
  take(state: RunState): void {
    if (state.finished !== undefined) return;
    for (const id of state.running) {
      const { spec, attempts, elsewhere } = state.steps.get(id)!;
      const placed = attempts.at(-1)?.placed;
      if (placed !== undefined) this.#count(placed.place, placed.host);
      else if (spec.on !== undefined) this.#wait(spec.on, state.run).starting += 1;
      else if (elsewhere !== true && spec.container === undefined) this.#count(LOCAL, undefined);
    }
    // A run that stops starts none of them.
    if (state.stop !== undefined || state.timedOut !== undefined) return;
    for (const id of state.ready) {
      const { on } = state.steps.get(id)!.spec;
      if (on !== undefined) this.#wait(on, state.run).steps += 1;
    }
  }

  /** How many steps run at a place, or at one of its hosts. */
  running(place: string, host?: string): number {
    return this.#running.get(keyOf(place, host)) ?? 0;
  }

  /** What waits; what nobody serves comes first. */
  waiting(reports: readonly PlaceChanged[]): WaitingSteps[] {
    return [...this.#waiting.values()]
      .map(({ labels, steps, starting, runs }) => ({
        labels,
        steps,
        starting,
        runs: [...runs].slice(0, MOST_NAMED),
        because: whyUnserved(labels, reports) ?? null,
      }))
      .toSorted((a, b) => Number(a.because === null) - Number(b.because === null));
  }

  #count(place: string, host: string | undefined): void {
    const keys = host === undefined ? [keyOf(place)] : [keyOf(place), keyOf(place, host)];
    for (const key of keys) this.#running.set(key, (this.#running.get(key) ?? 0) + 1);
  }

  #wait(labels: readonly string[], run: string): Wait {
    const key = labels.join("+");
    let wait = this.#waiting.get(key);
    if (wait === undefined)
      this.#waiting.set(key, (wait = { labels, steps: 0, starting: 0, runs: new Set() }));
    wait.runs.add(run);
    return wait;
  }
}

interface Wait {
  readonly labels: readonly string[];
  steps: number;
  starting: number;
  readonly runs: Set<string>;
}

function keyOf(place: string, host?: string): string {
  return JSON.stringify([place, host]);
}

/** @param release the daemon's: this machine has the same */
function viewPlace(
  line: PlaceChanged,
  steps: PresentSteps,
  release: string | undefined,
): PlaceView {
  const { place, engine, engineVersion, labels, at, because, hosts } = line;
  return {
    place,
    engine,
    engineVersion: engineVersion ?? null,
    labels,
    since: at,
    because: because ?? null,
    running: steps.running(place),
    hosts: hosts.map((host) =>
      // All that runs on this machine runs on its one host.
      engine === LOCAL
        ? { ...viewHost(host, steps.running(place)), version: release ?? null }
        : viewHost(host, steps.running(place, host.host)),
    ),
  };
}

function viewHost(
  { host, labels, threads, node, version, protocol, platform, because }: PlaceHost,
  running: number,
): PlaceHostView {
  return {
    host,
    labels,
    threads,
    node: node ?? null,
    version: version ?? null,
    protocol: protocol ?? null,
    platform: platform ?? null,
    because: because ?? null,
    running,
  };
}

function byName(a: PlaceView, b: PlaceView): number {
  const first = Number(b.engine === LOCAL) - Number(a.engine === LOCAL);
  return first === 0 ? (a.place < b.place ? -1 : 1) : first;
}
