/**
 * One attempt of a module step in an image that has Node. Its image is there first, pulled if need
 * be; then a runner for the image and the container's settings runs it, with others
 * (module-pools.ts). Until then a stop ends it here.
 *
 * A step that keeps its container if it fails has a runner of its own.
 */
import type { Clock } from "../../clock.ts";
import type { ImageContainer } from "../../core/container.ts";
import { defined } from "../../core/defined.ts";
import { clipError, type StepError } from "../../core/failure.ts";
import { Masker } from "../../core/mask.ts";
import type { ModuleTask, TaskResult } from "../../core/task.ts";
import { iso } from "../../core/time.ts";
import { LatePlacings, type LatePlacing } from "../late-placing.ts";
import type { TaskHandlers } from "../place.ts";
import { whenRoom, type RoomWaiter } from "./attempt-room.ts";
import { containerError, endedResult, errorOf, type Ending } from "./container-end.ts";
import type { ContainerFiles, ContainersFolder } from "./container-files.ts";
import type { Engine } from "./engine.ts";
import { outputLines } from "./engine-output.ts";
import type { ImageRequest } from "./image.ts";
import type { Pull } from "./image-pull.ts";
import type { ModulePool } from "./module-pools.ts";

/** What an attempt needs of its place. */
export interface ModuleHost {
  readonly clock: Clock;
  readonly folder: ContainersFolder;
  readonly id: string;
  /** The engine, once nothing is left of an earlier daemon. @throws EngineError, a sentence */
  ready(): Promise<Engine>;
  /** The id of the image, pulled if need be. @throws EngineError, a sentence */
  image(engine: Engine, container: ImageContainer, request: ImageRequest): Promise<string>;
  poolOf(engine: Engine, container: ImageContainer, image: string): ModulePool;
  ended(): void;
}

/** Runs one module step in a container. */
export class ModuleAttempt {
  readonly #task: ModuleTask;
  readonly #container: ImageContainer;
  readonly #handlers: LatePlacing;
  readonly #host: ModuleHost;
  readonly #masker: Masker;
  readonly #isAlone: boolean;
  readonly #startedAt: number;
  #pull: Pull | undefined;
  /** Its image, and of which engine. */
  #image: { readonly engine: Engine; readonly id: string } | undefined;
  #pool: ModulePool | undefined;
  #ending: Ending | undefined;
  #isOver = false;
  /** Tells that it was told to end before a runner had it. */
  #cut!: () => void;
  readonly #wasCut = new Promise<void>((resolve) => (this.#cut = resolve));

  constructor(
    task: ModuleTask,
    container: ImageContainer,
    handlers: TaskHandlers,
    host: ModuleHost,
    isAlone: boolean,
  ) {
    this.#task = task;
    this.#container = container;
    this.#handlers = new LatePlacings(host.clock).of(handlers);
    this.#host = host;
    this.#masker = new Masker(task.secrets);
    this.#isAlone = isAlone || container.keep === "on-failure";
    this.#startedAt = host.clock.now();
  }

  /** It ends with the daemon. */
  get outlives(): boolean {
    return false;
  }

  /** Runs it to its end. Never rejects. */
  async run(): Promise<void> {
    let fault: unknown;
    try {
      await Promise.race([whenRoom(this.#room, () => this.#begin()), this.#wasCut]);
    } catch (error) {
      fault = error;
    }
    if (this.#ending !== undefined) this.#done(endedResult(this.#ending), 0, this.#startedAt);
    else if (fault !== undefined) this.#done(this.#failed(errorOf(fault)), 0, this.#startedAt);
  }

  /** Tells it to end. */
  stop(mode: "graceful" | "force", because: string): void {
    if (this.#pool !== undefined) {
      this.#pool.pool.stop(this.#host.id, mode, because);
      return;
    }
    this.#ending ??= { outcome: "stopped", because, forced: mode === "force" };
    this.#pull?.cancel();
    this.#cut();
  }

  /** The daemon ends, and the runners with it. */
  leave(): void {
    this.#isOver = true;
    this.#handlers.drop();
    this.#pull?.cancel();
  }

  get #isWanted(): boolean {
    return !this.#isOver && this.#ending === undefined;
  }

  /** A folder is made for each runner: it waits for room for that. */
  get #room(): RoomWaiter {
    return {
      clock: this.#host.clock,
      isWanted: () => this.#isWanted,
      waits: (because) => this.#tell([`${because}: the step waits`]),
    };
  }

  async #begin(): Promise<void> {
    const pool = await this.#pooled();
    if (this.#isWanted) this.#give(pool);
  }

  async #pooled(): Promise<ModulePool> {
    const { folder, ready, image, poolOf } = this.#host;
    const engine = await ready();
    // It is not pulled anew for each look whether there is room.
    if (this.#image?.engine === engine) return poolOf(engine, this.#container, this.#image.id);
    let files: ContainerFiles | undefined;
    try {
      const id = await image(engine, this.#container, {
        clock: this.#host.clock,
        files: () => (files = folder.begin(true, engine)),
        auth: this.#task.registryAuth,
        tell: (lines) => this.#tell(lines),
        pulling: (pull) => {
          this.#pull = pull;
          if (!this.#isWanted) pull.cancel();
        },
      });
      this.#image = { engine, id };
      return poolOf(engine, this.#container, id);
    } finally {
      if (files !== undefined) folder.end(files);
    }
  }

  /** @throws what the runner's start throws: then it was given nothing */
  #give(pool: ModulePool): void {
    const { id } = this.#host;
    const handlers = this.#handlers;
    this.#pool = pool;
    pool.begin(id, (at) => handlers.placed(at));
    try {
      pool.pool.start(
        id,
        innerTask(this.#task),
        {
          output: (lines) => handlers.output(lines),
          call: handlers.call,
          done: (result, durationMs, startedAt) => this.#done(result, durationMs, startedAt),
          died: (death) => {
            const fault = pool.faultOf(id);
            if (fault === undefined) this.#end(() => this.#handlers.died(death));
            else this.#done(this.#failed(containerError(fault)), 0, this.#startedAt);
          },
        },
        { alone: this.#isAlone },
      );
    } catch (error) {
      this.#pool = undefined;
      pool.end(id);
      throw error;
    }
  }

  #done(result: TaskResult, durationMs: number, startedAt: number): void {
    if (this.#container.keep === "on-failure" && !result.ok && result.outcome !== "stopped") {
      const name = this.#pool?.keep(this.#host.id);
      const engine = this.#pool?.engine.name;
      if (name !== undefined)
        this.#tell([
          `[orchd: the container ${name} is kept: look with ${engine} export, ` +
            `remove it with ${engine} rm]`,
        ]);
    }
    this.#end(() => this.#handlers.done(result, durationMs, startedAt));
  }

  #end(tell: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#pool?.end(this.#host.id);
    this.#host.ended();
    tell();
  }

  #tell(lines: readonly string[]): void {
    if (this.#isOver || lines.length === 0) return;
    const masked = lines.map((line) => this.#masker.text(line));
    const at = iso(this.#host.clock.now());
    this.#handlers.output(outputLines(this.#task, at, "orchd", masked));
  }

  #failed(error: StepError): TaskResult {
    return { ok: false, outcome: "failed", error: clipError(this.#masker.error(error)) };
  }
}

/** The task as its runner gets it: what the image's registry asks for stays here. */
function innerTask(task: ModuleTask): ModuleTask {
  const { container: _container, registryAuth, secrets, ...rest } = task;
  const inner = secrets?.filter((secret) => secret !== registryAuth);
  return { ...rest, ...defined({ secrets: inner }) };
}
