/**
 * Watches a run until it ends. On a terminal its steps are drawn again and again; elsewhere each
 * event is a line.
 *
 * The ledger is read and folded as it grows; the daemon is asked nothing.
 */
import { failureText } from "../core/failure.ts";
import type { RunState, StepState } from "../core/run-state.ts";
import { runStatus } from "../core/run-status.ts";
import { daemonRuns } from "../ledger/ask.ts";
import { RunStore } from "../ledger/run-store.ts";
import { countText } from "../core/counted.ts";
import { FollowedRun } from "../views/followed-run.ts";
import { viewRun, type RunView } from "../views/run-view.ts";
import type { CommandContext } from "./command.ts";
import { eventText } from "./event-text.ts";
import { CliError, EXIT, type ExitStatus } from "./exit.ts";
import { LOOK_MS, pause } from "../client/looking.ts";
import { runHead, statusMark, statusSpan } from "./render.ts";
import { span, type Part, type Terminal } from "./terminal.ts";
import { betweenText } from "./time-text.ts";

/** How long the daemon may be away before the wait for the run ends, in milliseconds. */
const AWAY_MS = 3_000;

/** How to follow. */
export interface FollowOptions {
  /**
   * Settles when this process, which drives the run itself, has stopped doing so. Until then no
   * daemon is needed.
   */
  readonly driven?: Promise<unknown>;
}

/**
 * Follows a run to its end, and shows it meanwhile unless `--json` was given.
 *
 * @throws CliError (exit 4) where the daemon goes away before the run has ended; (exit 1) where
 *   the run's ledger lost its end
 */
export async function followRun(
  context: CommandContext,
  run: string,
  options: FollowOptions = {},
): Promise<RunView> {
  const { terminal, roots } = context;
  const followed = new FollowedRun(new RunStore(roots.runs), run);
  const json = context.args.flag("json");
  const live = terminal.interactive && !json;
  let away = 0;
  let driven = options.driven !== undefined;
  void options.driven?.then(
    () => (driven = false),
    () => (driven = false),
  );
  try {
    for (;;) {
      const stillDriven = driven;
      for (const line of followed.read())
        // How the run ended is said once, by whoever called this.
        if (!live && !json && line.type !== "run.finished") printEvent(terminal, line);
      const { state } = followed;
      if (live && state !== undefined) terminal.live(drawing(state, Date.now(), terminal.rows - 4));
      if (state?.finished !== undefined) return viewRun({ state });
      if (followed.endLost !== undefined) throw new CliError(EXIT.failed, followed.endLost);
      if (!stillDriven) away = daemonRuns(roots.runs, run) ? 0 : away + LOOK_MS;
      if (away > AWAY_MS)
        throw new CliError(
          EXIT.noDaemon,
          `the daemon has ended before ${run} did; the run goes on once \`orchd start\` runs.`,
        );
      await pause(LOOK_MS);
    }
  } finally {
    terminal.settle();
    followed.close();
  }
}

/** Says how a run that was followed ended. @returns status 1 if it failed or was stopped */
export function reportEnd({ args, terminal }: CommandContext, view: RunView): ExitStatus {
  if (args.flag("json")) terminal.json(view);
  else {
    const why = view.because === null ? "" : `: ${briefReason(view)}`;
    terminal.line(...runHead(view), ` in ${betweenText(view.startedAt, view.finishedAt)}${why}`);
  }
  return view.status === "completed" || view.status === "cached" ? EXIT.done : EXIT.failed;
}

/** Why the run ended, without the message of a step's error: the step has shown that already. */
function briefReason({ because, steps }: RunView): string {
  let brief = because ?? "";
  for (const { error } of steps)
    if (error !== undefined) brief = brief.replace(`: ${failureText(error)}`, () => "");
  return brief;
}

function printEvent(terminal: Terminal, line: Readonly<Record<string, unknown>>): void {
  const { text, style } = eventText(line);
  terminal.line(
    span("dim", typeof line["at"] === "string" ? line["at"].slice(11, 23) : ""),
    " ",
    span(style, text),
  );
}

/** @param most how many steps have room */
function drawing(state: RunState, now: number, most: number): Part[] {
  const { status } = runStatus(state);
  const took = betweenText(state.startedAt ?? state.submittedAt, state.finished?.at ?? now);
  const head: Part = [
    statusMark(status),
    " ",
    span("bold", state.run),
    " ",
    statusSpan(status),
    `  ${progressOf(state)}, ${took}`,
  ];
  const steps = [...state.steps];
  // Where there is no room for all, the steps that move are shown, and those that failed.
  const shown =
    steps.length <= most
      ? steps
      : steps
          .filter(
            ([, step]) =>
              step.phase === "running" || step.phase === "delayed" || step.status === "failed",
          )
          .slice(0, Math.max(1, most));
  const rest = steps.length - shown.length;
  return [
    head,
    ...shown.map(([id, step]) => drawStep(id, step, now)),
    ...(rest === 0 ? [] : [span("dim", `  and ${countText(rest, "step")} more`)]),
  ];
}

/** `3 of 4 steps, 1 skipped`: a step that is skipped is none that was done. */
function progressOf({ ended, steps }: RunState): string {
  const skipped = [...steps.values()].filter(({ status }) => status === "skipped").length;
  const done = `${ended - skipped} of ${countText(steps.size, "step")}`;
  return skipped === 0 ? done : `${done}, ${skipped} skipped`;
}

function drawStep(id: string, step: StepState, now: number): Part {
  const took =
    step.startedAt === undefined ? "" : ` ${betweenText(step.startedAt, step.finishedAt ?? now)}`;
  const attempt = step.attempt > 1 ? ` attempt ${step.attempt}` : "";
  const why =
    step.status === "failed" || step.status === "retrying"
      ? step.error === undefined
        ? step.because
        : failureText(step.error)
      : step.status === "skipped" || step.status === "cached"
        ? step.because
        : undefined;
  return [
    "  ",
    statusMark(step.status),
    ` ${id} `,
    statusSpan(step.status),
    span("dim", `${took}${attempt}${why === undefined ? "" : `: ${why}`}`),
  ];
}
