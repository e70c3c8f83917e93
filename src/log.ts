/**
 * The port to the daemon's own log: what a person reads who watches the daemon. Pino is one.
 *
 * What happened to pipelines and runs is in the ledgers. The log repeats a part of it, and tells of
 * the daemon itself: files, requests, disks.
 */

/** Takes the fields to search by, and a sentence. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Keeps nothing. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
