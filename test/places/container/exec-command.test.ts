/** The words that run a step in a container that runs already, and what its programs do. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { RunningContainer } from "../../../src/core/container.ts";
import {
  endWords,
  execWords,
  foundBy,
  GO,
  readyIn,
} from "../../../src/places/container/exec-command.ts";
import { awaitEnd } from "../../support/process-end.ts";
import { onTestFinished } from "../../support/running-test.ts";
import { tempRoot } from "../../support/temp-root.ts";

const PLAIN: RunningContainer = { exec: "box" };
const NONE = { variables: { words: [], file: "", env: {} }, envFile: undefined };
/** A shell's program is long: its place says enough. */
const short = (words: readonly string[]): string[] =>
  words.map((word) => (word.includes("\n") ? "PROGRAM" : word));

it("are those of the engine, of the step, and of the program that begins it", () => {
  expect(short(execWords(PLAIN, "t", ["/bin/sh", "-c", "x"], NONE))).toEqual([
    "exec",
    "--interactive",
    "box",
    ..."/bin/sh -c PROGRAM orchd-step t /bin/sh -c x".split(" "),
  ]);
  const variables = { words: ["--env=A"], file: "", env: { A: "1" } };
  const all = { ...PLAIN, user: "me", workdir: "/w" };
  expect(short(execWords(all, "t", ["x"], { variables, envFile: "/e" }))).toEqual([
    ..."exec --interactive --user=me --workdir=/w --env-file=/e --env=A box".split(" "),
    ..."/bin/sh -c PROGRAM orchd-step t x".split(" "),
  ]);
});

it("end what has a token, as the user that it has, with the first program or without", () => {
  const mark = { container: "box", token: "t" };
  expect(short(endWords(mark, "TERM", false))).toEqual([
    ..."exec box /bin/sh -c PROGRAM orchd-end TERM".split(" "),
    "",
    "",
    "t",
    "",
  ]);
  const all = { ...mark, user: "me", boot: ["7", "99"] as const };
  expect(short(endWords(all, "KILL", true))).toEqual(
    "exec --user=me box /bin/sh -c PROGRAM orchd-end KILL 7 99 t also".split(" "),
  );
});

it.each([
  ["", undefined],
  ["rest:\n", 0],
  ["noise\nrest: 12 13\n", 2],
])("%j tells of %j that were found", (stdout, count) => {
  expect(foundBy(stdout)).toBe(count);
});

it.each([
  ["orchd-ready 12 345\r\n", ["12", "345"]],
  // Without /proc nobody knows when it began, and nothing that it leaves could be found.
  ["orchd-ready 12 \n", undefined],
  ["orchd-ready x 1", undefined],
  [" orchd-ready 1 1", undefined],
])("%j says who is there: %j", (line, boot) => {
  expect(readyIn(line)).toEqual(boot);
});

/** The words of `exec` without the engine: the program runs here. */
function here(words: readonly string[]) {
  const child = spawn("/bin/sh", words.slice(words.indexOf("/bin/sh") + 1), {
    stdio: ["pipe", "pipe", "ignore"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  const line = async (): Promise<string> => {
    while (!said.includes("\n")) await once(child.stdout, "data");
    return said.slice(0, said.indexOf("\n"));
  };
  const up = async (): Promise<void> => {
    while (!said.includes("up\n")) await once(child.stdout, "data");
  };
  const end = once(child, "close").then(([status]) => ({ status: status as number, said }));
  return { child, line, up, end };
}
const token = `exec-command-${process.pid}`;

it("nothing begins before it is told to, and not where stdin ends", async () => {
  const step = here(execWords(PLAIN, `${token}-a`, ["/bin/sh", "-c", "echo begun"], NONE));
  expect(readyIn(await step.line())?.[0]).toBe(String(step.child.pid));
  step.child.stdin.end();
  const { status, said } = await step.end;
  expect([status, said.includes("begun")]).toEqual([0, false]);
});

it("nothing begins where there is no /proc, and the reason is told", async () => {
  const words = execWords(PLAIN, `${token}-p`, ["/bin/sh", "-c", "echo begun"], NONE);
  const hidden = words.map((word) => word.replaceAll("/proc/", "/no-proc/"));
  const child = spawn("/bin/sh", hidden.slice(hidden.indexOf("/bin/sh") + 1));
  onTestFinished(() => void child.kill("SIGKILL"));
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  const [status] = await once(child, "close");
  expect([status, said]).toEqual([
    1,
    "it shows no /proc, without which what a step leaves cannot be ended: mount one\n",
  ]);
});

it.each([
  ["ends", "sleep 600 &"],
  ["is deaf to TERM", "(trap '' TERM; exec sleep 600) &"],
])("ends with the step's status, and ends what the step left that %s", async (_, left) => {
  const script = ["/bin/sh", "-c", `${left} echo left $!; exit 7`] as const;
  const step = here(execWords(PLAIN, `${token}-b`, script, NONE));
  await step.line();
  step.child.stdin.write(GO);
  const { status, said } = await step.end;
  expect(status).toBe(7);
  const pid = Number(/left (\d+)/.exec(said)![1]);
  await awaitEnd(pid);
});

it("a step reads the end of its input at once: what tells it to begin is not for it", async () => {
  const script = ["/bin/sh", "-c", "echo reads $(readlink /proc/self/fd/0); cat"] as const;
  const step = here(execWords(PLAIN, `${token}-i`, script, NONE));
  await step.line();
  step.child.stdin.write(`${GO}more\n`);
  await once(step.child.stdout, "data");
  step.child.stdin.end();
  const { status, said } = await step.end;
  expect([status, said.split("\n").slice(1)]).toEqual([0, ["reads /dev/null", ""]]);
});

it("a signal reaches all of an attempt, and of no other", async () => {
  const script = [
    "/bin/sh",
    "-c",
    "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.05; done",
  ] as const;
  const [own, other] = ["-c", "-d"].map((name) =>
    here(execWords(PLAIN, token + name, script, NONE)),
  );
  // The one that no signal reached goes on, whatever becomes of the process that began it.
  onTestFinished(async () => {
    await here(endWords({ container: "box", token: `${token}-d` }, "KILL", false)).end;
  });
  for (const step of [own!, other!]) {
    await step.line();
    step.child.stdin.write(GO);
    await step.up();
  }
  const boot = readyIn(await own!.line());
  const sent = here(endWords({ container: "box", token: `${token}-c`, boot }, "TERM", false));
  expect(foundBy((await sent.end).said)).toBeGreaterThan(0);
  const { status, said } = await own!.end;
  expect([status, said.includes("told")]).toEqual([3, true]);
  expect(other!.child.exitCode).toBeNull();
});

it("ends what is forked after all were listed, by one that ends before its look", async () => {
  const { root } = tempRoot();
  const own = spawn("sleep", ["600"], { stdio: "ignore" });
  onTestFinished(() => void own.kill("SIGKILL"));
  const over = once(own, "exit");
  // The list has one process. It lasts until that is read, and then there is another one.
  mkdirSync(join(root, "1"));
  const first = join(root, "1", "environ");
  execFileSync("mkfifo", [first]);
  const words = endWords({ container: "box", token: `${token}-f` }, "KILL", false);
  const played = words.map((text) => text.replaceAll("/proc/", `${root}/`));
  const look = here(played);
  const read = await open(first, "w");
  mkdirSync(join(root, String(own.pid)));
  writeFileSync(join(root, String(own.pid), "stat"), `${own.pid} (sleep) S 1 1 1\n`);
  writeFileSync(join(root, String(own.pid), "environ"), `ORCHD_RUNNER_TOKEN=${token}-f\0`);
  rmSync(join(root, "1"), { recursive: true });
  await read.close();
  expect(await look.end).toEqual({ status: 0, said: `rest: ${own.pid}\n` });
  expect(await over).toEqual([null, "SIGKILL"]);
});
