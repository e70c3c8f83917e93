/** Lanes of other machines: each is told while one run wants it, whatever others gave up. */
import { expect, it } from "vitest";
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
