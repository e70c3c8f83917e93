/** Ledgers that a daemon left well: which of them the next one goes on with unread. */
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { expect, it } from "vitest";
import { checkpointOf } from "../../src/core/pipeline-checkpoint.ts";
import { LedgerClosed } from "../../src/ledger/ledger-error.ts";
import { LeftLedgers } from "../../src/ledger/left-ledgers.ts";
import { PipelineLedger } from "../../src/ledger/pipeline-ledger.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const USER = 1_000;
const clock = new VirtualClock({ start: Date.parse("2026-11-23T02:00:00Z"), turns: 0 });
const onFatal = (error: Error): never => {
  throw error;
};
const fired = (minute: number) => {
  const slot = new Date(Date.UTC(2026, 10, 23, 2, minute)).toISOString();
  const run = `p@${slot.slice(0, 19).replaceAll(/[-:]/g, "")}Z`;
  return [
    { type: "slot.fired", slot, run, through: slot },
    { type: "run.started", run },
    { type: "run.finished", run, status: "completed", durationMs: 5 },
  ] as const;
};

/** A root whose daemons come one after the other. */
class Daemons {
  readonly store = new RunStore(tempRoot().runs);
  readonly path = this.store.pipelineLedger("p");
  epoch = 0;

  constructor() {
    mkdirSync(this.store.orchdDir, { recursive: true });
  }

  left(user = USER): LeftLedgers {
    this.epoch += 1;
    return new LeftLedgers(this.store.left, { epoch: this.epoch, user });
  }

  open(left: LeftLedgers): Promise<PipelineLedger> {
    const options = { clock, onFatal, left: left.of("p") };
    return PipelineLedger.open(this.store.runsDir, "p", options);
  }

  /** Ends as a daemon does that is told to. */
  async end(left: LeftLedgers, ledger: PipelineLedger): Promise<void> {
    await ledger.close();
    const { path, end } = ledger;
    // The clock stands still: the file is older than any look at it.
    await left.keep(end === undefined ? [] : [{ pipeline: "p", path, end }], () => clock.now());
  }

  /** One daemon. @returns whether it went on with the ledger unread */
  async one(minutes: readonly number[] = []): Promise<boolean> {
    const left = this.left();
    const ledger = await this.open(left);
    for (const minute of minutes) await ledger.append(fired(minute));
    await this.end(left, ledger);
    return ledger.untouchedSince !== undefined;
  }
}

/** Changes what was kept, with the checksums that it then has to have. */
function reseal(path: string, from: RegExp | string, to: string): void {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const sealed = lines.map((line) => {
    const body = line.slice(9).replace(from, to);
    return `${crc32(body).toString(16).padStart(8, "0")} ${body}\n`;
  });
  writeFileSync(path, sealed.join(""));
}

/** Waits until a change of a file has another time than the ledger: times go on in steps. */
async function laterThan({ path, store }: Daemons): Promise<void> {
  const { ctimeMs } = statSync(path);
  const probe = join(store.runsDir, "probe");
  do {
    await nextTurn();
    writeFileSync(probe, "");
  } while (statSync(probe).ctimeMs <= ctimeMs);
}

async function left(): Promise<Daemons> {
  const daemons = new Daemons();
  await daemons.one([1, 2, 3]);
  await laterThan(daemons);
  return daemons;
}

it("goes on with a ledger that nobody touched, unread, and says the same of it", async () => {
  const daemons = await left();
  for (let minute = 4; minute < 40; minute += 1) {
    const before = daemons.left();
    const unread = await daemons.open(before);
    expect(unread.untouchedSince).toBe(clock.now());
    const state = { ...checkpointOf(unread.state), lines: unread.state.linesSinceCheckpoint };
    await unread.close();
    const read = await PipelineLedger.open(daemons.store.runsDir, "p", { clock, onFatal });
    expect(read.untouchedSince).toBeUndefined();
    expect({ ...checkpointOf(read.state), lines: read.state.linesSinceCheckpoint }).toEqual(state);
    expect([read.leftAt, read.lastSeq, read.size]).toEqual([
      unread.leftAt,
      unread.lastSeq,
      unread.size,
    ]);
    await read.append(fired(minute));
    await daemons.end(before, read);
  }
  const types = readFileSync(daemons.path, "utf8").match(/"type":"pipeline.checkpoint"/g);
  expect(types).toHaveLength(2);
});

it("is left by daemons that write nothing as they found it", async () => {
  const daemons = await left();
  for (let daemon = 0; daemon < 3; daemon += 1) expect(await daemons.one()).toBe(true);
  expect(await daemons.one([4])).toBe(true);
});

it.each<[string, (daemons: Daemons) => void]>([
  ["lines were added", ({ path }) => appendFileSync(path, "\n")],
  [
    "a line was changed in place",
    ({ path }) => writeFileSync(path, readFileSync(path, "utf8").replace("completed", "cancelled")),
  ],
  ["its time was set", ({ path }) => utimesSync(path, 1, 1)],
  ["its mode was set", ({ path }) => chmodSync(path, 0o600)],
  [
    "a copy took its place",
    ({ path }) => {
      copyFileSync(path, `${path}.copy`);
      renameSync(`${path}.copy`, path);
    },
  ],
  [
    "its folder was made again",
    ({ path }) => {
      const folder = dirname(path);
      mkdirSync(`${folder}.new`);
      renameSync(path, join(`${folder}.new`, "pipeline.jsonl"));
      rmSync(folder, { recursive: true });
      renameSync(`${folder}.new`, folder);
    },
  ],
  ["a file came into its folder", ({ path }) => writeFileSync(join(dirname(path), "x"), "")],
  ["somebody else held the root since", (daemons) => void (daemons.epoch += 1)],
  [
    "what was kept is torn",
    ({ store }) => writeFileSync(store.left, readFileSync(store.left, "utf8").slice(0, -9)),
  ],
  [
    "what was kept is altered",
    ({ store }) =>
      writeFileSync(
        store.left,
        readFileSync(store.left, "utf8").replace('"paused":false', '"paused":true'),
      ),
  ],
  [
    "another release kept it",
    ({ store }) => reseal(store.left, /"release":"[^"]*"/, '"release":"0"'),
  ],
  [
    "it says less than the ledger holds",
    ({ store }) => reseal(store.left, /"offset":\d+/, '"offset":9'),
  ],
  ["nothing was kept", ({ store }) => rmSync(store.left)],
])("reads a ledger where %s", async (_, change) => {
  const daemons = await left();
  change(daemons);
  let isUnread = true;
  try {
    isUnread = await daemons.one();
  } catch {
    // It is damaged: then it was read.
    isUnread = false;
  }
  expect(isUnread).toBe(false);
});

it("goes on unread where what was kept was only copied, line by line", async () => {
  const daemons = await left();
  reseal(daemons.store.left, "", "");
  expect(await daemons.one()).toBe(true);
});

it("keeps no line that is too long, and those of the others", async () => {
  const daemons = new Daemons();
  const first = daemons.left();
  const ledger = await daemons.open(first);
  await ledger.append(fired(1));
  await ledger.close();
  const end = ledger.end!;
  const long = { ...end, checkpoint: { ...end.checkpoint, file: "x".repeat(70_000) } };
  const of = (pipeline: string, its: typeof end) => ({ pipeline, path: daemons.path, end: its });
  const shorter = { ...end, mark: { ...end.mark, offset: end.mark.offset - 1 } };
  await first.keep([of("q", long), of("p", end), of("r", shorter)], () => clock.now());
  const next = daemons.left();
  expect(["p", "q", "r"].map((name) => next.of(name) !== undefined)).toEqual([true, false, false]);
});

it("reads the ledgers of another user", async () => {
  const daemons = await left();
  expect(daemons.left(USER + 1).of("p")).toBeUndefined();
});

it.each([
  [0, false],
  [49, false],
  // The times of files go on in steps: a later change then has another one.
  [50, true],
])("keeps what was written %i ms ago: %s", async (agoMs, isKept) => {
  const daemons = new Daemons();
  const first = daemons.left();
  const ledger = await daemons.open(first);
  await ledger.append(fired(1));
  await ledger.close();
  const { path } = daemons;
  const written = Math.max(...[path, dirname(path)].map((one) => statSync(one).ctimeMs));
  await first.keep([{ pipeline: "p", path, end: ledger.end! }], () => written + agoMs);
  expect(daemons.left().of("p") !== undefined).toBe(isKept);
});

it("does not keep what lacks a line", async () => {
  const daemons = new Daemons();
  const first = daemons.left();
  const ledger = await daemons.open(first);
  await ledger.append(fired(1));
  await ledger.close();
  await expect(ledger.append(fired(2))).rejects.toThrow(LedgerClosed);
  expect(ledger.end).toBeUndefined();
});
