/**
 * Tasks that ended, or were given up, and are not forgotten yet.
 *
 * - The end of one is **heard**: its worker keeps it, until it is durable ({@link
 *   EndedTasks.settle}) or {@link DURABLE_MS} are over.
 * - One was **given up**: a result that comes after all is refused by who started it.
 */
import type { Clock, Timer } from "../../clock.ts";
import type { TaskResult } from "../../core/task.ts";
import type { GivenTask } from "./given-task.ts";
import type { TaskEnd } from "./messages.ts";

/** How long an end is waited for to be durable, in milliseconds. */
const DURABLE_MS = 10_000;
/** How many tasks that were given up are remembered. */
const MOST_LATE = 4_096;

interface HeardEnd {
  readonly durable: Promise<void>;
  readonly settle: () => void;
  readonly timer: Timer;
}

/** Remembers tasks. */
export class EndedTasks {
  readonly #clock: Clock;
  readonly #heard = new Map<string, HeardEnd>();
  readonly #late = new Map<string, GivenTask>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the end of a task is heard, and not known to be durable. */
  has(id: string): boolean {
    return this.#heard.has(id);
  }

  /** Resolves when the end of a task is durable. Undefined: it is, or was never heard. */
  durable(id: string): Promise<void> | undefined {
    return this.#heard.get(id)?.durable;
  }

  /** The end of a task is heard. @param settled called when it is durable */
  hear({ id }: GivenTask, settled: () => void): void {
    let resolve!: () => void;
    const durable = new Promise<void>((done) => (resolve = done));
    const settle = (): void => {
      this.#heard.get(id)?.timer.cancel();
      this.#heard.delete(id);
      settled();
      resolve();
    };
    this.#heard.set(id, { durable, settle, timer: this.#clock.after(DURABLE_MS, settle) });
  }

  /** The ends of these tasks are durable. */
  settle(ids: readonly string[]): void {
    if (this.#heard.size > 0) for (const id of ids) this.#heard.get(id)?.settle();
  }

  /** A task was given up. */
  giveUp(task: GivenTask): void {
    if (this.#late.size >= MOST_LATE) this.#late.delete(this.#late.keys().next().value!);
    this.#late.set(task.id, task);
  }

  /** An end came of a task that nobody has. A result is told once, to be refused. */
  late(id: string, end: TaskEnd): void {
    const task = this.#late.get(id);
    if (task === undefined || end.kind === "died") return;
    this.#late.delete(id);
    const { result, durationMs } = end;
    const told: TaskResult =
      "staged" in result ? { ok: true, staged: { value: null, files: [] } } : result;
    task.late(told, durationMs, this.#clock.now());
  }

  close(): void {
    for (const { timer } of this.#heard.values()) timer.cancel();
    this.#heard.clear();
    this.#late.clear();
  }
}
