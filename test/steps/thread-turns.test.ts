/**
 * A real worker thread below a played runner: which piece it takes, how each end is told, what it
 * hears, and when it serves nobody more. All of it stands on the one runner that is played, so it
 * is one file.
 */
import { execFileSync } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { closeSync, constants, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import { EndRing, END_RING_BYTES, type QuickEnd } from "../../src/steps/end-ring.ts";
import { packPieces, type SentPiece } from "../../src/steps/sent-pieces.ts";
import {
  CELLS,
  claimCell,
  SHARED_BYTES,
  type FromThread,
  type ThreadData,
  type ToThread,
} from "../../src/steps/thread-protocol.ts";
import { buildThread } from "../support/program.ts";
import { tempRoot } from "../support/temp-root.ts";

let program: string;
beforeAll(async () => void (program = await buildThread()));
afterAll(() => rmSync(program, { force: true }));

type Said<T extends FromThread["type"]> = Extract<FromThread, { readonly type: T }>;

/** The runner's main thread. */
class PlayedRunner {
  readonly said: FromThread[] = [];
  readonly cells = new Int32Array(new SharedArrayBuffer(SHARED_BYTES));
  readonly ring: EndRing;
  readonly folder = tempRoot().root;
  readonly artifacts = join(this.folder, "artifacts");
  readonly exit: Promise<unknown>;
  /** Whether each call is answered. */
  answers = false;
  readonly #worker: Worker;
  readonly #heard = new EventEmitter();
  #seq = 0;
  #codes = 0;

  constructor(more: Partial<ThreadData> = {}) {
    const ends = new SharedArrayBuffer(END_RING_BYTES);
    this.ring = new EndRing(ends);
    mkdirSync(join(this.folder, "bundles"));
    const data: ThreadData = {
      shared: this.cells.buffer,
      ends,
      bundles: join(this.folder, "bundles"),
      token: "t",
      baseEnv: { PATH: "/bin" },
      reused: true,
      ...more,
    };
    this.#worker = new Worker(program, { workerData: data, env: { PATH: "/bin" } });
    this.#worker.on("message", (message: FromThread) => {
      this.said.push(message);
      const { type, seq, call } = message as Said<"call">;
      if (type === "call" && this.answers)
        this.post({ type: "reply", seq, call, value: { result: 1 } });
      this.#heard.emit("heard");
    });
    this.exit = once(this.#worker, "exit").then(([status]) => status as number);
    onTestFinished(async () => void (await this.#worker.terminate()));
  }

  /** A piece whose step has this body, and gets `context`. */
  piece(body: string, more: Readonly<Record<string, unknown>> = {}): SentPiece {
    const { pipeline = "p", ...parts } = more;
    const bundle = `code-${(this.#codes += 1)}`;
    const text = `export default async (context) => { ${body} };`;
    writeFileSync(join(this.folder, "bundles", `${bundle}.mjs`), text);
    return this.again(bundle, { pipeline, ...parts });
  }

  /** A piece with code that was written before. */
  again(bundle: string, more: Readonly<Record<string, unknown>> = {}): SentPiece {
    const { pipeline = "p", ...parts } = more as { pipeline?: string };
    const seq = (this.#seq += 1);
    const task = {
      kind: "module",
      code: { bundle, pick: "export:default", source: `./${bundle}.ts` },
      isolated: false,
      run: { id: "p@1", pipeline, attempt: 1 },
      step: `s${seq}`,
      env: {},
      gracePeriodMs: 100,
      params: {},
      inputs: {},
      ...parts,
    };
    return { seq, id: `id-${seq}`, pipeline, body: JSON.stringify(task) };
  }

  /** Offers pieces in one message. */
  run(...pieces: readonly SentPiece[]): void {
    for (const { seq } of pieces) Atomics.store(this.cells, claimCell(seq), seq);
    this.post({ type: "run", pieces: packPieces(pieces) });
  }

  post(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  async until<T>(find: () => T | undefined): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      await once(this.#heard, "heard");
    }
  }

  /** What it says of this type, once it has: the Nth. */
  heard<T extends FromThread["type"]>(type: T, nth = 1): Promise<Said<T>> {
    return this.until(
      () => this.said.filter((message): message is Said<T> => message.type === type)[nth - 1],
    );
  }

  /** How a piece that is run alone ends. */
  async ends(piece: SentPiece): Promise<Said<"done">> {
    this.run(piece);
    return this.until(() =>
      this.said.find(
        (said): said is Said<"done"> => said.type === "done" && said.seq === piece.seq,
      ),
    );
  }

  /** What is in the ring. */
  quick(): QuickEnd[] {
    const ends: QuickEnd[] = [];
    for (let end = this.ring.take(); end !== undefined; end = this.ring.take()) ends.push(end);
    return ends;
  }

  printed(): (readonly [seq: number, stream: string, line: string])[] {
    return this.said.flatMap((said) =>
      said.type === "output"
        ? said.lines.map((line) => [said.seq, said.stream, line] as const)
        : [],
    );
  }
}

const time = expect.any(Number) as number;

/** A dynamic pipeline whose function has this body, and gets `run`. */
function dynamicPiece(runner: PlayedRunner, body: string, more: object): SentPiece {
  const text = `
    export const one = (context) => 1;
    export default { [Symbol.for("orchd.kind")]: "dynamic",
      [Symbol.for("orchd.function")]: async (run) => { ${body} } };`;
  writeFileSync(join(runner.folder, "bundles", "dynamic.mjs"), text);
  return runner.again("dynamic", {
    kind: "dynamic",
    code: { bundle: "dynamic", pick: "function", source: "./p.ts" },
    ...more,
  });
}

describe("an end", () => {
  it("has the value, its beginning and its length, and nothing that did not happen", async () => {
    const runner = new PlayedRunner();
    const before = Date.now();
    const end = await runner.ends(
      runner.piece("return { a: context.params.n }", { params: { n: 1 } }),
    );
    expect(runner.said[0]).toEqual({ type: "ready" });
    expect(end).toEqual({
      type: "done",
      seq: 1,
      json: '{"a":1}',
      startedAt: time,
      durationMs: time,
      spawned: false,
    });
    expect(end.startedAt).toBeGreaterThanOrEqual(before);
    expect(end.durationMs).toBeGreaterThanOrEqual(0);
    expect(await runner.ends(runner.piece('throw new TypeError("no")'))).toMatchObject({
      error: { name: "TypeError", message: "no" },
    });
    const spawns = 'import("node:child_process").then(({ execSync }) => void execSync("true"))';
    expect(await runner.ends(runner.piece(`return ${spawns}`))).toMatchObject({ spawned: true });
  });

  it("that is quick is in the ring while more is there, and one that spoke is told", async () => {
    const runner = new PlayedRunner();
    const first = runner.piece("return context.params.n");
    await runner.ends(first);
    const brief = (n: number) => runner.again("code-1", { params: { n } });
    const speaks = runner.piece("console.log('it'); return 3");
    const [one, two, last] = [brief(1), brief(2), brief(4)];
    runner.run(one, two, speaks, last);
    await runner.until(() =>
      runner.said.find((said) => said.type === "done" && said.seq === last.seq),
    );
    expect(runner.quick().map(({ seq, json }) => [seq, json])).toEqual([
      [one.seq, "1"],
      [two.seq, "2"],
    ]);
    // What it printed comes before its end, and its end by a message.
    const told = runner.said.filter(({ type }) => type === "output" || type === "done");
    expect(told.map((said) => [said.type, (said as { seq: number }).seq])).toEqual([
      ["done", first.seq],
      ["output", speaks.seq],
      ["done", speaks.seq],
      ["done", last.seq],
    ]);
  });

  it("in the ring is told of where the pieces behind it were taken back", async () => {
    const runner = new PlayedRunner();
    await runner.ends(runner.piece("return 1"));
    const [stays, back] = [runner.again("code-1"), runner.again("code-1")];
    Atomics.store(runner.cells, claimCell(stays.seq), stays.seq);
    runner.post({ type: "run", pieces: packPieces([stays, back]) });
    await runner.heard("ended");
    expect(runner.quick().map(({ seq }) => seq)).toEqual([stays.seq]);
    // And one that was offered is claimed by the thread.
    expect(Atomics.load(runner.cells, claimCell(stays.seq))).toBe(0);
    const done = runner.said.filter(({ type }) => type === "done");
    expect(done).toHaveLength(1);
  });

  it("that is large is in files where the daemon takes them", async () => {
    const runner = new PlayedRunner();
    mkdirSync(runner.artifacts);
    const { artifacts } = runner;
    const large = 'return "x".repeat(300_000)';
    const end = await runner.ends(runner.piece(large, { artifacts }));
    expect(end).toMatchObject({ staged: { value: { bytes: 300_002 } } });
    expect(end).not.toHaveProperty("json");
    expect((await runner.ends(runner.piece(large))).json).toHaveLength(300_002);
    const hook = (name: string) => runner.piece(large, { kind: "hook", hook: name, artifacts });
    expect(await runner.ends(hook("init"))).toHaveProperty("staged");
    expect(await runner.ends(hook("onSuccess"))).toMatchObject({ json: "null" });
    const cacheFunction = runner.piece(large, { kind: "cacheFunction", artifacts });
    expect(await runner.ends(cacheFunction)).not.toHaveProperty("staged");
  });
});

describe("what a step says", () => {
  it("waits once nine messages are on their way, until they are heard of", async () => {
    const runner = new PlayedRunner();
    runner.run(runner.piece('for (let n = 0; n < 12; n += 1) console.log(n); return "over"'));
    await runner.heard("output", 9);
    // It sleeps, and so one can be woken.
    await vi.waitFor(() => expect(Atomics.notify(runner.cells, CELLS.heard)).toBe(1));
    expect(runner.printed()).toHaveLength(9);
    Atomics.store(runner.cells, CELLS.heard, 9);
    Atomics.notify(runner.cells, CELLS.heard);
    expect(await runner.heard("done")).toMatchObject({ json: '"over"' });
    expect(runner.printed().map(([, , line]) => Number(line))).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    ]);
  });

  it("has no secret of its pipeline, be it printed, thrown or returned", async () => {
    const runner = new PlayedRunner();
    const secrets = ["the-secret-word"];
    const masked =
      "[orchd: a secret in the result is masked, since results are recorded; " +
      "a step gets a secret only by its own env and params]";
    const word = '["the", "secret", "word"].join("-")';
    const end = await runner.ends(
      runner.piece(`console.log("a", ${word}); return ${word}`, { secrets }),
    );
    expect(end.json).toBe('"***"');
    expect(runner.printed()).toEqual([
      [1, "stdout", "a ***"],
      [1, "orchd", masked],
    ]);
    // One of an earlier task of the pipeline too.
    const thrown = runner.piece(`throw new Error(${word})`);
    expect((await runner.ends(thrown)).error!.message).toBe("***");
  });
});

describe("what a step hears", () => {
  it.each([
    ["timeout", "TimeoutError"],
    ["stop", "AbortError"],
  ] as const)("of a %s is the first reason, early or late", async (reason, name) => {
    const runner = new PlayedRunner();
    const piece = runner.piece(`
      console.log("began");
      if (context.params.late) while (!globalThis.go) await new Promise(setImmediate);
      const { signal } = context;
      if (!signal.aborted) await new Promise((go) => signal.addEventListener("abort", go));
      return [signal.reason.name, signal.reason.message];
    `);
    runner.run(piece);
    await runner.heard("output");
    runner.post({ type: "abort", seq: piece.seq + 7, reason: "stop", because: "another" });
    runner.post({ type: "abort", seq: piece.seq, reason, because: "enough" });
    runner.post({ type: "abort", seq: piece.seq, reason: "stop", because: "again" });
    expect((await runner.heard("done")).json).toBe(JSON.stringify([name, "enough"]));
    const heard = runner.said.find(({ type }) => type === "heard");
    expect(heard).toEqual({ type: "heard", seq: piece.seq });
  });

  it("of a signal that it looks at after the stop", async () => {
    const runner = new PlayedRunner();
    const piece = runner.piece(`
      console.log("began");
      await new Promise((go) => setTimeout(go, 50));
      return [context.signal.aborted, context.signal.reason?.message];
    `);
    runner.run(piece);
    await runner.heard("output");
    runner.post({ type: "abort", seq: piece.seq, reason: "stop", because: "enough" });
    expect((await runner.heard("done")).json).toBe('[true,"enough"]');
  });

  it("of a call is its answer, from files too, or the error; others are not its own", async () => {
    const runner = new PlayedRunner();
    const artifacts = new Artifacts(runner.artifacts);
    const ref = await artifacts.put([7]);
    const body = `
      const answers = [];
      for (const id of ["a", "b", "c", "d"])
        answers.push(await run.step(one, { id }).then((value) => value, (error) => error.message));
      console.log(JSON.stringify(answers));`;
    const piece = dynamicPiece(runner, body, { artifacts: runner.artifacts });
    runner.run(piece);
    const answers = [
      { value: { result: 1 } },
      { value: { result: { ...ref } }, stored: true },
      { error: { name: "Error", message: "it failed" } },
      { value: { ...ref, $artifact: "0".repeat(64) }, stored: true },
    ];
    for (const [index, answer] of answers.entries()) {
      const call = await runner.heard("call", 2 * index + 1);
      const id = ["a", "b", "c", "d"][index];
      expect(call).toMatchObject({ seq: piece.seq, method: "step", argument: { id } });
      expect(call.length).toBe(JSON.stringify(call.argument).length);
      const to = { type: "reply", seq: piece.seq, call: call.call } as const;
      // Neither to another call nor to another task, and without a value it is null.
      runner.post({ ...to, call: call.call + 40, value: "no" });
      runner.post({ ...to, seq: piece.seq + 1, value: "no" });
      runner.post(to);
      const result = await runner.heard("call", 2 * index + 2);
      expect(result).toMatchObject({ method: "result", argument: { id } });
      runner.post({ ...to, call: result.call, ...answer });
    }
    await runner.heard("done");
    const [, , line] = runner.printed().find(([, stream]) => stream === "stdout")!;
    const [plain, stored, failed, gone] = JSON.parse(line) as unknown[];
    expect([plain, stored, failed]).toEqual([1, [7], "it failed"]);
    expect(gone).toContain("The artifact");
  });
});

it("what a step asks is told with no secret in it, and only up to a limit", async () => {
  const runner = new PlayedRunner();
  const body = `
    const give = (id, text) =>
      run.step(one, { id, params: { text } }).catch((error) => console.log(error.message));
    await give("secret", "the-" + "secret-word");
    await give("fits", "x".repeat(261_900));
    await give("long", "x".repeat(262_144));`;
  const piece = dynamicPiece(runner, body, { secrets: ["the-secret-word"] });
  runner.answers = true;
  await runner.ends(piece);
  const calls = runner.said.flatMap((said) =>
    said.type === "call" && said.method === "step" ? [said.argument] : [],
  );
  expect(calls).toMatchObject([
    { id: "secret", params: { text: "***" } },
    { id: "fits", params: { text: "x".repeat(261_900) } },
  ]);
  const sentence =
    'step "long" is given 257 KiB of JSON directly, and at most 256 KiB can be given so: ' +
    "let a step return the value, and give its result";
  const lines = runner.printed().flatMap(([, stream, line]) => (stream === "stdout" ? line : []));
  expect(lines).toEqual([sentence]);
});

it("a thread that was bound meanwhile says so, and then ends quickly again", async () => {
  const runner = new PlayedRunner();
  await runner.ends(runner.piece("return 1"));
  const brief = (): SentPiece => runner.again("code-1");
  const binds = runner.piece('// from "left-pad"\nreturn 2');
  const [before, behind, last] = [brief(), brief(), brief()];
  runner.run(before, binds, behind, last);
  const end = await runner.until(() =>
    runner.said.find((said) => said.type === "done" && said.seq === last.seq),
  );
  expect(end).toMatchObject({ bound: true });
  const told = runner.said.filter((said): said is Said<"done"> => said.type === "done");
  expect(told.map(({ seq, bound }) => [seq, bound])).toEqual([
    [1, undefined],
    [binds.seq, true],
    [last.seq, true],
  ]);
  expect(runner.quick().map(({ seq }) => seq)).toEqual([before.seq, behind.seq]);
});

describe("a thread serves nobody more", () => {
  const uncaught =
    " (thrown where nothing caught it: by a promise that was not awaited, or in a callback)";
  it("after an error that nobody caught, which fails the step that runs", async () => {
    const runner = new PlayedRunner();
    const piece = runner.piece(`
      setImmediate(() => { throw new RangeError("lost"); });
      await new Promise(() => undefined);`);
    const next = runner.piece("return 1");
    runner.run(piece, next);
    expect(await runner.heard("done")).toMatchObject({
      seq: piece.seq,
      error: { name: "RangeError", message: `lost${uncaught}` },
      retire: "an error was thrown in it that nobody caught",
    });
    // What was sent ahead is there to be taken back.
    expect(Atomics.load(runner.cells, claimCell(next.seq))).toBe(next.seq);
  });

  it("after one between two steps", async () => {
    const idle = new PlayedRunner();
    await idle.ends(
      idle.piece(
        "Promise.resolve().then(() => setImmediate(() => " +
          "setImmediate(() => setImmediate(() => { throw new Error('late') }))))",
      ),
    );
    expect(await idle.heard("spoiled")).toEqual({ type: "spoiled" });
  });

  it("of another pipeline, where it is used once", async () => {
    const runner = new PlayedRunner({ reused: false });
    expect(await runner.ends(runner.piece("return 1"))).toMatchObject({ bound: true });
    const other = runner.piece("return 1", { pipeline: "q" });
    runner.run(other);
    await runner.heard("spoiled");
    expect(Atomics.load(runner.cells, claimCell(other.seq))).toBe(other.seq);
  });

  it("and ends with what it printed, where its step ends it", async () => {
    const runner = new PlayedRunner();
    runner.run(runner.piece('process.stdout.write("bye"); process.exit(4)'));
    expect(await runner.exit).toBe(4);
    expect(runner.printed()).toEqual([[1, "stdout", "bye"]]);
  });
});

describe("after a step that left", () => {
  const active = "a step left something active: a timer, a server, a watcher or a process";
  const unseen = "a step left something active that nobody waits for";
  it.each([
    ["nothing", "return 1", undefined],
    ["a timer", "setInterval(() => undefined, 9_000)", active],
    ["a timer that nobody waits for", "setInterval(() => undefined, 9_000).unref()", unseen],
    [
      "a socket without connections",
      `const socket = (await import("node:dgram")).createSocket("udp4");
       await new Promise((go) => socket.bind(0, "127.0.0.1", go))`,
      active,
    ],
    [
      "a process that nobody waits for",
      `const { spawn } = await import("node:child_process");
       const child = spawn("sleep", ["60"], { stdio: "ignore" });
       child.unref(); console.log("pid", child.pid)`,
      unseen,
    ],
    ["a watcher", 'const fs = await import("node:fs"); fs.watch("/tmp")', active],
    [
      "a listener",
      'process.on("warning", () => undefined)',
      "a step changed the listeners of the process",
    ],
    [
      "no listener",
      'process.removeAllListeners("exit")',
      "a step changed the listeners of the process",
    ],
    ["a global", "globalThis.left = 1", "a step changed the globals"],
    ["no global", "delete globalThis.fetch", "a step changed the globals"],
    ["a member of all", "Object.prototype.left = 1", 'a step gave every object a member "left"'],
    [
      "much in memory",
      `const held = Buffer.alloc(300e6); context.run.held = held;
       await new Promise((go) => setTimeout(go, 150))`,
      "its memory grew",
    ],
  ])("%s", async (_, body, retire) => {
    const runner = new PlayedRunner();
    const end = await runner.ends(runner.piece(body));
    for (const [, , line] of runner.printed())
      if (line.startsWith("pid ")) process.kill(Number(line.slice(4)), "SIGKILL");
    expect([end.error, end.retire]).toEqual([undefined, retire]);
    if (retire === undefined) {
      expect((await runner.ends(runner.piece("return 2"))).json).toBe("2");
      return;
    }
    const next = runner.piece("return 2");
    runner.run(next);
    expect(Atomics.load(runner.cells, claimCell(next.seq))).toBe(next.seq);
  });

  it("a request that nobody waits for, which may end by itself", async () => {
    const runner = new PlayedRunner();
    const pipe = join(runner.folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    const body = `(await import("node:fs")).readFile(${JSON.stringify(pipe)}, () => undefined)`;
    expect(await runner.ends(runner.piece(body))).toMatchObject({
      retire: "a step did not wait for what it had asked of the system",
      pending: true,
    });
    // The thread of libuv that waits for a writer is let go.
    closeSync(openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK));
  });

  const settled = "await new Promise((go) => setTimeout(go, 30));";
  it.each([
    ["nothing", "return 1", true],
    ["an unread pool", 'Buffer.from("the-secret"); /the-(secret)/.exec("the-secret")', true],
    ["another limit of listeners", "events.defaultMaxListeners = 3", false],
    ["another way of rejections", "events.captureRejections = true", false],
    ["another method", "Array.prototype.at = () => 7", false],
    ["a package of its own", '// from "left-pad"\nimport("orchd").catch(() => 0)', false],
  ])("%s, another pipeline has the thread: %s", async (_, body, isServed) => {
    const runner = new PlayedRunner();
    const text = `const events = (await import("node:events")).EventEmitter; ${body}; ${settled}`;
    expect(await runner.ends(runner.piece(text))).not.toHaveProperty("retire");
    const other = runner.piece(
      `const pool = Buffer.from(Buffer.allocUnsafe(8).buffer);
       return [RegExp.$1, pool.includes(["the", "secret"].join("-"))]`,
      { pipeline: "q" },
    );
    runner.run(other);
    const answer = await runner.until(() =>
      runner.said.find(
        (said) => said.type === "spoiled" || (said.type === "done" && said.seq === 2),
      ),
    );
    if (isServed) expect(answer).toMatchObject({ json: '["",false]' });
    else expect(answer).toEqual({ type: "spoiled" });
  });
});
