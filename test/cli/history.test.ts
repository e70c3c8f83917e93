import { appendFileSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { ask } from "../support/asked-command.ts";
import { orchdProgram } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";
import {
  completedRun,
  header,
  ledgerText,
  loaded,
  runPath,
  writePipeline,
  writeRun,
  type HandEvent,
} from "../support/hand-ledger.ts";

const at = (minute: number): string => new Date(Date.UTC(2026, 10, 23, 2, minute)).toISOString();
const idOf = (pipeline: string, minute: number): string =>
  `${pipeline}@${at(minute).slice(0, 19).replaceAll(/[-:]/g, "")}Z`;

/** A pipeline whose slots of these minutes ran, with the status that each ended in. */
function writeHistory(
  runs: string,
  pipeline: string,
  ends: readonly (readonly [minute: number, status: string])[],
): void {
  const lines: HandEvent[] = [loaded("* * * * *")];
  for (const [minute, status] of ends) {
    const run = idOf(pipeline, minute);
    lines.push({ type: "slot.fired", at: at(minute), slot: at(minute), run, through: at(minute) });
    lines.push({
      type: "run.finished",
      at: at(minute),
      run,
      status,
      durationMs: 2_000,
      because: "x",
    });
    const events = completedRun(run).map((event) =>
      event.type === "run.finished" ? { ...event, status } : event,
    );
    writeRun(runs, run, events, at(minute));
  }
  writePipeline(runs, pipeline, lines, at(0));
}

describe("orchd runs", () => {
  it("is newest first over all pipelines, and stops at its number", async () => {
    const { root, runs } = tempRoot();
    writeHistory(runs, "a", [
      [1, "completed"],
      [4, "failed"],
      [5, "completed"],
    ]);
    writeHistory(runs, "b", [
      [2, "completed"],
      [3, "stopped"],
    ]);
    const all = (await ask(root, "runs", "--json")).json<{ run: string; status: string }[]>();
    expect(all.map(({ run }) => run)).toEqual([
      idOf("a", 5),
      idOf("a", 4),
      idOf("b", 3),
      idOf("b", 2),
      idOf("a", 1),
    ]);
    expect(all[1]).toMatchObject({
      pipeline: "a",
      status: "failed",
      inProgress: false,
      trigger: { kind: "schedule" },
      startedAt: "2026-11-23T02:04:01.000Z",
      durationMs: 3_000,
      steps: 1,
    });
    const names = async (...words: string[]): Promise<string[]> =>
      (await ask(root, "runs", "--json", ...words)).json<{ run: string }[]>().map(({ run }) => run);
    expect(await names("-n", "2")).toEqual([idOf("a", 5), idOf("a", 4)]);
    expect(await names("b")).toEqual([idOf("b", 3), idOf("b", 2)]);
    expect(await names("--status", "failed")).toEqual([idOf("a", 4)]);
    expect(await names("--since", at(3))).toEqual([idOf("a", 5), idOf("a", 4), idOf("b", 3)]);
  });

  it("goes on into rotated ledgers, and skips runs that are gone", async () => {
    const { root, runs } = tempRoot();
    writeHistory(runs, "a", [
      [1, "completed"],
      [2, "completed"],
    ]);
    renameSync(join(runs, "a/pipeline.jsonl"), join(runs, "a/pipeline-2026-11-23.jsonl"));
    writePipeline(
      runs,
      "a",
      [
        loaded("* * * * *"),
        { type: "slot.fired", at: at(9), slot: at(9), run: idOf("a", 9), through: at(9) },
      ],
      at(9),
    );
    const { status, json } = await ask(root, "runs", "a", "--json");
    expect(status).toBe(0);
    expect(json<{ run: string }[]>().map(({ run }) => run)).toEqual([idOf("a", 2), idOf("a", 1)]);
  });

  it.each([
    [["--status", "done"], 2, /no status; the statuses are/],
    [["--since", "soon"], 2, /--since/],
    [["-n", "0"], 2, /--number/],
    [["nope"], 3, /no pipeline "nope"/],
  ])("refuses %j", async (words, expected, message) => {
    const { root } = tempRoot();
    const { status, stderr } = await ask(root, "runs", ...words);
    expect(status).toBe(expected);
    expect(stderr).toMatch(message);
  });
});

const logLine = (step: string, line: string, stream = "stdout"): string =>
  `${JSON.stringify({ at: at(1), step, attempt: 1, stream, line })}\n`;

describe("orchd logs", () => {
  it("prints what the steps printed, or one step's, or raw lines", async () => {
    const { root, runs } = tempRoot();
    const run = idOf("a", 1);
    writeRun(runs, run, [header(run, { read: [], write: ["read"] })]);
    writeFileSync(
      runPath(runs, run).replace(/jsonl$/, "log"),
      logLine("read", "hello") + logLine("write", "oh \u001b[31mno\u001b[0m", "stderr"),
    );
    expect((await ask(root, "logs", run)).stdout).toBe(
      "02:01:00.000 read  | hello\n02:01:00.000 write ! oh no\n",
    );
    expect((await ask(root, "logs", run, "write")).stdout).toBe("02:01:00.000 ! oh no\n");
    expect((await ask(root, "logs", run, "--json")).jsonLines()).toMatchObject([
      { step: "read", line: "hello" },
      { step: "write", stream: "stderr", line: "oh \u001b[31mno\u001b[0m" },
    ]);
    const said = (fields: object): string =>
      logLine(
        "read",
        JSON.stringify({ level: "info", message: "3 \u001b[2Jfiles\u0007", ...fields }),
      );
    writeFileSync(
      runPath(runs, run).replace(/jsonl$/, "log"),
      said({}) + said({ bytes: 12 }) + logLine("read", '{"level":"info"}'),
    );
    const [plain, more, other] = (await ask(root, "logs", run, "read")).stdout.split("\n");
    expect([plain, more, other]).toEqual([
      expect.stringMatching(/^02:01:00\.000 \| info: 3 [^\u001b\u0007]*files[^\u001b\u0007]*$/),
      expect.stringMatching(/files[^\u001b\u0007]* \{"bytes":12\}$/),
      '02:01:00.000 | {"level":"info"}',
    ]);
    const none = await ask(root, "logs", run, "raed");
    expect(none.status).toBe(3);
    expect(none.stderr).toMatch(/has no step "raed"; its steps are read and write/);
  });

  it("follows a run that fails to the error of its step", async () => {
    const { root, runs } = tempRoot();
    const run = idOf("a", 1);
    const [first, second] = completedRun(run);
    const error = { name: "Error", message: "no room", stack: "Error: no room\n    at x.ts:1" };
    const failed = { type: "step.failed", step: "only", attempt: 1, error };
    const ends = { type: "run.finished", status: "failed", because: "no room", durationMs: 1 };
    const started = { type: "step.started", step: "only", attempt: 1, because: "ready" };
    const events = [first!, second!, started];
    const path = writeRun(runs, run, events);
    writeFileSync(path.replace(/jsonl$/, "log"), logLine("only", "one"));
    const following = follow(root, "logs", run, "-f");
    await following.sight(/one/);
    writeFileSync(path, ledgerText([...events, failed, ends]));
    expect(await following.ended).toBe(0);
    expect(following.text()).toMatch(/\| one\nonly failed:\n {2}Error: no room\n {6}at x\.ts:1\n$/);
  });

  it("follows an active run to its last line", async () => {
    const { root, runs } = tempRoot();
    const run = idOf("a", 1);
    const events = completedRun(run);
    const whole = ledgerText(events);
    const path = writeRun(runs, run, events.slice(0, -1));
    const log = path.replace(/jsonl$/, "log");
    const following = follow(root, "logs", run, "-f", "--json");
    writeFileSync(log, logLine("only", "one"));
    await following.sight(/"one"/);
    appendFileSync(log, `${logLine("only", "two")}{"at":"half`);
    await following.sight(/"two"/);
    appendFileSync(log, `","step":"only","line":"three"}\n`);
    writeFileSync(path, whole);
    expect(await following.ended).toBe(0);
    expect(following.text()).toMatch(/"one".*\n.*"two".*\n.*"three"/);
  });
});

/** A command that runs until it ends or the test does. */
function follow(
  root: string,
  ...words: string[]
): {
  text(): string;
  sight(what: RegExp): Promise<void>;
  readonly ended: Promise<number | null>;
  stop(): void;
} {
  const child = spawn(process.execPath, [orchdProgram, ...words], {
    cwd: root,
    env: { ...process.env, ORCHD_ROOT: root, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let text = "";
  const waiting = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (more: string) => {
    text += more;
    for (const look of waiting) look();
  });
  return {
    text: () => text,
    sight: (what) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!what.test(text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    ended: new Promise((resolve) => child.on("close", resolve)),
    stop: () => void child.kill("SIGTERM"),
  };
}

describe("orchd tail", () => {
  it("merges the last lines of a pipeline and its runs by time", async () => {
    const { root, runs } = tempRoot();
    writeHistory(runs, "a", [[1, "completed"]]);
    const lines = (await ask(root, "tail", "a", "--json", "-n", "3")).jsonLines();
    expect(lines.map((line) => [line["type"], line["pipeline"], line["run"]])).toEqual([
      ["step.started", "a", idOf("a", 1)],
      ["step.completed", "a", idOf("a", 1)],
      ["run.finished", "a", idOf("a", 1)],
    ]);
    expect((await ask(root, "tail", "nope")).status).toBe(3);
    expect((await ask(root, "tail", "-n", "x")).status).toBe(2);
  });

  it("follows over a rotation, into a new month and a new pipeline", async () => {
    const { root, runs } = tempRoot();
    const path = join(runs, "a/pipeline.jsonl");
    writePipeline(runs, "a", [loaded("* * * * *")]);
    const tail = follow(root, "tail", "-f", "--json", "-n", "1");
    await tail.sight(/pipeline\.loaded/);
    const run = "a@20261201T000000Z";
    writeRun(runs, run, [header(run, { only: [] })]);
    const second: HandEvent[] = [
      loaded("* * * * *"),
      {
        type: "slot.fired",
        slot: "2026-12-01T00:00:00.000Z",
        run,
        through: "2026-12-01T00:00:00.000Z",
      },
    ];
    writeFileSync(path, ledgerText(second));
    await tail.sight(/run\.submitted/);
    renameSync(path, join(runs, "a/pipeline-2026-12-01.jsonl"));
    writeFileSync(path, ledgerText([{ type: "pipeline.paused", because: "after the rotation" }]));
    await tail.sight(/after the rotation/);
    mkdirSync(dirname(runPath(runs, run)), { recursive: true });
    writeFileSync(
      runPath(runs, run),
      ledgerText([header(run, { only: [] }), { type: "run.started", because: "it is due" }]),
    );
    await tail.sight(/it is due/);
    writePipeline(runs, "b", [{ type: "pipeline.resumed", because: "a second pipeline" }]);
    await tail.sight(/a second pipeline/);
    tail.stop();
    const types = tail
      .text()
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { type: string }).type);
    expect(types.filter((type) => type === "slot.fired")).toHaveLength(1);
    expect(types.filter((type) => type === "run.submitted")).toHaveLength(1);
  });

  it("ends quietly when nobody reads any more", async () => {
    const { root, runs } = tempRoot();
    writeHistory(
      runs,
      "a",
      Array.from({ length: 40 }, (_, minute) => [minute, "completed"] as const),
    );
    const child = spawn(
      "/bin/sh",
      ["-c", `"${process.execPath}" "${orchdProgram}" tail a -n 200 --root "${root}" | head -n 1`],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let stderr = "";
    child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
    await new Promise((resolve) => child.on("close", resolve));
    expect(stderr).toBe("");
  });
});

describe("orchd why", () => {
  const lines: HandEvent[] = [
    loaded("* * * * *"),
    { type: "slot.fired", at: at(1), slot: at(1), run: idOf("a", 1), through: at(1) },
    { type: "slot.skipped", slot: at(2), because: "a@x is still active", through: at(2) },
    { type: "slot.missed", slot: at(3), until: at(6), because: "no daemon was up", through: at(6) },
    {
      type: "slot.caught_up",
      at: at(9),
      slot: at(7),
      run: idOf("a", 7),
      because: "the latest one missed",
      through: at(7),
    },
    { type: "slot.skipped", slot: at(8), because: "the schedule is paused", through: at(8) },
    { type: "slot.backfilled", slot: at(2), run: `${idOf("a", 2)}-b1` },
  ];
  it.each([
    [at(1), "fired", /fired at .*made the run a@20261123T020100Z, which is completed\./],
    [at(4), "missed", /missed: no daemon was up\./],
    [
      at(7),
      "caught_up",
      /ran late, at 2026-11-23T02:09:00.000Z \(2m after it\): the latest one missed/,
    ],
    [at(8), "skipped", /skipped: the schedule is paused\./],
    ["2026-11-23T02:01", "fired", /fired/],
    [
      "2026-11-23T02:01:30Z",
      "none",
      new RegExp(
        "no slot of a at 2026-11-23T02:01:30.000Z was due; the one before is " +
          String.raw`2026-11-23T02:01:00.000Z and the one after 2026-11-23T02:02:00.000Z\.`,
      ),
    ],
    [at(20), "pending", /due and not decided yet: no daemon runs/],
    ["2099-01-01T00:00:00Z", "coming", /still to come/],
    ["2026-11-23T01:00:00Z", "none", /counts from/],
  ])("says of %s that it was %s", async (time, decision, sentence) => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "a", lines, at(0));
    writeRun(runs, idOf("a", 1), completedRun(idOf("a", 1)), at(1));
    const answer = (await ask(root, "why", "a", time, "--json")).json<{
      decision: string;
      sentence: string;
    }>();
    expect(answer.decision).toBe(decision);
    expect(answer.sentence).toMatch(sentence);
    expect((await ask(root, "why", "a", time)).stdout).toBe(`${answer.sentence}\n`);
  });

  // Every fifth minute, loaded at 02:02.
  const ticks = (more: Readonly<Record<string, unknown>> = {}): HandEvent => ({
    ...loaded("*/5 * * * *", more),
    at: at(2),
    since: at(2),
  });
  const fired = (minute: number): HandEvent => ({
    type: "slot.fired",
    at: at(minute),
    slot: at(minute),
    run: idOf("a", minute),
    through: at(minute),
  });
  const far = "2099-01-01T00:05:00.000Z";
  it.each<[what: string, lines: HandEvent[], time: string, decision: string, sentence: string]>([
    [
      "before the load",
      [ticks()],
      at(0),
      "none",
      `no slot of a at ${at(0)} was due: its schedule counts from ${at(2)}, when it was loaded; ` +
        `the one after is ${at(5)}.`,
    ],
    [
      "of no slot, after the load",
      [ticks(), fired(5)],
      at(7),
      "none",
      `no slot of a at ${at(7)} was due; the one before is ${at(5)} and the one after ${at(10)}.`,
    ],
    [
      "of no slot, ahead",
      [ticks()],
      "2099-01-01T00:07:00.000Z",
      "none",
      "no slot of a at 2099-01-01T00:07:00.000Z will be due; the one before is " +
        "2099-01-01T00:05:00.000Z and the one after 2099-01-01T00:10:00.000Z.",
    ],
    [
      "after stopAfter",
      [ticks({ stopAfter: 2 }), fired(5), fired(10)],
      at(15),
      "none",
      `no slot of a at ${at(15)} was due: its schedule stops after 2 slots, ` +
        `the last of them ${at(10)}.`,
    ],
    [
      "after stopAfter, ahead",
      [ticks({ stopAfter: 1 }), fired(5)],
      far,
      "none",
      `no slot of a at ${far} will be due: its schedule stops after 1 slot, ` +
        `the last of them ${at(5)}.`,
    ],
    [
      "after endTime",
      [ticks({ endTime: at(12) }), fired(5), fired(10)],
      at(15),
      "none",
      `no slot of a at ${at(15)} was due: its schedule ended at ${at(12)}; ` +
        `the one before is ${at(10)}.`,
    ],
    [
      "before startTime",
      [ticks({ startTime: at(12) })],
      at(10),
      "none",
      `no slot of a at ${at(10)} was due: its schedule starts at ${at(12)}; ` +
        `the one after is ${at(15)}.`,
    ],
    [
      "in a blackout, ahead",
      [ticks({ blackout: [{ from: "2098-12-31T00:00:00.000Z", to: "2099-01-02T00:00:00.000Z" }] })],
      far,
      "coming",
      `the slot ${far} of a is still to come: it will be skipped, in the blackout from ` +
        "2098-12-31T00:00:00.000Z to 2099-01-02T00:00:00.000Z.",
    ],
    [
      "while paused, ahead",
      [ticks(), { type: "pipeline.paused" }],
      far,
      "coming",
      `the slot ${far} of a is still to come: the schedule is paused, so it will be skipped ` +
        "unless it is resumed before.",
    ],
    [
      "after it was removed",
      [ticks(), fired(5), { type: "pipeline.removed", at: at(8) }],
      at(10),
      "none",
      `no slot of a at ${at(10)} was due: its file was removed at ${at(8)}.`,
    ],
    [
      "of no slot, before it was removed",
      [ticks(), fired(5), { type: "pipeline.removed", at: at(8) }],
      at(6),
      "none",
      `no slot of a at ${at(6)} was due; the one before is ${at(5)}.`,
    ],
    [
      "of a text before the one in force",
      [ticks(), fired(5), { ...loaded("0 0 1 1 *"), at: at(8), since: at(8) }],
      at(6),
      "none",
      `no slot of a at ${at(6)} was due; the one before is ${at(5)}.`,
    ],
    [
      "in a stretch of missed slots, of none",
      [
        ticks(),
        {
          type: "slot.missed",
          at: at(30),
          slot: at(5),
          until: at(25),
          because: "no daemon was up",
          through: at(25),
        },
      ],
      at(7),
      "none",
      `no slot of a at ${at(7)} was due; the one before is ${at(5)} and the one after ${at(10)}.`,
    ],
    [
      "of a pipeline without a schedule",
      [{ ...ticks(), schedules: [] }],
      at(7),
      "none",
      `no slot of a at ${at(7)} was due: it has no schedule; it runs when it is asked to.`,
    ],
    [
      "of a file that was never good",
      [{ type: "pipeline.invalid", at: at(2), errors: ["a.yaml:1: no steps"] }],
      at(7),
      "none",
      `no slot of a at ${at(7)} was due: no version of its file has been good so far ` +
        "(a.yaml:1: no steps).",
    ],
    [
      "of a time whose ledger is gone",
      [
        {
          type: "pipeline.loaded",
          at: at(20),
          digest: "d",
          schedules: [],
          tz: "UTC",
          tzdata: "2025c",
        },
        {
          type: "pipeline.checkpoint",
          at: at(20),
          digest: "d",
          since: at(2),
          through: at(20),
          paused: false,
          schedules: [],
          active: [],
          queued: [],
          last: null,
          counts: {},
        },
      ],
      at(5),
      "none",
      `no slot of a at ${at(5)} was due: the ledger of that time is gone.`,
    ],
  ])("says %s what is true", async (_what, lines, time, decision, sentence) => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "a", lines, at(2));
    expect((await ask(root, "why", "a", time, "--json")).json()).toMatchObject({
      decision,
      sentence,
    });
  });

  it.each([
    ["2026-11-23T02:05Z", "fired"],
    ["2026-11-23T03:05+01:00", "fired"],
    ["2026-11-23T02:05:30Z", "fired"],
    ["2026-11-23T02:05:00Z", "none"],
    ["2026-11-23T02:04Z", "none"],
    ["2026-11-23T02:06Z", "none"],
  ])("takes a time without seconds for its whole minute: %s is %s", async (time, decision) => {
    const { root, runs } = tempRoot();
    const slot = "2026-11-23T02:05:30.000Z";
    const run = "a@20261123T020530Z";
    writePipeline(
      runs,
      "a",
      [
        { ...loaded("30 */5 * * * *"), at: at(2), since: at(2) },
        { type: "slot.fired", at: slot, slot, run, through: at(9) },
      ],
      at(2),
    );
    expect((await ask(root, "why", "a", time, "--json")).json()).toMatchObject({ decision });
  });

  it("tells of a backfill beside the decision", async () => {
    const { root, runs } = tempRoot();
    writePipeline(runs, "a", lines, at(0));
    const answers = (await ask(root, "why", "a", at(2), "--json")).json<{ decision: string }[]>();
    expect(answers.map(({ decision }) => decision)).toEqual(["skipped", "backfilled"]);
  });
});

describe("orchd diff", () => {
  it("names what ran again and what changed", async () => {
    const { root, runs } = tempRoot();
    const one = idOf("a", 1);
    const two = `${one}-r1`;
    const steps = (text: string, path: string): unknown => {
      const { snapshot } = header(one, { read: [], count: ["read"] }) as unknown as {
        snapshot: { steps: Record<string, unknown>[] };
      };
      snapshot.steps[0]!["params"] = { path };
      snapshot.steps[1]!["run"] = text;
      return snapshot;
    };
    const done = (step: string): HandEvent[] => [
      { type: "step.started", step, attempt: 1, because: "x" },
      { type: "step.completed", step, attempt: 1, outputs: { result: 1 }, durationMs: 1 },
    ];
    writeRun(runs, one, [
      header(one, {}, { snapshot: steps("wc", "/a"), params: { path: "/a" } }),
      ...done("read"),
      ...done("count"),
    ]);
    writeRun(runs, two, [
      header(two, {}, { snapshot: steps("wc -l", "/b"), params: { path: "/b" } }),
      {
        type: "step.cached",
        step: "read",
        source: { run: one, step: "read" },
        outputs: { result: 1 },
        because: "same key",
      },
      ...done("count"),
    ]);
    expect((await ask(root, "diff", one, two, "--json")).json()).toEqual({
      before: one,
      after: two,
      params: ["path"],
      pipelineChanged: false,
      steps: [
        {
          step: "read",
          before: "completed",
          after: "cached",
          ranAnew: false,
          changes: ['param "path" changed'],
          because: "same key",
        },
        {
          step: "count",
          before: "completed",
          after: "completed",
          ranAnew: true,
          changes: ["command changed"],
          because: "x",
        },
      ],
    });
    expect((await ask(root, "diff", one, idOf("a", 9))).status).toBe(3);
  });
});

describe("orchd graph RUN", () => {
  it("draws the steps, what each needs and its status", async () => {
    const { root, runs } = tempRoot();
    const run = idOf("a", 1);
    writeRun(runs, run, [
      header(run, { read: [], digest: ["read"] }),
      { type: "step.started", step: "read", attempt: 1, because: "x" },
    ]);
    expect((await ask(root, "graph", run)).stdout).toBe(
      `${run} initializing\n  ▸ read  running\n    · digest  ← after read  initializing\n`,
    );
    expect((await ask(root, "graph", run, "--format", "mermaid")).stdout).toBe(
      'flowchart TD\n  s0["read: running"]\n  s1["digest: initializing"]\n  s0 -.-> s1\n',
    );
    expect((await ask(root, "graph", run, "--format", "dot")).stdout).toContain(
      '"read" -> "digest" [style=dashed];',
    );
    expect((await ask(root, "graph", run, "--json")).json()).toMatchObject({
      name: run,
      status: "initializing",
      steps: [
        { step: "read", needs: [] },
        { step: "digest", needs: ["read"] },
      ],
    });
  });
});

describe("orchd verify", () => {
  it("exits 0 where all is whole, 1 with file and line where it is not", async () => {
    const { root, runs } = tempRoot();
    writeHistory(runs, "a", [[1, "completed"]]);
    const whole = await ask(root, "verify", "--json");
    expect({ status: whole.status, found: whole.json() }).toEqual({
      status: 0,
      found: { checked: 2, faults: [] },
    });
    const path = runPath(runs, idOf("a", 1));
    appendFileSync(path, '{"seq":6');
    const torn = await ask(root, "verify", "--json");
    expect(torn.status).toBe(1);
    expect(torn.json()).toMatchObject({ checked: 2, faults: [{ file: path, line: 6 }] });
    expect((await ask(root, "verify")).stdout).toMatch(
      /2026-11\/a@20261123T020100Z\.jsonl:6: .*\n2 ledgers checked, 1 fault\n/,
    );
  });

  it("rebuilds the cache's index where no daemon runs", async () => {
    const { root, runs } = tempRoot();
    const run = idOf("a", 1);
    writeHistory(runs, "a", [[1, "completed"]]);
    writeRun(
      runs,
      run,
      completedRun(run).map((event) =>
        event.type === "step.started" ? { ...event, cacheKey: "ab".repeat(32) } : event,
      ),
    );
    const { status, json } = await ask(root, "verify", "--rebuild", "--json");
    expect(status).toBe(0);
    expect(json()).toMatchObject({
      checked: 2,
      faults: [],
      rebuilt: "the cache's index was rebuilt: 1 result",
    });
  });
});

describe("orchd prune", () => {
  it.each([
    ["ENOSPC", "the disk is full"],
    ["EDQUOT", "the quota on the disk is used up"],
  ])("says what to remove where it finds no room itself: %s", async (code, what) => {
    const full = Object.assign(new Error(`${code}: no`), { code });
    vi.doMock("../../src/ledger/folder-lock.ts", () => ({
      withFolderLock: () => Promise.reject(full),
    }));
    onTestFinished(() => vi.doUnmock("../../src/ledger/folder-lock.ts"));
    const { root } = tempRoot();
    const { status, stderr } = await ask(root, "prune");
    expect(status).toBe(1);
    expect(stderr).toContain(`orchd: ${what}, and prune has to write a little itself`);
    expect(stderr).toContain("remove what a few runs printed");
  });

  it("says what would go, removes it, and keeps the newest", async () => {
    const { root, runs } = tempRoot();
    writeHistory(runs, "a", [
      [1, "completed"],
      [2, "completed"],
      [3, "completed"],
    ]);
    const dry = (await ask(root, "prune", "--keep-runs", "1", "--dry-run", "--json")).json<{
      runs: { run: string }[];
    }>();
    expect(dry.runs.map(({ run }) => run).toSorted()).toEqual([idOf("a", 1), idOf("a", 2)]);
    expect((await ask(root, "runs", "--json")).json()).toHaveLength(3);
    const { status, json } = await ask(root, "prune", "--keep-runs", "1", "--json");
    expect(status).toBe(0);
    expect(json<{ dryRun: boolean; runs: unknown[] }>()).toMatchObject({
      dryRun: false,
      runs: dry.runs,
    });
    expect(
      (await ask(root, "runs", "--json")).json<{ run: string }[]>().map(({ run }) => run),
    ).toEqual([idOf("a", 3)]);
    expect((await ask(root, "prune", "--keep-days", "-1")).status).toBe(2);
  });

  it("takes 0 for no run but the newest, and refuses what is no count", async () => {
    const { root, runs } = tempRoot();
    writeHistory(runs, "a", [
      [1, "completed"],
      [2, "completed"],
    ]);
    const { status, json } = await ask(root, "prune", "--keep-runs", "0", "--json");
    expect(status).toBe(0);
    expect(json<{ runs: { run: string }[] }>().runs.map(({ run }) => run)).toEqual([idOf("a", 1)]);
    for (const count of ["-1", "1.5", "many", "1000001"])
      expect((await ask(root, "prune", `--keep-runs=${count}`)).status).toBe(2);
  });

  it("can go by size, and be for one pipeline alone", async () => {
    const { root, runs } = tempRoot();
    for (const pipeline of ["a", "b"])
      writeHistory(runs, pipeline, [
        [1, "completed"],
        [2, "completed"],
      ]);
    const dry = async (...words: string[]): Promise<string[]> =>
      (await ask(root, "prune", "--dry-run", "--json", ...words))
        .json<{ runs: { run: string }[] }>()
        .runs.map(({ run }) => run)
        .toSorted();
    expect(await dry("--keep-bytes", "1")).toEqual([idOf("a", 1), idOf("b", 1)]);
    expect(await dry("--keep-bytes", "1000000000")).toEqual([]);
    expect(await dry("--keep-bytes", "1", "--pipeline", "b")).toEqual([idOf("b", 1)]);
    expect((await ask(root, "prune", "--keep-bytes", "-1")).status).toBe(2);
    expect((await ask(root, "prune", "--pipeline", "nobody")).status).toBe(3);
  });

  it("keeps each pipeline's own rules, and touches none whose rules are unknown", async () => {
    const pipeline = (retention: string): string =>
      `retention: { ${retention} }\nsteps: { a: { run: "true" } }\n`;
    const { root, runs } = tempRoot({
      "orchd.yaml": "retention: { keepRuns: 1 }\n",
      "schedules/a.yaml": pipeline("keepRuns: 2"),
      "schedules/b.yaml": pipeline("keepRuns: many"),
    });
    for (const name of ["a", "b", "c"])
      writeHistory(runs, name, [
        [1, "completed"],
        [2, "completed"],
        [3, "completed"],
      ]);
    const { stdout } = await ask(root, "prune", "--dry-run", "--json");
    expect(
      (JSON.parse(stdout) as { runs: { run: string }[] }).runs.map(({ run }) => run).toSorted(),
    ).toEqual([idOf("a", 1), idOf("c", 1), idOf("c", 2)]);
  });
});
