/**
 * Other users beside the daemon's: members of its group and root leave requests, whatever their
 * umask, and cannot touch those of others.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { orchd, orchdProgram, startDaemon } from "../support/daemon.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const DAEMON = 23_456;
const MEMBER = 23_457;
const OTHER_MEMBER = 23_458;

/** The words that run a program as a user, in the daemon's group, with a umask. */
function as(user: number, umask: string): string[] {
  const program = ["sh", "-c", `umask ${umask}; exec "$@"`, "sh"];
  if (user === 0) return program;
  return ["setpriv", `--reuid=${user}`, `--regid=${DAEMON}`, "--clear-groups", ...program];
}

/** Whether other users can be had, and may read this build. */
const canBecomeOthers =
  process.getuid?.() === 0 &&
  spawnSync(as(MEMBER, "022")[0]!, [...as(MEMBER, "022").slice(1), "test", "-r", orchdProgram])
    .status === 0;

/** A root as systemd/orchd.tmpfiles makes it. */
function serviceRoot(files: Record<string, string>): TempRoot {
  const root = tempRoot(files);
  // The folders above are this process's own.
  for (let path = root.root; path !== "/tmp" && path !== "/"; path = join(path, ".."))
    if ((statSync(path).mode & 0o5) !== 0o5) chmodSync(path, statSync(path).mode | 0o5);
  for (const [path, mode] of [
    ["", 0o750],
    [".orchd", 0o750],
    [".orchd/requests", 0o2770],
    [".orchd/replies", 0o750],
  ] as const) {
    mkdirSync(join(root.runs, path), { recursive: true });
    chownSync(join(root.runs, path), DAEMON, DAEMON);
    chmodSync(join(root.runs, path), mode);
  }
  return root;
}

interface Ended {
  readonly status: number | null;
  readonly stderr: string;
}

function command(root: TempRoot, user: number, umask: string, ...words: string[]): Promise<Ended> {
  const [program, ...rest] = as(user, umask);
  const child = spawn(program!, [...rest, process.execPath, orchdProgram, ...words], {
    cwd: "/",
    env: { ...process.env, ORCHD_ROOT: root.root, HOME: "/nonexistent", NO_COLOR: "1" },
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 30_000,
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise((resolve) => {
    child.on("close", (status) => resolve({ status, stderr }));
  });
}

const PIPELINE = 'steps: { s: { run: "true" } }\n';

describe.runIf(canBecomeOthers)("a daemon of its own user", () => {
  it(
    "answers members of its group and root, whatever their umask",
    { timeout: 90_000 },
    async () => {
      const root = serviceRoot({ "schedules/p.yaml": PIPELINE });
      const daemon = await startDaemon({ root: root.root, through: as(DAEMON, "027") });
      const asked: [number, string][] = [MEMBER, 0].flatMap((user) =>
        ["077", "027", "022"].map((umask): [number, string] => [user, umask]),
      );
      const ended = await Promise.all(
        asked.map(([user, umask]) => command(root, user, umask, "run", "p", "--wait")),
      );
      expect(ended).toEqual(asked.map(() => ({ status: 0, stderr: expect.any(String) as string })));
      // What the daemon answers to one member another may read: the command line waits for it.
      for (const name of readdirSync(join(root.runs, ".orchd/replies")))
        expect(statSync(join(root.runs, ".orchd/replies", name)).mode & 0o777).toBe(0o644);
      await daemon.end();
    },
  );

  it("mends a folder in which a member could rename another's request", async () => {
    const root = serviceRoot({ "schedules/p.yaml": PIPELINE });
    const requests = join(root.runs, ".orchd/requests");
    const daemon = await startDaemon({ root: root.root, through: as(DAEMON, "027") });
    expect(statSync(requests).mode & 0o7777).toBe(0o3770);
    const asUser = (user: number, script: string): number | null => {
      const [program, ...rest] = as(user, "022");
      return spawnSync(program!, [...rest, "sh", "-c", script], { cwd: requests }).status;
    };
    // A dot-name stays: the daemon takes it for a file that is being written.
    expect(asUser(MEMBER, "echo {} > .mine.json")).toBe(0);
    expect(asUser(OTHER_MEMBER, "mv .mine.json .gone.json")).not.toBe(0);
    expect(asUser(OTHER_MEMBER, "rm -f .mine.json")).not.toBe(0);
    expect(existsSync(join(requests, ".mine.json"))).toBe(true);
    await daemon.end();
  });

  it("runs what root has validated before it", { timeout: 60_000 }, async () => {
    const root = serviceRoot({
      "schedules/p.yaml": 'steps: { s: { uses: "./steps/s.mjs" } }\n',
      "schedules/steps/s.mjs": "export default () => 1;\n",
    });
    expect((await command(root, 0, "077", "validate")).status).toBe(0);
    const daemon = await startDaemon({ root: root.root, through: as(DAEMON, "027") });
    const { status, stderr } = await command(root, MEMBER, "022", "run", "p", "--wait");
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.any(String) as string });
    await daemon.end();
  });

  it("is not started by another user over its folder, not even by root", async () => {
    const root = serviceRoot({ "schedules/p.yaml": PIPELINE });
    const { status, stderr } = await command(root, 0, "022", "start");
    expect(status).toBe(1);
    expect(stderr).toMatch(
      new RegExp(
        `belongs to user ${DAEMON}, and this is user 0: .*sudo -u '#${DAEMON}' orchd start`,
      ),
    );
    expect(execFileSync("find", [root.runs, "-user", "root"]).toString()).toBe("");
  });

  it("begins in a folder of another user in which no daemon has been", async () => {
    const root = tempRoot({ "schedules/p.yaml": PIPELINE });
    mkdirSync(root.runs, { recursive: true });
    chownSync(root.runs, DAEMON, DAEMON);
    for (let round = 0; round < 2; round += 1) {
      const daemon = await startDaemon({ root: root.root });
      expect((await daemon.end()).status).toBe(0);
    }
  });

  it("orchd notify writes .orchd alone: the rest of the runs folder may be read-only", async () => {
    const root = serviceRoot({
      "schedules/p.yaml": PIPELINE,
      "orchd.yaml": `notify:
  channels: { me: { kind: command, run: [cat] } }
  rules: [{ to: [me] }]
`,
    });
    chownSync(root.runs, 0, DAEMON);
    const [program, ...rest] = as(DAEMON, "027");
    const child = spawn(program!, [...rest, process.execPath, orchdProgram, "notify"], {
      cwd: "/",
      env: { ...process.env, ORCHD_ROOT: root.root, HOME: "/nonexistent", NO_COLOR: "1" },
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (said += text));
    await awaitSight(
      root.root,
      () => (said.includes("\n") ? true : undefined),
      () => said,
    );
    expect(said).toBe("notify: channels me; 1 rule\n");
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  it("says what to do where the folder for requests is another's", async () => {
    const root = serviceRoot({ "schedules/p.yaml": PIPELINE });
    const requests = join(root.runs, ".orchd/requests");
    chownSync(requests, 0, DAEMON);
    const daemon = await startDaemon({ root: root.root, through: as(DAEMON, "027") });
    await awaitSight(
      root.root,
      () => (daemon.stderr().includes("belongs to user 0") ? true : undefined),
      () => daemon.stderr(),
    );
    expect(daemon.stderr()).toContain(`chown ${DAEMON} ${requests}`);
    await daemon.end();
  });
});

it("makes a project that is safe to run under a umask that lets the group write", async () => {
  const root = tempRoot();
  const folder = join(root.root, "project");
  execFileSync("sh", [
    "-c",
    'umask 002; exec "$@"',
    "sh",
    process.execPath,
    orchdProgram,
    "init",
    folder,
  ]);
  const checked = await orchd(folder, "validate");
  expect(checked.stdout + checked.stderr).not.toContain("chmod");
  expect(checked.status).toBe(0);
});
