/**
 * The **place** for steps in containers, by podman or docker.
 *
 * The daemon dies: its containers go on. The next daemon finds them by their labels: `orchd.root`
 * is this root, `orchd.token` the attempt's token. It adopts those whose steps still run, and ends
 * and removes all others before it starts one of its own (`#ready`). So no step ever runs twice at
 * once, and what has other labels is never touched.
 *
 * The engine's command dies: its container is followed to its end (container-attempt.ts). The
 * engine dies: it ends its containers, or brings them back; what it says of them then counts. The
 * engine does not answer: a step fails, and says so. No other step starts in a container before the
 * engine has removed what may still run: what an earlier daemon left, and what it did not tell of.
 *
 * The engine changes, by orchd.yaml or the daemon's environment: each attempt stays with the one
 * that it was begun in (engine-note.ts). A step that waits while the old one is asked for has the
 * new one.
 *
 * A container is removed when the end of its attempt is durable, with others in one command. If the
 * daemon dies before that, the next one takes the result from the container: the step does not run
 * again.
 *
 * It stays one file: to sweep, to adopt and to begin wait for each other here.
 */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import type { Clock } from "../../clock.ts";
import type { ContainerSpec, ImageContainer, RunningContainer } from "../../core/container.ts";
import type { Lane, Room } from "../../core/lane.ts";
import type { PlaceReport } from "../../core/place-report.ts";
import type { ContainerSettings } from "../../core/settings.ts";
import type { ModuleTask, ShellTask, Task } from "../../core/task.ts";
import type { Log } from "../../log.ts";
import type { EarlierAttempt, ImageHearing, Place, StartOptions, TaskHandlers } from "../place.ts";
import { endByToken } from "../pool/kill-by-token.ts";
import type { RunnerSettings } from "../pool/protocol.ts";
import { whenRoom, type RoomWaiter } from "./attempt-room.ts";
import { ContainerAttempt, type AttemptHost } from "./container-attempt.ts";
import { ContainersFolder, type ContainerFiles } from "./container-files.ts";
import { clientToken, containerName, execToken, idOf } from "./container-name.ts";
import { isKept, runnersAmong } from "./containers-left.ts";
import { lookEverywhere, removeAll } from "./earlier-engines.ts";
import type { LeftContainer, Look, NamedContainer } from "./earlier-engines.ts";
import { EngineError, engineWaiter, findEngine, type Engine } from "./engine.ts";
import { removeNote } from "./engine-note.ts";
import { EndedContainers } from "./ended-containers.ts";
import { ExecAttempt } from "./exec-attempt.ts";
import type { ExecMark } from "./exec-command.ts";
import { LeftExecs } from "./exec-left.ts";
import { heardBy, KnownImages } from "./image.ts";
import { ModuleAttempt, type ModuleHost } from "./module-attempt.ts";
import { ModulePools } from "./module-pools.ts";

const RELABELS = existsSync("/sys/fs/selinux/enforce");

/** What the place needs. */
export interface ContainerPlaceOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: ContainerSettings;
  /** The runs folder, as its real path: containers of other roots are not touched. */
  readonly root: string;
  /** Where the files of attempts are. The place fills and empties it. */
  readonly folder: string;
  /** Of the runners of module steps: `threads` and `scratch` are the container's own. */
  readonly runner: Omit<RunnerSettings, "threads" | "scratch">;
}

/** A step that runs. */
interface Attempt {
  /** Whether it goes on when the daemon ends. */
  readonly outlives: boolean;
  stop(mode: "graceful" | "force", because: string): void;
  /** The daemon ends. */
  leave(): void | Promise<void>;
}

/** Runs steps in containers. */
export class ContainerPlace implements Place {
  readonly #clock: Clock;
  readonly #log: Log;
  #settings: ContainerSettings;
  readonly #root: string;
  readonly #folder: ContainersFolder;
  readonly #attempts = new Map<string, Attempt>();
  /** Room that is kept for steps whose starts are decided. */
  #promised = 0;
  readonly #listeners = new Set<() => void>();
  #engine: Promise<Engine> | undefined;
  /** What an earlier daemon left is gone. Undefined: nobody has looked yet. */
  #ready: Promise<void> | undefined;
  /** The engine's commands of a killed daemon are gone. Undefined: nobody has looked yet. */
  #commandsGone: Promise<unknown> | undefined;
  /** What an earlier daemon left, when this one first asked. */
  #left: Promise<Look> | undefined;
  /** The runners of an earlier daemon are gone. Undefined: nobody has looked yet. */
  #runnersGone: Promise<void> | undefined;
  /** Tasks of an earlier daemon that were asked for, and whether they may have begun. */
  readonly #asked = new Map<string, boolean>();
  readonly #ended: EndedContainers;
  readonly #execs: LeftExecs;
  readonly #modules: ModulePools;
  readonly #images: KnownImages;
  /** Containers of which their engine did not say that they ended: they go before others begin. */
  readonly #doubtful = new Map<string, NamedContainer>();
  readonly #reportListeners = new Set<() => void>();
  /** What is known of the engine. Undefined: nobody has asked for it. */
  #found: Engine | EngineError | undefined;
  #closed = false;

  constructor({ clock, log, settings, root, folder, runner }: ContainerPlaceOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#settings = settings;
    this.#root = root;
    this.#folder = new ContainersFolder(folder, idOf(root));
    this.#execs = new LeftExecs(this.#folder);
    this.#images = new KnownImages(clock);
    this.#ended = new EndedContainers({ clock, log, folder: this.#folder });
    this.#modules = new ModulePools({
      clock,
      log,
      root,
      relabels: RELABELS,
      folder: this.#folder,
      settings: runner,
      atOnce: () => this.#settings.atOnce,
      doubtful: (name, engine) =>
        void this.#doubtful.set(name, { engine, state: { name, labels: {} } }),
    });
  }

  /** Takes the settings of an orchd.yaml that was read again. */
  setSettings(settings: ContainerSettings): void {
    if (settings.engine !== this.#settings.engine) {
      this.#engine = undefined;
      this.#modules.leave();
      // The runners have as many threads as steps might run at once when they were started.
    } else if (settings.atOnce > this.#settings.atOnce) this.#modules.leave();
    this.#settings = settings;
    this.#tellCapacity();
    this.#tellReport();
  }

  /** How many more steps may start now, without the room that is promised. */
  get room(): number {
    const taken = this.#attempts.size;
    return (this.#closed ? 0 : Math.max(0, this.#settings.atOnce - taken)) - this.#promised;
  }

  capacity(): Room {
    return { container: this.room };
  }

  promise(_lane: Lane, share = 1): void {
    this.#promised += share;
  }

  redeem(_lane: Lane, share = 1): void {
    this.#promised -= share;
  }

  /** Calls back when {@link capacity} may have grown. @returns a function that ends the calls */
  onCapacity(callback: () => void): () => void {
    this.#listeners.add(callback);
    return () => void this.#listeners.delete(callback);
  }

  /**
   * Starts a step in a container.
   *
   * @throws Error where it cannot be started: the place is closed, `id` is in use, or the task is
   *   for no container
   */
  start(id: string, task: Task, handlers: TaskHandlers, options: StartOptions = {}): void {
    if (this.#closed) throw new Error(`"${id}" cannot be started: the containers are closed`);
    if (this.#attempts.has(id)) throw new Error(`"${id}" was started already and has not ended`);
    const container = task.kind === "shell" || task.kind === "module" ? task.container : undefined;
    if (task.kind === "module" && container?.image !== undefined)
      return this.#startModule(id, task, container, handlers, options.alone === true);
    if (task.kind !== "shell" || container === undefined)
      throw new Error(`"${id}" is no step in a container`);
    if (container.exec === undefined) void this.#attempt(id, task, container, handlers).run();
    else void this.#execAttempt(id, task, container, handlers).run();
  }

  forget(): void {}

  has(id: string): boolean {
    return this.#attempts.has(id);
  }

  stop(id: string, mode: "graceful" | "force", because: string): void {
    this.#attempts.get(id)?.stop(mode, because);
  }

  async imageId(
    container: ContainerSpec,
    auth: string | undefined,
    hearing?: ImageHearing,
  ): Promise<string> {
    if (container.image === undefined) throw new Error("a container that runs has no image");
    const engine = await this.#prepared();
    const room: RoomWaiter = {
      clock: this.#clock,
      isWanted: () => hearing?.signal.aborted !== true,
      waits: (because) => hearing?.tell([`${because}: the step waits`]),
    };
    return whenRoom(room, () => this.#imageId(engine, container, auth, hearing));
  }

  async #imageId(
    engine: Engine,
    container: ImageContainer,
    auth: string | undefined,
    hearing: ImageHearing | undefined,
  ): Promise<string> {
    let files: ContainerFiles | undefined;
    try {
      return await this.#images.idOf(engine, container, {
        clock: this.#clock,
        files: () => (files = this.#folder.begin(true, engine)),
        auth,
        ...heardBy(hearing),
      });
    } finally {
      if (files !== undefined) this.#folder.end(files);
    }
  }

  /**
   * Finds the containers of an earlier daemon, and goes on with those of these tasks that run or
   * have ended meanwhile. The others are ended and removed before this resolves. Where an engine
   * does not answer, none of its own is adopted, and none starts before they are gone.
   */
  async adopt(
    ids: readonly string[],
    handlersOf: (id: string) => TaskHandlers,
    attemptOf?: (id: string) => EarlierAttempt | undefined,
  ): Promise<ReadonlySet<string>> {
    const adopted = new Set<string>();
    if (ids.length === 0) return adopted;
    const tokens = new Set(ids.map((id) => execToken(containerName(this.#root, id))));
    for (const id of ids)
      this.#asked.set(id, this.#execs.hadBegun(execToken(containerName(this.#root, id))));
    if (!this.#folder.isUsed) return adopted;
    this.#left ??= this.#looked();
    const { found, silent } = await this.#left;
    if (silent !== undefined) {
      this.#left = undefined;
      this.#log.warn({ because: silent }, "what runs in containers cannot be found: it is ended");
    }
    const unwanted: LeftContainer[] = [];
    for (const id of ids) {
      const left = found.get(id);
      if (left === undefined) {
        // What a runner had begun, it alone knew; what a silent engine has, nobody knows.
        if (silent !== undefined || attemptOf?.(id)?.task.kind === "module")
          this.#asked.set(id, true);
        continue;
      }
      const { engine, state } = left;
      this.#asked.set(id, state.startedAt !== undefined);
      const known = state.startedAt === undefined ? undefined : attemptOf?.(id);
      const { task, heard } = known ?? {};
      if (heard === undefined || task?.kind !== "shell" || task.container?.image === undefined) {
        unwanted.push(left);
        continue;
      }
      adopted.add(id);
      const attempt = this.#attempt(id, task, task.container, handlersOf(id), engine);
      void attempt.adopt(engine, state, heard);
    }
    try {
      await removeAll(unwanted);
      await (this.#runnersGone ??= removeAll(runnersAmong(found)));
    } catch (error) {
      // They go before the next step begins.
      this.#runnersGone = undefined;
      this.#log.warn({ err: error }, "what an earlier daemon left in containers is not gone yet");
    }
    const present = await this.#find().catch(() => undefined);
    const because = await this.#execs.end(present, ({ token }) => tokens.has(token));
    if (because !== undefined) this.#log.warn({}, because);
    return adopted;
  }

  /**
   * Whether a step that {@link adopt} was asked for may have begun. Undefined: it was not asked
   * for.
   */
  mayHaveBegun(id: string): boolean | undefined {
    return this.#asked.get(id);
  }

  /** Whether a task goes on when the daemon ends: it is in its container, and nobody ends it. */
  outlives(id: string): boolean {
    return this.#attempts.get(id)?.outlives ?? false;
  }

  /** Hears nothing more of tasks that go on when the daemon ends. */
  leave(ids: readonly string[]): void {
    for (const id of ids.filter((one) => this.outlives(one))) {
      void this.#attempts.get(id)!.leave();
      this.#attempts.delete(id);
    }
  }

  settle(ids: readonly string[]): void {
    this.#ended.settle(ids);
  }

  /**
   * Removes what an earlier daemon left and nobody adopted. Call it once all its runs are taken
   * over. Resolves when it is done, or cannot be.
   */
  async sweep(): Promise<void> {
    if (!this.#folder.isUsed) return;
    await this.#prepared().catch((error: unknown) =>
      this.#log.warn({ err: error }, "containers of an earlier daemon may be left"),
    );
  }

  /**
   * Ends the place. No handler is called any more. What runs in containers goes on, and the next
   * daemon adopts it.
   */
  async close(): Promise<void> {
    this.#closed = true;
    const left = [...this.#attempts.values()].map((attempt) => attempt.leave());
    this.#attempts.clear();
    await Promise.all([...left, this.#ended.close(), this.#modules.close()]);
  }

  /** One report, once a step has asked for a container. */
  reports(): readonly PlaceReport[] {
    const found = this.#found;
    if (found === undefined) return [];
    if (found instanceof EngineError) {
      const name = this.#settings.engine ?? "containers";
      return [{ place: name, engine: name, labels: [], hosts: [], because: found.message }];
    }
    const { name, version } = found;
    const host = { host: hostname(), labels: [], threads: this.#settings.atOnce };
    return [{ place: name, engine: name, engineVersion: version, labels: [], hosts: [host] }];
  }

  /** Calls back when {@link reports} have changed. @returns a function that ends the calls */
  onReport(callback: () => void): () => void {
    this.#reportListeners.add(callback);
    return () => void this.#reportListeners.delete(callback);
  }

  #attempt(
    id: string,
    task: ShellTask,
    container: ImageContainer,
    handlers: TaskHandlers,
    adoptedFrom?: Engine,
  ): ContainerAttempt {
    const name = containerName(this.#root, id);
    let engine = adoptedFrom;
    const attempt = new ContainerAttempt(task, container, handlers, {
      ...this.#hostOf(id, name),
      clientToken: clientToken(this.#root),
      labels: {
        "orchd.root": this.#root,
        "orchd.token": id,
        "orchd.keep": container.keep,
      },
      ready: async () => (engine = await this.#prepared()),
      ended: (files, is) => {
        this.#attempts.delete(id);
        if (files !== undefined && engine !== undefined) {
          const labels = is === "doubtful" ? { "orchd.files": files.folder } : {};
          const container = { engine, state: { name, labels } };
          if (is === "doubtful") this.#doubtful.set(name, container);
          if (is === "kept") removeNote(files.folder);
          else this.#ended.add(id, { files, container });
        }
        this.#tellCapacity();
      },
    });
    this.#attempts.set(id, attempt);
    return attempt;
  }

  #execAttempt(
    id: string,
    task: ShellTask,
    container: RunningContainer,
    handlers: TaskHandlers,
  ): ExecAttempt {
    const token = execToken(containerName(this.#root, id));
    const attempt = new ExecAttempt(task, container, handlers, {
      ...this.#hostOf(id, token),
      ready: async () => {
        const engine = await this.#prepared();
        const isThere = (mark: ExecMark): boolean => mark.container === container.exec;
        const because = await this.#execs.end(engine, isThere);
        if (because !== undefined) throw new EngineError(because);
        return engine;
      },
      ended: (files, is) => {
        this.#attempts.delete(id);
        if (files !== undefined && is === "doubtful") this.#execs.add(files);
        // Its note says that it had begun, for as long as its end is not durable.
        else if (files !== undefined) this.#ended.add(id, { files });
        this.#tellCapacity();
      },
    });
    this.#attempts.set(id, attempt);
    return attempt;
  }

  #startModule(
    id: string,
    task: ModuleTask,
    container: ImageContainer,
    handlers: TaskHandlers,
    alone: boolean,
  ): void {
    const host: ModuleHost = {
      clock: this.#clock,
      folder: this.#folder,
      id,
      ready: () => this.#prepared(),
      image: (engine, of, request) => this.#images.idOf(engine, of, request),
      poolOf: (engine, of, image) => this.#modules.of(engine, of, image),
      ended: () => {
        this.#attempts.delete(id);
        this.#tellCapacity();
      },
    };
    const attempt = new ModuleAttempt(task, container, handlers, host, alone);
    this.#attempts.set(id, attempt);
    void attempt.run();
  }

  #hostOf(
    id: string,
    name: string,
  ): Pick<AttemptHost, "clock" | "folder" | "id" | "name" | "relabels"> {
    return { clock: this.#clock, folder: this.#folder, id, name, relabels: RELABELS };
  }

  /** The engine. It is asked again where none answered, and where another one was set meanwhile. */
  #find(): Promise<Engine> {
    if (this.#engine !== undefined) return this.#engine;
    const waiter = engineWaiter(this.#log, () => !this.#closed);
    const asked: Promise<Engine> = findEngine(this.#settings.engine, {}, waiter).then(
      (engine) => {
        if (this.#engine !== asked) return this.#find();
        this.#log.info({ engine: engine.name, version: engine.version }, "containers are run");
        this.#found = engine;
        this.#tellReport();
        return engine;
      },
      (error: unknown) => {
        if (this.#engine !== asked) return this.#find();
        this.#engine = undefined;
        this.#found = error instanceof EngineError ? error : undefined;
        this.#tellReport();
        throw error;
      },
    );
    this.#engine = asked;
    return asked;
  }

  /** The engine, once nothing is left of an earlier daemon but what was adopted. */
  async #prepared(): Promise<Engine> {
    this.#ready ??= this.#swept().catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    await this.#ready;
    const engine = await this.#find();
    if (this.#doubtful.size > 0) {
      const all = [...this.#doubtful.values()];
      await removeAll(all);
      for (const { state } of all) this.#doubtful.delete(state.name);
    }
    return engine;
  }

  async #swept(): Promise<void> {
    const engine = await this.#find();
    if (!this.#folder.isUsed) return;
    const { found, silent } = await this.#looked();
    if (silent !== undefined) throw new EngineError(silent);
    const own = new Set(this.#attempts.keys());
    const others = [...found].filter(([id]) => !own.has(id));
    const kept = others.filter(([, { state }]) => isKept(state));
    const unwanted = others.filter(([, { state }]) => !isKept(state)).map(([, left]) => left);
    await removeAll(unwanted);
    if (unwanted.length > 0)
      this.#log.warn(
        { containers: unwanted.length },
        `${unwanted.length} containers that an earlier daemon left were ended`,
      );
    const because = await this.#execs.end(engine, () => true);
    if (because !== undefined) this.#log.warn({}, because);
    const had = [...found].filter(([id]) => own.has(id));
    const files = [...kept, ...had].map(([, { state }]) => state.labels["orchd.files"] ?? "");
    this.#folder.tidy(new Set([...files, ...this.#execs.folders]));
  }

  /** All containers of this root that an earlier daemon may have left. */
  async #looked(): Promise<Look> {
    // A command of a killed daemon could make one after this look. None of this daemon's runs yet.
    await (this.#commandsGone ??= endByToken(clientToken(this.#root)));
    const present = await this.#find().catch(() => undefined);
    return lookEverywhere(present, this.#folder.all, this.#root);
  }

  #tellReport(): void {
    for (const callback of this.#reportListeners) callback();
  }

  #tellCapacity(): void {
    for (const callback of this.#listeners) callback();
  }
}
