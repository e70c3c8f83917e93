/**
 * Promise 24, a process between two programs: it has no environment then, and is found once it has
 * one. An end is told when it is gone. The processes are real; what /proc says of their
 * environments is held back.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { RunnerChild } from "../../src/places/local/runner-child.ts";
import { endByToken, killByToken } from "../../src/places/pool/kill-by-token.ts";
import * as environments from "../../src/places/pool/process-environment.ts";
import { LeftBehind } from "../../src/places/runner/left-behind.ts";
import { awaitSight } from "../support/await-event.ts";
import { processesWith } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const { BECOMING } = environments;
/** How often a process is seen without its environment. */
const hidden = vi.hoisted(() => new Map<number, number>());
/** What happens before a process is looked at. */
const beforeLook = vi.hoisted(() => new Map<number, () => void>());

vi.mock(import("../../src/places/pool/process-environment.ts"), async (original) => {
  const real = await original();
  return {
    ...real,
    environmentOf: (pid) => {
      beforeLook.get(pid)?.();
      beforeLook.delete(pid);
      const times = hidden.get(pid) ?? 0;
      if (times > 0) hidden.set(pid, times - 1);
      return times > 0 ? real.BECOMING : real.environmentOf(pid);
    },
  };
});

const word = (): string => `token-${Math.random().toString().slice(2)}`;

/** A process that carries the token, and how it ended. */
function carrier(
  token: string,
  [program, ...words]: readonly [string, ...string[]] = ["sleep", "60"],
): { readonly child: ChildProcess; readonly over: Promise<unknown[]> } {
  const child = spawn(program, words, {
    env: { ...process.env, ORCHD_RUNNER_TOKEN: `${token}/1` },
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return { child, over: once(child, "exit") };
}

/** Whether a process lives. */
function isThere(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}

it("ends what has no environment for a while", async () => {
  const token = word();
  const { child, over } = carrier(token);
  hidden.set(child.pid!, 20);
  expect(killByToken(token)).toBe(0);
  expect(await over).toEqual([null, "SIGKILL"]);
});

it("ends what has none for longer than seconds", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const token = word();
  const { child, over } = carrier(token);
  hidden.set(child.pid!, 120);
  killByToken(token);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(await over).toEqual([null, "SIGKILL"]);
});

it("ends what has none for a while beside one that is found at once", async () => {
  const token = word();
  const [one, other] = [carrier(token), carrier(token)];
  hidden.set(other.child.pid!, 20);
  expect(killByToken(token)).toBe(1);
  expect(await one.over).toEqual([null, "SIGKILL"]);
  expect(await other.over).toEqual([null, "SIGKILL"]);
});

it("ends what a step leaves that has none for a while", async () => {
  const [token, left] = [word(), new LeftBehind()];
  const mark = left.began(spawn("true").pid!);
  const { child, over } = carrier(token);
  hidden.set(child.pid!, 20);
  left.end(mark, `${token}/1`);
  expect(await over).toEqual([null, "SIGKILL"]);
});

it("ends what has none for a while beside one that never gets any", async () => {
  const token = word();
  const [own, other] = [carrier(token), carrier(word())];
  hidden.set(own.child.pid!, 20).set(other.child.pid!, 10_000);
  killByToken(token);
  expect(await own.over).toEqual([null, "SIGKILL"]);
  expect(other.child.signalCode).toBeNull();
});

it("leaves alone what turns out to be another's", async () => {
  const [token, neighbour] = [word(), word()];
  const [own, other] = [carrier(token), carrier(neighbour)];
  hidden.set(own.child.pid!, 20).set(other.child.pid!, 3);
  killByToken(token);
  expect(await own.over).toEqual([null, "SIGKILL"]);
  expect(other.child.signalCode).toBeNull();
});

it("waits until what has none for a while is gone, where an end is to be told", async () => {
  const token = word();
  const { child } = carrier(token);
  hidden.set(child.pid!, 5);
  expect(await endByToken(token)).toEqual({ ended: 1, areGone: true });
  expect(isThere(child.pid!)).toBe(false);
});

it("waits for none but those, and for none that never has one", async () => {
  const child = spawn("sleep", ["60"], { env: {} });
  onTestFinished(() => void child.kill("SIGKILL"));
  await vi.waitFor(() => expect(environments.environmentOf(child.pid!)).toBeUndefined());
  expect(await endByToken(word())).toEqual({ ended: 0, areGone: true });
  expect(isThere(child.pid!)).toBe(true);
});

it("comes before a runner's death is told", async () => {
  const { root } = tempRoot();
  const settings = { threads: 1, bundles: root, scratch: root, token: word() };
  let tell!: (isLeft: boolean) => void;
  const death = new Promise<boolean>((resolve) => (tell = resolve));
  const runner = new RunnerChild(settings, 7, false, {
    started: () => undefined,
    messages: () => undefined,
    stray: () => undefined,
    exit: () => tell(isThere(child.pid!)),
  });
  // One that ends before its first word is started again.
  await vi.waitFor(() => expect(runner.isUp).toBe(true), 15_000);
  const { child } = carrier(runner.token);
  hidden.set(child.pid!, 5);
  process.kill(runner.pid!, "SIGKILL");
  expect(await death).toBe(false);
});

it("ends what is forked while it looks, although its environment is cleared", async () => {
  const [token, mark] = [word(), `30.${Math.random().toString().slice(2, 12)}`];
  const text = `echo begun; for n in $(seq 300); do env -i setsid sleep ${mark} & done; wait`;
  const { child, over } = carrier(token, ["/bin/sh", "-c", text]);
  onTestFinished(() => {
    for (const pid of processesWith(mark)) process.kill(pid, "SIGKILL");
  });
  await once(child.stdout!, "data");
  killByToken(token);
  await over;
  await awaitSight(
    "/proc",
    () => (processesWith(mark).length === 0 ? true : undefined),
    () => `the end of ${processesWith(mark).length}`,
  );
});

it("ends what is forked after all were listed, by one that ends before its look", async () => {
  const [token, mark] = [word(), `60.${Math.random().toString().slice(2, 12)}`];
  const go = join(tempRoot().root, "go");
  execFileSync("mkfifo", [go]);
  const text = `read -r go <"${go}"; setsid -f sleep ${mark} >/dev/null`;
  const { child, over } = carrier(token, ["/bin/sh", "-c", text]);
  beforeLook.set(child.pid!, () => {
    writeFileSync(go, "\n");
    while (isThere(child.pid!) || processesWith(mark).length === 0) continue;
  });
  expect(killByToken(token)).toBe(1);
  await over;
});

it("knows who never has one", async () => {
  const zombie = spawn("sh", ["-c", "sh -c 'echo $$' & exec sleep 60"], { stdio: "pipe" });
  onTestFinished(() => void zombie.kill("SIGKILL"));
  const [text] = (await once(zombie.stdout, "data")) as [Buffer];
  const pid = Number(text.toString());
  const isZombie = (): true | undefined =>
    /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "latin1")) ? true : undefined;
  await awaitSight("/proc", isZombie, "a zombie");
  expect(environments.environmentOf(pid)).toBeUndefined();
  // The kernel's own, where it can be seen.
  expect(environments.environmentOf(2)).not.toBe(BECOMING);
  expect(environments.environmentOf(process.pid)).toContain("\0PATH=");
});
