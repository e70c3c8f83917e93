/**
 * What a place costs: a shell step in a container, beside a bare `podman run` of the same text and
 * beside a shell step of this machine; one after the other, and many at once. And a module step in
 * a warm container, beside one of this machine.
 *
 * `PLACES_AT_ONCE` is how many there are at once (500; short 40).
 */
import { spawn } from "node:child_process";
import { readyContainers, readyNodeImage } from "../test/support/containers.ts";
import { NODE_IMAGE, TEST_IMAGE } from "../test/support/test-engine.ts";
import { BenchDaemon, inFolder, writeFiles } from "./bench-root.ts";
import { Rounds, tookHere, type Took } from "./rounds.ts";
import type { BenchOptions, Row } from "./row.ts";

const CHAIN = 10;
const MODULES = 200;
const AT_ONCE = 8;
const ROUNDS = 5;
const SHORT_ROUNDS = 3;

export async function run({ short, note }: BenchOptions): Promise<Row[]> {
  try {
    readyContainers();
    readyNodeImage();
  } catch (error) {
    note((error as Error).message);
    return [];
  }
  const many = Number(process.env["PLACES_AT_ONCE"] ?? (short ? 40 : 500));
  return inFolder(async (root) => {
    const container = `container: { image: "${TEST_IMAGE}", network: none, pull: never }`;
    const warm = `container: { image: "${NODE_IMAGE}", network: none, pull: never }`;
    writeFiles(root, {
      "orchd.yaml": `containers: { engine: podman, atOnce: ${AT_ONCE} }\n`,
      "schedules/chain.yaml": pipelineOf(CHAIN, 1, SHELL, container),
      "schedules/here.yaml": pipelineOf(CHAIN, 1, SHELL, ""),
      "schedules/many.yaml": pipelineOf(many, AT_ONCE, SHELL, container),
      "schedules/warm.yaml": pipelineOf(MODULES, 1, MODULE, warm),
      "schedules/modules.yaml": pipelineOf(MODULES, 1, MODULE, ""),
      "schedules/steps/nothing.ts": "export default async () => null;\n",
    });
    const rounds = short ? SHORT_ROUNDS : ROUNDS;
    return BenchDaemon.during(root, async (daemon) => [
      ...(await shellRows(daemon, rounds, many)),
      await moduleRow(daemon, rounds),
    ]);
  });
}

async function shellRows(daemon: BenchDaemon, rounds: number, many: number): Promise<Row[]> {
  const [bare, here] = [new Rounds("a bare `podman run`"), new Rounds("a shell step here")];
  const [chain, again] = [new Rounds("in a container"), new Rounds("in a container")];
  for (let round = -1; round < rounds; round += 1) {
    const raw = await bareRuns(CHAIN, 1);
    const ran = wallOf(await daemon.runOnce("chain"));
    const local = wallOf(await daemon.runOnce("here"));
    if (round < 0) continue;
    bare.add(raw, CHAIN);
    here.add(local, CHAIN);
    for (const side of [chain, again]) side.add(ran, CHAIN);
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
}

async function moduleRow(daemon: BenchDaemon, rounds: number): Promise<Row> {
  const [there, here] = [new Rounds("in a warm container"), new Rounds("on this machine")];
  for (let round = -WARMUP; round < rounds; round += 1) {
    const ran = wallOf(await daemon.runOnce("warm"));
    const local = wallOf(await daemon.runOnce("modules"));
    if (round < 0) continue;
    there.add(ran, MODULES);
    here.add(local, MODULES);
  }
  return {
    what: `a module step in a chain of ${MODULES}`,
    unit: "ms",
    orchd: wall(there),
    beside: wall(here),
    goal: NEAR,
  };
}

/** The goal for a shell step beside the bare command. */
const TIGHT = { of: "ratio", atMost: 1.15 } as const;
/** The goal for a warm module step beside one of this machine. */
const NEAR = { of: "ratio", atMost: 1.5 } as const;
/** Rounds that warm up both sides. */
const WARMUP = 2;
const SHELL = 'run: "true"';
const MODULE = "uses: ./steps/nothing.ts";

/** Processor time is left out: conmon and the container are nobody's children. */
function wall({ name, samples }: Rounds): Row["orchd"] {
  return { name, samples };
}

function wallOf({ ms }: Took): Took {
  return { ms, cpuUs: 0 };
}

function pipelineOf(steps: number, atOnce: number, step: string, container: string): string {
  const rest = container === "" ? "" : `, ${container}`;
  const lines = Array.from({ length: steps }, (_, index) => {
    const after = atOnce > 1 || index === 0 ? "" : `, after: s${index - 1}`;
    return `  s${index}: { ${step}${after}${rest} }\n`;
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
