/** What a task printed, kept until the daemon has taken its end: batches, and a new daemon. */
import { beforeEach, expect, it } from "vitest";
import { LINE_OVERHEAD, type OutputLine } from "../../src/core/task.ts";
import { KeptOutput } from "../../src/worker/kept-output.ts";

const BATCH = 96 * 1024;

let output: KeptOutput;
beforeEach(() => (output = new KeptOutput()));

const line = (text: string, stream: OutputLine["stream"] = "stdout"): OutputLine => ({
  at: "2026-11-28T02:00:00.000Z",
  step: "a",
  attempt: 1,
  stream,
  line: text,
});

/** All batches that are there, each answered: their numbers and texts. */
function sent(): [number, string[]][] {
  const all: [number, string[]][] = [];
  for (let batch = output.batch(); batch !== undefined; batch = output.batch()) {
    all.push([batch.number, batch.lines.map((one) => one.line)]);
    output.answered();
  }
  return all;
}

it("a batch stays the same until it is answered, whatever is printed meanwhile", () => {
  expect(output.batch()).toBeUndefined();
  output.answered();
  expect(output.batches).toBe(0);
  output.add([line("a")]);
  const first = output.batch();
  output.add([line("b")]);
  expect(output.batch()).toBe(first);
  expect(sent()).toEqual([
    [0, ["a"]],
    [1, ["b"]],
  ]);
  expect(output.batches).toBe(2);
});

it("a batch holds what fits, and one line in any case", () => {
  const half = "x".repeat(BATCH / 2 - LINE_OVERHEAD);
  const more = `${half}x`;
  const whole = "y".repeat(2 * BATCH);
  output.add([line(half), line(half), line(half), line(more), line(whole), line("z")]);
  expect(sent().map(([number, texts]) => [number, texts.map((text) => text.length)])).toEqual([
    [0, [half.length, half.length]],
    [1, [half.length]],
    [2, [more.length]],
    [3, [whole.length]],
    [4, [1]],
  ]);
});

it("a new daemon gets what its log does not have: of each stream, and of orchd's own all", () => {
  output.add([
    line("o1"),
    line("e1", "stderr"),
    line("said", "orchd"),
    line("o2"),
    line("l1", "log"),
    line("e2", "stderr"),
  ]);
  output.batch();
  output.restart({ stdout: 1, stderr: 1 });
  expect(sent()).toEqual([[0, ["said", "o2", "l1", "e2"]]]);
  output.restart({ stdout: 2, stderr: 0, log: 1 });
  expect(sent()).toEqual([[0, ["e1", "said", "e2"]]]);
  output.restart({ stdout: 0, stderr: 0 });
  expect(sent()[0]![1]).toHaveLength(6);
});

it("a batch that is too long for the broker is halved, and of one line the line", () => {
  output.add([line("known"), line("a"), line("known too", "stderr"), line("b"), line("c")]);
  output.restart({ stdout: 1, stderr: 1 });
  expect(output.batch()!.lines).toHaveLength(3);
  output.shorten();
  output.shorten();
  output.add([line("x".repeat(1_000)), line("last")]);
  expect(sent().map(([number, texts]) => [number, ...texts.map((text) => text[0])])).toEqual([
    [0, "a"],
    [1, "b", "c"],
    [2, "x", "l"],
  ]);
  output.restart({ stdout: 4, stderr: 1 });
  for (let times = 0; times < 3; times += 1) {
    output.batch();
    output.shorten();
  }
  const [[, cut], [, rest]] = sent() as [[number, string[]], [number, string[]]];
  expect(cut[0]).toMatch(/^x{100,300}… \(cut: the broker takes no message of this length\)$/);
  expect(rest).toEqual(["last"]);
  output.shorten();
  expect(output.batch()).toBeUndefined();
});
