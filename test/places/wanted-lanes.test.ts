/**
 * Lanes of other machines: each is told while one run wants it, whatever others gave up, and room
 * that was promised in it is given.
 */
import { expect, it } from "vitest";
import type { TaskHandlers } from "../../src/places/place.ts";
import { PlacedDaemon } from "../support/placed-daemon.ts";
import { PlayedPlace, PlayedPlaces } from "../support/played-place.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

it("a lane is told while somebody wants it, however often another gives it up", () => {
  const places = new PlayedPlaces(new PlayedPlace("gpu1", { threads: 3, labels: ["gpu"] }));
  const { place } = new PlacedDaemon(new VirtualClock(), places);
  const isTold = (): boolean => Object.hasOwn(place.capacity(), "shell@gpu");
  expect(isTold()).toBe(false);
  const [first, second] = [place.want("shell@gpu"), place.want("shell@gpu")];
  expect(isTold()).toBe(true);
  for (let times = 0; times < 3; times += 1) first();
  expect(isTold()).toBe(true);
  second();
  expect(isTold()).toBe(false);
  // What this machine does is always told, and is not wanted.
  place.want("shell")();
  expect(isTold()).toBe(false);
});

it("no lane has room while no step may begin, here or elsewhere", () => {
  const places = new PlayedPlaces(new PlayedPlace("gpu1", { threads: 3 }));
  const { place, local } = new PlacedDaemon(new VirtualClock(), places);
  place.want("module@gpu1");
  expect(place.capacity()["module@gpu1"]).toBe(3);
  local.isOpen = false;
  expect(place.capacity()).toMatchObject({ container: 0, "module@gpu1": 0 });
});

it("one lane is told as all of them are", () => {
  const far = new PlayedPlace("gpu1", { threads: 1, labels: ["gpu"] });
  const { place, local } = new PlacedDaemon(new VirtualClock(), new PlayedPlaces(far));
  const lanes = ["module@gpu", "module@gpu+red", "module", "container", "shell@gpu1"];
  place.want("module@gpu");
  place.want("module@gpu+red");
  const seen = (): boolean[] => {
    const room = place.capacity();
    for (const lane of lanes) expect(place.hasRoom(lane), lane).toBe((room[lane] ?? 0) > 0);
    return lanes.map((lane) => place.hasRoom(lane));
  };
  // The last one is wanted by nobody.
  expect([seen()[0], seen()[1], seen()[4]]).toEqual([true, false, false]);
  place.promise("module@gpu");
  expect(seen()[0]).toBe(false);
  place.redeem("module@gpu");
  local.isOpen = false;
  expect(seen()[0]).toBe(false);
});

it("what room was promised for starts where it was, though there is none any more", () => {
  const far = new PlayedPlace("gpu1", { threads: 2 });
  const { place } = new PlacedDaemon(new VirtualClock(), new PlayedPlaces(far));
  const died: string[] = [];
  const lane = "module@gpu1";
  const task = { kind: "module", on: ["gpu1"], run: { id: "run@1" } } as never;
  const handlers: TaskHandlers = {
    done: () => undefined,
    output: () => undefined,
    died: ({ because }) => void died.push(because),
  };
  const start = (id: string): void => {
    place.redeem(lane);
    place.start(id, task, handlers);
  };
  for (let times = 0; times < 2; times += 1) place.promise(lane);
  start("run@1#1");
  // A step there turns out long, and takes the room of others.
  far.threads = 1;
  start("run@1#2");
  expect([far.has("run@1#1"), far.has("run@1#2"), died]).toEqual([true, true, []]);
});

it("a step had not begun where one place knows it, or each says not there", async () => {
  const names = ["gpu1", "gpu2"];
  for (const [answers, placed, begun] of [
    [["not here", "not here"], undefined, false],
    [["not here", true], undefined, true],
    [[true, false], undefined, false],
    [["not here", undefined], "gpu1", false],
    [[undefined, true], "gpu2", true],
    // It is where nobody can be asked any more.
    [["not here", "not here"], "gpu3", true],
  ] as const) {
    const far = names.map((name, at) =>
      Object.assign(new PlayedPlace(name), { mayHaveBegun: () => answers[at] }),
    );
    const { place } = new PlacedDaemon(new VirtualClock(), new PlayedPlaces(...far));
    const lane = "module@gpu";
    const at = placed === undefined ? {} : { placed: { place: placed, host: "h", ref: "r" } };
    void place.adopt(
      ["run@1#1"],
      () => ({}) as TaskHandlers,
      undefined,
      () => ({ lane, ...at }),
    );
    expect(place.ahead.mayHaveBegun("run@1", "run@1#1"), JSON.stringify(answers)).toBe(begun);
  }
});

it("a step that outlives its daemon on another machine is left there", () => {
  const [stays, ends] = ["gpu1", "gpu2"].map((name) =>
    Object.assign(new PlayedPlace(name), {
      outlives: (id: string) => id === `${name}#1` && name === "gpu1",
      left: [] as string[][],
      leave(ids: string[]) {
        this.left.push(ids);
      },
    }),
  ) as (PlayedPlace & { left: string[][] })[];
  // A place that says nothing of it: what runs there ends with its daemon.
  const silent = new PlayedPlace("gpu3");
  const { place } = new PlacedDaemon(new VirtualClock(), new PlayedPlaces(silent, ends!, stays!));
  expect(["gpu1#1", "gpu2#1", "here"].map((id) => place.outlives(id))).toEqual([
    true,
    false,
    false,
  ]);
  place.leave(["gpu1#1"]);
  expect([stays!.left, ends!.left]).toEqual([[["gpu1#1"]], [["gpu1#1"]]]);
});
