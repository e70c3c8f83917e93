/** What `orchd status` lists, of which pipelines, in which order, and of how many waiting runs. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { writeSetAside } from "../../src/ledger/set-aside-file.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { newestRuns } from "../../src/views/run-list.ts";
import { readStatus, type StatusView } from "../../src/views/status-view.ts";
import { reasonNow } from "../../src/views/wait-reason.ts";
import { holdEpoch } from "../support/fake-daemon.ts";
import { completedRun, header, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { at, idOf, madeUpRoot } from "../support/made-up-root.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const NOW = Date.UTC(2026, 10, 23, 10);
const read = (made: TempRoot, target?: string): StatusView => {
  const view = readStatus(made, target, NOW);
  if (!view.ok) throw new Error(view.sentence);
  return view.view;
};

it("what the daemon has set aside is shown while one is up, with the reason after others", () => {
  const made = tempRoot();
  writePipeline(made.runs, "p", [loaded("* * * * *")]);
  writePipeline(made.runs, "bad", [{ type: "pipeline.invalid", format: 1, errors: ["no"] }]);
  const entry = { since: at(9), because: "EACCES: no" };
  mkdirSync(join(made.runs, ".orchd"));
  writeSetAside(
    join(made.runs, ".orchd"),
    new Map([
      ["bad", entry],
      ["z", entry],
    ]),
  );
  expect(read(made).pipelines.map(({ name, aside }) => [name, aside])).toEqual([
    ["bad", undefined],
    ["p", undefined],
  ]);
  holdEpoch(made.runs);
  const [bad, p, z] = read(made).pipelines;
  const said = `set aside since ${at(9)}: EACCES: no`;
  expect(bad).toMatchObject({ name: "bad", valid: false, aside: true, errors: ["no", said] });
  expect(p).toMatchObject({ name: "p", valid: true, errors: [] });
  expect(z).toEqual({
    name: "z",
    file: null,
    valid: false,
    errors: [said],
    paused: false,
    schedule: null,
    nextFire: null,
    lastRun: null,
    active: [],
    queued: [],
    counts: {},
    aside: true,
  });
  expect(read(made, "z").pipelines.map(({ name }) => name)).toEqual(["z"]);
  expect(read(made, "p").pipelines.map(({ name }) => name)).toEqual(["p"]);
});

it("the reason is told of the first ten runs that wait", () => {
  const runs = Array.from({ length: 12 }, (_, minute) => idOf("p", 9, minute));
  const made = tempRoot();
  const because = `run ${runs[0]!} goes on`;
  writePipeline(made.runs, "p", [
    loaded("* * * * *"),
    { type: "run.started", run: runs[0], at: at(9) },
    ...runs.slice(1).map((run) => ({ type: "run.queued", run, because })),
  ]);
  for (const run of runs)
    writeRun(made.runs, run, [header(run, { a: [] }), { type: "run.queued", because }]);
  const [p] = read(made).pipelines;
  expect([p!.active.length, p!.queued.length]).toEqual([1, 11]);
  expect(p!.waiting).toEqual(runs.slice(1, 11).map((run) => ({ run, because })));
});

it("a run in the foreground leaves the file to the daemon, and its file is named", () => {
  const made = tempRoot({ "schedules/p.yaml": "steps: {}" });
  writePipeline(made.runs, "p", [
    { type: "run.started", format: 1, run: idOf("p", 9), trigger: "manual" },
  ]);
  const [p, ...more] = read(made).pipelines;
  expect(more).toEqual([]);
  expect(p).toMatchObject({
    file: join(made.schedules, "p.yaml"),
    unread: true,
    valid: false,
    errors: [
      "p.yaml has not been read yet; `orchd start` reads it, `orchd validate p.yaml` checks it",
    ],
  });
});

it("a pipeline that is not there is none, whatever name it has", () => {
  const made = madeUpRoot();
  for (const name of ["no", "NO", "../x", "new.yaml"])
    expect(readStatus(made, name, NOW)).toEqual({
      ok: false,
      kind: "unknown",
      sentence: `there is no pipeline "${name}"; \`orchd status\` lists those that there are.`,
    });
  expect(read(made, "new").pipelines.map(({ unread }) => unread)).toEqual([true]);
});

it("runs are left out that are gone, cannot be read, or have another status", () => {
  const made = tempRoot();
  const runs = [1, 2, 3, 4].map((hour) => idOf("p", hour));
  writePipeline(made.runs, "p", [
    loaded("* * * * *"),
    ...runs.map((run) => ({ type: "run.started", run, at: at(5) })),
    { type: "run.finished", run: runs[0], at: at(6), status: "completed", durationMs: 1 },
    { type: "run.started", run: "no id", at: at(7) },
  ]);
  writeRun(made.runs, runs[0]!, completedRun(runs[0]!));
  writeRun(made.runs, runs[1]!, [header(runs[1]!, { a: [] })]);
  const torn = new RunStore(made.runs).runLedger(runs[2]!);
  mkdirSync(join(torn, ".."), { recursive: true });
  writeFileSync(torn, "no ledger\n");
  const found = (status?: string, number = 9): string[] =>
    newestRuns(new RunStore(made.runs), ["p", "none"], {
      status,
      number,
      sinceMs: Number.NEGATIVE_INFINITY,
    }).map(({ run }) => run);
  expect(found().toSorted()).toEqual([runs[0], runs[1]]);
  expect(found("completed")).toEqual([runs[0]]);
  expect(found("initializing")).toEqual([runs[1]]);
  expect(found("failed")).toEqual([]);
  expect(found(undefined, 0)).toEqual([]);
  expect(found(undefined, 1)).toHaveLength(1);
});

it("a reason that names two runs holds as long as one of them goes on", () => {
  const [a, b, own] = [idOf("p", 1), idOf("p", 2), idOf("p", 3)];
  const said = `runs ${a} and ${b} go on`;
  const now = (active: string[], run = own): string =>
    reasonNow({ run, said, limits: { lane: 1 } }, { active, queued: [run] }, () => ({
      groups: new Map(),
      total: 0,
    }));
  expect(now([a, b])).toBe(said);
  expect(now([b])).toBe(said);
  expect(now([a])).toBe(said);
  expect(now([idOf("p", 4)])).toBe(`run ${idOf("p", 4)} goes on`);
  // A backfill's runs have a lane of their own, however many there were.
  expect(now([a], `${own}-b12`)).toMatch(/^its turn, /);
  expect(now([`${a}-b3`], `${own}-b12`)).toBe(`run ${a}-b3 goes on`);
});

it("a run that waits for its group says so, by the runs of all pipelines", () => {
  const made = tempRoot();
  const [own, other] = [idOf("p", 1), idOf("q", 2)];
  const because = `run ${idOf("p", 0)} goes on`;
  writePipeline(made.runs, "p", [loaded("* * * * *"), { type: "run.queued", run: own, because }]);
  writeRun(made.runs, own, [
    header(own, { a: [] }, { group: "db" }),
    { type: "run.queued", because, limits: { lane: 1, group: 1 } },
  ]);
  writePipeline(made.runs, "q", [loaded("* * * * *"), { type: "run.started", run: other }]);
  const waits = (group: string): string => {
    writeRun(made.runs, other, [header(other, { a: [] }, { group })]);
    return read(made, "p").pipelines[0]!.waiting![0]!.because;
  };
  expect(waits("db")).toBe('the concurrency group "db" is full: 1 of 1');
  expect(waits("other")).toMatch(/^its turn, /);
});
