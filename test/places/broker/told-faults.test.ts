/** A fault is told once a minute, each by itself, and a hundred are remembered. */
import { expect, it } from "vitest";
import { ToldFaults } from "../../../src/places/broker/told-faults.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

it("is told again after a minute, and no sooner", async () => {
  const clock = new VirtualClock();
  const said: string[] = [];
  const faults = new ToldFaults(clock, (sentence) => void said.push(sentence));
  faults.tell("a");
  faults.tell("b");
  await clock.advance(59_999);
  faults.tell("a");
  expect(said).toEqual(["a", "b"]);
  await clock.advance(1);
  faults.tell("a");
  faults.tell("a");
  expect(said).toEqual(["a", "b", "a"]);
});

it("of a hundred others that were told meanwhile is forgotten", () => {
  const said: string[] = [];
  const faults = new ToldFaults(new VirtualClock(), (sentence) => void said.push(sentence));
  for (let nth = 0; nth < 100; nth += 1) faults.tell(`${nth}`);
  faults.tell("0");
  expect(said).toHaveLength(100);
  faults.tell("100");
  faults.tell("0");
  expect(said.slice(100)).toEqual(["100", "0"]);
});
