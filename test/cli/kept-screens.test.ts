/**
 * What commands show of roots of every kind, to the letter and with its colours: screens of some
 * widths, the lines of ledgers that earlier releases left, and a crontab that becomes files.
 */
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { CommandHandler } from "../../src/cli/command.ts";
import { run as alerts } from "../../src/cli/commands/alerts.ts";
import { run as backfill } from "../../src/cli/commands/backfill.ts";
import { run as diff } from "../../src/cli/commands/diff.ts";
import { run as graph } from "../../src/cli/commands/graph.ts";
import { run as importCrontab } from "../../src/cli/commands/import.ts";
import { run as logs } from "../../src/cli/commands/logs.ts";
import { run as next } from "../../src/cli/commands/next.ts";
import { run as places } from "../../src/cli/commands/places.ts";
import { run as prune } from "../../src/cli/commands/prune.ts";
import { run as runs } from "../../src/cli/commands/runs.ts";
import { run as status } from "../../src/cli/commands/status.ts";
import { run as tail } from "../../src/cli/commands/tail.ts";
import { run as validate } from "../../src/cli/commands/validate.ts";
import { run as verify } from "../../src/cli/commands/verify.ts";
import { run as why } from "../../src/cli/commands/why.ts";
import type { Part, Span } from "../../src/cli/terminal.ts";
import { expectKept, placeless } from "../support/kept-text.ts";
import { rootWithAlerts } from "../support/made-up-alerts.ts";
import { PLACES_NOW, PLACES_RUN, rootWithPlaces } from "../support/made-up-places.ts";
import { at, idOf, NOW } from "../support/made-up-root.ts";
import { projectRoot } from "../support/project-root.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";
import { command } from "../support/told-terminal.ts";

const COMMANDS: Readonly<Record<string, CommandHandler>> = {
  alerts,
  backfill,
  diff,
  graph,
  import: importCrontab,
  logs,
  next,
  places,
  prune,
  runs,
  status,
  tail,
  validate,
  verify,
  why,
};

/** A command's name, its options, and the terminal's columns, where it is one. */
type Screen = readonly [name: string, values?: object, columns?: number];

beforeEach(() => void vi.stubEnv("TZ", "UTC"));
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

/** A part with its styles: `‹red:failed›`. */
function marked(part: Part): string {
  if (typeof part === "string") return part;
  if (Array.isArray(part)) return part.map(marked).join("");
  const { style, text } = part as Span;
  return style === undefined ? text : `‹${style}:${text}›`;
}

/** What a command shows: its lines, notes, errors and sentence, each with a mark before it. */
async function screen(made: TempRoot, [name, values = {}, columns]: Screen): Promise<string> {
  const said = await command(COMMANDS[name]!, made, values as Record<string, unknown>, columns);
  const { terminal, status: exit, sentence } = said;
  const width = columns === undefined ? "" : ` on ${columns} columns`;
  return [
    `$ ${name} ${JSON.stringify(values)}${width}: ${exit}`,
    ...terminal.parts.map(marked),
    ...terminal.values.map((value) => JSON.stringify(value)),
    ...(terminal.text === "" ? [] : [terminal.text]),
    ...terminal.notes.map((note) => `note: ${note}`),
    ...terminal.errors.map((error) => `error: ${error}`),
    ...(sentence === undefined ? [] : [`refused: ${sentence}`]),
    "",
  ]
    .map((line) => line.trimEnd())
    .join("\n");
}

async function expectScreens(
  name: string,
  now: number,
  made: TempRoot,
  screens: readonly Screen[],
) {
  vi.useFakeTimers({ toFake: ["Date"], now });
  const texts: string[] = [];
  for (const one of screens) texts.push(await screen(made, one));
  // Whoever runs the test.
  const text = texts.join("\n").replaceAll(/\b(USER|LOGNAME)(?:: [\w-]+|=\w+)/g, "$1: me");
  expectKept(`screens/${name}.txt`, placeless(text, made));
}

it("a root with alerts", async () => {
  const run = idOf("etl", 2);
  const moments = [at(4), at(5), at(7), at(9, 30), "05:30", "2026-11-22T00:00:00Z"];
  await expectScreens("alerts", NOW, await rootWithAlerts(), [
    ["alerts"],
    ["alerts", {}, 60],
    ["status", {}, 60],
    ["status", {}, 100],
    ...["etl", "bad", "gone", "held", "new", "none", run, idOf("etl", 9)].map((target): Screen => [
      "status",
      { target },
    ]),
    ["status", { target: idOf("etl", 3) }, 60],
    ["status", { at: at(3, 30), target: "etl" }],
    ["runs", { number: "2" }],
    ["runs", { status: "failed", since: at(1) }, 60],
    ["runs", { pipeline: "held" }],
    ...moments.map((time): Screen => ["why", { pipeline: "etl", time }]),
    ...["bad", "gone", "held", "new", "none"].map((name): Screen => ["why", { pipeline: name }]),
    ["tail", { lines: "200" }],
    ["tail", { pipeline: "etl", lines: "3" }],
    ["verify"],
    ["verify", { json: true }],
    ["prune", { "dry-run": true, "keep-runs": "1" }],
    ["prune", { "dry-run": true, "keep-runs": "1", json: true }],
    ["next", { number: "3", from: at(10), "as-compiled": true }],
    ...["text", "dot", "mermaid", "none"].map((format): Screen => [
      "graph",
      { target: run, format },
    ]),
    ["logs", { run }],
    ["diff", { run, other: idOf("etl", 1) }],
    ["diff", { run: idOf("etl", 3), other: run }],
    ["backfill", { pipeline: "etl", from: at(0), to: at(9), "dry-run": true }],
  ]);
});

it("a root with places", async () => {
  await expectScreens("places", PLACES_NOW, rootWithPlaces(), [
    ["places"],
    ["places", {}, 60],
    ["places", { json: true }],
    ["status"],
    ["status", { target: PLACES_RUN }],
    ["tail", { lines: "100" }],
  ]);
});

it.each(["v1", "v1-elsewhere", "v1-places", "v1-silence", "v1-upkeep", "v1-waits"])(
  "ledgers of %s",
  async (name) => {
    const made = tempRoot();
    const ledgers = join(projectRoot, "test/fixtures/ledgers", name, "runs");
    cpSync(ledgers, made.runs, { recursive: true });
    const pipelines = readdirSync(made.runs).filter((one) => !one.startsWith("."));
    await expectScreens(name, Date.UTC(2026, 10, 29), made, [
      ["status"],
      ["runs"],
      ...pipelines.flatMap((pipeline): Screen[] => [
        ["status", { target: pipeline }],
        ["why", { pipeline }],
        ["runs", { pipeline, number: "3" }],
        ["tail", { pipeline, lines: "60" }],
      ]),
    ]);
  },
);

it("a crontab that becomes files", async () => {
  const made = tempRoot();
  const file = join(made.root, "crontab");
  writeFileSync(
    file,
    [
      "# what runs at night",
      'MAILTO=""',
      "HOME=/srv/app",
      "PATH=/usr/bin:/bin",
      "SHELL=/bin/bash",
      "CRON_TZ=Europe/Berlin",
      "RANDOM_DELAY=5",
      "0 2 * * * /opt/backup.sh --all % a line % another",
      "30 2 * * 1-5 /opt/backup.sh",
      "@reboot /opt/start",
      "@daily echo 'it''s' \"100\\% done\"",
      "-n */5 * * * * quiet",
      "  */5 * * * *   -n quiet --now",
      "0 0 31 2 * never",
      "61 * * * * wrong",
      "* * * *",
      "0 4 * * *",
      "FOO = bar baz",
      "15 6 1,15 * 0 cd work && ./x >/dev/null 2>&1",
      "0 9 * * mon#2 second monday",
      "@hourly Ünïcode $HOME/99.sh",
      "",
    ].join("\n"),
  );
  const asked = { kind: "crontab", file };
  const none = join(made.root, "none");
  await expectScreens("crontab", NOW, made, [
    ["import", { kind: "anacron", file }],
    ["import", { kind: "crontab", file: none }],
    ["import", { ...asked, "dry-run": true }],
    ["import", { ...asked, "dry-run": true, json: true }],
    ["import", { ...asked, shadow: true }],
    ["import", asked],
    ["validate", { files: [made.schedules] }],
    ["next", { number: "12", from: at(10), days: "1" }],
  ]);
  const texts = readdirSync(made.schedules)
    .toSorted()
    .map((name) => `--- ${name}\n${readFileSync(join(made.schedules, name), "utf8")}`);
  // Whoever runs the test.
  const files = texts.join("\n").replaceAll(/\b(USER|LOGNAME): [\w-]+/g, "$1: me");
  expectKept("screens/crontab-files.txt", placeless(files, made));
  expect(texts.length).toBeGreaterThan(5);
});
