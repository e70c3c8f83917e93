/**
 * What dies while steps run in containers: the daemon, the container, its runner, the process of
 * the engine that watches it (conmon, or a shim), or the engine's command. What outside counts says
 * whether an attempt took effect twice, and whether one is lost (test/support/struck-daemon.ts).
 *
 * `CONTAINER_POINTS=300` kills at that many moments, over ten kinds in turn. Default: 4.
 * `CONTAINER_FROM` is the first of them, and `CONTAINER_ENGINE=docker` has docker do it.
 */
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PODMAN, readyContainers, SKIP_CONTAINERS } from "../support/containers.ts";
import { DOCKER, SKIP_DOCKER, startDocker, type Dockerd } from "../support/docker.ts";
import { reached, reachedByTests, trials } from "../support/figures.ts";
import { shared } from "../support/shared-subject.ts";
import {
  STRUCK_MODULE,
  STRUCK_MODULES,
  STRUCK_STEPS,
  StruckDaemon,
  struckShells,
  type StruckStep,
} from "../support/struck-daemon.ts";
import { NODE_IMAGE, TEST_IMAGE } from "../support/test-engine.ts";

/** How long after the run was asked for the daemon is killed at most, in milliseconds. */
const SPAN_MS = 2_400;
/** How long after it is there another one is killed at most, in milliseconds. */
const LIFE_MS = 1_500;
const NAME = `orchd-kill-test-${process.pid}`;
const isDocker = process.env["CONTAINER_ENGINE"] === "docker";
const engine = isDocker ? DOCKER : PODMAN;

const AGAIN = "onInterruption: rerun\nretry: { maxRetries: 4, delay: 0s }\nenableCache: false\n";
const own = (image: string): string =>
  `container: { image: "${image}", pull: never, network: none, ` +
  `volumes: ["./effects:/effects"] }\n${AGAIN}`;

/** The pipeline of each kind of step. */
const KINDS = {
  shell: () => `${own(TEST_IMAGE)}${struckShells("/effects")}`,
  exec: (effects: string) => `container: { exec: "${NAME}" }\n${AGAIN}${struckShells(effects)}`,
  module: () => `${own(NODE_IMAGE)}${STRUCK_MODULES}`,
};
type Kind = keyof typeof KINDS;

/** What dies, and in which kind of step. */
const BLOWS = [
  ["module", "daemon"],
  ["exec", "daemon"],
  ["shell", "client"],
  ["module", "container"],
  ["exec", "client"],
  ["shell", "monitor"],
  ["module", "client"],
  ["shell", "daemon"],
  ["shell", "container"],
  ["module", "monitor"],
] as const;
type Victim = (typeof BLOWS)[number][1];

const POINTS = Number(process.env["CONTAINER_POINTS"] ?? trials(4, 300));
const FROM = Number(process.env["CONTAINER_FROM"] ?? 0);

describe.skipIf(isDocker ? SKIP_DOCKER : SKIP_CONTAINERS)("what dies with steps in it", () => {
  let dockerd: Dockerd | undefined;
  let [steps, begun, apart] = [0, 0, 0];
  reachedByTests(46, `what dies with a container of ${engine.name}`);

  beforeAll(async () => {
    if (isDocker) dockerd = await startDocker();
    else readyContainers();
    engine.makeNodeImage();
    const volume = "--volume=/tmp:/tmp";
    const words = ["--detach", "--network=none", volume, `--name=${NAME}`, TEST_IMAGE];
    engine.run("run", ...words, "sleep", "100000");
  });
  afterAll(async () => {
    engine.remove(NAME);
    await dockerd?.close();
    reached(46, `steps, of ${begun} attempts that never ran side by side`, apart, steps);
  });

  const started = (kind: Kind) => (): Promise<StruckDaemon> =>
    StruckDaemon.start(engine, (effects) => ({
      "one.ts": STRUCK_MODULE,
      "p.yaml": KINDS[kind](effects),
    }));
  const daemons = {
    shell: shared(started("shell")),
    exec: shared(started("exec")),
    module: shared(started("module")),
  };

  it.each(
    Array.from({ length: POINTS }, (_, index) => {
      const point = FROM + index;
      return [...BLOWS[point % BLOWS.length]!, point] as const;
    }),
  )(
    "%s, %s, at moment %i: never two at once, none is lost, nothing is left",
    async (kind, victim, point) => {
      const struck = await daemons[kind]();
      const run = await struck.run();
      const share = (point * 0.618 + 0.3) % 1;
      if (victim !== "daemon")
        await expect
          .poll(() => victims(victim, kind, struck).length, { timeout: 30_000, interval: 20 })
          .toBeGreaterThan(0);
      await new Promise((resolve) =>
        setTimeout(resolve, share * (victim === "daemon" ? SPAN_MS : LIFE_MS)),
      );
      if (victim === "daemon") {
        await struck.daemon.kill();
        await struck.restart();
      } else for (const strike of victims(victim, kind, struck)) strike();
      const lines = await struck.completed(run);
      for (const step of Object.keys(STRUCK_STEPS) as StruckStep[]) {
        const { attempts, ends, isOver } = struck.seen(run, step);
        // One after the other: each attempt's lines stand together.
        const numbers = new Set(attempts);
        steps += 1;
        begun += numbers.size;
        if (numbers.size === attempts.length) apart += 1;
        expect(numbers.size, step).toBe(attempts.length);
        expect(isOver, step).toBe(true);
        const of = (type: string): number =>
          lines.filter((line) => line.type === type && line["step"] === step).length;
        // One may end well, and nobody hears it: the last words of a runner or of an `exec` are
        // lost with who would hear them, and a container's end with its monitor, or with the
        // command that was just starting it.
        const unheard = kind === "shell" ? of("step.interrupted") : attempts.length;
        expect(ends, step).toBeLessThanOrEqual(1 + unheard);
        expect(attempts.length, step).toBeLessThanOrEqual(of("step.started"));
        expect(of("step.completed"), step).toBe(1);
      }
      // The container of modules stays for the next ones, and is gone with its daemon.
      if (kind === "shell") await struck.leavesNothing();
      const inside = engine.run("exec", NAME, "ps", "-o", "args").stdout;
      expect(inside).not.toContain("orchd-step");
    },
    400_000,
  );
});

/** What has those die that are there now. */
function victims(victim: Victim, kind: Kind, { daemon: { pid: daemon }, runs }: StruckDaemon) {
  if (victim === "container")
    return engine
      .containersOf(runs)
      .map((name) => () => void engine.run("kill", "--signal=KILL", name));
  const words = ["ps", "--all", "--no-trunc", "--quiet", "--filter", `label=orchd.root=${runs}`];
  const marks =
    victim === "monitor"
      ? engine
          .run(...words)
          .stdout.split("\n")
          .filter(Boolean)
      : [kind === "exec" ? "exec --interactive" : `--label=orchd.root=${runs}`];
  return processes().flatMap(([pid, parent, command]) => {
    const isMonitor = /(^|\/)(conmon|containerd-shim\S*) /.test(command);
    if (victim === "monitor" ? !isMonitor : parent !== daemon) return [];
    return marks.some((mark) => command.includes(mark)) ? [() => killQuietly(pid)] : [];
  });
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** All processes: their pids, their parents' and their commands. */
function processes(): (readonly [pid: number, parent: number, command: string])[] {
  const text = execFileSync("ps", ["-eo", "pid=,ppid=,args=", "-ww"], {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  return text.split("\n").flatMap((line) => {
    const [, pid, parent, command] = /^ *(\d+) +(\d+) (.*)$/.exec(line) ?? [];
    return command === undefined ? [] : [[Number(pid), Number(parent), command] as const];
  });
}
