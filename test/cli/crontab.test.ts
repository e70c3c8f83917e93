import { describe, expect, it } from "vitest";
import { execFileSync } from "node:child_process";
import { faultOf, importedLine } from "../../src/cli/crontab-pipeline.ts";
import { machineZone, zoneOfVariable } from "../../src/cli/crontab-zone.ts";
import { bindParams, bindRunEnv } from "../../src/core/template.ts";
import { compareWithCron, parseCronLog } from "../../src/cli/cron-log.ts";
import { parseCrontab, pipelineName, shellText } from "../../src/cli/crontab.ts";

const USER = { system: false };

describe("a user's crontab", () => {
  it.each([
    ["@DAILY x", "@daily"],
    ["-@Hourly x", "@hourly"],
  ])("takes a name in any case: %s", (text, cron) => {
    const { entries, refused } = parseCrontab(`${text}\n`, USER);
    expect([entries.map((entry) => entry.cron), refused]).toEqual([[cron], []]);
  });

  it.each([
    ["@ReBoot x", "@reboot has no slot: orchd fires by the clock; "],
    ["@fortnightly x", "@fortnightly is no schedule that orchd knows"],
  ])("refuses a name without slots: %s", (text, reason) => {
    const { entries, refused } = parseCrontab(`${text}\n`, USER);
    expect([entries, refused.length, refused[0]?.reason.startsWith(reason)]).toEqual([[], 1, true]);
  });

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
        env: {
          MAILTO: "ops@example.org",
          PATH: "/usr/local/bin:/usr/bin",
          GREETING: "hello there",
        },
      },
      {
        line: 8,
        cron: "@daily",
        command: "cleanup",
        text: "cleanup",
        env: {
          MAILTO: "ops@example.org",
          PATH: "/usr/local/bin:/usr/bin",
          GREETING: "hello there",
          CRON_TZ: "Europe/Berlin",
        },
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

  it.each([
    // A backslash escapes the next character, also another backslash.
    ["echo a\\%b", "echo a%b", undefined],
    ["cat %a\\%b", "cat", "a%b"],
    ["echo \\\\%a", "echo \\\\", "a"],
    ["cat %a\\\\%b\\c", "cat", "a\\%b\\c"],
    ["cat %a\\", "cat", "a\\"],
    // An input that ends in a line feed gets no second one.
    ["cat %a%", "cat", "a"],
    ["cat %", "cat ", undefined],
    ["cat %%", "cat", ""],
    ["cat %%a", "cat", "\na"],
  ])("reads the %% of %j as cron does", (text, command, stdin) => {
    const [entry] = parseCrontab(`0 0 * * * ${text}\n`, USER).entries;
    expect({ command: entry!.command, stdin: entry!.stdin }).toEqual({ command, stdin });
    if (stdin === undefined) return;
    const printed = execFileSync("/bin/sh", ["-c", shellText({ command: "cat", stdin })]);
    expect(printed.toString()).toBe(`${stdin}\n`);
  });

  it("takes a % as it stands where cron would end the command within quotes, and says so", () => {
    const { entries, notes } = parseCrontab(
      "0 0 * * * printf \"%s\\\\n\" 'a%b'\n0 0 * * * echo 'it''s' %in\n",
      USER,
    );
    expect(entries).toMatchObject([
      { command: "printf \"%s\\\\n\" 'a%b'" },
      { command: "echo 'it''s'", stdin: "in" },
    ]);
    expect(notes).toEqual([
      expect.stringMatching(/^line 1: cron ends the command at its first %, within quotes/),
    ]);
  });

  it("keeps every variable, or says why not", () => {
    const { entries, notes } = parseCrontab(
      `LOGNAME=other
USER=other
SHELL=/bin/bash
HOME=
TZ=:/etc/localtime
RANDOM_DELAY=5
MAILTO=""
"two words"=x
A=\${HOME}/bin
0 0 * * * -n true
`,
      USER,
    );
    expect(entries).toEqual([
      {
        line: 10,
        cron: "0 0 * * *",
        command: "true",
        text: "true",
        shell: "/bin/bash",
        env: {
          USER: "other",
          TZ: ":/etc/localtime",
          RANDOM_DELAY: "5",
          MAILTO: "",
          A: "${HOME}/bin",
        },
      },
    ]);
    expect(notes).toEqual([
      expect.stringMatching(/^line 1: LOGNAME stays the user's name/),
      expect.stringMatching(
        /^line 5: TZ=:\/etc\/localtime reaches the commands and moves no schedule/,
      ),
      expect.stringMatching(/^line 6: RANDOM_DELAY delays nothing here/),
      expect.stringMatching(/^line 8: the variable "two words" is left out/),
      expect.stringMatching(/^line 10: -n is left out/),
    ]);
  });

  it("does not let a command's input end the here-document early", () => {
    for (const stdin of ["a\nORCHD_STDIN\nb", "ORCHD_STDIN\nORCHD_STDIN_\nb"]) {
      const text = shellText({ command: "cat", stdin });
      expect(execFileSync("/bin/sh", ["-c", text], { encoding: "utf8" })).toBe(`${stdin}\n`);
    }
  });

  it("ends a command at its % behind a backslash that single quotes keep", () => {
    const { entries, notes } = parseCrontab("* * * * * grep 'a\\' f%in\n", USER);
    expect(entries[0]).toMatchObject({ command: "grep 'a\\' f", stdin: "in" });
    expect(notes).toEqual([]);
  });

  it.each([
    ["@reboot /usr/bin/agent", /@reboot has no slot/],
    ["@fortnightly x", /@fortnightly is no schedule/],
    ["* * * *", /no crontab line/],
    ["hello", /no crontab line/],
    ["* * * * * %input", /no command/],
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

describe("the pipeline of a line", () => {
  const target = {
    machine: { zone: { ok: true, zone: "Europe/Berlin" } },
    account: { user: "shop", home: "/home/shop" },
    crontab: "tab",
    shadow: false,
    now: Date.UTC(2026, 10, 28),
  } as const;
  const line = (text: string): ReturnType<typeof importedLine> =>
    importedLine(parseCrontab(text, USER).entries[0]!, target);
  const fault = (text: string): string | undefined =>
    faultOf(parseCrontab(text, USER).entries[0]!, target.machine);

  it("has cron's own path, shell and folder where the crontab says nothing", () => {
    const { definition, env } = line("* * * * * true");
    const { home, user } = target.account;
    expect(env).toEqual({
      PATH: "/usr/bin:/bin",
      SHELL: "/bin/sh",
      HOME: home,
      USER: user,
      LOGNAME: user,
    });
    expect(definition).toMatchObject({
      overlap: "allow",
      schedule: { catchUp: "none" },
      steps: { run: { shell: "/bin/sh", cwd: home } },
    });
  });

  it("has a USER of the crontab's own, and never its LOGNAME", () => {
    const { env } = line("USER=robot\nLOGNAME=robot\n* * * * * true");
    expect([env["USER"], env["LOGNAME"]]).toEqual(["robot", target.account.user]);
  });

  it("has the environment that cron gives, each value as it stands", () => {
    const { definition, env } = line(
      "PATH=${HOME}/bin\nA=$${x} ${run.id} $ ${}\nSHELL=/bin/bash\nHOME=/srv\n* * * * * true",
    );
    expect(env).toEqual({
      PATH: "${HOME}/bin",
      A: "$${x} ${run.id} $ ${}",
      SHELL: "/bin/bash",
      HOME: "/srv",
      USER: "shop",
      LOGNAME: "shop",
    });
    const written = definition["env"] as Record<string, string>;
    expect(written["PATH"]).toBe("$${HOME}/bin");
    const read = bindRunEnv(bindParams(written, {}) as Record<string, string>, { id: "p@x" });
    expect(read).toEqual(env);
    expect(definition).toMatchObject({ steps: { run: { shell: "/bin/bash", cwd: "/srv" } } });
  });

  it.each([
    ["0 0 * * *", "0 0 * * *"],
    ["0-30/10 2 * * *", "0,10,20,30 2 * * *"],
    ["0 8-18/2 * * mon-fri", "0 8,10,12,14,16,18 * * mon-fri"],
    ["*/10 2 * * *", "*/10 2 * * *"],
    ["5 */2 * * *", "5 */2 * * *"],
    ["0 0 */2 * 1", "0 0 */2 * 1"],
    ["@hourly", "@hourly"],
  ])("has the times of %s, as fixed as cron takes them: %s", (cron, pattern) => {
    const made = line(`${cron} true`);
    expect(made.cron).toBe(pattern);
    expect(made.notes).toHaveLength(cron === pattern ? 0 : 1);
    // Where no clock is set, nothing has to be written otherwise.
    expect(line(`CRON_TZ=Asia/Tokyo\n${cron} true`).cron).toBe(cron);
  });

  it.each([
    ["0/15 * * * *", /^0\/15 runs from its number to the end .* reads the number alone$/],
    ["0 0 * * Mon/2", /^Mon\/2 runs from its number/],
    ["0 0 L * *", /^L means something here, and cron does not know it/],
    ["0 0 ? * 1", /^\? means something here/],
    ["0 0 * * 5#2", /^5#2 means/],
    ["0 0 1 * +1", /^\+1 means/],
  ])("says of %s that cron reads it otherwise", (cron, note) => {
    expect(line(`${cron} true`).notes).toEqual([expect.stringMatching(note)]);
    expect(line(`${cron} true`).cron).toBe(cron);
  });

  it.each(["50/15 * * * *", "0 0 * * 1-5/2", "0 0 * jan,MAR-dec sun", "*/61 * * * *"])(
    "says nothing of %s",
    (cron) => expect(line(`${cron} true`).notes).toEqual([]),
  );

  it.each([
    ["6~15 * * * *", /~, a time that cron picks at random/],
    ["HOME=app\n* * * * *", /HOME app is no absolute path/],
    ["SHELL=/bin/bash -x\n* * * * *", /SHELL \/bin\/bash -x is no absolute path/],
    ["SHELL=bash\n* * * * *", /SHELL bash is no absolute path/],
    ["CRON_TZ=BST\n* * * * *", /its CRON_TZ "BST" is an abbreviation/],
    ["CRON_TZ=CET-1CEST\n* * * * *", /its CRON_TZ "CET-1CEST" is a rule/],
    ["CRON_TZ=europe/berlin\n* * * * *", /is UTC to cron, which knows Europe\/Berlin by its exact/],
  ])("is refused for %j", (text, reason) => {
    expect(fault(`${text} true`)).toMatch(reason);
  });

  it("is refused where its shell cannot take its input", () => {
    expect(fault("SHELL=/usr/bin/python3\n* * * * * print(1) %a")).toMatch(/has an input/);
    expect(fault("SHELL=/usr/bin/python3\n* * * * * print(1)")).toBeUndefined();
    expect(fault("SHELL=/bin/bash\n* * * * * cat %a")).toBeUndefined();
  });
});

describe("the zone of a crontab", () => {
  it.each([
    ["Europe/Berlin", "Europe/Berlin"],
    [":Europe/Berlin", "Europe/Berlin"],
    ["/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"],
    [":/usr/share/zoneinfo/posix/Asia/Tokyo", "Asia/Tokyo"],
    ["posix/Asia/Tokyo", "Asia/Tokyo"],
    [":/etc/localtime", "America/Lima"],
    ["localtime", "America/Lima"],
    ["", "UTC"],
    ["UTC0", "UTC"],
    ["UTC", "UTC"],
    ["GMT0", "GMT0"],
    ["EST5", "Etc/GMT+5"],
    ["EST", "Etc/GMT+5"],
    ["/usr/share/zoneinfo/HST", "Etc/GMT+10"],
    ["EST5EDT", "EST5EDT"],
    ["JST-9", "Etc/GMT-9"],
    ["<+03>-3", "Etc/GMT-3"],
    ["<-05>5:00", "Etc/GMT+5"],
  ])("is read from %j as the C library reads it: %s", (text, zone) => {
    expect(zoneOfVariable(text, "America/Lima")).toEqual({ ok: true, zone });
  });

  it.each([
    "CET-1CEST",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "IST-5:30",
    "BST",
    "utc",
    "right/Asia/Tokyo",
  ])("is not guessed from %s", (text) =>
    expect(zoneOfVariable(text, "America/Lima").ok).toBe(false),
  );

  it("is the machine's, or the variable TZ's, and both are told where they differ", () => {
    expect(machineZone(undefined, "Asia/Tokyo")).toEqual({
      zone: { ok: true, zone: "Asia/Tokyo" },
    });
    expect(machineZone(":/etc/localtime", "Asia/Tokyo")).toEqual({
      zone: { ok: true, zone: "Asia/Tokyo" },
    });
    expect(machineZone("UTC0", "Asia/Tokyo")).toEqual({
      zone: { ok: true, zone: "UTC" },
      note: expect.stringMatching(/imported for UTC, .* import with TZ=Asia\/Tokyo/) as string,
    });
    expect(machineZone("CET-1CEST", "Asia/Tokyo")).toMatchObject({
      zone: { ok: false, message: expect.stringMatching(/TZ gives no zone.*rule/) as string },
    });
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

  it.each([
    [2_000, 2026],
    [86_400_000, 2026],
    [86_401_000, 2025],
    [300 * 86_400_000, 2026],
  ])("a line without a year, up to %i ms ahead of the clock, is of %i", (aheadMs, year) => {
    // A clock may be behind the one that wrote the log. A line of tomorrow is last year's.
    const written = new Date(2026, 10, 24, 2, 5, 1);
    const now = written.getTime() - (aheadMs < 100 * 86_400_000 ? aheadMs : -aheadMs / 3);
    const [start] = parseCronLog("Nov 24 02:05:01 host CRON[78]: (root) CMD (backup)\n", now);
    expect(new Date(start!.minute).getFullYear()).toBe(year);
  });

  it("is compared up to the last decision, not only up to the last slot that fired", () => {
    const minute = (of: number): number => Date.UTC(2026, 10, 23, 2, of);
    const starts = [0, 5, 10, 15].map((of) => ({ minute: minute(of), command: "poll" }));
    const alone = (through?: number): readonly string[] =>
      compareWithCron("poll", { command: "poll", starts }, [minute(0), minute(5)], through)
        .onlyCron;
    expect(alone()).toEqual([]);
    expect(alone(minute(10))).toEqual(["2026-11-23T02:10:00.000Z"]);
  });

  it("is compared over the time that both cover", () => {
    const starts = [0, 5, 10, 15, 20]
      .map((minute) => ({ minute: at(minute), command: "backup" }))
      .concat({ minute: at(12), command: "other" });
    const slots = [at(5), at(10), at(12), at(20), at(25)];
    expect(compareWithCron("backup", { command: " backup ", starts }, slots)).toEqual({
      pipeline: "backup",
      both: 3,
      onlyCron: [new Date(at(15)).toISOString()],
      onlyOrchd: [new Date(at(12)).toISOString()],
    });
  });

  it("is compared where it has more starts than a call takes arguments", () => {
    const starts = Array.from({ length: 200_000 }, (_, nth) => ({
      minute: at(nth >> 2),
      command: `c${nth % 4}`,
    }));
    const slots = Array.from({ length: 200_000 }, (_, nth) => at(nth));
    const found = compareWithCron("c", { command: "c1", starts }, slots, at(200_000));
    expect(found).toEqual({ pipeline: "c", both: 50_000, onlyCron: [], onlyOrchd: [] });
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
