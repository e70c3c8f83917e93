/** What places said of themselves: written when it changes, bounded, and read back. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import type { PlaceReport } from "../../src/core/place-report.ts";
import {
  LONGEST_GAP_MS,
  MOST_BYTES,
  PlaceHistory,
  SHORTEST_GAP_MS,
} from "../../src/ledger/place-history.ts";
import { readPlaces } from "../../src/ledger/place-lines.ts";
import { daemonsSeen } from "../../src/ledger/daemon-history.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const local: PlaceReport = { place: "local", engine: "local", labels: ["local"], hosts: [] };
const gpu = (because?: string): PlaceReport => ({
  place: "gpu1",
  engine: "ssh",
  labels: ["gpu1", "gpu"],
  hosts: [{ host: "gpu1.lan", labels: [], threads: 4 }],
  ...(because === undefined ? {} : { because }),
});

interface Rig {
  readonly dir: string;
  readonly path: string;
  readonly clock: VirtualClock;
  /** The lines of the file. */
  lines(): Record<string, unknown>[];
  /** Says other things from now on. */
  say(...reports: readonly PlaceReport[]): void;
  open(epoch?: number): PlaceHistory;
}

function rig(): Rig {
  const dir = join(tempRoot().runs, ".orchd");
  mkdirSync(dir, { recursive: true });
  const path = join(dir, "places.jsonl");
  const clock = new VirtualClock({ turns: 40 });
  let said: readonly PlaceReport[] = [local];
  return {
    dir,
    path,
    clock,
    lines: () =>
      (existsSync(path) ? readFileSync(path, "utf8") : "")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    say: (...reports) => void (said = reports),
    open: (epoch = 1) => new PlaceHistory({ orchdDir: dir, clock, epoch, reports: () => said }),
  };
}

it("writes what changed, and no line where nothing did", async () => {
  const { dir, clock, lines, say, open } = rig();
  const history = open();
  history.look();
  await clock.settle();
  say(local, gpu());
  history.look();
  history.look();
  await clock.until(() => lines().length >= 2);
  expect(lines()).toEqual([
    { at: "2026-11-23T02:00:00.000Z", type: "place.changed", epoch: 1, ...local },
    { at: "2026-11-23T02:00:00.000Z", type: "place.changed", epoch: 1, ...gpu() },
  ]);
  await clock.advance(LONGEST_GAP_MS * 2);
  history.look();
  await clock.settle();
  expect(lines()).toHaveLength(2);
  say(local);
  history.look();
  await clock.until(() => lines().length > 2);
  expect(lines().at(-1)).toMatchObject({ type: "place.removed", place: "gpu1" });
  expect(readPlaces(dir).map(({ place }) => place)).toEqual(["local"]);
  say(local, gpu());
  history.look();
  await history.close();
  expect(readPlaces(dir).map(({ place }) => place)).toEqual(["local", "gpu1"]);
  expect(clock.timers).toBe(0);
});

it("writes what a place says when its own wait is over, whatever another waits for", async () => {
  const { clock, lines, say, open } = rig();
  const history = open();
  // A write is off the thread, and no clock waits for it.
  const written = async (count: number): Promise<void> => {
    await vi.waitFor(() => expect(lines()).toHaveLength(count));
    await clock.settle();
  };
  history.look();
  await written(1);
  await clock.advance(SHORTEST_GAP_MS / 2);
  say(local, gpu());
  history.look();
  await written(2);
  say({ ...local, labels: ["local", "big"] }, gpu("gpu1.lan does not answer"));
  history.look();
  await clock.advance(SHORTEST_GAP_MS / 2);
  await written(3);
  expect(lines().slice(2)).toMatchObject([
    { place: "local", labels: ["local", "big"], at: "2026-11-23T02:00:02.000Z" },
  ]);
  await clock.advance(SHORTEST_GAP_MS / 2);
  await written(4);
  expect(lines()[3]).toMatchObject({ place: "gpu1", at: "2026-11-23T02:00:03.000Z" });
  await history.close();
});

it("says again after a restart only what is not so any more", async () => {
  const { clock, lines, say, open } = rig();
  say(local, gpu());
  const first = open();
  first.look();
  await first.close();
  say(local, gpu("gpu1.lan does not answer"));
  const second = open(2);
  second.look();
  await second.close();
  expect(lines().map(({ epoch, place }) => [epoch, place])).toEqual([
    [1, "local"],
    [1, "gpu1"],
    [2, "gpu1"],
  ]);
  expect(clock.timers).toBe(0);
});

it("a host that flaps does not flood: its newest state is written, ever more seldom", async () => {
  const { clock, lines, say, open } = rig();
  const history = open();
  const hour = 3_600_000;
  for (let ms = 0; ms < hour; ms += 500) {
    say(local, gpu(ms % 1_000 === 0 ? undefined : "it does not answer"));
    history.look();
    await clock.advance(500);
  }
  const count = lines().length;
  expect(count).toBeGreaterThan(20);
  expect(count).toBeLessThan(hour / LONGEST_GAP_MS + 10);
  say(local, gpu("the last word"));
  history.look();
  await clock.advance(LONGEST_GAP_MS);
  await clock.until(() => lines().at(-1)?.["because"] === "the last word");
  // It rested: the next change is written at once.
  await clock.advance(LONGEST_GAP_MS * 3);
  say(local, gpu("a word after a rest"));
  history.look();
  await clock.until(() => lines().at(-1)?.["because"] === "a word after a rest");
  await history.close();
});

it("is late by ten seconds at most, however often a place changed before", async () => {
  const { clock, lines, say, open } = rig();
  const history = open();
  for (let n = 0; n < 45; n += 1) {
    say(local, gpu(`change ${n}`));
    history.look();
    for (let ms = 0; ms < 3_000; ms += 500) await clock.advance(500);
  }
  say(local, gpu("the last word"));
  history.look();
  const changedAt = clock.now();
  await clock.until(() => lines().at(-1)?.["because"] === "the last word");
  const writtenAt = Date.parse(String(lines().at(-1)?.["at"]));
  expect(writtenAt - changedAt).toBeLessThanOrEqual(10_000);
  await history.close();
});

it("stays below its size, and keeps the newest line of each place", async () => {
  const { dir, path, clock, say, open } = rig();
  const old = { at: "2026-11-22T00:00:00.000Z", type: "place.changed", epoch: 1, ...gpu("old") };
  const filler = { ...old, ...local, because: "x".repeat(1_000) };
  appendFileSync(path, `${JSON.stringify(old)}\n`);
  appendFileSync(path, `${JSON.stringify(filler)}\n`.repeat(Math.ceil(MOST_BYTES / 1_000)));
  say(local, gpu("old"));
  const history = open();
  history.look();
  await clock.until(() => statSync(path).size < MOST_BYTES / 2);
  await history.close();
  expect(readPlaces(dir).map(({ place, because }) => [place, because])).toEqual([
    ["gpu1", "old"],
    ["local", undefined],
  ]);
});

it("passes over what is no line of its own, and tries again where it could not write", async () => {
  const { dir, path, clock, open } = rig();
  writeFileSync(
    path,
    '{"at":"2026-11-22T00:00:00.000Z","type":"place.renamed","place":"a"}\nnull\n{"at":1}\n[]\n' +
      '{"at":"2026-11-22T00:00:00.000Z","type":"place.changed","place":"b"}\n{"at":"2026-1',
  );
  expect(readPlaces(dir)).toEqual([]);
  rmSync(path);
  mkdirSync(path);
  const history = open();
  history.look();
  await clock.settle();
  rmSync(path, { recursive: true });
  await clock.advance(SHORTEST_GAP_MS);
  await clock.until(() => readPlaces(dir).length > 0);
  expect(readPlaces(dir)).toMatchObject([{ place: "local" }]);
  await history.close();
});

it("a line of a later release about a place hides nothing that was said of it", async () => {
  const { dir, path, clock, say, open } = rig();
  say(gpu());
  const history = open();
  history.look();
  await clock.until(() => readPlaces(dir).length > 0);
  await history.close();
  const at = "2026-11-23T02:00:01.000Z";
  appendFileSync(path, `${JSON.stringify({ ...gpu("old"), at, type: "place.drained" })}\n`);
  expect(readPlaces(dir)).toMatchObject([{ at: "2026-11-23T02:00:00.000Z", ...gpu() }]);
});

it("a line after a torn one is whole", async () => {
  const { dir, path, open } = rig();
  writeFileSync(path, '{"at":"2026-11-22T00:00:00.000Z","type":"place.cha');
  const history = open();
  history.look();
  await history.close();
  expect(readPlaces(dir)).toMatchObject([{ place: "local" }]);
});

it("leaves the history of daemons as it was", async () => {
  const { dir, open } = rig();
  const history = open();
  history.look();
  await history.close();
  expect(daemonsSeen(dir)("2026-11-23T02:00:00.000Z")).toBeUndefined();
});

it("writes again, on a line of its own, what could not be written whole", async () => {
  const { dir, path, clock, open } = rig();
  const history = open();
  // As on a disk without room.
  mkdirSync(path);
  history.look();
  // It waits to try again.
  await clock.until(() => clock.timers > 0);
  rmSync(path, { recursive: true });
  // A part of the line is there.
  writeFileSync(path, '{"at":"2026-11-23T02:00');
  await clock.advance(SHORTEST_GAP_MS - 1);
  expect(readPlaces(dir)).toEqual([]);
  await clock.advance(1);
  await clock.until(() => readPlaces(dir).length > 0);
  expect(readPlaces(dir)).toMatchObject([local]);
  await history.close();
  expect(readFileSync(path, "utf8").split("\n")).toHaveLength(3);
});

it("says once that a place was removed, whoever looks how often", async () => {
  const { clock, lines, say, open } = rig();
  say(local, gpu());
  const first = open();
  first.look();
  await clock.until(() => lines().length === 2);
  say(local);
  for (let look = 0; look < 3; look += 1) {
    await clock.advance(LONGEST_GAP_MS * 2);
    first.look();
    await clock.until(() => lines().length === 3);
  }
  await first.close();
  const second = open(2);
  second.look();
  await second.close();
  expect(lines().map(({ type, place }) => `${String(type)} ${String(place)}`)).toEqual([
    "place.changed local",
    "place.changed gpu1",
    "place.removed gpu1",
  ]);
});
