/**
 * One attempt of a shell step in a container.
 *
 * It goes through these phases, and a stop may come in each of them: the engine is found, what an
 * earlier daemon left is gone (`ready`), the image is pulled if need be, the engine's command runs
 * and its container with it, the container has ended, its result is read, it is removed.
 *
 * - The engine's command (`run`) is a child of the daemon, and its output is the step's. The
 *   container is not: if the command dies, or the daemon, the container goes on. Then it is
 *   followed (`logs`, `wait`): from its first line, and the lines that were heard before are passed
 *   over.
 * - The status of the command is the container's, except where the engine failed. So for each
 *   status but 0 the engine is asked how the container ended.
 * - The image is not looked for before: `run` fails at once where it is missing. So a container
 *   costs one process of the engine, and its removal a part of another.
 * - An end is told when the container is known to have ended: the next attempt may start at once.
 *
 * A stop has to know in which phase it comes, so it stays one file.
 */
import { hostname } from "node:os";
import type { Clock, Timer } from "../../clock.ts";
import type { ImageContainer } from "../../core/container.ts";
import { byteLength, TEXT_LIMIT } from "../../core/environment-limits.ts";
import { formatDuration } from "../../core/duration.ts";
import { clipError, type StepError } from "../../core/failure.ts";
import type { Json } from "../../core/snapshot.ts";
import { Masker } from "../../core/mask.ts";
import { iso } from "../../core/time.ts";
import {
  TOKEN_VARIABLE,
  type OutputLine,
  type ShellTask,
  type TaskResult,
} from "../../core/task.ts";
import { LineCapture } from "../../steps/line-capture.ts";
import { withValues } from "../../steps/task-values.ts";
import type { HeardLines, TaskHandlers } from "../place.ts";
import { shellEnvironment } from "../shell-environment.ts";
import { recordedOutput, writtenOutput } from "../shell-result.ts";
import { whenRoom, writtenFolder, type RoomWaiter } from "./attempt-room.ts";
import { givenVariables, runWords, type Script } from "./container-command.ts";
import type { ContainerFiles, ContainersFolder } from "./container-files.ts";
import { lateOutOfMemory } from "./late-out-of-memory.ts";
import {
  containerError,
  endedResult,
  endError,
  errorOf,
  initFault,
  toldResult,
  type Ending,
} from "./container-end.ts";
import { EngineError, type ContainerState } from "./engine.ts";
import { EngineLost, isCut, lostWithEngine, stateOnceBack } from "./engine-away.ts";
import type { Engine, EngineProcess } from "./engine.ts";
import { outputLines, readToEnd } from "./engine-output.ts";
import { imageIdOf, otherPlatform } from "./image.ts";
import { MonitorWatch } from "./monitor-watch.ts";
import { pull, type Pull } from "./image-pull.ts";
import { OutputHold } from "./output-hold.ts";
import { missingImage, startFault } from "./start-fault.ts";

/** How long after the grace period a container may take to end, in milliseconds. */
const END_SLACK_MS = 1_500;
/** How long to wait before a signal is sent again that met no container, in milliseconds. */
const AGAIN_MS = 100;
/** The status of a command that SIGKILL ended. */
const KILLED = 137;

/** How a container ends whose engine ends it as it dies, or as it is back. */
const ENDED_BY_ENGINE: ReadonlySet<number> = new Set([137, 143, 255, -1]);

/** What an attempt needs of its place. */
export interface AttemptHost {
  readonly clock: Clock;
  readonly folder: ContainersFolder;
  readonly relabels: boolean;
  /** The attempt's token, `RUN#SEQ`. */
  readonly id: string;
  /** The container's name. */
  readonly name: string;
  /** Marks the engine's command, which may outlive a killed daemon. */
  readonly clientToken: string;
  /** Its labels, except where its files are. */
  readonly labels: Readonly<Record<string, string>>;
  /** The engine, once nothing is left of an earlier daemon. @throws EngineError, a sentence */
  ready(): Promise<Engine>;
  /**
   * The attempt has ended.
   *
   * @param container `gone`: it has ended too; `kept`: it has, and stays; `doubtful`: the engine
   *   did not say
   */
  ended(files: ContainerFiles | undefined, container: "gone" | "kept" | "doubtful"): void;
}

/** Runs one shell step in a container. */
export class ContainerAttempt {
  readonly #task: ShellTask;
  readonly #container: ImageContainer;
  readonly #handlers: TaskHandlers;
  readonly #host: AttemptHost;
  readonly #masker: Masker;
  readonly #timers: Timer[] = [];
  /** Lines that were passed on. */
  readonly #heard = { stdout: 0, stderr: 0 };
  #engine: Engine | undefined;
  #files: ContainerFiles | undefined;
  #pull: Pull | undefined;
  #client: EngineProcess | undefined;
  /** The engine's command was started: there may be a container. */
  #mayRun = false;
  #lastError = "";
  #begin: number;
  #startedAt: number;
  #wasPlaced = false;
  /** The engine did not answer for a moment. */
  #wasAway = false;
  #isOver = false;
  /** Tells that it was told to end before there was a container. */
  #cut!: () => void;
  readonly #wasCut = new Promise<void>((resolve) => (this.#cut = resolve));
  /** It was told to end. */
  #ending: Ending | undefined;

  constructor(
    task: ShellTask,
    container: ImageContainer,
    handlers: TaskHandlers,
    host: AttemptHost,
  ) {
    this.#task = task;
    this.#container = container;
    this.#handlers = handlers;
    this.#host = host;
    this.#masker = new Masker(task.secrets);
    this.#begin = host.clock.monotonic();
    this.#startedAt = host.clock.now();
  }

  /** Whether it goes on when the daemon ends. */
  get outlives(): boolean {
    return this.#mayRun && this.#isWanted;
  }

  get #isWanted(): boolean {
    return !this.#isOver && this.#ending === undefined;
  }

  /** Runs it to its end. Never rejects. */
  async run(): Promise<void> {
    await this.#toEnd(async () => {
      const task = withValues(this.#task);
      const engine = await this.#host.ready();
      if (this.#isOver) return this.#endResult();
      this.#engine = engine;
      const words = await this.#written(engine, task);
      if (this.#container.pull === "always") await this.#pulled(engine);
      for (let isAgain = false; ; isAgain = true) {
        if (this.#ending !== undefined) return this.#endResult();
        const { status, said } = await this.#attached(engine, words);
        if (status === 0) return this.#output();
        // The engine could not be asked for anything: nothing has begun.
        if (said !== undefined && /cannot connect to the docker daemon/i.test(said))
          throw await this.#refusal(engine, said);
        const state = await this.#state(engine);
        // The command died, or the engine under it: the container knows more.
        const goesOn = state?.running === true || state?.exitCode !== status;
        if (state?.startedAt !== undefined)
          return goesOn ? await this.#follow(engine, state) : this.#failure(engine, state);
        if (this.#heard.stdout + this.#heard.stderr > 0 || isCut(said ?? ""))
          throw new EngineLost(`${engine.name} went away as the step began`);
        // What it had asked the runtime for may still begin, and its engine does not know of it.
        if (status === null)
          throw new EngineLost(`${engine.name} run was ended from outside as the step began`);
        const missing =
          !isAgain &&
          this.#ending === undefined &&
          this.#container.pull === "missing" &&
          (await imageIdOf(engine, this.#container)) === undefined;
        if (!missing) throw await this.#refusal(engine, said ?? this.#lastError);
        await this.#pulled(engine);
      }
    });
  }

  /**
   * Goes on with a container that an earlier daemon started, to its end. Never rejects.
   *
   * @param state as it is now
   */
  async adopt(engine: Engine, state: ContainerState, heard: HeardLines): Promise<void> {
    this.#engine = engine;
    this.#mayRun = true;
    this.#wasPlaced = true;
    Object.assign(this.#heard, heard);
    this.#files = this.#host.folder.of(state.labels["orchd.files"]);
    const { clock } = this.#host;
    const startedAt = Date.parse(state.startedAt ?? "");
    const ran = Number.isNaN(startedAt) ? 0 : Math.max(0, clock.now() - startedAt);
    this.#begin = clock.monotonic() - ran;
    this.#startedAt = clock.now() - ran;
    await this.#toEnd(() => {
      if (state.running) this.#limit(ran);
      return this.#follow(engine, state);
    });
  }

  /** Tells it to end: the signal; by force, the end after the grace period. */
  stop(mode: "graceful" | "force", because: string): void {
    this.#end("stopped", because, mode === "force");
  }

  /** The daemon ends: nothing more is heard, and the container goes on. */
  leave(): void {
    this.#isOver = true;
    this.#clear();
    this.#pull?.cancel();
    this.#client?.kill("SIGKILL");
  }

  async #toEnd(work: () => Promise<TaskResult>): Promise<void> {
    let result: TaskResult;
    let isDoubtful = false;
    let lost: string | undefined;
    try {
      result = await Promise.race([work(), this.#wasCut.then(() => this.#endResult())]);
    } catch (error) {
      isDoubtful = this.#mayRun;
      if (error instanceof EngineLost && this.#ending === undefined) lost = error.message;
      result = this.#failed(errorOf(error));
    }
    result = toldResult(result, this.#ending);
    if (this.#isOver) return;
    const host = this.#host;
    const hasFailed = !result.ok && result.outcome !== "stopped";
    const isKept = hasFailed && !isDoubtful && this.#container.keep === "on-failure";
    if (isKept) this.#tell(keptLine(host.name, this.#engine));
    this.#isOver = true;
    this.#clear();
    host.ended(this.#files, isDoubtful ? "doubtful" : isKept ? "kept" : "gone");
    if (lost !== undefined) this.#handlers.died(lostWithEngine(host.id, lost));
    else this.#handlers.done(result, host.clock.monotonic() - this.#begin, this.#startedAt);
  }

  /** It waits for room on the disk before it begins. */
  get #room(): RoomWaiter {
    return {
      clock: this.#host.clock,
      isWanted: () => this.#isWanted,
      waits: (because) => this.#tell(`${because}: the step waits`),
    };
  }

  /** Makes its files, once there is room for them. */
  async #written(engine: Engine, task: ShellTask): Promise<RunCommand> {
    const { folder } = this.#host;
    const what = [(task.secrets ?? []).length > 0, engine] as const;
    const write = (files: ContainerFiles): RunCommand => this.#words(engine, task, files);
    const [files, words] = await writtenFolder(this.#room, folder, what, write);
    this.#files = files;
    return words;
  }

  #words(engine: Engine, task: ShellTask, files: ContainerFiles): RunCommand {
    const variables = givenVariables({
      ...shellEnvironment(this.#host.id, task, {}, files),
      ORCHD_OUTPUT: files.output,
    });
    const [program = "/bin/sh", ...options] = [...task.shell, ...textWords(task.text, files)];
    const script: Script = [program, ...options];
    const { name, relabels, labels } = this.#host;
    const envFile =
      variables.file === "" ? undefined : files.writePrivate("environment", variables.file);
    const words = runWords(this.#container, task, script, {
      engine: engine.name,
      name,
      labels: { ...labels, "orchd.files": files.folder },
      files: files.mounted,
      variables,
      envFile,
      relabels,
    });
    return { words, env: variables.env };
  }

  async #pulled(engine: Engine): Promise<void> {
    this.#mayRun = false;
    await whenRoom(this.#room, () => {
      this.#pull = pull(engine, this.#container, {
        clock: this.#host.clock,
        files: this.#files!,
        auth: this.#task.registryAuth,
        tell: (lines) => this.#tell(...lines),
      });
      return this.#pull.done;
    });
    this.#pull = undefined;
  }

  /** Runs the engine's command to its end. `said`: what the engine itself said on stderr. */
  async #attached(
    engine: Engine,
    { words, env }: RunCommand,
  ): Promise<{ readonly status: number | null; readonly said: string | undefined }> {
    const { clock, name } = this.#host;
    this.#clear();
    if (!this.#wasPlaced)
      this.#handlers.placed?.({ place: engine.name, host: hostname(), ref: name });
    this.#wasPlaced = true;
    const capture = this.#capture(this.#heard);
    const hold = new OutputHold((stream, chunk) => capture.write(stream, chunk));
    const client = await engine.start(words, {
      env: { ...env, [TOKEN_VARIABLE]: this.#host.clientToken },
      // Podman's conmon writes a file where it is when memory runs out.
      cwd: this.#files?.folder,
      isWanted: () => this.#isWanted,
      waits: (because) => this.#tell(`${because}: ${engine.name} waits`),
    });
    this.#client = client;
    this.#mayRun = true;
    // It was told to end in the turn in which the command was started: that is no engine yet.
    if (this.#ending !== undefined) client.kill("SIGKILL");
    this.#begin = clock.monotonic();
    this.#startedAt = clock.now();
    this.#limit(0);
    const status = await readToEnd(client, (stream, chunk) => hold.take(stream, chunk));
    const isEngines = status === 125 || status === 126 || status === 127;
    const said = isEngines ? hold.drop() : undefined;
    hold.release();
    // A step may say what an engine says, and end with the same status.
    if (said !== undefined && !isCut(said) && (await this.#state(engine))?.startedAt !== undefined)
      capture.write("stderr", said);
    capture.end();
    return { status, said };
  }

  /** Follows a container that goes on without us, to its end. @throws EngineLost */
  async #follow(engine: Engine, state: ContainerState): Promise<TaskResult> {
    const watch = new MonitorWatch(engine, state, this.#host.clock);
    try {
      return await Promise.race([this.#followed(engine), watch.ended]);
    } catch (error) {
      // What reads the log would wait for more.
      this.#client?.kill("SIGKILL");
      throw error;
    } finally {
      watch.close();
    }
  }

  /** Reads what it prints, and waits for its end. */
  async #followed(engine: Engine): Promise<TaskResult> {
    const { name } = this.#host;
    const passed = { ...this.#heard };
    this.#heard.stdout = 0;
    this.#heard.stderr = 0;
    const capture = this.#capture(passed);
    const isWanted = (): boolean => !this.#isOver;
    this.#client = await engine.start(["logs", "--follow", name], { isWanted });
    await readToEnd(this.#client, (stream, chunk) => capture.write(stream, chunk));
    capture.end();
    for (;;) {
      if (this.#isOver) throw new EngineError("nobody waits for it any more");
      const state = await this.#state(engine);
      if (state === undefined)
        throw new EngineError(`its container ${name} was removed by somebody while it ran`);
      if (!state.running)
        return state.exitCode === 0 ? this.#output() : this.#failure(engine, state);
      // What reads the log has ended too early: the end is waited for all the same.
      const { status } = await engine.ask(["wait", name], 24 * 3_600_000);
      if (status !== 0) await this.#pause();
    }
  }

  /** @param passed how many lines are not passed on: somebody has them */
  #capture(passed: HeardLines): LineCapture {
    const left = { ...passed };
    const isFirst = passed === this.#heard;
    return new LineCapture(this.#masker, (stream, lines) => {
      if (stream === "orchd") return this.#tell(...lines);
      if (stream === "log") return;
      this.#heard[stream] += lines.length;
      const skip = isFirst ? 0 : Math.min(left[stream], lines.length);
      left[stream] -= skip;
      if (stream === "stderr") this.#lastError = lines.at(-1) ?? this.#lastError;
      this.#give(stream, lines.slice(skip));
    });
  }

  #tell(...lines: readonly string[]): void {
    this.#give(
      "orchd",
      lines.map((line) => this.#masker.text(line)),
    );
  }

  #give(stream: OutputLine["stream"], lines: readonly string[]): void {
    if (this.#isOver || lines.length === 0) return;
    this.#handlers.output(outputLines(this.#task, iso(this.#host.clock.now()), stream, lines));
  }

  /** @throws EngineLost if the engine was away, and its end is that of the step */
  async #state(engine: Engine): Promise<ContainerState | undefined> {
    const { name, clock } = this.#host;
    const { state, wasAway } = await stateOnceBack(engine, name, clock, () => !this.#isOver);
    if (wasAway && !this.#wasAway)
      this.#tell(
        `[orchd: ${engine.name} did not answer: what was printed meanwhile may be missing]`,
      );
    this.#wasAway ||= wasAway;
    if (!this.#wasAway || state?.running === true || state?.startedAt === undefined) return state;
    if (!ENDED_BY_ENGINE.has(state.exitCode)) return state;
    throw new EngineLost(`${engine.name} went away while the step ran, and ended its container`);
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#host.clock.after(AGAIN_MS, resolve));
  }

  // --- Its end ---

  #limit(ran: number): void {
    const { timeoutMs, step } = this.#task;
    if (timeoutMs === undefined || this.#ending !== undefined) return;
    const limit = formatDuration(timeoutMs);
    const because = `step "${step}" was not done within its time limit of ${limit}`;
    this.#timers.push(
      this.#host.clock.after(Math.max(0, timeoutMs - ran), () =>
        this.#end("timeout", because, true),
      ),
    );
  }

  #end(outcome: "stopped" | "timeout", because: string, forced: boolean): void {
    const before = this.#ending;
    if (this.#isOver || (before !== undefined && (before.forced || !forced))) return;
    this.#ending = { outcome, because, ...before, forced };
    this.#pull?.cancel();
    if (!this.#mayRun) return this.#cut();
    if (before === undefined) void this.#signal("SIGTERM");
    if (!forced) return;
    const { clock } = this.#host;
    const { gracePeriodMs } = this.#task;
    this.#timers.push(
      clock.after(gracePeriodMs, () => void this.#signal("SIGKILL")),
      clock.after(gracePeriodMs + END_SLACK_MS, () => void this.#remove()),
    );
  }

  /** Sends a signal, again and again until there is a container that gets it. */
  async #signal(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    while (!this.#isOver && this.#mayRun) {
      const { name } = this.#host;
      const answer = await this.#engine!.ask(["kill", `--signal=${signal}`, name]);
      if (answer.status === 0) return;
      await this.#pause();
    }
  }

  /** It did not end when it was killed: the engine removes it, and ends all that is in it. */
  async #remove(): Promise<void> {
    if (this.#isOver || !this.#mayRun) return;
    await this.#engine!.remove([this.#host.name]);
    this.#client?.kill("SIGKILL");
  }

  #output(): TaskResult {
    // It was too late: nothing that it wrote is read, and nothing is put into files.
    if (this.#ending?.outcome === "timeout") return this.#endResult();
    const { step = "", outputs } = this.#task;
    const written = writtenOutput(
      (name) => this.#files?.readOutput(name),
      { step, outputs },
      this.#masker,
    );
    if (!written.ok) return this.#failed(written.error);
    const recorded = recordedOutput(written.json, this.#task, this.#masker, (line) =>
      this.#tell(line),
    );
    return "json" in recorded ? { ok: true, value: JSON.parse(recorded.json) as Json } : recorded;
  }

  async #failure(engine: Engine, { exitCode, ...state }: ContainerState): Promise<TaskResult> {
    if (this.#ending !== undefined) return this.#endResult();
    const unstarted = initFault(this.#lastError, this.#container, this.#task.shell);
    if (unstarted !== undefined) return this.#failed(containerError(unstarted));
    const { name, clock } = this.#host;
    const outOfMemory =
      state.outOfMemory ||
      this.#files?.wasOutOfMemory === true ||
      (exitCode === KILLED && (await lateOutOfMemory(engine, name, clock)));
    if (this.#ending !== undefined) return this.#endResult();
    return this.#failed(endError(exitCode, { outOfMemory }, this.#task, this.#lastError));
  }

  #failed(error: StepError): TaskResult {
    return { ok: false, outcome: "failed", error: clipError(this.#masker.error(error)) };
  }

  #endResult(): TaskResult {
    return endedResult(this.#ending!);
  }

  async #refusal(engine: Engine, said: string): Promise<EngineError> {
    const { image, pull: policy } = this.#container;
    const other = await otherPlatform(engine, this.#container);
    if (other !== undefined) return new EngineError(other);
    if (policy === "never" && (await imageIdOf(engine, this.#container)) === undefined)
      return new EngineError(missingImage(image, engine.name));
    return new EngineError(startFault({ status: null, said }, this.#container, engine.name));
  }

  #clear(): void {
    for (const timer of this.#timers.splice(0)) timer.cancel();
  }
}

interface RunCommand {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

function textWords(text: string, files: ContainerFiles): string[] {
  return text.length <= TEXT_LIMIT && byteLength(text) <= TEXT_LIMIT
    ? ["-c", text]
    : [files.write("run", text, ".sh")];
}

function keptLine(name: string, engine: Engine | undefined): string {
  return (
    `[orchd: the container ${name} is kept: look with ${engine?.name} logs, ` +
    `remove it with ${engine?.name} rm]`
  );
}
