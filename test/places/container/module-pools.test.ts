/**
 * The runners of module steps in containers, under an engine that a test plays: when a pool ends,
 * which steps have one, and what is told of a runner whose container says this or that.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { ImageContainer } from "../../../src/core/container.ts";
import { FAILURE_CODES } from "../../../src/core/failure.ts";
import type { TaskResult } from "../../../src/core/task.ts";
import { FramedTask } from "../../../src/core/task-frame.ts";
import type { DeathInfo } from "../../../src/places/place.ts";
import { silentLog } from "../../../src/log.ts";
import { ContainersFolder } from "../../../src/places/container/container-files.ts";
import {
  EngineError,
  type ContainerState,
  type Engine,
} from "../../../src/places/container/engine.ts";
import { ModulePools, type ModulePool } from "../../../src/places/container/module-pools.ts";
import { OVER_STATUS, PATIENCE_MS, WIRE_PROTOCOL } from "../../../src/places/pool/wire.ts";
import { plainModule } from "../../support/plain-module.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const IDLE_MS = 60_000;
/** How long real processes may take here, in milliseconds. */
const PATIENCE = 30_000;
const IMAGE: ImageContainer = { image: "node:20", options: [], volumes: [] } as never;

const HELLO = {
  type: "hello",
  protocol: WIRE_PROTOCOL,
  version: "9.9.9",
  node: "20.1.0",
  platform: "linux/x64",
};
const line = (value: object): string => `echo '${JSON.stringify(value)}'\n`;
/** It speaks, and has read its settings and its first task. */
const GIVEN = `${line(HELLO)}${line({ type: "ready", folder: "/nowhere" })}read -r _; read -r _; `;

/** What an engine says of a container that has ended. */
const STATE: ContainerState = {
  name: "c",
  labels: {},
  running: false,
  paused: false,
  startedAt: undefined,
  exitCode: 137,
  outOfMemory: false,
};

/** Pools, and an engine whose `run` is this shell text. */
function played(
  text = "sleep 60",
  {
    state,
    removal,
    renamed = 0,
    removesLater = false,
    away = 0,
  }: {
    /** What `inspect` gives. Undefined: no such container. */
    readonly state?: Partial<ContainerState>;
    /** Why no container can be removed. */
    readonly removal?: string;
    readonly renamed?: number;
    /** Nothing is removed before the test says so. */
    readonly removesLater?: boolean;
    /** How often the engine does not answer at first. */
    readonly away?: number;
  } = {},
) {
  const { root } = tempRoot();
  const clock = new VirtualClock();
  const program = join(root, "engine");
  writeFileSync(program, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  const asked: string[] = [];
  const logged: unknown[] = [];
  let removes: () => void = () => undefined;
  let isThere = state !== undefined;
  let silences = away;
  const gate = removesLater
    ? new Promise<void>((resolve) => (removes = resolve))
    : Promise.resolve();
  const engineOf = (name: string): Engine =>
    ({
      name,
      version: "5",
      id: "",
      env: {},
      inspect: () =>
        (silences -= 1) < 0
          ? Promise.resolve(isThere ? [{ ...STATE, ...state }] : [])
          : Promise.reject(new EngineError("it does not answer")),
      remove: async (names: readonly string[]) => {
        asked.push(`remove ${names.length}`);
        await gate;
        if (removal === undefined) isThere = false;
        return removal;
      },
      ask: (words: readonly string[]) => {
        asked.push(`${words[0]} ${words.at(-1)!.endsWith("-kept") ? "to kept" : "to another"}`);
        return Promise.resolve({ status: renamed, stdout: "", stderr: "" });
      },
    }) as unknown as Engine;
  const bundles = join(root, "bundles");
  const containers = join(root, "containers");
  mkdirSync(bundles);
  const doubtful: string[] = [];
  const pools = new ModulePools({
    clock,
    log: { ...silentLog, warn: (...given: unknown[]) => void logged.push(given) },
    root,
    relabels: false,
    folder: new ContainersFolder(containers, `test-${process.pid}`),
    settings: { bundles, token: `pools-${process.pid}` },
    atOnce: () => 2,
    doubtful: (name) => void doubtful.push(name),
  });
  onTestFinished(() => pools.close());
  const engine = engineOf(program);
  const of = (more: Partial<ImageContainer> = {}, image = "sha256:1", by = engine): ModulePool =>
    pools.of(by, { ...IMAGE, ...more }, image);
  const left = (): string[] => (existsSync(containers) ? readdirSync(containers) : []);
  const openGate = (): void => removes();
  return { pools, of, clock, engine, engineOf, asked, doubtful, left, logged, removes: openGate };
}

/** Whether a pool was closed. It is spied upon from now on. */
function closes(pool: ModulePool): () => boolean {
  const close = vi.spyOn(pool, "close");
  onTestFinished(() => close.mockRestore());
  return () => close.mock.calls.length > 0;
}

describe("a pool of runners", () => {
  it("that has no task ends after a minute, and another has the next one", async () => {
    const { of, clock } = played();
    const pool = of();
    const isClosed = closes(pool);
    // One that had no task yet waits for its first one.
    await clock.advance(2 * IDLE_MS);
    expect(of()).toBe(pool);
    pool.begin("a", undefined);
    await clock.advance(2 * IDLE_MS);
    pool.end("a");
    await clock.advance(IDLE_MS - 1);
    expect([of() === pool, isClosed()]).toEqual([true, false]);
    await clock.advance(1);
    expect([of() === pool, isClosed()]).toEqual([false, true]);
    expect(clock.timers).toBe(0);
  });

  it("is not idle while it has a task, though another one ended", async () => {
    const { of, clock } = played();
    const pool = of();
    pool.begin("a", undefined);
    pool.begin("b", undefined);
    pool.end("a");
    await clock.advance(2 * IDLE_MS);
    expect(of()).toBe(pool);
    pool.end("b");
    await clock.advance(IDLE_MS - 1);
    // Its idle time begins again.
    pool.begin("c", undefined);
    pool.end("c");
    await clock.advance(IDLE_MS - 1);
    expect(of()).toBe(pool);
    await clock.advance(1);
    expect(of()).not.toBe(pool);
  });

  it("that was left ends with its last task, and at once without one", async () => {
    const { pools, of, clock } = played();
    const [busy, idle] = [of(), of({ user: "1" })];
    const [isBusyClosed, isIdleClosed] = [closes(busy), closes(idle)];
    busy.begin("a", undefined);
    busy.begin("b", undefined);
    idle.begin("c", undefined);
    idle.end("c");
    pools.leave();
    expect([isBusyClosed(), isIdleClosed()]).toEqual([false, true]);
    expect(clock.timers).toBe(0);
    // Its tasks go on, and the next ones are another's.
    expect(of()).not.toBe(busy);
    busy.end("a");
    expect(isBusyClosed()).toBe(false);
    busy.end("b");
    expect(isBusyClosed()).toBe(true);
  });

  it("that was left leaves the one that has its key alone", async () => {
    const { pools, of } = played();
    const before = of();
    before.begin("a", undefined);
    pools.leave();
    const after = of();
    before.end("a");
    expect(of()).toBe(after);
  });

  it("that was left and has ended is not ended again with the others", async () => {
    const { pools, of } = played();
    const pool = of();
    pool.begin("a", undefined);
    pools.leave();
    const close = vi.spyOn(pool, "close");
    pool.end("a");
    await pools.close();
    expect(close).toHaveBeenCalledTimes(1);
  });

  it("ends with all others, those that were left too", async () => {
    const { pools, of } = played();
    const left = of();
    left.begin("a", undefined);
    pools.leave();
    const all = [left, of(), of({ user: "1" })].map(closes);
    await pools.close();
    expect(all.map((isClosed) => isClosed())).toEqual([true, true, true]);
  });
});

describe("two steps have one pool", () => {
  it.each<[string, boolean, Partial<ImageContainer>]>([
    ["where all is the same", true, {}],
    ["though one keeps its container", true, { keep: "on-failure" }],
    ["though one pulls its image", true, { pull: "always" }],
    ["and none where a volume differs", false, { volumes: ["/a:/a"] }],
    ["and none where the network differs", false, { network: "none" }],
    ["and none where the user differs", false, { user: "1" }],
    ["and none where the entrypoint differs", false, { entrypoint: ["x"] }],
    ["and none where the folder differs", false, { workdir: "/w" }],
    ["and none where the platform differs", false, { platform: "linux/arm64" }],
    ["and none where an option differs", false, { options: ["--privileged"] }],
    ["and none where the processors differ", false, { cpus: 1 }],
    ["and none where the GPUs differ", false, { gpus: 1 }],
  ])("%s", (_, isSame, more) => {
    const { of } = played();
    expect(of(more) === of()).toBe(isSame);
  });

  it("and none where the image's id, or the engine, differs", () => {
    const { of, engineOf } = played();
    expect(of({}, "sha256:2")).not.toBe(of());
    expect(of({}, "sha256:1", engineOf("docker"))).not.toBe(of());
  });
});

const MODULE_TASK = plainModule();

/** Hears nothing. */
const NOBODY = { done: () => undefined, output: () => undefined, died: () => undefined };

/** How a task ended in a pool, and what was told of its place. */
async function end(pool: ModulePool, id: string, isStarted?: () => void) {
  const places: string[] = [];
  const printed: string[] = [];
  pool.begin(id, ({ ref }) => void places.push(ref));
  const ended = new Promise<DeathInfo | TaskResult>((resolve) =>
    pool.pool.start(
      id,
      MODULE_TASK,
      {
        done: (result) => resolve(result),
        output: (lines) => void printed.push(...lines.map((one) => one.line)),
        died: resolve,
      },
      { alone: true },
    ),
  );
  isStarted?.();
  const how = await ended;
  return { how, places, printed, fault: pool.faultOf(id) };
}

describe("a runner in a container", () => {
  it("that never spoke ran nothing, with the engine's reason, and its container goes", async () => {
    const { of, asked, left } = played("echo 'Error: nothing: no such image' >&2; exit 125");
    const pool = of();
    const { how, places, fault } = await end(pool, "r@1#2");
    expect(fault).toMatch(
      /^the container of node:20 could not be started: the image node:20 is not there, /,
    );
    expect(how).toMatchObject({ blameless: "unbegun" });
    expect(places).toEqual([]);
    pool.end("r@1#2");
    expect(pool.faultOf("r@1#2")).toBeUndefined();
    expect(asked.at(-1)).toBe("remove 1");
    await vi.waitFor(() => expect(left()).toEqual([]), PATIENCE);
  });

  it("has a thread for each step that may run at once, or is one step's own", async () => {
    const told = join(tempRoot().root, "told");
    const { of } = played(`head -n 1 >>${told}; sleep 60`);
    const { pool } = of();
    pool.start("r@1#2", MODULE_TASK, NOBODY, { alone: false });
    pool.start("r@1#3", MODULE_TASK, NOBODY, { alone: true });
    const threads = (): number[] =>
      readFileSync(told, "utf8")
        .trimEnd()
        .split("\n")
        .map((settings) => (JSON.parse(settings) as { threads: number }).threads);
    await vi.waitFor(() => expect(threads().toSorted((a, b) => a - b)).toEqual([1, 2]), PATIENCE);
  });

  it("that ran nothing has no container to keep: it was removed", async () => {
    const { of, asked } = played("exit 125");
    const pool = of({ keep: "on-failure" });
    await end(pool, "r@1#2");
    expect(pool.keep("r@1#2")).toBeUndefined();
    expect(asked.filter((one) => one.startsWith("rename"))).toEqual([]);
  });

  it.each([
    ['exec: "node": executable file not found in $PATH', "has no Node: a module needs Node 20"],
    ["exec format error", "is for another kind of processor than this machine has"],
  ])("that says %s is told as that", async (said, sentence) => {
    const { of } = played(`echo '${said}' >&2; exit 127`);
    expect((await end(of(), "r@1#2")).fault).toContain(`the image node:20 ${sentence}`);
  });

  it("whose Node throws at the start is told by the error, not by Node's last words", async () => {
    const said =
      "node:internal/modules/cjs/loader:1210\n  throw err;\n  ^\n\n" +
      "Error: EACCES: permission denied, open /a/runner.js\n" +
      "    at Module._load (node:internal:1)\n\nNode.js v20.20.2\n";
    const { of } = played(`printf '%s' '${said}' >&2; exit 1`);
    expect((await end(of(), "r@1#2")).fault).toBe(
      "the container of node:20 could not be started: " +
        "EACCES: permission denied, open /a/runner.js",
    );
  });

  it.each([
    ["19.9.0", "the image node:20 has Node 19.9.0, and a module needs Node 20 or later"],
    ["20.0.0", undefined],
  ])("with Node %s has the fault %j", async (node, wanted) => {
    const { of } = played(
      `${line({ ...HELLO, node })}${line({ type: "ready", folder: "/" })}exit 9`,
    );
    const { fault, places } = await end(of(), "r@1#2");
    expect(fault).toBe(wanted);
    expect(places).toHaveLength(wanted === undefined ? 1 : 0);
  });

  it("names its container to its task once it spoke, and the death says where", async () => {
    const { of } = played(`${GIVEN}exit 3`);
    const { how, places, fault } = await end(of(), "r@1#2");
    expect(fault).toBeUndefined();
    expect(places).toHaveLength(1);
    expect(places[0]).toMatch(/^orchd-pools-/);
    expect(how).toMatchObject({
      because: `the runner in the container ${places[0]} ended with status 3`,
    });
    expect((how as DeathInfo).blameless).toBeUndefined();
  });

  it.each([
    [
      "ran out of memory where the engine says so",
      { outOfMemory: true },
      "ran out of memory",
      FAILURE_CODES.memory,
    ],
    [
      "was ended by SIGKILL where it does not",
      {},
      "was ended by SIGKILL",
      FAILURE_CODES.runnerDied,
    ],
  ])("%s", async (_, state, told, code) => {
    const { of } = played(`${GIVEN}exit 137`, { state });
    const { how, places } = await end(of(), "r@1#2");
    const because = `the runner in the container ${places[0]} ${told}`;
    expect(how).toMatchObject({ because, code });
  });

  it("whose engine died is lost, and no step is to blame", async () => {
    const { of } = played(`${GIVEN}echo 'unexpected EOF' >&2; exit 125`);
    const { how, places } = await end(of(), "r@1#2");
    expect(how).toMatchObject({
      because: expect.stringContaining(`in the container ${places[0]} was lost: `),
      blameless: "lost",
    });
    expect((how as DeathInfo).because).toMatch(/ died$/);
  });

  it.each([
    ["is renamed and not removed", 0],
    ["and cannot be renamed is removed: the next one needs its name", 125],
  ])("that stays %s", async (_, renamed) => {
    const { of, engine, asked, left } = played(
      `${GIVEN}until [ -e "$0.go" ]; do sleep 0.05; done; exit 3`,
      { renamed },
    );
    const pool = of();
    expect(pool.keep("r@1#2")).toBeUndefined();
    let kept: string | undefined;
    const { places } = await end(pool, "r@1#2", () => {
      void vi
        .waitFor(() => expect((kept = pool.keep("r@1#2"))).toBeDefined(), PATIENCE)
        .then(() => writeFileSync(`${engine.name}.go`, ""));
    });
    expect(kept).toBe(`${places[0]}-kept`);
    expect(asked).toContain("rename to kept");
    const isRemoved = asked.indexOf("rename to kept") < asked.lastIndexOf("remove 1");
    expect(isRemoved).toBe(renamed !== 0);
    await vi.waitFor(() => expect(left()).toEqual([]), PATIENCE);
  });

  it("that cannot be removed is told to its place, and its files stay", async () => {
    const { of, asked, clock, doubtful, left } = played(`${GIVEN}exit 3`, {
      removal: "the engine hangs",
    });
    const ending = end(of(), "r@1#2");
    await vi.waitFor(() => expect(asked).toEqual(["remove 1"]), PATIENCE);
    // Its lease is over then.
    await clock.advance(PATIENCE_MS);
    const { places } = await ending;
    expect(doubtful).toEqual(places);
    expect(left()).toHaveLength(1);
  });

  it("with an older Node says so, whatever ended it then", async () => {
    const old = line({ ...HELLO, node: "19.9.0" });
    const state = { outOfMemory: true };
    const { of } = played(`${old}cat > /dev/null; exit 137`, { state });
    const { how, fault } = await end(of(), "r@1#2");
    expect((how as DeathInfo).because).toContain(fault);
    expect(fault).toContain("has Node 19.9.0");
  });

  it("names its container to each step that is told by a frame", async () => {
    const { of } = played(`${GIVEN}exit 3`);
    const pool = of();
    const places: string[] = [];
    const frame = { code: { bundle: "b", pick: "x", source: "./b.ts" }, run: { id: "r@1" } };
    const task = new FramedTask({ ...frame, env: {}, gracePeriodMs: 1 } as never, "it", 1, {
      params: {},
      inputs: {},
    });
    const deaths = ["r@1#2", "r@1#3"].map((id) => {
      pool.begin(id, ({ ref }) => void places.push(`${id} ${ref}`));
      return new Promise((resolve) =>
        pool.pool.start(id, task, { done: resolve, output: () => undefined, died: resolve }),
      );
    });
    await Promise.all(deaths);
    expect(places).toEqual([
      expect.stringMatching(/^r@1#2 orchd-pools-/),
      expect.stringMatching(/^r@1#3 orchd-pools-/),
    ]);
    expect(places[0]!.slice(6)).toBe(places[1]!.slice(6));
  });

  it("names its container to a step that moved to it from one with a stuck thread", async () => {
    const error = { name: "StepTimedOut", message: "it is over its limit" };
    const result = { ok: false, outcome: "timeout", error };
    const times = { durationMs: 1, startedAt: 1 };
    const stuck = { type: "stuck", id: "r@1#2", result, ...times, unstarted: ["r@1#3"] };
    const { of, engine } = played(
      `${line(HELLO)}${line({ type: "ready", folder: "/nowhere" })}` +
        'if [ -e "$0.go" ]; then read -r _; read -r _; exit 3; fi\n' +
        'until [ -e "$0.go" ]; do sleep 0.05; done\n' +
        `${line([stuck])}exec sleep 60`,
    );
    const pool = of();
    const places: [id: string, ref: string][] = [];
    const ends = ["r@1#2", "r@1#3"].map((id) => {
      pool.begin(id, ({ ref }) => void places.push([id, ref]));
      return new Promise<DeathInfo | TaskResult>((resolve) =>
        pool.pool.start(id, MODULE_TASK, {
          done: resolve,
          output: () => undefined,
          died: resolve,
        }),
      );
    });
    await vi.waitFor(() => expect(places).toHaveLength(2), PATIENCE);
    writeFileSync(`${engine.name}.go`, "");
    const [first, moved] = await Promise.all(ends);
    expect(first).toMatchObject(result);
    expect(places.map(([id]) => id)).toEqual(["r@1#2", "r@1#3", "r@1#3"]);
    expect(places[1]![1]).toBe(places[0]![1]);
    expect(places[2]![1]).not.toBe(places[0]![1]);
    expect((moved as DeathInfo).because).toContain(places[2]![1]);
  });

  it("with an older Node is ended, and does not wait for more", async () => {
    const old = line({ ...HELLO, node: "19.9.0" });
    const { of } = played(`${old}cat > /dev/null; exit 0`);
    expect((await end(of(), "r@1#2")).fault).toContain("has Node 19.9.0");
  });

  it.each([
    ["is frozen", { state: { paused: true } }, "was frozen by somebody (paused)", "lost"],
    ["is not", { state: {} }, "was not heard for 15 s", undefined],
    // It is asked about memory first.
    ["has an engine that was away", { state: {}, away: 2 }, "engine died", "lost"],
  ] as const)(
    "that is not heard any more says why, where it %s",
    async (_, world, told, blameless) => {
      const { of, clock } = played(`${GIVEN}sleep 60`, world);
      let ended: DeathInfo | TaskResult | undefined;
      void end(of(), "r@1#2").then(({ how }) => (ended = how));
      await vi.waitFor(async () => {
        await clock.advance(PATIENCE_MS);
        expect(ended).toBeDefined();
      }, PATIENCE);
      expect((ended as DeathInfo).because).toContain(told);
      expect((ended as DeathInfo).blameless).toBe(blameless);
    },
  );

  it("whose engine noted that memory ran out has run out of it", async () => {
    const { of } = played(`${GIVEN}: > oom; exit 137`);
    expect(((await end(of(), "r@1#2")).how as DeathInfo).because).toMatch(/ ran out of memory$/);
  });

  it("has said nothing where only the engine did", async () => {
    const { of, logged } = played(
      `echo 'a warning of the engine' >&2; sleep 0.1; ${GIVEN}echo 'its own' >&2; exit 3`,
    );
    const { printed } = await end(of(), "r@1#2");
    expect(JSON.stringify([printed, logged])).not.toContain("a warning of the engine");
  });

  it("is closed once its container is gone", async () => {
    const { of, pools, clock, asked, removes } = played(`${GIVEN}exit ${OVER_STATUS}`, {
      removesLater: true,
    });
    void end(of(), "r@1#2");
    await vi.waitFor(() => expect(asked).toContain("remove 1"), PATIENCE);
    let isClosed = false;
    const closing = pools.close().then(() => (isClosed = true));
    await clock.settle();
    expect(isClosed).toBe(false);
    removes();
    await closing;
  });
});
