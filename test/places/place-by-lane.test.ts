/** All places as one, over places that a test plays: who has a lane's room, a step, a question. */
import { describe, expect, it, vi } from "vitest";
import type { PlaceReport } from "../../src/core/place-report.ts";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import type { Task } from "../../src/core/task.ts";
import type { FarPlace } from "../../src/places/far-place.ts";
import type { TaskHandlers } from "../../src/places/place.ts";
import {
  PlaceByLane,
  type ContainersPlace,
  type FarPlaces,
  type LocalPlace,
} from "../../src/places/place-by-lane.ts";

type Holds = boolean | "not here" | undefined;

/** A far place, of what a test sets. */
class PlayedFar {
  readonly name: string;
  readonly labels: string[];
  free = { module: 0, shell: 0 };
  because: string | undefined;
  begun: Holds;
  held: string[] = [];
  part: number | undefined;
  readonly said: string[] = [];
  readonly alive: string[] = [];

  constructor(name: string, ...labels: string[]) {
    this.name = name;
    this.labels = [name, ...labels];
  }
  serves = (labels: readonly string[]): boolean =>
    labels.every((label) => this.labels.includes(label));
  room = (kind: "module" | "shell", labels: readonly string[]): number =>
    this.serves(labels) ? this.free[kind] : 0;
  share = (): number => this.part ?? 1;
  has = (id: string): boolean => this.held.includes(id);
  report = (): PlaceReport => ({
    place: this.name,
    engine: "ssh",
    labels: this.labels,
    hosts: [{ host: this.name, labels: [], threads: 1 }],
    ...(this.because === undefined ? {} : { because: this.because }),
  });
  promise = (...given: unknown[]): void => void this.said.push(`promise ${given.join(" ")}`);
  redeem = (...given: unknown[]): void => void this.said.push(`redeem ${given.join(" ")}`);
  start = (id: string): void => void this.said.push(`start ${id}`);
  forget = (): void => void this.said.push("forget");
  stop = (...given: string[]): void => void this.said.push(`stop ${given.join(" ")}`);
  settle = (ids: readonly string[]): void => void this.said.push(`settle ${ids.join(" ")}`);
  leave = (ids: readonly string[]): void => void this.said.push(`leave ${ids.join(" ")}`);
  outlives = (id: string): boolean => this.has(id);
  mayHaveBegun = (): Holds => this.begun;
  adopt = (ids: readonly string[]): Promise<ReadonlySet<string>> => {
    this.said.push(`adopt ${ids.join(" ")}`);
    return Promise.resolve(new Set(this.alive.filter((id) => ids.includes(id))));
  };
}

function rig(...all: PlayedFar[]) {
  const local = new PlayedFar("local");
  const containers = new PlayedFar("podman");
  const world = { isOpen: true, open: all, elsewhere: [] as (string | undefined)[] };
  const ended: string[] = [];
  const hears =
    (name: string) =>
    (_callback: () => void): (() => void) =>
    () =>
      void ended.push(name);
  let leasesOver = (): void => undefined;
  const over = new Promise<void>((resolve) => (leasesOver = resolve));
  const far: FarPlaces = {
    get open() {
      return world.open as unknown as FarPlace[];
    },
    all: all as unknown as FarPlace[],
    reports: () => all.map((one) => one.report()),
    leasesOver: () => over,
    mayBeElsewhere: (place) => world.elsewhere.includes(place),
    onReport: hears("far report"),
    onCapacity: hears("far"),
  };
  const ahead = {
    share: () => 0.25,
    expect: (run: string) => void local.said.push(`expect ${run}`),
    settle: (ids: readonly string[]) => local.settle(ids),
    mayHaveBegun: () => local.begun === true,
  };
  const here = { place: "local", engine: "local", labels: [], hosts: [] };
  const place = new PlaceByLane(
    Object.assign(local, {
      ahead,
      onCapacity: hears("local"),
      capacity: () => local.free,
    }) as unknown as LocalPlace,
    Object.assign(containers, {
      onCapacity: hears("containers"),
      onReport: hears("containers report"),
      reports: () => [containers.report()],
      imageId: () => Promise.resolve("id"),
      get room() {
        return 5;
      },
    }) as unknown as ContainersPlace,
    far,
    here,
  );
  Object.defineProperty(local, "isOpen", { get: () => world.isOpen });
  Object.defineProperty(containers, "room", { get: () => containers.free.shell });
  return { place, local, containers, world, ended, here, leasesOver: () => leasesOver() };
}

const taskOf = (more: object = {}): Task => ({ kind: "module", ...more }) as unknown as Task;
const died: unknown[] = [];
const handlers = { died: (info: unknown) => void died.push(info) } as unknown as TaskHandlers;

describe("room", () => {
  it("is told of each kind here, of containers, and of lanes that runs want", () => {
    const [one, two] = [new PlayedFar("one", "gpu"), new PlayedFar("two", "gpu", "big")];
    const { place, local, containers } = rig(one, two);
    local.free = { module: 3, shell: 4 };
    containers.free.shell = 2;
    one.free = { module: 5, shell: 1 };
    two.free = { module: -9, shell: 7 };
    expect(place.capacity()).toEqual({ module: 3, shell: 4, container: 2 });
    const ends = ["module@gpu", "module@gpu", "shell@gpu+big", "shell"].map((lane) =>
      place.want(lane),
    );
    expect(place.capacity()).toEqual({
      module: 3,
      shell: 4,
      container: 2,
      "module@gpu": 5,
      "shell@gpu+big": 7,
    });
    expect(["module@gpu", "shell@big", "module", "other"].map((l) => place.hasRoom(l))).toEqual([
      true,
      false,
      true,
      false,
    ]);
    // It is wanted until the last run wants it no more, whoever says so twice.
    ends[0]!();
    ends[0]!();
    expect(place.capacity()).toHaveProperty("module@gpu");
    for (const end of ends) end();
    expect(place.capacity()).toEqual({ module: 3, shell: 4, container: 2 });
  });

  it("is none anywhere else while no step may begin here", () => {
    const far = new PlayedFar("one", "gpu");
    const { place, world, containers } = rig(far);
    far.free.module = 5;
    containers.free.shell = 2;
    place.want("module@gpu");
    world.isOpen = false;
    expect(place.capacity()).toEqual({ module: 0, shell: 0, container: 0, "module@gpu": 0 });
    expect(place.hasRoom("module@gpu")).toBe(false);
  });

  it("that is missing has its reason, where that is not only that all is taken", () => {
    const far = new PlayedFar("one", "gpu");
    const { place } = rig(far);
    expect([place.whyNot("module"), place.whyNot("module@gpu")]).toEqual([undefined, undefined]);
    expect(place.whyNot("module@arm")).toBe('no place has the label "arm"');
    far.because = "its key is not known";
    expect(place.whyNot("module@gpu")).toBe("its key is not known");
    far.free.module = 1;
    expect(place.whyNot("module@gpu")).toBeUndefined();
  });

  it("of a step is its share where it takes most, and whole where nobody knows", () => {
    const [one, two] = [new PlayedFar("one", "gpu"), new PlayedFar("two", "gpu")];
    const { place } = rig(one, two, new PlayedFar("three"));
    const shareOf = (on?: string[]): number =>
      place.ahead.share((on === undefined ? {} : { on }) as unknown as SnapshotStep);
    [one.part, two.part] = [0.125, 0.5];
    expect([shareOf(), shareOf(["gpu"]), shareOf(["three"]), shareOf(["none"])]).toEqual([
      0.25, 0.5, 1, 1,
    ]);
  });
});

describe("a step", () => {
  it("of this machine or of a container goes there, and all else is for this machine", () => {
    const { place, local, containers } = rig(new PlayedFar("one"));
    place.promise("module", 0.5);
    place.promise("container");
    place.redeem("module", 0.5);
    place.redeem("container");
    place.start("a", taskOf(), handlers);
    place.start("b", taskOf({ kind: "shell", container: {} }), handlers);
    place.start("c", taskOf({ kind: "load", container: {}, on: ["one"] }), handlers);
    expect(local.said).toEqual(["promise module 0.5", "redeem module 0.5", "start a", "start c"]);
    expect(containers.said).toEqual(["promise container ", "redeem container ", "start b"]);
  });

  it("has room kept where there is most, given back there, and goes where most is then", () => {
    const [one, two] = [new PlayedFar("one", "gpu"), new PlayedFar("two", "gpu")];
    const { place } = rig(one, two);
    [one.free.shell, two.free.shell, one.free.module] = [2, 3, 9];
    place.promise("shell@gpu");
    two.free.shell = 1;
    place.promise("shell@gpu", 0.5);
    place.redeem("shell@gpu");
    place.redeem("shell@gpu", 0.5);
    place.redeem("shell@gpu");
    expect(two.said).toEqual(["promise shell@gpu ", "redeem shell@gpu "]);
    expect(one.said).toEqual(["promise shell@gpu 0.5", "redeem shell@gpu 0.5"]);
    place.start("a", taskOf({ kind: "shell", on: ["gpu"] }), handlers);
    place.start("b", taskOf({ on: ["gpu", "two"] }), handlers);
    expect(one.said.at(-1)).toBe("start a");
    expect(two.said).toHaveLength(2);
  });

  it("starts once where its room was kept, though it is gone, if that takes work", async () => {
    const far = new PlayedFar("one", "gpu");
    const { place, world } = rig(far);
    const tries = async (id: string, meanwhile = (): void => undefined): Promise<unknown> => {
      died.length = 0;
      far.free.module = 1;
      place.promise("module@gpu");
      far.free.module = 0;
      place.redeem("module@gpu");
      meanwhile();
      place.start(id, taskOf({ on: ["gpu"] }), handlers);
      expect(died).toEqual([]);
      await Promise.resolve();
      return died[0];
    };
    expect([await tries("a"), far.said.at(-1)]).toEqual([undefined, "start a"]);
    const death = { alone: false, code: "ORCHD_PLACE", blameless: "unbegun" };
    const gone = "the room that was kept for it is gone";
    // A second one finds nothing that was kept for it.
    place.start("b", taskOf({ on: ["gpu"] }), handlers);
    await Promise.resolve();
    expect(died).toEqual([{ ...death, inFlight: ["b"], because: gone }]);
    far.because = "it broke";
    expect(await tries("c")).toEqual({ ...death, inFlight: ["c"], because: "it broke" });
    far.because = undefined;
    const closes = (): void => void (world.open = []);
    expect(await tries("d", closes)).toMatchObject({ because: gone });
    world.open = [far];
    const changes = (): void => void far.labels.splice(1);
    expect(await tries("e", changes)).toMatchObject({ because: 'no place has the label "gpu"' });
    expect(far.said.filter((one) => one.startsWith("start"))).toEqual(["start a"]);
  });

  it("is stopped where it is, and its frame is forgotten where its steps go", () => {
    const far = new PlayedFar("one");
    const { place, local, containers } = rig(far);
    [far.held, containers.held] = [["f"], ["c"]];
    for (const id of ["f", "c", "l"]) place.stop(id, "force", "bob");
    place.forget({ on: ["one"] } as never);
    place.forget({} as never);
    expect([far.said, containers.said, local.said]).toEqual([
      ["stop f force bob", "forget"],
      ["stop c force bob"],
      ["stop l force bob", "forget"],
    ]);
    expect(["f", "c", "l"].map((id) => place.outlives(id))).toEqual([true, true, false]);
  });
});

describe("all places", () => {
  it("hear of ends, and of what is left to the next daemon", async () => {
    const far = new PlayedFar("one");
    const { place, local, containers, world } = rig(far);
    // It takes no more steps, and has tasks yet.
    world.open = [];
    place.ahead.expect("r@1");
    place.ahead.settle(["a"]);
    place.leave(["b"]);
    expect(local.said).toEqual(["expect r@1", "settle a"]);
    for (const one of [containers, far]) expect(one.said).toEqual(["settle a", "leave b"]);
    expect(await place.imageId({} as never, undefined)).toBe("id");
  });

  it("tell of themselves, and are listened to until that ends", () => {
    const { place, ended, containers, here } = rig(new PlayedFar("one"));
    expect(place.reports().map((one) => one.place)).toEqual(["local", "podman", "one"]);
    expect([place.reports()[0], place.reports()[1]]).toEqual([here, containers.report()]);
    place.onCapacity(vi.fn<() => void>())();
    expect(ended.splice(0)).toEqual(["local", "containers", "far"]);
    place.onReport(vi.fn<() => void>())();
    expect(ended).toEqual(["containers report", "far report"]);
  });
});

describe("tasks of an earlier daemon", () => {
  const adopt = (
    place: PlaceByLane,
    lanes: Readonly<Record<string, [lane: string, placed?: string]>>,
  ): Promise<ReadonlySet<string>> =>
    place.adopt(
      Object.keys(lanes),
      () => handlers,
      undefined,
      (id) => {
        const [lane, placed] = lanes[id]!;
        return {
          lane,
          ...(placed === undefined ? {} : { placed: { place: placed, host: "h", ref: "x" } }),
        };
      },
    );

  it("are asked of containers and of the places that may have them", async () => {
    const [one, two] = [new PlayedFar("one"), new PlayedFar("two")];
    const { place, containers, local } = rig(one, two);
    one.alive.push("f1", "f2");
    containers.adopt = (ids) => {
      containers.said.push(`adopt ${ids.join(" ")}`);
      return Promise.resolve(new Set(["c1"]));
    };
    const lanes = {
      c1: ["container"],
      m1: ["module"],
      f1: ["module@gpu", "one"],
      f2: ["shell@gpu"],
    } as const;
    const adopted = await adopt(place, lanes as never);
    expect([...adopted].toSorted((a, b) => (a < b ? -1 : 1))).toEqual(["c1", "f1", "f2"]);
    expect(containers.said).toEqual(["adopt c1 m1"]);
    expect([one.said, two.said, local.said]).toEqual([["adopt f1 f2"], ["adopt f2"], []]);
    expect(await place.adopt([], () => handlers)).toEqual(new Set());
    expect(containers.said).toHaveLength(1);
  });

  it.each([
    ["of a place that is no more", "gone", []],
    ["that may be on machines that nobody finds", "one", ["one"]],
  ])("%s are waited for until all leases are over", async (_, placed, elsewhere) => {
    const one = new PlayedFar("one");
    const { place, world, leasesOver } = rig(one);
    world.elsewhere = elsewhere;
    one.begun = "not here";
    let isOver = false;
    const adopted = adopt(place, { f: ["module@gpu", placed] }).then(() => (isOver = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isOver).toBe(false);
    leasesOver();
    await adopted;
    // It may have begun there, whatever the others say.
    expect(place.ahead.mayHaveBegun("r@1", "f")).toBe(true);
  });

  it.each<[string, Holds[], boolean]>([
    ["nobody knows it", [undefined, undefined], true],
    ["one knows that it had not", [undefined, false], false],
    ["one says so, and another that it may have", [true, false], false],
    ["one says that it may have", [undefined, true], true],
    ["each says that it was not there", ["not here", "not here"], false],
    ["one does, and another that it may have", ["not here", true], true],
    ["one does, and another knows nothing", ["not here", undefined], false],
  ])("had begun or not: %s", async (_, answers, had) => {
    const all = answers.map((begun, nth) => {
      const far = new PlayedFar(`p${nth}`);
      far.begun = begun;
      return far;
    });
    const { place } = rig(...all);
    await adopt(place, { f: ["module@gpu"] });
    expect(place.ahead.mayHaveBegun("r@1", "f")).toBe(had);
  });

  it("that were no other machine's had begun as containers or this machine know", () => {
    const { place, local, containers } = rig(new PlayedFar("one"));
    const known = (): boolean => place.ahead.mayHaveBegun("r@1", "a");
    [containers.begun, local.begun] = [undefined, true];
    expect(known()).toBe(true);
    containers.begun = false;
    expect(known()).toBe(false);
    [containers.begun, local.begun] = [true, false];
    expect(known()).toBe(true);
  });
});
