/**
 * A daemon that is struck again and again while steps run in containers, and what outside counts.
 *
 * A blow meets a run of three steps side by side, of unequal length: so it meets attempts in
 * several phases. Each attempt writes a number of its own to a file outside, line after line. Two
 * attempts of a step at once would show there: their lines would not stand together.
 *
 * The next blow meets the same daemon, or its successor. What one blow leaves would harm the next.
 */
import { mkdirSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { expect, vi } from "vitest";
import { linesOf, type Line } from "./await-event.ts";
import { orchd, startDaemon, type Daemon } from "./daemon.ts";
import { onTestFinished, ownedBy } from "./running-test.ts";
import { tempRoot } from "./temp-root.ts";
import type { TestEngine } from "./test-engine.ts";
import { tellIfFailed } from "./told-failure.ts";

/** The steps, and how many lines an attempt of each writes, one every {@link LINE_MS}. */
export const STRUCK_STEPS = { a: 30, b: 20, c: 10 } as const;
/** The name of one of the steps. */
export type StruckStep = keyof typeof STRUCK_STEPS;
const LINE_MS = 50;
/** How long a daemon may take to be ready: such loops run beside all else. */
const READY_MS = 150_000;
/** How long a run may take, in milliseconds. */
const RUN_MS = 150_000;

/** The steps of a pipeline, as shell steps. @param folder of the files, where the step finds it */
export function struckShells(folder: string, more = ""): string {
  const steps = Object.entries(STRUCK_STEPS).map(
    ([step, lines]) => `
  ${step}:
    run: |
      id=$(cat /proc/sys/kernel/random/uuid)
      log="${folder}/$ORCHD_RUN_ID.${step}"
      for i in $(seq 1 ${lines}); do
        echo "$id" >> "$log"; echo "line $i"; sleep ${LINE_MS / 1_000}
      done
      echo "$id ends" >> "$log"${more}`,
  );
  return `steps:${steps.join("")}\n`;
}

/** The same as module steps: `one.ts` beside the pipeline is {@link STRUCK_MODULE}. */
export const STRUCK_MODULES = `steps:${Object.entries(STRUCK_STEPS)
  .map(
    ([step, lines]) =>
      `\n  ${step}: { uses: ./one.ts, params: { step: ${step}, lines: ${lines} } }`,
  )
  .join("")}\n`;

/** The module. Its files are in /effects. */
export const STRUCK_MODULE = `import { appendFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
export default async ({ run, params }) => {
  const id = crypto.randomUUID();
  const log = "/effects/" + run.id + "." + params.step;
  for (let i = 0; i < params.lines; i += 1) {
    appendFileSync(log, id + "\\n");
    await setTimeout(${LINE_MS});
  }
  appendFileSync(log, id + " ends\\n");
};
`;

/** What outside saw of a step of one run. */
export interface Seen {
  /** The numbers of its attempts, once for each stretch of lines: one attempt after the other. */
  readonly attempts: readonly string[];
  readonly ends: number;
  /** It ended last. */
  readonly isOver: boolean;
}

/** The daemon, its root, and its one pipeline `p`. */
export class StruckDaemon {
  readonly root: string;
  /** The runs folder, as its real path. */
  readonly runs: string;
  readonly #engine: TestEngine;
  #daemon: Daemon | undefined;

  private constructor(engine: TestEngine, files: (effects: string) => Record<string, string>) {
    const made = tempRoot({ "orchd.yaml": `containers: { engine: ${engine.name} }\n` });
    this.root = made.root;
    this.runs = realpathSync(made.runs);
    this.#engine = engine;
    const effects = join(made.schedules, "effects");
    mkdirSync(effects);
    for (const [name, text] of Object.entries(files(effects)))
      made.write(`schedules/${name}`, text);
  }

  /**
   * Starts one. Where it is given up it ends in order, and leaves no container.
   *
   * @param files of the drop folder; beside them is `effects`, whose path is given
   */
  static async start(
    engine: TestEngine,
    files: (effects: string) => Record<string, string>,
  ): Promise<StruckDaemon> {
    const made = new StruckDaemon(engine, files);
    onTestFinished(async () => {
      try {
        await made.daemon.end("SIGTERM", 60_000);
      } finally {
        await made.daemon.kill();
      }
      await made.leavesNothing();
    });
    await made.restart();
    return made;
  }

  /** The daemon that lives. */
  get daemon(): Daemon {
    return this.#daemon!;
  }

  /** Starts the next daemon. */
  async restart(): Promise<void> {
    // It outlives the test that starts it.
    this.#daemon = await ownedBy(
      () => undefined,
      () => startDaemon({ root: this.root, deadlineMs: READY_MS }),
    );
  }

  /** Asks for a run. @returns its id */
  async run(): Promise<string> {
    const asked = await orchd(this.root, "run", "p", { deadlineMs: READY_MS });
    const run = asked.stdout.trim();
    expect(run, asked.stderr).toMatch(/^p@/);
    return run;
  }

  /** Waits until a run has completed. @returns its lines */
  async completed(run: string): Promise<Line[]> {
    const month = readdirSync(join(this.runs, "p")).find((name) => /^\d{4}-\d\d$/.test(name))!;
    const ledger = join(this.runs, "p", month, `${run}.jsonl`);
    tellIfFailed(this.#engine, this.runs, ledger);
    await expect
      .poll(() => linesOf(ledger).at(-1), { timeout: RUN_MS, interval: 100 })
      .toMatchObject({ type: "run.finished", status: "completed" });
    return linesOf(ledger);
  }

  /** What a step of a run printed to stdout, as its log has it. */
  printed(run: string, step: StruckStep): string[] {
    const month = readdirSync(join(this.runs, "p")).find((name) => /^\d{4}-\d\d$/.test(name))!;
    return linesOf(join(this.runs, "p", month, `${run}.log`))
      .filter((line) => line["step"] === step && line["stream"] === "stdout")
      .map((line) => String(line["line"]));
  }

  /** What outside has seen of a step of a run by now. */
  seen(run: string, step: StruckStep): Seen {
    const written = linesIn(join(this.root, "schedules/effects", `${run}.${step}`));
    const attempts = written
      .map((line) => line.split(" ", 1)[0]!)
      .filter((id, index, all) => id !== all[index - 1]);
    const isEnd = (line: string): boolean => line.endsWith(" ends");
    return { attempts, ends: written.filter(isEnd).length, isOver: isEnd(written.at(-1) ?? "") };
  }

  /** Waits until no container of this root is left. */
  async leavesNothing(): Promise<void> {
    const look = (): void => expect(this.#engine.containersOf(this.runs)).toEqual([]);
    await vi.waitFor(look, { timeout: 60_000, interval: 200 });
  }
}

function linesIn(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n").filter(Boolean);
  } catch {
    return [];
  }
}
