/**
 * One worker thread as the runner's main thread sees it: started, given one piece of work at a
 * time, and known to be gone only when it is.
 *
 * States: starting -> idle <-> busy -> gone. A thread that is told to end while its step blocks it
 * (`execSync`) does not end until the call returns; `end` answers whether it did in time.
 */
import { Worker, type ResourceLimits } from "node:worker_threads";
import {
  CELLS,
  SHARED_BYTES,
  claimCell,
  type FromThread,
  type SentPiece,
  type ThreadData,
  type ToThread,
} from "../../../steps/thread-protocol.ts";
import { inheritedEnvironment } from "../../inherited-environment.ts";

/** After so many bundles a thread is used no more: what was imported stays in its memory. */
const MOST_BUNDLES = 16;

/** Who is told what a thread does. */
export interface ThreadListener {
  message(thread: WorkerThread, message: FromThread): void;
  /** It is gone; `error` is what was thrown where nothing caught it. */
  gone(thread: WorkerThread, error: Error | undefined, exitCode: number): void;
}

/** What a thread is made with. */
export interface ThreadOptions {
  readonly program: URL;
  readonly bundles: string;
  readonly token: string;
  /** What it may hold, heap and Buffers together; it is watched. */
  readonly memoryMb?: number | undefined;
  /** What its heap may hold where it has no limit of its own. */
  readonly heapMb?: number | undefined;
}

/** See the head of this file. */
export class WorkerThread {
  /**
   * Bundles that it has imported, by what the person wrote: another version of the same source
   * wants another thread.
   */
  readonly sources = new Map<string, string>();
  /**
   * What it was given and has not answered for, in order; it works on the first that it has begun.
   */
  #given: { readonly seq: number; readonly id: string }[] = [];
  /** What it is yet to be told of. */
  #sent: SentPiece[] = [];
  #busySince = 0;
  ready = false;
  readonly #worker: Worker;
  readonly #shared = new SharedArrayBuffer(SHARED_BYTES);
  readonly #cells = new Int32Array(this.#shared);
  readonly #gone: Promise<void>;
  #error: Error | undefined;
  #seq = 0;

  constructor(options: ThreadOptions, listener: ThreadListener) {
    const heapMb = options.memoryMb ?? options.heapMb;
    const resourceLimits: ResourceLimits =
      heapMb === undefined ? {} : { maxOldGenerationSizeMb: heapMb };
    const data: ThreadData = {
      shared: this.#shared,
      bundles: options.bundles,
      token: options.token,
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
    this.#worker.on(
      "error",
      (error: unknown) => (this.#error = error instanceof Error ? error : new Error(String(error))),
    );
    this.#gone = new Promise((resolve) => {
      this.#worker.on("exit", (exitCode) => {
        resolve();
        listener.gone(this, this.#error, exitCode);
      });
    });
  }

  /** Whether it may still be given work of this bundle. */
  suits(bundle: string, source: string): boolean {
    const loaded = this.sources.get(source);
    return loaded === undefined ? this.sources.size < MOST_BUNDLES : loaded === bundle;
  }

  /** Whether it has this bundle in memory already. */
  knows(bundle: string, source: string): boolean {
    return this.sources.get(source) === bundle;
  }

  /** Bytes held at the thread's last look, in KiB. */
  get heldKib(): number {
    return Atomics.load(this.#cells, CELLS.heldKib);
  }

  /** How often the thread has looked. */
  get looks(): number {
    return Atomics.load(this.#cells, CELLS.looks);
  }

  /** Under which number it knows a piece of work; undefined where it has none of that id. */
  seqOf(id: string): number | undefined {
    return this.#given.find((given) => given.id === id)?.seq;
  }

  /** The id of a piece of work that it has; undefined once it has answered. */
  idOf(seq: number): string | undefined {
    return this.#given.find((given) => given.seq === seq)?.id;
  }

  /** The piece of work that it works on, or will begin next. */
  get current(): string | undefined {
    return this.#given[0]?.id;
  }

  /** How long it has been at its first piece of work, in milliseconds. */
  get busyMs(): number {
    return this.#given.length === 0 ? 0 : performance.now() - this.#busySince;
  }

  /** Gives it a piece of work, to be begun after what it has. */
  run(id: string, body: string, bundle: string, source: string): void {
    this.#seq += 1;
    if (this.#given.length === 0) this.#busySince = performance.now();
    this.#given.push({ seq: this.#seq, id });
    this.sources.set(source, bundle);
    Atomics.store(this.#cells, claimCell(this.#seq), this.#seq);
    // With whatever else it is given in this turn: a message costs more than most of what it says.
    if (this.#sent.push({ seq: this.#seq, id, body }) === 1) queueMicrotask(() => this.#flush());
  }

  /** Takes a piece of work back. @returns false where it has been begun */
  takeBack(id: string): boolean {
    const seq = this.seqOf(id);
    if (seq === undefined || Atomics.compareExchange(this.#cells, claimCell(seq), seq, 0) !== seq)
      return false;
    this.answered(seq);
    return true;
  }

  /** It has nothing to do any more with a piece of work. */
  answered(seq: number): void {
    if (this.#given[0]?.seq === seq) this.#busySince = performance.now();
    this.#given = this.#given.filter((given) => given.seq !== seq);
  }

  /** Says something to it. */
  post(message: ToThread): void {
    this.#flush();
    this.#worker.postMessage(message);
  }

  #flush(): void {
    if (this.#sent.length === 0) return;
    this.#worker.postMessage({ type: "run", pieces: this.#sent } satisfies ToThread);
    this.#sent = [];
  }

  /** An output message went on to the daemon: the thread may print more. */
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
