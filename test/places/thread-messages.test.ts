/** What a real worker thread is started with, which messages it gets, and how its end is told. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { TaskHead } from "../../src/places/pool/protocol.ts";
import { BundlePackages } from "../../src/places/runner/bundle-packages.ts";
import type { RunnerFrame } from "../../src/places/runner/runner-frames.ts";
import { WorkerThread, type ThreadOptions } from "../../src/places/runner/worker-thread.ts";
import { unpackPieces, type PackedPieces } from "../../src/steps/sent-pieces.ts";
import { CELLS, claimCell, type ThreadData } from "../../src/steps/thread-protocol.ts";
import { tempRoot } from "../support/temp-root.ts";

/** A thread that says with what it was started, and then each message that it gets. */
const ECHO = `
import { parentPort, resourceLimits, workerData } from "node:worker_threads";
const { env } = process;
parentPort.postMessage({ type: "ready", resourceLimits, workerData, env });
parentPort.on("message", (given) => parentPort.postMessage({ type: "echo", given }));
`;

type Message = { readonly type: string } & Record<string, unknown>;

/** A real thread, and what was heard of it. */
class Heard {
  readonly messages: Message[] = [];
  readonly gone: (readonly [error: string | undefined, exitCode: number])[] = [];
  readonly thread: WorkerThread;
  readonly #events = new EventTarget();
  #marks = 0;

  constructor(options: Partial<ThreadOptions> = {}, program = ECHO) {
    const { root } = tempRoot();
    this.thread = new WorkerThread(
      {
        program: new URL(`data:text/javascript,${encodeURIComponent(program)}`),
        bundles: root,
        packages: new BundlePackages(root),
        token: "t",
        reused: true,
        ...options,
      },
      {
        message: (thread, message) => {
          expect(thread).toBe(this.thread);
          this.messages.push(message);
          this.#events.dispatchEvent(new Event("heard"));
        },
        gone: (thread, error, exitCode) => {
          expect(thread).toBe(this.thread);
          this.gone.push([error?.message, exitCode]);
          this.#events.dispatchEvent(new Event("heard"));
        },
      },
    );
    threads.push(this.thread);
  }

  async until(is: () => boolean): Promise<void> {
    while (!is()) await once(this.#events, "heard");
  }

  async ready(): Promise<Message> {
    await this.until(() => this.messages.length > 0);
    return this.messages[0]!;
  }

  /** What the thread got up to now. */
  async given(): Promise<Message[]> {
    const mark = (this.#marks += 1);
    this.thread.post({ type: "mark", mark } as never);
    const given = (): Message[] =>
      this.messages.flatMap((each) => (each.type === "echo" ? [each["given"] as Message] : []));
    await this.until(() => given().at(-1)?.["mark"] === mark);
    return given().filter(({ type }) => type !== "mark");
  }

  give(id: string, more: { body?: string; frame?: RunnerFrame; pipeline?: string } = {}): void {
    const { body = "{}", frame, pipeline = "p" } = more;
    const head = { step: `s${id}`, attempt: 3 } as TaskHead;
    this.thread.run({ id, head, body, frame }, { pipeline, bundle: "b", source: "a.ts" });
  }
}

const threads: WorkerThread[] = [];
afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread.end(5_000)));
});

const frameOf = (number: number, forgotten = false): RunnerFrame =>
  ({ number, text: `frame ${number}`, threads: new Set(), forgotten }) as unknown as RunnerFrame;
const run = (message: Message): unknown[] => [
  unpackPieces(message["pieces"] as PackedPieces).map(({ id }) => id),
  (message["frames"] as { number: number }[] | undefined)?.map(({ number }) => number),
  message["forget"],
];

describe("a thread is started", () => {
  it.each([
    ["with nothing of its own", {}, undefined, undefined],
    ["with the width of heaps", { heapMb: 64 }, 64, undefined],
    ["with a limit", { memoryMb: 48 }, 48, 48],
    ["with a limit above the width of heaps", { memoryMb: 96, heapMb: 64 }, 96, 96],
    ["with a limit below it", { memoryMb: 32, heapMb: 64 }, 32, 32],
  ])("%s", async (_name, options, heapMb, limitMb) => {
    const { resourceLimits, workerData } = await new Heard(options).ready();
    const { maxOldGenerationSizeMb } = resourceLimits as { maxOldGenerationSizeMb: number };
    if (heapMb === undefined) expect(maxOldGenerationSizeMb).toBeGreaterThan(100);
    else expect(maxOldGenerationSizeMb).toBe(heapMb);
    const limit = (workerData as ThreadData).memoryLimit;
    expect(limit).toBe(limitMb === undefined ? undefined : limitMb * 1024 * 1024);
  });

  it("with the few variables that every task has, and no others", async () => {
    process.env["ORCHD_TEST_SECRET"] = "s";
    try {
      const { env, workerData } = await new Heard().ready();
      expect(env).not.toHaveProperty("ORCHD_TEST_SECRET");
      expect(env).toMatchObject({ PATH: process.env["PATH"] });
      expect((workerData as ThreadData).baseEnv).toEqual(env);
    } finally {
      delete process.env["ORCHD_TEST_SECRET"];
    }
  });

  it.each([true, false])("for several pipelines or for one: %s", async (reused) => {
    const heard = new Heard({ reused, token: "token" });
    expect([heard.thread.ready, heard.thread.reused, heard.thread.bound]).toEqual([
      false,
      reused,
      !reused,
    ]);
    expect((await heard.ready())["workerData"]).toMatchObject({ reused, token: "token" });
    expect(heard.thread.ready).toBe(true);
  });
});

describe("a thread gets", () => {
  it("the pieces of one turn in one message, before any other message", async () => {
    const heard = new Heard();
    for (const id of ["1", "2"]) heard.give(id);
    heard.thread.post({ type: "abort" } as never);
    heard.give("3");
    const given = await heard.given();
    expect(given.map((each) => (each.type === "run" ? run(each) : each.type))).toEqual([
      [["1", "2"], undefined, undefined],
      "abort",
      [["3"], undefined, undefined],
    ]);
    expect(unpackPieces(given[0]!["pieces"] as PackedPieces)[1]).toEqual({
      seq: 2,
      id: "2",
      pipeline: "p",
      body: "{}",
    });
  });

  it("a frame once, with its first step, and hears once that it may forget it", async () => {
    const heard = new Heard();
    const frame = frameOf(7);
    heard.give("1", { frame, body: "" });
    heard.give("2", { frame });
    await heard.given();
    expect([...frame.threads]).toEqual([heard.thread]);
    heard.thread.forget(7);
    heard.give("3");
    await heard.given();
    heard.give("4");
    const given = await heard.given();
    expect(given.map(run)).toEqual([
      [["1", "2"], [7], []],
      [["3"], [], [7]],
      [["4"], undefined, undefined],
    ]);
    const [first, second] = unpackPieces(given[0]!["pieces"] as PackedPieces);
    expect(first).toEqual({ seq: 1, id: "1", pipeline: "p", body: "", ...named("s1") });
    expect(second).toMatchObject({ body: "{}", ...named("s2") });
  });

  it("a frame of a run that has ended meanwhile, to be forgotten behind its step", async () => {
    const heard = new Heard();
    const frame = frameOf(7, true);
    heard.give("1", { frame });
    expect((await heard.given()).map(run)).toEqual([[["1"], [7], [7]]]);
    expect(frame.threads.size).toBe(0);
  });

  it("a claim to each piece, and a count of what was heard of it", async () => {
    const heard = new Heard();
    const { workerData } = await heard.ready();
    const cells = new Int32Array((workerData as ThreadData).shared);
    heard.give("1");
    heard.give("2");
    expect([cells[claimCell(1)], cells[claimCell(2)]]).toEqual([1, 2]);
    // It has begun the first one.
    Atomics.store(cells, claimCell(1), 0);
    expect([heard.thread.takeBack("1"), heard.thread.takeBack("2")]).toEqual([false, true]);
    expect(cells[claimCell(2)]).toBe(0);
    for (let n = 0; n < 3; n += 1) heard.thread.heard();
    expect(cells[CELLS.heard]).toBe(3);
    [cells[CELLS.heldKib], cells[CELLS.looks]] = [77, 5];
    expect([heard.thread.heldKib, heard.thread.looks]).toEqual([77, 5]);
  });
});

describe("the end of a thread", () => {
  it("is told with what was thrown in it", async () => {
    const heard = new Heard({}, "setImmediate(() => { throw new Error('thrown') })");
    await heard.until(() => heard.gone.length > 0);
    expect(heard.gone).toEqual([["thrown", 1]]);
    expect(await heard.thread.end(5_000)).toBe(true);
  });

  it("is told with its status", async () => {
    const heard = new Heard({}, "process.exit(3)");
    await heard.until(() => heard.gone.length > 0);
    expect(heard.gone).toEqual([[undefined, 3]]);
  });

  it("comes in time where it listens, and late where it is blocked", async () => {
    const listens = new Heard();
    await listens.ready();
    expect(await listens.thread.end(60_000)).toBe(true);
    expect(listens.gone).toEqual([[undefined, 1]]);
    const { root } = tempRoot();
    const [began, rest] = [join(root, "began"), join(root, "rest")];
    execFileSync("mkfifo", [rest]);
    const blocked = new Heard(
      {},
      `import { execSync } from "node:child_process";
      execSync("echo > '${began}'; cat '${rest}'");`,
    );
    await vi.waitFor(() => expect(existsSync(began)).toBe(true), 10_000);
    expect(await blocked.thread.end(50)).toBe(false);
    expect(blocked.gone).toEqual([]);
    writeFileSync(rest, "");
    await blocked.until(() => blocked.gone.length > 0);
  });
});

function named(step: string): object {
  return { frame: 7, step, attempt: 3 };
}
