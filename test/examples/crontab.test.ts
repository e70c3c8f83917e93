/** The example crontab: the import, its shadow period beside cron, and a line that was moved. */
import { readdirSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLine, linesOf } from "../support/await-event.ts";
import { orchd } from "../support/daemon.ts";
import { fakeTimeLibrary } from "../support/fake-time.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { startWithClock } from "../support/settable-clock.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";
import { edit, exampleRoot, examplesFolder, runToEnd } from "./example-root.ts";

const FOLDER = join(examplesFolder, "crontab");
const MINUTE_MS = 60_000;

/** A line of cron's log, a second after the minute, in the form that the journal prints. */
const logLine = (time: number, command: string): string =>
  `${new Date(time + 1_000).toISOString()} shop CRON[4711]: (shop) CMD (${command})\n`;

const POLL = "bin/poll-orders.sh";
const REPORT = String.raw`bin/daily-report.sh "$(date +\%F)"`;

interface Comparison {
  readonly pipeline: string;
  readonly both: number;
  readonly onlyCron: readonly string[];
  readonly onlyOrchd: readonly string[];
}

describe("the crontab", () => {
  it("is imported to the pipelines beside it, without the line that has no slot", async () => {
    const root = tempRoot({ crontab: readFileSync(join(FOLDER, "crontab"), "utf8") });
    const imported = await orchd(root.root, "import", "crontab", "crontab", "--shadow");
    expect(imported.status).toBe(1);
    expect(imported.stderr).toMatch(/line 2: orchd sends no mail to ops@example\.org/);
    expect(imported.stderr).toMatch(/line 7 \(@reboot.*\) was not imported: @reboot has no slot/);
    // The commands run as whoever imports them; those beside it were imported by the user shop.
    const own = new RegExp(`^(  (?:USER|LOGNAME): )${userInfo().username}$`, "gm");
    const made = Object.entries(filesOf(root.schedules));
    expect(
      Object.fromEntries(made.map(([name, text]) => [name, text.replace(own, "$1shop")])),
    ).toEqual(filesOf(join(FOLDER, "schedules")));
  });

  it.runIf(fakeTimeLibrary !== undefined)(
    "has the slots that cron has in its shadow period, and runs nothing",
    async () => {
      const root = exampleRoot("crontab");
      // It wakes the daemon each second, so that a clock that is set is seen at once.
      root.write(
        "schedules/waker.yaml",
        'shadow: true\nschedule: { cron: "* * * * * *" }\nsteps: { it: { run: "true" } }\n',
      );
      const six = await nextSlot(root, "daily-report");
      const offset = (time: number): string => `+${Math.round((time - Date.now()) / 1_000)}`;
      const { daemon, set } = await startWithClock(root, offset(six - 2 * MINUTE_MS));
      set(offset(six - 1_500));
      await firedAt(root, "daily-report", six);
      await firedAt(root, "poll-orders", six);
      set(offset(six + 5 * MINUTE_MS - 1_500));
      await firedAt(root, "poll-orders", six + 5 * MINUTE_MS);
      await daemon.end();
      expect(runsOf(root.runs, "poll-orders")).toEqual([]);

      const log = logLine(six, POLL) + logLine(six, REPORT) + logLine(six + 5 * MINUTE_MS, POLL);
      root.write("cron.log", log);
      const words = ["import", "crontab", "crontab", "--compare", "cron.log"];
      const alike = await orchd(root.root, ...words, "--json");
      expect(alike.json<Comparison[]>()).toEqual([
        { pipeline: "poll-orders", both: 2, onlyCron: [], onlyOrchd: [] },
        { pipeline: "daily-report", both: 1, onlyCron: [], onlyOrchd: [] },
      ]);
      expect(alike.stderr).toMatch(/rotate-logs \(line 10\) has no slots yet/);
      expect(alike.status).toBe(0);

      // cron starts a command that orchd has no slot for.
      root.write("cron.log", log + logLine(six + MINUTE_MS, POLL));
      const differs = await orchd(root.root, ...words);
      expect(differs.stdout).toContain("poll-orders: 2 alike, 1 by cron alone, 0 by orchd alone");
      expect(differs.status).toBe(1);
    },
  );

  it("runs a line in cron's folder and environment once it is moved", async () => {
    const root = exampleRoot("crontab");
    const file = "schedules/poll-orders.yaml";
    root.write("shop/bin/poll-orders.sh", 'echo "in $PWD with $PATH"\n');
    edit(root, file, "shadow: true\n", "");
    edit(root, file, "bin/poll-orders.sh", "sh bin/poll-orders.sh");
    root.write(
      file,
      readFileSync(join(root.root, file), "utf8").replaceAll("/srv/shop", join(root.root, "shop")),
    );
    const run = await runToEnd(root, "poll-orders");
    expect(outcomeOf(run)).toBe("completed");
    expect(linesOf(run.path.replace(/jsonl$/, "log"))).toMatchObject([
      { line: `in ${join(root.root, "shop")} with /usr/local/bin:/usr/bin:/bin` },
    ]);
  });
});

function filesOf(folder: string): Record<string, string> {
  const names = readdirSync(folder).sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

async function nextSlot(root: TempRoot, pipeline: string): Promise<number> {
  const coming = await orchd(root.root, "next", pipeline, "-n", "1", "--json");
  return Date.parse(coming.json<{ slot: string }[]>()[0]!.slot);
}

async function firedAt(root: TempRoot, pipeline: string, slot: number): Promise<void> {
  const line = await awaitLine(
    join(root.runs, pipeline, "pipeline.jsonl"),
    (one) => one.type === "slot.fired" && Date.parse(String(one["slot"])) === slot,
  );
  expect(line["shadow"]).toBe(true);
}
