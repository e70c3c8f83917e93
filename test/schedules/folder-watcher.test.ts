/** The watcher of one folder: what it hears, and that it never looks what is in the folder. */
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { closeWatcher, watchFolder } from "../../src/schedules/folder-watcher.ts";
import { tempRoot } from "../support/temp-root.ts";

/** Notes each listing of a folder in this process, by whatever module, until the test ends. */
function listings(): string[] {
  const listed: string[] = [];
  const { readdir } = promises;
  const set = (call: unknown): void => {
    Object.assign(promises, { readdir: call });
    syncBuiltinESMExports();
  };
  set((path: string, ...more: []) => {
    listed.push(path);
    return readdir(path, ...more);
  });
  onTestFinished(() => set(readdir));
  return listed;
}

async function watched(): Promise<{ dir: string; heard: string[]; said: string[] }> {
  const { root: dir } = tempRoot({ "a.yaml": "1", log: "" });
  const [heard, said]: [string[], string[]] = [[], []];
  const watcher = watchFolder(dir);
  onTestFinished(() => closeWatcher(watcher));
  watcher.on("raw", (_, name) => heard.push(name));
  watcher.on("all", (event) => said.push(event));
  await new Promise<void>((resolve) => void watcher.on("ready", resolve));
  return { dir, heard, said };
}

it("hears of what is written, made, renamed and removed in it", async () => {
  const { dir, heard } = await watched();
  for (const [name, act] of [
    ["a.yaml", () => writeFileSync(join(dir, "a.yaml"), "2")],
    ["b.yaml", () => writeFileSync(join(dir, "b.yaml"), "1")],
    ["sub", () => mkdirSync(join(dir, "sub"))],
    ["c.yaml", () => renameSync(join(dir, "b.yaml"), join(dir, "c.yaml"))],
    ["sub", () => rmSync(join(dir, "sub"), { recursive: true })],
  ] as const) {
    heard.length = 0;
    act();
    await vi.waitFor(() => expect(heard).toContain(name));
  }
});

it("never lists it, however often something is written there", async () => {
  const listed = listings();
  const { dir, heard, said } = await watched();
  for (let line = 0; line < 20; line += 1) {
    appendFileSync(join(dir, "log"), "line\n");
    await vi.waitFor(() => expect(heard.length).toBeGreaterThan(line), { interval: 1 });
  }
  expect(listed).toEqual([]);
  expect(said).toEqual([]);
});
