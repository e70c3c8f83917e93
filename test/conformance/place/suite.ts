/**
 * What each place must do (src/places/place.ts), whatever it is made of.
 *
 * A place more is a file more: it calls {@link describePlace} with how to open one.
 */
import { describe, expect, it } from "vitest";
import { FAILURE_CODES } from "../../../src/core/failure.ts";
import type { Json } from "../../../src/core/snapshot.ts";
import type { ModuleTask, OutputLine, Task, TaskResult } from "../../../src/core/task.ts";
import type { DeathInfo, Place, TaskHandlers } from "../../../src/places/place.ts";
import { shared } from "../../support/shared-subject.ts";

/**
 * A place for one test, or for all that leave it whole (test/support/shared-subject.ts): what ends
 * it is given to `onTestFinished` of test/support/running-test.ts.
 */
export interface PlaceUnderTest {
  readonly place: Place;
  /** Makes an ES module the code of tasks: `bundle` is its name, `pick` is `export:EXPORT`. */
  module(name: string, text: string): void | Promise<void>;
  /** Ends all that the place's tasks run in, as a crash does. */
  crash(): void;
}

/** How many steps of each lane a place under test runs at once. */
export const ROOM = 2;

const CODE = `
  export const echo = ({ params, inputs }) => ({ params, inputs });
  export const fails = () => {
    throw Object.assign(new RangeError("too far"), { code: "E_FAR" });
  };
  export const prints = ({ params, log }) => {
    for (let line = 0; line < params.lines; line += 1) log.info("line " + line);
  };
  const told = (signal) =>
    new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason)));
  export const yields = async ({ signal, log }) => {
    log.info("begun");
    const reason = await told(signal);
    return "told: " + (reason.message ?? reason);
  };
  export const gives_up = async ({ signal, log }) => {
    log.info("begun");
    await told(signal);
    throw new Error("it was cut off");
  };
  export const never_ends = async ({ log }) => {
    log.info("begun");
    await new Promise(() => {});
  };
  export class Asker {
    getOrchestratorRunId() { return ""; }
    async submitPipeline() {}
    fetchStatus(run) { return globalThis[Symbol.for("orchd.host")].call("ask", run); }
  }
`;

const common = {
  run: { id: "suite@1", pipeline: "suite", attempt: 2 },
  step: "it",
  env: {},
  gracePeriodMs: 200,
} as const;

const codeOf = (name: string) => ({
  bundle: "code",
  pick: `export:${name}`,
  source: "./code.ts",
});

function moduleTask(does: string, more: Partial<ModuleTask> = {}): ModuleTask {
  return {
    kind: "module",
    code: codeOf(does),
    params: {},
    inputs: {},
    isolated: false,
    ...common,
    ...more,
  };
}

const asking = (argument: Json): Task => ({
  kind: "flavor",
  code: codeOf("Asker"),
  config: {},
  method: "fetchStatus",
  argument: { run: argument },
  ...common,
});

/** What was heard of a task. */
interface Heard {
  readonly result?: TaskResult;
  readonly death?: DeathInfo;
  readonly durationMs?: number;
  readonly startedAt?: number;
  readonly lines: readonly OutputLine[];
}

interface Started {
  /** Its first line: what it prints when it has begun. */
  readonly begun: Promise<unknown>;
  readonly heard: Promise<Heard>;
}

function start(
  place: Place,
  id: string,
  task: Task,
  { alone, call }: { readonly alone?: boolean; readonly call?: TaskHandlers["call"] } = {},
): Started {
  const lines: OutputLine[] = [];
  let begin!: (value: unknown) => void;
  const begun = new Promise((resolve) => (begin = resolve));
  const heard = new Promise<Heard>((resolve, reject) => {
    let over = false;
    const end = (what: Omit<Heard, "lines">): void => {
      if (over) reject(new Error(`${id} ended twice`));
      over = true;
      // What would come too late, or twice, comes before this.
      setTimeout(() => resolve({ ...what, lines }), 20);
    };
    place.start(
      id,
      task,
      {
        done: (result, durationMs, startedAt) => end({ result, durationMs, startedAt }),
        died: (death) => end({ death }),
        output: (more) => {
          if (over) reject(new Error(`${id} printed after its end`));
          lines.push(...more);
          begin(undefined);
        },
        call,
      },
      { alone: alone === true },
    );
  });
  return { begun, heard };
}

/**
 * Holds a place to all of it.
 *
 * @param calls whether its tasks may call the daemon. A place of steps alone refuses all others
 */
export function describePlace(
  name: string,
  open: () => PlaceUnderTest | Promise<PlaceUnderTest>,
  { calls = true }: { readonly calls?: boolean } = {},
): void {
  const openedNow = async (): Promise<PlaceUnderTest> => {
    const subject = await open();
    await subject.module("code", CODE);
    return subject;
  };

  describe(`the place ${name}, which these cases share`, () => {
    const opened = shared(openedNow);

    describe(`tasks`, () => {
      it("end with their result, how long they took, and when they began", async () => {
        const { place } = await opened();
        const before = Date.now();
        const task = moduleTask("echo", { params: { a: [1, null] }, inputs: { b: "text" } });
        const { result, durationMs, startedAt } = await start(place, "suite@1#2", task).heard;
        expect(result).toEqual({
          ok: true,
          value: { params: { a: [1, null] }, inputs: { b: "text" } },
        });
        expect(durationMs).toBeGreaterThanOrEqual(0);
        expect(startedAt).toBeGreaterThanOrEqual(before);
        expect(startedAt).toBeLessThanOrEqual(Date.now());
      });

      it("end with the error that they threw", async () => {
        const { place } = await opened();
        const { result } = await start(place, "suite@1#2", moduleTask("fails")).heard;
        expect(result).toMatchObject({
          ok: false,
          outcome: "failed",
          error: { name: "RangeError", message: "too far", code: "E_FAR" },
        });
      });

      it("are heard in order, under their step and attempt, before they end", async () => {
        const { place } = await opened();
        const task = moduleTask("prints", { params: { lines: 100 } });
        const { result, lines } = await start(place, "suite@1#2", task).heard;
        expect(result).toMatchObject({ ok: true });
        expect(lines.map(({ line }) => (JSON.parse(line) as { message: string }).message)).toEqual(
          Array.from({ length: 100 }, (_, line) => `line ${line}`),
        );
        expect(new Set(lines.map(({ step, attempt }) => `${step} ${attempt}`))).toEqual(
          new Set(["it 2"]),
        );
        expect(lines.every(({ at }) => new Date(at).toISOString() === at)).toBe(true);
      });

      it("run side by side", async () => {
        const { place } = await opened();
        const two = ["suite@1#2", "suite@1#3"].map((id) => start(place, id, moduleTask("yields")));
        await Promise.all(two.map(({ begun }) => begun));
        for (const id of ["suite@1#2", "suite@1#3"]) place.stop(id, "graceful", id);
        expect(await Promise.all(two.map(async ({ heard }) => (await heard).result))).toEqual([
          { ok: true, value: "told: suite@1#2" },
          { ok: true, value: "told: suite@1#3" },
        ]);
      });
    });

    it.runIf(!calls)(`refuses what is no step`, async () => {
      const { place } = await opened();
      const { heard } = start(place, "ask", asking(null));
      await expect(heard).rejects.toThrow('"ask" is no step');
    });

    describe.runIf(calls)(`calls`, () => {
      it("go to the daemon, and the reply comes back", async () => {
        const { place } = await opened();
        const heard: unknown[] = [];
        const call: TaskHandlers["call"] = (method, argument) => {
          heard.push([method, argument]);
          return Promise.resolve({ said: argument });
        };
        const { result } = await start(place, "ask", asking({ a: 1 }), { call }).heard;
        expect(heard).toEqual([["ask", { a: 1 }]]);
        expect(result).toEqual({ ok: true, value: { said: { a: 1 } } });
      });

      it("reject with the daemon's error", async () => {
        const { place } = await opened();
        const error = Object.assign(new Error("no such step"), { name: "Unknown", code: "E_STEP" });
        const call: TaskHandlers["call"] = () => Promise.reject(error);
        const { result } = await start(place, "ask", asking(null), { call }).heard;
        expect(result).toMatchObject({
          ok: false,
          outcome: "failed",
          error: { name: "Unknown", message: "no such step", code: "E_STEP" },
        });
      });

      it("reject where nobody answers", async () => {
        const { place } = await opened();
        const { result } = await start(place, "ask", asking(null)).heard;
        expect(result).toMatchObject({
          ok: false,
          error: { message: 'nobody answers the call "ask" here' },
        });
      });
    });

    describe(`a stop`, () => {
      it("gives the signal and its reason; a task that ends well has its result", async () => {
        const { place } = await opened();
        const task = start(place, "suite@1#2", moduleTask("yields"));
        await task.begun;
        place.stop("suite@1#2", "graceful", "a person asked");
        expect((await task.heard).result).toEqual({ ok: true, value: "told: a person asked" });
      });

      it("makes a task that gives up a stopped one, not a failed one", async () => {
        const { place } = await opened();
        const task = start(place, "suite@1#2", moduleTask("gives_up"));
        await task.begun;
        place.stop("suite@1#2", "graceful", "a person asked");
        expect((await task.heard).result).toMatchObject({ ok: false, outcome: "stopped" });
      });

      it("ends by force what does not heed it", async () => {
        const { place } = await opened();
        const task = start(place, "suite@1#2", moduleTask("never_ends"));
        await task.begun;
        place.stop("suite@1#2", "force", "a person asked");
        expect((await task.heard).result).toMatchObject({
          ok: false,
          outcome: "stopped",
          error: { message: "a person asked" },
        });
      });

      it("leaves all others alone, and one of an unknown task does nothing", async () => {
        const { place } = await opened();
        const task = start(place, "suite@1#2", moduleTask("yields"));
        await task.begun;
        for (const mode of ["graceful", "force"] as const) place.stop("suite@1#9", mode, "unknown");
        const { result } = await start(place, "suite@1#3", moduleTask("echo")).heard;
        expect(result).toMatchObject({ ok: true });
        place.stop("suite@1#2", "graceful", "meant");
        expect((await task.heard).result).toEqual({ ok: true, value: "told: meant" });
      });
    });

    describe(`an id`, () => {
      it("is refused while a task has it, and that task goes on", async () => {
        const { place } = await opened();
        const first = start(place, "suite@1#2", moduleTask("yields"));
        await first.begun;
        await expect(start(place, "suite@1#2", moduleTask("echo")).heard).rejects.toThrow(
          "suite@1#2",
        );
        place.stop("suite@1#2", "graceful", "first");
        expect((await first.heard).result).toEqual({ ok: true, value: "told: first" });
      });

      it("is free again once its task has ended", async () => {
        const { place } = await opened();
        for (let round = 0; round < 2; round += 1)
          expect((await start(place, "suite@1#2", moduleTask("echo")).heard).result).toMatchObject({
            ok: true,
          });
      });
    });
  });

  it(`the place ${name} does not adopt what does not live of an earlier daemon`, async () => {
    const { place } = await openedNow();
    const handlersOf = (): TaskHandlers => {
      throw new Error("nobody was to be heard");
    };
    expect(await place.adopt([], handlersOf)).toEqual(new Set());
    expect(await place.adopt(["suite@0#2", "suite@0#3"], handlersOf)).toEqual(new Set());
  });

  describe(`the place ${name}: room`, () => {
    it("is promised lane by lane, and comes back when the promise is redeemed", async () => {
      const { place } = await openedNow();
      expect(place.capacity()).toEqual({ module: ROOM, shell: ROOM });
      place.promise("module");
      expect(place.capacity()).toEqual({ module: ROOM - 1, shell: ROOM });
      place.promise("shell");
      place.promise("module");
      expect(place.capacity()).toEqual({ module: ROOM - 2, shell: ROOM - 1 });
      for (const lane of ["module", "module", "shell"]) place.redeem(lane);
      expect(place.capacity()).toEqual({ module: ROOM, shell: ROOM });
    });

    it("is taken by what runs, and given back at its end", async () => {
      const { place } = await openedNow();
      const task = start(place, "suite@1#2", moduleTask("yields"));
      await task.begun;
      place.promise("module");
      expect(place.capacity()).toEqual({ module: ROOM - 2, shell: ROOM });
      place.redeem("module");
      place.stop("suite@1#2", "graceful", "enough");
      await task.heard;
      expect(place.capacity()["module"]).toBeGreaterThanOrEqual(ROOM);
    });
  });

  describe(`the place ${name}: a death`, () => {
    it("is told to all that were in flight, with all that may be to blame", async () => {
      const subject = await openedNow();
      const ids = ["suite@1#2", "suite@1#3"];
      const tasks = ids.map((id) => start(subject.place, id, moduleTask("never_ends")));
      await Promise.all(tasks.map(({ begun }) => begun));
      subject.crash();
      for (const { heard } of tasks) {
        const { death } = await heard;
        expect(death).toMatchObject({ alone: false, code: FAILURE_CODES.runnerDied });
        expect([...death!.inFlight].sort()).toEqual(ids);
        expect(death!.because).toMatch(/^the .+ SIGKILL$/);
      }
      // Nothing is left of them: they may start again at once.
      const again = start(subject.place, ids[0]!, moduleTask("echo"));
      expect((await again.heard).result).toMatchObject({ ok: true });
    });

    it("says where a task was alone", async () => {
      const subject = await openedNow();
      const task = start(subject.place, "suite@1#2", moduleTask("never_ends"), { alone: true });
      await task.begun;
      subject.crash();
      expect((await task.heard).death).toMatchObject({ alone: true, inFlight: ["suite@1#2"] });
    });
  });
}
