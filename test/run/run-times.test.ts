/** How long a run took, and how long it was worked on (docs/semantics.md 15). */
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { RunLoop } from "../../src/run/run-loop.ts";
import { daemonsSeen } from "../../src/ledger/daemon-history.ts";
import { held } from "../support/fake-pool.ts";
import { moduleStep, RunBench, type Ended } from "../support/run-bench.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** The time between the lines of a run's start and of its end. */
function between({ state }: Ended): number {
  return Date.parse(state.finished!.at) - Date.parse(state.startedAt!);
}

it("a run's duration is the time between its start and its end, over recoveries too", async () => {
  const clock = new VirtualClock();
  const { runs: runsDir } = tempRoot();
  const work = held();
  const first = new RunBench({ clock, runsDir, functions: { a: work } });
  const loop = await first.begin([moduleStep("a", { onInterruption: "rerun" })]);
  await work.began;
  await clock.advance(8_500);
  // Killed, and down for a while; the same again.
  await clock.advance(1_500);
  const second = new RunBench({ clock, runsDir, functions: { a: held() } });
  await RunLoop.recover(loop.state.run, second.deps);
  await clock.advance(4_000);
  const third = new RunBench({ clock, runsDir, functions: { a: () => 1 } });
  const again = (await RunLoop.recover(loop.state.run, third.deps))!;
  await clock.advance(200);
  again.start("again");
  await clock.until(() => again.state.finished !== undefined);
  const ended = await third.end(again);
  expect(between(ended)).toBe(14_200);
  expect(ended.info.durationMs).toBe(14_200);
  expect(ended.state.finished).toMatchObject({ durationMs: 14_200, workedMs: 0 });
});

it("time that an earlier daemon was seen counts as work, and counts for the limit", async () => {
  const clock = new VirtualClock();
  const { runs: runsDir } = tempRoot();
  const work = held();
  const first = new RunBench({ clock, runsDir, functions: { a: work } });
  const step = moduleStep("a", { onInterruption: "rerun" });
  const loop = await first.begin([step], {}, { timeoutMs: 10_000 });
  await work.began;
  const beganAt = clock.now();
  const seen = new Date(beganAt + 8_000).toISOString();
  const later = new VirtualClock({ start: beganAt + 60_000 });
  const second = new RunBench({ clock: later, runsDir, functions: { a: held() } });
  const again = (await RunLoop.recover(loop.state.run, second.deps, "again", () => seen))!;
  expect(again.state.workedMs).toBe(8_000);
  again.start("again");
  await later.until(() => again.state.finished !== undefined);
  const ended = await second.end(again);
  expect(ended.because).toContain("longer than its limit of 10s");
  expect(ended.state.finished).toMatchObject({ durationMs: 62_000, workedMs: 10_000 });
  expect(ended.of("run.recovered")[0]).toMatchObject({ workedUntil: seen });
});

it("a moment that is not after the last line, or is not over yet, says nothing", async () => {
  const clock = new VirtualClock();
  const { runs: runsDir } = tempRoot();
  const work = held();
  const first = new RunBench({ clock, runsDir, functions: { a: work } });
  const loop = await first.begin([moduleStep("a")]);
  await work.began;
  for (const seen of [clock.now(), clock.now() + 3_600_000]) {
    await clock.advance(1_000);
    const next = new RunBench({ clock, runsDir, functions: { a: held() } });
    const at = new Date(seen).toISOString();
    const again = (await RunLoop.recover(loop.state.run, next.deps, "again", () => at))!;
    expect(again.state.workedMs).toBe(0);
  }
});

it.each([3_600_000, -3_600_000])(
  "a clock that is set by %d ms is in the duration, and not in the time of work",
  async (step) => {
    const clock = new VirtualClock();
    const work = held();
    const bench = new RunBench({ clock, functions: { a: work } });
    const loop = await bench.begin([moduleStep("a")]);
    await work.began;
    await clock.advance(2_000);
    clock.step(step);
    await clock.advance(3_000);
    work.release(1);
    await clock.until(() => loop.state.finished !== undefined);
    const ended = await bench.end(loop);
    expect(ended.state.finished).toMatchObject({
      durationMs: Math.max(0, 5_000 + step),
      workedMs: 5_000,
    });
    expect(ended.info.durationMs).toBe(Math.max(0, between(ended)));
  },
);

it("a run that neither a clock nor a daemon disturbed has one time", async () => {
  const clock = new VirtualClock();
  const work = held();
  const bench = new RunBench({ clock, functions: { a: work } });
  const loop = await bench.begin([moduleStep("a")]);
  await work.began;
  await clock.advance(5_000);
  work.release(1);
  await clock.until(() => loop.state.finished !== undefined);
  const ended = await bench.end(loop);
  expect(ended.state.finished).toMatchObject({ durationMs: 5_000 });
  expect(ended.state.finished).not.toHaveProperty("workedMs");
});

it("the history says until when the daemon was seen that was up at a moment", () => {
  const orchdDir = join(tempRoot().runs, ".orchd");
  mkdirSync(orchdDir, { recursive: true });
  const line = (type: string, at: string): string => `${JSON.stringify({ type, at })}\n`;
  const path = join(orchdDir, "daemon.jsonl");
  writeFileSync(
    path,
    line("daemon.began", "2026-11-23T01:00:00.000Z") +
      line("daemon.lost", "2026-11-23T01:30:00.000Z") +
      line("daemon.began", "2026-11-23T02:00:00.000Z") +
      line("daemon.ended", "2026-11-23T03:00:00.000Z") +
      line("daemon.began", "2026-11-23T04:00:00.000Z"),
  );
  utimesSync(path, 0, 0);
  const seen = daemonsSeen(orchdDir);
  expect(seen("2026-11-23T00:30:00.000Z")).toBeUndefined();
  expect(seen("2026-11-23T01:10:00.000Z")).toBe("2026-11-23T01:30:00.000Z");
  // It ended before: what the later one did says nothing of that run.
  expect(seen("2026-11-23T01:40:00.000Z")).toBe("2026-11-23T01:30:00.000Z");
  expect(seen("2026-11-23T02:10:00.000Z")).toBe("2026-11-23T03:00:00.000Z");
  expect(seen("2026-11-23T04:10:00.000Z")).toBeUndefined();
  expect(daemonsSeen(tempRoot().runs)("2026-11-23T04:10:00.000Z")).toBeUndefined();
});

it("a limit that is over when a daemon takes the run over ends the run at once", async () => {
  const clock = new VirtualClock();
  const { runs: runsDir } = tempRoot();
  const work = held();
  const first = new RunBench({ clock, runsDir, functions: { a: work } });
  const step = moduleStep("a", { onInterruption: "rerun" });
  const loop = await first.begin([step], {}, { timeoutMs: 10_000 });
  await work.began;
  const beganAt = clock.now();
  const later = new VirtualClock({ start: beganAt + 60_000 });
  const second = new RunBench({ clock: later, runsDir, functions: { a: held() } });
  const seen = new Date(beganAt + 12_000).toISOString();
  const again = (await RunLoop.recover(loop.state.run, second.deps, "again", () => seen))!;
  again.start("again");
  await later.until(() => again.state.finished !== undefined);
  const ended = await second.end(again);
  expect(ended.of("run.timed_out")).toHaveLength(1);
  expect(ended.because).toBe("the run took longer than its limit of 10s");
  expect(later.now()).toBe(beganAt + 60_000);
  expect(ended.state.finished).toMatchObject({ durationMs: 60_000, workedMs: 12_000 });
});

it("a limit that was over already is told once, however often the run is taken over", async () => {
  const clock = new VirtualClock();
  const { runs: runsDir } = tempRoot();
  const first = new RunBench({ clock, runsDir, functions: { a: held() } });
  const step = moduleStep("a", { onInterruption: "rerun" });
  const loop = await first.begin([step], {}, { timeoutMs: 10_000 });
  await clock.until(() => loop.state.finished !== undefined);
  const { run } = await first.end(loop);
  const path = first.store.runLedger(run);
  const lines = readFileSync(path, "utf8").split("\n");
  const told = lines.findIndex((line) => line.includes('"run.timed_out"'));
  writeFileSync(path, `${lines.slice(0, told + 1).join("\n")}\n`);
  const second = new RunBench({ clock, runsDir, functions: { a: held() } });
  const again = (await RunLoop.recover(run, second.deps))!;
  again.start("again");
  await clock.until(() => again.state.finished !== undefined);
  const ended = await second.end(again);
  expect(ended.because).toBe("the run took longer than its limit of 10s");
  expect(ended.of("run.timed_out")).toHaveLength(1);
});
