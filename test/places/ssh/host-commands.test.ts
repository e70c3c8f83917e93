/** The commands that use orchd's folder on another machine, run by a shell of this one. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { SshPlaceSettings } from "../../../src/core/place-settings.ts";
import { answerIn } from "../../../src/places/ssh/folder-program.ts";
import { filesFolder, folderCommand, hostCommand } from "../../../src/places/ssh/host-commands.ts";
import { tempRoot } from "../../support/temp-root.ts";

const settings = (more: Partial<SshPlaceSettings> = {}): SshPlaceSettings =>
  ({ host: "far", ...more }) as SshPlaceSettings;

it("the folder is .orchd in the user's home, or the one that is named", () => {
  const home = tempRoot().root;
  for (const [folder, found] of [
    [undefined, ".orchd"],
    ["~/in it's home", "in it's home"],
    ["~", ""],
    ["beside", "beside"],
    ["~other", "~other"],
    [join(home, "abso lute"), "abso lute"],
  ] as const) {
    const command = folderCommand(
      settings({ node: process.execPath, ...(folder === undefined ? {} : { folder }) }),
      "look",
      "0.1.0-abc",
    );
    const { stdout } = spawnSync("/bin/sh", ["-c", command], {
      cwd: home,
      env: { HOME: home },
      input: "[]",
      encoding: "utf8",
    });
    expect(answerIn(stdout), String(folder)).toEqual({
      node: process.versions.node,
      platform: `${process.platform}/${process.arch}`,
      folder: join(home, found),
      state: "missing",
    });
  }
});

it("the package's own program runs with its words, and a token where there is one", () => {
  expect(filesFolder("/far/.orchd", "0.1.0-abc")).toBe("/far/.orchd/files/0.1.0-abc");
  const words = ["stay", "it's", "$HOME"];
  for (const [more, token, prefix] of [
    [{}, undefined, ["node"]],
    [{ node: "/opt/my node" }, undefined, ["/opt/my node"]],
    [{}, "t 1", ["env", "ORCHD_RUNNER_TOKEN=t 1", "node"]],
  ] as const) {
    const command = hostCommand(settings(more), "/far/.orchd", "0.1.0-abc", words, token);
    // The shell itself says what its words are.
    const { stdout } = spawnSync("/bin/sh", ["-c", `printf '%s\\n' ${command}`], {
      encoding: "utf8",
    });
    const [program, ...rest] = stdout.trimEnd().split("\n").slice(prefix.length);
    expect(stdout.split("\n").slice(0, prefix.length)).toEqual(prefix);
    expect(program).toMatch(/^\/far\/\.orchd\/0\.1\.0-abc\/node_modules\/.*\/far-host\.js$/);
    expect(rest).toEqual(words);
  }
});
