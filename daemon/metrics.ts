/** Wires `orchd metrics`: reads the metrics of a root once. It holds no logic. */
import type { MetricsAnswer } from "../src/cli/command.ts";
import { systemClock } from "../src/clock.ts";
import { contentTypeFor } from "../src/page/metrics/content-type.ts";
import { Metrics } from "../src/page/metrics/metrics.ts";

/** The metrics of a runs folder. @throws a Node error where it cannot be read */
export async function readMetrics(runsDir: string): Promise<MetricsAnswer> {
  const samples = await new Metrics(runsDir).samples(systemClock.now());
  return { text: await samples.text(contentTypeFor()), values: samples.values() };
}
