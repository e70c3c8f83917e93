/**
 * Steps on another machine over SSH, in durable runs of one daemon: warm module steps and shell
 * steps in chains, and many at once, beside the same on this machine; and beside bare `ssh`. The
 * other machine is a namespace of this one with a real sshd, so the way to it takes no time.
 *
 * Processor time is that of the daemon, its runners and clients, and of all on the other machine.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock as clock } from "../src/clock.ts";
import type { SshPlaceSettings } from "../src/core/place-settings.ts";
import { WIRE_PROTOCOL } from "../src/places/pool/wire.ts";
import { prepareOnce } from "../src/places/ssh/prepare.ts";
import { SshConnection, type FarProcess } from "../src/places/ssh/ssh-connection.ts";
import { FarMachine, readyNamespaces } from "../test/support/far-machine.ts";
import { BenchDaemon, inFolder, writeFiles } from "./bench-root.ts";
import { familyUs } from "./processor.ts";
import { Rounds, tookHere, type Took } from "./rounds.ts";
import type { BenchOptions, Row } from "./row.ts";

const MODULES = 200;
const SHELLS = 20;
const MANY = 500;
const THREADS = 8;
const ROUNDS = 9;
const SHORT_ROUNDS = 4;
/** Rounds that warm up both sides. */
const WARMUP = 2;
/** The goal for a module step beside one on this machine. */
const NEAR = { of: "ratio", atMost: 1.3 } as const;

export async function run({ short, note }: BenchOptions): Promise<Row[]> {
  try {
    readyNamespaces();
  } catch (error) {
    note((error as Error).message);
    return [];
  }
  return inFolder(async (root) => {
    const keys = join(root, "machine");
    mkdirSync(keys);
    const far = new FarMachine(keys);
    try {
      await far.make();
      const settings = far.settings({ threads: THREADS });
      const prepared = await prepareOnce(clock, settings, WIRE_PROTOCOL);
      if (!prepared.ok) throw new Error(prepared.because);
      return await rowsOf(root, far, settings, short ? SHORT_ROUNDS : ROUNDS);
    } finally {
      await far.remove();
    }
  });
}

async function rowsOf(
  root: string,
  far: FarMachine,
  settings: SshPlaceSettings,
  rounds: number,
): Promise<Row[]> {
  const files: Record<string, string> = {
    "orchd.yaml": `runner: { threads: ${THREADS} }\nplaces: ${JSON.stringify({ far: settings })}\n`,
    "schedules/steps/nothing.ts": "export default async () => null;\n",
  };
  for (const [name, on] of [
    ["there", ", on: far"],
    ["here", ""],
  ] as const) {
    files[`schedules/modules-${name}.yaml`] = pipelineOf(MODULES, true, MODULE + on);
    files[`schedules/shells-${name}.yaml`] = pipelineOf(SHELLS, true, SHELL + on);
    files[`schedules/many-${name}.yaml`] = pipelineOf(MANY, false, MODULE + on);
  }
  writeFiles(root, files);
  const bare = await BareSsh.open(settings);
  try {
    return await BenchDaemon.during(root, async (daemon) => {
      const init = Math.min(...far.pids());
      const ran = async (name: string, count: number): Promise<Took> => {
        const before = familyUs(init);
        const { ms, cpuUs } = await daemon.runOnce(name);
        return { ms: (ms / count) * 1_000, cpuUs: (cpuUs + familyUs(init) - before) / count };
      };
      const rows: Row[] = [];
      for (const [kind, count, what, goal] of [
        ["modules", MODULES, `a warm module step in a chain of ${MODULES}`, NEAR],
        ["many", MANY, `one of ${MANY} warm module steps at once`, NEAR],
        ["shells", SHELLS, `a shell step in a chain of ${SHELLS}`, undefined],
      ] as const) {
        const [there, here, raw] = [OVER_SSH, "on this machine", bareName(kind)].map(
          (name) => new Rounds(name),
        ) as [Rounds, Rounds, Rounds];
        for (let round = -WARMUP; round < rounds; round += 1) {
          const took = [await ran(`${kind}-there`, count), await ran(`${kind}-here`, count)];
          const trip = await tookHere(() => bare.times(count, kind === "shells"));
          if (round < 0) continue;
          there.add(took[0]!);
          here.add(took[1]!);
          raw.add({ ms: (trip.ms / count) * 1_000, cpuUs: 0 });
        }
        rows.push({ what, unit: "µs", orchd: there, beside: here, goal });
        const { name, samples } = there;
        const side = { name: raw.name, samples: raw.samples };
        const plain = { name, samples };
        if (kind !== "many") rows.push({ what, unit: "µs", orchd: plain, beside: side });
      }
      return rows;
    });
  } finally {
    await bare.close();
  }
}

const OVER_SSH = "over SSH";
const MODULE = "uses: ./steps/nothing.ts";
const SHELL = 'run: "true"';

function bareName(kind: string): string {
  return kind === "shells" ? "a bare `ssh HOST true`" : "a line there and back by `ssh HOST cat`";
}

function pipelineOf(count: number, isChain: boolean, step: string): string {
  const lines = Array.from({ length: count }, (_, index) => {
    const after = isChain && index > 0 ? `, after: s${index - 1}` : "";
    return `  s${index}: { ${step}${after} }\n`;
  });
  return `enableCache: false\nmaxParallelSteps: 64\nsteps:\n${lines.join("")}`;
}

/** The same way with nothing of orchd on it: commands and lines, in one shared connection. */
class BareSsh {
  readonly #connection: SshConnection;
  readonly #cat: FarProcess;

  private constructor(connection: SshConnection) {
    this.#connection = connection;
    this.#cat = spawn("ssh", connection.words("cat"), { detached: true });
  }

  static async open(settings: SshPlaceSettings): Promise<BareSsh> {
    let connection!: SshConnection;
    await new Promise<void>((resolve, reject) => {
      connection = new SshConnection({
        clock,
        settings,
        onState: (state) => {
          if (state.kind === "up") resolve();
          if (state.kind === "down") reject(new Error(state.because));
        },
      });
      connection.open();
    });
    return new BareSsh(connection);
  }

  /** So many, one after the other. @param isCommand each is a command, and not a line */
  async times(count: number, isCommand: boolean): Promise<void> {
    for (let index = 0; index < count; index += 1)
      if (isCommand) await this.#connection.ask("true");
      else {
        const back = once(this.#cat.stdout, "data");
        this.#cat.stdin.write(`${"x".repeat(120)}\n`);
        await back;
      }
  }

  async close(): Promise<void> {
    this.#cat.stdin.end();
    await this.#connection.close();
  }
}
