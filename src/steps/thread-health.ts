/**
 * Whether a thread may be used again after a step, and for whom.
 *
 * What a step leaves behind must not reach the next one. These looks are cheap, because they are
 * taken after every step. They cover what acts by itself (timers, servers, watchers, processes,
 * also after `unref()`), listeners on `process`, new globals, a changed `Object.prototype`, and now
 * and then the memory that is held. What a module sets up while it is loaded belongs to the module,
 * and was there before the step.
 *
 * What a pipeline changes must never be seen by another one. This look is thorough, and costs as
 * much as several small steps, so it is taken only when another pipeline's step comes
 * ({@link ThreadHealth.unfit}): a thread that serves one pipeline never pays for it. Then nothing
 * at all may be different from when the thread was new: no member of what the language and Node
 * give (pristine.ts), no state that only a call can change (tripwires.ts), no resource.
 *
 * A request to the system that a step did not wait for counts too: its failure would come while
 * another step runs, and that step would be blamed. Sockets do not count for the same pipeline: a
 * connection may be kept for its next step.
 */
import { EventEmitter } from "node:events";
import { inspect } from "node:util";
import { importsPackages } from "./spawn-watch.ts";
import { guardLanguage, guardModule } from "./tripwires.ts";
import { Pristine } from "./pristine.ts";
import { UnrefWatch } from "./unref-watch.ts";

/**
 * Kinds of resources that act by themselves, as `process.getActiveResourcesInfo` names them. It
 * does not list what is unref'd.
 */
const ACTIVE: ReadonlySet<string> = new Set([
  "Timeout",
  "Immediate",
  "ProcessWrap",
  "TCPServerWrap",
  "PipeServerWrap",
  "UDPWrap",
  "SignalWrap",
  "FSEventWrap",
  "StatWatcher",
  "Worker",
]);
/** Kinds of requests to the system. */
const PENDING: ReadonlySet<string> = new Set([
  "FSReqPromise",
  "FSReqCallback",
  "GetAddrInfoReqWrap",
  "TCPConnectWrap",
  "PipeConnectWrap",
]);
/** How often memory is looked at, at most: a look costs as much as a small step. */
const MEMORY_EVERY_MS = 100;
/** How many bytes, heap and Buffers together, a thread may hold and still be used again. */
const MEMORY_LIMIT = 256 * 1024 * 1024;

/** The largest Buffer that is taken from shared memory, in bytes. */
const LARGEST_POOLED = Math.floor(Buffer.poolSize / 2) - 1;

/** What a step left behind. */
export interface LeftBehind {
  /** A sentence for people. */
  readonly because: string;
  /** It is still under way, and ends by itself. */
  readonly pending?: true;
}

interface Look {
  readonly active: number;
  readonly pending: number;
  readonly listeners: number;
  readonly globals: number;
  /** All that is open, of any kind. */
  readonly open: number;
}

/** What must be as it was for another pipeline, and is no member: it is read by a call. */
const PROBES: readonly (() => unknown)[] = [
  () => EventEmitter.defaultMaxListeners,
  () => EventEmitter.captureRejections,
  () => process.title,
  () => process.hasUncaughtExceptionCaptureCallback(),
  () => JSON.stringify(inspect.defaultOptions),
];

/** The health of one thread. */
export class ThreadHealth {
  readonly #unref = new UnrefWatch((made) => this.#pristine?.adopt(made));
  readonly #pristine: Pristine | undefined;
  /** As the thread was when it was new. */
  readonly #first: Look;
  readonly #probes: readonly unknown[];
  #tripped: string | undefined;
  #before: Look;
  #memoryAt = performance.now();

  /**
   * @param reused whether steps of several pipelines may come: then their thread is looked at
   * @param prepare hears of each module of Node before steps can find it
   */
  constructor(reused = false, prepare: (name: string) => void = () => undefined) {
    if (reused) {
      const trip = (what: string): void => void (this.#tripped ??= `${what} was used`);
      guardLanguage(trip, (target) => this.#pristine?.redefined(target));
      this.#pristine = new Pristine((name, module) => {
        prepare(name);
        this.#unref.watchModule(name, module);
        guardModule(name, module, trip);
      });
    }
    this.#probes = PROBES.map((probe) => probe());
    this.#first = look();
    this.#before = this.#first;
  }

  /**
   * A text is evaluated next: what it names is looked at before. A promise if that takes a while.
   */
  foresee(text: string): Promise<void> | undefined {
    if (this.#pristine === undefined) return undefined;
    this.#pristine.foresee(text);
    if (importsPackages(text) || text.includes("orchd.runtime"))
      this.#tripped ??= "a package may be loaded, which keeps state of its own";
    return /["']orchd["']/.test(text) ? this.#includeOwnPackage(this.#pristine) : undefined;
  }

  async #includeOwnPackage(pristine: Pristine): Promise<void> {
    const name = "orchd";
    pristine.include((await import(name)) as object);
  }

  /** A module was loaded: what it set up is no step's doing. */
  before(): void {
    this.#unref.settle();
    this.#before = look();
  }

  /** Whether it is known already that no other pipeline may use the thread. */
  get isBound(): boolean {
    return this.#pristine === undefined || this.#tripped !== undefined;
  }

  /** Why another pipeline than before must not use the thread; undefined if it may. */
  unfit(): string | undefined {
    if (this.#pristine === undefined) return "it is used once";
    if (this.#tripped !== undefined) return this.#tripped;
    if (this.#unref.any) return "something is at work that nobody waits for";
    const now = look();
    if (now.open !== this.#first.open) return "something is open";
    if (now.listeners !== this.#first.listeners) return "the listeners of the process were changed";
    const changed = PROBES.findIndex((probe, at) => probe() !== this.#probes[at]);
    if (changed !== -1) return "a setting of Node was changed";
    const difference = this.#pristine.difference();
    if (difference === undefined) forget();
    return difference;
  }

  /** Why the thread must not be used again after the task that just ended; undefined if it may. */
  after(): LeftBehind | undefined {
    const before = this.#before;
    const now = look();
    process.exitCode = undefined;
    if (now.active > before.active)
      return { because: "a step left something active: a timer, a server, a watcher or a process" };
    if (this.#unref.loud) return { because: "a step left something active that nobody waits for" };
    if (now.pending > before.pending)
      return { because: "a step did not wait for what it had asked of the system", pending: true };
    if (now.listeners !== before.listeners)
      return { because: "a step changed the listeners of the process" };
    for (const name in Object.prototype)
      return { because: `a step gave every object a member "${name}"` };
    if (now.globals !== before.globals) return { because: "a step changed the globals" };
    this.#before = now;
    const at = performance.now();
    if (at - this.#memoryAt < MEMORY_EVERY_MS) return undefined;
    this.#memoryAt = at;
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external > MEMORY_LIMIT ? { because: "its memory grew" } : undefined;
  }
}

function look(): Look {
  let active = 0;
  let pending = 0;
  let open = 0;
  for (const kind of process.getActiveResourcesInfo()) {
    if (kind !== "Immediate") open += 1;
    if (ACTIVE.has(kind)) active += 1;
    else if (PENDING.has(kind)) pending += 1;
  }
  let listeners = 0;
  for (const name of process.eventNames()) listeners += process.listenerCount(name);
  let globals = 0;
  // `Object.keys` sorts them, and costs twice as much.
  for (const name in globalThis) {
    void name;
    globals += 1;
  }
  return { active, pending, listeners, globals, open };
}

/** Makes the thread forget what can be read of the steps before. */
function forget(): void {
  // Small Buffers share their memory, and each of them gives out all of it. A new piece is begun.
  for (let taken = 0; taken <= Buffer.poolSize; taken += LARGEST_POOLED)
    Buffer.allocUnsafe(LARGEST_POOLED);
  // `RegExp.$1` and its kin hold the text that was matched last.
  /^/.exec("");
}
