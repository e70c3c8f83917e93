/** What another user may do while a file is read, and what is left open after each reading. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type * as Fs from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { readSafeFile, type SafeFile } from "../../src/schedules/safe-file.ts";
import { tempRoot } from "../support/temp-root.ts";

/** What happens between the checks and the opening, and which descriptors are open. */
const world = vi.hoisted(() => ({
  meanwhile: (): void => undefined,
  open: new Set<number>(),
  opened: 0,
}));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof Fs>();
  const openSync = (path: string, flags: number): number => {
    world.meanwhile();
    const descriptor = fs.openSync(path, flags);
    world.open.add(descriptor);
    world.opened += 1;
    return descriptor;
  };
  const closeSync = (descriptor: number): void => {
    world.open.delete(descriptor);
    fs.closeSync(descriptor);
  };
  return { ...fs, openSync, closeSync };
});

beforeEach(() => {
  world.meanwhile = () => undefined;
  world.open.clear();
  world.opened = 0;
});

/** A folder with a file, and the reading of it. */
function placed() {
  const { root } = tempRoot();
  const folder = join(root, "schedules");
  mkdirSync(folder, { mode: 0o755, recursive: true });
  const path = join(folder, "a.yaml");
  writeFileSync(path, "mine", { mode: 0o644 });
  const read = (more: object = {}): SafeFile => readSafeFile(path, { within: folder, ...more });
  return { root, folder, path, read };
}

const textOf = (file: SafeFile): string => (file.ok ? file.bytes.toString() : file.message);

describe("a file that is not what was checked any more", () => {
  it("is not read where a link took its place", () => {
    const { root, path, read } = placed();
    const other = join(root, "other");
    writeFileSync(other, "another's");
    world.meanwhile = () => {
      rmSync(path);
      symlinkSync(other, path);
    };
    expect(textOf(read())).toBe("is a link that leads in a circle, or was replaced by one");
  });

  it("is not read where a link took its folder's place", () => {
    const { root, folder, read } = placed();
    const other = join(root, "others");
    mkdirSync(other);
    writeFileSync(join(other, "a.yaml"), "another's");
    world.meanwhile = () => {
      renameSync(folder, `${folder}.old`);
      symlinkSync(other, folder);
    };
    expect(textOf(read())).toBe("was moved while it was read; it will be read again");
    expect(world.open.size).toBe(0);
  });

  it("is refused as what it is now", () => {
    const { path, read } = placed();
    world.meanwhile = () => {
      rmSync(path);
      mkdirSync(path);
    };
    expect(textOf(read())).toBe("is a folder, not a regular file");
    expect([world.opened, world.open.size]).toEqual([1, 0]);
  });

  it("is missing where it is gone", () => {
    const { path, read } = placed();
    world.meanwhile = () => rmSync(path);
    expect(read()).toEqual({ ok: false, message: "does not exist", missing: true });
  });
});

it.each([
  ["that is good", {}, "mine"],
  ["that is as large as it may be", { maxBytes: 4 }, "mine"],
  ["that is larger", { maxBytes: 3 }, /^is larger than/],
])("no descriptor is left open of a file %s", (_, more, text) => {
  const said = textOf(placed().read(more));
  if (typeof text === "string") expect(said).toBe(text);
  else expect(said).toMatch(text);
  expect([world.opened, world.open.size]).toEqual([1, 0]);
});

it.each(["EMFILE", "ENFILE"])("%s says nothing of the file: it is thrown", (code) => {
  const { read } = placed();
  world.meanwhile = () => {
    throw Object.assign(new Error(`${code}: too many open files`), { code });
  };
  expect(() => read()).toThrow(code);
});

it("what root owns is good for any user, and what another one owns is not", () => {
  const { read } = placed();
  const self = process.geteuid!();
  onTestFinished(() => void vi.restoreAllMocks());
  const as = (user: number): string => {
    vi.spyOn(process, "geteuid").mockReturnValue(user);
    return textOf(read());
  };
  expect(as(self)).toBe("mine");
  if (self === 0) expect(as(1_000)).toBe("mine");
  else expect(as(self + 1)).toMatch(/belongs to user/);
});
