/**
 * A worker thread from the inside. It takes tasks from the runner's main thread, runs one at a
 * time, and answers each with its value or error: in exactly one `done`, or in the ring of quick
 * ends (end-ring.ts).
 *
 * States: idle -> (a claimed task) running -> idle, or retired. A retired thread begins nothing
 * more: tasks that were sent to it stay unclaimed and go to another thread. A thread retires when
 * an error was thrown in it that nobody caught, when a step left something behind
 * (thread-health.ts), or when a task of another pipeline comes and not all is as it was at first.
 *
 * Each task runs in an async context of its own, below a clean one. So what is printed and thrown
 * is known by where it comes from: what a step prints after its end is dropped, and what it throws
 * then ends the thread, but fails no other step.
 *
 * An error that nobody catches fails the task that runs. A task ends one turn after its code, so
 * that a rejection that nobody handled is charged to this task and never to the next one.
 *
 * What the code prints is caught where it is written (thread-output.ts): so it is complete, in
 * order, and reaches the daemon before the result. A thread that prints faster than its lines can
 * go on waits, so nothing piles up in memory.
 */
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { parentPort, workerData } from "node:worker_threads";
import { clipError, thrownFrom, toStepError, type StepError } from "../core/failure.ts";
import type { Json } from "../core/snapshot.ts";
import { CALL_LIMIT, INVOCATION_LIMIT, metadataFault, type StagedValue } from "../core/task.ts";
import { stepLog, type StepLog } from "./context.ts";
import { EndRing } from "./end-ring.ts";
import { KnownFrames, taskOfPiece, type AheadPiece } from "./known-frames.ts";
import { LineCapture, type Stream } from "./line-capture.ts";
import { MASKED_RESULT, Masker } from "../core/mask.ts";
import { outOfMemory, watchMemory } from "./memory-watch.ts";
import { Modules } from "./resolve-code.ts";
import { maySpawn, watchSpawns } from "./spawn-watch.ts";
import { StepEnv } from "./step-env.ts";
import { perform, type TaskHost, type ThreadTask } from "./step-runner.ts";
import { stageResult } from "./staged-result.ts";
import { valuesIn, withValues } from "./task-values.ts";
import { ThreadHealth } from "./thread-health.ts";
import { redirectOutput } from "./thread-output.ts";
import {
  CELLS,
  claimCell,
  type FromThread,
  type ThreadData,
  type ToThread,
} from "./thread-protocol.ts";

/** How many output messages may be on their way before the thread waits. */
const OUTPUT_AHEAD = 8;

/** The task that runs. */
interface CurrentTask {
  readonly seq: number;
  readonly step: string;
  /** The folder of values that are in files. */
  readonly artifacts: string | undefined;
  /** The declared outputs of a step; null: the result goes into no file. */
  readonly outputs: readonly string[] | undefined | null;
  readonly capture: LineCapture;
  readonly masker: Masker;
  readonly calls: Map<
    number,
    { readonly resolve: (value: Json) => void; readonly reject: (error: Error) => void }
  >;
  /** Made when somebody looks at the signal, because most steps never do. */
  controller: AbortController | undefined;
  /** Why it must end, once it was told so. */
  aborted: Error | undefined;
  startedAt: number;
  begin: number;
  spawned: boolean;
  /** It has printed, called or answered: its end must come after that. */
  spoke: boolean;
}

class Thread {
  readonly #port: NonNullable<typeof parentPort>;
  readonly #cells: Int32Array;
  readonly #env: StepEnv;
  readonly #modules: Modules;
  readonly #log: StepLog;
  #health!: ThreadHealth;
  /** The task that code belongs to. */
  readonly #scope = new AsyncLocalStorage<CurrentTask>();
  /** The context in which the thread was made: no task ran in it. */
  readonly #clean = new AsyncResource("orchd");
  /** The pipeline whose tasks it ran so far. */
  #pipeline: string | undefined;
  /** The secrets of that pipeline that it was given. */
  readonly #secrets = new Set<string>();
  #masker = new Masker();
  /** The tasks that were sent ahead. */
  readonly #ahead: AheadPiece[] = [];
  readonly #frames = new KnownFrames();
  #current: CurrentTask | undefined;
  /** How quick ends are told. */
  readonly #ends: EndRing;
  /** The main thread knows that no other pipeline may use the thread. */
  #toldBound = false;
  #sent = 0;
  #calls = 0;
  /** Why the thread must not be used again, once an error was thrown that nobody caught. */
  #spoiled: string | undefined;
  /** Whether it has said that it must not be used again. */
  #retired = false;

  constructor(port: NonNullable<typeof parentPort>, data: ThreadData) {
    this.#port = port;
    this.#cells = new Int32Array(data.shared);
    this.#ends = new EndRing(data.ends);
    this.#env = new StepEnv(data.baseEnv, data.token);
    this.#log = stepLog(
      (line) => this.#running()?.capture.lines("log", [line]),
      (error) => this.#masker.error(error),
    );
    this.#modules = new Modules(data.bundles, (text) => {
      const looked = this.#health.foresee(text);
      if (maySpawn(text)) this.#watchSpawns();
      return looked;
    });
    redirectOutput((stream, chunk) => this.#running()?.capture.write(stream, chunk));
    process.on("unhandledRejection", (reason) => this.#spoil(reason));
    process.on("uncaughtException", (error) => this.#spoil(error));
    process.on("exit", () => this.#current?.capture.end());
    if (data.memoryLimit !== undefined) this.#watchMemory(data.memoryLimit);
    // While the entry is evaluated, Node has listeners of its own on `process`.
    setImmediate(() => {
      port.on("message", (message: ToThread) => this.#take(message));
      this.#health = new ThreadHealth(data.reused, (module) => {
        if (module === "child_process") this.#watchSpawns();
      });
      this.#say({ type: "ready" });
    });
  }

  #watchSpawns(): void {
    watchSpawns({
      token: () => this.#env.token,
      spawned: () => {
        if (this.#current !== undefined) this.#current.spawned = true;
      },
      output: (stream, chunk) => this.#running()?.capture.drain(stream, chunk),
    });
  }

  /** The task that the code that runs now belongs to; undefined if that has ended. */
  #running(): CurrentTask | undefined {
    const owner = this.#scope.getStore();
    return owner === undefined || owner === this.#current ? this.#current : undefined;
  }

  #say(message: FromThread): void {
    this.#ends.said();
    this.#port.postMessage(message);
  }

  #take(message: ToThread): void {
    switch (message.type) {
      case "run":
        this.#frames.take(message, this.#ahead);
        if (this.#current === undefined) this.#next();
        break;
      case "abort":
        if (this.#current?.seq !== message.seq) break;
        this.#current.spoke = true;
        this.#say({ type: "heard", seq: message.seq });
        this.#current.aborted ??= Object.assign(new Error(message.because), {
          name: message.reason === "timeout" ? "TimeoutError" : "AbortError",
        });
        this.#current.controller?.abort(this.#current.aborted);
        break;
      case "reply": {
        const waiting =
          this.#current?.seq === message.seq ? this.#current.calls.get(message.call) : undefined;
        if (waiting === undefined) break;
        this.#current!.calls.delete(message.call);
        if (message.error === undefined) this.#answer(waiting, message);
        else waiting.reject(thrownFrom(message.error));
        break;
      }
    }
  }

  #answer(
    { resolve, reject }: { resolve: (value: Json) => void; reject: (error: Error) => void },
    { value = null, stored }: Extract<ToThread, { type: "reply" }>,
  ): void {
    if (stored !== true) return resolve(value);
    try {
      resolve(valuesIn(this.#current!.artifacts ?? "").allOutputs(value));
    } catch (error) {
      reject(error as Error);
    }
  }

  #next(): void {
    while (this.#current === undefined && !this.#retired && this.#ahead.length > 0) {
      const piece = this.#ahead[0]!;
      const { seq, pipeline } = piece.sent;
      const isTaken = Atomics.load(this.#cells, claimCell(seq)) !== seq;
      if (!isTaken && !this.#mayServe(pipeline)) return;
      this.#ahead.shift();
      if (isTaken) continue;
      // The first to change the cell has the task: the main thread may have taken it back.
      if (Atomics.compareExchange(this.#cells, claimCell(seq), seq, 0) === seq)
        this.#clean.runInAsyncScope(() => this.#run(piece));
    }
    if (this.#current === undefined && this.#ends.hasUnsaid) this.#say({ type: "ended" });
  }

  /** Whether a task of this pipeline may run here. If not, the thread retires. */
  #mayServe(pipeline: string): boolean {
    if (this.#pipeline === pipeline) return true;
    if (this.#pipeline !== undefined) {
      if (this.#health.unfit() !== undefined) {
        this.#retired = true;
        this.#say({ type: "spoiled" });
        return false;
      }
      this.#secrets.clear();
      this.#masker = new Masker();
    }
    this.#pipeline = pipeline;
    return true;
  }

  /** Masks the task's secrets, and those of earlier tasks: a step may print late. */
  #maskerFor({ secrets = [] }: ThreadTask): Masker {
    const before = this.#secrets.size;
    for (const secret of secrets) this.#secrets.add(secret);
    if (this.#secrets.size !== before) this.#masker = new Masker([...this.#secrets]);
    return this.#masker;
  }

  #run(piece: AheadPiece): void {
    const { seq, id } = piece.sent;
    const given = taskOfPiece(piece);
    const { env, artifacts } = given;
    const masker = this.#maskerFor(given);
    const current: CurrentTask = {
      seq,
      step: given.step ?? given.kind,
      artifacts,
      outputs: stagedOutputs(given),
      masker,
      capture: new LineCapture(masker, (stream, lines) => this.#output(seq, stream, lines)),
      calls: new Map(),
      controller: undefined,
      aborted: undefined,
      startedAt: Date.now(),
      begin: performance.now(),
      spawned: false,
      spoke: false,
    };
    this.#current = current;
    this.#env.begin(env, id);
    const isNew = this.#modules.loaded(given.code, given.run.pipeline) === undefined;
    // One turn later, when it is known whether there was a rejection that nobody handled.
    const succeed = (json: string): void => void setImmediate(() => this.#end(current, { json }));
    const fail = (error: unknown): void =>
      void setImmediate(() => this.#end(current, { error: toStepError(error) }));
    const host: TaskHost = {
      modules: this.#modules,
      log: this.#log,
      signal: () => this.#signal(current),
      begins: () => {
        current.startedAt = Date.now();
        current.begin = performance.now();
        if (isNew) this.#health.before();
      },
      call: (method, argument) => this.#call(current, method, argument),
    };
    try {
      // A resource of its own: `enterWith` in a step changes the one that it runs in.
      const value = new AsyncResource(given.kind).runInAsyncScope(() =>
        this.#scope.run(current, () => perform(withValues(given), host)),
      );
      if (typeof value === "string") succeed(value);
      else value.then(succeed, fail);
    } catch (error) {
      fail(error);
    }
  }

  /** Answers for a task. What comes for it later is ignored. */
  #end(
    current: CurrentTask,
    { json, error }: { readonly json?: string; readonly error?: StepError },
  ): void {
    if (this.#current !== current) return;
    const now = performance.now();
    const durationMs = now - current.begin;
    const masked = json === undefined ? undefined : this.#masked(current, json);
    const text = masked ?? json;
    const staged = text === undefined ? undefined : this.#staged(current, text);
    current.capture.end();
    this.#current = undefined;
    const left = this.#health.after();
    const beside = this.#modules.loadedBeside;
    const retire =
      this.#spoiled ??
      left?.because ??
      (beside === undefined ? undefined : `it imported ${beside} by a computed name`);
    this.#retired ||= retire !== undefined;
    const { seq, startedAt, spawned, spoke } = current;
    const isPlain = !spoke && !spawned && retire === undefined && staged === undefined;
    const isQuick = isPlain && this.#ahead.length > 0 && this.#toldBound === this.#health.isBound;
    if (isQuick && text !== undefined && this.#ends.add(seq, text, startedAt, durationMs, now))
      return this.#next();
    this.#toldBound = this.#health.isBound;
    this.#say({
      type: "done",
      seq,
      ...(error === undefined
        ? staged === undefined
          ? { json: text }
          : { staged }
        : { error: clipError(current.masker.error(this.#modules.placed(error))) }),
      startedAt,
      durationMs,
      spawned,
      ...(retire === undefined ? {} : { retire }),
      ...(left?.pending === true ? { pending: true } : {}),
      ...(this.#health.isBound ? { bound: true } : {}),
    });
    this.#next();
  }

  /** A large result in files. Undefined where it is short, or where the daemon takes no files. */
  #staged({ artifacts, outputs }: CurrentTask, json: string): StagedValue | undefined {
    return artifacts === undefined || outputs === null
      ? undefined
      : stageResult(json, outputs, artifacts);
  }

  /** An error was thrown that nobody caught. */
  #spoil(thrown: unknown): void {
    const { message, ...rest } = toStepError(thrown);
    const error = {
      ...rest,
      message:
        `${message} (thrown where nothing caught it: ` +
        "by a promise that was not awaited, or in a callback)",
    };
    this.#spoiled = "an error was thrown in it that nobody caught";
    const owner = this.#scope.getStore();
    // A step that has ended threw it. The one that runs is not to blame, and may end.
    if (owner !== undefined && owner !== this.#current && this.#current !== undefined) return;
    if (this.#current === undefined) {
      this.#retired = true;
      this.#say({ type: "spoiled" });
    } else this.#end(this.#current, { error });
  }

  #signal(current: CurrentTask): AbortSignal {
    current.controller ??= new AbortController();
    if (current.aborted !== undefined) current.controller.abort(current.aborted);
    return current.controller.signal;
  }

  #watchMemory(limit: number): void {
    watchMemory(limit, this.#cells, (held) => {
      const current = this.#current;
      if (current === undefined) return;
      this.#spoiled = "it ran out of memory";
      this.#end(current, { error: outOfMemory(current.step, held / 1024, limit / 1024 / 1024) });
      process.exit(1);
    });
  }

  /** The JSON without secrets, because it will be recorded; undefined if it holds none. */
  #masked({ masker, capture }: CurrentTask, json: string): string | undefined {
    const masked = masker.json(json);
    if (masked !== undefined) capture.lines("orchd", [MASKED_RESULT]);
    return masked;
  }

  #call(current: CurrentTask, method: string, argument: Json): Promise<Json> {
    const json = JSON.stringify(argument ?? null);
    const tooLong = callFault(method, argument, json.length);
    if (tooLong !== undefined) return Promise.reject(new Error(tooLong));
    const masked = current.masker.longest === 0 ? undefined : this.#masked(current, json);
    this.#calls += 1;
    const call = this.#calls;
    current.spoke = true;
    return new Promise((resolve, reject) => {
      current.calls.set(call, { resolve, reject });
      this.#say({
        type: "call",
        seq: current.seq,
        call,
        length: json.length,
        method,
        argument: masked === undefined ? argument : (JSON.parse(masked) as Json),
      });
    });
  }

  #output(seq: number, stream: Stream, lines: readonly string[]): void {
    if (this.#current?.seq === seq) this.#current.spoke = true;
    this.#say({ type: "output", seq, at: new Date().toISOString(), stream, lines });
    this.#sent += 1;
    for (;;) {
      const heard = Atomics.load(this.#cells, CELLS.heard);
      if (
        this.#sent - heard <= OUTPUT_AHEAD ||
        Atomics.wait(this.#cells, CELLS.heard, heard, 5_000) === "timed-out"
      )
        return;
    }
  }
}

/** The parts of a task's result that may go into files; null where none may. */
function stagedOutputs(task: ThreadTask): readonly string[] | undefined | null {
  if (task.kind === "module") return task.outputs;
  return task.kind === "hook" && task.hook === "init" ? undefined : null;
}

/** Why a call cannot be made, in a sentence: it would hold up the daemon. Undefined: it can. */
function callFault(method: string, argument: Json, length: number): string | undefined {
  const limit = method === "step" ? INVOCATION_LIMIT : CALL_LIMIT;
  if (length <= limit) return undefined;
  const size = `${Math.ceil(length / 1024)} KiB of JSON`;
  const most = `and at most ${limit / 1024} KiB can`;
  if (method === "step") {
    const { id } = argument as { readonly id?: string };
    return (
      `step "${id}" is given ${size} directly, ${most} be given so: ` +
      "let a step return the value, and give its result"
    );
  }
  if (method === "accepted") return metadataFault(length);
  return `the call of "${method}" has ${size}, ${most} pass`;
}

/** Serves tasks. Called once, by the thread's entry. @throws Error outside a worker thread */
export function serveThread(): void {
  if (parentPort === null)
    throw new Error("worker.js runs in a worker thread of a runner and nowhere else");
  void new Thread(parentPort, workerData as ThreadData);
}
