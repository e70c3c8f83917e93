import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { ask } from "../support/asked-command.ts";
import { orchd } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";
import {
  completedRun,
  header,
  loaded,
  runPath,
  writePipeline,
  writeRun,
  type HandEvent,
} from "../support/hand-ledger.ts";

const RUN = "log-digest@20261123T020000Z";
const SLOT = "2026-11-23T02:00:00.000Z";

interface Pipelines {
  readonly daemon: unknown;
  readonly pipelines: readonly Record<string, unknown>[];
}

it("orchd status says which disk is full below the daemon's line", async () => {
  const { root } = tempRoot();
  const full = vi.spyOn(RunStore.prototype, "whyFull").mockReturnValue("the disk is full");
  try {
    const { stdout } = await ask(root, "status");
    expect(stdout.split("\n")[1]).toBe("✗ the disk is full: nothing starts until there is room");
  } finally {
    full.mockRestore();
  }
});

describe("orchd status --json", () => {
  it("has exactly the promised shape, the daemon null while none runs", async () => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "log-digest", [
      loaded("0 0 1 1 *"),
      { type: "slot.fired", slot: SLOT, run: RUN, through: SLOT },
      { type: "run.started", run: RUN },
      { type: "run.finished", run: RUN, status: "completed", durationMs: 1_000 },
      {
        type: "slot.skipped",
        slot: "2026-11-23T02:01:00.000Z",
        because: "a run is active",
        through: "2026-11-23T02:01:00.000Z",
      },
      { type: "run.started", run: "log-digest@20261123T020200.000Z-m" },
      {
        type: "run.queued",
        run: "log-digest@20261123T020300.000Z-m",
        because: "one run at a time",
      },
    ]);
    writeRun(runs, "log-digest@20261123T020300.000Z-m", [
      header("log-digest@20261123T020300.000Z-m", { only: [] }),
      { type: "run.queued", because: "one run at a time" },
    ]);
    const { status, stderr, json } = await orchd(root, "status", "--json");
    expect(status).toBe(0);
    expect(stderr).toBe("");
    const year = new Date().getUTCFullYear() + 1;
    expect(json<Pipelines>()).toEqual({
      daemon: null,
      pipelines: [
        {
          name: "log-digest",
          file: "/nowhere/p.yaml",
          valid: true,
          errors: [],
          paused: false,
          schedule: "0 0 1 1 *",
          nextFire: `${year}-01-01T00:00:00.000Z`,
          lastRun: {
            run: "log-digest@20261123T020200.000Z-m",
            status: "running",
            startedAt: "2026-11-23T02:00:05.000Z",
            finishedAt: null,
          },
          active: ["log-digest@20261123T020200.000Z-m"],
          queued: ["log-digest@20261123T020300.000Z-m"],
          waiting: [{ run: "log-digest@20261123T020300.000Z-m", because: "one run at a time" }],
          counts: { fired: 1, completed: 1, skipped: 1 },
        },
      ],
    });
  });

  it("tells why a pipeline does not fire: a pause, a bad file, its removal", async () => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "paused", [
      loaded("* * * * *"),
      { type: "pipeline.paused", by: "cli:root" },
    ]);
    writePipeline(runs, "edited", [
      loaded("* * * * *"),
      { type: "pipeline.invalid", errors: ["edited.yaml:3:5: crom is not known here"] },
    ]);
    writePipeline(runs, "gone", [loaded("* * * * *"), { type: "pipeline.removed" }]);
    const { pipelines } = (await ask(root, "status", "--json")).json<Pipelines>();
    expect(pipelines.map(({ name, valid, paused }) => ({ name, valid, paused }))).toEqual([
      { name: "edited", valid: false, paused: false },
      { name: "paused", valid: true, paused: true },
    ]);
    expect(pipelines[0]!["errors"]).toEqual(["edited.yaml:3:5: crom is not known here"]);
    // The last good version of a bad file stays in force.
    expect(pipelines[0]!["nextFire"]).not.toBeNull();
    expect(pipelines[1]!["nextFire"]).toBeNull();
    const gone = (await ask(root, "status", "gone", "--json")).json<Pipelines>();
    expect(gone.pipelines).toMatchObject([{ name: "gone", removed: true, nextFire: null }]);
  });

  it("reads no further back than the last checkpoint", async () => {
    const { root, runs } = tempRoot();
    const lines: HandEvent[] = [loaded("* * * * *")];
    for (let index = 0; index < 400; index += 1)
      lines.push({ type: "slot.skipped", slot: SLOT, because: "x" });
    lines.push(
      {
        type: "pipeline.checkpoint",
        through: SLOT,
        paused: true,
        schedules: [],
        active: [],
        queued: [],
        last: null,
        counts: { fired: 7 },
      },
      { type: "pipeline.resumed" },
    );
    writePipeline(runs, "p", lines);
    const path = `${runs}/p/pipeline.jsonl`;
    const bytes = readFileSync(path);
    bytes.fill("x", 0, 2_000);
    writeFileSync(path, bytes);
    expect((await ask(root, "status", "--json")).json<Pipelines>().pipelines).toMatchObject([
      { name: "p", valid: true, paused: false, schedule: null, counts: { fired: 7 } },
    ]);
  });

  it("names a file that no daemon has read yet, and a file with a ledger only once", async () => {
    const { root, runs } = tempRoot({
      "schedules/new.yaml": "steps: {}",
      "schedules/p.yaml": "name: other",
      "schedules/_draft.yaml": "",
      "schedules/steps/x.ts": "",
    });
    writePipeline(runs, "other", [loaded("* * * * *")]);
    const { pipelines } = (await ask(root, "status", "--json")).json<Pipelines>();
    expect(pipelines.map(({ name }) => name)).toEqual(["new", "other"]);
    expect(pipelines[0]).toMatchObject({
      file: join(root, "schedules/new.yaml"),
      valid: false,
      unread: true,
    });
  });

  it("says that no daemon has read a pipeline that only ran in the foreground", async () => {
    const { root, runs } = tempRoot({ "schedules/p.yaml": "steps: {}" });
    writePipeline(runs, "p", [
      { type: "run.started", run: RUN },
      { type: "run.finished", run: RUN, status: "completed", durationMs: 5 },
    ]);
    const { pipelines } = (await ask(root, "status", "--json")).json<Pipelines>();
    expect(pipelines).toMatchObject([
      { name: "p", valid: false, unread: true, lastRun: { run: RUN, status: "completed" } },
    ]);
  });

  it("shows what a damaged ledger says up to the damage, and that it is damaged", async () => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "p", [
      loaded("* * * * *"),
      { type: "pipeline.paused" },
      { type: "pipeline.resumed" },
      { type: "pipeline.paused" },
    ]);
    const path = `${runs}/p/pipeline.jsonl`;
    const lines = readFileSync(path, "utf8").split("\n");
    lines[2] = lines[2]!.replace("resumed", "resumes");
    writeFileSync(path, lines.join("\n"));
    const { pipelines } = (await ask(root, "status", "--json")).json<Pipelines>();
    expect(pipelines[0]).toMatchObject({ valid: false, paused: true });
    expect((pipelines[0]!["errors"] as string[])[0]).toMatch(/damaged at line 3/);
  });

  it("takes the folders from options before the environment", async () => {
    const here = tempRoot();
    const { runs } = tempRoot();
    writePipeline(runs, "elsewhere", [loaded("* * * * *")]);
    for (const words of [["--runs", runs], [`--runs=${runs}`]]) {
      const answer = await ask(here.root, "status", "--json", ...words);
      expect(answer.json<Pipelines>().pipelines.map(({ name }) => name)).toEqual(["elsewhere"]);
    }
    expect((await ask(here.root, "status", "--json")).json<Pipelines>().pipelines).toEqual([]);
  });
});

describe("orchd status RUN --json", () => {
  it("has exactly the promised shape", async () => {
    const { root, runs } = tempRoot();
    writeRun(runs, RUN, [
      header(RUN, { read: [], digest: ["read"] }),
      { type: "run.started", because: "the slot is due" },
      { type: "step.started", step: "read", attempt: 1, because: "it needs nothing" },
      {
        type: "step.failed",
        step: "read",
        attempt: 1,
        error: { name: "Error", message: "no such file", code: "ENOENT" },
        retryAt: "2026-11-23T02:00:05.000Z",
      },
      { type: "step.started", step: "read", attempt: 2, because: "retry 1 of 1" },
      {
        type: "step.failed",
        step: "read",
        attempt: 2,
        error: { name: "Error", message: "no such file", code: "ENOENT" },
      },
      { type: "step.skipped", step: "digest", because: 'upstream step "read" failed' },
      { type: "run.finished", status: "failed", because: 'step "read" failed', durationMs: 6_000 },
    ]);
    const { status, json } = await ask(root, "status", RUN, "--json");
    expect(status).toBe(0);
    expect(json()).toEqual({
      run: RUN,
      pipeline: "log-digest",
      status: "failed",
      inProgress: false,
      trigger: { kind: "schedule", scheduledFor: SLOT },
      submittedAt: "2026-11-23T02:00:00.000Z",
      startedAt: "2026-11-23T02:00:01.000Z",
      finishedAt: "2026-11-23T02:00:07.000Z",
      because: 'step "read" failed',
      steps: [
        {
          step: "read",
          status: "failed",
          attempts: 2,
          because: "retry 1 of 1",
          startedAt: "2026-11-23T02:00:02.000Z",
          finishedAt: "2026-11-23T02:00:05.000Z",
          error: { name: "Error", message: "no such file", code: "ENOENT" },
        },
        {
          step: "digest",
          status: "skipped",
          attempts: 0,
          because: 'upstream step "read" failed',
          startedAt: null,
          finishedAt: "2026-11-23T02:00:06.000Z",
        },
      ],
    });
  });

  it("goes on until its last line is written, whatever a torn tail holds", async () => {
    const { root, runs } = tempRoot();
    const path = writeRun(runs, RUN, completedRun(RUN));
    writeFileSync(path, readFileSync(path, "utf8").slice(0, -20));
    expect((await ask(root, "status", RUN, "--json")).json()).toMatchObject({
      status: "completed",
      inProgress: true,
      finishedAt: null,
      steps: [{ step: "only", status: "completed" }],
    });
  });

  it.each([
    [RUN],
    ["nope"],
    ["../../etc/passwd"],
    ["log-digest@x"],
    ["log-digest@20261123T020000Z/../x"],
    ["@"],
  ])("exits 3 for %s, which there is none of", async (target) => {
    const { root } = tempRoot();
    const { status, stdout, stderr } = await ask(root, "status", target, "--json");
    expect({ status, stdout }).toEqual({ status: 3, stdout: "" });
    expect(stderr).toMatch(/^orchd: there is no (run|pipeline) .*\n$/);
  });

  it("says what to do about a ledger without a header", async () => {
    const { root, runs } = tempRoot();
    writeRun(runs, RUN, []);
    const { status, stderr } = await ask(root, "status", RUN);
    expect(status).toBe(1);
    expect(stderr).toMatch(/no whole header; `orchd verify`/);
  });
});

describe("orchd status --at", () => {
  it("folds each ledger up to its first later line, and says which runs are missing", async () => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "log-digest", [
      loaded("* * * * *"),
      { type: "slot.fired", slot: SLOT, run: RUN, through: SLOT },
      { type: "run.started", run: RUN },
      { type: "run.finished", run: RUN, status: "completed", durationMs: 1_000 },
      { type: "pipeline.paused" },
    ]);
    const during = await ask(root, "status", "--json", "--at", "2026-11-23T02:00:02Z");
    expect(during.json()).toMatchObject({
      at: "2026-11-23T02:00:02.000Z",
      daemon: null,
      missing: [RUN],
      pipelines: [
        { name: "log-digest", paused: false, active: [RUN], lastRun: { status: "running" } },
      ],
    });
    expect(
      (await ask(root, "status", "--json", "--at", "2026-11-23T02:00:04Z")).json(),
    ).toMatchObject({
      pipelines: [{ paused: true, active: [], lastRun: { status: "completed" } }],
    });
    expect((await ask(root, "status", "--json", "--at", "2026-11-22")).json()).toMatchObject({
      pipelines: [],
    });
    writeRun(runs, RUN, completedRun(RUN));
    expect(
      (await ask(root, "status", RUN, "--json", "--at", "2026-11-23T02:00:02Z")).json(),
    ).toMatchObject({
      status: "running",
      steps: [{ status: "running" }],
    });
    expect((await ask(root, "status", RUN, "--at", "2026-11-22")).status).toBe(3);
    expect((await ask(root, "status", "--at", "2099-01-01")).status).toBe(2);
  });
});

describe("orchd status for people", () => {
  it("says that the daemon is down, what is skipped, and where the file is wrong", async () => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "log-digest", [
      loaded("*/5 * * * *", { timezone: "Europe/Berlin" }),
      { type: "slot.skipped", slot: SLOT, because: "x" },
      { type: "pipeline.invalid", errors: ["p.yaml:3:5: crom is not known"] },
    ]);
    const { stdout, status } = await ask(root, "status");
    expect(status).toBe(0);
    expect(stdout).toMatch(/daemon down.*`orchd start`/);
    expect(stdout).toMatch(/log-digest +invalid .*\*\/5 \* \* \* \* Europe\/Berlin/);
    expect(stdout).toMatch(/p\.yaml:3:5: crom is not known/);
    expect(stdout).toMatch(/1 slot skipped, 0 missed/);
  });

  it("shows a run's steps", async () => {
    const { root, runs } = tempRoot();
    writeRun(runs, RUN, completedRun(RUN));
    expect(runPath(runs, RUN)).toMatch(/2026-11/);
    const { stdout } = await ask(root, "status", RUN);
    expect(stdout).toMatch(/log-digest@20261123T020000Z completed: every step completed/);
    expect(stdout).toMatch(/✓ +only +completed +1 +1s/);
  });
});

describe("a run that waits", () => {
  it("tells by all ledgers what holds it now, for itself and its pipeline", async () => {
    const { root, runs } = tempRoot();
    const [waiting, holding] = ["p@20261123T020000Z", "q@20261123T020000Z"];
    const base = completedRun(waiting)[0]! as Record<string, unknown>;
    writePipeline(runs, "p", [
      loaded("*/5 * * * *"),
      { type: "slot.fired", slot: SLOT, run: waiting, through: SLOT },
      {
        type: "run.queued",
        run: waiting,
        because: "run p@20261123T015500Z still goes on; overlap is queue",
      },
    ]);
    writeRun(runs, waiting, [
      { ...base, group: "db" },
      {
        type: "run.queued",
        because: "run p@20261123T015500Z still goes on; overlap is queue",
        limits: { lane: 1, group: 1 },
      },
    ] as never);
    writePipeline(runs, "q", [
      loaded("*/5 * * * *"),
      { type: "slot.fired", slot: SLOT, run: holding, through: SLOT },
    ]);
    writeRun(runs, holding, [
      { ...(completedRun(holding)[0]! as object), group: "db" },
      { type: "run.started", because: "its slot is due" },
    ] as never);
    const now = 'the concurrency group "db" is full: 1 of 1';
    for (const words of [[], ["p"]]) {
      const { pipelines } = (await ask(root, "status", ...words, "--json")).json<Pipelines>();
      expect(pipelines.find(({ name }) => name === "p")!["waiting"]).toEqual([
        { run: waiting, because: now },
      ]);
    }
    expect((await ask(root, "status", waiting)).stdout).toContain(`it waits: ${now}`);
  });
});
