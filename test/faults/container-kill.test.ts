/**
 * A daemon that is killed while steps run in containers. What outside counts their effects says
 * that no attempt took effect twice and none is lost (test/support/struck-daemon.ts); the log has
 * each line once; and nothing is left behind.
 *
 * `CONTAINER_POINTS=300` kills at that many moments. Default: 4. `CONTAINER_ENGINE=docker` has
 * docker do it.
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { orchd, startDaemon } from "../support/daemon.ts";
import { linesOf } from "../support/await-event.ts";
import { PODMAN, readyContainers, SKIP_CONTAINERS } from "../support/containers.ts";
import { DOCKER, SKIP_DOCKER, startDocker, type Dockerd } from "../support/docker.ts";
import { reached, trials } from "../support/figures.ts";
import { shared } from "../support/shared-subject.ts";
import {
  STRUCK_STEPS,
  StruckDaemon,
  struckShells,
  type StruckStep,
} from "../support/struck-daemon.ts";
import { tempRoot } from "../support/temp-root.ts";
import { TEST_IMAGE } from "../support/test-engine.ts";

const POINTS = Number(process.env["CONTAINER_POINTS"] ?? trials(4, 100));
/**
 * How long after the run was asked for the daemon is killed at most, in milliseconds; at each
 * second moment, after the first step has begun.
 */
const SPAN_MS = 3_000;
const STEPS = Object.entries(STRUCK_STEPS) as [StruckStep, number][];
const isDocker = process.env["CONTAINER_ENGINE"] === "docker";
const engine = isDocker ? DOCKER : PODMAN;

const CONTAINER = `
container: { image: "${TEST_IMAGE}", pull: never, network: none, volumes: ["./effects:/effects"] }
onInterruption: rerun
enableCache: false
`;
/** Each step has an effect outside with each line that it prints. */
const STRUCK = `${CONTAINER}${struckShells("/effects", '\n      echo "[1]" > "$ORCHD_OUTPUT"')}
  last:
    run: cat "$ORCHD_INPUTS"
    inputs: { from: a }
`;
/** A step that has one effect as it begins and one as it ends. */
const PIPELINE = `${CONTAINER}
steps:
  one:
    run: |
      echo "$ORCHD_RUN_ID begins" >> /effects/log
      for i in $(seq 1 30); do echo "line $i"; sleep 0.05; done
      echo "$ORCHD_RUN_ID ends" >> /effects/log
`;

/** An engine whose first `run` does nothing, for a minute. */
const SLOW_ENGINE = (program: string): string => `#!/bin/sh
case "$1" in run)
  if mkdir "$HOLD/held" 2>/dev/null; then
    echo $$ > "$HOLD/pid"
    sleep 60
  fi;;
esac
exec ${program} "$@"
`;

const skipped = isDocker ? SKIP_DOCKER : SKIP_CONTAINERS;

describe.skipIf(skipped)("a daemon that is killed while steps run in containers", () => {
  let [adopted, ran] = [0, 0];
  let dockerd: Dockerd | undefined;
  beforeAll(async () => {
    if (isDocker) dockerd = await startDocker();
    else readyContainers();
  });
  afterAll(async () => {
    await dockerd?.close();
    reached(47, "steps that ran in containers as the daemon was killed, and went on", adopted, ran);
  });
  const struckDaemon = shared(() => StruckDaemon.start(engine, () => ({ "p.yaml": STRUCK })));

  it.each(Array.from({ length: POINTS }, (_, point) => point))(
    "at moment %i: each attempt has its effects once, its lines are whole, nothing is left",
    async (point) => {
      const struck = await struckDaemon();
      const run = await struck.run();
      const moment = ((point * 0.618) % 1) * SPAN_MS;
      // An engine on a busy machine may take longer than that to begin any step.
      if (point % 2 === 1)
        await expect
          .poll(() => STEPS.some(([step]) => struck.seen(run, step).attempts.length > 0), {
            timeout: 60_000,
            interval: 20,
          })
          .toBe(true);
      await new Promise((resolve) => setTimeout(resolve, moment));
      await struck.daemon.kill();
      const running = STEPS.map(([step]) => struck.seen(run, step)).map(
        ({ attempts, isOver }) => attempts.length > 0 && !isOver,
      );
      await struck.restart();
      const lines = await struck.completed(run);
      for (const [index, [step, count]] of STEPS.entries()) {
        const of = (type: string): number =>
          lines.filter((line) => line.type === type && line["step"] === step).length;
        const { attempts, ends, isOver } = struck.seen(run, step);
        const interrupted = of("step.interrupted");
        if (running[index]) ran += 1;
        if (running[index] && interrupted === 0 && attempts.length === 1) adopted += 1;
        // Whatever was interrupted had not ended, and what ended counts once.
        expect([ends, isOver], step).toEqual([1, true]);
        expect(new Set(attempts).size, step).toBe(attempts.length);
        expect(attempts.length, step).toBeLessThanOrEqual(1 + interrupted);
        expect(of("step.completed"), step).toBe(1);
        const all = Array.from({ length: count }, (_, line) => `line ${line + 1}`);
        const printed = struck.printed(run, step);
        expect(printed.slice(-count), step).toEqual(all);
        if (interrupted === 0) expect(printed, step).toEqual(all);
      }
      await struck.leavesNothing();
      await expect
        .poll(() => readdirSync(join(struck.runs, ".orchd/containers")), { timeout: 20_000 })
        .toEqual([]);
    },
    400_000,
  );

  it("ends what a killed daemon asked the engine for before anything begins", async () => {
    const program = execFileSync("sh", ["-c", `command -v ${engine.name}`], { encoding: "utf8" });
    const { root } = tempRoot({
      "orchd.yaml": `containers: { engine: ${engine.name} }\n`,
      "schedules/p.yaml": PIPELINE,
      [`bin/${engine.name}`]: SLOW_ENGINE(program.trim()),
    });
    chmodSync(join(root, "bin", engine.name), 0o755);
    mkdirSync(join(root, "schedules/effects"));
    const log = join(root, "schedules/effects/log");
    writeFileSync(log, "");
    const env = { PATH: `${join(root, "bin")}:${process.env["PATH"]}`, HOLD: join(root, "bin") };
    const first = await startDaemon({ root, env });
    const run = (await orchd(root, "run", "p")).stdout.trim();
    await expect.poll(() => existsSync(join(root, "bin/pid")), { timeout: 20_000 }).toBe(true);
    await first.kill();
    const second = await startDaemon({ root, env });
    const folder = join(root, "runs/p", readdirSync(join(root, "runs/p")).find(isMonth)!);
    const begins = (): number => readFileSync(log, "utf8").split(`${run} begins`).length - 1;
    await expect.poll(begins, { timeout: 20_000 }).toBe(1);
    // It could still make its container.
    const waiting = readFileSync(join(root, "bin/pid"), "utf8").trim();
    expect(commandOf(waiting)).not.toContain(engine.name);
    await expect
      .poll(() => linesOf(join(folder, `${run}.jsonl`)).at(-1), { timeout: 40_000 })
      .toMatchObject({ type: "run.finished", status: "completed" });
    expect(begins()).toBe(1);
    await second.end("SIGTERM");
  }, 120_000);
});

/** The words of a process; none where it has ended. */
function commandOf(pid: string): string {
  return existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : "";
}

const isMonth = (name: string): boolean => /^\d{4}-\d\d$/.test(name);
