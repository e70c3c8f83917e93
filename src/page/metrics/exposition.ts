/**
 * The text of a scrape, in Prometheus' format or in OpenMetrics: of each metric its help, its type,
 * and the lines of all samples.
 *
 * The lines come as blocks. A root of 500 pipelines has 35,000 samples, most of them the same as in
 * the scrape before. Kept as text, a pipeline's block takes 6 KiB, and a scrape joins blocks. Kept
 * as samples, it would take four times as much, and most of a scrape's time to render them again.
 */
import { Registry, type Metric, type RegistryContentType } from "prom-client";
import { METRICS } from "./metric-list.ts";
import type { SampleLines } from "./samples.ts";

/** Joins blocks of samples to a whole text. */
export async function exposition(
  blocks: readonly SampleLines[],
  contentType: RegistryContentType,
): Promise<string> {
  const open = contentType === Registry.OPENMETRICS_CONTENT_TYPE;
  const texts: string[] = [];
  for (const [key, { name, type, help }] of Object.entries(METRICS) as Entries) {
    const parts = [await headOf(open ? name.replace(/_total$/, "") : name, type, help)];
    for (const block of blocks) {
      const lines = block.get(key);
      if (lines !== undefined) parts.push(lines);
    }
    texts.push(parts.join("\n"));
  }
  return open ? `${texts.join("\n")}\n# EOF\n` : `${texts.join("\n\n")}\n`;
}

type Entries = [keyof typeof METRICS, (typeof METRICS)[keyof typeof METRICS]][];

/** The lines about a metric. */
function headOf(name: string, type: string, help: string): Promise<string> {
  const registry = new Registry();
  const metric = { name, get: () => ({ name, type, help, values: [] }) };
  registry.registerMetric(metric as unknown as Metric);
  return registry.getSingleMetricAsString(name);
}
