/**
 * What the daemon wires to what, by its effects: one daemon from its start over a reload to its
 * end. Each expectation is one wire.
 */
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { VERSION } from "../../src/version.ts";
import { ask } from "../support/asked-command.ts";
import { startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const SHELL = "steps: { a: { run: 'echo $WHO > who' } }\n";
it("a daemon from its start over a reload to its end", { timeout: 60_000 }, async () => {
  const root = tempRoot({
    "orchd.yaml": "env: { WHO: first }\n",
    "schedules/p.yaml": SHELL,
  });
  const daemon = await startDaemon({ root: root.root });
  const said = (text: string) => daemon.log().filter(({ msg }) => String(msg).startsWith(text));
  const ready = await vi.waitFor(() => {
    const [line] = said("ready: ");
    expect(line).toBeDefined();
    return line;
  }, 10_000);
  expect(ready).toMatchObject({
    msg: "ready: 1 pipeline, 0 runs taken over",
    pid: daemon.pid,
    epoch: 1,
    version: VERSION,
    root: root.root,
  });
  expect(said("no pipeline is in force")).toEqual([]);
  const finished = () =>
    daemon.log().filter(({ msg }) => /^run p@.* finished|^run p@.*completed/.test(String(msg)));
  const who = async (): Promise<string> => {
    const before = runsOf(root.runs, "p").length;
    const { status, stderr } = await ask(root.root, "run", "p", "--wait", "--no-cache");
    expect([status, stderr]).toEqual([0, expect.anything()]);
    expect(runsOf(root.runs, "p")).toHaveLength(before + 1);
    return readFileSync(join(root.root, "schedules/who"), "utf8").trim();
  };
  expect(await who()).toBe("first");
  expect(outcomeOf(runsOf(root.runs, "p")[0]!)).toBe("completed");
  // Each durable line is in the daemon's log too, with its run.
  await vi.waitFor(() => expect(finished()).toHaveLength(1), 10_000);

  // What rotates logs sends these two. Nobody can debug the daemon or its runner then.
  const runners = daemon.log().flatMap(({ runner }) => (runner === undefined ? [] : [runner]));
  expect(runners).not.toEqual([]);
  for (const pid of [daemon.pid, ...runners])
    for (const signal of ["SIGUSR1", "SIGUSR2"]) process.kill(pid as number, signal);
  await vi.waitFor(() => expect(said("SIGUSR")).toHaveLength(2), 10_000);

  // A reload takes the settings, to running parts and to files, and looks at the folder.
  root.write("orchd.yaml", "env: { WHO: second }\n");
  process.kill(daemon.pid, "SIGHUP");
  await vi.waitFor(async () => expect(await who()).toBe("second"), 10_000);
  // A reload that is bad changes nothing, and is told.
  root.write("orchd.yaml", "env: 7\n");
  process.kill(daemon.pid, "SIGHUP");
  await vi.waitFor(() => expect(daemon.stderr()).toContain("orchd.yaml:1:"), 10_000);
  expect(await who()).toBe("second");

  rmSync(join(root.schedules, "p.yaml"));
  await vi.waitFor(async () => {
    const status = await ask(root.root, "status", "p", "--json");
    expect(status.json<{ pipelines: object[] }>().pipelines).toMatchObject([{ removed: true }]);
  }, 10_000);

  expect(await daemon.end()).toEqual({ status: 0, signal: null });
  expect(daemon.stderr()).not.toMatch(/debugger/i);
  const [ended] = said("ended");
  expect(ended).toMatchObject({
    longTurns: expect.any(Number),
    longestTurnMs: expect.any(Number),
    turnP99Ms: expect.any(Number),
  });
  // The lock is free and the history has an end: the next daemon has nothing to take over.
  const history = readFileSync(join(root.runs, ".orchd/daemon.jsonl"), "utf8").trim().split("\n");
  expect(history.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual([
    "daemon.began",
    "daemon.ended",
  ]);
  expect(readdirSync(join(root.runs, ".orchd/scratch"))).toEqual([]);
  root.write("orchd.yaml", "");
  const next = await startDaemon({ root: root.root });
  const again = await vi.waitFor(() => {
    const line = next.log().find(({ msg }) => String(msg).startsWith("ready: "));
    expect(line).toBeDefined();
    return line;
  }, 10_000);
  expect(again).toMatchObject({ msg: "ready: 0 pipelines, 0 runs taken over", epoch: 2 });
  expect(
    next.log().filter(({ msg }) => String(msg).startsWith("no pipeline is in force")),
  ).toMatchObject([{ level: expect.anything(), schedules: root.schedules }]);
  await next.end();
});

it("a step of one run starts as soon as a step of another run makes room", async () => {
  const root = tempRoot({
    "orchd.yaml": "runner: { threads: 1 }\n",
    "schedules/p.yaml": "overlap: allow\nsteps: { a: { run: 'sleep 0.5' } }\n",
  });
  const daemon = await startDaemon({ root: root.root });
  const runs = [1, 2, 3].map(() => ask(root.root, "run", "p", "--wait"));
  for (const { status } of await Promise.all(runs)) expect(status).toBe(0);
  await daemon.end();
});
