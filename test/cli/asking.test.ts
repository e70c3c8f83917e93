import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ask } from "../support/asked-command.ts";
import { orchd } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";
import { fakeDaemon, holdEpoch, requestsIn } from "../support/fake-daemon.ts";
import { completedRun, header, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";

const RUN = "p@20261123T020000Z";
const MANUAL = "p@20261123T101512.481Z-m";
const YAML = {
  "schedules/p.yaml": "steps: { only: { run: 'true' } }\n",
  "schedules/log-digest.yaml": "steps: {}\n",
};

describe("with no daemon", () => {
  it.each([
    [
      ["run", "p", "-p", "n=5", "-p", "v=1.10", "-p", 'l=["a"]', "--no-cache"],
      { type: "submit", pipeline: "p", params: { n: 5, v: "1.10", l: ["a"] }, noCache: true },
    ],
    [["pause", "p"], { type: "pause", pipeline: "p" }],
    [["resume", "p"], { type: "resume", pipeline: "p" }],
    [
      ["silence", "p", "--until", "2099-01-01", "--because", "repairs"],
      { type: "silence", pipeline: "p", until: "2099-01-01T00:00:00.000Z", because: "repairs" },
    ],
    [["silence", "p", "--end"], { type: "silence", pipeline: "p", until: null }],
    [["stop", RUN], { type: "stop", run: RUN, mode: "graceful" }],
    [["stop", RUN, "--force"], { type: "stop", run: RUN, mode: "force" }],
    [["rerun", RUN, "--failed"], { type: "rerun", run: RUN, failed: true }],
    [
      ["rerun", RUN, "--from", "only", "--edited"],
      { type: "rerun", run: RUN, from: "only", edited: true },
    ],
    [["repair", RUN], { type: "repair", run: RUN }],
    [
      [
        "backfill",
        "p",
        "--from",
        "2026-11-01",
        "--to",
        "2026-11-02T00:00:00Z",
        "--failed",
        "--max-active",
        "3",
      ],
      {
        type: "backfill",
        pipeline: "p",
        from: "2026-11-01T00:00:00.000Z",
        to: "2026-11-02T00:00:00.000Z",
        which: "failed",
        maxActive: 3,
      },
    ],
    [["backfill", "--cancel", "some-id"], { type: "cancel_backfill", id: "some-id" }],
  ])("%j leaves its request, says so, and exits 0", async (words, expected) => {
    const { root, runs } = tempRoot(YAML);
    writeRun(runs, RUN, [header(RUN, { only: [] })]);
    const { status, stdout, stderr } = await ask(root, ...words);
    expect(status).toBe(0);
    expect(stdout).toBe("");
    expect(stderr.replace(/\(\S+\)/, "(ID)")).toBe(
      "no daemon runs: the request is kept (ID) and will be honoured once `orchd start` runs.\n",
    );
    const [request] = requestsIn(runs);
    expect(request).toEqual({ ...expected, by: expect.stringMatching(/^cli:./) });
  });

  it.each([
    ["run", "p", "--wait"],
    ["rerun", RUN, "--wait"],
  ])("%s %s %s exits 4, its request kept all the same", async (...words) => {
    const { root, runs } = tempRoot(YAML);
    writeRun(runs, RUN, [header(RUN, { only: [] })]);
    const { status } = await ask(root, ...words);
    expect(status).toBe(4);
    expect(requestsIn(runs)).toHaveLength(1);
  });

  it("says it in JSON too", async () => {
    const { root } = tempRoot(YAML);
    const { json } = await ask(root, "run", "p", "--json");
    expect(json()).toEqual({ request: expect.any(String), accepted: null });
  });

  it("sees no daemon in the epoch of a process that is gone, or of another boot", async () => {
    const { root, runs } = tempRoot(YAML);
    holdEpoch(runs, { bootId: "another" });
    expect((await ask(root, "run", "p", "--wait")).status).toBe(4);
    holdEpoch(runs, { startTime: "1" });
    expect((await ask(root, "run", "p", "--wait")).status).toBe(4);
    expect((await ask(root, "status", "--json")).json()).toMatchObject({ daemon: null });
  });
});

describe("what cannot be asked for", () => {
  it.each([
    [["run", "nope"], 3, /no pipeline "nope"/],
    [["run", "log-digets"], 3, /no pipeline "log-digets"; did you mean "log-digest"\?/],
    [["run", "p.yaml"], 3, /called by its name, not by its file/],
    [["run", "../p"], 3, /no pipeline/],
    [["pause", "nope"], 3, /no pipeline/],
    [["resume", "nope"], 3, /no pipeline/],
    [["silence", "nope", "--for", "2h"], 3, /no pipeline/],
    [["silence", "p"], 2, /give one of --for 2h, --until TIME and --end/],
    [["silence", "p", "--for", "2h", "--end"], 2, /give one of/],
    [["silence", "p", "--for", "soon"], 2, /--for: "soon" is no duration/],
    [["silence", "p", "--for", "0"], 2, /--for: "0" is no duration/],
    [["silence", "p", "--until", "2026-01-01"], 2, /has passed/],
    [["stop", "p@20261123T030000Z"], 3, /no run/],
    [["stop", "../../../etc/passwd"], 3, /no run/],
    [["logs", "p"], 3, /no run "p"/],
    [["rerun", "p@20261123T030000Z"], 3, /no run/],
    [["rerun", RUN, "--from", "nope"], 3, /has no step "nope"; its steps are only/],
    [["rerun", RUN, "--failed", "--from", "only"], 2, /exclude each other/],
    [["run", "p", "-p", "x"], 2, /no NAME=VALUE/],
    [["backfill", "p"], 2, /--from and --to are both needed/],
    [["backfill", "p", "--from", "2026-11-02", "--to", "2026-11-01"], 2, /swap them/],
    [
      ["backfill", "p", "--from", "2026-11-01", "--to", "2026-11-02", "--all", "--failed"],
      2,
      /exclude each other/,
    ],
    [["stop", "p@20261123T040000Z"], 5, /has ended already, completed/],
  ])("%j exits %i", async (words, expected, message) => {
    const { root, runs } = tempRoot(YAML);
    writeRun(runs, RUN, [header(RUN, { only: [] })]);
    writeRun(runs, "p@20261123T040000Z", completedRun("p@20261123T040000Z"));
    const { status, stderr } = await ask(root, ...words);
    expect(status).toBe(expected);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/ {4}at |\.js:\d/);
    expect(requestsIn(runs)).toEqual([]);
  });

  it("knows a pipeline by its ledger, and by the name that its file gives", async () => {
    const { root, runs } = tempRoot({ "schedules/file.yaml": "name: inside\nsteps: {}\n" });
    writePipeline(runs, "gone", [loaded("* * * * *")]);
    expect((await ask(root, "run", "gone")).status).toBe(0);
    expect((await ask(root, "run", "inside")).status).toBe(0);
  });

  it("says in one sentence that requests cannot be written", async () => {
    const { root, runs } = tempRoot(YAML);
    mkdirSync(join(runs, ".orchd"));
    writeFileSync(join(runs, ".orchd/requests"), "");
    const { status, stderr } = await orchd(root, "run", "p");
    expect(status).toBe(1);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });
});

describe("with a daemon", () => {
  it("prints the run that was made, and exits 5 with the reason where it is refused", async () => {
    const { root, runs } = tempRoot(YAML);
    const daemon = fakeDaemon(runs, (request) =>
      request.type === "submit"
        ? { accepted: true, run: MANUAL }
        : { accepted: false, reason: "it is paused already" },
    );
    const done = await orchd(root, "run", "p");
    expect(done).toMatchObject({ status: 0, stdout: `${MANUAL}\n`, stderr: "" });
    expect((await ask(root, "run", "p", "--json")).json()).toMatchObject({
      accepted: true,
      run: MANUAL,
    });
    const refused = await ask(root, "pause", "p", "--json");
    expect(refused.status).toBe(5);
    expect(refused.stderr).toBe("orchd: refused: it is paused already.\n");
    expect(refused.json()).toMatchObject({ accepted: false, reason: "it is paused already" });
    expect(daemon.taken.map(({ type }) => type)).toEqual(["submit", "submit", "pause"]);
    expect(requestsIn(runs)).toEqual([]);
  });

  it("follows a run with --wait, and exits 1 where it failed", async () => {
    const { root, runs } = tempRoot(YAML);
    const events = completedRun(MANUAL);
    fakeDaemon(runs, ({ params }) => {
      const failed = (params as { fail?: boolean } | undefined)?.fail === true;
      const step = {
        type: "step.failed",
        step: "only",
        attempt: 1,
        error: { name: "Error", message: "no such luck" },
      };
      writeRun(
        runs,
        MANUAL,
        failed
          ? [
              ...events.slice(0, 3),
              step,
              {
                type: "run.finished",
                status: "failed",
                because: 'step "only" failed',
                durationMs: 3_000,
              },
            ]
          : events,
      );
      return { accepted: true, run: MANUAL };
    });
    const done = await orchd(root, "run", "p", "--wait", "--json");
    expect({ status: done.status, stderr: done.stderr }).toEqual({ status: 0, stderr: "" });
    expect(done.json()).toMatchObject({
      run: MANUAL,
      status: "completed",
      steps: [{ step: "only", status: "completed" }],
    });
    const failed = await ask(root, "run", "p", "--wait", "-p", "fail=true");
    expect(failed.status).toBe(1);
    expect(failed.stdout).toMatch(/step\.failed only Error: no such luck/);
    expect(failed.stdout).toMatch(/failed in 3s: step "only" failed\n$/);
  });

  it("follows a run of a synchronous orchestrator without --wait", async () => {
    const { root, runs } = tempRoot(YAML);
    fakeDaemon(runs, () => {
      writeRun(runs, MANUAL, completedRun(MANUAL));
      return { accepted: true, run: MANUAL, result: { synchronous: true } };
    });
    const done = await ask(root, "run", "p", "--json");
    expect(done.json()).toMatchObject({ run: MANUAL, status: "completed" });
  });

  it("shows the daemon in the status once it is ready", async () => {
    const { root, runs } = tempRoot();
    holdEpoch(runs, { ready: false });
    expect((await ask(root, "status", "--json")).json()).toMatchObject({ daemon: null });
    holdEpoch(runs);
    expect((await ask(root, "status", "--json")).json()).toEqual({
      daemon: {
        pid: process.pid,
        since: "2026-11-23T00:00:00.000Z",
        version: "9.9.9",
        tz: "2026c",
      },
      pipelines: [],
    });
  });

  it("leaves prune and rebuild to the daemon", async () => {
    const { root, runs } = tempRoot();
    const daemon = fakeDaemon(runs, ({ type }) =>
      type === "prune"
        ? {
            accepted: true,
            result: { runs: [{ run: RUN, because: "old" }], kept: [], bytes: 5, files: 0 },
          }
        : { accepted: false, reason: "no" },
    );
    expect((await ask(root, "prune", "--keep-days", "3.5", "--json")).json()).toMatchObject({
      runs: [{ run: RUN, because: "old" }],
      bytes: 5,
    });
    expect((await ask(root, "verify", "--rebuild")).status).toBe(5);
    expect(daemon.taken).toMatchObject([{ type: "prune", keepDays: 3.5 }, { type: "rebuild" }]);
  });

  it("keeps a request whose daemon goes away before it answers", async () => {
    const { root, runs } = tempRoot(YAML);
    holdEpoch(runs);
    mkdirSync(join(runs, ".orchd/requests"), { recursive: true });
    const asking = ask(root, "pause", "p");
    const timer = setInterval(() => {
      if (requestsIn(runs).length === 1) holdEpoch(runs, { released: true });
    }, 5);
    const { status, stderr } = await asking;
    clearInterval(timer);
    expect(status).toBe(0);
    expect(stderr).toMatch(/no daemon runs: the request is kept/);
  });

  it("is a run in the foreground for requests that name it, and for no other", async () => {
    const { root, runs } = tempRoot(YAML);
    writeRun(runs, RUN, [header(RUN, { only: [] })]);
    fakeDaemon(runs, ({ type }) => (type === "stop" ? { accepted: true, run: RUN } : undefined));
    holdEpoch(runs, { role: "foreground", run: RUN });
    expect((await ask(root, "stop", RUN)).stdout).toBe(`${RUN} is stopping\n`);
    expect((await ask(root, "run", "p", "--wait")).status).toBe(4);
  });
});

it("`orchd stop PIPELINE` takes the run that is active, else the one that waits", async () => {
  const { root, runs } = tempRoot(YAML);
  const waits = "p@20261123T030000Z";
  for (const run of [RUN, waits]) writeRun(runs, run, [header(run, { only: [] })]);
  const active = { type: "run.started", run: RUN };
  const queued = { type: "run.queued", run: waits, because: "another run goes on" };
  const { taken } = fakeDaemon(runs, ({ type }) =>
    type === "stop" ? { accepted: true } : undefined,
  );
  writePipeline(runs, "p", [loaded("0 * * * *"), active, queued]);
  expect((await ask(root, "stop", "p")).stdout).toBe(`${RUN} is stopping\n`);
  writePipeline(runs, "p", [loaded("0 * * * *"), queued]);
  expect((await ask(root, "stop", "p")).stdout).toBe(`${waits} is stopping\n`);
  expect(taken.map(({ run }) => run)).toEqual([RUN, waits]);
});
