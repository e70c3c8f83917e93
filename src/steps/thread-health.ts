/**
 * Whether a thread may be used again after a step: what a step leaves behind must not meet the next
 * one.
 *
 * Cheap looks only, since they are taken after every step: what goes on acting by itself (timers,
 * servers, watchers, processes), listeners on `process`, new globals, a changed `Object.prototype`,
 * and now and then the memory that is held. What a module sets up as it is loaded is its own and
 * counts from before the step. What a step asked of the system and did not wait for is as bad: its
 * failure would come while another step runs, and be taken for that one's. Sockets are no sign: a
 * connection may be kept for the next step.
 */

/**
 * Kinds of resources that act by themselves, as `process.getActiveResourcesInfo` names them. What
 * is unref'd is not among them.
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
/** Memory is looked at no more often than this: looking costs as much as a small step. */
const MEMORY_EVERY_MS = 100;
/** Bytes, heap and Buffers together, that a thread may hold which is to be used again. */
const MEMORY_LIMIT = 256 * 1024 * 1024;

/** What a step left behind. */
export interface LeftBehind {
  /** For people. */
  readonly because: string;
  /** It is under way and ends by itself. */
  readonly pending?: true;
}

interface Look {
  readonly active: number;
  readonly pending: number;
  readonly listeners: number;
  readonly globals: number;
}

/** One thread's state of health. */
export class ThreadHealth {
  #before: Look = look();
  #memoryAt = performance.now();

  /** A module was loaded, and what it set up is its own. */
  before(): void {
    this.#before = look();
  }

  /** Why the thread is not to be used again after what has just ended; undefined if it may be. */
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
