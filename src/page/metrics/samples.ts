/**
 * Samples of one scrape, and their text in Prometheus' format or in OpenMetrics.
 *
 * A root of 500 pipelines has 35,000 samples, most of them the same as in the scrape before. So
 * samples are kept as blocks, and the labels of each as one object: prom-client keeps the text of
 * such labels (`sharedLabels`) as long as the object lives.
 */
import { Registry, type Metric, type RegistryContentType } from "prom-client";
import type { Histogram } from "../../core/tally.ts";
import { METRICS, type MetricKey } from "./metric-list.ts";

type Labels = Readonly<Record<string, string>>;

/** A sample, as prom-client renders it. */
interface Sample {
  readonly sharedLabels: Labels;
  readonly value: number;
  readonly metricName?: string;
}

/** One metric and its samples, as `orchd metrics --json` shows it. */
export interface MetricValues {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** `name` is that of the metric, or of a part of a histogram. */
  readonly samples: readonly {
    readonly name: string;
    readonly labels: Labels;
    readonly value: number;
  }[];
}

/** Samples by metric. */
export class Samples {
  readonly #samples = new Map<MetricKey, Sample[]>();

  /** Adds one sample of a counter or a gauge. */
  add(key: MetricKey, sharedLabels: Labels, value: number): void {
    this.#of(key).push({ sharedLabels, value });
  }

  /** Adds the samples of a histogram. @param bounds the upper bounds of its buckets, in seconds */
  addHistogram(
    key: MetricKey,
    labels: Labels,
    bounds: readonly number[],
    { counts, sumMs }: Histogram,
  ): void {
    const samples = this.#of(key);
    const { name } = METRICS[key];
    const add = (part: string, sharedLabels: Labels, value: number): void =>
      void samples.push({ metricName: `${name}_${part}`, sharedLabels, value });
    let count = 0;
    for (const [index, le] of bounds.entries()) {
      count += counts[index] ?? 0;
      add("bucket", { ...labels, le: String(le) }, count);
    }
    count += counts[bounds.length] ?? 0;
    add("bucket", { ...labels, le: "+Inf" }, count);
    add("sum", labels, sumMs / 1_000);
    add("count", labels, count);
  }

  /** Adds all samples of another block. */
  addAll(block: Samples): void {
    for (const [key, samples] of block.#samples) {
      const own = this.#of(key);
      for (const sample of samples) own.push(sample);
    }
  }

  /** All metrics with their samples, as values for JSON. */
  values(): MetricValues[] {
    return Object.entries(METRICS).map(([key, { name, type, help }]) => ({
      name,
      type,
      help,
      samples: this.#of(key as MetricKey).map(({ metricName = name, sharedLabels, value }) => ({
        name: metricName,
        labels: sharedLabels,
        value,
      })),
    }));
  }

  /** The whole text. */
  text(contentType: RegistryContentType): Promise<string> {
    const registry = new Registry<RegistryContentType>();
    registry.setContentType(contentType);
    for (const [key, { name, type, help }] of Object.entries(METRICS)) {
      // A metric of prom-client counts by itself. These numbers come from ledgers, ready-made.
      const values = this.#of(key as MetricKey);
      const metric = { name: name as string, type, get: () => ({ ...metric, help, values }) };
      registry.registerMetric(metric as unknown as Metric);
    }
    return registry.metrics();
  }

  #of(key: MetricKey): Sample[] {
    let samples = this.#samples.get(key);
    if (samples === undefined) this.#samples.set(key, (samples = []));
    return samples;
  }
}
