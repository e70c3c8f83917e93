/** A command over SSH whose client cannot be started: nothing of that ends the process. */
import type * as childProcess from "node:child_process";
import { EventEmitter } from "node:events";
import { expect, it, vi } from "vitest";
import type { SshPlaceSettings } from "../../../src/core/place-settings.ts";
import { SshConnection } from "../../../src/places/ssh/ssh-connection.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const seam = vi.hoisted(() => ({ code: "" }));

vi.mock("node:child_process", async (original) => {
  const real = await original<typeof childProcess>();
  const spawn = (): unknown => {
    const error = Object.assign(new Error(`spawn ssh ${seam.code}`), { code: seam.code });
    // Node throws what it does not expect, and tells the rest later, of a process without pipes.
    if (seam.code === "ENOMEM") throw error;
    const child = Object.assign(new EventEmitter(), { pid: undefined });
    process.nextTick(() => child.emit("error", error));
    return child;
  };
  return { ...real, spawn, default: { ...real, spawn } };
});

it.each([
  ["EMFILE", /^this daemon may open no more files/],
  ["ENOMEM", /^the machine has no memory for another process$/],
  ["EAGAIN", /^the machine starts no more processes/],
  ["ENOENT", /^the OpenSSH client is not installed/],
])("a question says so where its client has %s", async (code, says) => {
  seam.code = code;
  const clock = new VirtualClock();
  const connection = new SshConnection({
    clock,
    settings: { host: "far" } as SshPlaceSettings,
    onState: () => undefined,
  });
  const answer = await connection.ask("true");
  expect(answer).toEqual({ status: null, stdout: "", stderr: expect.stringMatching(says) });
  expect(clock.timers).toBe(0);
});
