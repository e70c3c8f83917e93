/** Commands about files, with files that a person may have: what each takes, and what it says. */
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { run as runInit } from "../../src/cli/commands/init.ts";
import { run as runGraph } from "../../src/cli/commands/graph.ts";
import { run as runImport } from "../../src/cli/commands/import.ts";
import { run as runNext } from "../../src/cli/commands/next.ts";
import { run as runValidate } from "../../src/cli/commands/validate.ts";
import { header, loaded, writePipeline, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";
import { command } from "../support/told-terminal.ts";

describe("orchd validate", () => {
  const good = "steps: { a: { run: 'true' } }\n";
  it("takes a file that is named where there is no drop folder, else asks for one", async () => {
    const made = tempRoot({ "p.yaml": good });
    rmSync(made.schedules, { recursive: true });
    const file = join(made.root, "p.yaml");
    const named = await command(runValidate, made, { files: [file] });
    expect([named.status, named.sentence]).toEqual([0, undefined]);
    expect(await command(runValidate, made)).toMatchObject({
      status: 2,
      sentence:
        `the folder ${made.schedules} is not there; name it with --schedules or --root, ` +
        "or make one with `orchd init`.",
    });
  });

  it("takes the file of the working folder before one of the drop folder", async () => {
    const made = tempRoot({ "schedules/package.json": good });
    const { terminal } = await command(runValidate, made, { files: ["package.json"], json: true });
    expect(terminal.values).toEqual([[expect.objectContaining({ file: resolve("package.json") })]]);
    const other = await command(runValidate, made, { files: ["LICENSE.yaml"] });
    expect(other.sentence).toBe(`there is no file LICENSE.yaml, here or in ${made.schedules}.`);
  });

  it("takes a folder for its files, and none for a sentence", async () => {
    const made = tempRoot({ "schedules/p.yaml": good, "schedules/q.yaml": "steps: 7\n" });
    const told = await command(runValidate, made, { files: [made.schedules], json: true });
    expect(told.status).toBe(2);
    expect(told.terminal.values).toEqual([
      [
        {
          file: join(made.schedules, "p.yaml"),
          name: "p",
          valid: true,
          errors: [],
          warnings: [],
          schedule: null,
          steps: 1,
          dynamic: false,
        },
        {
          file: join(made.schedules, "q.yaml"),
          name: "q",
          valid: false,
          errors: [expect.stringContaining("q.yaml:1:")],
          warnings: [],
          schedule: null,
          steps: 0,
          dynamic: false,
        },
      ],
    ]);
    expect(told.terminal.errors).toEqual([
      "1 file of 2 is invalid; correct what is said above and validate again.",
    ]);
    const empty = join(made.root, "empty");
    mkdirSync(empty);
    expect((await command(runValidate, made, { files: [empty] })).sentence).toBe(
      `no pipeline file is in the folder ${empty}; ` +
        "one ends in .yaml, .yml, .json, .ts, .mts, .js or .mjs.",
    );
    expect((await command(runValidate, made, { files: ["no.yaml"] })).sentence).toBe(
      `there is no file no.yaml, here or in ${made.schedules}.`,
    );
  });
});

it("orchd import crontab writes files that the daemon may read as another user", async () => {
  const made = tempRoot();
  const crontab = join(made.root, "crontab");
  writeFileSync(crontab, "0 * * * * /opt/x.sh\n");
  const given = { kind: "crontab", file: crontab };
  const { terminal } = await command(runImport, made, { ...given, json: true });
  const [{ imported }] = terminal.values as [{ imported: [{ file: string }] }];
  expect(statSync(imported[0].file).mode & 0o777).toBe(0o644 & ~process.umask());
});

describe("orchd import crontab --compare", () => {
  const LINE = (time: string): string =>
    `2026-11-23T${time}:01+00:00 h CRON[1]: (root) CMD (/opt/x.sh)\n`;
  /** Two lines of one command: each is compared with the pipeline that an import made of it. */
  const compared = async (made: TempRoot, json: boolean) => {
    const [crontab, log] = [join(made.root, "crontab"), join(made.root, "log")];
    writeFileSync(crontab, "0 * * * * /opt/x.sh\n30 * * * * /opt/x.sh\n");
    writeFileSync(log, LINE("02:00") + LINE("02:30"));
    return command(runImport, made, { kind: "crontab", file: crontab, compare: log, json });
  };
  const fired = (pipeline: string, time: string): HandEvent => ({
    type: "slot.fired",
    slot: `2026-11-23T${time}:00.000Z`,
    run: `${pipeline}@20261123T${time.replace(":", "")}00Z`,
    through: `2026-11-23T${time}:00.000Z`,
  });

  it("compares each line with a pipeline of its own", async () => {
    const made = tempRoot();
    writePipeline(made.runs, "x", [loaded("0 * * * *"), fired("x", "02:00")]);
    writePipeline(made.runs, "x-2", [loaded("30 * * * *"), fired("x-2", "02:30")]);
    const told = await compared(made, true);
    const names = (told.terminal.values[0] as { pipeline: string }[]).map((it) => it.pipeline);
    expect(names).toEqual(["x", "x-2"]);
  });

  it("compares each line with the file that an import made of it", async () => {
    const made = tempRoot();
    const crontab = join(made.root, "crontab");
    writeFileSync(crontab, "0 * * * * /opt/x.sh\n30 * * * * /opt/x.sh\n");
    writeFileSync(join(made.schedules, "x.yaml"), "steps: { own: { run: 'true' } }\n");
    await command(runImport, made, { kind: "crontab", file: crontab, shadow: true });
    writePipeline(made.runs, "x", [loaded("15 * * * *"), fired("x", "02:15")]);
    writePipeline(made.runs, "x-2", [loaded("0 * * * *"), fired("x-2", "02:00")]);
    writePipeline(made.runs, "x-3", [loaded("30 * * * *"), fired("x-3", "02:30")]);
    const told = await compared(made, true);
    const names = (told.terminal.values[0] as { pipeline: string }[]).map((it) => it.pipeline);
    expect(names).toEqual(["x-2", "x-3"]);
  });

  it("reads a log that is not all UTF-8, and calls one that it cannot read a log", async () => {
    const made = tempRoot();
    writePipeline(made.runs, "x", [loaded("0 * * * *"), fired("x", "02:00")]);
    const [file, log] = [join(made.root, "crontab"), join(made.root, "log")];
    writeFileSync(file, "0 * * * * /opt/x.sh\n");
    writeFileSync(log, Buffer.concat([Buffer.from(LINE("02:00")), Buffer.from([0xff, 0x0a])]));
    const told = await command(runImport, made, { kind: "crontab", file, compare: log });
    expect([told.terminal.lines[0], told.status]).toEqual([
      "✓ x: 1 alike, 0 by cron alone, 0 by orchd alone",
      0,
    ]);
    const gone = await command(runImport, made, { kind: "crontab", file, compare: "/nowhere" });
    expect([gone.status, gone.sentence]).toEqual([
      2,
      "the log /nowhere cannot be read (ENOENT); name a file that you may read, " +
        "or - for standard input.",
    ]);
  });

  it("says how many are alike, and shows ten of each difference", async () => {
    const made = tempRoot();
    const times = (minute: number): string[] =>
      Array.from({ length: 14 }, (_, hour) => `${hour + 2}`.padStart(2, "0") + `:${minute}0`);
    const [slots, starts] = [times(0), ["02:00", ...times(3)]];
    writePipeline(made.runs, "x", [loaded("0 * * * *"), ...slots.map((time) => fired("x", time))]);
    const [crontab, log] = [join(made.root, "crontab"), join(made.root, "log")];
    writeFileSync(crontab, "0 * * * * /opt/x.sh\n");
    writeFileSync(log, starts.map(LINE).join(""));
    const told = await command(runImport, made, { kind: "crontab", file: crontab, compare: log });
    const [head, ...lines] = told.terminal.lines;
    expect([head, told.status]).toEqual(["✗ x: 1 alike, 13 by cron alone, 13 by orchd alone", 1]);
    const shown = lines.map((line) => line.trim().split(/\s{2,}/));
    expect(shown.map(([kind]) => kind)).toEqual([
      ...Array.from({ length: 10 }, () => "cron alone"),
      ...Array.from({ length: 10 }, () => "orchd alone"),
    ]);
  });

  it("says which has no slots yet, and exits 1 where nothing could be compared", async () => {
    const told = await compared(tempRoot(), false);
    expect(told.terminal.notes).toEqual(
      ["x (line 1)", "x-2 (line 2)"].map(
        (which) =>
          `${which} has no slots yet: import it with --shadow ` +
          "and let the daemon run beside cron for a while.",
      ),
    );
    expect([told.status, told.terminal.lines]).toEqual([1, []]);
  });
});

describe("orchd init", () => {
  it("makes a step that judges what the other one measured", async () => {
    const made = tempRoot();
    const folder = join(made.root, "new");
    const told = await command(runInit, made, { folder, json: true });
    const files = ["orchd.yaml", "schedules/disk-report.yaml", "schedules/steps/judge.mjs"];
    expect(told.terminal.values).toEqual([
      { root: folder, made: expect.arrayContaining(files), kept: [] },
    ]);
    const path = join(folder, "schedules/steps/judge.mjs");
    const { default: judge } = (await import(path)) as {
      default: (context: object) => Promise<unknown>;
    };
    const said: string[] = [];
    const judged = (freeKb: number): Promise<unknown> =>
      judge({
        inputs: { disk: { freeKb, usedKb: 300 } },
        params: { leastFreeKb: 100 },
        log: { info: (text: string) => void said.push(text) },
      });
    expect(await judged(100)).toEqual({ freeKb: 100 });
    expect(said).toEqual(["75 % used"]);
    await expect(judged(99)).rejects.toThrow("only 99 KiB are free, 100 should be");
  });

  it("keeps what is there, and says what to do next", async () => {
    const made = tempRoot({ "new/.gitignore": "mine\n" });
    const { terminal } = await command(runInit, made, { folder: join(made.root, "new") });
    expect(terminal.lines.filter((line) => line.startsWith("kept "))).toEqual([
      "kept .gitignore, which was there already",
    ]);
    expect(terminal.lines.at(-1)).toMatch(
      /^next: `orchd start --root .*new` runs the daemon; in a second terminal, `orchd status /,
    );
  });
});

describe("orchd next", () => {
  const bad = "steps: 7\n";
  const good = "name: etl\nschedule: { cron: '0 0 1 1 *' }\nsteps: { a: { run: 'true' } }\n";

  it("says of a file that is bad that its last good version counts, where it has one", async () => {
    const made = tempRoot({ "schedules/etl.yaml": bad, "schedules/new.yaml": bad });
    writePipeline(made.runs, "etl", [loaded("0 0 1 1 *")]);
    const { notes } = (await command(runNext, made)).terminal;
    const ofFiles = notes.filter((note) => note.includes(".yaml"));
    expect(ofFiles.map((note) => note.endsWith("; its last good version counts"))).toEqual([
      true,
      false,
    ]);
  });

  it("refuses a file that was never valid, which a daemon has read", async () => {
    const made = tempRoot({ "schedules/new.yaml": bad });
    writePipeline(made.runs, "new", [
      { type: "pipeline.invalid", file: join(made.schedules, "new.yaml"), errors: ["no"] },
    ]);
    const next = await command(runNext, made, { pipeline: "new" });
    expect([next.status, next.sentence]).toEqual([
      2,
      'the file of "new" is invalid and no version of it is in force; ' +
        "`orchd validate` says what to correct.",
    ]);
    const graph = await command(runGraph, made, { target: "new" });
    expect([graph.status, graph.sentence]).toEqual([
      2,
      expect.stringMatching(/^correct the file of new first: .*new\.yaml:1:.*, not 7$/),
    ]);
  });

  it("does not say so of a file whose name another file has", async () => {
    const made = tempRoot({ "schedules/etl.yaml": good, "schedules/other.yaml": good });
    writePipeline(made.runs, "etl", [loaded("0 0 1 1 *")]);
    const { notes } = (await command(runNext, made)).terminal;
    expect(notes).toHaveLength(1);
    expect(notes[0]).not.toContain("its last good version counts");
  });
});

describe("orchd graph PIPELINE", () => {
  const made = (files: Record<string, string>, ...runs: HandEvent[][]): TempRoot => {
    const root = tempRoot(files);
    const ids = runs.map(([head]) => String(head!["run"]));
    writePipeline(root.runs, "p", [
      { ...loaded("0 * * * *"), file: join(root.schedules, "p.yaml") },
      ...ids.flatMap((run) => [
        { type: "slot.fired", slot: "2026-11-23T02:00:00.000Z", run },
        { type: "run.started", run },
      ]),
    ]);
    for (const [nth, events] of runs.entries())
      if (events.length > 1) writeRun(root.runs, ids[nth]!, events);
    return root;
  };
  const run = (nth: number, steps: Record<string, readonly string[]>): HandEvent[] => {
    const id = `p@2026112${nth}T020000Z`;
    return [header(id, steps), { type: "run.started", because: "x" }];
  };
  const drawn = async (root: TempRoot) => {
    const { status, sentence, terminal } = await command(runGraph, root, { target: "p" });
    return { status, sentence, lines: terminal.lines, notes: terminal.notes };
  };

  it("draws its file, whatever its runs had", async () => {
    const text = "steps: { a: { run: 'true' }, b: { run: 'true', after: [a] } }\n";
    const root = made({ "schedules/p.yaml": text }, run(1, { old: [] }));
    expect(await drawn(root)).toEqual({
      status: 0,
      sentence: undefined,
      lines: ["p", "  ○ a", "    ○ b  ← after a"],
      notes: [],
    });
  });

  it.each([
    ["is gone", {}],
    ["is invalid", { "schedules/p.yaml": "steps: 7\n" }],
  ])(
    "draws the newest run whose ledger is there, and says so, where the file %s",
    async (how, it) => {
      // The ledger of the newest is not there.
      const root = made(
        it,
        run(1, { old: [] }),
        run(2, { a: [], b: ["a"] }),
        run(3, {}).slice(0, 1),
      );
      expect(await drawn(root)).toEqual({
        status: 0,
        sentence: undefined,
        lines: ["p", "  ○ a", "    ○ b  ← after a"],
        notes: [`the file of p ${how}: this is what its run p@20261122T020000Z had.`],
      });
    },
  );

  it("says that there is nothing to draw where its file is gone and it never ran", async () => {
    expect(await drawn(made({}))).toMatchObject({
      status: 2,
      sentence: "the file of p is gone, and it has no run to draw.",
      lines: [],
    });
  });
});
