/**
 * How much room the threads of the shared runner have.
 *
 * A thread works on one step, and while steps are short one more a thread may be sent ahead. Behind
 * a long step it would count as started, and wait. So a step takes 1 of `threads`, or of twice as
 * many while steps are short; and one that turns out long takes the room of its whole thread.
 *
 * Where steps of one function are brief, 32 of them a core may be begun ahead (semantics.md 20).
 * Such a step takes only a part of the room of others, so one number says what is left for all. The
 * part is 1 divided by a power of 2: sums of such parts are exact.
 *
 * A brief step waits behind others, so its age does not tell that it is long. That shows in that
 * the steps which were begun ahead after it have ended, or that none of them ends any more.
 */
import { mayGoAhead, type Room } from "../../core/lane.ts";
import type { CodeRef, SnapshotStep } from "../../core/snapshot.ts";
import type { Task } from "../../core/task.ts";
import { Paces } from "./paces.ts";

/** The longest step that another step is sent ahead of, in milliseconds. */
const SHORT_MS = 50;
/** A step that has run for this long counts as a long one, in milliseconds. */
const LONG_SINCE_MS = 100;
/** The most brief steps that may be begun ahead, for each core. */
export const AHEAD_A_CORE = 32;

/** What matters of a task that runs. */
export interface RoomTaken {
  readonly kind: Task["kind"];
  /** In a runner of its own: it takes no thread of the shared one. */
  readonly alone: boolean;
  /** Monotonic, in milliseconds. */
  readonly sentAt: number;
  /** Of a step that was begun ahead: how many of these had ended before. */
  readonly ahead?: number | undefined;
}

/** What is left, in steps. */
export type RoomLeft = Room & Readonly<Record<"module" | "shell", number>>;

/** Counts the room. */
export class ThreadRoom {
  readonly #threads: number;
  readonly #mostAhead: number;
  readonly #mostEach: number;
  /** How much room a brief step takes while steps are short, and while they are not. */
  readonly #shares: { readonly short: number; readonly long: number };
  readonly #paces = new Paces();
  /** How long a step takes, in milliseconds: recent steps count most. Infinite before the first. */
  #pace = Number.POSITIVE_INFINITY;
  /** How many steps that were begun ahead have ended, and when the last did. */
  #aheadEnded = 0;
  #aheadEndedAt = 0;

  /** @param mostEach how many steps a thread may have while steps are short */
  constructor(threads: number, cores: number, mostEach = 2) {
    this.#threads = threads;
    this.#mostEach = mostEach;
    this.#mostAhead = AHEAD_A_CORE * Math.min(cores, threads);
    // Logarithms, so not each time.
    this.#shares = {
      short: shareOf((mostEach * threads) / this.#mostAhead),
      long: shareOf(threads / this.#mostAhead),
    };
  }

  /** How many steps that were begun ahead have ended. */
  get aheadEnded(): number {
    return this.#aheadEnded;
  }

  /** How much room a step takes. */
  shareOf(spec: SnapshotStep): number {
    if (!mayGoAhead(spec)) return 1;
    const { bundle, pick } = spec.code!;
    return this.#paces.isBrief(bundle, pick) ? this.#share : 1;
  }

  /** A step ended well. */
  paced({ bundle, pick }: CodeRef, durationMs: number): void {
    this.#pace = Number.isFinite(this.#pace) ? this.#pace * 0.9 + durationMs * 0.1 : durationMs;
    // By the function: others of the same file may take longer.
    this.#paces.ended(bundle, durationMs, pick);
  }

  /** A task ended, well or badly. */
  ended({ ahead }: RoomTaken, now: number): void {
    if (ahead === undefined) return;
    this.#aheadEnded += 1;
    this.#aheadEndedAt = now;
  }

  /** What is left, in steps. */
  left(taken: Iterable<RoomTaken>, now: number): RoomLeft {
    let [young, old, ahead, shells] = [0, 0, 0, 0];
    for (const task of taken) {
      if (task.kind === "shell") shells += 1;
      else if (task.kind !== "module" || task.alone) continue;
      else if (task.ahead !== undefined && !this.#isOvertaken(task.ahead, task.sentAt, now))
        ahead += 1;
      else if (now - task.sentAt > LONG_SINCE_MS) old += 1;
      else young += 1;
    }
    const modules = this.#each * (this.#threads - old) - young - ahead * this.#share;
    return { module: Math.max(0, modules), shell: Math.max(0, this.#threads - shells) };
  }

  /** What is left of this much once a task has begun. */
  leftWith({ module, shell }: RoomLeft, { kind, alone, ahead }: RoomTaken): RoomLeft {
    if (kind === "shell") return { module, shell: Math.max(0, shell - 1) };
    if (kind !== "module" || alone) return { module, shell };
    return { module: Math.max(0, module - (ahead === undefined ? 1 : this.#share)), shell };
  }

  /** How many steps one thread may have. */
  get #each(): number {
    return this.#isShort ? this.#mostEach : 1;
  }

  /** How much room a brief step takes. */
  get #share(): number {
    return this.#isShort ? this.#shares.short : this.#shares.long;
  }

  get #isShort(): boolean {
    return this.#pace < SHORT_MS;
  }

  #isOvertaken(endedBefore: number, sentAt: number, now: number): boolean {
    return (
      this.#aheadEnded - endedBefore >= this.#mostAhead ||
      now - Math.max(sentAt, this.#aheadEndedAt) > LONG_SINCE_MS
    );
  }
}

/** The least power of 2 that is this part of a step's room or more, and 1 at most. */
function shareOf(part: number): number {
  return Math.min(1, 2 ** Math.ceil(Math.log2(part)));
}
