/**
 * What a far runner says of tasks, on its way to the pool. It is believed in nothing that it could
 * get wrong here: it speaks of tasks that it has, its times are this machine's, a result's files
 * are taken by their sha256, and no text is longer than a ledger takes.
 */
import { clipError, FAILURE_CODES } from "../../core/failure.ts";
import { LINE_OVERHEAD, OUTPUT_LIMIT } from "../../core/task.ts";
import type { Json } from "../../core/snapshot.ts";
import { iso } from "../../core/time.ts";
import type { FarTasks } from "./far-tasks.ts";
import type { FromRunner, RawResult } from "./protocol.ts";
import { ReceivedFiles } from "./received-files.ts";
import type { FromFar } from "./wire.ts";

/** A runner keeps to the limit of an attempt's output. One that prints twice of it does not. */
const MOST_OUTPUT = 2 * OUTPUT_LIMIT;

/** Takes what one runner says. */
export class FarAnswers {
  readonly #tasks: FarTasks;
  readonly #files = new ReceivedFiles();
  /** How much each task has printed, in characters. */
  readonly #printed = new Map<string, number>();

  constructor(tasks: FarTasks) {
    this.#tasks = tasks;
  }

  /**
   * Takes a batch.
   *
   * @param now wall time, in milliseconds since 1970
   * @returns what the pool hears of it, or what the runner did wrong
   */
  take(batch: readonly FromRunner[], now: number): FromRunner[] | string {
    const heard: FromRunner[] = [];
    for (const message of batch) {
      if (message.type === "begun") {
        heard.push(message);
        continue;
      }
      const { id } = message;
      const isKnown = this.#tasks.has(id);
      // One that breaks the rules of the wire is ended, whichever task it speaks of.
      if (!isKnown && message.type !== "done" && message.type !== "stuck") continue;
      switch (message.type) {
        case "output": {
          let printed = this.#printed.get(id) ?? 0;
          for (const line of message.lines) printed += line.length + LINE_OVERHEAD;
          if (printed > MOST_OUTPUT) return "printed more than an attempt may";
          this.#printed.set(id, printed);
          heard.push({ ...message, at: iso(now) });
          break;
        }
        case "done":
        case "stuck": {
          const result = this.#own(id, message.result);
          if (result === undefined) return "sent what is no message: a result that is no JSON";
          if (!isKnown) continue;
          heard.push(ownEnd(message, result, now));
          this.#forget(id);
          break;
        }
        case "aside":
          heard.push(message);
          this.#forget(id);
          break;
        case "call":
          heard.push(message);
      }
    }
    return heard;
  }

  /** Takes a piece of a result's file. @returns what the runner did wrong; undefined: nothing */
  piece(message: Extract<FromFar, { type: "piece" }>): string | undefined {
    const folder = this.#tasks.artifactsOf(message.id);
    return folder === undefined ? undefined : this.#files.take(message, folder);
  }

  /** The runner is gone. */
  end(): void {
    this.#files.end();
  }

  #forget(id: string): void {
    this.#tasks.forgetTask(id);
    this.#printed.delete(id);
    this.#files.drop(id);
  }

  /** Undefined: its text is no JSON. */
  #own(id: string, result: RawResult): RawResult | undefined {
    if (!result.ok) return { ...result, error: clipError(result.error) };
    if ("json" in result) return parsed(result.json);
    if (!("staged" in result)) return result;
    try {
      return { ok: true, staged: this.#files.adopt(id, result.staged) };
    } catch (error) {
      const { message } = error as Error;
      const code = FAILURE_CODES.place;
      return { ok: false, outcome: "failed", error: { name: "PlaceError", message, code } };
    }
  }
}

/** Member by member: a copy by `...` costs many times as much, and there is one for each step. */
function ownEnd(
  message: Extract<FromRunner, { type: "done" | "stuck" }>,
  result: RawResult,
  now: number,
): FromRunner {
  const { type, id, durationMs } = message;
  const startedAt = now - durationMs;
  if (type === "done") return { type, id, result, durationMs, startedAt };
  return { type, id, result, durationMs, startedAt, unstarted: message.unstarted };
}

/** It is parsed here, once: what is no JSON must not be found in the middle of a run. */
function parsed(json: string): RawResult | undefined {
  try {
    return { ok: true, value: JSON.parse(json) as Json };
  } catch {
    return undefined;
  }
}
