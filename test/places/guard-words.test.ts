/** What a guard is told of, when, and what becomes of it where the machine does not start it. */
import { EventEmitter } from "node:events";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { Guard } from "../../src/places/runner/guard.ts";

/** How each start of a process goes: there it is, or a fault. */
const starts = vi.hoisted(() => ({
  next: [] as ("there" | "no such file" | "EAGAIN")[],
  made: [] as { readonly words: readonly string[]; readonly env: NodeJS.ProcessEnv }[],
  written: [] as string[],
}));

vi.mock(import("node:child_process"), async (original) => ({
  ...(await original()),
  spawn: ((_program: string, words: string[], { env }: { env: NodeJS.ProcessEnv }) => {
    starts.made.push({ words, env });
    const how = starts.next.shift() ?? "there";
    if (how !== "there") throw Object.assign(new Error(how), { code: how });
    const stdin = Object.assign(new EventEmitter(), {
      write: (text: string) => void starts.written.push(text),
    });
    return Object.assign(new EventEmitter(), { pid: 1, stdin, unref: () => undefined });
  }) as never,
}));

beforeEach(() => {
  starts.next = [];
  starts.made.length = starts.written.length = 0;
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
});

const written = (): string[] => starts.written.splice(0);

describe("a guard", () => {
  it("is told of what began and of folders at once, and of ends with the next word", async () => {
    const guard = new Guard("t.1", "/scratch/1-");
    await guard.ready;
    expect(written()).toEqual([]);
    guard.began(7);
    guard.keeps("/dev/shm/a");
    expect(written()).toEqual(["+ 7\n", "d /dev/shm/a\n"]);
    guard.ended(7);
    expect(written()).toEqual([]);
    guard.began(8);
    expect(written()).toEqual(["- 7\n+ 8\n"]);
    vi.advanceTimersByTime(1_000);
    expect(written()).toEqual([]);
  });

  it("is told of the ends of a quarter of a second in one word", async () => {
    const guard = new Guard("t.1", "/scratch/1-");
    await guard.ready;
    guard.ended(7);
    vi.advanceTimersByTime(249);
    guard.ended(8);
    expect(written()).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(written()).toEqual(["- 7\n- 8\n"]);
    guard.ended(9);
    vi.advanceTimersByTime(250);
    expect(written()).toEqual(["- 9\n"]);
  });

  it("is told of what came before it was there, once it is", async () => {
    starts.next = ["EAGAIN", "EAGAIN"];
    const guard = new Guard("t.1", "/scratch/1-");
    let isReady = false;
    void guard.ready.then(() => (isReady = true));
    guard.keeps("/scratch/far");
    guard.began(7);
    guard.ended(7);
    await vi.advanceTimersByTimeAsync(1_999);
    expect([isReady, starts.made.length, written()]).toEqual([false, 2, []]);
    await vi.advanceTimersByTimeAsync(1);
    expect([isReady, starts.made.length]).toEqual([true, 3]);
    expect(written()).toEqual(["d /scratch/far\n+ 7\n- 7\n"]);
  });

  it("that cannot be is not tried again, and no step waits for it", async () => {
    starts.next = ["no such file"];
    const guard = new Guard("t.1", "/scratch/1-");
    await guard.ready;
    for (let group = 1; group <= 5; group += 1) {
      guard.began(group);
      guard.ended(group);
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(starts.made).toHaveLength(1);
    expect(written()).toEqual([]);
    await expect(guard.ready).resolves.toBeUndefined();
  });

  it("does not carry the token that it looks for, and takes it literally", async () => {
    vi.stubEnv("ORCHD_RUNNER_TOKEN", "t.1");
    onTestFinished(() => void vi.unstubAllEnvs());
    await new Guard("t.1.2", "/scratch/1-").ready;
    const [{ words, env }] = starts.made as [(typeof starts.made)[0]];
    expect(env["ORCHD_RUNNER_TOKEN"]).toBeUndefined();
    expect(env["PATH"]).toBe(process.env["PATH"]);
    expect(words.slice(2)).toEqual([
      "orchd-guard",
      "t\\.1\\.2",
      String(process.pid),
      "/scratch/1-",
    ]);
  });
});
