/** What a worker may say: each member at its bound and past it, and how it is refused. */
import { describe, expect, it } from "vitest";
import {
  isWorkerName,
  readAnswer,
  readHello,
  readSays,
} from "../../../src/places/broker/worker-says.ts";

const HASH = "0123456789abcdef".repeat(4);
const text = (length: number): string => "x".repeat(length);
const many = (count: number, one: unknown = "a"): unknown[] => Array<unknown>(count).fill(one);

const HELLO = {
  type: "hello",
  protocol: 5,
  version: "1",
  worker: "w",
  incarnation: "i",
  home: "h",
};
const BEAT = {
  type: "beat",
  worker: "w",
  incarnation: "i",
  protocol: 5,
  version: "1",
  node: "20",
  platform: "linux/x64",
  labels: [],
  threads: 4,
  cores: 2,
  tasks: [],
  leaving: false,
};
const CLAIM = { type: "claim", worker: "w", incarnation: "i", id: "t" };
const LINE = { at: "2026-11-23T02:00:00.000Z", step: "a", attempt: 1, stream: "stdout", line: "x" };
const OUTPUT = { type: "output", worker: "w", id: "t", number: 0, lines: [LINE] };
const DIED = { kind: "died", inFlight: ["t"], alone: true, because: "b", code: "C" };
const RESULT = { kind: "result", result: { ok: true, value: null }, durationMs: 0 };
const END = { type: "end", worker: "w", id: "t", batches: 0, end: DIED };
const ended = (result: object): object => ({ ...END, end: { ...RESULT, result } });
const FAILED = { ok: false, error: { name: "E", message: "m" }, outcome: "failed" };
const file = (ref: object = {}, more: object = {}): object => ({
  ref: { $artifact: HASH, bytes: 0, ...ref },
  file: HASH,
  ...more,
});
const FILE = "message.end.result.staged.files.0";
const staged = (files: unknown): object => ended({ ok: true, staged: { value: 1, files } });

describe("a hello", () => {
  it.each<[object, string | undefined]>([
    [{}, undefined],
    [{ root: text(256) }, undefined],
    [{ root: text(257) }, "root"],
    [{ version: "" }, undefined],
    [{ version: text(257) }, "version"],
    [{ worker: text(256) }, undefined],
    [{ worker: text(257) }, "worker"],
    [{ incarnation: text(256) }, undefined],
    [{ incarnation: text(257) }, "incarnation"],
    [{ incarnation: "" }, "incarnation"],
    [{ home: text(256) }, undefined],
    [{ home: text(257) }, "home"],
    [{ home: "" }, "home"],
    [{ protocol: 1.5 }, "protocol"],
    [{ protocol: 99 }, undefined],
    [{ type: "hallo" }, "type"],
  ])("with %j: what is wrong is %s", (more, wrong) => {
    const hello = { ...HELLO, ...more };
    if (wrong === undefined) expect(readHello(hello)).toEqual(hello);
    else expect(() => readHello(hello)).toThrow(`it is not a hello: ${wrong} is wrong`);
  });

  it("is no text, and nothing", () => {
    for (const message of [undefined, null, "hello", 7])
      expect(() => readHello(message)).toThrow("it is not a hello: the whole is wrong");
  });
});

it.each([
  ["w", true],
  ["W-1_z", true],
  [text(64), true],
  [text(65), false],
  ["", false],
  ["a.b", false],
  ["a b", false],
  ["ä", false],
  ["a\n", false],
])("%j can be a worker's name: %s", (name, can) => {
  expect(isWorkerName(name)).toBe(can);
});

describe("what a worker says", () => {
  const says = (message: object): object => ({ worker: "w", session: "s", number: 0, message });

  it.each<[string, object, string | undefined]>([
    ["a beat", BEAT, undefined],
    ["64 labels", { ...BEAT, labels: many(64) }, undefined],
    ["65 labels", { ...BEAT, labels: many(65) }, "message.labels"],
    ["a long label", { ...BEAT, labels: [text(64)] }, undefined],
    ["a longer label", { ...BEAT, labels: [text(65)] }, "message.labels.0"],
    ["an empty label", { ...BEAT, labels: [""] }, "message.labels.0"],
    ["10,000 threads", { ...BEAT, threads: 10_000 }, undefined],
    ["10,001 threads", { ...BEAT, threads: 10_001 }, "message.threads"],
    ["one thread", { ...BEAT, threads: 1 }, undefined],
    ["no thread", { ...BEAT, threads: 0 }, "message.threads"],
    ["10,000 cores", { ...BEAT, cores: 10_000 }, undefined],
    ["10,001 cores", { ...BEAT, cores: 10_001 }, "message.cores"],
    ["one core", { ...BEAT, cores: 1 }, undefined],
    ["no core", { ...BEAT, cores: 0 }, "message.cores"],
    ["half a core", { ...BEAT, cores: 0.5 }, "message.cores"],
    ["20,000 tasks", { ...BEAT, tasks: many(20_000) }, undefined],
    ["20,001 tasks", { ...BEAT, tasks: many(20_001) }, "message.tasks"],
    ["a long node", { ...BEAT, node: text(257) }, "message.node"],
    ["a long platform", { ...BEAT, platform: text(257) }, "message.platform"],
    ["a long version", { ...BEAT, version: text(257) }, "message.version"],
    ["a beat that is no worker's", { ...BEAT, worker: "a.b" }, "message.worker"],
    ["a beat that is half leaving", { ...BEAT, leaving: 1 }, "message.leaving"],
    ["a claim", CLAIM, undefined],
    ["a long id", { ...CLAIM, id: text(1_024) }, undefined],
    ["a longer id", { ...CLAIM, id: text(1_025) }, "message.id"],
    ["an empty id", { ...CLAIM, id: "" }, "message.id"],
    ["output", OUTPUT, undefined],
    ["a second batch", { ...OUTPUT, number: 1 }, undefined],
    ["a batch before the first", { ...OUTPUT, number: -1 }, "message.number"],
    ...["stderr", "log", "orchd"].map((stream): [string, object, undefined] => [
      `a line of ${stream}`,
      { ...OUTPUT, lines: [{ ...LINE, stream }] },
      undefined,
    ]),
    [
      "a line of nothing",
      { ...OUTPUT, lines: [{ ...LINE, stream: "stdin" }] },
      "message.lines.0.stream",
    ],
    ["a long time", { ...OUTPUT, lines: [{ ...LINE, at: text(40) }] }, undefined],
    ["a longer time", { ...OUTPUT, lines: [{ ...LINE, at: text(41) }] }, "message.lines.0.at"],
    [
      "half an attempt",
      { ...OUTPUT, lines: [{ ...LINE, attempt: 1.5 }] },
      "message.lines.0.attempt",
    ],
    ["a death", END, undefined],
    ["minus one batch", { ...END, batches: -1 }, "message.batches"],
    ["1,000 in flight", { ...END, end: { ...DIED, inFlight: many(1_000) } }, undefined],
    [
      "1,001 in flight",
      { ...END, end: { ...DIED, inFlight: many(1_001) } },
      "message.end.inFlight",
    ],
    ["a lost one", { ...END, end: { ...DIED, blameless: "lost", behind: true } }, undefined],
    ["an unbegun one", { ...END, end: { ...DIED, blameless: "unbegun" } }, undefined],
    ["another one", { ...END, end: { ...DIED, blameless: "x" } }, "message.end.blameless"],
    ["a long reason", { ...END, end: { ...DIED, because: text(4_096) } }, undefined],
    ["a longer reason", { ...END, end: { ...DIED, because: text(4_097) } }, "message.end.because"],
    ["a long code", { ...END, end: { ...DIED, code: text(257) } }, "message.end.code"],
    ["a value", ended({ ok: true, value: { a: [1] } }), undefined],
    ["a time before", { ...END, end: { ...RESULT, durationMs: -1 } }, "message.end.durationMs"],
    ["a failure", ended(FAILED), undefined],
    ["a stop", ended({ ...FAILED, outcome: "stopped" }), undefined],
    ["a limit", ended({ ...FAILED, outcome: "timeout" }), undefined],
    ["no outcome", ended({ ...FAILED, outcome: "lost" }), "message.end.result"],
    [
      "causes",
      ended({
        ...FAILED,
        error: {
          ...FAILED.error,
          exitStatus: 1,
          cause: FAILED.error,
          errors: many(64, FAILED.error),
        },
      }),
      undefined,
    ],
    [
      "too many causes",
      ended({ ...FAILED, error: { ...FAILED.error, errors: many(65, FAILED.error) } }),
      "message.end.result",
    ],
    ["files", staged(many(1_024, file())), undefined],
    ["too many files", staged(many(1_025, file())), "message.end.result"],
    ["a file of less than nothing", staged([file({ bytes: -1 })]), `${FILE}.ref.bytes`],
    ["a file of no hash", staged([file({ $artifact: HASH.slice(1) })]), `${FILE}.ref.$artifact`],
    ["a file by a path", staged([file({}, { file: `../${HASH}` })]), `${FILE}.file`],
    ["what it lacks", { type: "lack", worker: "w", hash: HASH }, undefined],
    ["a hash too long", { type: "lack", worker: "w", hash: `${HASH}0` }, "message.hash"],
    ["a hash in capitals", { type: "lack", worker: "w", hash: "A".repeat(64) }, "message.hash"],
    ["a bye", { type: "bye", worker: "w", incarnation: "i" }, undefined],
    ["a word of a newer release", { type: "hum", worker: "w" }, "message.type"],
  ])("%s", (_, message, wrong) => {
    if (wrong === undefined) expect(readSays(says(message))).toEqual(says(message));
    else
      expect(() => readSays(says(message))).toThrow(
        `it is not what a worker says: ${wrong} is wrong`,
      );
  });

  it.each([
    ["worker", "a.b"],
    ["session", text(257)],
    ["number", -1],
    ["number", 0.5],
  ])("is refused whole for its %s", (member, value) => {
    expect(() => readSays({ ...says(CLAIM), [member]: value })).toThrow(
      `it is not what a worker says: ${member} is wrong`,
    );
  });
});

describe("what a worker answers", () => {
  const read = (answer: object, more: object = {}): unknown =>
    readAnswer({ session: "s", number: 3, answer, ...more }, "s")?.answer;

  it.each<[object, boolean]>([
    [{ type: "taken" }, true],
    [{ type: "had" }, true],
    [{ type: "here" }, true],
    [{ type: "begun" }, true],
    [{ type: "begun", end: RESULT }, true],
    [{ type: "begun", end: { ...RESULT, durationMs: -1 } }, false],
    [{ type: "refused", because: text(4_096) }, true],
    [{ type: "refused", because: "b", elsewhere: true }, true],
    [{ type: "refused", because: text(4_097) }, false],
    [{ type: "refused" }, false],
    [{ type: "gone" }, false],
  ])("%j is taken: %s", (answer, isTaken) => {
    expect(read(answer)).toEqual(isTaken ? answer : undefined);
  });

  it("is of its session alone, and has a number", () => {
    const taken = { type: "taken" };
    expect(read(taken, { session: "t" })).toBeUndefined();
    expect(read(taken, { number: -1 })).toBeUndefined();
    const answer = { session: "s", number: 3, answer: taken };
    expect(readAnswer(answer, "s")).toMatchObject({ number: 3, answer: taken });
    expect(readAnswer(undefined, "s")).toBeUndefined();
  });
});
