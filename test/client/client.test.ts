/** A program that reads a root and asks its daemon, up and down. */
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from "vitest";
import {
  ClientError,
  connect,
  ExecutionStatus,
  type Answer,
  type Client,
  type FollowedLine,
  type LogLine,
  type PlacesView,
} from "../../src/client.ts";
import { daemonOver, startDaemon, type Daemon } from "../support/daemon.ts";
import { runsOf, pipelineLedger } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const FILES = {
  "schedules/etl.yaml": `
params: { day: none }
steps:
  load: { run: 'echo "loading $ORCHD_PARAM_day"', params: { day: "\${params.day}" } }
  bad: { run: "echo oh >&2; exit 3", after: load }
`,
  "schedules/long.yaml": 'steps: { wait: { run: "sleep 60" } }\n',
  "schedules/often.yaml": 'schedule: { cron: "* * * * * *" }\nsteps: { it: { run: "true" } }\n',
};

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const fault = async (what: Promise<unknown>): Promise<ClientError> => {
  const error = await what.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ClientError);
  return error as ClientError;
};

it("rejects what is no root and no moment, and throws nothing at the call", async () => {
  for (const path of ["", undefined as unknown as string])
    expect((await fault(connect(path))).message).toContain("takes the path of a root");
  const client = await connect(tempRoot(FILES).root);
  const moments = {} as { from: string; to: string };
  expect((await fault(client.backfill("etl", moments))).message).toContain("from is no moment");
  expect((await fault(client.submit("etl", { notAfter: "soon" }))).code).toBe("usage");
});

describe("a client of a root with a daemon", () => {
  let root: TempRoot;
  let daemon: Daemon;
  let client: Client;

  beforeAll(async () => {
    ({ root, daemon } = await daemonOver(FILES));
    client = await connect(root.root, { by: "etl-watch" });
  });
  afterAll(() => daemon.end());

  it("submits, waits, and reads what happened", async () => {
    const answer = await client.submit("etl", { params: { day: "monday" }, noCache: true });
    expect(answer).toMatchObject({ accepted: true, run: expect.stringMatching(/^etl@/) });
    const view = await client.finished(answer.run!);
    expect(view.status).toBe(ExecutionStatus.failed);
    expect(view.steps.map(({ step, status }) => [step, status])).toEqual([
      ["load", "completed"],
      ["bad", "failed"],
    ]);
    const printed = await all(client.logs(answer.run!));
    expect(printed.map(({ step, stream, line }) => [step, stream, line])).toEqual([
      ["load", "stdout", "loading monday"],
      ["bad", "stderr", "oh"],
    ]);
    expect(await all(client.logs(answer.run!, { step: "bad" }))).toHaveLength(1);
    expectTypeOf<LogLine["stream"]>().toEqualTypeOf<"stdout" | "stderr" | "log" | "orchd">();
    const [newest] = await all(client.runs({ pipeline: "etl", limit: 1 }));
    expect(newest).toMatchObject({ run: answer.run, status: "failed", steps: 2 });
    expect(await all(client.runs({ pipeline: "etl", status: "completed" }))).toEqual([]);
    const [header] = runsOf(root.runs, "etl")[0]!.lines;
    expect(header).toMatchObject({ trigger: { kind: "manual", requestId: answer.request } });
  });

  it("stops, reruns, pauses, backfills and prunes, each with the daemon's reply", async () => {
    const { run } = await client.submit("long");
    expect(await client.stop(run!)).toMatchObject({ accepted: true, run });
    // A refusal is a reply: the run may have ended by now, or be stopping.
    expect(await client.stop(run!)).toMatchObject({ accepted: false, reason: expect.any(String) });
    expect((await client.finished(run!)).status).toBe("stopped");
    const again = await client.rerun(run!);
    expect(again).toMatchObject({ accepted: true, run: expect.stringMatching(/^long@.*-r1$/) });
    await client.stop(again.run!, { force: true });
    expect(await client.pause("often")).toMatchObject({ accepted: true });
    expect((await client.status("often")).pipelines[0]).toMatchObject({ paused: true });
    expect(await client.resume("often")).toMatchObject({ accepted: true });
    const now = Date.now();
    const backfill = await client.backfill("often", {
      from: new Date(now - 60_000),
      to: new Date(now - 58_000),
      which: "all",
    });
    expect(backfill).toMatchObject({ accepted: true });
    expect(await client.cancelBackfill(backfill.request)).toHaveProperty("accepted");
    expect(await client.prune({ dryRun: true })).toMatchObject({ accepted: true });
    expectTypeOf(backfill).toEqualTypeOf<Answer>();
  });

  it("lists pipelines and slots", async () => {
    const pipelines = await all(client.pipelines());
    expect(pipelines.map(({ name }) => name)).toEqual(["etl", "long", "often"]);
    const slots = await all(client.slots({ pipeline: "often", from: new Date(0) }));
    expect(slots.length).toBeGreaterThan(0);
    expect(slots.every(({ pipeline }) => pipeline === "often")).toBe(true);
    expect((await client.status()).daemon).toMatchObject({ pid: daemon.pid });
    const view = await client.places();
    expectTypeOf(view).toEqualTypeOf<PlacesView>();
    expect(view).toMatchObject({ daemon: { pid: daemon.pid }, places: [{ place: "local" }] });
    expect(view).toMatchObject({ waiting: [], unread: 0 });
  });

  it("refuses what is not there, by a sentence", async () => {
    expect(await fault(client.run("etl@20200101T000000Z"))).toMatchObject({ code: "unknown" });
    const error = await fault(client.submit("elt"));
    expect(error).toMatchObject({ code: "unknown" });
    expect(error.message).toContain('did you mean "etl"?');
    expect((await fault(all(client.runs({ pipeline: "nope" })))).code).toBe("unknown");
    expect((await fault(all(client.logs("etl@20200101T000000Z")))).code).toBe("unknown");
    expect((await fault(all(client.slots({ from: "yesterday" })))).code).toBe("usage");
    expect((await fault(connect(`${root.root}/nowhere`))).message).toContain("is no folder");
  });

  it("follows all ledgers, and goes on where it was, each line once", async () => {
    const { run } = await client.submit("etl");
    await client.finished(run!);
    const follow = client.follow({ pipeline: "often" });
    const lines: FollowedLine[] = [];
    const upTo = async (lineFeed: typeof follow, count: number): Promise<void> => {
      for await (const line of lineFeed) if (lines.push(line) >= count) break;
    };
    await upTo(follow, 12);
    await upTo(client.follow({ pipeline: "often", from: follow.position }), 30);
    const own = lines.filter(({ run: of }) => of === undefined).map(({ line }) => line.seq);
    expect(own).toEqual(own.map((_, index) => own[0]! + index));
    const written = pipelineLedger(root.runs, "often").map(({ seq }) => seq);
    expect(written).toEqual(expect.arrayContaining(own));
    const ofRuns = new Map<string, number[]>();
    for (const { run: of, line } of lines)
      if (of !== undefined) ofRuns.set(of, [...(ofRuns.get(of) ?? []), line.seq]);
    expect(ofRuns.size).toBeGreaterThan(1);
    for (const seqs of [...ofRuns.values()].slice(1))
      expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    const [first] = lines;
    if (first?.run === undefined && first?.line.type === "slot.fired")
      expectTypeOf(first.line.slot).toEqualTypeOf<string>();
  });

  it("ends its waits when the signal aborts", async () => {
    const { run } = await client.submit("long");
    const view = await client.finished(run!, { signal: AbortSignal.timeout(200) });
    expect(view.inProgress).toBe(true);
    const lines = await all(client.follow({ signal: AbortSignal.timeout(200) }));
    expect(Array.isArray(lines)).toBe(true);
    await client.stop(run!, { force: true });
  });
});

it("with the daemon down: reads, and leaves requests that the next daemon honours", async () => {
  const root = tempRoot({ "schedules/hello.yaml": 'steps: { it: { run: "true" } }\n' });
  const client = await connect(root.root);
  expect((await client.status()).daemon).toBeNull();
  const answer = await client.submit("hello");
  expect(answer).toEqual({ request: expect.any(String), accepted: null });
  const follow = client.follow();
  const daemon = await startDaemon({ root: root.root });
  for await (const { line } of follow) if (line.type === "run.finished") break;
  const [run] = await all(client.runs());
  expect(run).toMatchObject({ pipeline: "hello", status: "completed" });
  expect(run!.trigger.requestId).toBe(answer.request);
  await daemon.end();
});
