/** A crontab of the system has a user column, by where it is or as it is asked for. */
import type * as FS from "node:fs";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { run as runImport } from "../../src/cli/commands/import.ts";
import { tempRoot } from "../support/temp-root.ts";
import { command } from "../support/told-terminal.ts";

const LINE = "0 2 * * * ann-of-none /opt/x.sh\n";
const read = vi.hoisted(() => ({ paths: [] as string[] }));
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof FS>();
  const readFileSync = (path: unknown, ...more: unknown[]): unknown => {
    if (typeof path !== "string" || !/\/(?:my-|etc\/)cron|cron\.d/.test(path))
      return (fs.readFileSync as (...given: unknown[]) => unknown)(path, ...more);
    read.paths.push(path);
    return Buffer.from(LINE);
  };
  return { ...fs, default: { ...fs, readFileSync }, readFileSync };
});
afterEach(() => void (read.paths.length = 0));

it.each<[string, object, string | undefined]>([
  ["/etc/crontab", {}, undefined],
  ["/etc/cron.d/backup", {}, undefined],
  ["/etc/../etc/crontab", {}, undefined],
  ["/srv/etc/crontab", {}, "ann-of-none /opt/x.sh"],
  ["/etc/crontabs/root", {}, "ann-of-none /opt/x.sh"],
  ["/srv/my-crontab", {}, "ann-of-none /opt/x.sh"],
  ["/srv/my-crontab", { system: true }, undefined],
])("%s with %j runs %j: a line of another user's is refused", async (file, more, run) => {
  const made = tempRoot();
  const { sentence, terminal } = await command(runImport, made, { kind: "crontab", file, ...more });
  expect(sentence).toBeUndefined();
  expect(read.paths).toEqual([file]);
  const names = readdirSync(made.schedules).filter((name) => name.endsWith(".yaml"));
  const texts = names.map((name) => readFileSync(join(made.schedules, name), "utf8"));
  expect(texts.map((text) => /^ +run: \|\n +(.*)$/m.exec(text)?.[1])).toEqual(
    run === undefined ? [] : [run],
  );
  const told = [...terminal.lines, ...terminal.notes, ...terminal.errors].join("\n");
  expect(told.includes("import with --user ann-of-none")).toBe(run === undefined);
});
