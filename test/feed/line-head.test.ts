/** What a line of a ledger says of itself, however it was written. */
import { expect, it } from "vitest";
import { parseObject } from "../../src/core/json-object.ts";
import { headOf } from "../../src/feed/whole-lines.ts";

const AT = "2026-11-28T02:00:00.000Z";
const HEAD = { seq: 7, at: AT, type: "run.started" };

it.each<[string, string, object | undefined]>([
  ["as it is written", `{"seq":7,"b":7,"at":"${AT}","type":"run.started","crc":"0"}`, HEAD],
  ["in another order", `{"type":"run.started","at":"${AT}","seq":7}`, HEAD],
  ["with blanks", `{ "seq": 7, "at": "${AT}", "type": "run.started" }`, HEAD],
  ["a number that is a text", `{"seq":"7","at":"${AT}","type":"run.started"}`, undefined],
  ["a number with a fraction", `{"seq":7.5,"at":"${AT}","type":"run.started"}`, undefined],
  ["no number", `{"at":"${AT}","type":"run.started"}`, undefined],
  ["a time that is a number", `{"seq":7,"at":5,"type":"run.started"}`, undefined],
  ["no time", `{"seq":7,"type":"run.started"}`, undefined],
  ["a type that is a number", `{"seq":7,"at":"${AT}","type":1}`, undefined],
  ["no type", `{"seq":7,"at":"${AT}"}`, undefined],
  ["a list", `[{"seq":7,"at":"${AT}","type":"run.started"}]`, undefined],
  ["no JSON", `"seq":7,"at":"${AT}"`, undefined],
  ["null", "null", undefined],
])("%s", (_, raw, head) => {
  expect(headOf(raw)).toEqual(head);
});

it.each([
  ["{}", {}],
  ['{"a":[1]}', { a: [1] }],
  ["[]", undefined],
  ["null", undefined],
  ["5", undefined],
  ["{", undefined],
  ["", undefined],
])("the object in %j is %j", (raw, object) => {
  expect(parseObject(raw)).toEqual(object);
});
