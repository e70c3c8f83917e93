/** What a replayed end of a run tells, and why it tells nobody. */
import { expect, it } from "vitest";
import { resolveNotify, type NotifyDefinition } from "../../src/core/notify-settings.ts";
import type { PipelineFacts } from "../../src/notify/notify-input.ts";
import { replayed, type Replayed, type ReplayedLine } from "../../src/notify/replay.ts";

/** Replays the last of some runs. @param statuses theirs, oldest first */
function replay(
  statuses: readonly string[],
  rule: Partial<NonNullable<NotifyDefinition["rules"]>[number]> = {},
  before: readonly ReplayedLine["line"][] = [],
  facts: Partial<PipelineFacts> = {},
): Replayed | undefined {
  const settings = resolveNotify(
    {
      channels: { ops: { kind: "slack", url: "https://x" } },
      rules: [{ to: ["ops"], ...rule }],
    },
    "UTC",
  );
  const lines = statuses.map((status, n): ReplayedLine => ({
    file: "etl/pipeline.jsonl",
    seq: before.length + n + 1,
    line: {
      type: "run.finished",
      at: new Date(Date.UTC(2026, 10, 28, 12, n)).toISOString(),
      run: `etl@${n}`,
      status,
      because: `run ${n} ${status}`,
    },
  }));
  const first = before.map((line, n): ReplayedLine => ({
    file: "etl/pipeline.jsonl",
    seq: n + 1,
    line: { at: "2026-11-28T11:00:00.000Z", ...line },
  }));
  const known = { pipeline: "etl", ...facts };
  return replayed(`etl@${statuses.length - 1}`, known, [...first, ...lines], settings, "UTC");
}

it("tells a failure and a recovery as they were told", () => {
  expect(replay(["failed"])?.due).toMatchObject([{ kind: "failed", run: "etl@0", channel: "ops" }]);
  expect(replay(["failed", "completed"])?.due).toMatchObject([
    { kind: "recovered", of: "failed", run: "etl@1" },
  ]);
  expect(replay(["failed"])).not.toHaveProperty("untold");
});

it("tells at once what a group and quiet hours hold back", () => {
  const quiet = { from: "00:00", to: "23:59" };
  expect(replay(["failed"], { group: "1h", quiet })?.due).toHaveLength(1);
});

it("gives each replay a key of its own", () => {
  const { key } = replay(["failed"])!.due[0]!;
  expect(key).toMatch(/^[0-9a-f]{32}$/);
});

it.each([
  [["completed"], {}, "it ended completed, and no failure was told before it"],
  [["failed", "stopped"], {}, "it ended stopped, and no failure was told before it"],
  [["failed", "failed", "failed"], {}, "it is failure 3 in a row, and an earlier one was told"],
  [["failed"], { after: 2 }, "it is failure 1 in a row, and the rule tells a later one"],
  [["failed"], { on: ["missed" as const] }, "no rule is about its failure"],
])("says why nobody is told of %j with %j", (statuses, rule, untold) => {
  expect(replay(statuses, rule)).toEqual({ due: [], untold });
});

it("knows no run that did not end", () => {
  expect(replay([])).toBeUndefined();
});

it.each(["pipeline.silenced", "pipeline.paused", "pipeline.checkpoint", "pipeline.loaded"])(
  "goes by the rules of now, and not by a %s of that time",
  (type) => {
    expect(replay(["failed"], {}, [{ type, until: "2027-01-01T00:00:00.000Z" }])?.due).toHaveLength(
      1,
    );
  },
);

it("tells though the pipeline is silenced or paused now, or its own rule gathers", () => {
  const facts = {
    paused: true,
    silence: { until: "2027-01-01T00:00:00.000Z", by: "cli:root (uid 0)" },
    notify: { to: ["ops"], group: "1h", quiet: { from: "00:00", to: "23:59" } },
  };
  expect(replay(["failed"], {}, [], facts)?.due).toHaveLength(1);
});
