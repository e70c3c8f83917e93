/**
 * A runner behind stdin and stdout, beside far sides that break every rule: they are shell texts,
 * so each says exactly what it is told to.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it, vi } from "vitest";
import { systemClock, type Clock } from "../../src/clock.ts";
import { builtProgram } from "../../src/disk/built-program.ts";
import type { FromRunner } from "../../src/places/pool/protocol.ts";
import type { RunnerExit } from "../../src/places/pool/runner-process.ts";
import type { StreamPlace } from "../../src/places/pool/stream-place.ts";
import { StreamRunner } from "../../src/places/pool/stream-runner.ts";
import { LONGEST_LINE, PATIENCE_MS, WIRE_PROTOCOL } from "../../src/places/pool/wire.ts";
import { expect, onTestFinished } from "../support/running-test.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const say = (value: object): string => `echo '${JSON.stringify(value)}'\n`;
const hello = (protocol = WIRE_PROTOCOL): string =>
  say({ type: "hello", protocol, version: "9.9.9", node: "20.1.0", platform: "linux/x64" });
const GREETING = hello() + say({ type: "ready", folder: "/nowhere" });
const TASK = {
  kind: "shell",
  shell: ["/bin/sh"],
  cwd: "",
  text: "true",
  params: {},
  inputs: {},
  run: { id: "a@1", pipeline: "a", attempt: 1 },
  step: "it",
  env: {},
  gracePeriodMs: 100,
} as const;

const doneWith = (result: object): object => ({ type: "done", id: "a@1#2", result, durationMs: 1 });

interface Far {
  readonly runner: StreamRunner;
  readonly exited: Promise<RunnerExit>;
  readonly heard: FromRunner[];
  readonly stray: { lines: number };
}

/** Starts a far side that is this shell text. */
function far(text: string, more: Partial<StreamPlace> = {}, clock: Clock = systemClock): Far {
  const heard: FromRunner[] = [];
  const stray = { lines: 0 };
  let exit!: (exit: RunnerExit) => void;
  const exited = new Promise<RunnerExit>((resolve) => (exit = resolve));
  const place: StreamPlace = {
    clock,
    where: "on gpu1",
    command: () => ({ words: ["/bin/sh", "-c", text] }),
    end: () => Promise.resolve({}),
    ...more,
  };
  const settings = { threads: 1, bundles: tempRoot().root, scratch: "", token: "stream-test" };
  const runner = new StreamRunner(place, settings, 1, false, {
    started: () => undefined,
    messages: (batch) => heard.push(...batch),
    stray: (_stream, lines) => void (stray.lines += lines.length),
    exit,
  });
  onTestFinished(() => runner.kill());
  return { runner, exited, heard, stray };
}

/** Gives it a shell task. It need not begin it. */
function give({ runner }: Far, id: string): void {
  runner.send({ type: "start", id, task: { ...TASK, artifacts: "/nowhere" } });
}

describe.concurrent("a runner behind stdin and stdout ends a far side that", () => {
  const cases: readonly (readonly [what: string, text: string, sentence: RegExp])[] = [
    [
      "sends what is no message",
      `${GREETING}echo 'what is this'; sleep 30`,
      /^on gpu1 sent what is no message: what is this$/,
    ],
    [
      "sends a result of no shape",
      `${GREETING}${say([doneWith({ ok: true })])}sleep 30`,
      /sent what is no message/,
    ],
    [
      "sends a result whose text is no JSON",
      `${GREETING}${say([doneWith({ ok: true, json: "{" })])}sleep 30`,
      /sent what is no message/,
    ],
    [
      "ends in the middle of a line",
      `${GREETING}printf '{"type":"be'; exit 3`,
      /^on gpu1 ended with status 3$/,
    ],
    [
      "speaks another protocol",
      `${hello(WIRE_PROTOCOL + 1)}sleep 30`,
      new RegExp(
        `^on gpu1 speaks protocol ${WIRE_PROTOCOL + 1} of orchd 9\\.9\\.9, ` +
          `and this daemon speaks ${WIRE_PROTOCOL}: install the same`,
      ),
    ],
    [
      "says much before its hello",
      "yes 'welcome to this machine' | head -c 1000000; sleep 30",
      /^on gpu1 says much, and not that it is one of orchd$/,
    ],
    ["closes its output", `${GREETING}exec >&-; sleep 30`, /^on gpu1 closed its output$/],
    [
      "cannot be reached",
      "echo 'ssh: no such host' >&2; exit 255",
      /^on gpu1 ended with status 255: ssh: no such host$/,
    ],
    ["was ended", `${GREETING}kill -9 $$`, /^on gpu1 was ended by SIGKILL$/],
  ];
  for (const [what, text, sentence] of cases)
    it(`${what}, with a sentence`, async () => {
      const subject = far(text);
      expect((await subject.exited).detail).toMatch(sentence);
      expect(subject.heard).toEqual([]);
    });

  it("cannot be started, with a sentence", async () => {
    const words = ["/no/such/program"] as const;
    const { exited } = far("", { command: () => ({ words }) });
    expect((await exited).detail).toMatch(/^on gpu1 could not be started: .*ENOENT/);
  });

  it("sends a line of a gigabyte, and keeps no more of it than a line may be", async () => {
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    const look = setInterval(() => {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }, 5);
    const { exited } = far(`${GREETING}head -c 1000000000 /dev/zero`);
    expect((await exited).detail).toBe("on gpu1 sent a line of more than 72 MiB");
    clearInterval(look);
    expect(most).toBeLessThan(2 * LONGEST_LINE);
  });
});

describe.concurrent("a runner behind stdin and stdout", () => {
  it("hears an `over` after half a line, and what it says", async () => {
    const over = say({ type: "over", detail: "ran out of memory", outOfMemory: true });
    const { exited } = far(`${GREETING}printf '{"type":"be\\n'; ${over}exit 86`);
    expect(await exited).toEqual({ detail: "ran out of memory", outOfMemory: true });
  });

  it("takes a banner before the hello, and stderr, for stray output", async () => {
    const { exited, stray } = far(`echo welcome; echo careful >&2; ${GREETING}exit 86`);
    await exited;
    expect(stray.lines).toBe(2);
  });

  it("takes nothing of tasks that it does not have", async () => {
    const done = { type: "done", id: "b@1#2", result: { ok: true, json: "1" }, durationMs: 1 };
    const piece = { type: "piece", id: "b@1#2", file: 0, data: "AAAA", last: true };
    const subject = far(`${GREETING}${say([done])}${say(piece)}exit 86`);
    await subject.exited;
    expect(subject.heard).toEqual([]);
  });

  it("takes one end of a task, and no word after it", async () => {
    const done = { type: "done", id: "a@1#2", result: { ok: true, json: "1" }, durationMs: 1 };
    const output = { type: "output", id: "a@1#2", at: "", stream: "stdout", lines: ["late"] };
    const answers = `${say([done])}${say([done])}${say([output])}`;
    const subject = far(`read settings; ${GREETING}read task; ${answers}exit 86`);
    give(subject, "a@1#2");
    await subject.exited;
    expect(subject.heard).toMatchObject([{ type: "done", id: "a@1#2" }]);
  });

  it("refuses a result whose files are not what it says", async () => {
    const ref = { $artifact: "0".repeat(64), bytes: 3 };
    const staged = { value: ref, files: [{ ref, file: "/etc/passwd" }] };
    const done = { type: "done", id: "a@1#2", result: { ok: true, staged }, durationMs: 1 };
    const piece = { type: "piece", id: "a@1#2", file: 0, data: "AAAA", last: true };
    const answers = `${say(piece)}${say([done])}`;
    const subject = far(`read settings; ${GREETING}read task; ${answers}exit 86`);
    const task = { ...TASK, artifacts: tempRoot().root };
    subject.runner.send({ type: "start", id: "a@1#2", task });
    await subject.exited;
    const message = "its result did not arrive whole: run the step again";
    expect(subject.heard).toMatchObject([
      { type: "done", result: { ok: false, error: { message, code: "ORCHD_PLACE" } } },
    ]);
  });

  it("takes no more output of a task than an attempt may have, and short errors", async () => {
    const error = { name: "Error", message: "x".repeat(20_000) };
    const failed = doneWith({ ok: false, outcome: "failed", error });
    const subject = far(`read settings; ${GREETING}read task; ${say([failed])}sleep 30`);
    give(subject, "a@1#2");
    await vi.waitFor(() => expect(subject.heard).toHaveLength(1), { timeout: 20_000 });
    const [heard] = subject.heard as { result: { error: { message: string } } }[];
    expect(heard!.result.error.message).toHaveLength(8_192);
    const lines = ["y".repeat(1024 * 1024)];
    const output = say([{ type: "output", id: "a@1#2", at: "", stream: "stdout", lines }]);
    const script = join(tempRoot().root, "flood.sh");
    writeFileSync(script, `read settings; ${GREETING}read task; while :; do ${output} done`);
    const flooding = far(`exec /bin/sh ${script}`);
    give(flooding, "a@1#2");
    expect((await flooding.exited).detail).toBe("on gpu1 printed more than an attempt may");
    expect(flooding.heard.length).toBeLessThan(17);
  });

  it("reads a flood on stderr in rests, and lives on", async () => {
    const subject = far(`${GREETING}yes flood | head -c 60000000 >&2; exit 86`);
    expect((await subject.exited).detail).toBe("on gpu1 ended with status 86");
    expect(subject.stray.lines).toBeGreaterThan(1_000_000);
  });

  it("is given up once its lease is over for sure, and not before", async () => {
    const clock = new VirtualClock();
    const subject = far(`${GREETING}exit 1`, { end: () => Promise.resolve(undefined) }, clock);
    let exit: RunnerExit | undefined;
    void subject.exited.then((given) => (exit = given));
    while (subject.runner.open) await new Promise((resolve) => setTimeout(resolve, 10));
    await clock.advance(PATIENCE_MS - 1);
    expect(exit).toBeUndefined();
    await clock.advance(1);
    expect((await subject.exited).detail).toBe("on gpu1 ended with status 1");
  });

  it("is given up where it says nothing, though its command goes on", async () => {
    const clock = new VirtualClock();
    const answered = join(tempRoot().root, "answered");
    const beat = say({ type: "beat", number: 1 });
    const text = `read settings; ${GREETING}${beat}read beat; echo "$beat" > ${answered}; sleep 60`;
    const subject = far(text, {}, clock);
    await vi.waitFor(() => expect(readFileSync(answered, "utf8")).toBe(beat.slice(6, -2) + "\n"), {
      timeout: 20_000,
    });
    await clock.advance(PATIENCE_MS);
    expect((await subject.exited).detail).toBe("on gpu1 was not heard for 15 s");
  });

  it("lives on where it was heard, and only this side did not read it yet", async () => {
    const virtual = new VirtualClock();
    let outOfPatience: (() => void) | undefined;
    const clock: Clock = {
      now: () => virtual.now(),
      monotonic: () => performance.now(),
      random: () => virtual.random(),
      after(milliseconds, callback) {
        outOfPatience = callback;
        return virtual.after(milliseconds, callback);
      },
    };
    const { root } = tempRoot();
    const at = (name: string): string => join(root, name);
    const [up, go, said] = [at("up"), at("go"), at("said")];
    const beat = say({ type: "beat", number: 1 });
    const greets = `read settings; ${GREETING}${beat}read beat; : > ${up}`;
    const waits = `until [ -e ${go} ]; do sleep 0.01; done`;
    const subject = far(`${greets}; ${waits}; ${beat}: > ${said}; exec sleep 60`, {}, clock);
    let exit: RunnerExit | undefined;
    void subject.exited.then((given) => (exit = given));
    await vi.waitUntil(() => existsSync(up), { timeout: 20_000 });
    writeFileSync(go, "");
    while (!existsSync(said)) continue;
    outOfPatience!();
    // As long as it may take until what waits is read.
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(exit).toBeUndefined();
  });

  it("is waited for once, however often it is heard", async () => {
    const clock = new VirtualClock();
    const up = join(tempRoot().root, "up");
    const beat = say({ type: "beat", number: 1 });
    far(
      `read settings; ${GREETING}${beat.repeat(3)}read beat; read beat; : > ${up}; sleep 60`,
      {},
      clock,
    );
    await vi.waitUntil(() => existsSync(up), { timeout: 20_000 });
    expect(clock.timers).toBe(1);
  });

  it("gives a sign of life by a beat that it is asked for", async () => {
    const beat = say({ type: "beat", number: 1 });
    const asked = `until read line && [ "$line" = "[]" ]; do :; done; `;
    const { runner } = far(`read settings; ${GREETING}${asked}${beat}${asked}sleep 60`);
    const isAsked = (): void => {
      runner.ask();
      expect(runner.lives).toBe(false);
    };
    isAsked();
    const lives = async (): Promise<void> => {
      runner.ask();
      await vi.waitUntil(() => runner.lives, { timeout: 1_000, interval: 5 });
    };
    await vi.waitFor(lives, { timeout: 20_000 });
    isAsked();
  });

  it("of orchd answers each question with a beat at once", async () => {
    const lines: string[] = [];
    const command = spawn(process.execPath, [builtProgram("runner"), "--stdio"]);
    onTestFinished(() => void command.kill("SIGKILL"));
    const reader = createInterface(command.stdout);
    reader.on("line", (line) => lines.push(line));
    const beats = (): number => lines.filter((line) => line.includes('"beat"')).length;
    const token = `signs-${process.pid}`;
    const folder = tempRoot().root;
    const settings = { protocol: WIRE_PROTOCOL, threads: 1, token, folder };
    command.stdin.write(`${JSON.stringify(settings)}\n`);
    await expect.poll(beats, { timeout: 20_000 }).toBe(1);
    command.stdin.write("[]\n".repeat(20));
    // By itself it says 20 of them in 40 s.
    await expect.poll(beats, { timeout: 30_000 }).toBeGreaterThanOrEqual(21);
    command.stdin.end();
    await once(command, "exit");
  });

  it.each([
    ["ended with status 3", "exit 3"],
    ["was ended by SIGKILL", "kill -9 $$"],
    ["closed its output", "exec >&-; sleep 30"],
  ])(
    "that %s without a word is lost behind a link, and has died on this machine",
    async (how, text) => {
      const detail = `on gpu1 ${how}`;
      const [behindLink, local] = [far(GREETING + text), far(GREETING + text, { isLocal: true })];
      expect(await behindLink.exited).toEqual({ detail, outOfMemory: false, blameless: "lost" });
      expect(await local.exited).toEqual({ detail, outOfMemory: false });
    },
  );

  it("that never took a task has none to blame, on this machine too", async () => {
    const { exited } = far("exit 3", { isLocal: true });
    expect(await exited).toMatchObject({ blameless: "unbegun" });
  });

  it("that never took a task needs no lease to be over", async () => {
    const clock = new VirtualClock();
    const { exited } = far(`${hello()}exit 1`, { end: () => Promise.resolve(undefined) }, clock);
    expect((await exited).detail).toBe("on gpu1 ended with status 1");
  });
});
