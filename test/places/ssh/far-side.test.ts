/** What the package does on another machine: whose daemon is the newest, and what it may end. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { answerLine, mayBegin, runFarSide, takeHost } from "../../../src/places/ssh/far-side.ts";
import { WIRE_PROTOCOL } from "../../../src/places/pool/wire.ts";
import { placeToken } from "../../../src/places/ssh/place-token.ts";
import { VERSION } from "../../../src/version.ts";
import { onTestFinished } from "../../support/running-test.ts";
import { tempRoot } from "../../support/temp-root.ts";

let made = 0;
/** A root of another machine, as the daemons of these epochs see it. */
function farRoot() {
  const folder = tempRoot().root;
  const token = `orchd-far-${process.pid}-${(made += 1)}`;
  const at = join(folder, "roots", token);
  return {
    token,
    of: (epoch: number) => ({ folder, token, epoch }),
    /** What stands there: the newest epoch, and the package that is in use. */
    kept: () =>
      ["epoch", "package"].map((name) =>
        existsSync(join(at, name)) ? readFileSync(join(at, name), "utf8") : undefined,
      ),
    at,
  };
}

/** A process of a runner. */
function runner(token: string): {
  readonly child: ChildProcess;
  readonly over: Promise<unknown[]>;
} {
  const child = spawn("sleep", ["60"], {
    env: { ...process.env, ORCHD_RUNNER_TOKEN: token },
    stdio: "ignore",
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return { child, over: once(child, "exit") };
}

const KNOWN = { version: VERSION, protocol: WIRE_PROTOCOL };

it("the newest daemon takes the machine, and ends what earlier ones left", async () => {
  const { token, of, kept } = farRoot();
  expect(mayBegin(of(1))).toBe(false);
  expect(await takeHost(of(1), [token], "0.1.0-a")).toEqual({ ...KNOWN, ended: 0 });
  expect([mayBegin(of(1)), mayBegin(of(2)), kept()[0]]).toEqual([true, false, "1"]);
  const left = runner(`${token}.1.7`);
  expect(await takeHost(of(2), [token], "0.1.0-b")).toEqual({ ...KNOWN, ended: 1 });
  expect(await left.over).toEqual([null, "SIGKILL"]);
  expect([mayBegin(of(1)), mayBegin(of(2)), kept()[0]]).toEqual([false, true, "2"]);
});

it("a daemon that takes it again stays the newest, and its package is the one in use", async () => {
  const { of, at } = farRoot();
  await takeHost(of(3), [], "0.1.0-a");
  const before = readFileSync(join(at, "epoch"), "utf8");
  await takeHost(of(3), [], "0.1.0-b");
  expect(readFileSync(join(at, "epoch"), "utf8")).toBe(before);
  expect(mayBegin(of(3))).toBe(true);
});

it("an earlier daemon is told that it is over, and ends its own processes alone", async () => {
  const { token, of, kept } = farRoot();
  await takeHost(of(2), [], "0.1.0-b");
  const stood = kept();
  const [own, later, like] = [`${token}.1.4`, `${token}.2.1`, `${token}.11.1`].map(runner);
  expect(
    await takeHost(of(1), [token, `${token}.1.4`, `${token}.2.1`, `${token}.11.1`], "0"),
  ).toEqual({
    ...KNOWN,
    ended: 1,
    isOver: true,
    because: "a later daemon of the same root uses it",
  });
  expect(await own!.over).toEqual([null, "SIGKILL"]);
  expect([later!.child.exitCode, like!.child.exitCode]).toEqual([null, null]);
  expect([later!.child.signalCode, like!.child.signalCode]).toEqual([null, null]);
  // The later one keeps its epoch and its package.
  expect(kept()).toEqual(stood);
  expect([mayBegin(of(1)), mayBegin(of(2))]).toEqual([false, true]);
});

it("an answer is found among what a login prints", () => {
  expect(answerLine({ ...KNOWN, ended: 2 })).toMatch(
    /^\norchd-answer \{"version":.*"ended":2\}\n$/,
  );
});

it("a root's token is made once, is another for each place, and for each root", () => {
  const [one, other] = [tempRoot().root, tempRoot().root];
  const token = placeToken(one, "gpu1");
  expect(token).toMatch(/^orchd-far-[0-9a-f]{16}$/);
  expect(placeToken(one, "gpu1")).toBe(token);
  expect(placeToken(one, "gpu2")).not.toBe(token);
  expect(placeToken(other, "gpu1")).not.toBe(token);
  // What is no id is made anew, in a folder that may not be there yet.
  const folder = join(other, "state");
  const first = placeToken(folder, "a");
  writeFileSync(join(folder, "far-id"), "x\n");
  expect(placeToken(folder, "a")).not.toBe(first);
  mkdirSync(join(one, "far-id-is-a-folder/far-id"), { recursive: true });
  expect(() => placeToken(join(one, "far-id-is-a-folder"), "a")).toThrow(/EISDIR/);
  // Nor is one replaced that is there and cannot be read: another one would find nothing.
  const loop = join(one, "far-id-is-a-loop");
  mkdirSync(loop);
  symlinkSync("far-id", join(loop, "far-id"));
  expect(() => placeToken(loop, "a")).toThrow(/ELOOP/);
});

it.each<[string, readonly string[], string, readonly unknown[]]>([
  ["begins for the newest daemon", ["run", "FOLDER", "TOKEN", "2"], "", ["begins"]],
  [
    "begins not for an earlier one, and says so by its end",
    ["run", "FOLDER", "TOKEN", "1"],
    "a later daemon of the same root uses this machine\n",
    [1],
  ],
  [
    "is told what it is for where a person starts it",
    ["help"],
    "far-host.js is started by orchd: tidy, take or run\n",
    [2],
  ],
])("a runner over there %s", async (_name, words, says, does) => {
  const { token, of } = farRoot();
  await takeHost(of(2), [], "0.1.0-a");
  const { folder } = of(2);
  const did: unknown[] = [];
  let said = "";
  const write = vi.spyOn(process.stderr, "write").mockImplementation(((
    text: string,
    written: () => void,
  ) => {
    said += text;
    written();
    return true;
  }) as never);
  const exit = vi.spyOn(process, "exit").mockImplementation(((status: number) => {
    did.push(status);
  }) as never);
  onTestFinished(() => {
    write.mockRestore();
    exit.mockRestore();
  });
  const given = words.map((word) => ({ FOLDER: folder, TOKEN: token })[word] ?? word);
  const begin = (): Promise<void> => Promise.resolve(void did.push("begins"));
  await runFarSide(given, join(folder, "0.1.0-a", "far-host.js"), begin);
  expect([said, did]).toEqual([says, does]);
});
