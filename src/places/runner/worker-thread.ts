/**
 * One worker thread as the runner's main thread sees it.
 *
 * States: starting -> idle <-> busy -> gone. A thread whose step blocks it (`execSync`) ends only
 * when the call returns. `end` says whether that was in time.
 */
import { Worker, type ResourceLimits } from "node:worker_threads";
import { errorOf } from "../../core/thrown.ts";
import {
  CELLS,
  SHARED_BYTES,
  claimCell,
  type FromThread,
  type SentFrame,
  type ThreadData,
  type ToThread,
} from "../../steps/thread-protocol.ts";
import { packPieces, type SentPiece } from "../../steps/sent-pieces.ts";
import { END_RING_BYTES, EndRing, type QuickEnd } from "../../steps/end-ring.ts";
import { LoadedPackages, type BundlePackages } from "./bundle-packages.ts";
import { inheritedEnvironment } from "../../core/inherited-environment.ts";
import type { GivenPiece, RunnerFrame } from "./runner-frames.ts";

/** The most bundles that a thread imports: what it imported stays in its memory. */
const MOST_BUNDLES = 512;

/** What of a task decides which thread may run it. */
export interface Code {
  readonly pipeline: string;
  readonly bundle: string;
  readonly source: string;
}

/** Hears what a thread does. */
export interface ThreadListener {
  message(thread: WorkerThread, message: FromThread): void;
  /** It is gone. `error` was thrown and not caught. */
  gone(thread: WorkerThread, error: Error | undefined, exitCode: number): void;
}

/** What a thread is started with. */
export interface ThreadOptions {
  readonly program: URL;
  readonly bundles: string;
  readonly packages: BundlePackages;
  readonly token: string;
  /** How much it may hold, heap and Buffers together. It is watched. */
  readonly memoryMb?: number | undefined;
  /** How much its heap may hold where it has no limit of its own. */
  readonly heapMb?: number | undefined;
  /** Whether tasks of several pipelines may come. */
  readonly reused: boolean;
}

interface Given {
  readonly seq: number;
  readonly id: string;
  readonly key: string;
  /** The thread imports the code for it. */
  isFirst: boolean;
}

/** Starts a worker thread, gives it pieces, and ends it. */
export class WorkerThread {
  /**
   * The bundle that it has imported of each source, by pipeline. Another version needs another
   * thread.
   */
  readonly #sources = new Map<string, string>();
  /** The bundles that it has imported, for any pipeline. */
  readonly #imported = new Set<string>();
  readonly #packages = new LoadedPackages();
  /** The pipeline whose task it was given last. */
  pipeline: string | undefined;
  /** Whether it was made to be used by several pipelines. */
  readonly reused: boolean;
  /** No other pipeline than its first may use it. */
  bound: boolean;
  /** The pieces that it has and has not answered, in order. It works on the first. */
  #given: Given[] = [];
  /** The pieces that it has not been told of yet. */
  #sent: SentPiece[] = [];
  /** The frames of these that it does not know yet. */
  #frames: SentFrame[] = [];
  /** The frames that it may forget. It is told with the next pieces. */
  #forgotten: number[] = [];
  #busySince = 0;
  ready = false;
  readonly #bundles: BundlePackages;
  readonly #worker: Worker;
  readonly #shared = new SharedArrayBuffer(SHARED_BYTES);
  readonly #cells = new Int32Array(this.#shared);
  readonly #endsMemory = new SharedArrayBuffer(END_RING_BYTES);
  readonly #ends = new EndRing(this.#endsMemory);
  readonly #gone: Promise<void>;
  #error: Error | undefined;
  #seq = 0;

  constructor(options: ThreadOptions, listener: ThreadListener) {
    this.#bundles = options.packages;
    this.reused = options.reused;
    this.bound = !options.reused;
    const heapMb = options.memoryMb ?? options.heapMb;
    const resourceLimits: ResourceLimits =
      heapMb === undefined ? {} : { maxOldGenerationSizeMb: heapMb };
    const data: ThreadData = {
      shared: this.#shared,
      ends: this.#endsMemory,
      bundles: options.bundles,
      token: options.token,
      reused: options.reused,
      baseEnv: inheritedEnvironment(process.env),
      memoryLimit: options.memoryMb === undefined ? undefined : options.memoryMb * 1024 * 1024,
    };
    this.#worker = new Worker(options.program, {
      workerData: data,
      resourceLimits,
      stdout: false,
      stderr: false,
      env: inheritedEnvironment(process.env),
    });
    this.#worker.on("message", (message: FromThread) => {
      if (message.type === "ready") this.ready = true;
      listener.message(this, message);
    });
    this.#worker.on("error", (error: unknown) => (this.#error = errorOf(error)));
    this.#gone = new Promise((resolve) => {
      this.#worker.on("exit", (exitCode) => {
        resolve();
        listener.gone(this, this.#error, exitCode);
      });
    });
  }

  /** Whether it can still be given pieces of this code. */
  suits(code: Code): boolean {
    if (this.bound && this.pipeline !== undefined && this.pipeline !== code.pipeline) return false;
    const loaded = this.#sources.get(keyOf(code));
    if (loaded !== undefined) return loaded === code.bundle;
    return !this.isFull && this.#packages.suit(this.#bundles.of(code.bundle));
  }

  /** Whether it imports nothing more. */
  get isFull(): boolean {
    return this.#sources.size >= MOST_BUNDLES;
  }

  /** Whether it has imported this code for its pipeline. */
  knows(code: Code): boolean {
    return this.#sources.get(keyOf(code)) === code.bundle;
  }

  /** Whether it has imported this bundle, for any pipeline. */
  has(bundle: string): boolean {
    return this.#imported.has(bundle);
  }

  /** How much it held at its last look, in KiB. */
  get heldKib(): number {
    return Atomics.load(this.#cells, CELLS.heldKib);
  }

  /** How often it has looked at what it holds. */
  get looks(): number {
    return Atomics.load(this.#cells, CELLS.looks);
  }

  /** The number under which it knows a piece. Undefined if it has none of this id. */
  seqOf(id: string): number | undefined {
    return this.#given.find((given) => given.id === id)?.seq;
  }

  /** The id of a piece that it has. Undefined once it has answered. */
  idOf(seq: number): string | undefined {
    return this.#given.find((given) => given.seq === seq)?.id;
  }

  /** The id of the piece that it works on, or begins next. */
  get current(): string | undefined {
    return this.#given[0]?.id;
  }

  /** How long it has worked on its first piece, in milliseconds. */
  get busyMs(): number {
    return this.#given.length === 0 ? 0 : performance.now() - this.#busySince;
  }

  /** Gives it a piece. It begins the piece after those that it has. */
  run({ id, head, body, frame }: GivenPiece, code: Code): void {
    this.#seq += 1;
    if (this.#given.length === 0) this.#busySince = performance.now();
    const key = keyOf(code);
    const isFirst = this.#sources.get(key) !== code.bundle;
    this.#given.push({ seq: this.#seq, id, key, isFirst });
    if (isFirst) {
      this.#sources.set(key, code.bundle);
      this.#imported.add(code.bundle);
      if (code.bundle !== "") this.#packages.add(this.#bundles.of(code.bundle));
    }
    this.pipeline = code.pipeline;
    Atomics.store(this.#cells, claimCell(this.#seq), this.#seq);
    // One message for all pieces of this turn: a message costs more than most of what it says.
    const { pipeline } = code;
    const seq = this.#seq;
    const piece: SentPiece =
      frame === undefined
        ? { seq, id, pipeline, body }
        : { seq, id, pipeline, body, frame: frame.number, step: head.step, attempt: head.attempt };
    if (frame !== undefined && !frame.threads.has(this)) this.#learn(frame);
    if (this.#sent.push(piece) === 1) queueMicrotask(() => this.#flush());
  }

  #learn(frame: RunnerFrame): void {
    const { number, text } = frame;
    this.#frames.push({ number, text });
    // The run may have ended while the piece waited.
    if (frame.forgotten) this.#forgotten.push(number);
    else frame.threads.add(this);
  }

  /** The run of a frame that it was told has ended. */
  forget(frame: number): void {
    this.#forgotten.push(frame);
  }

  /** Takes a piece back. @returns false if it has begun */
  takeBack(id: string): boolean {
    const given = this.#given.find((each) => each.id === id);
    if (given === undefined) return false;
    const { seq, key, isFirst } = given;
    if (Atomics.compareExchange(this.#cells, claimCell(seq), seq, 0) !== seq) return false;
    this.answered(seq);
    if (!isFirst) return true;
    const next = this.#given.find((each) => each.key === key);
    if (next === undefined) this.#sources.delete(key);
    else next.isFirst = true;
    return true;
  }

  /** An end that it has told without a message. Undefined: there is none. */
  takeEnd(): QuickEnd | undefined {
    return this.#ends.take();
  }

  /** A piece is no longer its own. */
  answered(seq: number): void {
    if (this.#given[0]?.seq !== seq) this.#given = this.#given.filter((one) => one.seq !== seq);
    else {
      this.#busySince = performance.now();
      this.#given.shift();
    }
  }

  /** Sends it a message. */
  post(message: ToThread): void {
    this.#flush();
    this.#worker.postMessage(message);
  }

  #flush(): void {
    if (this.#sent.length === 0) return;
    const pieces = packPieces(this.#sent);
    const [frames, forget] = [this.#frames, this.#forgotten];
    const run: ToThread =
      frames.length === 0 && forget.length === 0
        ? { type: "run", pieces }
        : { type: "run", pieces, frames, forget };
    this.#sent = [];
    this.#frames = [];
    this.#forgotten = [];
    this.#worker.postMessage(run);
  }

  /** An output message has gone on to the daemon: the thread may print more. */
  heard(): void {
    Atomics.add(this.#cells, CELLS.heard, 1);
    Atomics.notify(this.#cells, CELLS.heard);
  }

  /** Ends it. @returns whether it was gone within `milliseconds` */
  async end(milliseconds: number): Promise<boolean> {
    void this.#worker.terminate();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), milliseconds);
    });
    const ended = await Promise.race([this.#gone.then(() => true as const), late]);
    clearTimeout(timer);
    return ended;
  }
}

/** The code that was asked for last: the pieces of a fan-out have one, and each asks four times. */
let last: Pick<Code, "pipeline" | "source"> & { readonly key: string } = {
  pipeline: "",
  source: "",
  key: "\n",
};

function keyOf({ pipeline, source }: Code): string {
  if (pipeline !== last.pipeline || source !== last.source)
    last = { pipeline, source, key: `${pipeline}\n${source}` };
  return last.key;
}
