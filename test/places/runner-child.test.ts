/**
 * A runner that this machine forks: what it is started with, what it may hold, how it is watched,
 * and in which words its end is told. The runner is real.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { expect, it, onTestFinished, vi } from "vitest";
import { localReport } from "../../src/places/local/local-report.ts";
import { RunnerChild } from "../../src/places/local/runner-child.ts";
import type { RunnerSettings } from "../../src/places/pool/protocol.ts";
import type { RunnerExit } from "../../src/places/pool/runner-process.ts";
import { awaitSight } from "../support/await-event.ts";
import { tempRoot } from "../support/temp-root.ts";

interface Forked {
  readonly child: RunnerChild;
  readonly over: Promise<RunnerExit>;
  readonly said: string[];
}

function fork(settings: Partial<RunnerSettings> = {}, alone = false): Forked {
  const { root } = tempRoot();
  const said: string[] = [];
  let tell: (exit: RunnerExit) => void;
  const over = new Promise<RunnerExit>((resolve) => (tell = resolve));
  const token = `child-${process.pid}-${Math.random().toString(36).slice(2)}`;
  const given = { threads: 3, bundles: root, scratch: root, token, ...settings };
  const child = new RunnerChild(given, 7, alone, {
    started: () => undefined,
    messages: () => undefined,
    stray: (_stream, lines) => void said.push(...lines),
    exit: (exit) => tell(exit),
  });
  onTestFinished(async () => {
    child.kill();
    await child.exited;
  });
  return { child, over, said };
}

const stateOf = (pid: number): string => textOf(pid, "stat").replace(/^.*\) /s, "")[0]!;

const textOf = (pid: number, name: string): string =>
  readFileSync(`/proc/${pid}/${name}`, "latin1").replaceAll("\0", "\n");

const OWN = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"];

it("gets the daemon's environment, but not what is the daemon's alone", async () => {
  for (const name of [...OWN, "LISTEN_FDNAMES", "KEPT_BY_THE_RUNNER"]) vi.stubEnv(name, "1");
  onTestFinished(() => void vi.unstubAllEnvs());
  const { child } = fork();
  const { pid } = child;
  const environment = await awaitSight(
    "/proc",
    () => {
      const text = textOf(pid!, "environ");
      return text.includes("ORCHD_RUNNER_TOKEN") ? `\n${text}` : undefined;
    },
    "its environment",
  );
  for (const name of [...OWN, "LISTEN_FDNAMES"]) expect(environment).not.toContain(`\n${name}=`);
  expect(environment).toContain("\nKEPT_BY_THE_RUNNER=1\n");
  expect(environment).toContain(`\nORCHD_RUNNER_TOKEN=${child.token}\n`);
  expect(child.token).toMatch(/^child-.*\.7$/);
});

it.each([
  [undefined, 3, "4"],
  [undefined, 9, "9"],
  ["5", 9, "5"],
])("with UV_THREADPOOL_SIZE %s and %i threads it has %s of libuv's", async (set, threads, has) => {
  vi.stubEnv("UV_THREADPOOL_SIZE", set);
  onTestFinished(() => void vi.unstubAllEnvs());
  const { child } = fork({ threads });
  await awaitSight(
    "/proc",
    () =>
      `\n${textOf(child.pid!, "environ")}`.includes(`\nUV_THREADPOOL_SIZE=${has}\n`) || undefined,
    "its environment",
  );
});

it.each([
  [false, 3],
  [true, 1],
])("alone: %s, it starts %i threads at most", async (alone, threads) => {
  const { child } = fork({}, alone);
  await awaitSight(
    "/proc",
    () => textOf(child.pid!, "cmdline").includes(`"threads":${threads}`) || undefined,
    "its words",
  );
  expect(child.alone).toBe(alone);
});

it("that holds more than it may is ended, and told as out of memory", async () => {
  const { over } = fork({ memoryMb: 35 });
  const { detail, outOfMemory } = await over;
  expect(detail).toMatch(/^held \d+ MiB and may hold 35 \(runner\.memoryMb in orchd\.yaml\)$/);
  expect(outOfMemory).toBe(true);
});

it("that stands still is ended after half a minute without an answer", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  onTestFinished(() => void vi.useRealTimers());
  const { child, over } = fork();
  await vi.waitUntil(() => child.isUp, 20_000);
  process.kill(child.pid!, "SIGSTOP");
  let isOver = false;
  void over.then(() => (isOver = true));
  vi.advanceTimersByTime(30_000);
  expect(child.pid).toBeDefined();
  expect(isOver).toBe(false);
  vi.advanceTimersByTime(5_000);
  expect(await over).toEqual({ detail: "did not answer for 30 s", outOfMemory: false });
});

it("lives on where it answers after each time that it stood still for long", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  onTestFinished(() => void vi.useRealTimers());
  const { child, over } = fork();
  await vi.waitUntil(() => child.isUp, 20_000);
  let exit: unknown;
  void over.then((given) => (exit = given));
  for (let times = 0; times < 3; times += 1) {
    process.kill(child.pid!, "SIGSTOP");
    vi.advanceTimersByTime(25_000);
    child.ask();
    process.kill(child.pid!, "SIGCONT");
    const answers = (): boolean => child.lives && stateOf(child.pid!) === "S";
    await vi.waitUntil(() => exit !== undefined || answers(), 20_000);
    expect(exit).toBeUndefined();
  }
});

it("gives a sign of life where it is asked, and none as it stands still", async () => {
  const { child } = fork();
  await vi.waitUntil(() => child.isUp, 20_000);
  const { pid } = child;
  process.kill(pid!, "SIGSTOP");
  const stands = (): true | undefined => (stateOf(pid!) === "T" ? true : undefined);
  await awaitSight("/proc", stands, "its rest");
  child.ask();
  expect(child.lives).toBe(false);
  process.kill(pid!, "SIGCONT");
  const rests = (): true | undefined => (stateOf(pid!) === "S" && child.lives ? true : undefined);
  await awaitSight("/proc", rests, "its sign of life");
});

it("counts as alive while its main thread works", async () => {
  const { root, write } = tempRoot();
  write("busy.cjs", "const end = Date.now() + 600_000; while (Date.now() < end);");
  vi.stubEnv("NODE_OPTIONS", `--require=${root}/busy.cjs`);
  onTestFinished(() => void vi.unstubAllEnvs());
  const { child } = fork();
  child.ask();
  const works = (): true | undefined => (child.lives ? true : undefined);
  await awaitSight("/proc", works, "its work");
  expect(child.isUp).toBe(false);
});

it.each([
  ["SIGKILL", { detail: "was ended by SIGKILL", outOfMemory: false }],
  ["SIGABRT", { detail: "was ended by SIGABRT", outOfMemory: false }],
] as const)("that %s ends is told so", async (signal, exit) => {
  const { child, over } = fork();
  await vi.waitUntil(() => child.isUp, 20_000);
  process.kill(child.pid!, signal);
  expect(await over).toEqual(exit);
  expect([child.pid, child.open]).toEqual([undefined, false]);
});

it.each(["FATAL ERROR: JavaScript heap out of memory", "Array buffer allocation failed"])(
  "whose last words are %s ran out of memory, whatever signal ended it",
  async (words) => {
    const { write } = tempRoot();
    const text = JSON.stringify(`${words}\n`);
    const last = `require("fs").writeSync(2, ${text}); process.kill(process.pid, "SIGABRT");`;
    vi.stubEnv("NODE_OPTIONS", `--require ${write("last.cjs", last)}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    const { over, said } = fork();
    expect(await over).toEqual({ detail: "ran out of memory", outOfMemory: true });
    expect(said).toContain(words);
  },
);

it("sends nothing after its end, and ends once", async () => {
  const { child, over } = fork();
  child.kill();
  child.kill();
  await over;
  child.send({ type: "expect", run: "p@1" });
  child.settle(["a"]);
  await child.close();
  expect(child.open).toBe(false);
});

it("the machine's own place has its name as its label, and its threads", () => {
  expect(localReport(8)).toEqual({
    place: "local",
    engine: "local",
    labels: ["local"],
    hosts: [
      {
        host: hostname(),
        labels: [],
        threads: 8,
        node: process.versions.node,
        platform: `${process.platform}/${process.arch}`,
      },
    ],
  });
});

it("that cannot be started is told so, and takes nothing", async () => {
  const { execPath } = process;
  onTestFinished(() => void (process.execPath = execPath));
  process.execPath = "/nowhere/node";
  const { child, over } = fork();
  expect(await over).toEqual({ detail: "could not be started", outOfMemory: false });
  expect([child.pid, child.open]).toEqual([undefined, false]);
});
