import { describe, expect, it } from "vitest";
import type { Alert } from "../../src/core/alert.ts";
import { unpackNotifyState, untoldOf } from "../../src/core/notify-state.ts";
import { AlertFold } from "../../src/notify/alert-fold.ts";
import { bookOf, FoldRig, shortly, START } from "./fold-rig.ts";

const texts = (alerts: readonly Alert[]): string[] => alerts.map(shortly);
const MINUTE = 60_000;
const HOUR = 3_600_000;

describe("failed", () => {
  it("is told once, and its end to those who were told", () => {
    const rig = new FoldRig();
    const [first] = rig.ends("a", "failed", "a@1");
    expect(first).toMatchObject({
      kind: "failed",
      channel: "ops",
      pipeline: "a",
      run: "a@1",
      status: "failed",
      because: "it failed",
      at: new Date(START).toISOString(),
      cause: "a/pipeline.jsonl:1",
      count: 1,
      telling: 1,
    });
    expect(first!.key).toMatch(/^[0-9a-f]{32}$/);
    expect(texts(rig.ends("a", "failed"))).toEqual([]);
    expect(texts(rig.ends("a", "completed"))).toEqual([
      "recovered of failed a ×1 → ops",
      "recovered of failed a ×1 → chat",
    ]);
    expect(rig.all.at(-1)!.because).toBe("a@r is completed, after 2 runs in a row failed");
    expect(texts(rig.ends("a", "completed"))).toEqual([]);
    expect(rig.fold.state.pipelines.size).toBe(0);
    expect(new Set(rig.all.map(({ key }) => key)).size).toBe(rig.all.length);
  });

  it.each(["no time", "", 7])("has a time of its own where its line has %j", (at) => {
    const rig = new FoldRig();
    const because = "it failed";
    const [first] = rig.line("a", "run.finished", { run: "a@1", status: "failed", because, at });
    expect(first).toMatchObject({ kind: "failed", at: new Date(START).toISOString() });
  });

  it("does not begin and does not end with a run that was stopped", () => {
    const rig = new FoldRig();
    expect(rig.ends("a", "stopped")).toEqual([]);
    rig.ends("a", "failed");
    expect(rig.ends("a", "stopped")).toEqual([]);
    expect(rig.ends("a", "cached")).toHaveLength(2);
  });

  it("is told at the n-th in a row", () => {
    const rig = new FoldRig([{ to: ["ops"], after: 3 }]);
    rig.ends("a", "failed");
    rig.ends("a", "failed");
    rig.ends("a", "completed");
    expect(rig.all).toEqual([]);
    rig.ends("a", "failed");
    rig.ends("a", "failed");
    expect(texts(rig.ends("a", "failed", "a@3"))).toEqual(["failed a ×3 → ops"]);
    expect(rig.all[0]).toMatchObject({ run: "a@3", cause: "a/pipeline.jsonl:4" });
    expect(rig.ends("a", "failed")).toEqual([]);
  });

  it("is told again while it holds", () => {
    const rig = new FoldRig([{ to: ["ops"], repeat: "24h" }]);
    rig.ends("a", "failed");
    rig.ends("a", "failed");
    expect(texts(rig.pass(23 * HOUR))).toEqual([]);
    expect(texts(rig.pass(50 * HOUR))).toEqual([
      "failed a ×2 again 2 → ops",
      "failed a ×2 again 3 → ops",
      "failed a ×2 again 4 → ops",
    ]);
    expect(texts(rig.ends("a", "completed"))).toEqual(["recovered of failed a ×1 → ops"]);
    expect(texts(rig.pass(50 * HOUR))).toEqual([]);
    expect(new Set(rig.all.map(({ key }) => key)).size).toBe(5);
  });

  it("keeps 10,000 in a minute in a count", () => {
    const rig = new FoldRig([{ to: ["ops"], group: "1m" }]);
    for (let n = 0; n < 10_000; n += 1) rig.ends("a", "failed", `a@${n}`);
    expect(JSON.stringify(rig.fold.packed()).length).toBeLessThan(2_000);
    expect(texts(rig.pass(MINUTE))).toEqual(["failed a ×10000 → ops"]);
  });

  it("names 51 pipelines of 1,000 in one message, and counts the rest", () => {
    const rig = new FoldRig([{ to: ["ops"], group: "1m" }]);
    for (let n = 0; n < 1_000; n += 1) rig.ends(`p${n}`, "failed");
    const [alert, ...rest] = rig.pass(MINUTE);
    expect(rest).toEqual([]);
    expect(alert!.count).toBe(1_000);
    expect(alert!.others).toHaveLength(50);
  });
});

describe("a group of ends", () => {
  it("says of each what it recovered from", () => {
    const rig = new FoldRig([{ to: ["ops"], on: ["failed", "recovered"], group: "1m" }]);
    for (const name of ["a", "b"]) rig.ends(name, "failed");
    rig.pass(MINUTE);
    for (const name of ["a", "b"]) rig.ends(name, "completed");
    const [alert] = rig.pass(MINUTE);
    expect(alert).toMatchObject({ kind: "recovered", of: "failed", pipeline: "a" });
    expect(alert!.others).toMatchObject([{ kind: "recovered", of: "failed", pipeline: "b" }]);
  });
});

describe("rules", () => {
  it("are about some pipelines, by name or tag", () => {
    const rig = new FoldRig([
      { to: ["ops"], tags: ["backup"] },
      { to: ["chat"], pipelines: ["b"] },
    ]);
    rig.line("a", "pipeline.loaded", { tags: ["backup", "x"] });
    rig.line("b", "pipeline.loaded", { tags: ["x"] });
    expect(texts(rig.ends("a", "failed"))).toEqual(["failed a ×1 → ops"]);
    expect(texts(rig.ends("b", "failed"))).toEqual(["failed b ×1 → chat"]);
    expect(texts(rig.ends("c", "failed"))).toEqual([]);
    rig.line("a", "pipeline.loaded", { tags: [] });
    expect(texts(rig.ends("a", "completed"))).toEqual([]);
  });

  it("tell a channel one thing once: the first that names it counts", () => {
    const rig = new FoldRig([
      { to: ["ops"], on: ["failed"], after: 2 },
      { to: ["ops", "chat"], on: ["failed", "recovered"] },
    ]);
    expect(texts(rig.ends("a", "failed"))).toEqual(["failed a ×1 → chat"]);
    expect(texts(rig.ends("a", "failed"))).toEqual(["failed a ×2 → ops"]);
    expect(texts(rig.ends("a", "completed"))).toEqual([
      "recovered of failed a ×1 → ops",
      "recovered of failed a ×1 → chat",
    ]);
  });

  it("of a pipeline's own file take the place of orchd.yaml's", () => {
    const rig = new FoldRig();
    rig.line("a", "pipeline.loaded", { notify: false });
    rig.line("b", "pipeline.loaded", { notify: { to: ["chat"], on: ["failed"] } });
    expect(texts(rig.ends("a", "failed"))).toEqual([]);
    expect(texts(rig.ends("b", "failed"))).toEqual(["failed b ×1 → chat"]);
    expect(texts(rig.ends("b", "completed"))).toEqual([]);
  });

  it("that name no channel any more tell nobody, and what they told ends quietly", () => {
    const rig = new FoldRig([{ to: ["ops"], group: "5m" }]);
    rig.ends("a", "failed");
    rig.restart(bookOf([{ to: ["chat"], on: ["recovered"] }], ["chat"]));
    expect(texts(rig.pass(HOUR))).toEqual([]);
    expect(texts(rig.ends("a", "completed"))).toEqual([]);
    expect(rig.fold.state.pending).toEqual([]);
  });

  it("that are gone hold up no message that gathers", () => {
    const rig = new FoldRig([{ to: ["ops"], group: "5h" }]);
    rig.ends("a", "failed");
    rig.restart(bookOf([{ to: ["ops"], on: ["late"] }]));
    expect(texts(rig.pass(1))).toEqual(["failed a ×1 → ops"]);
  });

  it("that come while it works tell what holds, at the next tick", () => {
    const rig = new FoldRig([{ to: ["ops"] }]);
    rig.ends("a", "failed");
    rig.pass(HOUR);
    rig.fold.use(bookOf([{ to: ["ops", "chat"] }]));
    expect(texts(rig.pass(1))).toEqual(["failed a ×1 → chat"]);
  });

  it("that come later tell what holds", () => {
    const rig = new FoldRig([{ to: ["ops"] }]);
    rig.ends("a", "failed");
    rig.restart(bookOf([{ to: ["ops", "chat"] }]));
    expect(texts(rig.pass(1))).toEqual(["failed a ×1 → chat"]);
  });
});

describe("a group", () => {
  it("is one message of each kind", () => {
    const rig = new FoldRig([{ to: ["ops"], group: "5m" }]);
    rig.ends("a", "failed");
    rig.pass(MINUTE);
    rig.ends("b", "failed");
    rig.ends("a", "failed");
    rig.ends("a", "completed");
    expect(texts(rig.pass(3 * MINUTE))).toEqual([]);
    const state = rig.fold.state.pipelines.get("b")!.firing.get("failed")!;
    expect(untoldOf(rig.fold.state, "b", "failed", state, rig.now)).toBe("group");
    expect(texts(rig.pass(HOUR))).toEqual([
      "failed a+b ×3 → ops",
      "recovered of failed a ×1 → ops",
    ]);
    expect(untoldOf(rig.fold.state, "b", "failed", state, rig.now)).toBeUndefined();
  });

  it("counts a pipeline once that fails, recovers and fails again", () => {
    const rig = new FoldRig([{ to: ["ops"], group: "5m" }]);
    for (const status of ["failed", "completed", "failed", "failed"]) rig.ends("a", status);
    expect(texts(rig.pass(HOUR))).toEqual(["failed a ×3 → ops", "recovered of failed a ×1 → ops"]);
  });

  it("of own rules goes on after a restart", () => {
    const rig = new FoldRig();
    rig.line("a", "pipeline.loaded", { notify: [{ to: ["chat"], group: "5m" }] });
    rig.ends("a", "failed");
    rig.restart(bookOf(undefined));
    // A line may come before the first tick, which looks at all pipelines.
    expect(texts(rig.ends("b", "completed"))).toEqual([]);
    expect(texts(rig.pass(4 * MINUTE))).toEqual([]);
    expect(texts(rig.pass(2 * MINUTE))).toEqual(["failed a ×1 → chat"]);
  });
});

describe("quiet hours", () => {
  const quiet = { from: "22:00", to: "07:00" };

  it("hold messages, of each kind in one", () => {
    const rig = new FoldRig([{ to: ["ops"], quiet }]);
    rig.pass(10 * HOUR);
    rig.ends("a", "failed");
    rig.pass(HOUR);
    rig.ends("b", "failed");
    rig.ends("a", "completed");
    const state = rig.fold.state.pipelines.get("b")!.firing.get("failed")!;
    expect(untoldOf(rig.fold.state, "b", "failed", state, rig.now)).toBe("quiet");
    expect(texts(rig.pass(8 * HOUR - 1))).toEqual([]);
    expect(texts(rig.pass(1))).toEqual(["failed a+b ×2 → ops", "recovered of failed a ×1 → ops"]);
    expect(rig.ends("c", "failed")).toHaveLength(1);
  });

  it("hold missed slots of all pipelines for one message", () => {
    const rig = new FoldRig([{ to: ["ops"], quiet }]);
    rig.pass(10 * HOUR);
    const missed = { slot: "2026-11-28T21:00:00.000Z", because: "it overlapped" };
    for (const name of ["a", "b"]) rig.line(name, "slot.missed", missed);
    expect(texts(rig.pass(9 * HOUR))).toEqual(["missed a+b ×2 → ops"]);
  });

  it("hold a group that ends in them", () => {
    const rig = new FoldRig([{ to: ["ops"], quiet, group: "30m" }]);
    rig.pass(9 * HOUR + 45 * MINUTE);
    rig.ends("a", "failed");
    expect(texts(rig.pass(9 * HOUR))).toEqual([]);
    expect(texts(rig.pass(HOUR))).toEqual(["failed a ×1 → ops"]);
  });

  it("hold repeats, which are then told once", () => {
    const rig = new FoldRig([{ to: ["ops"], quiet, repeat: "1h" }]);
    rig.pass(9 * HOUR + 30 * MINUTE);
    rig.ends("a", "failed");
    expect(texts(rig.pass(9 * HOUR))).toEqual([]);
    expect(texts(rig.pass(31 * MINUTE))).toEqual(["failed a ×1 again 2 → ops"]);
  });
});

describe("missed slots", () => {
  it("of a downtime are one message with their count, a moment after them", () => {
    const rig = new FoldRig();
    const slot = "2026-11-28T10:00:00.000Z";
    const because = "no daemon was up until 12:00";
    rig.line("a", "slot.missed", { slot, until: "2026-11-28T10:30:00.000Z", because });
    rig.line("a", "slot.missed", { slot: "2026-11-28T11:00:00.000Z", because: "later" });
    rig.line("a", "slot.caught_up", { slot: "2026-11-28T12:00:00.000Z", run: "a@1" });
    rig.line("a", "run.started", { run: "a@1" });
    expect(rig.all).toEqual([]);
    expect(texts(rig.pass(MINUTE))).toEqual(["missed a ×8 → ops", "missed a ×8 → chat"]);
    expect(rig.all[0]).toMatchObject({ because, cause: "a/pipeline.jsonl:1" });
    expect(texts(rig.pass(HOUR))).toEqual([]);
  });

  it("of several pipelines are a message each, or one where the rule has a group", () => {
    for (const [group, expected] of [
      [undefined, ["missed a ×1 → ops", "missed b ×1 → ops"]],
      ["1m", ["missed a+b ×2 → ops"]],
    ] as const) {
      const rig = new FoldRig([{ to: ["ops"], ...(group && { group }) }]);
      for (const name of ["a", "b"]) rig.line(name, "slot.missed", { slot: "x", because: "down" });
      expect(texts(rig.pass(HOUR))).toEqual(expected);
    }
  });

  it("go on until a slot fires, which is told where they were", () => {
    const rig = new FoldRig([{ to: ["ops"] }]);
    rig.line("a", "slot.missed", { slot: "x", because: "its file is invalid" });
    expect(texts(rig.pass(MINUTE))).toEqual(["missed a ×1 → ops"]);
    for (let n = 0; n < 5; n += 1) rig.line("a", "slot.missed", { slot: "x", because: "invalid" });
    expect(texts(rig.pass(MINUTE))).toEqual([]);
    expect(texts(rig.line("a", "slot.fired", { slot: "x", run: "a@1" }))).toEqual([
      "recovered of missed a ×1 → ops",
    ]);
  });

  it("of a paused pipeline are none", () => {
    const rig = new FoldRig([{ to: ["ops"] }]);
    rig.line("a", "pipeline.paused");
    rig.line("a", "slot.missed", { slot: "x", because: "paused" });
    rig.line("a", "pipeline.resumed");
    expect(texts(rig.pass(HOUR))).toEqual([]);
  });
});

describe("late", () => {
  const slot = new Date(START).toISOString();

  it("is what the ledger says, and no failure; it ends with a slot that starts in its time", () => {
    const rig = new FoldRig([{ to: ["ops"], on: ["late", "recovered", "failed"] }]);
    rig.line("a", "slot.fired", { slot, run: "a@1" });
    rig.line("a", "run.queued", { run: "a@1", because: "the limit is reached" });
    rig.pass(MINUTE);
    expect(texts(rig.line("a", "slot.late", { slot, run: "a@1", because: "it waits" }))).toEqual([
      "late a ×1 → ops",
    ]);
    expect(rig.line("a", "run.started", { run: "a@1" })).toEqual([]);
    expect(rig.ends("a", "completed", "a@1")).toEqual([]);
    rig.line("a", "slot.fired", { slot, run: "a@2" });
    expect(texts(rig.line("a", "run.started", { run: "a@2" }))).toEqual([
      "recovered of late a ×1 → ops",
    ]);
  });

  it("has a limit by the rule, whether a tick or the start tells it, with the same key", () => {
    const keys = [true, false].map((ticks) => {
      const rig = new FoldRig([{ to: ["ops"], on: ["late"], late: "5m" }]);
      rig.line("a", "slot.fired", { slot, run: "a@1" });
      rig.line("a", "slot.late", { slot, run: "a@1", because: "it waits" });
      if (ticks) {
        expect(rig.pass(5 * MINUTE)).toEqual([]);
        expect(texts(rig.pass(MINUTE))).toEqual(["late a ×1 → ops"]);
      } else rig.now += 6 * MINUTE;
      expect(rig.line("a", "run.started", { run: "a@1" })).toHaveLength(ticks ? 0 : 1);
      return rig.all[0];
    });
    expect(keys[0]).toEqual(keys[1]);
    expect(keys[0]!.because).toBe(`its slot ${slot} had not started after 5m`);
  });
});

describe("queued", () => {
  it("is a run that waits for longer than the rule allows, until none does", () => {
    const rig = new FoldRig([
      { to: ["ops"], on: ["queued", "recovered"], queued: "30m" },
      { to: ["chat"], on: ["queued"] },
    ]);
    for (const run of ["a@1", "a@2"])
      rig.line("a", "run.queued", { run, because: "another run is active" });
    expect(texts(rig.pass(29 * MINUTE))).toEqual([]);
    expect(texts(rig.pass(5 * MINUTE))).toEqual(["queued a ×1 → ops"]);
    const counts = [...rig.fold.state.pipelines.get("a")!.firing.values()];
    rig.restart(rig.book);
    rig.pass(1);
    expect(counts.map(({ count }) => count)).toEqual([2]);
    expect(rig.fold.state.pipelines.get("a")!.firing.get("queued@1800000")!.count).toBe(2);
    expect(rig.all[0]!.because).toBe("it has waited for 30m: another run is active");
    expect(texts(rig.line("a", "run.started", { run: "a@1" }))).toEqual([]);
    expect(texts(rig.pass(30 * MINUTE))).toEqual(["queued a ×1 → chat"]);
    expect(texts(rig.ends("a", "stopped", "a@2"))).toEqual(["recovered of queued a ×1 → ops"]);
    rig.line("a", "run.queued", { run: "a@3", because: "" });
    rig.line("a", "run.started", { run: "a@3" });
    expect(texts(rig.pass(5 * HOUR))).toEqual([]);
    expect(rig.fold.state.pipelines.size).toBe(0);
  });

  it("is not told by lines that are read late", () => {
    const rig = new FoldRig([{ to: ["ops"], on: ["queued"], queued: "1h" }]);
    rig.line("a", "run.queued", { run: "a@1" }, START - 5 * HOUR);
    rig.line("a", "run.started", { run: "a@1" }, START - 5 * HOUR + 1_000);
    expect(texts(rig.pass(HOUR))).toEqual([]);
    rig.line("a", "run.queued", { run: "a@2" }, START - 5 * HOUR);
    expect(texts(rig.line("a", "run.started", { run: "a@2" }, START - 3 * HOUR))).toEqual([
      "queued a ×1 → ops",
    ]);
  });
});

describe("overdue and invalid", () => {
  it("end with the run", () => {
    const rig = new FoldRig([{ to: ["ops"], on: ["overdue", "recovered"], after: 9 }]);
    rig.line("a", "run.overdue", { run: "a@1", because: "it goes on for 3h" });
    rig.line("a", "run.overdue", { run: "a@2", because: "it goes on for 4h" });
    expect(texts(rig.ends("a", "completed", "a@1"))).toEqual([]);
    expect(texts(rig.ends("a", "failed", "a@2"))).toEqual(["recovered of overdue a ×1 → ops"]);
    expect(texts(rig.all)[0]).toBe("overdue a ×1 → ops");
  });

  it("of more than a hundred overdue runs, the newest hundred decide when it is over", () => {
    const rig = new FoldRig([{ to: ["ops"], on: ["overdue", "recovered"], after: 1 }]);
    const runs = Array.from({ length: 101 }, (_, nth) => `a@${nth}`);
    for (const run of runs) rig.line("a", "run.overdue", { run, because: "it goes on for 3h" });
    for (const run of runs.slice(0, 100))
      expect(texts(rig.ends("a", "completed", run))).toEqual([]);
    expect(texts(rig.ends("a", "completed", "a@100"))).toEqual([
      expect.stringMatching(/recovered/),
    ]);
  });

  it("end with a good file, or quietly with the file", () => {
    const rig = new FoldRig([{ to: ["ops"], after: 9 }]);
    expect(texts(rig.line("a", "pipeline.invalid", { errors: ["bad", "worse"] }))).toEqual([
      "invalid a ×1 → ops",
    ]);
    expect(rig.all[0]!.because).toBe("bad; worse");
    expect(texts(rig.line("a", "pipeline.loaded", {}))).toEqual([
      "recovered of invalid a ×1 → ops",
    ]);
    rig.line("a", "pipeline.invalid", { errors: ["bad"] });
    expect(texts(rig.line("a", "pipeline.removed"))).toEqual([]);
    expect(texts(rig.line("a", "pipeline.loaded", {}))).toEqual([]);
    expect(rig.fold.state.pipelines.size).toBe(0);
  });
});

describe("a silence", () => {
  it("that ends while its pipeline is paused lets nobody wake up again and again", () => {
    const rig = new FoldRig();
    rig.ends("a", "failed");
    rig.line("a", "pipeline.paused");
    const until = new Date(START + HOUR).toISOString();
    rig.line("a", "pipeline.silenced", { until });
    expect(texts(rig.pass(2 * HOUR))).toEqual([]);
    expect(rig.wakeAt).toBeUndefined();
  });

  const until = new Date(START + 2 * HOUR).toISOString();

  it("and a pause outlive a file that is removed and comes back", () => {
    const rig = new FoldRig([{ to: ["ops"] }]);
    rig.line("a", "pipeline.silenced", { until });
    rig.line("b", "pipeline.paused");
    for (const name of ["a", "b"]) {
      rig.line(name, "pipeline.removed");
      rig.line(name, "pipeline.loaded", {});
      expect(texts(rig.ends(name, "failed"))).toEqual([]);
    }
    expect(texts(rig.pass(2 * HOUR))).toEqual(["failed a ×1 → ops"]);
    expect(texts(rig.line("b", "pipeline.resumed"))).toEqual(["failed b ×1 → ops"]);
  });

  it("tells nothing; what still holds is told after it", () => {
    const rig = new FoldRig([{ to: ["ops"] }]);
    rig.line("a", "pipeline.silenced", { until, because: "repairs", by: "me" });
    rig.ends("a", "failed");
    rig.line("b", "pipeline.silenced", { until });
    rig.ends("b", "failed");
    rig.ends("b", "completed");
    expect(rig.fold.state.pipelines.get("a")!.firing.get("failed")!.untold).toBe("silenced");
    expect(texts(rig.pass(2 * HOUR - 1))).toEqual([]);
    expect(texts(rig.pass(1))).toEqual(["failed a ×1 → ops"]);
    expect(texts(rig.ends("a", "completed"))).toEqual(["recovered of failed a ×1 → ops"]);
    rig.pass(24 * HOUR);
    rig.ends("a", "completed");
    rig.ends("b", "completed");
    expect(rig.fold.state.pipelines.size).toBe(0);
  });

  it("ends at once where it is asked to", () => {
    const rig = new FoldRig([{ to: ["ops"] }]);
    rig.line("a", "pipeline.silenced", { until });
    rig.ends("a", "failed");
    expect(texts(rig.line("a", "pipeline.silenced", { until: null }))).toEqual([
      "failed a ×1 → ops",
    ]);
  });

  it("keeps a recovery for its end, and takes it back if it fails again", () => {
    const rig = new FoldRig([{ to: ["ops"] }]);
    for (const name of ["a", "b"]) rig.ends(name, "failed");
    for (const name of ["a", "b"]) rig.line(name, "pipeline.silenced", { until });
    for (const name of ["a", "b"]) expect(rig.ends(name, "completed")).toEqual([]);
    expect(rig.ends("b", "failed")).toEqual([]);
    expect(texts(rig.pass(3 * HOUR))).toEqual(["recovered of failed a ×1 → ops"]);
    expect(texts(rig.ends("b", "completed"))).toEqual(["recovered of failed b ×1 → ops"]);
  });

  it("has its recovery told by the next good end after it, where no moment came between", () => {
    const rig = new FoldRig([{ to: ["ops"] }]);
    rig.ends("a", "failed");
    rig.line("a", "pipeline.silenced", { until });
    rig.ends("a", "completed");
    rig.now = START + 3 * HOUR;
    expect(texts(rig.ends("a", "completed"))).toEqual(["recovered of failed a ×1 → ops"]);
    expect(texts(rig.pass(HOUR))).toEqual([]);
  });

  it("counts by when something happened, where lines are read late", () => {
    const rig = new FoldRig([{ to: ["ops"] }]);
    rig.now = START + 10 * HOUR;
    rig.line("a", "pipeline.silenced", { until }, START);
    rig.line("a", "run.finished", { run: "r", status: "failed" }, START + HOUR);
    rig.line("a", "run.finished", { run: "r", status: "completed" }, START + HOUR);
    rig.pass(HOUR);
    expect(texts(rig.all)).toEqual([]);
  });

  it("holds repeats, and so does a pause", () => {
    const rig = new FoldRig([{ to: ["ops"], repeat: "1h" }]);
    rig.ends("a", "failed");
    rig.line("a", "pipeline.paused");
    expect(texts(rig.pass(5 * HOUR))).toEqual([]);
    rig.line("a", "pipeline.resumed");
    expect(texts(rig.pass(1))).toEqual(["failed a ×1 again 2 → ops"]);
  });

  it("is known at the first start, as tags and rules are", () => {
    const rig = new FoldRig([{ to: ["ops"], tags: ["x"] }]);
    rig.take({
      type: "pipeline",
      now: rig.now,
      pipeline: "a",
      tags: ["x"],
      paused: false,
      silence: { until, by: "me" },
    });
    rig.take({ type: "pipeline", now: rig.now, pipeline: "b", tags: ["x"], paused: true });
    expect([...rig.ends("a", "failed"), ...rig.ends("b", "failed")]).toEqual([]);
    expect(texts(rig.pass(3 * HOUR))).toEqual(["failed a ×1 → ops"]);
  });
});

describe("the daemon", () => {
  const because = "why";

  it("is told by rules that are about all pipelines", () => {
    const rig = new FoldRig([
      { to: ["chat"], on: ["disk_full", "restarted"], tags: ["x"] },
      { to: ["ops"], on: ["disk_full", "restarted", "recovered"] },
    ]);
    expect(texts(rig.fact({ type: "disk", full: true, because }))).toEqual([
      "disk_full daemon ×1 → ops",
    ]);
    expect(texts(rig.fact({ type: "disk", full: true, because }))).toEqual([]);
    expect(texts(rig.fact({ type: "disk", full: false, because }))).toEqual([
      "recovered of disk_full daemon ×1 → ops",
    ]);
    const restart = { type: "restarted", epoch: 4, because } as const;
    expect(texts(rig.fact(restart))).toEqual(["restarted daemon ×1 → ops"]);
    rig.restart(bookOf([{ to: ["ops"], on: ["restarted"] }]));
    expect(texts(rig.fact(restart))).toEqual([]);
    expect(texts(rig.fact({ ...restart, epoch: 5 }))).toEqual(["restarted daemon ×1 → ops"]);
  });

  it("has ledgers that are damaged, each told once; a pause does not hide them", () => {
    const rig = new FoldRig([{ to: ["ops"] }]);
    rig.line("a", "pipeline.paused");
    const damage = { type: "damage", file: "a/x.jsonl", pipeline: "a", because } as const;
    expect(texts(rig.fact({ ...damage, damaged: true }))).toEqual(["damaged a ×1 → ops"]);
    expect(texts(rig.fact({ ...damage, damaged: true }))).toEqual([]);
    expect(texts(rig.line("a", "ledger.disturbed", { because }))).toEqual(["damaged a ×1 → ops"]);
    expect(texts(rig.fact({ ...damage, damaged: false }))).toEqual([
      "recovered of damaged a ×1 → ops",
    ]);
    const keys = new Set(rig.all.map(({ key }) => key));
    expect(keys.size).toBe(3);
  });

  it("tells of a broken channel through the others of its rules", () => {
    const rig = new FoldRig(
      [
        { to: ["ops", "chat"], on: ["failed"] },
        { to: ["boss"], on: ["channel_broken"] },
        { to: ["nobody"], on: ["failed"] },
      ],
      ["ops", "chat", "boss", "nobody"],
    );
    const fact = { type: "channel", channel: "ops", because } as const;
    expect(texts(rig.fact({ ...fact, broken: true }))).toEqual([
      "channel_broken daemon ×1 → chat",
      "channel_broken daemon ×1 → boss",
    ]);
    expect(rig.all[0]!.because).toBe("ops: why");
    expect(texts(rig.fact({ ...fact, broken: true }))).toEqual([]);
    expect(texts(rig.fact({ ...fact, broken: false }))).toEqual([
      "recovered of channel_broken daemon ×1 → chat",
      "recovered of channel_broken daemon ×1 → boss",
    ]);
  });

  it("has no broken channel that orchd.yaml has no more", () => {
    const rules = [{ to: ["boss"], on: ["channel_broken" as const], repeat: "1h" }];
    const broken = { type: "channel", channel: "chat", because, broken: true } as const;
    const rig = new FoldRig(rules, ["chat", "ops", "boss"]);
    rig.fact({ ...broken, channel: "ops" });
    rig.fact(broken);
    rig.restart(bookOf(rules, ["ops", "boss"]));
    expect(rig.pass(HOUR + 1).map((alert) => alert.because)).toEqual(["ops: why"]);
    expect([...rig.fold.state.daemon.keys()]).toEqual(["channel_broken@ops"]);
    rig.restart(bookOf(rules, ["chat", "ops", "boss"]));
    expect(rig.fact(broken).map((alert) => alert.because)).toEqual(["chat: why"]);
  });
});

describe("the packed state", () => {
  it("shares nothing with a fold that gave it or began with it", () => {
    const rig = new FoldRig([{ to: ["ops"], group: "5m" }]);
    rig.ends("a", "failed");
    const packed = rig.fold.packed();
    const text = JSON.stringify(packed);
    rig.ends("a", "failed");
    const other = new AlertFold({ packed, book: rig.book });
    const line = { type: "run.finished", run: "a@r", status: "failed" };
    other.take({ type: "line", now: START, pipeline: "a", file: "a/p.jsonl", seq: 9, line });
    other.take({ type: "tick", now: START + HOUR });
    expect(JSON.stringify(packed)).toBe(text);
    expect(other.state.pending).toEqual([]);
  });
});

describe("what is hostile or of another release", () => {
  it("changes nothing", () => {
    const rig = new FoldRig();
    for (const members of [
      { run: 7, status: ["failed"] },
      { run: "a@1" },
      { run: "a@1", status: "exploded" },
      { tags: "x", notify: 7 },
    ])
      for (const type of [
        "run.finished",
        "pipeline.loaded",
        "slot.fired",
        "new.event",
        "run.queued",
      ])
        rig.line("a", type, { at: null, slot: {}, ...members });
    expect(rig.all).toEqual([]);
    const good = {
      name: "a",
      firing: [["failed", { kind: "failed" }], 7],
      waits: { x: 1 },
      new: 1,
    };
    for (const packed of [null, [], 7, { pipelines: {} }, { pipelines: [7, { name: 1 }, good] }]) {
      const state = unpackNotifyState(packed);
      expect([...state.pipelines.values()].map(({ firing }) => firing.size)).toEqual(
        state.pipelines.size === 0 ? [] : [0],
      );
      const fold = new AlertFold({ packed, book: bookOf(undefined) });
      expect(fold.take({ type: "tick", now: START }).due).toEqual([]);
    }
  });

  it("is cut: a reason of a megabyte, a thousand errors, a pipeline named constructor", () => {
    const rig = new FoldRig([{ to: ["ops"], group: "1m" }]);
    rig.line("constructor", "run.finished", {
      run: "r",
      status: "failed",
      because: "x".repeat(1_000_000),
    });
    rig.line("a", "pipeline.invalid", { errors: Array.from({ length: 1_000 }, () => "bad ") });
    expect(JSON.stringify(rig.fold.packed()).length).toBeLessThan(10_000);
    expect(rig.pass(HOUR).map(({ because }) => because.length)).toEqual([500, 500]);
  });
});

describe("a clock that was set back", () => {
  it("holds a repeat for its span at most", () => {
    const rig = new FoldRig([{ to: ["ops"], repeat: "1h" }]);
    rig.ends("a", "failed");
    rig.now -= 1_000 * HOUR;
    rig.take({ type: "tick", now: rig.now });
    expect(texts(rig.pass(HOUR - 1))).toEqual([]);
    expect(texts(rig.pass(1))).toEqual(["failed a ×1 again 2 → ops"]);
    expect(texts(rig.pass(HOUR))).toEqual(["failed a ×1 again 3 → ops"]);
  });

  it("holds what is gathered for its span at most", () => {
    const rig = new FoldRig([{ to: ["ops"], group: "1m" }]);
    rig.ends("a", "failed");
    rig.now -= 1_000 * HOUR;
    rig.take({ type: "tick", now: rig.now });
    expect(texts(rig.pass(MINUTE))).toEqual(["failed a ×1 → ops"]);
  });
});

it.each([undefined, null, 7, "", "soon"])(
  "a line with the time %j happened just now: a silence that is over does not count",
  (at) => {
    const rig = new FoldRig();
    rig.line("a", "pipeline.silenced", { until: new Date(START + HOUR).toISOString() });
    rig.now += HOUR;
    const line = { seq: 2, type: "run.finished", run: "a@1", status: "failed", because: "x", at };
    const file = "a/pipeline.jsonl";
    const taken = rig.take({ type: "line", now: rig.now, pipeline: "a", file, seq: 2, line });
    expect(texts(taken)).toEqual(["failed a ×1 → ops", "failed a ×1 → chat"]);
  },
);
