import { describe, expect, it } from "vitest";
import type { Alert } from "../../src/core/alert.ts";
import { untoldOf } from "../../src/core/notify-state.ts";
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
