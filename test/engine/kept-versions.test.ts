/** Which version of a pipeline the next daemon puts in force again, and how it is kept for that. */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PIECE_LENGTH } from "../../src/core/json-pieces.ts";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import { KeptVersions, type ReadLarge } from "../../src/engine/kept-versions.ts";
import type { PipelineDesk } from "../../src/engine/pipeline-desk.ts";
import { silentLog } from "../../src/log.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { snapshotOf, stepSpec } from "../support/given-run.ts";
import { tempRoot } from "../support/temp-root.ts";

function rig(readLarge?: ReadLarge) {
  const { root } = tempRoot();
  const said: string[] = [];
  const log = { ...silentLog, warn: (_: object, text: string) => void said.push(text) };
  const kept = new KeptVersions(root, log, readLarge);
  const path = join(root, "in-force", "p.json");
  const restored: LoadedPipeline[] = [];
  /** What is put in force where the ledger says this. */
  const restore = async (digest?: string, more: object = {}): Promise<number> => {
    restored.length = 0;
    const desk = {
      name: "p",
      loaded: undefined,
      state: { removed: false, digest, ...("removed" in more ? more : {}) },
      restore: async (loaded: LoadedPipeline) => void restored.push(loaded),
      ...more,
    };
    await kept.restore(desk as unknown as PipelineDesk);
    return restored.length;
  };
  return { kept, path, restore, restored, said, text: () => readFileSync(path, "utf8") };
}

const P = pipelineOf("p", []);
/** A version that is written a piece in each turn. */
const LARGE = pipelineOf("p", [], {
  template: snapshotOf(
    Array.from({ length: 40 }, (_, n) => stepSpec(`step${n}`, { env: { X: "x".repeat(9_000) } })),
  ),
});

describe("the version that was kept", () => {
  it("is put in force where the ledger says that it is in force, and nowhere else", async () => {
    const { kept, restore, restored } = rig();
    expect(await restore(P.digest)).toBe(0);
    await kept.keep(P);
    expect(await restore(P.digest)).toBe(1);
    expect(restored).toEqual([JSON.parse(JSON.stringify(P))]);
    expect(await restore("another")).toBe(0);
    expect(await restore(undefined)).toBe(0);
    expect(await restore(P.digest, { loaded: P })).toBe(0);
    expect(await restore(P.digest, { removed: true })).toBe(0);
    kept.forget("p");
    expect(await restore(P.digest)).toBe(0);
    // Nothing is there to forget.
    kept.forget("p");
  });

  it.each<[string, (text: string) => string]>([
    ["is of another pipeline", () => JSON.stringify({ ...P, name: "q" })],
    ["is cut", (text) => text.slice(0, -1)],
    ["has more at its end", (text) => `${text}}`],
  ])("is none where it %s", async (_, other) => {
    const { kept, path, restore, text } = rig();
    await kept.keep(P);
    writeFileSync(path, other(text()));
    expect(await restore(P.digest)).toBe(0);
    // It is written again where the version comes into force.
    await kept.keep(P);
    expect(await restore(P.digest)).toBe(1);
  });

  it("is read beside this thread only where it is large", async () => {
    const read: string[] = [];
    const { kept, path, restore, text } = rig(async (file) => {
      read.push(file);
      return P;
    });
    await kept.keep(P);
    const blank = " ".repeat(PIECE_LENGTH - text().length);
    writeFileSync(path, text() + blank);
    expect([await restore(P.digest), read]).toEqual([1, []]);
    writeFileSync(path, `${text()} `);
    expect([await restore(P.digest), read]).toEqual([1, [path]]);
  });
});

describe("a version is kept", () => {
  it.each([P, LARGE])("and not written again where it is the same", async (version) => {
    const { kept, path, text } = rig();
    await kept.keep(version);
    expect(text()).toBe(JSON.stringify(version));
    const { ino } = statSync(path);
    await kept.keep(version);
    expect(statSync(path).ino).toBe(ino);
    await kept.keep({ ...version, tags: ["new"] });
    expect(JSON.parse(text())).toMatchObject({ tags: ["new"] });
  });

  it("after the one before it, however large that one is", async () => {
    const { kept, text } = rig();
    const both = [kept.keep(LARGE), kept.keep(P)];
    await Promise.all(both);
    expect(text()).toBe(JSON.stringify(P));
  });

  it("or the log says that it could not be; the next one is kept", async () => {
    const { kept, path, said, text } = rig();
    mkdirSync(`${path}.new`);
    await kept.keep(P);
    expect(said).toEqual(["the version of p in force could not be kept for the next daemon"]);
    rmSync(`${path}.new`, { recursive: true });
    // A folder that has its name is moved out of the way.
    mkdirSync(path);
    await kept.keep(P);
    expect([said.length, text()]).toEqual([1, JSON.stringify(P)]);
  });
});
