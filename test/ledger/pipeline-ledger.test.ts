import {
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { PipelineEvent, PipelineLine } from "../../src/core/event.ts";
import { evolvePipeline } from "../../src/core/pipeline-fold.ts";
import { emptyPipelineState, type PipelineState } from "../../src/core/pipeline-state.ts";
import { systemDisk } from "../../src/disk/disk.ts";
import { LedgerClosed, LedgerFailed, LedgerFormatError } from "../../src/ledger/ledger-error.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { readLedger, readTail } from "../../src/ledger/ledger-reader.ts";
import { PipelineLedger, type PipelineLedgerOptions } from "../../src/ledger/pipeline-ledger.ts";
import { collectGarbage, haveOneShape } from "../support/held-memory.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { diskError, faultyDisk } from "../disk/faulty-disk.ts";
import { calm } from "./sample-ledgers.ts";

const T0 = Date.UTC(2026, 10, 23, 2);
const iso = (n: number): string => new Date(T0 + n * 1_000).toISOString();
const loaded: PipelineEvent = {
  type: "pipeline.loaded",
  digest: "d",
  schedules: [{ cron: "* * * * * *" }],
  tz: "UTC",
  tzdata: "2026c",
};
const fired = (n: number): PipelineEvent => ({
  type: "slot.fired",
  slot: iso(n),
  run: `p@${n}`,
  through: iso(n),
});
const ended = (n: number): PipelineEvent => ({
  type: "run.finished",
  run: `p@${n}`,
  status: "completed",
  durationMs: 1,
});

const open = (runs: string, more: Partial<PipelineLedgerOptions> = {}): Promise<PipelineLedger> =>
  PipelineLedger.open(runs, "p", { ...calm<PipelineEvent>(), ...more });

/** A state without its counts of lines, which a fold from a checkpoint cannot know. */
const facts = (state: PipelineState): unknown => ({
  ...state,
  lastSeq: 0,
  linesSinceCheckpoint: 0,
});

function foldOf(path: string): PipelineState {
  return readLedger<PipelineEvent>(path).lines.reduce(
    (state, line) => evolvePipeline(state, line),
    emptyPipelineState(),
  );
}

describe("a pipeline's ledger", () => {
  it("begins with the first event, its format, and a checkpoint", async () => {
    const { runs } = tempRoot();
    const ledger = await open(runs);
    expect([ledger.lastSeq, readdirSync(runs)]).toEqual([0, []]);
    const lines = await ledger.append([loaded, fired(1)]);
    expect(lines.map(({ seq, type }) => [seq, type])).toEqual([
      [1, "pipeline.loaded"],
      [3, "slot.fired"],
    ]);
    expect(readWholeLedger(ledger.path).map(({ type, format }) => [type, format])).toEqual([
      ["pipeline.loaded", 1],
      ["pipeline.checkpoint", 1],
      ["slot.fired", undefined],
    ]);
    expect(ledger.state.through).toBe(T0 + 1_000);
    expect([...ledger.state.active.keys()]).toEqual(["p@1"]);
    await ledger.close();
    await expect(ledger.append([loaded])).rejects.toThrow(LedgerClosed);
  });

  it("is created once, though many append to it at first", async () => {
    const { runs } = tempRoot();
    const ledger = await open(runs);
    const lines = await Promise.all([
      ledger.append([loaded]),
      ledger.append([fired(1)]),
      ledger.append([fired(2)]),
      ledger.append([]),
    ]);
    expect(lines.map(([line]) => line?.type)).toEqual([
      "pipeline.loaded",
      "slot.fired",
      "slot.fired",
      undefined,
    ]);
    expect(readWholeLedger(ledger.path)).toHaveLength(4);
    await ledger.close();
  });

  it("holds nothing of its first lines but what its state has", async () => {
    const { runs } = tempRoot();
    const ledger = await open(runs);
    const given = await (async () => {
      const events = [structuredClone(loaded), fired(1)];
      await ledger.append(events);
      return new WeakRef(events);
    })();
    await ledger.append([ended(1)]);
    collectGarbage();
    expect(given.deref()).toBeUndefined();
    expect(ledger.lastSeq).toBe(4);
    await ledger.close();
  });

  it("has options of one shape with all others", async () => {
    const spy = vi.spyOn(LedgerFile, "create");
    onTestFinished(() => spy.mockRestore());
    for (let n = 0; n < 20; n += 1) {
      const ledger = await open(tempRoot().runs);
      await ledger.append([loaded]);
      await ledger.close();
    }
    expect(spy).toHaveBeenCalledTimes(20);
    expect(haveOneShape(spy.mock.calls.map((call) => call[2]))).toBe(true);
  });

  it("belongs to one process while it is open", async () => {
    const { runs } = tempRoot();
    const ledger = await open(runs);
    const told: Error[] = [];
    const another = (): Promise<PipelineLedger> =>
      open(runs, { onFatal: (error) => void told.push(error) });
    await ledger.append([loaded]);
    await expect(another()).rejects.toThrow(
      new RegExp(
        "^Opening .*pipeline\\.jsonl failed: another process has it open to write it; " +
          "find it with `fuser` and end it\\.",
      ),
    );
    await ledger.close();
    const next = await open(runs);
    await expect(another()).rejects.toThrow(LedgerFailed);
    expect(told).toHaveLength(2);
    await next.close();
  });

  it("changes its state only with durable lines, before a caller that waits goes on", async () => {
    const { runs } = tempRoot();
    const disk = faultyDisk();
    const ledger = await open(runs, { disk });
    await ledger.append([loaded]);
    disk.before = (call) => {
      if (call === "fdatasync") expect(ledger.state.active.size).toBe(0);
      return undefined;
    };
    const written = ledger.append([fired(1)]).then(() => ledger.state.active.size);
    expect(await written).toBe(1);
    await ledger.close();
  });

  it("has a checkpoint every few lines, and each holds all of the lines before it", async () => {
    const batches = fc.array(
      fc.array(
        fc
          .nat(40)
          .chain((n) =>
            fc.constantFrom(fired(n), ended(n), { type: "pipeline.paused" } as PipelineEvent),
          ),
        { minLength: 1, maxLength: 7 },
      ),
      {
        minLength: 1,
        maxLength: 20,
      },
    );
    await fc.assert(
      fc.asyncProperty(batches, fc.boolean(), async (all, atOnce) => {
        const { runs } = tempRoot();
        const ledger = await open(runs, { checkpointLines: 8 });
        await ledger.append([loaded]);
        if (atOnce) await Promise.all(all.map((events) => ledger.append(events)));
        else for (const events of all) await ledger.append(events);
        await ledger.close();
        const { lines } = readLedger<PipelineEvent>(ledger.path);
        let since = 0;
        let batch = 0;
        const state = emptyPipelineState();
        for (const line of lines) {
          if (line.type === "pipeline.checkpoint") {
            const restored = evolvePipeline(emptyPipelineState(), line);
            expect(facts(restored)).toEqual(facts(state));
            since = 0;
          } else {
            if (line.b !== batch) expect(since).toBeLessThan(8);
            since += 1;
          }
          batch = line.b;
          evolvePipeline(state, line);
        }
        expect(facts(ledger.state)).toEqual(facts(state));
        const reopened = await open(runs);
        expect(facts(reopened.state)).toEqual(facts(state));
        await reopened.close();
      }),
      { numRuns: 40 },
    );
  });

  it("opens without reading further back than the last checkpoint", async () => {
    const { runs } = tempRoot();
    const ledger = await open(runs, { checkpointLines: 8 });
    await ledger.append([loaded]);
    for (let n = 1; n <= 30; n += 1) await ledger.append([fired(n), ended(n)]);
    await ledger.close();
    const bytes = readFileSync(ledger.path);
    writeFileSync(ledger.path, bytes.fill(0x20, 300, 400));
    const reopened = await open(runs);
    expect(reopened.damage).toBeUndefined();
    expect(facts(reopened.state)).toEqual(facts(ledger.state));
    const [line] = await reopened.append([fired(31)]);
    expect(line!.seq).toBe(ledger.lastSeq + 1);
    await reopened.close();
  });

  it("opens in the state of its whole lines, wherever its last write was cut", async () => {
    const { runs } = tempRoot();
    const ledger = await open(runs);
    await ledger.append([loaded]);
    await ledger.append([fired(1)]);
    const size = ledger.size;
    await ledger.append([fired(2), fired(3)]);
    await ledger.close();
    const whole = readFileSync(ledger.path);
    for (let length = size; length <= whole.length; length += 7) {
      writeFileSync(ledger.path, whole.subarray(0, length));
      const expected = facts(foldOf(ledger.path));
      const reopened = await open(runs);
      expect(facts(reopened.state)).toEqual(expected);
      expect(reopened.damage).toBeUndefined();
      await reopened.close();
    }
  });
});

describe("a full one", () => {
  it("gets a dated name, and a new file begins with all that is known", async () => {
    const { runs } = tempRoot();
    const ledger = await open(runs, { rotateBytes: 1_000 });
    await ledger.append([loaded]);
    for (let n = 1; n <= 20; n += 1) await ledger.append([fired(n)]);
    await Promise.all([ledger.append([ended(1)]), ledger.append([ended(2)])]);
    const before = facts(ledger.state);
    await ledger.close();
    const names = readdirSync(join(runs, "p")).toSorted();
    expect(names.length).toBeGreaterThan(2);
    expect(names).toContain("pipeline-2026-11-23.jsonl");
    expect(names).toContain("pipeline-2026-11-23-2.jsonl");
    const all = names.flatMap((name) => readWholeLedger(join(runs, "p", name)));
    expect(
      all
        .filter(({ type }) => type === "slot.fired")
        .map(({ run }) => String(run))
        .toSorted(),
    ).toEqual(Array.from({ length: 20 }, (_, n) => `p@${n + 1}`).toSorted());
    const current = readWholeLedger(ledger.path);
    expect(current.slice(0, 2).map(({ seq, type, format }) => [seq, type, format])).toEqual([
      [1, "pipeline.loaded", 1],
      [2, "pipeline.checkpoint", 1],
    ]);
    const reopened = await open(runs);
    expect(facts(reopened.state)).toEqual(before);
    await reopened.close();
  });

  it("may die at any call of a rotation: each acknowledged line is in one file", async () => {
    let deaths = 0;
    for (let call = 1; ; call += 1) {
      const { runs } = tempRoot();
      const disk = faultyDisk();
      const ledger = await open(runs, { rotateBytes: 1_500, disk, onFatal: () => undefined });
      await ledger.append([loaded]);
      let n = 0;
      while (ledger.size < 1_500) await ledger.append([fired((n += 1)), ended(n)]);
      const before = facts(structuredClone(ledger.state));
      // A dead process calls nothing more, not even to clean up.
      let left = call;
      disk.before = () => ((left -= 1) > 0 ? undefined : diskError("EIO"));
      const lived = await ledger.append([fired(n + 1)]).then(
        () => true,
        () => false,
      );
      disk.die();
      expect(existsSync(ledger.path)).toBe(true);
      // The next daemon may start on another day, which would give the old file another name.
      const after = await open(runs, {
        rotateBytes: 1_500,
        clock: new VirtualClock({ start: T0 + 86_400_000 * 400 }),
      });
      expect(after.damage).toBeUndefined();
      if (after.state.through === T0 + n * 1_000) expect(facts(after.state)).toEqual(before);
      else
        expect([after.state.through, [...after.state.active.keys()]]).toEqual([
          T0 + (n + 1) * 1_000,
          [`p@${n + 1}`],
        ]);
      await after.append([ended(n + 1), fired(n + 2)]);
      await after.close();
      const files = readdirSync(join(runs, "p")).filter((name) => name.endsWith(".jsonl"));
      const ends = files
        .flatMap((name) => readWholeLedger(join(runs, "p", name)))
        .filter(({ type }) => type === "run.finished");
      expect(ends.map(({ run }) => String(run)).toSorted()).toEqual(
        Array.from({ length: n + 1 }, (_, index) => `p@${index + 1}`).toSorted(),
      );
      expect(files.length).toBe(2);
      if (lived) break;
      deaths += 1;
    }
    // The calls: close the old file; create, write and sync the new one aside; give two names; sync
    // the folder; write the first line.
    expect(deaths).toBeGreaterThanOrEqual(8);
  });

  it("may crash between its two names, and later rotates to the same name", async () => {
    const { runs } = tempRoot();
    const ledger = await open(runs, { rotateBytes: 1_500 });
    await ledger.append([loaded]);
    while (ledger.size < 1_500) await ledger.append([fired(1)]);
    await ledger.close();
    linkSync(ledger.path, join(runs, "p", "pipeline-2026-11-23.jsonl"));
    const reopened = await open(runs, { rotateBytes: 1_500 });
    await reopened.append([fired(2)]);
    await reopened.close();
    expect(readdirSync(join(runs, "p")).toSorted()).toEqual([
      "pipeline-2026-11-23.jsonl",
      "pipeline.jsonl",
    ]);
    expect(readWholeLedger(ledger.path).at(-1)).toMatchObject({ type: "slot.fired", run: "p@2" });
  });

  it("is never without a whole pipeline.jsonl", async () => {
    const { runs } = tempRoot();
    const disk = faultyDisk();
    const ledger = await open(runs, { rotateBytes: 1_500, disk });
    await ledger.append([loaded]);
    disk.before = () => {
      const reading = readTail<PipelineEvent>(
        join(runs, "p", "pipeline.jsonl"),
        "pipeline.checkpoint",
      );
      expect(reading.lines.length).toBeGreaterThan(0);
      return undefined;
    };
    for (let n = 1; n <= 12; n += 1) await ledger.append([fired(n)]);
    await ledger.close();
    expect(readdirSync(join(runs, "p")).length).toBeGreaterThan(1);
  });
});

it("a full ledger that somebody removed is put back before it gets its second name", async () => {
  const { runs } = tempRoot();
  const ledger = await open(runs, { rotateBytes: 10 });
  await ledger.append([loaded]);
  rmSync(ledger.path);
  await ledger.append([fired(1)]);
  await ledger.close();
  const [rotated, ...others] = readdirSync(join(runs, "p")).toSorted();
  expect(others).toEqual(["pipeline.jsonl"]);
  const types = [join(runs, "p", rotated!), ledger.path].map((path) =>
    readWholeLedger(path).map(({ type }) => type),
  );
  const begin = ["pipeline.loaded", "pipeline.checkpoint"];
  expect(types).toEqual([begin, [...begin, "slot.fired"]]);
});

it("a state that fits into no line has no checkpoint, and its lines are written", async () => {
  const { runs } = tempRoot();
  const ledger = await open(runs, { checkpointLines: 2 });
  await ledger.append([loaded]);
  const began = Array.from({ length: 5_000 }, (_, n): PipelineEvent => {
    const run = `p@${n}-${"x".repeat(200)}`;
    return { type: "run.started", run };
  });
  await ledger.append(began);
  await ledger.append([fired(1), fired(2)]);
  await ledger.close();
  const types = readWholeLedger(ledger.path).map(({ type }) => type);
  expect(types.slice(-2)).toEqual(["slot.fired", "slot.fired"]);
  const again = await open(runs);
  expect(again.state.active.size).toBe(5_002);
  await again.close();
});

it("a ledger that is closed while it changes its file is closed after that", async () => {
  const { runs } = tempRoot();
  let goOn!: () => void;
  const held = new Promise<void>((resolve) => (goOn = resolve));
  let renames = 0;
  const rename = async (from: string, to: string): Promise<void> => {
    renames += 1;
    await held;
    await systemDisk.rename(from, to);
  };
  const disk = { ...systemDisk, rename };
  const ledger = await open(runs, { rotateBytes: 10, disk });
  await ledger.append([loaded]);
  const late = ledger.append([fired(1)]);
  late.catch(() => undefined);
  await vi.waitFor(() => expect(renames).toBe(1));
  let isOver = false;
  const closed = ledger.close().then(() => (isOver = true));
  await nextTurn();
  expect(isOver).toBe(false);
  goOn();
  await closed;
  await expect(late).rejects.toThrow(LedgerClosed);
  const opened = readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(join(runs, "p/"));
    } catch {
      return false;
    }
  });
  expect(opened).toEqual([]);
});

describe("a damaged one", () => {
  it("is kept aside, and a new one begins with what its good lines say", async () => {
    const { runs } = tempRoot();
    const ledger = await open(runs);
    await ledger.append([loaded]);
    for (let n = 1; n <= 5; n += 1) await ledger.append([fired(n)]);
    await ledger.append([ended(2)]);
    await ledger.close();
    const bytes = readFileSync(ledger.path);
    const place = bytes.indexOf('"p@4"');
    bytes[place + 3] = 0x39;
    writeFileSync(ledger.path, bytes);
    const reopened = await open(runs);
    const keptAs = `${ledger.path}.damaged-1`;
    expect(reopened.damage).toEqual({
      line: 6,
      fault: "its checksum does not match",
      keptAs,
      lastAt: "2026-11-23T02:00:00.000Z",
    });
    expect(reopened.leftAt).toBe("2026-11-23T02:00:00.000Z");
    expect([...reopened.state.active.keys()]).toEqual(["p@1", "p@2", "p@3"]);
    expect(reopened.state.through).toBe(T0 + 3_000);
    expect(readFileSync(keptAs).equals(bytes)).toBe(true);
    await reopened.append([fired(6)]);
    await reopened.close();
    // The next daemon has to read it: what the old one said is lost, and that is known here alone.
    expect(reopened.end).toBeUndefined();
    expect(readWholeLedger(ledger.path).map(({ type }) => type)).toEqual([
      "pipeline.loaded",
      "pipeline.checkpoint",
      "slot.fired",
    ]);
    const again = await open(runs);
    expect([again.damage, facts(again.state)]).toEqual([undefined, facts(reopened.state)]);
    await again.close();
  });

  it("that is empty begins again, and the next damage has the next number", async () => {
    const { runs } = tempRoot();
    const ledger = await open(runs);
    await ledger.append([loaded]);
    await ledger.close();
    for (const n of [1, 2]) {
      truncateSync(ledger.path, 0);
      const reopened = await open(runs);
      expect(reopened.damage).toMatchObject({
        line: 1,
        fault: "it is empty",
        keptAs: `${ledger.path}.damaged-${n}`,
      });
      expect(reopened.state.through).toBeUndefined();
      await reopened.close();
      expect(statSync(ledger.path).size).toBeGreaterThan(0);
    }
  });

  it("is not one that a newer release wrote: that is refused, and not changed", async () => {
    const { runs } = tempRoot();
    const ledger = await open(runs);
    await ledger.append([loaded]);
    await ledger.close();
    const { lines } = readLedger<PipelineLine>(ledger.path);
    expect(lines).toHaveLength(2);
    const newer = await import("../../src/ledger/ledger-file.ts");
    const path = join(runs, "q", "pipeline.jsonl");
    await (
      await newer.LedgerFile.create<PipelineEvent>(path, [{ ...loaded, format: 2 }], calm())
    ).close();
    const bytes = readFileSync(path);
    await expect(PipelineLedger.open(runs, "q", calm())).rejects.toThrow(LedgerFormatError);
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });
});

describe("a failed sync", () => {
  it("is reported, and does not change the state", async () => {
    const { runs } = tempRoot();
    const disk = faultyDisk();
    const fatal: unknown[] = [];
    const ledger = await open(runs, { disk, onFatal: (error) => void fatal.push(error) });
    await ledger.append([loaded]);
    const before = structuredClone(facts(ledger.state));
    disk.before = (call) => (call === "fdatasync" ? diskError("EIO") : undefined);
    await expect(ledger.append([fired(1)])).rejects.toThrow(LedgerFailed);
    expect([fatal.length, facts(ledger.state)]).toEqual([1, before]);
    await ledger.close();
  });
});
