/**
 * The runners of module steps in containers: one warm runner for each image (by its id) and
 * settings of the container, behind the engine's `run`.
 *
 * - A runner is a **stream runner** (pool/stream-runner.ts). The package is mounted, and a folder
 *   with a socket of the daemon's. All else goes over that: the engine copies stdin and stdout
 *   twice on their way. A pool (pool/runner-pool.ts) has it, gives it tasks, and starts another
 *   when it dies, or for a task that must run alone.
 * - A runner has died when its container is removed. So a task that runs again meets no survivor,
 *   be the container frozen, the engine's command killed, or the wire cut. Where the engine does
 *   not remove it, the lease of the wire is over, and the place removes it before it starts more.
 * - The engine is on this machine, so no link to a runner is ever lost. Where a container is killed
 *   and nobody says why, its tasks may be to blame, as with a runner on this machine.
 * - A pool without tasks ends after a while, and its runner and container with it. Where orchd.yaml
 *   names another engine, the pools of the old one end with their last tasks.
 * - The daemon dies: its runners read the end of their stdin, or lose their lease, and end. The
 *   next daemon removes their containers before a step begins in one.
 * - A runner that never says hello took no task: there is no Node in the image, or the engine
 *   refuses. Its tasks fail with that sentence, and no task is to blame.
 */
import { dirname, basename, join, relative } from "node:path";
import { hostname } from "node:os";
import type { Clock, Timer } from "../../clock.ts";
import type { ImageContainer } from "../../core/container.ts";
import type { PlacedAt } from "../../core/run-state.ts";
import { builtProgram } from "../../disk/built-program.ts";
import type { Log } from "../../log.ts";
import type { PoolMessage, RunnerSettings } from "../pool/protocol.ts";
import { RunnerPool } from "../pool/runner-pool.ts";
import type { RunnerExit, RunnerListener } from "../pool/runner-process.ts";
import type { CommandEnd } from "../pool/stream-place.ts";
import { StreamRunner } from "../pool/stream-runner.ts";
import type { Hello } from "../pool/wire.ts";
import { runnerWords, WIRE_FOLDER } from "./container-command.ts";
import { otherProcessor } from "./container-end.ts";
import type { ContainerFiles, ContainersFolder } from "./container-files.ts";
import { containerName, keptName } from "./container-name.ts";
import type { Engine, EngineName } from "./engine.ts";
import { isCut, stateOnceBack } from "./engine-away.ts";
import { lateOutOfMemory } from "./late-out-of-memory.ts";
import { startFault } from "./start-fault.ts";

/** How long a pool without tasks waits for the next one, in milliseconds. */
const IDLE_MS = 60_000;
/** The engine's status for a container that SIGKILL ended. */
const KILLED_STATUS = 137;
/** The engine's status for its own failures. */
const ENGINE_STATUS = 125;
/** What the daemon's socket is called. */
const SOCKET = "wire";
/** The oldest Node that runs orchd's runner. */
const LEAST_NODE = 20;

/** What the runners need of their place. */
export interface RunnersHost {
  readonly clock: Clock;
  readonly log: Log;
  readonly root: string;
  readonly relabels: boolean;
  /** A folder in it says to the next daemon that a container may be left. */
  readonly folder: ContainersFolder;
  /** Of the runners: `threads` is not used. */
  readonly settings: Omit<RunnerSettings, "threads" | "scratch">;
  /** How many steps run at once. */
  atOnce(): number;
  /** A container could not be removed. */
  doubtful(name: string, engine: Engine): void;
}

/** One runner, as its tasks see it. */
interface Place {
  readonly name: string;
  /** They are there as long as its container may be. */
  readonly files: ContainerFiles;
  /** It said hello, and may run tasks. */
  isGreeted: boolean;
  /** Why it runs none. */
  fault?: string;
  /** Its container stays. */
  isKept: boolean;
  /** Its runner has died, and what becomes of its container is decided. */
  isDead: boolean;
  /** The engine's command failed under it. */
  isCut: boolean;
  /** The engine says so. It must be asked before the container is removed. */
  isOutOfMemory: boolean;
}

/** Who hears where a task begins. */
type Placed = (at: PlacedAt) => void;

/** The runners for one image and the same settings. */
export class ModulePool {
  readonly pool: RunnerPool;
  readonly engine: Engine;
  readonly #host: RunnersHost;
  readonly #container: ImageContainer;
  readonly #image: string;
  readonly #tasks = new Set<string>();
  /** Where each task is, or was last. */
  readonly #places = new Map<string, Place>();
  readonly #placed = new Map<string, Placed>();
  readonly #burials = new Set<Promise<void>>();
  #idle: Timer | undefined;
  readonly #onIdle: () => void;
  /** It ends with its last task. */
  #isLeft = false;

  /** @param image its id. @param onIdle called when it had no task for a while */
  constructor(
    host: RunnersHost,
    engine: Engine,
    container: ImageContainer,
    image: string,
    token: string,
    onIdle: () => void,
  ) {
    this.#host = host;
    this.engine = engine;
    this.#container = container;
    this.#image = image;
    this.#onIdle = onIdle;
    const { clock, log, settings } = host;
    this.pool = new RunnerPool({
      clock,
      log,
      settings: { ...settings, token, threads: host.atOnce(), scratch: "" },
      launch: (own, number, alone, listener) => this.#launch(own, number, alone, listener),
    });
  }

  /** A task will be started under this id. */
  begin(id: string, placed: Placed | undefined): void {
    this.#idle?.cancel();
    this.#tasks.add(id);
    if (placed !== undefined) this.#placed.set(id, placed);
  }

  /** A task has ended. */
  end(id: string): void {
    this.#places.delete(id);
    this.#placed.delete(id);
    this.#tasks.delete(id);
    if (this.#tasks.size > 0) return;
    if (this.#isLeft) this.#onIdle();
    else this.#idle = this.#host.clock.after(IDLE_MS, this.#onIdle);
  }

  /** It is given no more tasks: it ends with its last one. */
  leave(): void {
    this.#isLeft = true;
    if (this.#tasks.size > 0) return;
    this.#idle?.cancel();
    this.#onIdle();
  }

  /** Why the runner of a task ran none. Undefined: it did. */
  faultOf(id: string): string | undefined {
    return this.#places.get(id)?.fault;
  }

  /**
   * The container of a task that was alone in it stays.
   *
   * @returns its name from then on. Undefined: its runner has died, and it goes
   */
  keep(id: string): string | undefined {
    const place = this.#places.get(id);
    if (place === undefined || place.isDead) return undefined;
    place.isKept = true;
    return keptName(place.name);
  }

  /** Ends its runners. */
  async close(): Promise<void> {
    this.#idle?.cancel();
    await this.pool.close();
    await Promise.all(this.#burials);
  }

  #launch(
    settings: RunnerSettings,
    number: number,
    alone: boolean,
    listener: RunnerListener,
  ): ContainerRunner {
    const { clock, root } = this.#host;
    const place: Place = {
      files: this.#host.folder.begin(false, this.engine),
      name: containerName(root, `${settings.token}.${number}`),
      isGreeted: false,
      isKept: false,
      isDead: false,
      isCut: false,
      isOutOfMemory: false,
    };
    const waiting: string[] = [];
    const runner = new ContainerRunner(
      {
        clock,
        where: `in the container ${place.name}`,
        isLocal: true,
        workdir: this.#container.workdir,
        command: (token) => ({ words: this.#words(place, token), cwd: place.files.folder }),
        socket: () => ({
          here: join(place.files.mounted, SOCKET),
          there: `${WIRE_FOLDER}/${SOCKET}`,
        }),
        end: async () => {
          await this.#askOfMemory(place);
          return (await this.engine.remove([place.name])) === undefined ? {} : undefined;
        },
        heard: (hello) => {
          place.isGreeted = true;
          const fault = nodeFault(hello, this.#container.image);
          if (fault !== undefined) place.fault = fault;
          for (const id of waiting.splice(0)) this.#tell(id, place);
          if (fault !== undefined) runner.kill();
        },
        explain: (end) => {
          if (!place.isGreeted) place.fault ??= runnerFault(end, this.#container, this.engine.name);
          else if (end.status === ENGINE_STATUS && isCut(end.said)) place.isCut = true;
          return place.fault ?? (end.status === KILLED_STATUS ? "was ended by SIGKILL" : undefined);
        },
      },
      settings,
      number,
      alone,
      {
        ...listener,
        messages: (batch) => listener.messages(batch),
        stray: (stream, lines) => {
          // Before the hello it is the engine that speaks.
          if (place.isGreeted) listener.stray(stream, lines);
        },
        exit: (exit) => {
          const burial = this.#buried(place, exit).then((known) => listener.exit(known));
          this.#burials.add(burial);
          void burial.then(() => this.#burials.delete(burial));
        },
      },
      (id) => {
        this.#places.set(id, place);
        if (place.isGreeted) this.#tell(id, place);
        else waiting.push(id);
      },
    );
    return runner;
  }

  #words({ name, files }: Place, token: string): [string, ...string[]] {
    const program = builtProgram("runner");
    // The packages that this one needs may lie beside it.
    const own = dirname(dirname(dirname(program)));
    const folder = basename(dirname(own)) === "node_modules" ? dirname(own) : own;
    const words = runnerWords(this.#container, {
      engine: this.engine.name,
      name,
      labels: { "orchd.root": this.#host.root, "orchd.runner": token },
      relabels: this.#host.relabels,
      image: this.#image,
      package: folder,
      wire: files.mounted,
      program: relative(folder, program),
    });
    return [this.engine.name, ...words];
  }

  #tell(id: string, place: Place): void {
    // It has ended, or has moved to another runner, which tells.
    if (this.#places.get(id) !== place || place.fault !== undefined) return;
    const ref = place.name;
    this.#placed.get(id)?.({ place: this.engine.name, host: hostname(), ref });
  }

  /** Why no step is to blame for a runner that was not heard to its end. Undefined: one may be. */
  async #lossOf({ name, isCut }: Place): Promise<Partial<RunnerExit>> {
    const { clock } = this.#host;
    const blameless = "lost";
    try {
      const { state, wasAway } = await stateOnceBack(this.engine, name, clock, () => true);
      if (isCut || wasAway)
        return { detail: `in the container ${name} was lost: ${this.engine.name} died`, blameless };
      if (state?.paused !== true) return {};
      return { detail: `in the container ${name} was frozen by somebody (paused)`, blameless };
    } catch (error) {
      return {
        detail: `in the container ${name} was lost: ${(error as Error).message}`,
        blameless,
      };
    }
  }

  async #askOfMemory(place: Place): Promise<void> {
    const [state] = await this.engine.inspect([place.name]).catch(() => []);
    if (state?.outOfMemory === true || place.files.wasOutOfMemory) place.isOutOfMemory = true;
  }

  /** Removes the container of a runner that has died. */
  async #buried(place: Place, exit: RunnerExit): Promise<RunnerExit> {
    const { engine } = this;
    const { name, isKept, isGreeted } = place;
    place.isDead = true;
    if (!isGreeted || exit.detail.startsWith("could not be started"))
      place.fault ??= `the runner for the image ${this.#container.image} ${exit.detail}`;
    const where = `in the container ${name}`;
    let known = exit.detail.startsWith("in the")
      ? exit
      : { ...exit, detail: `${where} ${exit.detail}` };
    if (exit.detail.includes("SIGKILL")) {
      await this.#askOfMemory(place);
      place.isOutOfMemory ||= await lateOutOfMemory(engine, name, this.#host.clock);
      if (place.isOutOfMemory) known = { detail: `${where} ran out of memory`, outOfMemory: true };
    } else if (isGreeted && (place.isCut || exit.detail.includes("was not heard")))
      known = { ...known, ...(await this.#lossOf(place)) };
    const isRenamed = isKept && (await engine.ask(["rename", name, keptName(name)])).status === 0;
    const because = isRenamed ? undefined : await engine.remove([name]);
    if (because === undefined) {
      this.#host.folder.end(place.files);
      return known;
    }
    this.#host.log.warn({}, `the container ${name} could not be removed: ${because}`);
    this.#host.doubtful(name, engine);
    return known;
  }
}

/** A runner that says which tasks it is given. */
class ContainerRunner extends StreamRunner {
  readonly #given: (id: string) => void;

  constructor(
    ...args: [...ConstructorParameters<typeof StreamRunner>, given: (id: string) => void]
  ) {
    const [place, settings, number, alone, listener, given] = args;
    super(place, settings, number, alone, listener);
    this.#given = given;
  }

  override send(message: PoolMessage): void {
    if (message.type === "start" || message.type === "step") this.#given(message.id);
    super.send(message);
  }
}

function nodeFault({ node }: Hello, image: string): string | undefined {
  if (Number.parseInt(node, 10) >= LEAST_NODE) return undefined;
  return `the image ${image} has Node ${node}, and a module needs Node ${LEAST_NODE} or later`;
}

/** What engines, runtimes and their small inits say where there is no such program. */
const NO_PROGRAM =
  /exec(?:ing|utable file)?\b.*(?:not found|no such file)|failed to exec pid1: No such file/i;

/** Why a container never had a runner. */
function runnerFault(end: CommandEnd, container: ImageContainer, engine: EngineName): string {
  const { image, entrypoint } = container;
  if (/exec format error/i.test(end.said)) return otherProcessor(image);
  if (entrypoint === undefined && NO_PROGRAM.test(end.said))
    return `the image ${image} has no Node: a module needs Node ${LEAST_NODE} or later in it`;
  const [thrown] = /^\w*Error\b.*: .+(?=[^]*^Node\.js v\S+\s*$)/m.exec(end.said) ?? [];
  if (thrown !== undefined) return startFault({ ...end, said: thrown }, container, engine);
  return startFault(end, container, engine);
}

/** All of them. */
export class ModulePools {
  readonly #host: RunnersHost;
  readonly #pools = new Map<string, ModulePool>();
  /** Those that are given no more tasks. */
  readonly #left = new Set<ModulePool>();
  readonly #closing = new Set<Promise<void>>();
  #made = 0;

  constructor(host: RunnersHost) {
    this.#host = host;
  }

  /** The pool for an image and these settings. @param image its id */
  of(engine: Engine, container: ImageContainer, image: string): ModulePool {
    const key = keyOf(engine, container, image);
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    this.#made += 1;
    const token = `${this.#host.settings.token}.c${this.#made}`;
    const pool = new ModulePool(this.#host, engine, container, image, token, () =>
      this.#end(key, pool),
    );
    this.#pools.set(key, pool);
    return pool;
  }

  /** Another engine has the next tasks. */
  leave(): void {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    for (const pool of pools) {
      this.#left.add(pool);
      pool.leave();
    }
  }

  /** Ends all runners. */
  async close(): Promise<void> {
    for (const [key, pool] of this.#pools) this.#end(key, pool);
    for (const pool of this.#left) this.#end("", pool);
    await Promise.all(this.#closing);
  }

  #end(key: string, pool: ModulePool): void {
    if (this.#pools.get(key) === pool) this.#pools.delete(key);
    this.#left.delete(pool);
    const work = pool.close();
    this.#closing.add(work);
    void work.then(() => this.#closing.delete(work));
  }
}

/** What two steps must have in common to have one runner. What an environment holds need not be. */
function keyOf({ name }: Engine, container: ImageContainer, image: string): string {
  const { volumes, network, user, entrypoint, workdir, platform, options, cpus, gpus } = container;
  const limits = [platform, options, cpus, gpus];
  return JSON.stringify([name, image, volumes, network, user, entrypoint, workdir, ...limits]);
}
