/**
 * The lanes of other machines that a run's steps queue in: the place is told that they are wanted,
 * and the run's ledger says why nobody takes their steps (`run.waits`).
 *
 * A reason is written when it has held for a while: a place that is just being reached says so too.
 * The same one is not written again, and another one only after a while, each time a longer one. So
 * a run that waits for days has few lines of it.
 */
import type { Timer } from "../clock.ts";
import { retryDue } from "../core/attempt-end.ts";
import { isHalted } from "../core/halt.ts";
import { laneOf, wantedBy, type Lane } from "../core/lane.ts";
import type { RunParts } from "./run-parts.ts";

/** How long a reason holds before it is written, in milliseconds. */
const PATIENCE_MS = 2_000;
/** How often it is looked whether the reason is another one. */
const LOOK_MS = 10_000;
/** How long after a line another one of these labels may be written; twice that after the next. */
const NEXT_MS = 30_000;
const LONGEST_MS = 3_600_000;

interface Said {
  /** From when on another reason may be written, in monotonic milliseconds. */
  until: number;
  pauseMs: number;
}

/** Looks after the lanes of other machines of one run. */
export class LaneWaits {
  readonly #parts: RunParts;
  readonly #ends = new Map<Lane, (() => void) | undefined>();
  readonly #said = new Map<string, Said>();
  #timer: Timer | undefined;

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  /** Tells the place of lanes that it was not told of yet. */
  want(): void {
    const { state, deps } = this.#parts;
    if (state.farLanes.size === this.#ends.size) return;
    for (const lane of state.farLanes)
      if (!this.#ends.has(lane)) this.#ends.set(lane, deps.place.want?.(lane));
  }

  /** A turn is over: looks later whether steps wait that nobody takes. */
  look(): void {
    const { deps, arrive } = this.#parts;
    if (this.#timer !== undefined || this.#waiting().size === 0) return;
    const afterMs = this.#said.size === 0 ? PATIENCE_MS : LOOK_MS;
    this.#timer = deps.clock.after(afterMs, () =>
      arrive(() => {
        this.#timer = undefined;
        this.#say();
      }),
    );
  }

  /** The run is no longer driven. */
  end(): void {
    this.#timer?.cancel();
    for (const end of this.#ends.values()) end?.();
    this.#ends.clear();
  }

  #say(): void {
    const { state, deps, emit } = this.#parts;
    const now = deps.clock.monotonic();
    for (const [labels, lane] of this.#waiting()) {
      const because = deps.place.whyNot?.(lane)?.slice(0, 1_000);
      if (because === undefined || state.waits.get(labels) === because) continue;
      const said = this.#said.get(labels) ?? { until: 0, pauseMs: NEXT_MS };
      if (said.until > now) continue;
      emit({ type: "run.waits", on: [...wantedBy(lane)!.labels], because });
      this.#said.set(labels, {
        until: now + said.pauseMs,
        pauseMs: Math.min(LONGEST_MS, said.pauseMs * 2),
      });
    }
  }

  /** A lane for each list of labels that steps wait for. */
  #waiting(): Map<string, Lane> {
    const { state, deps, draining } = this.#parts;
    const waiting = new Map<string, Lane>();
    if (state.phase !== "started" || draining() || isHalted(state)) return waiting;
    const add = (lane: Lane): void => void waiting.set(lane.slice(lane.indexOf("@") + 1), lane);
    for (const lane of state.farLanes) if ((state.readyIn[lane] ?? 0) > 0) add(lane);
    for (const id of state.delayed) {
      const step = state.steps.get(id)!;
      const now = deps.clock.now();
      if (step.spec.on !== undefined && retryDue(step, now) <= now) add(laneOf(step.spec));
    }
    return waiting;
  }
}
