/** What holds of every example: it is valid, and its README says how to start it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { orchd } from "../support/daemon.ts";
import { exampleNames, exampleRoot, examplesFolder } from "./example-root.ts";

interface FileCheck {
  readonly file: string;
  readonly valid: boolean;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

describe.each(exampleNames)("the example %s", (name) => {
  it("is valid, without an error or a warning", async () => {
    const { root } = exampleRoot(name);
    const checked = await orchd(root, "validate", "--json");
    const files = checked.json<FileCheck[]>();
    expect(files.length).toBeGreaterThan(0);
    expect(files.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
    expect(checked.status).toBe(0);
  });

  it("says how to start it in three commands, and what to look at", () => {
    const text = readFileSync(join(examplesFolder, name, "README.md"), "utf8");
    const start = /^## Start\n\n((?: {4}.*\n)+)/m.exec(text)?.[1] ?? "";
    const commands = start.trimEnd().split("\n");
    expect(commands).toHaveLength(3);
    const copy = `    cp -r examples/${name} ~/${name} && cd ~/${name}`;
    // The import makes the schedules of the crontab's owner anew.
    expect(commands[0]).toBe(name === "crontab" ? `${copy} && rm -r schedules` : copy);
    expect(commands[2]).toMatch(/\borchd start --pretty$/);
    expect(text).toMatch(/^## Look at$/m);
    expect(text).toMatch(/^## (?:Change|Your own migration)$/m);
  });

  it("stands in the list of examples", () => {
    const list = readFileSync(join(examplesFolder, "README.md"), "utf8");
    expect(list).toContain(`[${name}](${name}/README.md)`);
  });
});
