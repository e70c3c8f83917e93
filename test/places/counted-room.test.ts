/** Room that is counted seldom says what a count of all tasks would say. */
import { describe, expect, it } from "vitest";
import { CountedRoom } from "../../src/places/pool/counted-room.ts";
import { ThreadRoom, type RoomTaken } from "../../src/places/pool/thread-room.ts";

const code = { bundle: "b", pick: "export:default", source: "./s.ts" };

function rig(): {
  readonly room: ThreadRoom;
  readonly tasks: RoomTaken[];
  readonly counted: CountedRoom;
  readonly begin: (task: Partial<RoomTaken>) => void;
  readonly counts: () => number;
} {
  const room = new ThreadRoom(4, 2);
  room.paced(code, 0.1);
  const tasks: RoomTaken[] = [];
  let counts = 0;
  const counted = new CountedRoom(room, () => {
    counts += 1;
    return tasks;
  });
  const begin = (task: Partial<RoomTaken>): void => {
    const whole: RoomTaken = { kind: "module", alone: false, sentAt: 0, ...task };
    tasks.push(whole);
    counted.began(whole);
  };
  return { room, tasks, counted, begin, counts: () => counts };
}

describe("counted room", () => {
  const KINDS: readonly Partial<RoomTaken>[] = [
    { kind: "module" },
    { kind: "module", ahead: 0 },
    { kind: "module", alone: true },
    { kind: "shell" },
    { kind: "shell", alone: true },
    { kind: "hook" },
  ];

  it.each(KINDS)("is what a count says, while tasks of %j begin until none is left", (task) => {
    const { room, tasks, counted, begin, counts } = rig();
    expect(counted.left(0)).toEqual({ module: 8, shell: 4 });
    for (let times = 0; times < 80; times += 1) {
      begin(task);
      expect(counted.left(0.5)).toEqual(room.left(tasks, 0.5));
    }
    expect(counts()).toBe(1);
  });

  it("is counted again once tasks have ended", () => {
    const { tasks, counted, begin, counts } = rig();
    begin({ kind: "shell" });
    expect(counted.left(0)["shell"]).toBe(3);
    tasks.pop();
    counted.changed();
    expect(counted.left(0)["shell"]).toBe(4);
    expect(counts()).toBe(2);
  });

  it("is counted again after 1 ms: a step may be a long one by then", () => {
    const { counted, begin } = rig();
    begin({ kind: "module" });
    expect(counted.left(99.5)["module"]).toBe(7);
    expect(counted.left(100.4)["module"]).toBe(7);
    expect(counted.left(100.5)["module"]).toBe(6);
  });
});
