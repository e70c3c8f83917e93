/**
 * One attempt of a shell step in a container that runs already. The container is somebody else's:
 * it is never ended, removed or changed, only what the attempt itself started in it.
 *
 * - The engine's command (`exec`) is a child of the daemon. In the container a small program says
 *   that it is there and waits (exec-command.ts). The attempt's note is written, then the program
 *   is told to go on: only from then on the step has begun, and its time counts.
 * - No engine has a word that ends what `exec` started. So another `exec` looks for it in there and
 *   sends the signal. An end is told when nothing of it is left, or else its note stays.
 * - The daemon dies: what it started goes on, and nobody can hear its end any more. So it is not
 *   adopted. The next daemon finds the notes, ends what is left before a step begins in that
 *   container, and then the attempt counts as interrupted. A step that had not begun never begins.
 * - The engine's command dies: how the step ends will not be heard. It is ended, and has failed.
 * - The container ends: all that was in it has ended.
 */
import { hostname } from "node:os";
import type { Timer } from "../../clock.ts";
import type { RunningContainer } from "../../core/container.ts";
import { formatDuration } from "../../core/duration.ts";
import { byteLength, TEXT_LIMIT } from "../../core/environment-limits.ts";
import { clipError, type StepError } from "../../core/failure.ts";
import { Masker } from "../../core/mask.ts";
import type { OutputLine, ShellTask, TaskResult } from "../../core/task.ts";
import { iso } from "../../core/time.ts";
import { isExhausted } from "../../disk/disk-error.ts";
import { LineCapture } from "../../steps/line-capture.ts";
import { withValues } from "../../steps/task-values.ts";
import type { TaskHandlers } from "../place.ts";
import { NotGivable, shellEnvironment } from "../shell-environment.ts";
import { whenRoom, writtenFolder, type RoomWaiter } from "./attempt-room.ts";
import type { AttemptHost } from "./container-attempt.ts";
import { givenVariables, type Script } from "./container-command.ts";
import { endedResult, endError, errorOf, toldResult, type Ending } from "./container-end.ts";
import type { ContainerFiles } from "./container-files.ts";
import { EngineError, sentenceOf, type ContainerState } from "./engine.ts";
import type { Engine, EngineTalk } from "./engine.ts";
import { EngineLost, isCut, lostWithEngine, stateOnceBack } from "./engine-away.ts";
import { outputLines, readToEnd } from "./engine-output.ts";
import { execWords, GO, readyIn, type ExecMark } from "./exec-command.ts";
import { endLeft, noteMark, signalMark } from "./exec-left.ts";

/** How long after the grace period what was ended may take to be gone, in milliseconds. */
const END_SLACK_MS = 500;
/** The longest first line of the small program. */
const FIRST_LINE = 256;

/** What an attempt needs of its place. Its `name` is the token of what it starts. */
export type ExecHost = Omit<AttemptHost, "labels" | "ended" | "relabels" | "clientToken"> & {
  /** @param left `doubtful`: something that it started may be left */
  ended(files: ContainerFiles | undefined, left: "gone" | "doubtful"): void;
};

/** Runs one shell step in a container that runs already. */
export class ExecAttempt {
  readonly #task: ShellTask;
  readonly #container: RunningContainer;
  readonly #handlers: TaskHandlers;
  readonly #host: ExecHost;
  readonly #masker: Masker;
  readonly #timers: Timer[] = [];
  #engine: Engine | undefined;
  #files: ContainerFiles | undefined;
  #client: EngineTalk | undefined;
  #mark: ExecMark;
  /** Why it could not be noted that it begins. */
  #unnoted: EngineError | undefined;
  #lastError = "";
  #begin: number;
  #startedAt: number;
  #isOver = false;
  #ending: Ending | undefined;
  /** Tells that it was told to end before it had begun. */
  #cut!: () => void;
  readonly #wasCut = new Promise<void>((resolve) => (this.#cut = resolve));

  constructor(
    task: ShellTask,
    container: RunningContainer,
    handlers: TaskHandlers,
    host: ExecHost,
  ) {
    this.#task = task;
    this.#container = container;
    this.#handlers = handlers;
    this.#host = host;
    this.#masker = new Masker(task.secrets);
    this.#mark = { container: container.exec, user: container.user, token: host.name };
    this.#begin = host.clock.monotonic();
    this.#startedAt = host.clock.now();
  }

  /** It ends with the daemon: nobody could hear how it ended. */
  get outlives(): boolean {
    return false;
  }

  /** Runs it to its end. Never rejects. */
  async run(): Promise<void> {
    let result: TaskResult;
    let lost: string | undefined;
    try {
      result = await Promise.race([
        this.#ran(),
        this.#wasCut.then(() => endedResult(this.#ending!)),
      ]);
    } catch (error) {
      if (error instanceof EngineLost && this.#ending === undefined) lost = error.message;
      result = this.#failed(errorOf(error));
    }
    result = toldResult(result, this.#ending);
    if (this.#isOver) return;
    this.#isOver = true;
    this.#clear();
    const isLeft = this.#hasBegun && !(await this.#isGone(lost === undefined));
    this.#host.ended(this.#files, isLeft ? "doubtful" : "gone");
    if (lost !== undefined) this.#handlers.died(lostWithEngine(this.#host.id, lost));
    else this.#handlers.done(result, this.#host.clock.monotonic() - this.#begin, this.#startedAt);
  }

  /** Tells it to end: the signal; by force, the end after the grace period. */
  stop(mode: "graceful" | "force", because: string): void {
    this.#end("stopped", because, mode === "force");
  }

  /** The daemon ends: so does what was started. Nothing more is heard. */
  async leave(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#clear();
    this.#drop();
    if (!this.#hasBegun || (await this.#isGone())) this.#host.ended(this.#files, "gone");
  }

  async #ran(): Promise<TaskResult> {
    const task = withValues(this.#task);
    const engine = await this.#host.ready();
    if (this.#isOver || this.#ending !== undefined) return endedResult(this.#ending!);
    this.#engine = engine;
    const variables = givenVariables(this.#environment(task));
    const script = scriptOf(task);
    const hasSecrets = (task.secrets ?? []).length > 0;
    const { folder } = this.#host;
    const [files, words] = await writtenFolder(this.#room, folder, [hasSecrets, engine], (made) => {
      noteMark(made, this.#mark);
      const { file } = variables;
      const envFile = file === "" ? undefined : made.writePrivate("environment", file);
      return execWords(this.#container, this.#mark.token, script, { variables, envFile });
    });
    this.#files = files;
    const capture = new LineCapture(this.#masker, (stream, lines) => this.#heard(stream, lines));
    const client = await engine.talk(words, {
      env: variables.env,
      isWanted: () => this.#isWanted,
      waits: (because) => this.#heard("orchd", [`${because}: ${engine.name} waits`]),
    });
    client.stdin.on("error", () => {});
    this.#client = client;
    const first = new FirstLine((line) => this.#ready(line, client));
    let refusal = "";
    const status = await readToEnd(client, (stream, chunk) => {
      if (this.#hasBegun || (stream === "stdout" && first.take(chunk)))
        capture.write(stream, stream === "stdout" ? first.rest(chunk) : chunk);
      else if (stream === "stderr") refusal = (refusal + chunk.toString()).slice(-4_096);
    });
    capture.end();
    if (!this.#hasBegun) throw this.#unnoted ?? (await this.#refusal(engine, refusal, status));
    if (this.#ending !== undefined && status !== 0) return endedResult(this.#ending);
    if (status === 0) return { ok: true, value: null };
    return this.#failed(await this.#errorOf(engine, status));
  }

  get #hasBegun(): boolean {
    return this.#mark.boot !== undefined;
  }

  get #isWanted(): boolean {
    return !this.#isOver && this.#ending === undefined;
  }

  /** It waits for room on the disk before it begins. */
  get #room(): RoomWaiter {
    return {
      clock: this.#host.clock,
      isWanted: () => this.#isWanted,
      waits: (because) => this.#heard("orchd", [`${because}: the step waits`]),
    };
  }

  /** The small program is there. Its note is written before it goes on. */
  #ready(line: string, client: EngineTalk): void {
    const boot = readyIn(line);
    if (boot === undefined || !this.#isWanted) return this.#drop();
    const mark = { ...this.#mark, boot };
    const note = (): void => noteMark(this.#files!, mark);
    try {
      note();
    } catch (error) {
      if (!isExhausted(error)) return this.#notBegun(error);
      void whenRoom(this.#room, note).then(
        () => this.#goOn(mark, client),
        (last: unknown) => this.#notBegun(last),
      );
      return;
    }
    this.#goOn(mark, client);
  }

  /** The next daemon would not know of it, so it does not begin. */
  #notBegun(error: unknown): void {
    const { exec } = this.#container;
    const why = (error as Error).message;
    this.#unnoted = new EngineError(`that it begins in "${exec}" cannot be noted: ${why}`);
    this.#drop();
  }

  /** Its note is written. */
  #goOn(mark: ExecMark, client: EngineTalk): void {
    if (!this.#isWanted) return this.#drop();
    const { clock } = this.#host;
    const { exec } = this.#container;
    this.#mark = mark;
    this.#begin = clock.monotonic();
    this.#startedAt = clock.now();
    this.#handlers.placed?.({ place: this.#engine!.name, host: hostname(), ref: exec });
    this.#limit();
    client.stdin.end(GO);
  }

  /** What is started has not begun, and never does. */
  #drop(): void {
    this.#client?.stdin.destroy();
    this.#client?.kill("SIGKILL");
  }

  #environment(task: ShellTask): Record<string, string> {
    const env = shellEnvironment(
      this.#host.id,
      task,
      {},
      {
        write(name, text) {
          // They name files, and there are none.
          if (name === "params" || name === "inputs") return "";
          const what = text.length > 1_000 ? "long" : "no text, number or boolean";
          throw new NotGivable(
            `its param or input ${name} is ${what}, so it is given as a file, and a container ` +
              "that runs already gets no files",
          );
        },
      },
    );
    delete env["ORCHD_PARAMS"];
    delete env["ORCHD_INPUTS"];
    return env;
  }

  #heard(stream: OutputLine["stream"], lines: readonly string[]): void {
    if (stream === "stderr") this.#lastError = lines.at(-1) ?? this.#lastError;
    if (this.#isOver || lines.length === 0) return;
    const at = iso(this.#host.clock.now());
    this.#handlers.output(outputLines(this.#task, at, stream, lines));
  }

  // --- Its end ---

  #limit(): void {
    const { timeoutMs, step } = this.#task;
    if (timeoutMs === undefined) return;
    const limit = formatDuration(timeoutMs);
    const because = `step "${step}" was not done within its time limit of ${limit}`;
    this.#timers.push(this.#host.clock.after(timeoutMs, () => this.#end("timeout", because, true)));
  }

  #end(outcome: Ending["outcome"], because: string, forced: boolean): void {
    const before = this.#ending;
    if (this.#isOver || (before !== undefined && (before.forced || !forced))) return;
    this.#ending = { outcome, because, ...before, forced };
    if (!this.#hasBegun) {
      this.#drop();
      return this.#cut();
    }
    if (before === undefined) void signalMark(this.#engine!, this.#mark, "TERM", false);
    if (!forced) return;
    const { clock } = this.#host;
    const { gracePeriodMs } = this.#task;
    this.#timers.push(
      clock.after(gracePeriodMs, () => void signalMark(this.#engine!, this.#mark, "KILL", false)),
      clock.after(gracePeriodMs + END_SLACK_MS, () => this.#cut()),
    );
  }

  /**
   * Whether nothing of it is left. After an end that was heard nothing is: the small program has
   * seen to that. All else is looked for, and ended.
   */
  async #isGone(wasHeard = true): Promise<boolean> {
    const { exitCode } = this.#client ?? {};
    if (wasHeard && typeof exitCode === "number" && exitCode < 125) return true;
    const because = await endLeft(this.#engine!, this.#mark);
    this.#client?.kill("SIGKILL");
    return because === undefined;
  }

  /** @throws EngineLost if the engine died under the command */
  async #errorOf(engine: Engine, status: number | null): Promise<StepError> {
    const { exec } = this.#container;
    const { clock } = this.#host;
    const { state, wasAway } = await stateOnceBack(engine, exec, clock, () => !this.#isOver);
    if (wasAway || (status !== null && status !== 0 && isCut(this.#lastError)))
      throw new EngineLost(`${engine.name} went away while the step ran in "${exec}"`);
    const fault = faultIn(state, exec);
    if (fault !== undefined && status !== null)
      return errorOf(new EngineError(`${fault}: it ended while the step ran in it`));
    if (status === null)
      return errorOf(
        new EngineError(
          `the ${engine.name} exec that ran it in the container "${exec}" was ended from ` +
            "outside, so what it had started there was ended too",
        ),
      );
    return endError(status, { outOfMemory: false }, this.#task, this.#lastError);
  }

  async #refusal(engine: Engine, said: string, status: number | null): Promise<EngineError> {
    const { exec } = this.#container;
    const [state] = await engine.inspect([exec]);
    const fault = faultIn(state, exec);
    if (fault !== undefined) return new EngineError(`${fault}: ${remedyFor(state, engine, exec)}`);
    const why = sentenceOf({ status, stdout: "", stderr: said });
    return new EngineError(`nothing could be started in the container "${exec}": ${why}`);
  }

  #failed(error: StepError): TaskResult {
    return { ok: false, outcome: "failed", error: clipError(this.#masker.error(error)) };
  }

  #clear(): void {
    for (const timer of this.#timers.splice(0)) timer.cancel();
  }
}

/** What a person can do about a container in which nothing runs. */
function remedyFor(state: ContainerState | undefined, { name }: Engine, exec: string): string {
  if (state === undefined) return "start it, or name another one (container.exec)";
  return `\`${name} ${state.paused ? "unpause" : "start"} ${exec}\` has it go on`;
}

/** Why nothing runs in a container. Undefined: it runs. */
function faultIn(state: ContainerState | undefined, name: string): string | undefined {
  if (state === undefined) return `there is no container "${name}"`;
  if (state.paused) return `the container "${name}" is frozen (paused)`;
  return state.running ? undefined : `the container "${name}" does not run`;
}

function scriptOf({ shell, text }: ShellTask): Script {
  if (text.length > TEXT_LIMIT || byteLength(text) > TEXT_LIMIT)
    throw new NotGivable(
      `its text is longer than ${TEXT_LIMIT / 1024} KiB, so it is given as a file, and a ` +
        "container that runs already gets no files",
    );
  const [program = "/bin/sh", ...options] = shell;
  return [program, ...options, "-c", text];
}

/** Takes the first line off what a command prints. */
class FirstLine {
  readonly #found: (line: string) => void;
  #text = "";
  #rest: Buffer | undefined;

  constructor(found: (line: string) => void) {
    this.#found = found;
  }

  /** @returns whether the line is whole now */
  take(chunk: Buffer): boolean {
    const end = chunk.indexOf(10);
    this.#text += chunk.toString("latin1", 0, end === -1 ? undefined : end);
    if (end === -1 && this.#text.length < FIRST_LINE) return false;
    this.#rest = chunk.subarray(end === -1 ? chunk.length : end + 1);
    this.#found(this.#text);
    return true;
  }

  /** What follows the line in its own chunk; any later chunk as it is. */
  rest(chunk: Buffer): Buffer {
    const rest = this.#rest ?? chunk;
    this.#rest = undefined;
    return rest;
  }
}
