/** `orchd status`, for people. */
import { formatDuration } from "../core/duration.ts";
import { failureText } from "../core/failure.ts";
import { comingText, relativeText } from "../core/relative-time.ts";
import { DAY_MS } from "../core/time.ts";
import { countText } from "../core/counted.ts";
import { timeText } from "../views/moment.ts";
import { VERSION } from "../version.ts";
import type { PipelineView } from "../views/pipeline-view.ts";
import type { Placement, RunView, StepView } from "../views/run-view.ts";
import type { DaemonView, StatusView } from "../views/status-view.ts";
import { runHead, statusMark, statusSpan } from "./render.ts";
import { printTable, tableWidth } from "./table.ts";
import { span, type Part, type Terminal } from "./terminal.ts";
import { betweenText } from "./time-text.ts";

/** How long `orchd status` says that somebody touched ledgers: as long as evidence is kept. */
const TOLD_MS = 7 * DAY_MS;

/**
 * Prints the daemon and every pipeline.
 *
 * @param detail one pipeline was asked for, so its counts are printed too
 * @param past for a moment of the past, the line that stands in the daemon's place
 * @param full why nothing can be written now
 */
export function printStatus(
  terminal: Terminal,
  view: StatusView,
  detail: boolean,
  now: number,
  { past, full }: { readonly past?: string; readonly full?: string | undefined } = {},
): void {
  terminal.line(past === undefined ? daemonLine(view.daemon, now) : past);
  if (full !== undefined)
    terminal.line([span("red", "✗ "), `${full}: nothing starts until there is room`]);
  const note = past === undefined ? releaseNote(view.daemon) : undefined;
  if (note !== undefined) terminal.line(note);
  if (view.pipelines.length === 0) {
    terminal.line(
      past === undefined
        ? "no pipelines yet: put a file into the schedules folder, or make one with `orchd init`"
        : "no pipeline had been loaded by then",
    );
    return;
  }
  terminal.line("");
  const head = ["PIPELINE", "STATE", "NEXT FIRE", "LAST RUN", "SCHEDULE"];
  const rows = (brevity: Brevity): Part[][] =>
    view.pipelines.map((pipeline) => [
      span("bold", pipeline.name),
      stateOf(pipeline),
      nextOf(pipeline, now, brevity),
      lastOf(pipeline, now, brevity),
      pipeline.schedule ?? "-",
    ]);
  const { columns } = terminal;
  const brevity =
    columns === undefined ? 0 : BREVITIES.find((each) => tableWidth(head, rows(each)) <= columns);
  printTable(terminal, head, rows(brevity ?? BRIEFEST));
  const notes = view.pipelines.flatMap((pipeline) => notesOf(pipeline, detail, now));
  if (notes.length > 0) terminal.line("");
  for (const note of notes) terminal.line(note);
}

/** The line about the daemon. */
export function daemonLine(daemon: DaemonView | null, now: number): Part {
  if (daemon === null)
    return [
      span("yellow", "daemon down"),
      ": nothing fires; what is shown is what the ledgers last said. `orchd start` starts it.",
    ];
  const since = Date.parse(daemon.since);
  return [
    span("green", "daemon up"),
    `: pid ${daemon.pid}, orchd ${daemon.version}, since ${timeText(since)} ` +
      `(${formatDuration(Math.max(0, now - since))})`,
  ];
}

/** What to do where the daemon is of another release. Undefined: it is of this one, or down. */
function releaseNote(daemon: DaemonView | null): string | undefined {
  if (daemon === null || daemon.version === VERSION) return undefined;
  return (
    `this command is orchd ${VERSION}: a daemon whose package was renewed begins no step until ` +
    "it is started again"
  );
}

function stateOf(pipeline: PipelineView): Part {
  if (pipeline.removed) return span("dim", "removed");
  if (pipeline.unread) return span("dim", "not read");
  if (pipeline.aside) return span("red", "set aside");
  if (!pipeline.valid) return span("red", "invalid");
  if (pipeline.paused) return span("yellow", "paused");
  if (pipeline.active.length > 0)
    return span("cyan", countText(pipeline.active.length, "run") + " active");
  return pipeline.queued.length > 0
    ? span("yellow", `${pipeline.queued.length} queued`)
    : span("green", "ok");
}

/**
 * What a line leaves out so that the schedule stays on it: nothing, the date, also how long the
 * last run took, also the time.
 */
type Brevity = 0 | 1 | 2 | 3;
const BRIEFEST = 3;
const BREVITIES: readonly Brevity[] = [0, 1, 2, BRIEFEST];

function nextOf(pipeline: PipelineView, now: number, brevity: Brevity): Part {
  if (pipeline.nextFire === null) return "-";
  const next = Date.parse(pipeline.nextFire);
  const [date, time] = timeText(next).split(" ");
  const relative = comingText(next, now);
  if (brevity === 0) return `${date} ${time} (${relative})`;
  return brevity < BRIEFEST && next - now < DAY_MS ? `${time} (${relative})` : relative;
}

function lastOf({ lastRun }: PipelineView, now: number, brevity: Brevity): Part {
  if (lastRun === null) return "-";
  if (lastRun.finishedAt === null)
    return [
      statusMark(lastRun.status),
      " ",
      statusSpan(lastRun.status),
      ` for ${betweenText(lastRun.startedAt, now)}`,
    ];
  const took =
    lastRun.startedAt === null || brevity > 1
      ? ""
      : `, took ${betweenText(lastRun.startedAt, lastRun.finishedAt)}`;
  return [
    statusMark(lastRun.status),
    " ",
    statusSpan(lastRun.status),
    ` ${relativeText(Date.parse(lastRun.finishedAt), now)}${took}`,
  ];
}

function notesOf(pipeline: PipelineView, detail: boolean, now: number): Part[] {
  const notes: Part[] = pipeline.errors.map((error) => [
    pipeline.unread ? span("dim", "· ") : span("red", "✗ "),
    span("bold", pipeline.name),
    `: ${error}`,
  ]);
  if (pipeline.lastRun?.because !== undefined)
    notes.push([
      statusMark(pipeline.lastRun.status),
      " ",
      pipeline.lastRun.run,
      ` ${pipeline.lastRun.status}: ${pipeline.lastRun.because}`,
    ]);
  const { disturbed, silence } = pipeline;
  if (silence !== undefined)
    notes.push([
      span("yellow", "! "),
      span("bold", pipeline.name),
      ` is silent until ${timeText(Date.parse(silence.until))}` +
        (silence.because === undefined ? "" : `: ${silence.because}`),
    ]);
  if (disturbed !== undefined && now - Date.parse(disturbed.at) < TOLD_MS)
    notes.push([
      span("yellow", "! "),
      span("bold", pipeline.name),
      `: ${timeText(Date.parse(disturbed.at))}: ${disturbed.because}`,
    ]);
  for (const run of pipeline.active) notes.push([statusMark("running"), " ", run]);
  for (const { run, because } of pipeline.waiting ?? [])
    notes.push([statusMark("initializing"), " ", run, ` waits: ${because}`]);
  const more = pipeline.queued.length - (pipeline.waiting?.length ?? 0);
  if (more > 0)
    notes.push([
      statusMark("initializing"),
      ` ${countText(more, "more run")} of ${pipeline.name} wait`,
    ]);
  for (const { id, from, to, which } of pipeline.backfills ?? [])
    notes.push([
      statusMark("running"),
      " ",
      span("bold", pipeline.name),
      `: a backfill (${which}) from ${timeText(from)} to ${timeText(to)} is under way; ` +
        `\`orchd backfill --cancel ${id}\` ends it`,
    ]);
  const { skipped = 0, missed = 0 } = pipeline.counts;
  if (skipped + missed > 0)
    notes.push(
      span(
        "dim",
        `  ${pipeline.name}: ${countText(skipped, "slot")} skipped, ${missed} missed; ` +
          `\`orchd why ${pipeline.name} TIME\` says why`,
      ),
    );
  if (detail) notes.push(...detailsOf(pipeline));
  return notes;
}

function detailsOf({ name, file, lastRun, counts }: PipelineView): Part[] {
  const details: Part[] = [];
  if (file !== null) details.push(["  file      ", file]);
  if (lastRun !== null) details.push(["  last run  ", lastRun.run]);
  const kinds = Object.entries(counts).map(([kind, count]) => `${kind} ${count}`);
  if (kinds.length > 0) details.push(["  so far    ", kinds.join(", ")]);
  if ((counts["failed"] ?? 0) > 0)
    details.push(["  failed    ", `\`orchd runs ${name} --status failed\` lists them`]);
  return details;
}

/** Prints one run and its steps. */
export function printRun(terminal: Terminal, view: RunView, now: number): void {
  terminal.line(...runHead(view), view.because === null ? "" : `: ${view.because}`);
  terminal.line(span("dim", originOf(view, now)));
  if (view.fault !== undefined)
    terminal.line(
      span("red", `the ledger is damaged at ${view.fault}; what came after is not shown`),
    );
  if (view.steps.length === 0) return;
  terminal.line("");
  const isFar = view.steps.some(({ placed }) => placed !== undefined);
  printTable(
    terminal,
    ["", "STEP", "STATUS", "ATTEMPTS", "TOOK", ...(isFar ? ["WHERE"] : []), "BECAUSE"],
    view.steps.map((step) => [
      statusMark(step.status),
      step.step,
      statusSpan(step.status),
      String(step.attempts),
      betweenText(step.startedAt, step.finishedAt ?? (step.status === "running" ? now : null)),
      ...(isFar ? [whereOf(step)] : []),
      reasonOf(step),
    ]),
    { reasons: true },
  );
  for (const { step, placements = [] } of view.steps)
    for (const [attempt, places] of byAttempt(placements))
      terminal.line(span("dim", `  ${step}, attempt ${attempt}: ${places.join(", then ")}`));
}

/** Where each attempt ran: one that was interrupted and not counted has several places. */
function byAttempt(placements: readonly Placement[]): Map<number, string[]> {
  const places = new Map<number, string[]>();
  for (const { attempt, ...placed } of placements)
    places.set(attempt, [...(places.get(attempt) ?? []), placeText(placed)]);
  return places;
}

/** Where its last attempt runs or ran; `-`: in a process of this machine, or nowhere yet. */
function whereOf({ placed }: StepView): string {
  return placed === undefined ? "-" : placeText(placed);
}

/** `podman CONTAINER`, or `PLACE HOST`. */
function placeText({ place, host, ref }: Omit<Placement, "attempt">): string {
  return `${place} ${place === "podman" || place === "docker" ? ref : host}`;
}

/** What triggered a run, and its times. */
function originOf({ trigger, submittedAt, startedAt, finishedAt }: RunView, now: number): string {
  const slot = trigger.scheduledFor === undefined ? "" : ` for ${timeText(trigger.scheduledFor)}`;
  const submitted = `${trigger.kind}${slot}, submitted ${timeText(submittedAt)}`;
  if (startedAt === null) return `${submitted}, not started`;
  const took = betweenText(startedAt, finishedAt ?? now);
  const length = finishedAt === null ? `for ${took}` : `took ${took}`;
  return `${submitted}, started ${timeText(startedAt)}, ${length}`;
}

function reasonOf({ error, because }: StepView): string {
  if (error === undefined) return because ?? "";
  const code = error.code === undefined ? "" : ` (${error.code})`;
  return `${error.name}: ${failureText(error)}${code}`;
}
