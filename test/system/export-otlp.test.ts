/** `orchd export otlp`, alone and beside a daemon, with a real collector of the public protocol. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { traceSeed } from "../../src/core/trace-id.ts";
import { attemptSpanOf, runSpanOf, traceIdOf } from "../../src/core/trace-span.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { OtlpReceiver, spansOfJson } from "../support/otlp-receiver.ts";
import { runsOf } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const SECRET = "s3cret-0123456789-abcdefghij";
const RUN = "p@20261123T020000Z";

/** A root that a daemon left: two runs that ended, and one that goes on. */
function oldRoot(): TempRoot {
  const root = tempRoot();
  const ids = [RUN, "p@20261123T020100Z", "p@20261123T020200Z"];
  writePipeline(root.runs, "p", [
    loaded("* * * * *"),
    ...ids.flatMap((run, index) => [
      { type: "run.started", run, trigger: "schedule" },
      ...(index === 2 ? [] : [{ type: "run.finished", run, status: "completed", durationMs: 1 }]),
    ]),
  ]);
  for (const [index, run] of ids.entries()) writeRun(root.runs, run, runLines(run, index === 2));
  return root;
}

function runLines(run: string, goesOn = false): { type: string }[] {
  const header = { run, pipeline: "p", orchestratorRunId: run, trigger: { kind: "schedule" } };
  const lines = [
    { type: "run.submitted", format: 1, ...header, params: {}, tags: [], snapshot: { steps: [] } },
    { type: "run.started", because: "due" },
    { type: "step.started", step: "a", attempt: 1, because: "x" },
    { type: "step.completed", step: "a", attempt: 1, outputs: { result: 1 }, durationMs: 5 },
    { type: "run.finished", status: "completed", because: "x", durationMs: 5 },
  ];
  return goesOn ? lines.slice(0, -1) : lines;
}

function exportOnce(
  { root }: TempRoot,
  words: readonly string[] = [],
  env: Record<string, string> = {},
): ReturnType<typeof orchd> {
  return orchd(root, "export", "otlp", "--once", ...words, { env });
}

describe("an export of what there is", () => {
  it("from the start sends each run as a trace, in protobuf, and then nothing more", async () => {
    const receiver = await OtlpReceiver.open();
    const root = oldRoot();
    const first = await exportOnce(root, ["--endpoint", receiver.url, "--from", "start"]);
    expect(first).toMatchObject({ status: 0, stderr: "" });
    expect(first.stdout).toBe(`traces: ${receiver.url}/v1/traces\n8 spans sent\n`);
    const [request] = receiver.requests;
    expect(request).toMatchObject({
      path: "/v1/traces",
      headers: { "content-type": "application/x-protobuf" },
    });
    expect(receiver.spans.map(({ name }) => name).toSorted()).toEqual([
      "RUN p",
      "RUN p",
      "a",
      "a",
      "a",
      "a attempt",
      "a attempt",
      "a attempt",
    ]);
    const seed = traceSeed(RUN, "2026-11-23T02:00:00.000Z");
    const id = `${traceIdOf(seed)}-${attemptSpanOf(seed, 3)}`;
    const attempt = receiver.distinct.get(id)!;
    expect(attempt).toMatchObject({
      startMs: Date.parse("2026-11-23T02:00:02Z"),
      endMs: Date.parse("2026-11-23T02:00:03Z"),
      kind: 1,
      scope: "orchd",
      status: { code: 0 },
      attributes: { "cicd.pipeline.task.run.result": "success", "orchd.attempt": 1 },
    });
    expect(attempt.resource).toMatchObject({ "service.name": "orchd" });
    expect(attempt.resource["service.instance.id"]).toMatch(/^[0-9a-f-]{36}$/);
    const again = await exportOnce(root, ["--endpoint", receiver.url]);
    expect(again.stdout).toContain("0 spans sent");
  });

  it("says the same in JSON, to a collector and to a file", async () => {
    const receiver = await OtlpReceiver.open();
    const root = oldRoot();
    const words = ["--endpoint", receiver.url, "--from", "start"];
    await exportOnce(root, words);
    const binary = receiver.spans.splice(0);
    const env = {
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    };
    await exportOnce(root, words, env);
    expect(receiver.requests.at(-1)!.headers).toMatchObject({
      "content-type": "application/json",
      "content-encoding": "gzip",
    });
    expect(receiver.spans).toEqual(binary);
    const { stdout } = await exportOnce(root, ["--stdout"]);
    expect(stdout.trim().split("\n").flatMap(spansOfJson)).toEqual(binary);
  });

  it("begins, the first time, with what comes and the runs that go on", async () => {
    const receiver = await OtlpReceiver.open();
    const root = oldRoot();
    await exportOnce(root, ["--endpoint", receiver.url]);
    expect(receiver.spans.map(({ name }) => name)).toEqual(["a attempt", "a"]);
    const run = "p@20261123T020200Z";
    writeRun(root.runs, run, runLines(run));
    await exportOnce(root, ["--endpoint", receiver.url]);
    expect(receiver.spans.map(({ name }) => name)).toEqual(["a attempt", "a", "RUN p"]);
    expect(new Set(receiver.spans.map(({ traceId }) => traceId)).size).toBe(1);
  });

  it("sends all again where its position was touched", async () => {
    const receiver = await OtlpReceiver.open();
    const root = oldRoot();
    await exportOnce(root, ["--endpoint", receiver.url, "--from", "start"]);
    for (const text of ["", "{}", '{"format":1,"position":"nonsense"}']) {
      writeFileSync(join(root.runs, ".orchd/otlp.json"), text);
      const { status, stderr } = await exportOnce(root, ["--endpoint", receiver.url]);
      expect([status, stderr]).toEqual([0, expect.stringContaining("all ledgers are sent again")]);
    }
    expect([receiver.spans.length, receiver.distinct.size]).toEqual([32, 8]);
  });

  it("says in a sentence what cannot be", async () => {
    const root = oldRoot();
    const said = async (words: readonly string[], env = {}): Promise<[number | null, string]> => {
      const { status, stderr } = await exportOnce(root, words, env);
      return [status, stderr];
    };
    expect(await said(["--endpoint", "http://127.0.0.1:1"])).toEqual([
      1,
      expect.stringContaining("http://127.0.0.1:1/v1/traces does not take spans: nothing listens"),
    ]);
    expect((await said(["--from", "nonsense"]))[0]).toBe(2);
    expect((await said(["--endpoint", "collector"]))[1]).toContain("no http or https address");
    root.write("orchd.yaml", "telemetry: { headers: { Authorization: { secret: NONE } } }\n");
    expect((await said([]))[1]).toContain("The secret NONE is not there");
    root.write("orchd.yaml", "telemetry: { endpont: http://x }\n");
    expect((await said([]))[1]).toContain("endpont");
    const jaeger = await orchd(root.root, "export", "jaeger");
    expect([jaeger.status, jaeger.stderr]).toEqual([
      2,
      expect.stringContaining("orchd export otlp"),
    ]);
  });
});

const SPAN_OF_ITS_OWN = `export default async ({ env, params }: any) => {
  const [, traceId, parentSpanId] = env.TRACEPARENT.split("-");
  const span = { traceId, spanId: "00000000000000aa", parentSpanId, name: "own", kind: 1,
    startTimeUnixNano: "1", endTimeUnixNano: "2" };
  const scopeSpans = [{ scope: { name: "step" }, spans: [span] }];
  const body = JSON.stringify({ resourceSpans: [{ resource: {}, scopeSpans }] });
  const headers = { "Content-Type": "application/json" };
  await fetch(params.url + "/v1/traces", { method: "POST", headers, body });
};
`;

describe("the export beside a daemon", () => {
  it("is started and restarted, has its secret, and a step's own span hangs below", async () => {
    const receiver = await OtlpReceiver.open();
    const telemetry =
      `telemetry: { endpoint: "${receiver.url}", service: cron, ` +
      "headers: { Authorization: { secret: OTLP } } }\n";
    const root = tempRoot({
      "orchd.yaml": telemetry,
      "schedules/steps/own.ts": SPAN_OF_ITS_OWN,
      "schedules/p.yaml": `enableCache: false
steps: { s: { uses: ./steps/own.ts, params: { url: "${receiver.url}" } } }
`,
    });
    mkdirSync(join(root.root, "secrets"));
    writeFileSync(join(root.root, "secrets/OTLP"), `Bearer ${SECRET}\n`);
    const env = { CREDENTIALS_DIRECTORY: join(root.root, "secrets") };
    const daemon = await startDaemon({ root: root.root, env });
    await vi.waitFor(() => expect(daemon.stderr()).toContain("traces of runs are sent to"), 20_000);
    await orchd(root.root, "run", "p", "--wait");
    await vi.waitFor(() => expect(receiver.distinct.size).toBe(4), { timeout: 20_000 });
    const [{ run, lines }] = runsOf(root.runs, "p") as [ReturnType<typeof runsOf>[0]];
    const seed = traceSeed(run, lines[0]!.at);
    const own = receiver.spans.find(({ name }) => name === "own")!;
    const attempt = receiver.spans.find(({ name }) => name === "s attempt")!;
    expect(own).toMatchObject({ traceId: traceIdOf(seed), parentSpanId: attempt.spanId });
    expect(attempt.traceId).toBe(own.traceId);
    expect(receiver.spans.some(({ spanId }) => spanId === runSpanOf(seed))).toBe(true);
    expect(attempt.resource["service.name"]).toBe("cron");
    const ours = receiver.requests.filter(({ spans }) =>
      spans.some(({ scope }) => scope === "orchd"),
    );
    for (const { headers } of ours) expect(headers.authorization).toBe(`Bearer ${SECRET}`);
    // Killed: it is there again, and a second one is refused.
    const holder = JSON.parse(readFileSync(join(root.runs, ".orchd/otlp.lock"), "utf8")) as {
      pid: number;
    };
    const second = await exportOnce(root, ["--endpoint", receiver.url]);
    expect([second.status, second.stderr]).toEqual([
      1,
      expect.stringContaining(`process ${holder.pid}`),
    ]);
    process.kill(holder.pid, "SIGKILL");
    await orchd(root.root, "run", "p", "--wait");
    await vi.waitFor(() => expect(receiver.distinct.size).toBe(8), { timeout: 20_000 });
    expect(daemon.stderr()).not.toContain(SECRET);
    expect(readFileSync(join(root.runs, ".orchd/otlp.json"), "utf8")).not.toContain(SECRET);
    // Without `telemetry` it ends.
    rmSync(join(root.root, "orchd.yaml"));
    process.kill(daemon.pid, "SIGHUP");
    const lock = join(root.runs, ".orchd/otlp.lock");
    await vi.waitFor(() => expect(existsSync(lock) ? readFileSync(lock, "utf8") : "").toBe(""), {
      timeout: 10_000,
    });
    await daemon.end();
  }, 60_000);
});
