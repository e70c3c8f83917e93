/** The files of a step in a container: anybody in it may use them, and nobody beside it. */
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { RESULT_LIMIT } from "../../src/core/task.ts";
import {
  ContainersFolder,
  type ContainerFiles,
} from "../../src/places/container/container-files.ts";
import { Engine } from "../../src/places/container/engine.ts";
import { OutputHold } from "../../src/places/container/output-hold.ts";
import { tempRoot } from "../support/temp-root.ts";

const modeOf = (path: string): number => statSync(path).mode & 0o777;

function begun(hasSecrets = false): { folder: ContainersFolder; files: ContainerFiles } {
  const { root } = tempRoot();
  const folder = new ContainersFolder(join(root, "containers"), `test${process.pid}`);
  const files = folder.begin(hasSecrets, new Engine("podman", "1", "/storage"));
  onTestFinished(() => rmSync(files.folder, { recursive: true, force: true }));
  return { folder, files };
}

describe("the files", () => {
  it("are open to every user of the container, below a folder that is open to none", () => {
    const { files } = begun();
    expect(files.write("params", "{}")).toBe("/orchd/1-params.json");
    expect(modeOf(files.folder)).toBe(0o700);
    expect(modeOf(files.mounted)).toBe(0o777);
    expect(modeOf(join(files.mounted, "1-params.json"))).toBe(0o644);
    expect(modeOf(join(files.mounted, "output"))).toBe(0o666);
    expect(modeOf(files.writePrivate("auth.json", "{}"))).toBe(0o600);
  });

  it("are in memory where the step has secrets", () => {
    const { folder, files } = begun(true);
    expect(dirname(files.folder)).toBe("/dev/shm");
    expect(folder.isUsed).toBe(true);
  });

  it("are found again by a folder of this root alone", async () => {
    const { folder, files } = begun();
    expect(folder.of(files.folder)?.mounted).toBe(files.mounted);
    expect(folder.of("/etc")).toBeUndefined();
    expect(folder.of(undefined)).toBeUndefined();
    folder.tidy(new Set([files.folder]));
    folder.tidy(new Set());
    await expect.poll(() => folder.isUsed).toBe(false);
  });
});

describe("a result", () => {
  const output = (files: ContainerFiles): string => join(files.mounted, "output");

  it("is what was written, or nothing", () => {
    const { files } = begun();
    expect(files.readOutput("s")).toBeUndefined();
    writeFileSync(output(files), "[1]");
    expect(files.readOutput("s")?.toString()).toBe("[1]");
    rmSync(output(files));
    expect(files.readOutput("s")).toBeUndefined();
  });

  it("is never a file of this machine that a link names", () => {
    const { files } = begun();
    rmSync(output(files));
    symlinkSync("/etc/hostname", output(files));
    expect(() => files.readOutput('step "s"')).toThrow(/^step "s" made \$ORCHD_OUTPUT a link/);
  });

  it("is no folder and no FIFO, and is not waited for", () => {
    const { files } = begun();
    rmSync(output(files));
    mkdirSync(output(files));
    expect(() => files.readOutput("s")).toThrow(/something that is no file/);
    rmSync(output(files), { recursive: true });
    execFileSync("mkfifo", [output(files)]);
    expect(() => files.readOutput("s")).toThrow(/something that is no file/);
  });

  it("has an end", () => {
    const { files } = begun();
    execFileSync("truncate", ["--size", String(RESULT_LIMIT), output(files)]);
    expect(files.readOutput("s")).toHaveLength(RESULT_LIMIT);
    execFileSync("truncate", ["--size", String(RESULT_LIMIT + 1), output(files)]);
    expect(() => files.readOutput("s")).toThrow(/wrote 33554433 bytes/);
  });

  it("may be a second name of a file in the folder", () => {
    const { files } = begun();
    rmSync(output(files));
    writeFileSync(join(files.mounted, "mine"), "1");
    linkSync(join(files.mounted, "mine"), output(files));
    expect(files.readOutput("s")?.toString()).toBe("1");
  });
});

describe("what an engine says before a step begins", () => {
  const held = (): { hold: OutputHold; given: string[] } => {
    const given: string[] = [];
    const hold = new OutputHold((stream, chunk) => given.push(`${stream} ${chunk.toString()}`));
    return { hold, given };
  };

  it("is held, and is not the step's if nothing follows", () => {
    const { hold, given } = held();
    hold.take("stderr", Buffer.from("Error: no such image"));
    expect(hold.drop()).toBe("Error: no such image");
    expect(given).toEqual([]);
  });

  it("is the step's as soon as more is printed, in order", () => {
    const { hold, given } = held();
    hold.take("stderr", Buffer.from("Error: mine"));
    hold.take("stdout", Buffer.from("out"));
    hold.take("stderr", Buffer.from("Error: again"));
    expect(given).toEqual(["stderr Error: mine", "stdout out", "stderr Error: again"]);
    expect(hold.drop()).toBeUndefined();
  });

  it("is passed on at once if it looks like a step's", () => {
    const { hold, given } = held();
    hold.take("stderr", Buffer.from("plain"));
    expect(given).toEqual(["stderr plain"]);
  });
});
