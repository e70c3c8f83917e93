/**
 * The process in front of a far runner, with its input, its output and its runner played: what it
 * says first, what it takes from its input and no more, and how it ends.
 */
import type * as fs from "node:fs";
import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RunnerSettings } from "../../src/places/pool/protocol.ts";
import type { RunnerListener } from "../../src/places/pool/runner-process.ts";
import { OVER_STATUS, WATCH_MS, WIRE_PROTOCOL } from "../../src/places/pool/wire.ts";
import { serveStdio } from "../../src/places/runner/stdio-front.ts";
import { tempRoot } from "../support/temp-root.ts";

const SETTINGS_BYTES = 64 * 1024;
const MOST_STRAY = 1024 * 1024;
const AGAIN_MS = 20;

const world = vi.hoisted(() => ({
  /** What its input gives, read by read: bytes, a code of an error, or its end. */
  input: [] as (string | { readonly code: string } | undefined)[],
  output: [] as string[],
  /** Nobody reads its output. */
  isDeaf: false,
  stderr: [] as string[],
  unread: 0,
}));

vi.mock("node:fs", async (original) => {
  const real = await original<typeof fs>();
  return {
    ...real,
    writeSync: (...given: unknown[]): number => {
      if (given[0] !== 1) return (real.writeSync as (...all: unknown[]) => number)(...given);
      if (world.isDeaf) throw Object.assign(new Error("write EPIPE"), { code: "EPIPE" });
      world.output.push(String(given[1]));
      return 0;
    },
    read: (
      fd: number,
      buffer: Buffer,
      _at: number,
      _most: number,
      _position: null,
      heard: (error: unknown, length: number, into: Buffer) => void,
    ): void => {
      expect(fd).toBe(0);
      const next = world.input.shift();
      if (typeof next === "object") heard(next, 0, buffer);
      else heard(null, next === undefined ? 0 : buffer.write(next, "latin1"), buffer);
    },
  };
});
vi.mock("node:net", () => ({
  Socket: class {
    on(): this {
      return this;
    }
    get writableLength(): number {
      return world.unread;
    }
    write(text: string): void {
      world.stderr.push(text);
    }
  },
}));

/** What ends the process, as a test hears it. */
class Exit extends Error {}

let exits: number[];
/** Whether the process that ends does nothing more. */
let endsHere: boolean;
let signals: Map<string, () => void>;
let asked: string[];
let given: RunnerSettings | undefined;
let listener: RunnerListener;

beforeEach(() => {
  Object.assign(world, { input: [], output: [], isDeaf: false, stderr: [], unread: 0 });
  [exits, endsHere, signals, asked, given] = [[], true, new Map(), [], undefined];
  vi.useFakeTimers({ toFake: ["setTimeout", "setInterval"] });
  vi.spyOn(process, "exit").mockImplementation((status): never => {
    exits.push(Number(status));
    if (endsHere) throw new Exit();
    return undefined as never;
  });
  vi.spyOn(process, "chdir").mockImplementation((folder) => void asked.push(`in ${folder}`));
  vi.spyOn(process, "on").mockImplementation((name, heard) => {
    signals.set(String(name), heard as () => void);
    return process;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const PLAIN = { protocol: WIRE_PROTOCOL, threads: 3, memoryMb: 64, token: "t.1" };
const settings = (more: object = {}): string => `${JSON.stringify({ ...PLAIN, ...more })}\n`;

/** Serves what the input gives. */
async function serve(fault?: string): Promise<void> {
  const served = serveStdio({
    version: "9.9.9",
    linkPackage: (bundles) => void asked.push(`link ${bundles}`),
    fork: (own, number, alone, heard) => {
      if (fault !== undefined) throw new Error(fault);
      [given, listener] = [own, heard];
      asked.push(`fork ${number} ${alone}`);
      return { kill: () => void asked.push("kill") } as never;
    },
  });
  const ended = served.catch((error: unknown) => {
    if (!(error instanceof Exit)) throw error;
  });
  await vi.advanceTimersByTimeAsync(10 * AGAIN_MS);
  await ended;
}
const said = (): unknown[] =>
  world.output.slice(1).map((text) => {
    // The runner may have died in the middle of a line.
    expect(text).toMatch(/^\n.*\n$/);
    return JSON.parse(text);
  });

describe("the front of a far runner", () => {
  it("says hello at once, in a line, and takes no more than the settings", async () => {
    const { root } = tempRoot();
    const [one, two] = [settings({ folder: root }).slice(0, 20), settings({ folder: root })];
    world.input = [{ code: "EAGAIN" }, one, { code: "EAGAIN" }, two.slice(20), "the runner's own"];
    await serve();
    expect(world.output).toEqual([
      `${JSON.stringify({
        type: "hello",
        protocol: WIRE_PROTOCOL,
        version: "9.9.9",
        node: process.versions.node,
        platform: `${process.platform}/${process.arch}`,
      })}\n`,
    ]);
    expect([world.input, exits]).toEqual([["the runner's own"], []]);
    expect(given).toEqual({
      threads: 3,
      memoryMb: 64,
      token: "t.1",
      bundles: join(root, "bundles"),
      scratch: join(root, "scratch"),
      leaseMs: WATCH_MS,
      wire: { folder: root, isTemporary: false, claims: undefined, socket: undefined },
    });
    expect(asked).toEqual([`link ${join(root, "bundles")}`, `in ${root}`, "fork 0 false"]);
  });

  it.each<[string, (typeof world.input)[number][]]>([
    ["another protocol", [settings({ protocol: WIRE_PROTOCOL + 1 })]],
    ["no settings", ["no JSON\n"]],
    ["the end of its input", [settings().slice(0, 10), undefined]],
    ["an input that cannot be read", [{ code: "EIO" }]],
  ])("ends at %s with the status that says nothing is left", async (_, input) => {
    world.input = input;
    await serve();
    expect([exits, said(), given]).toEqual([[OVER_STATUS], [], undefined]);
  });

  it("reads no further in a line that is longer than settings can be", async () => {
    world.input = Array.from({ length: 9 }, () => "x".repeat(SETTINGS_BYTES - 1));
    await serve();
    expect([exits, world.input.length]).toEqual([[OVER_STATUS], 7]);
  });

  it("lets go of what nobody used for a week before it starts", async () => {
    const { root } = tempRoot();
    mkdirSync(join(root, "bundles"));
    const [old, young] = ["old.mjs", "young.mjs"].map((name) => join(root, "bundles", name));
    for (const path of [old!, young!]) writeFileSync(path, "");
    utimesSync(old!, 1, 1);
    world.input = [settings({ folder: root })];
    await serve();
    expect([existsSync(old!), existsSync(young!)]).toEqual([false, true]);
  });

  it("starts in the folder for steps, with claims and a socket where these are named", async () => {
    const { root } = tempRoot();
    const claims = join(root, "claims/5.1");
    world.input = [settings({ folder: root, workdir: "/w", claims, socket: "/s" })];
    await serve();
    expect(asked[1]).toBe("in /w");
    expect(given!.wire).toEqual({ folder: root, isTemporary: false, claims, socket: "/s" });
    expect(existsSync(claims)).toBe(true);
  });

  it("has a folder below the home where it is relative", async () => {
    const { root } = tempRoot();
    vi.stubEnv("HOME", root);
    world.input = [settings({ folder: "below/it" })];
    await serve();
    vi.unstubAllEnvs();
    expect([homedir() === root, given!.wire!.folder]).toEqual([false, join(root, "below/it")]);
  });

  it("says how its runner died, and then ends; what it was given to keep stays", async () => {
    const { root } = tempRoot();
    world.input = [settings({ folder: root })];
    await serve();
    expect(() => listener.exit({ detail: "was ended by SIGKILL", outOfMemory: true })).toThrow(
      Exit,
    );
    expect(said()).toEqual([{ type: "over", detail: "was ended by SIGKILL", outOfMemory: true }]);
    expect([exits, existsSync(root)]).toEqual([[OVER_STATUS], true]);
  });

  it("removes a folder of its own before it says so", async () => {
    world.input = [settings()];
    await serve();
    const { folder, isTemporary } = given!.wire!;
    expect([basename(folder).startsWith("orchd-far-"), isTemporary]).toEqual([true, true]);
    mkdirSync(join(folder, "scratch/deep"));
    writeFileSync(join(folder, "scratch/deep/left"), "");
    endsHere = false;
    vi.useRealTimers();
    listener.exit({ detail: "ended with status 1", outOfMemory: false });
    expect([said(), existsSync(folder)]).toEqual([[], true]);
    await vi.waitFor(() => expect(exits).toEqual([OVER_STATUS]));
    expect([said().length, existsSync(folder)]).toEqual([1, false]);
  });

  it("ends as well where nobody reads, or where no runner can be started", async () => {
    const { root } = tempRoot();
    world.input = [settings({ folder: root })];
    await serve("no process");
    expect(said()).toEqual([
      { type: "over", detail: "could not be started: no process", outOfMemory: false },
    ]);
    expect(exits).toEqual([OVER_STATUS]);
    world.isDeaf = true;
    world.input = [settings({ folder: root })];
    await serve("no process");
    expect([exits, said().length]).toEqual([[OVER_STATUS, OVER_STATUS], 1]);
  });

  it("ends its runner at each signal that ends a session, a container or a terminal", async () => {
    world.input = [settings({ folder: tempRoot().root })];
    await serve();
    asked.length = 0;
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) signals.get(name)!();
    expect([asked, exits]).toEqual([["kill", "kill", "kill"], []]);
  });

  it("passes on what is printed past the capture, until nobody takes it", async () => {
    world.input = [settings({ folder: tempRoot().root })];
    await serve();
    listener.stray("stdout", ["one", "two"]);
    world.unread = MOST_STRAY - 1;
    listener.stray("stderr", ["three"]);
    world.unread = MOST_STRAY;
    listener.stray("stderr", ["four"]);
    expect(world.stderr).toEqual(["one\ntwo\n", "three\n"]);
  });
});
