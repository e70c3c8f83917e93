/**
 * Ends this process although something in it still waits.
 *
 * exit(3) waits for libuv's threads. One of them that the kernel holds (a read from a file system
 * that has stopped) would keep the process for ever. So the process is killed where a call of the
 * file system is still under way after a moment.
 */

/** How long a call of the file system may still take, in milliseconds. */
const MOMENT_MS = 250;

/** Ends the process with a status; with SIGKILL where a call of the file system does not return. */
export function endProcess(status: number): void {
  if (!isHeld()) process.exit(status);
  setTimeout(() => {
    if (isHeld()) process.kill(process.pid, "SIGKILL");
    process.exit(status);
  }, MOMENT_MS);
}

function isHeld(): boolean {
  return process.getActiveResourcesInfo().some((name) => name.startsWith("FSReq"));
}
