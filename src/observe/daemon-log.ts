import { fstatSync } from "node:fs";
import { createRequire } from "node:module";
import { countText } from "../core/counted.ts";
import pino from "pino";
import type pinoPretty from "pino-pretty";
import { JOURNAL_SOCKET, JournalEntries } from "./journal-entries.ts";
import { LogWriter, type LostLines } from "./log-writer.ts";
import { inTurns } from "./turn-lines.ts";

const STDERR = 2;
const VARIABLE = "ORCHD_LOG_LEVEL";
const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];

/** Why the log cannot be opened, as a sentence: the variable names no level. */
export function badLogLevel(): string | undefined {
  const level = process.env[VARIABLE];
  return level === undefined || LEVELS.includes(level)
    ? undefined
    : `${VARIABLE} is ${JSON.stringify(level)}, which is no level; ` +
        `set it to one of ${LEVELS.join(", ")}, or leave it out for info.`;
}

/**
 * Opens the daemon's log on stderr: JSON Lines, or for people. `ORCHD_LOG_LEVEL` says from which
 * level on it keeps lines; default: info. Where stderr is systemd's journal, each entry has its
 * priority, and its pipeline and run as fields.
 *
 * @param journalSocket where the journal takes entries; default: the system's
 */
export function openDaemonLog(pretty: boolean, journalSocket = JOURNAL_SOCKET): pino.Logger {
  const level = process.env[VARIABLE] ?? "info";
  const writer = new LogWriter((lost) => log.warn(lost, lostLines(lost)));
  const log = pretty
    ? pino({ level, base: null }, inTurns(writer, forPeople()))
    : pino(
        {
          level,
          base: null,
          timestamp: pino.stdTimeFunctions.isoTime,
          formatters: { level: (label: string) => ({ level: label }) },
        },
        isJournal() ? toJournal(writer, journalSocket) : inTurns(writer),
      );
  return log;
}

/** What makes a line for people of one of JSON. The package is loaded where it is asked for. */
function forPeople(): (line: string) => string {
  const load = createRequire(import.meta.url);
  const { prettyFactory } = load("pino-pretty") as typeof pinoPretty;
  return prettyFactory({ translateTime: "SYS:HH:MM:ss", ignore: "pid,hostname" });
}

function lostLines({ lines, forMs, code }: LostLines): string {
  const why =
    code === "EAGAIN" ? "nobody read it" : `it could not be written (${code || "no reason given"})`;
  const seconds = Math.max(1, Math.round(forMs / 1_000));
  const are = lines === 1 ? "is" : "are";
  const lost = `${countText(lines, "line")} of this log ${are} lost before this one`;
  return `${lost}: ${why} for ${seconds} s`;
}

/**
 * Whether stderr is systemd's journal: `JOURNAL_STREAM` names the device and inode of the stream
 * that the journal reads. A child inherits the variable, and perhaps another stderr.
 */
function isJournal(): boolean {
  const named = process.env["JOURNAL_STREAM"];
  if (named === undefined) return false;
  try {
    const { dev, ino } = fstatSync(STDERR, { bigint: true });
    return named === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/**
 * Sends lines about pipelines and runs as entries with fields. Puts `<N>` before every other line:
 * the journal takes it off, and makes it the entry's `PRIORITY`. A fatal line is one of those: the
 * process ends right after it.
 */
function toJournal(destination: pino.DestinationStream, socket: string): pino.DestinationStream {
  const entries = new JournalEntries(socket);
  const stream = {
    // Pino sets the other two before each line.
    [Symbol.for("pino.metadata")]: true,
    lastLevel: 0,
    lastObj: null as unknown,
    write(line: string): void {
      const priority = priorityOf(stream.lastLevel);
      if (stream.lastLevel < 60 && entries.send(line, priority, stream.lastObj)) return;
      destination.write(`<${priority}>${line}`);
    },
  };
  return stream;
}

/** The priority of syslog, from 0 (emergency) to 7 (debug), of a level of pino's. */
function priorityOf(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  return level >= 30 ? 6 : 7;
}
