/** Files that take long to be loaded, and who waits for them. */
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PipelineFiles } from "../../src/engine/pipeline-files.ts";
import type { PipelineDesk } from "../../src/engine/pipeline-desk.ts";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import type { LoadResult } from "../../src/schedules/load-file.ts";
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

  constructor(orchdDir = tempRoot().root) {
    const desks = new Map<string, PipelineDesk>();
    this.files = new PipelineFiles({
      clock: this.clock,
      log: { ...silentLog, error: (_, message) => void this.logged.push(message) },
      orchdDir,
      load: (path, signal) => this.#load(path, signal),
      desk: (name) => {
        if (!desks.has(name)) desks.set(name, this.#desk(name));
        return Promise.resolve(desks.get(name)!);
      },
      desks: () => desks.values(),
      known: (name) => desks.get(name),
      unlessAside: (_, work) => work,
      watch: () => undefined,
    });
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

  #load(path: string, signal: AbortSignal): Promise<LoadResult> {
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

  #desk(name: string): PipelineDesk {
    const desk = {
      name,
      loaded: undefined as LoadedPipeline | undefined,
      state: { removed: false, errors: [] },
      load: (loaded: LoadedPipeline) => {
        desk.loaded = loaded;
        this.inForce.set(name, loaded);
        return Promise.resolve();
      },
      invalid: (errors: readonly string[]) => {
        this.recorded.push(errors);
        return Promise.resolve();
      },
      remove: () => Promise.resolve(),
    };
    return desk as unknown as PipelineDesk;
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
