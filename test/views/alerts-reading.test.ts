import { appendFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { emptyNotifyState } from "../../src/core/notify-state.ts";
import { NotifyReader, readNotifications } from "../../src/ledger/notify-reading.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readNotifySetup } from "../../src/schedules/settings-file.ts";
import { NO_SETUP, readAlerts, readAlertsSummary } from "../../src/views/alerts-reading.ts";
import { readPipeline } from "../../src/views/pipeline-reading.ts";
import { loaded, writePipeline } from "../support/hand-ledger.ts";
import { alertOf, alertState, rootWithAlerts, writeAlerts } from "../support/made-up-alerts.ts";
import { at, idOf, madeUpRoot, NOW } from "../support/made-up-root.ts";
import { tempRoot } from "../support/temp-root.ts";

const storeOf = ({ runs }: { readonly runs: string }): RunStore => new RunStore(runs);

describe("what alerts say", () => {
  it("is empty where nothing was ever set up", () => {
    const root = madeUpRoot();
    const setup = readNotifySetup(root.root);
    expect(setup).toEqual(NO_SETUP);
    const view = readAlerts({ store: storeOf(root), setup }, NOW);
    expect(view).toEqual({
      at: at(10),
      configured: false,
      running: false,
      asOf: null,
      fault: null,
      firing: [],
      waiting: [],
      sent: [],
      gaveUp: [],
      counts: { firing: 0, waiting: 0 },
      silences: [],
      channels: [],
    });
    expect(readAlertsSummary(new NotifyReader(storeOf(root)), 0)).toBeUndefined();
  });

  it("has what fires, waits, was sent and was given up, silences and channels", async () => {
    const root = await rootWithAlerts();
    const setup = readNotifySetup(root.root);
    const view = readAlerts({ store: storeOf(root), setup }, NOW);
    expect(view).toMatchObject({ configured: true, running: false, fault: null });
    expect(
      view.firing.map(({ kind, pipeline, told, untold }) => [kind, pipeline, told, untold]),
    ).toEqual([
      ["missed", "etl", false, "quiet"],
      ["channel_broken", null, false, "no_rule"],
      ["failed", "etl", true, null],
    ]);
    expect(view.firing[2]).toMatchObject({ count: 3, since: at(2, 2), run: idOf("etl", 2) });
    expect(view.waiting).toEqual([
      {
        key: alertOf(2).key,
        kind: "missed",
        of: null,
        channel: "chat",
        pipeline: "etl",
        run: idOf("etl", 2),
        because: "no daemon was up",
        count: 3,
        dueAt: at(9, 30, 1),
        endedAt: null,
        attempts: 2,
        retryAt: at(11),
        fault: "no answer within 30s",
      },
    ]);
    expect(view.sent).toMatchObject([{ key: alertOf(1).key, endedAt: at(9, 30), fault: null }]);
    expect(view.gaveUp).toMatchObject([{ fault: "404: there is no such hook" }]);
    expect(view.silences).toEqual([
      { pipeline: "etl", until: at(12), because: "we know", by: "alice" },
    ]);
    const idle = { broken: false, sent: 0, failed: 0, gaveUp: 0, lastSentAt: null, fault: null };
    expect(view.channels).toEqual([
      {
        ...idle,
        name: "chat",
        kind: "slack",
        broken: true,
        failed: 2,
        gaveUp: 1,
        fault: "404: there is no such hook",
      },
      { ...idle, name: "idle", kind: "webhook" },
      { ...idle, name: "ops", kind: "mail", sent: 1, lastSentAt: at(9, 30) },
    ]);
    const reader = new NotifyReader(storeOf(root));
    expect(readAlertsSummary(reader, Date.parse(at(9)))).toEqual({ gaveUp: 1, broken: ["chat"] });
    // What was given up at that very moment counts, and nothing before it.
    const gaveUpAt = Date.parse(reader.read()!.gaveUp[0]!.ended!.at);
    expect([0, 1].map((later) => readAlertsSummary(reader, gaveUpAt + later)?.gaveUp)).toEqual([
      1, 0,
    ]);
  });

  it("has the other silences where one pipeline's ledger cannot be read", async () => {
    const root = await rootWithAlerts();
    const setup = readNotifySetup(root.root);
    const { silences } = readAlerts({ store: storeOf(root), setup }, NOW);
    writePipeline(root.runs, "another", [{ ...loaded("0 2 * * *"), format: 99 }]);
    expect(() => readPipeline(storeOf(root), "another")).toThrow("99");
    expect(readAlerts({ store: storeOf(root), setup }, NOW).silences).toEqual(silences);
    expect(silences).not.toEqual([]);
  });

  it("leaves out silences that are over, and recoveries that nobody was told of", async () => {
    const state = alertState();
    const [firing] = state.pipelines.get("etl")!.firing.values();
    firing!.over = { at: at(3), because: "it completed", cause: "etl/pipeline.jsonl:7" };
    const view = readAlerts(
      { store: storeOf(await rootWithAlerts([], state)), setup: NO_SETUP },
      0,
    );
    expect(view.firing).toEqual([]);
    const root = await rootWithAlerts([[alertOf(1)]], state);
    const later = readAlerts({ store: storeOf(root), setup: NO_SETUP }, NOW);
    expect(later.silences.length).toBe(1);
    const after = readAlerts({ store: storeOf(root), setup: NO_SETUP }, Date.parse(at(12)));
    expect(after.silences).toEqual([]);
    expect(later.firing.map(({ kind }) => kind)).toEqual(["missed", "channel_broken"]);
  });

  it("lists 200 of thousands, and counts all", async () => {
    const state = emptyNotifyState();
    const [etl] = alertState().pipelines.values();
    for (let nth = 0; nth < 300; nth += 1) state.pipelines.set(`p${nth}`, etl!);
    const told = Array.from({ length: 250 }, (_, nth) => [alertOf(nth)] as const);
    const root = tempRoot();
    await writeAlerts(root, told, state);
    const { firing, waiting, counts } = readAlerts({ store: storeOf(root), setup: NO_SETUP }, NOW);
    expect([firing.length, waiting.length]).toEqual([200, 200]);
    expect(counts).toEqual({ firing: 600, waiting: 250 });
    expect(waiting[0]!.key).toBe(alertOf(249).key);
  });

  it("bears an orchd.yaml of any shape", () => {
    const { root } = tempRoot();
    for (const text of ["notify: [1]", "notify: { channels: 3 }", "- x", "{", "notify: null", ""]) {
      writeFileSync(join(root, "orchd.yaml"), text);
      expect(readNotifySetup(root).channels.size).toBe(0);
    }
    writeFileSync(join(root, "orchd.yaml"), "notify: { channels: { a: { kind: 3 }, b: x } }");
    expect([...readNotifySetup(root).channels]).toEqual([
      ["a", null],
      ["b", null],
    ]);
  });
});

describe("a reader that stays", () => {
  it("says the same at every byte of the file as one that begins", async () => {
    const root = await rootWithAlerts();
    const store = storeOf(root);
    const whole = readFileSync(store.notifyLedger);
    writeFileSync(store.notifyLedger, "");
    const reader = new NotifyReader(store);
    for (let length = 0; length < whole.length; length += 1) {
      appendFileSync(store.notifyLedger, whole.subarray(length, length + 1));
      if (length % 7 !== 0 && length < whole.length - 40) continue;
      expect(reader.read()).toEqual(readNotifications(store));
    }
    expect(reader.read()!.sent.length).toBe(1);
    expect(reader.read()).toBe(reader.read());
  });

  it("begins again where the file is another one, is shorter, or is gone", async () => {
    const root = await rootWithAlerts();
    const store = storeOf(root);
    const reader = new NotifyReader(store);
    expect(reader.read()!.waiting.length).toBe(1);
    truncateSync(store.notifyLedger, 0);
    expect(reader.read()!.waiting).toEqual([]);
    const other = await rootWithAlerts([[alertOf(7)], [alertOf(8)]]);
    writeFileSync(store.notifyLedger, readFileSync(storeOf(other).notifyLedger));
    expect(reader.read()!.waiting.map(({ alert }) => alert.key)).toEqual([
      alertOf(8).key,
      alertOf(7).key,
    ]);
  });

  it("tells damage, and what was good before it", async () => {
    const root = await rootWithAlerts();
    const store = storeOf(root);
    const lines = readFileSync(store.notifyLedger, "utf8").split("\n");
    lines[4] = lines[4]!.replace("notify", "natify");
    writeFileSync(store.notifyLedger, lines.join("\n"));
    const view = readAlerts({ store, setup: NO_SETUP }, NOW);
    expect(view.fault).toMatch(/^notify\.jsonl is damaged at line 5 \(/);
    expect(view.channels).toMatchObject([{ name: "ops" }]);
  });

  it("finds what was given up in a file that was rotated long ago", async () => {
    const root = madeUpRoot();
    const lost = [alertOf(1), { how: "gave_up", because: "no such host" }] as const;
    const sent = Array.from(
      { length: 300 },
      (_, nth) => [alertOf(nth + 2), { how: "sent", attempt: 1 }] as const,
    );
    await writeAlerts(root, [lost, ...sent], alertState(), 100_000);
    const store = storeOf(root);
    expect(
      readdirSync(store.orchdDir).filter((name) => name.startsWith("notify-")).length,
    ).toBeGreaterThan(2);
    const reader = new NotifyReader(store, 20);
    for (const _ of [1, 2]) {
      const { gaveUp, sent: newest, totals } = reader.read()!;
      expect(gaveUp.map(({ fault }) => fault)).toEqual(["no such host"]);
      expect(newest.map(({ alert }) => alert.key)).toEqual(
        Array.from({ length: 20 }, (_one, nth) => alertOf(301 - nth).key),
      );
      expect(totals.get("ops")).toMatchObject({ sent: 300, gaveUp: 1 });
    }
  });
});
