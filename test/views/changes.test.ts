/** What somebody did, or what happened to the daemon, in sentences. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { changesOf, daemonChanges } from "../../src/views/changes.ts";
import { tempRoot } from "../support/temp-root.ts";

const at = (minute: number): string => `2026-11-28T02:0${minute}:00.000Z`;
const told = (...lines: readonly object[]): string[] =>
  changesOf(
    "etl",
    lines.map((line, minute) => ({ at: at(minute), ...line })) as never,
    Date.parse(at(0)),
  ).map(({ kind, sentence }) => `${kind}: ${sentence}`);
const loaded = (digest: string, more: object = {}) => ({
  type: "pipeline.loaded",
  digest,
  file: "/srv/schedules/etl.yaml",
  since: at(0),
  ...more,
});
const invalid = { type: "pipeline.invalid", file: "/srv/schedules/etl.yaml", errors: ["a", "b"] };

it("tells each kind, the newest first", () => {
  expect(
    told(
      loaded("1"),
      invalid,
      { type: "pipeline.paused", by: "cli:root (uid 0)" },
      { type: "pipeline.resumed" },
      { type: "pipeline.removed", file: "/srv/schedules/etl.yaml" },
      { type: "slot.fired" },
      { type: "pipeline.removed" },
    ),
  ).toEqual([
    "removed: etl was removed.",
    "removed: etl.yaml was removed.",
    "resumed: etl was resumed.",
    "paused: etl was paused by cli:root (uid 0).",
    "invalid: etl.yaml is not valid: a",
    "valid: etl.yaml is in force.",
  ]);
});

it("tells of no load that changed nothing, but of one that mended a fault", () => {
  const valid = "valid: etl.yaml is in force.";
  expect(told(loaded("1"), loaded("1"))).toEqual([valid]);
  expect(told(loaded("1"), loaded("2"))).toEqual([valid, valid]);
  expect(told(loaded("1"), loaded("2", { since: undefined }))).toEqual([valid]);
  expect(told(loaded("1"), invalid, loaded("1"))).toHaveLength(3);
  expect(told(loaded("1"), { type: "pipeline.removed" }, loaded("1"))).toHaveLength(3);
  expect(told(loaded("1"), invalid, loaded("1"), loaded("1"))).toHaveLength(3);
});

it("cuts a fault at 300 characters, and tells nothing from before", () => {
  const long = { ...invalid, errors: ["x".repeat(301)] };
  expect(told(long)).toEqual([`invalid: etl.yaml is not valid: ${"x".repeat(300)}`]);
  expect(told({ ...invalid, errors: [] })[0]).toContain("no reason was recorded");
  const lines = [0, 1].map((minute) => ({ ...invalid, at: at(minute) })) as never[];
  expect(changesOf("etl", lines, Date.parse(at(1)))).toHaveLength(1);
  expect(changesOf("etl", lines, Date.parse(at(1)) + 1)).toHaveLength(0);
});

it("tells how each daemon began and ended", () => {
  const { runs } = tempRoot();
  const orchdDir = join(runs, ".orchd");
  mkdirSync(orchdDir, { recursive: true });
  const lines = ["daemon.began", "daemon.lost", "daemon.began", "daemon.ended"].map(
    (type, minute) => JSON.stringify({ type, at: at(minute), version: "0.1.0", pid: 1, epoch: 1 }),
  );
  writeFileSync(join(orchdDir, "daemon.jsonl"), `${lines.join("\n")}\n`);
  const sentences = (from: string): string[] =>
    daemonChanges(orchdDir, Date.parse(from)).map(({ sentence }) => sentence);
  expect(sentences(at(0))).toEqual([
    "The daemon ended.",
    "The daemon began (release 0.1.0).",
    "The daemon was last seen, and ended without a word.",
    "The daemon began (release 0.1.0).",
  ]);
  expect(sentences(at(2))).toHaveLength(2);
});
