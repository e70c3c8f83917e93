/** The example nightly-backup: archives, their rotation, a failure, and nights that were missed. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLine, awaitSight, linesOf } from "../support/await-event.ts";
import { fakeTimeLibrary } from "../support/fake-time.ts";
import { outcomeOf, type PlainRun } from "../support/ledgers.ts";
import { startWithClock } from "../support/settable-clock.ts";
import type { TempRoot } from "../support/temp-root.ts";
import { edit, exampleRoot, linesOfType, outputsOf, runToEnd, stepsWith } from "./example-root.ts";

function backupRoot(): TempRoot {
  const root = exampleRoot("nightly-backup");
  root.write("documents/letter.txt", "one");
  root.write("documents/deep/note.txt", "kept");
  return root;
}

const backup = (root: TempRoot, source: string, keep: number): Promise<PlainRun> =>
  runToEnd(root, "nightly-backup", ["-p", `source=${source}`, "-p", `keep=${keep}`]);

const archivesIn = (root: TempRoot): string[] => readdirSync(join(root.root, "archives")).sort();

const archiveOf = ({ run }: PlainRun): string => `${run.slice(run.indexOf("@") + 1)}.tar.gz`;

describe("the nightly backup", () => {
  it("makes verified archives that hold the files, and keeps the newest", async () => {
    const root = backupRoot();
    const first = await backup(root, "../documents", 2);
    root.write("documents/letter.txt", "two");
    const second = await backup(root, "../documents", 2);
    const third = await backup(root, "../documents", 2);

    expect([first, second, third].map(outcomeOf)).toEqual(["completed", "completed", "completed"]);
    expect(outputsOf(third, "archive")).toEqual({
      name: archiveOf(third),
      bytes: readFileSync(join(root.root, "archives", archiveOf(third))).length,
    });
    expect(outputsOf(third, "verify")).toEqual({ result: { files: 2 } });
    expect(archivesIn(root)).toEqual([archiveOf(second), archiveOf(third)]);
    expect(linesOf(third.path.replace(/jsonl$/, "log"))).toContainEqual(
      expect.objectContaining({ step: "rotate", line: `removed ${archiveOf(first)}` }),
    );

    const restored = join(root.root, "restored");
    mkdirSync(restored);
    execFileSync("tar", ["-xzf", join(root.root, "archives", archiveOf(third)), "-C", restored]);
    expect(readFileSync(join(restored, "letter.txt"), "utf8")).toBe("two");
    expect(readFileSync(join(restored, "deep/note.txt"), "utf8")).toBe("kept");
  });

  it("tries a backup that fails three times, and then removes no archive", async () => {
    const root = backupRoot();
    edit(root, "schedules/nightly-backup.yaml", "delay: 5m", "delay: 0s");
    const good = await backup(root, "../documents", 1);
    const bad = await backup(root, "../nothing", 1);
    expect(outcomeOf(bad)).toBe("failed");
    expect(linesOfType(bad, "step.failed", "archive")).toHaveLength(3);
    expect(stepsWith(bad, "step.skipped")).toEqual(["verify", "rotate"]);
    expect(archivesIn(root)).toContain(archiveOf(good));
  });

  it("fails to verify an archive without a file", async () => {
    const root = backupRoot();
    mkdirSync(join(root.root, "empty"));
    edit(root, "schedules/nightly-backup.yaml", "delay: 5m", "delay: 0s");
    const run = await backup(root, "../empty", 1);
    expect(stepsWith(run, "step.completed")).toEqual(["archive"]);
    expect(new Set(stepsWith(run, "step.failed"))).toEqual(new Set(["verify"]));
  });

  it.runIf(fakeTimeLibrary !== undefined)(
    "makes up for the last of three missed nights, and writes down the others",
    async () => {
      const root = backupRoot();
      const ledger = join(root.runs, "nightly-backup/pipeline.jsonl");
      const before = await startWithClock(root);
      await before.daemon.end();
      const after = await startWithClock(root, "+3d");
      const late = await awaitLine(ledger, ({ type }) => type === "slot.caught_up");
      await awaitLine(ledger, ({ type }) => type === "run.finished");
      const notes = (): string[] => {
        const path = join(root.root, "archives/MISSED.txt");
        return existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
      };
      const noted = await awaitSight(
        root.root,
        () => (notes().length === 2 ? notes() : undefined),
        "notes of two missed nights",
      );
      await after.daemon.end();

      expect(noted).toEqual(
        linesOf(ledger)
          .filter(({ type }) => type === "slot.missed")
          .map(({ slot, because }) => `no backup of ${String(slot)}: ${String(because)}`),
      );
      const run = String(late["run"]);
      expect(archivesIn(root)).toEqual([`${run.slice(run.indexOf("@") + 1)}.tar.gz`, "MISSED.txt"]);
    },
  );
});
