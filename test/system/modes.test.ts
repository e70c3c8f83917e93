/**
 * Failing steps under each execution mode, retries, limits, and a dynamic pipeline whose daemon is
 * killed, as the ledgers of a real daemon tell it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { awaitLine, awaitLines, awaitSight, type Line } from "../support/await-event.ts";
import { daemonOver, startDaemon, type Daemon } from "../support/daemon.ts";
import { outcomeOf, runsOf, type PlainRun } from "../support/ledgers.ts";
import { ended, submit } from "../support/request.ts";
import type { TempRoot } from "../support/temp-root.ts";

const MODES = ["continue_on_failure", "stop_on_failure", "fail_fast"] as const;

/**
 * The steps of docs/zenml.md "Execution modes". Step 2 fails once 3 and 4 run, and these wait until
 * the test lets them end.
 */
const dag = (mode: string): string => `executionMode: ${mode}
enableCache: false
steps:
  one: { uses: ./steps/dag.mjs }
  two: { uses: ./steps/dag.mjs, after: [one] }
  three: { uses: ./steps/dag.mjs, after: [one] }
  four: { uses: ./steps/dag.mjs, after: [one] }
  five: { uses: ./steps/dag.mjs, after: [two] }
  six: { uses: ./steps/dag.mjs, after: [three] }
  seven: { uses: ./steps/dag.mjs, after: [four] }
  eight: { uses: ./steps/dag.mjs, after: [five, six, seven] }
`;

const dynamic = (mode: string): string => `import { dynamicPipeline, step } from "orchd";
import { fails, waits } from "./steps/dag.mjs";
export const slow = step(waits);
export const boom = step(fails);
export default dynamicPipeline({ executionMode: "${mode}", enableCache: false }, async (run) => {
  run.submit(slow, { id: "three" });
  run.submit(slow, { id: "four" });
  run.submit(boom, { id: "two" });
});
`;

/** Says when it begins and when it ends. */
const MARKED = "echo + >> ../wide; sleep 0.05; echo - >> ../wide";

const FILES: Record<string, string> = {
  "orchd.yaml": "gracePeriod: 1s\n",
  ...Object.fromEntries(
    MODES.flatMap((mode) => [
      [`schedules/${mode}.yaml`, dag(mode)],
      [`schedules/dynamic-${mode}.ts`, dynamic(mode)],
    ]),
  ),
  "schedules/steps/dag.mjs": `import { existsSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
const root = new URL("../../", import.meta.url);
const mark = (pipeline, name) => new URL(pipeline + "." + name, root);
const until = async (signal, ...marks) => {
  while (!marks.every((one) => existsSync(one))) await sleep(10, undefined, { signal });
};
export const waits = async ({ run: { pipeline }, env, signal }) => {
  writeFileSync(mark(pipeline, env.ORCHD_STEP), "");
  await until(signal, mark(pipeline, "go"));
};
export const fails = async ({ run: { pipeline }, signal }) => {
  await until(signal, mark(pipeline, "three"), mark(pipeline, "four"));
  throw new TypeError("two is broken");
};
export default async (context) => {
  if (context.env.ORCHD_STEP === "two") await fails(context);
  if (["three", "four"].includes(context.env.ORCHD_STEP)) await waits(context);
};
`,
  "schedules/waits.yaml": `retry: { maxRetries: 2, delay: 200ms, backoff: 2 }
steps:
  never: { run: "exit 3" }
`,
  "schedules/wide.yaml": `maxParallelSteps: 3
steps:
${Array.from({ length: 12 }, (_, n) => `  s${n}: { run: "${MARKED}" }\n`).join("")}`,
  "schedules/limited.yaml": `timeout: 500ms
steps:
  long: { uses: "./steps/dag.mjs#waits" }
  next: { run: "true", after: [long] }
`,
  "schedules/fan.ts": `import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { dynamicPipeline, step } from "orchd";
export const work = step(async ({ inputs: { n }, run, signal }: any) => {
  appendFileSync(new URL("../fan.ran", import.meta.url), n + " " + run.attempt + "\\n");
  const go = new URL("../fan.go", import.meta.url);
  while (n >= 8 && !existsSync(go)) await sleep(10, undefined, { signal });
  return n;
});
export const sum = step(({ inputs }: any) => inputs.all.reduce((a: number, b: number) => a + b, 0));
const settings = { maxParallelSteps: 4, enableCache: false, onInterruption: "rerun" } as const;
export default dynamicPipeline(settings, async (run) => {
  const all = await run.map(work, { n: Array.from({ length: 20 }, (_, n) => n) });
  await run.step(sum, { inputs: { all } });
});
`,
  "host.txt": "alpha",
  "schedules/diverges.ts": `import { readFileSync } from "node:fs";
import { dynamicPipeline, step } from "orchd";
import { waits } from "./steps/dag.mjs";
export const greet = step(({ inputs }: any) => "hello " + inputs.host);
export const slow = step(waits);
export default dynamicPipeline({ enableCache: false, onInterruption: "rerun" }, async (run) => {
  const host = readFileSync(new URL("../host.txt", import.meta.url), "utf8");
  await run.step(greet, { inputs: { host } });
  await run.step(slow);
});
`,
};

describe("a daemon", () => {
  let root: TempRoot;
  let daemon: Daemon;

  beforeAll(async () => {
    ({ root, daemon } = await daemonOver(FILES));
    return async () => void (await daemon.end());
  });

  const path = (run: string): Promise<string> =>
    awaitSight(
      root.runs,
      () => runsOf(root.runs, run.slice(0, run.indexOf("@"))).find((one) => one.run === run)?.path,
      `the ledger of ${run}`,
    );
  const go = (pipeline: string): void => writeFileSync(join(root.root, `${pipeline}.go`), "");
  /** How each step ended. */
  const ends = (run: PlainRun): Record<string, string> =>
    Object.fromEntries(
      run.lines
        .filter(({ type }) => /^step\.(completed|failed|stopped|skipped)$/.test(type))
        .map((line) => [line["step"], line.type.slice(5)]),
    );
  const because = (run: PlainRun): string => String(run.lines.at(-1)!["because"]);

  /**
   * Runs a pipeline in which `two` fails while `three` and `four` run. Once the failure is in the
   * ledger they may end, except under fail_fast, which stops them.
   */
  async function failing(pipeline: string): Promise<PlainRun> {
    const run = await submit(root.runs, pipeline);
    await awaitLine(
      await path(run),
      (line) => line.type === "step.failed" && line["step"] === "two",
    );
    if (!pipeline.endsWith("fail_fast")) go(pipeline);
    return ended(root.runs, run);
  }

  it("goes on, stops or stops at once when a step of a DAG fails, by the mode", async () => {
    const [on, stop, fast] = await Promise.all(MODES.map(failing));
    expect(ends(on!)).toEqual({
      one: "completed",
      two: "failed",
      three: "completed",
      four: "completed",
      six: "completed",
      seven: "completed",
      five: "skipped",
      eight: "skipped",
    });
    const never = { five: "skipped", six: "skipped", seven: "skipped", eight: "skipped" };
    expect(ends(stop!)).toEqual({
      one: "completed",
      two: "failed",
      three: "completed",
      four: "completed",
      ...never,
    });
    expect(ends(fast!)).toEqual({
      one: "completed",
      two: "failed",
      three: "stopped",
      four: "stopped",
      ...never,
    });
    for (const run of [on!, stop!, fast!]) {
      expect(outcomeOf(run)).toBe("failed");
      expect(because(run)).toContain(`step "two" failed: two is broken`);
      const failure = run.lines.findIndex(({ type }) => type === "step.failed");
      // The steps that start after the failure.
      const after = run.lines.slice(failure).filter(({ type }) => type === "step.started");
      expect(new Set(after.map((line) => line["step"]))).toEqual(
        new Set(run === on ? ["six", "seven"] : []),
      );
    }
  });

  it("does the same when a step of a dynamic pipeline fails", async () => {
    const [on, stop, fast] = await Promise.all(MODES.map((mode) => failing(`dynamic-${mode}`)));
    expect(ends(on!)).toEqual({ two: "failed", three: "completed", four: "completed" });
    expect(outcomeOf(on!)).toBe("completed");
    expect(because(on!)).toContain(`warning: step "two" failed and nothing awaited it`);
    expect(ends(stop!)).toEqual({ two: "failed", three: "completed", four: "completed" });
    expect(ends(fast!)).toEqual({ two: "failed", three: "stopped", four: "stopped" });
    for (const run of [stop!, fast!]) {
      expect(outcomeOf(run)).toBe("failed");
      expect(because(run)).toContain(`step "two" failed: two is broken`);
    }
  });

  it("waits 200 ms, then 400 ms, and no attempt more", async () => {
    const { lines } = await ended(root.runs, await submit(root.runs, "waits"));
    const failed = lines.filter(({ type }) => type === "step.failed") as unknown as Line[];
    const started = lines.filter(({ type }) => type === "step.started") as unknown as Line[];
    expect(started.map((line) => line["attempt"])).toEqual([1, 2, 3]);
    const waits = failed.map((line) =>
      line["retryAt"] === undefined
        ? undefined
        : Date.parse(String(line["retryAt"])) - Date.parse(line.at),
    );
    expect(waits[2]).toBeUndefined();
    for (const [index, wait] of [200, 400].entries()) {
      // A line gets its time a little after the wait was computed; on a busy machine, later still.
      expect(waits[index]).toBeGreaterThan(wait - 150);
      expect(waits[index]).toBeLessThanOrEqual(wait + 5);
      expect(Date.parse(started[index + 1]!.at)).toBeGreaterThanOrEqual(
        Date.parse(String(failed[index]!["retryAt"])),
      );
    }
  });

  it("runs maxParallelSteps steps at once and no more; ends a run at its timeout", async () => {
    const [wide, limited] = await Promise.all(
      ["wide", "limited"].map(async (pipeline) =>
        ended(root.runs, await submit(root.runs, pipeline)),
      ),
    );
    const most = (signs: readonly number[]): number => {
      let now = 0;
      return Math.max(...signs.map((sign) => (now += sign)));
    };
    expect(outcomeOf(wide!)).toBe("completed");
    const noted = readFileSync(join(root.root, "wide"), "utf8").trim().split("\n");
    expect(noted).toHaveLength(24);
    expect(most(noted.map((sign) => (sign === "+" ? 1 : -1)))).toBeLessThanOrEqual(3);
    // The ledger shows that the limit is reached: a step counts from its start to its end.
    expect(
      most(
        wide!.lines.map(({ type }) =>
          type === "step.started" ? 1 : type === "step.completed" ? -1 : 0,
        ),
      ),
    ).toBe(3);
    expect(outcomeOf(limited!)).toBe("failed");
    expect(because(limited!)).toMatch(/500 ?ms|time limit|timed out/i);
    expect(ends(limited!)).toEqual({ long: "stopped", next: "skipped" });
    const [from, to] = [
      limited!.lines.find(({ type }) => type === "run.started")!,
      limited!.lines.at(-1)!,
    ].map((line) => Date.parse(line.at));
    expect(to! - from!).toBeGreaterThanOrEqual(500);
  });

  it(
    "killed in a fan-out, repeats no call that completed; a call that differs ends its run",
    { timeout: 60_000 },
    async () => {
      const runs = await Promise.all([submit(root.runs, "fan"), submit(root.runs, "diverges")]);
      const [fan, diverges] = await Promise.all(runs.map(path));
      await awaitLines(fan!, 8, ({ type }) => type === "step.completed");
      await awaitLine(diverges!, (line) => line.type === "step.started" && line["step"] === "slow");
      await daemon.kill();
      const before = runsOf(root.runs, "fan")[0]!;
      const completed = new Set(
        before.lines
          .filter(({ type }) => type === "step.completed")
          .map((line) => String(line["step"])),
      );
      // A run keeps the code that it began with, even if the file changes. What its function reads
      // from elsewhere is its own risk.
      root.write(
        "schedules/fan.ts",
        FILES["schedules/fan.ts"]!.replace("length: 20", "length: 30"),
      );
      root.write("host.txt", "beta");
      for (const pipeline of ["fan", "diverges"]) go(pipeline);
      daemon = await startDaemon({ root: root.root });

      const [whole, torn] = await Promise.all(runs.map((run) => ended(root.runs, run)));
      expect(outcomeOf(whole!)).toBe("completed");
      const sum = whole!.lines.find(
        (line) => line.type === "step.completed" && line["step"] === "sum",
      )!;
      expect(sum["outputs"]).toEqual({ result: 190 });
      const again = whole!.lines
        .slice(before.lines.length)
        .filter(({ type }) => type === "step.started")
        .map((line) => String(line["step"]));
      expect(again.filter((step) => completed.has(step))).toEqual([]);
      // What the steps themselves wrote down.
      const ran = readFileSync(join(root.root, "fan.ran"), "utf8")
        .trim()
        .split("\n")
        .map((line) => Number(line.split(" ")[0]));
      expect(new Set(ran).size).toBe(20);
      const twice = ran.filter((n, index) => ran.indexOf(n) !== index);
      expect(twice.length).toBeLessThanOrEqual(4);
      expect(twice.filter((n) => n < 8)).toEqual([]);

      expect(outcomeOf(torn!)).toBe("failed");
      expect(because(torn!)).toContain("nondeterministic pipeline");
      expect(because(torn!)).toContain(`greet(inputs {"host":{"value":"alpha"}})`);
      expect(because(torn!)).toContain(`greet(inputs {"host":{"value":"beta"}})`);
      // Ended, not killed as the daemon of a test is: its runner must not outlive this file.
      await daemon.end();
    },
  );
});
