/**
 * What a place costs: a shell step in a container, beside a bare `podman run` of the same text and
 * beside a shell step of this machine; one after the other, and many at once.
 *
 * `PLACES_AT_ONCE` is how many there are at once (500; short 40).
 */
import { spawn } from "node:child_process";
import { readyContainers } from "../test/support/containers.ts";
import { TEST_IMAGE } from "../test/support/test-engine.ts";
import { BenchDaemon, inFolder, writeFiles } from "./bench-root.ts";
import { Rounds, tookHere, type Took } from "./rounds.ts";
import type { BenchOptions, Row } from "./row.ts";

const CHAIN = 10;
const AT_ONCE = 8;
const ROUNDS = 5;
const SHORT_ROUNDS = 3;

export async function run({ short, note }: BenchOptions): Promise<Row[]> {
  try {
    readyContainers();
  } catch (error) {
    note((error as Error).message);
    return [];
  }
  const many = Number(process.env["PLACES_AT_ONCE"] ?? (short ? 40 : 500));
  return inFolder(async (root) => {
    const container = `container: { image: "${TEST_IMAGE}", network: none, pull: never }`;
    writeFiles(root, {
      "orchd.yaml": `containers: { engine: podman, atOnce: ${AT_ONCE} }\n`,
      "schedules/chain.yaml": pipelineOf(CHAIN, 1, container),
      "schedules/here.yaml": pipelineOf(CHAIN, 1, ""),
      "schedules/many.yaml": pipelineOf(many, AT_ONCE, container),
    });
    // The processes of podman are children of the daemon; conmon and the container are not.
    return BenchDaemon.during(root, async (daemon) => {
      const [bare, here] = [new Rounds("a bare `podman run`"), new Rounds("a shell step here")];
      const [chain, again] = [new Rounds("in a container"), new Rounds("in a container")];
      for (let round = -1; round < (short ? SHORT_ROUNDS : ROUNDS); round += 1) {
        const raw = await bareRuns(CHAIN, 1);
        const ran = wallOf(await daemon.runOnce("chain"));
        const local = wallOf(await daemon.runOnce("here"));
        if (round < 0) continue;
        bare.add(raw, CHAIN);
        here.add(local, CHAIN);
        for (const rounds of [chain, again]) rounds.add(ran, CHAIN);
      }
      const [bareMany, ranMany] = [new Rounds("bare `podman run`s"), new Rounds("in containers")];
      bareMany.add(await bareRuns(many, AT_ONCE), many);
      ranMany.add(wallOf(await daemon.runOnce("many")), many);
      const what = `a shell step in a chain of ${CHAIN}`;
      return [
        { what, unit: "ms", orchd: wall(chain), beside: wall(bare), goal: TIGHT },
        { what, unit: "ms", orchd: wall(again), beside: wall(here) },
        {
          what: `one of ${many} shell steps, ${AT_ONCE} at once`,
          unit: "ms",
          orchd: wall(ranMany),
          beside: wall(bareMany),
          goal: TIGHT,
        },
      ];
    });
  });
}

/** The goal for a shell step beside the bare command. */
const TIGHT = { of: "ratio", atMost: 1.15 } as const;

/** Processor time is left out: what runs a container is nobody's child. */
function wall({ name, samples }: Rounds): Row["orchd"] {
  return { name, samples };
}

function wallOf({ ms }: Took): Took {
  return { ms, cpuUs: 0 };
}

function pipelineOf(steps: number, atOnce: number, container: string): string {
  const rest = container === "" ? "" : `, ${container}`;
  const lines = Array.from({ length: steps }, (_, index) => {
    const after = atOnce > 1 || index === 0 ? "" : `, after: s${index - 1}`;
    return `  s${index}: { run: "true"${after}${rest} }\n`;
  });
  return `enableCache: false\nmaxParallelSteps: ${atOnce}\nsteps:\n${lines.join("")}`;
}

function bareRuns(count: number, atOnce: number): Promise<Took> {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await bareRun();
    }
  };
  return tookHere(() => Promise.all(Array.from({ length: atOnce }, lane)));
}

function bareRun(): Promise<void> {
  const words = ["run", "--rm", "--init", "--network=none", TEST_IMAGE, "/bin/sh", "-c", "true"];
  return new Promise((resolve, reject) => {
    spawn("podman", words, { stdio: ["ignore", "pipe", "pipe"] })
      .on("error", reject)
      .on("close", (status) =>
        status === 0 ? resolve() : reject(new Error(`podman run ended with status ${status}`)),
      );
  });
}
