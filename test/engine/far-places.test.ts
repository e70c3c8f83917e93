/** The places on other machines of one daemon, over reloads of orchd.yaml. */
import { expect, it } from "vitest";
import type { PlaceSettings } from "../../src/core/place-settings.ts";
import { NamedFarPlaces } from "../../src/engine/far-places.ts";
import { silentLog } from "../../src/log.ts";
import type { FarPlaceOptions } from "../../src/places/far-place.ts";
import { PlayedPlace } from "../support/played-place.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function ssh(host: string, more: object = {}): PlaceSettings {
  return { engine: "ssh", host, threads: 2, labels: [], ...more };
}

const NATS: PlaceSettings = {
  engine: "nats",
  urls: ["nats://h:1"],
  key: { secret: "k" },
  labels: ["gpu"],
};

function opened(): {
  readonly places: NamedFarPlaces;
  readonly made: PlayedPlace[];
  readonly options: FarPlaceOptions[];
  readonly clock: VirtualClock;
} {
  const clock = new VirtualClock();
  const made: PlayedPlace[] = [];
  const options: FarPlaceOptions[] = [];
  const places = new NamedFarPlaces(
    {
      clock,
      log: silentLog,
      secrets: { get: (name) => name },
      root: "/srv/runs",
      folder: "/srv/runs/.orchd/places",
      bundles: "/srv/runs/.orchd/bundles",
      artifacts: "/srv/runs/.orchd/artifacts",
      token: "token",
    },
    {
      ssh(given) {
        options.push(given);
        const place = new PlayedPlace(given.name, { threads: given.settings.threads });
        made.push(place);
        return place;
      },
    },
  );
  return { places, made, options, clock };
}

const TASK = {
  kind: "shell" as const,
  text: "x",
  shell: ["sh"],
  cwd: "",
  params: {},
  inputs: {},
  run: { id: "r", pipeline: "p", attempt: 1 },
  env: {},
  gracePeriodMs: 1,
};
const HANDLERS = { done: () => undefined, output: () => undefined, died: () => undefined };

it("makes each with a folder of its own, and keeps those whose settings are the same", async () => {
  const { places, made, options } = opened();
  places.setSettings({ a: ssh("a"), b: ssh("b") });
  expect(options.map(({ name, folder }) => [name, folder])).toEqual([
    ["a", "/srv/runs/.orchd/places/a"],
    ["b", "/srv/runs/.orchd/places/b"],
  ]);
  places.setSettings({ b: { labels: [], threads: 2, host: "b", engine: "ssh" }, a: ssh("other") });
  expect(made.map(({ name, closed }) => [name, closed])).toEqual([
    ["a", true],
    ["b", false],
    ["a", false],
  ]);
  expect(places.open.map(({ name }) => name).sort()).toEqual(["a", "b"]);
  await places.close(false);
  expect(made.every(({ closed }) => closed)).toBe(true);
});

it("changes no place under a step, and says what it waits for", async () => {
  const { places, made } = opened();
  let told = 0;
  places.onCapacity(() => (told += 1));
  places.setSettings({ a: ssh("a"), b: ssh("b") });
  const [a, b] = made as [PlayedPlace, PlayedPlace];
  a.start("r#1", TASK, HANDLERS);
  b.start("r#2", TASK, HANDLERS);
  places.setSettings({ a: ssh("other") });
  expect(places.open).toEqual([]);
  expect(places.all).toEqual([a, b]);
  expect(places.reports().map(({ place, because }) => [place, because])).toEqual([
    [
      "a",
      "orchd.yaml has other settings for it, which count once the steps that it has have ended",
    ],
    ["b", "orchd.yaml does not name it any more; the steps that it has go on"],
  ]);
  const before = told;
  a.end("r#1");
  expect(told).toBeGreaterThan(before);
  expect([a.closed, b.closed, made.length]).toEqual([true, false, 3]);
  expect(places.open).toEqual([made[2]]);
  // What was named again as it was takes steps again.
  places.setSettings({ a: ssh("other"), b: ssh("b") });
  expect(places.open).toContain(b);
  await places.close(true);
});

it("says so where it has no maker for an engine", () => {
  const { places } = opened();
  places.setSettings({ farm: NATS });
  expect(places.reports()).toEqual([
    {
      place: "farm",
      engine: "nats",
      labels: ["farm", "gpu"],
      hosts: [],
      because: "this release has no place of the engine nats",
    },
  ]);
});

it("knows when all leases of an earlier daemon are over", async () => {
  const { places, clock } = opened();
  await clock.advance(10_000);
  let over = false;
  void places.leasesOver().then(() => (over = true));
  await clock.advance(4_900);
  expect(over).toBe(false);
  await clock.advance(200);
  expect(over).toBe(true);
  await places.leasesOver();
});
