/** Secrets in files: which folder counts, what is no part of a value, and what a person is told. */
import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { giveToOwner, makeOwnersFolder } from "../../src/disk/give-to-owner.ts";
import { isThere, regularFile } from "../../src/disk/path-fault.ts";
import { whyFull, whyFullNow } from "../../src/disk/room.ts";
import { SecretFiles } from "../../src/disk/secret-files.ts";
import { untilRoom } from "../../src/disk/until-room.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const sentence = (act: () => unknown): string => {
  try {
    act();
    return "";
  } catch (error) {
    return (error as Error).message;
  }
};

describe("a secret", () => {
  it("is that of the first folder that has it, without the line feed at its end", () => {
    const { root, write } = tempRoot({
      "a/ONE": "1\n",
      "b/ONE": "2\n",
      "b/TWO": " x \r\n",
      "b/LINES": "x\n\n",
      "b/EMPTY": "",
    });
    write("b/.hidden", "x");
    const secrets = new SecretFiles([undefined, "", join(root, "a"), join(root, "b")]);
    expect(["ONE", "TWO", "LINES", "EMPTY"].map((name) => secrets.get(name))).toEqual([
      "1",
      " x ",
      "x\n",
      "",
    ]);
    expect(sentence(() => secrets.get("THREE"))).toBe(
      `The secret THREE is not there: there is no such file in ${root}/a or ${root}/b. ` +
        "Add LoadCredential=THREE:FILE to the unit, or put the file there.",
    );
  });

  it.each(["", "../a", ".hidden", "a/b", "x".repeat(129), "ä"])("%j is no name", (name) => {
    expect(sentence(() => new SecretFiles(["/"]).get(name))).toBe(
      `${JSON.stringify(name)} is no name of a secret: ` +
        "letters, digits, dots, dashes and underscores.",
    );
  });

  it("that is no text, or cannot be read, says so", () => {
    const { root } = tempRoot();
    writeFileSync(join(root, "BYTES"), Buffer.from([0xff, 0xfe]));
    mkdirSync(join(root, "FOLDER"));
    const secrets = new SecretFiles([root]);
    expect(sentence(() => secrets.get("BYTES"))).toBe(
      "The secret BYTES is not UTF-8, so it cannot be given as text. Encode it.",
    );
    expect(sentence(() => secrets.get("FOLDER"))).toMatch(
      /^The secret FOLDER cannot be read: EISDIR.*\.$/,
    );
  });

  it("has no folder where nobody named one", () => {
    expect(sentence(() => new SecretFiles([undefined]).get("KEY"))).toBe(
      "The secret KEY is not there: secrets are the files of the folder that " +
        "$CREDENTIALS_DIRECTORY names, and that is not set. " +
        "Write LoadCredential=KEY:FILE into the unit; without systemd put the value into " +
        "a file KEY of a folder of your own, and start orchd with the variable set to it.",
    );
  });
});

describe("a path", () => {
  it("is a regular file, none, or what else it is", () => {
    const { root } = tempRoot({ file: "x" });
    const at = (name: string): string => join(root, name);
    symlinkSync("file", at("link"));
    symlinkSync("none", at("loose"));
    symlinkSync("circle", at("circle"));
    expect([regularFile(at("file"))?.size, regularFile(at("link"))?.size]).toEqual([1, 1]);
    expect(regularFile(at("nothing"))).toBeUndefined();
    const fault = (name: string): string => sentence(() => regularFile(at(name)));
    expect(fault("loose")).toBe(
      `${at("loose")} cannot be used: a part of its path is gone, ` +
        "or is a link to nothing (ENOENT).",
    );
    expect(fault("circle")).toContain("its links lead in a circle (ELOOP)");
    expect(sentence(() => regularFile(root))).toContain("it is a folder (EISDIR)");
    expect(sentence(() => regularFile("/dev/null"))).toContain("it is no regular file (EFTYPE)");
    expect(fault("file/x")).toContain("is a file where a folder should be (ENOTDIR)");
    expect(
      ["file", "loose", "circle", "nothing", "file/x"].map((name) => isThere(at(name))),
    ).toEqual([true, true, true, false, false]);
  });

  it.runIf(process.geteuid?.() === 0)("that root makes is its folder's owner's", () => {
    const { root } = tempRoot({ file: "x" });
    const folder = join(root, "theirs");
    mkdirSync(folder);
    chownSync(folder, 12_345, 23_456);
    const ownerOf = (path: string): number[] => {
      const { uid, gid } = statSync(path);
      return [uid, gid];
    };
    giveToOwner(join(root, "file"), folder);
    expect(ownerOf(join(root, "file"))).toEqual([12_345, 23_456]);
    makeOwnersFolder(join(folder, "made"));
    expect(ownerOf(join(folder, "made"))).toEqual([12_345, 23_456]);
    // One that is there stays whose it is.
    chownSync(join(folder, "made"), 0, 0);
    makeOwnersFolder(join(folder, "made"));
    expect(ownerOf(join(folder, "made"))).toEqual([0, 0]);
    chmodSync(folder, 0o755);
  });

  it("has room on its disk, or nobody knows", async () => {
    expect(await whyFull(tempRoot().root)).toBeUndefined();
    expect(await whyFull("/nowhere/at/all")).toBeUndefined();
    // This one never has a byte to give.
    expect(await whyFull("/proc")).toBe("the disk of /proc is full");
    expect(["/proc", "/nowhere/at/all", tempRoot().root].map(whyFullNow)).toEqual([
      "the disk of /proc is full",
      undefined,
      undefined,
    ]);
  });
});

it("what finds no room is tried each second, and its wait is told", async () => {
  const clock = new VirtualClock();
  const told: unknown[] = [];
  const full = Object.assign(new Error("full"), { code: "ENOSPC" });
  let tries = 0;
  let given: unknown;
  const act = (): Promise<string> => {
    tries += 1;
    return tries < 4 ? Promise.reject(full) : Promise.resolve("done");
  };
  const host = { clock, onHeld: (held: boolean, error?: unknown) => void told.push([held, error]) };
  void untilRoom(host, act).then((result) => (given = result));
  await clock.settle();
  expect([tries, told]).toEqual([1, [[true, full]]]);
  await clock.advance(999);
  expect(tries).toBe(1);
  await clock.advance(1);
  expect(tries).toBe(2);
  await clock.advance(2_000);
  expect([tries, given, told]).toEqual([
    4,
    "done",
    [
      [true, full],
      [false, undefined],
    ],
  ]);
  told.length = 0;
  await expect(untilRoom(host, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await untilRoom(host, () => Promise.resolve(1))).toBe(1);
  expect(told).toEqual([]);
});
