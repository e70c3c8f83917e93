/**
 * Promise 27: whatever happens to the store (ledgers, artifacts, index), a lookup gives exactly
 * what the step gave, or it is a miss.
 */
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { RunEvent, RunLine } from "../../src/core/event.ts";
import { evolve } from "../../src/core/run-fold.ts";
import type { RunState } from "../../src/core/run-state.ts";
import type { Json } from "../../src/core/snapshot.ts";
import type { ArtifactRef } from "../../src/core/artifact-ref.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import { CacheIndex } from "../../src/ledger/cache-index.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { ResultCache, type CacheAnswer } from "../../src/run/result-cache.ts";
import { snapshotOf, stepSpec } from "../support/given-run.ts";
import { reached, trials } from "../support/figures.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { calm } from "../ledger/sample-ledgers.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";

const RUNS = 4;
const keyOf = (n: number): string => createHash("sha256").update(`key ${n}`).digest("hex");
/**
 * Every second value is too long for a line. The others are most of their lines, so that damage
 * hits them.
 */
const valueOf = (n: number): Json => ({ n, text: `${n}`.repeat(n % 2 === 0 ? 2_000 : 70_000) });

/** Makes four runs with a completed step each; every second result is an artifact. */
async function makeStore(runs: string): Promise<void> {
  const store = new RunStore(runs);
  const artifacts = new Artifacts(store.artifacts);
  const index = new CacheIndex(store.cache);
  for (let n = 0; n < RUNS; n += 1) {
    const run = `p@2026112${n}T020000Z`;
    const header: RunEvent = {
      type: "run.submitted",
      format: 1,
      run,
      pipeline: "p",
      orchestratorRunId: run,
      trigger: { kind: "schedule" },
      params: {},
      snapshot: snapshotOf([stepSpec("a")], { name: "p" }),
      tags: [],
    };
    const events: RunEvent[] = [
      header,
      { type: "run.started", because: "due" },
      { type: "step.started", step: "a", attempt: 1, cacheKey: keyOf(n), because: "ready" },
      {
        type: "step.completed",
        step: "a",
        attempt: 1,
        outputs: { result: await artifacts.spill(valueOf(n)) },
        durationMs: 1,
      },
      { type: "run.finished", status: "completed", because: "all steps ended well", durationMs: 1 },
    ];
    const file = await LedgerFile.create<RunEvent>(store.runLedger(run), [events[0]!], calm());
    for (const event of events.slice(1)) await file.append([event]);
    await file.close();
    index.record(keyOf(n), { run, step: "a", at: `2026-11-2${n}T02:00:00.000Z` });
  }
  await index.close();
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .toSorted();
}

/** A store's files, opened to look up results. */
interface Opened {
  readonly index: CacheIndex;
  readonly store: RunStore;
  readonly artifacts: Artifacts;
}

type Lookup = (key: string) => CacheAnswer;

const checked = ({ index, store, artifacts }: Opened): Lookup => {
  const cache = ResultCache.of({ cacheIndex: index, runStore: store, artifacts });
  return (key) => cache.lookup(key, undefined, Date.parse("2026-11-25T00:00:00Z"));
};

/**
 * Damages copies of one store, and asks each for every result.
 *
 * @returns how many stores gave no false hit, and how many true hits there were
 */
async function play(
  mutants: number,
  lookupIn: (opened: Opened) => Lookup,
  artifactsOf = (path: string) => new Artifacts(path),
) {
  const { root, runs } = tempRoot();
  await makeStore(runs);
  const dice = new VirtualClock({ seed: 27 });
  const upTo = (most: number): number => Math.floor(dice.random() * most);
  let truthful = 0;
  let hits = 0;
  for (let mutant = 0; mutant < mutants; mutant += 1) {
    const copy = join(root, `m${mutant}`);
    mkdirSync(copy);
    cpSync(runs, copy, { recursive: true });
    for (let change = 0; change <= upTo(3); change += 1) {
      const files = filesBelow(copy);
      const path = files[upTo(files.length)]!;
      const bytes = readFileSync(path);
      const at = upTo(Math.max(1, bytes.length));
      const act = upTo(5);
      if (act === 0) rmSync(path);
      else if (act === 1) writeFileSync(path, bytes.subarray(0, at));
      else if (act === 2 && bytes.length > 0) {
        bytes[at] = bytes[at]! ^ (1 << upTo(8));
        writeFileSync(path, bytes);
      } else if (act === 3) writeFileSync(path, readFileSync(files[upTo(files.length)]!));
      else writeFileSync(path, Buffer.concat([bytes.subarray(0, at), bytes]));
    }
    const store = new RunStore(copy);
    const artifacts = artifactsOf(store.artifacts);
    const index = new CacheIndex(store.cache);
    const lookup = lookupIn({ index, store, artifacts });
    const gaveTruth = (n: number): boolean => {
      const answer = lookup(keyOf(n));
      if (!("hit" in answer)) return true;
      hits += 1;
      try {
        return (
          JSON.stringify(artifacts.resolve(answer.hit.outputs["result"]!)) ===
          JSON.stringify(valueOf(n))
        );
      } catch {
        return false;
      }
    };
    if (Array.from({ length: RUNS }, (_, n) => gaveTruth(n)).every(Boolean)) truthful += 1;
    await index.close();
    rmSync(copy, { recursive: true });
  }
  return { truthful, hits };
}

it("a damaged store gives what the step gave, or nothing", { timeout: 3_600_000 }, async () => {
  const mutants = trials(60, 5_000);
  const { truthful, hits } = await play(mutants, checked);
  reached(27, `mutated stores without a false hit (${hits} true ones)`, truthful, mutants);
  expect(truthful).toBe(mutants);
  expect(hits).toBeGreaterThan(0);
});

describe("the test sees a false hit", () => {
  const MUTANTS = 60;

  it("where an artifact is not checked against its name", async () => {
    class Believed extends Artifacts {
      override verify = (ref: ArtifactRef): boolean => existsSync(this.path(ref));
      override get = (ref: ArtifactRef): Json =>
        JSON.parse(readFileSync(this.path(ref), "utf8")) as Json;
    }
    const { truthful } = await play(MUTANTS, checked, (path) => new Believed(path));
    expect(truthful).toBeLessThan(MUTANTS);
  });

  it("where ledgers are read without their checksums", async () => {
    class Unchecked extends ResultCache {
      readonly #store: RunStore;
      constructor({ index, store, artifacts }: Opened) {
        super({ index, store, artifacts });
        this.#store = store;
      }
      override stateOf(run: string): RunState | undefined {
        try {
          const lines = readFileSync(this.#store.runLedger(run), "utf8").trim().split("\n");
          return lines.reduce<RunState | undefined>(
            (state, line) => evolve(state, JSON.parse(line) as RunLine),
            undefined,
          );
        } catch {
          return undefined;
        }
      }
    }
    const { truthful } = await play(MUTANTS, (opened) => {
      const cache = new Unchecked(opened);
      return (key) => cache.lookup(key, undefined, Date.parse("2026-11-25T00:00:00Z"));
    });
    expect(truthful).toBeLessThan(MUTANTS);
  });

  it("where the index is believed and the producer's key is not compared", async () => {
    const { truthful } = await play(MUTANTS, ({ index, store, artifacts }) => {
      const cache = ResultCache.of({ cacheIndex: index, runStore: store, artifacts });
      return (key) => {
        for (const { run, step } of index.lookup(key)) {
          const outputs = cache.stateOf(run)?.steps.get(step)?.outputs;
          if (outputs !== undefined) return { hit: { source: { run, step }, outputs } };
        }
        return { miss: undefined };
      };
    });
    expect(truthful).toBeLessThan(MUTANTS);
  });
});
