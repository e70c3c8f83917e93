/**
 * What a daemon tells a service manager, and what it is told by one: readiness, the watchdog,
 * SIGHUP, SIGTERM. A listener on a datagram socket stands in for systemd.
 */
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";

const exists = (program: string): boolean => spawnSync(program, ["--version"]).error === undefined;

/** Prints each datagram as a line of JSON, and closes the descriptors that come with a barrier. */
const LISTENER = `
import json, os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print("listening", flush=True)
while True:
    said, descriptors, _, _ = socket.recv_fds(listener, 4096, 8)
    for descriptor in descriptors: os.close(descriptor)
    print(json.dumps(said.decode()), flush=True)
`;

/** Listens on the socket that a daemon notifies. What it gives tells all assignments so far. */
async function serviceManager(socket: string): Promise<() => string[]> {
  const child = spawn("python3", ["-c", LISTENER, socket], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  const heard = (): string[] =>
    printed
      .split("\n")
      .slice(1, -1)
      .flatMap((line) => (JSON.parse(line) as string).split("\n"))
      .filter((word) => word !== "" && word !== "BARRIER=1");
  await awaitSight("/", () => (printed.startsWith("listening\n") ? true : undefined), "a listener");
  return heard;
}

it.runIf(exists("systemd-notify") && exists("python3"))(
  "a daemon says when it is ready, feeds the watchdog, and announces its end",
  { timeout: 60_000 },
  async () => {
    const root = tempRoot({ "schedules/p.yaml": 'steps: { only: { run: "true" } }\n' });
    const heard = await serviceManager(join(root.root, "notify"));
    const daemon = await startDaemon({
      root: root.root,
      env: { NOTIFY_SOCKET: join(root.root, "notify"), WATCHDOG_USEC: "1000000" },
    });
    await awaitSight(
      root.root,
      () => (heard().filter((word) => word === "WATCHDOG=1").length >= 4 ? true : undefined),
      () => heard().join(" "),
    );
    expect(heard().filter((word) => word === "READY=1")).toHaveLength(1);
    expect(heard()).toContain("STATUS=ready: 1 pipeline, 0 runs taken over");
    expect(heard()).not.toContain("STOPPING=1");
    expect(await daemon.end()).toEqual({ status: 0, signal: null });
    await awaitSight(
      root.root,
      () => (heard().includes("STOPPING=1") ? true : undefined),
      () => heard().join(" "),
    );
  },
);

it(
  "SIGHUP reads orchd.yaml and the drop folder again; a bad orchd.yaml changes nothing",
  { timeout: 60_000 },
  async () => {
    const root = tempRoot({
      "orchd.yaml": "timezone: Europe/Berlin\n",
      "schedules/p.yaml": 'schedule: { cron: "0 12 1 1 *" }\nsteps: { only: { run: "true" } }\n',
    });
    const daemon = await startDaemon({ root: root.root });
    const zones = (): unknown[] =>
      linesOf(join(root.runs, "p/pipeline.jsonl"))
        .filter(({ type }) => type === "pipeline.loaded")
        .map((line) => (line["schedules"] as { timezone: string }[])[0]!.timezone);
    expect(zones()).toEqual(["Europe/Berlin"]);
    root.write("orchd.yaml", "timezone: Asia/Tokyo\n");
    daemon.process.kill("SIGHUP");
    await awaitSight(
      root.runs,
      () => (zones().length === 2 ? true : undefined),
      () => daemon.stderr(),
    );
    expect(zones()).toEqual(["Europe/Berlin", "Asia/Tokyo"]);
    root.write("orchd.yaml", "timezon: UTC\n");
    daemon.process.kill("SIGHUP");
    const told =
      `${join(root.root, "orchd.yaml")}:1:1: timezon is not known here; ` +
      'did you mean "timezone"?; the settings that were in force stay';
    await awaitSight(
      root.root,
      () => daemon.log().find(({ msg }) => msg === told),
      () => daemon.stderr(),
    );
    expect(zones()).toHaveLength(2);
    expect(await daemon.end()).toEqual({ status: 0, signal: null });
    // At a start there are no settings in force that could stay.
    const refused = await orchd(root.root, "start");
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain(
      'orchd.yaml:1:1: timezon is not known here; did you mean \\"timezone\\"?',
    );
  },
);

it(
  "SIGTERM lets a step end within drainPeriod; a second one interrupts it at once",
  { timeout: 90_000 },
  async () => {
    const root = tempRoot({
      "orchd.yaml": "drainPeriod: 60s\n",
      "schedules/short.yaml": "steps: { nap: { run: 'sleep 2' } }\n",
      "schedules/long.yaml": "onInterruption: rerun\nsteps: { nap: { run: 'sleep 300' } }\n",
    });
    const eventsOf = (run: string): string[] =>
      linesOf(
        join(
          root.runs,
          run.split("@")[0]!,
          run.split("@")[1]!.replace(/^(\d{4})(\d\d).*/, "$1-$2"),
          `${run}.jsonl`,
        ),
      ).map(({ type }) => type);
    const begin = async (pipeline: string): Promise<string> => {
      const { run } = (await orchd(root.root, "run", pipeline, "--json")).json<{ run: string }>();
      await awaitSight(
        root.runs,
        () => (eventsOf(run).includes("step.started") ? true : undefined),
        () => eventsOf(run).join(" "),
      );
      return run;
    };
    const first = await startDaemon({ root: root.root });
    const short = await begin("short");
    expect(await first.end()).toEqual({ status: 0, signal: null });
    expect(eventsOf(short).slice(-2)).toEqual(["step.completed", "run.finished"]);

    const second = await startDaemon({ root: root.root });
    const long = await begin("long");
    second.process.kill("SIGTERM");
    await awaitSight(
      root.root,
      () => second.log().find(({ msg }) => String(msg).startsWith("draining")),
      () => second.stderr(),
    );
    expect(await second.end()).toEqual({ status: 0, signal: null });
    expect(eventsOf(long).at(-1)).toBe("step.interrupted");
  },
);
