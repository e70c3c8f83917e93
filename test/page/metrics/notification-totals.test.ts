/** Messages to people, as metrics count them. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Metrics } from "../../../src/page/metrics/metrics.ts";
import { RunStore } from "../../../src/ledger/run-store.ts";
import { alertOf, alertState, rootWithAlerts, writeAlerts } from "../../support/made-up-alerts.ts";
import { NOW } from "../../support/made-up-root.ts";
import { parseMetrics } from "../../support/parse-metrics.ts";
import { tempRoot } from "../../support/temp-root.ts";

const NAME = "orchd_notifications_total";
const RESULTS = ["sent", "failed", "gave_up"] as const;

/** The counters of a channel, in the order of {@link RESULTS}. */
async function countersOf(metrics: Metrics, channel: string): Promise<unknown[]> {
  const series = parseMetrics((await metrics.text(NOW)).body);
  return RESULTS.map((result) => series.value(NAME, { channel, result }));
}

describe("messages to people", () => {
  it("are counted by channel and result, with zeroes", async () => {
    const { runs } = await rootWithAlerts();
    const metrics = new Metrics(runs);
    expect(await countersOf(metrics, "ops")).toEqual([1, 0, 0]);
    expect(await countersOf(metrics, "chat")).toEqual([0, 2, 1]);
    expect(parseMetrics((await metrics.text(NOW)).body).keysOf(NAME)).toHaveLength(6);
  });

  it("never go back: by no rotation, removal, torn tail or file of a newer release", async () => {
    const root = tempRoot();
    const told = Array.from(
      { length: 200 },
      (_, nth) => [alertOf(nth), { how: "sent", attempt: 1 }] as const,
    );
    await writeAlerts(root, told, alertState(), 20_000);
    const metrics = new Metrics(root.runs);
    expect(await countersOf(metrics, "ops")).toEqual([200, 0, 0]);
    expect(await countersOf(new Metrics(root.runs), "ops")).toEqual([200, 0, 0]);
    const path = new RunStore(root.runs).notifyLedger;
    const text = readFileSync(path);
    rmSync(path);
    expect(await countersOf(metrics, "ops")).toEqual([200, 0, 0]);
    writeFileSync(path, Buffer.concat([text, Buffer.from('{"seq":9')]));
    expect(await countersOf(metrics, "ops")).toEqual([200, 0, 0]);
    rmSync(path);
    writeFileSync(path, '{"seq":1,"b":1,"type":"notify.began","format":99,"at":"x","crc":"0"}\n');
    expect(await countersOf(metrics, "ops")).toEqual([200, 0, 0]);
  });

  it("have a hundred channels with series of their own", async () => {
    const root = tempRoot();
    const told = Array.from(
      { length: 130 },
      (_, nth) => [alertOf(nth, { channel: `c${nth}` }), { how: "sent", attempt: 1 }] as const,
    );
    await writeAlerts(root, told);
    const series = parseMetrics((await new Metrics(root.runs).text(NOW)).body);
    expect(series.keysOf(NAME)).toHaveLength(303);
    expect(series.value(NAME, { channel: "_other", result: "sent" })).toBe(30);
  });
});
