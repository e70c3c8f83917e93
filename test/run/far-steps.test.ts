/** Steps on other machines: how a run sends them there, waits for them and takes them over. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import type { ShellTask } from "../../src/core/task.ts";
import { PlacedDaemon } from "../support/placed-daemon.ts";
import { PlayedMachine, PlayedPlace, PlayedPlaces } from "../support/played-place.ts";
import { stepSpec } from "../support/given-run.ts";
import { moduleStep } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function far(
  id: string,
  on: readonly string[],
  more: Parameters<typeof stepSpec>[1] = {},
): SnapshotStep {
  return stepSpec(id, { on, ...more });
}

const only = (machine: PlayedMachine): string => [...machine.running.keys()][0]!;

describe("a step with labels", () => {
  it("runs at a place that has them, and its ledger says where, before its end", async () => {
    const clock = new VirtualClock();
    const [gpu, other] = [new PlayedPlace("gpu1", { labels: ["gpu"] }), new PlayedPlace("gpu2")];
    const daemon = new PlacedDaemon(clock, new PlayedPlaces(other, gpu));
    const loop = await daemon.begin([
      far("s", ["gpu"], { env: { HOME: "/set" } }),
      moduleStep("here", { needs: ["s"] }),
    ]);
    await clock.until(() => gpu.machine.running.size === 1);
    expect(other.machine.began).toEqual([]);
    const [task] = [...gpu.machine.running.values()] as [ShellTask];
    expect(task).toMatchObject({ on: ["gpu"], cwd: "", env: { HOME: "/set" } });
    expect(task.env).not.toHaveProperty("PATH");
    gpu.end(only(gpu.machine));
    const ended = await daemon.bench.end(loop);
    expect(ended.status).toBe("completed");
    expect(ended.types()).toEqual([
      "run.submitted",
      "run.started",
      "step.started s",
      "step.placed s",
      "step.completed s",
      "step.started here",
      "step.completed here",
      "run.finished",
    ]);
    expect(clock.timers).toBe(0);
  });

  it("goes where the most room is, and lanes that share machines never take too much", async () => {
    const clock = new VirtualClock();
    const one = new PlayedPlace("one", { labels: ["gpu"], threads: 2 });
    const two = new PlayedPlace("two", { labels: ["gpu", "linux"], threads: 3 });
    const daemon = new PlacedDaemon(clock, new PlayedPlaces(one, two));
    const loop = await daemon.begin(
      Array.from({ length: 18 }, (_, n) =>
        far(`s${n}`, n % 3 === 0 ? ["gpu"] : n % 3 === 1 ? ["linux"] : ["gpu", "linux"]),
      ),
    );
    while (loop.state.finished === undefined) {
      await clock.settle();
      for (const place of [one, two]) for (const id of place.machine.running.keys()) place.end(id);
    }
    expect((await daemon.bench.end(loop)).status).toBe("completed");
    expect([one.machine.most, two.machine.most]).toEqual([2, 3]);
    expect(daemon.place.capacity()).not.toHaveProperty("shell@gpu");
  });

  it("waits where nobody has them, and says for what; then it runs", async () => {
    const clock = new VirtualClock();
    const places = new PlayedPlaces();
    const daemon = new PlacedDaemon(clock, places);
    const loop = await daemon.begin([far("s", ["gpu", "linux"]), moduleStep("here")]);
    await clock.advance(1_900);
    expect(daemon.lines(loop)).not.toContain("run.waits");
    await clock.advance(3_600_000);
    const said = 'run.waits no place has all of the labels "gpu" and "linux"';
    const saids = () => daemon.lines(loop).filter((line) => line.startsWith("run.waits"));
    await vi.waitFor(() => expect(saids()).toEqual([said]), 10_000);
    expect([...loop.state.waits]).toEqual([["gpu+linux", said.slice("run.waits ".length)]]);
    expect(loop.state.steps.get("here")!.status).toBe("completed");
    const place = new PlayedPlace("far", { labels: ["gpu", "linux"] });
    places.add(place);
    await clock.until(() => place.machine.running.size === 1);
    expect(loop.state.waits.size).toBe(0);
    place.end(only(place.machine));
    expect((await daemon.bench.end(loop)).status).toBe("completed");
    expect(clock.timers).toBe(0);
  });

  it("tells another reason, each time after a longer pause", async () => {
    const clock = new VirtualClock();
    const place = new PlayedPlace("far");
    const daemon = new PlacedDaemon(clock, new PlayedPlaces(place));
    place.because = "0";
    const loop = await daemon.begin([far("s", ["far"])]);
    for (let n = 1; n <= 600; n += 1) {
      place.because = String(n);
      await clock.advance(60_000);
    }
    const told = daemon.lines(loop).filter((line) => line.startsWith("run.waits")).length;
    expect(told).toBeGreaterThan(8);
    expect(told).toBeLessThan(20);
    await loop.requestStop({ mode: "force", by: "test" });
    expect((await daemon.bench.end(loop)).status).toBe("stopped");
    expect(clock.timers).toBe(0);
  });

  it("fails where it did not start within its limit, with the reason", async () => {
    const clock = new VirtualClock();
    const daemon = new PlacedDaemon(clock, new PlayedPlaces());
    const loop = await daemon.begin([
      far("s", ["gpu"], { startWithinMs: 60_000 }),
      far("t", ["gpu"], { needs: ["s"] }),
    ]);
    await clock.advance(59_000);
    expect(loop.state.finished).toBeUndefined();
    await clock.advance(2_000);
    const ended = await daemon.bench.end(loop);
    expect(ended.statuses()).toEqual({ s: "failed", t: "skipped" });
    expect(ended.state.steps.get("s")!.error).toEqual({
      name: "PlaceError",
      message: 'it did not start within 1m: no place has the label "gpu"',
      code: "ORCHD_PLACE",
    });
    expect(clock.timers).toBe(0);
  });

  it("had not begun where its place went away as it started: it does not count", async () => {
    const clock = new VirtualClock();
    const place = new PlayedPlace("far");
    const places = new PlayedPlaces(place);
    const daemon = new PlacedDaemon(clock, places);
    const loop = await daemon.begin([far("s", ["far"])]);
    // The line of its start is not durable yet.
    expect(loop.state.steps.get("s")!.phase).toBe("running");
    places.remove("far");
    await clock.until(() => loop.state.steps.get("s")!.phase === "delayed");
    const line = 'step.interrupted s no place has the label "far"';
    await vi.waitFor(() => expect(daemon.lines(loop)).toContain(line), 10_000);
    places.add(place);
    await clock.until(() => place.machine.running.size === 1);
    expect(loop.state.steps.get("s")).toMatchObject({ attempt: 1, reruns: 1 });
    place.end(only(place.machine));
    expect((await daemon.bench.end(loop)).status).toBe("completed");
  });

  it.each([
    ["retry", { maxRetries: 0 }, "failed", "the machine is gone; the step has no retries"],
    ["retry", { maxRetries: 1 }, "delayed", "the machine is gone"],
    ["rerun", { maxRetries: 0 }, "delayed", "the machine is gone"],
    ["fail", { maxRetries: 3 }, "failed", "the machine is gone; onInterruption is fail"],
  ] as const)(
    "goes by onInterruption (%s, %j) where its machine was lost, even alone",
    async (onInterruption, { maxRetries }, phase, because) => {
      const clock = new VirtualClock();
      const place = new PlayedPlace("far");
      const daemon = new PlacedDaemon(clock, new PlayedPlaces(place));
      const retry = { maxRetries, delayMs: 60_000, backoff: 1, jitter: 0 };
      const loop = await daemon.begin([far("s", ["far"], { onInterruption, retry })]);
      await clock.until(() => place.machine.running.size === 1);
      place.because = "down";
      place.lose();
      await clock.until(() => loop.state.steps.get("s")!.phase !== "running");
      const step = loop.state.steps.get("s")!;
      expect(step.because).toBe(because);
      expect(step.phase === "ended" ? step.status : step.phase).toBe(phase);
      await loop.requestStop({ mode: "force", by: "test" });
      await daemon.bench.end(loop);
    },
  );
});

describe("a daemon that ends", () => {
  it("waits until the machine says that a step has ended", async () => {
    const clock = new VirtualClock();
    const place = new PlayedPlace("far");
    const daemon = new PlacedDaemon(clock, new PlayedPlaces(place));
    const loop = await daemon.begin([far("s", ["far"], { onInterruption: "rerun" })]);
    await clock.until(() => place.machine.running.size === 1);
    await vi.waitFor(() => expect(daemon.lines(loop).at(-1)).toBe("step.placed s"), 10_000);
    let drained = false;
    void loop.drain(1_000).then(() => (drained = true));
    await clock.advance(1_000);
    await vi.waitFor(() => expect(place.stops).toHaveLength(1), 10_000);
    expect(place.stops).toMatchObject([{ mode: "force", because: "the daemon ends" }]);
    expect([drained, loop.state.steps.get("s")!.phase]).toEqual([false, "running"]);
    place.stopped(only(place.machine));
    await vi.waitFor(() => expect(drained).toBe(true), 10_000);
    expect(daemon.lines(loop).at(-1)).toBe("step.interrupted s the daemon was told to end");
  });

  it("leaves to the next one what no machine answers for", async () => {
    const clock = new VirtualClock();
    const place = new PlayedPlace("far");
    const daemon = new PlacedDaemon(clock, new PlayedPlaces(place));
    const loop = await daemon.begin([far("s", ["far"])]);
    await clock.until(() => place.machine.running.size === 1);
    await vi.waitFor(() => expect(daemon.lines(loop).at(-1)).toBe("step.placed s"), 10_000);
    let drained = false;
    void loop.drain(0).then(() => (drained = true));
    await vi.waitFor(() => expect(place.stops).toHaveLength(1), 10_000);
    await clock.advance(loop.state.snapshot.gracePeriodMs + 900);
    expect(drained).toBe(false);
    await clock.advance(200);
    await vi.waitFor(() => expect(drained).toBe(true), 10_000);
    expect(daemon.lines(loop).at(-1)).toBe("step.placed s");
  });
});

/** A daemon dies while a step of its run is on a machine. */
async function dies(
  clock: VirtualClock,
  machine: PlayedMachine,
  more: Partial<SnapshotStep> = {},
): Promise<{ readonly run: string; readonly runsDir: string }> {
  const daemon = new PlacedDaemon(clock, new PlayedPlaces(new PlayedPlace("far", { machine })));
  const loop = await daemon.begin([
    far("s", ["far"], { onInterruption: "rerun", ...more }),
    moduleStep("b", { needs: ["s"] }),
  ]);
  await clock.until(() => loop.state.steps.get("s")!.attempts.at(-1)?.placed !== undefined);
  await nextTurn();
  // Nothing more is heard of it: its ledger is closed as a crash leaves it.
  const { run } = loop.state;
  const drained = loop.drain(0);
  await clock.advance(60_000);
  await drained;
  return { run, runsDir: daemon.bench.store.runsDir };
}

describe("the next daemon", () => {
  it("goes on with a step that still runs, under its token", async () => {
    const clock = new VirtualClock();
    const machine = new PlayedMachine();
    const { run, runsDir } = await dies(clock, machine);
    const place = new PlayedPlace("far", { machine });
    const next = new PlacedDaemon(clock, new PlayedPlaces(place), runsDir);
    const loop = await next.recover(run);
    await clock.until(() => place.tasks === 1 && loop.state.running.size === 1);
    place.end(only(machine));
    const ended = await next.bench.end(loop);
    expect(ended.status).toBe("completed");
    expect(ended.state.steps.get("s")!.attempts).toHaveLength(1);
    expect(machine.began).toEqual(["s"]);
  });

  it("does not wait for a machine that does not answer; its step counts as running", async () => {
    const clock = new VirtualClock();
    const machine = new PlayedMachine();
    const { run, runsDir } = await dies(clock, machine);
    const place = new PlayedPlace("far", { machine });
    place.answers = false;
    const next = new PlacedDaemon(clock, new PlayedPlaces(place), runsDir);
    const loop = await next.recover(run);
    await clock.advance(14_000);
    expect(loop.state.steps.get("s")!.phase).toBe("running");
    machine.running.clear();
    place.answer();
    await clock.until(() => machine.running.size === 1);
    const line = "step.interrupted s the daemon ended while it was running";
    await vi.waitFor(() => expect(next.lines(loop)).toContain(line), 10_000);
    place.end(only(machine));
    expect((await next.bench.end(loop)).status).toBe("completed");
    expect(machine.doubled).toEqual(new Set());
  });

  it.each([true, false])(
    "tells a stop again once it has answered (it lives: %s)",
    async (lives) => {
      const clock = new VirtualClock();
      const machine = new PlayedMachine();
      const { run, runsDir } = await dies(clock, machine);
      const place = new PlayedPlace("far", { machine });
      place.answers = false;
      const next = new PlacedDaemon(clock, new PlayedPlaces(place), runsDir);
      const loop = await next.recover(run);
      await loop.requestStop({ mode: "force", by: "test" });
      await clock.advance(1_000);
      expect(loop.state.finished).toBeUndefined();
      if (!lives) machine.running.clear();
      place.answer();
      if (lives) {
        await clock.until(() => place.stops.length > 0);
        expect(place.stops).toMatchObject([
          { mode: "force", because: "the run was asked to stop" },
        ]);
        place.stopped(only(machine));
      }
      const ended = await next.bench.end(loop);
      expect(ended.status).toBe("stopped");
      expect(ended.statuses()).toEqual({ s: "stopped", b: "skipped" });
    },
  );

  it("waits for the leases to be over where nobody can be asked any more", async () => {
    const clock = new VirtualClock();
    const machine = new PlayedMachine();
    const { run, runsDir } = await dies(clock, machine);
    const places = new PlayedPlaces();
    const next = new PlacedDaemon(clock, places, runsDir);
    const loop = await next.recover(run);
    await clock.advance(60_000);
    expect(loop.state.steps.get("s")!.phase).toBe("running");
    machine.running.clear();
    await vi.waitFor(() => expect(places.endLeases).toBeDefined(), 10_000);
    places.endLeases!();
    await clock.until(() => loop.state.steps.get("s")!.phase === "delayed");
    const again = new PlayedPlace("far", { machine });
    places.add(again);
    await clock.until(() => machine.running.size === 1);
    again.end(only(machine));
    expect((await next.bench.end(loop)).status).toBe("completed");
  });

  it("leaves a step to the one after it, where no machine has answered", async () => {
    const clock = new VirtualClock();
    const machine = new PlayedMachine();
    const { run, runsDir } = await dies(clock, machine);
    const place = new PlayedPlace("far", { machine });
    place.answers = false;
    const next = new PlacedDaemon(clock, new PlayedPlaces(place), runsDir);
    const loop = await next.recover(run);
    await loop.drain(0);
    expect(next.lines(loop).at(-1)).toBe("run.recovered");
    const after = new PlayedPlace("far", { machine });
    const last = new PlacedDaemon(clock, new PlayedPlaces(after), runsDir);
    const again = await last.recover(run);
    await clock.until(() => after.tasks === 1);
    after.end(only(machine));
    expect((await last.bench.end(again)).status).toBe("completed");
    expect(machine.began).toEqual(["s"]);
  });
});
