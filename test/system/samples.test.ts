/**
 * The pipelines that ship do what they say, on this host: with `npm start` they are the first that
 * a person sees of orchd.
 */
import { cpSync, existsSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLine, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { projectRoot, tempRoot } from "../support/temp-root.ts";
import type { TempRoot } from "../support/temp-root.ts";

function sampleRoot(): TempRoot {
  const root = tempRoot();
  cpSync(join(projectRoot, "schedules"), root.schedules, {
    recursive: true,
    filter: (path) => !path.includes("/data"),
  });
  root.linkPackages();
  symlinkSync(join(projectRoot, "dist"), join(root.root, "dist"));
  return root;
}

describe("the sample pipelines", () => {
  it("are valid", async () => {
    const { root } = sampleRoot();
    const validated = await orchd(root, "validate");
    expect({ status: validated.status, stderr: validated.stderr }).toEqual({
      status: 0,
      stderr: "",
    });
  });

  it(
    "have a run within 10 s of the start, and each completes when asked for",
    { timeout: 90_000 },
    async () => {
      const root = sampleRoot();
      const daemon = await startDaemon({ root: root.root });
      const ready = Date.now();
      const ledger = join(root.runs, "host-report/pipeline.jsonl");
      const fired = await awaitLine(ledger, ({ type }) => type === "slot.fired");
      expect(Date.parse(String(fired["slot"])) - ready).toBeLessThanOrEqual(10_000);
      const first = await awaitLine(ledger, ({ type }) => type === "run.finished");
      expect(first["status"]).toBe("completed");
      const series = linesOf(
        join(root.schedules, "data", `host-${new Date().toISOString().slice(0, 10)}.jsonl`),
      ) as unknown as {
        diskUsed: number;
        memoryUsed: number;
      }[];
      expect(series.length).toBeGreaterThan(0);
      for (const { diskUsed, memoryUsed } of series)
        for (const share of [diskUsed, memoryUsed])
          expect(share).toSatisfy((value: number) => value > 0 && value <= 1);

      for (const pipeline of ["package-digest", "run-report", "retention"]) {
        const ran = await orchd(root.root, "run", pipeline, "--wait", { deadlineMs: 30_000 });
        expect({
          pipeline,
          status: ran.status,
          stderr: ran.status === 0 ? "" : ran.stderr + ran.stdout,
        }).toEqual({ pipeline, status: 0, stderr: "" });
      }
      const digest = JSON.parse(
        readFileSync(join(root.schedules, "data/packages.json"), "utf8"),
      ) as {
        source: string;
        days: { day: string; actions: Record<string, number> }[];
      };
      expect(digest.source).toBe(
        existsSync("/var/log/dpkg.log") ? "/var/log/dpkg.log" : "steps/dpkg-sample.log",
      );
      for (const { day, actions } of digest.days)
        expect([day, Object.keys(actions).length > 0]).toEqual([
          expect.stringMatching(/^\d{4}-\d\d-\d\d$/),
          true,
        ]);
      expect(readFileSync(join(root.schedules, "data/runs.txt"), "utf8")).toMatch(
        /^PIPELINE +RUNS +FAILED/,
      );
      expect(await daemon.end()).toEqual({ status: 0, signal: null });
    },
  );
});
