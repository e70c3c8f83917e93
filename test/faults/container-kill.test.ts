/**
 * A daemon that is killed while steps run in containers. What outside counts their effects says
 * that no attempt took effect twice and none is lost; and nothing is left behind.
 *
 * `CONTAINER_POINTS=300` kills at that many moments. Default: 4.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { orchd, startDaemon } from "../support/daemon.ts";
import { linesOf, type Line } from "../support/await-event.ts";
import { containersOf, PODMAN, readyContainers, SKIP_CONTAINERS } from "../support/containers.ts";
import { tellIfFailed } from "../support/told-failure.ts";
import { tempRoot } from "../support/temp-root.ts";
import { TEST_IMAGE } from "../support/test-engine.ts";

const POINTS = Number(process.env["CONTAINER_POINTS"] ?? 4);
/** How long after the run was asked for the daemon is killed at most, in milliseconds. */
const SPAN_MS = 4_000;
/** How long a daemon may take to be ready: such loops run beside all else. */
const READY_MS = 150_000;
const LINES = 30;

/** A step that has one effect as it begins and one as it ends, outside of orchd. */
const PIPELINE = `
container: { image: "${TEST_IMAGE}", pull: never, network: none, volumes: ["./effects:/effects"] }
onInterruption: rerun
steps:
  one:
    run: |
      echo "$ORCHD_RUN_ID begins" >> /effects/log
      for i in $(seq 1 ${LINES}); do echo "line $i"; sleep 0.05; done
      echo "$ORCHD_RUN_ID ends" >> /effects/log
      echo "[1]" > "$ORCHD_OUTPUT"
  two:
    run: cat "$ORCHD_INPUTS"
    inputs: { from: one }
`;

const logOf = (folder: string): string[] => {
  const name = readdirSync(folder).find((one) => one.endsWith(".log"));
  if (name === undefined) return [];
  return readFileSync(join(folder, name), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { step: string; stream: string; line: string })
    .filter(({ step, stream }) => step === "one" && stream === "stdout")
    .map(({ line }) => line);
};

/** An engine whose first `run` does nothing, for a minute. */
const SLOW_ENGINE = `#!/bin/sh
case "$1" in run)
  if mkdir "$HOLD/held" 2>/dev/null; then
    echo $$ > "$HOLD/pid"
    sleep 60
  fi;;
esac
exec /usr/bin/podman "$@"
`;

describe.skipIf(SKIP_CONTAINERS)("a daemon that is killed while steps run in containers", () => {
  beforeAll(readyContainers);

  it.each(Array.from({ length: POINTS }, (_, point) => point))(
    "at moment %i: each attempt has its effects once, its lines are whole, nothing is left",
    async (point) => {
      const { root } = tempRoot({ "schedules/p.yaml": PIPELINE });
      mkdirSync(join(root, "schedules/effects"));
      writeFileSync(join(root, "schedules/effects/log"), "");
      const first = await startDaemon({ root, deadlineMs: READY_MS });
      const asked = await orchd(root, "run", "p");
      const run = asked.stdout.trim();
      const moment = ((point * 0.618) % 1) * SPAN_MS;
      await new Promise((resolve) => setTimeout(resolve, moment));
      await first.kill();
      const second = await startDaemon({ root, deadlineMs: READY_MS });
      const folder = join(root, "runs/p", readdirSync(join(root, "runs/p")).find(isMonth)!);
      const ledger = join(folder, `${run}.jsonl`);
      const runs = realpathSync(join(root, "runs"));
      tellIfFailed(PODMAN, runs, ledger);
      await expect
        .poll(() => linesOf(ledger).at(-1), { timeout: 150_000, interval: 100 })
        .toMatchObject({ type: "run.finished", status: "completed" });
      const lines = linesOf(ledger);
      const effects = readFileSync(join(root, "schedules/effects/log"), "utf8").trim().split("\n");
      const count = (word: string): number =>
        effects.filter((line) => line === `${run} ${word}`).length;
      const interrupted = lines.filter(isEndOf("step.interrupted", "one")).length;
      // Whatever was interrupted had not ended, and what ended counts once.
      expect(count("ends")).toBe(1);
      expect(count("begins")).toBeLessThanOrEqual(1 + interrupted);
      expect(lines.filter(isEndOf("step.completed", "one"))).toHaveLength(1);
      const all = Array.from({ length: LINES }, (_, index) => `line ${index + 1}`);
      expect(logOf(folder).slice(-LINES)).toEqual(all);
      if (interrupted === 0) expect(logOf(folder)).toEqual(all);
      await expect.poll(() => containersOf(runs), { timeout: 20_000 }).toEqual([]);
      await expect
        .poll(() => readdirSync(join(runs, ".orchd/containers")), { timeout: 20_000 })
        .toEqual([]);
      await second.end("SIGTERM");
    },
    400_000,
  );

  it("ends what a killed daemon asked the engine for before anything begins", async () => {
    const { root } = tempRoot({ "schedules/p.yaml": PIPELINE, "bin/podman": SLOW_ENGINE });
    chmodSync(join(root, "bin/podman"), 0o755);
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
    expect(commandOf(waiting)).not.toContain("podman");
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

function isEndOf(type: string, step: string): (line: Line) => boolean {
  return (line) => line["type"] === type && line["step"] === step;
}
