/**
 * One of the package's programs beside the daemon, kept running by a {@link Supervisor} where the
 * settings ask for it. The daemon loads nothing of it.
 *
 * The page, `orchd notify` and the export of traces differ only in what {@link ProgramOptions}
 * says.
 */
import type { Clock } from "../clock.ts";
import { TOKEN_VARIABLE } from "../core/task.ts";
import type { Log } from "../log.ts";
import { startNode, type NodeProgram } from "./node-child.ts";
import { Supervisor } from "./supervisor.ts";

/** Where a program reads. */
export interface ProgramRoots {
  readonly root: string;
  readonly schedules: string;
  readonly runs: string;
}

/** What each program is supervised with. */
export interface SupervisionPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly roots: ProgramRoots;
  /** The command line's built program. */
  readonly program: () => string;
  /** What later daemons find the process by, if it outlives this one (`ORCHD_RUNNER_TOKEN`). */
  readonly mark: string;
}

/** What one program is. */
export interface ProgramOptions<Settings> extends Pick<SupervisionPorts, "clock" | "log" | "mark"> {
  /** For the log: `the page`. */
  readonly name: string;
  /** What it goes by now; undefined: it is not wanted. Other settings start it again. */
  readonly settings: () => Settings | undefined;
  /** How it is started. */
  readonly start: (settings: Settings) => NodeProgram;
  /** It serves: what it said on its stdout. Tells the log so, in a sentence. */
  readonly onAnswer: (line: string, settings: Settings) => void;
}

/** Keeps a program running. */
export class SupervisedProgram<Settings> {
  readonly #settings: () => Settings | undefined;
  readonly #supervisor: Supervisor<Settings>;
  #begun = false;

  constructor({ clock, log, mark, name, settings, start, onAnswer }: ProgramOptions<Settings>) {
    this.#settings = settings;
    this.#supervisor = new Supervisor(name, {
      clock,
      log,
      start: (given, listener) => {
        const node = start(given);
        const marked = { ...node, env: { ...node.env, [TOKEN_VARIABLE]: mark } };
        return startNode(marked, clock, listener, (line) => onAnswer(line, given));
      },
    });
  }

  /** Starts it, where the settings ask for it: the daemon is ready. */
  begin(): void {
    this.#begun = true;
    this.refresh();
  }

  /** The settings were read again. It starts, ends or starts again where they say so. */
  refresh(): void {
    if (this.#begun) this.#supervisor.want(this.#settings());
  }

  /** Ends it. Resolves within a good second, when its process is gone. */
  close(): Promise<void> {
    return this.#supervisor.close();
  }
}

/** The words that tell a program its roots. */
export function rootWords({ root, schedules, runs }: ProgramRoots): readonly string[] {
  return ["--root", root, "--schedules", schedules, "--runs", runs];
}
