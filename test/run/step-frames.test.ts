/** Which steps of a run start with a frame, and when the place forgets it. */
import { describe, expect, it } from "vitest";
import { FramedTask, type TaskFrame } from "../../src/core/task-frame.ts";
import type { ModuleTask } from "../../src/core/task.ts";
import { fakeCode } from "../support/fake-pool.ts";
import { PlacedDaemon } from "../support/placed-daemon.ts";
import { PlayedPlace, PlayedPlaces } from "../support/played-place.ts";
import { moduleStep, RunBench } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const OFF = { enableCache: false };

/** The steps that started with a frame. */
function framed(bench: RunBench): (string | undefined)[] {
  return bench.pool.started.flatMap(({ task, frame }) => (frame === undefined ? [] : [task.step]));
}

function framesOf(bench: RunBench): Set<TaskFrame> {
  return new Set(bench.pool.started.flatMap(({ frame }) => frame ?? []));
}

describe("the frames of a run's steps", () => {
  it("are made with the second step of a kind, and forgotten with the run", async () => {
    const bench = new RunBench({ functions: { a: () => 1, b: () => 2 } });
    const steps = [
      ...["a1", "a2", "a3"].map((id) => moduleStep(id, { does: "a", ...OFF })),
      ...["b1", "b2"].map((id) => moduleStep(id, { does: "b", ...OFF })),
      moduleStep("x1", { does: "a", ...OFF, outputs: [] }),
      moduleStep("x2", { does: "a", ...OFF, isolated: true }),
    ];
    const loop = await bench.begin(steps);
    await bench.end(loop);
    expect(framed(bench)).toEqual(["a2", "a3", "b2"]);
    expect(framesOf(bench).size).toBe(2);
    expect(new Set(bench.pool.forgotten)).toEqual(framesOf(bench));
    expect(bench.pool.forgotten).toHaveLength(2);
  });

  it("are each run's own, with its environment and its params bound", async () => {
    const bench = new RunBench({ functions: { a: () => 1 } });
    const steps = ["a1", "a2", "a3"].map((id) =>
      moduleStep(id, { does: "a", ...OFF, params: { run: "${run.id}", id } }),
    );
    const env = { OF: "${run.id}" };
    const given = { env, gracePeriodMs: 1_234 };
    const loops = [await bench.begin(steps, {}, given), await bench.begin(steps, {}, given)];
    await Promise.all(loops.map((loop) => bench.end(loop)));
    expect(framesOf(bench).size).toBe(2);
    for (const { task } of bench.pool.started) {
      const { id } = task.run;
      expect(task.env).toMatchObject({ OF: id, ORCHD_RUN_ID: id, ORCHD_STEP: task.step });
      expect(task).toMatchObject({ params: { run: id, id: task.step }, gracePeriodMs: 1_234 });
    }
  });

  it("are for no step that has secrets, limits or an environment of its own", async () => {
    const secrets = { get: (name: string): string => `the value of ${name}` };
    const bench = new RunBench({ functions: { a: () => 1 }, deps: { secrets } });
    const members = [
      {},
      { env: { OWN: "1" } },
      { timeoutMs: 60_000 },
      { memoryMb: 100 },
      { params: { key: { secret: "KEY" } } },
      {},
    ];
    await bench.run(
      members.map((more, at) => moduleStep(`a${at}`, { does: "a", ...OFF, ...more })),
    );
    expect(framed(bench)).toEqual(["a5"]);
    const secretOnes = bench.pool.started.filter(({ task }) => task.secrets !== undefined);
    expect(secretOnes.map(({ task }) => task.step)).toEqual(["a4"]);
  });

  it("are for no step of a pipeline whose environment has secrets", async () => {
    const secrets = { get: (name: string): string => `the value of ${name}` };
    const bench = new RunBench({ functions: { a: () => 1 }, deps: { secrets } });
    const steps = ["a1", "a2", "a3"].map((id) => moduleStep(id, { does: "a", ...OFF }));
    await bench.run(steps, {}, { env: { KEY: { secret: "KEY" } } });
    expect(framed(bench)).toEqual([]);
    for (const { task } of bench.pool.started) expect(task.secrets).toEqual(["the value of KEY"]);
  });

  it("have the state that the init hook gave, and steps again have their attempt", async () => {
    let failed = false;
    const bench = new RunBench({
      functions: {
        init: () => ({ from: "init" }),
        a: ({ task }) => {
          if (task.step !== "a3" || failed) return 1;
          failed = true;
          throw new Error("planted");
        },
      },
    });
    const retry = { maxRetries: 1, delayMs: 0, backoff: 1, jitter: 0 };
    const steps = ["a1", "a2", "a3"].map((id) => moduleStep(id, { does: "a", ...OFF, retry }));
    const ended = await bench.run(steps, {}, { hooks: { init: fakeCode("init") } });
    expect(ended.status).toBe("completed");
    const tasks = bench.pool.started.filter(({ task }) => task.kind === "module");
    expect(tasks.map(({ task }) => `${task.step} ${task.env["ORCHD_ATTEMPT"]}`)).toEqual([
      "a1 1",
      "a2 1",
      "a3 1",
      "a3 2",
    ]);
    for (const { task } of tasks) expect(task).toMatchObject({ state: { from: "init" } });
    expect(framed(bench)).toEqual(["a2", "a3", "a3"]);
  });

  it("are told to the machine whose labels they have, without what is of this one", async () => {
    const clock = new VirtualClock();
    const forgotten: TaskFrame[] = [];
    const place = Object.assign(new PlayedPlace("gpu1", { threads: 4, labels: ["gpu"] }), {
      forget: (frame: TaskFrame) => void forgotten.push(frame),
    });
    const daemon = new PlacedDaemon(clock, new PlayedPlaces(place));
    const { bench } = daemon;
    const own = { ...OFF, does: "a" };
    const loop = await daemon.begin([
      ...["a1", "a2", "a3"].map((id) => moduleStep(id, { ...own, on: ["gpu"] })),
      // Frames of other labels, and of this machine, are others.
      moduleStep("b1", { ...own, on: ["gpu", "gpu1"] }),
      ...["c1", "c2"].map((id) => moduleStep(id, own)),
    ]);
    const { running } = place.machine;
    await clock.until(() => running.size === 4);
    const tasks = [...running.values()] as ModuleTask[];
    const framed = tasks.filter((task) => task instanceof FramedTask);
    expect(framed.map(({ step }) => step)).toEqual(["a2", "a3"]);
    expect(new Set(framed.map(({ frame }) => frame)).size).toBe(1);
    for (const task of tasks) {
      // A place that keeps no frames is given the same.
      const whole = JSON.parse(JSON.stringify(task)) as ModuleTask;
      expect(whole).toMatchObject({ on: task.step === "b1" ? ["gpu", "gpu1"] : ["gpu"] });
      expect(whole.env).not.toHaveProperty("PATH");
      expect(whole.env).not.toHaveProperty("HOME");
    }
    for (const id of running.keys()) place.end(id);
    expect((await bench.end(loop)).status).toBe("completed");
    expect(forgotten).toEqual([framed[0]!.frame]);
    expect(bench.pool.forgotten.map(({ on }) => on)).toEqual([undefined]);
    expect(bench.pool.started.map(({ task }) => task.env)).toEqual([
      expect.objectContaining({ PATH: expect.anything() as string }),
      expect.objectContaining({ PATH: expect.anything() as string }),
    ]);
  });
});
