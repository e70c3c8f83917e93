/**
 * Pipeline files: those that take long to be loaded and who waits for them, which of several has a
 * name, and what comes of a pipeline whose file is bad, is renamed, or goes.
 */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PipelineFiles } from "../../src/engine/pipeline-files.ts";
import type { PipelineDesk } from "../../src/engine/pipeline-desk.ts";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import type { LoadResult } from "../../src/schedules/load-file.ts";
import { LedgerBlocked } from "../../src/ledger/ledger-error.ts";
import { silentLog } from "../../src/log.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** A load of a file that hangs until the test, or its reader, ends it. */
interface Hanging {
  readonly signal: AbortSignal;
  end(result: LoadResult): void;
}

class Rig {
  readonly clock = new VirtualClock();
  readonly hanging: Hanging[] = [];
  readonly inForce = new Map<string, LoadedPipeline>();
  readonly files: PipelineFiles;
  /** What the log says of mistakes. */
  readonly logged: string[] = [];
  /** What each ledger says of mistakes. */
  readonly recorded: (readonly string[])[] = [];
  /** What files say from now on, by path. */
  readonly edited = new Map<string, LoadResult>();
  /** Pipelines whose ledgers cannot be opened, and why. */
  readonly blocked = new Map<string, LedgerBlocked>();
  /** Pipelines that were removed. */
  readonly removed: string[] = [];
  /** Paths in the order in which they were loaded. */
  readonly loads: string[] = [];
  /** What came of each pipeline, in order. */
  readonly told: string[] = [];
  /** What an earlier daemon's ledgers say. */
  readonly before = new Map<string, object>();
  /** The files that belong to each file and are watched, in order. */
  readonly watched: string[] = [];

  readonly #desks = new Map<string, PipelineDesk>();
  readonly #orchdDir: string;

  constructor(orchdDir = tempRoot().root) {
    const desks = this.#desks;
    this.#orchdDir = orchdDir;
    this.files = new PipelineFiles({
      clock: this.clock,
      log: { ...silentLog, error: (_, message) => void this.logged.push(message) },
      orchdDir,
      load: (path, signal) => this.#load(path, signal),
      desk: (name) => this.#open(name),
      desks: () => desks.values(),
      known: (name) => desks.get(name),
      unlessAside: (_, work) => work,
      watch: (path, files) => void this.watched.push(`${path}: ${files.join()}`),
    });
  }

  /** A pipeline that an earlier daemon left in its ledger. */
  async left(name: string, state: object): Promise<void> {
    this.before.set(name, state);
    await this.#open(name);
  }

  /** These files say this from now on, and are read. */
  async save(...files: readonly (LoadedPipeline | string)[]): Promise<string[]> {
    for (const file of files)
      if (typeof file === "string") this.edited.set(file, refusal(file));
      else this.edited.set(file.file, { ok: true, loaded: file });
    const changed = files.map((file) => (typeof file === "string" ? file : file.file));
    await this.files.apply({ changed, removed: [] });
    return this.said();
  }

  /** The version of a pipeline that is kept for the next daemon. */
  kept(name: string): unknown {
    const path = join(this.#orchdDir, "in-force", `${name}.json`);
    return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
  }

  /** These files are gone. */
  async rid(...removed: readonly string[]): Promise<string[]> {
    await this.files.apply({ changed: [], removed });
    return this.said();
  }

  /** The path of a file that loads at once. */
  good(name: string): string {
    return `/nowhere/good-${name}.yaml`;
  }

  /** The path of a file that hangs as it is loaded. */
  hangs(name: string): string {
    return `/nowhere/hangs-${name}.mjs`;
  }

  /** The path of a file that is wrong, with these messages, each on a line of its own. */
  bad(...messages: string[]): string {
    return `/nowhere/bad-${messages.join("-")}.yaml`;
  }

  /** How long a promise takes, in milliseconds of the clock. */
  async timeOf(promise: Promise<unknown>): Promise<number> {
    const begun = this.clock.monotonic();
    let took: number | undefined;
    void promise.then(() => (took = this.clock.monotonic() - begun));
    for (let turn = 0; took === undefined && turn < 600; turn += 1) await this.clock.advance(100);
    return took ?? Number.POSITIVE_INFINITY;
  }

  #open(name: string): Promise<PipelineDesk> {
    const blocked = this.blocked.get(name);
    if (blocked !== undefined) return Promise.reject(blocked);
    if (!this.#desks.has(name)) this.#desks.set(name, this.#desk(name));
    return Promise.resolve(this.#desks.get(name)!);
  }

  #load(path: string, signal: AbortSignal): Promise<LoadResult> {
    this.loads.push(path);
    const edited = this.edited.get(path);
    if (edited !== undefined) return Promise.resolve(edited);
    const name = path.replace(/^.*\/(?:good|hangs)-|\.\w+$/g, "");
    if (path.includes("good-")) return Promise.resolve({ ok: true, loaded: pipelineOf(name, []) });
    if (path.includes("bad-")) {
      const messages = path.replace(/^.*\/bad-|\.\w+$/g, "").split("-");
      const errors = messages.map((message, nth) => ({ file: path, line: nth + 2, message }));
      return Promise.resolve({ ok: false, errors, watched: [] });
    }
    return new Promise<LoadResult>((resolve) => {
      this.hanging.push({ signal, end: resolve });
      const ended = { ok: false, errors: [{ file: path, message: "ended" }], watched: [] } as const;
      signal.addEventListener("abort", () => resolve(ended));
    });
  }

  /** A desk whose state is what its ledger would say, also that of an earlier daemon. */
  #desk(name: string): PipelineDesk {
    const state = { removed: false, errors: [] as readonly string[], ...this.before.get(name) };
    const told = (what: string): Promise<void> => {
      this.told.push(`${name} ${what}`);
      return Promise.resolve();
    };
    const desk = {
      name,
      loaded: undefined as LoadedPipeline | undefined,
      state,
      load: (loaded: LoadedPipeline) => {
        desk.loaded = loaded;
        this.inForce.set(name, loaded);
        const { digest, file } = loaded;
        Object.assign(state, { digest, file, removed: false, errors: [] });
        return told(`has ${file} ${loaded.tags.join()}`.trimEnd());
      },
      restore: (loaded: LoadedPipeline) => {
        desk.loaded = loaded;
        return told("is restored");
      },
      invalid: (errors: readonly string[], file: string) => {
        this.recorded.push(errors);
        state.errors = errors;
        return told(`is refused ${file}`);
      },
      remove: (file: string | undefined) => {
        this.removed.push(name);
        desk.loaded = undefined;
        Object.assign(state, { removed: true, errors: [] });
        return told(`is removed with ${file ?? "no file"}`);
      },
    };
    return desk as unknown as PipelineDesk;
  }

  /** What was told of the pipelines since the last time, in order. */
  said(): string[] {
    return this.told.splice(0);
  }
}

test("a file that hangs keeps the others waiting once, and then no more", async () => {
  const rig = new Rig();
  await rig.files.firstReadingDone();
  const both = { changed: [rig.hangs("a"), rig.good("b")], removed: [] };
  expect(await rig.timeOf(rig.files.apply(both))).toBe(4_000);
  for (let reload = 0; reload < 28; reload += 1)
    expect(await rig.timeOf(rig.files.apply(both))).toBe(100);
});

test("a load that is superseded is ended, and so is that of a file that went", async () => {
  const rig = new Rig();
  await rig.files.firstReadingDone();
  const changes = { changed: [rig.hangs("a")], removed: [] };
  for (let reload = 0; reload < 28; reload += 1) await rig.timeOf(rig.files.apply(changes));
  const alive = (): number => rig.hanging.filter(({ signal }) => !signal.aborted).length;
  expect(rig.hanging).toHaveLength(28);
  expect(alive()).toBe(1);
  expect(rig.hanging.at(-1)!.signal.aborted).toBe(false);
  await rig.timeOf(rig.files.apply({ changed: [], removed: [rig.hangs("a")] }));
  expect(alive()).toBe(0);
});

test("a file that was slow and is quick again is waited for as any other", async () => {
  const rig = new Rig();
  await rig.files.firstReadingDone();
  const changes = { changed: [rig.hangs("a")], removed: [] };
  await rig.timeOf(rig.files.apply(changes));
  const reload = rig.files.apply(changes);
  await rig.clock.settle();
  rig.hanging.at(-1)!.end({ ok: true, loaded: pipelineOf("a", []) });
  await reload;
  expect(rig.inForce.has("a")).toBe(true);
  expect(await rig.timeOf(rig.files.apply(changes))).toBe(4_000);
});

test("who asks for a run waits a second for the files of others", async () => {
  const rig = new Rig();
  await rig.files.firstReadingDone();
  await rig.files.apply({ changed: [rig.good("b")], removed: [] });
  const reading = rig.files.apply({ changed: [rig.hangs("a")], removed: [] });
  await rig.clock.advance(500);
  const asked = rig.files.refresh("b");
  expect(await rig.timeOf(asked)).toBe(500);
  expect(await asked).toMatchObject({ ok: true });
  await reading;
});

test("who asks for a run of a file that hangs waits for the newest load of it", async () => {
  const rig = new Rig();
  await rig.files.firstReadingDone();
  await rig.timeOf(rig.files.apply({ changed: [rig.hangs("a")], removed: [] }));
  const asked = rig.files.refresh("hangs-a");
  await rig.clock.advance(200);
  // It is saved again: the load that the caller waits for is ended.
  await rig.timeOf(rig.files.apply({ changed: [rig.hangs("a")], removed: [] }));
  rig.hanging.at(-1)!.end({ ok: true, loaded: pipelineOf("hangs-a", []) });
  await rig.clock.settle();
  expect(await asked).toMatchObject({ ok: true, loaded: { name: "hangs-a" } });
});

test("who asks for what no file is known to define waits for those that load yet", async () => {
  const rig = new Rig();
  await rig.files.firstReadingDone();
  await rig.timeOf(rig.files.apply({ changed: [rig.hangs("x")], removed: [] }));
  let told: unknown;
  const asked = rig.files.refresh("other").then((answer) => (told = answer));
  await rig.clock.advance(60_000);
  expect(told).toBeUndefined();
  const loaded = pipelineOf("other", [], { file: rig.hangs("x") });
  rig.edited.set(rig.hangs("x"), { ok: true, loaded });
  rig.hanging[0]!.end({ ok: true, loaded });
  await asked;
  expect(told).toMatchObject({ ok: true, loaded });
});

test("a version that is kept already is not written again at a start", async () => {
  const { root } = tempRoot();
  const kept = join(root, "in-force", "a.json");
  const start = async (): Promise<number> => {
    const rig = new Rig(root);
    await rig.files.apply({ changed: [rig.good("a")], removed: [] });
    return statSync(kept).ino;
  };
  const first = await start();
  expect(await start()).toBe(first);
  // What a crash left of it is no version.
  writeFileSync(kept, "{");
  expect(await start()).not.toBe(first);
});

test("who asks for a run of a file that is wrong is told its first fault", async () => {
  const rig = new Rig();
  await rig.files.firstReadingDone();
  await rig.files.apply({ changed: [rig.bad("a", "b")], removed: [] });
  expect(await rig.files.refresh("bad-a-b")).toEqual({
    ok: false,
    reason: "/nowhere/bad-a-b.yaml:2:1: a",
  });
});

test("who asks for a pipeline that no file defines is told so, and what was meant", async () => {
  const rig = new Rig();
  await rig.files.firstReadingDone();
  expect(await rig.files.refresh("bakcup")).toEqual({
    ok: false,
    reason: 'there is no pipeline "bakcup"',
  });
  await rig.files.apply({ changed: [rig.good("backup")], removed: [] });
  expect(await rig.files.refresh("bakcup")).toEqual({
    ok: false,
    reason: 'there is no pipeline "bakcup"; did you mean "backup"?',
  });
});

test.each([50, 51, 60])("of %i mistakes in a file fifty are told, and how many more", async (n) => {
  const rig = new Rig();
  const path = rig.bad(...Array.from({ length: n }, (_, index) => `m${index}`));
  await rig.files.apply({ changed: [path], removed: [] });
  const errors = Array.from({ length: 50 }, (_, index) => `${path}:${index + 2}:1: m${index}`);
  if (n > 50) errors.push(`${path}: and ${n - 50} more; orchd validate ${path} tells them all`);
  expect(rig.logged).toEqual(errors);
  expect(rig.recorded).toEqual([errors]);
});

test("what was just saved is what runs: its file is read again before it does", async () => {
  const rig = new Rig();
  const path = rig.good("alpha");
  await rig.files.apply({ changed: [path, rig.good("beta")], removed: [] });
  const loaded = pipelineOf("alpha", [], { tags: ["edited"] });
  rig.edited.set(path, { ok: true, loaded });
  rig.loads.length = 0;
  const fresh = await rig.files.refresh("alpha");
  expect(fresh).toMatchObject({ ok: true, desk: { name: "alpha" } });
  expect(fresh.ok && fresh.loaded).toBe(loaded);
  expect(rig.loads).toEqual([path]);
  await rig.files.reload();
  expect(rig.loads.toSorted()).toEqual([path, path, rig.good("beta")]);
});

test.each<[string, (rig: Rig, path: string) => void, string]>([
  ["is bad now", (rig, path) => rig.edited.set(path, refusal(path)), "FILE:3:1: no"],
  [
    "holds another pipeline now",
    (rig, path) => rig.edited.set(path, { ok: true, loaded: pipelineOf("other", []) }),
    'FILE no longer holds pipeline "alpha"',
  ],
  [
    "is good, and its ledger cannot be opened",
    (rig) =>
      rig.blocked.set(
        "alpha",
        new LedgerBlocked("/x", Object.assign(new Error(), { code: "EISDIR" })),
      ),
    new LedgerBlocked("/x", Object.assign(new Error(), { code: "EISDIR" })).message,
  ],
])("a pipeline whose file %s cannot run, with the reason", async (_, edit, reason) => {
  const rig = new Rig();
  const path = rig.good("alpha");
  await rig.files.apply({ changed: [path], removed: [] });
  edit(rig, path);
  expect(await rig.files.refresh("alpha")).toEqual({
    ok: false,
    reason: reason.replace("FILE", path),
  });
});

test("a pipeline that no file defines is told by its name, with one that is like it", async () => {
  const rig = new Rig();
  await rig.files.apply({ changed: [rig.good("alpha"), rig.good("beta")], removed: [] });
  expect(await rig.files.refresh("alpa")).toEqual({
    ok: false,
    reason: 'there is no pipeline "alpa"; did you mean "alpha"?',
  });
  await rig.files.apply({ changed: [], removed: [rig.good("alpha")] });
  expect(rig.removed).toEqual(["alpha"]);
  expect(await rig.files.refresh("alpha")).toEqual({
    ok: false,
    reason: 'there is no pipeline "alpha"',
  });
  // What is not known changes nothing.
  await rig.files.apply({ changed: [], removed: [rig.good("gamma")] });
  expect(rig.removed).toEqual(["alpha"]);
});

test("a file whose name is no pipeline's stands for one of a name like it", async () => {
  const rig = new Rig();
  const names = ["Load Digest", "_x", "ÄÖ", "a".repeat(70), "0-a_b"];
  const paths = names.map((name) => `/nowhere/${name}.yaml`);
  for (const path of paths) rig.edited.set(path, refusal(path));
  await rig.files.apply({ changed: paths, removed: [] });
  const stands = ["load-digest", "x", "unnamed", "a".repeat(64), "0-a_b"];
  expect(stands.map((name) => rig.files.knows(name))).toEqual(stands.map(() => true));
  expect(rig.files.size).toBe(5);
});

function refusal(path: string): LoadResult {
  return { ok: false, errors: [{ file: path, line: 3, message: "no" }], watched: [] };
}

const of = (name: string, file: string, more: Partial<LoadedPipeline> = {}): LoadedPipeline =>
  pipelineOf(name, [], { file: `/s/${file}`, ...more });

describe("a name that two files claim", () => {
  test("is that of the one that has it; the other is refused, elsewhere", async () => {
    const rig = new Rig();
    expect(await rig.save(of("p", "a.yaml"))).toEqual(["p has /s/a.yaml"]);
    expect(await rig.save(of("p", "b.yaml"))).toEqual([
      "p has /s/a.yaml",
      "b is refused /s/b.yaml",
    ]);
    const sentence =
      '/s/b.yaml: the name "p" is taken by /s/a.yaml; give this pipeline another name';
    expect([rig.recorded, rig.logged]).toEqual([[[sentence]], [sentence]]);
    // It goes: nothing is left of the pipeline that only told of it.
    expect(await rig.rid("/s/b.yaml")).toEqual(["p has /s/a.yaml", "b is removed with no file"]);
  });

  test("is told in the pipeline itself where the other's own name has a good file", async () => {
    const rig = new Rig();
    await rig.save(of("p", "a.yaml"), of("b", "c.yaml"));
    expect(await rig.save(of("p", "b.yaml"))).toEqual([
      "p has /s/a.yaml",
      "p is refused /s/b.yaml",
    ]);
  });

  test("goes to the other one when the first goes, and is not lost", async () => {
    const rig = new Rig();
    await rig.save(of("p", "a.yaml"), of("p", "b.yaml"));
    rig.said();
    expect(await rig.rid("/s/a.yaml")).toEqual(["p has /s/b.yaml", "b is removed with no file"]);
  });

  test("is refused to nobody while the first may only have been renamed", async () => {
    const rig = new Rig();
    await rig.save(of("p", "a.yaml"));
    rig.edited.set("/s/b.yaml", { ok: true, loaded: of("p", "b.yaml") });
    const missing = ["/s/a.yaml"];
    await rig.files.apply({ changed: ["/s/b.yaml"], removed: [], missing });
    expect(rig.said()).toEqual(["p has /s/a.yaml"]);
    expect(await rig.rid("/s/a.yaml")).toEqual(["p has /s/b.yaml"]);
    expect(rig.recorded).toEqual([]);
  });

  test("and is given up frees the pipeline that told of it", async () => {
    const rig = new Rig();
    await rig.save(of("p", "a.yaml"), of("p", "b.yaml"));
    rig.said();
    expect(await rig.save(of("b", "b.yaml"))).toEqual(["b has /s/b.yaml", "p has /s/a.yaml"]);
  });
});

describe("a file", () => {
  test("whose pipeline has another name now leaves the first one without a file", async () => {
    const rig = new Rig();
    await rig.save(of("p", "a.yaml"));
    expect(await rig.save(of("q", "a.yaml"))).toEqual([
      "p is removed with /s/a.yaml",
      "q has /s/a.yaml",
    ]);
    expect([rig.files.knows("p"), rig.files.knows("q"), rig.files.size]).toEqual([false, true, 1]);
  });

  test("that is bad keeps the name and the version that it has", async () => {
    const rig = new Rig();
    await rig.save(of("p", "a.yaml"));
    expect(await rig.save("/s/a.yaml")).toEqual(["p is refused /s/a.yaml"]);
    // Another that claims the name has it no more than before.
    expect(await rig.save(of("p", "b.yaml"))).toEqual([
      "b is refused /s/b.yaml",
      "p is refused /s/a.yaml",
    ]);
  });

  test("that is renamed, and the same, is told and kept with its new name", async () => {
    const rig = new Rig();
    await rig.save(of("p", "a.yaml", { digest: "d" }));
    rig.said();
    const loaded = of("p", "b.yaml", { digest: "d" });
    rig.edited.set("/s/b.yaml", { ok: true, loaded });
    await rig.files.apply({ changed: ["/s/b.yaml"], removed: ["/s/a.yaml"] });
    expect(rig.said()).toEqual(["p has /s/b.yaml"]);
    expect(rig.kept("p")).toMatchObject({ file: "/s/b.yaml" });
  });

  test("has the files that belong to it watched, and none once it is gone", async () => {
    const rig = new Rig();
    await rig.save(of("p", "a.mjs", { watched: ["/s/lib.mjs"] }));
    await rig.save("/s/a.mjs");
    await rig.rid("/s/a.mjs", "/s/none.mjs");
    expect(rig.watched).toEqual(["/s/a.mjs: /s/lib.mjs", "/s/a.mjs: ", "/s/a.mjs: "]);
  });
});

describe("what an earlier daemon left", () => {
  const [A, B] = [of("p", "a.yaml"), of("p", "b.yaml")];
  /** A daemon that ended with these files in force, and one that follows it. */
  async function after(...files: readonly LoadedPipeline[]): Promise<Rig> {
    const { root } = tempRoot();
    await new Rig(root).save(...files);
    const rig = new Rig(root);
    for (const { name, digest, file } of files) await rig.left(name, { digest, file });
    return rig;
  }

  test("stays in force where its file is bad now", async () => {
    const rig = await after(A);
    expect(await rig.save("/s/a.yaml")).toEqual(["p is restored", "p is refused /s/a.yaml"]);
  });

  test("stays in force where its file takes long", async () => {
    const rig = await after(of("p", "hangs-p.mjs"));
    const read = rig.files.apply({ changed: ["/s/hangs-p.mjs"], removed: [] });
    await rig.timeOf(read);
    expect(rig.said()).toEqual(["p is restored"]);
  });

  test("of a pipeline whose file claims another's name is restored before it is told", async () => {
    const rig = await after(A, of("b", "b.yaml"));
    expect(await rig.save(A, B)).toEqual([
      "p has /s/a.yaml",
      "b is restored",
      "b is refused /s/b.yaml",
    ]);
  });

  test("and went meanwhile is removed once all files are read", async () => {
    const rig = await after(A);
    await rig.left("q", { removed: true });
    await rig.left("r", { removed: true, errors: ["it was bad"] });
    await rig.left("new", {});
    await rig.save(of("other", "c.yaml"));
    await rig.files.firstReadingDone();
    expect(rig.said()).toEqual([
      "p is removed with /s/a.yaml",
      "r is removed with no file",
      "new is removed with no file",
    ]);
  });

  test("is not removed where it tells of a file that claims another's name", async () => {
    const rig = await after(A);
    await rig.save(A, B);
    await rig.files.firstReadingDone();
    expect(rig.said()).toEqual([]);
  });

  test("is kept no more once its file is removed", async () => {
    const rig = await after(A);
    await rig.save(A);
    expect(rig.kept("p")).toMatchObject({ file: "/s/a.yaml" });
    await rig.rid("/s/a.yaml");
    expect(rig.kept("p")).toBeUndefined();
  });

  test("stands for its file's name, but not where it was removed", async () => {
    const rig = await after(A);
    await rig.left("q", { removed: true, digest: "d", file: "/s/old.yaml" });
    expect(await rig.save("/s/old.yaml")).toEqual(["old is refused /s/old.yaml"]);
    expect(await rig.save("/s/a.yaml")).toEqual(["p is restored", "p is refused /s/a.yaml"]);
  });
});
