/** Which places may have steps of an earlier daemon, as one file says from daemon to daemon. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { PlaceSettings } from "../../src/core/place-settings.ts";
import { openedPlace, OpenedPlaces } from "../../src/engine/opened-places.ts";
import type { Log } from "../../src/log.ts";
import { tempRoot } from "../support/temp-root.ts";

const ssh = (more: object = {}): PlaceSettings => ({
  engine: "ssh",
  host: "far",
  user: "ann",
  labels: ["gpu"],
  threads: 1,
  ...more,
});
const nats = (more: object = {}): PlaceSettings => ({
  engine: "nats",
  urls: ["nats://one", "nats://two"],
  key: { secret: "KEY" },
  labels: [],
  ...more,
});
const [A, B] = [openedPlace("a", ssh()), openedPlace("b", nats())];
const OTHER_A = openedPlace("a", ssh({ host: "farther" }));

function rig() {
  const folder = join(tempRoot().runs, ".orchd/places");
  const path = join(folder, "opened.json");
  const warned: string[] = [];
  const log = { warn: (_: object, text: string) => warned.push(text) } as unknown as Log;
  return {
    folder,
    path,
    warned,
    daemon: () => new OpenedPlaces(folder, log),
    listed: () =>
      (JSON.parse(readFileSync(path, "utf8")) as { places: { place: string }[] }).places.map(
        ({ place }) => place,
      ),
  };
}

describe("the machines of a place", () => {
  it.each<[PlaceSettings, boolean]>([
    [ssh(), true],
    [ssh({ labels: [] }), true],
    [ssh({ host: "farther" }), false],
    [ssh({ user: "bob" }), false],
    [ssh({ port: 2222 }), false],
    [ssh({ folder: "/srv" }), false],
    [nats(), false],
  ])("of %j are those of an ssh place: %s", (settings, same) => {
    expect(openedPlace("a", settings).machines === A.machines).toBe(same);
  });

  it.each<[PlaceSettings, boolean]>([
    [nats({ labels: ["gpu"], credentials: { secret: "OTHER" } }), true],
    [nats({ engine: "redis" }), false],
    [nats({ urls: ["nats://two", "nats://one"] }), false],
    [nats({ key: { secret: "OTHER" } }), false],
  ])("of %j are those of a broker: %s", (settings, same) => {
    expect(openedPlace("b", settings).machines === B.machines).toBe(same);
  });
});

describe("a root on which no place was ever opened", () => {
  it("writes nothing before there is one, and makes no folder", () => {
    const { folder, daemon } = rig();
    const places = daemon();
    places.set([]);
    places.leasesOver();
    expect(existsSync(folder)).toBe(false);
    expect(places.mayBeElsewhere(undefined)).toBe(true);
  });

  it("has the file by the time that steps may be given", () => {
    const { folder, path, daemon } = rig();
    daemon().set([A, B]);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({
      format: 1,
      places: [
        { place: "a", engine: "ssh", host: "far", user: "ann" },
        { place: "b", engine: "nats", urls: ["nats://one", "nats://two"], key: "KEY" },
      ],
    });
    expect(readdirSync(folder)).toEqual(["opened.json"]);
  });
});

describe("the next daemon", () => {
  it.each<[string, readonly ReturnType<typeof openedPlace>[], Record<string, boolean>]>([
    ["has all of them", [B, A], { a: false, b: false, any: false, none: true }],
    ["lacks one", [A], { a: false, b: true, any: true, none: true }],
    ["has other machines for one", [OTHER_A, B], { a: true, b: false, any: true, none: true }],
    ["has none", [], { a: true, b: true, any: true, none: true }],
  ])("that %s says whose steps may be elsewhere", (_, present, elsewhere) => {
    const { daemon } = rig();
    daemon().set([A, B]);
    const next = daemon();
    next.set(present);
    const said = Object.keys(elsewhere).map((place) => [
      place,
      next.mayBeElsewhere(place === "any" ? undefined : place),
    ]);
    expect(Object.fromEntries(said)).toEqual(elsewhere);
  });

  it("keeps those of earlier ones listed until their leases are over, through a third", () => {
    const { daemon, listed } = rig();
    daemon().set([A]);
    daemon().set([B]);
    expect(listed()).toEqual(["b", "a"]);
    const third = daemon();
    third.set([OTHER_A]);
    expect(listed()).toEqual(["a", "b", "a"]);
    expect(third.mayBeElsewhere("b")).toBe(true);
    third.leasesOver();
    expect(listed()).toEqual(["a"]);
    third.set([]);
    expect(listed()).toEqual([]);
    const fourth = daemon();
    fourth.set([A]);
    expect([fourth.mayBeElsewhere("a"), listed()]).toEqual([true, ["a"]]);
  });
});

describe("a file that says nothing", () => {
  it.each<[string, (path: string) => void]>([
    ["is gone, where its folder is there", (path) => rmSync(path)],
    ["is rubbish", (path) => writeFileSync(path, "{")],
    ["is of a newer format", (path) => writeFileSync(path, '{"format":2,"places":[]}')],
    ["has no list", (path) => writeFileSync(path, '{"format":1,"places":{}}')],
  ])(
    "as it %s leaves each step in doubt, and is not written before the leases are over",
    (_, spoil) => {
      const { path, daemon, listed } = rig();
      daemon().set([A]);
      spoil(path);
      const before = existsSync(path) ? readFileSync(path, "utf8") : undefined;
      const next = daemon();
      next.set([A]);
      expect(next.mayBeElsewhere("a")).toBe(true);
      expect(existsSync(path) ? readFileSync(path, "utf8") : undefined).toBe(before);
      next.leasesOver();
      expect(listed()).toEqual(["a"]);
    },
  );

  it("as it cannot be written is removed, told once each time, and written when it can be", () => {
    const { folder, path, warned, daemon, listed } = rig();
    const places = daemon();
    places.set([A]);
    // The name that is written aside is taken by a folder.
    const aside = join(folder, `.opened.json.${process.pid}`);
    mkdirSync(aside);
    places.set([A]);
    expect([warned, existsSync(path)]).toEqual([[], true]);
    places.set([A, B]);
    const text =
      "which places may have steps could not be written: after a crash each such step waits 15 s";
    expect([warned, existsSync(path)]).toEqual([[text], false]);
    rmSync(aside, { recursive: true });
    places.set([A]);
    expect(listed()).toEqual(["a"]);
    expect(warned).toHaveLength(1);
  });
});
