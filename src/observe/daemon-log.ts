import pino from "pino";

/**
 * Opens the daemon's log on stderr: JSON Lines, or for people. `ORCHD_LOG_LEVEL` says from which
 * level on it keeps lines; default: info.
 */
export function openDaemonLog(pretty: boolean): pino.Logger {
  const level = process.env["ORCHD_LOG_LEVEL"] ?? "info";
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
