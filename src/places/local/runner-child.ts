/**
 * One runner process as the daemon sees it: started, sent messages in batches, and dead only when
 * nothing more can come from it.
 *
 * It is watched from outside, because a step can do anything to the process that it runs in. The
 * runner is ended when it holds more memory than it may, when its channel breaks (a step closed
 * it), and when it has not answered for half a minute (a step stopped it).
 *
 * States: waiting (startable.ts) -> started -> alive, with its first word -> closing (told to end)
 * -> dead. `exit` is called once: when the process is gone, its last messages are read, and no
 * process that carries its token is left. So a task that starts again never meets a survivor.
 *
 * What arrives on the process's own stdout and stderr passed by the capture in the threads: a child
 * of a step inherited descriptor 1, or native code wrote to it. It is handed on, line by line, as
 * stray output.
 */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { totalmem } from "node:os";
import { builtProgram } from "../../disk/built-program.ts";
import { inheritedDescriptors } from "../../disk/inherited-descriptors.ts";
import { startsLater } from "../../disk/process-start.ts";
import { RETRY_MS } from "../../disk/until-room.ts";
import { endByToken, killByToken, killQuietly } from "../pool/kill-by-token.ts";
import { TOKEN_VARIABLE } from "../../core/task.ts";
import { Masker } from "../../core/mask.ts";
import {
  LEASE_SIGNAL,
  LIFELINE,
  startOf,
  type PoolMessage,
  type RunnerSettings,
  type ToRunner,
} from "../pool/protocol.ts";
import { readInTurns } from "../pool/paced-reading.ts";
import { pageBytes, processStat } from "../pool/process-stat.ts";
import { SentFrames } from "../pool/sent-frames.ts";
import { ifStartable } from "../pool/startable.ts";
import type {
  RunnerExit,
  RunnerListener,
  RunnerProcess,
  LaunchRunner,
} from "../pool/runner-process.ts";
import { StrayLines } from "../pool/stray-lines.ts";
import { CHANNEL, CHANNEL_VARIABLES, RunnerChannel } from "./runner-channel.ts";

/** How long the last messages of a dead runner may take to be read, in milliseconds. */
const LAST_WORDS_MS = 250;
/** How long a runner may take to end when it is told to, in milliseconds. */
const CLOSE_MS = 2_000;
/** How often its memory is looked at, in milliseconds. */
const LOOK_MS = 250;
/** How often it is asked for a sign of life, in milliseconds. */
const ASK_MS = 5_000;
/** How many questions may go unanswered. */
const UNANSWERED = 6;
/** The same where there is a lease, which these questions share. */
const LEASE_ASKS = 4;
/** How many processes are started for a runner, at most, until one says something. */
const MOST_BEGINS = 30;
/** How much of what is no message is told, in characters. */
const TOLD_CHARACTERS = 200;
/** The bytes of a page, as /proc counts. */
const PAGE = pageBytes();
/** This process's own stdin and stdout, which a runner on a wire speaks by. */
const WIRE = [0, 1];
/** Variables by which the service manager speaks to the daemon alone. */
const DAEMON_ONLY = [
  "NOTIFY_SOCKET",
  "WATCHDOG_USEC",
  "WATCHDOG_PID",
  "LISTEN_FDS",
  "LISTEN_PID",
  "LISTEN_FDNAMES",
];

/** How a runner ended that did not hear this process for so long. No task is to blame. */
const LEASE_OVER: RunnerExit = {
  detail: "ended itself: it heard nothing from its worker",
  outOfMemory: false,
  blameless: "lost",
};

/** One runner process. */
export class RunnerChild implements RunnerProcess {
  readonly alone: boolean;
  /** The runner's token: {@link RunnerSettings.token}, a dot and the runner's number. */
  readonly token: string;
  /** The frames that it was told. */
  readonly frames = new SentFrames((message) => this.send(message));
  /** The values of the secrets that its tasks were given. */
  readonly secrets = new Set<string>();
  #process: ChildProcess | undefined;
  /** Of the process. Undefined where there is none, or it was not started. */
  #channel: RunnerChannel | undefined;
  readonly #settings: RunnerSettings;
  readonly #listener: RunnerListener;
  #outbox: ToRunner[] = [];
  #settled: string[] = [];
  #closing = false;
  #dead = false;
  readonly #exited: Promise<void>;
  #resolveExited: () => void = () => {};
  readonly #lastErrors: StrayLines;
  readonly #limitMb: number;
  /** How often it is asked for a sign of life, and how many questions may go unanswered. */
  readonly #asks: { readonly everyMs: number; readonly most: number };
  readonly #watches: readonly NodeJS.Timeout[];
  #unanswered = 0;
  /** It has said something since it was asked. */
  #hasAnswered = false;
  /** It has said something. */
  #isUp = false;
  /** How many processes were started for it. */
  #begins = 0;
  /** Called when its channel closes. */
  #whenClosed: (() => void) | undefined;
  /** Why it was ended from outside. */
  #verdict: RunnerExit | undefined;

  /** Starts the process. It takes messages at once, and works on them when it is up. */
  constructor(settings: RunnerSettings, number: number, alone: boolean, listener: RunnerListener) {
    this.alone = alone;
    this.token = `${settings.token}.${number}`;
    this.#listener = listener;
    this.#exited = new Promise((resolve) => (this.#resolveExited = resolve));
    this.#settings = { ...settings, token: this.token, threads: alone ? 1 : settings.threads };
    this.#lastErrors = this.#strayLines("stderr");
    this.#limitMb = settings.memoryMb ?? Math.floor((0.75 * totalmem()) / 1024 / 1024);
    const { leaseMs } = settings;
    this.#asks =
      leaseMs === undefined
        ? { everyMs: ASK_MS, most: UNANSWERED }
        : { everyMs: leaseMs / LEASE_ASKS, most: LEASE_ASKS };
    this.#begin();
    this.#watches = [
      setInterval(() => this.#weigh(), LOOK_MS),
      setInterval(() => this.#ask(), this.#asks.everyMs),
    ];
    for (const watch of this.#watches) watch.unref();
  }

  #begin(): void {
    if (this.#dead) return;
    const program = ifStartable(() => builtProgram("runner"));
    if (program === undefined) return this.#beginLater();
    let child: ChildProcess;
    try {
      child = this.#fork(program);
    } catch (error) {
      if (!startsLater(error)) throw error;
      return this.#beginLater();
    }
    this.#process = child;
    child.on("error", (error) => {
      if (child.pid === undefined && startsLater(error)) this.#unstarted(child);
      else this.#afterExit(null, null);
    });
    if (child.pid === undefined) return;
    this.#begins += 1;
    this.#listener.started(child.pid);
    this.#hear(child);
  }

  #beginLater(): void {
    setTimeout(() => {
      try {
        this.#begin();
      } catch (error) {
        const detail = `could not be started: ${(error as Error).message}`;
        this.#verdict = { detail, outOfMemory: false, blameless: "unbegun" };
        this.#afterExit(null, null);
      }
    }, RETRY_MS).unref();
  }

  #fork(program: string): ChildProcess {
    const stdio = ["ignore", "pipe", "pipe", "pipe", "pipe", ...(this.#settings.wire ? WIRE : [])];
    const settings = { ...this.#settings, inherited: inheritedDescriptors(stdio.length) };
    return spawn(process.execPath, [program, JSON.stringify(settings)], {
      detached: true,
      stdio: stdio as StdioOptions,
      env: environmentFor(this.token, this.#settings.threads),
    });
  }

  #hear(child: ChildProcess): void {
    const output = this.#strayLines("stdout");
    if (child.stdout !== null) readInTurns(child.stdout, (chunk) => output.add(chunk));
    child.stderr?.on("data", (chunk: Buffer) => this.#lastErrors.add(chunk)).on("error", () => {});
    this.#channel = new RunnerChannel(child.stdio[CHANNEL] as Socket, {
      batch: (messages) => {
        this.#unanswered = 0;
        this.#hasAnswered = true;
        if (!this.#isUp) {
          this.#isUp = true;
          this.#flush();
        }
        if (messages.length > 0) this.#listener.messages(messages);
      },
      garbled: (line) => this.#garbled(line),
      closed: () => {
        if (this.#process !== child) return;
        this.#whenClosed?.();
        // A process that ends closes its channel too, and its exit says more.
        setTimeout(() => {
          if (this.#process !== child) return;
          this.#condemn({ detail: "lost its channel to the daemon", outOfMemory: false });
        }, LAST_WORDS_MS);
      },
    });
    // Never read or written. When it closes, the runner's guard knows that the daemon is gone, even
    // if the runner hears nothing any more.
    (child.stdio?.[LIFELINE] as Socket | null | undefined)?.on("error", () => {}).unref();
    child.on("exit", (code, signal) => {
      output.end();
      this.#ended(child, code, signal);
    });
  }

  /** A step wrote to the channel: nothing that comes by it now can be believed. */
  #garbled(line: string): void {
    const shown = new Masker([...this.secrets]).beginning(line, TOLD_CHARACTERS);
    const why = `a step wrote to descriptor ${CHANNEL}, which is orchd's`;
    const detail = `sent what is no message (${why}): ${shown}`;
    this.#condemn({ detail, outOfMemory: false });
  }

  /** There is no process for it now. It is waited for as long as it is wanted. */
  #unstarted(child: ChildProcess): void {
    if (this.#process !== child) return;
    this.#process = undefined;
    this.#channel = undefined;
    if (this.#closing) this.#afterExit(null, null);
    else this.#beginLater();
  }

  /**
   * One that ends before its first word has begun nothing: it was given nothing. Where the machine
   * starts no more processes or threads, Node itself ends so. It is no step's fault, and the next
   * try may do better.
   */
  #ended(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#process !== child) return;
    const mayTry = !this.#isUp && !this.#closing && this.#mayBeginAgain;
    if (!mayTry || this.#lacksMemory()) return this.#afterExit(code, signal);
    this.#process = undefined;
    this.#channel = undefined;
    this.#unanswered = 0;
    this.#beginLater();
  }

  /**
   * Whether one that was not heard of may be started again. A runner on a wire is given its tasks
   * by that, and its first word may still be on its way here as it ends.
   */
  get #mayBeginAgain(): boolean {
    return this.#settings.wire === undefined && this.#begins < MOST_BEGINS;
  }

  /** The process's id. Undefined before it is started, and once it is dead. */
  get pid(): number | undefined {
    return this.#dead ? undefined : this.#process?.pid;
  }

  /** Whether it has said its first word: it is given tasks from then on. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Whether it takes new tasks. */
  get open(): boolean {
    return !this.#closing && !this.#dead;
  }

  /**
   * Whether it has said something since {@link ask}, or its main thread works or waits for a
   * processor or a disk. That thread runs no user's code, so it never does so for ever.
   */
  get lives(): boolean {
    const pid = this.pid;
    if (this.#hasAnswered || pid === undefined) return this.#hasAnswered;
    const [state] = processStat(`${pid}/task/${pid}`) ?? [];
    return state === "R" || state === "D";
  }

  /** Resolves when the process is gone and its last messages are read. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  /** Sends a message, together with all others of this turn of the event loop. */
  send(message: PoolMessage): void {
    if (this.#dead || (message.type === "stop" && this.#takesBack(message))) return;
    const sent =
      message.type === "start" ? startOf(message.id, message.task, message.isMoved) : message;
    if (this.#outbox.push(sent) === 1) setImmediate(() => this.#flush());
  }

  /** Ends a task that it was not given yet, as the runner would. @returns false if there is none */
  #takesBack({ id, because }: Extract<ToRunner, { type: "stop" }>): boolean {
    if (this.#isUp) return false;
    const at = this.#outbox.findIndex(
      (one) => (one.type === "start" || one.type === "step") && one.id === id,
    );
    if (at === -1) return false;
    this.#outbox.splice(at, 1);
    const error = { name: "Stopped", message: because };
    const result = { ok: false, outcome: "stopped", error } as const;
    const done = { type: "done", id, result, durationMs: 0, startedAt: Date.now() } as const;
    setImmediate(() => {
      if (!this.#dead) this.#listener.messages([done]);
    });
    return true;
  }

  /** Tells it, with its next message, that the ends of these steps are durable. */
  settle(ids: readonly string[]): void {
    if (this.#dead) return;
    for (const id of ids) this.#settled.push(id);
  }

  /** Asks for a sign of life. */
  ask(): void {
    this.#hasAnswered = false;
    this.#channel?.send([]);
  }

  /** From now on it takes no new tasks. */
  retire(): void {
    this.#closing = true;
  }

  /** Has it end its processes and itself, by force after two seconds. Resolves when it is gone. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#dead) return this.#exited;
    if (this.#process === undefined) {
      this.kill();
      return this.#exited;
    }
    this.#flush();
    this.#channel?.end();
    const timer = setTimeout(() => this.kill(), CLOSE_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Ends the process at once, with its group and all that its steps started. */
  kill(): void {
    this.#closing = true;
    if (this.#dead) return;
    if (this.#process === undefined) return this.#afterExit(null, null);
    const { pid } = this.#process;
    if (pid === undefined) return;
    // At first what is below its steps: what cleared its environment is found while they live.
    killByToken(this.token);
    if (!killQuietly(-pid, "SIGKILL")) killQuietly(pid, "SIGKILL");
  }

  #strayLines(stream: "stdout" | "stderr"): StrayLines {
    return new StrayLines(
      () => new Masker([...this.secrets]),
      (lines) => this.#listener.stray(stream, lines),
    );
  }

  #weigh(): void {
    const heldMb = Math.ceil(heldBytes(this.#process?.pid) / 1024 / 1024);
    if (heldMb <= this.#limitMb) return;
    this.#condemn({
      detail: `held ${heldMb} MiB and may hold ${this.#limitMb} (runner.memoryMb in orchd.yaml)`,
      outOfMemory: true,
    });
  }

  #ask(): void {
    if (this.#closing || this.#channel?.isOpen !== true) return;
    const { everyMs } = this.#asks;
    // One that is not up yet has nothing to answer with.
    const most = this.#isUp ? this.#asks.most : (ASK_MS * UNANSWERED) / everyMs;
    if (this.#unanswered >= most) {
      const pid = this.#process?.pid;
      // It ends, and is started again.
      if (!this.#isUp && pid !== undefined && this.#mayBeginAgain)
        return void killQuietly(pid, "SIGKILL");
      const detail = `did not answer for ${(most * everyMs) / 1_000} s`;
      const { leaseMs } = this.#settings;
      // A lease is too short to tell a runner that a step stopped from a machine with much to do.
      this.#condemn(
        leaseMs === undefined
          ? { detail, outOfMemory: false }
          : { detail, outOfMemory: false, blameless: "lost" },
      );
      return;
    }
    this.#unanswered += 1;
    this.#channel.send([]);
  }

  #condemn(verdict: RunnerExit): void {
    if (this.#dead || this.#closing) return;
    this.#verdict = verdict;
    this.kill();
  }

  #flush(): void {
    // What is sent to one that ends before it is up would be lost.
    if (this.#outbox.length === 0 || this.#process === undefined || !this.#isUp) return;
    const batch = this.#outbox;
    // They wait for a message that has to go: a trip for them alone would cost more than they do.
    const forgotten = this.frames.takeForgotten();
    if (forgotten.length > 0) batch.push({ type: "forget", frames: forgotten });
    if (this.#settled.length > 0) batch.push({ type: "settled", ids: this.#settled });
    this.#settled = [];
    this.#outbox = [];
    // If the channel breaks, the process ends: `exit` answers for all that is in flight.
    this.#channel?.send(batch);
  }

  #afterExit(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#dead) return;
    this.#dead = true;
    for (const watch of this.#watches) clearInterval(watch);
    const noneLeft = endByToken(this.token);
    const read = (): void => {
      clearTimeout(timer);
      this.#whenClosed = undefined;
      this.#lastErrors.end();
      this.#process?.stdout?.destroy();
      this.#process?.stderr?.destroy();
      void noneLeft.then(() => this.#tellExit(code, signal));
    };
    const isOpen = this.#channel?.isOpen === true;
    const timer = setTimeout(read, isOpen ? LAST_WORDS_MS : 0);
    if (isOpen) this.#whenClosed = read;
  }

  /** Whether its last words say so. */
  #lacksMemory(): boolean {
    const { recent } = this.#lastErrors;
    return (
      recent.includes("heap out of memory") || recent.includes("Array buffer allocation failed")
    );
  }

  #tellExit(code: number | null, signal: NodeJS.Signals | null): void {
    const outOfMemory = this.#lacksMemory();
    const ended = signal === LEASE_SIGNAL && this.#settings.leaseMs !== undefined;
    const seen = ended
      ? LEASE_OVER
      : { detail: describeExit(code, signal, outOfMemory), outOfMemory };
    this.#listener.exit(this.#verdict ?? seen);
    this.#resolveExited();
  }
}

/** Forks a runner on this machine. */
export const forkRunner: LaunchRunner = (...given) => new RunnerChild(...given);

/**
 * A process's resident set, in bytes: its own memory and shared memory. 0 where there is no /proc.
 */
function heldBytes(pid: number | undefined): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * PAGE;
  } catch {
    return 0;
  }
}

function describeExit(
  code: number | null,
  signal: NodeJS.Signals | null,
  outOfMemory: boolean,
): string {
  if (outOfMemory) return "ran out of memory";
  if (signal !== null) return `was ended by ${signal}`;
  return code === null ? "could not be started" : `ended with status ${code}`;
}

function environmentFor(token: string, threads: number): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, [TOKEN_VARIABLE]: token };
  for (const name of DAEMON_ONLY) delete env[name];
  Object.assign(env, CHANNEL_VARIABLES);
  // The threads share libuv's pool. With its default of four, eight steps that read would wait for
  // each other.
  env["UV_THREADPOOL_SIZE"] ??= String(Math.max(4, threads));
  return env;
}
