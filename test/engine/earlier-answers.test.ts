/** Which answers a daemon gives again, and how many. */
import { expect, it } from "vitest";
import type { Reply, Request } from "../../src/core/request.ts";
import { EarlierAnswers } from "../../src/engine/earlier-answers.ts";

const of = (type: string): Request => ({ type }) as Request;
const yes: Reply = { accepted: true, run: "p@1" };

it.each<[string, Reply, Reply | undefined]>([
  ["submit", yes, yes],
  ["stop", yes, yes],
  ["pause", { accepted: true }, { accepted: true }],
  ["cancel_backfill", yes, yes],
  ["submit", { accepted: false, reason: "no" }, undefined],
  ["prune", yes, undefined],
  ["repair", yes, undefined],
  ["rebuild", yes, undefined],
])("%s that was answered %j is answered again: %j", (type, reply, again) => {
  const answers = new EarlierAnswers();
  answers.note("q1", of(type), reply);
  expect(answers.to("q1")).toEqual(again);
  expect(answers.to("q2")).toBeUndefined();
});

it("are the newest 4,096", () => {
  const answers = new EarlierAnswers();
  for (let nth = 0; nth <= 4_096; nth += 1) answers.note(`q${nth}`, of("pause"), yes);
  expect(["q0", "q1", "q4096"].map((id) => answers.to(id))).toEqual([undefined, yes, yes]);
});
