/** When each daemon was up: a killed one was last seen when it last touched the file. */
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import {
  changedDaemonLines,
  DaemonHistory,
  daemonsSeen,
  downtimeBefore,
  endBefore,
  readDaemonPast,
} from "../../src/ledger/daemon-history.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const T0 = Date.UTC(2026, 10, 23, 2);
const iso = (ms: number): string => new Date(ms).toISOString();
const own = { pid: 7, epoch: 3, version: "1.2.3" };

interface Line {
  readonly at: string;
  readonly type: string;
}

function linesOf(path: string): Line[] {
  return readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

/** A folder whose history has so many lines; the last daemon was killed, and seen at `seenAt`. */
function killed(lines: number, seenAt: number): { readonly dir: string; readonly path: string } {
  const dir = join(tempRoot().runs, ".orchd");
  const path = join(dir, "daemon.jsonl");
  mkdirSync(dir, { recursive: true });
  const types = ["daemon.began", "daemon.ended"];
  const text = Array.from({ length: lines }, (_, n) =>
    JSON.stringify({
      at: iso(T0 - (lines - n) * 60_000),
      type: types[(lines - 1 - n) % 2],
      ...own,
    }),
  );
  writeFileSync(path, `${text.join("\n")}\n`);
  utimesSync(path, seenAt / 1_000, seenAt / 1_000);
  return { dir, path };
}

it.each([3, 2_000, 2_001, 5_001])(
  "a daemon that was killed was last seen when it touched the file, which has %i lines",
  async (count) => {
    const { dir, path } = killed(count, T0 - 20_000);
    const clock = new VirtualClock({ start: T0 });
    const history = new DaemonHistory(dir, clock, { ...own, epoch: 4 });
    await history.began(T0);
    const lines = linesOf(path);
    expect(lines.slice(-2)).toEqual([
      { at: iso(T0 - 20_000), type: "daemon.lost", ...own },
      { at: iso(T0), type: "daemon.began", ...own, epoch: 4 },
    ]);
    expect(lines).toHaveLength((count > 2_000 ? 1_000 : count) + 2);
    expect(endBefore(dir, T0)).toMatchObject({ type: "daemon.lost", at: iso(T0 - 20_000) });
    history.ended();
  },
);

it("counts the daemons in a row that ended without a word, within ten minutes", async () => {
  const { dir } = killed(4, T0 - 20_000);
  const clock = new VirtualClock({ start: T0 });
  const begin = (at: number): Promise<number> => new DaemonHistory(dir, clock, own).began(at);
  const path = join(dir, "daemon.jsonl");
  const seen = (at: number): void => utimesSync(path, at / 1_000, at / 1_000);
  const counts: number[] = [await begin(T0)];
  for (const at of [T0 + 10_000, T0 + 20_000]) {
    seen(at - 5_000);
    counts.push(await begin(at));
  }
  expect(counts).toEqual([1, 2, 3]);
  const last = new DaemonHistory(dir, clock, own);
  seen(T0 + 25_000);
  expect(await last.began(T0 + 30_000)).toBe(4);
  last.ended();
  expect(await begin(T0 + 40_000)).toBe(0);
  seen(T0 + 50_000);
  expect(await begin(T0 + 3_600_000)).toBe(0);
});

it("keeps its lines whole behind one that was cut", async () => {
  const { dir, path } = killed(3, T0 - 20_000);
  appendFileSync(path, `{"at":"${iso(T0 - 20_000)}","type":"daemon.ended","pi`);
  utimesSync(path, T0 / 1_000 - 20, T0 / 1_000 - 20);
  const daemon = new DaemonHistory(dir, new VirtualClock({ start: T0 }), own);
  await daemon.began(T0);
  daemon.ended();
  const { lines } = readDaemonPast(dir);
  expect(lines.slice(-3)).toEqual([
    { at: iso(T0 - 20_000), type: "daemon.lost", ...own },
    { at: iso(T0), type: "daemon.began", ...own },
    { at: iso(T0), type: "daemon.ended", ...own },
  ]);
});

it("touches the file every five seconds, until it ends", async () => {
  const { dir, path } = killed(1, T0 - 20_000);
  const clock = new VirtualClock({ start: T0 });
  const history = new DaemonHistory(dir, clock, own);
  await history.began(T0);
  await clock.advance(5_000);
  await vi.waitFor(() => expect(statSync(path).mtimeMs).toBe(T0 + 5_000));
  await clock.advance(9_000);
  await vi.waitFor(() => expect(statSync(path).mtimeMs).toBe(T0 + 10_000));
  history.ended();
  expect(clock.timers).toBe(0);
  expect(linesOf(path).at(-1)).toMatchObject({ type: "daemon.ended", at: iso(T0 + 14_000) });
});

/** A history of these lines, a minute apart from T0. */
function history(...types: readonly string[]): { readonly dir: string; readonly path: string } {
  const dir = join(tempRoot().runs, ".orchd");
  const path = join(dir, "daemon.jsonl");
  mkdirSync(dir, { recursive: true });
  types.forEach((type, nth) => appendFileSync(path, lineOf(type, nth)));
  return { dir, path };
}
const lineOf = (type: string, nth: number): string =>
  `${JSON.stringify({ at: iso(T0 + nth * 60_000), type: `daemon.${type}`, ...own })}\n`;

it("tells until when the daemon of a moment was seen, where its end is told", () => {
  const { dir } = history("began", "ended", "began", "lost", "began", "began", "ended", "began");
  const seen = daemonsSeen(dir);
  const at = (minute: number): string => iso(T0 + minute * 60_000);
  const ends: [number, number | undefined][] = [
    [-1, undefined],
    [0, 1],
    // The time between two daemons is the first one's.
    [1, 1],
    [1.5, 1],
    [2, 3],
    [3.5, 3],
    // This one's end is not known.
    [4, undefined],
    [5, 6],
    // This one is up.
    [7, undefined],
    [9, undefined],
  ];
  expect(ends.map(([minute]) => seen(at(minute)))).toEqual(
    ends.map(([, minute]) => (minute === undefined ? undefined : at(minute))),
  );
});

it("tells the end before a daemon began, however it came", () => {
  const { dir } = history("began", "ended", "began", "lost", "began");
  const at = (minute: number): number => T0 + minute * 60_000;
  expect(endBefore(dir, at(0))).toBeUndefined();
  expect(endBefore(dir, at(1))?.type).toBe("daemon.ended");
  expect(endBefore(dir, at(3) - 1)?.type).toBe("daemon.ended");
  expect(endBefore(dir, at(4))).toMatchObject({ type: "daemon.lost", at: iso(at(3)) });
});

it("tells how long no daemon was up before those that began in a stretch of time", () => {
  const { dir } = history("ended", "began", "began", "lost", "ended", "began", "ended", "began");
  const at = (minute: number): number => T0 + minute * 60_000;
  const down = (after: number, until: number): number =>
    downtimeBefore(dir, at(after), at(until)) / 60_000;
  expect([down(-1, 9), down(0, 1), down(1, 9), down(1, 5), down(5, 6), down(5, 7)]).toEqual([
    3, 1, 2, 1, 0, 1,
  ]);
  // A clock that was set back while no daemon was up.
  const back = history("began");
  appendFileSync(back.path, lineOf("ended", 30));
  appendFileSync(back.path, lineOf("began", 10));
  expect(downtimeBefore(back.dir, T0 - 1, at(99))).toBe(0);
  expect(downtimeBefore(join(dir, "none"), 0, at(99))).toBe(0);
});

it("is read again where a line came, or another file has the name, and not for a touch", () => {
  const { dir, path } = history("began");
  const changed = changedDaemonLines(dir);
  expect(changed()).toHaveLength(1);
  expect(changed()).toBeUndefined();
  utimesSync(path, 1, 1);
  expect(changed()).toBeUndefined();
  appendFileSync(path, lineOf("ended", 1));
  expect(changed()?.map(({ type }) => type)).toEqual(["daemon.began", "daemon.ended"]);
  rmSync(path);
  expect(changed()).toEqual([]);
  expect(changed()).toBeUndefined();
});

it("is told with when a daemon was last seen; a line that is none is left out", () => {
  const { dir, path } = history("began");
  appendFileSync(path, '{"type":"daemon.ended"}\nrubbish\n');
  appendFileSync(path, lineOf("ended", 1));
  utimesSync(path, 7, 7);
  const { lines, seenMs } = readDaemonPast(dir);
  expect(lines.map(({ type }) => type)).toEqual(["daemon.began", "daemon.ended"]);
  expect(seenMs).toBe(7_000);
  expect(readDaemonPast(join(dir, "none"))).toEqual({ lines: [], seenMs: undefined });
});
