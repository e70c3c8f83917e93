/**
 * A daemon that is killed while steps run in a container that runs already, and modules in warm
 * containers. Neither is adopted: what runs is ended before the step runs again. Each attempt
 * writes a line in short steps to a file outside, so two at once would show there.
 *
 * `CONTAINER_POINTS=300` kills at that many moments. Default: 2 of each kind.
 */
import { mkdirSync, readFileSync, readdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { linesOf } from "../support/await-event.ts";
import {
  containersOf,
  podman,
  readyContainers,
  readyNodeImage,
  SKIP_CONTAINERS,
} from "../support/containers.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";
import { NODE_IMAGE, TEST_IMAGE } from "../support/test-engine.ts";

const POINTS = Number(process.env["CONTAINER_POINTS"] ?? 2);
/** How long after the run was asked for the daemon is killed at most, in milliseconds. */
const SPAN_MS = 3_000;
const NAME = `orchd-kill-test-${process.pid}`;

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

const KINDS = {
  exec: (effects: string) =>
    `{ exec: "${NAME}" }\nonInterruption: rerun\nsteps:\n  one:\n` +
    `    env: { LOG: "${effects}" }${SHELL}\n`,
  module: () =>
    `{ image: "${NODE_IMAGE}", pull: never, network: none, volumes: ["./effects:/effects"] }\n` +
    "enableCache: false\nonInterruption: rerun\nsteps:\n  one: { uses: ./one.ts }\n",
};

describe.skipIf(SKIP_CONTAINERS)("a daemon that is killed while steps run in containers", () => {
  beforeAll(() => {
    readyContainers();
    readyNodeImage();
    const volume = "--volume=/tmp:/tmp";
    const words = ["--detach", "--network=none", volume, `--name=${NAME}`, TEST_IMAGE];
    podman("run", ...words, "sleep", "100000");
  });
  afterAll(() => void podman("rm", "--force", "--time", "0", NAME));

  const cases = (["exec", "module"] as const).flatMap((kind) =>
    Array.from({ length: POINTS }, (_, point) => [kind, point] as const),
  );

  it.each(cases)(
    "%s, at moment %i: never two at once, none is lost, nothing is left",
    async (kind, point) => {
      const { root } = tempRoot({ "schedules/one.ts": MODULE });
      const log = join(root, "schedules/effects/log");
      mkdirSync(join(root, "schedules/effects"));
      writeFileSync(log, "");
      writeFileSync(join(root, "schedules/p.yaml"), `container: ${KINDS[kind](log)}`);
      const first = await startDaemon({ root });
      const run = (await orchd(root, "run", "p")).stdout.trim();
      const moment = ((point * 0.618 + 0.3) % 1) * SPAN_MS;
      await new Promise((resolve) => setTimeout(resolve, moment));
      await first.kill();
      const second = await startDaemon({ root });
      const month = readdirSync(join(root, "runs/p")).find((one) => /^\d{4}-\d\d$/.test(one))!;
      const ledger = join(root, "runs/p", month, `${run}.jsonl`);
      await expect
        .poll(() => linesOf(ledger).at(-1), { timeout: 60_000, interval: 100 })
        .toMatchObject({ type: "run.finished", status: "completed" });
      const written = readFileSync(log, "utf8").trim().split("\n");
      // One after the other: each attempt's lines stand together.
      const blocks = written
        .map((line) => line.split(" ")[0]!)
        .filter((id, index, all) => id !== all[index - 1]);
      expect(new Set(blocks).size).toBe(blocks.length);
      expect(written.at(-1)).toMatch(/ ends$/);
      const interrupted = linesOf(ledger).filter(({ type }) => type === "step.interrupted").length;
      expect(blocks.length).toBeLessThanOrEqual(1 + interrupted);
      await second.end("SIGTERM");
      expect(containersOf(realpathSync(join(root, "runs")))).toEqual([]);
      expect(podman("exec", NAME, "ps", "-o", "args").stdout).not.toContain("orchd-step");
    },
    120_000,
  );
});
