/** One worker as the daemon knows it: when it takes tasks, and why it does not. */
import { beforeEach, describe, expect, it } from "vitest";
import { FarWorker } from "../../../src/places/broker/far-worker.ts";
import { BEAT_MS, PATIENCE_MS } from "../../../src/places/broker/messages.ts";

const SILENT_MS = 2 * BEAT_MS + 500;
const IN_TIME_MS = BEAT_MS + 500;
const REFUSED_MS = 1_000;
const BEAT = {
  type: "beat",
  tasks: ["a"],
  threads: 2,
  cores: 2,
  labels: ["gpu"],
  leaving: false,
  node: "20.19.0",
  version: "0.1.0",
  protocol: 1,
  platform: "linux/x64",
} as never;
const HELLO = { incarnation: "one", home: "/home/one" } as never;
const NOW = 1_000_000;

let worker: FarWorker;
beforeEach(() => {
  worker = new FarWorker("w1");
  worker.enter(worker.offer(HELLO), HELLO);
  worker.hear(BEAT, 1, NOW);
});

const whyNot = (now: number): string | undefined => worker.report(now, []).because;

describe("a worker is told of ends that are durable", () => {
  it("with as many messages as they need, and at once by nobody twice", () => {
    expect([worker.settles("a"), worker.settles("b"), worker.hasSettled]).toEqual([
      true,
      false,
      true,
    ]);
    expect(worker.takeSettled()).toEqual(["a", "b"]);
    expect([worker.hasSettled, worker.takeSettled()]).toEqual([false, []]);
    expect(worker.settles("c")).toBe(false);
    worker.settlesAgain();
    const ids = Array.from({ length: 100 }, (_, at) => `${at} ${"x".repeat(90)}`);
    expect(ids.map((id) => worker.settles(id)).indexOf(true)).toBe(0);
    const parts = [worker.takeSettled(), worker.takeSettled(), worker.takeSettled()];
    expect(parts.flat()).toEqual(["c", ...ids]);
    for (const part of parts) expect(part.join("").length).toBeLessThanOrEqual(4_096);
    const long = "x".repeat(5_000);
    worker.settles(long);
    worker.settles("y");
    expect([worker.takeSettled(), worker.takeSettled()]).toEqual([[long], ["y"]]);
  });

  it("not in another session, nor once it is gone", () => {
    worker.settles("a");
    worker.enter(worker.offer(HELLO), HELLO);
    expect(worker.hasSettled).toBe(false);
    worker.settles("b");
    worker.leave("it is gone");
    expect(worker.hasSettled).toBe(false);
  });
});

describe("a worker takes tasks", () => {
  it("from its first beat on", () => {
    const late = new FarWorker("w2");
    expect(late.isOpen(NOW)).toBe(false);
    expect(late.report(NOW, []).because).toBe("it has not come yet");
    late.enter(late.offer(HELLO), HELLO);
    expect([late.isOpen(NOW), late.threads, late.room("module", NOW)]).toEqual([false, 0, 0]);
    late.hear(BEAT, 1, NOW);
    expect(late.isOpen(NOW)).toBe(true);
  });

  it("until beats are missing, and is gone after that", () => {
    expect([IN_TIME_MS - 1, IN_TIME_MS].map((ms) => worker.beatsInTime(NOW + ms))).toEqual([
      true,
      false,
    ]);
    expect([SILENT_MS - 1, SILENT_MS].map((ms) => worker.isSilent(NOW + ms))).toEqual([
      false,
      true,
    ]);
    expect([SILENT_MS - 1, SILENT_MS].map((ms) => worker.isOpen(NOW + ms))).toEqual([true, false]);
    expect([SILENT_MS - 1, SILENT_MS].map((ms) => whyNot(NOW + ms))).toEqual([
      undefined,
      "it is silent",
    ]);
    expect([PATIENCE_MS - 1, PATIENCE_MS].map((ms) => worker.isGone(NOW + ms))).toEqual([
      false,
      true,
    ]);
  });

  it("and is looked at again when it can be worse", () => {
    for (const [since, next] of [
      [0, IN_TIME_MS],
      [IN_TIME_MS - 1, IN_TIME_MS],
      [IN_TIME_MS, SILENT_MS],
      [SILENT_MS - 1, SILENT_MS],
      [SILENT_MS, PATIENCE_MS],
    ] as const)
      expect(worker.untilWorse(NOW + since)).toBe(next - since);
  });

  it("a second after it refused one, and at once after it came again", () => {
    worker.refused(NOW);
    expect(worker.isOpen(NOW + REFUSED_MS - 1)).toBe(false);
    expect(worker.isOpen(NOW + REFUSED_MS)).toBe(true);
    worker.enter(worker.offer(HELLO), HELLO);
    expect(worker.isOpen(NOW)).toBe(true);
  });

  it("not while nobody listens as it, until it beats", () => {
    worker.missed();
    expect(worker.isOpen(NOW)).toBe(false);
    expect(whyNot(NOW)).toBe("nobody listens as it: its process or its connection has ended");
    expect(worker.hear(BEAT, 2, NOW)).toBe(true);
    expect([worker.isOpen(NOW), whyNot(NOW)]).toEqual([true, undefined]);
  });

  it("not once it was told to end, or is gone; and says so no longer when it is back", () => {
    worker.hear({ ...(BEAT as object), leaving: true } as never, 2, NOW);
    expect([worker.isOpen(NOW), whyNot(NOW)]).toEqual([
      false,
      "it was told to end, and finishes what it has",
    ]);
    worker.leave("it said bye");
    expect([worker.isOpen(NOW), whyNot(NOW), worker.tasks.size]).toEqual([false, "it said bye", 0]);
    worker.enter(worker.offer(HELLO), HELLO);
    expect(worker.because).toBeUndefined();
    worker.leave("again");
    worker.leave("for another reason");
    expect(whyNot(NOW)).toBe("for another reason");
  });
});

describe("a beat", () => {
  it("counts once, and in its order", () => {
    const later = { ...(BEAT as object), tasks: ["b"] } as never;
    expect(worker.hear(later, 3, NOW + 10)).toBe(true);
    expect(worker.hear(BEAT, 3, NOW + 20)).toBe(false);
    expect(worker.hear(BEAT, 2, NOW + 20)).toBe(false);
    expect([[...worker.tasks], worker.number, worker.heardAt]).toEqual([["b"], 3, NOW + 10]);
  });

  it("begins at 1 in each session, and is forgotten where another process has come", () => {
    worker.enter(worker.offer(HELLO), HELLO);
    expect([worker.number, worker.threads, [...worker.tasks]]).toEqual([0, 2, ["a"]]);
    const other = { incarnation: "two", home: "/home/two" };
    worker.enter(worker.offer(other as never), other);
    expect([worker.threads, [...worker.tasks], worker.incarnation, worker.home]).toEqual([
      0,
      [],
      "two",
      "/home/two",
    ]);
    expect(worker.isOpen(NOW)).toBe(false);
  });
});

it("more brief steps than it has threads fit in, and no more of others", () => {
  const code = { bundle: "b", pick: "export:default", source: "./s.ts" };
  const spec = { code, on: ["gpu"], isolated: false, hooks: {} } as never;
  const task = { kind: "module", alone: false, sentAt: NOW } as const;
  expect(worker.shareOf(spec)).toBe(1);
  worker.paced(code, 5);
  expect([worker.shareOf(spec), worker.room("module", NOW)]).toEqual([1, 2]);
  for (let times = 0; times < 20; times += 1) worker.paced(code, 0.1);
  expect(worker.shareOf(spec)).toBe(1 / 32);
  const given = Array.from({ length: 65 }, () => ({ ...task, ahead: 0 }));
  for (const one of given.slice(1)) worker.gets(one);
  expect([worker.room("module", NOW), worker.room("module", NOW + 1_000)]).toEqual([0, 0]);
  for (const one of given.slice(1)) worker.loses(one);
  worker.gets(given[0]!);
  expect([worker.room("module", NOW), worker.room("module", NOW + 1_000)]).toEqual([2 - 1 / 32, 1]);
  worker.hasEnded({ ...task, ahead: 0 }, NOW);
  expect(worker.aheadEnded).toBe(1);
  // Another process knows nothing of this one's paces.
  const other = { incarnation: "two", home: "/home/one" };
  worker.enter(worker.offer(other as never), other);
  worker.hear(BEAT, 1, NOW);
  expect([worker.shareOf(spec), worker.aheadEnded]).toEqual([1, 0]);
});

it("is looked at again where a task comes or ends, and else after a moment", () => {
  let looks = 0;
  const taskOf = (): Parameters<FarWorker["gets"]>[0] => ({
    get kind() {
      looks += 1;
      return "module" as const;
    },
    alone: false,
    sentAt: NOW,
    ahead: 0,
  });
  const workers = Array.from({ length: 100 }, () => {
    const one = new FarWorker("w");
    one.enter(one.offer(HELLO), HELLO);
    one.hear(BEAT, 1, NOW);
    for (let given = 0; given < 32; given += 1) one.gets(taskOf());
    return one;
  });
  const looksOf = (now: number): number => {
    looks = 0;
    for (const one of workers) one.room("module", now);
    return looks;
  };
  expect(looksOf(NOW)).toBeGreaterThanOrEqual(3_200);
  expect(looksOf(NOW + 1)).toBe(0);
  const task = taskOf();
  workers[0]!.gets(task);
  expect(looksOf(NOW + 1)).toBeLessThan(200);
  workers[0]!.loses(task);
  expect(looksOf(NOW + 2)).toBeGreaterThan(0);
  workers[1]!.hasEnded(taskOf(), NOW + 2);
  expect(looksOf(NOW + 2)).toBeGreaterThan(0);
  workers[2]!.paced({ bundle: "b", pick: "p", source: "s" }, 1);
  expect(looksOf(NOW + 2)).toBeGreaterThan(0);
  expect(looksOf(NOW + 20)).toBeGreaterThanOrEqual(3_200);
});

it("a session that was offered is known until one is taken up; the oldest of nine is not", () => {
  const sessions = Array.from({ length: 9 }, () => worker.offer(HELLO));
  expect(new Set(sessions).size).toBe(9);
  expect(sessions.map((one) => worker.offered(one) !== undefined)).toEqual([
    false,
    ...Array.from({ length: 8 }, () => true),
  ]);
  worker.enter(sessions[3]!, HELLO);
  expect(worker.offered(sessions[4]!)).toBeUndefined();
  expect(worker.session).toBe(sessions[3]);
});

it("its room is counted for each kind, and its labels are those of its place too", () => {
  const rooms = (now = NOW): number[] => [worker.room("module", now), worker.room("shell", now)];
  worker.gets({ kind: "module", alone: false, sentAt: NOW });
  expect(rooms()).toEqual([1, 2]);
  worker.gets({ kind: "module", alone: true, sentAt: NOW });
  worker.gets({ kind: "shell", alone: false, sentAt: NOW });
  expect(rooms()).toEqual([0, 1]);
  expect(worker.has(["gpu", "site"], ["site"])).toBe(true);
  expect(worker.has(["gpu", "big"], ["site"])).toBe(false);
  expect(worker.has([], [])).toBe(true);
  expect(worker.report(NOW, ["site", "gpu"])).toEqual({
    host: "w1",
    labels: ["site", "gpu"],
    threads: 2,
    node: "20.19.0",
    version: "0.1.0",
    protocol: 1,
    platform: "linux/x64",
  });
});
