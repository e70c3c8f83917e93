/**
 * A second, naive model of overlap: what happens to each slot, and when each run starts and ends,
 * if pipelines wait for themselves and for each other as docs/semantics.md says. It keeps one list
 * of runs, and looks at all of it each time.
 */
import type { Overlap } from "../../src/core/pipeline.ts";

/** A pipeline, as far as it matters here. */
export interface ModelPipeline {
  readonly name: string;
  readonly overlap: Overlap;
  readonly maxActiveRuns?: number;
  readonly maxQueuedRuns: number;
  readonly group?: string;
  readonly priority: number;
}

/** What the pipelines share. */
export interface ModelSettings {
  readonly groups: Readonly<
    Record<string, { readonly limit: number; readonly maxQueued?: number }>
  >;
  readonly maxActiveRuns?: number;
  readonly gracePeriodMs: number;
  /** How long a run takes once it starts. */
  readonly durationOf: (run: string) => number;
  /** How long a run takes to end once it is asked to. */
  readonly stopMs: number;
}

interface Run {
  readonly id: string;
  readonly pipeline: ModelPipeline;
  readonly slot: number;
  going: boolean;
  /** When it ends, and how. */
  end?: { at: number; how: string };
  stop?: "graceful" | "force";
  /** When it will be stopped by force. */
  forceAt?: number;
}

/** The model of one set of pipelines. */
export class OverlapModel {
  /** `TIME WHAT RUN`, in order. */
  readonly log: string[] = [];
  #runs: Run[] = [];
  readonly #settings: ModelSettings;

  constructor(settings: ModelSettings) {
    this.#settings = settings;
  }

  /** Lets everything happen up to this moment. */
  advance(to: number): void {
    for (;;) {
      const next = this.#runs
        .flatMap((run) => [
          ...(run.end === undefined ? [] : [{ at: run.end.at, run, force: false }]),
          ...(run.forceAt === undefined ? [] : [{ at: run.forceAt, run, force: true }]),
        ])
        .sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > to) return;
      if (next.force) {
        delete next.run.forceAt;
        this.stop(next.run.id, "force", next.at);
      } else {
        this.#runs = this.#runs.filter((run) => run !== next.run);
        this.log.push(`${next.at} ${next.run.end!.how} ${next.run.id}`);
        this.#serve(next.at);
      }
    }
  }

  /** A slot is due. */
  slot(pipeline: ModelPipeline, slot: number, id: string): void {
    const limit = this.#limitOf(pipeline);
    const own = this.#runs.filter((run) => run.pipeline === pipeline);
    const [going, waiting] = [own.filter((run) => run.going), own.filter((run) => !run.going)];
    let replaces = false;
    if (own.length >= limit) {
      const { overlap, maxQueuedRuns } = pipeline;
      if (overlap === "skip" || (overlap === "queue" && waiting.length > 0))
        return this.#skip(slot, id);
      if ((overlap === "queue_all" || overlap === "allow") && waiting.length >= maxQueuedRuns)
        return this.#skip(slot, id);
      if (overlap === "cancel" || overlap === "terminate") {
        replaces = true;
        const over = going.slice(0, Math.max(0, going.length - limit + 1));
        for (const run of [...waiting, ...over]) {
          this.stop(run.id, overlap === "cancel" ? "graceful" : "force", slot);
          if (overlap === "cancel")
            run.forceAt = Math.min(run.forceAt ?? Infinity, slot + this.#settings.gracePeriodMs);
        }
      }
    }
    const run: Run = { id, pipeline, slot, going: false };
    const most =
      pipeline.group === undefined ? undefined : this.#settings.groups[pipeline.group]!.maxQueued;
    const inGroup = this.#runs.filter(
      (other) => !other.going && other.pipeline.group === pipeline.group,
    ).length;
    if (!replaces && !this.#fits(run) && most !== undefined && inGroup >= most)
      return this.#skip(slot, id);
    this.#runs.push(run);
    if (this.#fits(run)) this.#start(run, slot, "starts");
    else this.log.push(`${slot} waits ${id}`);
  }

  /** A run is asked to end. */
  stop(id: string, mode: "graceful" | "force", at: number): void {
    const run = this.#runs.find((one) => one.id === id);
    if (run === undefined || run.stop === "force" || run.stop === mode) return;
    run.stop = mode;
    run.end = {
      at: at + (mode === "force" || !run.going ? 0 : this.#settings.stopMs),
      how: "stopped",
    };
  }

  #skip(slot: number, id: string): void {
    this.log.push(`${slot} skipped ${id}`);
  }

  #limitOf({ maxActiveRuns, overlap }: ModelPipeline): number {
    return maxActiveRuns ?? (overlap === "allow" ? Infinity : 1);
  }

  #fits({ pipeline }: Run): boolean {
    const going = this.#runs.filter((run) => run.going);
    const { group } = pipeline;
    return (
      going.filter((run) => run.pipeline === pipeline).length < this.#limitOf(pipeline) &&
      (group === undefined ||
        going.filter((run) => run.pipeline.group === group).length <
          this.#settings.groups[group]!.limit) &&
      going.length < (this.#settings.maxActiveRuns ?? Infinity)
    );
  }

  #start(run: Run, at: number, how: string): void {
    run.going = true;
    run.end = { at: at + this.#settings.durationOf(run.id), how: "completed" };
    this.log.push(`${at} ${how} ${run.id}`);
  }

  #serve(at: number): void {
    const inTurn = this.#runs
      .filter((run) => !run.going && run.stop === undefined)
      .sort(
        (a, b) =>
          b.pipeline.priority - a.pipeline.priority || a.slot - b.slot || (a.id < b.id ? -1 : 1),
      );
    for (const run of inTurn) if (this.#fits(run)) this.#start(run, at, "begins");
  }
}
