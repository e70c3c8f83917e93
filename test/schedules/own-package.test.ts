/** A bundle finds orchd by a link, whatever had its name. */
import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { linkOwnPackage, packageRoot } from "../../src/schedules/own-package.ts";
import { tempRoot } from "../support/temp-root.ts";

it.each<[string, (path: string) => void]>([
  ["a folder", (path) => mkdirSync(join(path, "kept"), { recursive: true })],
  ["a file", (path) => writeFileSync(path, "")],
])("%s is moved out of the way", (_, make) => {
  const orchdDir = join(tempRoot().runs, ".orchd");
  mkdirSync(join(orchdDir, "node_modules"), { recursive: true });
  make(join(orchdDir, "node_modules/orchd"));
  linkOwnPackage(join(orchdDir, "bundles"));
  expect(readlinkSync(join(orchdDir, "node_modules/orchd"))).toBe(packageRoot());
  expect(readdirSync(join(orchdDir, "node_modules"))).toEqual(["orchd", "orchd.in-the-way-1"]);
});
