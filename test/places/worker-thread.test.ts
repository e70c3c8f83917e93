/** What the runner knows of a thread's code: which it has, for whom, and what is taken back. */
import { afterEach, describe, expect, it } from "vitest";
import { BundlePackages } from "../../src/places/runner/bundle-packages.ts";
import type { TaskHead } from "../../src/places/pool/protocol.ts";
import { WorkerThread, type Code } from "../../src/places/runner/worker-thread.ts";
import { tempRoot } from "../support/temp-root.ts";

const threads: WorkerThread[] = [];

/** A thread that does nothing with what it is given. */
function idleThread(reused = true): WorkerThread {
  const { root } = tempRoot();
  const thread = new WorkerThread(
    {
      program: new URL("data:text/javascript,setInterval(()=>{},60000)"),
      bundles: root,
      packages: new BundlePackages(root),
      token: "t",
      reused,
    },
    { message: () => undefined, gone: () => undefined },
  );
  threads.push(thread);
  return thread;
}

afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread.end(5_000)));
});

const codeOf = (pipeline: string, bundle = "b", source = "a.ts"): Code => ({
  pipeline,
  bundle,
  source,
});
function give(thread: WorkerThread, id: string, code: Code): void {
  const head: TaskHead = {
    kind: "module",
    run: "r",
    step: id,
    attempt: 1,
    isolated: false,
    gracePeriodMs: 0,
    ...code,
  };
  thread.run({ id, body: "{}", head }, code);
}

describe("a thread", () => {
  it("knows code for the pipeline that it had it for, and has its bundle for all", () => {
    const thread = idleThread();
    expect([thread.suits(codeOf("p")), thread.knows(codeOf("p")), thread.has("b")]).toEqual([
      true,
      false,
      false,
    ]);
    give(thread, "1", codeOf("p"));
    expect([thread.knows(codeOf("p")), thread.knows(codeOf("q")), thread.has("b")]).toEqual([
      true,
      false,
      true,
    ]);
    expect([thread.pipeline, thread.current]).toEqual(["p", "1"]);
  });

  it("suits no other version of code that it has, and any other code", () => {
    const thread = idleThread();
    give(thread, "1", codeOf("p", "b"));
    expect(thread.suits(codeOf("p", "c"))).toBe(false);
    expect(thread.suits(codeOf("p", "c", "other.ts"))).toBe(true);
    expect(thread.suits(codeOf("q", "c"))).toBe(true);
  });

  it("of one pipeline suits no other one", () => {
    const thread = idleThread(false);
    expect(thread.suits(codeOf("q"))).toBe(true);
    give(thread, "1", codeOf("p"));
    expect([thread.suits(codeOf("p", "b", "x.ts")), thread.suits(codeOf("q"))]).toEqual([
      true,
      false,
    ]);
  });

  it("forgets code when all pieces that it was given for are taken back", () => {
    const thread = idleThread();
    for (const id of ["1", "2"]) give(thread, id, codeOf("p", "b"));
    expect(thread.takeBack("1")).toBe(true);
    expect([thread.knows(codeOf("p", "b")), thread.current]).toEqual([true, "2"]);
    expect(thread.takeBack("2")).toBe(true);
    expect(thread.knows(codeOf("p", "b"))).toBe(false);
    expect(thread.suits(codeOf("p", "c"))).toBe(true);
    expect(thread.takeBack("2")).toBe(false);
  });

  it("keeps code that an earlier piece was given for", () => {
    const thread = idleThread();
    for (const id of ["1", "2"]) give(thread, id, codeOf("p"));
    expect(thread.takeBack("2")).toBe(true);
    expect(thread.knows(codeOf("p"))).toBe(true);
  });

  it("numbers its pieces, and forgets one that it answered", () => {
    const thread = idleThread();
    for (const id of ["1", "2"]) give(thread, id, codeOf("p"));
    const seq = thread.seqOf("1")!;
    expect([thread.idOf(seq), thread.seqOf("2")]).toEqual(["1", seq + 1]);
    thread.answered(seq);
    expect([thread.seqOf("1"), thread.idOf(seq), thread.current]).toEqual([
      undefined,
      undefined,
      "2",
    ]);
    thread.answered(seq + 1);
    expect([thread.current, thread.busyMs]).toEqual([undefined, 0]);
  });
});

it("a thread is busy since it began its first piece, whatever comes behind it", async () => {
  const thread = idleThread();
  expect(thread.busyMs).toBe(0);
  give(thread, "1", codeOf("p"));
  await new Promise((resolve) => setTimeout(resolve, 60));
  give(thread, "2", codeOf("p"));
  expect(thread.busyMs).toBeGreaterThanOrEqual(50);
  thread.answered(thread.seqOf("1")!);
  // The second piece begins now.
  expect(thread.busyMs).toBeLessThan(50);
});

it("a thread imports 512 bundles and no more, and runs on what it has", () => {
  const thread = idleThread();
  for (let n = 1; n <= 511; n += 1) give(thread, `${n}`, codeOf("p", `b${n}`, `${n}.ts`));
  expect([thread.isFull, thread.suits(codeOf("p", "new", "new.ts"))]).toEqual([false, true]);
  give(thread, "512", codeOf("p", "b512", "512.ts"));
  expect([thread.isFull, thread.suits(codeOf("p", "new", "new.ts"))]).toEqual([true, false]);
  expect(thread.suits(codeOf("p", "b7", "7.ts"))).toBe(true);
});
