/** Samples of metrics, before they become text. */
import { Registry, type Metric } from "prom-client";
import type { Histogram } from "../../core/tally.ts";
import { METRICS, type MetricKey } from "./metric-list.ts";

type Labels = Readonly<Record<string, string>>;

/** A sample, as prom-client renders it. */
interface Sample {
  readonly labels: Labels;
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

/** The text of samples by metric, one line each. It is the same in both formats. */
export type SampleLines = ReadonlyMap<MetricKey, string>;

/** Samples by metric. */
export class Samples {
  readonly #samples = new Map<MetricKey, Sample[]>();

  /** Adds one sample of a counter or a gauge. */
  add(key: MetricKey, labels: Labels, value: number): void {
    this.#of(key).push({ labels, value });
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
    const add = (part: string, own: Labels, value: number): void =>
      void samples.push({ metricName: `${name}_${part}`, labels: own, value });
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
      samples: this.#of(key as MetricKey).map(({ metricName, ...sample }) => ({
        name: metricName ?? name,
        ...sample,
      })),
    }));
  }

  /** The text of the samples. */
  async lines(): Promise<SampleLines> {
    const lines = new Map<MetricKey, string>();
    const registry = new Registry();
    for (const [key, values] of this.#samples) {
      const { name, type, help } = METRICS[key];
      // A metric of prom-client counts by itself. These numbers come from ledgers, ready-made.
      const metric = { name, get: () => ({ name, type, help, values }) };
      registry.registerMetric(metric as unknown as Metric);
      const text = await registry.getSingleMetricAsString(name);
      // Its first two lines are the help and the type.
      lines.set(key, text.slice(text.indexOf("\n", text.indexOf("\n") + 1) + 1));
    }
    return lines;
  }

  #of(key: MetricKey): Sample[] {
    let samples = this.#samples.get(key);
    if (samples === undefined) this.#samples.set(key, (samples = []));
    return samples;
  }
}
