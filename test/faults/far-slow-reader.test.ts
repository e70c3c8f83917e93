/**
 * A daemon that reads nothing for a while: a far runner holds its steps back, and grows no more
 * than a little. All that they printed comes when it reads again.
 */
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it, onTestFinished, vi } from "vitest";
import { builtProgram } from "../../src/disk/built-program.ts";
import { BEAT_MS, WIRE_PROTOCOL } from "../../src/places/pool/wire.ts";

const SHELLS = 8;
/** Each prints 4 MB, which counts as 7.5 MiB: less than the limit of an attempt. */
const LINES = 40_000;
const MiB = 1024 * 1024;
const ROOM_MIB = 40;

const heldBytes = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * 4096;

it("is waited for by steps that print, in a few MiB", async () => {
  const front = spawn(process.execPath, [builtProgram("runner"), "--stdio"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => void front.kill("SIGKILL"));
  const say = (message: object): void => void front.stdin.write(`${JSON.stringify(message)}\n`);
  say({ protocol: WIRE_PROTOCOL, threads: SHELLS, token: `slow-${process.pid}.1` });
  let text = "";
  front.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  await vi.waitFor(() => expect(text).toContain('"ready"'), { timeout: 20_000 });
  front.stdout.pause();
  // It has a lease: only its words are not read.
  let beats = 0;
  const lease = setInterval(() => say({ type: "beat", number: (beats += 1) }), BEAT_MS);
  onTestFinished(() => clearInterval(lease));
  const words = ["-P", String(front.pid), "-f", "daemon/runner.js"];
  const runner = Number(execFileSync("pgrep", words, { encoding: "utf8" }));
  const before = heldBytes(runner);
  const head = {
    kind: "shell",
    run: "a@1",
    pipeline: "a",
    step: "it",
    attempt: 1,
    isolated: false,
    gracePeriodMs: 100,
  };
  const body = JSON.stringify({
    kind: "shell",
    text: `yes "$(printf '%099d' 0)" | head -n ${LINES}`,
    shell: ["/bin/sh", "-eu"],
    cwd: "",
    params: {},
    inputs: {},
    run: { id: "a@1", pipeline: "a", attempt: 1 },
    step: "it",
    env: {},
    gracePeriodMs: 100,
  });
  say(Array.from({ length: SHELLS }, (_, n) => ({ type: "start", id: `a@1#${n}`, head, body })));
  await pause(6_000);
  const grown = Math.round((heldBytes(runner) - before) / MiB);
  front.stdout.resume();
  const count = (what: string): number => text.split(what).length - 1;
  // Of each end: its id, its value, its duration, and when it started.
  const end = /"a@1#\d+","(?:[^"\\]|\\.)*",[\d.]+,\d+/g;
  const ends = (): number => [...text.matchAll(end)].length;
  await vi.waitFor(() => expect(ends()).toBe(SHELLS), { timeout: 40_000 });
  expect(count("0".repeat(99))).toBe(SHELLS * LINES);
  expect(grown).toBeLessThan(ROOM_MIB);
}, 90_000);
