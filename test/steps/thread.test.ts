/** A worker thread in a real runner: what it captures, when it is reused, what ends a step. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PoolRig } from "../support/pool-rig.ts";

const texts = (
  lines: readonly { readonly stream: string; readonly line: string }[],
  stream: string,
): string[] => lines.filter((line) => line.stream === stream).map(({ line }) => line);

describe("what a module step prints", () => {
  it("is captured whole and in order, whichever way it takes", async () => {
    const rig = new PoolRig();
    const { result, lines } = await rig.startBody(`
      const fs = await import("node:fs");
      console.log("a %d", 1);
      process.stdout.write("b");
      fs.writeSync(1, "c\\nd");
      fs.writeSync(1, Buffer.from("-efg"), 1, 2);
      await new Promise((resolve, reject) =>
        fs.write(1, "\\nh\\n", (error, size) => size === 3 ? resolve() : reject(error ?? size)));
      fs.writeFileSync(2, "wrong\\n");
      fs.appendFileSync(1, "69\\n", { encoding: "latin1" });
      process.stdout.write(Buffer.from("ä").subarray(0, 1));
      process.stdout.write(Buffer.from("ä").subarray(1));
      console.error("worse");
      context.log.info("said", { n: 1 });
      process.stdout.end("last");
    `).ended;
    expect(result).toEqual({ ok: true, value: null });
    expect(texts(lines, "stdout")).toEqual(["a 1", "bc", "def", "h", "69", "älast"]);
    expect(texts(lines, "stderr")).toEqual(["wrong", "worse"]);
    expect(texts(lines, "log")).toEqual(['{"level":"info","message":"said","n":1}']);
    // The step ended its stdout, and the next step on the same thread can still use it.
    const next = await rig.startBody(`console.log("still here")`).ended;
    expect(texts(next.lines, "stdout")).toEqual(["still here"]);
  });

  it("is kept when the step ends its thread, and when it is ended", async () => {
    const rig = new PoolRig();
    const left = await rig.startBody(`process.stdout.write("bye"); process.exit(4)`).ended;
    expect(texts(left.lines, "stdout")).toEqual(["bye"]);
    expect(left.result).toMatchObject({
      ok: false,
      error: { name: "WorkerExit", code: "ORCHD_WORKER_EXIT" },
    });
    const spinning = rig.startBody(`console.log("on and on"); for (;;) {}`);
    await spinning.firstLine;
    rig.pool.stop(spinning.id, "force", "enough");
    const ended = await spinning.ended;
    expect(ended.result).toMatchObject({ ok: false, outcome: "stopped" });
    expect(texts(ended.lines, "stdout")).toEqual(["on and on"]);
  });
});

describe("the signal of a step", () => {
  it("is aborted, with its reason, where the step looks at it first after the stop", async () => {
    const rig = new PoolRig();
    const go = join(rig.folder, "go");
    const step = rig.startBody(
      `const { existsSync } = await import("node:fs");
      console.log("begun");
      while (!existsSync(${JSON.stringify(go)})) await new Promise((next) => setTimeout(next, 5));
      const { signal } = context;
      console.log(signal.aborted, signal.reason?.message);`,
      { gracePeriodMs: 60_000 },
    );
    await step.firstLine;
    rig.pool.stop(step.id, "graceful", "enough");
    // What the runner is told later has happened: so the thread was told of the stop.
    await rig.startBody("").ended;
    writeFileSync(go, "");
    const { lines } = await step.ended;
    expect(texts(lines, "stdout")).toEqual(["begun", "true enough"]);
  });
});

describe("a warm thread", () => {
  const IMPORT = `import { threadId } from "node:worker_threads";`;

  it("is used again after a step that left nothing", async () => {
    const rig = new PoolRig({ threads: 1 });
    rig.module(
      "clean",
      `${IMPORT}
      export default (context) => { return threadId; };
      setInterval(() => {}, 1e6);
      globalThis.mine = 1;
      process.on("warning", () => {});`,
    );
    const first = await rig.start("clean").ended;
    expect((await rig.start("clean").ended).result).toEqual(first.result);
    expect((await rig.start("clean").ended).result).toEqual(first.result);
  });

  it.each([
    ["a timer", "setInterval(() => {}, 1000);"],
    ["a server", `(await import("node:net")).createServer().listen(0);`],
    ["a listener on the process", `process.on("warning", () => {});`],
    ["a global", "globalThis.left = 1;"],
    ["a member of every object", "Object.prototype.left = 1;"],
  ])("is not, after one that left %s", async (_what, body) => {
    const rig = new PoolRig({ threads: 1 });
    rig.module("leaves", `${IMPORT} export default async () => { ${body} return threadId; };`);
    const first = await rig.start("leaves").ended;
    expect(first.result).toMatchObject({ ok: true });
    expect((await rig.start("leaves").ended).result).not.toEqual(first.result);
  });
});

it("masks no secret of the pipeline that had the thread before, and all of its own", async () => {
  const rig = new PoolRig({ threads: 1 });
  rig.module("prints", `export default () => { console.log("hunter2x, s3cret-7"); return 1; };`);
  const printed = async (pipeline: string, secrets: readonly string[]): Promise<string[]> => {
    const { lines } = await rig.start("prints", { pipeline, secrets }).ended;
    return texts(lines, "stdout");
  };
  expect(await printed("one", ["hunter2x"])).toEqual(["***, s3cret-7"]);
  expect(await printed("two", [])).toEqual(["hunter2x, s3cret-7"]);
  expect(await printed("two", ["s3cret-7"])).toEqual(["hunter2x, ***"]);
  // What a step of the pipeline was given before, this one may have kept.
  expect(await printed("two", [])).toEqual(["hunter2x, ***"]);
  expect(await printed("one", [])).toEqual(["hunter2x, s3cret-7"]);
});

describe("an error that nothing catches", () => {
  it.each([
    [
      "a promise that was not awaited",
      `void Promise.reject(Object.assign(new Error("lost"), { code: "ELOST" })); return 1;`,
    ],
    [
      "a callback",
      `await new Promise(() => setTimeout(() => {
        throw Object.assign(new Error("lost"), { code: "ELOST" });
      }, 5));`,
    ],
  ])("fails the step that runs: from %s", async (_what, body) => {
    const rig = new PoolRig();
    const { result } = await rig.startBody(body).ended;
    expect(result).toMatchObject({
      ok: false,
      outcome: "failed",
      error: { name: "Error", code: "ELOST" },
    });
    expect(result).toMatchObject({
      error: { message: expect.stringMatching(/^lost .*nothing caught it/) as string },
    });
  });

  it("is masked like any other", async () => {
    const rig = new PoolRig();
    const { result } = await rig.startBody(
      `setTimeout(() => { throw new Error("key s3cret!"); }, 5); await new Promise(() => {});`,
      {
        secrets: ["s3cret!"],
      },
    ).ended;
    expect(JSON.stringify(result)).not.toContain("s3cret!");
    expect(result).toMatchObject({
      error: { message: expect.stringContaining("key ***") as string },
    });
  });
});

describe("a memory limit", () => {
  const OUT = {
    ok: false,
    outcome: "failed",
    error: { name: "OutOfMemory", code: "ORCHD_OUT_OF_MEMORY" },
  };

  it.each([
    [
      "a heap",
      "const kept = []; for (;;) kept.push(new Array(1e4).fill({}).map(() => ({ a: 1 })));",
    ],
    ["Buffers", "const kept = []; for (;;) kept.push(Buffer.alloc(1e6, 1));"],
    [
      "Buffers, slowly",
      `const kept = [];
      for (;;) {
        kept.push(new Uint8Array(4e6).fill(1));
        await new Promise((go) => setTimeout(go, 1));
      }`,
    ],
    [
      "arrays of bytes in a loop that never yields",
      "const kept = []; for (;;) kept.push(new Uint8Array(4e6).fill(1));",
    ],
  ])("holds for %s", async (_what, body) => {
    // The runner's own limit is larger, and must not replace the step's.
    const rig = new PoolRig({ memoryMb: 2_000 });
    const { result } = await rig.startBody(body, { memoryMb: 32 }).ended;
    expect(result).toMatchObject(OUT);
    expect(result).toMatchObject({
      error: {
        message: expect.stringMatching(
          /^step "it" .*limit of 32 MiB \(resources\.memoryMb\)/,
        ) as string,
      },
    });
  });

  it("holds for a shell step and all its processes", async () => {
    const rig = new PoolRig();
    const { result } = await rig.startShell(
      `node -e 'const kept = []; setInterval(() => kept.push(Buffer.alloc(8e6, 1)), 5)' | cat`,
      {
        memoryMb: 128,
        env: { PATH: process.env["PATH"]! },
      },
    ).ended;
    expect(result).toMatchObject(OUT);
  });

  it("of the runner ends the runner, and each step in it is told so", async () => {
    const rig = new PoolRig({ memoryMb: 300 });
    const beside = rig.startBody("await new Promise(() => {});");
    const hog = rig.startBody("const kept = []; for (;;) kept.push(new Uint8Array(4e6).fill(1));");
    const { death } = await hog.ended;
    expect(death).toMatchObject({
      alone: false,
      code: "ORCHD_OUT_OF_MEMORY",
      because: expect.stringContaining("may hold 300") as string,
    });
    expect(new Set(death!.inFlight)).toEqual(new Set([beside.id, hog.id]));
    expect((await beside.ended).death).toEqual(death);
  });

  it("that others may have broken starts the step again, alone", async () => {
    const rig = new PoolRig();
    void rig.startBody(
      `const kept = [];
      for (let n = 0; n < 64; n += 1) kept.push(new Uint8Array(4e6).fill(1));
      await new Promise(() => {});`,
    );
    const limited = rig.startBody("const until = Date.now() + 8000; while (Date.now() < until);", {
      memoryMb: 32,
    });
    const { death } = await limited.ended;
    expect(death).toMatchObject({
      alone: false,
      inFlight: [limited.id, expect.any(String) as string],
    });
  });
});
