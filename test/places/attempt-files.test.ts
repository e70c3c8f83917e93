/** What a command made of the file in `ORCHD_OUTPUT`, and what it leaves in its folder. */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { RESULT_LIMIT } from "../../src/core/task.ts";
import { AttemptFiles } from "../../src/places/runner/attempt-files.ts";
import { BadOutput } from "../../src/steps/step-result.ts";
import { tempRoot } from "../support/temp-root.ts";

let files: AttemptFiles;
let folder: string;
beforeEach(() => {
  folder = join(tempRoot().root, "attempt");
  mkdirSync(folder);
  files = new AttemptFiles(folder);
});
const read = (): string | undefined => files.readOutput('step "s"')?.toString();
const refused = (): string => {
  try {
    files.readOutput('step "s"');
  } catch (error) {
    expect(error).toBeInstanceOf(BadOutput);
    return (error as Error).message;
  }
  throw new Error("it was read");
};

describe("the output", () => {
  it.each<[string, () => void, string | undefined]>([
    ["that nobody wrote", () => undefined, undefined],
    ["that is empty", () => writeFileSync(files.output, ""), undefined],
    ["that was written", () => writeFileSync(files.output, "ä1"), "ä1"],
    [
      "that is a link to a file",
      () => {
        writeFileSync(join(folder, "x"), "[1]");
        symlinkSync(join(folder, "x"), files.output);
      },
      "[1]",
    ],
    ["whose folder is gone", () => rmSync(folder, { recursive: true }), undefined],
    [
      "whose folder is a file by now",
      () => {
        rmSync(folder, { recursive: true });
        writeFileSync(folder, "");
      },
      undefined,
    ],
  ])("%s", (_, act, text) => {
    act();
    expect(read()).toBe(text);
  });

  it.each<[string, (path: string) => void]>([
    ["a folder", (path) => mkdirSync(path)],
    ["a FIFO", (path) => void execFileSync("mkfifo", [path])],
    ["a device", (path) => symlinkSync("/dev/null", path)],
    ["a link to nothing", (path) => symlinkSync("/nowhere/at/all", path)],
    ["a link to itself", (path) => symlinkSync(path, path)],
  ])("that became %s is refused", (kind, act) => {
    act(files.output);
    expect(refused()).toBe(
      `step "s" made $ORCHD_OUTPUT ${kind}: write the result as JSON to the file of that name`,
    );
  });

  it("may be as long as a result, and no longer", () => {
    writeFileSync(files.output, "");
    truncateSync(files.output, RESULT_LIMIT);
    expect(files.readOutput("s")?.length).toBe(RESULT_LIMIT);
    truncateSync(files.output, RESULT_LIMIT + 1);
    expect(refused()).toBe(
      `step "s" wrote ${RESULT_LIMIT + 1} bytes to $ORCHD_OUTPUT; ` +
        `at most ${RESULT_LIMIT} can be kept`,
    );
  });
});

it("what is given is for this user alone, and no two files have one name", () => {
  const [one, two] = [files.write("a", "1"), files.write("a", "2", ".sh")];
  expect(statSync(one).mode & 0o777).toBe(0o600);
  expect([one, two].map((path) => path.replace(/.*-/, ""))).toEqual(["a.json", "a.sh"]);
  expect(new Set([one, two, files.output, new AttemptFiles(folder).output]).size).toBe(4);
  expect([one, two, files.output].map((path) => dirname(path))).toEqual(Array(3).fill(folder));
});

it("removing says what is left", () => {
  files.write("a", "1");
  writeFileSync(files.output, "1");
  expect(files.remove()).toBe("folder");
  expect(files.remove()).toBe("folder");
  writeFileSync(join(folder, "other"), "");
  expect(files.remove()).toBe("files");
  rmSync(folder, { recursive: true });
  expect(files.remove()).toBe("nothing");
  mkdirSync(files.output, { recursive: true });
  expect(files.remove()).toBe("files");
});
