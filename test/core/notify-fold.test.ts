/** What each line of the notifications' ledger says, and what a new file begins with. */
import { describe, expect, it } from "vitest";
import type { Alert } from "../../src/core/alert.ts";
import type { Framed } from "../../src/core/event.ts";
import { dueEvent } from "../../src/core/due-alert.ts";
import type { NotifyEvent } from "../../src/core/notify-event.ts";
import {
  carriedOver,
  emptyNotifyRecord,
  evolveNotify,
  type NotifyMessage,
  type NotifyRecord,
} from "../../src/core/notify-fold.ts";

const at = (second: number): string => new Date(Date.UTC(2026, 10, 23) + second * 1_000).toJSON();
const alert = (key: string): Alert => ({
  key,
  kind: "failed",
  channel: "ops",
  pipeline: "etl",
  because: `${key} failed`,
  at: at(0),
  count: 1,
  telling: 1,
});
const due = (key: string): NotifyEvent => dueEvent(alert(key));
const done = (position: string, more: object = {}): NotifyEvent => ({
  type: "notify.checkpoint",
  position,
  state: { at: position },
  ...more,
});
const failed = (key: string, attempt: number, retryAt = at(90)): NotifyEvent => ({
  type: "notify.failed",
  key,
  channel: "ops",
  attempt,
  because: "down",
  retryAt,
});
const sent = (key: string, attempt: number): NotifyEvent => ({
  type: "notify.sent",
  key,
  channel: "ops",
  attempt,
});
const gaveUp = (key: string): NotifyEvent => ({
  type: "notify.gave_up",
  key,
  channel: "ops",
  because: "a day is over",
});

/** Folds writes, each of which has its lines: the Nth line is N seconds after midnight. */
function fold(writes: readonly (readonly NotifyEvent[])[], into = emptyNotifyRecord()) {
  const ended: NotifyMessage[] = [];
  let seq = 0;
  for (const lines of writes) {
    const b = seq + 1;
    for (const line of lines) {
      seq += 1;
      const framed = { ...line, seq, b, at: at(seq) } as Framed<NotifyEvent>;
      evolveNotify(into, framed, (message) => ended.push(message));
    }
  }
  return { record: into, ended };
}

const waits = ({ waiting }: NotifyRecord): string[] => [...waiting.keys()];
const ops = ({ totals }: NotifyRecord) => totals.get("ops");

describe("a message", () => {
  it("waits once the checkpoint of its write is there, and not before", () => {
    expect(waits(fold([[due("a"), due("b"), done("1")]]).record)).toEqual(["a", "b"]);
    const { record } = fold([[due("a"), done("1")], [due("b")], [due("c"), done("2")]]);
    expect(waits(record)).toEqual(["a", "c"]);
    expect([record.checkpoint, record.checkpointAt]).toEqual([
      { position: "2", state: { at: "2" } },
      at(5),
    ]);
    // What stands after a checkpoint in one write waits for the next one of that write.
    expect(waits(fold([[due("a"), done("1"), due("b")]]).record)).toEqual(["a"]);
    expect(waits(fold([[due("a"), done("1"), due("b"), done("2")]]).record)).toEqual(["a", "b"]);
  });

  it("that failed waits on, with its last try, and ends with how it ended", () => {
    const begun = [[due("a"), due("b"), done("1")], [failed("a", 1)], [failed("a", 2, at(99))]];
    const { record } = fold(begun);
    expect(record.waiting.get("a")).toEqual({
      alert: alert("a"),
      dueAt: at(1),
      attempts: 2,
      retryAt: at(99),
      fault: "down",
    });
    expect(record.waiting.get("b")).toEqual({ alert: alert("b"), dueAt: at(2), attempts: 0 });
    const { record: last, ended } = fold([...begun, [sent("a", 3)], [gaveUp("b")]]);
    expect(waits(last)).toEqual([]);
    expect(ended).toEqual([
      {
        alert: alert("a"),
        dueAt: at(1),
        attempts: 3,
        fault: "down",
        ended: { how: "sent", at: at(6) },
      },
      {
        alert: alert("b"),
        dueAt: at(2),
        attempts: 0,
        fault: "a day is over",
        ended: { how: "gave_up", at: at(7) },
      },
    ]);
    // It ends once.
    expect(fold([...begun, [sent("a", 3)], [sent("a", 4)]]).ended).toHaveLength(1);
    expect(fold([[failed("x", 1)], [sent("x", 2)]]).ended).toEqual([]);
  });
});

describe("a channel's totals", () => {
  const begun = [[due("a"), due("b"), due("c"), done("1")]];
  it.each<[string, NotifyEvent[], object | undefined]>([
    ["nothing before its first try", [], undefined],
    ["a try that failed", [failed("a", 1)], { sent: 0, failed: 1, gaveUp: 0, fault: "down" }],
    [
      "a message that was sent",
      [sent("a", 1)],
      { sent: 1, failed: 0, gaveUp: 0, lastSentAt: at(5) },
    ],
    [
      "no fault after one that was",
      [failed("a", 1), sent("a", 2)],
      { sent: 1, failed: 1, gaveUp: 0, lastSentAt: at(6) },
    ],
    [
      "a fault after one that was",
      [sent("a", 1), failed("b", 1)],
      { sent: 1, failed: 1, gaveUp: 0, lastSentAt: at(5), fault: "down" },
    ],
    [
      "a message that was given up",
      [failed("a", 1), gaveUp("a")],
      { sent: 0, failed: 1, gaveUp: 1, fault: "a day is over" },
    ],
  ])("have %s", (_, lines, totals) => {
    expect(ops(fold([...begun, ...lines.map((line) => [line])]).record)).toEqual(totals);
  });

  it("are those of a checkpoint that has them, and go on from there", () => {
    const totals = { chat: { sent: 4, failed: 0, gaveUp: 0 } };
    const { record } = fold([...begun, [failed("a", 1)], [done("2", { totals })]]);
    expect([...record.totals]).toEqual(Object.entries(totals));
    expect(ops(fold([...begun, [failed("a", 1)], [done("2")]]).record)).toMatchObject({
      failed: 1,
    });
  });
});

describe("a new file", () => {
  it("begins with nothing where nothing was decided", () => {
    expect(carriedOver(fold([[due("a")]]).record)).toEqual([]);
  });

  it("says all that the old one said, however long its state is, in lines below 1 MiB", () => {
    for (const length of [0, 199_000, 200_000, 200_001, 650_000]) {
      const state = "字".repeat(length);
      const { record } = fold([
        [due("a"), due("b"), due("c"), done("1")],
        [failed("a", 1)],
        [sent("b", 1)],
        [done("2", { state })],
      ]);
      const lines = carriedOver(record);
      for (const line of lines)
        expect(Buffer.byteLength(JSON.stringify(line))).toBeLessThan(2 ** 20);
      const again = fold([lines]).record;
      expect({ ...again, checkpointAt: undefined }).toEqual({ ...record, checkpointAt: undefined });
      expect(lines.filter(({ type }) => type === "notify.state")).toHaveLength(
        length + 2 <= 200_000 ? 0 : Math.ceil((length + 2) / 200_000),
      );
    }
  });

  it("whose state's parts are not whole has none: it is decided from the feed's present", () => {
    const parts: NotifyEvent[] = [{ type: "notify.state", text: '"ab' }];
    const whole = [...parts, { type: "notify.state", text: 'c"' } as const];
    const last = done("1", { state: undefined, parts: 2 });
    expect(fold([[...whole, last]]).record.checkpoint?.state).toBe("abc");
    expect(fold([[...parts, last]]).record.checkpoint?.state).toBeNull();
    // Parts of an earlier write, which a crash cut, are none of this one's.
    expect(fold([parts, [...whole, last]]).record.checkpoint?.state).toBe("abc");
  });
});
