import { createHash } from "node:crypto";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Alert } from "../../src/core/alert.ts";
import type { NotifyEvent } from "../../src/core/notify-event.ts";
import { LedgerFormatError } from "../../src/ledger/ledger-error.ts";
import { NotifyLedger, type NotifyLedgerOptions } from "../../src/ledger/notify-ledger.ts";
import { readNotifyHolder } from "../../src/ledger/notify-holder.ts";
import { takeNotifyLock } from "../../src/ledger/notify-lock.ts";
import { readNotifications } from "../../src/ledger/notify-reading.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { verifyRoot } from "../../src/ledger/verify.ts";
import { ledgerText } from "../support/hand-ledger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { calm } from "./sample-ledgers.ts";

const AT = "2026-11-23T02:00:00.000Z";
const opened: NotifyLedger[] = [];

afterEach(async () => {
  for (const ledger of opened.splice(0)) await ledger.close();
});

function alert(nth: number, channel = "ops", more: Partial<Alert> = {}): Alert {
  const key = createHash("sha256").update(`${channel} ${nth}`).digest("hex").slice(0, 32);
  const base = { key, kind: "failed", channel, pipeline: "etl", because: `failed ${nth}` } as const;
  return { ...base, at: AT, count: 1, telling: 1, ...more };
}

function store(): RunStore {
  const runs = new RunStore(tempRoot().runs);
  mkdirSync(runs.orchdDir, { recursive: true });
  return runs;
}

async function open(
  runs: RunStore,
  more: Partial<NotifyLedgerOptions> = {},
): Promise<NotifyLedger> {
  const ledger = await NotifyLedger.open(runs, { ...calm<NotifyEvent>(), ...more });
  opened.push(ledger);
  return ledger;
}

const keysOf = (ledger: NotifyLedger): string[] =>
  [...ledger.waiting].map(({ alert: { key } }) => key);
const at = (position: string, state: unknown = {}) => ({ position, state: state as never });

describe("the ledger of what people are told", () => {
  it("creates nothing before the first decision, and makes that durable in one write", async () => {
    const runs = store();
    const ledger = await open(runs);
    expect(ledger.checkpoint).toBeUndefined();
    expect(readdirSync(runs.orchdDir)).toEqual([]);
    await ledger.decided([alert(1), alert(2)], at("start", { etl: { failed: 2 } }));
    const lines = readWholeLedger(ledger.path);
    expect(lines.map(({ type, b }) => [type, b])).toEqual([
      ["notify.began", 1],
      ["notify.due", 1],
      ["notify.due", 1],
      ["notify.checkpoint", 1],
    ]);
    expect(lines[0]).toMatchObject({ format: 1, position: "start" });
    expect(keysOf(ledger)).toEqual([alert(1).key, alert(2).key]);
  });

  it("finds again what waits, with its tries, and the last checkpoint", async () => {
    const runs = store();
    const ledger = await open(runs);
    const others = [{ kind: "failed" as const, because: "b", at: AT, count: 1, pipeline: "b" }];
    const full = alert(3, "chat", { run: "etl@1", status: "failed", cause: "etl:7", others });
    await ledger.decided([alert(1), alert(2), full], at("a"));
    await ledger.tried(alert(1), { how: "sent", attempt: 1 });
    const failed = { how: "failed", attempt: 1, because: "refused", retryAt: AT } as const;
    await ledger.tried(full, failed);
    await ledger.tried(alert(2), { how: "gave_up", because: "no such address" });
    await ledger.decided([], at("b", [1, { x: null }]));
    await ledger.close();
    const again = await open(runs);
    expect(again.checkpoint).toEqual({ position: "b", state: [1, { x: null }] });
    expect([...again.waiting]).toEqual([
      { alert: full, dueAt: AT, attempts: 1, retryAt: AT, fault: "refused" },
    ]);
  });

  it("drops what is due without the checkpoint of its write, cut at every byte", async () => {
    const runs = store();
    const ledger = await open(runs);
    await ledger.decided([alert(1)], at("a"));
    const whole = ledger.size;
    await ledger.decided([alert(2), alert(3)], at("b"));
    const after = readFileSync(ledger.path);
    await ledger.close();
    for (let length = whole; length < after.length; length += length < whole + 9 ? 1 : 7) {
      writeFileSync(ledger.path, after);
      truncateSync(ledger.path, length);
      const cut = await open(runs);
      expect(cut.checkpoint?.position).toBe("a");
      expect(keysOf(cut)).toEqual([alert(1).key]);
      // A later checkpoint does not bring back what was cut.
      await cut.decided([alert(2)], at("b"));
      expect(keysOf(cut)).toEqual([alert(1).key, alert(2).key]);
      await cut.close();
    }
    expect(await verifyRoot(runs.runsDir)).toEqual({ checked: 1, faults: [] });
  });

  it("sets a damaged file aside and goes on with what its good lines say", async () => {
    const runs = store();
    const ledger = await open(runs);
    await ledger.decided([alert(1)], at("a"));
    const whole = ledger.size;
    await ledger.decided([alert(2)], at("b"));
    await ledger.tried(alert(2), { how: "sent", attempt: 1 });
    await ledger.close();
    const bytes = readFileSync(ledger.path);
    bytes[whole + 60] = bytes[whole + 60]! ^ 1;
    writeFileSync(ledger.path, bytes);
    expect((await verifyRoot(runs.runsDir)).faults).toMatchObject([
      { file: runs.notifyLedger, line: 4, fault: expect.stringContaining("damaged") as string },
    ]);
    expect(readNotifications(runs)?.fault).toMatchObject({ line: 4 });
    const mended = await open(runs);
    expect(mended.damage).toMatchObject({ line: 4, keptAs: `${runs.notifyLedger}.damaged-1` });
    expect(readFileSync(mended.damage!.keptAs)).toEqual(bytes);
    expect([mended.checkpoint?.position, keysOf(mended)]).toEqual(["a", [alert(1).key]]);
    expect((await verifyRoot(runs.runsDir)).faults).toEqual([]);
  });

  it("begins a new file with all that is known, and prunes the old ones", async () => {
    const runs = store();
    const clock = new VirtualClock({ start: AT });
    const ledger = await open(runs, { clock, rotateBytes: 4_000, keepDays: () => 10 });
    const stuck = alert(0, "chat");
    await ledger.decided([stuck], at("0"));
    await ledger.tried(stuck, { how: "failed", attempt: 1, because: "down", retryAt: AT });
    for (let nth = 1; nth <= 200; nth += 1) {
      clock.step(60_000);
      await ledger.decided([alert(nth)], at(`${nth}`, { nth }));
      await ledger.tried(alert(nth), { how: "sent", attempt: 1 });
    }
    const rotated = readdirSync(runs.orchdDir).filter((name) => name.startsWith("notify-"));
    expect(rotated.length).toBe(8);
    expect(ledger.size).toBeLessThan(5_000);
    await ledger.close();
    let keepDays = 12;
    const again = await open(runs, { clock, keepDays: () => keepDays });
    expect(again.checkpoint).toEqual({ position: "200", state: { nth: 200 } });
    expect([...again.waiting]).toEqual([
      { alert: stuck, dueAt: AT, attempts: 1, retryAt: AT, fault: "down" },
    ]);
    const read = readNotifications(runs, 20)!;
    expect(read.sent.map(({ alert: one }) => one.because)).toEqual(
      Array.from({ length: 20 }, (_, index) => `failed ${200 - index}`),
    );
    expect(read.waiting.length).toBe(1);
    expect(read.totals.get("ops")).toMatchObject({ sent: 200, failed: 0, gaveUp: 0 });
    expect(read.totals.get("chat")).toEqual({ sent: 0, failed: 1, gaveUp: 0, fault: "down" });
    expect(await verifyRoot(runs.runsDir)).toEqual({ checked: 9, faults: [] });
    const old = (clock.now() - 11 * 86_400_000) / 1_000;
    utimesSync(join(runs.orchdDir, rotated[0]!), old, old);
    const left = (): number => {
      again.prune();
      return readdirSync(runs.orchdDir).filter((name) => name.startsWith("notify-")).length;
    };
    expect(left()).toBe(8);
    // orchd.yaml was read again.
    keepDays = 10;
    expect(left()).toBe(7);
  });

  it("keeps a state of many megabytes, in lines of less than one", async () => {
    const runs = store();
    const ledger = await open(runs);
    const state = Array.from({ length: 5_000 }, (_, nth) => ({ nth, because: '"é\\'.repeat(150) }));
    await ledger.decided([alert(1)], at("a", state));
    await ledger.close();
    expect(statSync(ledger.path).size).toBeGreaterThan(3_000_000);
    const again = await open(runs);
    expect(again.checkpoint).toEqual({ position: "a", state });
    expect(keysOf(again)).toEqual([alert(1).key]);
  });

  it("writes the file again that somebody removes, and refuses a second writer", async () => {
    const runs = store();
    const ledger = await open(runs);
    await ledger.decided([alert(1)], at("a"));
    const fatal: string[] = [];
    const second = open(runs, { onFatal: ({ message }) => void fatal.push(message) });
    await expect(second).rejects.toThrow("another process has it open");
    expect(fatal.length).toBe(1);
    unlinkSync(ledger.path);
    await ledger.decided([alert(2)], at("b"));
    const lines = readWholeLedger(ledger.path).map(({ type }) => type);
    expect(lines.filter((type) => type === "notify.due").length).toBe(2);
  });

  it("does not lose what a newer release wrote", async () => {
    const runs = store();
    const later = ledgerText([{ type: "notify.began", format: 9, position: "a" }]);
    writeFileSync(runs.notifyLedger, later);
    await expect(open(runs)).rejects.toThrow(LedgerFormatError);
    expect(readFileSync(runs.notifyLedger, "utf8")).toBe(later);
  });
});

describe("the lock of orchd notify", () => {
  it("is had by one at a time, and says by whom", () => {
    const runs = store();
    const clock = new VirtualClock({ start: AT });
    expect(readNotifyHolder(runs)).toBeNull();
    const first = takeNotifyLock(runs, { clock, version: "1.0.0" });
    expect(first.ok).toBe(true);
    const { pid } = process;
    expect(readNotifyHolder(runs)).toMatchObject({ pid, since: AT, version: "1.0.0" });
    const second = takeNotifyLock(runs, { clock, version: "1.0.0" });
    expect(second).toEqual({
      ok: false,
      because: expect.stringContaining(`process ${pid}, since ${AT}`) as string,
    });
    if (!first.ok) return;
    first.lock.release();
    expect(readNotifyHolder(runs)).toBeNull();
    const third = takeNotifyLock(runs, { clock, version: "1.0.0" });
    expect(third.ok && third.lock.stillHeld()).toBe(true);
    unlinkSync(join(runs.orchdDir, "notify.lock"));
    expect(third.ok && third.lock.stillHeld()).toBe(false);
    if (third.ok) third.lock.release();
  });
});

it.each([
  [1, 6.9, true],
  [1, 7.1, false],
  [10, 9.9, true],
  [10, 10.1, false],
])(
  "with keepDays %i, evidence of damage that is %d days old stays: %s",
  async (keepDays, days, stays) => {
    const runs = store();
    const clock = new VirtualClock({ start: AT });
    const ledger = await open(runs, { clock, keepDays: () => keepDays });
    const path = `${runs.notifyLedger}.damaged-1`;
    writeFileSync(path, "x");
    const at = (clock.now() - days * 86_400_000) / 1_000;
    utimesSync(path, at, at);
    expect(ledger.prune()).toBeUndefined();
    expect(readdirSync(runs.orchdDir).includes("notify.jsonl.damaged-1")).toBe(stays);
  },
);

it("says why old files are left, and throws nothing", async () => {
  const runs = store();
  const ledger = await open(runs, { clock: new VirtualClock({ start: AT }) });
  rmSync(runs.orchdDir, { recursive: true });
  writeFileSync(runs.orchdDir, "");
  expect(ledger.prune()).toMatchObject({ code: "ENOTDIR" });
});
