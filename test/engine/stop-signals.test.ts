/** The signals that end: the second one insists, whichever it is, and listening ends. */
import { expect, it, onTestFinished } from "vitest";
import { onStopSignals } from "../../src/engine/stop-signals.ts";

it.each([
  ["SIGTERM", "SIGTERM"],
  ["SIGINT", "SIGINT"],
  ["SIGTERM", "SIGINT"],
  ["SIGINT", "SIGTERM"],
] as const)("%s asks, and %s after it insists", (first, second) => {
  // Nobody else hears them here.
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const others = process.listeners(signal);
    process.removeAllListeners(signal);
    onTestFinished(() => others.forEach((listener) => process.on(signal, listener)));
  }
  const heard: unknown[] = [];
  const off = onStopSignals((signal, insists) => heard.push([signal, insists]));
  process.emit(first, first);
  process.emit(second, second);
  process.emit(first, first);
  off();
  process.emit(first, first);
  expect(heard).toEqual([
    [first, false],
    [second, true],
    [first, true],
  ]);
  expect(process.listenerCount("SIGTERM") + process.listenerCount("SIGINT")).toBe(0);
});
