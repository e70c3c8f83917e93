/**
 * Commands that ask the daemon: the request that each leaves, by the words on its command line, and
 * what each says of an answer, to the letter.
 */
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { CommandContext } from "../../src/cli/command.ts";
import { CliError } from "../../src/cli/exit.ts";
import { parseProgram } from "../../src/cli/program.ts";
import type { Reply } from "../../src/core/request.ts";
import type { Answer } from "../../src/ledger/ask.ts";
import { header, loaded, writePipeline, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { at, idOf, madeUpRoot } from "../support/made-up-root.ts";
import type { TempRoot } from "../support/temp-root.ts";
import { ToldTerminal } from "../support/told-terminal.ts";

let answer: Answer;
let requests: Record<string, unknown>[] = [];
let onAsked: () => void;
vi.mock("../../src/ledger/ask.ts", () => ({
  ask: (_runs: string, request: Record<string, unknown>): Promise<Answer> => {
    requests.push(request);
    onAsked();
    return Promise.resolve(answer);
  },
  daemonRuns: () => true,
}));

const accepted = (more: Partial<Reply> = {}): Answer => ({
  kind: "answered",
  id: "q1",
  reply: { accepted: true, ...more },
});
const REFUSED: Answer = { kind: "answered", id: "q1", reply: { accepted: false, reason: "no" } };
const KEPT: Answer = { kind: "kept", id: "q1" };

/** The commands here change nothing in it. */
let shared: TempRoot;
beforeAll(() => void (shared = madeUpRoot()));
beforeEach(() => {
  requests = [];
  onAsked = () => undefined;
  answer = accepted();
});

/** Runs a command line. What it says stands one line each: `>` to stdout, `!` and `note` beside. */
async function told(words: string, made = shared): Promise<[number, ...string[]]> {
  const parsed = await parseProgram(words.split(" "), "1.2.3", 100);
  if (parsed.kind === "text") throw new Error(parsed.text);
  const terminal = new ToldTerminal();
  const context: CommandContext = {
    args: parsed.args,
    roots: made,
    terminal: terminal.it,
    commands: [],
    startDaemon: () => Promise.reject(new Error("no daemon is started here")),
    readMetrics: () => Promise.reject(new Error("no metrics are read here")),
    exportTraces: () => Promise.reject(new Error("no traces are exported here")),
    servePage: () => Promise.reject(new Error("no page is served here")),
    serveWorker: () => Promise.reject(new Error("no worker is started here")),
    tellPeople: () => Promise.reject(new Error("no page is served here")),
    preparePlace: () => Promise.reject(new Error("no place is prepared here")),
  };
  const { run } = await parsed.command.load();
  const status = await run(context).catch((error: unknown) => {
    if (!(error instanceof CliError)) throw error;
    terminal.error(error.message);
    return error.status;
  });
  return [
    status,
    ...terminal.lines.map((text) => `> ${text}`),
    ...terminal.values.map((value) => `> ${JSON.stringify(value)}`),
    ...terminal.notes.map((text) => `note ${text}`),
    ...terminal.errors.map((text) => `! ${text}`),
  ];
}

/** The one request that a command line leaves, without who asks. */
async function left(words: string): Promise<unknown> {
  await told(words);
  expect(requests).toHaveLength(1);
  const [{ by, ...request }] = requests as [Record<string, unknown>];
  expect(by).toMatch(/^cli:.+/);
  return request;
}

const RUN = idOf("etl", 2);
const GOES_ON = idOf("etl", 9);
const KEEPS =
  "note no daemon runs: the request is kept (q1) and will be honoured once `orchd start` runs.";
const WINDOW = "--from 2026-11-20T00:00Z --to 2026-11-21T00:00Z";
const BACKFILL = {
  type: "backfill",
  pipeline: "etl",
  from: "2026-11-20T00:00:00.000Z",
  to: "2026-11-21T00:00:00.000Z",
};

it.each<[string, object]>([
  ["pause etl", { type: "pause", pipeline: "etl" }],
  ["resume etl", { type: "resume", pipeline: "etl" }],
  [`repair ${RUN}`, { type: "repair", run: RUN }],
  ["run etl", { type: "submit", pipeline: "etl" }],
  ["run etl --no-cache", { type: "submit", pipeline: "etl", noCache: true }],
  // The sign that stands for what is no UTF-8 may be meant.
  ["run etl -p a=\ufffd", { type: "submit", pipeline: "etl", params: { a: "\ufffd" } }],
  [
    'run etl -p a=1 -p b=x --param c={"d":[1]} -p e= -p f=g=h',
    {
      type: "submit",
      pipeline: "etl",
      params: { a: 1, b: "x", c: { d: [1] }, e: "", f: "g=h" },
    },
  ],
  [`rerun ${RUN}`, { type: "rerun", run: RUN }],
  [`rerun ${RUN} --failed`, { type: "rerun", run: RUN, failed: true }],
  [`rerun ${RUN} --from load`, { type: "rerun", run: RUN, from: "load" }],
  [`rerun ${RUN} --from new --edited`, { type: "rerun", run: RUN, from: "new", edited: true }],
  [`stop ${GOES_ON}`, { type: "stop", run: GOES_ON, mode: "graceful" }],
  [`stop ${GOES_ON} --force`, { type: "stop", run: GOES_ON, mode: "force" }],
  ["stop etl", { type: "stop", run: GOES_ON, mode: "graceful" }],
  [`backfill etl ${WINDOW}`, { ...BACKFILL, which: "missing" }],
  [`backfill etl ${WINDOW} --missing`, { ...BACKFILL, which: "missing" }],
  [`backfill etl ${WINDOW} --failed`, { ...BACKFILL, which: "failed" }],
  [`backfill etl ${WINDOW} --all`, { ...BACKFILL, which: "all" }],
  [`backfill etl ${WINDOW} --max-active 3`, { ...BACKFILL, which: "missing", maxActive: 3 }],
  ["backfill --cancel b7", { type: "cancel_backfill", id: "b7" }],
  ["prune", { type: "prune" }],
  ["prune --pipeline etl --dry-run", { type: "prune", pipeline: "etl", dryRun: true }],
  [
    "prune --keep-days 1.5 --keep-runs 0 --keep-bytes 9",
    { type: "prune", keepDays: 1.5, keepRuns: 0, keepBytes: 9 },
  ],
  ["verify --rebuild", { type: "rebuild" }],
])("orchd %s leaves this request", async (words, request) => {
  expect(await left(words)).toEqual(request);
});

describe.each<[string, string[], string[]]>([
  ["pause etl", ["> etl is paused"], ["> etl is paused (by the way)"]],
  ["resume etl", ["> etl goes on"], ["> etl goes on (by the way)"]],
  [`repair ${RUN}`, [`> ${RUN} is repaired`], [`> ${RUN} is repaired: by the way`]],
  [
    "silence etl --until 2099-01-02T03:04Z",
    ["> nobody is told of etl until 2099-01-02 03:04:00Z; its schedule goes on"],
    ["> nobody is told of etl until 2099-01-02 03:04:00Z; its schedule goes on"],
  ],
  [
    "silence etl --end",
    ["> people are told of etl again"],
    ["> people are told of etl again (by the way)"],
  ],
  ["run etl", ["> etl@1"], ["> etl@1", "note by the way"]],
  [`rerun ${RUN}`, ["> etl@1"], ["> etl@1", "note by the way"]],
  [`stop ${GOES_ON}`, [`> ${GOES_ON} is stopping`], [`> ${GOES_ON} is stopping`]],
  [
    `stop --force ${GOES_ON}`,
    [`> ${GOES_ON} is stopping, by force`],
    [`> ${GOES_ON} is stopping, by force`],
  ],
  [
    `backfill etl ${WINDOW}`,
    ["> backfill q1 is under way; `orchd backfill --cancel q1` ends it"],
    ["> backfill q1 is under way: by the way; `orchd backfill --cancel q1` ends it"],
  ],
  [
    "backfill --cancel b7",
    ["> backfill b7 makes no more runs; those that have begun go on"],
    ["> backfill b7 makes no more runs; those that have begun go on"],
  ],
])("orchd %s", (words, done, remarked) => {
  it("says what was done, with the daemon's remark", async () => {
    answer = accepted({ run: "etl@1" });
    expect(await told(words)).toEqual([0, ...done]);
    const json = await told(`${words} --json`);
    expect(json).toEqual([0, '> {"request":"q1","accepted":true,"run":"etl@1"}']);
    answer = accepted({ run: "etl@1", reason: "by the way" });
    expect(await told(words)).toEqual([0, ...remarked]);
    expect(await told(`${words} --json`)).toEqual([
      0,
      '> {"request":"q1","accepted":true,"run":"etl@1","reason":"by the way"}',
    ]);
  });

  it("says a refusal, and that a request is kept", async () => {
    answer = REFUSED;
    expect(await told(words)).toEqual([5, "! refused: no."]);
    const json = '> {"request":"q1","accepted":false,"reason":"no"}';
    expect(await told(`${words} --json`)).toEqual([5, json, "! refused: no."]);
    answer = KEPT;
    expect(await told(words)).toEqual([0, KEEPS]);
    expect(await told(`${words} --json`)).toEqual([0, '> {"request":"q1","accepted":null}', KEEPS]);
  });
});

describe("orchd prune", () => {
  const result = {
    runs: [
      { run: "etl@1", because: "it is older than 30 days" },
      { run: "etl@2", because: "x" },
    ],
    kept: [{ run: "etl@3", because: "it is the newest" }],
    bytes: 1_572_864,
    files: 1,
  };
  it("says what was removed, or what would be", async () => {
    answer = accepted({ result });
    expect(await told("prune")).toEqual([
      0,
      "> removed etl@1: it is older than 30 days",
      "> removed etl@2: x",
      "> 2 runs and 1 other file removed, 1.5 MiB; 1 more run kept though a limit is passed",
    ]);
    answer = accepted({ result: { runs: result.runs.slice(1), kept: [], bytes: 0, files: 0 } });
    expect(await told("prune --dry-run")).toEqual([
      0,
      "> would remove etl@2: x",
      "> 1 run and 0 other files would be removed, 0.0 MiB; " +
        "0 more runs kept though a limit is passed",
    ]);
  });

  it("says all of it in JSON", async () => {
    answer = accepted({ result, reason: "by the way" });
    expect(await told("prune --dry-run --json")).toEqual([
      0,
      `> ${JSON.stringify({ dryRun: true, ...result, reason: "by the way" })}`,
    ]);
    answer = accepted();
    expect(await told("prune --json")).toEqual([
      0,
      '> {"dryRun":false,"runs":[],"kept":[],"bytes":0,"files":0}',
    ]);
  });

  it("takes the daemon's word where it tells no more", async () => {
    expect(await told("prune")).toEqual([0, "> the daemon has pruned"]);
    answer = accepted({ reason: "it is under way" });
    expect(await told("prune")).toEqual([0, "> it is under way"]);
    answer = REFUSED;
    expect(await told("prune")).toEqual([5, "! refused: no."]);
    answer = KEPT;
    expect(await told("prune")).toEqual([0, KEEPS]);
  });
});

describe("orchd stop of a run that an orchestrator runs", () => {
  const begun = [header(idOf("far", 1), { a: [] }), { type: "run.started", because: "x" }];
  /** What is said where the run's ledger got these lines after the request. */
  const stopped = async (words: string, ...after: HandEvent[]): Promise<[number, ...string[]]> => {
    const made = madeUpRoot();
    const run = idOf("far", 1);
    writePipeline(made.runs, "far", [
      loaded("0 * * * *"),
      { type: "slot.fired", slot: at(1), run },
      { type: "run.started", run },
    ]);
    writeRun(made.runs, run, begun);
    // The daemon writes as it is asked.
    onAsked = () => void writeRun(made.runs, run, [...begun, ...after]);
    return told(words, made);
  };
  const asked = (mode: string, more: object = {}): HandEvent => ({
    type: "run.stop_requested",
    mode,
    because: "x",
    by: "cli:x",
    ...more,
  });
  const far = { asksOrchestrator: true };
  const failed = { type: "stop.failed", mode: "graceful", because: "no pod answers" };

  it("fails where that could not stop it, and says how to ask once more", async () => {
    const run = idOf("far", 1);
    const done = `> ${run} is stopping`;
    const until = "until its orchestrator says that it has ended";
    const goesOn = `! no pod answers; ${run} is stopping ${until}`;
    expect(await stopped("stop far", asked("graceful", far), failed)).toEqual([
      1,
      done,
      `${goesOn}: \`orchd stop --force ${run}\` asks it once more.`,
    ]);
    const forced = { ...failed, mode: "force" };
    expect(await stopped("stop far --force", asked("force", far), forced)).toEqual([
      1,
      `${done}, by force`,
      `${goesOn}.`,
    ]);
  });

  it.each<[string, HandEvent[]]>([
    ["it could", [asked("graceful", far), { ...failed, type: "stop.accepted" }]],
    ["it has ended", [asked("graceful", far), { type: "run.finished", status: "stopped" }]],
    ["it is not asked", [asked("graceful"), failed]],
    ["nothing is written yet", []],
  ])("is done where %s", async (_, lines) => {
    expect(await stopped("stop far", ...lines)).toEqual([0, `> ${idOf("far", 1)} is stopping`]);
  });

  it("names the runs that a pipeline's name leaves open", async () => {
    const made = madeUpRoot();
    const ids = [1, 2].map((nth) => idOf("two", nth));
    const events = (type: string): HandEvent[] => [
      loaded("0 * * * *"),
      ...ids.flatMap((run, nth) => [
        { type: "slot.fired", slot: at(nth), run },
        { type, run, because: "x" },
      ]),
    ];
    for (const run of ids) writeRun(made.runs, run, [header(run, { a: [] })]);
    const name = `name one of them: ${ids.join(" and ")}.`;
    writePipeline(made.runs, "two", events("run.started"));
    expect(await told("stop two", made)).toEqual([2, `! 2 runs of "two" are active; ${name}`]);
    writePipeline(made.runs, "two", events("run.queued"));
    expect(await told("stop two", made)).toEqual([2, `! 2 runs of "two" are queued; ${name}`]);
    expect(requests).toEqual([]);
  });
});

it("orchd verify --rebuild says what became of the index", async () => {
  const counted = "> 10 ledgers checked, all whole";
  const index = (words: string): string => `> the ${words}`;
  expect(await told("verify --rebuild")).toEqual([
    0,
    index("daemon has rebuilt the cache's index"),
    counted,
  ]);
  answer = accepted({ reason: "9 results" });
  expect(await told("verify --rebuild")).toEqual([
    0,
    index("daemon has rebuilt the cache's index (9 results)"),
    counted,
  ]);
  expect(await told("verify --rebuild --json")).toEqual([
    0,
    `> ${JSON.stringify({
      checked: 10,
      faults: [],
      rebuilt: "the daemon has rebuilt the cache's index (9 results)",
    })}`,
  ]);
  answer = KEPT;
  expect(await told("verify --rebuild")).toEqual([
    0,
    index("cache's index will be rebuilt"),
    counted,
    KEEPS,
  ]);
  answer = REFUSED;
  expect(await told("verify --rebuild")).toEqual([5, "! refused: no."]);
});

it("a run that is waited for, or is synchronous, is followed to its end", async () => {
  answer = accepted({ run: idOf("etl", 1) });
  const [status, ...lines] = await told("run etl --wait");
  expect([status, lines.at(-1)]).toEqual([
    0,
    `> ✓ ${idOf("etl", 1)} completed in 2m: every step completed`,
  ]);
  answer = accepted({ run: RUN, result: { synchronous: true } });
  const [failed, ...words] = await told("run etl");
  expect([failed, words.at(-1)]).toEqual([1, `> ✗ ${RUN} failed in 2m: step "load" failed`]);
  answer = accepted({ run: RUN, result: { synchronous: false } });
  expect(await told("run etl")).toEqual([0, `> ${RUN}`]);
  // With a daemon up, a run in the foreground is the daemon's, and is followed.
  const foreground = await told("run etl --foreground");
  expect([foreground[0], foreground.at(-1)]).toEqual([failed, words.at(-1)]);
  answer = KEPT;
  expect(await told("run etl --wait")).toEqual([4, KEEPS]);
});

describe("what is refused before anything is asked", () => {
  it.each<[string, [number, string]]>([
    ["run no", [3, 'there is no pipeline "no". `orchd status` lists those that there are, in /']],
    [
      "run etl -p x",
      [2, '--param: "x" is no NAME=VALUE; write it like -p path=/var/log/dpkg.log.'],
    ],
    [
      "run etl -p =x",
      [2, '--param: "=x" is no NAME=VALUE; write it like -p path=/var/log/dpkg.log.'],
    ],
    ["run etl -p a=1 -p a=1", [2, '--param: "a" is given twice; only one could count.']],
    [
      `rerun ${RUN} --failed --from load`,
      [2, "--failed and --from exclude each other; give one of them."],
    ],
    [
      `rerun ${RUN} --from no`,
      [3, `the run "${RUN}" has no step "no"; its steps are pull and load.`],
    ],
    [
      `stop ${RUN}`,
      [5, `refused: the run "${RUN}" has ended already, failed; there is nothing to stop.`],
    ],
    ["stop held", [3, 'no run of "held" is active; `orchd runs held` lists those that ended.']],
    [
      "backfill",
      [
        2,
        "name a pipeline: `orchd backfill PIPELINE --from T --to T`, " +
          "or --cancel ID to end a backfill.",
      ],
    ],
    [
      "backfill etl --from 2026-11-20",
      [
        2,
        "--from and --to are both needed; " +
          "the slots between them, both included, are what is backfilled.",
      ],
    ],
    [
      "backfill etl --from 2026-11-21T00:00Z --to 2026-11-20T23:59:59Z",
      [2, "--to (2026-11-20 23:59:59Z) lies before --from (2026-11-21 00:00:00Z); swap them."],
    ],
    [
      `backfill etl ${WINDOW} --failed --all`,
      [2, "--failed and --all exclude each other; give one of them."],
    ],
    [
      `backfill etl ${WINDOW} --max-active 0`,
      [2, '--max-active: "0" is no count; give a whole number from 1 to 1000000.'],
    ],
    ["prune --keep-days x", [2, '--keep-days: "x" is no number of days; give one such as 30.']],
    ["prune --keep-days=-1", [2, '--keep-days: "-1" is no number of days; give one such as 30.']],
    ["prune --keep-days 1e3", [2, '--keep-days: "1e3" is no number of days; give one such as 30.']],
    [
      "prune --keep-bytes 1.5",
      [2, '--keep-bytes: "1.5" is no number of bytes; give a whole number such as 1000000000.'],
    ],
    [
      "repair etl@20261123T070000Z",
      [3, 'there is no run "etl@20261123T070000Z"; did you mean "etl@20261123T090000Z"? '],
    ],
  ])("orchd %s", async (words, [status, sentence]) => {
    const said = await told(words);
    expect(said).toHaveLength(2);
    expect([said[0], String(said[1]).slice(2, 2 + sentence.length)]).toEqual([status, sentence]);
    expect(requests).toEqual([]);
  });
});

it("orchd stop names the runs where a pipeline has several", async () => {
  const made = madeUpRoot([{ type: "run.started", at: at(9, 40), run: idOf("etl", 9, 40) }]);
  expect(await told("stop etl", made)).toEqual([
    2,
    `! 2 runs of "etl" are active; name one of them: ${GOES_ON} and ${idOf("etl", 9, 40)}.`,
  ]);
});

describe("words that are no command line", () => {
  const HELP = "shows what there is.";
  it.each<[string, string]>([
    ["nope", 'there is no command "nope". `orchd --help` lists the commands.'],
    [
      "statos",
      'there is no command "statos"; did you mean "status"? `orchd --help` lists the commands.',
    ],
    [
      "--root /x statos",
      'there is no command "statos"; did you mean "status"? `orchd --help` lists the commands.',
    ],
    ["pause", "orchd pause needs <pipeline>. `orchd pause --help` shows what there is."],
    ["logs", `orchd logs needs <run> [step]. \`orchd logs --help\` ${HELP}`],
    [
      "runs --stats failed",
      `orchd runs does not know "stats"; did you mean "--status"? \`orchd runs --help\` ${HELP}`,
    ],
    ["runs --zzz --yyy", `orchd runs does not know "zzz", "yyy". \`orchd runs --help\` ${HELP}`],
    ["runs --zzz", `orchd runs does not know "zzz". \`orchd runs --help\` ${HELP}`],
    [
      "runs --jsno",
      `orchd runs does not know "jsno"; did you mean "--json"? \`orchd runs --help\` ${HELP}`,
    ],
    ["pause a b", `orchd pause does not know "b". \`orchd pause --help\` ${HELP}`],
    ["runs --status", `--status needs a value. \`orchd runs --help\` ${HELP}`],
    [
      "graph p --format x",
      `--format: "x" is none of "text", "mermaid", "dot". \`orchd graph --help\` ${HELP}`,
    ],
  ])("orchd %s", async (words, sentence) => {
    const failed = await parseProgram(words.split(" "), "1.2.3", 100).catch(
      (error: unknown) => error,
    );
    expect(failed).toBeInstanceOf(CliError);
    expect(failed).toMatchObject({ status: 2, message: sentence });
  });

  it("a version and help are texts; a dash stands for standard input", async () => {
    const text = async (...words: string[]): Promise<string> => {
      const parsed = await parseProgram(words, "1.2.3", 100);
      return parsed.kind === "text" ? parsed.text : parsed.command.name;
    };
    expect(await text("--version")).toBe("1.2.3\n");
    expect(await text()).toBe(await text("--help"));
    expect(await text("-h")).toBe(await text("--help"));
    expect(await text("pause", "--help")).toContain("orchd pause <pipeline>");
    const parsed = await parseProgram(["import", "crontab", "-"], "1.2.3", 100);
    expect(parsed.kind === "command" && parsed.args.text("file")).toBe("/dev/stdin");
  });
});
