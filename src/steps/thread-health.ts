/**
 * Whether a thread may be used again after a step. What a step leaves behind must not reach the
 * next one.
 *
 * The looks are cheap, because they are taken after every step. They cover what acts by itself
 * (timers, servers, watchers, processes), listeners on `process`, new globals, a changed
 * `Object.prototype`, and now and then the memory that is held. What a module sets up while it is
 * loaded belongs to the module, and was there before the step.
 *
 * A request to the system that a step did not wait for counts too: its failure would come while
 * another step runs, and that step would be blamed. Sockets do not count: a connection may be kept
 * for the next step.
 */

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
}

/** The health of one thread. */
export class ThreadHealth {
  #before: Look = look();
  #memoryAt = performance.now();

  /** A module was loaded: what it set up is no step's doing. */
  before(): void {
    this.#before = look();
  }

  /** Why the thread must not be used again after the task that just ended; undefined if it may. */
  after(): LeftBehind | undefined {
    const before = this.#before;
    const now = look();
    process.exitCode = undefined;
    if (now.active > before.active)
      return { because: "a step left something active: a timer, a server, a watcher or a process" };
    if (now.pending > before.pending)
      return { because: "a step did not wait for what it had asked of the system", pending: true };
    if (now.listeners !== before.listeners)
      return { because: "a step changed the listeners of the process" };
    if (now.globals !== before.globals) return { because: "a step changed the globals" };
    for (const name in Object.prototype)
      return { because: `a step gave every object a member "${name}"` };
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
  for (const kind of process.getActiveResourcesInfo()) {
    if (ACTIVE.has(kind)) active += 1;
    else if (PENDING.has(kind)) pending += 1;
  }
  let listeners = 0;
  for (const name of process.eventNames()) listeners += process.listenerCount(name);
  return { active, pending, listeners, globals: Object.keys(globalThis).length };
}
