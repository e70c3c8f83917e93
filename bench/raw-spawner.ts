/**
 * The bare shape of shell steps: a Node of its own, with nothing loaded and some 45 MiB, that
 * spawns shells and waits for them. What a fork costs grows with the memory of the process that
 * forks, so this one stands beside the daemon and not the bench.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { familyUs } from "./processor.ts";
import { figuresOf } from "./resources.ts";
import type { Took } from "./rounds.ts";

const CHILD = `
import { spawn } from "node:child_process";
const bare = () => new Promise((resolve, reject) => {
  spawn("/bin/sh", ["-c", "true"], { stdio: ["ignore", "pipe", "pipe"] })
    .on("close", resolve)
    .on("error", reject);
});
process.on("message", async ({ count, atOnce }) => {
  const start = performance.now();
  let left = count;
  const lane = async () => { while (left-- > 0) await bare(); };
  await Promise.all(Array.from({ length: atOnce }, lane));
  process.send(performance.now() - start);
});
process.on("disconnect", () => process.exit(0));
process.send(0);
`;

/** The process that spawns. */
export class RawSpawner {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(folder: string): Promise<RawSpawner> {
    const path = join(folder, "raw-spawner.mjs");
    writeFileSync(path, CHILD);
    const child = fork(path, { execArgv: [] });
    await once(child, "message");
    return new RawSpawner(child);
  }

  get residentMiB(): number {
    return figuresOf(this.#child.pid!).residentMiB;
  }

  /** Spawns `count` shells, `atOnce` of them at a time. */
  async run(count: number, atOnce: number): Promise<Took> {
    const before = familyUs(this.#child.pid!);
    const ended = once(this.#child, "message") as Promise<[number]>;
    this.#child.send({ count, atOnce });
    const [ms] = await ended;
    return { ms, cpuUs: familyUs(this.#child.pid!) - before };
  }

  end(): void {
    this.#child.disconnect();
  }
}
