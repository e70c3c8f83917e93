/**
 * What reaches a terminal. A PTY is captured while every command prints names, logs and errors with
 * control characters.
 */
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { orchd, orchdProgram, startDaemon } from "../support/daemon.ts";
import { reachedByTests } from "../support/figures.ts";
import { endedWithTest } from "../support/process-end.ts";
import { tempRoot } from "../support/temp-root.ts";
import { header, loaded, runPath, writePipeline, writeRun } from "../support/hand-ledger.ts";

const HOSTILE = "\u001b]0;owned\u0007\u001b[2J\u009b31m\r\b\u007f\u0000\u202e\nnext";
const RUN = "p@20261123T020000Z";
const SLOT = "2026-11-23T02:00:00.000Z";

/** Runs a command on its own pseudo-terminal, and gives all bytes that the terminal got. */
function onTerminal(
  root: string,
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const program =
    "import os,pty,sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])) & 0)";
  const child = endedWithTest(
    spawn("python3", ["-c", program, process.execPath, orchdProgram, ...words], {
      cwd: root,
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: root,
        TERM: "xterm-256color",
        ORCHD_ROOT: root,
        ...env,
      },
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) =>
    child.on("close", () => resolve(Buffer.concat(chunks).toString("utf8"))),
  );
}

/** Every character that a terminal may act on, except line ends and colours. */
function controls(text: string): string[] {
  const plain = text.replaceAll(/\u001b\[\d+(?:;\d+)*m/g, "").replaceAll("\r\n", "");
  return [...plain].filter((character) => {
    const code = character.codePointAt(0)!;
    return (
      code < 0x20 ||
      (code >= 0x7f && code <= 0x9f) ||
      (code >= 0x202a && code <= 0x202e) ||
      (code >= 0x2066 && code <= 0x2069)
    );
  });
}

function hostileRoot(): string {
  const { root, runs } = tempRoot({
    "schedules/q.yaml": `"na\\eme": 1\nsteps: { "\\e[2J": 5 }\n`,
    "schedules/r.yaml": 'schedule: { cron: "* * * * *" }\nsteps: { a: { run: "true" } }\n',
  });
  writeFileSync(join(root, "schedules", "bad\u001b[2Jname.yaml"), "steps: 1\n");
  const because = `because ${HOSTILE}`;
  writePipeline(runs, "p", [
    loaded("* * * * *", { timezone: "UTC", name: HOSTILE }),
    { type: "pipeline.invalid", errors: [`p.yaml:1:1: ${HOSTILE}`], file: `/x/${HOSTILE}.yaml` },
    { type: "slot.fired", slot: SLOT, run: RUN, through: SLOT, because },
    { type: "run.started", run: RUN },
    {
      type: "slot.skipped",
      slot: "2026-11-23T02:01:00.000Z",
      because,
      through: "2026-11-23T02:01:00.000Z",
    },
    { type: HOSTILE, because, run: `${HOSTILE}@` },
  ]);
  const step = `step${HOSTILE}`;
  writeRun(runs, RUN, [
    header(
      RUN,
      { [step]: [], after: [step] },
      { params: { x: HOSTILE }, trigger: { kind: HOSTILE, scheduledFor: HOSTILE } },
    ),
    { type: "run.started", because },
    { type: "step.started", step, attempt: 1, because },
    {
      type: "step.failed",
      step,
      attempt: 1,
      error: { name: HOSTILE, message: HOSTILE, code: HOSTILE, stack: HOSTILE },
    },
  ]);
  writeRun(runs, `${RUN}-r1`, [
    header(`${RUN}-r1`, { [step]: [], other: [] }, { params: { x: 1 } }),
  ]);
  writeFileSync(
    runPath(runs, RUN).replace(/jsonl$/, "log"),
    `${JSON.stringify({ at: HOSTILE, step, attempt: 1, stream: "stdout", line: HOSTILE })}\n`,
  );
  const host = { host: HOSTILE, labels: [HOSTILE], threads: 1, version: HOSTILE, because };
  const place = { place: HOSTILE, engine: HOSTILE, labels: [HOSTILE], hosts: [host], because };
  mkdirSync(join(runs, ".orchd"), { recursive: true });
  writeFileSync(
    join(runs, ".orchd", "places.jsonl"),
    `${JSON.stringify({ at: SLOT, type: "place.changed", epoch: 1, ...place })}\n`,
  );
  mkdirSync(join(runs, "p", "2026-11"), { recursive: true });
  appendFileSync(join(runs, "p", "2026-11", "p\u001b[2J.jsonl"), "x");
  return root;
}

const COMMANDS: readonly (readonly string[])[] = [
  ["status"],
  ["status", "p"],
  ["status", RUN],
  ["status", "--json"],
  ["status", RUN, "--json"],
  ["status", "--at", "2026-11-23T02:00:30Z"],
  ["places"],
  ["places", "--json"],
  ["runs"],
  ["runs", "--json"],
  ["logs", RUN],
  ["logs", RUN, HOSTILE],
  ["logs", RUN, "--json"],
  ["tail", "-n", "50"],
  ["tail", "-n", "50", "--json"],
  ["why", "p", SLOT],
  ["why", "p", HOSTILE],
  ["diff", RUN, `${RUN}-r1`],
  ["graph", RUN],
  ["graph", RUN, "--format", "mermaid"],
  ["graph", RUN, "--format", "dot"],
  ["verify"],
  ["verify", "--json"],
  ["validate"],
  ["validate", "--json"],
  ["validate", `schedules/${HOSTILE.replace("\u0000", "")}`],
  ["next"],
  ["import", "crontab", "crontab", "--dry-run"],
  [HOSTILE.replace("\u0000", "")],
  ["run", HOSTILE.replace("\u0000", "")],
  ["status", "--root", `/nowhere${HOSTILE.replace("\u0000", "")}`],
  ["status", `--${HOSTILE.replace("\u0000", "")}`],
];

it("tells a person in a sentence, and a log in a line, why no second daemon starts", async () => {
  const { root } = tempRoot({ "schedules/p.yaml": 'steps: { it: { run: "true" } }\n' });
  const first = await startDaemon({ root });
  const sentence = `is held by a daemon, process ${first.pid}, since `;
  const seen = await onTerminal(root, ["start"]);
  expect(seen.replaceAll(/\u001b\[\d+m/g, "")).toMatch(
    new RegExp(
      String.raw`^orchd: \S+\.orchd is held by a daemon, process \d+, since \S+\. ` +
        String.raw`Stop it first, or use another runs folder\.\r\n$`,
    ),
  );
  expect(seen).toContain(sentence);
  const logged = await orchd(root, "start");
  expect(logged.status).toBe(1);
  expect(JSON.parse(logged.stderr)).toMatchObject({
    level: "fatal",
    msg: expect.stringContaining(sentence) as string,
  });
  await first.end();
});

describe("a terminal", () => {
  reachedByTests(36, "captures of a pseudo-terminal without a control character from outside");

  it.each(COMMANDS.map((words) => [words.map((word) => word.replaceAll("\u0000", ""))]))(
    "gets no control character from outside by %j",
    async (words) => {
      const root = hostileRoot();
      const hostile = HOSTILE.replaceAll("\n", " ");
      writeFileSync(
        join(root, "crontab"),
        `* * * * * echo ${hostile}\n@reboot ${hostile}\nMAILTO=${hostile}\n`,
      );
      const sent = await onTerminal(root, words);
      expect(sent.length).toBeGreaterThan(0);
      expect(controls(sent)).toEqual([]);
    },
  );

  it("has colours, which NO_COLOR removes and a pipe does not get", async () => {
    const root = hostileRoot();
    const colour = /\u001b\[\d+m/;
    expect(await onTerminal(root, ["status"])).toMatch(colour);
    expect(await onTerminal(root, ["status"], { NO_COLOR: "1" })).not.toMatch(colour);
    expect(await onTerminal(root, ["status"], { TERM: "dumb" })).not.toMatch(colour);
    expect((await orchd(root, "status", { env: { NO_COLOR: "" } })).stdout).not.toMatch(colour);
    expect(
      (await orchd(root, "status", { env: { NO_COLOR: "", FORCE_COLOR: "1" } })).stdout,
    ).toMatch(colour);
    expect((await orchd(root, "status", { env: { NO_COLOR: "", CI: "true" } })).stdout).not.toMatch(
      colour,
    );
  });
});

it("a result that cannot be written is a failure, and is told", () => {
  const { root } = tempRoot();
  const told = (stdout: number | "pipe"): unknown => {
    const words = [orchdProgram, "status", "--root", root];
    const { status, stderr } = spawnSync(process.execPath, words, {
      stdio: ["ignore", stdout, "pipe"],
      encoding: "utf8",
    });
    return [status, stderr];
  };
  const full = openSync("/dev/full", "w");
  expect(told(full)).toEqual([
    1,
    "orchd: the result cannot be written (ENOSPC); see where stdout goes.\n",
  ]);
  closeSync(full);
  expect(told("pipe")).toEqual([0, ""]);
});
