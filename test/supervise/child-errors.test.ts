/** Errors of a child process, as Node tells them: one that runs has not ended by one. */
import type { ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { startNode } from "../../src/supervise/node-child.ts";
import { tempRoot } from "../support/temp-root.ts";

const started = vi.hoisted(() => ({ last: undefined as ChildProcess | undefined }));
vi.mock(import("node:child_process"), async (original) => {
  const real = await original();
  const spawn = ((...given: Parameters<typeof real.spawn>) =>
    (started.last = real.spawn(...given))) as typeof real.spawn;
  return { ...real, spawn };
});

function start(text: string, path = join(tempRoot().root, "program.mjs")) {
  if (text !== "") writeFileSync(path, text);
  const gone: string[] = [];
  const listener = { serves: () => undefined, said: () => undefined };
  const program = { path, words: [], env: {}, secrets: [] };
  const child = startNode(
    program,
    systemClock,
    { ...listener, gone: (how) => void gone.push(how) },
    () => undefined,
  );
  const ended = (): Promise<void> => vi.waitFor(() => expect(gone).toHaveLength(1), 10_000);
  return { child, gone, ended };
}

it("an error of a program that runs is not its end", async () => {
  const { child, gone, ended } = start("setInterval(() => {}, 1_000);");
  started.last!.emit("error", new Error("kill EPERM"));
  expect(gone).toEqual([]);
  child.kill();
  await ended();
  expect(gone).toEqual(["was ended by SIGKILL"]);
});

it("one that could not be started is gone, once", async () => {
  vi.spyOn(process, "execPath", "get").mockReturnValue("/nowhere/node");
  const { child, gone, ended } = start("1;");
  vi.restoreAllMocks();
  await ended();
  child.end();
  child.kill();
  expect(child.pid).toBeUndefined();
  expect(gone).toEqual([expect.stringMatching(/^could not be started: spawn .*ENOENT/)]);
});
