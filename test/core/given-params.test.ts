import { expect, test } from "vitest";
import { checkGivenParams } from "../../src/core/given-params.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";

const declares = pipelineOf("p", [scheduleOf({ name: "n", params: { depth: 1 } })], {
  params: { path: "/", lines: 3 },
});

test("a param that is declared, by the pipeline or a schedule, is taken", () => {
  expect(checkGivenParams(declares, undefined)).toEqual({ ok: true });
  expect(checkGivenParams(declares, { path: "/tmp", depth: 2 })).toEqual({ ok: true });
});

test("another is refused, with what was meant, or with all there are", () => {
  expect(checkGivenParams(declares, { path: "/", pth: "/tmp" })).toEqual({
    ok: false,
    message: 'pipeline p declares no param "pth"; did you mean "path"?',
  });
  expect(checkGivenParams(declares, { colour: "red" })).toEqual({
    ok: false,
    message: 'pipeline p declares no param "colour"; it has path, lines, depth',
  });
  expect(
    checkGivenParams(declares, JSON.parse('{"__proto__": 1}') as Record<string, unknown>),
  ).toMatchObject({ ok: false });
});

test("where none is declared it is said that nothing reads it, unless a function may", () => {
  const none = pipelineOf("p", []);
  expect(checkGivenParams(none, { a: 1 })).toEqual({
    ok: true,
    remark: 'pipeline p declares no params, so nothing reads "a"',
  });
  const dynamic = {
    ...none,
    template: {
      ...none.template,
      dynamic: { bundle: "b", pick: "function" as const, source: "p.ts" },
    },
  };
  expect(checkGivenParams(dynamic as never, { a: 1 })).toEqual({ ok: true });
});
