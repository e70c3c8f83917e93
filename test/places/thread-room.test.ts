import { describe, expect, it } from "vitest";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import { ThreadRoom, type RoomTaken } from "../../src/places/pool/thread-room.ts";

const code = { bundle: "b", pick: "export:default", source: "./s.ts" };
const plain = {
  code,
  isolated: false,
  hooks: {},
  onInterruption: "retry",
} as unknown as SnapshotStep;

/** A room in which steps of `code` are brief. */
function brisk(threads = 8, cores = 2): ThreadRoom {
  const room = new ThreadRoom(threads, cores);
  room.paced(code, 0.1);
  return room;
}

const taken = (more: Partial<RoomTaken> = {}, times = 1): RoomTaken[] =>
  Array.from({ length: times }, () => ({ kind: "module", alone: false, sentAt: 0, ...more }));

describe("brief steps", () => {
  it("take a part, so that 32 a core fit in", () => {
    const room = brisk();
    expect(room.shareOf(plain)).toBe(0.25);
    expect(room.left([], 0)["module"]).toBe(16);
    expect(room.left(taken({ ahead: 0 }, 63), 0)["module"]).toBe(0.25);
    expect(room.left(taken({ ahead: 0 }, 64), 0)["module"]).toBe(0);
    // Never more than 32 a core, with fewer threads than cores or with six cores.
    expect(brisk(1, 2).shareOf(plain)).toBe(1 / 16);
    expect(brisk(8, 6).shareOf(plain)).toBe(1 / 8);
    expect(brisk(64, 2).shareOf(plain)).toBe(1);
  });

  it("are told by their function, and until one has ended there are none", () => {
    const room = brisk();
    const other = { ...code, pick: "export:other" };
    expect(room.shareOf({ ...plain, code: other })).toBe(1);
    room.paced(other, 3);
    expect(room.shareOf({ ...plain, code: other })).toBe(1);
    for (let times = 0; times < 20; times += 1) room.paced(other, 0.1);
    expect(room.shareOf({ ...plain, code: other })).toBe(0.25);
    expect(new ThreadRoom(8, 2).shareOf(plain)).toBe(1);
    // Where other steps are long, a thread has one at a time, and a brief one half as large a part.
    for (let times = 0; times < 20; times += 1) room.paced(other, 200);
    expect(room.left([], 0)["module"]).toBe(8);
    expect(room.shareOf(plain)).toBe(0.125);
  });

  it("send one more ahead a thread until long ones have told more than once", () => {
    const room = brisk();
    const long = { ...code, pick: "export:long" };
    expect(room.left([], 0)["module"]).toBe(16);
    room.paced(long, 400);
    expect(room.left([], 0)["module"]).toBe(16);
    room.paced(long, 400);
    expect(room.left([], 0)["module"]).toBe(8);
    // It takes as long to forget them.
    for (let times = 0; times < 3; times += 1) room.paced(code, 0.1);
    expect(room.left([], 0)["module"]).toBe(8);
    room.paced(code, 0.1);
    expect(room.left([], 0)["module"]).toBe(16);
  });

  it.each<Partial<SnapshotStep>>([
    { timeoutMs: 1_000 },
    { memoryMb: 64 },
    { isolated: true },
    { onInterruption: "fail" },
    { hooks: { onSuccess: code } },
    { hooks: { onFailure: code } },
  ])("count singly with %j", (more) => {
    expect(brisk().shareOf({ ...plain, ...more })).toBe(1);
  });

  it("leave a thread to each long step, and count as long once they are overtaken", () => {
    const room = brisk();
    const long = taken({}, 6);
    expect(room.left(long, 101)["module"]).toBe(4);
    const ahead = taken({ ahead: 0 }, 4);
    // None of them ends: they are long.
    expect(room.left(ahead, 100)["module"]).toBe(15);
    expect(room.left(ahead, 101)["module"]).toBe(8);
    // Others end, and these wait behind them.
    room.ended({ kind: "module", alone: false, sentAt: 0, ahead: 0 }, 90);
    expect(room.left(ahead, 101)["module"]).toBe(15);
    // All that were sent before them have ended: these do not wait, they run.
    for (let times = 1; times < 64; times += 1)
      room.ended({ kind: "module", alone: false, sentAt: 0, ahead: 0 }, 100);
    expect(room.left(ahead, 101)["module"]).toBe(8);
  });
});
