/**
 * One shell step. It has a process group of its own, its output is captured, and its result is read
 * from the file that it was given (docs/semantics.md 16).
 *
 * When the shell ends, the rest of its group is ended, and what left the group (left-behind.ts): no
 * process outlives its step. What was below the shell when that was told to end is ended too, even
 * if it cleared its environment (descendants.ts).
 */
import { errorCode, isExhausted, lacksDescriptor, whatRanOut } from "../../disk/disk-error.ts";
import { startsLater, whatLacks } from "../../disk/process-start.ts";
import { RETRY_MS } from "../../disk/until-room.ts";
import { defined } from "../../core/defined.ts";
import { byteLength, TEXT_LIMIT } from "../../core/environment-limits.ts";
import { clipError, toStepError, type StepError } from "../../core/failure.ts";
import { LineCapture } from "../../steps/line-capture.ts";
import { Masker } from "../../core/mask.ts";
import { withValues } from "../../steps/task-values.ts";
import { descendantsOf, killDescendant, type Descendant } from "../pool/descendants.ts";
import { killByToken, killQuietly } from "../pool/kill-by-token.ts";
import { TOKEN_VARIABLE, type OutputLine, type ShellTask } from "../../core/task.ts";
import type { RawResult } from "../pool/protocol.ts";
import type { AttemptFiles } from "./attempt-files.ts";
import type { Guard } from "./guard.ts";
import type { LeftBehind, ShellMark } from "./left-behind.ts";
import { NotGivable, shellEnvironment } from "../shell-environment.ts";
import { exitError, recordedOutput, signalError, writtenOutput } from "../shell-result.ts";
import type { Scratch } from "./scratch.ts";
import type { ShellCommand, ShellListener, ShellProcess } from "./shell-process.ts";

/** How long after its end a group's output may still come, in milliseconds. */
const LAST_OUTPUT_MS = 500;
/** When a signal is sent again that met no group, in milliseconds. */
const AGAIN_MS = 10;
/** A shell that is told of later than this, in milliseconds, may have begun long before. */
const PROMPT_MS = 1_000;

/** What a shell step needs of its runner. */
export interface ShellHost {
  readonly scratch: Scratch;
  readonly token: string;
  readonly guard: Guard;
  readonly leftBehind: LeftBehind;
  readonly baseEnv: Readonly<Record<string, string>>;
  /** Processes that wait to become shells of steps. The list goes on to tell it. */
  readonly spares: readonly number[];
  /** Starts a shell. The listener may hear of it before this returns. */
  start(command: ShellCommand, listener: ShellListener): ShellProcess;
  output(stream: OutputLine["stream"], lines: readonly string[]): void;
  /** It ended, by itself or because the runner told it to. */
  ended(result: RawResult, durationMs: number, startedAt: number): void;
}

/** Runs the text of one step in a shell. */
export class ShellStep implements ShellListener {
  readonly #id: string;
  #task: ShellTask;
  readonly #host: ShellHost;
  readonly #masker: Masker;
  /** Undefined until the command is about to start, and where the folder cannot be made. */
  #files: AttemptFiles | undefined;
  readonly #startedAt = Date.now();
  readonly #begin = performance.now();
  #lastError = "";
  readonly #capture: LineCapture;
  #shell: ShellProcess | undefined;
  #command: ShellCommand | undefined;
  /** Until it is started again, and why it was not. */
  #waits: { readonly timer: NodeJS.Timeout; readonly error: Error } | undefined;
  #hasWaited = false;
  /** The shell's pid, which is its group's too, once it has begun. */
  #pid: number | undefined;
  #mark: ShellMark | undefined;
  /** The pid that was given last when the shell was asked for. */
  #lastPid: number | undefined;
  /** Signals that came before the shell had begun. */
  readonly #early: NodeJS.Signals[] = [];
  #isTold = false;
  /** What was below the shell when that was told to end. */
  #below: readonly Descendant[] = [];
  /** How the shell ended, and until when its last output is waited for. */
  #exit: { readonly result: () => RawResult; readonly timer: NodeJS.Timeout } | undefined;
  #isOver = false;
  #isRead = true;

  constructor(id: string, task: ShellTask, host: ShellHost) {
    this.#id = id;
    this.#task = task;
    this.#host = host;
    this.#masker = new Masker(task.secrets);
    this.#capture = new LineCapture(this.#masker, (stream, lines) => {
      if (stream === "stderr") this.#lastError = lines.at(-1) ?? this.#lastError;
      host.output(stream, lines);
    });
  }

  /** Starts the shell. What goes wrong is told to `ended`. */
  start(): void {
    try {
      this.#task = withValues(this.#task);
    } catch (error) {
      this.#finish({ ok: false, error: toStepError(error), outcome: "failed" });
      return;
    }
    this.#writeFiles();
  }

  /** Writes the command's files and starts it, or waits for room for them. */
  #writeFiles(): void {
    let command: ShellCommand;
    try {
      command = this.#prepare();
    } catch (error) {
      if (this.#files !== undefined) this.#host.scratch.end(this.#files);
      this.#files = undefined;
      if (lacksRoom(error) && !this.#isTold)
        return this.#later(error as Error, whatRanOut(error), () => this.#writeFiles());
      this.#finish({ ok: false, error: cannotWrite(error as Error), outcome: "failed" });
      return;
    }
    this.#launch(command);
  }

  #launch(command: ShellCommand): void {
    this.#waits = undefined;
    this.#command = command;
    this.#lastPid = this.#host.leftBehind.lastPid();
    this.#shell = this.#host.start(command, this);
  }

  began(pid: number): void {
    if (this.#pid !== undefined) this.#host.guard.ended(this.#pid);
    this.#pid = pid;
    this.#host.guard.began(pid);
    if (performance.now() - this.#begin < PROMPT_MS)
      this.#mark = this.#host.leftBehind.began(pid, this.#lastPid);
    for (const signal of this.#early.splice(0)) this.signal(signal);
  }

  output(stream: "stdout" | "stderr", chunk: Buffer): void {
    if (!this.#isOver) this.#capture.drain(stream, chunk);
  }

  failed(error: Error, isSpawners = false): void {
    // What holds the descriptors of a runner may be a step that never ends. Those of a spawner are
    // other shells', and go with them.
    const mayWait = errorCode(error) !== "EMFILE" || isSpawners;
    if (startsLater(error) && mayWait && !this.#isTold) return this.#wait(error);
    this.#fail(error);
  }

  /** The machine starts no process now. */
  #wait(error: Error): void {
    if (this.#isOver) return;
    // A process that was to become the shell is gone.
    if (this.#pid !== undefined) this.#host.guard.ended(this.#pid);
    this.#pid = undefined;
    this.#mark = undefined;
    this.#later(error, whatLacks(error), () => this.#launch(this.#command!));
  }

  /** Nothing of the step has begun, so it waits. */
  #later(error: Error, because: string, again: () => void): void {
    if (!this.#hasWaited) this.#host.output("orchd", [`${because}: the command waits`]);
    this.#hasWaited = true;
    this.#waits = { timer: setTimeout(again, RETRY_MS), error };
  }

  #fail(error: Error): void {
    this.#settle(() => ({ ok: false, error: this.#cannotStart(error), outcome: "failed" }));
  }

  exited(status: number | null, signal: string | null): void {
    if (this.#isOver) return;
    for (const process of this.#below) killDescendant(process);
    if (this.#mark === undefined) killByToken(this.#token());
    else this.#host.leftBehind.end(this.#mark, this.#token(), this.#host.spares);
    const timer = setTimeout(() => {
      // What is not read now is not late.
      if (!this.#isRead) return void timer.refresh();
      // A process that left the group still holds the pipe. It is of this step all the same.
      killByToken(this.#token());
      this.#shell?.mute();
      this.closed();
    }, LAST_OUTPUT_MS);
    this.#exit = { result: () => this.#result(status, signal), timer };
  }

  closed(): void {
    if (this.#exit !== undefined) this.#settle(this.#exit.result);
  }

  /**
   * Ends all that it started, because its spawner died: how the shell ends will not be heard.
   * `ended` is not called.
   */
  abandon(): void {
    if (!this.#stop()) return;
    // Before the group: what is below the shell is found only while the shell lives.
    killByToken(this.#token());
    if (this.#pid !== undefined) killQuietly(-this.#pid, "SIGKILL");
    for (const process of this.#below) killDescendant(process);
    if (this.#files !== undefined) this.#host.scratch.end(this.#files);
  }

  #settle(result: () => RawResult): void {
    if (this.#stop()) this.#finish(result());
  }

  /** @returns false if it had ended before */
  #stop(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    clearTimeout(this.#exit?.timer);
    clearTimeout(this.#waits?.timer);
    this.#capture.end();
    if (this.#pid !== undefined) this.#host.guard.ended(this.#pid);
    return true;
  }

  /** Writes the command's files. Where the one before did something to the folder: into another. */
  #prepare(isAgain = false): ShellCommand {
    const files = this.#host.scratch.begin(this.#task, isAgain);
    this.#files = files;
    try {
      const { shell, cwd } = this.#task;
      const [program, ...options] = [...shell, ...this.#text(files)];
      const env = this.#environment(files);
      return { words: [program!, ...options], cwd: cwd === "" ? files.folder : cwd, env };
    } catch (error) {
      if (isAgain) throw error;
      this.#host.scratch.end(files);
      this.#files = undefined;
      return this.#prepare(true);
    }
  }

  get isTold(): boolean {
    return this.#isTold;
  }

  /** The step's process group, while its shell runs. */
  get group(): number | undefined {
    return this.#isOver || this.#exit !== undefined ? undefined : this.#pid;
  }

  /** Sends a signal to the group; as it begins, if it has not begun. */
  signal(signal: NodeJS.Signals): void {
    this.#isTold = true;
    if (this.#pid === undefined) {
      this.#early.push(signal);
      // It begins no more.
      if (this.#waits !== undefined) return this.#fail(this.#waits.error);
    }
    const pid = this.group;
    if (pid === undefined) return;
    this.#below = [...this.#below, ...descendantsOf([pid])];
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // Its process has the pid a moment before it makes the group. A group of another account is
      // there, and stays out of reach however often it is tried.
      if (errorCode(error) === "ESRCH") setTimeout(() => this.signal(signal), AGAIN_MS).unref();
    }
  }

  /** Whether its output is read now. */
  read(isRead: boolean): void {
    this.#isRead = isRead;
    this.#shell?.read(isRead);
  }

  /** Ends the group, and all else that carries the attempt's token. */
  kill(): void {
    // Before the group, as in abandon(); and at once, for nothing more may be heard of this step.
    killByToken(this.#token());
    this.signal("SIGKILL");
    for (const process of this.#below) killDescendant(process);
    this.#shell?.expectEnd();
  }

  #token(): string {
    return `${this.#host.token}/${this.#id}`;
  }

  #environment(files: AttemptFiles): Record<string, string> {
    const env = shellEnvironment(this.#id, this.#task, this.#host.baseEnv, files);
    return { ...env, ORCHD_OUTPUT: files.output, [TOKEN_VARIABLE]: this.#token() };
  }

  /** The text, or the file that holds it, as the shell's last arguments. */
  #text(files: AttemptFiles): string[] {
    const { text } = this.#task;
    return text.length <= TEXT_LIMIT && byteLength(text) <= TEXT_LIMIT
      ? ["-c", text]
      : [files.write("run", text, ".sh")];
  }

  #result(status: number | null, signal: string | null): RawResult {
    if (status !== 0) {
      const error =
        signal === null ? exitError(status, this.#lastError) : signalError(signal, this.#lastError);
      return { ok: false, outcome: "failed", error };
    }
    const { step = "", outputs } = this.#task;
    return writtenOutput((name) => this.#files?.readOutput(name), { step, outputs }, this.#masker);
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
      "json" in result
        ? recordedOutput(result.json, this.#task, this.#masker, (line) =>
            this.#host.output("orchd", [line]),
          )
        : result,
      durationMs,
      this.#startedAt,
    );
  }
}

/** Whether a disk is full. What holds a runner's descriptors may be a step that never ends. */
function lacksRoom(error: unknown): boolean {
  return isExhausted(error) && !lacksDescriptor(error);
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
