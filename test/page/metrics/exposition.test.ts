import { Counter, Gauge, Histogram, Registry, type RegistryContentType } from "prom-client";
import { expect, it } from "vitest";
import { emptyTally, LATENESS_BOUNDS, tallySlot } from "../../../src/core/tally.ts";
import { exposition } from "../../../src/page/metrics/exposition.ts";
import { METRICS } from "../../../src/page/metrics/metric-list.ts";
import { Samples } from "../../../src/page/metrics/samples.ts";

const HOSTILE = 'a"b\\c\nd} 1';

it.each([Registry.PROMETHEUS_CONTENT_TYPE, Registry.OPENMETRICS_CONTENT_TYPE])(
  "joins blocks to the text that prom-client gives of the whole, as %s",
  async (contentType: RegistryContentType) => {
    const tally = emptyTally();
    const blocks = [new Samples(), new Samples()];
    const registry = new Registry<RegistryContentType>();
    registry.setContentType(contentType);
    const registers = [registry];
    const buckets = [...LATENESS_BOUNDS];
    const made: Record<string, Counter | Gauge | Histogram> = {};
    for (const [key, { name, type, help, labels }] of Object.entries(METRICS)) {
      const config = { name, help, labelNames: [...labels], registers };
      if (type === "histogram") made[key] = new Histogram({ ...config, buckets });
      else made[key] = type === "counter" ? new Counter(config) : new Gauge(config);
    }
    for (const [index, pipeline] of ["etl", HOSTILE].entries()) {
      const block = blocks[index]!;
      block.add("retries", { pipeline }, 3 + index);
      (made["retries"] as Counter).inc({ pipeline }, 3 + index);
      block.add("nextFire", { pipeline }, 1_795_873_500.25);
      (made["nextFire"] as Gauge).set({ pipeline }, 1_795_873_500.25);
      for (const ms of [250, 500, 99_999_000]) {
        tallySlot(tally, "fired", ms);
        (made["slotLateness"] as Histogram).observe({ pipeline }, ms / 1_000);
      }
      block.addHistogram("slotLateness", { pipeline }, LATENESS_BOUNDS, tally.lateness);
      Object.assign(tally, emptyTally());
    }
    for (const key of ["up", "daemonStart", "oldestRequest", "ledgerBytes", "undecided"] as const)
      blocks[0]!.add(key, {}, 0);
    const text = await exposition(
      await Promise.all(blocks.map((block) => block.lines())),
      contentType,
    );
    expect(sorted(text)).toEqual(sorted(await registry.metrics()));
    expect(text.split("\n").filter((line) => line.startsWith("# HELP"))).toHaveLength(
      Object.keys(METRICS).length,
    );
  },
);

/** The lines, with the labels of each in one order. */
function sorted(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.replace(/(_bucket)\{(le="[^"]+"),(.*)\}/, "$1{$3,$2}"));
}
