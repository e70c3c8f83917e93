/**
 * Builds dist/: modules and types by tsc, the command line and the page by esbuild.
 *
 * dist/ is in use while it is built: by a daemon, whose next runner starts from it, by commands in
 * other terminals, and by tests. So the build is made aside, in dist/.new-PID, and is moved in only
 * if it succeeds. It moves file by file, each by a rename; a file that did not change is not moved,
 * and programs come after the modules that they import. At every moment each needed file is there
 * and whole. Renaming the whole folder cannot do that: after the old folder is moved away and
 * before the new one is moved in, there is none.
 *
 * Files that only the previous build had stay until the next build: a command that has started may
 * not have loaded all of its chunks. dist/.files lists the files of the last build. With --clean
 * (for packing), only this build's own files are left. With --unchecked, types are not checked but
 * those of the declarations: that is most of the work, for who runs `npm run typecheck` anyway.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { bundle, bundlePage } from "./esbuild.config.mjs";

process.chdir(import.meta.dirname);
const clean = process.argv.includes("--clean");
const aside = `dist/.new-${process.pid}`;
process.on("exit", () => rmSync(aside, { recursive: true, force: true }));
process.on("SIGINT", () => process.exit(130));

const words = ["-p", "tsconfig.build.json", "--outDir", aside];
if (process.argv.includes("--unchecked")) words.push("--noCheck");
const tsc = spawnSync("node_modules/.bin/tsc", words, { stdio: "inherit" });
if (tsc.error !== undefined) console.error(`${tsc.error.message}; run "npm ci" first`);
if (tsc.status !== 0) process.exit(1);
await bundle(aside);
await bundlePage(aside);
moveIn(filesOf(aside));

function moveIn(files) {
  const listed = "dist/.files";
  const before = clean
    ? []
    : existsSync(listed)
      ? readFileSync(listed, "utf8").split("\n")
      : filesOf("dist");
  for (const file of files.sort(programsLast)) {
    const [made, target] = [join(aside, file), join("dist", file)];
    if (existsSync(target) && readFileSync(target).equals(readFileSync(made))) continue;
    mkdirSync(dirname(target), { recursive: true });
    renameSync(made, target);
  }
  const wanted = new Set([...files, ...before]);
  for (const folder of ["bin", "daemon", "page", "src"])
    for (const file of filesOf(join("dist", folder)))
      if (!wanted.has(join(folder, file))) rmSync(join("dist", folder, file), { force: true });
  for (const name of readdirSync("dist"))
    if (isLeftOver(name)) rmSync(join("dist", name), { recursive: true, force: true });
  writeFileSync(join(aside, ".files"), files.join("\n"));
  renameSync(join(aside, ".files"), listed);
}

/** Chunks and modules, then the programs and the page that load them, `bin` last. */
function programsLast(one, other) {
  const rank = (file) =>
    /^bin\/[^/]*$|^page\/index/.test(file) ? 2 : file.startsWith("daemon/") ? 1 : 0;
  return rank(one) - rank(other) || (one < other ? -1 : 1);
}

/**
 * Whether a name is left over: what benches and tests built for themselves from older sources, or
 * a build that was killed.
 */
function isLeftOver(name) {
  if (name === "bench" || name === "test-programs") return clean;
  return name.startsWith(".new-") && !existsSync(`/proc/${name.slice(5)}`);
}

function filesOf(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}
