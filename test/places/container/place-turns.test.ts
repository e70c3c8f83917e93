/**
 * The place for containers beside played attempts and a played engine: what is ended before a step
 * may begin, what goes on under the next daemon, what is promised, and what is reported.
 */
import { existsSync, mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ContainerSpec, ImageContainer } from "../../../src/core/container.ts";
import type { ContainerSettings } from "../../../src/core/settings.ts";
import type { Task } from "../../../src/core/task.ts";
import { silentLog } from "../../../src/log.ts";
import type { AttemptHost } from "../../../src/places/container/container-attempt.ts";
import {
  clientToken,
  containerName,
  execToken,
} from "../../../src/places/container/container-name.ts";
import { ContainerPlace } from "../../../src/places/container/container-place.ts";
import { noteIn, writeNote } from "../../../src/places/container/engine-note.ts";
import { EngineError, type Engine } from "../../../src/places/container/engine.ts";
import type { ImageRequest } from "../../../src/places/container/image.ts";
import type { EarlierAttempt, TaskHandlers } from "../../../src/places/place.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

interface Left {
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly startedAt?: string | undefined;
  readonly running?: boolean;
  readonly exitCode?: number;
}

const world = vi.hoisted(() => ({
  said: [] as string[],
  hosts: new Map<string, unknown>(),
  engines: {} as Record<string, unknown>,
  noEngine: undefined as Error | undefined,
  noImage: undefined as Error | undefined,
  /** Where the pull of an image has its files. */
  pullFolder: "",
  /** How long each engine takes to answer. */
  slow: {} as Record<string, Promise<void> | undefined>,
  left: {} as Record<string, Left>,
  silent: undefined as string | undefined,
  /** Why nothing can be removed. */
  stays: undefined as Error | undefined,
  execsLeft: undefined as string | undefined,
  begunExecs: [] as string[],
  execFolders: [] as string[],
}));
const say = (text: string): void => void world.said.push(text);

/** What stands for an attempt of a kind. */
const played = vi.hoisted(
  () => (kind: string) =>
    class {
      readonly id: string;
      readonly outlives = kind === "container";
      constructor(...given: unknown[]) {
        const host = given.find((one) => (one as { id?: unknown })?.id !== undefined);
        this.id = (host as { id: string }).id;
        world.hosts.set(this.id, host);
        world.said.push(
          [kind, this.id, ...given.filter((one) => typeof one === "boolean")].join(" "),
        );
      }
      run(): Promise<void> {
        world.said.push(`run ${this.id}`);
        return Promise.resolve();
      }
      adopt(_engine: unknown, state: { name: string }, heard: { stdout: number }): void {
        world.said.push(`adopt ${this.id} of ${state.name} after ${heard.stdout}`);
      }
      stop(mode: string, because: string): void {
        world.said.push(`stop ${this.id} ${mode} ${because}`);
      }
      leave(): void {
        world.said.push(`leave ${this.id}`);
      }
    },
);

vi.mock("../../../src/places/container/container-attempt.ts", () => ({
  ContainerAttempt: played("container"),
}));
vi.mock("../../../src/places/container/exec-attempt.ts", () => ({ ExecAttempt: played("exec") }));
vi.mock("../../../src/places/container/module-attempt.ts", () => ({
  ModuleAttempt: played("module"),
}));
vi.mock("../../../src/places/container/module-pools.ts", () => ({
  ModulePools: class {
    leave(): void {
      world.said.push("pools are left");
    }
    close(): void {
      world.said.push("pools are closed");
    }
  },
}));
vi.mock("../../../src/places/container/image.ts", async (original) => ({
  ...(await original<object>()),
  KnownImages: class {
    idOf(engine: Engine, container: ImageContainer, request: ImageRequest): Promise<string> {
      world.pullFolder = request.files().folder;
      const isThere = existsSync(world.pullFolder);
      const { image } = container;
      say(`image ${image} of ${engine.name} as ${request.auth}, with files: ${isThere}`);
      request.tell([`${image} is pulled`]);
      return world.noImage === undefined
        ? Promise.resolve("sha256:1")
        : Promise.reject(world.noImage);
    }
  },
}));
vi.mock("../../../src/places/container/exec-left.ts", () => ({
  LeftExecs: class {
    get folders(): readonly string[] {
      return world.execFolders;
    }
    hadBegun(token: string): boolean {
      return world.begunExecs.includes(token);
    }
    add({ folder }: { folder: string }): void {
      world.said.push(`exec in ${folder} may be left`);
    }
    end(engine: { name: string } | undefined, which: (mark: object) => boolean): unknown {
      const marks = [{ token: "other" }, { container: "db" }, { container: "web" }];
      const own = world.begunExecs.map((token) => ({ token }));
      const ended = [...marks, ...own].filter(which).map((mark) => Object.values(mark)[0]);
      world.said.push(`end execs ${ended.join(" ")} in ${engine?.name ?? "none"}`);
      return Promise.resolve(world.execsLeft);
    }
  },
}));
vi.mock("../../../src/places/container/earlier-engines.ts", () => ({
  lookEverywhere: (present: { name: string } | undefined) => {
    world.said.push(`look with ${present?.name ?? "none"}`);
    const engine = present ?? { name: "another" };
    const found = new Map(
      Object.entries(world.left).map(([id, state]) => [
        id,
        { engine, state: { name: `c-${id}`, labels: {}, ...state } },
      ]),
    );
    return Promise.resolve({ found, silent: world.silent });
  },
  removeAll: (all: readonly { state: { name: string; labels: Record<string, string> } }[]) => {
    const named = all.map(({ state: { name, labels } }) => {
      const files = labels["orchd.files"];
      return files === "/files" ? `${name} with ${files}` : name;
    });
    if (all.length > 0) world.said.push(`remove ${named.join(" ")}`);
    return world.stays === undefined || all.length === 0
      ? Promise.resolve()
      : Promise.reject(world.stays);
  },
}));
vi.mock("../../../src/places/pool/kill-by-token.ts", () => ({
  endByToken: (token: string) => {
    world.said.push(`end ${token}`);
    return Promise.resolve();
  },
}));
vi.mock("../../../src/places/container/engine.ts", async (original) => ({
  ...(await original<object>()),
  findEngine: async (wanted = "podman") => {
    world.said.push(`find ${wanted}`);
    const { noEngine } = world;
    if (world.slow[wanted] !== undefined) await world.slow[wanted];
    if (noEngine !== undefined) throw noEngine;
    return (world.engines[wanted] ??= { name: wanted, version: "5" });
  },
}));

const IMAGE = { image: "tool:1", keep: "never" };
const shell = (container: object | undefined): Task =>
  ({ kind: "shell", container }) as unknown as Task;
const HANDLERS = {} as TaskHandlers;
const heardOf = (container: object, kind = "shell"): EarlierAttempt =>
  ({ task: { kind, container }, heard: { stdout: 2, stderr: 0 } }) as unknown as EarlierAttempt;
const STARTED = "2026-11-23T02:00:00Z";

class Opened {
  readonly clock = new VirtualClock();
  readonly folder = join(tempRoot().root, "containers");
  /** Files in memory are named by it. */
  readonly root = `/the/runs/of-${process.pid}`;
  readonly place: ContainerPlace;
  readonly client = clientToken(this.root);

  constructor(isUsed = false, settings: ContainerSettings = { atOnce: 2 }) {
    if (isUsed) this.use("z-1");
    const log = { ...silentLog, warn: (_: object, text: string) => say(`warn ${text}`) };
    this.place = new ContainerPlace({
      clock: this.clock,
      log,
      settings,
      root: this.root,
      folder: this.folder,
      runner: { bundles: "/b", token: "t" },
    });
  }

  /** An earlier attempt left this. */
  use(name: string): string {
    const folder = join(this.folder, name);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  start(id: string, container: object | undefined = IMAGE): string[] {
    this.place.start(id, shell(container), HANDLERS);
    return world.said.splice(0);
  }

  /** An attempt asks for its engine. */
  async ready(id: string): Promise<string[]> {
    const name = await this.host(id)
      .ready()
      .then(
        (engine) => engine.name,
        (error: Error) => `${error.name}: ${error.message}`,
      );
    await this.clock.settle();
    return [...world.said.splice(0), `-> ${name}`];
  }

  host(id: string): AttemptHost {
    return world.hosts.get(id) as AttemptHost;
  }

  async adopt(
    attempts: Record<string, EarlierAttempt | undefined>,
  ): Promise<{ adopted: string[]; said: string[] }> {
    const ids = Object.keys(attempts);
    const adopted = await this.place.adopt(
      ids,
      () => HANDLERS,
      (id) => attempts[id],
    );
    return { adopted: [...adopted], said: world.said.splice(0) };
  }
}

beforeEach(() => {
  world.hosts.clear();
  Object.assign(world, {
    said: [],
    engines: {},
    noEngine: undefined,
    noImage: undefined,
    slow: {},
    left: {},
    silent: undefined,
    stays: undefined,
    execsLeft: undefined,
    begunExecs: [],
    execFolders: [],
  });
});
afterEach(() => void vi.restoreAllMocks());

describe("a step", () => {
  it("that is started takes room until it ends, and who waits is told", () => {
    const { place, start, host } = bound(new Opened());
    let told = 0;
    const off = place.onCapacity(() => (told += 1));
    expect([start("a"), start("b", { exec: "db" })]).toEqual([
      ["container a", "run a"],
      ["exec b", "run b"],
    ]);
    expect([place.capacity(), place.has("a"), place.room]).toEqual([{ container: 0 }, true, 0]);
    place.promise("container", 2);
    place.redeem("container");
    expect(place.room).toBe(-1);
    place.redeem("container");
    place.setSettings({ atOnce: 1 });
    expect(place.room).toBe(0);
    place.setSettings({ atOnce: 2 });
    told = 0;
    host("a").ended(undefined, "gone");
    expect([told, place.room, place.has("a")]).toEqual([1, 1, false]);
    host("b").ended(undefined, "gone");
    off();
    start("c");
    host("c").ended(undefined, "gone");
    expect([told, place.room]).toEqual([2, 2]);
  });

  it("is stopped where it is, and an unknown one nowhere", () => {
    const { place, start } = bound(new Opened());
    start("a");
    place.stop("a", "graceful", "asked");
    place.stop("b", "force", "asked");
    expect(world.said).toEqual(["stop a graceful asked"]);
  });

  it("is refused with a sentence", async () => {
    const { place, start } = bound(new Opened());
    start("a");
    expect(() => start("a")).toThrow('"a" was started already and has not ended');
    expect(() => place.start("b", shell(undefined), HANDLERS)).toThrow(
      '"b" is no step in a container',
    );
    const module = { kind: "module", container: { exec: "db" } } as unknown as Task;
    expect(() => place.start("b", module, HANDLERS)).toThrow('"b" is no step in a container');
    await place.close();
    expect(() => start("c")).toThrow('"c" cannot be started: the containers are closed');
    expect(place.room).toBe(0);
  });

  it("of a module has a runner, alone where it is asked for", () => {
    const { place } = bound(new Opened());
    const module = { kind: "module", container: IMAGE } as unknown as Task;
    place.start("a", module, HANDLERS);
    place.start("b", module, HANDLERS, { alone: true });
    expect(world.said).toEqual(["module a false", "run a", "module b true", "run b"]);
  });

  it("has labels by which the next daemon knows it", () => {
    const opened = new Opened();
    opened.start("r@1#2", { ...IMAGE, keep: "on-failure" });
    const { name, labels, clientToken: client } = opened.host("r@1#2");
    expect([name, client]).toEqual([containerName(opened.root, "r@1#2"), opened.client]);
    expect(labels).toEqual({
      "orchd.root": opened.root,
      "orchd.token": "r@1#2",
      "orchd.keep": "on-failure",
    });
  });
});

describe("before a step begins", () => {
  it("the engine is found once, and nothing is looked for in a fresh root", async () => {
    const { ready, start } = bound(new Opened());
    start("a");
    start("b");
    expect([await ready("a"), await ready("b")]).toEqual([
      ["find podman", "-> podman"],
      ["-> podman"],
    ]);
  });

  it("what an earlier daemon left is gone, but what stays or was adopted", async () => {
    const opened = new Opened(true);
    const kept = opened.use("a-kept");
    const own = opened.use("a-own");
    const exec = opened.use("a-exec");
    world.execFolders = [exec];
    const labels = (folder: string) => ({ "orchd.keep": "on-failure", "orchd.files": folder });
    world.left = {
      x: { startedAt: STARTED, running: true },
      y: { startedAt: STARTED, running: false, exitCode: 1, labels: labels(kept) },
      a: { startedAt: STARTED, running: true, labels: { "orchd.files": own } },
    };
    opened.start("a");
    expect(await opened.ready("a")).toEqual([
      "find podman",
      `end ${opened.client}`,
      "look with podman",
      "remove c-x",
      "warn 1 containers that an earlier daemon left were ended",
      "end execs other db web in podman",
      "-> podman",
    ]);
    await opened.clock.until(() => !existsSync(join(opened.folder, "z-1")));
    expect([kept, own, exec].map((folder) => existsSync(folder))).toEqual([true, true, true]);
    expect(await opened.ready("a")).toEqual(["-> podman"]);
  });

  it.each<[string, () => void, string]>([
    ["an engine that does not tell", () => (world.silent = "docker is silent"), "docker is silent"],
    ["what cannot be removed", () => (world.stays = new EngineError("it stays")), "it stays"],
    ["no engine", () => (world.noEngine = new EngineError("none answers")), "none answers"],
  ])("%s fails it, and the next one asks again", async (_, act, because) => {
    const opened = new Opened(true);
    world.left = { x: { startedAt: STARTED, running: true } };
    act();
    opened.start("a");
    expect((await opened.ready("a")).at(-1)).toBe(`-> ContainerError: ${because}`);
    Object.assign(world, { silent: undefined, stays: undefined, noEngine: undefined });
    const said = await opened.ready("a");
    expect([said.at(-1), said.filter((text) => text.startsWith("remove"))]).toEqual([
      "-> podman",
      ["remove c-x"],
    ]);
    // The commands of a killed daemon are ended once.
    const isFirst = because === "none answers";
    expect(said.some((text) => text.startsWith("end orchd-engine"))).toBe(isFirst);
  });

  it("what an engine did not tell the end of goes first, and once", async () => {
    const opened = new Opened();
    for (const id of ["a", "b"]) {
      opened.start(id);
      await opened.ready(id);
    }
    opened.host("a").ended({ folder: "/files" } as never, "doubtful");
    world.stays = new EngineError("it stays");
    expect((await opened.ready("b")).at(-1)).toBe("-> ContainerError: it stays");
    world.stays = undefined;
    const name = containerName(opened.root, "a");
    expect(await opened.ready("b")).toEqual([`remove ${name} with /files`, "-> podman"]);
    expect(await opened.ready("b")).toEqual(["-> podman"]);
  });

  it("in a container that runs, what was left in that one is ended", async () => {
    const opened = new Opened();
    opened.start("b", { exec: "db" });
    expect(await opened.ready("b")).toEqual(["find podman", "end execs db in podman", "-> podman"]);
    world.execsLeft = "docker does not answer";
    expect((await opened.ready("b")).at(-1)).toBe("-> ContainerError: docker does not answer");
    opened.host("b").ended({ folder: "/f" } as never, "doubtful");
    expect(world.said).toEqual(["exec in /f may be left"]);
  });
});

describe("the end of an attempt", () => {
  it("removes its container once it is durable, with others", async () => {
    const opened = new Opened();
    for (const id of ["a", "b", "kept"]) {
      opened.start(id);
      await opened.ready(id);
      const folder = opened.use(id);
      writeNote(folder, { engine: "podman", id: "x", env: {} });
      opened.host(id).ended({ folder } as never, id === "kept" ? "kept" : "gone");
    }
    // What stays is no matter of the next daemon.
    const notes = ["a", "kept"].map((id) => noteIn(join(opened.folder, id))?.engine);
    expect(notes).toEqual(["podman", undefined]);
    await opened.clock.advance(10_000);
    expect(world.said).toEqual([]);
    opened.place.settle(["a", "kept"]);
    opened.place.settle(["b"]);
    await opened.clock.advance(1_000);
    const names = ["a", "b"].map((id) => containerName(opened.root, id));
    expect(world.said).toEqual([`remove ${names.join(" ")}`]);
    await opened.clock.until(() => !existsSync(join(opened.folder, "b")));
    expect(existsSync(join(opened.folder, "kept"))).toBe(true);
  });
});

describe("the next daemon", () => {
  it("goes on with a step that has begun, and ends what has not or is not known", async () => {
    const opened = new Opened(true);
    world.left = {
      a: { startedAt: STARTED, running: true },
      created: {},
      unknown: { startedAt: STARTED, running: true },
      runner: { labels: { "orchd.runner": "t" }, startedAt: STARTED, running: true },
      later: { startedAt: STARTED, running: true },
    };
    const attempts = {
      a: heardOf(IMAGE),
      created: heardOf(IMAGE),
      unknown: undefined,
      gone: heardOf(IMAGE),
      module: heardOf(IMAGE, "module"),
    };
    const { adopted, said } = await opened.adopt(attempts);
    expect(adopted).toEqual(["a"]);
    expect(said).toEqual([
      `end ${opened.client}`,
      "find podman",
      "look with podman",
      "container a",
      "adopt a of c-a after 2",
      "remove c-created c-unknown",
      "remove c-runner",
      "end execs  in podman",
    ]);
    expect(Object.keys(attempts).map((id) => opened.place.mayHaveBegun(id))).toEqual([
      true,
      false,
      true,
      false,
      true,
    ]);
    expect(opened.place.mayHaveBegun("later")).toBeUndefined();
    expect([opened.place.outlives("a"), opened.place.room]).toEqual([true, 1]);
    // It looks once, and ends runners once.
    expect((await opened.adopt({ later: heardOf(IMAGE) })).said).toEqual([
      "container later",
      "adopt later of c-later after 2",
      "end execs  in podman",
    ]);
  });

  it("ends what was begun in a container that runs, and knows whether it had", async () => {
    const opened = new Opened(true);
    const token = (id: string): string => execToken(containerName(opened.root, id));
    world.begunExecs = [token("a"), token("c")];
    const { adopted, said } = await opened.adopt({
      a: heardOf({ exec: "db" }),
      b: heardOf({ exec: "db" }),
    });
    expect([adopted, said.at(-1)]).toEqual([[], `end execs ${token("a")} in podman`]);
    expect(["a", "b"].map((id) => opened.place.mayHaveBegun(id))).toEqual([true, false]);
  });

  it("takes all for begun where an engine does not tell, and looks again", async () => {
    const opened = new Opened(true);
    world.silent = "docker is silent";
    const { said } = await opened.adopt({ a: heardOf(IMAGE) });
    expect(said).toContain("warn what runs in containers cannot be found: it is ended");
    expect(opened.place.mayHaveBegun("a")).toBe(true);
    world.silent = undefined;
    expect((await opened.adopt({ b: heardOf(IMAGE) })).said).toContain("look with podman");
    expect(opened.place.mayHaveBegun("b")).toBe(false);
  });

  it("goes on where something stays for now: it goes before the next step", async () => {
    const opened = new Opened(true);
    world.left = { x: { labels: { "orchd.runner": "t" }, startedAt: STARTED } };
    world.stays = new EngineError("it stays");
    const { said } = await opened.adopt({ a: heardOf(IMAGE) });
    expect(said).toContain("warn what an earlier daemon left in containers is not gone yet");
    world.stays = undefined;
    expect((await opened.adopt({ b: heardOf(IMAGE) })).said).toContain("remove c-x");
  });

  it("asks no engine where nothing was left, or nothing is asked for", async () => {
    const [fresh, used] = [new Opened(), new Opened(true)];
    expect([await fresh.adopt({ a: heardOf(IMAGE) }), await used.adopt({})]).toEqual([
      { adopted: [], said: [] },
      { adopted: [], said: [] },
    ]);
    expect(fresh.place.mayHaveBegun("a")).toBe(false);
    await fresh.place.sweep();
    expect(world.said).toEqual([]);
    await used.place.sweep();
    expect(world.said.slice(0, 2)).toEqual(["find podman", `end ${used.client}`]);
  });

  it("is told where a sweep could not be done", async () => {
    const opened = new Opened(true);
    world.noEngine = new EngineError("none answers");
    await opened.place.sweep();
    expect(world.said).toEqual(["find podman", "warn containers of an earlier daemon may be left"]);
  });

  it("hears nothing of what was left to the one after it", async () => {
    const { place, start } = bound(new Opened());
    start("a");
    start("b", { exec: "db" });
    place.leave(["a", "b", "c"]);
    expect([world.said, place.has("a"), place.has("b")]).toEqual([["leave a"], false, true]);
    world.said.length = 0;
    await place.close();
    expect(world.said).toEqual(["leave b", "pools are closed"]);
    expect(place.has("b")).toBe(false);
  });
});

describe("the id of an image", () => {
  it.each([
    ["is given", undefined],
    ["cannot be had", new EngineError("there is none")],
  ])("comes once an earlier daemon's are gone, and its files go: it %s", async (_, noImage) => {
    const opened = new Opened(true);
    world.left = { x: { startedAt: STARTED } };
    world.noImage = noImage;
    const told: string[] = [];
    const { signal } = new AbortController();
    const hearing = { tell: (lines: readonly string[]) => void told.push(...lines), signal };
    const id = await opened.place
      .imageId(IMAGE as ContainerSpec, "me:token", hearing)
      .catch((error: unknown) => error);
    expect(id).toBe(noImage ?? "sha256:1");
    const said = world.said.filter((text) => /^(?:remove|image)/.test(text));
    expect(said).toEqual(["remove c-x", "image tool:1 of podman as me:token, with files: true"]);
    expect(told).toEqual(["tool:1 is pulled"]);
    await vi.waitFor(() => expect(existsSync(world.pullFolder)).toBe(false));
  });

  it.each([false, true])(
    "waits for room on the disk, unless nobody needs it: %s",
    async (isOver) => {
      const opened = new Opened();
      world.noImage = Object.assign(new Error("no space left"), { code: "ENOSPC" });
      const told: string[] = [];
      const needed = new AbortController();
      const hearing = {
        tell: (lines: readonly string[]) => void told.push(...lines),
        signal: needed.signal,
      };
      const id = opened.place
        .imageId(IMAGE as ContainerSpec, undefined, hearing)
        .catch((error: unknown) => error);
      await vi.waitFor(() => expect(told.at(-1)).toBe("the disk is full: the step waits"));
      const { noImage } = world;
      if (isOver) needed.abort();
      else world.noImage = undefined;
      await opened.clock.advance(1_000);
      expect(await id).toBe(isOver ? noImage : "sha256:1");
    },
  );

  it("is none of a container that runs already", async () => {
    const { place } = new Opened();
    await expect(place.imageId({ exec: "db" }, undefined)).rejects.toThrow(
      "a container that runs has no image",
    );
    expect(world.said).toEqual([]);
  });
});

describe("what is reported", () => {
  it("is the engine that was asked for, and why there is none", async () => {
    const opened = new Opened();
    let told = 0;
    const off = opened.place.onReport(() => (told += 1));
    expect(opened.place.reports()).toEqual([]);
    world.noEngine = new EngineError("none answers");
    opened.start("a");
    await opened.ready("a");
    const none = { place: "containers", engine: "containers", labels: [], hosts: [] };
    expect(opened.place.reports()).toEqual([{ ...none, because: "none answers" }]);
    world.noEngine = undefined;
    await opened.ready("a");
    const host = { host: hostname(), labels: [], threads: 2 };
    expect(opened.place.reports()).toEqual([
      { place: "podman", engine: "podman", engineVersion: "5", labels: [], hosts: [host] },
    ]);
    expect(told).toBe(2);
    off();
    opened.place.setSettings({ atOnce: 3 });
    expect([told, opened.place.reports()[0]!.hosts[0]!.threads]).toEqual([2, 3]);
  });

  it("changes with settings: another engine has the next steps, and its runners", async () => {
    const opened = new Opened();
    let grown = 0;
    opened.place.onCapacity(() => (grown += 1));
    opened.start("a");
    await opened.ready("a");
    opened.place.setSettings({ atOnce: 1 });
    expect([world.said, grown, await opened.ready("a")]).toEqual([[], 1, ["-> podman"]]);
    // More steps at once need runners with more threads.
    opened.place.setSettings({ atOnce: 2 });
    expect(await opened.ready("a")).toEqual(["pools are left", "-> podman"]);
    opened.place.setSettings({ atOnce: 3, engine: "docker" });
    expect(await opened.ready("a")).toEqual(["pools are left", "find docker", "-> docker"]);
    // What was begun in the one before stays with it.
    const engine: Pick<Engine, "name"> = await opened.host("a").ready();
    expect(engine.name).toBe("docker");
  });
});

describe("an engine that answers once another one was set", () => {
  it.each([
    ["that it is there", undefined],
    ["that it is not", new EngineError("podman does not answer")],
  ])("has no step, and is not reported: %s", async (_, noEngine) => {
    const opened = new Opened();
    let answers = (): void => undefined;
    world.slow["podman"] = new Promise((resolve) => (answers = resolve));
    world.noEngine = noEngine;
    opened.start("a");
    const before = opened.ready("a");
    opened.place.setSettings({ atOnce: 2, engine: "docker" });
    world.noEngine = undefined;
    opened.start("b");
    const after = opened.ready("b");
    answers();
    const said = [...(await before), ...(await after)];
    expect(said.filter((text) => text.startsWith("->"))).toEqual(["-> docker", "-> docker"]);
    expect(opened.place.reports()).toMatchObject([{ place: "docker", engineVersion: "5" }]);
    // It is not asked again.
    expect(await opened.ready("b")).toEqual(["-> docker"]);
  });
});

/** With methods that can be taken out. */
function bound(opened: Opened) {
  return {
    place: opened.place,
    start: opened.start.bind(opened),
    ready: opened.ready.bind(opened),
    host: opened.host.bind(opened),
  };
}
