/** What earlier daemons left in containers: which engines are asked, and who removes what. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { lookEverywhere, removeAll } from "../../../src/places/container/earlier-engines.ts";
import { EngineError, type Engine } from "../../../src/places/container/engine.ts";
import { writeNote } from "../../../src/places/container/engine-note.ts";
import { tempRoot } from "../../support/temp-root.ts";

/** The engines that answer now, by name, and what is ended that no engine knows. */
const world = vi.hoisted(() => ({
  answering: new Map<string, unknown>(),
  asked: [] as string[],
  unknown: [] as string[],
  left: undefined as string | undefined,
}));
vi.mock("../../../src/places/container/engine.ts", async (original) => ({
  ...(await original<object>()),
  findEngine: (name: string) => {
    world.asked.push(name);
    const found = world.answering.get(name);
    return found === undefined ? Promise.reject(new Error(`no ${name}`)) : Promise.resolve(found);
  },
}));
vi.mock("../../../src/places/container/unknown-processes.ts", () => ({
  endUnknown: (folder: string) => {
    world.unknown.push(folder);
    return Promise.resolve(world.left);
  },
}));

beforeEach(() => {
  world.answering.clear();
  Object.assign(world, { asked: [], unknown: [], left: undefined });
});

/** An engine with containers, by their tokens. An error: it does not tell. */
function engineOf(name: string, id: string, has: readonly string[] | Error = []) {
  const removed: string[] = [];
  const made = {
    name,
    id,
    env: {},
    removed,
    fault: undefined as string | undefined,
    containersOf: (root: string) =>
      has instanceof Error
        ? Promise.reject(has)
        : Promise.resolve(new Map(has.map((token) => [token, { name: `${root} ${token}` }]))),
    remove: (names: readonly string[]) => {
      removed.push(names.join(" "));
      return Promise.resolve(made.fault);
    },
  };
  return made as unknown as Engine & { readonly removed: string[]; fault: string | undefined };
}

/** Folders of attempts, each with the note of its engine; undefined: an earlier release's. */
function foldersOf(...notes: (readonly [engine: string, id: string] | undefined)[]): string[] {
  const { root } = tempRoot();
  return notes.map((note, nth) => {
    const folder = join(root, `a-${nth}`);
    mkdirSync(folder);
    if (note !== undefined)
      writeNote(folder, { engine: note[0] as "podman", id: note[1], env: { HOME: "/h" } });
    return folder;
  });
}

describe("a look into all engines", () => {
  const look = async (present: Engine | undefined, folders: readonly string[]) => {
    const { found, silent } = await lookEverywhere(present, folders, "/runs");
    const all = [...found].map(([token, { engine, state }]) => [token, engine.id, state.name]);
    return { all, silent };
  };

  it("asks the present one alone, where all attempts are its own", async () => {
    const present = engineOf("podman", "p1", ["a", "b"]);
    expect(await look(present, foldersOf(["podman", "p1"], ["podman", "p1"]))).toEqual({
      all: [
        ["a", "p1", "/runs a"],
        ["b", "p1", "/runs b"],
      ],
      silent: undefined,
    });
    expect(world.asked).toEqual([]);
  });

  it("asks each other one that has an attempt, once, also where none is present", async () => {
    world.answering.set("docker", engineOf("docker", "d1", ["c"]));
    const folders = foldersOf(["docker", "d1"], ["docker", "d1"], ["podman", "p1"]);
    const present = engineOf("podman", "p1", ["a"]);
    const both = [
      ["a", "p1", "/runs a"],
      ["c", "d1", "/runs c"],
    ];
    expect((await look(present, folders)).all).toEqual(both);
    expect(world.asked).toEqual(["docker"]);
    world.answering.set("podman", present);
    const { all, silent } = await look(undefined, folders);
    expect([all.length, silent]).toEqual([2, undefined]);
  });

  it("asks all that answer where an earlier release left no note", async () => {
    world.answering.set("docker", engineOf("docker", "d1", ["c"]));
    const folders = foldersOf(undefined, ["podman", "p1"]);
    const { all, silent } = await look(engineOf("podman", "p1"), folders);
    expect([all, silent, world.asked]).toEqual([[["c", "d1", "/runs c"]], undefined, ["docker"]]);
    // One that does not answer now was none of them.
    world.answering.clear();
    expect(await look(engineOf("podman", "p1"), folders)).toEqual({ all: [], silent: undefined });
  });

  it("says which did not tell: the first of them, and what the others told", async () => {
    world.answering.set("docker", engineOf("docker", "d2"));
    const folders = foldersOf(["docker", "d1"]);
    const away = engineOf("podman", "p1", new EngineError("podman does not answer"));
    expect(await look(away, folders)).toEqual({ all: [], silent: "podman does not answer" });
    const { all, silent } = await look(engineOf("podman", "p1", ["a"]), folders);
    expect(all).toHaveLength(1);
    expect(silent).toMatch(/^an earlier attempt may still run in docker .*another one answers/);
  });
});

describe("what is removed", () => {
  const named = (engine: Engine, name: string, files?: string) => ({
    engine,
    state: { name, labels: files === undefined ? {} : { "orchd.files": files } },
  });

  it("is removed by its own engine, all of one at once, with what that does not know", async () => {
    const [one, two] = [engineOf("podman", "p1"), engineOf("docker", "d1")];
    await removeAll([named(one, "a", "/a"), named(two, "b"), named(one, "c", "/c")]);
    expect([one.removed, two.removed, world.unknown]).toEqual([["a c"], ["b"], ["/a", "/c"]]);
    await removeAll([]);
    expect(world.unknown).toHaveLength(2);
  });

  it("and is not gone is told with the reason, and nothing more is ended there", async () => {
    const one = engineOf("podman", "p1");
    one.fault = "it is busy";
    const sentence = "a container of an earlier attempt cannot be removed: ";
    await expect(removeAll([named(one, "a", "/a")])).rejects.toThrow(`${sentence}it is busy`);
    expect(world.unknown).toEqual([]);
    one.fault = undefined;
    world.left = "process 7 stays";
    const all = [named(one, "a", "/a"), named(one, "b", "/b")];
    await expect(removeAll(all)).rejects.toThrow(`${sentence}process 7 stays`);
    expect(world.unknown).toEqual(["/a"]);
  });
});
