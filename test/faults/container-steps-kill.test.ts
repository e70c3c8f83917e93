/**
 * What dies while steps run in containers: the daemon, the container, its runner, the process of
 * the engine that watches it (conmon, or a shim), or the engine's command. Each attempt writes a
 * line in short steps to a file outside, so two at once would show there.
 *
 * `CONTAINER_POINTS=300` kills at that many moments, over ten kinds in turn. Default: 4.
 * `CONTAINER_FROM` is the first of them, and `CONTAINER_ENGINE=docker` has docker do it.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { linesOf } from "../support/await-event.ts";
import { PODMAN, readyContainers, SKIP_CONTAINERS } from "../support/containers.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { DOCKER, SKIP_DOCKER, startDocker, type Dockerd } from "../support/docker.ts";
import { reachedByTests, trials } from "../support/figures.ts";
import { tellIfFailed } from "../support/told-failure.ts";
import { tempRoot } from "../support/temp-root.ts";
import { NODE_IMAGE, TEST_IMAGE } from "../support/test-engine.ts";

/** How long after the run was asked for the blow comes at most, in milliseconds. */
const SPAN_MS = 3_000;
/** How long a daemon may take to be ready: such loops run beside all else. */
const READY_MS = 150_000;
const NAME = `orchd-kill-test-${process.pid}`;
const isDocker = process.env["CONTAINER_ENGINE"] === "docker";
const engine = isDocker ? DOCKER : PODMAN;

/** A step that writes its own number again and again. */
const SHELL = `
    run: |
      id=$(cat /proc/sys/kernel/random/uuid)
      for i in $(seq 1 30); do echo "$id" >> "$LOG"; sleep 0.05; done
      echo "$id ends" >> "$LOG"`;
const MODULE = `import { appendFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
export default async () => {
  const id = crypto.randomUUID();
  for (let i = 0; i < 30; i += 1) {
    appendFileSync("/effects/log", id + "\\n");
    await setTimeout(50);
  }
  appendFileSync("/effects/log", id + " ends\\n");
};
`;
const AGAIN = "onInterruption: rerun\nretry: { maxRetries: 4, delay: 0s }\nenableCache: false\n";

const KINDS = {
  shell: () =>
    `{ image: "${TEST_IMAGE}", pull: never, network: none, volumes: ["./effects:/effects"] }\n` +
    `${AGAIN}steps:\n  one:\n    env: { LOG: /effects/log }${SHELL}\n`,
  exec: (log: string) =>
    `{ exec: "${NAME}" }\n${AGAIN}steps:\n  one:\n    env: { LOG: "${log}" }${SHELL}\n`,
  module: () =>
    `{ image: "${NODE_IMAGE}", pull: never, network: none, volumes: ["./effects:/effects"] }\n` +
    `${AGAIN}steps:\n  one: { uses: ./one.ts }\n`,
};

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
  });

  it.each(
    Array.from({ length: POINTS }, (_, index) => {
      const point = FROM + index;
      return [...BLOWS[point % BLOWS.length]!, point] as const;
    }),
  )(
    "%s, %s, at moment %i: never two at once, none is lost, nothing is left",
    async (kind, victim, point) => {
      const { root } = tempRoot({
        "schedules/one.ts": MODULE,
        "orchd.yaml": `containers: { engine: ${engine.name} }\n`,
      });
      const log = join(root, "schedules/effects/log");
      mkdirSync(join(root, "schedules/effects"));
      writeFileSync(log, "");
      writeFileSync(join(root, "schedules/p.yaml"), `container: ${KINDS[kind](log)}`);
      const runs = realpathSync(join(root, "runs"));
      const first = await startDaemon({ root, deadlineMs: READY_MS });
      const run = (await orchd(root, "run", "p")).stdout.trim();
      const moment = ((point * 0.618 + 0.3) % 1) * SPAN_MS;
      if (victim !== "daemon")
        await expect
          .poll(() => victims(victim, kind, first, runs).length, { timeout: 30_000, interval: 20 })
          .toBeGreaterThan(0);
      await new Promise((resolve) => setTimeout(resolve, moment));
      if (victim === "daemon") await first.kill();
      else for (const strike of victims(victim, kind, first, runs)) strike();
      const last = victim === "daemon" ? await startDaemon({ root, deadlineMs: READY_MS }) : first;
      const month = readdirSync(join(root, "runs/p")).find((one) => /^\d{4}-\d\d$/.test(one))!;
      const ledger = join(root, "runs/p", month, `${run}.jsonl`);
      tellIfFailed(engine, runs, ledger);
      await expect
        .poll(() => linesOf(ledger).at(-1), { timeout: 150_000, interval: 100 })
        .toMatchObject({ type: "run.finished", status: "completed" });
      const written = readFileSync(log, "utf8").trim().split("\n");
      // One after the other: each attempt's lines stand together.
      const blocks = written
        .map((line) => line.split(" ")[0]!)
        .filter((id, index, all) => id !== all[index - 1]);
      expect(new Set(blocks).size).toBe(blocks.length);
      expect(written.at(-1)).toMatch(/ ends$/);
      const lines = linesOf(ledger);
      const started = lines.filter(({ type }) => type === "step.started").length;
      const lost = lines.filter(({ type }) => type === "step.interrupted").length;
      // A container whose monitor was killed may end well, and nobody sees it.
      const unseen = victim === "monitor" ? lost : 0;
      const ends = written.filter((line) => line.endsWith(" ends")).length;
      expect(ends).toBeLessThanOrEqual(1 + unseen);
      expect(blocks.length).toBeLessThanOrEqual(started);
      await last.end("SIGTERM");
      expect(engine.containersOf(runs)).toEqual([]);
      expect(engine.run("exec", NAME, "ps", "-o", "args").stdout).not.toContain("orchd-step");
    },
    400_000,
  );
});

/** What has those die that are there now. */
function victims(victim: Victim, kind: string, { pid: daemon }: Daemon, runs: string) {
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
