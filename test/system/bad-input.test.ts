/**
 * Bad pipeline files: each gets one clear sentence, the same on the command line and in the ledger,
 * and the last good version stays in force.
 */
import { chmodSync, chownSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { awaitLine, awaitSight, linesOf } from "../support/await-event.ts";
import { ask } from "../support/asked-command.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { reached } from "../support/figures.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";
import { BAD_FILES, MODULES } from "./bad-files.ts";

const GOOD = 'schedule: { cron: "0 0 1 1 *" }\nsteps: { only: { run: "true" } }\n';
const CODE = `import { pipeline } from "orchd";
export default pipeline({
  schedule: { cron: "0 0 1 1 *" },
  steps: { only: { run: "true" } },
});
`;

/** Files that are refused for what they are, not for what they hold. */
const UNSAFE: Readonly<
  Record<
    string,
    { readonly make: (path: string) => void; readonly error: string; readonly asRoot?: true }
  >
> = {
  "group.yaml": {
    make: (path) => chmodSync(path, 0o664),
    error: "may be written by its group (mode 664): run chmod go-w ",
  },
  "world.yaml": {
    make: (path) => chmodSync(path, 0o646),
    error: "may be written by everybody (mode 646): run chmod go-w ",
  },
  "other.yaml": {
    make: (path) => chownSync(path, 4242, 4242),
    error: "belongs to user 4242, neither to root nor to the user that orchd runs as",
    asRoot: true,
  },
  "fifo.yaml": {
    make: (path) => execFileSync("mkfifo", [path]),
    error: "is a FIFO, not a regular file",
  },
  "folder.yaml": {
    make: (path) => {
      mkdirSync(join(path, "../steps/one"), { recursive: true });
      symlinkSync("steps/one", path);
    },
    error: "is a folder, not a regular file",
  },
  "device.yaml": {
    make: (path) => symlinkSync("/dev/zero", path),
    error: "is a link that leaves the folder: it leads to /dev/zero",
  },
  "outside.yaml": {
    make: (path) => symlinkSync("/etc/passwd", path),
    error: "is a link that leaves the folder: it leads to /etc/passwd",
  },
  "dangling.yaml": {
    make: (path) => symlinkSync("nothing.yaml", path),
    error: "is a link to a file that does not exist",
  },
  "circle.yaml": {
    make: (path) => symlinkSync("circle.yaml", path),
    error: "is a link that leads in a circle",
  },
};
/** Those of them that replace the good file. */
const REPLACED = new Set([
  "fifo.yaml",
  "folder.yaml",
  "device.yaml",
  "outside.yaml",
  "dangling.yaml",
  "circle.yaml",
]);

const nameOf = (file: string): string => file.replace(/\.[a-z]+$/, "");
const goodText = (file: string): string =>
  file.endsWith(".ts")
    ? CODE
    : file.endsWith(".json")
      ? '{"schedule":{"cron":"0 0 1 1 *"},"steps":{"only":{"run":"true"}}}'
      : GOOD;

/** A root in which all these files are good. */
function goodRoot(files: readonly string[]): TempRoot {
  const root = tempRoot(
    Object.fromEntries(files.map((file) => [`schedules/${file}`, goodText(file)])),
  );
  root.linkPackages();
  for (const [name, text] of Object.entries(MODULES)) root.write(`schedules/steps/${name}`, text);
  return root;
}

function fits(said: string, expected: string): boolean {
  return expected.endsWith("…") ? said.startsWith(expected.slice(0, -1)) : said === expected;
}

it(
  "each mistake gets one sentence, and the last good version stays in force",
  { timeout: 120_000 },
  async () => {
    const root = goodRoot(BAD_FILES.map(({ file }) => file));
    const ledger = (file: string): string => join(root.runs, nameOf(file), "pipeline.jsonl");
    const daemon = await startDaemon({ root: root.root });
    for (const { file } of BAD_FILES)
      expect([file, linesOf(ledger(file))[0]?.type]).toEqual([file, "pipeline.loaded"]);

    for (const { file, text } of BAD_FILES) root.write(`schedules/${file}`, text);
    const wrong: string[] = [];
    for (const { file, error } of BAD_FILES) {
      const { errors } = (await awaitLine(
        ledger(file),
        ({ type }) => type === "pipeline.invalid",
        60_000,
      )) as unknown as { errors: string[] };
      const said = errors.map((one) => one.replaceAll(`${root.schedules}/`, ""));
      if (said.length !== 1 || !fits(said[0]!, error) || /\n|\n? {2}at /.test(said[0]!))
        wrong.push(`${file}: ${said.join(" || ")}`);
    }
    reached(
      35,
      "mistakes told in one sentence by a live daemon",
      BAD_FILES.length - wrong.length,
      BAD_FILES.length,
    );
    expect(wrong).toEqual([]);

    const checked = await orchd(root.root, "validate", "--json", { deadlineMs: 60_000 });
    expect(checked.status).toBe(2);
    const checks = checked.json<{ file: string; valid: boolean; errors: string[] }[]>();
    for (const { file, error } of BAD_FILES) {
      const { valid, errors } = checks.find((one) => one.file === join(root.schedules, file))!;
      const said = errors.map((one) => one.replaceAll(`${root.schedules}/`, ""));
      expect({
        file,
        valid,
        said: said.length === 1 && fits(said[0]!, error) ? "as expected" : said,
      }).toEqual({
        file,
        valid: false,
        said: "as expected",
      });
    }

    const { pipelines } = (await ask(root.root, "status", "--json")).json<{
      pipelines: { name: string; valid: boolean; errors: string[]; nextFire: string | null }[];
    }>();
    for (const { file } of BAD_FILES) {
      const { valid, errors, nextFire } = pipelines.find(({ name }) => name === nameOf(file))!;
      expect({ file, valid, errors: errors.length, fires: nextFire !== null }).toEqual({
        file,
        valid: false,
        errors: 1,
        fires: true,
      });
    }

    // And back: the good text is in force again, without a complaint.
    for (const { file } of BAD_FILES) root.write(`schedules/${file}`, goodText(file));
    for (const { file } of BAD_FILES) {
      await awaitSight(
        root.runs,
        () =>
          linesOf(ledger(file)).findLast(({ type }) => type !== "pipeline.checkpoint")?.type ===
          "pipeline.loaded"
            ? true
            : undefined,
        file,
        60_000,
      );
    }
    expect(await daemon.end()).toEqual({ status: 0, signal: null });
  },
);

it(
  "an unsafe file is refused with what to do, and the last good version stays in force",
  { timeout: 60_000 },
  async () => {
    const files = Object.entries(UNSAFE).filter(
      ([, { asRoot }]) => asRoot !== true || process.getuid?.() === 0,
    );
    const root = goodRoot(files.map(([file]) => file));
    const daemon = await startDaemon({ root: root.root });
    for (const [file, { make }] of files) {
      const path = join(root.schedules, file);
      if (REPLACED.has(file)) rmSync(path);
      make(path);
    }
    for (const [file, { error }] of files) {
      const line = await awaitLine(
        join(root.runs, nameOf(file), "pipeline.jsonl"),
        ({ type }) => type === "pipeline.invalid",
        30_000,
      );
      expect((line["errors"] as string[])[0]).toContain(`${join(root.schedules, file)}: ${error}`);
    }
    const { pipelines } = (await ask(root.root, "status", "--json")).json<{
      pipelines: { name: string; nextFire: string | null }[];
    }>();
    expect(pipelines.filter(({ nextFire }) => nextFire === null)).toEqual([]);
    const checked = await ask(root.root, "validate");
    expect(checked.status).toBe(2);
    expect(checked.stdout.split("\n").filter((line) => line.startsWith("✗"))).toHaveLength(
      files.length,
    );
    reached(30, "kinds of unsafe files refused by a live daemon", files.length, files.length);
    await daemon.end();
  },
);

it(
  "a drop folder that others may write is refused with what to do, and comes back by itself",
  { timeout: 60_000 },
  async () => {
    const root = goodRoot(["good.yaml"]);
    const ledger = join(root.runs, "good/pipeline.jsonl");
    const daemon = await startDaemon({ root: root.root });
    chmodSync(root.schedules, 0o775);
    const line = await awaitLine(ledger, ({ type }) => type === "pipeline.invalid", 30_000);
    const said =
      `${join(root.schedules, "good.yaml")}: lies in ${root.schedules}, which its group may ` +
      `write to (mode 775): run chmod go-w ${root.schedules}`;
    expect(line["errors"]).toEqual([said]);
    const refused = await ask(root.root, "run", "good", "--wait");
    expect(refused.stderr).toContain(`run chmod go-w ${root.schedules}`);
    expect((await ask(root.root, "validate")).status).toBe(2);
    chmodSync(root.schedules, 0o755);
    await awaitLine(
      ledger,
      ({ type, seq }) => type === "pipeline.loaded" && seq > line.seq,
      30_000,
    );
    expect((await ask(root.root, "run", "good", "--wait")).status).toBe(0);
    await daemon.end();
  },
);

it(
  "hidden names, names that editors make, and subfolders are never read",
  { timeout: 30_000 },
  async () => {
    const root = tempRoot({ "schedules/good.yaml": GOOD });
    for (const name of [
      ".hidden.yaml",
      "_draft.yaml",
      "good.yaml~",
      ".good.yaml.swp",
      "#good.yaml#",
      "4913",
      "good.yaml.bak",
      "good.yaml.orig",
      "notes.txt",
      "good.yaml.tmp",
    ])
      writeFileSync(join(root.schedules, name), "not: [a pipeline");
    root.write("schedules/steps/inner.yaml", "not: [a pipeline");
    root.write("schedules/folder.yaml/inner.yaml", "not: [a pipeline");
    const daemon = await startDaemon({ root: root.root });
    const { pipelines } = (await ask(root.root, "status", "--json")).json<{
      pipelines: { name: string; valid: boolean }[];
    }>();
    expect(pipelines).toMatchObject([{ name: "good", valid: true }]);
    await daemon.end();
  },
);
