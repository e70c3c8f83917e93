/**
 * Shell steps that a spawner starts: they are as those that the runner starts itself, and the
 * spawner's death is to them what a runner's death is to its tasks (promises 22, 23 and 24).
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { FAILURE_CODES } from "../../src/core/failure.ts";
import { Spawner } from "../../src/places/runner/spawner.ts";
import type { ShellListener } from "../../src/places/runner/shell-process.ts";
import { awaitSight } from "../support/await-event.ts";
import { busy } from "../support/busy.ts";
import { reached, trials } from "../support/figures.ts";
import { childrenOf, processesWith } from "../support/ledgers.ts";
import { PoolRig, type Ended, type TaskParts } from "../support/pool-rig.ts";

const word = (): string => Math.random().toString().slice(2);

/** What is told of an end, in a form that two runs of the same have in common. */
const told = ({ result, death, lines }: Ended): unknown => ({
  result,
  death,
  lines: lines.map(({ stream, line }) => `${stream}: ${line}`),
});

/** Waits until the runner has taken what was sent before: a module's answer says so. */
const settled = async (rig: PoolRig): Promise<void> => void (await rig.startBody("").ended);

const BIG = "x".repeat(100_000);

/**
 * What a shell finds, without what differs from one process to the next. The descriptors are those
 * of a child: the shell itself has those of the pipe for a moment.
 */
const LOOK = `
  grep -E '^(Sig(Blk|Ign|Cgt)|Umask|NoNewPrivs|Cpus_allowed)' /proc/self/status
  ls /proc/self/fd | tr '\\n' ' '; readlink /proc/$$/fd/0; cat
  ulimit -a; pwd; umask
  set -- $(cut -d' ' -f1,5,6,7 /proc/$$/stat); echo "$(($2 - $1)) $(($3 - $1)) $4"
  env -0 | sort -z | grep -zvE '^(ORCHD_|_=)' | od -c`;

const SAME: Record<string, readonly [text: string, parts?: TaskParts]> = {
  "what it finds": [LOOK, { env: { EMPTY: "", EQUALS: "a=b=", LINES: "a\nb\n", WIDE: "é€😀" } }],
  "a status": ["exit 3"],
  "a high status": ["echo no >&2; exit 255"],
  "a signal": ["kill -TERM $$"],
  "a signal of two names": ["kill -ABRT $$"],
  SIGKILL: ["kill -KILL $$"],
  "a shell that replaces itself": ["exec sh -c 'exit 4'"],
  "both outputs, and no line break": ["printf out; printf 'err\\nmore' >&2"],
  "characters cut in two": ["printf '\\303'; sleep 0.05; printf '\\251\\n'"],
  "a result": ['printf \'{"a": 1}\' > "$ORCHD_OUTPUT"'],
  "no such program": ["true", { shell: ["/no/such"] }],
  "a program that PATH has": ["echo $0", { shell: ["sh", "-eu"] }],
  "a program that PATH has not": ["true", { shell: ["no-such"] }],
  "no program but a folder": ["true", { shell: ["/tmp"] }],
  "no such folder": ["true", { cwd: "/no/such" }],
  "no folder but a file": ["true", { cwd: "/etc/passwd" }],
  "a text with a NUL": ["echo a\0b"],
  "too much for the system": [
    "true",
    { shell: ["/bin/sh", ...Array.from({ length: 22 }, () => BIG), "-c"] },
  ],
};

describe("a shell that the spawner starts", () => {
  it.each(Object.entries(SAME))("is as one of the runner's own: %s", async (_, [text, parts]) => {
    // The first shell of a runner is its own child.
    const own = told(await new PoolRig().startShell(text, { cwd: "/", ...parts }).ended);
    const rig = new PoolRig();
    await rig.spawner();
    expect(told(await rig.startShell(text, { cwd: "/", ...parts }).ended)).toEqual(own);
  });

  it("has a megabyte of output and sixteen neighbours", async () => {
    const rig = new PoolRig({ threads: 16 });
    await rig.spawner();
    const text = `yes "$0 $ORCHD_PARAM_n" | head -n 50000; exit "$ORCHD_PARAM_n"`;
    const all = Array.from({ length: 16 }, (_, n) => rig.startShell(text, { params: { n } }).ended);
    for (const [n, { result, lines }] of (await Promise.all(all)).entries()) {
      expect(result).toMatchObject(n === 0 ? { ok: true } : { error: { exitStatus: n } });
      expect(lines).toHaveLength(50_000);
      expect(new Set(lines.map(({ line }) => line))).toEqual(new Set([`/bin/sh ${n}`]));
    }
  });

  it("ends though what cleared its environment holds its output", async () => {
    const rig = new PoolRig();
    await rig.spawner();
    const mark = word();
    onTestFinished(() => processesWith(mark).forEach((pid) => process.kill(-pid, "SIGKILL")));
    const holder = `sh -c "sleep 3600; : ${mark}"`;
    const { result } = await rig.startShell(`env -i setsid ${holder} & sleep 0.1`).ended;
    expect(result).toMatchObject({ ok: true });
    expect(processesWith(mark)).not.toEqual([]);
    // The spawner knows nothing of it any more, and goes on.
    expect((await rig.startShell("exit 5").ended).result).toMatchObject({ ok: false });
  });

  it("begins though the daemon's environment has variables of perl", async () => {
    vi.stubEnv("PERL5OPT", "-MNo::Such::Module");
    onTestFinished(() => void vi.unstubAllEnvs());
    const rig = new PoolRig();
    await rig.spawner();
    expect((await rig.startShell("exit 0").ended).result).toMatchObject({ ok: true });
  });

  it("hears what it was told before it had begun", async () => {
    const rig = new PoolRig();
    const spawner = await rig.spawner();
    process.kill(spawner, "SIGSTOP");
    const step = rig.startShell("sleep 3600", { gracePeriodMs: 60_000 });
    await settled(rig);
    rig.pool.stop(step.id, "graceful", "enough");
    await settled(rig);
    process.kill(spawner, "SIGCONT");
    expect((await step.ended).result).toMatchObject({ outcome: "stopped" });
  });
});

describe("a spare of a spawner", () => {
  it("becomes the next shell, in a session of its own", async () => {
    const rig = new PoolRig();
    const spawner = await rig.spawner();
    const spare = await spareOf(spawner);
    const [line] = (await rig.startShell("echo $$ $(cut -d' ' -f6 /proc/$$/stat)").ended).lines;
    expect(line?.line).toBe(`${spare} ${spare}`);
    expect(await spareOf(spawner)).not.toBe(spare);
  });

  it("that is ended takes no step with it, and not the spawner", async () => {
    const rig = new PoolRig();
    const spawner = await rig.spawner();
    for (let round = 0; round < 5; round += 1) {
      process.kill(await spareOf(spawner), "SIGKILL");
      const { result, death } = await rig.startShell("exit 3").ended;
      expect(death).toBeUndefined();
      expect(result).toMatchObject({ ok: false, error: { exitStatus: 3 } });
      expect(await rig.spawner()).toBe(spawner);
    }
  });

  it("lets go of what other shells print, so that a pipe which nobody reads breaks", async () => {
    const rig = new PoolRig();
    const spawner = await rig.spawner();
    const shell = rig.startShell("echo $$; exec sleep 3600", { gracePeriodMs: 0 });
    const pid = Number((await shell.firstLine).line);
    const pipes = [1, 2].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    expect(pipes).toEqual([expect.stringMatching(/^pipe:/), expect.stringMatching(/^pipe:/)]);
    const holders = (): number[] =>
      childrenOf(spawner).filter((child) => pipes.some((pipe) => openOf(child).includes(pipe)));
    const spare = (): number | undefined => childrenOf(spawner).find((child) => child !== pid);
    await awaitSight(
      "/proc",
      () => (spare() !== undefined && holders().join() === String(pid)) || undefined,
      () => `a spare without the pipes of ${pid}: ${holders().join()} hold them`,
    );
    rig.pool.stop(shell.id, "force", "enough");
    await shell.ended;
  });

  it("ends with the spawner, also where it was given a shell and has not begun", async () => {
    const rig = new PoolRig();
    const spawner = await rig.spawner();
    const spare = await spareOf(spawner);
    process.kill(spare, "SIGSTOP");
    const step = rig.startShell("echo begun; sleep 3600");
    await settled(rig);
    process.kill(spawner, "SIGKILL");
    const { death, lines } = await step.ended;
    expect(death).toMatchObject({ code: FAILURE_CODES.runnerDied });
    expect(lines).toEqual([]);
    await awaitSight("/proc", () => !existsSync(`/proc/${spare}`) || undefined, "its end");
  });
});

/** The process that waits to become the spawner's next shell. */
const spareOf = (spawner: number): Promise<number> =>
  awaitSight(
    "/proc",
    () => childrenOf(spawner).find((pid) => !/^State:\s+Z/m.test(statusOf(pid))),
    "a spare",
  );
const statusOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/status`, "latin1");
  } catch {
    return "State: Z";
  }
};

/** What the descriptors of a process stand for. */
const openOf = (pid: number): string[] => {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  } catch {
    return [];
  }
};

describe("without a spawner", () => {
  const folderWith = (name: string, files: Record<string, string>): string => {
    const bin = join(new PoolRig().folder, name);
    mkdirSync(bin);
    for (const program of ["sh", "sleep", "cat"])
      symlinkSync(`/bin/${program}`, join(bin, program));
    for (const [file, text] of Object.entries(files))
      writeFileSync(join(bin, file), text, { mode: 0o755 });
    return bin;
  };

  it.each([
    ["there is no perl", {}],
    ["perl ends at once", { perl: "#!/bin/sh\nexit 1\n" }],
    ["perl never becomes ready", { perl: "#!/bin/sh\nexec sleep 3600\n" }],
  ])("shells run all the same: %s", async (what, files) => {
    vi.stubEnv("PATH", folderWith("bin", files));
    onTestFinished(() => void vi.unstubAllEnvs());
    const rig = new PoolRig();
    for (let n = 0; n < 6; n += 1) {
      const { result, lines } = await rig.startShell(`read -r name < /proc/$PPID/comm; echo $name`)
        .ended;
      expect(result, what).toMatchObject({ ok: true });
      expect(lines[0]?.line).not.toBe("orchd-spawner");
    }
  });
});

/** A step with processes that are deaf, and that left its group or cleared their environment. */
const family = (mark: string): string => `
  setsid sh -c 'trap "" TERM INT HUP; while :; do sleep 3600.${mark}; done' &
  env -i sleep 3600.${mark} &
  sleep 0.1; echo begun; sleep 3600.${mark}; :`;
/** With one that did both. It is found while the shell lives above it. */
const bigFamily = (mark: string): string =>
  `env -i setsid sh -c 'sleep 3600.${mark}; :' & ${family(mark)}`;

const goneOf = (mark: string): Promise<true> =>
  awaitSight(
    "/proc",
    () => (processesWith(mark).length === 0 ? true : undefined),
    () => `an end of ${processesWith(mark).join(", ")}`,
  );

describe("the death of a spawner", () => {
  it("is the death of its shells, and touches nothing else", async () => {
    const rig = new PoolRig({ threads: 4 });
    const spawner = await rig.spawner();
    const mark = word();
    const steps = [rig.startShell(bigFamily(mark)), rig.startShell(bigFamily(mark))];
    const module = rig.startBody(
      "console.log('up'); await new Promise((end) => context.signal.onabort = end); return 7;",
    );
    await Promise.all([...steps, module].map(({ firstLine }) => firstLine));
    process.kill(spawner, "SIGKILL");
    const ends = await Promise.all(steps.map(({ ended }) => ended));
    await goneOf(mark);
    for (const { death } of ends) {
      expect(death).toMatchObject({
        alone: false,
        because: "the spawner of the runner's shells was ended by SIGKILL",
        code: FAILURE_CODES.runnerDied,
      });
      expect(death!.inFlight).toEqual(expect.arrayContaining(steps.map(({ id }) => id)));
      expect(death!.inFlight).not.toContain(module.id);
    }
    expect(await rig.spawner()).not.toBe(spawner);
    rig.pool.stop(module.id, "graceful", "enough");
    expect((await module.ended).result).toEqual({ ok: true, value: 7 });
  });

  it("leaves nothing, whenever it comes", { timeout: 600_000 }, async () => {
    const rig = new PoolRig({ threads: 4 });
    const rounds = trials(12, 200);
    let good = 0;
    for (let round = 0; round < rounds; round += 1) {
      const spawner = await rig.spawner();
      const mark = word();
      const steps = Array.from({ length: 4 }, () => rig.startShell(family(mark)));
      // A shell takes some milliseconds from its request to its first process.
      const until = performance.now() + (round / rounds) * 20;
      while (performance.now() < until) await new Promise(setImmediate);
      process.kill(spawner, "SIGKILL");
      // On a busy machine the runner may learn of the death before it starts a shell: that one
      // lives, and says so a tenth of a second later.
      for (const { id, firstLine } of steps)
        void firstLine.then(() => rig.pool.stop(id, "force", "it began after the kill"));
      const ends = await Promise.all(steps.map(({ ended }) => ended));
      const isOver = ({ death, result }: Ended): boolean =>
        death?.code === FAILURE_CODES.runnerDied ||
        (result?.ok === false && result.outcome === "stopped");
      if (ends.every(isOver)) good += 1;
      // They were sent SIGKILL before it was told; a busy machine takes a moment to obey.
      await goneOf(mark);
    }
    reached(
      24,
      "kills of a spawner while it starts shells, after which none is left",
      good,
      rounds,
    );
    expect(good).toBe(rounds);
  });

  it.each(["kill -KILL $PPID; sleep 3600", "kill -KILL $PPID; exit 0"])(
    "is the fault of the only step in it: %s",
    async (text) => {
      const rig = new PoolRig();
      await rig.spawner();
      // A step that has just ended is a suspect too.
      const step = rig.startShell(`sleep 1.5; ${text}`);
      expect((await step.ended).death?.inFlight).toEqual([step.id]);
    },
  );

  it("leaves open who is to blame, of those that have just ended too", async () => {
    const rig = new PoolRig();
    await rig.spawner();
    const other = rig.startShell("true");
    await other.ended;
    const step = rig.startShell("kill -KILL $PPID; sleep 3600");
    expect(new Set((await step.ended).death?.inFlight)).toEqual(new Set([step.id, other.id]));
  });

  it("does not come where its descriptors are short: a shell waits for others", async () => {
    const rig = new PoolRig({ threads: 4 });
    const spawner = await rig.spawner();
    const go = join(rig.folder, "go");
    const beside = rig.startShell(`echo begun; while [ ! -e ${go} ]; do sleep 0.02; done`);
    await beside.firstLine;
    const open = (): number => readdirSync(`/proc/${spawner}/fd`).length;
    const limit = (most: number): unknown =>
      execFileSync("prlimit", [`--pid=${spawner}`, `--nofile=${most}:`]);
    limit(open());
    // The one that is forked already becomes the first of them.
    const steps = [rig.startShell("echo first"), rig.startShell("echo second")];
    const [waits] = await Promise.all([steps[1]!.firstLine, steps[0]!.ended]);
    expect(waits.line).toBe(
      "this daemon may open no more files (raise LimitNOFILE= in its unit, or ulimit -n): " +
        "the command waits",
    );
    limit(1_024);
    const { result, lines } = await steps[1]!.ended;
    expect([result?.ok, lines.at(-1)?.line]).toEqual([true, "second"]);
    writeFileSync(go, "");
    expect((await beside.ended).result?.ok).toBe(true);
  });

  it("does not come by a signal that means the daemon", async () => {
    const rig = new PoolRig();
    const spawner = await rig.spawner();
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE"] as const)
      process.kill(spawner, signal);
    expect(await rig.spawner()).toBe(spawner);
  });

  it.each(["before its shell has begun", "after"])(
    "is what a forced stop brings to one that hangs, %s",
    async (when) => {
      const rig = new PoolRig({ threads: 4 });
      const spawner = await rig.spawner();
      const mark = word();
      const beside = rig.startShell(bigFamily(mark));
      await beside.firstLine;
      if (when !== "after") process.kill(spawner, "SIGSTOP");
      const step = rig.startShell(bigFamily(mark), { gracePeriodMs: 200 });
      if (when === "after") {
        await step.firstLine;
        process.kill(spawner, "SIGSTOP");
      } else await settled(rig);
      const since = performance.now();
      rig.pool.stop(step.id, "force", "enough");
      expect((await step.ended).result).toMatchObject({ outcome: "stopped" });
      expect(performance.now() - since).toBeLessThan(2_200 * busy());
      expect((await beside.ended).death?.inFlight).toContain(step.id);
      await goneOf(mark);
    },
  );

  it("with its runner's leaves nothing", async () => {
    const rig = new PoolRig();
    const spawner = await rig.spawner();
    const mark = word();
    const step = rig.startShell(family(mark));
    await step.firstLine;
    const [runner] = rig.pool.pids();
    expect(childrenOf(runner!)).toContain(spawner);
    process.kill(spawner, "SIGSTOP");
    process.kill(runner!, "SIGKILL");
    process.kill(spawner, "SIGKILL");
    expect((await step.ended).death).toMatchObject({ because: "the runner was ended by SIGKILL" });
    await goneOf(mark);
  });

  it("comes with its runner's that is ended, with what cleared its environment", async () => {
    const rig = new PoolRig();
    await rig.spawner();
    const mark = word();
    await rig.startShell(bigFamily(mark)).firstLine;
    await rig.pool.close({ force: true });
    expect(await goneOf(mark)).toBe(true);
  });

  it("comes with its runner's, though it was stopped and notices nothing", async () => {
    const rig = new PoolRig();
    const spawner = await rig.spawner();
    expect(readFileSync(`/proc/${spawner}/environ`, "latin1")).toContain("ORCHD_RUNNER_TOKEN=");
    process.kill(spawner, "SIGSTOP");
    process.kill(rig.pool.pids()[0]!, "SIGKILL");
    const isGone = (): true | undefined =>
      processesWith("orchd-spawner").includes(spawner) ? undefined : true;
    await awaitSight("/proc", isGone, "the end of the spawner");
  });

  it("comes with its runner's, and takes what cleared its environment", async () => {
    const rig = new PoolRig();
    const spawner = await rig.spawner();
    const mark = word();
    const step = rig.startShell(family(mark));
    await step.firstLine;
    process.kill(rig.pool.pids()[0]!, "SIGKILL");
    await step.ended;
    await goneOf(mark);
    const isGone = (): true | undefined =>
      processesWith("orchd-spawner").includes(spawner) ? undefined : true;
    await awaitSight("/proc", isGone, "the end of the spawner");
  });

  it("is brought where it gives no sign of life, and not while it lives", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    let died!: (because: string) => void;
    const death = new Promise<string>((resolve) => (died = resolve));
    const spawner = new Spawner(`rig-${word()}.1`, died);
    const start = (text: string, listener: Partial<ShellListener>): void =>
      void spawner.start(
        { words: ["/bin/sh", "-c", text], cwd: "/", env: { PATH: process.env["PATH"]! } },
        {
          isTold: false,
          began: () => {},
          output: () => {},
          failed: () => {},
          exited: () => {},
          closed: () => {},
          ...listener,
        },
      );
    const parentOf = (): Promise<number> =>
      new Promise((resolve) => {
        let text = "";
        start("echo $PPID; exit 0", {
          output: (_, chunk) => void (text += chunk.toString()),
          closed: () => resolve(Number(text)),
        });
      });
    let pid = process.pid;
    while (pid === process.pid) pid = await parentOf();
    const group = await new Promise<number>((resolve) => start("sleep 3600", { began: resolve }));
    onTestFinished(() => void process.kill(-group, "SIGKILL"));
    // It answers each time: a shell's end is heard after the answers before it.
    for (let n = 0; n < 20; n += 1) {
      vi.advanceTimersByTime(5_000);
      expect(await parentOf()).toBe(pid);
    }
    process.kill(pid, "SIGSTOP");
    vi.advanceTimersByTime(30_000);
    expect(processesWith("orchd-spawner")).toContain(pid);
    vi.advanceTimersByTime(5_000);
    expect(await death).toBe("the spawner of the runner's shells did not answer for 30 s");
  });
});
