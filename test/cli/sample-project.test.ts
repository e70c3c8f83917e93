/** What `orchd init` makes: a sample whose every key is meant. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { run as runInit } from "../../src/cli/commands/init.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { tempRoot } from "../support/temp-root.ts";
import { command } from "../support/told-terminal.ts";

it("is one pipeline each minute, that makes up for nothing", async () => {
  const folder = join(tempRoot().root, "project");
  expect(await command(runInit, tempRoot(), { folder })).toMatchObject({ status: 0 });
  const text = (name: string): string => readFileSync(join(folder, name), "utf8");
  expect(parse(text("schedules/disk-report.yaml"))).toEqual({
    description: "Notes how full the disk is, once a minute",
    schedule: { cron: "* * * * *", catchUp: "none" },
    steps: {
      measure: {
        run:
          "df -Pk . |\n" +
          '  awk \'NR == 2 { printf "{\\"usedKb\\": %s, \\"freeKb\\": %s}", $3, $4 }\' ' +
          '> "$ORCHD_OUTPUT"\ndf -Ph .\n',
      },
      judge: {
        uses: "./steps/judge.mjs",
        inputs: { disk: "measure" },
        params: { leastFreeKb: 1_048_576 },
      },
    },
  });
  // Its settings are comments, and each says the default.
  expect(parse(text("orchd.yaml"))).toBeNull();
  const said = parse(/^# (retention: .*)$/m.exec(text("orchd.yaml"))![1]!) as object;
  expect(said).toEqual({ retention: DEFAULT_SETTINGS.retention });
  expect(readdirSync(join(folder, "schedules")).sort()).toEqual(["disk-report.yaml", "steps"]);
});

it.each([
  [100, 100, 50, "only 100 KiB are free, 101 should be"],
  [101, 100, 50, { freeKb: 101 }],
  [102, 0, 0, { freeKb: 102 }],
])("with %i KiB free and %i used its step judges", async (freeKb, usedKb, percent, said) => {
  const folder = join(tempRoot().root, "project");
  await command(runInit, tempRoot(), { folder });
  const { default: judge } = (await import(join(folder, "schedules/steps/judge.mjs"))) as {
    readonly default: (given: object) => Promise<unknown>;
  };
  const lines: string[] = [];
  const log = { info: (line: string) => void lines.push(line) };
  const inputs = { disk: { freeKb, usedKb } };
  const judged = judge({ inputs, params: { leastFreeKb: 101 }, log });
  if (typeof said === "string") await expect(judged).rejects.toThrow(said);
  else expect(await judged).toEqual(said);
  expect(lines).toEqual([`${percent} % used`]);
});
