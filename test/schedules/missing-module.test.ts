/** Which file is offered for a module that is not there. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { missingModule } from "../../src/schedules/missing-module.ts";
import { tempRoot } from "../support/temp-root.ts";

const gone = (name: string, near = ""): string =>
  `names ./steps/${name}, but there is no file FOLDER/${name}${near}`;
const meant = (name: string): string => `; did you mean "${name}"?`;
const FOLDER = "names ./steps/load, which is no module";

it.each<[string, readonly string[], string, string | undefined]>([
  ["nothing for one that is there", ["load.js"], "load.js", undefined],
  ["another ending", ["load.ts"], "load.js", gone("load.js", meant("load.ts"))],
  ["an ending", ["load.mjs"], "load", gone("load", meant("load.mjs"))],
  ["no text of that name", ["load.txt"], "load.csv", gone("load.csv")],
  ["code before a text", ["load.txt", "load.mts"], "load.js", gone("load.js", meant("load.mts"))],
  ["a name that is near", ["laod.js"], "load.js", gone("load.js", meant("laod.js"))],
  ["no other name", ["print.js"], "load.js", gone("load.js")],
  ["a module beside a folder", ["load/", "load.mts"], "load", FOLDER + meant("load.mts")],
  ["nothing for a folder alone", ["load/", "laod.ts"], "load", FOLDER],
  ["nothing for a file without an ending", ["load", "load.json"], "load", FOLDER],
])("offers %s", (_, files, name, sentence) => {
  const folder = join(tempRoot().schedules, "steps");
  mkdirSync(folder);
  for (const file of files)
    if (file.endsWith("/")) mkdirSync(join(folder, file));
    else writeFileSync(join(folder, file), "");
  const written = `./steps/${name}`;
  const said = missingModule(join(folder, name), written);
  expect(said?.replaceAll(folder, "FOLDER")).toBe(sentence);
});

it("offers nothing where the folder is not there either", () => {
  const entry = join(tempRoot().schedules, "none/load.ts");
  expect(missingModule(entry, "./none/load.ts")).toBe(
    `names ./none/load.ts, but there is no file ${entry}`,
  );
});
