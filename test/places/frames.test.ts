/**
 * Frames on their way to a runner and its threads: told once, under a number that means nothing
 * else, and forgotten with the run.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FramedTask, type StepParts, type TaskFrame } from "../../src/core/task-frame.ts";
import type { PoolMessage } from "../../src/places/pool/protocol.ts";
import { RunnerFrames } from "../../src/places/runner/runner-frames.ts";
import { SentFrames } from "../../src/places/pool/sent-frames.ts";
import { KnownFrames, taskOfPiece, type AheadPiece } from "../../src/steps/known-frames.ts";
import { packPieces } from "../../src/steps/sent-pieces.ts";
import { killQuietly } from "../../src/places/pool/kill-by-token.ts";
import { PoolRig, type Started } from "../support/pool-rig.ts";

const NONE: StepParts = { params: {}, inputs: {} };
/** In each run a step takes this much as the run's state, in bytes. */
const STATE_BYTES = 20_000;
const RUNS = process.env["FAULTS"] === undefined ? 2_000 : 10_000;

function frameOf(run: string, more: Partial<TaskFrame> = {}): TaskFrame {
  return {
    code: { bundle: "tell", pick: "export:default", source: "./tell.ts" },
    isolated: false,
    run: { id: run, pipeline: "rig" },
    env: { WHO: run },
    gracePeriodMs: 500,
    artifacts: "/nowhere",
    ...more,
  };
}

/** A rig with a module that tells what it is given, and then changes that. */
function tellingRig(): PoolRig {
  const rig = new PoolRig();
  rig.module(
    "tell",
    `export default ({ run, env, params, inputs, state }) => {
       const told = JSON.stringify({ run, env, params, inputs, state, process: process.env.WHO });
       run.id = "changed";
       if (state) state.list.push(2);
       return JSON.parse(told);
     };`,
  );
  return rig;
}

function start(rig: PoolRig, frame: TaskFrame, step: string, parts = NONE, alone = false): Started {
  return rig.startFramed(new FramedTask(frame, step, 1, parts), alone);
}

async function told(started: Started): Promise<unknown> {
  const { result, death } = await started.ended;
  expect(death).toBeUndefined();
  expect(result).toMatchObject({ ok: true });
  return result!.ok ? result!.value : undefined;
}

describe("the daemon's end of frames", () => {
  it("tells a frame before its first step, and then only its number", () => {
    const sent: PoolMessage[] = [];
    const frames = new SentFrames((message) => sent.push(message));
    const frame = frameOf("p@1");
    frames.start("p@1#1", new FramedTask(frame, "a", 1, NONE));
    frames.start("p@1#2", new FramedTask(frame, "b", 2, { params: { n: 1 }, inputs: {} }));
    expect(sent.map(({ type }) => type)).toEqual(["frame", "step", "step"]);
    expect(sent[1]).toEqual({ type: "step", id: "p@1#1", frame: 1, step: "a", attempt: 1 });
    expect(JSON.stringify(sent[2])).not.toContain("WHO");
    // An id of usual length.
    frames.start("chain@20261128T103903Z#19", new FramedTask(frame, "step-19", 1, NONE));
    expect(JSON.stringify(sent[3]).length).toBeLessThanOrEqual(90);
    expect(frames.takeForgotten()).toEqual([]);
  });

  it("gives no number twice, and forgets each frame once", () => {
    const numbers: number[] = [];
    const frames = new SentFrames((message) => {
      if (message.type === "frame") numbers.push(message.frame);
    });
    const [one, two] = [frameOf("p@1"), frameOf("p@2")];
    for (const frame of [one, two]) frames.start("x", new FramedTask(frame, "a", 1, NONE));
    frames.forget(one);
    frames.forget(one);
    expect(frames.takeForgotten()).toEqual([1]);
    expect(frames.takeForgotten()).toEqual([]);
    frames.start("x", new FramedTask(one, "a", 1, NONE));
    frames.start("x", new FramedTask(two, "a", 1, NONE));
    expect(numbers).toEqual([1, 2, 3]);
    frames.forget(frameOf("p@1"));
    expect(frames.takeForgotten()).toEqual([]);
  });
});

describe("a runner's frames", () => {
  const learned = (): RunnerFrames => {
    const frames = new RunnerFrames();
    const head = { kind: "module", run: "p@1", pipeline: "p", isolated: false, gracePeriodMs: 1 };
    frames.learn({ type: "frame", frame: 1, head: head as never, text: "{}" });
    return frames;
  };
  const step = { type: "step", id: "p@1#1", frame: 1, step: "a", attempt: 1 } as const;

  it("are forgotten by each thread that knows them, and kept by a piece that waits", () => {
    const frames = learned();
    const { frame } = frames.piece(step);
    const heard: number[] = [];
    frame!.threads.add({ forget: (number) => heard.push(number) });
    frames.forget([1, 2]);
    expect(heard).toEqual([1]);
    expect(frame).toMatchObject({ text: "{}", forgotten: true });
    expect(() => frames.piece(step)).toThrow("frame 1, which is unknown");
  });

  it("are with a thread's pieces, even if the same message has them forgotten", () => {
    const frames = new KnownFrames();
    const ahead: AheadPiece[] = [];
    const sent = { seq: 1, id: "p@1#1", pipeline: "p", body: "", frame: 7, step: "a", attempt: 1 };
    const text = JSON.stringify(frameOf("p@1"));
    const [pieces, told] = [packPieces([sent]), [{ number: 7, text }]];
    frames.take({ type: "run", pieces, frames: told, forget: [7] }, ahead);
    frames.take({ type: "run", pieces }, ahead);
    expect(taskOfPiece(ahead[0]!)).toMatchObject({ step: "a", env: { WHO: "p@1" } });
    expect(ahead[1]!.frame).toBeUndefined();
  });
});

describe("steps with a frame, in a real runner", () => {
  it("get what is their run's, and nothing that another step changed", async () => {
    const rig = tellingRig();
    const one = frameOf("p@1", { state: { list: [1] } });
    const two = frameOf("p@2", { run: { id: "p@2", pipeline: "rig", scheduledFor: "then" } });
    const all = ["a", "b", "c"].flatMap((step) => [
      start(rig, one, step, { params: { of: "one" }, inputs: {} }),
      start(rig, two, step, { params: {}, inputs: { of: "two" } }),
    ]);
    const answers = await Promise.all(all.map(told));
    for (const [at, answer] of answers.entries()) {
      const step = ["a", "b", "c"][at >> 1]!;
      const env = { ORCHD_STEP: step, ORCHD_ATTEMPT: "1" };
      expect(answer).toStrictEqual(
        at % 2 === 0
          ? {
              run: { id: "p@1", pipeline: "rig", attempt: 1 },
              env: { ...env, WHO: "p@1" },
              params: { of: "one" },
              inputs: {},
              state: { list: [1] },
              process: "p@1",
            }
          : {
              run: { id: "p@2", pipeline: "rig", attempt: 1, scheduledFor: "then" },
              env: { ...env, WHO: "p@2" },
              params: {},
              inputs: { of: "two" },
              state: null,
              process: "p@2",
            },
      );
    }
  });

  it("run in threads and runners of their own too", async () => {
    const rig = tellingRig();
    const frame = frameOf("p@1", { isolated: true });
    const all = [
      start(rig, frame, "a"),
      start(rig, frame, "b"),
      start(rig, frame, "c", NONE, true),
    ];
    for (const answer of await Promise.all(all.map(told)))
      expect(answer).toMatchObject({ process: "p@1" });
  });

  it("run in the next runner if theirs dies between the frame and a step", async () => {
    const rig = tellingRig();
    const frame = frameOf("p@1");
    await told(start(rig, frame, "a"));
    const [pid] = rig.pool.pids();
    const lost = start(rig, frame, "b");
    killQuietly(pid!, "SIGKILL");
    expect((await lost.ended).death).toMatchObject({ because: "the runner was ended by SIGKILL" });
    expect(await told(start(rig, frame, "b"))).toMatchObject({ process: "p@1" });
    rig.pool.forget(frame);
    expect(await told(start(rig, frame, "c"))).toMatchObject({ process: "p@1" });
    expect(await told(start(rig, frameOf("p@2"), "a"))).toMatchObject({ process: "p@2" });
  });

  it("begin after their run has ended, where they were sent before", async () => {
    const rig = tellingRig();
    const frame = frameOf("p@1");
    const all = ["a", "b", "c", "d"].map((step) => start(rig, frame, step));
    rig.pool.forget(frame);
    for (const answer of await Promise.all(all.map(told)))
      expect(answer).toMatchObject({ process: "p@1" });
  });

  it("leave nothing of their run behind", { timeout: 300_000 }, async () => {
    const rig = tellingRig();
    const state = { list: [], text: "x".repeat(STATE_BYTES) };
    const runs = async (from: number, to: number): Promise<void> => {
      for (let run = from; run < to; run += 1) {
        const frame = frameOf(`p@${run}`, { state });
        await Promise.all(["a", "b", "c"].map((step) => start(rig, frame, step).ended));
        rig.pool.forget(frame);
      }
    };
    await runs(0, 500);
    const before = heldMb(rig.pool.pids()[0]!);
    await runs(500, 500 + RUNS);
    // The main thread and each of two threads would hold the states once more.
    const states = (RUNS * STATE_BYTES) / 1_000_000;
    expect(heldMb(rig.pool.pids()[0]!) - before).toBeLessThan(2 * states);
  });
});

/** The memory that a process holds, in MB. */
function heldMb(pid: number): number {
  const pages = Number(readFileSync(join("/proc", String(pid), "statm"), "latin1").split(" ")[1]);
  return (pages * 4_096) / 1_000_000;
}
