/**
 * A worker thread from the inside. It takes tasks from the runner's main thread, runs one at a
 * time, and answers each with its value or error, in exactly one `done`.
 *
 * States: idle -> (a claimed task) running -> idle, or retired. A retired thread begins nothing
 * more: tasks that were sent to it stay unclaimed and go to another thread. A thread retires when
 * an error was thrown in it that nobody caught, or when a step left something behind
 * (thread-health.ts).
 *
 * An error that nobody catches fails the task that runs. A task ends one turn after its code, so
 * that a rejection that nobody handled is charged to this task and never to the next one.
 *
 * What the code prints is caught where it is written (thread-output.ts): so it is complete, in
 * order, and reaches the daemon before the result. A thread that prints faster than its lines can
 * go on waits, so nothing piles up in memory.
 */
import { parentPort, workerData } from "node:worker_threads";
import { clipError, thrownFrom, toStepError, type StepError } from "../core/failure.ts";
import type { Json } from "../core/snapshot.ts";
import type { StagedValue } from "../core/task.ts";
import { stepLog, type StepLog } from "./context.ts";
import { LineCapture, type Stream } from "./line-capture.ts";
import { MASKED_RESULT, Masker } from "./mask.ts";
import { outOfMemory, watchMemory } from "./memory-watch.ts";
import { Modules } from "./resolve-code.ts";
import { maySpawn, watchSpawns } from "./spawn-watch.ts";
import { StepEnv } from "./step-env.ts";
import { perform, type ThreadTask } from "./step-runner.ts";
import { stageResult } from "./staged-result.ts";
import { valuesIn, withValues } from "./task-values.ts";
import { ThreadHealth } from "./thread-health.ts";
import { redirectOutput } from "./thread-output.ts";
import {
  CELLS,
  claimCell,
  type FromThread,
  type SentPiece,
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
}

class Thread {
  readonly #port: NonNullable<typeof parentPort>;
  readonly #cells: Int32Array;
  readonly #env: StepEnv;
  readonly #modules: Modules;
  readonly #log: StepLog;
  readonly #health: ThreadHealth;
  /** The tasks that were sent ahead. */
  readonly #ahead: SentPiece[] = [];
  #current: CurrentTask | undefined;
  #sent = 0;
  #calls = 0;
  /** Why the thread must not be used again, once an error was thrown that nobody caught. */
  #spoiled: string | undefined;
  /** Whether it has said that it must not be used again. */
  #retired = false;

  constructor(port: NonNullable<typeof parentPort>, data: ThreadData) {
    this.#port = port;
    this.#cells = new Int32Array(data.shared);
    this.#env = new StepEnv(data.baseEnv, data.token);
    this.#log = stepLog(
      (line) => this.#current?.capture.lines("log", [line]),
      (error) => this.#current?.masker.error(error) ?? error,
    );
    this.#modules = new Modules(data.bundles, (text) => {
      if (!maySpawn(text)) return;
      watchSpawns({
        token: () => this.#env.token,
        spawned: () => {
          if (this.#current !== undefined) this.#current.spawned = true;
        },
        output: (stream, chunk) => this.#current?.capture.drain(stream, chunk),
      });
    });
    redirectOutput((stream, chunk) => this.#current?.capture.write(stream, chunk));
    process.on("unhandledRejection", (reason) => this.#spoil(reason));
    process.on("uncaughtException", (error) => this.#spoil(error));
    process.on("exit", () => this.#current?.capture.end());
    if (data.memoryLimit !== undefined) this.#watchMemory(data.memoryLimit);
    this.#health = new ThreadHealth();
    port.on("message", (message: ToThread) => this.#take(message));
    this.#say({ type: "ready" });
  }

  #say(message: FromThread): void {
    this.#port.postMessage(message);
  }

  #take(message: ToThread): void {
    switch (message.type) {
      case "run":
        this.#ahead.push(...message.pieces);
        if (this.#current === undefined) this.#next();
        break;
      case "abort":
        if (this.#current?.seq !== message.seq) break;
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
      const { seq, id, body } = this.#ahead.shift()!;
      // The first to change the cell has the task: the main thread may have taken it back.
      if (Atomics.compareExchange(this.#cells, claimCell(seq), seq, 0) === seq)
        this.#run(seq, id, body);
    }
  }

  #run(seq: number, id: string, body: string): void {
    const given = JSON.parse(body) as ThreadTask;
    const { env, secrets, artifacts } = given;
    const masker = new Masker(secrets);
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
    };
    this.#current = current;
    this.#env.begin(env, id);
    const isNew = this.#modules.loaded(given.code) === undefined;
    // One turn later, when it is known whether there was a rejection that nobody handled.
    const succeed = (json: string): void => void setImmediate(() => this.#end(current, { json }));
    const fail = (error: unknown): void =>
      void setImmediate(() => this.#end(current, { error: toStepError(error) }));
    try {
      const value = perform(withValues(given), {
        modules: this.#modules,
        log: this.#log,
        signal: () => this.#signal(current),
        begins: () => {
          current.startedAt = Date.now();
          current.begin = performance.now();
          if (isNew) this.#health.before();
        },
        call: (method, argument) => this.#call(current, method, argument),
      });
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
    const durationMs = performance.now() - current.begin;
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
    this.#say({
      type: "done",
      seq: current.seq,
      ...(error === undefined
        ? staged === undefined
          ? { json: text }
          : { staged }
        : { error: clipError(current.masker.error(this.#modules.placed(error))) }),
      startedAt: current.startedAt,
      durationMs,
      spawned: current.spawned,
      ...(retire === undefined ? {} : { retire }),
      ...(left?.pending === true ? { pending: true } : {}),
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
    const masked =
      current.masker.longest === 0 ? undefined : this.#masked(current, JSON.stringify(argument));
    this.#calls += 1;
    const call = this.#calls;
    return new Promise((resolve, reject) => {
      current.calls.set(call, { resolve, reject });
      this.#say({
        type: "call",
        seq: current.seq,
        call,
        method,
        argument: masked === undefined ? argument : (JSON.parse(masked) as Json),
      });
    });
  }

  #output(seq: number, stream: Stream, lines: readonly string[]): void {
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

/** Serves tasks. Called once, by the thread's entry. @throws Error outside a worker thread */
export function serveThread(): void {
  if (parentPort === null)
    throw new Error("worker.js runs in a worker thread of a runner and nowhere else");
  void new Thread(parentPort, workerData as ThreadData);
}
