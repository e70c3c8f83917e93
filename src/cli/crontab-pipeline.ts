/** The pipeline that does what a crontab's line does, as a pipeline file has it. */
import { homedir } from "node:os";
import { checkCron } from "../core/schedule/cron-check.ts";
import { readZoneName } from "../core/schedule/zone-name.ts";
import { shellText, type CronEntry } from "./crontab.ts";

const CRONS_PATH = "/usr/bin:/bin";

/** Why a line cannot become a pipeline; undefined where it can. */
export function faultOf(entry: CronEntry): string | undefined {
  const checked = checkCron(entry.cron);
  if (!checked.ok) return checked.message.replace(/[.]$/, "");
  if (entry.timezone === undefined) return undefined;
  const zone = readZoneName(entry.timezone);
  return zone.ok ? undefined : `its CRON_TZ ${zone.message}`;
}

/**
 * The pipeline's definition. What cron does is kept: local time unless CRON_TZ says otherwise, the
 * same shell, folder and PATH, no catching up, overlapping runs.
 *
 * @param crontab the crontab in words, for the description
 * @param shadow the pipeline records its slots and runs nothing
 */
export function definitionOf(
  entry: CronEntry,
  crontab: string,
  shadow: boolean,
): Readonly<Record<string, unknown>> {
  return {
    description: `Line ${entry.line} of ${crontab}`,
    tags: ["crontab"],
    ...(shadow ? { shadow: true } : {}),
    schedule: {
      cron: entry.cron,
      timezone: entry.timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
      // cron runs no slot that it slept through.
      catchUp: "none",
    },
    overlap: "allow",
    env: { PATH: CRONS_PATH, HOME: entry.home ?? homedir(), ...entry.env },
    steps: {
      run: {
        // cron's shell does not stop at a command that fails, as orchd's default does.
        shell: entry.shell ?? "/bin/sh",
        cwd: entry.home ?? homedir(),
        run: shellText(entry),
      },
    },
  };
}
