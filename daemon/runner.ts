/** The runner process's entry: `runner.js SETTINGS`, started by the daemon with an IPC channel. */
import { RunnerHost } from "../src/places/runner/runner-host.ts";
import type { RunnerSettings, ToRunner } from "../src/places/pool/protocol.ts";

const host = new RunnerHost(
  JSON.parse(process.argv[2] ?? "{}") as RunnerSettings,
  new URL("./worker.js", import.meta.url),
  (batch) => {
    if (process.connected) process.send!(batch, undefined, {}, () => {});
  },
);
process.on("message", (batch: ToRunner[]) => {
  // An empty batch asks for a sign of life.
  if (batch.length === 0) process.send!([], undefined, {}, () => {});
  else host.receive(batch);
});
process.on("disconnect", () => {
  host.end();
  // Not process.exit, which waits for every thread: one in `execSync` or a long loop may never end.
  process.kill(process.pid, "SIGKILL");
});
// Ctrl-C and a stop of the service reach the daemon too, which decides what happens to the steps.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
