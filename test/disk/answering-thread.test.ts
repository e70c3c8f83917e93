/** A thread that answers: when it begins and ends, and what its questions hear of its death. */
import { join, relative } from "node:path";
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { AnsweringThread } from "../../src/disk/answering-thread.ts";
import { projectRoot } from "../support/project-root.ts";
import { tempRoot } from "../support/temp-root.ts";

/** It says which thread it is, what it was started with, and what it is asked; or it fails. */
const PROGRAM = `
import { parentPort, threadId, workerData } from "node:worker_threads";
parentPort.on("message", ({ id, question }) => {
  if (question === "exit") process.exit(0);
  if (question === "die") throw new Error("it dies");
  if (question === "never") return;
  if (question === "fail")
    parentPort.postMessage({ id, error: { name: "Odd", message: "it fails", code: "EODD" } });
  else parentPort.postMessage({ id, value: [threadId, workerData, question] });
});
`;

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

function thread() {
  const { root } = tempRoot({ "program.js": PROGRAM });
  const path = join(root, "program");
  const program = relative(join(projectRoot, "dist/daemon"), path);
  const made = new AnsweringThread<string, readonly [number, unknown, string]>(program, "data");
  onTestFinished(() => made.close());
  return { made, program, idOf: async () => (await made.ask("who"))[0] };
}

it("answers each question, from one thread with what it was given", async () => {
  const { made } = thread();
  const all = await Promise.all(["a", "b", "c"].map((question) => made.ask(question)));
  expect(all).toEqual(["a", "b", "c"].map((question) => [all[0]![0], "data", question]));
});

it("ends five seconds after its last answer, and another one answers then", async () => {
  const { idOf } = thread();
  const first = await idOf();
  vi.advanceTimersByTime(4_999);
  expect(await idOf()).toBe(first);
  vi.advanceTimersByTime(4_999);
  expect(await idOf()).toBe(first);
  vi.advanceTimersByTime(5_000);
  expect(await idOf()).not.toBe(first);
});

it("does not end while a question waits, or while somebody holds it", async () => {
  const { made, idOf } = thread();
  const first = await idOf();
  made.hold();
  made.hold();
  vi.advanceTimersByTime(60_000);
  expect(await idOf()).toBe(first);
  made.release();
  vi.advanceTimersByTime(60_000);
  expect(await idOf()).toBe(first);
  made.release();
  vi.advanceTimersByTime(4_999);
  expect(await idOf()).toBe(first);
  const waits = made.ask("never").catch((thrown: Error) => thrown.message);
  expect(await idOf()).toBe(first);
  vi.advanceTimersByTime(60_000);
  expect(await idOf()).toBe(first);
  void made.ask("exit").catch(() => undefined);
  expect(await waits).toMatch(/ended$/);
});

it("a question that fails hears what the program threw; others go on", async () => {
  const { made, idOf } = thread();
  const first = await idOf();
  const error: unknown = await made.ask("fail").catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({ name: "Odd", message: "it fails", code: "EODD" });
  expect(await idOf()).toBe(first);
});

it("all questions of a thread that dies hear why, and the next has another thread", async () => {
  const { made, program, idOf } = thread();
  const first = await idOf();
  const whyOf = (question: string): Promise<unknown> =>
    made.ask(question).catch((thrown: Error) => thrown.message);
  expect(await Promise.all(["never", "die"].map(whyOf))).toEqual(["it dies", "it dies"]);
  const second = await idOf();
  expect(second).not.toBe(first);
  const ended = `the thread ${program} of the daemon ended`;
  expect(await Promise.all(["never", "exit"].map(whyOf))).toEqual([ended, ended]);
  expect(await idOf()).not.toBe(second);
});

it("one that is closed answers again when it is asked again", async () => {
  const { made, idOf } = thread();
  const first = await idOf();
  await made.close();
  await made.close();
  expect(await idOf()).not.toBe(first);
});

it("a program that was not built is no thread", async () => {
  await expect(new AnsweringThread("no-program").ask("who")).rejects.toThrow(/npm run build/);
});
