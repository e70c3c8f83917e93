/**
 * The bare shape of a fan-out, with no plan, no ledger and no checks.
 *
 * Steps go in batches to a child process, and on to two warm threads. A step has two lines. A batch
 * of lines is one write and one fdatasync, off the main thread. A step is sent only once its first
 * line is durable.
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fdatasync, openSync, closeSync, write, writeFileSync } from "node:fs";
import { join } from "node:path";

const CHILD = `
import { Worker } from "node:worker_threads";
const code = \`
const { parentPort } = require("node:worker_threads");
const step = async () => null;
parentPort.on("message", async (ids) => {
  const done = [];
  for (const id of ids) done.push([id, JSON.stringify(await step())]);
  parentPort.postMessage(done);
});
\`;
let out = [];
const threads = [0, 1].map(() => new Worker(code, { eval: true }).on("message", (done) => {
  if (out.length === 0) setImmediate(() => { process.send(out); out = []; });
  out.push(...done);
}));
process.on("message", (ids) => {
  const half = ids.length >> 1;
  if (half > 0) threads[0].postMessage(ids.slice(0, half));
  threads[1].postMessage(ids.slice(half));
});
process.on("disconnect", () => process.exit(0));
`;

/** A step's line as it usually is. */
const line = (type: string, step: number, more: object): string => {
  const head = { seq: step, b: step, at: "2026-11-23T02:00:00.031Z", type };
  const body = { step: `s${step}`, attempt: 1, ...more, crc: "9f0a11c2" };
  return `${JSON.stringify({ ...head, ...body })}\n`;
};

/** A child with two warm threads, and a file. */
export class RawFan {
  readonly #child: ChildProcess;
  readonly #fd: number;
  #position = 0;

  constructor(folder: string) {
    const path = join(folder, "raw-fan.mjs");
    writeFileSync(path, CHILD);
    this.#child = fork(path, { execArgv: [] });
    this.#fd = openSync(join(folder, "raw-fan.jsonl"), "w");
  }

  /** Does `count` steps, with at most `atOnce` of them under way. */
  run(count: number, atOnce: number): Promise<void> {
    return new Promise((resolve) => {
      let next = 0;
      let ended = 0;
      let text = "";
      let begun: number[] = [];
      let writing = false;
      const flush = (): void => {
        if (writing || text === "") return;
        writing = true;
        const bytes = Buffer.from(text);
        const steps = begun;
        text = "";
        begun = [];
        write(this.#fd, bytes, 0, bytes.length, this.#position, () =>
          fdatasync(this.#fd, () => {
            this.#position += bytes.length;
            writing = false;
            if (steps.length > 0) this.#child.send(steps);
            if (ended === count && text === "") {
              this.#child.off("message", ends);
              resolve();
            } else flush();
          }),
        );
      };
      const begin = (): void => {
        for (; next < count && next - ended < atOnce; next += 1) {
          text += line("step.started", next, {
            cacheKey: "0".repeat(64),
            because: "the run began",
          });
          begun.push(next);
        }
        flush();
      };
      const ends = (done: [step: number, json: string][]): void => {
        for (const [step, json] of done) {
          ended += 1;
          text += line("step.completed", step, {
            outputs: { result: JSON.parse(json) as unknown },
            durationMs: 0.1,
          });
        }
        begin();
      };
      this.#child.on("message", ends);
      begin();
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  end(): void {
    this.#child.disconnect();
    closeSync(this.#fd);
  }
}
