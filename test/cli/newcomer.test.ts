/** What somebody meets in the first hour: each is told once, with what to do. */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readEpoch } from "../../src/ledger/daemon-info.ts";
import { awaitLine } from "../support/await-event.ts";
import { ask } from "../support/asked-command.ts";
import { orchd, orchdProgram, startDaemon } from "../support/daemon.ts";
import { header, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { runsOf } from "../support/ledgers.ts";
import { endedWithTest } from "../support/process-end.ts";
import { projectRoot, tempRoot } from "../support/temp-root.ts";

const FAILING = `steps:
  a: { run: "echo oops >&2; exit 3" }
  b: { run: "true", after: a }
  c: { run: "true", when: "1 == 2" }
`;

/**
 * Runs orchd on a pseudo-terminal of 80 columns, and types `keys` once it has printed `after`.
 * Gives all that the terminal got.
 */
async function onTerminal(
  root: string,
  words: readonly string[],
  keys = "",
  after = "\u001b[2J",
): Promise<string> {
  return atTerminal(root, [process.execPath, orchdProgram, ...words], keys, after);
}

async function atTerminal(
  root: string,
  words: readonly string[],
  keys: string,
  after: string,
  times = 1,
): Promise<string> {
  const program = `
import fcntl, os, pty, struct, sys, termios
keys, after, times = sys.argv[1].encode(), sys.argv[2].encode(), int(sys.argv[3])
pid, fd = pty.fork()
if pid == 0: os.execvp(sys.argv[4], sys.argv[4:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
seen = b""
while True:
    try: data = os.read(fd, 65536)
    except OSError: break
    if not data: break
    os.write(1, data)
    seen += data
    if keys and seen.count(after) >= times:
        os.write(fd, keys)
        keys = b""
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
  const child = endedWithTest(
    spawn("python3", ["-c", program, keys, after, String(times), ...words], {
      cwd: root,
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: root,
        TERM: "xterm",
        ORCHD_ROOT: root,
        NO_COLOR: "1",
      },
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const status = await new Promise((resolve) => child.on("close", resolve));
  return `${text.replaceAll("\r\n", "\n")}[${String(status)}]`;
}

describe("the documents", () => {
  it.each(["README.md", "docs/ledger.md", "runs/README.md"])(
    "%s: its line that follows all ledgers gives JSON to jq",
    async (document) => {
      const line = /^ {4}(tail -.*\| jq .*)$/m.exec(
        readFileSync(join(projectRoot, document), "utf8"),
      )![1]!;
      const { root, runs } = tempRoot();
      for (const name of ["p", "q"]) writePipeline(runs, name, [loaded("* * * * *")]);
      const sh = ["/bin/sh", "-c", line];
      const text = await atTerminal(root, sh, "\u0003", "pipeline.loaded", 2);
      expect(text.match(/"pipeline.loaded"/g)).toHaveLength(2);
      expect(text).not.toContain("error");
    },
  );

  it("docs/ledger.md: every recipe for jq runs on real ledgers", async () => {
    const { root } = tempRoot({
      "schedules/log-digest.yaml":
        'steps: { digest: { run: "echo x >&2; echo 5 > $ORCHD_OUTPUT" } }\n',
    });
    await orchd(root, "run", "log-digest", "--foreground");
    const [run] = runsOf(join(root, "runs"), "log-digest");
    const month = run!.path.split("/").at(-2)!;
    const recipes = readFileSync(join(projectRoot, "docs/ledger.md"), "utf8")
      .split("\n")
      .filter((line) => line.startsWith("    jq "))
      .map((line) => line.trim().replace("2026-11/RUN", `${month}/${run!.run}`));
    expect(recipes.length).toBeGreaterThan(4);
    for (const recipe of recipes) {
      const done = spawnSync("/bin/bash", ["-c", `set -o pipefail; ${recipe}`], { cwd: root });
      expect([recipe, done.status, String(done.stderr)]).toEqual([recipe, 0, ""]);
    }
  });
});

it("an editor finds the schema by a file's first line, and it is no pipeline", async () => {
  const { root, schedules } = tempRoot();
  const recipe = readFileSync(join(projectRoot, "docs/pipeline-files.md"), "utf8");
  expect(recipe).toContain("orchd schema > schedules/.pipeline.schema.json");
  const [, example] = /```yaml\n(# yaml-language-server: [^`]*)```/.exec(recipe)!;
  writeFileSync(join(schedules, "p.yaml"), example!);
  writeFileSync(join(schedules, ".pipeline.schema.json"), (await ask(root, "schema")).stdout);
  const done = await ask(root, "validate");
  expect(done).toMatchObject({ status: 0 });
  expect(done.stdout).toMatch(/^✓ \S*p\.yaml: p, 1 step, [^\n]*\n$/);
});

it("`orchd diff` gives the reason why a step was skipped", async () => {
  const { root, runs } = tempRoot();
  const [one, two] = ["p@20261123T020000Z", "p@20261123T030000Z"] as const;
  const skip = (because: string) => [{ type: "step.skipped", step: "a", because }];
  writeRun(runs, one, [header(one, { a: [] }), ...skip("its condition does not hold: 1 == 2")]);
  const changed = { a: [], b: [] };
  writeRun(runs, two, [header(two, changed), ...skip('upstream step "b" failed')]);
  const diff = await ask(root, "diff", one, two);
  expect(diff.stdout).toMatch(
    /a +skipped +skipped +no +skipped: upstream step "b" failed; was skipped: its condition/,
  );
  expect((await ask(root, "diff", one, two, "--json")).json()).toMatchObject({
    steps: [
      { because: 'upstream step "b" failed', skippedBefore: expect.anything() as string },
      {},
    ],
  });
});

it("the program alone says what there is", async () => {
  const { root } = tempRoot();
  const bare = await orchd(root);
  expect(bare).toMatchObject({ status: 0, stderr: "" });
  expect(bare.stdout).toContain("orchd start");
});

describe("the daemon", () => {
  it("makes nothing in a folder that is no project, and says what to do", async () => {
    const { root, schedules, runs } = tempRoot();
    rmSync(schedules, { recursive: true });
    rmSync(runs, { recursive: true, force: true });
    const refused = await orchd(root, "start");
    expect(refused).toMatchObject({ status: 2, stdout: "" });
    expect(refused.stderr).toContain(`there is no folder ${schedules}`);
    expect(refused.stderr).toContain("`orchd init");
    expect(existsSync(runs)).toBe(false);
  });

  it("names the variable and the words where its log's level is none", async () => {
    const { root, runs } = tempRoot();
    const refused = await orchd(root, "start", { env: { ORCHD_LOG_LEVEL: "loud" } });
    expect(refused).toMatchObject({ status: 2, stdout: "" });
    expect(refused.stderr).toMatch(/^orchd: ORCHD_LOG_LEVEL is "loud".*trace, debug, info, warn/);
    expect(existsSync(join(runs, ".orchd"))).toBe(false);
  });

  it("says in a sentence that it may open too few files", () => {
    const { root } = tempRoot({ "schedules/p.yaml": FAILING });
    for (const limit of [40, 100]) {
      const done = spawnSync(
        "/bin/sh",
        ["-c", `ulimit -n ${limit}; exec "${process.execPath}" "${orchdProgram}" start`],
        { cwd: root, encoding: "utf8" },
      );
      expect(done.status).toBe(1);
      expect(done.stderr.trim().split("\n")).toHaveLength(1);
      expect(done.stderr).toMatch(/may open (no further file|only 100 files).*ulimit -n 1024/);
    }
  });

  it("writes its log for people on a terminal, and lines if they are asked for", async () => {
    const { root } = tempRoot({ "schedules/p.yaml": FAILING });
    const forPeople = await onTerminal(root, ["start"], "\u0003", "ready");
    expect(forPeople).toMatch(/^\[\d\d:\d\d:\d\d\] .*INFO.*ready: 1 pipeline/m);
    expect(forPeople).toMatch(/\[0\]$/);
    const lines = await onTerminal(root, ["start", "--json"], "\u0003", "ready");
    expect(lines).toMatch(/^\{"level":"info".*"ready: 1 pipeline/m);
  });
});

describe("a run in the foreground that is refused", () => {
  it("is told, and its process ends with the lock given back", async () => {
    const { root, runs } = tempRoot({ "schedules/p.yaml": "steps: { a: { run: 7 } }\n" });
    const done = await orchd(root, "run", "p", "--foreground");
    expect([done.status, done.stderr]).toEqual([2, expect.stringContaining("steps.a.run")]);
    expect(readEpoch(join(runs, ".orchd"), 1)).toMatchObject({
      role: "foreground",
      released: true,
    });
  });
});

describe("a run that fails", () => {
  it("is told once where somebody waits for it, and in the list afterwards", async () => {
    const { root, schedules } = tempRoot({ "schedules/p.yaml": FAILING });
    const done = await orchd(root, "run", "p", "--foreground");
    expect(done.status).toBe(1);
    expect(done.stdout.match(/oops/g)).toHaveLength(1);
    expect(done.stdout).toMatch(/✗ p@\S+ failed in \S+: step "a" failed\n$/);
    const status = await ask(root, "status");
    expect(status.stdout).toMatch(/✗ p@\S+ failed: step "a" failed: .*status 3: oops/);
    // No daemon was ever up: the file is known all the same.
    expect(status.stdout).toContain("p.yaml has not been read yet");
    expect(status.stdout).toContain("`orchd validate p.yaml`");
    const [view] = (await ask(root, "status", "--json")).json<{
      pipelines: [{ file: string }];
    }>().pipelines;
    expect(view.file).toBe(join(schedules, "p.yaml"));
  });

  it("counts no step that was skipped as done", async () => {
    const { root } = tempRoot({ "schedules/p.yaml": FAILING });
    expect(await onTerminal(root, ["run", "p", "--foreground"])).toContain(
      "1 of 3 steps, 2 skipped",
    );
  });
});

it("a file that cannot be a pipeline's does not stop `orchd next`", async () => {
  const { root } = tempRoot({
    "schedules/Bad Name.yaml": "steps: 1\n",
    "schedules/p.yaml": 'schedule: { cron: "* * * * *" }\nsteps: { a: { run: "true" } }\n',
  });
  const next = await ask(root, "next", "-n", "1");
  expect(next.status).toBe(0);
  expect(next.stdout).toMatch(/^p {2}/m);
  expect(next.stderr).toContain("Bad Name.yaml:1:8");
});

describe("the status", () => {
  it("leaves out the date before it cuts the schedule at 80 columns", async () => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "every-five-minutes", [
      loaded("*/5 * * * *", { timezone: "UTC" }),
      { type: "run.started", run: "every-five-minutes@20261123T020000Z" },
    ]);
    const text = await onTerminal(root, ["status"]);
    expect(text).toMatch(/^every-five-minutes .*  in \S+( \S+)? .*\*\/5 \* \* \* \*$/m);
    expect((await ask(root, "status")).stdout).toMatch(/\d{4}-\d\d-\d\d \d\d:\d\d:00Z \(in/);
  });

  it("is watched until somebody presses q", async () => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "p", [loaded("*/5 * * * *")]);
    const keys = ["q", "Q", "\u0003", "\u0004"];
    const ends = keys.map((key) => onTerminal(root, ["status", "--watch"], key));
    for (const end of await Promise.all(ends)) expect(end).toMatch(/\[0\]$/);
  });
});

it("`orchd why` without a time speaks of the newest slot", async () => {
  const { root, runs } = tempRoot();
  writePipeline(runs, "p", [
    loaded("0 * * * *"),
    { type: "slot.skipped", slot: "2026-11-23T01:00:00.000Z", because: "paused" },
    {
      type: "slot.missed",
      slot: "2026-11-23T02:00:00.000Z",
      until: "2026-11-23T05:00:00.000Z",
      because: "no daemon was up",
    },
    { type: "pipeline.paused" },
  ]);
  const why = await ask(root, "why", "p");
  expect(why.status).toBe(0);
  expect(why.stdout).toMatch(/the slot 2026-11-23T0[25]:00:00.000Z of p was missed/);
  writePipeline(runs, "q", [loaded("0 * * * *")]);
  expect((await ask(root, "why", "q")).stdout).toMatch(/^no slot of q at .* was due/);
});

it("`orchd stop PIPELINE` stops its one active run", async () => {
  const root = tempRoot({
    "schedules/p.yaml": 'overlap: allow\nsteps: { a: { run: "sleep 60" } }\n',
  });
  const none = await ask(root.root, "stop", "p");
  expect(none).toMatchObject({ status: 3, stdout: "" });
  expect(none.stderr).toContain('no run of "p" is active');
  const daemon = await startDaemon(root);
  const begun = async (): Promise<string> =>
    (await ask(root.root, "run", "p", "--json")).json<{ run: string }>().run;
  const first = await begun();
  const stopped = await ask(root.root, "stop", "p", "--force");
  expect(stopped).toMatchObject({ status: 0 });
  expect(stopped.stdout).toContain(`${first} is stopping`);
  await awaitLine(join(root.runs, "p", "pipeline.jsonl"), (line) => {
    return line.type === "run.finished" && line["run"] === first;
  });
  const two = [await begun(), await begun()];
  const which = await ask(root.root, "stop", "p");
  expect(which).toMatchObject({ status: 2 });
  for (const run of two) expect(which.stderr).toContain(run);
  await daemon.kill();
});

it.runIf(process.getuid?.() === 0)("what a user may not read is said once", () => {
  const { root, runs } = tempRoot({ "schedules/p.yaml": FAILING });
  const run = "p@20261123T020000Z";
  writePipeline(runs, "p", [loaded("0 * * * *"), { type: "run.started", run }]);
  writePipeline(runs, "q", [loaded("0 * * * *")]);
  writeRun(runs, run, [header(run, { a: [] }, {})]);
  mkdirSync(join(runs, ".orchd"), { recursive: true });
  for (const folder of ["p", "q"]) chmodSync(join(runs, folder), 0o700);
  // Everybody may reach the temporary root itself.
  for (let folder = root; folder.startsWith("/tmp/"); folder = join(folder, ".."))
    chmodSync(folder, 0o755);
  const asNobody = (...words: string[]): { status: number | null; said: string } => {
    const done = spawnSync(process.execPath, [orchdProgram, ...words], {
      cwd: root,
      encoding: "utf8",
      uid: 65_534,
      gid: 65_534,
      env: { PATH: process.env["PATH"] ?? "", HOME: "/", NO_COLOR: "1" },
    });
    return { status: done.status, said: `${done.stdout}${done.stderr}` };
  };
  for (const words of [["status"], ["status", "p"], ["runs"], ["runs", "p"], ["logs", run]]) {
    const { status, said } = asNobody(...words);
    expect([words, status]).toEqual([words, 1]);
    expect(said).toMatch(
      /^orchd: EACCES: [^\n]*; run the command as a user who may read [^\n]*\n$/,
    );
  }
  chmodSync(join(runs, "q"), 0o755);
  chmodSync(join(runs, "q", "pipeline.jsonl"), 0o644);
  const { status, said } = asNobody("status");
  expect(status).toBe(0);
  expect(said).toMatch(/^p +not read/m);
  expect(said).toMatch(/^q +ok/m);
  expect(said.match(/EACCES/g)).toHaveLength(1);
});
