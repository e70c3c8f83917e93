/**
 * What a person does first with a real daemon: drop a file, break it, pass data between steps, and
 * ask for what is not there.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLine, awaitLines, awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { outcomeOf, pipelineLedger, runsOf, undecidedSeconds } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const EVERY_SECOND = `schedule: { cron: "* * * * * *" }
steps:
  say: { run: 'echo "it is $ORCHD_SCHEDULED_FOR"' }
`;

describe("a daemon", () => {
  it("fires a file that is dropped, runs it, and writes ledgers that are whole", async () => {
    const root = tempRoot();
    const daemon = await startDaemon({ root: root.root });
    const before = Date.now();
    root.write("schedules/tick.yaml", EVERY_SECOND);
    const ledger = join(root.runs, "tick/pipeline.jsonl");
    await awaitLines(
      ledger,
      4,
      (line) => line.type === "run.finished" && line["status"] === "completed",
    );
    expect(Date.now() - before).toBeLessThan(8_000);
    expect(await daemon.end()).toEqual({ status: 0, signal: null });
    const runs = runsOf(root.runs, "tick");
    expect(runs.length).toBeGreaterThanOrEqual(4);
    for (const run of runs) {
      expect(run.lines.map((line) => line.type)).toEqual([
        "run.submitted",
        "run.started",
        "step.started",
        "step.completed",
        "run.finished",
      ]);
      expect(outcomeOf(run)).toBe("completed");
      expect(run.lines[0]).toMatchObject({
        format: 1,
        run: run.run,
        pipeline: "tick",
        trigger: { kind: "schedule" },
      });
    }
    const lines = pipelineLedger(root.runs, "tick");
    expect(undecidedSeconds(lines)).toEqual([]);
    const log = linesOf(runs[0]!.path.replace(/\.jsonl$/, ".log"));
    expect(log[0]).toMatchObject({
      step: "say",
      attempt: 1,
      stream: "stdout",
      line: `it is ${(runs[0]!.lines[0]!["trigger"] as { scheduledFor: string }).scheduledFor}`,
    });
    const verified = await orchd(root.root, "verify", "--json");
    expect(verified.json()).toMatchObject({ faults: [] });
    expect(verified.status).toBe(0);
  });

  it("keeps the last good version firing when an edit is bad, and says what is wrong", async () => {
    const root = tempRoot({ "schedules/tick.yaml": EVERY_SECOND });
    await startDaemon({ root: root.root });
    const ledger = join(root.runs, "tick/pipeline.jsonl");
    await awaitLine(ledger, (line) => line.type === "run.finished");
    root.write("schedules/tick.yaml", EVERY_SECOND.replace("cron:", "crom:"));
    const invalid = await awaitLine(ledger, (line) => line.type === "pipeline.invalid");
    expect(String((invalid["errors"] as string[])[0])).toMatch(/tick\.yaml:1:\d+.*crom.*cron/);
    await awaitLine(
      ledger,
      (line) =>
        line.type === "run.finished" &&
        line.seq > invalid.seq + 2 &&
        line["status"] === "completed",
    );
    const status = (await orchd(root.root, "status", "--json")).json<{
      pipelines: { name: string; valid: boolean; errors: string[]; nextFire: string | null }[];
    }>();
    expect(status.pipelines[0]).toMatchObject({ name: "tick", valid: false });
    expect(status.pipelines[0]!.nextFire).not.toBeNull();
    root.write("schedules/tick.yaml", EVERY_SECOND);
    await awaitSight(
      root.schedules,
      () =>
        linesOf(ledger).some((line) => line.type === "pipeline.loaded" && line.seq > invalid.seq)
          ? true
          : undefined,
      "the good version again",
    );
  });

  it("passes data between steps, and orchd status and orchd logs show it", async () => {
    const root = tempRoot({
      "schedules/steps/words.ts": `export default async ({ params, log }: any) => {
  log.info("splitting");
  console.log("hello from a worker");
  return (params.text as string).split(" ");
};`,
      "schedules/steps/count.ts": `export async function count({ inputs }: any) {
  return { words: inputs.words.length };
}`,
      "schedules/digest.yaml": `params: { text: "a b c" }
steps:
  words: { uses: ./steps/words.ts, params: { text: "\${params.text}" } }
  count: { uses: "./steps/count.ts#count", inputs: { words: words } }
  show:
    run: 'cat "$ORCHD_INPUT_count"; echo; echo "$ORCHD_PARAM_note"'
    inputs: { count: count }
    params: { note: 'never $(evaluated)' }
`,
    });
    await startDaemon({ root: root.root });
    const asked = await orchd(
      root.root,
      "run",
      "digest",
      "-p",
      "text=one two three four",
      "--wait",
      "--json",
    );
    expect(asked.stderr).toBe("");
    expect(asked.status).toBe(0);
    const [run] = runsOf(root.runs, "digest");
    expect(
      run!.lines.filter((line) => line.type === "step.completed").map((line) => line["outputs"]),
    ).toMatchObject([
      { result: ["one", "two", "three", "four"] },
      { result: { words: 4 } },
      { result: null },
    ]);
    const status = (await orchd(root.root, "status", run!.run, "--json")).json<{
      status: string;
      inProgress: boolean;
      steps: { step: string; status: string }[];
    }>();
    expect(status).toMatchObject({
      run: run!.run,
      pipeline: "digest",
      status: "completed",
      inProgress: false,
      trigger: { kind: "manual" },
    });
    expect(status.steps.map((step) => [step.step, step.status])).toEqual([
      ["words", "completed"],
      ["count", "completed"],
      ["show", "completed"],
    ]);
    const logs = (await orchd(root.root, "logs", run!.run, "--json")).jsonLines<{
      step: string;
      stream: string;
      line: string;
    }>();
    expect(logs).toContainEqual(
      expect.objectContaining({ step: "words", stream: "stdout", line: "hello from a worker" }),
    );
    expect(logs).toContainEqual(
      expect.objectContaining({ step: "show", line: "never $(evaluated)" }),
    );
    expect(logs).toContainEqual(expect.objectContaining({ step: "show", line: '{"words":4}' }));
  });

  it("refuses what cannot be done, with the documented exit status", async () => {
    const root = tempRoot({ "schedules/fails.yaml": "steps:\n  no: { run: exit 3 }\n" });
    expect((await orchd(root.root, "run", "fails")).status).toBe(0);
    expect((await orchd(root.root, "run", "fails", "--wait")).status).toBe(4);
    await startDaemon({ root: root.root });
    await awaitLine(
      join(root.runs, "fails/pipeline.jsonl"),
      (line) => line.type === "run.finished",
    );
    expect((await orchd(root.root, "run", "fails", "--wait")).status).toBe(1);
    for (const words of [
      ["run", "nothing"],
      ["status", "nothing"],
      ["stop", "fails@20200101T000000Z"],
      ["logs", "fails@20200101T000000Z"],
    ]) {
      expect([words, (await orchd(root.root, ...words)).status]).toEqual([words, 3]);
    }
    expect((await orchd(root.root, "dance")).status).toBe(2);
    const finished = runsOf(root.runs, "fails").find((run) => outcomeOf(run) === "failed");
    const refused = await orchd(root.root, "stop", finished!.run);
    expect(refused.status).toBe(5);
    expect(refused.stderr).toContain("ended");
    const second = await startDaemon({ root: root.root, ready: false });
    expect((await second.ended).status).not.toBe(0);
    expect(second.stderr()).toMatch(/another|already/);
  });

  it("has bad files refused by orchd validate, with file, line and field", async () => {
    const root = tempRoot({
      "schedules/bad.yaml":
        'schedule: { cron: "61 * * * *" }\nsteps:\n' +
        '  a: { run: "true", after: [b] }\n  b: { run: "true", after: [a] }\n',
    });
    const validated = await orchd(root.root, "validate");
    expect(validated.status).toBe(2);
    expect(validated.stdout + validated.stderr).toMatch(/bad\.yaml:1:\d+/);
    writeFileSync(
      join(root.schedules, "bad.yaml"),
      'steps:\n  a: { run: "true", after: [b] }\n  b: { run: "true", after: [a] }\n',
    );
    const cycle = await orchd(root.root, "validate");
    expect(cycle.status).toBe(2);
    expect(cycle.stdout + cycle.stderr).toMatch(/cycle/);
  });
});
