/**
 * Steps on another machine, over SSH, while everything between dies: clients, the connection, the
 * runner there, the process in front of it, the link, the machine, and the daemon.
 *
 * What counts is outside of orchd. Each step holds a lock of the kernel as long as anything of it
 * lives, so an attempt that begins beside its predecessor shows. Each attempt notes its token as it
 * takes effect, so one that does it twice shows. No step is lost: each is done in the end.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { SshRig, type FarEnd } from "../support/ssh-rig.ts";
import { readyNamespaces, SKIP_NAMESPACES, type FarHost } from "../support/sshd.ts";
import { fullFigures, reached, trials } from "../support/figures.ts";

const POINTS = trials(3, 300);
/** How many steps run at once. */
const STEPS = 3;
/** How many machines there are. Most of a point is waiting, so they take points side by side. */
const MACHINES = fullFigures ? 4 : 1;

const chance = (below: number): number => Math.floor(Math.random() * below);
const rest = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Ends processes by a word of their command line. */
function kill(lines: readonly string[], word: string): void {
  for (const line of lines)
    if (line.includes(word))
      try {
        process.kill(Number(line.trim().split(" ")[0]), "SIGKILL");
      } catch {
        // It has ended.
      }
}

/** This side's clients of a machine. */
const clientsOf = (far: FarHost): string[] =>
  execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes(` ${far.host} `));

/** What dies, in turn. */
const FAULTS: readonly [string, (rig: SshRig) => void | Promise<void>][] = [
  ["a client", ({ far }) => kill(clientsOf(far), " run ")],
  ["the daemon", nextDaemon],
  ["the connection", ({ far }) => kill(clientsOf(far), "orchd-connected")],
  ["the runner", ({ far }) => kill(far.processes(), "runner.js {")],
  ["the process in front", ({ far }) => kill(far.processes(), "far-host.js run")],
  ["the link, for a moment", ({ far }) => cutFor(far, 200 + chance(2_000))],
  ["the daemon and a client", nextDaemon],
  ["the link, for longer than a lease", ({ far }) => cutFor(far, 16_000)],
];

async function cutFor(far: FarHost, milliseconds: number): Promise<void> {
  far.cut();
  await rest(milliseconds);
  far.mend();
}

/** The daemon is killed: nothing of this side is left, and nothing was heard of its steps. */
function nextDaemon(rig: SshRig): void {
  const { place: before } = rig;
  kill(clientsOf(rig.far), "");
  void before.close(true);
  rig.reopen();
}

describe.skipIf(SKIP_NAMESPACES)("steps over SSH while everything between dies", () => {
  beforeAll(readyNamespaces);

  it(
    `at ${POINTS} moments: none runs beside its successor, takes effect twice, or is lost`,
    { timeout: 60_000 + POINTS * 30_000 },
    async () => {
      let next = 0;
      const machines = Array.from({ length: MACHINES }, () => throughFaults(() => (next += 1) - 1));
      const done = (await Promise.all(machines)).reduce((sum, steps) => sum + steps, 0);
      expect(done).toBe(POINTS * STEPS);
      reached(46, "steps over SSH through a fault", done, POINTS * STEPS);
    },
  );
});

/** Takes points on a machine of its own, as long as there are any. @returns how many steps ended */
async function throughFaults(nextPoint: () => number): Promise<number> {
  const rig = await SshRig.open({ threads: STEPS });
  let done = 0;
  for (let point = nextPoint(); point < POINTS; point = nextPoint()) {
    const [, fault] = FAULTS[point % FAULTS.length]!;
    const steps = Array.from({ length: STEPS }, (_, step) => toTheEnd(rig, `${point}-${step}`));
    await rest(chance(700));
    await fault(rig);
    await Promise.all(steps);
    done += STEPS;
  }
  await rig.place.close(false);
  // What only looked whether anything is left may end a moment later.
  await expect.poll(() => rig.far.processes(), { timeout: 20_000 }).toEqual([]);
  const effects = linesIn(rig, "effects");
  const twice = effects.filter((token, at) => effects.indexOf(token) !== at);
  expect(linesIn(rig, "beside")).toEqual([]);
  expect(twice).toEqual([]);
  return done;
}

/** Starts a step, and again as long as it was interrupted, as a run does. */
async function toTheEnd(rig: SshRig, step: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const { place } = rig;
    await Promise.race([rig.ready(), replaced(rig, place)]);
    if (rig.place !== place) continue;
    const token = `${step}#${attempt}`;
    const text = [
      `exec 9>${join(rig.folder, `lock-${step}`)}`,
      `flock -n 9 || echo ${token} >> ${join(rig.folder, "beside")}`,
      `sleep 0.${chance(9)}`,
      `echo ${token} >> ${join(rig.folder, "effects")}`,
      `sleep 0.${chance(9)}`,
    ].join("\n");
    const end = await Promise.race([rig.shell(text).ended, replaced(rig, place)]);
    // A daemon hears nothing of its predecessor's steps, and asks whether they live.
    if (end === undefined) await rig.place.adopt(["rig@1#1"]);
    else if (end.result?.ok === true) return;
    else expect(mayRunAgain(end)).toBe(true);
  }
}

/** It was lost, or its runner was killed: a run starts it again. */
function mayRunAgain({ death, result }: FarEnd): boolean {
  return death !== undefined || result?.ok === true;
}

async function replaced(rig: SshRig, place: SshRig["place"]): Promise<undefined> {
  while (rig.place === place) await rest(20);
}

function linesIn(rig: SshRig, name: string): string[] {
  const path = join(rig.folder, name);
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").split("\n").slice(0, -1);
}
