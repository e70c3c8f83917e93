/**
 * One shell step. It has a process group of its own, its output is captured, and its result is read
 * from the file that it was given (docs/semantics.md 16).
 *
 * When the shell ends, the rest of its group is ended, and what left the group (left-behind.ts): no
 * process outlives its step. What was below the shell when that was told to end is ended too, even
 * if it cleared its environment (descendants.ts).
 */
import { spawn, type ChildProcess } from "node:child_process";
import { defined } from "../../../core/defined.ts";
import { byteLength, TEXT_LIMIT } from "../../../core/environment-limits.ts";
import { clipError, FAILURE_CODES, toStepError, type StepError } from "../../../core/failure.ts";
import { LineCapture } from "../../../steps/line-capture.ts";
import { MASKED_RESULT, Masker } from "../../../steps/mask.ts";
import { stageResult } from "../../../steps/staged-result.ts";
import { resultJson, writtenResult } from "../../../steps/step-result.ts";
import { withValues } from "../../../steps/task-values.ts";
import { descendantsOf, killDescendant, type Descendant } from "../descendants.ts";
import { killByToken, killQuietly } from "../kill-by-token.ts";
import { TOKEN_VARIABLE, type OutputLine, type ShellTask } from "../../../core/task.ts";
import type { RawResult } from "../protocol.ts";
import type { AttemptFiles } from "./attempt-files.ts";
import type { Guard } from "./guard.ts";
import type { LeftBehind } from "./left-behind.ts";
import { NotGivable, shellEnvironment } from "./shell-environment.ts";
import type { Scratch } from "./scratch.ts";

/** How much is quoted of a result that is not JSON, and how much of it is masked before. */
const QUOTED = 60;
const QUOTED_AHEAD = 64 * 1024;
/** How long after its end a group's output may still come, in milliseconds. */
const LAST_OUTPUT_MS = 500;

/** What a shell step needs of its runner. */
export interface ShellHost {
  readonly scratch: Scratch;
  readonly token: string;
  readonly guard: Guard;
  readonly leftBehind: LeftBehind;
  readonly baseEnv: Readonly<Record<string, string>>;
  output(stream: OutputLine["stream"], lines: readonly string[]): void;
  /** It ended, by itself or because the runner told it to. */
  ended(result: RawResult, durationMs: number, startedAt: number): void;
}

/** What a shell is started with. */
interface Given {
  readonly env: NodeJS.ProcessEnv;
  readonly text: readonly string[];
}

/** Runs the text of one step in a shell. */
export class ShellStep {
  readonly #id: string;
  #task: ShellTask;
  readonly #host: ShellHost;
  readonly #masker: Masker;
  /** Undefined until the command is about to start, and where the folder cannot be made. */
  #files: AttemptFiles | undefined;
  readonly #startedAt = Date.now();
  readonly #begin = performance.now();
  #process: ChildProcess | undefined;
  #lastError = "";
  /** What was below the shell when that was told to end. */
  #below: readonly Descendant[] = [];

  constructor(id: string, task: ShellTask, host: ShellHost) {
    this.#id = id;
    this.#task = task;
    this.#host = host;
    this.#masker = new Masker(task.secrets);
  }

  /** Starts the shell. What goes wrong is told to `ended`. */
  start(): void {
    const [program, ...options] = this.#task.shell;
    let given: Given;
    try {
      this.#task = withValues(this.#task);
    } catch (error) {
      this.#finish({ ok: false, error: toStepError(error), outcome: "failed" });
      return;
    }
    try {
      given = this.#prepare();
    } catch (error) {
      this.#finish({ ok: false, error: cannotWrite(error as Error), outcome: "failed" });
      return;
    }
    let child: ChildProcess;
    try {
      child = spawn(program!, [...options, ...given.text], {
        cwd: this.#task.cwd,
        env: given.env,
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      });
    } catch (error) {
      this.#finish({ ok: false, error: this.#cannotStart(error as Error), outcome: "failed" });
      return;
    }
    this.#process = child;
    if (child.pid !== undefined) this.#host.guard.began(child.pid);
    const mark = child.pid === undefined ? undefined : this.#host.leftBehind.began(child.pid);
    const capture = new LineCapture(this.#masker, (stream, lines) => {
      if (stream === "stderr") this.#lastError = lines.at(-1) ?? this.#lastError;
      this.#host.output(stream, lines);
    });
    // With no descriptor left there are no streams, and "error" says so.
    child.stdout?.on("data", (chunk: Buffer) => capture.drain("stdout", chunk));
    child.stderr?.on("data", (chunk: Buffer) => capture.drain("stderr", chunk));
    let over = false;
    const settle = (result: () => RawResult): void => {
      if (over) return;
      over = true;
      capture.end();
      if (child.pid !== undefined) this.#host.guard.ended(child.pid);
      this.#finish(result());
    };
    child.on("error", (error) =>
      settle(() => ({ ok: false, error: this.#cannotStart(error), outcome: "failed" })),
    );
    child.on("exit", (status, signal) => {
      // What it left in the background is ended.
      if (child.pid !== undefined) killQuietly(-child.pid, "SIGKILL");
      for (const process of this.#below) killDescendant(process);
      if (mark !== undefined) this.#host.leftBehind.end(mark, this.#token());
      const end = (): void => {
        clearTimeout(timer);
        settle(() => this.#result(status, signal));
      };
      const timer = setTimeout(() => {
        // A process that left the group still holds the pipe. It is of this step all the same.
        killByToken(this.#token());
        child.stdout!.destroy();
        child.stderr!.destroy();
        end();
      }, LAST_OUTPUT_MS);
      child.on("close", end);
    });
  }

  /** Writes the command's files. Where the one before did something to the folder: into another. */
  #prepare(isAgain = false): Given {
    const files = this.#host.scratch.begin(this.#task, isAgain);
    this.#files = files;
    try {
      return { env: this.#environment(files), text: this.#text(files) };
    } catch (error) {
      if (isAgain) throw error;
      this.#host.scratch.end(files);
      this.#files = undefined;
      return this.#prepare(true);
    }
  }

  /** The step's process group, while it runs. */
  get group(): number | undefined {
    return this.#process?.exitCode === null && this.#process.signalCode === null
      ? this.#process.pid
      : undefined;
  }

  /** Sends a signal to the group. */
  signal(signal: NodeJS.Signals): void {
    const pid = this.group;
    if (pid === undefined) return;
    this.#below = [...this.#below, ...descendantsOf([pid])];
    killQuietly(-pid, signal);
  }

  /** Ends the group, and all else that carries the attempt's token. */
  kill(): void {
    this.signal("SIGKILL");
    killByToken(this.#token());
  }

  #token(): string {
    return `${this.#host.token}/${this.#id}`;
  }

  #environment(files: AttemptFiles): NodeJS.ProcessEnv {
    return {
      ...shellEnvironment(this.#task, this.#host.baseEnv, files),
      ORCHD_OUTPUT: files.output,
      [TOKEN_VARIABLE]: this.#token(),
    };
  }

  /** The text, or the file that holds it, as the shell's last arguments. */
  #text(files: AttemptFiles): string[] {
    const { text } = this.#task;
    return text.length <= TEXT_LIMIT && byteLength(text) <= TEXT_LIMIT
      ? ["-c", text]
      : [files.write("run", text, ".sh")];
  }

  #result(status: number | null, signal: NodeJS.Signals | null): RawResult {
    const said = this.#lastError === "" ? "" : `: ${this.#lastError.slice(0, 500)}`;
    if (signal !== null) {
      return {
        ok: false,
        outcome: "failed",
        error: {
          name: "ExitError",
          message: `the command was ended by ${signal}${said}`,
          code: FAILURE_CODES.signal,
        },
      };
    }
    if (status !== 0) {
      return {
        ok: false,
        outcome: "failed",
        error: {
          name: "ExitError",
          message: `the command ended with status ${status}${said}`,
          code: FAILURE_CODES.exitStatus,
          exitStatus: status ?? undefined,
        },
      };
    }
    try {
      return {
        ok: true,
        json: resultJson(this.#output(), this.#task.step ?? "", this.#task.outputs),
      };
    } catch (error) {
      return {
        ok: false,
        outcome: "failed",
        error: { name: "BadOutput", message: (error as Error).message, code: FAILURE_CODES.output },
      };
    }
  }

  /** What the command wrote to `$ORCHD_OUTPUT`. Null if it wrote nothing. */
  #output(): unknown {
    const step = `step "${this.#task.step ?? ""}"`;
    const bytes = this.#files?.readOutput(step);
    if (bytes === undefined) return null;
    // A parser would quote a piece of the text, which may be a piece of a secret. So the text is
    // masked whole, and then cut.
    return writtenResult(bytes, step, (text) =>
      this.#masker.text(text.slice(0, QUOTED_AHEAD)).slice(0, QUOTED),
    );
  }

  #cannotStart(error: Error): StepError {
    const code = (error as NodeJS.ErrnoException).code;
    const where =
      code === "ENOENT"
        ? ` (is there a folder ${this.#task.cwd}, and a program ${this.#task.shell[0]}?)`
        : code === "E2BIG"
          ? " (its environment and arguments are more than the system takes: " +
            "give fewer inputs and params, or one list of them)"
          : "";
    return defined({
      name: "SpawnError",
      message: `the command could not be started: ${error.message}${where}`,
      code,
    });
  }

  #finish(result: RawResult): void {
    if (this.#files !== undefined) this.#host.scratch.end(this.#files);
    const durationMs = performance.now() - this.#begin;
    if (!result.ok)
      return this.#host.ended(
        { ...result, error: clipError(this.#masker.error(result.error)) },
        durationMs,
        this.#startedAt,
      );
    this.#host.ended(
      "json" in result ? this.#recorded(result.json) : result,
      durationMs,
      this.#startedAt,
    );
  }

  /** The result without secrets; in files, if it is large. */
  #recorded(json: string): RawResult {
    const masked = this.#masker.json(json);
    if (masked !== undefined) this.#host.output("orchd", [MASKED_RESULT]);
    const { artifacts, outputs } = this.#task;
    const text = masked ?? json;
    const staged = artifacts === undefined ? undefined : stageResult(text, outputs, artifacts);
    return staged === undefined ? { ok: true, json: text } : { ok: true, staged };
  }
}

function cannotWrite(error: Error): StepError {
  if (error instanceof NotGivable)
    return { name: "SpawnError", message: `the command could not be started: ${error.message}` };
  return defined({
    name: "SpawnError",
    message: `the command could not be started: its files cannot be written: ${error.message}`,
    code: (error as NodeJS.ErrnoException).code,
  });
}
