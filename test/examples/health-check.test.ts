/** The example health-check: retries, an alarm that is raised once, and its end. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { outcomeOf, type PlainRun } from "../support/ledgers.ts";
import type { TempRoot } from "../support/temp-root.ts";
import {
  edit,
  exampleRoot,
  filesWith,
  linesOfType,
  listen,
  runToEnd,
  stepsWith,
  withSecret,
  type Heard,
} from "./example-root.ts";

const SECRET = "a-path-that-nobody-may-see";

/** The example beside a page and a place for messages, which answer what the test says. */
async function health(): Promise<{
  readonly root: TempRoot;
  readonly answers: { page: number[]; messages: number[] };
  readonly messages: readonly Heard[];
  readonly check: (...words: string[]) => Promise<PlainRun>;
}> {
  const root = exampleRoot("health-check");
  const answers = { page: [200], messages: [204] };
  /** Each answer once, and the last for ever. */
  const next = (of: number[]): number => (of.length > 1 ? of.shift()! : of[0]!);
  const page = await listen(() => next(answers.page));
  const messages = await listen(() => next(answers.messages));
  edit(root, "schedules/health-check.ts", "http://127.0.0.1:8080/", page.url);
  const env = withSecret(root, "alarm-webhook", `${messages.url}${SECRET}`);
  const check = (...words: string[]): Promise<PlainRun> =>
    runToEnd(root, "health-check", words, env);
  return { root, answers, messages: messages.heard, check };
}

const texts = (messages: readonly Heard[]): string[] =>
  messages.map(({ body }) => (JSON.parse(body) as { text: string }).text);

describe("the health check", () => {
  it("asks a page again, and raises no alarm for one bad answer", async () => {
    const { answers, messages, check } = await health();
    answers.page = [503, 200];
    const run = await check();
    expect(outcomeOf(run)).toBe("completed");
    expect(linesOfType(run, "step.started", "page")).toHaveLength(2);
    expect(messages).toEqual([]);
  });

  it("raises one alarm, and ends it when all is well again", async () => {
    const { root, answers, messages, check } = await health();
    const raised = (): boolean => existsSync(join(root.root, "alarm-raised"));

    answers.page = [500];
    answers.messages = [503, 204];
    const down = await check();
    expect(outcomeOf(down)).toBe("failed");
    const failures = linesOfType(down, "step.failed", "page");
    const waits = failures.map(({ at, retryAt }) => Date.parse(String(retryAt)) - Date.parse(at));
    expect(waits.map((wait) => Math.round(wait / 1_000))).toEqual([1, 2, Number.NaN]);
    expect(stepsWith(down, "step.skipped")).toEqual(["allClear"]);
    expect(linesOfType(down, "hook.failed")).toMatchObject([
      { hook: "onRunFailure", error: { message: "the webhook answers 503" } },
    ]);
    expect(raised()).toBe(false);

    answers.page = [200];
    const full = await check("-p", "leastFree=2");
    expect(stepsWith(full, "step.failed")).toEqual(["disk"]);
    expect(linesOfType(full, "hook.completed")).toMatchObject([{ hook: "onRunFailure" }]);
    expect(raised()).toBe(true);

    await check("-p", "leastFree=2");
    expect(messages).toHaveLength(2);

    const well = await check();
    expect(outcomeOf(well)).toBe("completed");
    expect(raised()).toBe(false);
    await check();
    expect(texts(messages)).toEqual([
      expect.stringMatching(/^health-check fails: step "page" failed: .* answers 500$/),
      expect.stringMatching(/^health-check fails: step "disk" failed: .* less than 2$/),
      "health-check is well again",
    ]);
    expect(messages.every(({ path }) => path === `/${SECRET}`)).toBe(true);
    expect(filesWith(root, SECRET)).toEqual([]);
    expect(filesWith(root, "alarm-webhook")).not.toEqual([]);
  });
});
