/**
 * A runner as the pool sees it, wherever its process is: started, sent messages in batches, and
 * dead only when nothing more can come from it. A place says how one is launched.
 */
import { FAILURE_CODES } from "../../core/failure.ts";
import type { DeathInfo } from "../place.ts";
import type { FromRunner, PoolMessage, RunnerSettings } from "./protocol.ts";
import type { SentFrames } from "./sent-frames.ts";

/** How a runner ended. */
export interface RunnerExit {
  /** For people: `was ended by SIGKILL`, `ran out of memory (…)`. */
  readonly detail: string;
  readonly outOfMemory: boolean;
  /** No task is to blame ({@link DeathInfo}). */
  readonly blameless?: DeathInfo["blameless"];
  /** False where it is known that a task had not begun. Undefined: all may have. */
  readonly mayHaveBegun?: ((id: string) => boolean) | undefined;
}

/** What a task is told of its runner's death, besides the blame. */
export function deathOf(
  { detail, outOfMemory, blameless: known, mayHaveBegun }: RunnerExit,
  id: string,
): Pick<DeathInfo, "because" | "code" | "blameless"> {
  const blameless = mayHaveBegun?.(id) === false ? "unbegun" : known;
  const own = outOfMemory ? FAILURE_CODES.memory : FAILURE_CODES.runnerDied;
  const code = blameless === undefined ? own : FAILURE_CODES.place;
  return { because: `the runner ${detail}`, code, blameless };
}

/** Hears what a runner does. */
export interface RunnerListener {
  /**
   * Its process was started, or the one here that speaks to it. Called again where that ended
   * before its first word, and another was started.
   */
  started(pid: number): void;
  messages(batch: readonly FromRunner[]): void;
  stray(stream: "stdout" | "stderr", lines: readonly string[]): void;
  /**
   * Called once: when the runner is gone, its last messages are read, and no process that it
   * started is left. So a task that starts again never meets a survivor.
   */
  exit(exit: RunnerExit): void;
}

/** One runner. */
export interface RunnerProcess {
  /** It has one task, and ends with it. */
  readonly alone: boolean;
  /** The frames that it was told. */
  readonly frames: SentFrames;
  /** The values of the secrets that its tasks were given. */
  readonly secrets: Set<string>;
  /**
   * The id of its process, or of the process here that speaks to it. Undefined before it is
   * started, and once it is dead.
   */
  readonly pid: number | undefined;
  /** Whether it takes new tasks. */
  readonly open: boolean;
  /**
   * Whether it has given a sign of life since {@link ask}, or can be seen to work or to wait for a
   * processor.
   */
  readonly lives: boolean;
  /** Resolves when it is gone and its last messages are read. */
  readonly exited: Promise<void>;
  /** Sends a message, together with all others of this turn of the event loop. */
  send(message: PoolMessage): void;
  /** Tells it, with its next message, that the ends of these steps are durable. */
  settle(ids: readonly string[]): void;
  /** Asks for a sign of life. */
  ask(): void;
  /** From now on it takes no new tasks. */
  retire(): void;
  /** Has it end its processes and itself, by force after a while. Resolves when it is gone. */
  close(): Promise<void>;
  /** Ends it and all that it started, at once. */
  kill(): void;
}

/**
 * Starts a runner. It takes messages at once, and works on them when it is up.
 *
 * @param number the runner's number in its pool, from 1
 * @param alone it has one task, and ends with it
 */
export type LaunchRunner = (
  settings: RunnerSettings,
  number: number,
  alone: boolean,
  listener: RunnerListener,
) => RunnerProcess;
