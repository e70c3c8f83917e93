/** Who may leave and remove requests: the mode of a folder that is made, and of an old one. */
import { chmodSync, chownSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { makeRequestsFolder } from "../../src/engine/requests-folder.ts";
import { silentLog } from "../../src/log.ts";
import { tempRoot } from "../support/temp-root.ts";

function made(mode?: number): { mode: string; said: string[]; path: string } {
  const path = join(tempRoot().runs, "requests");
  if (mode !== undefined) {
    mkdirSync(path);
    chmodSync(path, mode);
  }
  const said: string[] = [];
  const say = (_: object, text: string): void => void said.push(text);
  makeRequestsFolder(path, { ...silentLog, warn: say, error: say });
  return { mode: (statSync(path).mode & 0o7777).toString(8), said, path };
}

it("a new folder lets its group leave requests, and nobody remove those of others", () => {
  const before = process.umask(0o077);
  onTestFinished(() => void process.umask(before));
  expect(made()).toMatchObject({ mode: "3770", said: [] });
});

it.each([
  [0o755, "755"],
  [0o700, "700"],
  [0o770, "1770"],
  [0o702, "1702"],
  [0o2770, "3770"],
  [0o1777, "1777"],
  [0o777, "1777"],
])("one of mode %o has %s then: what others may write gets the sticky bit", (before, after) => {
  expect(made(before)).toMatchObject({ mode: after, said: [] });
});

it.runIf(process.getuid?.() === 0)("a folder of another user is told, and left as it is", () => {
  const path = join(tempRoot().runs, "requests");
  mkdirSync(path);
  chmodSync(path, 0o777);
  chownSync(path, 12_345, 0);
  const self = vi.spyOn(process as { geteuid: () => number }, "geteuid").mockReturnValue(54_321);
  onTestFinished(() => self.mockRestore());
  const said: [object, string][] = [];
  makeRequestsFolder(path, { ...silentLog, error: (...given) => void said.push(given) });
  expect(said).toEqual([
    [
      { path, owner: 12_345 },
      "the folder for requests belongs to user 12345, not to this daemon's (54321): who may " +
        "remove requests there is not the daemon's to say, and it may not be able to itself; run " +
        `chown 54321 ${path}`,
    ],
  ]);
  expect(statSync(path).mode & 0o7777).toBe(0o777);
});
