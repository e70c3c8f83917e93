/** What systemd is told, by a `systemd-notify` of the test's own. */
import type * as childProcess from "node:child_process";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { ServiceManager } from "../../src/observe/service-manager.ts";
import { awaitSight } from "../support/await-event.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** Why no process can be started, where none can, and what was tried. */
const machine = vi.hoisted(() => ({ lacks: undefined as string | undefined, tries: [""] }));

vi.mock("node:child_process", async (original) => {
  const real = await original<typeof childProcess>();
  const spawn = (...given: Parameters<typeof real.spawn>): childProcess.ChildProcess => {
    const code = machine.lacks;
    machine.tries.push(given[1].join(" "));
    if (code !== undefined) throw Object.assign(new Error(`spawn ${code}`), { code });
    return real.spawn(...given);
  };
  return { ...real, spawn };
});

class World {
  readonly clock = new VirtualClock();
  readonly manager: ServiceManager;
  readonly #said: string;

  constructor(environment: Readonly<Record<string, string>>) {
    const { root } = tempRoot();
    this.#said = join(root, "said");
    const program = join(root, "systemd-notify");
    writeFileSync(program, `#!/bin/sh\necho "$*" >> ${this.#said}\n`);
    chmodSync(program, 0o755);
    this.manager = new ServiceManager({
      environment: { PATH: `${root}:/usr/bin:/bin`, ...environment },
      clock: this.clock,
      onError: (error) => expect.fail(error.message),
    });
  }

  /** What was said, once it is this much. */
  said(count: number): Promise<string[]> {
    const lines = (): string[] =>
      existsSync(this.#said) ? readFileSync(this.#said, "utf8").split("\n").slice(0, -1) : [];
    return awaitSight(
      this.#said,
      () => (lines().length >= count ? lines() : undefined),
      `${count} words to systemd`,
    );
  }
}

it("a watchdog hears from the daemon twice in its time, until the daemon closes", async () => {
  const world = new World({ NOTIFY_SOCKET: "/nowhere", WATCHDOG_USEC: "60000000" });
  const { clock, manager } = world;
  manager.ready("ready: 2 pipelines");
  await world.said(2);
  await clock.advance(29_999);
  expect(clock.untilNext).toBe(1);
  expect((await world.said(2)).toSorted()).toEqual([
    "READY=1 STATUS=ready: 2 pipelines",
    "WATCHDOG=1",
  ]);
  await clock.advance(1);
  await world.said(3);
  await clock.advance(30_000);
  expect((await world.said(4)).filter((words) => words === "WATCHDOG=1")).toHaveLength(3);
  manager.stopping();
  expect((await world.said(5)).at(-1)).toBe("STOPPING=1");
  manager.close();
  expect(clock.timers).toBe(0);
});

it.each([
  ["without a watchdog", { NOTIFY_SOCKET: "/nowhere" }],
  ["with a watchdog of no time", { NOTIFY_SOCKET: "/nowhere", WATCHDOG_USEC: "0" }],
  ["with a watchdog of no number", { NOTIFY_SOCKET: "/nowhere", WATCHDOG_USEC: "soon" }],
])("the daemon says once that it is ready, %s", async (_, environment) => {
  const world = new World(environment);
  world.manager.ready("ready");
  expect(await world.said(1)).toEqual(["READY=1 STATUS=ready"]);
  expect(world.clock.timers).toBe(0);
});

it("systemd's program has the socket and a path of the daemon, and nothing else", async () => {
  const { root } = tempRoot();
  const said = join(root, "said");
  writeFileSync(join(root, "systemd-notify"), `#!/bin/sh\nexec /usr/bin/env > ${said}\n`);
  chmodSync(join(root, "systemd-notify"), 0o755);
  const manager = new ServiceManager({
    environment: { PATH: root, NOTIFY_SOCKET: "@orchd", SECRET: "x" },
    clock: new VirtualClock(),
    onError: (error) => expect.fail(error.message),
  });
  expect(manager.listens).toBe(true);
  manager.stopping();
  // The shell makes the file, and `env` writes to it later.
  const written = (): string => (existsSync(said) ? readFileSync(said, "utf8") : "");
  const text = await awaitSight(said, () => written() || undefined, "its environment");
  const words = text.split("\n").slice(0, -1);
  // A shell sets these two.
  expect(words.filter((word) => !/^(?:PWD|_)=/.test(word)).toSorted()).toEqual([
    "NOTIFY_SOCKET=@orchd",
    `PATH=${root}`,
  ]);
});

it("an empty name of a socket is none", () => {
  const world = new World({ NOTIFY_SOCKET: "", WATCHDOG_USEC: "60000000" });
  expect(world.manager.listens).toBe(false);
  world.manager.ready("ready");
  expect(world.clock.timers).toBe(0);
});

it("nothing is said where systemd did not start the daemon", () => {
  const world = new World({ WATCHDOG_USEC: "60000000" });
  expect(world.manager.listens).toBe(false);
  world.manager.ready("ready");
  expect(world.clock.timers).toBe(0);
});

it("a program that cannot be run is told of once, whatever is said after", async () => {
  const clock = new VirtualClock();
  const errors: string[] = [];
  const manager = new ServiceManager({
    environment: { PATH: "/nowhere", NOTIFY_SOCKET: "/nowhere", WATCHDOG_USEC: "2000000" },
    clock,
    onError: (error) => void errors.push((error as NodeJS.ErrnoException).code ?? ""),
  });
  manager.ready("ready");
  for (let turn = 0; turn < 5; turn += 1) {
    await clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  manager.close();
  expect(errors).toEqual(["ENOENT"]);
});

/** A daemon that tells systemd where no process can be started. */
function starved() {
  const clock = new VirtualClock();
  const errors: string[] = [];
  const manager = new ServiceManager({
    environment: { PATH: "/usr/bin:/bin", NOTIFY_SOCKET: "/nowhere", WATCHDOG_USEC: "60000000" },
    clock,
    onError: (error) => void errors.push((error as NodeJS.ErrnoException).code ?? ""),
  });
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  onTestFinished(() => {
    machine.lacks = undefined;
    vi.useRealTimers();
  });
  machine.tries = [];
  machine.lacks = "EAGAIN";
  /** How often it was tried to tell this, by so many seconds from now. */
  const tried = async (told: string, seconds: number): Promise<number> => {
    await vi.advanceTimersByTimeAsync(1_000 * seconds);
    return machine.tries.filter((words) => words.startsWith(told)).length;
  };
  return { clock, errors, manager, tried };
}

it("a sign of life that could not be told is told later, unless the next is due", async () => {
  const { clock, errors, manager, tried } = starved();
  manager.ready("ready");
  expect(await tried("WATCHDOG", 0)).toBe(1);
  expect(await tried("WATCHDOG", 2)).toBe(3);
  // The one that was due first is given up, and that is told.
  await clock.advance(30_000);
  expect(await tried("WATCHDOG", 0)).toBe(4);
  expect(await tried("WATCHDOG", 1)).toBe(5);
  expect(errors).toEqual(["EAGAIN"]);
  manager.stopping();
  manager.close();
  expect(await tried("WATCHDOG", 5)).toBe(5);
});

it("that the daemon is ready is told later, unless it is about to end by then", async () => {
  const { manager, tried } = starved();
  manager.ready("ready");
  expect(await tried("READY=1", 0)).toBe(1);
  expect(await tried("READY=1", 2)).toBe(3);
  manager.stopping();
  expect(await tried("READY=1", 5)).toBe(3);
  expect(await tried("STOPPING=1", 5)).toBe(1);
  manager.close();
  await tried("", 1);
});
