/** `orchd page` as a process: what it prints, how it ends, what it writes, what it holds. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { orchd, orchdProgram } from "../support/daemon.ts";
import { madeUpRoot } from "../support/made-up-root.ts";
import { tempRoot } from "../support/temp-root.ts";
import { openEvents } from "./event-client.ts";

interface Started {
  readonly child: ChildProcess;
  /** The first line of stdout. */
  readonly line: string;
  readonly ended: Promise<number | null>;
}

async function start(
  root: string,
  words: readonly string[],
  through: readonly string[] = [],
): Promise<Started> {
  const [program, ...before] = [...through, process.execPath];
  const child = spawn(program, [...before, orchdProgram, "page", ...words], {
    cwd: root,
    env: { ...process.env, ORCHD_ROOT: root },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  let said = "";
  child.stderr.on("data", (part) => (said += String(part)));
  const line = await new Promise<string>((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (part) => {
      text += String(part);
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
    void ended.then((code) => reject(new Error(`it ended with ${code}: ${said}`)));
  });
  return { child, line, ended };
}

interface Address {
  readonly url: string;
  readonly socket: string | null;
  readonly token: string | null;
}

function ask(where: object, path: string, method = "GET", body = ""): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const asking = request({ ...where, path, method, agent: false }, (response) => {
      let text = "";
      response.on("data", (part) => (text += String(part)));
      response.on("end", () => resolve([response.statusCode ?? 0, text]));
    });
    asking.on("error", reject).end(body);
  });
}

it("prints where it is, shows what the command shows, and ends, streams too", async () => {
  const { root, runs } = madeUpRoot();
  const page = await start(root, []);
  const socketPath = join(runs, ".orchd/page.sock");
  expect(page.line).toBe(`page: unix:${socketPath}`);
  const [status, text] = await ask({ socketPath }, "/api/v1/status");
  const command = await orchd(root, "status", "--json");
  // A moment passes between the two: what fires next may be another slot.
  const plain = (json: string): unknown =>
    JSON.parse(json, (key, value: unknown) => (key === "nextFire" ? undefined : value));
  expect([status, plain(text)]).toEqual([200, plain(command.stdout)]);
  const again = await orchd(root, "page");
  expect([again.status, again.stdout]).toEqual([1, ""]);
  expect(again.stderr).toMatch(
    /^orchd: a page serves on .*page\.sock already; end it first.*\.\n$/,
  );
  const stream = await openEvents({ socketPath }, "/api/v1/events", {});
  page.child.kill("SIGTERM");
  // It waits for nobody: the stream would go on for ever.
  expect(await page.ended).toBe(0);
  await stream.ended;
  expect(existsSync(socketPath)).toBe(false);
});

it("takes the place of one that was killed, and says so", async () => {
  const { root, runs } = madeUpRoot();
  const first = await start(root, []);
  first.child.kill("SIGKILL");
  await first.ended;
  const socketPath = join(runs, ".orchd/page.sock");
  expect(existsSync(socketPath)).toBe(true);
  const second = await start(root, ["--json"]);
  expect(JSON.parse(second.line)).toEqual({
    url: `unix:${socketPath}`,
    socket: socketPath,
    token: null,
  });
  expect((await ask({ socketPath }, "/healthz"))[0]).toBe(200);
});

it.each([
  [["--listen", "0.0.0.0:0"], 2, /can be reached from other machines/],
  [["--listen", "here"], 2, /--listen: "here" is no address; write HOST:PORT/],
  [["--listen", "127.0.0.1:70000"], 2, /is no address/],
  [["--listen", `unix:/tmp/${"x".repeat(120)}`], 2, /at most 107 bytes/],
  [["--listen", "unix:/proc/page.sock"], 1, /cannot be made|may not make/],
  [["--listen", "127.0.0.1:0", "--base", "../x"], 2, /--base: "..\/x" is no path/],
  [["--listen", "127.0.0.1:0", "--token-file", "nowhere"], 2, /cannot be read \(ENOENT\)/],
  [["--listen", "127.0.0.1:0", "--token-file", "open"], 2, /every user of this machine may open/],
  [["--lisen", "x"], 2, /did you mean "--listen"/],
])("%j ends with %i and a sentence", async (words, status, sentence) => {
  const { root } = tempRoot({ open: "read 0123456789abcdef\n" });
  mkdirSync(join(root, "runs"), { recursive: true });
  const ended = await orchd(root, "page", ...words);
  expect([ended.status, ended.stdout]).toEqual([status, ""]);
  expect(ended.stderr).toMatch(sentence);
  expect(ended.stderr.trimEnd().split("\n")).toHaveLength(1);
});

it.runIf(existsSync("/usr/bin/strace"))(
  "writes request files and its socket's name, and nothing else",
  async () => {
    const { root, runs } = madeUpRoot();
    // A daemon makes it, before any page.
    mkdirSync(join(runs, ".orchd"), { recursive: true });
    const trace = join(root, "trace");
    const calls =
      "trace=open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat," +
      "link,linkat,symlink,symlinkat,truncate,ftruncate,bind,chmod,fchmod,fchmodat,mknod,mknodat";
    const page = await start(
      root,
      ["--allow-requests"],
      ["strace", "-f", "-y", "-s", "4096", "-o", trace, "-e", calls],
    );
    const socketPath = join(runs, ".orchd/page.sock");
    const stream = await openEvents({ socketPath }, "/api/v1/events?from=start", {});
    await stream.until(3);
    for (const path of ["status", "overview", "runs", "slots", "next", "requests", "openapi.json"])
      expect((await ask({ socketPath }, `/api/v1/${path}`))[0]).toBe(200);
    expect((await ask({ socketPath }, "/metrics"))[0]).toBe(200);
    const body = JSON.stringify({ type: "pause", pipeline: "etl" });
    expect((await ask({ socketPath }, "/api/v1/requests", "POST", body))[0]).toBe(202);
    stream.close();
    const pid = Number(
      readFileSync(`/proc/${page.child.pid}/task/${page.child.pid}/children`, "utf8"),
    );
    process.kill(pid, "SIGTERM");
    expect(await page.ended).toBe(0);
    const allowed = [`${runs}/.orchd/requests`, `${runs}/.orchd/requests/`, socketPath];
    const writes = readFileSync(trace, "utf8")
      .split("\n")
      .filter((line) => /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|^\d+\s+(?!open)\w+\(/.test(line))
      .filter((line) => !/ = -1 E|unfinished \.\.\.>$|\+\+\+|---|\/dev\/null/.test(line))
      // A folder that is there already, and /proc, hold nothing of the root.
      .filter((line) => !/"\/proc\//.test(line));
    const others = writes.filter((line) => !allowed.some((path) => line.includes(path)));
    expect(others).toEqual([]);
    expect(writes.some((line) => line.includes(".orchd/requests/"))).toBe(true);
  },
  60_000,
);

it("works where no daemon ever was, and while the runs folder is away", async () => {
  const { root } = tempRoot();
  const page = await start(root, ["--listen", "127.0.0.1:0", "--json"]);
  const { url, token } = JSON.parse(page.line) as Address;
  const port = Number(new URL(url).port);
  const where = { host: "127.0.0.1", port, headers: { authorization: `Bearer ${token}` } };
  expect(await ask(where, "/api/v1/status")).toEqual([200, '{"daemon":null,"pipelines":[]}']);
  expect((await ask(where, "/readyz"))[0]).toBe(200);
  expect(existsSync(join(root, "runs/.orchd"))).toBe(false);
  // Root reads whatever has a mode. A file is no folder for anybody.
  rmSync(join(root, "runs"), { recursive: true, force: true });
  writeFileSync(join(root, "runs"), "");
  const [status, text] = await ask(where, "/api/v1/status");
  expect([status, JSON.parse(text)]).toMatchObject([500, { exitCode: 1 }]);
  expect(text).toMatch(/ENOTDIR: .*; name the folder of ledgers with --runs\.","exitCode"/);
  rmSync(join(root, "runs"));
  expect((await ask(where, "/api/v1/status"))[0]).toBe(200);
});
