/** The wire to a far runner: by stdin and stdout, or by a socket beside them. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { describe, it, vi } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { RunnerWire } from "../../src/places/pool/runner-wire.ts";
import { PoolRig } from "../support/pool-rig.ts";
import { expect, onTestFinished } from "../support/running-test.ts";
import { stdioRunner } from "../support/stdio-runner.ts";
import { tempRoot } from "../support/temp-root.ts";

interface Wired {
  readonly wire: RunnerWire;
  readonly here: string;
  readonly heard: string[];
  /** It gives back each line of its input. */
  readonly command: ChildProcessWithoutNullStreams;
}

function wired(here = join(tempRoot().root, "wire")): Wired {
  const heard: string[] = [];
  const tooLong = (): void => expect.unreachable();
  const wire = new RunnerWire({ here, there: here }, { line: (line) => heard.push(line), tooLong });
  const command = spawn("cat");
  wire.begin(command);
  onTestFinished(() => wire.close());
  return { wire, here, heard, command };
}

async function connected(here: string): Promise<Socket> {
  const socket = connect(here).on("error", () => {});
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

describe.concurrent("the wire to a far runner", () => {
  it("is stdin and stdout as long as nothing is said by the socket", async () => {
    const { wire, here, heard } = wired();
    await connected(here);
    wire.write("by the pipe");
    await vi.waitFor(() => expect(heard).toEqual(["by the pipe"]));
  });

  it("is the socket from its first line on, and stdout is heard too", async () => {
    const { wire, here, heard, command } = wired();
    const socket = await connected(here);
    socket.write("ready\n");
    await vi.waitFor(() => expect(heard).toEqual(["ready"]));
    wire.write("by the socket");
    expect(String(await once(socket, "data"))).toBe("by the socket\n");
    command.stdin.write("from the front\n");
    await vi.waitFor(() => expect(heard).toEqual(["ready", "from the front"]));
  });

  it("takes one connection, and is gone from its folder then", async () => {
    const { here } = wired();
    const first = await connected(here);
    await vi.waitFor(() => expect(existsSync(here)).toBe(false));
    const second = connect(here);
    const [error] = (await once(second, "error")) as [NodeJS.ErrnoException];
    expect(error.code).toBe("ENOENT");
    expect(first.destroyed).toBe(false);
  });

  it.each(["end", "cut", "close"] as const)("%s ends both", async (how) => {
    const { wire, here, heard, command } = wired();
    const socket = await connected(here);
    socket.write("ready\n");
    await vi.waitFor(() => expect(heard).toEqual(["ready"]));
    const ended = Promise.all([once(socket, "close"), once(command, "exit")]);
    wire[how]();
    socket.resume();
    await ended;
    await vi.waitFor(() => expect(wire.drained()).rejects.toThrow("the wire is closed"));
  });

  it("is stdin and stdout where the socket's path is too long, or no folder", async () => {
    for (const name of ["w".repeat(200), "no/such/folder"]) {
      const { wire, heard, here } = wired(join(tempRoot().root, name));
      wire.write("by the pipe");
      await vi.waitFor(() => expect(heard).toEqual(["by the pipe"]));
      expect(existsSync(here)).toBe(false);
    }
  });
});

describe.concurrent("a runner that is offered a socket", () => {
  const offered = (there?: string): { rig: PoolRig; here: string } => {
    const folder = tempRoot().root;
    const here = join(folder, "wire");
    const socket = (): { here: string; there: string } => ({ here, there: there ?? here });
    const rig = new PoolRig({}, systemClock, undefined, stdioRunner({ socket }));
    rig.module("echo", "export default ({ params }) => params.text.length;\n");
    return { rig, here };
  };

  it("speaks by it, large values too, and ends with it", async () => {
    const { rig, here } = offered();
    const text = "x".repeat(3_000_000);
    const first = await rig.start("echo", { params: { text } }).ended;
    expect(first.result).toEqual({ ok: true, value: text.length });
    expect(existsSync(here)).toBe(false);
    const [front] = rig.pool.pids();
    await rig.pool.close();
    expect(() => process.kill(front!, 0)).toThrow("ESRCH");
  });

  it("speaks by stdout where it cannot connect", async () => {
    const { rig, here } = offered("/no/such/socket");
    const { result } = await rig.start("echo", { params: { text: "yes" } }).ended;
    expect(result).toEqual({ ok: true, value: 3 });
    expect(existsSync(here)).toBe(true);
  });
});
