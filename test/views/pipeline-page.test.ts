import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkpointOf } from "../../src/core/pipeline-checkpoint.ts";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import { HOUR_MS } from "../../src/core/time.ts";
import type { PipelineFilePage, PipelinePage } from "../../src/views/pipeline-page.ts";
import { readPipelineFile } from "../../src/views/pipeline-file.ts";
import { readPipelinePage } from "../../src/views/pipeline-page-reading.ts";
import type { Roots } from "../../src/views/roots.ts";
import { header, loaded, snapshot, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { at, idOf, madeUpRoot, NOW } from "../support/made-up-root.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const rootsOf = ({ root, schedules, runs }: TempRoot): Roots => ({ root, schedules, runs });

function pageOf(made: TempRoot, name: string): PipelinePage {
  const answer = readPipelinePage(rootsOf(made), name, NOW);
  if (!answer.ok) throw new Error(answer.sentence);
  return answer.page;
}

function fileOf(made: TempRoot, name: string): PipelineFilePage {
  const answer = readPipelineFile(rootsOf(made), name);
  if (!answer.ok) throw new Error(answer.sentence);
  return answer.page;
}

describe("a pipeline's page", () => {
  test("has its row, its next slots, its durations and its newest run's steps", () => {
    const page = pageOf(madeUpRoot(), "etl");
    expect(page.strip).toHaveLength(9);
    expect(page.next.map(({ slot }) => slot)).toEqual(
      [11, 12, 13, 14, 15, 16, 17, 18, 19, 20].map((hour) => at(hour)),
    );
    expect(page.trend.map(({ run, status }) => [run, status])).toEqual([
      [idOf("etl", 1), "completed"],
      [idOf("etl", 2), "failed"],
      [idOf("etl", 3), "stopped"],
      [idOf("etl", 4), "completed"],
    ]);
    expect(page.graph!.steps.map(({ step, after }) => [step, after])).toEqual([
      ["pull", []],
      ["load", ["pull"]],
    ]);
    expect(page.graph!.steps[0]).not.toHaveProperty("status");
    expect(page.schedules).toMatchObject([{ cron: "0 * * * *", timezone: "Europe/Berlin" }]);
    expect(page.rehearsal.slots).toBe(168);
  });

  test("has what its file says for people, and the versions that the ledger knows", () => {
    const made = tempRoot();
    writePipeline(made.runs, "p", [
      { ...loaded("0 * * * *"), digest: "a", since: at(1), at: at(1) },
      { type: "pipeline.invalid", at: at(2), errors: ["p.yaml:1:1: no"] },
      {
        ...loaded("0 * * * *"),
        digest: "b",
        since: at(1),
        at: at(3),
        description: "nightly",
        tags: ["backup"],
        params: { day: 1, key: { secret: "KEY" } },
      },
      {
        type: "backfill.started",
        at: at(4),
        requestId: "r1",
        from: at(1),
        to: at(2),
        which: "missing",
      },
    ]);
    const page = pageOf(made, "p");
    expect(page).toMatchObject({
      description: "nightly",
      tags: ["backup"],
      params: { day: 1, key: { secret: "KEY" } },
      backfills: [{ id: "r1", from: at(1), to: at(2), which: "missing" }],
      graph: null,
    });
    expect(page.versions.map(({ at: when, digest, valid }) => [when, digest, valid])).toEqual([
      [at(3), "b", true],
      [at(2), null, false],
      [at(1), "a", true],
    ]);
  });

  test("has a first version that is not valid, though a new ledger's checkpoint follows it", () => {
    const made = tempRoot();
    const errors = ["p.yaml:1:1: no"];
    const checkpoint = { ...checkpointOf(emptyPipelineState()), errors };
    const created = [{ type: "pipeline.invalid", at: at(1), errors }, checkpoint];
    writePipeline(made.runs, "p", created);
    expect(pageOf(made, "p").versions).toEqual([{ at: at(1), digest: null, valid: false, errors }]);
    // What a rotated ledger's successor begins with is no version.
    writePipeline(made.runs, "q", [{ ...loaded("0 * * * *"), digest: "a", at: at(2) }, checkpoint]);
    expect(pageOf(made, "q").versions).toEqual([]);
  });

  test("rehearses less where it fires often", () => {
    const made = tempRoot();
    writePipeline(made.runs, "p", [{ ...loaded("* * * * * *"), at: at(0) }]);
    const { rehearsal } = pageOf(made, "p");
    // Whole hours: 20,000 slots are five and a half.
    expect(rehearsal.slots).toBe(5 * 3_600);
    expect(Date.parse(rehearsal.to) - Date.parse(rehearsal.from)).toBe(5 * HOUR_MS);
    // Whole days: 20,000 are one and a sixth.
    writePipeline(made.runs, "q", [{ ...loaded("*/5 * * * * *"), at: at(0) }]);
    expect(pageOf(made, "q").rehearsal.slots).toBe(86_400 / 5);
  });

  test("of a removed pipeline, and of a file that nobody has read", () => {
    const made = madeUpRoot();
    expect(pageOf(made, "gone")).toMatchObject({ removed: true, next: [], nextFire: null });
    expect(pageOf(made, "new")).toMatchObject({ unread: true, versions: [], params: {} });
    const answer = readPipelinePage(rootsOf(made), "elt", NOW);
    expect(answer).toMatchObject({ ok: false, kind: "unknown" });
    expect(answer.ok ? "" : answer.sentence).toContain('did you mean "etl"?');
  });
});

describe("a pipeline's file", () => {
  test("is shown with its faults at their lines", () => {
    const made = tempRoot({ "schedules/p.yaml": "stepz: {}\n" });
    const file = join(made.schedules, "p.yaml");
    const errors = ["schedules/p.yaml:1:1: stepz is not known here", "lib.ts:3:1: no", "no steps"];
    writePipeline(made.runs, "p", [{ type: "pipeline.invalid", format: 1, errors, file }]);
    expect(fileOf(made, "p")).toEqual({
      file,
      text: "stepz: {}\n",
      because: null,
      faults: [
        { line: 1, text: "stepz is not known here" },
        { line: null, text: "lib.ts:3:1: no" },
        { line: null, text: "no steps" },
      ],
    });
  });

  test("that no ledger names is found in the drop folder", () => {
    const made = tempRoot({ "schedules/new.yaml": "steps: {}\n", "schedules/x.yaml": "name: y\n" });
    expect(fileOf(made, "new").text).toBe("steps: {}\n");
    expect(fileOf(made, "y").text).toBe("name: y\n");
  });

  test.each([
    ["is gone", "gone.yaml", "it is gone"],
    ["lies elsewhere", "../secret.yaml", "it does not lie in the drop folder"],
    ["is a link that leads away", "link.yaml", "it does not lie in the drop folder"],
    ["is a folder", "folder.yaml", "it is no regular file"],
    ["is long", "long.yaml", "it is longer than 1 MiB"],
    ["is no text", "bytes.yaml", "it is not UTF-8"],
  ])("that %s is not shown", (_what, name, because) => {
    const made = tempRoot({ "secret.yaml": "password\n", "schedules/a.yaml": "" });
    symlinkSync(join(made.root, "secret.yaml"), join(made.schedules, "link.yaml"));
    mkdirSync(join(made.schedules, "folder.yaml"));
    writeFileSync(join(made.schedules, "long.yaml"), "x".repeat(1_048_577));
    writeFileSync(join(made.schedules, "bytes.yaml"), Buffer.from([0xff, 0xfe]));
    writePipeline(made.runs, "p", [{ ...loaded("0 * * * *"), file: join(made.schedules, name) }]);
    const page = fileOf(made, "p");
    expect(page.text).toBeNull();
    expect(page.because).toContain(because);
    expect(readPipelineFile(rootsOf(made), "unknown")).toMatchObject({ ok: false });
  });
});

test("a dynamic pipeline's steps are those of its newest run", () => {
  const made = tempRoot();
  const run = idOf("p", 8);
  writePipeline(made.runs, "p", [
    loaded("0 * * * *"),
    { type: "run.started", run, trigger: "schedule" },
  ]);
  const { steps, ...rest } = snapshot("p", { only: [] });
  const [spec] = steps as readonly object[];
  const dynamic = { bundle: "b".repeat(64), pick: "function" };
  writeRun(made.runs, run, [
    header(run, {}, { snapshot: { ...rest, steps: [], dynamic } }),
    { type: "run.started", because: "the slot is due" },
    { type: "step.added", step: "only", spec },
  ]);
  expect(pageOf(made, "p").graph).toEqual({
    name: "p",
    dynamic: true,
    steps: [{ step: "only", inputs: [], after: [] }],
  });
});
