/**
 * The threads that module steps and hooks share: which piece goes to which thread, and when another
 * thread starts.
 *
 * A piece waits, is given to a thread, and begins there. Until it begins it can be taken back
 * (`claimCell`: the side that changes the cell first has the piece).
 *
 * As a rule a thread has one piece at a time. Another thread starts only when a piece has waited a
 * moment for the threads that there are, and no more start at once than there are cores. Brief
 * pieces, which take less time than waking a thread, are different: they go to as many threads as
 * there are cores, and several are sent ahead. How long the pieces of a source took before tells
 * whether they are brief. Where that was wrong, the pieces behind a long one are taken back after
 * the same moment and go elsewhere: no piece ever waits for one that does not end.
 *
 * A busy machine holds up a thread for longer than that moment, now and then. So the thread alone
 * counts as late at first, and the pieces behind go where other brief ones go. Only where it is
 * still late a moment later, and no piece of its source ended in that moment, its source is no
 * longer brief. Else brief pieces would go to all threads that there are, one by one, and most of
 * these are cold.
 */
import type { TaskHead } from "../pool/protocol.ts";
import type { GivenPiece } from "./runner-frames.ts";
import { Paces } from "../pool/paces.ts";
import { AHEAD_A_CORE } from "../pool/thread-room.ts";
import type { Code, WorkerThread } from "./worker-thread.ts";

/** How long a piece waits for a busy thread before another starts, in milliseconds. */
const PATIENCE_MS = 3;
/**
 * How long a piece waits behind one whose code is new to its thread: to import it takes a while,
 * and a new thread takes longer.
 */
const NEW_CODE_MS = 100;

/** What of a piece matters for placing it. */
export interface Placed extends GivenPiece {
  /** The thread that has it. */
  thread?: WorkerThread;
  /** Its code is new to that thread. */
  isNew?: boolean;
}

/** What decides which thread may run a piece. */
export function codeOf({ pipeline, bundle = "", source = "" }: TaskHead): Code {
  return { pipeline, bundle, source };
}

/** What the shared threads need of the runner. */
export interface WarmThreadsPorts<P extends Placed> {
  readonly cores: number;
  /** The most threads there may be. */
  readonly threads: number;
  /**
   * @param reused whether several pipelines may use it, one after the other
   * @returns undefined where the machine starts none now: {@link WarmThreads.pump} is called later
   */
  newThread(reused: boolean): WorkerThread | undefined;
  /** Ends a thread that is no longer used. */
  end(thread: WorkerThread): void;
  /** A thread was given the piece. */
  given(piece: P): void;
  /** Takes the quick ends of the threads that have some ({@link WarmThreads.ended} is called). */
  takeEnds(): void;
}

/** Places pieces on the shared threads. */
export class WarmThreads<P extends Placed> {
  readonly #ports: WarmThreadsPorts<P>;
  readonly #threads = new Set<WorkerThread>();
  readonly #held = new Map<WorkerThread, P[]>();
  readonly #paces = new Paces();
  /** How many pieces of each source have ended since somebody waits, or was looked after last. */
  readonly #ended = new Map<string, number>();
  /** The piece that made a thread late. It is late for as long as it works on that one. */
  readonly #late = new WeakMap<WorkerThread, P>();
  #waiting: P[] = [];
  #patience: NodeJS.Timeout | undefined;

  constructor(ports: WarmThreadsPorts<P>) {
    this.#ports = ports;
  }

  /** Puts a piece in line. {@link pump} places it. */
  add(piece: P): void {
    this.#waiting.push(piece);
  }

  /** The shared threads. */
  get threads(): Iterable<WorkerThread> {
    return this.#threads;
  }

  /** The pieces that no thread has, in order. */
  get waiting(): readonly P[] {
    return this.#waiting;
  }

  /** The pieces that threads work on while others wait behind them, by id. */
  firsts(): string[] {
    const ids: string[] = [];
    for (const [first, second] of this.#held.values())
      if (first !== undefined && second !== undefined) ids.push(first.id);
    return ids;
  }

  /** Whether a thread works on a brief piece: its end comes before long. */
  get endsSoon(): boolean {
    for (const [thread, held] of this.#held)
      if (held.length > 0 && this.#isQuick(thread)) return true;
    return false;
  }

  /**
   * Takes out a piece that has not begun.
   *
   * @returns false if it has begun, or if none of these threads has it
   */
  withdraw(piece: P): boolean {
    const at = this.#waiting.indexOf(piece);
    if (at !== -1) this.#waiting.splice(at, 1);
    else if (!this.#takeBack(piece)) return false;
    return true;
  }

  /** A piece has ended. @param durationMs how long it took */
  ended(thread: WorkerThread, piece: P, durationMs: number): void {
    const held = this.#held.get(thread);
    if (held === undefined) return;
    const at = held.indexOf(piece);
    if (at !== -1) held.splice(at, 1);
    const source = piece.head.source ?? "";
    this.#ended.set(source, (this.#ended.get(source) ?? 0) + 1);
    this.#paces.ended(source, durationMs);
  }

  /** Takes out all that has not begun. It is placed nowhere any more. */
  withdrawAll(): readonly P[] {
    for (const thread of this.#threads) this.#takeBackAll(thread);
    const all = this.#waiting;
    this.#waiting = [];
    return all;
  }

  /**
   * Takes back what a thread has not begun, before the thread is ended with the piece that it works
   * on.
   *
   * @returns false if it has begun another piece since: this one has ended, its answer is on the
   *   way, and the thread must live
   */
  isolate(thread: WorkerThread, piece: P): boolean {
    if (!this.#threads.has(thread)) return true;
    this.#takeBackAll(thread);
    return this.#held.get(thread)!.every((held) => held === piece);
  }

  /** Gives a thread nothing more. What it has not begun goes to others. */
  leave(thread: WorkerThread): void {
    if (!this.#threads.delete(thread)) return;
    this.#takeBackAll(thread);
    this.#held.delete(thread);
  }

  /** Places as many of the waiting pieces as it can. */
  pump(): void {
    const rest: P[] = [];
    let unplaced = 0;
    for (const piece of this.#waiting) {
      // A piece of another source may still find a thread. Behind this many pieces without a
      // thread that is unlikely.
      const thread = unplaced < this.#ports.threads ? this.#threadFor(piece) : undefined;
      if (thread === undefined) {
        unplaced += 1;
        rest.push(piece);
      } else this.#give(thread, piece);
    }
    this.#waiting = rest;
    if (rest.length > 0 && this.#threads.size === 0) this.#grow();
    this.#bePatient();
  }

  /** Looks again in a moment, where somebody waits who may go elsewhere. */
  #bePatient(): void {
    if (this.#patience !== undefined) return;
    if (!this.#someAhead() && !(this.#waiting.length > 0 && this.#mayGrow())) return;
    this.#ended.clear();
    this.#patience = setTimeout(() => this.#outOfPatience(), PATIENCE_MS);
  }

  #give(thread: WorkerThread, piece: P): void {
    piece.thread = thread;
    piece.isNew = !thread.knows(codeOf(piece.head));
    this.#held.get(thread)!.push(piece);
    thread.run(piece, codeOf(piece.head));
    this.#ports.given(piece);
  }

  #threadFor(piece: P): WorkerThread | undefined {
    const code = codeOf(piece.head);
    const brief = this.#isBrief(piece);
    let best: WorkerThread | undefined;
    let cost = Number.POSITIVE_INFINITY;
    let looked = 0;
    for (const thread of this.#threads) {
      if (brief && looked >= this.#ports.cores) break;
      if (!thread.ready || !thread.suits(code) || (brief && !this.#isQuick(thread))) continue;
      looked += 1;
      const held = this.#held.get(thread)!.length;
      if (held === 0 && thread.knows(code)) return thread;
      if (held === 0 || (brief && held < AHEAD_A_CORE && thread.has(code.bundle))) {
        // A thread of this pipeline need not be looked at, and keeps its own warm.
        const is = held * 2 + (thread.pipeline === code.pipeline ? 0 : 1);
        if (is < cost) [best, cost] = [thread, is];
      }
    }
    return best;
  }

  /** Whether it works on nothing that may be long: only then a brief piece may wait for it. */
  #isQuick(thread: WorkerThread): boolean {
    const [first] = this.#held.get(thread)!;
    return first === undefined || (this.#late.get(thread) !== first && this.#isBrief(first));
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
    this.#ports.takeEnds();
    for (const thread of this.#threads) {
      const [first] = this.#held.get(thread)!;
      const patience = first?.isNew === true ? NEW_CODE_MS : PATIENCE_MS;
      if (first === undefined || thread.busyMs < patience) continue;
      const source = first.head.source ?? "";
      const isStill = this.#late.get(thread) === first && !this.#ended.has(source);
      // Its source is not as brief as it was.
      if (isStill) this.#paces.set(source, PATIENCE_MS);
      else this.#late.set(thread, first);
      this.#takeBackAll(thread);
    }
    this.pump();
    // Brief pieces wait for the threads that there are, if one of these can run them soon, or if
    // all of them were held up by the machine alone.
    const lacks = (piece: P): boolean => {
      if (this.#isBrief(piece) && this.#isSuited(piece, true)) return false;
      return !this.#isSuited(piece, false) || !this.#isWorkedOff(piece);
    };
    if (this.#waiting.some(lacks)) this.#grow();
    this.#patience = undefined;
    this.#bePatient();
  }

  /**
   * Whether the threads end pieces of its source faster than one would start. After a moment in
   * which the machine did something else, sources look slower than they are.
   */
  #isWorkedOff({ head }: P): boolean {
    return (this.#ended.get(head.source ?? "") ?? 0) > this.#threads.size;
  }

  /**
   * Whether there is a thread that may run it: not one that holds another version of its code.
   *
   * @param soon nor one that works on a long piece
   */
  #isSuited({ head }: P, soon: boolean): boolean {
    const code = codeOf(head);
    for (const thread of this.#threads)
      if (thread.suits(code) && (!soon || this.#isQuick(thread))) return true;
    return false;
  }

  #isBrief({ head }: P): boolean {
    // A piece with a time limit goes only to a thread that begins it at once: the limit counts from
    // then.
    return head.timeoutMs === undefined && this.#paces.isBrief(head.source ?? "");
  }

  #grow(): void {
    const madeRoom = this.#threads.size >= this.#ports.threads;
    if (madeRoom) {
      // There are as many as there may be: an idle thread that does not suit makes room for one
      // that does.
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
    // To be usable by several pipelines costs a thread as much as its start. So many as there are
    // cores work off what is brief; the others serve one pipeline each. Where one of these had to
    // make room, it is cheaper if the next one need not.
    let reused = 0;
    for (const thread of this.#threads) if (thread.reused && !thread.isFull) reused += 1;
    const thread = this.#ports.newThread(madeRoom || reused < this.#ports.cores);
    if (thread === undefined) return;
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
