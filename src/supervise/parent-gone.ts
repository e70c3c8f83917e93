/**
 * Calls back when the daemon that started this process is gone or lets go of it. A process that
 * nobody supervises has no such daemon, and hears nothing.
 *
 * The channel does not keep the process alive.
 */
export function onParentGone(callback: () => void): void {
  if (process.channel === undefined || process.channel === null) return;
  if (!process.connected) return callback();
  process.once("disconnect", callback);
  process.channel.unref();
}
