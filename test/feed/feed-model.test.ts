/**
 * Promise 42: what feeds give is compared with what stands in the ledgers, over any sequence of
 * appends, torn writes, rotations, prunes, repairs, removals and returns, of readers that are slow,
 * and of readers that are killed and go on from their position.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { expect, it } from "vitest";
import { FeedHub } from "../../src/feed/feed-hub.ts";
import type { Feed, FeedLine, FeedScope } from "../../src/feed/feed-line.ts";
import { reached, trials } from "../support/figures.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { WrittenWorld } from "./written-world.ts";

/** A reader, and what it was given in all its lives. */
class Reader {
  readonly given = new Set<string>();
  readonly #world: WrittenWorld;
  readonly #scope: FeedScope;
  /** What this reader says was wrong. */
  readonly faults: string[] = [];
  /** For each ledger, the last line that was given. */
  readonly #last = new Map<string, number>();
  readonly #told = new Set<string>();
  readonly #from: number;
  #feed: Feed;
  #lines: AsyncIterator<FeedLine>;
  #next: Promise<IteratorResult<FeedLine>> | undefined;
  #position: string;

  constructor(world: WrittenWorld, hub: FeedHub, scope: FeedScope) {
    this.#world = world;
    this.#scope = scope;
    this.#from = world.lines;
    this.#feed = hub.subscribe(scope);
    this.#lines = this.#feed[Symbol.asyncIterator]();
    this.#position = this.#feed.position;
  }

  /** The process ends, and another one goes on. */
  kill(hub: FeedHub): void {
    this.#feed.close();
    this.#next = undefined;
    this.#feed = hub.subscribe({ ...this.#scope, from: this.#position });
    this.#lines = this.#feed[Symbol.asyncIterator]();
    if (this.#feed.position.split(";")[1] === undefined) this.faults.push("no position");
  }

  /** Takes what there is, or so many lines. */
  async take(most: number): Promise<void> {
    for (let taken = 0, idle = 0; taken < most && idle < 8;) {
      this.#next ??= this.#lines.next();
      const result = await Promise.race([this.#next, nextTurn(undefined)]);
      if (result === undefined) {
        idle += 1;
        continue;
      }
      idle = 0;
      taken += 1;
      this.#next = undefined;
      if (result.done === true) return void this.faults.push("the feed ended");
      this.#got(result.value);
    }
  }

  #got({ raw, line, run, pipeline, file, seq, position }: FeedLine): void {
    this.#position = position;
    const stood = this.#world.stood.get(raw);
    if (stood === undefined) return void this.faults.push(`never stood: ${raw}`);
    if (this.given.has(raw)) this.faults.push(`twice: ${file} ${raw}`);
    this.given.add(raw);
    const { ledger, nth } = stood;
    if (nth <= (this.#last.get(ledger) ?? 0)) this.faults.push(`out of order: ${raw}`);
    this.#last.set(ledger, nth);
    if (ledger !== (run ?? pipeline) || stood.pipeline !== pipeline || line["seq"] !== seq)
      this.faults.push(`another ledger: ${file}:${seq} ${raw}`);
    if (run === undefined && typeof line["run"] === "string") this.#told.add(line["run"]);
    if (this.#scope.pipeline !== undefined && this.#scope.pipeline !== pipeline)
      this.faults.push(`not asked for: ${raw}`);
  }

  /** After all was taken: what stands and was not given. */
  check(): void {
    for (const { ledger, run, raw } of this.#world.standing()) {
      const { nth, pipeline } = this.#world.stood.get(raw)!;
      if (nth <= this.#from || this.given.has(raw)) continue;
      if (this.#scope.pipeline !== undefined && this.#scope.pipeline !== pipeline) continue;
      // Nothing tells of a run any more whose beginning and end were pruned.
      if (run !== undefined && !this.#world.isActive(run) && !this.#told.has(run)) continue;
      this.faults.push(`left out of ${ledger}: ${raw}`);
    }
  }
}

const names = fc.constantFrom("a", "b", "c");
const small = fc.nat({ max: 6 });
/** What is done, some of it more often. */
const ACTS = (
  "fire fire fire step step step end end rotate damage repair cutBack tear complete writeAgain " +
  "prune putBack move remove moveRoot take take take few kill kill killAll"
).split(" ");
const acts = fc.array(
  fc.record({ act: fc.constantFrom(...ACTS), name: names, ofRun: fc.boolean(), small }),
  { minLength: 10, maxLength: 60 },
);
type Act = (typeof acts extends fc.Arbitrary<infer T> ? T : never)[number];

function write(world: WrittenWorld, { act, name, ofRun, small: count }: Act): void {
  if (act === "moveRoot") return world.moveRoot();
  if (world.isRootAway) return;
  switch (act) {
    case "step":
      return world.step(name, 1 + (count % 3));
    case "damage":
    case "repair":
      return world[act](name, count);
    case "cutBack":
      return world.cutBack(name, ofRun, 1 + count);
    case "tear":
      return world.tear(name, ofRun, count % 3);
    case "complete":
    case "writeAgain":
      return world[act](name, ofRun);
    case "fire":
    case "end":
    case "rotate":
    case "prune":
    case "putBack":
    case "move":
    case "remove":
      return world[act](name);
    default:
      return undefined;
  }
}

let sequences = 0;

async function runSequence(steps: readonly Act[]): Promise<void> {
  const runs = join(tempRootOfTest, `runs-${(sequences += 1)}`);
  const world = new WrittenWorld(runs);
  const clock = new VirtualClock();
  const options = { clock, mostWatches: 0, mostQueued: 6 };
  let hub = new FeedHub(world.store, options);
  world.fire("a");
  world.fire("b");
  const attentive = new Reader(world, hub, {});
  const one = new Reader(world, hub, { pipeline: "a" });
  const slow = new Reader(world, hub, {});
  const killed = new Reader(world, hub, {});
  const readers = [attentive, one, slow, killed];
  const look = (): Promise<void> => clock.advance(1_000);
  try {
    for (const step of steps) {
      write(world, step);
      if (["killAll", "kill"].includes(step.act) && !world.isRootAway) {
        if (step.act === "killAll") {
          hub.close();
          hub = new FeedHub(world.store, options);
          for (const reader of readers) reader.kill(hub);
        } else killed.kill(hub);
      }
      await look();
      await attentive.take(Infinity);
      await one.take(Infinity);
      if (step.act === "take") await killed.take(Infinity);
      if (step.act === "few") {
        await killed.take(step.small);
        await slow.take(step.small);
      }
      if (!world.isRootAway) {
        attentive.check();
        one.check();
        if (step.act === "take") killed.check();
      }
    }
    if (world.isRootAway) world.moveRoot();
    for (const [name, { isAway }] of world.pipelines) if (isAway) world.move(name);
    await look();
    for (const reader of readers) {
      await reader.take(Infinity);
      reader.check();
    }
    const faults = readers.flatMap((reader, nth) =>
      reader.faults.map((fault) => `${nth}: ${fault}`),
    );
    expect(faults).toEqual([]);
  } finally {
    hub.close();
    rmSync(runs, { recursive: true, force: true });
    for (const end of ["", "-a", "-b", "-c"])
      rmSync(`${runs}-away${end}`, { recursive: true, force: true });
  }
}

let tempRootOfTest = "";

it("gives every line once, whole and in order", { timeout: 3_600_000 }, async () => {
  tempRootOfTest = tempRoot().root;
  const wanted = trials(75, 10_000);
  const result = await fc.check(fc.asyncProperty(acts, runSequence), { numRuns: wanted });
  const good = result.failed ? result.numRuns - 1 : wanted;
  reached(42, "sequences in which each reader got each line once", good, wanted);
  const { errorInstance: cause } = result;
  if (result.failed) throw new Error(fc.defaultReportMessage(result), { cause });
  expect(good).toBe(wanted);
});
