/** Whether memory was why docker killed what is in a container: when it is asked, and how often. */
import { expect, it } from "vitest";
import {
  EngineError,
  type ContainerState,
  type Engine,
} from "../../../src/places/container/engine.ts";
import { lateOutOfMemory } from "../../../src/places/container/late-out-of-memory.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** Asks an engine. `at` has the moments at which that was asked; `said` what came of it. */
function asking(name: string, ...answers: readonly (boolean | "gone" | "silent")[]) {
  const clock = new VirtualClock();
  const began = clock.monotonic();
  const at: number[] = [];
  const inspect = async (names: readonly string[]): Promise<ContainerState[]> => {
    expect(names).toEqual(["c"]);
    const answer = answers[at.push(clock.monotonic() - began) - 1];
    if (answer === "silent") throw new EngineError("docker does not answer");
    return answer === "gone" ? [] : [{ outOfMemory: answer } as ContainerState];
  };
  const said: boolean[] = [];
  const engine = { name, inspect } as unknown as Engine;
  const over = lateOutOfMemory(engine, "c", clock).then((is) => said.push(is));
  return { clock, at, said, over };
}

it.each<[string, readonly (boolean | "gone" | "silent")[], readonly number[], boolean]>([
  ["says so at once", [true], [100], true],
  ["says so late", [false, false, true], [100, 200, 300], true],
  ["never says so", [false, false, false], [100, 200, 300], false],
  ["does not answer", ["silent", "silent", "silent"], [100, 200, 300], false],
  ["does not answer at first", ["silent", true], [100, 200], true],
  ["has no such container any more", ["gone", "gone", "gone"], [100, 200, 300], false],
])("docker that %s", async (_, answers, moments, isSo) => {
  const one = asking("docker", ...answers);
  await one.clock.advance(1_000);
  expect([one.at, one.said]).toEqual([moments, [isSo]]);
});

it("podman is not asked: it said so with the end, or it is not so", async () => {
  const one = asking("podman", true);
  await one.over;
  expect([one.at, one.said, one.clock.timers]).toEqual([[], [false], 0]);
});
