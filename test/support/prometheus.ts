/** Prometheus and Alertmanager of a test's own, over loopback. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { freePort } from "./free-port.ts";
import { projectRoot, tempRoot } from "./temp-root.ts";

/** Starts a Prometheus. @returns the values of a query's series */
export async function prometheusOver(
  target: string,
  token: string,
  alertmanager?: string,
): Promise<(query: string) => Promise<number[]>> {
  const { root } = tempRoot();
  const config = join(root, "prometheus.yml");
  writeFileSync(
    config,
    JSON.stringify({
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: [join(projectRoot, "docs/alert-rules.yml")],
      scrape_configs: [
        {
          job_name: "orchd",
          authorization: { credentials: token },
          static_configs: [{ targets: [target] }],
        },
      ],
      ...(alertmanager === undefined
        ? {}
        : { alerting: { alertmanagers: [{ static_configs: [{ targets: [alertmanager] }] }] } }),
    }),
  );
  const address = `127.0.0.1:${await freePort()}`;
  await serve("prometheus", root, `http://${address}/-/ready`, [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(root, "data")}`,
    `--web.listen-address=${address}`,
    "--log.level=warn",
  ]);
  return async (query) => {
    const url = `http://${address}/api/v1/query?query=${encodeURIComponent(query)}`;
    const { data, error } = (await (await fetch(url)).json()) as {
      data?: { result: { value: [number, string] }[] };
      error?: string;
    };
    if (data === undefined) throw new Error(`${query}: ${error}`);
    return data.result.map(({ value }) => Number(value[1]));
  };
}

/**
 * Starts an Alertmanager that posts each alert to a webhook, at once.
 *
 * @returns its address
 */
export async function alertmanagerTo(webhook: string): Promise<string> {
  const { root } = tempRoot();
  const config = join(root, "alertmanager.yml");
  writeFileSync(
    config,
    JSON.stringify({
      route: { receiver: "test", group_by: ["alertname"], group_wait: "1s", group_interval: "1s" },
      receivers: [{ name: "test", webhook_configs: [{ url: webhook }] }],
    }),
  );
  const address = `127.0.0.1:${await freePort()}`;
  await serve("prometheus-alertmanager", root, `http://${address}/-/ready`, [
    `--config.file=${config}`,
    `--storage.path=${join(root, "data")}`,
    `--web.listen-address=${address}`,
    "--cluster.listen-address=",
    "--log.level=warn",
  ]);
  return address;
}

/** Runs a server until the test ends; resolves when it is ready. */
async function serve(
  program: string,
  cwd: string,
  ready: string,
  words: readonly string[],
): Promise<void> {
  const child = spawn(program, words, { cwd, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (text: Buffer) => (said += String(text)));
  const ended = new Promise((resolve) => child.on("exit", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${said}`);
    return (await fetch(ready).catch(() => undefined))?.ok === true;
  });
}

/** Waits until it holds, for 40 s at most. */
export async function until(holds: () => Promise<boolean>, what = String(holds)): Promise<void> {
  const deadline = Date.now() + 40_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await sleep(200);
  }
}
