/**
 * The runner process's entry. `runner.js SETTINGS` is started by the daemon with an IPC channel;
 * `runner.js --stdio` is started on another machine, or in a container, and speaks to the daemon
 * over stdin and stdout.
 */
import { closeInherited } from "../src/disk/inherited-descriptors.ts";
import { ForkLease } from "../src/places/runner/fork-lease.ts";
import { RunnerHost } from "../src/places/runner/runner-host.ts";
import { LEASE_SIGNAL, type FromRunner, type RunnerSettings } from "../src/places/pool/protocol.ts";
import { packEnds, unpackSteps, type PackedToRunner } from "../src/places/pool/packed-batch.ts";
import { ignoreUserSignals } from "../src/user-signals.ts";

if (process.argv[2] === "--stdio") await serveFar();
else await serve(JSON.parse(process.argv[2] ?? "{}") as RunnerSettings);

async function serve(settings: RunnerSettings): Promise<void> {
  closeInherited(settings.inherited ?? []);
  const end = (signal: NodeJS.Signals = "SIGKILL"): void => {
    host.end();
    // Not process.exit, which waits for every thread: one in `execSync` or a long loop may never
    // end.
    process.kill(process.pid, signal);
  };
  const tellParent = (batch: FromRunner[]): void => {
    if (process.connected) process.send!(packEnds(batch), undefined, {}, () => {});
  };
  const lease =
    settings.leaseMs === undefined
      ? undefined
      : new ForkLease(settings.leaseMs, () => end(LEASE_SIGNAL));
  let say: (batch: FromRunner[]) => boolean | void = tellParent;
  let mayLive = (): boolean => true;
  const host = new RunnerHost(settings, new URL("./worker.js", import.meta.url), (batch) =>
    say(batch),
  );
  process.on("disconnect", () => end());
  await host.ready;
  // The process that started it gives it no task before a first word, and waits 30 s for that. For
  // each later word it waits a part of the lease, if there is one: from its first task on, a frozen
  // runner is ended in time.
  await new Promise<void>((resolve) => {
    process.send!([], undefined, {}, () => resolve());
  });
  process.on("message", (batch: PackedToRunner[]) => {
    lease?.heard();
    // An empty batch asks for a sign of life.
    if (batch.length > 0) host.receive(unpackSteps(batch));
    else if (mayLive()) process.send!([], undefined, {}, () => {});
  });
  // Ctrl-C and a stop of the service reach the daemon too, which decides what happens to the steps.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
  ignoreUserSignals();
  if (settings.wire === undefined) return;
  const { FarFolder } = await import("../src/places/runner/far-folder.ts");
  const { connectWire, WireLink } = await import("../src/places/runner/wire-link.ts");
  const { WIRE_DESCRIPTOR } = await import("../src/places/pool/wire.ts");
  const { folder, socket } = settings.wire;
  const link = new WireLink({
    descriptor: WIRE_DESCRIPTOR,
    socket: socket === undefined ? undefined : await connectWire(socket),
    folder: new FarFolder(folder),
    receive: (batch) => host.receive(batch),
    drained: () => host.release(),
    over: () => end(),
  });
  say = (batch) => link.send(batch);
  mayLive = () => link.hasLease;
}

async function serveFar(): Promise<void> {
  ignoreUserSignals();
  const { serveStdio } = await import("../src/places/runner/stdio-front.ts");
  const { forkRunner } = await import("../src/places/local/runner-child.ts");
  const { linkOwnPackage } = await import("../src/schedules/own-package.ts");
  const { VERSION } = await import("../src/version.ts");
  await serveStdio({ version: VERSION, fork: forkRunner, linkPackage: linkOwnPackage });
}
