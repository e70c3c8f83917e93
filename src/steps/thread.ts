/**
 * A worker thread from the inside: takes one piece of work at a time from the runner's main thread, carries it out, and gives back its value or
 * error.
 *
 * What the code prints is caught where it is written (`process.stdout.write`), so that it is complete, in order, and with the daemon before the result is.
 * A thread that prints faster than its lines can go on waits: nothing piles up in memory.
 */
import { parentPort, workerData } from "node:worker_threads";
import { toStepError } from "../core/failure.ts";
import type { Json } from "../core/snapshot.ts";
import { stepLog, type StepLog } from "./context.ts";
import { LineCapture, type Stream } from "./line-capture.ts";
import { Masker } from "./mask.ts";
import { watchMemory } from "./memory-watch.ts";
import { Modules } from "./resolve-code.ts";
import { maySpawn, watchSpawns } from "./spawn-watch.ts";
import { StepEnv } from "./step-env.ts";
import { perform, type ThreadTask } from "./step-runner.ts";
import { CELLS, claimCell, type FromThread, type ThreadData, type ToThread } from "./thread-protocol.ts";

/** Output messages that may be on their way before the thread waits for them. */
const OUTPUT_AHEAD = 32;
/** A thread that holds more heap than this after a piece of work is not used again. */
const RETIRE_HEAP_BYTES = 256 * 1024 * 1024;
/** The heap is looked at after so many pieces of work: looking costs as much as a small step. */
const LOOK_EVERY = 64;

/** What is being worked on. */
interface Work {
  readonly seq: number;
  readonly capture: LineCapture;
  readonly masker: Masker;
  readonly controller: AbortController;
  readonly calls: Map<number, { readonly resolve: (value: Json) => void; readonly reject: (error: Error) => void }>;
  startedAt: number;
  begin: number;
  spawned: boolean;
}

/** See the head of this file. */
class Thread {
  readonly #port: NonNullable<typeof parentPort>;
  readonly #cells: Int32Array;
  readonly #env: StepEnv;
  readonly #modules: Modules;
  readonly #log: StepLog;
  #work: Work | undefined;
  #sent = 0;
  #calls = 0;
  #done = 0;

  constructor(port: NonNullable<typeof parentPort>, data: ThreadData) {
    this.#port = port;
    this.#cells = new Int32Array(data.shared);
    this.#env = new StepEnv(data.baseEnv, data.token);
    this.#log = stepLog((line) => this.#work?.capture.lines("log", [line]));
    this.#modules = new Modules(data.bundles, (text) => {
      if (!maySpawn(text)) return;
      watchSpawns({
        token: () => this.#env.token,
        spawned: () => {
          if (this.#work !== undefined) this.#work.spawned = true;
        },
        output: (stream, chunk) => this.#work?.capture.write(stream, chunk),
      });
    });
    this.#catchOutput();
    if (data.memoryLimit !== undefined) {
      watchMemory(data.memoryLimit, this.#cells, () => {
        // The main thread has seen the same figure and ends this one: it must not allocate on.
        Atomics.wait(this.#cells, CELLS.heldKib, Atomics.load(this.#cells, CELLS.heldKib), 2_000);
      });
    }
    port.on("message", (message: ToThread) => this.#take(message));
    this.#say({ type: "ready" });
  }

  #say(message: FromThread): void {
    this.#port.postMessage(message);
  }

  #take(message: ToThread): void {
    switch (message.type) {
      case "run":
        // Whoever changes the cell first has the piece: the main thread may have taken it back.
        if (Atomics.compareExchange(this.#cells, claimCell(message.seq), message.seq, 0) === message.seq)
          void this.#run(message.seq, message.id, message.body);
        break;
      case "abort":
        if (this.#work?.seq !== message.seq) break;
        this.#say({ type: "heard", seq: message.seq });
        this.#work.controller.abort(
          Object.assign(new Error(message.because), { name: message.reason === "timeout" ? "TimeoutError" : "AbortError" }),
        );
        break;
      case "reply": {
        const waiting = this.#work?.seq === message.seq ? this.#work.calls.get(message.call) : undefined;
        if (waiting === undefined) break;
        this.#work!.calls.delete(message.call);
        if (message.error === undefined) waiting.resolve(message.value ?? null);
        else waiting.reject(Object.assign(new Error(message.error.message), message.error));
        break;
      }
    }
  }

  async #run(seq: number, id: string, body: string): Promise<void> {
    const task = JSON.parse(body) as ThreadTask;
    const masker = new Masker(task.secrets);
    const work: Work = {
      seq,
      masker,
      capture: new LineCapture(masker, (stream, lines) => this.#output(seq, stream, lines)),
      controller: new AbortController(),
      calls: new Map(),
      startedAt: Date.now(),
      begin: performance.now(),
      spawned: false,
    };
    this.#work = work;
    this.#env.begin(task.env, id);
    let outcome: Pick<Extract<FromThread, { type: "done" }>, "json" | "error">;
    try {
      const given = perform(task, {
        modules: this.#modules,
        log: this.#log,
        signal: () => work.controller.signal,
        begins: () => {
          work.startedAt = Date.now();
          work.begin = performance.now();
        },
        call: (method, argument) => this.#call(work, method, argument),
      });
      const json = typeof given === "string" ? given : await given;
      outcome = { json: masker.json(json) ?? json };
    } catch (error) {
      outcome = { error: masker.error(toStepError(error)) };
    }
    work.capture.end();
    this.#work = undefined;
    this.#done += 1;
    const heavy = this.#done % LOOK_EVERY === 0 && process.memoryUsage().heapUsed > RETIRE_HEAP_BYTES;
    this.#say({
      type: "done",
      seq,
      ...outcome,
      startedAt: work.startedAt,
      durationMs: performance.now() - work.begin,
      spawned: work.spawned,
      ...(heavy ? { retire: "its memory grew" } : {}),
    });
  }

  #call(work: Work, method: string, argument: Json): Promise<Json> {
    this.#calls += 1;
    const call = this.#calls;
    return new Promise((resolve, reject) => {
      work.calls.set(call, { resolve, reject });
      this.#say({ type: "call", seq: work.seq, call, method, argument });
    });
  }

  #output(seq: number, stream: Stream, lines: readonly string[]): void {
    this.#say({ type: "output", seq, at: new Date().toISOString(), stream, lines });
    this.#sent += 1;
    for (;;) {
      const heard = Atomics.load(this.#cells, CELLS.heard);
      if (this.#sent - heard <= OUTPUT_AHEAD || Atomics.wait(this.#cells, CELLS.heard, heard, 5_000) === "timed-out") return;
    }
  }

  /** Puts the capture in the place of the thread's own stdout and stderr, for good. */
  #catchOutput(): void {
    for (const stream of ["stdout", "stderr"] as const) {
      const write = (chunk: Uint8Array | string, encoding?: unknown, callback?: unknown): boolean => {
        this.#work?.capture.write(
          stream,
          typeof chunk === "string" && typeof encoding === "string" ? Buffer.from(chunk, encoding as BufferEncoding) : chunk,
        );
        const done = typeof encoding === "function" ? encoding : callback;
        if (typeof done === "function") queueMicrotask(() => (done as () => void)());
        return true;
      };
      process[stream].write = write;
    }
    const exit = process.exit.bind(process);
    process.exit = (code) => {
      this.#work?.capture.end();
      return exit(code);
    };
  }
}

/** Begins to work. Called once, by the thread's entry. @throws Error outside a worker thread */
export function serveThread(): void {
  if (parentPort === null) throw new Error("worker.js runs in a worker thread of a runner and nowhere else");
  void new Thread(parentPort, workerData as ThreadData);
}
