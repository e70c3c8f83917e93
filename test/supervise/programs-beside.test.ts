/** How the daemon starts those who tell people and send traces, and what the log says of them. */
import { expect, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { DEFAULT_SETTINGS, type OrchdSettings } from "../../src/core/settings.ts";
import type { TelemetrySettings } from "../../src/core/telemetry-settings.ts";
import { superviseNotify } from "../../src/supervise/supervised-notify.ts";
import type { SupervisionPorts } from "../../src/supervise/supervised-program.ts";
import { superviseTelemetry } from "../../src/supervise/supervised-telemetry.ts";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { onTestFinished } from "../support/running-test.ts";
import { tempRoot } from "../support/temp-root.ts";

/** A program that notes how it was started, answers, and stays. */
const PROGRAM = `
const { appendFileSync } = require("node:fs");
const { env, argv } = process;
appendFileSync(argv[1] + ".started", JSON.stringify({ words: argv.slice(2), env }) + "\\n");
const { endpoint } = JSON.parse(env.ORCHD_TELEMETRY ?? "{}");
if (endpoint === "dies") process.exit(3);
process.stdout.write(endpoint === "none" ? "no JSON\\n" : JSON.stringify({ endpoint }) + "\\n");
setInterval(() => {}, 1000);
`;
const ENV = { https_proxy: "http://proxy:1", OTEL_SERVICE_NAME: "cron", AWS_KEY: "no", EMPTY: "" };
const WORDS = ["--root", "/r", "--schedules", "/s", "--runs", "/u"];

function rig() {
  const { root, write } = tempRoot();
  const path = write("program.cjs", PROGRAM);
  const told: string[] = [];
  const note = (level: string) => (_: object, sentence: string) =>
    void told.push(`${level}: ${sentence}`);
  const ports: SupervisionPorts = {
    clock: systemClock,
    log: { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") },
    roots: { root: "/r", schedules: "/s", runs: "/u" },
    program: () => path,
    mark: "its-mark",
  };
  const said = (sentence: RegExp): Promise<string> =>
    awaitSight(
      root,
      () => told.find((one) => sentence.test(one)),
      () => `${String(sentence)} among ${JSON.stringify(told)}`,
    );
  return { ports, told, said, started: () => linesOf(`${path}.started`) as unknown[] };
}

it("the export is told where to send, and the log whereto it sends", async () => {
  const { ports, said, started } = rig();
  let settings: TelemetrySettings | undefined = { endpoint: "http://c:1", service: "s" };
  const program = superviseTelemetry({ ...ports, settings: () => settings, env: ENV });
  onTestFinished(() => program.close());
  program.begin();
  expect(await said(/sent to http/)).toBe("info: traces of runs are sent to http://c:1");
  settings = { endpoint: "none" };
  program.refresh();
  expect(await said(/sent to a/)).toBe("info: traces of runs are sent to a collector");
  const env = { https_proxy: "http://proxy:1", OTEL_SERVICE_NAME: "cron" };
  expect(started()).toMatchObject([
    {
      words: ["export", "otlp", "--json", ...WORDS],
      env: { ...env, ORCHD_RUNNER_TOKEN: "its-mark" },
    },
    { env: { ORCHD_TELEMETRY: '{"endpoint":"none"}' } },
  ]);
  expect(started()[0]).not.toHaveProperty("env.AWS_KEY");
  settings = { endpoint: "dies" };
  program.refresh();
  expect(await said(/status 3/)).toMatch(/^warn: the export of traces /);
});

const NOTIFYING: OrchdSettings = {
  ...DEFAULT_SETTINGS,
  notify: { channels: {}, rules: [] },
};

it("who tells people is told its roots alone, and the log that it tells", async () => {
  const { ports, said, started, told } = rig();
  const program = superviseNotify({ ...ports, settings: () => NOTIFYING, env: ENV });
  onTestFinished(() => program.close());
  program.begin();
  expect(await said(/tells people/)).toBe(
    "info: orchd notify tells people what orchd.yaml's `notify` says",
  );
  expect(started()).toMatchObject([
    { words: ["notify", "--json", ...WORDS], env: { https_proxy: "http://proxy:1" } },
  ]);
  expect(started()[0]).not.toHaveProperty("env.OTEL_SERVICE_NAME");
  expect(told).not.toEqual([]);
});

it("who tells people starts again when what it goes by changes, and only then", async () => {
  const { ports, started, told } = rig();
  let settings = NOTIFYING;
  const program = superviseNotify({ ...ports, settings: () => settings, env: ENV });
  onTestFinished(() => program.close());
  const tells = (): number => told.filter((one) => one.includes("tells people")).length;
  program.begin();
  await expect.poll(tells).toBe(1);
  // What other programs go by leaves it alone: a start for that would be one too many.
  settings = { ...NOTIFYING, project: "other", retention: { keepDays: 30, keepRuns: 9 } };
  program.refresh();
  const others: readonly OrchdSettings[] = [
    { ...NOTIFYING, env: { TEAM: "night" } },
    { ...NOTIFYING, timezone: "Europe/Zurich" },
    { ...NOTIFYING, retention: { keepDays: 3, keepRuns: 10_000 } },
  ];
  for (const [index, other] of others.entries()) {
    settings = other;
    program.refresh();
    await expect.poll(tells).toBe(index + 2);
  }
  expect(started()).toHaveLength(others.length + 1);
});
