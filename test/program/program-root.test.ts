/**
 * An open root beside played runs: which folders it has, who holds it, what it gives for a name,
 * and how a run stands.
 */
import { appendFileSync, readdirSync, readlinkSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import type { OrchestratorRef } from "../../src/core/snapshot.ts";
import { LocalOrchestrator, pipeline } from "../../src/index.ts";
import { DEFAULT_CAPABILITIES } from "../../src/orchestrators/capabilities.ts";
import { openRoots } from "../../src/orchestrators/program-runs.ts";
import type { FetchedStatus, PlaceholderRun } from "../../src/orchestrators/submission.ts";
import type { LoadResult } from "../../src/schedules/load-file.ts";
import type { Roots } from "../../src/views/roots.ts";
import { ProgramRoot } from "../../src/program/program-root.ts";
import { snapshotOf, stepSpec } from "../support/given-run.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { header, ledgerText, writeRun } from "../support/hand-ledger.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

/** The answers of "does a daemon run?", one after the other; the last one stays. */
let daemons: boolean[];
vi.mock("../../src/ledger/daemon-info.ts", async (original) => ({
  ...(await original<object>()),
  readDaemon: () => ((daemons.length > 1 ? daemons.shift() : daemons[0]) === true ? {} : null),
}));
let holdings: ({ ok: true; held: object } | { ok: false; reason: string })[];
let opened: unknown[];
vi.mock("../../src/engine/held-root.ts", () => ({
  HeldRoot: {
    open: (options: object) => (opened.push(options), Promise.resolve(holdings.shift())),
  },
}));
let told: unknown[][];
/** What the root's orchestrators are, and what of a run an instance says. */
let settings: typeof DEFAULT_SETTINGS;
let elsewhere: FetchedStatus | undefined;
let loads: (path: string, options: object | undefined) => LoadResult;
let closing: Promise<void>;

class PlayedRuns {
  settings = settings;
  flavor = ({ flavor: name }: OrchestratorRef): Promise<object> =>
    name === "broken"
      ? Promise.reject(new Error("broken cannot be used"))
      : Promise.resolve({ name, capabilities: DEFAULT_CAPABILITIES, environment: { A: "1" } });
  find = (name: string) =>
    Promise.resolve(
      name === "none" ? { ok: false, reason: "there is none" } : { ok: true, loaded: LOADED },
    );
  load = (path: string, options?: object) => (
    told.push(["load", path, options]),
    Promise.resolve(loads(path, options))
  );
  placeholder = (_loaded: object, options: object): Promise<PlaceholderRun> => {
    told.push(["placeholder", options]);
    return Promise.resolve({ ...RUN, id: ids.shift()! });
  };
  elsewhere = (run: PlaceholderRun, steps: boolean): Promise<FetchedStatus | undefined> => (
    told.push(["elsewhere", run.id, steps]),
    Promise.resolve(elsewhere)
  );
  submit = (id: string, given: object) => (
    told.push(["submit", id, given]),
    Promise.resolve({ metadata: { a: 1 } })
  );
  stop = (id: string, mode: string) => Promise.resolve(void told.push(["stop", id, mode]));
  close = (mode: string): Promise<void> => (told.push(["close", mode]), closing);
}
vi.mock("../../src/program/held-runs.ts", () => ({
  HeldRuns: function (held: object) {
    told.push(["holds", held]);
    return new PlayedRuns();
  },
}));
vi.mock("../../src/program/asked-runs.ts", () => ({
  AskedRuns: function (roots: Roots, read: typeof DEFAULT_SETTINGS) {
    told.push(["asks", roots, read.timezone]);
    return new PlayedRuns();
  },
}));

const RUN: PlaceholderRun = {
  id: "",
  pipeline: "p",
  status: "initializing",
  orchestratorRunId: "o",
  params: {},
  metadata: {},
};
const LOADED = pipelineOf("p", []);
const [FIRST, SECOND] = ["p@20261123T020000Z", "p@20261123T030000Z"];
let ids: string[];
let made: TempRoot;
beforeEach(() => {
  daemons = [false];
  holdings = [{ ok: true, held: {} }];
  opened = [];
  told = [];
  settings = DEFAULT_SETTINGS;
  elsewhere = undefined;
  loads = () => ({ ok: true, loaded: LOADED });
  closing = Promise.resolve();
  ids = [FIRST, SECOND];
  made = tempRoot();
});

async function open(path = made.root, options = {}): Promise<ProgramRoot> {
  const root = await ProgramRoot.open(path, options);
  onTestFinished(() => root.close());
  told = [];
  return root;
}

describe("the folders of a root", () => {
  it("are schedules and runs in it, or what is given", async () => {
    await open();
    const { root, schedules, runs } = made;
    expect(opened).toEqual([{ root, schedules, runs, role: "program" }]);
    const others = { schedules: "/there/s", runs: join(root, "r") };
    holdings = [{ ok: true, held: {} }];
    expect((await open(root, others)).path).toBe(root);
    expect(opened[1]).toEqual({ root, ...others, role: "program" });
  });

  it("are those of a folder that is there", async () => {
    const usage = "openRoot() takes the path of a root: the folder of orchd.yaml.";
    for (const path of ["", 7, undefined])
      await expect(ProgramRoot.open(path as string, {})).rejects.toThrow(new Error(usage));
    const file = made.write("a file", "");
    for (const [path, word] of [
      [file, `'${file}'`],
      [join(made.root, "none"), join(made.root, "none")],
    ] as const)
      await expect(ProgramRoot.open(path, {})).rejects.toThrow(
        new Error(`the root ${path} is no folder; make one with \`orchd init ${word}\`.`),
      );
  });

  it("are open once, by whichever path, and again after they were closed", async () => {
    const link = join(made.root, "link");
    symlinkSync(made.runs, link);
    const first = await ProgramRoot.open(made.root, {});
    expect([...openRoots()]).toContain(first);
    for (const runs of [made.runs, link])
      await expect(ProgramRoot.open(made.root, { runs })).rejects.toThrow(
        `this program has ${made.root} open already: ` +
          "use the root that it has, or close it first.",
      );
    await first[Symbol.asyncDispose]();
    expect([...openRoots()]).not.toContain(first);
    // One that could not be opened does not stay open.
    holdings = [
      { ok: false, reason: "somebody has it" },
      { ok: true, held: {} },
    ];
    await expect(ProgramRoot.open(made.root, {})).rejects.toThrow(new Error("somebody has it"));
    await open();
  });
});

describe("who holds a root", () => {
  it("is the daemon that runs, which has its settings from the root's file", async () => {
    daemons = [true];
    made.write("orchd.yaml", "timezone: Europe/Berlin\n");
    const root = await ProgramRoot.open(made.root, {});
    onTestFinished(() => root.close());
    const { root: path, schedules, runs } = made;
    expect(told).toEqual([["asks", { root: path, schedules, runs }, "Europe/Berlin"]]);
    expect(opened).toEqual([]);
    await root.close();
    made.write("orchd.yaml", "foo: 1\nbar: 1\n");
    const refused = ProgramRoot.open(made.root, {});
    await expect(refused).rejects.toThrow(/foo is not known.*\n.*bar is not known/);
  });

  it("is a daemon that took the lock a moment ago, and came back if it went", async () => {
    const taken = { ok: false, reason: "a daemon holds it" } as const;
    daemons = [false, true, true];
    holdings = [taken];
    const root = await ProgramRoot.open(made.root, {});
    expect(told.map(([what]) => what)).toEqual(["asks"]);
    await root.close();
    told = [];
    daemons = [false, true, false];
    holdings = [taken, { ok: true, held: { it: 1 } }];
    await (await ProgramRoot.open(made.root, {})).close();
    expect(told[0]).toEqual(["holds", { it: 1 }]);
  });
});

describe("an orchestrator of a root", () => {
  it("is local, one of orchd.yaml, or a place; or it is said why not", async () => {
    settings = {
      ...settings,
      orchestrators: {
        mine: { flavor: "mine", config: { a: 1 } },
        broken: { flavor: "broken", config: {} },
      },
      places: { far: {} } as never,
    };
    const root = await open();
    expect(root.orchestrator("local")).toBeInstanceOf(LocalOrchestrator);
    expect(root.orchestrator("mine")).toMatchObject({ name: "mine", isRemote: false });
    expect(root.orchestrator("mine").environment).toEqual({ A: "1" });
    const far = { flavor: "far", place: true, config: {} };
    expect(root.orchestrator("far")).toMatchObject({ name: "far", ref: far, isRemote: true });
    const faults: [unknown, string][] = [
      ["broken", "broken cannot be used"],
      [7, "orchestrator() takes a name."],
      [
        "mime",
        'there is no orchestrator "mime": orchd.yaml and orchd itself have local, mine, broken; ' +
          'did you mean "mine"?',
      ],
      [
        "toString",
        'there is no orchestrator "toString": orchd.yaml and orchd itself have ' +
          "local, mine, broken",
      ],
    ];
    for (const [name, sentence] of faults)
      expect(() => root.orchestrator(name as string)).toThrow(new Error(sentence));
  });

  it("that stands for a class in a runner does nothing without a run of its root", async () => {
    settings = { ...settings, orchestrators: { mine: { flavor: "mine", config: {} } } };
    const mine = (await open()).orchestrator("mine");
    const needs = "submitPipeline of mine needs a run of its root.";
    await expect(mine.submitPipeline({} as never)).rejects.toThrow(needs);
    await expect(mine.submitDynamicPipeline({} as never)).rejects.toThrow(needs);
    expect(() => mine.getOrchestratorRunId()).toThrow(
      "the class of the orchestrator mine knows the id, in its runner.",
    );
    expect(mine.supportsDynamicPipelines).toBe(false);
  });
});

describe("a snapshot", () => {
  it("is found by a name, or loaded from a path", async () => {
    const root = await open();
    expect(await root.snapshot("p")).toEqual(LOADED.snapshot);
    await expect(root.snapshot("none")).rejects.toThrow(new Error("there is none"));
    expect(told).toEqual([]);
    await root.snapshot("./p.yaml");
    expect(told).toEqual([["load", join(process.cwd(), "p.yaml"), undefined]]);
    loads = () => ({
      ok: false,
      errors: [
        { file: "/p.yaml", message: "is bad" },
        { file: "/p.yaml", message: "is worse" },
      ],
      watched: [],
    });
    await expect(root.snapshot("/p.yaml")).rejects.toThrow(/is bad\n.*is worse/);
  });

  it("cannot be changed, and a placeholder takes those of its own root alone", async () => {
    const root = await open();
    const snapshot = await root.snapshot("p");
    expect(Object.isFrozen(snapshot.steps[0]!.retry)).toBe(true);
    expect(Object.isFrozen(LOADED.snapshot)).toBe(false);
    const options = { params: { a: 1 } };
    expect(await root.placeholder(snapshot, options)).toEqual({ ...RUN, id: FIRST });
    expect(told).toEqual([["placeholder", options]]);
    await expect(root.placeholder({ ...snapshot })).rejects.toThrow(
      "placeholder() takes a snapshot that snapshot() of this root gave.",
    );
    expect([root.has({ id: FIRST }), root.has({ id: SECOND })]).toEqual([true, false]);
  });

  it.each<[string, (own: LoadedPipeline) => { folder: string; pick: string }, boolean]>([
    ["of a drop-folder file is what the file exports", () => drop("step:one"), false],
    ["of the program's own code is inline", () => ({ folder: "/x", pick: "step:one" }), true],
    ["of a definition within a drop-folder file is inline", () => drop("in:p:step:one"), true],
  ])("%s", async (_, where, isInline) => {
    const root = await open();
    const { folder, pick } = where(LOADED);
    const code = { bundle: "b", pick, source: "s" };
    const snapshot = snapshotOf([stepSpec("one", { code })]);
    const file = join(folder, "p.ts");
    loads = () => ({ ok: true, loaded: { ...LOADED, file, snapshot } });
    const definition = pipeline({ name: "p", steps: { one: { run: "true" } } });
    const run = await root.placeholder(await root.snapshot(definition));
    told = [];
    await new LocalOrchestrator().submitPipeline({ placeholderRun: run } as never);
    expect(told).toMatchObject([["submit", FIRST, { isInline }]]);
  });
  const drop = (pick: string) => ({ folder: made.schedules, pick });

  it("of a definition in a drop-folder file is the file's, where that exports it", async () => {
    const file = import.meta.filename;
    const folder = import.meta.dirname;
    const root = await open(made.root, { schedules: folder });
    const steps = { one: { run: "true" } };
    const dropped = ["load", file, { folder }];
    for (const [named, exported, asked] of [
      ["p", "p", [dropped]],
      ["p", "other", [dropped, ["load", file, { definition: "p" }]]],
      [undefined, "program-root.test", [dropped]],
      [undefined, "p", [dropped, ["load", file, { definition: "" }]]],
      ["p", undefined, [dropped, ["load", file, { definition: "p" }]]],
    ] as const) {
      told = [];
      loads = (_, options) =>
        exported === undefined && options !== undefined && "folder" in options
          ? { ok: false, errors: [], watched: [] }
          : { ok: true, loaded: { ...LOADED, name: exported ?? "p" } };
      await root.snapshot(pipeline(named === undefined ? { steps } : { name: named, steps }));
      expect(told).toEqual(asked);
    }
  });

  it("of a definition is loaded by its name from the file that made it", async () => {
    const root = await open();
    await root.snapshot(pipeline({ name: "p", steps: { one: { run: "true" } } }));
    expect(told).toEqual([["load", import.meta.filename, { definition: "p" }]]);
  });
});

describe("how a run stands", () => {
  const steps = { a: "completed", b: "running" } as const;
  const start = { type: "run.started", because: "x" };
  const begin = (step: string) => ({ type: "step.started", step, attempt: 1, because: "x" });
  const lines = [
    header(FIRST, { a: [], b: [] }),
    start,
    begin("a"),
    { type: "step.completed", step: "a", attempt: 1, outputs: {}, durationMs: 1 },
    begin("b"),
  ];
  const stopping = { type: "run.stop_requested", mode: "graceful", by: "x" };
  const ended = { type: "run.finished", status: "failed", because: "x", durationMs: 1 };
  it.each<[string, object[], unknown, object]>([
    ["as it begins", [], undefined, { status: "initializing", steps: { only: "initializing" } }],
    ["as it runs", lines, undefined, { status: "running", steps }],
    [
      "as its instance says",
      lines,
      { status: "failed", steps: { a: "running", b: "failed", c: "running" } },
      { status: "failed", steps: { a: "completed", b: "failed" } },
    ],
    [
      "and not by a word that is no status",
      lines,
      { status: "mad", steps: { b: 7 } },
      { status: "running", steps },
    ],
    [
      "as it is stopping, whatever runs elsewhere",
      [...lines, stopping],
      { status: "running" },
      { status: "stopping", steps },
    ],
    [
      "as it was stopped elsewhere",
      [...lines, stopping],
      { status: "stopped" },
      { status: "stopped", steps },
    ],
    [
      "as it ended, whatever is said",
      [...lines, ended],
      { status: "completed" },
      { status: "failed", steps },
    ],
  ])("%s", async (_, written, said, status) => {
    elsewhere = said as FetchedStatus | undefined;
    const root = await open();
    const run = await root.placeholder(await root.snapshot("p"));
    told = [];
    if (written.length > 0) writeRun(made.runs, FIRST, written as never);
    const local = new LocalOrchestrator();
    for (let again = 0; again < 2; again += 1)
      expect(await local.fetchStatus(run, { includeSteps: true })).toEqual(status);
    const { status: alone } = status as { status: string };
    expect(await local.fetchStatus(run)).toEqual({ status: alone });
    expect(told.map(([, id, asked]) => [id, asked])).toEqual([
      [FIRST, true],
      [FIRST, true],
      [FIRST, false],
    ]);
  });
});

it("a ledger is open while its run goes on and its root is open", async () => {
  const root = await open();
  const run = await root.placeholder(await root.snapshot("p"));
  const path = writeRun(made.runs, FIRST, [header(FIRST, {})]);
  const isOpen = (file: string): boolean =>
    readdirSync("/proc/self/fd").some((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === file;
      } catch {
        return false;
      }
    });
  const local = new LocalOrchestrator();
  await local.fetchStatus(run);
  expect(isOpen(path)).toBe(true);
  const end = { type: "run.finished", status: "completed", because: "x", durationMs: 1 };
  const whole = ledgerText([header(FIRST, {}), end]);
  appendFileSync(path, whole.slice(ledgerText([header(FIRST, {})]).length));
  expect(await local.fetchStatus(run)).toEqual({ status: "completed" });
  expect(isOpen(path)).toBe(false);
  const other = await root.placeholder(await root.snapshot("p"));
  const second = writeRun(made.runs, SECOND, [header(SECOND, {})]);
  await local.fetchStatus(other);
  await root.close();
  expect(isOpen(second)).toBe(false);
});

describe("a closed root", () => {
  it("is closed once, with the mode of each call told, and takes nothing more", async () => {
    let end!: () => void;
    closing = new Promise((resolve) => (end = resolve));
    const root = await open();
    const snapshot = await root.snapshot("p");
    const run = await root.placeholder(snapshot);
    told = [];
    const orchestrator = new LocalOrchestrator();
    await orchestrator.stopRun(run);
    await orchestrator.stopRun(run, { graceful: true });
    const first = root.close();
    expect(root.close({ force: true })).toBe(first);
    expect(told).toEqual([
      ["stop", FIRST, "force"],
      ["stop", FIRST, "graceful"],
      ["close", "graceful"],
      ["close", "force"],
    ]);
    const closed = `the root ${made.root} is closed.`;
    expect(() => root.orchestrator("local")).toThrow(closed);
    await expect(root.snapshot("p")).rejects.toThrow(closed);
    await expect(root.placeholder(snapshot)).rejects.toThrow(closed);
    await expect(orchestrator.submitPipeline({ placeholderRun: run } as never)).rejects.toThrow(
      closed,
    );
    // It is closed only when its runs are.
    expect(openRoots().has(root)).toBe(true);
    end();
    await first;
    expect(openRoots().has(root)).toBe(false);
    await expect(orchestrator.submitPipeline({ placeholderRun: run } as never)).rejects.toThrow(
      "submitPipeline of the orchestrator local needs a run of an open root",
    );
  });
});
