import { execFileSync } from "node:child_process";
import { mkdirSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { readZoneName } from "../../src/core/schedule/zone-name.ts";
import { ask } from "../support/asked-command.ts";
import { orchd } from "../support/daemon.ts";
import { at } from "../support/made-up-root.ts";
import { tempRoot } from "../support/temp-root.ts";
import { hasProgram } from "../support/figures.ts";
import { completedRun, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";

describe("orchd validate", () => {
  it("exits 0 where every file is good, and says what each is", async () => {
    const { root } = tempRoot({
      "schedules/a.yaml":
        'schedule: { cron: "* * * * * *" }\n' +
        'steps: { one: { run: "true" }, two: { run: "true", after: one } }\n',
      "schedules/b.json": '{"steps": {"one": {"uses": "./steps/x.ts"}}}',
      "schedules/steps/x.ts": "export default async (): Promise<number> => 1;\n",
      "schedules/.hidden.yaml": "nonsense: [",
    });
    const { status, stderr, json } = await ask(root, "validate", "--json");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(json()).toMatchObject([
      {
        file: join(root, "schedules/a.yaml"),
        name: "a",
        valid: true,
        errors: [],
        schedule: "* * * * * *",
        steps: 2,
      },
      {
        file: join(root, "schedules/b.json"),
        name: "b",
        valid: true,
        errors: [],
        schedule: null,
        steps: 1,
      },
    ]);
    expect(json<{ warnings: string[] }[]>()[0]!.warnings.join()).toMatch(/seconds/);
  });

  it("exits 2 with file, line, field and a near name, and leaves only compiled code", async () => {
    const { root, runs } = tempRoot({
      "schedules/a.yaml": 'schedule:\n  crom: "* * * * *"\nsteps: { one: { run: "true" } }\n',
      "schedules/b.yaml": 'name: c\nsteps: { one: { run: "true" } }\n',
      "schedules/c.yaml": 'steps: { one: { run: "true" } }\n',
    });
    const { status, stdout, stderr } = await ask(root, "validate");
    expect(status).toBe(2);
    expect(stdout).toMatch(/a\.yaml:2:3: .*crom.*cron/);
    expect(stdout).toMatch(/c\.yaml: name "c" is taken by .*b\.yaml/);
    expect(stderr).toBe(
      "orchd: 2 files of 3 are invalid; correct what is said above and validate again.\n",
    );
    expect(readdirSync(runs).filter((name) => name !== ".orchd")).toEqual([]);
  });

  it.each([
    ["next"],
    ["next", "p"],
    ["prune"],
    ["backfill", "p", "--from", "2d", "--to", "1d", "--dry-run"],
  ])("a drop folder that is not there is named: %s %s %s", async (...words) => {
    // What it says of pipelines, the retention of their runs too, is not known without it.
    const { root, runs } = tempRoot();
    writePipeline(runs, "p", [{ ...loaded("0 * * * *"), at: at(1) }]);
    const { status, stdout, stderr } = await orchd(root, ...words, "--schedules", "/none/there");
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(
      /^orchd: the folder \/none\/there is not there; name it with --schedules /,
    );
  });

  it("names good and bad files alike: from the working folder, or else whole", async () => {
    const { root } = tempRoot({
      "schedules/bad.yaml": "steps: 1\n",
      "schedules/good.yaml": 'steps: { one: { run: "true" } }\n',
      "other/README": "",
    });
    const firstWords = async (cwd: string): Promise<string[]> => {
      const { stdout } = await orchd(root, "validate", "bad.yaml", "good.yaml", { cwd });
      return stdout.split("\n").map((line) => line.split(/:\d|: /)[0]!);
    };
    expect(await firstWords(root)).toEqual(["✗ schedules/bad.yaml", "✓ schedules/good.yaml", ""]);
    expect(await firstWords(join(root, "other"))).toEqual([
      `✗ ${root}/schedules/bad.yaml`,
      `✓ ${root}/schedules/good.yaml`,
      "",
    ]);
  });

  it("checks the files that are named, here or in the drop folder", async () => {
    const { root } = tempRoot({
      "schedules/a.yaml": 'steps: { one: { run: "true" } }\n',
      "elsewhere/b.yaml": "steps: 1\n",
    });
    expect((await ask(root, "validate", "a.yaml", "--json")).json()).toMatchObject([
      { name: "a", valid: true },
    ]);
    const bad = await ask(root, "validate", "elsewhere/b.yaml", "--json");
    expect(bad.status).toBe(2);
    expect(bad.json()).toMatchObject([{ name: "b", valid: false }]);
    const folder = await ask(root, "validate", "elsewhere", "schedules", "--json");
    expect(folder.json()).toMatchObject([
      { name: "b", valid: false },
      { name: "a", valid: true },
    ]);
    const twice = await ask(root, "validate", "elsewhere", "elsewhere/../elsewhere/b.yaml");
    expect(twice.stdout.match(/✗/g)).toHaveLength(1);
    expect(twice.stderr).toContain("1 file of 1 is invalid");
    const empty = await ask(root, "validate", "runs");
    expect({ status: empty.status, stderr: empty.stderr }).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("no pipeline file is in the folder"),
    });
    const none = await ask(root, "validate", "c.yaml");
    expect(none.status).toBe(2);
    expect(none.stderr).toMatch(/there is no file c\.yaml/);
  });

  it("checks orchd.yaml first", async () => {
    const { root } = tempRoot({
      "orchd.yaml": "timezon: UTC\n",
      "schedules/a.yaml": 'steps: { one: { run: "true" } }\n',
    });
    const { status, stderr } = await ask(root, "validate");
    expect(status).toBe(2);
    expect(stderr).toMatch(/orchd\.yaml:1:1: .*timezon.*timezone/);
  });

  it("says of orchd.yaml's zone what may surprise, and refuses an abbreviation there", async () => {
    const { root } = tempRoot({
      "orchd.yaml": "timezone: etc/gmt+5\n",
      "schedules/a.yaml": 'steps: { one: { run: "true" } }\n',
    });
    const { status, stderr } = await ask(root, "validate");
    expect(status).toBe(0);
    expect(stderr).toMatch(/orchd\.yaml: the IANA time zone Etc\/GMT\+5 is UTC-05:00 all year/);
    for (const [zone, meant] of [
      ["BST", /orchd\.yaml:1:11: timezone "BST" is an abbreviation.*London/],
      ["EST", /orchd\.yaml:1:11: timezone "EST" is an abbreviation.*New_York/],
    ] as const) {
      writeFileSync(join(root, "orchd.yaml"), `timezone: ${zone}\n`);
      const bad = await ask(root, "validate");
      expect(bad.status).toBe(2);
      expect(bad.stderr).toMatch(meant);
    }
  });
});

interface Next {
  readonly pipeline: string;
  readonly slot: string;
  readonly local: string;
  readonly note?: string;
}

/** A pipeline file of one step with a schedule. */
const yaml = (schedule: string): string =>
  `schedule: { ${schedule} }\nsteps: { one: { run: "true" } }\n`;

describe("orchd next", () => {
  const next = async (root: string, ...words: string[]): Promise<Next[]> =>
    (await ask(root, "next", "--json", ...words)).json<Next[]>();

  it("lists slots strictly after --from, of all pipelines by time, without a daemon", async () => {
    const { root } = tempRoot({
      "schedules/a.yaml": yaml('cron: "*/10 * * * *", timezone: Europe/Berlin'),
      "schedules/b.yaml": yaml('intervalSeconds: 1200, startTime: "2026-11-23T00:05:00Z"'),
      "schedules/c.yaml": 'steps: { one: { run: "true" } }\n',
    });
    expect(await next(root, "--from", "2026-11-23T02:00:00Z", "-n", "4")).toEqual([
      { pipeline: "b", slot: "2026-11-23T02:05:00.000Z", local: "2026-11-23T02:05:00Z" },
      { pipeline: "a", slot: "2026-11-23T02:10:00.000Z", local: "2026-11-23T03:10:00+01:00" },
      { pipeline: "a", slot: "2026-11-23T02:20:00.000Z", local: "2026-11-23T03:20:00+01:00" },
      { pipeline: "b", slot: "2026-11-23T02:25:00.000Z", local: "2026-11-23T02:25:00Z" },
    ]);
    expect(await next(root, "a", "--from", "2026-11-23T02:00:00Z", "-n", "1")).toMatchObject([
      { pipeline: "a" },
    ]);
    expect(await next(root, "c")).toEqual([]);
    expect((await ask(root, "next", "d")).status).toBe(3);
  });

  it("marks what daylight saving does to a fixed time", async () => {
    const { root } = tempRoot({
      "schedules/a.yaml": yaml('cron: "30 2 * * *", timezone: Europe/Berlin'),
    });
    expect(await next(root, "--from", "2027-03-27T12:00:00Z", "-n", "2")).toEqual([
      {
        pipeline: "a",
        slot: "2027-03-28T01:00:00.000Z",
        local: "2027-03-28T03:00:00+02:00",
        note: "gap: 02:30 does not exist on this day, so it runs at 03:00",
      },
      { pipeline: "a", slot: "2027-03-29T00:30:00.000Z", local: "2027-03-29T02:30:00+02:00" },
    ]);
    expect(await next(root, "--from", "2027-10-30T12:00:00Z", "-n", "2")).toEqual([
      {
        pipeline: "a",
        slot: "2027-10-31T00:30:00.000Z",
        local: "2027-10-31T02:30:00+02:00",
        note: "overlap: 02:30 comes twice on this day, and it runs the first time only",
      },
      { pipeline: "a", slot: "2027-11-01T01:30:00.000Z", local: "2027-11-01T02:30:00+01:00" },
    ]);
  });

  it("marks both passes of a pattern that follows real time", async () => {
    const { root } = tempRoot({
      "schedules/a.yaml": yaml('cron: "*/30 * * * *", timezone: Europe/Berlin'),
    });
    const slots = await next(root, "--from", "2027-10-30T23:59:59Z", "-n", "5");
    expect(slots.map(({ local, note }) => [local, note?.slice(-6)])).toEqual([
      ["2027-10-31T02:00:00+02:00", " first"],
      ["2027-10-31T02:30:00+02:00", " first"],
      ["2027-10-31T02:00:00+01:00", "second"],
      ["2027-10-31T02:30:00+01:00", "second"],
      ["2027-10-31T03:00:00+01:00", undefined],
    ]);
  });

  it("says what a pause or a blackout skips, and uses the good version of a bad file", async () => {
    const { root, runs } = tempRoot({
      "schedules/a.yaml": yaml(
        'cron: "0 * * * *", ' +
          'blackout: { from: "2026-11-23T03:00:00Z", to: "2026-11-23T04:00:00Z" }',
      ),
      "schedules/b.yaml": "steps: 1\n",
    });
    writePipeline(runs, "a", [loaded("0 * * * *"), { type: "pipeline.paused" }]);
    expect((await next(root, "a", "--from", "2026-11-23T02:30:00Z", "-n", "1"))[0]!.note).toMatch(
      /blackout .*: it will be skipped; paused: it will be skipped/,
    );
    writePipeline(runs, "b", [{ ...loaded("5 * * * *"), file: join(root, "schedules/b.yaml") }]);
    const answer = await ask(
      root,
      "next",
      "b",
      "--from",
      "2026-11-23T02:00:00Z",
      "-n",
      "1",
      "--json",
    );
    expect(answer.json()).toMatchObject([{ slot: "2026-11-23T02:05:00.000Z" }]);
    expect(answer.stderr).toMatch(/b\.yaml:1:8: .*; its last good version counts/);
  });

  it("rehearses days: pile-ups, overlaps by history, slots that move", async () => {
    const { root, runs } = tempRoot({
      "schedules/a.yaml": yaml('cron: "*/5 * * * *"'),
      "schedules/b.yaml": yaml('cron: "0 * * * *"'),
      "schedules/c.yaml": yaml('cron: "30 2 * * *", timezone: Europe/Berlin'),
    });
    const ends = [1, 2, 3, 4].map((minute) => ({
      type: "run.finished",
      run: `a@20261123T020${minute}00Z`,
      status: "completed",
      durationMs: 400_000,
    }));
    writePipeline(runs, "a", [loaded("*/5 * * * *"), ...ends]);
    const { json } = await ask(
      root,
      "next",
      "--days",
      "2",
      "--from",
      "2027-03-27T00:30:00Z",
      "--pile-up",
      "1",
      "--json",
    );
    const found = json<{
      slots: number;
      pileUps: { second: string; count: number; pipelines: string[] }[];
      overlaps: unknown[];
      moved: Next[];
    }>();
    expect(found.slots).toBe(2 * 24 * 12 + 2 * 24 + 3);
    expect(found.pileUps).toHaveLength(50);
    expect(found.pileUps[0]).toEqual({
      count: 3,
      second: "2027-03-28T01:00:00.000Z",
      pipelines: ["a", "b", "c"],
    });
    expect(found.overlaps).toMatchObject([
      { pipeline: "a", everyMs: 300_000, medianMs: 400_000, slots: 2 * 24 * 12 - 1 },
    ]);
    expect(found.moved).toMatchObject([{ pipeline: "c", note: expect.stringMatching(/^gap/) }]);
    expect((await ask(root, "next", "--days", "2")).stdout).toMatch(/pile-ups: none/);
  });

  it("says where it stopped, for a pipeline with more slots than it counts", async () => {
    const { root } = tempRoot({
      "schedules/fast.yaml": yaml("intervalSeconds: 1, startTime: 2026-01-01T00:00:00Z"),
    });
    const { stdout } = await ask(root, "next", "--days", "8", "--from", "2027-01-01T00:00:00Z");
    expect(stdout).toMatch(
      /^fast: only its first 604,800 slots are looked at, through 2027-01-08 00:00:00Z$/m,
    );
  });
});

describe("orchd backfill --dry-run", () => {
  it("counts no slot that is still to come", async () => {
    const { root } = tempRoot({
      "schedules/p.yaml": 'schedule: { cron: "* * * * *" }\nsteps: { a: { run: "true" } }\n',
    });
    const now = Date.now();
    const time = (minutes: number): string => new Date(now + minutes * 60_000).toISOString();
    const words = ["--from", time(-10), "--to", time(600), "--dry-run", "--json"];
    const price = (await ask(root, "backfill", "p", ...words)).json<{
      slots: number;
      to: string;
      last: string;
    }>();
    expect(price.slots).toBeGreaterThanOrEqual(10);
    expect(price.slots).toBeLessThanOrEqual(12);
    expect(Date.parse(price.last)).toBeLessThanOrEqual(Date.now());
    expect(Date.parse(price.to)).toBeLessThanOrEqual(Date.now());
  });

  it("says how many slots there are, how many would run, and how long by history", async () => {
    const { root, runs } = tempRoot({
      "schedules/p.yaml": 'schedule: { cron: "0 * * * *" }\nsteps: { only: { run: "true" } }\n',
    });
    const failed = "p@20261123T020000Z";
    writeRun(
      runs,
      failed,
      completedRun(failed).map((event) =>
        event.type === "run.finished" ? { ...event, status: "failed" } : event,
      ),
    );
    writeRun(runs, "p@20261123T030000Z", completedRun("p@20261123T030000Z"));
    writePipeline(runs, "p", [
      loaded("0 * * * *"),
      { type: "run.finished", run: "p@20261123T030000Z", status: "completed", durationMs: 3_000 },
    ]);
    const span = [
      "--from",
      "2026-11-23T00:00:00Z",
      "--to",
      "2026-11-23T05:00:00Z",
      "--dry-run",
      "--json",
    ];
    const dry = async (...words: string[]): Promise<unknown> =>
      (await ask(root, "backfill", "p", ...span, ...words)).json();
    expect(await dry()).toMatchObject({
      slots: 6,
      runs: 4,
      executes: 4,
      cached: 0,
      which: "missing",
      estimatedMs: 12_000,
      first: "2026-11-23T00:00:00.000Z",
      last: "2026-11-23T05:00:00.000Z",
    });
    expect(await dry("--failed")).toMatchObject({
      slots: 6,
      runs: 1,
      first: "2026-11-23T02:00:00.000Z",
    });
    expect(await dry("--all", "--max-active", "4")).toMatchObject({
      slots: 6,
      runs: 6,
      estimatedMs: 6_000,
    });
    expect(existsSync(join(runs, ".orchd/requests"))).toBe(false);
  });
});

describe("getting started", () => {
  it("init makes a root whose pipeline is valid, and replaces no file", async () => {
    const { root } = tempRoot();
    const made = await ask(root, "init", "new", "--json");
    expect(made.json()).toMatchObject({ root: join(root, "new"), kept: [] });
    expect(
      (await ask(root, "validate", "--root", join(root, "new"), "--json")).json(),
    ).toMatchObject([{ name: "disk-report", valid: true, warnings: [] }]);
    writeFileSync(join(root, "new/orchd.yaml"), "mine");
    const again = await ask(root, "init", "new", "--json");
    expect(again.json()).toMatchObject({ made: [], kept: expect.arrayContaining(["orchd.yaml"]) });
    expect(readFileSync(join(root, "new/orchd.yaml"), "utf8")).toBe("mine");
    const spaced = await ask(root, "init", "my jobs");
    expect(spaced.stdout).toContain("`orchd start --root 'my jobs'` runs the daemon");
  });

  it("init leaves no half of a file where there is no room, and makes it then", async () => {
    const { root } = tempRoot();
    const through = ["bash", "-c", 'ulimit -f 0; exec "$@"', "bash"];
    const failed = await orchd(root, "init", "new", { through });
    expect([failed.status, failed.stderr]).toEqual([1, expect.stringContaining("EFBIG")]);
    const made = await ask(root, "init", "new", "--json");
    expect(made.json()).toMatchObject({ kept: [] });
  });

  it("import crontab makes valid pipelines, once, and refuses the rest with reasons", async () => {
    const { root, schedules } = tempRoot();
    const crontab = join(root, "crontab");
    writeFileSync(
      crontab,
      `CRON_TZ=Europe/Berlin
PATH=/opt/bin:/bin
*/5 * * * * backup.sh --to=x%line one%line two
@reboot agent
61 * * * * never
0 3 * * * backup.sh
`,
    );
    const { status, json } = await ask(root, "import", "crontab", crontab, "--shadow", "--json");
    expect(status).toBe(1);
    expect(json()).toMatchObject({
      imported: [
        { name: "backup", line: 3, cron: "*/5 * * * *", unchanged: false },
        { name: "backup-2", line: 6, cron: "0 3 * * *" },
      ],
      refused: [
        { line: 4, reason: expect.stringMatching(/@reboot has no slot/) },
        { line: 5, reason: expect.stringMatching(/minutes are 0-59/) },
      ],
    });
    expect((await ask(root, "validate", "--json")).json()).toMatchObject([
      { name: "backup-2", valid: true },
      { name: "backup", valid: true, schedule: "*/5 * * * * Europe/Berlin" },
    ]);
    const text = readFileSync(join(schedules, "backup.yaml"), "utf8");
    expect(text).toMatch(/shadow: true/);
    expect(text).toMatch(/PATH: \/opt\/bin:\/bin/);
    expect(
      (await ask(root, "import", "crontab", crontab, "--shadow", "--json")).json(),
    ).toMatchObject({
      imported: [{ unchanged: true }, { unchanged: true }],
    });
    expect(readdirSync(schedules)).toHaveLength(2);
  });

  it("import crontab keeps cron's variables, shell and zone for the command", async () => {
    const { root, schedules } = tempRoot();
    const crontab = join(root, "crontab");
    writeFileSync(
      crontab,
      `PATH=\${HOME}/bin:/usr/bin:/bin
SHELL=/bin/bash
NOTE=\${run.id} and $\${x} 012
TZ=CET-1CEST
0 5 * * * echo "$LOGNAME|$SHELL|$TZ|$PATH|$NOTE|$(cat)" %in \\% put
`,
    );
    const { status, stderr } = await orchd(root, "import", "crontab", crontab, {
      env: { TZ: ":/etc/localtime" },
    });
    expect({ status, stderr }).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/line 4: TZ=CET-1CEST reaches the commands/) as string,
    });
    expect((await ask(root, "validate")).status).toBe(0);
    const zone = /timezone: (.*)/.exec(readFileSync(join(schedules, "echo.yaml"), "utf8"))?.[1];
    expect(readZoneName(zone ?? "")).toEqual({ ok: true, zone });
    const run = (await orchd(root, "run", "echo", "--foreground", "--json")).jsonLines<{
      run: string;
    }>()[0]!.run;
    const printed = (await ask(root, "logs", run, "--json")).jsonLines<{ line: string }>();
    expect(printed.map(({ line }) => line)).toEqual([
      `${userInfo().username}|/bin/bash|CET-1CEST|\${HOME}/bin:/usr/bin:/bin|` +
        "${run.id} and $${x} 012|in % put",
    ]);
  });

  it("import crontab writes no file that is invalid, or whose zone is a guess", async () => {
    const { root, schedules } = tempRoot();
    const env = { TZ: "CET-1CEST" };
    const input = "0 5 * * * true\n";
    const { status, stderr } = await orchd(root, "import", "crontab", "-", { input, env });
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /line 1 .* was not imported: the variable TZ gives no zone: .*is a rule/,
    );
    expect(readdirSync(schedules)).toEqual([]);
    const bad = await orchd(root, "import", "crontab", "-", {
      input: "0 5 * * * echo ${params.x}\n0 6 * * * true\n",
    });
    expect(bad.status).toBe(1);
    expect(bad.stderr).toMatch(/line 1 .*: the file for it would be invalid: .*params\.x/);
    expect(readdirSync(schedules)).toEqual(["cron.yaml"]);
    rmSync(join(schedules, "cron.yaml"));
    const named = `CRON_TZ=UTC0\n${input}`;
    expect((await orchd(root, "import", "crontab", "-", { input: named, env })).status).toBe(0);
    expect(readFileSync(join(schedules, "cron.yaml"), "utf8")).toMatch(/timezone: UTC\n/);
  });

  it("import crontab leaves a name alone that another file claims", async () => {
    const taken = {
      "schedules/nightly.yaml": "name: backup\nsteps: { s: { run: 'true' } }\n",
      "schedules/old.json": '{ "name": "sync", "steps": { "s": { "run": "true" } } }\n',
      "schedules/code.ts": "export default pipeline({ name: 'clean', steps: {} });\n",
    };
    const { root, schedules } = tempRoot(taken);
    const input = ["backup", "sync", "clean", "other"].map((c) => `0 5 * * * /opt/${c}\n`).join("");
    const imported = [];
    for (let round = 0; round < 2; round += 1) {
      expect((await orchd(root, "import", "crontab", "-", { input })).status).toBe(0);
      imported.push(readdirSync(schedules).filter((name) => !(`schedules/${name}` in taken)));
      // A schedule's name is none of a pipeline: what was imported before is still known.
      writeFileSync(
        join(schedules, "nightly.yaml"),
        "name: backup\nschedule: [{ name: other, cron: '0 1 * * *' }]\n" +
          "steps: { s: { run: 'true' } }\n",
      );
    }
    const files = ["backup-2.yaml", "clean-2.yaml", "other.yaml", "sync-2.yaml"];
    expect(imported).toEqual([files, files]);
  });

  it("import crontab compares what was imported in shadow with cron's log", async () => {
    const { root, runs } = tempRoot();
    writeFileSync(join(root, "crontab"), "0 * * * * /opt/backup.sh --all\n");
    writeFileSync(
      join(root, "log"),
      "2026-11-23T02:00:01+00:00 h CRON[1]: (root) CMD (/opt/backup.sh --all)\n" +
        "2026-11-23T03:00:01+00:00 h CRON[1]: (root) CMD (/opt/backup.sh --all)\n",
    );
    const fired = ["02", "03"].map((hour) => ({
      type: "slot.fired",
      slot: `2026-11-23T${hour}:00:00.000Z`,
      run: `backup@20261123T${hour}0000Z`,
      shadow: true,
    }));
    writePipeline(runs, "backup", [loaded("0 * * * *"), ...fired]);
    const words = ["import", "crontab", "crontab", "--compare", "log", "--json"];
    const same = await ask(root, ...words);
    expect({ status: same.status, found: same.json() }).toEqual({
      status: 0,
      found: [{ pipeline: "backup", both: 2, onlyCron: [], onlyOrchd: [] }],
    });
    writePipeline(runs, "backup", [
      loaded("0 * * * *"),
      fired[0]!,
      { ...fired[1]!, slot: "2026-11-23T02:30:00.000Z" },
      fired[1]!,
    ]);
    expect((await ask(root, ...words)).status).toBe(1);
  });

  it("import crontab does not take the starts of another line with the same command", async () => {
    const { root, runs } = tempRoot();
    writeFileSync(join(root, "crontab"), "0 2 * * * /opt/backup.sh\n0 14 * * * /opt/backup.sh\n");
    const start = (time: string): string =>
      `${time}:01+00:00 h CRON[1]: (root) CMD (/opt/backup.sh)`;
    const log = ["2026-11-23T02:00", "2026-11-23T14:00", "2026-11-24T02:00", "2026-11-24T14:00"];
    writeFileSync(join(root, "log"), `${log.map(start).join("\n")}\n`);
    const fired = (name: string, hour: string) =>
      ["23", "24"].map((day) => ({
        type: "slot.fired",
        slot: `2026-11-${day}T${hour}:00:00.000Z`,
        run: `${name}@202611${day}T${hour}0000Z`,
        shadow: true,
      }));
    writePipeline(runs, "backup", [loaded("0 2 * * *"), ...fired("backup", "02")]);
    writePipeline(runs, "backup-2", [loaded("0 14 * * *"), ...fired("backup-2", "14")]);
    const words = ["import", "crontab", "crontab", "--compare", "log", "--json"];
    const { status, json } = await ask(root, ...words);
    expect({ status, found: json() }).toEqual({
      status: 0,
      found: ["backup", "backup-2"].map((pipeline) => ({
        pipeline,
        both: 2,
        onlyCron: [],
        onlyOrchd: [],
      })),
    });
  });

  it("import crontab reads standard input, and writes nothing on a dry run", async () => {
    const { root, schedules } = tempRoot();
    const { status, stdout } = await orchd(root, "import", "crontab", "-", "--dry-run", {
      input: "0 0 * * * /bin/true\n",
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/cron: 0 0 \* \* \*/);
    writeFileSync(
      join(root, "latin"),
      Buffer.from("0 0 * * * true\n0 1 * * * caf\xe9\n", "latin1"),
    );
    const latin = await ask(root, "import", "crontab", "latin");
    expect(latin).toMatchObject({ status: 2, stdout: "" });
    expect(latin.stderr).toContain("line 2 of the crontab is not UTF-8");
    expect(readdirSync(schedules)).toEqual([]);
  });

  it("schema prints one for each kind, and every pipeline of ours fits", async () => {
    const { root } = tempRoot();
    for (const [words, key] of [
      [[], "properties"],
      [["pipeline"], "properties"],
      [["ledger"], "run"],
      [["request"], "oneOf"],
      [["settings"], "properties"],
    ] as const) {
      const { status, json } = await ask(root, "schema", ...words);
      expect(status).toBe(0);
      expect(json()).toHaveProperty(key);
    }
    expect((await ask(root, "schema", "nonsense")).status).toBe(2);
  });

  it("completion completes the newest runs, once a pipeline is named", async () => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "etl", [loaded("* * * * *")]);
    const ids = ["20261023T020000Z", "20261123T020000Z"].map((stamp) => `etl@${stamp}`);
    for (const id of ids) writeRun(runs, id, completedRun(id));
    const script = join(root, "completion.bash");
    writeFileSync(script, (await ask(root, "completion", "bash")).stdout);
    const complete = (word: string): string => {
      const program =
        `source "${script}"; COMP_WORDS=(orchd status '${word}'); COMP_CWORD=2; _orchd; ` +
        `printf '%s\\n' "\${COMPREPLY[@]}"`;
      return execFileSync("bash", ["-c", program], { cwd: root, encoding: "utf8" }).trim();
    };
    mkdirSync(join(runs, "etl/2026-12"));
    expect(complete("etl@")).toBe(`${ids[1]}\n${ids[0]}`);
    expect(complete("e")).toBe("etl");
  });

  it("completion completes commands, options and names, and runs nothing in a name", async () => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "log-digest", [loaded("* * * * *")]);
    writePipeline(runs, "$(touch owned)", [loaded("* * * * *")]);
    const there = tempRoot();
    writePipeline(there.runs, "far", [loaded("* * * * *")]);
    const script = join(root, "completion.bash");
    writeFileSync(script, (await ask(root, "completion", "bash")).stdout);
    const complete = (...words: string[]): string[] => {
      const program = [
        `source "${script}"`,
        `COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})`,
        `COMP_CWORD=${words.length - 1}`,
        "_orchd",
        `printf '%s\\n' "\${COMPREPLY[@]}"`,
      ];
      const given = execFileSync("bash", ["-c", program.join("; ")], {
        cwd: root,
        encoding: "utf8",
        env: { ...process.env, HOME: dirname(there.root) },
      });
      return given.trim().split("\n");
    };
    expect(complete("orchd", "sta")).toEqual(["start", "status"]);
    expect(complete("orchd", "run", "--w")).toEqual(["--wait"]);
    expect(complete("orchd", "run", "")).toEqual(["log-digest"]);
    expect(complete("orchd", "schema", "l")).toEqual(["ledger"]);
    expect(complete("orchd", "runs", "--status", "f")).toEqual(["failed"]);
    expect(complete("orchd", "runs", "--status", "=", "f")).toEqual(["failed"]);
    expect(complete("orchd", "graph", "p", "--format", "")).toEqual(["text", "mermaid", "dot"]);
    expect(complete("orchd", "runs", "-n", "")).toEqual([""]);
    expect(complete("orchd", "status", "--root", "completion.b")).toEqual(["completion.bash"]);
    expect(complete("orchd", "run", "--root", there.root, "")).toEqual(["far"]);
    expect(complete("orchd", "run", "--root", "=", there.root, "")).toEqual(["far"]);
    expect(complete("orchd", "run", "--root", `~/${basename(there.root)}`, "")).toEqual(["far"]);
    expect(complete("orchd", "run", "--runs", "=", there.runs, "")).toEqual(["far"]);
    expect(complete("orchd", "import", "crontab", "compl")).toEqual(["completion.bash"]);
    // Options of every command may come before it.
    expect(complete("orchd", "--root", there.root, "sta")).toEqual(["start", "status"]);
    expect(complete("orchd", "--root", "=", there.root, "run", "")).toEqual(["far"]);
    expect(complete("orchd", "--json", "--runs", there.runs, "run", "")).toEqual(["far"]);
    expect(complete("orchd", "--root", "completion.b")).toEqual(["completion.bash"]);
    expect(complete("orchd", "--root", root, "import", "c")).toEqual(["crontab"]);
    expect(complete("orchd", "--json", "import", "crontab", "compl")).toEqual(["completion.bash"]);
    expect(complete("orchd", "--js")).toEqual(["--json"]);
    expect(existsSync(join(root, "owned"))).toBe(false);
    expect((await ask(root, "completion", "fish")).status).toBe(2);
  });
});

describe.skipIf(!hasProgram("zsh"))("completion in zsh", () => {
  /** What zsh's own functions are given: its completion needs a terminal. */
  const PLAYED = `
    compdef() { : }
    compadd() { shift; print -rl -- "$@" }
    compset() { PREFIX="\${PREFIX#*=}" }
    _files() { print -r -- files }
    _describe() { print -rl -- "\${commands[@]}" }`;

  async function completion() {
    const { root, runs } = tempRoot();
    writePipeline(runs, "etl", [loaded("* * * * *")]);
    writeRun(runs, "etl@20261123T020000Z", completedRun("etl@20261123T020000Z"));
    const script = join(root, "completion.zsh");
    writeFileSync(script, (await ask(root, "completion", "zsh")).stdout);
    return (...given: string[]): string[] => {
      const words = given.map((word) => `'${word}'`).join(" ");
      const program = `${PLAYED}
        source "${script}"
        words=(${words}); CURRENT=${given.length}; PREFIX='${given.at(-1)}'
        _orchd`;
      const options = { cwd: root, encoding: "utf8" } as const;
      return execFileSync("zsh", ["-f", "-c", program], options).trim().split("\n");
    };
  }

  it("offers commands in their words, options and names", async () => {
    const complete = await completion();
    const commands = complete("orchd", "p").join("\n");
    expect(commands).toContain("\npause:Stop a pipeline's schedule\n");
    expect(commands).toContain("\nschema:Print a JSON Schema\\: of pipeline files");
    expect(complete("orchd", "run", "--")).toContain("--wait");
    expect(complete("orchd", "run", "")).toEqual(["etl"]);
    expect(complete("orchd", "status", "etl@")).toEqual(["etl", "etl@20261123T020000Z"]);
    // Options of every command may come before it.
    expect(complete("orchd", "--root", ".", "--json", "run", "")).toEqual(["etl"]);
    expect(complete("orchd", "--root=.", "p").join("\n")).toBe(commands);
    expect(complete("orchd", "--root", "")).toEqual(["files"]);
    expect(complete("orchd", "--root=")).toEqual(["files"]);
    expect(complete("orchd", "--js")).toContain("--json");
  });

  it("offers the values of an option, and nothing where it may be any text", async () => {
    const complete = await completion();
    expect(complete("orchd", "runs", "--status", "")).toContain("failed");
    expect(complete("orchd", "runs", "--status=f")).toContain("failed");
    expect(complete("orchd", "graph", "etl", "--format", "")).toEqual(["text", "mermaid", "dot"]);
    expect(complete("orchd", "runs", "-n", "")).toEqual([""]);
    expect(complete("orchd", "runs", "--since", "")).toEqual([""]);
    expect(complete("orchd", "status", "--root", "")).toEqual(["files"]);
    expect(complete("orchd", "run", "--wait", "")).toEqual(["etl"]);
  });
});

describe("help", () => {
  it("lists every command, and is what orchd prints without words", async () => {
    const { root } = tempRoot();
    const { status, stdout, stderr } = await orchd(root);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const name of [
      "start",
      "status",
      "run",
      "stop",
      "logs",
      "tail",
      "runs",
      "rerun",
      "backfill",
      "pause",
      "resume",
      "validate",
      "schema",
      "next",
      "why",
      "diff",
      "graph",
      "verify",
      "prune",
      "init",
      "import",
      "completion",
    ]) {
      expect(stdout).toMatch(new RegExp(`^ +orchd ${name}\\b`, "m"));
    }
    expect((await orchd(root, "--version")).stdout.trim()).toBe(
      (
        JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
          version: string;
        }
      ).version,
    );
    expect((await orchd(root, "run", "--help")).stdout).toMatch(/--no-cache/);
  });
});
