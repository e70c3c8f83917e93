/**
 * `notify.jsonl` is rotated while somebody reads it: before each single call to the disk that this
 * takes. Every message is told once, and no file is called damaged.
 */
import { linkSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import type * as nodeFs from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import type { Alert } from "../../src/core/alert.ts";
import { dueEvent } from "../../src/core/due-alert.ts";
import { NotifyReader, type NotifyReading } from "../../src/ledger/notify-reading.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { ledgerText, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const AT = "2026-11-23T02:00:00.000Z";

/** What happens before one of the next calls. */
const seam = vi.hoisted(() => ({ callsLeft: Infinity, act: (): void => undefined }));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof nodeFs>();
  const counted = Object.fromEntries(
    (["openSync", "fstatSync", "readdirSync", "readFileSync", "readSync", "statSync"] as const).map(
      (name) => [
        name,
        (...words: unknown[]): unknown => {
          if ((seam.callsLeft -= 1) === 0) seam.act();
          return (fs[name] as (...given: unknown[]) => unknown)(...words);
        },
      ],
    ),
  );
  return { ...fs, ...counted, default: { ...fs, ...counted } };
});

/** A ledger of messages that were all sent; those of one list were decided in one write. */
function ledgerOf(...decided: readonly number[][]): string {
  const lines: HandEvent[] = [{ type: "notify.began", format: 1, position: "" }];
  for (const nths of decided) {
    const alerts = nths.map((nth): Alert => {
      const what = { kind: "failed", pipeline: "etl", because: String(nth) } as const;
      return { ...what, key: `key-${nth}`, channel: "ops", at: AT, count: 1, telling: 1 };
    });
    const b = lines.length + 1;
    for (const alert of alerts) lines.push({ ...dueEvent(alert), b });
    lines.push({ type: "notify.checkpoint", position: "", state: {}, b });
    for (const { key, channel } of alerts)
      lines.push({ type: "notify.sent", key, channel, attempt: 1 });
  }
  return ledgerText(lines);
}

/** What a reader says that looked once before, and then while the file is rotated. */
function rotatedBefore(root: string, call: number): [NotifyReading | undefined, boolean] {
  const store = new RunStore(join(root, String(call)));
  mkdirSync(store.orchdDir, { recursive: true });
  const path = store.notifyLedger;
  writeFileSync(path, ledgerOf([1, 2]));
  const reader = new NotifyReader(store);
  reader.read();
  writeFileSync(path, ledgerOf([1, 2], [3]));
  seam.act = () => {
    linkSync(path, join(store.orchdDir, "notify-2026-11-23.jsonl"));
    writeFileSync(`${path}.new`, ledgerOf([4, 5, 6, 7, 8]));
    renameSync(`${path}.new`, path);
  };
  seam.callsLeft = call;
  const reading = reader.read();
  const isReached = seam.callsLeft <= 0;
  seam.callsLeft = Infinity;
  return [reading, isReached];
}

const toldBy = (reading: NotifyReading | undefined): string =>
  (reading?.sent ?? []).map(({ alert }) => alert.because).join(" ");

it("tells each message once, whenever the file is rotated", () => {
  const { root } = tempRoot();
  for (let call = 1; ; call += 1) {
    const [reading, isReached] = rotatedBefore(root, call);
    if (!isReached) break;
    const told = `before call ${call}: ${toldBy(reading)}`;
    expect(told).toBe(`before call ${call}: 8 7 6 5 4 3 2 1`);
    expect(reading?.fault).toBeUndefined();
    expect(call).toBeLessThan(40);
  }
});

it("passes over the second name that a rotation gives the file before it begins a new one", () => {
  const store = new RunStore(tempRoot().runs);
  mkdirSync(store.orchdDir, { recursive: true });
  writeFileSync(store.notifyLedger, ledgerOf([1, 2]));
  linkSync(store.notifyLedger, join(store.orchdDir, "notify-2026-11-23.jsonl"));
  expect(toldBy(new NotifyReader(store).read())).toBe("2 1");
});
