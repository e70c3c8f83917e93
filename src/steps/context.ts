/** What the functions of steps, hooks and caches get. */
import { clipError, toStepError, type StepError } from "../core/failure.ts";
import type { Json } from "../core/snapshot.ts";
import type { RunInfo } from "../core/task.ts";

/**
 * Values by name whose types nobody declared: a file or another step gave them. A step that wants
 * them checked declares its types.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- see above
export type Loose = { readonly [name: string]: any };

/**
 * Writes structured lines to the run's log, which `orchd logs` shows.
 *
 * `log.info("read", { lines: 12 })` writes `{"level":"info","message":"read","lines":12}`. An
 * `Error` as `fields` becomes `{ error: { name, message, code?, stack, cause? } }`. Fields that
 * JSON cannot hold never fail the step: their kind is logged instead.
 */
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
  /** The step's own params, with `${…}` and secrets already replaced. */
  readonly params: P;
  /** By input name the result of a step, or one of its declared outputs, after JSON. */
  readonly inputs: I;
  /** The step's environment variables, frozen. `process.env` holds the same. */
  readonly env: Readonly<Record<string, string>>;
  /** Aborts when the run is stopped, and when the step's time limit is reached. */
  readonly signal: AbortSignal;
  /** Writes structured lines to the run's log. */
  readonly log: StepLog;
  /** Which run and which attempt this is. */
  readonly run: RunInfo;
  /** What the pipeline's init hook returned; null without one. */
  readonly state: S;
}

/** A slot that was missed, as an `onMissed` hook is told of it. */
export interface HookSlot {
  /** ISO 8601, UTC. */
  readonly slot: string;
  /** The last one of a stretch that begins with `slot`. */
  readonly until?: string;
  /** Why it was missed, as `orchd why` says it. */
  readonly because: string;
  /** The schedule's name, where it has one. */
  readonly schedule?: string;
}

/** What a hook's function gets; the function may ignore it. */
export interface HookContext {
  /** Which run this is. */
  readonly run: RunInfo;
  /** The step that ended: for `onSuccess` and `onFailure`. */
  readonly step?: string;
  /** Why the step failed, for `onFailure`, or the run, for `onRunFailure`. */
  readonly error?: StepError;
  /** Why the run failed or the slot was missed: for `onRunFailure` and `onMissed`. */
  readonly because?: string;
  /** The slots that were missed, the first ones of many: for `onMissed`. */
  readonly slots?: readonly HookSlot[];
  /** The pipeline's params, for `onMissed`. */
  readonly params?: Loose;
  /** The hook's environment variables, frozen. */
  readonly env: Readonly<Record<string, string>>;
  /** Aborts when the hook is told to end. */
  readonly signal: AbortSignal;
  /** Writes structured lines to the run's log. */
  readonly log: StepLog;
  /** What the init hook returned; null without one. */
  readonly state: Json;
}

/** What a cache function gets. It returns a string, which becomes part of the step's cache key. */
export interface CacheContext<P = Loose, I = Loose> {
  /** The step's params. */
  readonly params: P;
  /** The step's inputs. */
  readonly inputs: I;
  /** The step's environment variables, frozen. */
  readonly env: Readonly<Record<string, string>>;
  /** Which run and which attempt this is. */
  readonly run: RunInfo;
}

/**
 * Makes a log whose calls each become one line of JSON.
 *
 * @param mask takes the secrets out of an error, before its texts are cut
 */
export function stepLog(
  write: (line: string) => void,
  mask: (error: StepError) => StepError = (error) => error,
): StepLog {
  const at =
    (level: string) =>
    // Code without types may pass anything as the message.
    (message: unknown, fields: object = {}): void =>
      write(line(level, textOf(message), fields, mask));
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** A message as text. An object that has none is told by its kind: a log line never throws. */
function textOf(message: unknown): string {
  try {
    return String(message);
  } catch {
    return Object.prototype.toString.call(message);
  }
}

/**
 * Fields as their own `toJSON` has them: spread, the method would stand for the whole line. A plain
 * value, which code without types may pass, is kept whole: spread, a text would become its letters.
 */
function asJson(fields: unknown): object {
  if (fields === null || fields === undefined) return {};
  if (typeof fields !== "object") return { fields };
  const { toJSON } = fields as { readonly toJSON?: unknown };
  if (typeof toJSON !== "function") return fields;
  const value: unknown = toJSON.call(fields, "");
  return typeof value === "object" && value !== null ? value : { fields: value };
}

function line(
  level: string,
  message: string,
  fields: object,
  mask: (error: StepError) => StepError,
): string {
  const head = { level, message };
  try {
    const own = asJson(fields instanceof Error ? { error: fields } : fields);
    return JSON.stringify({ ...head, ...own, ...head }, function (key, value: unknown) {
      // JSON has nothing of an error, or what a library's toJSON makes of it: not its causes.
      const raw = (this as Readonly<Record<string, unknown>>)[key];
      if (raw instanceof Error) return clipError(mask(toStepError(raw)));
      return typeof value === "bigint" ? String(value) : value;
    });
  } catch {
    // A log line must never fail a step.
    return JSON.stringify({ ...head, fields: Object.prototype.toString.call(fields) });
  }
}
