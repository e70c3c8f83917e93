/**
 * What a message says: its title and its text, of an alert or a group. Pure.
 *
 * Everything that comes from a ledger or a log is text from outside. It loses escape sequences and
 * secrets first, then becomes safe lines (core/safe-text.ts), and is cut last: a cut before the
 * mask could leave half of a secret. What a channel's own format gives a meaning (`<`, `*`,
 * `@here`) is the channel's to escape.
 */
import { MOST_SLOTS_COUNTED, type Alert, type AlertItem, type FaultKind } from "../core/alert.ts";
import { defined } from "../core/defined.ts";
import { withoutControls } from "../core/failure.ts";
import { fillMessageTemplate } from "../core/message-template.ts";
import { safeText } from "../core/safe-text.ts";
import { shellWord } from "../core/shell-word.ts";
import { spokenLine } from "../core/spoken-line.ts";
import type { PrintedLine } from "../views/log-end.ts";
import type { Message } from "./channel.ts";

/** How many lines of a run's log a message has at most. */
export const LOG_LINES = 20;
/** How long a title may be, in characters; a text, in bytes of UTF-8. */
const TITLE_CHARACTERS = 200;
const TEXT_BYTES = 16_384;
/** How much of a reason, of a line of the log and of another alert's reason is told. */
const REASON_BYTES = 4_096;
const LINE_BYTES = 400;
const OTHER_BYTES = 300;
/** How much all other alerts of a group may take, and all lines of the log. */
const OTHERS_BYTES = 6_144;
const LOG_BYTES = 8_192;
/** As many others as an alert names: there may be more. */
const MOST_OTHERS = 50;

/** What a message is made of, beside its alert. */
export interface MessageParts {
  /** The last lines of the run's log, oldest first. */
  readonly log?: readonly PrintedLine[] | undefined;
  /** The page's address: `url` of `notify:`. */
  readonly page?: string | undefined;
  /** The text to send instead: the channel's `template`. */
  readonly template?: string | undefined;
  /** Takes secrets out of a text. */
  readonly mask?: ((text: string) => string) | undefined;
  /** Whether it is sent to try the channel: the title says so. */
  readonly test?: boolean | undefined;
}

/** The message of an alert. */
export function messageOf(alert: Alert, parts: MessageParts = {}): Message {
  const clean = cleaner(parts.mask ?? ((text) => text));
  // A test of no pipeline must not say that the daemon failed.
  const isOfNone = parts.test === true && alert.pipeline === undefined;
  const said = isOfNone ? clean(alert.because) : titleOf(alert, clean);
  const first = sentenceStart(said, alert.pipeline);
  const told = alert.telling > 1 ? `Reminder: ${first}` : first;
  const title = cutCharacters(parts.test === true ? `Test: ${told}` : told, TITLE_CHARACTERS);
  const url = parts.page === undefined ? undefined : addressOf(parts.page, alert);
  const text =
    parts.template === undefined
      ? plainText(alert, title, { ...parts, url, clean })
      : filled(parts.template, alert, { ...parts, url, clean });
  return defined({ alert, title, text: cutBytes(text, TEXT_BYTES), url, test: parts.test });
}

/** The command that says more about an alert; for most kinds there are two. */
export function commandsOf({ kind, of, pipeline, run }: AlertItem & Pick<Alert, "of">): string[] {
  const target = run ?? pipeline;
  const status = target === undefined ? "orchd status" : `orchd status ${word(target)}`;
  const why = pipeline === undefined ? status : `orchd why ${word(pipeline)}`;
  switch (kind) {
    case "failed":
    case "overdue":
      return run === undefined ? [status] : [status, `orchd logs ${word(run)}`];
    case "missed":
      return pipeline === undefined
        ? [why]
        : [why, `orchd backfill ${word(pipeline)} --from 7d --to now --missing --dry-run`];
    case "late":
      return [why];
    case "invalid":
      return ["orchd validate"];
    case "disk_full":
      return ["orchd prune --dry-run"];
    case "damaged":
      return ["orchd verify"];
    case "channel_broken":
      return ["orchd alerts"];
    case "recovered":
      return of === "channel_broken" ? ["orchd alerts"] : [status];
    case "queued":
    case "restarted":
      return [status];
  }
}

/** A name as a shell takes it. No name that orchd gives needs quotes. */
function word(name: string): string {
  return shellWord(safeText(name));
}

type Clean = (text: string) => string;

/** Makes a text one safe line without secrets. */
function cleaner(mask: (text: string) => string): Clean {
  return (text) => safeText(mask(withoutControls(text)).replaceAll(/\s+/g, " ").trim());
}

interface Made extends MessageParts {
  readonly url: string | undefined;
  readonly clean: Clean;
}

function plainText(alert: Alert, title: string, made: Made): string {
  const { clean, url } = made;
  const facts = [
    ["Run", alert.run === undefined ? undefined : clean(alert.run)],
    ["Status", alert.status === undefined ? undefined : clean(alert.status)],
    ["Because", cutBytes(clean(alert.because), REASON_BYTES)],
    ["At", timeText(clean(alert.at))],
  ].flatMap(([name, value]) => (value === undefined ? [] : `${`${name}:`.padEnd(10)}${value}`));
  const log = logText(made);
  const sections = [
    title,
    facts.join("\n"),
    othersText(alert, clean),
    log === "" ? "" : `The log ends with:\n\n${log}`,
    [
      "More:",
      ...[...(url === undefined ? [] : [url]), ...commandsOf(alert)].map((s) => `  ${s}`),
    ].join("\n"),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

function filled(template: string, alert: Alert, made: Made): string {
  const { clean, url = "" } = made;
  const lines = template.split(/\r\n?|\n/).map((line) => safeText(line.replaceAll("\t", "    ")));
  return fillMessageTemplate(lines.join("\n"), {
    kind: alert.kind,
    pipeline: clean(alert.pipeline ?? ""),
    run: clean(alert.run ?? ""),
    status: clean(alert.status ?? ""),
    because: cutBytes(clean(alert.because), REASON_BYTES),
    at: clean(alert.at),
    count: String(alert.count),
    log: logText(made),
    url,
    command: commandsOf(alert)[0] ?? "",
  });
}

/** The lines of the log, as many of the last ones as there is room for. */
function logText({ log = [], clean }: Made): string {
  const several = new Set(log.map(({ step }) => step)).size > 1;
  const lines: string[] = [];
  let room = LOG_BYTES;
  for (const { step, line } of log.slice(-LOG_LINES).toReversed()) {
    // A progress bar writes over itself: its last state is what a terminal would show.
    const shown = spokenLine(line).trimEnd();
    const last = clean(shown.slice(shown.lastIndexOf("\r") + 1));
    const text = `  ${cutBytes(several ? `${clean(step)} | ${last}` : last, LINE_BYTES)}`.trimEnd();
    room -= Buffer.byteLength(text) + 1;
    if (room < 0) break;
    lines.push(text);
  }
  return lines.toReversed().join("\n");
}

function othersText({ others = [] }: Alert, clean: Clean): string {
  if (others.length === 0) return "";
  const lines: string[] = [];
  let room = OTHERS_BYTES;
  for (const other of others) {
    const because = cutBytes(clean(other.because), OTHER_BYTES);
    const line = `- ${phraseOf(other, clean)}: ${because}`;
    room -= Buffer.byteLength(line) + 1;
    if (room < 0) break;
    lines.push(line);
  }
  const left = others.length - lines.length;
  if (left > 0) lines.push(`- and ${left} more`);
  else if (others.length >= MOST_OTHERS) lines.push("- and more: `orchd alerts` has them");
  return `With it:\n\n${lines.join("\n")}`;
}

function titleOf(alert: Alert, clean: Clean): string {
  const { others = [], count } = alert;
  if (others.length === 0) return phraseOf(alert, clean);
  const many = others.length >= MOST_OTHERS;
  const told = others.reduce((sum, other) => sum + other.count, 0);
  const own = many ? 1 : Math.max(1, count - told);
  const phrases = [phraseOf({ ...alert, count: own }, clean)];
  for (const other of others) {
    if (phrases.join(", ").length > TITLE_CHARACTERS) break;
    phrases.push(phraseOf(other, clean));
  }
  return `${many ? `over ${MOST_OTHERS}` : others.length + 1} alerts: ${phrases.join(", ")}`;
}

/** What is over, in a clause. */
const OVER: Record<FaultKind, (name: string) => string> = {
  failed: (name) => `${name} recovered: a run completed`,
  missed: (name) => `${name} recovered: a slot got its run`,
  late: (name) => `${name} recovered: a slot started in time`,
  overdue: (name) => `${name} recovered: the run that took too long has ended`,
  invalid: (name) => `${name} recovered: its file is valid`,
  queued: (name) => `${name} recovered: no run waits too long`,
  disk_full: () => "the disk of runs/ has room again",
  restarted: () => "the daemon runs again",
  damaged: (name) => `${name} recovered: its ledger can be read`,
  channel_broken: () => "a channel takes messages again",
};

/** An alert in a clause that begins with its pipeline, where it has one. */
function phraseOf(item: AlertItem & Pick<Alert, "of">, clean: Clean): string {
  const { kind, of, count } = item;
  const name = item.pipeline === undefined ? "the daemon" : clean(item.pipeline);
  const many = count > 1;
  switch (kind) {
    case "failed":
      return many ? `${name} failed ${count} times` : `${name} failed`;
    case "missed":
      if (count >= MOST_SLOTS_COUNTED) return `${name} missed at least ${count} slots`;
      return many ? `${name} missed ${count} slots` : `${name} missed a slot`;
    case "late":
      return many ? `${name} was late ${count} times` : `${name} is late`;
    case "overdue":
      return `${name} takes too long`;
    case "invalid":
      return `${name} has an invalid file`;
    case "queued":
      return many ? `${name} has ${count} runs that wait` : `${name} has a run that waits`;
    case "disk_full":
      return "the disk of runs/ is full";
    case "restarted":
      return many ? `the daemon ended by itself ${count} times` : "the daemon ended by itself";
    case "damaged":
      return `${name} has a damaged ledger`;
    case "channel_broken":
      return "a channel takes no messages";
    case "recovered":
      return of === undefined ? `${name} recovered` : OVER[of](name);
  }
}

/** A capital at the start, but not of a pipeline's name. */
function sentenceStart(text: string, pipeline: string | undefined): string {
  return pipeline !== undefined && text.startsWith(pipeline)
    ? text
    : text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** `2026-11-23T02:15:00.000Z` as people read it. */
function timeText(at: string): string {
  return at.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/, "$1 $2 UTC");
}

/** The page's address of a run, a pipeline or the alerts; undefined where `page` is none. */
function addressOf(page: string, { run, pipeline }: Alert): string | undefined {
  if (!/^https?:\/\//i.test(page) || !URL.canParse(page)) return undefined;
  const url = new URL(page);
  const path =
    run !== undefined
      ? ["runs", run]
      : pipeline !== undefined
        ? ["pipelines", pipeline]
        : ["alerts"];
  // `@` needs no escape, and a run's id is easier to read with it.
  const escaped = path.map((part) => encodeURIComponent(safeText(part)).replaceAll("%40", "@"));
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/${escaped.join("/")}`;
  return url.href;
}

/** The beginning of a text, with … where it was cut. */
function cutCharacters(text: string, most: number): string {
  const characters = Array.from(text.slice(0, 2 * most + 2));
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join("")}…`;
}

/** The beginning of a text that has at most `most` bytes of UTF-8, with … where it was cut. */
function cutBytes(text: string, most: number): string {
  if (text.length * 3 <= most) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= most) return text;
  let end = most - Buffer.byteLength("…");
  // A byte 10xxxxxx is within a character.
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end -= 1;
  return `${bytes.toString("utf8", 0, end)}…`;
}
