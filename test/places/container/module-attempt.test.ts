/**
 * An attempt of a module step in an image, beside a pool, an engine and an image that a test plays:
 * what ends it before a runner has it, what its runner gets, and what becomes of its container.
 */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ImageContainer } from "../../../src/core/container.ts";
import { ERROR_CHARACTERS } from "../../../src/core/failure.ts";
import type { ModuleTask, TaskResult } from "../../../src/core/task.ts";
import type { DeathInfo, StartOptions, TaskHandlers } from "../../../src/places/place.ts";
import { ContainerFiles } from "../../../src/places/container/container-files.ts";
import { EngineError, type Engine } from "../../../src/places/container/engine.ts";
import { ModuleAttempt, type ModuleHost } from "../../../src/places/container/module-attempt.ts";
import type { ModulePool } from "../../../src/places/container/module-pools.ts";
import { plainModule } from "../../support/plain-module.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const ID = "r@1#2";
const TASK = plainModule({
  container: { image: "node:20" } as ImageContainer,
  registryAuth: "me:token",
  secrets: ["me:token", "canary"],
});
const OK: TaskResult = { ok: true, value: 1 };
const BAD: TaskResult = { ok: false, outcome: "failed", error: { name: "Error", message: "x" } };

function played({
  keep = "never",
  isAlone = false,
  fault,
  startFault,
  full = 0,
}: {
  readonly keep?: ImageContainer["keep"];
  readonly isAlone?: boolean;
  /** Why the runner ran nothing. */
  readonly fault?: string;
  readonly startFault?: Error;
  /** For how many starts there is no room on the disk. */
  readonly full?: number;
} = {}) {
  const clock = new VirtualClock();
  const told: string[] = [];
  const note = (text: string): void => void told.push(text);
  const world = { engine: { name: "podman" } as Engine };
  let resolve!: (id: string) => void;
  let reject!: (error: Error) => void;
  let given: { task: ModuleTask; handlers: TaskHandlers; options: StartOptions } | undefined;
  let begun: ((at: { place: string; ref: string }) => void) | undefined;
  const pool = {
    engine: { name: "podman" },
    begin: (id: string, placed: typeof begun) => {
      begun = placed;
      note(`begin ${id}`);
    },
    end: (id: string) => note(`end ${id}`),
    faultOf: () => fault,
    keep: () => "c-kept",
    pool: {
      start: (_id: string, task: ModuleTask, handlers: TaskHandlers, options: StartOptions) => {
        if (startFault !== undefined) throw startFault;
        if ((full -= 1) >= 0)
          throw Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });
        given = { task, handlers, options };
        note("start");
      },
      stop: (id: string, mode: string, because: string) => note(`stop ${id} ${mode}: ${because}`),
    },
  } as unknown as ModulePool;
  const ends: unknown[] = [];
  const attempt = new ModuleAttempt(
    TASK,
    { image: "node:20", pull: "missing", keep } as ImageContainer,
    {
      placed: ({ place, ref }) => note(`placed ${place} ${ref}`),
      output: (lines) => lines.forEach(({ stream, line }) => note(`${stream} ${line}`)),
      done: (result, ms, startedAt) => {
        note("done");
        ends.push({ result, ms, startedAt });
      },
      died: (death) => {
        note("died");
        ends.push(death);
      },
    },
    {
      clock,
      id: ID,
      folder: {
        begin: (inMemory: boolean) => {
          note(inMemory ? "folder in memory" : "folder");
          return new ContainerFiles(mkdtempSync(join(tempRoot().root, "f-")));
        },
        end: () => note("folder removed"),
      },
      ready: () => Promise.resolve(world.engine),
      image: (...[, container, request]: Parameters<ModuleHost["image"]>) => {
        note(`image ${container.image} as ${request.auth}`);
        request.files();
        request.tell(["[orchd: pulling with me:token]"]);
        request.pulling?.({ cancel: () => note("pull cancelled") } as never);
        return new Promise<string>((yes, no) => {
          resolve = yes;
          reject = no;
        });
      },
      poolOf: (...[, , image]: Parameters<ModuleHost["poolOf"]>) => {
        note(`pool of ${image}`);
        return pool;
      },
      ended: () => note("ended"),
    } as unknown as ModuleHost,
    isAlone,
  );
  const startedAt = clock.now();
  const over = attempt.run();
  return {
    attempt,
    clock,
    ends,
    over,
    startedAt,
    world,
    said: () => told.splice(0),
    runner: () => given!,
    placed: () =>
      begun!({
        place: "podman",
        ref: "c",
      }),
    fails: (error: Error) => reject(error),
    async isThere() {
      await clock.settle();
      resolve("sha256:1");
      await clock.settle();
    },
  };
}

const PULL = ["image node:20 as me:token", "folder in memory", "orchd [orchd: pulling with ***]"];

describe("an attempt of a module step in an image", () => {
  it("pulls, removes what the pull needed, and has a runner that knows nothing of it", async () => {
    const one = played();
    await one.isThere();
    expect(one.said()).toEqual([
      ...PULL,
      "pool of sha256:1",
      "folder removed",
      "begin r@1#2",
      "start",
    ]);
    const { task, options } = one.runner();
    expect(options).toEqual({ alone: false });
    expect(task).not.toHaveProperty("container");
    expect(task).not.toHaveProperty("registryAuth");
    expect(task.secrets).toEqual(["canary"]);
    one.placed();
    one.runner().handlers.output([{ stream: "stdout", line: "a" } as never]);
    one.runner().handlers.done(OK, 7, 12);
    expect(one.said()).toEqual(["placed podman c", "stdout a", "end r@1#2", "ended", "done"]);
    expect(one.ends).toEqual([{ result: OK, ms: 7, startedAt: 12 }]);
    // Another end is nobody's.
    one.runner().handlers.done(BAD, 1, 1);
    one.runner().handlers.died({} as DeathInfo);
    expect(one.said()).toEqual([]);
  });

  it.each([
    ["never", false, false],
    ["never", true, true],
    ["on-failure", false, true],
  ] as const)("with keep %s, alone: %s, has a runner alone: %s", async (keep, isAlone, alone) => {
    const one = played({ keep, isAlone });
    await one.isThere();
    expect(one.runner().options).toEqual({ alone });
  });

  it("fails with the engine's sentence, and says from when", async () => {
    const one = played();
    await one.clock.advance(5_000);
    one.fails(new EngineError("podman has no such image, says me:token"));
    await one.over;
    expect(one.said().slice(-3)).toEqual(["folder removed", "ended", "done"]);
    expect(one.ends).toEqual([
      {
        result: {
          ok: false,
          outcome: "failed",
          error: {
            name: "ContainerError",
            message: "podman has no such image, says ***",
            code: "ORCHD_CONTAINER",
          },
        },
        ms: 0,
        startedAt: one.startedAt,
      },
    ]);
  });

  it("fails where its runner cannot be started, and leaves the pool", async () => {
    const one = played({ startFault: new Error("the runners are closed") });
    await one.isThere();
    expect(one.said().slice(-4)).toEqual(["begin r@1#2", "end r@1#2", "ended", "done"]);
    expect(one.ends).toMatchObject([
      { result: { error: { message: "the runners are closed" } }, ms: 0 },
    ]);
  });

  it("waits for room for its runner, says so once, and pulls no second time", async () => {
    const one = played({ full: 2 });
    await one.isThere();
    const tries = ["begin r@1#2", "end r@1#2"];
    expect(one.said().slice(-3)).toEqual([...tries, "orchd the disk is full: the step waits"]);
    await one.clock.advance(1_000);
    expect(one.said()).toEqual(["pool of sha256:1", ...tries]);
    await one.clock.advance(1_000);
    expect(one.said()).toEqual(["pool of sha256:1", "begin r@1#2", "start"]);
    one.runner().handlers.done(OK, 7, 12);
    expect(one.ends).toEqual([{ result: OK, ms: 7, startedAt: 12 }]);
    expect(one.clock.timers).toBe(0);
  });

  it("that waits for room asks the engine that orchd.yaml names by then", async () => {
    const one = played({ full: 1 });
    await one.isThere();
    one.said();
    one.world.engine = { name: "docker" } as Engine;
    await one.clock.advance(1_000);
    expect(one.said()).toEqual(PULL);
    await one.isThere();
    expect(one.said().at(-1)).toBe("start");
  });

  it("that waits for room is stopped at once, and never begins", async () => {
    const one = played({ full: 1 });
    await one.isThere();
    one.said();
    one.attempt.stop("graceful", "by me");
    await one.over;
    expect(one.said()).toEqual(["pull cancelled", "ended", "done"]);
    expect(one.ends).toMatchObject([{ result: { outcome: "stopped" }, ms: 0 }]);
    await one.clock.advance(60_000);
    expect(one.said()).toEqual([]);
    expect(one.clock.timers).toBe(0);
  });

  it("fails with a cut sentence in which no half of a secret is", async () => {
    const before = "x".repeat(ERROR_CHARACTERS - 3);
    const one = played({ startFault: new Error(`${before}canary and more`) });
    await one.isThere();
    expect(one.ends).toMatchObject([{ result: { error: { message: expect.any(String) } } }]);
    const [{ result }] = one.ends as [{ result: { error: { message: string } } }];
    expect(result.error.message.slice(0, before.length + 3)).toBe(`${before}***`);
    expect(result.error.message).not.toContain("can");
  });

  it("dies with its runner; where that ran nothing, it fails with the reason", async () => {
    const death: DeathInfo = { inFlight: [ID], alone: true, because: "it died", code: "x" };
    const one = played();
    await one.isThere();
    one.runner().handlers.died(death);
    expect(one.said().slice(-3)).toEqual(["end r@1#2", "ended", "died"]);
    expect(one.ends).toEqual([death]);
    const other = played({ fault: "the image has no Node" });
    await other.isThere();
    other.runner().handlers.died(death);
    expect(other.ends).toMatchObject([
      { result: { error: { name: "ContainerError", message: "the image has no Node" } }, ms: 0 },
    ]);
  });
});

describe("an end that is asked for", () => {
  it("before the image is there cancels the pull, and is one at once", async () => {
    const one = played();
    await one.clock.settle();
    one.said();
    one.attempt.stop("graceful", "by me");
    one.attempt.stop("force", "again");
    await one.over;
    expect(one.said()).toEqual(["pull cancelled", "pull cancelled", "ended", "done"]);
    expect(one.ends).toMatchObject([
      { result: { outcome: "stopped", error: { message: "by me" } }, ms: 0 },
    ]);
    await one.isThere();
    // The pool that came late is given nothing.
    expect(one.said()).toEqual(["pool of sha256:1", "folder removed"]);
  });

  it("before the engine has answered cancels the pull as it begins", async () => {
    const one = played();
    one.attempt.stop("graceful", "by me");
    await one.over;
    await one.clock.settle();
    expect(one.said()).toContain("pull cancelled");
    expect(one.ends).toHaveLength(1);
  });

  it("while it is pulled is its end, also where the pull fails for that", async () => {
    const one = played();
    await one.clock.settle();
    one.fails(new EngineError("it was cancelled"));
    one.attempt.stop("graceful", "by me");
    await one.over;
    expect(one.ends).toMatchObject([{ result: { outcome: "stopped" } }]);
  });

  it("once a runner has it goes to the runner", async () => {
    const one = played();
    await one.isThere();
    one.said();
    one.attempt.stop("force", "by me");
    expect(one.said()).toEqual(["stop r@1#2 force: by me"]);
  });
});

it("the daemon's end cancels the pull, and nobody hears more", async () => {
  const one = played();
  await one.clock.settle();
  one.said();
  one.attempt.leave();
  await one.isThere();
  expect(one.said()).toEqual(["pull cancelled", "pool of sha256:1", "folder removed"]);
  const other = played();
  await other.isThere();
  other.placed();
  other.said();
  other.attempt.leave();
  other.runner().handlers.done(OK, 1, 1);
  await other.clock.advance(1_000);
  expect(other.said()).toEqual(["pull cancelled"]);
});

it.each<[string, boolean, ImageContainer["keep"], TaskResult]>([
  ["fails", true, "on-failure", BAD],
  ["is too late", true, "on-failure", { ...BAD, outcome: "timeout" }],
  ["is stopped", false, "on-failure", { ...BAD, outcome: "stopped" }],
  ["is done", false, "on-failure", OK],
  ["fails, where none is to stay", false, "never", BAD],
])("the container of a step that %s stays: %s", async (_, isKept, keep, result) => {
  const one = played({ keep });
  await one.isThere();
  one.said();
  one.runner().handlers.done(result, 1, 1);
  const line =
    "orchd [orchd: the container c-kept is kept: look with podman export, " +
    "remove it with podman rm]";
  expect(one.said()).toEqual([...(isKept ? [line] : []), "end r@1#2", "ended", "done"]);
});
