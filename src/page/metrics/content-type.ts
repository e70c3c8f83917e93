/** Which of its two formats a scrape asks for, by its `Accept`. */
import { Registry, type RegistryContentType } from "prom-client";

/** OpenMetrics where the request prefers it; else Prometheus' text. */
export function contentTypeFor(accept = ""): RegistryContentType {
  const plain = weightOf(accept, ["text/plain", "text/*", "*/*"]);
  return weightOf(accept, ["application/openmetrics-text"]) > plain
    ? Registry.OPENMETRICS_CONTENT_TYPE
    : Registry.PROMETHEUS_CONTENT_TYPE;
}

/** The weight of the first of these ranges that the header names; 0 if it names none. */
function weightOf(accept: string, ranges: readonly string[]): number {
  const named = accept.split(",").map((part) => {
    const [range = "", ...params] = part.split(";").map((text) => text.trim().toLowerCase());
    const weight = params.find((param) => param.startsWith("q="));
    return { range, weight: weight === undefined ? 1 : Number(weight.slice(2)) || 0 };
  });
  for (const range of ranges) {
    const weights = named.filter((one) => one.range === range).map(({ weight }) => weight);
    if (weights.length > 0) return Math.max(...weights);
  }
  return 0;
}
