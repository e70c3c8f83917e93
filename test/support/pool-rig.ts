/** Runs tasks in real runner processes, without a daemon above them. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "./running-test.ts";
import { systemClock, type Clock } from "../../src/clock.ts";
import type { FramedTask } from "../../src/core/task-frame.ts";
import type { OutputLine, Task, TaskResult } from "../../src/core/task.ts";
import type { ClaimsFolder } from "../../src/places/pool/claims.ts";
import type { RunnerSettings } from "../../src/places/pool/protocol.ts";
import type { DeathInfo } from "../../src/places/place.ts";
import { forkRunner } from "../../src/places/local/runner-child.ts";
import type { LaunchRunner } from "../../src/places/pool/runner-process.ts";
import { RunnerPool } from "../../src/places/pool/runner-pool.ts";
import { tempRoot } from "./temp-root.ts";

/** How a task ended, and what it printed. */
export interface Ended {
  readonly result: TaskResult | undefined;
  readonly death: DeathInfo | undefined;
  readonly durationMs: number;
  readonly lines: readonly OutputLine[];
}

/** A task that was started. */
export interface Started {
  readonly id: string;
  readonly ended: Promise<Ended>;
  /** Resolves with the first line it prints. */
  readonly firstLine: Promise<OutputLine>;
}

/** What a test says of a task. The rest has defaults. */
export interface TaskParts {
  /** Default: "rig". */
  readonly pipeline?: string;
  readonly params?: Extract<Task, { kind: "module" }>["params"];
  readonly inputs?: Extract<Task, { kind: "module" }>["inputs"];
  readonly env?: Record<string, string>;
  readonly secrets?: readonly string[];
  readonly timeoutMs?: number;
  readonly gracePeriodMs?: number;
  readonly memoryMb?: number;
  readonly outputs?: readonly string[];
  readonly isolated?: boolean;
  readonly shell?: readonly string[];
  readonly cwd?: string;
  readonly alone?: boolean;
}

type Common = "run" | "step" | "env" | "gracePeriodMs";
/** A task of any kind, without the members that all kinds have. */
export type AnyTask = Task extends infer One
  ? One extends Task
    ? Omit<One, Common>
    : never
  : never;

/** A pool for one test. It is closed when the test is over. */
export class PoolRig {
  readonly pool: RunnerPool;
  readonly folder: string;
  #count = 0;

  constructor(
    settings: Partial<RunnerSettings> = {},
    clock: Clock = systemClock,
    claims?: ClaimsFolder,
    launch: LaunchRunner = forkRunner,
  ) {
    this.folder = tempRoot().root;
    const bundles = join(this.folder, "bundles");
    mkdirSync(bundles);
    this.pool = new RunnerPool({
      clock,
      launch,
      claims,
      settings: {
        threads: 2,
        bundles,
        scratch: join(this.folder, "scratch"),
        token: `rig-${process.pid}-${Math.random().toString(36).slice(2)}`,
        ...settings,
      },
    });
    onTestFinished(() => this.pool.close({ force: true }));
  }

  /** Makes `text` the module `name`. */
  module(name: string, text: string): void {
    writeFileSync(join(this.folder, "bundles", `${name}.mjs`), text);
  }

  /** Starts the default export of a module made by {@link module}. */
  start(
    name: string,
    { alone, shell: _shell, cwd: _cwd, pipeline, ...parts }: TaskParts = {},
  ): Started {
    const code = { bundle: name, pick: "export:default", source: `./${name}.ts` };
    return this.#start(
      {
        kind: "module",
        code,
        isolated: false,
        params: {},
        inputs: {},
        ...this.#common(pipeline),
        ...parts,
      },
      alone,
    );
  }

  /** Starts a module whose default export has this body, and gets `context`. */
  startBody(body: string, parts: TaskParts = {}): Started {
    const name = `body-${this.#count}`;
    this.module(name, `export default async (context) => { ${body} };`);
    return this.start(name, parts);
  }

  /** Starts a shell step. */
  startShell(
    text: string,
    { alone, isolated: _isolated, pipeline, ...parts }: TaskParts = {},
  ): Started {
    return this.#start(
      {
        kind: "shell",
        text,
        shell: ["/bin/sh", "-eu"],
        cwd: this.folder,
        params: {},
        inputs: {},
        ...this.#common(pipeline),
        ...parts,
      },
      alone,
    );
  }

  /**
   * Starts shell steps until one is below the runner's spawner. The next ones are too.
   *
   * @returns the spawner's pid
   */
  async spawner(): Promise<number> {
    for (;;) {
      const { lines } = await this.startShell(`echo "$PPID $(cat /proc/$PPID/comm)"`).ended;
      const [pid, name] = lines[0]!.line.split(" ");
      if (name === "orchd-spawner") return Number(pid);
    }
  }

  /** Starts a task of any kind, in the shared runner. */
  startTask(task: AnyTask): Started {
    return this.#start({ ...this.#common(), ...task });
  }

  /** Starts a step with a frame. */
  startFramed(task: FramedTask, alone = false): Started {
    return this.#start(task, alone);
  }

  #common(pipeline = "rig"): Pick<Task, "run" | "step" | "env" | "gracePeriodMs"> {
    return {
      run: { id: "rig@1", pipeline, attempt: 1 },
      step: "it",
      env: {},
      gracePeriodMs: 500,
    };
  }

  #start(task: Task, alone = false): Started {
    const id = `rig@1#${(this.#count += 1)}`;
    const lines: OutputLine[] = [];
    let heard!: (line: OutputLine) => void;
    const firstLine = new Promise<OutputLine>((resolve) => (heard = resolve));
    const ended = new Promise<Ended>((resolve) => {
      this.pool.start(
        id,
        task,
        {
          done: (result, durationMs) => resolve({ result, death: undefined, durationMs, lines }),
          output: (more) => {
            lines.push(...more);
            heard(lines[0]!);
          },
          died: (death) => resolve({ result: undefined, death, durationMs: 0, lines }),
        },
        { alone },
      );
    });
    return { id, ended, firstLine };
  }
}
