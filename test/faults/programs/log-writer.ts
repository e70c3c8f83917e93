/**
 * Writes a line of each level to the daemon's log, and a few that are no entries of a pipeline. Its
 * word: the journal's socket.
 */
import { openDaemonLog } from "../../../src/observe/daemon-log.ts";

const log = openDaemonLog(false, process.argv[2] ?? "/nowhere");
for (const level of ["trace", "debug", "info", "warn", "error", "fatal"] as const)
  log[level]({ pipeline: "etl", run: "etl@1" }, "a < b\n<3>c");
if (process.argv[2] !== undefined) {
  log.info("about no pipeline");
  log.info({ pipeline: "a\nPRIORITY=0" }, "no word");
  log.warn({ run: "etl@2" }, "ü".repeat(30_000));
  log.warn({ run: "etl@2" }, "ü".repeat(40_000));
}
