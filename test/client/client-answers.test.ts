/**
 * What a client reads of one made-up root, and the request that each of its questions leaves: every
 * member, default and bound.
 */
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { connect } from "../../src/client/connect.ts";
import { ClientError } from "../../src/client/client-error.ts";
import type { Client } from "../../src/client/client.ts";
import type { Answer } from "../../src/ledger/ask.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { completedRun, runPath, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { plainCrc32, readWholeLedger, type PlainLine } from "../support/independent-ledger.ts";
import { at, idOf, madeUpRoot, NOW } from "../support/made-up-root.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

let requests: Record<string, unknown>[] = [];
let answer: Answer;
vi.mock("../../src/ledger/ask.ts", () => ({
  ask: (_runs: string, request: Record<string, unknown>): Promise<Answer> => {
    requests.push(request);
    return Promise.resolve(answer);
  },
  daemonRuns: () => false,
}));

let made: TempRoot;
let client: Client;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
  requests = [];
  answer = { kind: "answered", id: "q1", reply: { accepted: true } };
  made = madeUpRoot();
  client = await connect(made.root);
});
afterEach(() => void vi.useRealTimers());

const all = async <T>(given: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const one of given) found.push(one);
  return found;
};
const fault = async (act: () => unknown): Promise<[string, string]> => {
  try {
    await act();
  } catch (error) {
    if (error instanceof ClientError) return [error.code, error.message];
    throw error;
  }
  throw new Error("it did not fail");
};

/** Appends a line to a ledger. */
function append(path: string, type: string, more: object = {}): void {
  const last = readWholeLedger(path).at(-1)! as PlainLine & { readonly crc: string };
  const seq = last.seq + 1;
  const open = JSON.stringify({ seq, b: seq, at: at(9, 59), type, ...more }).slice(0, -1);
  const crc = plainCrc32(Buffer.from(open), Number.parseInt(last.crc, 16));
  appendFileSync(path, `${open},"crc":"${crc.toString(16).padStart(8, "0")}"}\n`);
}

describe("connect", () => {
  it("takes a root's folders as they are by default, or as they are given", async () => {
    expect(client.roots).toEqual({
      root: made.root,
      schedules: join(made.root, "schedules"),
      runs: join(made.root, "runs"),
    });
    expect((await connect(made.root, { schedules: "/s", runs: "/r" })).roots).toEqual({
      root: made.root,
      schedules: "/s",
      runs: "/r",
    });
  });

  it("refuses what is no root", async () => {
    const usage = "connect() takes the path of a root: the folder of orchd.yaml.";
    expect(await fault(() => connect(""))).toEqual(["usage", usage]);
    expect(await fault(() => connect(7 as never))).toEqual(["usage", usage]);
    const none = join(made.root, "none");
    const unknown = `the root ${none} is no folder; \`orchd init ${none}\` makes one.`;
    expect(await fault(() => connect(none))).toEqual(["unknown", unknown]);
    writeFileSync(none, "");
    expect(await fault(() => connect(none))).toEqual(["unknown", unknown]);
  });

  it("asks in the name that it is given, else as client", async () => {
    await client.pause("etl");
    await (await connect(made.root, { by: "mine" })).pause("etl");
    expect(requests.map(({ by }) => String(by).split(":")[0])).toEqual(["client", "mine"]);
  });
});

describe("a question leaves this request", () => {
  const WINDOW = { from: at(1), to: new Date(at(2)) };
  const ASKED = { type: "backfill", pipeline: "etl", from: at(1), to: at(2) };
  it.each<[string, () => Promise<unknown>, object]>([
    ["submit", () => client.submit("etl"), { type: "submit", pipeline: "etl" }],
    [
      "submit with all",
      () => client.submit("etl", { params: { a: 1 }, noCache: false, notAfter: new Date(NOW) }),
      { type: "submit", pipeline: "etl", params: { a: 1 }, noCache: false, notAfter: at(10) },
    ],
    ["stop", () => client.stop("r"), { type: "stop", run: "r", mode: "graceful" }],
    [
      "stop by force",
      () => client.stop("r", { force: true }),
      { type: "stop", run: "r", mode: "force" },
    ],
    ["rerun", () => client.rerun("r"), { type: "rerun", run: "r" }],
    [
      "rerun with all",
      () => client.rerun("r", { failed: true, from: "s", edited: false }),
      { type: "rerun", run: "r", failed: true, from: "s", edited: false },
    ],
    ["pause", () => client.pause("etl"), { type: "pause", pipeline: "etl" }],
    ["resume", () => client.resume("etl"), { type: "resume", pipeline: "etl" }],
    [
      "silence",
      () => client.silence("etl", "2026-11-23T05:00:00+01:00", { because: "repairs" }),
      {
        type: "silence",
        pipeline: "etl",
        until: "2026-11-23T04:00:00.000Z",
        because: "repairs",
      },
    ],
    [
      "silence that ends",
      () => client.silence("etl", null),
      { type: "silence", pipeline: "etl", until: null },
    ],
    ["backfill", () => client.backfill("etl", WINDOW), { ...ASKED, which: "missing" }],
    [
      "backfill with all",
      () =>
        client.backfill("etl", {
          ...WINDOW,
          which: "all",
          schedule: "x",
          params: { a: 1 },
          maxActive: 2,
        }),
      { ...ASKED, which: "all", schedule: "x", params: { a: 1 }, maxActive: 2 },
    ],
    ["cancelBackfill", () => client.cancelBackfill("b"), { type: "cancel_backfill", id: "b" }],
    ["prune", () => client.prune(), { type: "prune" }],
    [
      "prune with all",
      () => client.prune({ pipeline: "etl", keepDays: 0, keepRuns: 1, keepBytes: 2, dryRun: true }),
      { type: "prune", pipeline: "etl", keepDays: 0, keepRuns: 1, keepBytes: 2, dryRun: true },
    ],
    ["ask", () => client.ask({ type: "rebuild" }), { type: "rebuild" }],
  ])("%s", async (_, ask, request) => {
    expect(await ask()).toEqual({ request: "q1", accepted: true });
    expect(requests.map(({ by: _by, ...rest }) => rest)).toEqual([request]);
  });

  it("and none where the pipeline is not known, or a moment is none", async () => {
    for (const act of [
      () => client.submit("elt"),
      () => client.pause("elt"),
      () => client.resume("elt"),
      () => client.backfill("elt", WINDOW),
      () => client.status("elt"),
      () => all(client.runs({ pipeline: "elt" })),
      () => all(client.slots({ pipeline: "elt" })),
      () => all(client.follow({ pipeline: "elt" })),
      () => client.run("etl@20261123T070000Z"),
      () => client.finished("etl@20261123T070000Z"),
    ])
      expect((await fault(act))[0]).toBe("unknown");
    const text = (name: string, given: string): string =>
      `${name} is no moment: ${given}; give a Date, or ISO 8601 with an offset.`;
    for (const [act, name, given] of [
      [() => client.submit("etl", { notAfter: "soon" }), "notAfter", '"soon"'],
      [() => client.backfill("etl", { ...WINDOW, from: "x" }), "from", '"x"'],
      [() => client.backfill("etl", { ...WINDOW, to: new Date(Number.NaN) }), "to", "null"],
      [() => all(client.runs({ since: "x" })), "since", '"x"'],
      [() => all(client.slots({ from: "x" })), "from", '"x"'],
      [() => all(client.slots({ to: "x" })), "to", '"x"'],
      // What a caller without types may give.
      [() => all(client.slots({ to: 1_764_000_000_000 as never })), "to", "1764000000000"],
      [() => all(client.runs({ since: null as never })), "since", "null"],
    ] as const)
      expect(await fault(act)).toEqual(["usage", text(name, given)]);
    expect(requests).toEqual([]);
  });
});

describe("what a client reads", () => {
  it("is the status, of all or of one", async () => {
    const names = async (name?: string): Promise<string[]> =>
      (await client.status(name)).pipelines.map((view) => view.name);
    expect(await names()).toEqual(["bad", "etl", "held", "new"]);
    expect(await names("held")).toEqual(["held"]);
    expect(await names("gone")).toEqual(["gone"]);
    expect(await all(client.pipelines())).toEqual((await client.status()).pipelines);
  });

  it("are runs by status, time, pipeline and number", async () => {
    const hours = async (options: object = {}): Promise<string[]> =>
      (await all(client.runs(options))).map(({ run }) => run.slice(13, 17));
    const every = ["0930", "0900", "0400", "0300", "0200", "0100"];
    expect(await hours()).toEqual(every);
    expect(await hours({ pipeline: "etl" })).toEqual(every);
    expect(await hours({ pipeline: "held" })).toEqual([]);
    expect(await hours({ status: "completed" })).toEqual(["0400", "0100"]);
    expect(await hours({ status: "running" })).toEqual(["0900"]);
    expect(await hours({ since: at(3) })).toEqual(every.slice(0, 4));
    expect(await hours({ since: new Date(Date.parse(at(3)) + 1) })).toEqual(every.slice(0, 3));
    for (const limit of [0, 1, 2, 6, 7])
      expect(await hours({ limit })).toEqual(every.slice(0, limit));
    expect(await hours({ limit: -1 })).toEqual([]);
    expect(await hours({ status: "completed", limit: 1 })).toEqual(["0400"]);
  });

  it("are slots, of the last day by default, both ends included", async () => {
    const decided = async (options: object = {}): Promise<string[]> =>
      (await all(client.slots(options))).map((it) => `${it.decision} ${it.slot?.slice(11, 13)}`);
    const every = [
      "fired 01",
      "fired 02",
      "fired 03",
      "caught_up 04",
      "skipped 05",
      "missed 06",
      "fired 09",
    ];
    expect(await decided()).toEqual(every);
    expect(await decided({ pipeline: "held" })).toEqual([]);
    expect(await decided({ from: at(3), to: at(5) })).toEqual(every.slice(2, 5));
    expect(await decided({ from: at(3, 0, 1), to: at(4, 59) })).toEqual(every.slice(3, 4));
    // A day before `to`, and no more.
    const day = 86_400_000;
    const later = (ms: number): object => ({ to: new Date(Date.parse(at(1)) + day + ms) });
    expect((await decided(later(0)))[0]).toBe("fired 01");
    expect((await decided(later(1)))[0]).toBe("fired 02");
  });

  it("is a run as it stands, and one that has ended at once", async () => {
    expect(await client.run(idOf("etl", 2))).toMatchObject({ status: "failed", inProgress: false });
    expect(await client.finished(idOf("etl", 2))).toEqual(await client.run(idOf("etl", 2)));
    const aborted = { signal: AbortSignal.abort() };
    expect(await client.finished(idOf("etl", 9), aborted)).toMatchObject({ status: "running" });
    const abort = new AbortController();
    const waits = client.finished(idOf("etl", 9), { signal: abort.signal });
    abort.abort();
    expect((await waits).status).toBe("running");
  });

  it("is what steps printed: of all, or of one", async () => {
    const run = idOf("etl", 1);
    const log = new RunStore(made.runs).runLog(run);
    mkdirSync(join(log, ".."), { recursive: true });
    const line = (step: string, text: string): object => ({
      at: at(1),
      step,
      attempt: 1,
      stream: "stdout",
      line: text,
    });
    const lines = [line("pull", "one"), line("load", "two"), line("pull", "three")];
    writeFileSync(log, `${lines.map((one) => JSON.stringify(one)).join("\n")}\nno line\n`);
    expect(await all(client.logs(run))).toEqual(lines);
    expect(await all(client.logs(run, { step: "load" }))).toEqual([lines[1]]);
    expect(await all(client.logs(run, { follow: true }))).toEqual(lines);
    expect(await all(client.logs(idOf("etl", 2)))).toEqual([]);
    expect(await fault(() => all(client.logs(run, { step: "no" })))).toEqual([
      "unknown",
      `the run "${run}" has no step "no"; its steps are pull and load.`,
    ]);
  });
});

describe("the lines that a client follows", () => {
  /** Appends the next line of a ledger. */
  it("are those that come, and go on from a position", async () => {
    const abort = new AbortController();
    const follow = client.follow({ signal: abort.signal });
    const given: string[] = [];
    const position: string[] = [];
    const reading = (async () => {
      for await (const { pipeline, run, line } of follow) {
        given.push(`${pipeline} ${run ?? "-"} ${line.type}`);
        position.push(follow.position);
        if (given.length === 2) abort.abort();
      }
    })();
    await vi.waitFor(() => expect(follow.position).not.toBe(""));
    append(runPath(made.runs, idOf("etl", 9)), "step.waits");
    append(join(made.runs, "held/pipeline.jsonl"), "pipeline.resumed");
    await reading;
    expect(given.toSorted()).toEqual([
      `etl ${idOf("etl", 9)} step.waits`,
      "held - pipeline.resumed",
    ]);
    const again = client.follow({ from: follow.position, signal: abort.signal });
    expect(await all(again)).toEqual([]);
  });

  it.each([
    ["x", '"x" is no position in the ledgers; give the text that follow() gave as its position.'],
    ["", '"" is no position in the ledgers; give the text that follow() gave as its position.'],
  ])(
    "are refused from %j, which is no position, where the first is asked for",
    async (from, said) => {
      const follow = client.follow({ from });
      expect(follow.position).toBe(from);
      expect(await fault(() => all(follow))).toEqual(["usage", said]);
      // It is said to each who asks, and is no rejection that nobody hears.
      expect(await fault(() => all(follow))).toEqual(["usage", said]);
    },
  );

  it("are refused of more than one pipeline from the position of that one", async () => {
    const { position } = client.follow({ pipeline: "etl" });
    const [code, said] = await fault(() => all(client.follow({ from: position })));
    expect([code, said]).toEqual(["usage", expect.stringContaining("is one of other ledgers")]);
  });
});

it("holds no file of the root, whatever it was asked", async () => {
  const open = (): string[] =>
    readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        const path = readlinkSync(`/proc/self/fd/${fd}`);
        return path.startsWith(made.root) ? [path] : [];
      } catch {
        return [];
      }
    });
  const [ended, goesOn] = [idOf("etl", 1), idOf("etl", 9)];
  writeFileSync(new RunStore(made.runs).runLog(ended), '{"step":"pull","line":"x"}\n');
  const gone = AbortSignal.abort();
  await client.status();
  await client.status("etl");
  await client.places();
  await client.run(goesOn);
  await all(client.pipelines());
  await all(client.runs());
  await all(client.slots());
  expect(await all(client.logs(ended))).toHaveLength(1);
  await all(client.logs(goesOn, { follow: true, signal: gone }));
  await all(client.follow({ signal: gone }));
  await client.finished(ended);
  await client.finished(goesOn, { signal: gone });
  expect(open()).toEqual([]);
});

it("a run, and its log, are waited for until its pipeline alone tells the end", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const lost = tempRoot();
  const run = "p@20261123T020000Z";
  const events = completedRun(run);
  const path = writeRun(lost.runs, run, events.slice(0, 3));
  writePipeline(lost.runs, "p", [{ ...events.at(-1)!, run }]);
  const reader = await connect(lost.root);
  let told: unknown;
  const ends = [reader.finished(run), all(reader.logs(run, { follow: true }))];
  void Promise.all(ends).then((both) => (told = both));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told).toMatchObject([{ status: "running", fault: "line 4: it is missing" }, []]);
  const gone = reader.finished(run);
  await vi.advanceTimersByTimeAsync(100);
  rmSync(path);
  void fault(() => gone).then((why) => (told = why));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told).toEqual(["unknown", expect.stringContaining("there is no run")]);
});

it("the lines of a log that is followed come until its run has ended, or the signal", async () => {
  const run = idOf("etl", 9);
  const log = new RunStore(made.runs).runLog(run);
  const print = (line: string): void => appendFileSync(log, `${JSON.stringify({ line })}\n`);
  print("one");
  const abort = new AbortController();
  const until = client.logs(run, { follow: true, signal: abort.signal });
  const following = client.logs(run, { follow: true });
  const next = async (of: typeof following): Promise<unknown> => (await of.next()).value;
  expect([await next(until), await next(following)]).toEqual([{ line: "one" }, { line: "one" }]);
  const [second, other] = [next(following), next(until)];
  print("two");
  expect([await second, await other]).toEqual([{ line: "two" }, { line: "two" }]);
  abort.abort();
  expect((await until.next()).done).toBe(true);
  const last = all(following);
  print("three");
  const end = { status: "completed", because: "x", durationMs: 1 };
  append(runPath(made.runs, run), "run.finished", end);
  expect(await last).toEqual([{ line: "three" }]);
});
