/** Steps of an earlier daemon that go on: which are asked for, with what, and who hears of them. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, it, vi } from "vitest";
import type { EarlierAttempt, EarlierLane, Place, TaskHandlers } from "../../src/places/place.ts";
import { adoptSteps } from "../../src/run/step-adoption.ts";
import type { RunParts } from "../../src/run/run-parts.ts";
import { tempRoot } from "../support/temp-root.ts";

vi.mock("../../src/run/step-preparation.ts", () => ({
  taskOf: (_state: unknown, { spec }: { spec: { id: string; bad?: boolean } }) => {
    if (spec.bad === true) throw new Error("the secret is gone");
    return { kind: "shell", step: spec.id };
  },
}));

const RUN = "p@1";
const AT = { place: "box", host: "h1", ref: "c1" };
type Adopt = Place["adopt"];

let root: string;
let warned: unknown[];
let told: unknown[];
let turns: number;
beforeEach(() => {
  ({ root } = tempRoot());
  [warned, told, turns] = [[], [], 0];
});

const step = (id: string, more: object = {}, placed?: object, alone = false): object => ({
  spec: { id, run: "true", hooks: {}, ...more },
  alone,
  attempt: 1,
  attempts: [{ attempt: 1, placed }],
});

/** Takes steps over, each with its token. @returns the ids of those that go on */
async function adopted(steps: readonly object[], adopt: Adopt): Promise<readonly string[]> {
  const ids = steps.map((one) => (one as { spec: { id: string } }).spec.id);
  const parts = {
    state: { run: RUN, steps: new Map(steps.map((one, nth) => [ids[nth], one])) },
    deps: {
      runStore: { runLog: () => join(root, "log.jsonl") },
      log: { warn: (fields: object, sentence: string) => void warned.push([fields, sentence]) },
      place: { adopt },
    },
    output: (lines: unknown) => void told.push(["output", lines]),
    arrive: (act: () => void) => {
      turns += 1;
      act();
    },
  } as unknown as RunParts;
  const candidates = ids.map((id, nth) => [id, nth + 3] as const);
  const found = await adoptSteps(parts, {} as never, candidates, {
    ended: (...given) => void told.push(["ended", ...given]),
    placed: (...given) => void told.push(["placed", ...given]),
  });
  return [...found];
}

it("asks for each by its token, with what it printed and the lane that it was in", async () => {
  mkdirSync(root, { recursive: true });
  const line = (of: string): string =>
    `${JSON.stringify({ at: "x", step: of, attempt: 1, stream: "stdout", line: "one" })}\n`;
  writeFileSync(join(root, "log.jsonl"), line("a") + line("b") + line("a"));
  const asked: unknown[] = [];
  const going = await adopted(
    [step("a", {}, AT), step("far", { on: ["gpu"] })],
    (tasks, _handlers, attemptOf, laneOf) => {
      for (const task of tasks) {
        const attempt = (attemptOf as (id: string) => EarlierAttempt | undefined)(task);
        const lane = (laneOf as (id: string) => EarlierLane)(task);
        asked.push([task, attempt?.task, attempt?.heard.stdout, lane]);
      }
      return Promise.resolve(new Set([`${RUN}#4`]));
    },
  );
  expect(going).toEqual(["far"]);
  expect(asked).toEqual([
    [`${RUN}#3`, { kind: "shell", step: "a" }, 2, { lane: "shell", placed: AT }],
    [
      `${RUN}#4`,
      { kind: "shell", step: "far" },
      0,
      { lane: expect.stringContaining("gpu"), placed: undefined },
    ],
  ]);
});

it("tells, in a turn, how each ended, what it prints, and where it begins", async () => {
  let handlers!: (task: string) => TaskHandlers;
  await adopted([step("a", {}, AT), step("b", {}, undefined, true)], (_tasks, of) => {
    handlers = of;
    return Promise.resolve(new Set());
  });
  const [a, b] = [handlers(`${RUN}#3`), handlers(`${RUN}#4`)];
  // A line says already where it is.
  expect(a.placed).toBeUndefined();
  b.placed!(AT);
  a.output([]);
  a.done({ ok: true, value: 1 }, 9, 0);
  // Of several that may be to blame, one that runs alone is.
  const death = { inFlight: [`${RUN}#3`, `${RUN}#4`], alone: false, because: "it died", code: "X" };
  a.died(death);
  b.died(death);
  expect(turns).toBe(4);
  expect(told).toEqual([
    ["placed", "b", 4, AT],
    ["output", []],
    ["ended", "a", 3, { kind: "result", result: { ok: true, value: 1 }, durationMs: 9 }],
    ["ended", "a", 3, { kind: "lost", death }],
    ["ended", "b", 4, { kind: "ownDeath", death }],
  ]);
});

it("gives up one that cannot be made again, with a word, and takes the others", async () => {
  const attempts: unknown[] = [];
  await adopted(
    [step("bad", { bad: true }), step("exec", { container: { exec: "box" } }), step("ok")],
    (tasks, _handlers, attemptOf) => {
      for (const task of tasks)
        attempts.push((attemptOf as (id: string) => unknown)(task) !== undefined);
      return Promise.resolve(new Set());
    },
  );
  expect(attempts).toEqual([false, false, true]);
  expect(warned).toEqual([
    [
      { run: RUN, step: "bad", err: expect.any(Error) },
      "a step that an earlier daemon started cannot be taken over: it is ended",
    ],
  ]);
});

it("takes none where its place cannot say, and asks nobody where there are none", async () => {
  expect(await adopted([step("a")], () => Promise.reject(new Error("no engine")))).toEqual([]);
  expect(warned).toEqual([
    [{ run: RUN, err: expect.any(Error) }, "what an earlier daemon started cannot be taken over"],
  ]);
  const adopt = vi.fn<Adopt>();
  expect(await adopted([], adopt)).toEqual([]);
  expect(adopt).not.toHaveBeenCalled();
});
