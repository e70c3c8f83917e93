/** A Prometheus of its own scrapes a live root, over a crash of the daemon. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { METRICS } from "../../../src/page/metrics/metric-list.ts";
import { daemonOver, startDaemon } from "../../support/daemon.ts";
import { hasProgram } from "../../support/figures.ts";
import { prometheusOver, until } from "../../support/prometheus.ts";
import { projectRoot } from "../../support/temp-root.ts";
import { pageRig } from "../page-rig.ts";

const namesOf = (type: string): string[] =>
  Object.values(METRICS)
    .filter((metric) => metric.type === type && metric !== METRICS.notifications)
    .map(({ name }) => name);
const COUNTERS = namesOf("counter");
const HISTOGRAMS = namesOf("histogram");
const TICK = `
name: tick
schedule: { cron: "* * * * * *" }
steps:
  tick: { run: "true" }
`;

it.skipIf(!hasProgram("prometheus"))(
  "reads every metric, and no counter goes back as the daemon is killed",
  { timeout: 120_000 },
  async () => {
    const { root, daemon } = await daemonOver({ "schedules/tick.yaml": TICK });
    onTestFinished(() => daemon.kill());
    const { page, port } = await pageRig({ now: () => Date.now() }, root);
    const ask = await prometheusOver(`127.0.0.1:${port}`, page.token!);
    await until(async () => (await ask('sum(orchd_runs_total{status="completed"})'))[0]! > 2);
    expect(await ask("up")).toEqual([1]);
    expect(await ask("orchd_up")).toEqual([1]);
    expect(await ask("scrape_samples_scraped")).toEqual([expect.toSatisfy((n) => n > 60)]);
    expect((await ask('orchd_slots_total{pipeline="tick",decision="fired"}'))[0]).toBeGreaterThan(
      2,
    );
    expect(await ask("histogram_quantile(1, orchd_run_duration_seconds_bucket)")).toHaveLength(1);
    // A rate needs two scrapes.
    for (const query of dashboardQueries())
      await until(async () => (await ask(query)).length > 0, `an answer to ${query}`);
    await daemon.kill();
    await until(async () => (await ask("orchd_up"))[0] === 0);
    await until(async () => (await ask("orchd_undecided_slots"))[0]! > 0);
    const [before] = await ask('sum(orchd_runs_total{status="completed"})');
    await startDaemon({ root: root.root });
    await until(async () => (await ask('sum(orchd_runs_total{status="completed"})'))[0]! > before!);
    expect(await ask("orchd_up")).toEqual([1]);
    for (const name of [...COUNTERS, ...HISTOGRAMS.map((histogram) => `${histogram}_bucket`)])
      expect(await ask(`max(resets(${name}[5m]))`), name).toEqual([0]);
  },
);

/** What the dashboard's panels ask. */
function dashboardQueries(): string[] {
  const file = readFileSync(join(projectRoot, "docs/grafana-dashboard.json"), "utf8");
  const { panels } = JSON.parse(file) as { panels: { targets: { expr: string }[] }[] };
  return panels.flatMap(({ targets }) =>
    targets.map(({ expr }) =>
      expr
        .replaceAll(/\$(?:instance|pipeline)/g, ".*")
        .replaceAll("$__rate_interval", "1m")
        .replaceAll("$__range", "5m"),
    ),
  );
}
