import { describe, expect, it } from "vitest";
import { execFileSync } from "node:child_process";
import { compareWithCron, parseCronLog } from "../../src/cli/cron-log.ts";
import { parseCrontab, pipelineName, shellText } from "../../src/cli/crontab.ts";

const USER = { system: false };

describe("a user's crontab", () => {
  it("gives an entry a line, with the variables that stand above it", () => {
    const { entries, refused, notes } = parseCrontab(
      `# comment
MAILTO=ops@example.org
PATH=/usr/local/bin:/usr/bin
"GREETING" = 'hello there'
*/5 * * * *   /usr/local/bin/backup.sh --all
SHELL=/bin/bash
CRON_TZ=Europe/Berlin
@daily  cleanup
`,
      USER,
    );
    expect(refused).toEqual([]);
    expect(entries).toEqual([
      {
        line: 5,
        cron: "*/5 * * * *",
        command: "/usr/local/bin/backup.sh --all",
        text: "/usr/local/bin/backup.sh --all",
        env: { PATH: "/usr/local/bin:/usr/bin", GREETING: "hello there" },
      },
      {
        line: 8,
        cron: "@daily",
        command: "cleanup",
        text: "cleanup",
        env: { PATH: "/usr/local/bin:/usr/bin", GREETING: "hello there" },
        shell: "/bin/bash",
        timezone: "Europe/Berlin",
      },
    ]);
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/line 2: orchd sends no mail to ops@example.org/);
  });

  // The first % ends the command, the others are line feeds, and an escaped one is itself.
  it("reads % as cron does", () => {
    const [entry] = parseCrontab("0 0 * * * date +\\%F; cat%first%second 50\\%", USER).entries;
    expect(entry).toMatchObject({ command: "date +%F; cat", stdin: "first\nsecond 50%" });
    expect(
      execFileSync(
        "/bin/sh",
        ["-c", shellText({ command: "cat; echo end", stdin: "first\nsecond 50%" })],
        { encoding: "utf8" },
      ),
    ).toBe("first\nsecond 50%\nend\n");
  });

  it("does not let a command's input end the here-document early", () => {
    const text = shellText({ command: "cat", stdin: "a\nORCHD_STDIN\nb" });
    expect(execFileSync("/bin/sh", ["-c", text], { encoding: "utf8" })).toBe("a\nORCHD_STDIN\nb\n");
  });

  it.each([
    ["@reboot /usr/bin/agent", /@reboot has no slot/],
    ["@fortnightly x", /@fortnightly is no schedule/],
    ["* * * *", /no crontab line/],
    ["hello", /no crontab line/],
  ])("refuses %j with a reason", (text, reason) => {
    const { entries, refused } = parseCrontab(`\n${text}\n`, USER);
    expect(entries).toEqual([]);
    expect(refused).toMatchObject([{ line: 2, text }]);
    expect(refused[0]!.reason).toMatch(reason);
  });
});

describe("a system crontab", () => {
  it("has a user column, which is refused unless that user is named: orchd has no run-as", () => {
    const text = "17 * * * *\troot\tcd / && run-parts --report /etc/cron.hourly\n";
    const { refused } = parseCrontab(text, { system: true });
    expect(refused[0]?.reason).toMatch(/it runs as root, and orchd has no run-as.*--user root/);
    expect(parseCrontab(text, { system: true, user: "root" }).entries).toMatchObject([
      { cron: "17 * * * *", command: "cd / && run-parts --report /etc/cron.hourly" },
    ]);
    expect(
      parseCrontab("* * * * * root", { system: true, user: "root" }).refused[0]?.reason,
    ).toMatch(/no user and command/);
  });
});

describe("cron's log", () => {
  const NOW = Date.parse("2027-01-02T00:00:00Z");
  const at = (minute: number): number => Date.UTC(2026, 10, 23, 2, minute);

  it("is read in ISO and in syslog's own form, which has no year", () => {
    const local = new Date(2026, 10, 23, 2, 5, 1);
    const starts = parseCronLog(
      `2026-11-23T02:00:01.123456+00:00 host CRON[77]: (root) CMD (  cd / &&  run-parts x)
Nov 23 02:05:01 host CRON[78]: (root) CMD (backup)
Nov 23 02:05:01 host CRON[78]: pam_unix(cron:session): session opened
nonsense CMD (x)
`,
      NOW,
    );
    expect(starts).toEqual([
      { minute: at(0), command: "cd / && run-parts x" },
      { minute: local.getTime() - 1_000, command: "backup" },
    ]);
  });

  it("is compared up to the last decision, not only up to the last slot that fired", () => {
    const minute = (of: number): number => Date.UTC(2026, 10, 23, 2, of);
    const starts = [0, 5, 10, 15].map((of) => ({ minute: minute(of), command: "poll" }));
    const alone = (through?: number): readonly string[] =>
      compareWithCron("poll", "poll", starts, [minute(0), minute(5)], through).onlyCron;
    expect(alone()).toEqual([]);
    expect(alone(minute(10))).toEqual(["2026-11-23T02:10:00.000Z"]);
  });

  it("is compared over the time that both cover", () => {
    const starts = [0, 5, 10, 15, 20]
      .map((minute) => ({ minute: at(minute), command: "backup" }))
      .concat({ minute: at(12), command: "other" });
    const slots = [at(5), at(10), at(12), at(20), at(25)];
    expect(compareWithCron("backup", " backup ", starts, slots)).toEqual({
      pipeline: "backup",
      both: 3,
      onlyCron: [new Date(at(15)).toISOString()],
      onlyOrchd: [new Date(at(12)).toISOString()],
    });
  });
});

describe("a pipeline's name", () => {
  it.each([
    ["/usr/local/bin/backup.sh --all", "backup"],
    ["cd /srv/app && ./Report_Daily.py > out", "srv-app"],
    ["FOO=1 nice -n 10 /opt/x/sync-things", "sync-things"],
    ["", "cron"],
    ["***", "cron"],
  ])("after %j is %s", (command, name) => {
    const made = pipelineName(command);
    expect(made).toMatch(/^[a-z0-9][a-z0-9_-]*$/);
    if (!command.startsWith("cd")) expect(made).toBe(name);
  });
});
