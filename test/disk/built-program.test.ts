/** Which built program a process of this package starts. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { builtProgram, OtherRelease, whyOtherRelease } from "../../src/disk/built-program.ts";
import { VERSION } from "../../src/version.ts";
import { tempRoot } from "../support/temp-root.ts";

/** An installed package, and a folder of it that modules are in. */
function installed(manifest: string): { readonly folder: string; readonly modules: string } {
  const folder = tempRoot().root;
  const modules = join(folder, "dist/bin/chunks");
  mkdirSync(modules, { recursive: true });
  mkdirSync(join(folder, "dist/daemon"));
  for (const program of ["bin/orchd.js", "daemon/runner.js"])
    writeFileSync(join(folder, "dist", program), "");
  writeFileSync(join(folder, "package.json"), manifest);
  writeFileSync(join(folder, "dist/bin/package.json"), '{ "type": "commonjs" }\n');
  return { folder, modules };
}

it("is in the package's folder, which is above the module", () => {
  const { folder, modules } = installed(JSON.stringify({ version: VERSION }));
  expect(builtProgram("runner", undefined, modules)).toBe(join(folder, "dist/daemon/runner.js"));
  expect(builtProgram("orchd", "bin", folder)).toBe(join(folder, "dist/bin/orchd.js"));
});

it("is refused with what to do where it was not built", () => {
  const { folder, modules } = installed(JSON.stringify({ version: VERSION }));
  expect(() => builtProgram("worker", "daemon", modules)).toThrow(
    `${folder}/dist/daemon/worker.js does not exist: it has to be built JavaScript, ` +
      'so run "npm run build" first',
  );
});

it("is refused where another release was installed meanwhile, or is being installed", () => {
  const { modules } = installed(JSON.stringify({ version: "9.9.9" }));
  expect(() => builtProgram("runner", "daemon", modules)).toThrow(OtherRelease);
  expect(() => builtProgram("runner", "daemon", modules)).toThrow(
    `orchd 9.9.9 was installed while this process is orchd ${VERSION}: start it again`,
  );
  const half = installed('{"version": "9.');
  expect(() => builtProgram("runner", "daemon", half.modules)).toThrow(
    `${half.folder}/package.json is not whole: is orchd being installed?`,
  );
});

it("is no reason to wait where it was not built, and is none of this release", () => {
  const { modules } = installed(JSON.stringify({ version: "9.9.9" }));
  expect(whyOtherRelease(modules)).toContain("orchd 9.9.9 was installed");
  expect(whyOtherRelease(tempRoot().root)).toBeUndefined();
  expect(whyOtherRelease()).toBeUndefined();
});
