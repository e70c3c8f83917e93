/** What a far runner says of a task's end, as the pool hears it. */
import { describe, expect, it } from "vitest";
import { LINE_OVERHEAD, OUTPUT_LIMIT } from "../../src/core/task.ts";
import { FarAnswers } from "../../src/places/pool/far-answers.ts";
import type { FarTasks } from "../../src/places/pool/far-tasks.ts";
import type { FromRunner } from "../../src/places/pool/protocol.ts";

const NOW = 1_000_000;
const ID = "run@1#7";

function answers(): { readonly answers: FarAnswers; readonly forgotten: string[] } {
  const forgotten: string[] = [];
  const tasks = { has: (id: string) => id === ID, forgetTask: (id: string) => forgotten.push(id) };
  return { answers: new FarAnswers(tasks as unknown as FarTasks), forgotten };
}

describe("an end", () => {
  // The other machine's clock may be any.
  const said = { id: ID, result: { ok: true, json: "[1]" }, durationMs: 40, startedAt: 5 } as const;
  const heard = { id: ID, result: { ok: true, value: [1] }, durationMs: 40, startedAt: NOW - 40 };

  it.each<[string, FromRunner, object]>([
    ["done", { type: "done", ...said }, { type: "done", ...heard }],
    [
      "stuck",
      { type: "stuck", ...said, unstarted: ["run@1#8"] },
      { type: "stuck", ...heard, unstarted: ["run@1#8"] },
    ],
  ])("%s has its value parsed and its begin by this machine's clock", (_, message, told) => {
    const { answers: own, forgotten } = answers();
    expect(own.take([message], NOW)).toEqual([told]);
    expect(forgotten).toEqual([ID]);
  });

  it("of a task that it does not have is not heard", () => {
    const { answers: own } = answers();
    const message = { type: "done", ...said, id: "run@1#9" } as const;
    expect(own.take([message], NOW)).toEqual([]);
  });
});

it.each([
  ["empty lines", "", LINE_OVERHEAD],
  ["lines of 904 characters", "x".repeat(904), LINE_OVERHEAD + 904],
])("a task prints twice the limit of an attempt, and no more: %s", (_, line, cost) => {
  const { answers: own } = answers();
  const most = Math.floor((2 * OUTPUT_LIMIT) / cost);
  const output = (count: number): FromRunner => ({
    type: "output",
    id: ID,
    at: "then",
    stream: "stdout",
    lines: Array<string>(count).fill(line),
  });
  const at = "1970-01-01T00:16:40.000Z";
  expect(own.take([output(most - 1)], NOW)).toMatchObject([{ type: "output", at }]);
  expect(own.take([output(1)], NOW)).toHaveLength(1);
  expect(own.take([output(1)], NOW)).toBe("printed more than an attempt may");
});
