/**
 * One task that a worker holds: from when the daemon gives it until the daemon has its end.
 *
 * States: preparing (its files come) -> claiming -> running -> ended (its result is kept until the
 * daemon takes it) -> over. A task that is not wanted any more is dropped from any of these. What
 * then still runs is ended by force, and it is over once nothing of it runs.
 *
 * - It starts only after the daemon said yes to its claim, and only while the worker's lease holds:
 *   a worker that was frozen may read an old yes. The daemon may say so as it gives the task: then
 *   it starts if all that it needs is here, and claims it otherwise. Which of the two is said in
 *   the answer to the give. That one waits for a moment, so that it leaves with the end of a brief
 *   step.
 * - Output and end go to the daemon one message at a time, in order, and each again until it is
 *   answered. A new daemon that takes the task over begins with the output that it lacks.
 * - The end of a brief task goes with the answer to its give, and nothing answers that. It is said
 *   as any other if the daemon does not tell soon that it is durable.
 */
import { readFile } from "node:fs/promises";
import type { Clock, Timer } from "../clock.ts";
import { defined } from "../core/defined.ts";
import { clipError } from "../core/failure.ts";
import type { OutputLine, StagedFile, StagedValue, Task, TaskResult } from "../core/task.ts";
import { holdResult, removeStaged } from "../steps/staged-result.ts";
import type { Log } from "../log.ts";
import type {
  FromWorker,
  FromWorkerAnswer,
  TaskEnd,
  ToWorker,
  ToWorkerAnswer,
} from "../places/broker/messages.ts";
import { BrokerSilence, MessageTooLong } from "../places/broker/broker.ts";
import type { DeathInfo, HeardLines, StartOptions, TaskHandlers } from "../places/place.ts";
import type { DaemonLine } from "./daemon-line.ts";
import { FileMissing, type FileCache, type FileKind } from "./file-cache.ts";
import { KeptOutput } from "./kept-output.ts";
import { taskError, untellable } from "./task-error.ts";

/** How long an answer may take, in milliseconds. */
const ANSWER_MS = 3_000;
/** How long a task that is granted may take to begin, and its answer to leave, in milliseconds. */
const SOON_MS = 20;
/** How long to wait before the same is said again, in milliseconds. */
const AGAIN_MS = 250;
/** How long an end that was an answer may be not durable before it is said, in milliseconds. */
const UNSETTLED_MS = 1_000;

type Give = Extract<ToWorker, { readonly type: "give" }>;

type TaskState = "preparing" | "claiming" | "running" | "ended" | "over";

interface NeededFile {
  readonly kind: FileKind;
  readonly hash: string;
  /** The bundle whose source map it is. */
  readonly mapOf?: string | undefined;
}

/** What a task needs of its worker. */
export interface TaskHost {
  readonly clock: Clock;
  readonly log: Log;
  readonly line: DaemonLine;
  readonly cache: FileCache;
  /** The worker's name. */
  readonly worker: string;
  readonly incarnation: string;
  /** Whether the daemon is sure to count on this worker still. */
  leaseHolds(): boolean;
  /** The daemon lets a task begin. */
  begins(id: string): void;
  /** The task as it runs here. */
  localTask(task: Task): Task;
  /** Starts it. @throws an Error if it cannot be started */
  start(id: string, task: Task, handlers: TaskHandlers, options: StartOptions): void;
  stop(id: string, mode: "graceful" | "force", because: string): void;
  /** Nothing of the task is left here, and the daemon has its end or does not want it. */
  over(id: string): void;
}

/** One task. */
export class HeldTask {
  readonly id: string;
  readonly #host: TaskHost;
  readonly #options: StartOptions;
  readonly #output = new KeptOutput();
  readonly #files: NeededFile[] = [];
  #state: TaskState = "preparing";
  #end: TaskEnd | undefined;
  /** The files of a large result, which the broker may lose before the daemon has them. */
  #staged: readonly StagedFile[] = [];
  /** What those hold that could not be written, by their sha256. */
  #contents: ReadonlyMap<string, Uint8Array> = new Map();
  #outputs: readonly string[] | undefined;
  /** Nobody wants it: nothing of it is said any more. */
  #dropped = false;
  /** Counts the daemons that it reported to. */
  #daemons = 0;
  #reports = false;
  /** The daemon let it begin as it gave it, and does not know yet whether it does. */
  #isGranted = false;
  #answerGive: ((answer: FromWorkerAnswer) => void) | undefined;
  /** Its end may go with the answer to its give. */
  #mayAnswer = false;
  /** Its end was an answer. Until then the daemon has time to make it durable. */
  #unsettled: Timer | undefined;

  constructor({ id, alone, ahead }: Give, host: TaskHost) {
    this.id = id;
    this.#host = host;
    this.#options = { alone, ahead };
  }

  /** What the daemon is answered that gives it again. */
  get given(): FromWorkerAnswer {
    if (!this.isPending) return BEGUN;
    this.#isGranted = false;
    return TAKEN;
  }

  get isRunning(): boolean {
    return this.#state === "running";
  }

  /** It has not begun, and may begin. */
  get isPending(): boolean {
    return this.#state === "preparing" || this.#state === "claiming";
  }

  /**
   * Prepares, claims and starts it.
   *
   * @param isGranted it may begin without a claim
   * @param mayWait its end may go with the answer: that holds up no other
   * @returns what the daemon is answered, at once or soon
   */
  begin(
    give: Give,
    isGranted: boolean,
    mayWait: boolean,
  ): FromWorkerAnswer | Promise<FromWorkerAnswer> {
    this.#isGranted = isGranted;
    this.#mayAnswer = mayWait;
    void this.#begin(give);
    if (!isGranted) return TAKEN;
    return new Promise((resolve) => {
      const timer = this.#host.clock.after(SOON_MS, () => this.#answered());
      this.#answerGive = (answer) => {
        timer.cancel();
        resolve(answer);
      };
    });
  }

  /** Never rejects. */
  async #begin(give: Give): Promise<void> {
    try {
      const task = await this.#prepared(give);
      if (task === undefined || !(await this.#mayBegin())) return this.#releaseFiles();
      this.#run(task);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The give is answered, if it is not yet. What is pending then has to be claimed. */
  #answered(): void {
    const answer = this.#answerGive;
    this.#answerGive = undefined;
    answer?.(this.given);
  }

  /** Whether it may start. */
  async #mayBegin(): Promise<boolean> {
    if (!this.isPending) return false;
    if (!this.#isGranted || !this.#host.leaseHolds()) return this.#claimed();
    this.#host.begins(this.id);
    return true;
  }

  /** The daemon wants it to end. */
  stop(mode: "graceful" | "force", because: string): void {
    if (this.isRunning) this.#host.stop(this.id, mode, because);
    else if (this.isPending) {
      const error = { name: "Stopped", message: because };
      this.#ends({ ok: false, outcome: "stopped", error }, 0);
    }
  }

  /** A new daemon takes it over. */
  adopt(heard: HeardLines): FromWorkerAnswer {
    if (this.isPending) return { type: "refused", because: "the task has not begun" };
    if (this.#dropped) return { type: "had" };
    this.#output.restart(heard);
    this.#daemons += 1;
    this.#reports = false;
    this.#report();
    return { type: "taken" };
  }

  /** The daemon has its end, and that is durable. */
  settled(): void {
    if (this.#end !== undefined) this.#leave();
  }

  /** The answer to a beat does not know it. */
  unknown(): void {
    // The daemon may have its end already, and the answer to that is on its way.
    const level = this.#state === "ended" ? "debug" : "warn";
    this.#drop("the daemon does not know it, or has given it to another", level);
  }

  /** Nobody wants it any more. What runs of it is ended. */
  #drop(because: string, level: "debug" | "warn" = "warn"): void {
    if (this.#dropped || this.#state === "over") return;
    this.#dropped = true;
    this.#host.log[level]({ task: this.id }, `a task is not wanted any more: ${because}`);
    if (this.isRunning) this.#host.stop(this.id, "force", because);
    else this.#leave();
  }

  /** The runner was ended, and this with it. A result that is there stays. */
  lose(): void {
    if (this.isRunning || this.isPending) this.#leave();
  }

  /** Its files are here. Undefined: it has ended meanwhile. */
  async #prepared({ body, files, map }: Give): Promise<Task | undefined> {
    const text =
      typeof body === "string"
        ? body
        : await this.#persist("preparing", () => this.#host.line.body(body.object));
    if (text === undefined || this.#state !== "preparing") return undefined;
    const task = JSON.parse(text) as Task;
    if (task.kind === "module" || task.kind === "shell") this.#outputs = task.outputs;
    const bundle = task.kind === "shell" ? undefined : task.code.bundle;
    for (const hash of files) {
      const kind = hash === bundle ? "bundle" : "artifact";
      const mapOf = hash === map ? bundle : undefined;
      const isHere = await this.#persist("preparing", () => this.#has({ kind, hash, mapOf }));
      if (isHere === undefined) return undefined;
      if (isHere) this.#files.push({ kind, hash, ...defined({ mapOf }) });
      if (this.#state !== "preparing") return undefined;
    }
    return this.#host.localTask(task);
  }

  /**
   * Has a file here. False: it is a source map that nobody has any more, and the task runs without.
   *
   * @throws FileMissing, a Node error, BrokerSilence
   */
  async #has({ kind, hash, mapOf }: NeededFile): Promise<boolean> {
    const { cache, line } = this.#host;
    try {
      await cache.use(kind, hash, () => line.getFile(hash), mapOf);
      return true;
    } catch (error) {
      if (mapOf !== undefined && error instanceof FileMissing) return false;
      throw error;
    }
  }

  /** Asks the daemon whether it may start, for as long as that is not known. */
  async #claimed(): Promise<boolean> {
    const { worker, incarnation, line } = this.#host;
    this.#state = "claiming";
    const claim = { type: "claim", worker, incarnation, id: this.id } as const;
    this.#answered();
    const answer = await this.#persist("claiming", () => line.ask(claim, ANSWER_MS));
    if (answer?.type === "yes") this.#host.begins(this.id);
    if (answer === undefined || this.#state !== "claiming") return false;
    if (answer.type === "yes" && this.#host.leaseHolds()) return true;
    this.#drop(answer.type === "no" ? answer.because : "it was claimed too late");
    return false;
  }

  #run(task: Task): void {
    this.#state = "running";
    this.#host.start(
      this.id,
      task,
      {
        output: (lines) => this.#printed(lines),
        done: (result, durationMs) => void this.#done(result, durationMs),
        died: (death) => this.#died(death),
      },
      this.#options,
    );
  }

  #printed(lines: readonly OutputLine[]): void {
    if (this.#dropped || this.#state === "over") return;
    this.#output.add(lines);
    this.#report();
  }

  /** Says something in the run's log. The daemon knows the step and the attempt. */
  #tell(line: string): void {
    const at = new Date(this.#host.clock.now()).toISOString();
    this.#printed([{ at, step: "", attempt: 1, stream: "orchd", line }]);
  }

  async #done(result: TaskResult, durationMs: number): Promise<void> {
    if (!this.isRunning) return;
    if (this.#dropped) {
      if ("staged" in result) removeStaged(result.staged.files);
      return this.#leave();
    }
    this.#state = "ended";
    try {
      const sent = await this.#sent(result);
      if (sent !== undefined) this.#ends(sent, durationMs);
    } catch (error) {
      this.#fail(error);
    }
  }

  #died({ inFlight, alone, blameless, behind, because, code }: DeathInfo): void {
    if (this.#dropped) this.#leave();
    else this.#say({ kind: "died", inFlight, alone, blameless, behind, because, code });
  }

  /** The result, once its files are at the broker. Undefined: nobody wants it any more. */
  async #sent(result: TaskResult): Promise<TaskResult | undefined> {
    const staged = "staged" in result ? result.staged : this.#held(result);
    if (staged === undefined) return result;
    const { value, files } = staged;
    this.#staged = files;
    for (const file of files) if ((await this.#put(file)) === undefined) return undefined;
    const sent = files.map(({ ref }) => ({ ref, file: ref.$artifact }));
    return { ok: true, staged: { value, files: sent } };
  }

  /** A large result for whose files its runner had no room. Undefined: it is none. */
  #held(result: TaskResult): StagedValue | undefined {
    if (!result.ok || result.value === undefined) return undefined;
    const held = holdResult(JSON.stringify(result.value), this.#outputs);
    this.#contents = held?.contents ?? this.#contents;
    return held?.staged;
  }

  /** Puts a file of the result. Undefined: nobody wants it any more. */
  async #put({ ref, file }: StagedFile): Promise<true | undefined> {
    const content = this.#contents.get(file) ?? (await readFile(file));
    const put = (): Promise<true> =>
      this.#host.line.putFile(ref.$artifact, content).then(() => true as const);
    return this.#persist("ended", put, (because) => this.#tell(`its result waits: ${because}`));
  }

  /** The broker has lost a file of the result. */
  async #putAgain(hash: string): Promise<void> {
    const lost = this.#staged.find(({ ref }) => ref.$artifact === hash);
    const isPut = lost !== undefined && (await this.#put(lost).catch(() => undefined));
    if (isPut !== true) await this.#pause();
  }

  #fail(error: unknown): void {
    if (this.#dropped) this.#leave();
    else this.#ends({ ok: false, outcome: "failed", error: clipError(taskError(error)) }, 0);
  }

  #ends(result: TaskResult, durationMs: number): void {
    this.#say({ kind: "result", result, durationMs });
  }

  #say(end: TaskEnd): void {
    if (this.#state === "over" || this.#end !== undefined) return;
    this.#state = "ended";
    this.#end = end;
    this.#releaseFiles();
    if (!this.#answersWith(end)) this.#report();
  }

  /** Answers the give with the end, if it is not answered yet and the end is all there is. */
  #answersWith(end: TaskEnd): boolean {
    const answer = this.#answerGive;
    const { clock, line } = this.#host;
    if (answer === undefined || !this.#mayAnswer || this.#staged.length > 0) return false;
    if (JSON.stringify(end).length > line.answerLength) return false;
    this.#answerGive = undefined;
    answer({ type: "begun", end });
    this.#unsettled = clock.after(UNSETTLED_MS, () => this.#report());
    return true;
  }

  /** Sends what there is to send, if that is not under way. */
  #report(): void {
    if (this.#reports) return;
    this.#reports = true;
    this.#answered();
    void this.#sendAll(this.#daemons);
  }

  async #sendAll(daemon: number): Promise<void> {
    const isCurrent = (): boolean =>
      this.#daemons === daemon && !this.#dropped && this.#state !== "over";
    while (isCurrent()) {
      const message = this.#message();
      if (message === undefined) {
        this.#reports = false;
        return;
      }
      const answer = await this.#answer(message, isCurrent);
      if (!isCurrent()) return;
      if (answer === undefined) await this.#pause();
      else if (answer.type === "no") this.#drop(answer.because);
      else if (answer.type === "lacks") await this.#putAgain(answer.hash);
      else if (message.type === "output") this.#output.answered();
      else this.#leave();
    }
  }

  #message(): Extract<FromWorker, { readonly type: "output" | "end" }> | undefined {
    const { worker } = this.#host;
    const batch = this.#output.batch();
    if (batch !== undefined) return { type: "output", worker, id: this.id, ...batch };
    const { batches } = this.#output;
    if (this.#end === undefined) return undefined;
    return { type: "end", worker, id: this.id, batches, end: this.#end };
  }

  /**
   * It may be said long after, in a session with a daemon that has adopted the task meanwhile. For
   * that one batches are numbered from 0 again, and it would take this one for another.
   *
   * @returns undefined: nobody answers
   */
  async #answer(
    message: FromWorker,
    isCurrent: () => boolean,
  ): Promise<ToWorkerAnswer | undefined> {
    const said = (): FromWorker => {
      if (isCurrent()) return message;
      throw new BrokerSilence("a new daemon is told");
    };
    try {
      return await this.#host.line.ask(said, ANSWER_MS);
    } catch (error) {
      if (error instanceof MessageTooLong) this.#shorten(message, error);
      if (!(error instanceof BrokerSilence))
        this.#host.log.warn({ task: this.id, err: error }, "the daemon could not be told");
      return undefined;
    }
  }

  /** The broker takes no message of that length: less is said. */
  #shorten(message: FromWorker, because: MessageTooLong): void {
    if (message.type === "output") this.#output.shorten();
    else if (message.type === "end" && message.end === this.#end)
      this.#end = untellable(message.end, because);
  }

  /**
   * Tries again while the broker or the daemon is silent. Undefined: it is not needed any more.
   *
   * @param waits called once, if it has to wait
   */
  async #persist<T>(
    state: TaskState,
    attempt: () => Promise<T>,
    waits?: (because: string) => void,
  ): Promise<T | undefined> {
    for (let tries = 0; this.#state === state && !this.#dropped; tries += 1) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof BrokerSilence)) throw error;
        if (tries === 0) waits?.(error.message);
        await this.#pause();
      }
    }
    return undefined;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#host.clock.after(AGAIN_MS, resolve));
  }

  #leave(): void {
    if (this.#state === "over") return;
    this.#answered();
    this.#unsettled?.cancel();
    this.#state = "over";
    removeStaged(this.#staged.filter(({ file }) => !this.#contents.has(file)));
    this.#releaseFiles();
    this.#host.over(this.id);
  }

  #releaseFiles(): void {
    for (const { kind, hash, mapOf } of this.#files.splice(0))
      this.#host.cache.release(kind, hash, mapOf);
  }
}

const TAKEN: FromWorkerAnswer = { type: "taken" };
const BEGUN: FromWorkerAnswer = { type: "begun" };
