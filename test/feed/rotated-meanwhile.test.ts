/**
 * A ledger is rotated while a feed looks for its place in it: before each single call to the disk
 * that this takes, once or twice. No line is left out, and none is given twice.
 */
import type * as nodeFs from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { FeedPosition } from "../../src/feed/feed-position.ts";
import { FeedReader } from "../../src/feed/feed-reader.ts";
import { tempRoot } from "../support/temp-root.ts";
import { WrittenWorld } from "./written-world.ts";

/** What happens before one of the next calls. */
const seam = vi.hoisted(() => ({ callsLeft: Infinity, act: (): void => undefined }));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof nodeFs>();
  const counted = Object.fromEntries(
    (["openSync", "fstatSync", "readdirSync", "readSync", "statSync"] as const).map((name) => [
      name,
      (...words: unknown[]): unknown => {
        if ((seam.callsLeft -= 1) === 0) seam.act();
        return (fs[name] as (...given: unknown[]) => unknown)(...words);
      },
    ]),
  );
  return { ...fs, ...counted, default: { ...fs, ...counted } };
});

/** The lines that a reader has for one who asks until there is none. */
function linesOf(reader: FeedReader, most = Infinity): string[] {
  reader.stir("p");
  const lines: string[] = [];
  while (lines.length < most) {
    const item = reader.next();
    if (item === undefined) break;
    lines.push(item.raw);
  }
  return lines;
}

interface Moment {
  readonly lines: readonly string[];
  readonly wanted: readonly string[];
  /** Whether so many calls were made. */
  readonly isReached: boolean;
}

/** @param given how many lines were given before @param call before which it is rotated */
function rotatedBefore(runs: string, given: number, rotations: number, call: number): Moment {
  const world = new WrittenWorld(runs);
  world.fire("p");
  world.end("p");
  world.rotate("p");
  world.fire("p");
  world.step("p");
  const before = new FeedReader(world.store, FeedPosition.start, {});
  const lines = linesOf(before, given);
  world.end("p");
  world.fire("p");
  const reader = new FeedReader(world.store, before.position, {});
  seam.act = () => {
    for (let rotation = 0; rotation < rotations; rotation += 1) {
      world.rotate("p");
      world.fire("p");
      world.end("p");
    }
  };
  seam.callsLeft = call;
  lines.push(...linesOf(reader));
  const isReached = seam.callsLeft <= 0;
  seam.callsLeft = Infinity;
  // The kernel tells of each rotation.
  lines.push(...linesOf(reader));
  return { lines, wanted: [...world.standing()].map(({ raw }) => raw), isReached };
}

it.each([
  ["the file in use", 9, 1],
  ["the file in use", 9, 2],
  ["a file that was rotated", 4, 2],
])("gives every line once to who was in %s (%i lines, rotations: %i)", (_, given, rotations) => {
  const { root } = tempRoot();
  let calls = 0;
  for (let isReached = true; isReached;) {
    calls += 1;
    const moment = rotatedBefore(join(root, String(calls)), given, rotations, calls);
    ({ isReached } = moment);
    const { lines, wanted } = moment;
    expect(lines.toSorted(), `rotated before call ${calls}`).toEqual(wanted.toSorted());
  }
  expect(calls).toBeGreaterThan(20);
});
