/**
 * Promise 43: floods harm nobody. While tens of thousands of requests wait, slots fire on time, a
 * person is answered within seconds, and the daemon's memory is bounded. The same for files in the
 * drop folder, and for requests that were left while no daemon was up.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLines, awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { fullFigures, reached, trials } from "../support/figures.ts";
import { submit } from "../support/request.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const MANY = trials(1_000, 30_000);
/** Requests of a megabyte each: as many as a disk takes. */
const FEW = trials(10, 300);
const MOST_MIB = 300;
/** Beside requests of a megabyte, each of which is parsed. */
const MOST_MIB_LARGE = 600;
const ANSWER_MS = 15_000;
/** A slot that is later than this, in milliseconds, was held up. */
const LATE_MS = 1_000;

type Make = (number: number, run: string) => unknown;

const KINDS: Record<string, { readonly make: Make; readonly count: number; quick?: true }> = {
  "requests that are refused": {
    make: () => ({ type: "stop", run: "nope@20260101T000000Z", mode: "force" }),
    count: MANY,
    quick: true,
  },
  "files that are no requests": { make: () => ({ type: "explode" }), count: MANY },
  "requests for pipelines that are not there": {
    make: (number) => ({ type: "submit", pipeline: `none-${number}` }),
    count: MANY,
  },
  "stops of one run": { make: (_, run) => ({ type: "stop", run }), count: MANY },
  "pauses of one pipeline": { make: () => ({ type: "pause", pipeline: "long" }), count: MANY },
  "requests of a megabyte": {
    make: () => ({ type: "submit", pipeline: "long", params: { text: "x".repeat(1_000_000) } }),
    count: FEW,
    quick: true,
  },
  "requests with sixty thousand keys": {
    make: () => ({
      type: "submit",
      pipeline: "long",
      ...Object.fromEntries(Array.from({ length: 60_000 }, (_, key) => [`k${key}`, key])),
    }),
    count: FEW,
  },
};

function rootWithClock(): TempRoot {
  return tempRoot({
    "schedules/clock.yaml":
      'schedule: { cron: "* * * * * *" }\noverlap: allow\nshadow: true\n' +
      'steps: { s: { run: "true" } }\n',
    "schedules/mine.yaml": 'steps: { s: { run: "true" } }\n',
    "schedules/long.yaml": 'params: { text: "" }\nsteps: { s: { run: "sleep 1000" } }\n',
  });
}

/** Leaves requests all at once: written aside, then renamed. */
function leave(root: TempRoot, count: number, make: Make, run = ""): void {
  const aside = join(root.runs, ".orchd/aside");
  mkdirSync(aside, { recursive: true });
  for (let number = 0; number < count; number += 1)
    writeFileSync(join(aside, `f${number}.json`), JSON.stringify(make(number, run)));
  for (let number = 0; number < count; number += 1)
    renameSync(
      join(aside, `f${number}.json`),
      join(root.runs, ".orchd/requests", `f${number}.json`),
    );
}

const left = (root: TempRoot): number =>
  readdirSync(join(root.runs, ".orchd/requests")).filter((name) => !name.startsWith(".")).length;

/** How late the clock's slots fired, in milliseconds, of those written since a moment. */
function lateness(root: TempRoot, since: number): number[] {
  return linesOf(join(root.runs, "clock/pipeline.jsonl"))
    .filter(({ type, at }) => type === "slot.fired" && Date.parse(at) >= since)
    .map((line) => Date.parse(line.at) - Date.parse(line["slot"] as string));
}

const peakMiB = ({ pid }: Daemon): number =>
  Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;

async function allAnswered(root: TempRoot, count: number): Promise<void> {
  const replies = join(root.runs, ".orchd/replies");
  await awaitSight(
    root.root,
    () => (left(root) === 0 ? true : undefined),
    () => `an answer to ${left(root)} requests`,
    400_000,
  );
  const answered = readdirSync(replies).filter((name) => /^f\d+\.json$/.test(name)).length;
  expect(answered).toBe(count);
}

function told(what: string, quiet: readonly number[], flood: readonly number[]): void {
  const worst = Math.max(...quiet);
  // The ledger tells milliseconds: a tenth of two of them is not seen.
  const limit = Math.max(1.1 * worst, worst + 10);
  const good = flood.filter((late) => late <= limit).length;
  reached(43, `slots on time (${Math.round(limit)} ms) beside ${what}`, good, flood.length);
  expect(Math.max(...flood)).toBeLessThan(LATE_MS);
}

describe("a flood", () => {
  it.each(Object.entries(KINDS).filter(([, { quick }]) => fullFigures || quick === true))(
    "of %s holds up neither slots nor a person",
    { timeout: 500_000 },
    async (what, { make, count }) => {
      const root = rootWithClock();
      const daemon = await startDaemon({ root: root.root });
      const run = await submit(root.runs, "long");
      await awaitLines(
        join(root.runs, "clock/pipeline.jsonl"),
        fullFigures ? 12 : 4,
        ({ type }) => type === "slot.fired",
      );
      const quiet = lateness(root, 0).slice(1);
      const began = Date.now();
      leave(root, count, make, run);
      const asked = Date.now();
      const answer = await orchd(root.root, "run", "mine", "--json");
      const answeredMs = Date.now() - asked;
      expect(answer.status).toBe(0);
      expect(answeredMs).toBeLessThan(ANSWER_MS);
      await allAnswered(root, count);
      await awaitLines(
        join(root.runs, "clock/pipeline.jsonl"),
        3,
        ({ type, at }) => type === "slot.fired" && Date.parse(at) >= began,
      );
      told(`${count} ${what}`, quiet, lateness(root, began));
      expect(peakMiB(daemon)).toBeLessThan(count === FEW ? MOST_MIB_LARGE : MOST_MIB);
      await daemon.end("SIGKILL");
    },
  );

  it.each(["requests that are refused", "stops of one run"])(
    "of %s that is there when the daemon starts does not hold up the start",
    { timeout: 500_000 },
    async (what) => {
      const root = rootWithClock();
      const first = await startDaemon({ root: root.root });
      const run = await submit(root.runs, "long");
      await first.kill();
      // More than are answered before the daemon is ready.
      const count = MANY;
      leave(root, count, KINDS[what]!.make, run);
      const began = Date.now();
      const daemon = await startDaemon({ root: root.root });
      const readyMs = Date.now() - began;
      reached(43, `ms until ready beside ${count} ${what} (at most 20 s)`, readyMs, 20_000);
      expect(readyMs).toBeLessThan(20_000);
      const answer = await orchd(root.root, "run", "mine", "--json");
      expect(answer.status).toBe(0);
      await allAnswered(root, count);
      expect(peakMiB(daemon)).toBeLessThan(MOST_MIB);
      await daemon.end("SIGKILL");
    },
  );

  it("of files in the drop folder holds up no slot", { timeout: 500_000 }, async () => {
    const root = rootWithClock();
    const daemon = await startDaemon({ root: root.root });
    await awaitLines(
      join(root.runs, "clock/pipeline.jsonl"),
      5,
      ({ type }) => type === "slot.fired",
    );
    const quiet = lateness(root, 0).slice(1);
    const began = Date.now();
    for (let number = 0; number < MANY; number += 1)
      writeFileSync(join(root.schedules, `f${number}.yaml`), "steps: 7\n");
    await awaitSight(
      root.root,
      () => (readdirSync(root.runs).length >= MANY ? true : undefined),
      () => `${MANY} files: ${readdirSync(root.runs).length} were read`,
      400_000,
    );
    const read = Date.now();
    await awaitLines(
      join(root.runs, "clock/pipeline.jsonl"),
      2,
      ({ type, at }) => type === "slot.fired" && Date.parse(at) >= read,
    );
    told(`${MANY} files in the drop folder`, quiet, lateness(root, began));
    await daemon.end("SIGKILL");
  });
});
