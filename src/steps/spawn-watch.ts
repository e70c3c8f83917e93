/**
 * Makes sure that every process a step starts can be found again. The process carries the thread's
 * token, even if the step gives it an environment of its own, and the runner learns that there may
 * be processes to end.
 *
 * Output that a child would write to inherited descriptors 1 and 2 goes through the capture. The
 * synchronous calls are an exception: their output reaches the daemon through the runner's own
 * descriptors, as stray output.
 *
 * The watch is installed only for modules that may start processes, because loading
 * `node:child_process` costs a new thread a millisecond.
 */
import { createRequire, isBuiltin, syncBuiltinESMExports } from "node:module";
import type * as childProcess from "node:child_process";
import type { Readable } from "node:stream";
import { TOKEN_VARIABLE } from "../core/task.ts";

/** What the watch needs of the thread. */
export interface SpawnHost {
  /** The token of the task that runs now. */
  token(): string;
  /** A process was started. */
  spawned(): void;
  /** A child wrote this to a descriptor that it would have inherited. */
  output(stream: "stdout" | "stderr", chunk: Buffer): void;
}

/** Node's own function: the one that steps find is wrapped (tripwires.ts). */
const syncExports = syncBuiltinESMExports;
/** What is imported: a name in quotes, or something computed. */
const IMPORTS = new RegExp(
  String.raw`(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s*|\brequire\s*\(\s*)` +
    String.raw`(?:["']([^"'\n]*)["']|(?<=\(\s*)[^"'\s)])`,
  "g",
);
let isInstalled = false;

/** Whether a bundle may start processes: it names the module, or imports packages. */
export function maySpawn(bundle: string): boolean {
  return (
    bundle.includes("child_process") ||
    bundle.includes("process.binding") ||
    importsPackages(bundle)
  );
}

/** Whether a bundle imports what is neither Node's nor orchd's, or by computed names. */
export function importsPackages(bundle: string): boolean {
  for (const [, quoted] of bundle.matchAll(IMPORTS))
    if (quoted === undefined || !(isBuiltin(quoted) || quoted === "orchd")) return true;
  return false;
}

/** Installs the watch, once a thread. */
export function watchSpawns(host: SpawnHost): void {
  if (isInstalled) return;
  isInstalled = true;
  const module = createRequire(import.meta.url)("node:child_process") as Mutable<
    typeof childProcess
  >;
  watchAsynchronous(module, host);
  for (const name of ["spawnSync", "execFileSync", "execSync"] as const) {
    const original = module[name] as (...args: unknown[]) => unknown;
    module[name] = ((...args: unknown[]) => {
      host.spawned();
      return original(...args.map((argument) => withToken(argument, host)));
    }) as never;
  }
  syncExports();
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface SpawnOptions {
  envPairs?: string[];
  stdio?: unknown;
}
type Spawnable = childProcess.ChildProcess & { spawn(options: SpawnOptions): unknown };

function watchAsynchronous(module: Mutable<typeof childProcess>, host: SpawnHost): void {
  const prototype = module.ChildProcess.prototype as unknown as Spawnable;
  const original = prototype.spawn;
  prototype.spawn = function spawn(this: Spawnable, options: SpawnOptions): unknown {
    host.spawned();
    const pairs = options.envPairs ?? [];
    if (!pairs.some((pair) => pair.startsWith(`${TOKEN_VARIABLE}=`)))
      options.envPairs = [...pairs, `${TOKEN_VARIABLE}=${host.token()}`];
    const redirected = redirect(options);
    const result = original.call(this, options);
    for (const [index, stream] of redirected) {
      const readable = this.stdio?.[index] as Readable | null | undefined;
      readable?.on("data", (chunk: Buffer) => host.output(stream, chunk)).on("error", () => {});
      // The step asked for an inherited output, so it gets nothing to read from.
      this[stream] = null;
    }
    return result;
  };
}

/** Turns inherited outputs into pipes. @returns the descriptors and streams that it turned */
function redirect(options: SpawnOptions): [1 | 2, "stdout" | "stderr"][] {
  const given = options.stdio;
  const list: unknown[] = Array.isArray(given)
    ? [...given]
    : given === "inherit"
      ? ["inherit", "inherit", "inherit"]
      : [];
  const redirected: [1 | 2, "stdout" | "stderr"][] = [];
  for (const [index, stream] of [
    [1, "stdout"],
    [2, "stderr"],
  ] as const) {
    if (list[index] !== "inherit" && list[index] !== index) continue;
    list[index] = "pipe";
    redirected.push([index, stream]);
  }
  if (redirected.length > 0) options.stdio = list;
  return redirected;
}

function withToken(argument: unknown, host: SpawnHost): unknown {
  if (argument === null || typeof argument !== "object" || Array.isArray(argument)) return argument;
  const { env } = argument as { env?: Record<string, string> };
  if (env === undefined || env === null || TOKEN_VARIABLE in env) return argument;
  return { ...argument, env: { ...env, [TOKEN_VARIABLE]: host.token() } };
}
