import pino from "pino";

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
 * level on it keeps lines; default: info.
 */
export function openDaemonLog(pretty: boolean): pino.Logger {
  const level = process.env[VARIABLE] ?? "info";
  if (pretty)
    return pino(
      { level, base: null },
      pino.transport({
        target: "pino-pretty",
        options: { destination: 2, translateTime: "SYS:HH:MM:ss", ignore: "pid,hostname" },
      }) as pino.DestinationStream,
    );
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, pino.destination({ dest: 2, sync: true }));
}
