/** A fold of alerts with rules as a person writes them, fed by hand. */
import type { Alert } from "../../src/core/alert.ts";
import { resolveNotify, type NotifyDefinition } from "../../src/core/notify-settings.ts";
import { AlertFold } from "../../src/notify/alert-fold.ts";
import type { NotifyInput } from "../../src/notify/notify-input.ts";
import { RuleBook } from "../../src/notify/rule-book.ts";

/** When the histories begin. */
export const START = Date.UTC(2026, 10, 28, 12);

/** The rules of some channels. */
export function bookOf(
  rules: NotifyDefinition["rules"],
  channels: readonly string[] = ["ops", "chat"],
): RuleBook {
  const written = channels.map((name) => [name, { kind: "slack", url: "https://x" }] as const);
  return new RuleBook(
    resolveNotify({ channels: Object.fromEntries(written), ...(rules && { rules }) }, "UTC"),
    "UTC",
  );
}

type Facts = Extract<NotifyInput, { readonly type: "restarted" | "disk" | "damage" | "channel" }>;
type Fact = Facts extends infer F ? (F extends Facts ? Omit<F, "now" | "at"> : never) : never;

/** The fold, a clock, and a ledger's count of lines. */
export class FoldRig {
  now = START;
  fold: AlertFold;
  readonly book: RuleBook;
  wakeAt: number | undefined;
  readonly all: Alert[] = [];
  readonly #seqs = new Map<string, number>();

  constructor(rules?: NotifyDefinition["rules"], channels?: readonly string[]) {
    this.book = bookOf(rules, channels);
    this.fold = new AlertFold({ book: this.book, slotsBetween: () => 7 });
  }

  /** A line of a pipeline's ledger. */
  line(pipeline: string, type: string, members: object = {}, at = this.now): readonly Alert[] {
    const seq = (this.#seqs.get(pipeline) ?? 0) + 1;
    this.#seqs.set(pipeline, seq);
    return this.take({
      type: "line",
      now: this.now,
      pipeline,
      file: `${pipeline}/pipeline.jsonl`,
      seq,
      line: { seq, at: new Date(at).toISOString(), type, ...members },
    });
  }

  /** A run of a pipeline ends. */
  ends(pipeline: string, status: string, run = `${pipeline}@r`): readonly Alert[] {
    return this.line(pipeline, "run.finished", { run, status, because: `it ${status}` });
  }

  /** Something that no line tells. */
  fact(fact: Fact): readonly Alert[] {
    return this.take({ ...fact, now: this.now, at: new Date(this.now).toISOString() });
  }

  /** Time passes, and the fold is asked at each moment that it names. */
  pass(milliseconds: number): readonly Alert[] {
    const end = this.now + milliseconds;
    const due: Alert[] = [];
    for (let turns = 0; turns < 10_000; turns += 1) {
      const next = Math.max(this.now, this.wakeAt ?? Infinity);
      if (next >= end) break;
      this.now = next;
      due.push(...this.take({ type: "tick", now: this.now }));
      if (this.wakeAt !== undefined && this.wakeAt <= this.now)
        throw new Error("a tick changed nothing");
    }
    this.now = end;
    due.push(...this.take({ type: "tick", now: this.now }));
    return due;
  }

  /** The program ends, and another goes on from its checkpoint. */
  restart(book: RuleBook): void {
    const packed: unknown = JSON.parse(JSON.stringify(this.fold.packed()));
    this.fold = new AlertFold({ packed, book, slotsBetween: () => 7 });
    this.wakeAt = this.now;
  }

  take(input: NotifyInput): readonly Alert[] {
    const { due, wakeAt } = this.fold.take(input);
    this.wakeAt = wakeAt;
    this.all.push(...due);
    return due;
  }
}

/** What a message says, in short: `failed a ×2 → ops`. */
export function shortly({ kind, of, pipeline, count, telling, channel, others }: Alert): string {
  const what = of === undefined ? kind : `${kind} of ${of}`;
  const who = [pipeline ?? "daemon", ...(others ?? []).map((one) => one.pipeline ?? "daemon")];
  const again = telling === 1 ? "" : ` again ${telling}`;
  return `${what} ${who.join("+")} ×${count}${again} → ${channel}`;
}
