/** What an attempt in a container is made of: the watch over its monitor, room, output as lines. */
import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { whenRoom, writtenFolder } from "../../../src/places/container/attempt-room.ts";
import { ContainersFolder } from "../../../src/places/container/container-files.ts";
import { EngineLost } from "../../../src/places/container/engine-away.ts";
import { outputLines, readToEnd } from "../../../src/places/container/engine-output.ts";
import {
  Engine,
  type ContainerState,
  type EngineProcess,
} from "../../../src/places/container/engine.ts";
import { MonitorWatch } from "../../../src/places/container/monitor-watch.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const GONE = "Error: container state improper: stopped";

/** A watch over a container whose monitor has ended, or whose monitor is this process. */
function watch(more: { name?: string; monitor?: number; answers?: object[]; running?: boolean }) {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const { name = "podman", answers = [{ status: 125, stderr: GONE }], running = true } = more;
  const engine = {
    name,
    ask: async (words: readonly string[]) => {
      asked.push(`${clock.monotonic()} ${words.join(" ")}`);
      return answers[Math.min(asked.length, answers.length) - 1]!;
    },
    inspect: async () => {
      if (more.running === undefined) return [{ running }];
      if (running) throw new Error("away");
      return [{ running: false }];
    },
  };
  const state = { name: "c", monitor: more.monitor } as unknown as ContainerState;
  const made = new MonitorWatch(engine as unknown as Engine, state, clock);
  const ended: Error[] = [];
  made.ended.catch((error: Error) => void ended.push(error));
  return { clock, asked, made, ended };
}

describe("the watch over a container's monitor", () => {
  it("asks podman every two seconds where there is none, until that is over", async () => {
    const fine = { status: 0, stderr: "" };
    const other = { status: 125, stderr: "Error: no such container" };
    const { clock, asked, ended } = watch({ answers: [fine, other, { ...fine, stderr: GONE }] });
    await clock.advance(1_999);
    expect(asked).toEqual([]);
    await clock.advance(4_001);
    expect(asked).toEqual([2_000, 4_000, 6_000].map((at) => `${at} kill --signal=URG c`));
    expect([ended, clock.timers]).toEqual([[], 1]);
  });

  it.each(["stopped", "exited"])("tells that nobody saw the end of one that is %s", async (how) => {
    const stderr = `Error: container state improper: ${how}`;
    const { clock, ended } = watch({ answers: [{ status: 125, stderr }] });
    await clock.advance(2_000);
    expect(ended[0]).toBeInstanceOf(EngineLost);
    expect(ended[0]!.message).toBe(
      "podman's monitor of the container (conmon) was killed, and nobody saw how it ended",
    );
    expect(clock.timers).toBe(0);
  });

  it.each([
    ["has noticed the end itself", false],
    ["does not answer", true],
  ])("leaves it to a podman that %s", async (_, running) => {
    const { clock, ended } = watch({ running });
    await clock.advance(2_000);
    expect([ended, clock.timers]).toEqual([[], 1]);
  });

  it("leaves it to a monitor that lives, and looks when that ends", async () => {
    const monitor = spawn("sleep", ["60"], { stdio: "ignore" });
    const { clock, asked, ended } = watch({ monitor: monitor.pid! });
    await clock.advance(10_000);
    expect(asked).toEqual([]);
    monitor.kill("SIGKILL");
    await once(monitor, "exit");
    await clock.advance(2_000);
    expect([asked.length, ended.length]).toEqual([1, 1]);
  });

  it("is not there for docker, and not once it is closed", async () => {
    const docker = watch({ name: "docker" });
    const closed = watch({});
    closed.made.close();
    for (const { clock, asked } of [docker, closed]) {
      await clock.advance(60_000);
      expect([asked, clock.timers]).toEqual([[], 0]);
    }
  });
});

describe("room for an attempt", () => {
  const error = (code: string): Error => Object.assign(new Error(code), { code });

  function rig(fails: Error[]) {
    const clock = new VirtualClock();
    const told: string[] = [];
    const wanted = { is: true };
    let tries = 0;
    const waiter = {
      clock,
      isWanted: () => wanted.is,
      waits: (because: string) => void told.push(because),
    };
    const act = (): number => {
      tries += 1;
      const fault = fails.shift();
      if (fault !== undefined) throw fault;
      return tries;
    };
    return { clock, told, wanted, waiter, act, tries: () => tries };
  }

  it("is waited for, and told once", async () => {
    const { clock, told, waiter, act } = rig([error("ENOSPC"), error("EDQUOT")]);
    const done = whenRoom(waiter, act);
    await clock.advance(2_000);
    expect([await done, told]).toEqual([3, ["the disk is full"]]);
  });

  it("is not waited for by what failed otherwise, nor where it is there", async () => {
    const other = rig([error("EACCES")]);
    await expect(whenRoom(other.waiter, other.act)).rejects.toThrow("EACCES");
    const fine = rig([]);
    expect([await whenRoom(fine.waiter, fine.act), fine.told, other.told]).toEqual([1, [], []]);
  });

  it("is waited for no longer than it is wanted, and not begun after that", async () => {
    const { clock, wanted, waiter, act, tries } = rig([error("ENOSPC")]);
    const done = whenRoom(waiter, act).catch((fault: Error) => fault.message);
    await clock.settle();
    wanted.is = false;
    await clock.advance(1_000);
    expect(await done).toBe("ENOSPC");
    expect(tries()).toBe(1);
  });

  it("leaves no folder behind that was written in part", async () => {
    const { clock, waiter } = rig([]);
    const folder = join(tempRoot().root, "containers");
    mkdirSync(folder);
    const all = new ContainersFolder(folder, "t");
    const fails = [error("ENOSPC")];
    const engine = new Engine("podman", "1", "/storage");
    const written = writtenFolder(waiter, all, [false, engine], (files) => {
      files.write("params", "{}");
      const fault = fails.shift();
      if (fault !== undefined) throw fault;
      return "written";
    });
    await clock.settle();
    await vi.waitFor(() => expect(readdirSync(folder)).toEqual([]));
    await clock.advance(1_000);
    const [files, value] = await written;
    expect(value).toBe("written");
    expect(all.all).toEqual([files.folder]);
  });
});

describe("what an engine's command prints", () => {
  function command() {
    const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
    const child = Object.assign(new EventEmitter(), streams);
    const heard: string[] = [];
    const end = readToEnd(child as unknown as EngineProcess, (stream, chunk) => {
      heard.push(`${stream} ${chunk.length}`);
    });
    return { child, heard, end };
  }

  it("is read from both streams, to the end", async () => {
    const { child, heard, end } = command();
    child.stdout.write("a");
    child.stderr.write("bc");
    await nextTurn();
    child.emit("close", 3);
    expect([await end, heard]).toEqual([3, ["stdout 1", "stderr 2"]]);
    const failed = command();
    failed.child.emit("error", new Error("no such program"));
    await expect(failed.end).rejects.toThrow("no such program");
  });

  it("is read in pieces", async () => {
    const { child, heard } = command();
    const chunk = Buffer.alloc(64 * 1_024);
    for (const stream of [child.stdout, child.stderr]) {
      const paused = vi.spyOn(stream, "pause");
      stream.write(chunk);
      await vi.waitFor(() => expect(heard).toHaveLength(1));
      expect(paused).toHaveBeenCalledTimes(1);
      heard.length = 0;
    }
  });

  it("is told as the attempt's lines", () => {
    const run = { id: "p@1", pipeline: "p", attempt: 2 };
    const line = { at: "then", step: "s", attempt: 2, stream: "stderr", line: "x" };
    expect(outputLines({ run, step: "s" }, "then", "stderr", ["x", "y"])).toEqual([
      line,
      { ...line, line: "y" },
    ]);
    expect(outputLines({ run }, "then", "stderr", ["x"])).toEqual([{ ...line, step: "" }]);
  });
});
