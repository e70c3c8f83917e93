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

it("are asked of the data source that the dashboard's reader chose", () => {
  const dashboard = JSON.parse(
    readFileSync(join(projectRoot, "docs/grafana-dashboard.json"), "utf8"),
  ) as Dashboard;
  const { panels, templating, id } = dashboard;
  // Grafana gives the number when it imports it.
  expect(id).toBeNull();
  expect(templating.list.map(({ name }) => name)).toEqual(["datasource", "instance", "pipeline"]);
  expect(new Set(panels.map((panel) => panel.id)).size).toBe(panels.length);
  for (const { title, datasource, targets, gridPos } of panels) {
    for (const source of [datasource, ...targets.map((target) => target.datasource)])
      expect(source, title).toEqual({ type: "prometheus", uid: "${datasource}" });
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
    expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
  }
});

interface Dashboard {
  readonly id: number | null;
  readonly templating: { readonly list: readonly { readonly name: string }[] };
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly datasource: unknown;
    readonly gridPos: { readonly x: number; readonly w: number };
    readonly targets: readonly { readonly refId: string; readonly datasource: unknown }[];
  }[];
}
