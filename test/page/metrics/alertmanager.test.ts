/** The shipped alert rules reach a person through Prometheus and Alertmanager. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { daemonOver, orchd } from "../../support/daemon.ts";
import { hasProgram } from "../../support/figures.ts";
import { alertmanagerTo, prometheusOver, until } from "../../support/prometheus.ts";
import { pageRig } from "../page-rig.ts";

const PIPELINE = `
name: backup
steps:
  dump: { run: "exit 3" }
`;

interface PostedAlert {
  readonly status: string;
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
}

it.skipIf(!hasProgram("prometheus") || !hasProgram("prometheus-alertmanager"))(
  "gives a failed run to Alertmanager, with words that say what to do",
  { timeout: 180_000 },
  async () => {
    const { root, daemon } = await daemonOver({ "schedules/backup.yaml": PIPELINE });
    onTestFinished(() => daemon.kill());
    const { page, port } = await pageRig({ now: () => Date.now() }, root);
    const { address, alerts } = await receiver();
    const manager = await alertmanagerTo(address);
    const ask = await prometheusOver(`127.0.0.1:${port}`, page.token!, manager);
    // An increase needs a scrape from before the run.
    const failed = 'orchd_runs_total{pipeline="backup",status="failed",trigger="manual"}';
    await until(async () => (await ask(failed))[0] === 0);
    expect((await orchd(root.root, "run", "backup", "--wait")).status).toBe(1);
    await until(async () => alerts.some(({ labels }) => labels["alertname"] === "OrchdRunFailed"));
    const alert = alerts.find(({ labels }) => labels["alertname"] === "OrchdRunFailed")!;
    expect(alert.status).toBe("firing");
    expect(alert.labels).toMatchObject({ pipeline: "backup", severity: "warning" });
    expect(alert.annotations).toEqual({
      summary: "A run of backup failed.",
      description: "`orchd status backup` says why.",
    });
    expect(alerts.filter(({ labels }) => labels["alertname"] === "OrchdDown")).toEqual([]);
  },
);

/** Takes what Alertmanager posts. */
async function receiver(): Promise<{ address: string; alerts: readonly PostedAlert[] }> {
  const alerts: PostedAlert[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (text: Buffer) => (body += String(text)));
    request.on("end", () => {
      alerts.push(...(JSON.parse(body) as { alerts: PostedAlert[] }).alerts);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, alerts };
}
