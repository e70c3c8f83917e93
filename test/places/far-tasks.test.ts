/** The daemon's messages on their way to a far runner: what waits for files, and what ends here. */
import { beforeEach, describe, expect, it } from "vitest";
import type { FromRunner, ToRunner } from "../../src/places/pool/protocol.ts";
import { FarTasks } from "../../src/places/pool/far-tasks.ts";
import { NotSent, type FarFile } from "../../src/places/pool/sent-files.ts";

const HASH = "a".repeat(64);

/** Files that are there when the test says so. */
let files: {
  names: string[];
  wanted: readonly FarFile[];
  there: () => void;
  fail: (error: Error) => void;
}[];
let isThere: boolean;
let sent: ToRunner[];
let ended: FromRunner[];
let tasks: FarTasks;
beforeEach(() => {
  [files, sent, ended, isThere] = [[], [], [], false];
  tasks = new FarTasks({
    bundles: "/bundles",
    folder: "/far",
    files: {
      ensure: (wanted: readonly FarFile[]) =>
        isThere || wanted.length === 0
          ? undefined
          : new Promise<void>((there, fail) =>
              files.push({ names: wanted.map(({ name }) => name), wanted, there, fail }),
            ),
    } as never,
    send: (message) => void sent.push(message),
    ended: (message) => void ended.push(message),
  });
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const frame = (more: object = {}): never =>
  ({
    type: "frame",
    frame: 1,
    head: { bundle: "b" },
    text: JSON.stringify({ artifacts: "/here", ...more }),
  }) as never;
const step = (id: string, parts?: object): never =>
  ({
    type: "step",
    id,
    frame: 1,
    ...(parts === undefined ? {} : { parts: JSON.stringify(parts) }),
  }) as never;

describe("a step", () => {
  it("waits for its code and its values, and goes once they are there", async () => {
    tasks.take(frame());
    expect(JSON.parse((sent[0] as unknown as { text: string }).text)).toEqual({
      artifacts: "/far/artifacts",
    });
    const outputs = { x: { $artifact: HASH, bytes: 1 } };
    tasks.take(step("a", { stored: [{ step: "s", outputs, inputs: {} }] }));
    expect([sent.length, tasks.has("a"), tasks.artifactsOf("a")]).toEqual([1, true, "/here"]);
    expect(files[0]!.names[0]).toBe("bundles/b.mjs");
    expect(files[0]!.names).toContain(`artifacts/${HASH}`);
    files[0]!.there();
    await turn();
    expect(sent[1]).toMatchObject({ type: "step", id: "a" });
    tasks.forgetTask("a");
    expect(tasks.has("a")).toBe(false);
  });

  it("goes at once where all is there", () => {
    isThere = true;
    tasks.take(frame());
    tasks.take(step("a"));
    expect(sent.map(({ type }) => type)).toEqual(["frame", "step"]);
  });

  it("whose files cannot be sent fails here, with the reason; the place is to blame", async () => {
    tasks.take(frame());
    tasks.take(step("a"));
    tasks.take(step("b"));
    files[0]!.fail(new NotSent("the disk is full"));
    files[1]!.fail(new TypeError("x"));
    await turn();
    expect(ended.map((message) => (message as { result: unknown }).result)).toMatchObject([
      { ok: false, outcome: "failed", error: { message: "the disk is full", code: "ORCHD_PLACE" } },
      { ok: false, outcome: "failed", error: { name: "TypeError", message: "x" } },
    ]);
    expect(sent).toHaveLength(1);
  });

  it("that waits is stopped here; one that has gone is stopped over there", async () => {
    tasks.take(frame());
    tasks.take(step("a"));
    tasks.take({ type: "stop", id: "a", mode: "graceful", because: "enough" } as never);
    expect(ended).toMatchObject([
      { id: "a", result: { outcome: "stopped", error: { name: "Stopped", message: "enough" } } },
    ]);
    files[0]!.there();
    await turn();
    expect(sent.map(({ type }) => type)).toEqual(["frame"]);
    tasks.take({ type: "stop", id: "a", mode: "force", because: "x" } as never);
    expect(sent.at(-1)).toMatchObject({ type: "stop", id: "a" });
    expect(ended).toHaveLength(1);
  });
});

it("a frame is forgotten over there once no step of it waits", async () => {
  tasks.take(frame());
  tasks.take(step("a"));
  tasks.take(step("b"));
  tasks.take({ type: "forget", frames: [1, 7] } as never);
  files[0]!.there();
  await turn();
  expect(sent.map(({ type }) => type)).toEqual(["frame", "step"]);
  files[1]!.there();
  await turn();
  expect(sent.map(({ type }) => type)).toEqual(["frame", "step", "step", "forget"]);
  expect(sent.at(-1)).toEqual({ type: "forget", frames: [1] });
});

it("an answer goes once its value is there, or cannot be: then the runner says so", async () => {
  isThere = true;
  tasks.take(frame());
  tasks.take(step("a"));
  isThere = false;
  const reply = {
    type: "reply",
    id: "a",
    stored: true,
    value: { x: { $artifact: HASH, bytes: 1 } },
  };
  tasks.take(reply as never);
  tasks.take(reply as never);
  tasks.take({ ...reply, stored: undefined } as never);
  expect(sent.filter(({ type }) => type === "reply")).toHaveLength(1);
  files[0]!.there();
  files[1]!.fail(new NotSent("gone"));
  await turn();
  expect(sent.filter(({ type }) => type === "reply")).toHaveLength(3);
});

describe("a task that comes whole", () => {
  const run = { id: "p@1", pipeline: "p", attempt: 1 };
  const start = (task: object): never =>
    ({ type: "start", id: "a", isMoved: true, task: { run, env: {}, ...task } }) as never;
  const code = { bundle: "b", pick: "x", source: "./s.ts" };
  const bodyOf = (message: ToRunner): { code?: object; artifacts?: string } =>
    JSON.parse((message as unknown as { body: string }).body) as never;

  it("waits for its code, and names what it finds over there", async () => {
    const stored = [{ step: "s", outputs: { $artifact: HASH, bytes: 1 }, inputs: {} }];
    tasks.take(start({ kind: "module", step: "s", code, artifacts: "/here", stored }));
    expect([sent, tasks.artifactsOf("a")]).toEqual([[], "/here"]);
    expect(files[0]!.names).toEqual(["bundles/b.mjs", `artifacts/${HASH}`, `artifacts/${HASH}/`]);
    files[0]!.there();
    await turn();
    expect(sent).toMatchObject([{ type: "start", id: "a", isMoved: true }]);
    expect(bodyOf(sent[0]!)).toMatchObject({ code, artifacts: "/far/artifacts" });
  });

  it("and is of a shell goes at once, without a bundle and a folder that it does not have", () => {
    tasks.take(start({ kind: "shell", text: "true", shell: ["/bin/sh"], step: "s" }));
    expect([files.length, sent.length]).toEqual([0, 1]);
    expect(bodyOf(sent[0]!)).not.toHaveProperty("artifacts");
    expect([tasks.has("a"), tasks.artifactsOf("a")]).toEqual([true, undefined]);
  });
});

it("values that a value holds are sent too, and the state of an orchestrator", () => {
  const of = (digit: string): object => ({ $artifact: digit.repeat(64), bytes: 1 });
  const nameOf = (digit: string): string => `artifacts/${digit.repeat(64)}`;
  tasks.take(frame({ state: JSON.stringify(of("d")) }));
  tasks.take(step("a", { stored: [{ step: "s", outputs: of("a"), inputs: {} }] }));
  const names = ["bundles/b.mjs", nameOf("d"), nameOf("a"), `${nameOf("a")}/`];
  expect(files[0]!.names).toEqual(names);
  const { within } = files[0]!.wanted.at(-1)!;
  const inner = (value: unknown): string[] =>
    within!(JSON.stringify(value)).map(({ name, path }) => `${name} ${path}`);
  expect(inner({ x: of("b"), y: 1, z: of("c") })).toEqual(
    ["b", "c"].map((digit) => `${nameOf(digit)} /here/${digit.repeat(64)}`),
  );
  for (const value of ["text", { x: 1 }, 'a text with "$artifact"', of("b")])
    expect(inner(value)).toEqual([]);
});

it("what a runner on this machine is told of claims goes nowhere", () => {
  for (const message of [
    { type: "leave", path: "/x" },
    { type: "expect", run: "r@1" },
    { type: "settled", ids: ["a"] },
  ])
    tasks.take(message as never);
  expect(sent).toEqual([]);
});
