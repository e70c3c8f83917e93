/**
 * What the daemon wires to what: each part is the real one, and each port that it is given is
 * called here, with the effect that it has to have. The daemon runs in this process.
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { runDaemon } from "../../daemon/daemon.ts";
import type { DrainPorts } from "../../src/engine/drain.ts";
import type { EnginePorts, Engine } from "../../src/engine/engine.ts";
import type { HeldWrites } from "../../src/engine/held-writes.ts";
import type { Workshop, WorkshopOptions } from "../../src/engine/workshop.ts";
import type { UpkeepPorts } from "../../src/engine/upkeep.ts";
import { readDaemon } from "../../src/ledger/daemon-info.ts";
import { CompiledVersions } from "../../src/schedules/compiled-versions.ts";
import { loadSettings } from "../../src/schedules/load-settings.ts";
import { VERSION } from "../../src/version.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

/** The parts as the daemon made them, and what happened to them, in order. */
const made = vi.hoisted(() => ({
  happened: [] as string[],
  log: [] as [string, Record<string, unknown>, string][],
  told: [] as string[],
  /** How many daemons left their process behind. */
  left: 0,
  engine: undefined as unknown,
  ports: {} as Record<string, unknown>,
  /** What a part throws as it is made. */
  fails: undefined as Error | undefined,
}));

vi.mock("../../src/observe/daemon-log.ts", async (original) => {
  const at =
    (level: string) =>
    (fields: unknown, sentence?: string): void =>
      void made.log.push(
        typeof fields === "string"
          ? [level, {}, fields]
          : [level, fields as Record<string, unknown>, sentence ?? ""],
      );
  const levels = ["trace", "debug", "info", "warn", "error", "fatal"];
  return {
    ...(await original<object>()),
    openDaemonLog: () => Object.fromEntries(levels.map((level) => [level, at(level)])),
  };
});
vi.mock("../../src/engine/end-process.ts", () => ({
  endProcess: (status: number) => {
    made.happened.push(`ended ${status}`);
    made.left += 1;
  },
}));
vi.mock("../../src/places/pool/kill-by-token.ts", () => ({
  killByToken: (token: string) => (made.happened.push(`kill ${token}`), 3),
}));

/** The class of a part that remembers what it was given, and notes calls of these methods. */
function noted(name: string, methods: readonly string[] = []) {
  return async (original: () => Promise<Record<string, unknown>>): Promise<object> => {
    const real = await original();
    const Real = real[name] as new (...given: unknown[]) => Record<string, unknown>;
    class Noted extends Real {
      constructor(...given: unknown[]) {
        super(...given);
        made.ports[name] = given[0];
        made.ports[`${name} itself`] = this;
        for (const method of methods) {
          const own = (this[method] as (...all: unknown[]) => unknown).bind(this);
          this[method] = (...all: unknown[]) => {
            made.happened.push(`${name}.${method}`);
            return own(...all);
          };
        }
      }
    }
    return { ...real, [name]: Noted };
  };
}
vi.mock("../../src/engine/workshop.ts", async (original) => {
  const real = await original<{ openWorkshop: (options: WorkshopOptions) => Workshop }>();
  return {
    ...real,
    openWorkshop: (options: WorkshopOptions) => {
      made.ports["Workshop"] = options;
      if (made.fails !== undefined) throw made.fails;
      return real.openWorkshop(options);
    },
  };
});
vi.mock("../../src/engine/upkeep.ts", noted("Upkeep", ["retain", "filling", "carryOut"]));
vi.mock("../../src/engine/held-writes.ts", noted("HeldWrites"));
vi.mock("../../src/engine/drain.ts", noted("Drain", ["close"]));
vi.mock("../../src/engine/engine.ts", noted("Engine", ["recover", "begin", "filesChanged"]));
vi.mock("../../src/schedules/drop-folder.ts", noted("DropFolder", ["start", "rescan", "close"]));
vi.mock("../../src/schedules/definition-thread.ts", noted("DefinitionThread", ["close"]));
vi.mock(
  "../../src/observe/service-manager.ts",
  noted("ServiceManager", ["ready", "stopping", "close"]),
);
vi.mock("../../src/observe/loop-watch.ts", noted("LoopWatch", ["close"]));
vi.mock("../../src/ledger/daemon-history.ts", noted("DaemonHistory", ["began", "ended"]));

const part = <T>(name: string): T => made.ports[name] as T;
const said = (level: string): string[] =>
  made.log.filter(([own]) => own === level).map(([, , sentence]) => sentence);

beforeEach(() => {
  made.happened = [];
  made.log = [];
  made.told = [];
  made.ports = {};
});

const optionsOf = (root: TempRoot, more: object = {}): Parameters<typeof runDaemon>[0] => ({
  root: root.root,
  schedules: root.schedules,
  runs: root.runs,
  pretty: false,
  isTerminal: false,
  tell: (sentence) => void made.told.push(sentence),
  ...more,
});
const PIPELINE = { "schedules/p.yaml": "steps: { a: { run: 'true' } }\n" };

/** Sends a signal to what the daemon set up last, and to nobody else in this process. */
function signal(name: NodeJS.Signals): void {
  (process.listeners(name).at(-1) as (signal: string) => void)(name);
}

/** Starts the daemon, and waits until it is ready. */
async function started(
  root: TempRoot,
): Promise<{ readonly ended: Promise<number>; end(): Promise<number> }> {
  const { left } = made;
  const ended = runDaemon(optionsOf(root));
  await vi.waitFor(() => expect(said("info").some((it) => it.startsWith("ready"))).toBe(true), {
    timeout: 20_000,
    interval: 5,
  });
  let over = false;
  const end = (): Promise<number> => {
    if (!over) signal("SIGTERM");
    over = true;
    return ended;
  };
  onTestFinished(async () => {
    await end();
    // It would be among what happened in the next test.
    await vi.waitFor(() => expect(made.left).toBeGreaterThan(left), 2_000);
  });
  return { ended, end };
}

it("comes up in order, and goes down in order", async () => {
  const root = tempRoot(PIPELINE);
  const { end } = await started(root);
  expect(made.happened.filter((it) => !/^kill|filesChanged|Upkeep/.test(it))).toEqual([
    "DaemonHistory.began",
    "Engine.recover",
    "DropFolder.start",
    "DropFolder.rescan",
    "Engine.begin",
    "ServiceManager.ready",
  ]);
  expect(made.happened[1]).toMatch(/^kill /);
  expect(said("warn")).toContain("3 processes that an earlier daemon left were ended");
  expect(made.log.find(([, , it]) => it.startsWith("ready"))).toEqual([
    "info",
    {
      pid: process.pid,
      epoch: 1,
      version: VERSION,
      tzdata: expect.any(String) as string,
      root: root.root,
      readyMs: expect.any(Number) as number,
    },
    "ready: 1 pipeline, 0 runs taken over",
  ]);
  expect(readDaemon(`${root.runs}/.orchd`)).toMatchObject({ pid: process.pid, ready: true });
  expect(said("warn").filter((it) => it.startsWith("no pipeline"))).toEqual([]);
  made.happened = [];
  expect(await end()).toBe(0);
  expect(made.happened).toEqual([
    "ServiceManager.stopping",
    "DropFolder.close",
    "DefinitionThread.close",
    "ServiceManager.close",
    "DaemonHistory.ended",
    "LoopWatch.close",
    "Drain.close",
  ]);
  expect(readDaemon(`${root.runs}/.orchd`)).toBeNull();
  expect(made.log.at(-1)).toEqual([
    "info",
    {
      longestTurnMs: expect.any(Number),
      longTurns: expect.any(Number),
      turnP99Ms: expect.any(Number),
    },
    "ended",
  ]);
  // What keeps the process is left behind, after a moment.
  await vi.waitFor(() => expect(made.happened).toContain("ended 0"), 2_000);
});

it("what the last daemon compiled counts where it still holds", async () => {
  const root = tempRoot({ ...PIPELINE, "orchd.yaml": "project: p\n" });
  const compiled = `${root.runs}/.orchd/compiled`;
  const tags = (): string[] =>
    [...part<Engine>("Engine itself").desks()].flatMap(({ loaded }) => loaded?.tags ?? []);
  const first = await started(root);
  await vi.waitFor(() => expect(existsSync(compiled)).toBe(true));
  expect(tags()).toEqual([]);
  await first.end();
  const read = await loadSettings(root.root, `${root.runs}/.orchd/bundles`);
  if (!read.ok) throw new Error("the settings are bad");
  const { settings } = read;
  const versions = new CompiledVersions(compiled, settings);
  const path = `${root.schedules}/p.yaml`;
  const text = PIPELINE["schedules/p.yaml"];
  const from = { path, realPath: path, text, settings, now: Date.now() };
  const { loaded, modules } = versions.recall(from)!;
  versions.keep(from, { loaded: { ...loaded, tags: ["kept"] }, modules });
  await versions.close();
  made.log = [];
  const second = await started(root);
  expect(tags()).toEqual(["kept"]);
  await second.end();
  rmSync(compiled);
  mkdirSync(`${compiled}.new`);
  made.log = [];
  await started(root);
  expect(tags()).toEqual([]);
  await vi.waitFor(() =>
    expect(said("warn")).toContain(
      "the compiled pipeline files could not be kept: the next start compiles all of them",
    ),
  );
});

it("an empty folder is told with what to do, and a class that is not there", async () => {
  const root = tempRoot({ "orchd.yaml": "orchestrators: { other: { uses: ./other.ts } }\n" });
  await started(root);
  const kept = /\.\/other\.ts.*; the pipelines that name it keep their last good version$/;
  expect(said("error")).toEqual([expect.stringMatching(kept)]);
  expect(said("warn")).toContain(
    `no pipeline is in force: put a file into ${root.schedules}, or see \`orchd init\``,
  );
});

it("lines that wait for room hold retention up, and the drain hears of them", async () => {
  await started(tempRoot(PIPELINE));
  const { linesWait, clock } = part<UpkeepPorts>("Upkeep");
  const held = part<HeldWrites>("HeldWrites itself");
  expect(linesWait!()).toBe(false);
  held.onHeld(true, Object.assign(new Error("no"), { code: "ENOSPC" }));
  expect(linesWait!()).toBe(true);
  held.onHeld(true, Object.assign(new Error("no"), { code: "ENOSPC" }));
  held.onHeld(false);
  expect(linesWait!()).toBe(true);
  held.onHeld(false);
  expect(linesWait!()).toBe(false);
  const drain = part<DrainPorts>("Drain");
  expect([drain.held, drain.clock]).toEqual([held, clock]);
  expect(part<EnginePorts & { onHeld: unknown }>("Engine").onHeld).toBe(held.onHeld);
});

it("SIGHUP reads orchd.yaml and looks at the folder; a bad file changes nothing", async () => {
  const root = tempRoot({ ...PIPELINE, "orchd.yaml": "drainPeriod: 7s\n" });
  const { end } = await started(root);
  const drain = part<DrainPorts>("Drain");
  const engine = part<Engine>("Engine itself");
  const settings = (): number[] =>
    [drain.settings(), engine.settings].map((it) => it.drainPeriodMs);
  expect(settings()).toEqual([7_000, 7_000]);
  made.happened = [];
  // No file has changed, so no watcher says anything.
  signal("SIGHUP");
  await vi.waitFor(() => expect(made.happened).toContain("DropFolder.rescan"));
  root.write("orchd.yaml", "drainPeriod: 9s\n");
  signal("SIGHUP");
  await vi.waitFor(() => expect(settings()).toEqual([9_000, 9_000]));
  expect(said("info")).toContain("orchd.yaml was read again");
  root.write("orchd.yaml", "drainPeriod: [\n");
  signal("SIGHUP");
  await vi.waitFor(() => expect(said("error")).not.toEqual([]));
  expect(settings()).toEqual([9_000, 9_000]);
  expect(said("error").join()).toContain("; the settings that were in force stay");
  await end();
  expect(process.listenerCount("SIGHUP")).toBe(0);
});

it("a run's ledger that was put back is told to the engine", async () => {
  const root = tempRoot(PIPELINE);
  await started(root);
  const told = vi.spyOn(part<Engine>("Engine itself"), "disturbedRun").mockReturnValue();
  const workshop = part<WorkshopOptions>("Workshop");
  workshop.onLedgerRestored!("p@1", "somebody cut it");
  expect(told.mock.calls).toEqual([["p@1", "somebody cut it"]]);
  expect([workshop.runs, workshop.epoch]).toEqual([root.runs, 1]);
});

it("the hour's work is the upkeep's, and a drain says what it waits for", async () => {
  const { end } = await started(tempRoot(PIPELINE));
  const engine = part<Engine>("Engine itself");
  const ports = part<EnginePorts>("Engine");
  made.happened = [];
  ports.hourly!.isWanted(engine);
  await ports.hourly!.act(engine);
  expect(made.happened).toEqual(["Upkeep.filling", "Upkeep.retain"]);
  await ports.upkeep!({ type: "rebuild" } as never, engine).catch(() => undefined);
  expect(made.happened.at(-1)).toBe("Upkeep.carryOut");
  const drain = part<DrainPorts>("Drain");
  const ids = vi.spyOn(engine.runs, "ids");
  ids.mockReturnValue(new Set());
  expect(drain.waitsFor()).toBe("requests or ledgers");
  ids.mockReturnValue(new Set(["a", "b", "c", "d", "e", "f"]));
  expect(drain.waitsFor()).toBe("the runs a, b, c, d, e");
  ids.mockRestore();
  drain.giveUp();
  expect(made.happened).toContain("ended 1");
  await end();
  expect(drain.waitsFor()).toBe("the lock");
  expect(made.happened.filter((it) => it === "ServiceManager.stopping")).toHaveLength(1);
});

describe("a daemon that cannot start", () => {
  it.each<[string, object, Record<string, string>, number, RegExp]>([
    ["a bad orchd.yaml", {}, { "orchd.yaml": "runner: 7\n" }, 2, /orchd\.yaml:1/],
  ])("says why, to a log or a person: %s", async (_, more, files, status, sentence) => {
    expect(await runDaemon(optionsOf(tempRoot(files), more))).toBe(status);
    expect(said("fatal").join()).toMatch(sentence);
    expect(made.told).toEqual([]);
    made.log = [];
    const terminal = optionsOf(tempRoot(files), { ...more, isTerminal: true });
    expect(await runDaemon(terminal)).toBe(status);
    expect(made.told.join()).toMatch(sentence);
    expect(made.log).toEqual([]);
  });

  it("ends, whatever of it stands already, where a part cannot be made", async () => {
    made.fails = new Error("the folder scratch cannot be made");
    const exit = vi.spyOn(process, "exit").mockImplementation((status) => {
      throw new Error(`ended ${status}`);
    });
    onTestFinished(() => {
      made.fails = undefined;
      exit.mockRestore();
    });
    await expect(runDaemon(optionsOf(tempRoot(PIPELINE)))).rejects.toThrow("ended 1");
    expect(made.log.at(-1)).toEqual(["fatal", { err: made.fails }, expect.any(String)]);
  });

  it("says that another one is up", async () => {
    const root = tempRoot(PIPELINE);
    await started(root);
    expect(await runDaemon(optionsOf(root, { isTerminal: true }))).toBe(1);
    expect(made.told.join()).toContain(`is held by a daemon, process ${process.pid}`);
  });

  it("says that the log's level is none, before all else", async () => {
    vi.stubEnv("ORCHD_LOG_LEVEL", "loud");
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await runDaemon(optionsOf(tempRoot({ "orchd.yaml": "runner: 7\n" })))).toBe(2);
    expect(made.told).toEqual([
      'ORCHD_LOG_LEVEL is "loud", which is no level; set it to one of trace, debug, info, warn, ' +
        "error, fatal, silent, or leave it out for info.",
    ]);
  });
});
