/** What those hear who wait for a step's end. */
import { expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import { NO_RETRY } from "../../src/core/retry.ts";
import { StepWaiters } from "../../src/run/step-waiters.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const error = { name: "E", message: "boom", code: "EB" };
const of = (type: string, more: object = {}): RunEvent =>
  ({ type: `step.${type}`, step: "s", attempt: 1, because: "so", ...more }) as RunEvent;
const started = of("started");
const later = { error, retryAt: "2026-11-23T03:00:00.000Z" };

function runOf(dynamic = false): GivenRun {
  const code = { bundle: "b", pick: "p", source: "./p.ts" };
  const run = new GivenRun(
    snapshotOf(
      [stepSpec("s", { retry: { ...NO_RETRY, maxRetries: 1 } })],
      dynamic ? { dynamic: code } : {},
    ),
  );
  return run.happen({ type: "run.started", because: "now" });
}

/** What a waiter heard: its outputs, or the name and message. */
async function heard(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch(({ name, message }: Error) => `${name}: ${message}`);
}

it.each<[string, readonly RunEvent[], unknown]>([
  ["completed", [started, of("completed", { outputs: { result: 1 } })], { result: 1 }],
  [
    "cached",
    [of("cached", { outputs: { result: 2 }, source: { run: "q", step: "s" } })],
    { result: 2 },
  ],
  ["failed", [started, of("failed", { error })], "E: boom"],
  ["stopped", [started, of("stopped")], 'StepStopped: step "s" was stopped: so'],
  ["skipped", [of("skipped")], 'StepSkipped: step "s" was skipped: so'],
])("of a step that %s", async (_, events, expected) => {
  const run = runOf();
  const waiters = new StepWaiters(run.state, false);
  const all = [waiters.outputsOf("s"), waiters.outputsOf("s")].map(heard);
  waiters.settle("s");
  run.happen(...events);
  waiters.settle("other");
  const tell = waiters.tellLater("s");
  expect(tell).toBeDefined();
  tell!();
  expect(await Promise.all(all)).toEqual([expected, expected]);
  // They heard it once; who comes later is told when it asks.
  expect(waiters.tellLater("s")).toBeUndefined();
  const last = heard(waiters.outputsOf("s"));
  waiters.settle("s");
  expect(await last).toEqual(expected);
});

it.each([
  [true, false, true],
  [false, false, false],
  [true, true, false],
])(
  "an attempt that failed is told %s, in a dynamic pipeline %s: %s",
  async (each, dynamic, told) => {
    const run = runOf(dynamic);
    const waiters = new StepWaiters(run.state, each);
    expect(waiters.tellLater("s")).toBeUndefined();
    const first = heard(waiters.outputsOf("s"));
    run.happen(started);
    expect(waiters.tellLater("s")).toBeUndefined();
    run.happen(of("failed", later));
    const tell = waiters.tellLater("s");
    expect(tell !== undefined).toBe(told);
    tell?.();
    const next = heard(waiters.outputsOf("s"));
    run.happen(
      of("started", { attempt: 2 }),
      of("completed", { attempt: 2, outputs: { result: 3 } }),
    );
    waiters.tellLater("s")!();
    expect([await first, await next]).toEqual([told ? "E: boom" : { result: 3 }, { result: 3 }]);
  },
);

it("what is told later is what was so at that moment, not who asked since", async () => {
  const run = runOf();
  const waiters = new StepWaiters(run.state, true);
  const first = heard(waiters.outputsOf("s"));
  run.happen(started, of("failed", later));
  const tell = waiters.tellLater("s")!;
  let isTold = false;
  void waiters.outputsOf("s").then(
    () => (isTold = true),
    () => (isTold = true),
  );
  tell();
  expect(await first).toBe("E: boom");
  await Promise.resolve();
  expect(isTold).toBe(false);
});
