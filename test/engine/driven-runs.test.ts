import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { DrivenRuns, type DrivenRun } from "../../src/engine/driven-runs.ts";
import type { Room } from "../../src/core/lane.ts";

/** A place with so much room, and runs that take one piece of it each. */
function world(free: number) {
  const place = {
    free,
    asked: 0,
    tell: (): void => undefined,
    capacity(): Room {
      this.asked += 1;
      return { module: this.free, shell: 8 };
    },
    onCapacity(callback: () => void): void {
      this.tell = callback;
    },
  };
  const runs = new DrivenRuns<DrivenRun>(place);
  const poked: string[] = [];
  const add = (name: string, wants = "module"): (() => void) => {
    let end!: () => void;
    let waits = true;
    runs.keep({
      finished: new Promise<void>((resolve) => (end = resolve)),
      poke(room) {
        if (!waits || (room[wants] ?? 0) <= 0) return false;
        poked.push(name);
        if (wants === "module") place.free -= 1;
        waits = false;
        return true;
      },
    });
    return end;
  };
  return { place, poked, add };
}

describe("runs that wait for room", () => {
  test("a thousand of them are not all planned because two may start", async () => {
    const { place, poked, add } = world(2);
    for (let index = 0; index < 1_000; index += 1) add(`run ${index}`);
    place.tell();
    await turn();
    expect(poked).toEqual(["run 0", "run 1"]);
    expect(place.asked).toBeLessThanOrEqual(3);
  });

  test("what one leaves goes to the next that can use it, whatever its lane", async () => {
    const { place, poked, add } = world(1);
    add("first");
    add("second");
    add("shell", "shell");
    place.tell();
    await turn();
    expect(poked).toEqual(["first", "shell"]);
    place.free = 1;
    place.tell();
    await turn();
    expect(poked).toEqual(["first", "shell", "second"]);
  });

  test("they are asked behind what was to be done already", async () => {
    const { place, poked, add } = world(1);
    add("run");
    queueMicrotask(() => void poked.push("what follows on the step that ended"));
    place.tell();
    place.tell();
    await turn();
    expect(poked).toEqual(["what follows on the step that ended", "run"]);
  });

  test("a run that has ended is not asked", async () => {
    const { place, poked, add } = world(1);
    const end = add("run");
    end();
    await turn();
    place.tell();
    await turn();
    expect(poked).toEqual([]);
  });
});
