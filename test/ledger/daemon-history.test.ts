/** When each daemon was up: a killed one was last seen when it last touched the file. */
import { mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { DaemonHistory, endBefore } from "../../src/ledger/daemon-history.ts";
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
