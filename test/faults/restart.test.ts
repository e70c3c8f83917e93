/** Promise 9: a daemon's start costs what is unfinished, not all that has ever run. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ledgerPath } from "../../bench/bench-root.ts";
import { history, MANY } from "../../bench/history.ts";
import { awaitLines } from "../support/await-event.ts";
import { startDaemon, type Daemon } from "../support/daemon.ts";
import { hasProgram, reached, trials } from "../support/figures.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const UNFINISHED = trials(20, 200);
/** A gigabyte in the full form. Nine of ten bytes are results of finished runs. */
const RESULT_BYTES = trials(100, 9_000);
const PEAK_MIB = 300;
const READY_MS = 10_000;

describe("a start over a long history", () => {
  it.skipIf(!hasProgram("strace"))(
    "opens no ledger of a finished run, takes over all unfinished ones, and stays small",
    { timeout: 600_000 },
    async () => {
      const root = tempRoot();
      const { unfinished, newest } = history(
        root.root,
        trials(2_000, 100_000),
        UNFINISHED,
        RESULT_BYTES,
      );
      expect(
        readWholeLedger(join(root.runs, newest.split("@")[0]!, "pipeline.jsonl")).length,
      ).toBeGreaterThan(256);
      const trace = join(root.root, "opens");
      const through = ["strace", "-f", "-qq", "-e", "trace=open,openat", "-o", trace];
      const daemon = await startDaemon({ root: root.root, through, deadlineMs: 120_000 });
      const opened = new Set(
        [...readFileSync(trace, "utf8").matchAll(/\/([^/"@]+@[^/".]+)\.jsonl"/g)].map(
          ([, run]) => run!,
        ),
      );
      for (const run of unfinished)
        await awaitLines(ledgerPath(root.root, run), 1, (line) => line.type === "run.finished");
      const strangers = [...opened].filter(
        (run) => run <= newest.replace(/^[^@]*/, run.split("@")[0]!) && !unfinished.includes(run),
      );
      expect(strangers).toEqual([]);
      // The control: the trace shows that ledgers are opened.
      expect(unfinished.filter((run) => opened.has(run)).length).toBe(unfinished.length);
      // The signal goes to the daemon itself: strace keeps signals while it has a child.
      const ready = await readyLine(daemon);
      expect(Number(ready["readyMs"])).toBeLessThan(READY_MS);
      const pid = Number(ready["pid"]);
      const peak =
        Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
      expect(peak).toBeLessThan(PEAK_MIB);
      process.kill(pid, "SIGTERM");
      await daemon.ended;
      const seconds = (Number(ready["readyMs"]) / 1_000).toFixed(1);
      const cost = `ready after ${seconds} s under strace, ${Math.round(peak)} MiB at most`;
      reached(
        9,
        `unfinished runs taken over, no ledger of a finished one opened, ${cost}`,
        unfinished.length,
        UNFINISHED,
      );
    },
  );

  it.skipIf(!hasProgram("strace"))(
    "makes few system calls a pipeline",
    { timeout: 120_000 },
    async () => {
      const [few, many] = [await callsOfStart(5), await callsOfStart(35)];
      const each = (...calls: readonly string[]): number =>
        calls.reduce((sum, call) => sum + (many.get(call) ?? 0) - (few.get(call) ?? 0), 0) / 30;
      // The control: the trace shows what each pipeline needs.
      expect(each("open", "openat")).toBeGreaterThan(3);
      // None where the ledger is as it was left, and three where it is read. One more on a month's
      // last day: the next month's folder is made ahead.
      expect(each("fsync")).toBeLessThan(4.5);
      // The month's folder, and then the next one's.
      expect(each("mkdir")).toBeLessThan(2.5);
      // Each part of the path to the drop folder may be read once a file, and not more often.
      const parts = tempRoot().root.split("/").length + 1;
      // 17 to 23: what watches the ledgers may have looked once before the daemon is ready.
      expect(each("stat", "lstat", "statx", "newfstatat")).toBeLessThan(26);
      // Where a start is slow, the folder is looked at again before it is ready.
      expect(each("readlink")).toBeLessThan(4 * parts);
      // 11, and one more on a month's last day.
      expect(each("open", "openat")).toBeLessThan(13.5);
    },
  );
});

/** What the log says of a daemon that is ready. Others are told first. */
async function readyLine(daemon: Daemon): Promise<Record<string, unknown>> {
  const find = (): Record<string, unknown> | undefined =>
    daemon.log().find(({ readyMs }) => readyMs !== undefined);
  await expect.poll(find).toBeDefined();
  return find()!;
}

/** How often each system call is made in a start over so many pipelines, until it is ready. */
async function callsOfStart(pipelines: number): Promise<Map<string, number>> {
  const { root } = tempRoot();
  history(root, 2 * pipelines, 0, 0, { ...MANY, pipelines });
  // The first start puts all versions in force. The second one finds them in force.
  const first = await startDaemon({ root });
  await first.end();
  // Not in the root, which the daemon watches: each line of the trace would make it look again.
  const trace = join(tempRoot().root, "calls");
  const through = ["strace", "-f", "-qq", "-e", "trace=%file,%desc", "-o", trace];
  const daemon = await startDaemon({ root, through, deadlineMs: 60_000 });
  const text = readFileSync(trace, "utf8");
  const ready = await readyLine(daemon);
  process.kill(Number(ready["pid"]), "SIGTERM");
  await daemon.ended;
  const calls = new Map<string, number>();
  // In /proc it looks for what an earlier daemon left: as often as there are processes.
  for (const [, call] of text.matchAll(/^\d+ +(\w+)\((?!.*"\/proc\/)/gm))
    calls.set(call!, (calls.get(call!) ?? 0) + 1);
  return calls;
}
