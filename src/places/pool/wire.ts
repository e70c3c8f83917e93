/**
 * What a daemon and a far runner say to each other over the runner's stdin and stdout, or over a
 * socket beside them (runner-wire.ts): one JSON a line, in both directions.
 *
 * - The daemon's first line is the {@link FarSettings}. The runner's first line is its {@link
 *   Hello}. Where their protocols differ, nothing more is said.
 * - `ready` says that the runner takes tasks. From then on an array is a batch of messages
 *   (protocol.ts), packed as on this machine (packed-batch.ts). An object is about the wire itself.
 * - **The lease.** Every {@link BEAT_MS} the runner asks with a number, and the daemon answers the
 *   number. An answer is a lease of {@link LEASE_MS}, which counts from when the runner *asked*: so
 *   a line that was long on its way prolongs nothing. Without a lease the runner ends itself and
 *   all that it started. If it is frozen, the small process in front of it does that, at most
 *   {@link WATCH_MS} and a quarter of it later. The daemon gives a silent runner up {@link
 *   PATIENCE_MS} after the last question that it heard, which is longer than both together. All of
 *   these are monotonic. So no task ever runs beside its successor.
 * - **Files** go by name and sha256. The daemon asks for each file that a task needs whether it is
 *   there (`need`), and sends what is not (`put`), before it sends the task. A large result comes
 *   as pieces of its files (`piece`) before its `done`.
 *
 * Rejected: a lease that counts from when bytes arrive, since a link that was down delivers late
 * what was sent long before.
 */
import { PACKED_VALUES, type PackedFromRunner } from "./packed-batch.ts";
import { LIFELINE } from "./protocol.ts";

/** A daemon and a runner of unequal protocols do not work together. */
export const WIRE_PROTOCOL = 2;
/** How often the runner asks for its lease, in milliseconds. */
export const BEAT_MS = 2_000;
/** How long a lease is, in milliseconds. */
export const LEASE_MS = 9_000;
/** How long a runner and the process in front of it go on without a sign of the other. */
export const WATCH_MS = 4_000;
/** How long the daemon waits for a silent runner, in milliseconds. */
export const PATIENCE_MS = 15_000;
/** How long the daemon waits for the hello, in milliseconds. Nothing runs before it. */
export const HELLO_MS = 60_000;
/**
 * The longest line, in bytes. A result of 32 MiB that could not be put into a file is a text within
 * a text, which may double it.
 */
export const LONGEST_LINE = 72 * 1024 * 1024;
/** How much of a file one line carries, in bytes. */
export const PIECE_BYTES = 48 * 1024;
/** The first of two descriptors of the runner: the wire's two ends. */
export const WIRE_DESCRIPTOR = LIFELINE + 1;
/** The status with which the process in front ends: the runner is gone, and all that it started. */
export const OVER_STATUS = 86;

/** The daemon's first line. Every protocol has `protocol`. */
export interface FarSettings {
  readonly protocol: number;
  readonly threads: number;
  readonly memoryMb?: number | undefined;
  /** `RunnerSettings.token`, of this runner. */
  readonly token: string;
  /**
   * The folder that bundles and artifacts are kept in. Undefined: one that goes with the runner.
   */
  readonly folder?: string | undefined;
  /** The folder in which steps run. Undefined: the one that files are kept in. */
  readonly workdir?: string | undefined;
  /** The file that tells which steps had begun, as an absolute path (far-claims.ts). */
  readonly claims?: string | undefined;
  /**
   * The path of a socket of the daemon's. Where the runner can connect, what it and the daemon say
   * from `ready` on goes by it. Undefined: all goes over stdin and stdout.
   */
  readonly socket?: string | undefined;
}

/** The runner's first line. Every protocol has these. */
export interface Hello {
  readonly type: "hello";
  readonly protocol: number;
  /** The release of orchd there. */
  readonly version: string;
  /** `20.20.0`. */
  readonly node: string;
  /** `linux/x64`. */
  readonly platform: string;
}

/** Daemon to runner, about the wire. */
export type ToFar =
  | { readonly type: "beat"; readonly number: number }
  | { readonly type: "need"; readonly name: string; readonly hash: string }
  /** The next piece of a file, in base64. */
  | {
      readonly type: "put";
      readonly name: string;
      readonly hash: string;
      readonly data: string;
      readonly last: boolean;
    };

/** Runner to daemon, about the wire. */
export type FromFar =
  | Hello
  /** It takes tasks. `folder` is where it keeps `artifacts`. */
  | { readonly type: "ready"; readonly folder: string }
  | { readonly type: "beat"; readonly number: number }
  | { readonly type: "has"; readonly name: string }
  | { readonly type: "lacks"; readonly name: string }
  | { readonly type: "cannot"; readonly name: string; readonly because: string }
  /** The next piece of a result's file, in base64. Files are counted from 0. */
  | {
      readonly type: "piece";
      readonly id: string;
      readonly file: number;
      readonly data: string;
      readonly last: boolean;
    }
  /**
   * The last line: how the runner ended. Nothing of it is left. `isLost`: it had no lease any more,
   * which the runner says itself; a line of the process in front follows.
   */
  | {
      readonly type: "over";
      readonly detail: string;
      readonly outOfMemory: boolean;
      readonly isLost?: boolean;
    };

/** What a line says. Undefined: it is no message. */
export function parseLine(line: string): unknown {
  try {
    const value = JSON.parse(line) as unknown;
    return value !== null && typeof value === "object" ? value : undefined;
  } catch {
    return undefined;
  }
}

type Fields = Readonly<Record<string, unknown>>;
const isText = (value: unknown): value is string => typeof value === "string";
const areTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
const isRecord = (value: unknown): value is Fields => value !== null && typeof value === "object";
const isNumber = (value: unknown): value is number => Number.isFinite(value);

/** Whether a value has the shape of a {@link FromFar}. */
export function isFromFar(value: unknown): value is FromFar {
  const { type, number, name, because, id, file, data, last, ...rest } = value as Fields;
  switch (type) {
    case "hello":
      return (
        isNumber(rest["protocol"]) &&
        ["version", "node", "platform"].every((key) => isText(rest[key]))
      );
    case "ready":
      return isText(rest["folder"]);
    case "beat":
      return isNumber(number);
    case "has":
    case "lacks":
      return isText(name);
    case "cannot":
      return isText(name) && isText(because);
    case "piece":
      return isText(id) && Number.isInteger(file) && isText(data) && typeof last === "boolean";
    case "over":
      return isText(rest["detail"]) && typeof rest["outOfMemory"] === "boolean";
    default:
      return false;
  }
}

/** Whether a value has the shape of a `PackedFromRunner`: the pool takes each as it is. */
export function isFromRunner(value: unknown): value is PackedFromRunner {
  if (!isRecord(value)) return false;
  const { type, id } = value;
  if (type === "begun") return areTexts(value["ids"]);
  if (type === "ends") return areEnds(value["ends"]);
  if (!isText(id)) return false;
  switch (type) {
    case "done":
      return isResult(value["result"]) && isNumber(value["durationMs"]);
    case "stuck":
      return (
        isResult(value["result"]) && isNumber(value["durationMs"]) && areTexts(value["unstarted"])
      );
    case "call":
      return isNumber(value["call"]) && isText(value["method"]);
    case "output":
      return isText(value["stream"]) && STREAMS.has(value["stream"]) && areTexts(value["lines"]);
    case "aside":
      return areTexts(value["beside"]) && isText(value["because"]) && isText(value["code"]);
    default:
      return false;
  }
}

const STREAMS: ReadonlySet<string> = new Set(["stdout", "stderr", "log", "orchd"]);

/** Of each end: its id, its value as JSON, its duration, and when it started. */
function areEnds(ends: unknown): boolean {
  if (!Array.isArray(ends) || ends.length % PACKED_VALUES !== 0) return false;
  for (let at = 0; at < ends.length; at += PACKED_VALUES)
    if (!isText(ends[at]) || !isText(ends[at + 1])) return false;
    else if (!isNumber(ends[at + 2]) || !isNumber(ends[at + 3])) return false;
  return true;
}

function isResult(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { ok, json, staged, error, outcome } = value;
  if (ok === true) return isText(json) || isStaged(staged);
  return (
    ok === false &&
    isRecord(error) &&
    isText(error["name"]) &&
    isText(error["message"]) &&
    (outcome === "failed" || outcome === "stopped" || outcome === "timeout")
  );
}

function isStaged(staged: unknown): boolean {
  if (!isRecord(staged) || !("value" in staged) || !Array.isArray(staged["files"])) return false;
  return staged["files"].every(
    (each: unknown) =>
      isRecord(each) &&
      isRecord(each["ref"]) &&
      isText(each["ref"]["$artifact"]) &&
      /^[0-9a-f]{64}$/.test(each["ref"]["$artifact"]) &&
      Number.isInteger(each["ref"]["bytes"]),
  );
}
