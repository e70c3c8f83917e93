/** What a far runner says of a task's end, as the pool hears it. */
import { describe, expect, it } from "vitest";
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
