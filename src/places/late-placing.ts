/**
 * Tells where a task begins a moment late. The line of that is then written with the one of the
 * task's end, if it is brief: so it costs no write and no sync of its own, which the end would wait
 * for.
 *
 * A daemon that dies in that moment leaves no line of where the task was. The next one asks each
 * place, as it does for a task whose daemon died before that line was written.
 */
import type { Clock, Timer } from "../clock.ts";
import type { PlacedAt } from "../core/run-state.ts";
import type { TaskHandlers } from "./place.ts";

/** How long where a task begins may be unsaid, in milliseconds. */
const LATE_MS = 5;

/** Handlers that hear late where a task begins, and before all else of it. */
export interface LatePlacing extends TaskHandlers {
  placed(at: PlacedAt): void;
  /** Nobody hears where it begins any more. */
  drop(): void;
}

/** @param handlers who hears of the task */
export function placedLate(clock: Clock, handlers: TaskHandlers): LatePlacing {
  let waits: { readonly at: PlacedAt; readonly timer: Timer } | undefined;
  let isDropped = false;
  const tell = (): void => {
    const told = waits;
    if (told === undefined) return;
    waits = undefined;
    told.timer.cancel();
    if (!isDropped) handlers.placed?.(told.at);
  };
  return {
    call: handlers.call,
    drop: () => {
      isDropped = true;
      tell();
    },
    placed: (at) => (waits = { at, timer: clock.after(LATE_MS, tell) }),
    output: (lines) => {
      tell();
      handlers.output(lines);
    },
    done: (...end) => {
      tell();
      handlers.done(...end);
    },
    died: (death) => {
      tell();
      handlers.died(death);
    },
  };
}
