/**
 * The program that looks after orchd's folder on another machine before any file of orchd is there:
 * it travels as a word of `node -e`. So it is text, in words that an old Node reads too: that one
 * then says that it is too old.
 *
 *     node -e … look ID FOLDER    stdin: a list of the package's files, as JSON
 *     node -e … put ID FOLDER     stdin, by gzip: the same list, a line feed, and their bytes
 *
 * It answers with one line of JSON (`FolderAnswer`) behind a mark, since a shell may greet before
 * it. `put` writes aside, makes all of it durable, and renames: so a package is there whole or not
 * at all, whatever ends in the middle.
 */

/** Stands before the answer. */
export const ANSWER_MARK = "orchd-answer ";

/** What the program answers. */
export interface FolderAnswer {
  /** `20.20.0`. */
  readonly node: string;
  /** `linux/x64`. */
  readonly platform: string;
  /** The place's folder, as an absolute path. */
  readonly folder?: string | undefined;
  /** `whole`: the package is there. `broken`: with other bytes. */
  readonly state?: "whole" | "broken" | "missing" | undefined;
  /** Why it cannot be put there: a clause. `code` is Node's. */
  readonly because?: string | undefined;
  readonly code?: string | undefined;
}

/** The line of an answer. Undefined: there is none. */
export function answerIn(stdout: string): FolderAnswer | undefined {
  const line = stdout.split("\n").find((each) => each.startsWith(ANSWER_MARK));
  if (line === undefined) return undefined;
  try {
    return JSON.parse(line.slice(ANSWER_MARK.length)) as FolderAnswer;
  } catch {
    return undefined;
  }
}

/** The program's text. */
export const FOLDER_PROGRAM = `
const fs = require("fs"), os = require("os"), path = require("path");
const [mode, id, asked] = process.argv.slice(1);
const folder = path.resolve(os.homedir(), (asked || ".orchd").replace(/^~(?=\\/|$)/, os.homedir()));
const answer = { node: process.versions.node, platform: process.platform + "/" + process.arch };
const say = (more) => {
  process.stdout.write("\\n${ANSWER_MARK}" + JSON.stringify(Object.assign(answer, more)) + "\\n");
};
const hash = (bytes) => require("crypto").createHash("sha256").update(bytes).digest("hex");
const stateOf = (at, files) => {
  if (!fs.existsSync(at)) return "missing";
  const whole = files.every((file) => {
    try {
      return hash(fs.readFileSync(path.join(at, file.path))) === file.sha256;
    } catch (error) {
      return false;
    }
  });
  return whole ? "whole" : "broken";
};
// Not \`recursive\`: Node 20 then says that a folder is missing where a disk is read-only.
const make = (at, mode, isLast) => {
  try {
    fs.mkdirSync(at, mode);
  } catch (error) {
    if (error.code === "EEXIST") return;
    if (error.code !== "ENOENT" || isLast) throw error;
    make(path.dirname(at), mode);
    make(at, mode, true);
  }
};
// All at once: to sync each of a thousand files takes seconds on a busy disk.
const sync = (at) => {
  const { spawnSync } = require("child_process");
  if (spawnSync("sync", ["-f", at]).status === 0) return;
  const { error } = spawnSync("sync");
  // A machine without it is left to sync by itself. One without a process is asked again.
  if (error !== undefined && error.code !== "ENOENT") throw error;
};
const put = (target, aside, files, bytes) => {
  let offset = 0;
  for (const file of files) {
    const part = bytes.subarray(offset, (offset += file.size));
    if (hash(part) !== file.sha256) throw new Error(file.path + " did not arrive whole");
    const at = path.join(aside, file.path);
    fs.mkdirSync(path.dirname(at), { recursive: true });
    fs.writeFileSync(at, part);
  }
  sync(aside);
  if (stateOf(target, files) === "whole") return;
  const old = aside + "-old";
  if (fs.existsSync(target)) fs.renameSync(target, old);
  try {
    fs.renameSync(aside, target);
  } catch (error) {
    if (stateOf(target, files) !== "whole") throw error;
  }
  fs.rmSync(old, { recursive: true, force: true });
  sync(folder);
};
const run = (input) => {
  const target = path.join(folder, id);
  if (mode === "look") return say({ folder, state: stateOf(target, JSON.parse(input)) });
  const all = require("zlib").gunzipSync(input);
  const end = all.indexOf(10);
  const files = JSON.parse(all.subarray(0, end));
  const aside = path.join(folder, ".new-" + process.pid + "-" + Date.now());
  try {
    make(folder, 0o700);
    fs.mkdirSync(aside);
    put(target, aside, files, all.subarray(end + 1));
    say({ folder, state: "whole" });
  } finally {
    try {
      fs.rmSync(aside, { recursive: true, force: true });
    } catch (error) {}
  }
};
if (Number(process.versions.node.split(".")[0]) < 20) {
  say({});
  process.exit(0);
}
const parts = [];
process.stdin.on("data", (part) => parts.push(part)).on("end", () => {
  try {
    run(Buffer.concat(parts));
  } catch (error) {
    say({ folder, because: error.message, code: error.code });
  }
});
`;
