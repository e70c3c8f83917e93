/** Times without a daemon, by the daemon's own history. */
import { iso } from "../core/time.ts";
import { readDaemon } from "../ledger/daemon-info.ts";
import { readDaemonPast, type DaemonPast } from "../ledger/daemon-history.ts";

/** A time in which no daemon was up. `to` is null while it lasts. */
export interface Downtime {
  readonly from: string;
  readonly to: string | null;
  readonly because: string;
}

const ENDED = "the daemon ended";
const LOST = "the daemon was last seen then, and ended without a word";

/**
 * The times without a daemon that reach into the time from `from` to `to`, oldest first. All times
 * are milliseconds since 1970. Before the first daemon there is none: nothing was due then.
 */
export function readDowntimes(
  orchdDir: string,
  { from, to }: { readonly from: number; readonly to: number },
): Downtime[] {
  return downtimesOf(readDaemonPast(orchdDir), readDaemon(orchdDir) !== null).filter(
    (down) => Date.parse(down.from) < to && (down.to === null || Date.parse(down.to) > from),
  );
}

/** The times without a daemon. @param isUp whether a daemon is up now */
export function downtimesOf({ lines, seenMs }: DaemonPast, isUp: boolean): Downtime[] {
  const downtimes: Downtime[] = [];
  let end: { readonly at: string; readonly because: string } | undefined;
  for (const { at, type } of lines) {
    if (type === "daemon.began") {
      if (end !== undefined && end.at < at)
        downtimes.push({ from: end.at, to: at, because: end.because });
      end = undefined;
    } else end = { at, because: type === "daemon.ended" ? ENDED : LOST };
  }
  const last = lines.at(-1);
  if (isUp || last === undefined) return downtimes;
  // The next daemon writes when a killed one was last seen. Until then the file's time tells it.
  const seen = iso(Math.floor(Math.max(Date.parse(last.at), seenMs ?? 0)));
  const { at, because } = end ?? { at: seen, because: LOST };
  return [...downtimes, { from: at, to: null, because }];
}
