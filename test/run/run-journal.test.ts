/** What a run does only once its lines are durable, in which order, and what a broken one ends. */
import { expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import { LedgerOverwritten } from "../../src/ledger/ledger-error.ts";
import type { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { silentLog } from "../../src/log.ts";
import { RunJournal } from "../../src/run/run-journal.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

interface Append {
  readonly events: readonly RunEvent[];
  readonly at: string;
  readonly done: (lines?: readonly { seq: number }[]) => void;
  readonly fail: (error: unknown) => void;
}

class Rig {
  readonly clock = new VirtualClock();
  readonly run = new GivenRun(snapshotOf([stepSpec("a")]));
  readonly appends: Append[] = [];
  readonly log: string[] = [];
  readonly said: string[] = [];
  look: () => Promise<void> | undefined = () => undefined;
  readonly journal: RunJournal;

  constructor() {
    let seq = this.run.state.lastSeq;
    const file = {
      path: "/x.jsonl",
      append: (events: readonly RunEvent[], at: string) =>
        new Promise((resolve, reject) => {
          const lines = events.map(() => ({ seq: (seq += 1) }));
          const done = (other?: readonly { seq: number }[]): void => resolve(other ?? lines);
          this.appends.push({ events, at, done, fail: reject });
        }),
      look: () => this.look(),
      close: () => Promise.resolve(void this.log.push("closed")),
    } as unknown as LedgerFile<RunEvent>;
    const log = { ...silentLog, error: (_: object, text: string) => void this.said.push(text) };
    this.journal = new RunJournal(this.run.state, file, this.clock, log);
  }

  emit(because: string): string {
    return this.journal.emit({ type: "run.overdue", because });
  }

  act(name: string): void {
    this.journal.afterwards(() => void this.log.push(name));
  }
}

const turns = async (): Promise<void> => {
  for (let n = 0; n < 10; n += 1) await Promise.resolve();
};

it("what is emitted in one turn is one write of one time, and is folded at once", async () => {
  const rig = new Rig();
  const { lastSeq } = rig.run.state;
  const at = rig.emit("one");
  rig.clock.step(5_000);
  expect(rig.emit("two")).toBe(at);
  expect([rig.run.state.lastSeq, rig.journal.at]).toEqual([lastSeq + 2, at]);
  const flushed = rig.journal.flush();
  expect(rig.appends.map(({ events, at: of }) => [events.length, of])).toEqual([[2, at]]);
  // The next turn has a time of its own.
  expect(rig.emit("three")).not.toBe(at);
  rig.appends[0]!.done();
  await flushed;
});

it("a line may be shorter than its event", async () => {
  const rig = new Rig();
  rig.journal.emit(
    { type: "run.function_ended", error: { name: "E", message: "long" } },
    { type: "run.function_ended", error: { name: "E", message: "short" } },
  );
  const flushed = rig.journal.flush();
  expect(rig.run.state.functionError?.message).toBe("long");
  expect(rig.appends[0]!.events).toMatchObject([{ error: { message: "short" } }]);
  rig.appends[0]!.done();
  await flushed;
});

it("acts wait for what was emitted before them, and come in their order", async () => {
  const rig = new Rig();
  rig.emit("one");
  rig.act("first");
  void rig.journal.flush();
  // This turn writes nothing, but the write before it is under way.
  rig.act("second");
  void rig.journal.flush();
  await turns();
  expect(rig.log).toEqual([]);
  rig.emit("two");
  rig.act("third");
  void rig.journal.flush();
  rig.appends[0]!.done();
  await turns();
  expect(rig.log).toEqual(["first", "second"]);
  rig.appends[1]!.done();
  await turns();
  expect(rig.log).toEqual(["first", "second", "third"]);
  // Nothing is under way: it is done within the call.
  rig.act("fourth");
  void rig.journal.flush();
  expect(rig.log.at(-1)).toBe("fourth");
});

it("a flush with nothing new waits for what is under way", async () => {
  const rig = new Rig();
  await rig.journal.flush();
  rig.emit("one");
  void rig.journal.flush();
  let isDurable = false;
  const flushed = rig.journal.flush().then(() => (isDurable = true));
  await turns();
  expect(isDurable).toBe(false);
  rig.appends[0]!.done();
  await flushed;
});

it("an act that throws is told, and those after it are done", async () => {
  const rig = new Rig();
  rig.emit("one");
  rig.journal.afterwards(() => {
    throw new Error("no");
  });
  rig.act("next");
  const flushed = rig.journal.flush();
  rig.appends[0]!.done();
  await flushed;
  expect([rig.log, rig.said]).toEqual([["next"], ["carrying out a decision failed"]]);
});

it("a write that fails breaks the journal once, and what waited for it is not done", async () => {
  const rig = new Rig();
  rig.emit("one");
  rig.act("never");
  let isDurable = false;
  void rig.journal.flush().then(() => (isDurable = true));
  expect(rig.journal.broken).toBe(false);
  rig.appends[0]!.fail(new Error("no disk"));
  expect((await rig.journal.broke).message).toBe("no disk");
  rig.journal.break(new Error("again"));
  await turns();
  expect([rig.journal.broken, isDurable, rig.log, rig.said.length]).toEqual([true, false, [], 1]);
  expect(rig.said[0]).toBe(`the ledger of run ${rig.run.state.run} can no longer be written`);
  // What is emitted now is not written.
  rig.emit("two");
  await rig.journal.close();
  expect([rig.appends.length, rig.log]).toEqual([1, ["closed"]]);
});

it("lines that another writer numbered break it", async () => {
  const rig = new Rig();
  rig.emit("one");
  void rig.journal.flush();
  rig.appends[0]!.done([{ seq: 99 }]);
  expect((await rig.journal.broke).message).toBe("the ledger /x.jsonl has another writer");
});

it("closing writes the rest first", async () => {
  const rig = new Rig();
  rig.emit("one");
  rig.act("acted");
  const closed = rig.journal.close();
  await turns();
  expect(rig.log).toEqual([]);
  rig.appends[0]!.done();
  await closed;
  expect(rig.log).toEqual(["acted", "closed"]);
});

it("a ledger that was overwritten breaks it; another error of a look does not", async () => {
  const rig = new Rig();
  rig.journal.look();
  rig.look = () => Promise.reject(new Error("EMFILE"));
  rig.journal.look();
  await turns();
  expect(rig.journal.broken).toBe(false);
  const error = Object.create(LedgerOverwritten.prototype) as Error;
  rig.look = () => Promise.reject(error);
  rig.journal.look();
  expect(await rig.journal.broke).toBe(error);
});
