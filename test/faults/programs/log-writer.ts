/** Writes a line of each level to the daemon's log. */
import { openDaemonLog } from "../../../src/observe/daemon-log.ts";

const log = openDaemonLog(false);
for (const level of ["trace", "debug", "info", "warn", "error", "fatal"] as const)
  log[level]({ pipeline: "etl", run: "etl@1" }, "a < b\n<3>c");
