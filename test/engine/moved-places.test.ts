/**
 * A daemon dies while a step is at a place, and the next one finds another orchd.yaml: the step may
 * still run, for as long as its lease, on machines that nobody can be asked for.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import type { PlaceSettings } from "../../src/core/place-settings.ts";
import { NamedFarPlaces, type FarPlaceMakers } from "../../src/engine/far-places.ts";
import { silentLog } from "../../src/log.ts";
import type { RunLoop } from "../../src/run/run-loop.ts";
import { stepSpec } from "../support/given-run.ts";
import { PlacedDaemon } from "../support/placed-daemon.ts";
import { PlayedMachine, PlayedPlace } from "../support/played-place.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

type Settings = Readonly<Record<string, PlaceSettings>>;

function ssh(host: string, more: object = {}): PlaceSettings {
  return { engine: "ssh", host, threads: 2, labels: ["gpu"], ...more };
}

function nats(host: string): PlaceSettings {
  return { engine: "nats", urls: [`nats://${host}:1`], key: { secret: "k" }, labels: ["gpu"] };
}

/** Machines that outlive daemons, one daemon at a time. */
class World {
  readonly clock = new VirtualClock();
  readonly folder = join(tempRoot().root, "places");
  readonly machines = new Map<string, PlayedMachine>();
  places!: NamedFarPlaces;
  daemon!: PlacedDaemon;
  loop!: RunLoop;
  readonly made = new Map<string, PlayedPlace>();
  /** What its places say of where a task begins is lost. */
  isMute = false;

  /** What one place finds on one machine. */
  machine(key: string): PlayedMachine {
    const machine = this.machines.get(key) ?? new PlayedMachine();
    this.machines.set(key, machine);
    return machine;
  }

  /** Where the step ran, or runs: `a on one`. */
  get began(): string[] {
    return [...this.machines].flatMap(([key, { began }]) => began.map(() => key));
  }

  #open(settings: Settings, runsDir?: string): void {
    const play = (name: string, host: string, labels: readonly string[]): PlayedPlace => {
      const machine = this.machine(`${name} on ${host}`);
      const place = new PlayedPlace(name, { labels, machine });
      place.isMute = this.isMute;
      this.made.set(name, place);
      return place;
    };
    const makers: FarPlaceMakers = {
      ssh: ({ name, settings: { host, labels, user = "", folder = "" } }) =>
        play(name, host + user + folder, labels),
      nats: ({ name, settings: { urls, labels } }) =>
        play(name, new URL(urls[0]!).hostname, labels),
    };
    const { clock, folder } = this;
    const rest = { root: "", bundles: "", artifacts: "", token: "t", log: silentLog };
    const secrets = { get: (name: string) => name };
    this.places = new NamedFarPlaces({ clock, folder, secrets, ...rest }, makers);
    this.places.setSettings(settings);
    this.daemon = new PlacedDaemon(this.clock, this.places, runsDir);
  }

  /** @param meanwhile called when the start is decided */
  async begin(settings: Settings, meanwhile?: () => void): Promise<void> {
    this.#open(settings);
    this.loop = await this.daemon.begin([stepSpec("s", { on: ["gpu"], onInterruption: "rerun" })]);
    expect(this.loop.state.steps.get("s")!.phase).toBe("running");
    meanwhile?.();
    await this.clock.until(() => this.began.length === 1);
    if (!this.isMute) await this.until("step.placed s");
    await nextTurn();
  }

  /** The daemon dies, and the next one is up. @param isOver the step ends meanwhile */
  async next(settings: Settings, isOver = false): Promise<void> {
    const drained = this.loop.drain(0);
    await this.clock.advance(20_000);
    await drained;
    await this.places.close(true);
    this.made.clear();
    if (isOver) this.machine("a on one").running.clear();
    this.isMute = false;
    this.#open(settings, this.daemon.bench.store.runsDir);
    this.loop = await this.daemon.recover(this.loop.state.run);
  }

  /** The next daemon moves a place by a SIGHUP. */
  reload(settings: Settings): void {
    this.places.setSettings(settings);
  }

  async until(line: string): Promise<void> {
    await vi.waitFor(() => expect(this.daemon.lines(this.loop)).toContain(line), 10_000);
  }

  /** The step runs, and ends. */
  async end(): Promise<void> {
    await this.clock.until(() => [...this.made.values()].some(({ tasks }) => tasks > 0));
    await this.clock.settle();
    for (const place of this.made.values())
      for (const id of place.machine.running.keys()) place.end(id);
    expect((await this.daemon.bench.end(this.loop)).status).toBe("completed");
    await this.places.close(true);
    expect(this.clock.timers).toBe(0);
  }
}

const FIRST: Settings = { a: ssh("one") };

describe("the next daemon waits for all leases", () => {
  it.each<[what: string, isMute: boolean, settings: Settings]>([
    ["whose step began where no line says, and another place is named", true, { b: ssh("two") }],
    ["whose step's place is named no more", false, { b: ssh("two") }],
    ["whose place has another name", true, { b: ssh("one") }],
    ["whose placed step's place has another name", false, { b: ssh("one") }],
    ["whose place has another host", true, { a: ssh("two") }],
    ["whose placed step's place has another host", false, { a: ssh("two") }],
    ["whose placed step's place has another user", false, { a: ssh("one", { user: "u" }) }],
    ["whose placed step's place has another folder", false, { a: ssh("one", { folder: "/f" }) }],
    ["whose place has another engine", true, { a: nats("two") }],
    ["whose placed step's place has another engine", false, { a: nats("two") }],
    ["whose names were exchanged", false, { a: ssh("two"), b: ssh("one") }],
    ["that finds no place at all", true, {}],
  ])("%s", async (_what, isMute, settings) => {
    const world = new World();
    world.isMute = isMute;
    await world.begin(FIRST);
    await world.next(settings);
    await world.clock.advance(14_900);
    expect([world.began, world.loop.state.steps.get("s")!.phase]).toEqual([
      ["a on one"],
      "running",
    ]);
    world.machine("a on one").running.clear();
    await world.clock.advance(200);
    await world.until("step.interrupted s the daemon ended while it was running");
    if (world.made.size === 0) world.reload(FIRST);
    await world.end();
  });

  it("after a second death too, and forgets what is over", async () => {
    const world = new World();
    world.isMute = true;
    await world.begin(FIRST);
    await world.next({ b: ssh("two") });
    const file = (): string => readFileSync(join(world.folder, "opened.json"), "utf8");
    expect(file()).toContain('"one"');
    // It dies at once: its drain takes time of this clock, and its leases count from its start.
    world.places.close(true).catch(() => undefined);
    await world.next({ b: ssh("two") });
    await world.clock.advance(14_900);
    expect(world.began).toEqual(["a on one"]);
    world.machine("a on one").running.clear();
    await world.clock.advance(200);
    await world.until("step.interrupted s the daemon ended while it was running");
    expect(file()).not.toContain('"one"');
    await world.end();
    expect(world.began).toEqual(["a on one", "b on two"]);
  });

  it.each(["missing", "damaged"])("where the list of places is %s", async (how) => {
    const world = new World();
    await world.begin(FIRST);
    const path = join(world.folder, "opened.json");
    if (how === "missing") rmSync(path);
    else writeFileSync(path, '{"format":1,"places":[{"pl');
    await world.next(FIRST, true);
    await world.clock.advance(14_900);
    expect(world.began).toEqual(["a on one"]);
    await world.clock.advance(200);
    await world.end();
    expect(existsSync(path)).toBe(true);
  });
});

describe("the next daemon asks, and does not wait", () => {
  it.each<[what: string, isMute: boolean, settings: Settings]>([
    ["where its places are the same", true, FIRST],
    ["where another place was added", true, { ...FIRST, b: ssh("two") }],
    ["where a place has other threads and labels", true, { a: ssh("one", { threads: 9 }) }],
    [
      "where a placed step's place is the same, and others are not",
      false,
      { ...FIRST, c: nats("x") },
    ],
  ])("%s", async (_what, isMute, settings) => {
    const world = new World();
    world.isMute = isMute;
    await world.begin(FIRST);
    await world.next(settings, true);
    // The clock stands still.
    await world.until("step.interrupted s the daemon ended while it was running");
    await world.clock.until(() => world.began.length === 2);
    expect(world.began[0]).toBe("a on one");
    await world.end();
  });

  it("and a step that lives goes on, although another place is gone", async () => {
    const world = new World();
    world.isMute = true;
    await world.begin({ ...FIRST, z: ssh("nine", { labels: [] }) });
    await world.next(FIRST);
    await world.clock.advance(16_000);
    expect(world.loop.state.steps.get("s")!.phase).toBe("running");
    await world.end();
    expect(world.began).toEqual(["a on one"]);
  });
});

describe("a reload of orchd.yaml", () => {
  it("moves a label under a step that is about to start: it goes to the other place", async () => {
    const world = new World();
    // The line of its start is not durable yet.
    await world.begin(FIRST, () => world.reload({ b: ssh("two") }));
    await world.end();
    expect(world.began).toEqual(["b on two"]);
  });

  it("leaves a step where it runs; then its daemon dies, and the next one waits", async () => {
    const world = new World();
    await world.begin(FIRST);
    world.reload({ a: ssh("two") });
    expect(world.places.reports()[0]).toMatchObject({ place: "a" });
    await world.next({ a: ssh("two") });
    await world.clock.advance(14_900);
    expect(world.began).toEqual(["a on one"]);
    world.machine("a on one").running.clear();
    await world.clock.advance(200);
    await world.end();
    expect(world.began).toEqual(["a on one", "a on two"]);
  });

  it("that takes a place away, and gives it back, changes nothing for its step", async () => {
    const world = new World();
    await world.begin(FIRST);
    world.reload({});
    world.reload(FIRST);
    await world.end();
    expect(world.began).toEqual(["a on one"]);
  });
});
