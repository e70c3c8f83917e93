/**
 * A **stream runner**: a runner behind the stdin and stdout of any command, which runs
 * `dist/daemon/runner.js --stdio` with Node somewhere, as ssh and `podman run -i` do. What is said
 * over the two is in wire.ts; what a place says of itself is in stream-place.ts. It is launched
 * like this:
 *
 *     const launch: LaunchRunner = streamRunner({
 *       clock,
 *       where: "on gpu1",
 *       folder: ".orchd",
 *       command: () => ({ words: ["ssh", "gpu1", "node", RUNNER, "--stdio"] }),
 *       end: (token) => endThere(token), // makes sure by another way that nothing of it is left
 *       heard: (hello) => report(hello), // its release and its Node
 *     });
 *     const settings = { threads, memoryMb, bundles, token, scratch: "" };
 *     new RunnerPool({ clock, launch, settings });
 *
 * States: waiting (for descriptors) -> greeting (the command runs) -> ready (it takes tasks) ->
 * gone (the command has ended, and what it ran may not have) -> dead. `exit` is called once, as the
 * runner dies: when the far side said that all is over, when `end` says so, when it never took a
 * task, or when its lease is over for sure. So a task that starts again never meets a survivor.
 *
 * No secret is in the command's words: the settings are the first line of its stdin, and tasks
 * follow there. What is said before the hello (the banner of a shell) and on stderr is stray
 * output.
 *
 * Nothing grows: a line has a limit, reading rests after each MiB, files are sent as fast as they
 * are taken, and there are never more tasks than the place has room for. A runner that breaks the
 * rules of the wire is ended.
 */
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { startApart } from "../../disk/apart-program.ts";
import type { Timer } from "../../clock.ts";
import { withoutControls } from "../../core/failure.ts";
import { Masker } from "../../core/mask.ts";
import { RETRY_MS } from "../../disk/until-room.ts";
import { mayHaveBegun } from "./far-claims.ts";
import { FarAnswers } from "./far-answers.ts";
import { FarTasks } from "./far-tasks.ts";
import { killQuietly } from "./kill-by-token.ts";
import { packSteps, unpackEnds, type PackedToRunner } from "./packed-batch.ts";
import { readWithRests } from "./paced-reading.ts";
import type { FromRunner, PoolMessage, RunnerSettings, ToRunner } from "./protocol.ts";
import type { LaunchRunner, RunnerExit, RunnerListener, RunnerProcess } from "./runner-process.ts";
import { SentFiles } from "./sent-files.ts";
import { SentFrames } from "./sent-frames.ts";
import { startsLater } from "../../disk/process-start.ts";
import { ifStartable } from "./startable.ts";
import { StrayLines } from "./stray-lines.ts";
import { RunnerWire } from "./runner-wire.ts";
import type { EndedRunner, StreamPlace, WireSocket } from "./stream-place.ts";
import * as wire from "./wire.ts";
import { beginning } from "../../core/whole-characters.ts";

/** How long a runner may take to end when it is told to, in milliseconds. */
const CLOSE_MS = 2_000;
/** How long the line that says how a runner ended may follow half a line, in milliseconds. */
const LAST_WORDS_MS = 250;
/** How much may be said before the hello, in bytes. */
const BANNER_BYTES = 256 * 1024;
/** How much is quoted of what the far side says, in characters. */
const SAID_CHARACTERS = 500;

/** Starts runners by commands. */
export function streamRunner(place: StreamPlace): LaunchRunner {
  return (...given) => new StreamRunner(place, ...given);
}

/** One runner behind a command. */
export class StreamRunner implements RunnerProcess {
  readonly alone: boolean;
  readonly token: string;
  readonly frames = new SentFrames((message) => this.send(message));
  readonly secrets = new Set<string>();
  readonly #place: StreamPlace;
  readonly #settings: RunnerSettings;
  readonly #number: number;
  readonly #listener: RunnerListener;
  readonly #exited: Promise<void>;
  #resolveExited: () => void = () => {};
  #state: "waiting" | "greeting" | "ready" | "gone" | "dead" = "waiting";
  #command: ChildProcessWithoutNullStreams | undefined;
  #outbox: PoolMessage[] = [];
  #batch: ToRunner[] = [];
  /** The batch is sent at the end of this flush. */
  #isFlushing = false;
  #closing = false;
  #isGreeted = false;
  #banner = 0;
  /** Undefined until it is ready. */
  #tasks: FarTasks | undefined;
  #answers: FarAnswers | undefined;
  readonly #sent: SentFiles;
  readonly #socket: WireSocket | undefined;
  readonly #wire: RunnerWire;
  readonly #said: StrayLines;
  /** Monotonic: when it asked for its lease last. */
  #heardAt: number;
  /** Monotonic: when it was asked for a sign of life last. */
  #askedAt = 0;
  #patience: Timer | undefined;
  #verdict: RunnerExit | undefined;
  /** What the far side said of its end. */
  #over: RunnerExit | undefined;
  /** The runner said that it had no lease any more. */
  #lost: string | undefined;

  constructor(
    place: StreamPlace,
    settings: RunnerSettings,
    number: number,
    alone: boolean,
    listener: RunnerListener,
  ) {
    this.alone = alone;
    this.token = `${settings.token}.${number}`;
    this.#place = place;
    this.#settings = settings;
    this.#number = number;
    this.#listener = listener;
    this.#exited = new Promise((resolve) => (this.#resolveExited = resolve));
    this.#sent = new SentFiles({
      write: (message) => this.#write(message),
      drained: () => this.#drained(),
    });
    this.#socket = place.socket?.(number);
    this.#wire = new RunnerWire(this.#socket, {
      line: (line) => this.#hear(line),
      tooLong: () =>
        this.#condemn(`sent a line of more than ${wire.LONGEST_LINE / 1024 / 1024} MiB`),
    });
    this.#said = new StrayLines(
      () => new Masker([...this.secrets]),
      (lines) => this.#listener.stray("stderr", lines),
    );
    this.#heardAt = place.clock.monotonic();
    this.#begin();
  }

  /** The command's process. */
  get pid(): number | undefined {
    return this.#state === "greeting" || this.#state === "ready" ? this.#command?.pid : undefined;
  }

  get open(): boolean {
    return !this.#closing && this.#state !== "gone" && this.#state !== "dead";
  }

  get exited(): Promise<void> {
    return this.#exited;
  }

  send(message: PoolMessage): void {
    if (this.#state === "gone" || this.#state === "dead") return;
    if (this.#outbox.push(message) === 1) setImmediate(() => this.#flush());
  }

  /** Whether a beat of it came since {@link ask}. */
  get lives(): boolean {
    return this.#state === "ready" && this.#heardAt > this.#askedAt;
  }

  /** Asks for a beat: an empty batch does that. */
  ask(): void {
    this.#askedAt = this.#place.clock.monotonic();
    this.#write([]);
  }

  /** What had begun over there is not asked after a daemon's death: its lease is over then. */
  settle(): void {}

  retire(): void {
    this.#closing = true;
  }

  async close(): Promise<void> {
    this.#closing = true;
    if (this.#state === "dead") return;
    if (this.#state === "waiting") return this.kill();
    this.#flush();
    // The runner reads the end of its input, ends all that it started, and says so.
    this.#wire.end();
    const timer = setTimeout(() => this.kill(), CLOSE_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  kill(): void {
    this.#closing = true;
    if (this.#state === "waiting")
      return this.#die({ detail: "was not started", outOfMemory: false });
    if (this.#state !== "greeting" && this.#state !== "ready") return;
    // What waits to be sent must not keep the end of the input from it.
    this.#wire.cut();
    setTimeout(() => this.#killCommand(), this.#isGreeted ? CLOSE_MS : 0).unref();
  }

  #killCommand(): void {
    const pid = this.pid;
    if (pid === undefined) return;
    if (!killQuietly(-pid, "SIGKILL")) killQuietly(pid, "SIGKILL");
  }

  #begin(): void {
    if (this.#state === "dead") return;
    const how = ifStartable(() => this.#place.command(this.token, this.#number));
    if (how === undefined) return this.#beginLater();
    const { words, env, cwd = "/" } = how;
    const [program, ...rest] = words;
    // In a group of its own: Ctrl-C reaches the daemon, which decides what happens to the steps.
    let command: ChildProcessWithoutNullStreams;
    try {
      const options = { detached: true, cwd, env: { ...(env ?? process.env) } };
      command = startApart(program, rest, options) as ChildProcessWithoutNullStreams;
    } catch (error) {
      return this.#unstarted(error as Error);
    }
    command.on("error", (error) => {
      if (command.pid === undefined) this.#unstarted(error);
    });
    if (command.pid === undefined) return;
    this.#command = command;
    this.#state = "greeting";
    this.#listener.started(command.pid);
    this.#talk(command);
  }

  #beginLater(): void {
    setTimeout(() => {
      try {
        this.#begin();
      } catch (error) {
        this.#unstarted(error as Error);
      }
    }, RETRY_MS).unref();
  }

  /** There is no process for the command. Nobody was given anything. */
  #unstarted(error: Error): void {
    if (this.#state === "dead") return;
    if (startsLater(error)) return this.#beginLater();
    const detail = `${this.#place.where} could not be started: ${error.message}`;
    this.#die({ detail, outOfMemory: false });
  }

  #talk(command: ChildProcessWithoutNullStreams): void {
    this.#wire.begin(command);
    readWithRests(command.stderr, (chunk) => this.#said.add(chunk));
    // A command that ends closes its output too, and its end says more.
    command.stdout.on("end", () =>
      setTimeout(() => this.#condemn("closed its output", this.#silentEnd()), LAST_WORDS_MS),
    );
    command.on("exit", (status, signal) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#ended(status, signal);
      };
      // Something may hold the other end of its output for ever.
      const timer = setTimeout(end, LAST_WORDS_MS);
      command.on("close", end);
    });
    const { threads, memoryMb } = this.#settings;
    const settings: wire.FarSettings = {
      protocol: wire.WIRE_PROTOCOL,
      threads: this.alone ? 1 : threads,
      memoryMb,
      token: this.token,
      folder: this.#place.folder,
      workdir: this.#place.workdir,
      // One of its own has one task, and that begins.
      claims: this.alone ? undefined : this.#place.claims?.(this.#number),
      socket: this.#socket?.there,
    };
    this.#wire.write(JSON.stringify(settings));
    this.#wait(wire.HELLO_MS);
  }

  /** Gives it up when nothing is heard of it for this long. */
  #wait(milliseconds: number): void {
    this.#patience?.cancel();
    this.#patience = this.#place.clock.after(milliseconds, () => this.#outOfPatience());
  }

  #outOfPatience(): void {
    const heardAt = this.#heardAt;
    // This process may have been frozen, and not the other one: what waits is read first.
    setTimeout(() => {
      if (this.#heardAt === heardAt && this.#state !== "gone" && this.#state !== "dead")
        this.#giveUp();
    }, LAST_WORDS_MS);
  }

  #giveUp(): void {
    const seconds = (this.#state === "ready" ? wire.PATIENCE_MS : wire.HELLO_MS) / 1_000;
    const sentence = `${this.#place.where} was not heard for ${seconds} s`;
    this.#verdict ??= { detail: sentence, outOfMemory: false, blameless: this.#silentEnd() };
    this.#killCommand();
    // Its lease is over.
    this.#die(this.#verdict);
  }

  #hear(line: string): void {
    if (this.#state === "dead") return;
    const value = wire.parseLine(line);
    if (!this.#isGreeted) {
      if (value !== undefined && wire.isFromFar(value) && value.type === "hello")
        this.#greet(value);
      else this.#takeBanner(line);
      return;
    }
    if (Array.isArray(value) && value.every(wire.isFromRunner)) this.#take(unpackEnds(value));
    else if (value !== undefined && !Array.isArray(value) && wire.isFromFar(value))
      this.#control(value);
    // It may have died in the middle of a line, and then says so in the next.
    else if (line !== "") this.#garbled(line);
  }

  #takeBanner(line: string): void {
    this.#banner += line.length + 1;
    this.#said.add(Buffer.from(`${line}\n`));
    if (this.#banner > BANNER_BYTES) this.#condemn("says much, and not that it is one of orchd");
  }

  #garbled(line: string): void {
    const shown = new Masker([...this.secrets]).beginning(line, 200);
    setTimeout(() => {
      if (this.#over === undefined) this.#condemn(`sent what is no message: ${shown}`);
    }, LAST_WORDS_MS);
  }

  #greet(hello: wire.Hello): void {
    this.#isGreeted = true;
    this.#place.heard?.(hello);
    if (hello.protocol !== wire.WIRE_PROTOCOL)
      this.#condemn(
        `speaks protocol ${hello.protocol} of orchd ${hello.version}, and this daemon speaks ` +
          `${wire.WIRE_PROTOCOL}: install the same release over there`,
      );
  }

  #control(message: wire.FromFar): void {
    switch (message.type) {
      case "ready":
        if (this.#state === "greeting" && this.#verdict === undefined)
          this.#getReady(message.folder);
        return;
      case "beat":
        if (this.#state !== "ready" || this.#verdict !== undefined) return;
        this.#heardAt = this.#place.clock.monotonic();
        this.#wait(wire.PATIENCE_MS);
        this.#write(message);
        return;
      case "has":
      case "lacks":
      case "cannot":
        this.#sent.hear(message);
        return;
      case "piece": {
        const fault = this.#answers?.piece(message);
        if (fault !== undefined) this.#condemn(fault);
        return;
      }
      case "over": {
        const said = beginning(withoutControls(message.detail), SAID_CHARACTERS);
        // That nothing is left of it, the process in front says.
        if (message.isLost === true) this.#lost = said;
        else this.#over = { detail: said, outOfMemory: message.outOfMemory };
        return;
      }
      case "hello":
    }
  }

  #getReady(folder: string): void {
    this.#state = "ready";
    this.#heardAt = this.#place.clock.monotonic();
    this.#wait(wire.PATIENCE_MS);
    this.#tasks = new FarTasks({
      bundles: this.#settings.bundles,
      folder,
      files: this.#sent,
      send: (message) => {
        if (this.#batch.push(message) === 1 && !this.#isFlushing)
          setImmediate(() => this.#sendBatch());
      },
      ended: (message) => this.#take([message]),
    });
    this.#answers = new FarAnswers(this.#tasks);
    this.#flush();
  }

  /** Hands the messages of a batch to the pool. */
  #take(batch: readonly FromRunner[]): void {
    if (this.#state !== "ready" || this.#verdict !== undefined) return;
    const heard = this.#answers!.take(batch, this.#place.clock.now());
    if (typeof heard === "string") this.#condemn(heard);
    else if (heard.length > 0) this.#listener.messages(heard);
  }

  #flush(): void {
    if (this.#tasks === undefined || this.#state !== "ready") return;
    const forgotten = this.frames.takeForgotten();
    const batch = this.#outbox;
    this.#outbox = [];
    if (forgotten.length > 0) batch.push({ type: "forget", frames: forgotten });
    this.#isFlushing = true;
    for (const message of batch) this.#tasks.take(message);
    this.#isFlushing = false;
    this.#sendBatch();
  }

  #sendBatch(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#write(packSteps(batch));
  }

  #write(message: wire.ToFar | readonly PackedToRunner[]): void {
    if (this.#state !== "ready" || this.#verdict !== undefined) return;
    this.#wire.write(JSON.stringify(message));
  }

  #drained(): Promise<void> {
    if (this.#state !== "ready") return Promise.reject(new Error("the wire is closed"));
    return this.#wire.drained();
  }

  /** Ends it for what it did. @param what after "the runner WHERE" */
  #condemn(what: string, blameless?: RunnerExit["blameless"]): void {
    if (this.#state === "gone" || this.#state === "dead" || this.#verdict !== undefined) return;
    this.#verdict = { detail: `${this.#place.where} ${what}`, outOfMemory: false, blameless };
    this.#wire.deafen();
    this.kill();
  }

  /** The command has ended. */
  #ended(status: number | null, signal: NodeJS.Signals | null): void {
    if (this.#state === "gone" || this.#state === "dead") return;
    const tookTasks = this.#state === "ready";
    this.#state = "gone";
    this.#wire.close();
    this.#said.end();
    this.#command?.stderr.destroy();
    this.#patience?.cancel();
    const exit = this.#verdict ?? this.#noLease() ?? this.#over ?? this.#exitOf(status, signal);
    if (!tookTasks || this.#over !== undefined || status === wire.OVER_STATUS) {
      this.#die(exit);
      return;
    }
    const left = this.#heardAt + wire.PATIENCE_MS - this.#place.clock.monotonic();
    this.#patience = this.#place.clock.after(left, () => this.#die(exit));
    this.#place.end?.(this.token, this.#number).then(
      (ended) => {
        if (ended !== undefined) this.#die(withClaims(exit, ended));
      },
      () => undefined,
    );
  }

  #noLease(): RunnerExit | undefined {
    if (this.#lost === undefined) return undefined;
    const detail = `${this.#place.where} ${this.#lost}`;
    return { detail, outOfMemory: false, blameless: "lost" };
  }

  #exitOf(status: number | null, signal: NodeJS.Signals | null): RunnerExit {
    const said = beginning(this.#said.recent.trim().split("\n").at(-1) ?? "", SAID_CHARACTERS);
    const how = signal === null ? `ended with status ${status}` : `was ended by ${signal}`;
    const told = this.#place.explain?.({ status, signal, said: this.#said.recent });
    const detail = told ?? (this.#isGreeted || said === "" ? how : `${how}: ${said}`);
    const blameless = status === wire.OVER_STATUS ? undefined : this.#silentEnd();
    return { detail: `${this.#place.where} ${detail}`, outOfMemory: false, blameless };
  }

  /** It said nothing of its end. Where there is a link, that was lost, or the machine behind it. */
  #silentEnd(): RunnerExit["blameless"] {
    return this.#place.isLocal === true ? undefined : "lost";
  }

  #die(known: RunnerExit): void {
    if (this.#state === "dead") return;
    // One that never was ready was given nothing, however it ended.
    const exit: RunnerExit = this.#tasks === undefined ? { ...known, blameless: "unbegun" } : known;
    this.#state = "dead";
    this.#patience?.cancel();
    this.#answers?.end();
    this.#wire.close();
    this.#listener.exit(exit);
    this.#resolveExited();
  }
}

function withClaims(exit: RunnerExit, { claims }: EndedRunner): RunnerExit {
  if (claims === undefined) return exit;
  return { ...exit, mayHaveBegun: (id) => mayHaveBegun(claims, id) };
}
