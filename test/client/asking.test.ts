/** What a client and a command say of each thing that can come of a request. */
import { expect, it, vi } from "vitest";
import { askDaemon } from "../../src/cli/ask.ts";
import { Arguments } from "../../src/cli/arguments.ts";
import type { CommandContext } from "../../src/cli/command.ts";
import { guarded } from "../../src/cli/entry.ts";
import { answerOf, askDaemonOf } from "../../src/client/asking.ts";
import type { Answer } from "../../src/ledger/ask.ts";
import type { WorkSign } from "../../src/ledger/work-sign.ts";
import { ToldTerminal } from "../support/told-terminal.ts";

let answer: Answer;
const signs: WorkSign[] = [];
const asked: unknown[] = [];
vi.mock("../../src/ledger/ask.ts", () => ({
  ask: (
    runs: string,
    request: unknown,
    _clock: unknown,
    onWork: ((sign: WorkSign, id: string) => void) | undefined,
  ): Promise<Answer> => {
    asked.push(runs, request);
    for (const sign of signs) onWork?.(sign, "r");
    return Promise.resolve(answer);
  },
  daemonRuns: () => false,
}));

const QUESTION = { type: "pause", pipeline: "p" } as const;
const unwritten = (code: string, syscall = "open"): Answer => ({
  kind: "unwritten",
  error: Object.assign(new Error(`${code}: no`), { code, syscall, path: "/runs/x" }),
});
const client = (): Promise<unknown> =>
  askDaemonOf("/runs", QUESTION, { by: "client" }).catch((error: unknown) => error);

it("an answer and a request that is kept are given as they are", async () => {
  answer = { kind: "answered", id: "r", reply: { accepted: true } };
  expect(await client()).toEqual(answer);
  expect(answerOf(answer)).toEqual({ request: "r", accepted: true });
  answer = { kind: "kept", id: "r" };
  expect(await client()).toEqual(answer);
  expect(answerOf(answer)).toEqual({ request: "r", accepted: null });
  expect(asked.at(-1)).toEqual({ ...QUESTION, by: expect.stringMatching(/^client:.+/) as string });
});

it("a daemon that is silent", async () => {
  answer = { kind: "silent", id: "r" };
  const message =
    "the daemon has not answered request r for a minute; it is kept and will be honoured. " +
    "See the daemon's log for what holds it up.";
  expect(await client()).toMatchObject({ name: "ClientError", code: "silent", message });
  expect(await commandError()).toMatchObject({ name: "CliError", status: 4, message });
});

it.each(["EACCES", "EPERM", "EROFS"])("a request that may not be written: %s", async (code) => {
  answer = unwritten(code);
  const help =
    code === "EROFS"
      ? "its file system is read-only: mount it for writing"
      : "run this as a user who may write /runs";
  const message = [
    `the request cannot be written (${code}: no); ${help}`,
    "or name another folder of ledgers.",
  ].join(", ");
  expect(await client()).toMatchObject({ name: "ClientError", code: "forbidden", message });
  expect(await commandError()).toMatchObject({ name: "CliError", status: 1, message });
});

it.each([
  ["ENOSPC", "open"],
  ["EIO", "write"],
  ["EACCES", "mkdir"],
])("a request that cannot be written for another reason: %s of %s", async (code, syscall) => {
  answer = unwritten(code, syscall);
  expect(await client()).toBe((answer as { error: unknown }).error);
  expect(await commandError()).toBe((answer as { error: unknown }).error);
});

it("a daemon at work is told of once, with what it is at", async () => {
  answer = { kind: "kept", id: "r" };
  const own = { waiting: 3, underWay: ["r"] } as unknown as WorkSign;
  const another = { waiting: 1, underWay: ["q"] } as unknown as WorkSign;
  const goesOn = "it goes on with request r if this command is interrupted.";
  const told = async (...given: WorkSign[]): Promise<string[]> => {
    signs.splice(0, signs.length, ...given);
    const terminal = new ToldTerminal();
    await askDaemon(contextOf(terminal), QUESTION);
    return terminal.notes;
  };
  expect(await told()).toEqual([]);
  expect(await told(own, another, own)).toEqual([`the daemon is at work on it; ${goesOn}`]);
  expect(await told(another, own)).toEqual([
    `the daemon is at work on other requests, 1 request wait; ${goesOn}`,
  ]);
  signs.length = 0;
});

it.each<[object, RegExp]>([
  [{ code: "EMFILE" }, /raise the limit \(ulimit -n 1024/],
  [{ code: "ENFILE" }, /raise the limit \(ulimit -n 1024/],
  [
    { code: "EROFS" },
    /^orchd: no; its file system is read-only: mount it for writing, or name another folder/,
  ],
  [{ code: "ENOSPC" }, /^orchd: no; make room on that disk/],
  [{ code: "EDQUOT" }, /^orchd: no; make room on that disk/],
  [{ code: "EACCES" }, /^orchd: no; run the command as a user who may/],
  [{ code: "EPERM" }, /^orchd: no; run the command as a user who may/],
  [{ code: "EIO" }, /^orchd: no; the disk reports a fault/],
  [{ code: "EXDEV", syscall: "link" }, /^orchd: no\n$/],
  [{ code: "EPERM", syscall: "link" }, /^orchd: no; its file system has no hard links/],
  [{ code: "ENOTSUP", syscall: "link" }, /^orchd: no; its file system has no hard links/],
  [{ code: "EOPNOTSUPP", syscall: "link" }, /; name a folder on another one with --runs\.$|links/],
  [{ code: "ENOSYS", syscall: "link" }, /^orchd: no; its file system has no hard links/],
  [{}, /^orchd: no\n$/],
])("what goes wrong with %j is one sentence and exit status 1", async (more, said) => {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const failed = guarded(() => Promise.reject(Object.assign(new Error("no"), more)));
    expect(await failed).toBe(1);
    expect(write.mock.calls.map(([text]) => String(text)).join("")).toMatch(said);
  } finally {
    write.mockRestore();
  }
});

function contextOf(terminal: ToldTerminal): CommandContext {
  const roots = { root: "/", schedules: "/schedules", runs: "/runs" };
  return { args: new Arguments({}), roots, terminal: terminal.it } as unknown as CommandContext;
}

async function commandError(): Promise<unknown> {
  return askDaemon(contextOf(new ToldTerminal()), QUESTION).catch((error: unknown) => error);
}
