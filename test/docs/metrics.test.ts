/** docs/metrics.md, the dashboard and the alert rules speak of the metrics that there are. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { METRICS } from "../../src/page/metrics/metric-list.ts";
import { projectRoot } from "../support/temp-root.ts";
import { expectTable, markdownTable } from "./held-table.ts";

it("stand in docs/metrics.md", () => {
  const rows = Object.values(METRICS).map(({ name, type, labels, help }) => [
    `\`${name}\``,
    type,
    labels.map((label) => `\`${label}\``).join(" ") || "–",
    help,
  ]);
  expectTable(
    "docs/metrics.md",
    "metrics",
    markdownTable(["metric", "type", "labels", "says"], rows),
  );
});

it.each(["alert-rules.yml", "metrics.md", "grafana-dashboard.json"])(
  "are those that docs/%s names",
  (file) => {
    const text = readFileSync(join(projectRoot, "docs", file), "utf8");
    const known = new Set<string>(Object.values(METRICS).map(({ name }) => name));
    const named = [...text.matchAll(/\borchd_[a-z_]+/g)].map(([name]) =>
      name.replace(/_(?:bucket|sum|count)$/, ""),
    );
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  },
);
