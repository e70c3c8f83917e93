/**
 * The channel to a forked runner. A step may write anything to its runner's end: nothing of it may
 * throw in the process that forked. The runner of the last cases is real.
 */
import { PassThrough } from "node:stream";
import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { FromRunner } from "../../src/places/pool/protocol.ts";
import { batchIn, RunnerChannel } from "../../src/places/local/runner-channel.ts";
import { PoolRig } from "../support/pool-rig.ts";

const line = (...messages: unknown[]): string => JSON.stringify(messages);
const done = { type: "done", id: "r/1", durationMs: 3, startedAt: 1_764_000_000_000 };
const failed = { ok: false, outcome: "failed", error: { name: "Error", message: "no" } };

describe("a line is a batch", () => {
  it("with its results parsed", () => {
    const { id, durationMs, startedAt } = done;
    const ends = [id, '{"a":1}', durationMs, startedAt, "r/2", "null", 4, startedAt];
    expect(batchIn(line({ type: "ends", ends }, { ...done, result: failed }))).toEqual([
      { ...done, result: { ok: true, value: { a: 1 } } },
      { ...done, id: "r/2", durationMs: 4, result: { ok: true, value: null } },
      { ...done, result: failed },
    ]);
  });

  it("where a thread that does not end has given its result before", () => {
    const stuck = { ...done, type: "stuck", result: { ok: true, json: "[1]" }, unstarted: ["r/2"] };
    expect(batchIn(line(stuck))).toEqual([{ ...stuck, result: { ok: true, value: [1] } }]);
  });

  it("of lines, with the time of each", () => {
    const at = "2026-11-30T20:00:00.000Z";
    const output = { type: "output", id: "r/1", at, stream: "stdout", lines: ["a"] };
    expect(batchIn(line(output, { type: "begun", ids: ["r/1"] }))).toHaveLength(2);
    expect(batchIn("[]")).toEqual([]);
  });
});

describe("a line is none", () => {
  it.each([
    ["no JSON", "no message"],
    ["half a batch", '[{"type":"begun"'],
    ["null", "null"],
    ["a message of Node's own", '{"cmd":"NODE_HANDLE_ACK"}'],
    ["a message without its batch", JSON.stringify({ type: "begun", ids: [] })],
    ["a type that nobody knows", line({ type: "hello", id: "r/1" })],
    ["a null in a batch", line(null)],
    ["ends that are no list", line({ type: "ends", ends: {} })],
    ["an end without its time", line({ type: "ends", ends: ["r/1", "1", 3] })],
    ["a value that is no JSON", line({ type: "ends", ends: ["r/1", "{", 3, 4] })],
    ["an end at no time", line({ ...done, result: failed, startedAt: 1e300 })],
    ["an end without a start", line({ ...done, result: failed, startedAt: undefined })],
    ["an end without a result", line(done)],
    ["lines at no time", line({ type: "output", id: "a", at: "x", stream: "stdout", lines: [] })],
  ])("that is %s", (_, text) => expect(batchIn(text)).toBeUndefined());
});

it("hears nothing after what is no batch", () => {
  const socket = new PassThrough();
  const heard: (string | readonly FromRunner[])[] = [];
  const hearing = {
    batch: (batch: readonly FromRunner[]) => void heard.push(batch),
    garbled: (text: string) => void heard.push(text),
    closed: () => undefined,
  };
  void new RunnerChannel(socket as unknown as Socket, hearing);
  socket.emit("data", Buffer.from("[]\nno message\n[]\n"));
  socket.emit("data", Buffer.from("[]\n"));
  expect(heard).toEqual([[], "no message"]);
});

it("reads 64 KiB, then others have their turn", async () => {
  const socket = new PassThrough({ highWaterMark: 1024 * 1024 });
  const heard: unknown[] = [];
  void new RunnerChannel(socket as unknown as Socket, {
    batch: (batch) => void heard.push(...batch),
    garbled: (text) => void heard.push(text),
    closed: () => undefined,
  });
  const at = "2026-11-30T20:00:00.000Z";
  const lines = ["x".repeat(32 * 1024)];
  const printed = `${line({ type: "output", id: "r/1", at, stream: "stdout", lines })}\n`;
  for (let n = 0; n < 6; n += 1) socket.write(printed);
  const counts = [heard.length];
  for (let turn = 0; turn < 8 && heard.length < 6; turn += 1) {
    await nextTurn();
    counts.push(heard.length);
  }
  expect(heard).toHaveLength(6);
  // No turn had more than two of them.
  expect(counts.every((count, n) => count - (counts[n - 1] ?? 0) <= 2)).toBe(true);
});

describe("a step that writes to its runner's channel", () => {
  it.each([
    ["what is no JSON", "no message"],
    ["what Node would take for its own", '{"cmd":"NODE_HANDLE_ACK"}'],
    ["what has another form", "[null]"],
  ])("%s ends its runner, and nothing else", async (_, text) => {
    const rig = new PoolRig();
    const body = `(await import("node:fs")).writeSync(3, ${JSON.stringify(`${text}\n`)});
await new Promise(() => {});`;
    const { death } = await rig.startBody(body).ended;
    expect(death?.because).toBe(
      "the runner sent what is no message (a step wrote to descriptor 3, which is orchd's): " +
        text,
    );
    expect((await rig.startBody("return 1;").ended).result).toEqual({ ok: true, value: 1 });
  });

  it("with a secret in it, never has that told", async () => {
    const rig = new PoolRig();
    const secret = "s3cret-of-the-step";
    const text = `${"x".repeat(190)}${secret}`;
    const body = `(await import("node:fs")).writeSync(3, ${JSON.stringify(`${text}\n`)});
await new Promise(() => {});`;
    const { death } = await rig.startBody(body, { secrets: [secret] }).ended;
    expect(death?.because).toContain("x".repeat(190));
    expect(death?.because).not.toContain(secret.slice(0, 6));
  });
});
