/**
 * A thread that cannot be started for now: its questions wait, in order, and are asked once it is
 * there. It runs the program of a test.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import type * as builtPrograms from "../../src/disk/built-program.ts";
import { AnsweringThread } from "../../src/disk/answering-thread.ts";
import { tempRoot } from "../support/temp-root.ts";

/** Why the next starts fail, before any works. */
const seam = vi.hoisted(() => ({ faults: [] as Error[], program: "", starts: 0 }));

vi.mock("../../src/disk/built-program.ts", async (original) => ({
  ...(await original<typeof builtPrograms>()),
  builtProgram: () => {
    seam.starts += 1;
    const fault = seam.faults.shift();
    if (fault !== undefined) throw fault;
    return seam.program;
  },
}));

const { OtherRelease } = await import("../../src/disk/built-program.ts");
const EAGAIN = Object.assign(new Error("EAGAIN"), { code: "ERR_WORKER_INIT_FAILED" });

beforeEach(() => {
  const path = join(tempRoot().root, "double.mjs");
  writeFileSync(
    path,
    `import { parentPort } from "node:worker_threads";
parentPort.on("message", ({ id, question }) => parentPort.postMessage({ id, value: question * 2 }));
`,
  );
  Object.assign(seam, { faults: [], program: path, starts: 0 });
});

function thread(): AnsweringThread<number, number> {
  const made = new AnsweringThread<number, number>("double");
  onTestFinished(() => made.close());
  return made;
}

it("waits while another release is installed, and where the machine starts no thread", async () => {
  seam.faults = [new OtherRelease("orchd 2 was installed"), EAGAIN];
  const asked = thread();
  const answers = Promise.all([asked.ask(1), asked.ask(2)]);
  expect(seam.starts).toBe(1);
  expect(await answers).toEqual([2, 4]);
  expect(seam.starts).toBe(3);
  expect(await asked.ask(3)).toBe(6);
  expect(seam.starts).toBe(3);
});

it("fails what it is asked where nothing was built, and is tried again by the next", async () => {
  seam.faults = [new Error("it has to be built")];
  const asked = thread();
  await expect(asked.ask(1)).rejects.toThrow("it has to be built");
  expect(await asked.ask(2)).toBe(4);
});

it("waits for nothing once it is closed", async () => {
  seam.faults = [new OtherRelease("orchd 2 was installed")];
  const asked = thread();
  const answered = vi.fn<() => void>();
  void asked.ask(1).finally(answered);
  await asked.close();
  expect(await asked.ask(2)).toBe(4);
  expect([seam.starts, answered.mock.calls.length]).toEqual([2, 0]);
});
