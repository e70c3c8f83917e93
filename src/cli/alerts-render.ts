/** `orchd alerts`, for people. */
import { kindText, messageText, untoldText } from "../core/alert-words.ts";
import type { AlertsView, ChannelView, MessageView } from "../views/alerts.ts";
import { countText } from "../core/counted.ts";
import { relativeText } from "../core/relative-time.ts";
import { timeText } from "../views/moment.ts";
import { printTable } from "./table.ts";
import { span, type Part, type Terminal } from "./terminal.ts";

/** The most of a list that a person is shown; `--json` has more. */
const SHOWN = 20;

/** Prints the view. What was sent is shown as a number a channel: it needs nobody. */
export function printAlerts(terminal: Terminal, view: AlertsView, now: number): void {
  for (const line of headOf(view, now)) terminal.line(line);
  const { firing, waiting, gaveUp, counts, silences, channels } = view;
  printPart(terminal, countText(counts.firing, "alert fires", "alerts fire"), counts.firing, {
    head: ["KIND", "PIPELINE", "SINCE", "COUNT", "TOLD", "BECAUSE"],
    rows: firing.map(({ kind, pipeline, since, count, told, untold, because }) => [
      span("red", kindText(kind)),
      span("bold", pipeline ?? "-"),
      relativeText(Date.parse(since), now),
      String(count),
      told ? "yes" : `no: ${untoldText(untold)}`,
      because,
    ]),
  });
  const words = countText(counts.waiting, "message waits", "messages wait");
  printPart(terminal, words, counts.waiting, {
    head: ["CHANNEL", "WHAT", "DUE", "TRIES", "NEXT TRY", "LAST FAULT"],
    rows: waiting.map((one) => [
      ...aboutOf(one),
      relativeText(Date.parse(one.dueAt), now),
      String(one.attempts),
      nextTryText(one, now),
      one.fault ?? "-",
    ]),
  });
  const lost = countText(gaveUp.length, "message was given up", "messages were given up");
  printPart(terminal, lost, gaveUp.length, {
    head: ["CHANNEL", "WHAT", "DUE", "GIVEN UP", "BECAUSE"],
    rows: gaveUp.map((one) => [
      ...aboutOf(one),
      timeText(one.dueAt),
      timeText(one.endedAt),
      one.fault ?? "-",
    ]),
  });
  printPart(terminal, countText(silences.length, "pipeline is silent", "pipelines are silent"), 0, {
    head: ["PIPELINE", "UNTIL", "BY", "BECAUSE"],
    rows: silences.map(({ pipeline, until, by, because }) => [
      span("bold", pipeline),
      `${timeText(until)}, ${relativeText(Date.parse(until), now)}`,
      by ?? "-",
      because ?? "-",
    ]),
  });
  printPart(terminal, countText(channels.length, "channel"), 0, {
    head: ["CHANNEL", "KIND", "STATE", "SENT", "FAILED TRIES", "GIVEN UP", "LAST SENT"],
    rows: channels.map((one) => [
      span("bold", one.name),
      one.kind ?? "-",
      stateOf(one),
      String(one.sent),
      String(one.failed),
      String(one.gaveUp),
      one.lastSentAt === null ? "never" : relativeText(Date.parse(one.lastSentAt), now),
    ]),
  });
}

/** Whether anybody is told anything, in lines. */
function headOf({ configured, running, fault, asOf, channels }: AlertsView, now: number): Part[] {
  const lines: Part[] = [];
  if (!configured)
    lines.push([
      span("yellow", "nobody is told"),
      ": orchd.yaml has no `notify`. Name channels there, and `orchd validate` checks them; " +
        "docs/alerts.md has each kind.",
    ]);
  else if (!running)
    lines.push([
      span("yellow", "nothing is sent"),
      ": `orchd notify` does not run. The daemon runs it where orchd.yaml has `notify`; " +
        "`orchd start` starts the daemon.",
    ]);
  else if (channels.length === 0)
    lines.push([span("yellow", "nobody is told"), ": orchd.yaml has `notify`, but no channel."]);
  else lines.push([span("green", "alerts are on"), `: \`orchd notify\` runs`]);
  if (!running && asOf !== null)
    lines.push(`what follows is as of ${timeText(asOf)}, ${relativeText(Date.parse(asOf), now)}`);
  if (fault !== null) lines.push(span("red", fault));
  return lines;
}

function printPart(
  terminal: Terminal,
  title: string,
  count: number,
  { head, rows }: { readonly head: readonly string[]; readonly rows: readonly Part[][] },
): void {
  if (rows.length === 0) return;
  const shown = rows.slice(0, SHOWN);
  terminal.line("");
  terminal.line(span("bold", title));
  printTable(terminal, head, shown);
  const more = Math.max(count, rows.length) - shown.length;
  if (more > 0) terminal.line(`and ${more} more; --json lists up to 200`);
}

function aboutOf(one: MessageView): Part[] {
  return [span("bold", one.channel), messageText(one)];
}

function nextTryText({ retryAt }: MessageView, now: number): string {
  const time = retryAt === null ? now : Date.parse(retryAt);
  return time <= now ? "due" : relativeText(time, now);
}

function stateOf({ broken, fault, lastSentAt }: ChannelView): Part {
  if (broken) return span("red", "broken");
  if (fault === null && lastSentAt === null) return span("dim", "not used yet");
  return fault === null ? span("green", "ok") : span("yellow", "last try failed");
}
