/**
 * The threads that module steps and hooks share: which piece of work goes to which, and when there
 * is another thread.
 *
 * A piece waits, is given to a thread, and is begun by it; until then it can be taken back
 * (`claimCell`: whoever changes the cell first has it). As a rule a thread has one piece at a time,
 * another thread is started only if work has waited a moment for those there are, and no more start
 * at once than there are cores. Brief work, which takes less time than waking a thread does, is
 * different: it goes to as many threads as there are cores and no more, several pieces ahead.
 * Whether work is brief is known of its source from how long it took before. Where that was wrong,
 * what waits behind a long piece is taken back after the same moment and goes elsewhere, so no
 * piece ever waits for one that does not end.
 */
import type { TaskHead } from "../protocol.ts";
import type { WorkerThread } from "./worker-thread.ts";

/** How long work waits for a busy thread before another is started. */
const PATIENCE_MS = 3;
/** Work that takes no longer than this is brief. */
const BRIEF_MS = 0.5;
/** Pieces of brief work that a thread may have, the one that it works on included. */
const MOST_HELD = 32;
/** Sources whose pace is remembered. */
const MOST_PACES = 1_000;

/** A piece of work as far as placing it goes. */
export interface Placed {
  readonly id: string;
  readonly head: TaskHead;
  readonly body: string;
  /** The thread that has it. */
  thread?: WorkerThread;
}

/** What the shared threads need of the runner. */
export interface WarmThreadsPorts<P extends Placed> {
  readonly cores: number;
  /** The most threads there may be. */
  readonly threads: number;
  newThread(): WorkerThread;
  /** Ends a thread that is used no more. */
  end(thread: WorkerThread): void;
  /** A thread was given the piece. */
  given(piece: P): void;
}

/** See the head of this file. */
export class WarmThreads<P extends Placed> {
  readonly #ports: WarmThreadsPorts<P>;
  readonly #threads = new Set<WorkerThread>();
  readonly #held = new Map<WorkerThread, P[]>();
  readonly #paces = new Map<string, number>();
  #waiting: P[] = [];
  #patience: NodeJS.Timeout | undefined;

  constructor(ports: WarmThreadsPorts<P>) {
    this.#ports = ports;
  }

  /** Puts a piece of work in line; {@link pump} places it. */
  add(piece: P): void {
    this.#waiting.push(piece);
  }

  /** The pieces that no thread has, in order. */
  get waiting(): readonly P[] {
    return this.#waiting;
  }

  /**
   * Takes a piece out that was not begun. @returns false if it was begun, or is none of these
   * threads'
   */
  withdraw(piece: P): boolean {
    const at = this.#waiting.indexOf(piece);
    if (at !== -1) this.#waiting.splice(at, 1);
    else if (!this.#takeBack(piece)) return false;
    return true;
  }

  /** A piece ended that took so many milliseconds. */
  ended(thread: WorkerThread, piece: P, durationMs: number): void {
    const held = this.#held.get(thread);
    if (held === undefined) return;
    const at = held.indexOf(piece);
    if (at !== -1) held.splice(at, 1);
    const source = piece.head.source ?? "";
    const before = this.#paces.get(source);
    this.#paces.set(source, before === undefined ? durationMs : before * 0.8 + durationMs * 0.2);
    if (this.#paces.size > MOST_PACES) this.#paces.delete(this.#paces.keys().next().value!);
  }

  /**
   * Takes back what the thread has not begun, for the piece that it works on is to be ended with
   * it.
   *
   * @returns false where it has begun another since: the piece is over, its answer on the way, and
   *   the thread must live
   */
  isolate(thread: WorkerThread, piece: P): boolean {
    if (!this.#threads.has(thread)) return true;
    this.#takeBackAll(thread);
    return this.#held.get(thread)!.every((held) => held === piece);
  }

  /** Gives a thread nothing more, and what it has not begun to others. */
  leave(thread: WorkerThread): void {
    if (!this.#threads.delete(thread)) return;
    this.#takeBackAll(thread);
    this.#held.delete(thread);
  }

  /** Places what waits as far as it can be. */
  pump(): void {
    const rest: P[] = [];
    let unplaced = 0;
    for (const piece of this.#waiting) {
      // Looking on pays for pieces of other sources; behind so many that have no thread, hardly.
      const thread = unplaced < this.#ports.threads ? this.#threadFor(piece) : undefined;
      if (thread === undefined) {
        unplaced += 1;
        rest.push(piece);
      } else this.#give(thread, piece);
    }
    this.#waiting = rest;
    if (rest.length > 0 && this.#threads.size === 0) this.#grow();
    if (this.#patience === undefined && (this.#someAhead() || (rest.length > 0 && this.#mayGrow())))
      this.#patience = setTimeout(() => this.#outOfPatience(), PATIENCE_MS);
  }

  #give(thread: WorkerThread, piece: P): void {
    piece.thread = thread;
    this.#held.get(thread)!.push(piece);
    thread.run(piece.id, piece.body, piece.head.bundle ?? "", piece.head.source ?? "");
    this.#ports.given(piece);
  }

  #threadFor(piece: P): WorkerThread | undefined {
    const bundle = piece.head.bundle ?? "";
    const source = piece.head.source ?? "";
    const brief = this.#isBrief(piece);
    let best: WorkerThread | undefined;
    let looked = 0;
    for (const thread of this.#threads) {
      if (brief && looked >= this.#ports.cores) break;
      if (!thread.ready || !thread.suits(bundle, source)) continue;
      looked += 1;
      const held = this.#held.get(thread)!.length;
      if (held === 0 && thread.knows(bundle, source)) return thread;
      if (held === 0 || (brief && held < MOST_HELD && thread.knows(bundle, source))) {
        if (best === undefined || held < this.#held.get(best)!.length) best = thread;
      }
    }
    return best;
  }

  #someAhead(): boolean {
    for (const held of this.#held.values()) if (held.length > 1) return true;
    return false;
  }

  #mayGrow(): boolean {
    if (this.#threads.size < this.#ports.threads) return true;
    for (const [thread, held] of this.#held) if (thread.ready && held.length === 0) return true;
    return false;
  }

  #outOfPatience(): void {
    this.#patience = undefined;
    for (const thread of this.#threads) {
      const [first] = this.#held.get(thread)!;
      if (first === undefined || thread.busyMs < PATIENCE_MS) continue;
      // It is not as brief as it was.
      this.#paces.set(first.head.source ?? "", PATIENCE_MS);
      this.#takeBackAll(thread);
    }
    this.pump();
    // Brief work waits for its turn on the threads that it has.
    if (this.#waiting.some((piece) => !this.#isBrief(piece))) this.#grow();
  }

  #isBrief({ head }: P): boolean {
    // A piece with a time limit is given only to a thread that begins it at once: the limit counts
    // from then.
    return (
      head.timeoutMs === undefined &&
      (this.#paces.get(head.source ?? "") ?? BRIEF_MS + 1) <= BRIEF_MS
    );
  }

  #grow(): void {
    if (this.#threads.size >= this.#ports.threads) {
      // Full: an idle thread that does not suit what waits makes room for one that does.
      const idle = [...this.#threads].find(
        (thread) => thread.ready && this.#held.get(thread)!.length === 0,
      );
      if (idle === undefined) return;
      this.leave(idle);
      this.#ports.end(idle);
    }
    let starting = 0;
    for (const thread of this.#threads) if (!thread.ready) starting += 1;
    if (starting >= this.#ports.cores) return;
    const thread = this.#ports.newThread();
    this.#threads.add(thread);
    this.#held.set(thread, []);
  }

  #takeBackAll(thread: WorkerThread): void {
    const back = this.#held.get(thread)!.filter((piece) => thread.takeBack(piece.id));
    if (back.length === 0) return;
    this.#held.set(
      thread,
      this.#held.get(thread)!.filter((piece) => !back.includes(piece)),
    );
    for (const piece of back) delete piece.thread;
    this.#waiting = [...back, ...this.#waiting];
  }

  #takeBack(piece: P): boolean {
    const { thread } = piece;
    const held = thread === undefined ? undefined : this.#held.get(thread);
    if (held === undefined || !thread!.takeBack(piece.id)) return false;
    held.splice(held.indexOf(piece), 1);
    delete piece.thread;
    return true;
  }
}
