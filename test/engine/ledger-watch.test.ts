/** When ledgers are looked at, and how what is set aside comes back. */
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { ActiveRuns } from "../../src/engine/active-runs.ts";
import { LedgerWatch } from "../../src/engine/ledger-watch.ts";
import type { PipelineDesk } from "../../src/engine/pipeline-desk.ts";
import { RestWatch } from "../../src/engine/rest-watch.ts";
import { SetAside } from "../../src/engine/set-aside.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const LOOK = 1_000;

class Rig {
  readonly clock = new VirtualClock();
  readonly store = new RunStore(tempRoot().runs);
  /** What was done, in order. */
  readonly done: string[] = [];
  /** What the log says of faults. */
  readonly told: string[] = [];
  readonly failing = new Map<string, Error>();
  readonly seqs = new Map<string, number>();
  readonly desks: PipelineDesk[];
  readonly aside: SetAside;
  readonly watch: LedgerWatch;

  constructor(pipelines: readonly string[] = [], runs: readonly string[] = []) {
    mkdirSync(this.store.orchdDir, { recursive: true });
    this.aside = new SetAside({ clock: this.clock, log: silentLog, orchdDir: this.store.orchdDir });
    const { seqs, done } = this;
    this.desks = pipelines.map((name) => {
      mkdirSync(this.store.pipelineDir(name), { recursive: true });
      return {
        name,
        get lastSeq() {
          return seqs.get(name) ?? 1;
        },
        look: () => void done.push(name),
      } as unknown as PipelineDesk;
    });
    const entries = runs.map((run) => ({ handle: { look: () => void done.push(run) } }));
    this.watch = new LedgerWatch({
      clock: this.clock,
      log: { ...silentLog, error: (_, sentence) => void this.told.push(sentence) },
      store: this.store,
      runs: { all: () => entries } as unknown as ActiveRuns,
      setAside: this.aside,
      desks: () => this.desks,
      lookMs: LOOK,
      bringBack: (pipeline) => this.#act(`back ${pipeline}`),
      takeOver: (run, pipeline) => this.#act(`take ${run} of ${pipeline}`),
    });
    onTestFinished(() => this.watch.close());
    this.watch.start();
  }

  /** A look that fails, as on a disk that cannot be read. */
  fail(): never {
    this.done.length = 0;
    throw new Error("EIO");
  }

  async #act(what: string): Promise<void> {
    this.done.push(what);
    await Promise.resolve();
    const error = this.failing.get(what);
    if (error !== undefined) throw error;
  }

  /** What is done at the next look. */
  async look(): Promise<string[]> {
    this.done.length = 0;
    await this.clock.advance(LOOK);
    return [...this.done];
  }
}

it("half of the ledgers are looked at at a time, each at every second look", async () => {
  const rig = new Rig(["a", "b", "c"], ["a@1", "b@1"]);
  // Each has new lines, so none is at rest.
  for (const name of ["a", "b", "c"]) rig.seqs.set(name, 0);
  const looks: string[][] = [];
  for (let n = 1; n <= 4; n += 1) {
    for (const name of ["a", "b", "c"]) rig.seqs.set(name, n);
    looks.push(await rig.look());
  }
  expect(looks).toEqual([
    ["a", "c", "a@1"],
    ["b", "b@1"],
    ["a", "c", "a@1"],
    ["b", "b@1"],
  ]);
});

it("a pipeline at rest is looked at each 24th time, and when its folder is touched", async () => {
  const rig = new Rig(["a"]);
  expect(await rig.look()).toEqual(["a"]);
  expect(await rig.look()).toEqual([]);
  // It is the same as at the last look: it is watched from now on.
  expect(await rig.look()).toEqual(["a"]);
  const turns: number[] = [];
  for (let turn = 4; turn <= 50; turn += 1) if ((await rig.look()).length > 0) turns.push(turn);
  expect(turns).toEqual([25, 49]);
  rig.done.length = 0;
  writeFileSync(join(rig.store.pipelineDir("a"), "touched"), "");
  await rig.clock.until(() => rig.done.length > 0);
  expect(rig.done).toEqual(["a"]);
});

/** How often the kernel watches a folder for this process. */
function watches(folder: string): number {
  const wanted = new RegExp(`^inotify .*\\bino:${statSync(folder).ino.toString(16)}\\b`, "gm");
  return readdirSync("/proc/self/fdinfo")
    .flatMap((fd) => {
      try {
        return [readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")];
      } catch {
        // It was closed meanwhile.
        return [];
      }
    })
    .reduce((sum, text) => sum + (text.match(wanted)?.length ?? 0), 0);
}

it("watches no folder once it is closed", async () => {
  const rig = new Rig(["a"]);
  const folder = rig.store.pipelineDir("a");
  for (let turn = 1; turn <= 3; turn += 1) await rig.look();
  expect(watches(folder)).toBe(1);
  rig.watch.close();
  expect(watches(folder)).toBe(0);
});

describe("a watch of a folder at rest", () => {
  const events: string[] = [];
  const seen = (rest: RestWatch, name: string, seq: number, folder: string): void =>
    rest.seen(name, seq, folder, () => void events.push(name));

  it("begins with the second look that sees nothing new, and ends with an event", async () => {
    const rest = new RestWatch();
    onTestFinished(() => rest.close());
    const { root } = tempRoot();
    seen(rest, "p", 1, root);
    seen(rest, "p", 2, root);
    expect([rest.has("p"), watches(root)]).toEqual([false, 0]);
    seen(rest, "p", 2, root);
    seen(rest, "p", 2, root);
    expect([rest.has("p"), watches(root)]).toEqual([true, 1]);
    for (const name of ["a", "b"]) writeFileSync(join(root, name), "");
    await expect.poll(() => events, { interval: 5 }).toEqual(["p"]);
    expect([rest.has("p"), watches(root)]).toEqual([false, 0]);
    expect(events.splice(0)).toEqual(["p"]);
  });

  it("of one that is gone is none, and others are watched until all are closed", () => {
    const rest = new RestWatch();
    const { root } = tempRoot();
    for (const name of ["gone", "p"])
      for (const _ of [1, 2]) seen(rest, name, 1, name === "p" ? root : join(root, name));
    expect([rest.has("gone"), rest.has("p"), watches(root)]).toEqual([false, true, 1]);
    rest.close();
    for (const _ of [1, 2]) seen(rest, "q", 1, root);
    expect([rest.has("p"), rest.has("q"), watches(root)]).toEqual([false, false, 0]);
  });

  it("of one that cannot be watched is none, and others are watched", () => {
    const rest = new RestWatch();
    onTestFinished(() => rest.close());
    const { root } = tempRoot();
    const loop = join(root, "loop");
    symlinkSync(loop, loop);
    for (const name of ["loop", "p"])
      for (const _ of [1, 2]) seen(rest, name, 1, name === "p" ? root : loop);
    expect([rest.has("loop"), rest.has("p"), watches(root)]).toEqual([false, true, 1]);
  });
});

it("a look that fails as a folder is touched is told, and the next one comes", async () => {
  const rig = new Rig(["a"]);
  for (let turn = 1; turn <= 3; turn += 1) await rig.look();
  const [desk] = rig.desks;
  Object.assign(desk!, { look: () => rig.fail() });
  writeFileSync(join(rig.store.pipelineDir("a"), "touched"), "");
  await rig.clock.until(() => rig.told.length > 0);
  expect(rig.told).toEqual(["ledgers could not be looked at"]);
  Object.assign(desk!, { look: () => void rig.done.push("a") });
  for (let turn = 1; turn <= 48 && rig.done.length === 0; turn += 1) await rig.clock.advance(LOOK);
  expect(rig.done).toEqual(["a"]);
});

it("a pipeline that is written is not watched", async () => {
  const rig = new Rig(["a"]);
  const turns: number[] = [];
  for (let turn = 1; turn <= 9; turn += 1) {
    rig.seqs.set("a", turn);
    if ((await rig.look()).length > 0) turns.push(turn);
  }
  expect(turns).toEqual([1, 3, 5, 7, 9]);
});

it("a pipeline that cannot be opened is tried at each look until it can", async () => {
  const rig = new Rig();
  const error = new Error("Its ledger is a folder.");
  rig.watch.cannotOpen("p", error);
  expect([rig.watch.unopened("p"), rig.aside.because("p")]).toEqual([error, error.message]);
  rig.failing.set("back p", new Error("Its ledger is a pipe."));
  expect(await rig.look()).toEqual(["back p"]);
  expect(rig.aside.because("p")).toBe("Its ledger is a pipe.");
  expect(rig.watch.unopened("p")?.message).toBe("Its ledger is a pipe.");
  rig.failing.clear();
  expect(await rig.look()).toEqual(["back p"]);
  expect(rig.watch.unopened("p")).toBeUndefined();
  expect(await rig.look()).toEqual([]);
});

it("a ledger that waits for its path is set aside; one that waits for room is not", () => {
  const rig = new Rig();
  const fault = (code: string): Error => Object.assign(new Error(`it is ${code}.`), { code });
  rig.watch.held("p", true, fault("ENOSPC"));
  expect(rig.aside.because("p")).toBeUndefined();
  rig.watch.held("p", true, fault("ENOTDIR"));
  expect(rig.aside.because("p")).toBe("it is ENOTDIR.");
  rig.watch.held("p", false, undefined);
  expect(rig.aside.because("p")).toBeUndefined();
});

it("a run that could not be made sets its pipeline aside until its folder is well", async () => {
  const rig = new Rig();
  const run = "p@20261123T020000Z";
  const folder = dirname(rig.store.runLedger(run));
  mkdirSync(dirname(folder), { recursive: true });
  writeFileSync(folder, "");
  rig.watch.cannotMake("p", run, new Error("no"));
  expect(rig.aside.all("runs")).toEqual(["p"]);
  await rig.look();
  expect(rig.aside.all("runs")).toEqual(["p"]);
  rmSync(folder);
  await rig.look();
  expect(rig.aside.all("runs")).toEqual([]);
  // The folder is well: the run's own name is to blame.
  mkdirSync(folder);
  rig.watch.cannotMake("p", run, new Error("its name is taken."));
  expect(rig.aside.all("runs")).toEqual(["p"]);
  await rig.look();
  expect(rig.aside.all("runs")).toEqual([]);
});

it("a run that could not be taken over is taken over once its ledger can be used", async () => {
  const rig = new Rig();
  const run = "p@20261123T020000Z";
  const path = rig.store.runLedger(run);
  mkdirSync(path, { recursive: true });
  rig.watch.cannotTakeOver(run, Object.assign(new Error("no"), { code: "EISDIR" }));
  expect(rig.aside.all(`run ${run}`)).toEqual(["p"]);
  expect(await rig.look()).toEqual([]);
  rmSync(path, { recursive: true });
  writeFileSync(path, "");
  chmodSync(path, 0o640);
  // Its pipeline comes first.
  rig.watch.cannotOpen("p", new Error("Its ledger is a folder."));
  rig.failing.set("back p", new Error("Its ledger is a folder."));
  expect(await rig.look()).toEqual(["back p"]);
  rig.failing.clear();
  expect(await rig.look()).toEqual(["back p", `take ${run} of p`]);
  expect(rig.aside.all(`run ${run}`)).toEqual([]);
  expect(await rig.look()).toEqual([]);
});

it("runs are taken over one after the other, and a fault of one ends the look", async () => {
  const rig = new Rig();
  const runs = [1, 2, 3].map((minute) => `p@20261123T020${minute}00Z`);
  for (const run of runs) {
    mkdirSync(dirname(rig.store.runLedger(run)), { recursive: true });
    writeFileSync(rig.store.runLedger(run), "");
    rig.watch.cannotTakeOver(run, Object.assign(new Error("no"), { code: "EISDIR" }));
  }
  const [first, second, third] = runs.map((run) => `take ${run} of p`);
  rig.failing.set(second!, new Error("no"));
  // Nobody is there for a rejection that nobody waits for.
  expect(await rig.look()).toEqual([first, second]);
  expect(await rig.look()).toEqual([third]);
  expect(rig.aside.all(`run ${runs[0]}`)).toEqual([]);
});

it("looks no more where it is closed in the middle of a look", async () => {
  const rig = new Rig(["a", "b", "c"]);
  const closing = { ...rig.desks[0]!, look: () => rig.watch.close() };
  rig.desks[0] = closing as unknown as PipelineDesk;
  expect(await rig.look()).toEqual([]);
  expect(rig.clock.timers).toBe(0);
});

it("looks no more once it is closed, and goes on after a look that failed", async () => {
  const rig = new Rig(["a"]);
  const broken = {
    ...rig.desks[0]!,
    look: () => {
      throw new Error("no");
    },
  } as unknown as PipelineDesk;
  rig.desks[0] = broken;
  await rig.look();
  rig.desks[0] = { name: "a", lastSeq: 1, look: () => void rig.done.push("a") } as PipelineDesk;
  await rig.look();
  expect(await rig.look()).toEqual(["a"]);
  rig.watch.close();
  await rig.look();
  expect(await rig.look()).toEqual([]);
  expect(rig.clock.timers).toBe(0);
});
