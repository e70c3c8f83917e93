import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { RunEvent } from "../../src/core/event.ts";
import type { Json } from "../../src/core/snapshot.ts";
import { ArtifactUnusable, isArtifactRef, type ArtifactRef } from "../../src/core/artifact-ref.ts";
import { Artifacts, SPILL_BYTES } from "../../src/ledger/artifacts.ts";
import { needsSpilling, restoreEvent, spillEvent } from "../../src/ledger/spill-event.ts";
import { allOutputs, outputOf } from "../support/outputs.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { diskError, faultyDisk } from "../disk/faulty-disk.ts";
import { header } from "./sample-ledgers.ts";

const long = (bytes: number): string => "x".repeat(bytes);

function artifacts(): { readonly store: Artifacts; readonly folder: string } {
  const folder = join(tempRoot().runs, ".orchd", "artifacts");
  return { store: new Artifacts(folder), folder };
}

describe("an artifact", () => {
  it("gets its name where a folder has it, the daemon's value and the runner's file", async () => {
    const { store, folder } = artifacts();
    const ref = await store.put(long(100));
    const staged = join(folder, ".staged-1");
    for (const put of [() => store.put(long(100)), () => store.adopt({ ref, file: staged })]) {
      renameSync(store.path(ref), staged);
      mkdirSync(join(store.path(ref), "kept"), { recursive: true });
      expect(store.verify(ref)).toBe(false);
      await put();
      expect(store.get(ref)).toBe(long(100));
    }
    expect(readdirSync(`${store.path(ref)}.in-the-way-2`)).toEqual(["kept"]);
  });

  it("is a file named by the hash of its content, and reads back as the value", async () => {
    const { store, folder } = artifacts();
    const value = { text: "ü", list: [1, null, { __proto__: null, a: true }] } as Json;
    const ref = await store.put(value);
    const text = JSON.stringify(value);
    expect(ref).toEqual({
      $artifact: createHash("sha256").update(text).digest("hex"),
      bytes: Buffer.byteLength(text),
    });
    expect(readFileSync(join(folder, ref.$artifact), "utf8")).toBe(text);
    expect(store.get(ref)).toEqual(JSON.parse(text));
    await Promise.all([store.put(value), store.put(value)]);
    expect(readdirSync(folder)).toEqual([ref.$artifact]);
  });

  it("is durable, name included, before a line refers to it", async () => {
    const { folder } = artifacts();
    const disk = faultyDisk();
    const calls: string[] = [];
    disk.before = (call) => void calls.push(call);
    await new Artifacts(folder, {
      clock: systemClock,
      onFatal: (error) => expect.fail(error.message),
      disk,
    }).put("x");
    expect(calls.slice(-7)).toEqual([
      "write",
      "fdatasync",
      "close",
      "rename",
      "open",
      "fsync",
      "close",
    ]);
  });

  it("that a dead process left has a durable name before a line refers to it", async () => {
    const { store, folder } = artifacts();
    const ref = await store.put("x");
    const disk = faultyDisk();
    const calls: string[] = [];
    disk.before = (call) => void calls.push(call);
    const host = { clock: systemClock, onFatal: () => expect.unreachable(), disk };
    const next = new Artifacts(folder, host);
    expect(await next.put("x")).toEqual(ref);
    expect(calls).toEqual(["open", "fsync", "close"]);
    // Once is enough: all others were there as well.
    await next.put("x");
    expect(calls).toHaveLength(3);
  });

  it("that is found while it gets its name waits for the sync of it", async () => {
    const { folder } = artifacts();
    const disk = faultyDisk();
    const over: string[] = [];
    const host = { clock: systemClock, onFatal: () => expect.unreachable(), disk };
    const store = new Artifacts(folder, host);
    let second: Promise<unknown> | undefined;
    disk.before = (call) => {
      over.push(call);
      // It has its name by now.
      if (call === "fsync" && over.includes("rename"))
        second ??= store.put("x").then(() => over.push("second"));
    };
    await store.put("x");
    await second;
    expect(over.slice(-3)).toEqual(["fsync", "close", "second"]);
  });

  it.each(["ENOSPC", "EMFILE"])(
    "waits for room (%s), and is whole once there is room",
    async (code) => {
      const { folder, store } = artifacts();
      const disk = faultyDisk();
      const clock = new VirtualClock();
      const held: boolean[] = [];
      let full = true;
      disk.before = (call) =>
        call === (code === "ENOSPC" ? "write" : "open") && full ? diskError(code) : undefined;
      const put = new Artifacts(folder, {
        clock,
        disk,
        onFatal: (error) => expect.fail(error.message),
        onHeld: (now) => void held.push(now),
      }).put(long(100));
      await clock.until(() => held.length === 1);
      await clock.advance(5_000);
      expect(held).toEqual([true]);
      full = false;
      await clock.until(() => held.length === 2);
      const ref = await put;
      expect(store.get(ref)).toBe(long(100));
      expect(readdirSync(folder)).toEqual([ref.$artifact]);
    },
  );

  it("that a runner wrote is durable, name included, before a line refers to it", async () => {
    const { store, folder } = artifacts();
    const ref = await store.put("x");
    const staged = join(folder, ".staged");
    renameSync(store.path(ref), staged);
    const disk = faultyDisk();
    const calls: string[] = [];
    disk.before = (call, [first]) =>
      void calls.push(`${call} ${typeof first === "string" ? basename(first) : ""}`.trim());
    const host = { clock: systemClock, onFatal: () => expect.unreachable(), disk };
    await new Artifacts(folder, host).adopt({ ref, file: staged });
    expect(calls).toEqual([
      "open .staged",
      "fdatasync",
      "close",
      "rename .staged",
      "open artifacts",
      "fsync",
      "close",
    ]);
  });

  it("whose sync fails ends the writer", async () => {
    const { folder } = artifacts();
    const disk = faultyDisk();
    const fatal: Error[] = [];
    disk.before = (call) => (call === "fdatasync" ? diskError("EIO") : undefined);
    const store = new Artifacts(folder, {
      clock: systemClock,
      disk,
      onFatal: (error) => void fatal.push(error),
    });
    await expect(store.put(long(100))).rejects.toThrow("Nothing more is acknowledged");
    expect(fatal).toHaveLength(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("that is damaged or gone is noticed, and can be put again", async () => {
    const { store, folder } = artifacts();
    const ref = await store.put(long(100));
    const path = join(folder, ref.$artifact);
    const whole = readFileSync(path);
    const spoilings = fc.oneof(
      fc.nat(whole.length - 1).map((length) => () => truncateSync(path, length)),
      fc.record({ at: fc.nat(whole.length - 1), bit: fc.nat(7) }).map(({ at, bit }) => () => {
        const bytes = Buffer.from(whole);
        bytes[at] = bytes[at]! ^ (1 << bit);
        writeFileSync(path, bytes);
      }),
    );
    await fc.assert(
      fc.asyncProperty(spoilings, async (spoil) => {
        spoil();
        expect(store.verify(ref)).toBe(false);
        expect(() => store.get(ref)).toThrow(ArtifactUnusable);
        await store.put(long(100));
        expect(store.verify(ref)).toBe(true);
      }),
      { numRuns: 60 },
    );
    expect(() => store.get({ ...ref, bytes: ref.bytes + 1 })).toThrow("is damaged");
    const gone = { $artifact: "0".repeat(64), bytes: 1 };
    expect(() => store.get(gone)).toThrow(`${store.path(gone)} cannot be read`);
    expect(() => store.get({ $artifact: ref.$artifact.replace(/^./, "z"), bytes: 1 })).toThrow(
      RangeError,
    );
    expect(() => store.path({ $artifact: "../../etc/passwd", bytes: 1 })).toThrow(RangeError);
  });

  it("is made young again before a line refers to it; one that is gone is noticed", async () => {
    const { store } = artifacts();
    const ref = await store.put("x");
    utimesSync(store.path(ref), 1, 1);
    expect(store.verify(ref)).toBe(true);
    expect(statSync(store.path(ref)).mtimeMs).toBe(1_000);
    expect(store.hold(ref)).toBe(true);
    expect(statSync(store.path(ref)).mtimeMs).toBeGreaterThan(1_000_000);
    expect(store.hold({ $artifact: "0".repeat(64), bytes: 3 })).toBe(false);
  });

  it("that is put again is young again, so that retention leaves it", async () => {
    const { store } = artifacts();
    const ref = await store.put("x");
    utimesSync(store.path(ref), 1, 1);
    await store.put("x");
    expect(statSync(store.path(ref)).mtimeMs).toBeGreaterThan(1_000_000);
  });

  it("replaces a value over 64 KiB, counted in bytes, and no shorter one", async () => {
    const { store } = artifacts();
    expect(await store.spill(long(SPILL_BYTES - 2))).toBe(long(SPILL_BYTES - 2));
    expect(isArtifactRef(await store.spill(long(SPILL_BYTES - 1)))).toBe(true);
    expect(isArtifactRef(await store.spill("é".repeat(SPILL_BYTES / 2)))).toBe(true);
  });
});

describe("an event", () => {
  const completed = (outputs: Record<string, Json>): RunEvent => ({
    type: "step.completed",
    step: "a",
    attempt: 1,
    outputs,
    durationMs: 1,
  });

  it("that is short is not changed", async () => {
    const event = completed({ result: long(2_000) });
    expect(needsSpilling(event)).toBe(false);
    expect(await spillEvent(event, artifacts().store)).toBe(event);
  });

  it("keeps short outputs and spills long ones", async () => {
    const { store } = artifacts();
    const spilled = (await spillEvent(completed({ small: 1, big: long(70_000) }), store)) as {
      outputs: Record<string, Json>;
    };
    expect(spilled.outputs["small"]).toBe(1);
    expect(isArtifactRef(spilled.outputs["big"])).toBe(true);
    expect(outputOf(spilled.outputs, "big", store)).toBe(long(70_000));
    expect(outputOf(spilled.outputs, "none", store)).toBeUndefined();
    expect(outputOf(spilled.outputs, "toString", store)).toBeUndefined();
    expect(allOutputs(spilled.outputs, store)).toEqual({ small: 1, big: long(70_000) });
  });

  it("spills all outputs together if there are many", async () => {
    const { store } = artifacts();
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`o${n}`, long(60_000)]));
    const spilled = (await spillEvent(completed({ ...many, big: long(70_000) }), store)) as {
      outputs: Record<string, Json>;
    };
    expect(isArtifactRef(spilled.outputs)).toBe(true);
    expect(outputOf(spilled.outputs, "o7", store)).toBe(long(60_000));
    expect(allOutputs(spilled.outputs, store)).toEqual({ ...many, big: long(70_000) });
  });

  it("takes no value of a step for a reference, and keeps a reference from a ledger", async () => {
    const { store } = artifacts();
    const other = await store.put("other");
    const lookalike = { ...other } as unknown as Json;
    expect(needsSpilling(completed({ result: lookalike }))).toBe(true);
    const spilled = (await spillEvent(completed({ result: lookalike }), store)) as {
      outputs: Record<string, Json>;
    };
    expect(outputOf(spilled.outputs, "result", store)).toEqual(other);
    const cached: RunEvent = {
      type: "step.cached",
      step: "a",
      source: { run: "p@1", step: "a" },
      outputs: { result: lookalike, more: long(3_000) },
      because: "same key",
    };
    expect((await spillEvent(cached, store)).outputs).toEqual(cached.outputs);
    expect(outputOf(cached.outputs, "result", store)).toBe("other");
  });

  it("spills every field that may be long, and can be restored", async () => {
    const { store } = artifacts();
    const big = { text: long(70_000) };
    const event = header("p@20260101T000000Z", { params: big, snapshot: big });
    const spilled = (await spillEvent(event, store)) as unknown as Record<string, Json>;
    expect([isArtifactRef(spilled["params"]), isArtifactRef(spilled["snapshot"])]).toEqual([
      true,
      true,
    ]);
    expect(Buffer.byteLength(JSON.stringify(spilled))).toBeLessThan(1_000);
    expect(restoreEvent(spilled, store)).toEqual(event);
    expect(restoreEvent(event, store)).toBe(event);
    const state: RunEvent = { type: "hook.completed", hook: "init", state: long(70_000) };
    expect(isArtifactRef((await spillEvent(state, store)).state)).toBe(true);
  });

  it("trims its error and its texts, and never spills them", async () => {
    const { store } = artifacts();
    const error = { name: "Error", message: long(100_000), code: "E", stack: long(100_000) };
    const failed = (await spillEvent(
      { type: "step.failed", step: "a", attempt: 1, error, because: long(100_000) },
      store,
    )) as {
      error: typeof error;
      because: string;
    };
    expect(failed.error.message).toBe(`${long(8_192)}… (91808 characters more)`);
    expect([
      failed.error.name,
      failed.error.code,
      failed.error.stack.length < 8_300,
      failed.because.length < 16_500,
    ]).toEqual(["Error", "E", true, true]);
  });

  it("is shorter than a line may be for any outputs, and gives the same outputs back", async () => {
    const { store } = artifacts();
    const value: fc.Arbitrary<Json> = fc.oneof(
      fc.json().map((text) => JSON.parse(text) as Json),
      fc.integer({ min: 60_000, max: 90_000 }).map(long),
      fc.constant({ $artifact: "0".repeat(64), bytes: 1 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), value, { maxKeys: 30 }), async (outputs) => {
        const spilled = (await spillEvent(completed(outputs), store)) as {
          outputs: Record<string, Json>;
        };
        expect(Buffer.byteLength(JSON.stringify(spilled))).toBeLessThan(70_000);
        expect(allOutputs(spilled.outputs, store)).toEqual(outputs);
      }),
      { numRuns: 60 },
    );
  });

  it("holds a reference only if the reference is complete", () => {
    const ref: ArtifactRef = { $artifact: "0".repeat(64), bytes: 3 };
    expect(
      [
        ref,
        { ...ref, more: 1 },
        { $artifact: "0", bytes: 3 },
        { ...ref, bytes: "3" },
        null,
        [],
        "x",
      ].map(isArtifactRef),
    ).toEqual([true, false, false, false, false, false, false]);
  });
});

describe("a frozen value", () => {
  it("is made into text once, and put again if its file has changed", async () => {
    const { store, folder } = artifacts();
    let texts = 0;
    const value = {
      text: long(SPILL_BYTES),
      toJSON: () => ((texts += 1), { text: long(SPILL_BYTES) }),
    } as unknown as Json & object;
    const ref = (await store.spillFrozen(value)) as unknown as ArtifactRef;
    const path = join(folder, ref.$artifact);
    // Retention removes no young one: each line that refers to it makes it young again.
    const now = vi.spyOn(Date, "now");
    onTestFinished(() => now.mockRestore());
    for (const day of [1, 2, 3]) {
      now.mockReturnValue(day * 86_400_000);
      expect(await store.spillFrozen(value)).toEqual(ref);
      expect(statSync(path).mtimeMs).toBe(day * 86_400_000);
    }
    now.mockRestore();
    expect(texts).toBe(1);
    utimesSync(path, 1, 1);
    expect(await store.spillFrozen(value)).toEqual(ref);
    expect(statSync(path).mtimeMs).toBeGreaterThan(1_000_000);
    truncateSync(path, 3);
    expect(await store.spillFrozen(value)).toEqual(ref);
    expect(store.verify(ref)).toBe(true);
    writeFileSync(path, readFileSync(path, "utf8").replaceAll("x", "y"));
    expect(await store.spillFrozen(value)).toEqual(ref);
    expect(store.verify(ref)).toBe(true);
    expect(await store.spillFrozen({ short: true })).toEqual({ short: true });
  });
});

describe("an event that may be too long for its line", () => {
  it("is found by the length of its text, however that was estimated", () => {
    const text = fc.oneof(
      fc.string({ maxLength: 600 }),
      fc.nat(700).map((length) => "\u0000".repeat(length)),
      fc.string({ unit: "grapheme", maxLength: 300 }),
    );
    const value = fc.letrec<{ value: Json }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        text,
        fc.double({ noDefaultInfinity: true, noNaN: true }),
        fc.constant(null),
        fc.boolean(),
        fc.array(tie("value"), { maxLength: 5 }),
        fc.dictionary(text, tie("value"), { maxKeys: 4 }),
      ),
    })).value;
    fc.assert(
      fc.property(fc.dictionary(fc.string(), value, { maxKeys: 3 }), (outputs) => {
        const event: RunEvent = {
          type: "step.completed",
          step: "a",
          attempt: 1,
          outputs,
          durationMs: 1,
        };
        const refers = Object.values(outputs).some(isArtifactRef);
        expect(needsSpilling(event)).toBe(refers || JSON.stringify(event).length * 3 > 8_192);
      }),
      { numRuns: 500 },
    );
  });
});
