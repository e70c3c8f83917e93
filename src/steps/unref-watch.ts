/**
 * Knows what was started and does not keep the thread alive: timers, threads, sockets and servers
 * after `unref()`, timers with `ref: false`, and watchers. `process.getActiveResourcesInfo` leaves
 * these out, and they act all the same, while another step runs.
 *
 * What Node itself lets go of (the socket of an agent, the timer of `AbortSignal.timeout`) is known
 * apart: it does not disturb the next step of the same pipeline.
 */

type Method = (this: object, ...given: unknown[]) => unknown;
type Alive = (resource: Record<string, unknown>) => boolean;

/** By module and class: whether one is still at work. */
const CLASSES: Readonly<Record<string, Readonly<Record<string, Alive>>>> = {
  worker_threads: {
    Worker: ({ threadId }) => threadId !== -1,
    MessagePort: () => true,
    BroadcastChannel: () => true,
  },
  net: {
    Socket: ({ destroyed }) => destroyed !== true,
    Server: ({ listening }) => listening === true,
  },
  dgram: { Socket: (socket) => hasAddress(socket) },
  child_process: {
    ChildProcess: ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
  },
};
/** A timer is in a list until it is over. */
const timerAlive: Alive = ({ _idleNext, _onTimeout }) => Boolean(_idleNext) && _onTimeout !== null;
const immediateAlive: Alive = ({ _destroyed }) => _destroyed !== true;

interface Watched {
  readonly alive: Alive;
  /** Node let go of it, or a module did while it was loaded. */
  quiet: boolean;
}

/** The resources of one thread that nobody waits for. */
export class UnrefWatch {
  readonly #watched = new Map<object, Watched>();
  #pending = 0;

  readonly #made: (resource: object) => void;

  /**
   * Begins to watch timers.
   *
   * @param made hears of each resource of a class that nothing names, before a step has it
   */
  constructor(made: (resource: object) => void) {
    this.#made = made;
    const timer = setTimeout(() => {}, 0);
    clearTimeout(timer);
    this.#watch(Object.getPrototypeOf(timer) as object, timerAlive, ["unref", "refresh"]);
    const immediate = setImmediate(() => {});
    clearImmediate(immediate);
    this.#watch(Object.getPrototypeOf(immediate) as object, immediateAlive, ["unref"]);
  }

  /** Begins to watch what a module of Node makes. */
  watchModule(name: string, module: object): void {
    const made = this.#made;
    for (const [kind, alive] of Object.entries(CLASSES[name] ?? {})) {
      const { prototype } = (module as Record<string, { readonly prototype?: object }>)[kind] ?? {};
      if (prototype !== undefined) this.#watch(prototype, alive, ["unref"]);
    }
    if (name === "fs") this.#watchWatchers(module as Record<string, unknown>);
    if (name === "fs/promises") {
      const files = module as { open: (...given: unknown[]) => Promise<object> };
      const original = files.open;
      files.open = async function open(...given) {
        const handle = await original(...given);
        made(handle);
        return handle;
      };
    }
    if (name === "timers/promises") this.#watchPromises(module as Record<string, unknown>);
  }

  /** A module was loaded: what it let go of is its own, and stays. */
  settle(): void {
    for (const watched of this.#watched.values()) watched.quiet = true;
  }

  /** Whether a step let go of something that is still at work. */
  get loud(): boolean {
    return this.#has(({ quiet }) => !quiet) || this.#pending > 0;
  }

  /** Whether anything is at work that nobody waits for. */
  get any(): boolean {
    return this.#has(() => true) || this.#pending > 0;
  }

  #has(which: (watched: Watched) => boolean): boolean {
    if (this.#watched.size === 0) return false;
    let found = false;
    for (const [resource, watched] of this.#watched)
      if (!watched.alive(resource as Record<string, unknown>)) this.#watched.delete(resource);
      else found ||= which(watched);
    return found;
  }

  #watch(prototype: object, alive: Alive, methods: readonly string[]): void {
    const add = (resource: object): void => {
      const quiet = this.#watched.get(resource)?.quiet ?? calledByNode();
      this.#watched.set(resource, { alive, quiet });
    };
    for (const name of methods) {
      const member = methodOf(prototype, name);
      if (member === undefined) continue;
      const original = member.value as Method;
      Object.defineProperty(prototype, name, {
        ...member,
        value: {
          [name](this: object, ...given: unknown[]): unknown {
            const result = Reflect.apply(original, this, given);
            if (name === "unref" || !isReferenced(this)) add(this);
            return result;
          },
        }[name],
      });
    }
  }

  /** A watcher is watched from its start: its class cannot be reached. */
  #watchWatchers(fs: Record<string, unknown>): void {
    for (const [name, alive] of [
      ["watch", ({ _handle }: Record<string, unknown>) => Boolean(_handle)],
      ["watchFile", ({ _handle }: Record<string, unknown>) => Boolean(_handle)],
    ] as const) {
      const original = fs[name] as Method;
      fs[name] = {
        [name]: (...given: unknown[]): unknown => {
          const watcher = Reflect.apply(original, fs, given) as object;
          this.#made(watcher);
          this.#watched.set(watcher, { alive, quiet: false });
          return watcher;
        },
      }[name];
    }
  }

  #watchPromises(timers: Record<string, unknown>): void {
    for (const [name, at] of [
      ["setTimeout", 2],
      ["setImmediate", 1],
    ] as const) {
      const original = timers[name] as (...given: unknown[]) => Promise<unknown>;
      timers[name] = {
        [name]: (...given: unknown[]): Promise<unknown> => {
          const promise = original(...given);
          if ((given[at] as { readonly ref?: unknown } | undefined)?.ref !== false) return promise;
          this.#pending += 1;
          const over = (): void => void (this.#pending -= 1);
          promise.then(over, over);
          return promise;
        },
      }[name];
    }
  }
}

function methodOf(prototype: object, name: string): PropertyDescriptor | undefined {
  for (let at: object | null = prototype; at !== null; at = Object.getPrototypeOf(at) as object) {
    const member = Reflect.getOwnPropertyDescriptor(at, name);
    if (member !== undefined) return typeof member.value === "function" ? member : undefined;
  }
  return undefined;
}

function isReferenced(resource: object): boolean {
  return (resource as { hasRef?(): boolean }).hasRef?.() !== false;
}

function hasAddress(socket: Record<string, unknown>): boolean {
  try {
    (socket["address"] as () => unknown).call(socket);
    return true;
  } catch {
    return false;
  }
}

/** Whether Node's own code called the method that called this. */
function calledByNode(): boolean {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 4;
  const stack = String(new Error().stack);
  Error.stackTraceLimit = before;
  // This function, `add`, the method, and its caller.
  return /[( ]node:/.test(stack.split("\n").at(-1) ?? "");
}
