/** What a step's function is given. */
import type { Json } from "../core/snapshot.ts";
import type { RunInfo } from "../core/task.ts";

/** Values by name whose types nobody declared. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- what a file or another step gave; a step that wants to be sure declares its types
export type Loose = { readonly [name: string]: any };

/** Writes structured lines to the run's log: `context.log.info("read", { lines: 12 })`. */
export interface StepLog {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
}

/**
 * What a step's function gets (docs/pipeline-files.md).
 *
 * @typeParam P its params
 * @typeParam I its inputs
 * @typeParam S what the pipeline's init hook returned
 */
export interface StepContext<P = Loose, I = Loose, S = Loose | null> {
  readonly params: P;
  readonly inputs: I;
  /** The step's environment; `process.env` holds the same. */
  readonly env: Readonly<Record<string, string>>;
  /** Aborts when the run is stopped and when the step's time is up. */
  readonly signal: AbortSignal;
  readonly log: StepLog;
  readonly run: RunInfo;
  /** What the pipeline's init hook returned; null without one. */
  readonly state: S;
}

/** What a hook's function gets. It may take no argument. */
export interface HookContext {
  readonly run: RunInfo;
  /** The step that ended, for `onSuccess` and `onFailure`. */
  readonly step?: string;
  /** Why it failed, for `onFailure`. */
  readonly error?: {
    readonly name: string;
    readonly message: string;
    readonly code?: string;
    readonly stack?: string;
  };
  /** Why the run failed or the slot was missed, for `onRunFailure` and `onMissed`. */
  readonly because?: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly log: StepLog;
  /** What the init hook returned. */
  readonly state: Json;
}

/** What a cache function gets; it returns a text that becomes part of the step's cache key. */
export interface CacheContext<P = Loose, I = Loose> {
  readonly params: P;
  readonly inputs: I;
  readonly env: Readonly<Record<string, string>>;
  readonly run: RunInfo;
}

/** A log that writes each call as one line of JSON. */
export function stepLog(write: (line: string) => void): StepLog {
  const at =
    (level: string) =>
    // Code without types may pass anything.
    (message: unknown, fields: object = {}): void =>
      write(line(level, String(message), fields));
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function line(level: string, message: string, fields: object): string {
  const head = { level, message };
  try {
    const own =
      fields instanceof Error
        ? { error: { name: fields.name, message: fields.message, stack: fields.stack } }
        : fields;
    return JSON.stringify({ ...head, ...own, ...head }, (_key, value: unknown) =>
      typeof value === "bigint" ? String(value) : value,
    );
  } catch {
    // A log line must never fail a step.
    return JSON.stringify({ ...head, fields: Object.prototype.toString.call(fields) });
  }
}
