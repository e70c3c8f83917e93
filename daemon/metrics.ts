/** Wires `orchd metrics`: reads the metrics of a root once. It holds no logic. */
import type { MetricsAnswer } from "../src/cli/command.ts";
import { systemClock } from "../src/clock.ts";
import { Metrics } from "../src/page/metrics/metrics.ts";

/** The metrics of a runs folder. @throws a Node error where it cannot be read */
export async function readMetrics(runsDir: string): Promise<MetricsAnswer> {
  const metrics = new Metrics(runsDir);
  const now = systemClock.now();
  const { body } = await metrics.text(now);
  return { text: body, values: (await metrics.samples(now)).values() };
}
