/**
 * Which files are read at all (promise 30): only files that nobody but the daemon's user or root
 * could have written, and only within the folder.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isWithin, readSafeFile, MAX_FILE_BYTES } from "../../src/schedules/safe-file.ts";
import { tempRoot } from "../support/temp-root.ts";

const isRoot = process.geteuid?.() === 0;

function folder(): {
  dir: string;
  file(name: string, text?: string): string;
  read(name: string): string;
} {
  const { schedules: dir } = tempRoot();
  return {
    dir,
    file(name, text = "steps: {}\n") {
      const path = join(dir, name);
      writeFileSync(path, text, { mode: 0o640 });
      return path;
    },
    read(name) {
      const result = readSafeFile(join(dir, name), { within: dir });
      return result.ok ? `ok: ${result.bytes.toString()}` : result.message;
    },
  };
}

describe("a file is read", () => {
  it.each([0o600, 0o640, 0o644, 0o755, 0o444])("with mode %o", (mode) => {
    const at = folder();
    chmodSync(at.file("a.yaml"), mode);
    expect(at.read("a.yaml")).toBe("ok: steps: {}\n");
  });

  it("of exactly 1 MiB, and not a byte more", () => {
    const at = folder();
    at.file("a.yaml", "x".repeat(MAX_FILE_BYTES));
    at.file("b.yaml", "x".repeat(MAX_FILE_BYTES + 1));
    expect(at.read("a.yaml")).toHaveLength(MAX_FILE_BYTES + 4);
    expect(at.read("b.yaml")).toBe("is larger than 1 MiB");
  });

  it("through links that stay within the folder", () => {
    const at = folder();
    mkdirSync(join(at.dir, "..data"));
    at.file("..data/a.yaml");
    symlinkSync("..data/a.yaml", join(at.dir, "a.yaml"));
    symlinkSync("a.yaml", join(at.dir, "b.yaml"));
    symlinkSync(join(at.dir, "..data"), join(at.dir, "d"));
    expect([at.read("a.yaml"), at.read("b.yaml"), at.read("d/a.yaml")]).toEqual(
      Array(3).fill("ok: steps: {}\n"),
    );
  });

  it("if the folder itself is a link", () => {
    const at = folder();
    at.file("a.yaml");
    const { root } = tempRoot();
    symlinkSync(at.dir, join(root, "link"));
    expect(readSafeFile(join(root, "link/a.yaml"), { within: join(root, "link") })).toMatchObject({
      ok: true,
    });
  });
});

describe("a file is refused", () => {
  it.each([
    [0o660, /its group \(mode 660\): run chmod go-w/],
    [0o664, /its group/],
    [0o602, /everybody/],
    [0o666, /everybody/],
    [0o777, /everybody/],
    [0o4666, /everybody/],
  ])("with mode %o", (mode, message) => {
    const at = folder();
    chmodSync(at.file("a.yaml"), mode);
    expect(at.read("a.yaml")).toMatch(message);
  });

  it.runIf(isRoot)("of another user, through a link too", () => {
    const at = folder();
    chownSync(at.file("a.yaml"), 12_345, 0);
    symlinkSync("a.yaml", join(at.dir, "b.yaml"));
    for (const name of ["a.yaml", "b.yaml"]) expect(at.read(name)).toMatch(/belongs to user 12345/);
  });

  it.each([
    ["/etc/hostname", /leaves the folder: it leads to \/etc\/hostname/],
    ["../../x.yaml", /leaves the folder|does not exist/],
    ["/dev/zero", /leaves the folder/],
    ["/proc/self/environ", /leaves the folder/],
    ["gone.yaml", /link to a file that does not exist/],
    ["l.yaml", /circle/],
  ])("that is a link to %s", (target, message) => {
    const at = folder();
    symlinkSync(target, join(at.dir, "l.yaml"));
    expect(at.read("l.yaml")).toMatch(message);
  });

  it("reached through a folder that is a link out", () => {
    const at = folder();
    symlinkSync("/etc", join(at.dir, "e"));
    expect(at.read("e/hostname")).toMatch(/leaves the folder/);
  });

  it("whose path only begins like the folder's", () => {
    const { root } = tempRoot({ "schedules-evil/a.yaml": "x" });
    symlinkSync(join(root, "schedules-evil/a.yaml"), join(root, "schedules/a.yaml"));
    expect(
      readSafeFile(join(root, "schedules/a.yaml"), { within: join(root, "schedules") }),
    ).toMatchObject({ ok: false });
    expect([
      isWithin("/a/b", "/a"),
      isWithin("/a", "/a"),
      isWithin("/ab", "/a"),
      isWithin("/a", "/"),
    ]).toEqual([true, true, false, true]);
  });

  it("that is a FIFO, at once", () => {
    const at = folder();
    execFileSync("mkfifo", [join(at.dir, "a.yaml")]);
    expect(at.read("a.yaml")).toBe("is a FIFO, not a regular file");
  });

  it("that is a folder or a socket", async () => {
    const at = folder();
    mkdirSync(join(at.dir, "a.yaml"));
    expect(at.read("a.yaml")).toBe("is a folder, not a regular file");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(at.dir, "s.yaml"), resolve));
    try {
      expect(at.read("s.yaml")).toBe("is a socket, not a regular file");
    } finally {
      server.close();
    }
  });

  it("in a folder that everybody may write to, unless it is sticky", () => {
    const at = folder();
    mkdirSync(join(at.dir, "..data"));
    at.file("..data/a.yaml");
    symlinkSync("..data/a.yaml", join(at.dir, "a.yaml"));
    chmodSync(join(at.dir, "..data"), 0o777);
    expect(at.read("a.yaml")).toMatch(/lies in .*\.\.data, which everybody may write to/);
    chmodSync(join(at.dir, "..data"), 0o1777);
    expect(at.read("a.yaml")).toMatch(/^ok/);
    chmodSync(at.dir, 0o777);
    expect(at.read("a.yaml")).toMatch(/which everybody may write to/);
  });

  it("in a folder that its group may write to", () => {
    const at = folder();
    at.file("a.yaml");
    chmodSync(at.dir, 0o775);
    expect(at.read("a.yaml")).toBe(
      `lies in ${at.dir}, which its group may write to (mode 775): run chmod go-w ${at.dir}`,
    );
    chmodSync(at.dir, 0o1775);
    expect(at.read("a.yaml")).toMatch(/^ok/);
    chmodSync(at.dir, 0o755);
    expect(at.read("a.yaml")).toMatch(/^ok/);
  });

  it.runIf(isRoot)("in a folder of another user, also below the given one", () => {
    const at = folder();
    mkdirSync(join(at.dir, "..data"));
    at.file("..data/a.yaml");
    symlinkSync("..data/a.yaml", join(at.dir, "a.yaml"));
    for (const foreign of [at.dir, join(at.dir, "..data")]) {
      chownSync(foreign, 4242, 4242);
      // The sticky bit keeps nobody from renaming what lies in a folder of one's own.
      for (const mode of [0o755, 0o1755]) {
        chmodSync(foreign, mode);
        expect(at.read("a.yaml")).toMatch(/^lies in .*, which belongs to user 4242, neither/);
      }
      chownSync(foreign, 0, 0);
    }
    expect(at.read("a.yaml")).toMatch(/^ok/);
  });

  it("that is not there", () => {
    expect(folder().read("a.yaml")).toBe("does not exist");
    expect(readSafeFile("/nowhere/at/all")).toMatchObject({ ok: false, missing: true });
  });

  it("whose name holds a NUL, or is far too long", () => {
    const at = folder();
    expect(() => at.read("a\0.yaml")).not.toThrow();
    expect(at.read("x".repeat(5_000))).toMatch(/cannot be read/);
  });
});

it("reads a hard link like any file", () => {
  const at = folder();
  linkSync(at.file("a.yaml"), join(at.dir, "b.yaml"));
  expect(at.read("b.yaml")).toBe("ok: steps: {}\n");
});
