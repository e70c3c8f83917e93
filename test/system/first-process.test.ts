/**
 * orchd as process 1 of a container, in a process namespace of its own: what steps leave is reaped,
 * and signals and exit statuses pass through the processes above the command.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { orchdProgram } from "../support/daemon.ts";
import { childrenOf, outcomeOf, runsOf } from "../support/ledgers.ts";
import { buildPlanted } from "../support/program.ts";
import { ended, submit } from "../support/request.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

/** Where a program is, as the shell finds it. Undefined if it is not installed. */
const pathTo = (program: string): string | undefined =>
  (process.env["PATH"] ?? "")
    .split(":")
    // A shim starts what it stands for by its own PATH.
    .filter((folder) => !folder.endsWith("/shims"))
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path));

const UNSHARE = [pathTo("unshare") ?? "unshare", "--pid", "--fork", "--mount-proc"] as const;
const mayUnshare = spawnSync(UNSHARE[0], [...UNSHARE.slice(1), "true"]).status === 0;
if (!mayUnshare)
  console.error("orchd as process 1 is not tested here: no process namespace may be made.");

/** A container: process 1 and all below it. */
interface Container {
  /** Everything that was written to stdout and stderr. */
  text(): string;
  /** The pid of process 1, seen from outside. */
  first(): number;
  /** The processes inside, and the state of each. */
  states(): Map<number, string>;
  /** The command itself, below the reaper. */
  inner(): Promise<number>;
  readonly ended: Promise<number | null>;
}

interface ContainerOptions {
  readonly program?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The words go through a terminal, and this process's stdin is its keyboard. */
  readonly terminal?: boolean;
}

function start(
  root: TempRoot,
  words: readonly string[],
  options: ContainerOptions = {},
): {
  readonly container: Container;
  readonly outside: ChildProcess;
} {
  const command = [...UNSHARE, process.execPath, options.program ?? orchdProgram, ...words];
  const [program, ...rest] = options.terminal
    ? // The shell is replaced: one that waited would see the Ctrl-C too, and end by it.
      ["script", "-qec", `exec ${command.join(" ")}`, "/dev/null"]
    : command;
  const { NODE_OPTIONS: _options, NOTIFY_SOCKET: _socket, ...own } = process.env;
  const outside = spawn(program!, rest, {
    cwd: root.root,
    env: { ...own, NO_COLOR: "1", ORCHD_ROOT: root.root, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let text = "";
  outside.stdout.setEncoding("utf8").on("data", (more: string) => (text += more));
  outside.stderr.setEncoding("utf8").on("data", (more: string) => (text += more));
  const over = new Promise<number | null>((resolve) =>
    outside.on("close", (status) => resolve(status)),
  );
  let first: number | undefined;
  const inside = (): number => {
    const above = options.terminal ? childrenOf(outside.pid!)[0]! : outside.pid!;
    return (first ??= childrenOf(above).at(-1))!;
  };
  onTestFinished(async () => {
    if (outside.exitCode === null && outside.signalCode === null) {
      if (first !== undefined) process.kill(first, "SIGKILL");
      else outside.kill("SIGKILL");
    }
    await over;
  });
  const container: Container = {
    text: () => text,
    first: inside,
    states: () => statesIn(inside()),
    inner: () =>
      awaitSight(
        "/proc",
        () =>
          childrenOf(inside())
            .flatMap((reaper) => childrenOf(reaper))
            .at(0),
        "the command below the reaper",
      ),
    ended: over,
  };
  return { container, outside };
}

/** The states of the processes in the process namespace of `first`. */
function statesIn(first: number): Map<number, string> {
  const namespace = readlinkSync(`/proc/${first}/ns/pid`);
  const states = new Map<number, string>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readlinkSync(`/proc/${name}/ns/pid`) !== namespace) continue;
      const status = readFileSync(`/proc/${name}/status`, "latin1");
      states.set(Number(name), /^State:\s+(\S)/m.exec(status)![1]!);
    } catch {
      // It has ended.
    }
  }
  return states;
}

const zombies = (container: Container): number =>
  [...container.states().values()].filter((state) => state === "Z").length;

async function ready(container: Container): Promise<void> {
  await awaitSight(
    "/proc",
    () => (container.text().includes("ready: ") ? true : undefined),
    () => `a daemon that is ready: ${container.text()}`,
  );
}

const LEAVES = `setsid -f sh -c 'exit 0' >/dev/null 2>&1
      setsid -f sleep 60 >/dev/null 2>&1
      (sleep 0.01 &) ; (sleep 60 &)
      for n in 1 2 3 4 5 6 7 8; do setsid -f true >/dev/null 2>&1; done`;
const FILES = {
  "schedules/leaves.yaml": `steps:
  shell:
    run: |
      ${LEAVES}
  module: { uses: "./leaves.mjs" }
`,
  "schedules/leaves.mjs": `import { execSync } from "node:child_process";
export default () => void execSync("setsid -f true; (sleep 60 >/dev/null 2>&1 &)");
`,
  "schedules/long.yaml": "gracePeriod: 1s\nsteps:\n  long: { run: 'sleep 60' }\n",
  "schedules/brief.yaml": "steps:\n  brief: { run: 'sleep 1' }\n",
  "schedules/fails.yaml": "steps:\n  fails: { run: 'exit 3' }\n",
};

/** A folder with these programs, to be the whole PATH. */
function pathOf(root: TempRoot, programs: readonly string[]): string {
  const folder = join(root.root, "programs");
  mkdirSync(folder);
  for (const program of programs) {
    symlinkSync(pathTo(program)!, join(folder, program));
  }
  return folder;
}
const TOOLS = ["sh", "setsid", "sleep", "true", "grep"];

describe.runIf(mayUnshare)("as process 1", { timeout: 60_000 }, () => {
  /** The zombies after three runs that leave processes, and after a runner that is killed. */
  async function zombiesAfterRuns(options: ContainerOptions = {}): Promise<number> {
    const root = tempRoot(FILES);
    const { container } = start(root, ["start"], options);
    await ready(container);
    for (let n = 0; n < 3; n += 1) {
      const run = await ended(root.runs, await submit(root.runs, "leaves"));
      expect(outcomeOf(run), JSON.stringify(run.lines.slice(1))).toBe("completed");
    }
    if (options.program !== undefined) return zombies(container);
    const [runner] = childrenOf(await container.inner()).slice(0, 1);
    process.kill(runner!, "SIGKILL");
    await awaitSight(
      "/proc",
      () => (container.states().has(runner!) ? undefined : true),
      "the end of the runner",
    );
    await awaitSight(
      "/proc",
      () => (zombies(container) === 0 ? true : undefined),
      () => `no zombie: ${JSON.stringify([...container.states()])}`,
    );
    process.kill(container.first(), "SIGTERM");
    expect(await container.ended).toBe(0);
    return 0;
  }

  it("leaves no zombie of what steps leave", async () => {
    expect(await zombiesAfterRuns()).toBe(0);
  });

  it("would leave some without a reaper", async () => {
    const program = await buildPlanted("first-process-alone", {
      file: "daemon/quick.ts",
      from: "process.pid === 1",
      to: "process.pid === -1",
    });
    expect(await zombiesAfterRuns({ program })).toBeGreaterThan(3);
  });

  it.each(["python3", "tini"])("reaps with %s where there is no perl", async (reaper) => {
    if (pathTo(reaper) === undefined)
      return console.error(`${reaper} is not installed: it is not tested as a reaper.`);
    const root = tempRoot(FILES);
    const folder = pathOf(root, [...TOOLS, reaper]);
    const { container } = start(root, ["start"], { env: { PATH: folder } });
    await ready(container);
    await ended(root.runs, await submit(root.runs, "leaves"));
    await awaitSight("/proc", () => (zombies(container) === 0 ? true : undefined), "no zombie");
    process.kill(container.first(), "SIGTERM");
    expect(await container.ended).toBe(0);
    expect(container.text()).not.toContain("no reaper");
  });

  it("says what to do where there is no reaper, and works on", async () => {
    const root = tempRoot(FILES);
    const { container } = start(root, ["start"], { env: { PATH: pathOf(root, TOOLS) } });
    await ready(container);
    expect(container.text().match(/no reaper was found.*docker run --init/g)).toHaveLength(1);
    const run = await ended(root.runs, await submit(root.runs, "leaves"));
    expect(outcomeOf(run)).toBe("completed");
    process.kill(container.first(), "SIGTERM");
    expect(await container.ended).toBe(0);
  });

  it("drains by SIGTERM, and reads its settings again by SIGHUP", async () => {
    const root = tempRoot({ ...FILES, "orchd.yaml": "timezone: UTC\n" });
    const { container } = start(root, ["start"]);
    await ready(container);
    process.kill(container.first(), "SIGHUP");
    await awaitSight(
      "/proc",
      () => (container.text().includes("orchd.yaml was read again") ? true : undefined),
      "settings that are read again",
    );
    const run = await submit(root.runs, "brief");
    process.kill(container.first(), "SIGTERM");
    expect(await container.ended).toBe(0);
    expect(container.text()).toContain("draining");
    expect(container.text()).not.toContain("ending at once");
    expect(outcomeOf(runsOf(root.runs, "brief").find((one) => one.run === run)!)).toBe("completed");
  });

  it("ends at once by a second signal", async () => {
    const root = tempRoot(FILES);
    const { container } = start(root, ["start"]);
    await ready(container);
    await submit(root.runs, "long");
    process.kill(container.first(), "SIGTERM");
    await awaitSight(
      "/proc",
      () => (container.text().includes("draining") ? true : undefined),
      "a drain",
    );
    process.kill(container.first(), "SIGINT");
    expect(await container.ended).toBe(0);
    expect(container.text()).toContain("ending at once");
  });

  it.each([
    ["SIGKILL", 137],
    ["SIGSEGV", 139],
  ] as const)("ends with the status of a command that %s ended", async (signal, status) => {
    const root = tempRoot(FILES);
    const { container } = start(root, ["start"]);
    await ready(container);
    process.kill(await container.inner(), signal);
    expect(await container.ended).toBe(status);
  });

  it("ends where its reaper is killed", async () => {
    const root = tempRoot(FILES);
    const { container } = start(root, ["start"]);
    await ready(container);
    const inner = await container.inner();
    process.kill(childrenOf(container.first())[0]!, "SIGKILL");
    expect(await container.ended).toBe(137);
    await awaitSight(
      "/proc",
      () => (readdirSync("/proc").includes(String(inner)) ? undefined : true),
      "the end of the daemon",
    );
  });

  it("tells systemd as ever", async () => {
    const root = tempRoot(FILES);
    const folder = pathOf(root, [...TOOLS, "perl", "cat"]);
    const told = join(root.root, "told");
    writeFileSync(join(folder, "systemd-notify"), `#!/bin/sh\necho "$@" >> ${told}\n`, {
      mode: 0o755,
    });
    const { container } = start(root, ["start"], {
      env: { PATH: folder, NOTIFY_SOCKET: "/run/nobody", WATCHDOG_USEC: "400000" },
    });
    const tells = async (word: string): Promise<void> => {
      const text = (): string => {
        try {
          return readFileSync(told, "utf8");
        } catch {
          return "";
        }
      };
      await awaitSight(root.root, () => (text().includes(word) ? true : undefined), word);
    };
    await tells("READY=1");
    await tells("WATCHDOG=1");
    process.kill(container.first(), "SIGTERM");
    expect(await container.ended).toBe(0);
    await tells("STOPPING=1");
  });

  it("runs in the foreground, with the run's own status", async () => {
    const root = tempRoot(FILES);
    const good = start(root, ["run", "leaves", "--foreground"]).container;
    expect(await good.ended).toBe(0);
    const bad = start(root, ["run", "fails", "--foreground"]).container;
    const status = await bad.ended;
    const plain = spawnSync(process.execPath, [orchdProgram, "run", "fails", "--foreground"], {
      cwd: root.root,
      env: { ...process.env, ORCHD_ROOT: root.root },
    });
    expect(status).toBe(plain.status);
    expect(status).not.toBe(0);
  });

  it("passes a Ctrl-C at a terminal on once", async () => {
    const root = tempRoot(FILES);
    const { container, outside } = start(root, ["start"], { terminal: true });
    await ready(container);
    await submit(root.runs, "brief");
    outside.stdin!.write("\u0003");
    expect(await container.ended).toBe(0);
    expect(container.text()).toContain("draining");
    expect(container.text()).not.toContain("ending at once");
  });
});
