/**
 * The bare shape of a step, with no plan, no ledger and no checks: a message to a child process, on
 * to a warm thread and back, and one durable line.
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";

const CHILD = `
import { Worker } from "node:worker_threads";
const code = \`
const { parentPort } = require("node:worker_threads");
parentPort.on("message", async (n) => {
  await (async () => n)();
  parentPort.postMessage(n);
});
\`;
const worker = new Worker(code, { eval: true });
worker.on("message", (n) => process.send(n));
process.on("message", (n) => worker.postMessage(n));
process.on("disconnect", () => process.exit(0));
`;

/** A child with one warm thread, and a file. */
export class RawRunner {
  readonly #child: ChildProcess;
  readonly #file: FileHandle;
  #waiting: (() => void) | undefined;

  private constructor(child: ChildProcess, file: FileHandle) {
    this.#child = child;
    this.#file = file;
    child.on("message", () => this.#waiting?.());
  }

  static async start(folder: string): Promise<RawRunner> {
    const path = join(folder, "raw-child.mjs");
    writeFileSync(path, CHILD);
    const runner = new RawRunner(
      fork(path, { execArgv: [] }),
      await open(join(folder, "raw-steps.jsonl"), "w"),
    );
    await runner.#trip();
    return runner;
  }

  #trip(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.#child.send(1);
    });
  }

  /** Does one step: there and back, and a durable line. */
  async step(line: Buffer): Promise<void> {
    await this.#trip();
    await this.#file.write(line);
    await this.#file.datasync();
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async end(): Promise<void> {
    this.#child.disconnect();
    await this.#file.close();
  }
}
