/**
 * Promise 39: nothing holds up a stop, a drain or the end after it. Each kind is something that
 * takes long, or that never ends, in a place where no code of a step runs.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLine, awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, orchdProgram, startDaemon } from "../support/daemon.ts";
import { reached, trials } from "../support/figures.ts";
import { runsOf } from "../support/ledgers.ts";
import { endedWithTest } from "../support/process-end.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const GRACE_MS = 1_000;
const DRAIN_MS = 1_000;
/** How much later than the grace period anything may end. */
const SLACK_MS = 2_000;

const hashed = (n: number | string): string => `cache: { fileDependencies: ../big${n}.bin }`;
const HASHED = hashed("");

/** Runs that something holds up before a step of them starts, or as one ends. */
const PIPELINES: Record<string, string> = {
  // 40 GB to hash.
  hash: `steps: { s: { run: "true", ${HASHED} } }`,
  // The same, and nobody needs the hash but for the record.
  "hash-uncached": `enableCache: false
steps: { s: { uses: "./m/held.mjs#nothing", cache: { fileDependencies: ../big.bin } } }`,
  // The same, before the orchestrator is called.
  prepass: `hooks: { init: ./m/held.mjs#nothing }
steps: { s: { run: "true", ${HASHED} } }`,
  // Many steps, one file each of 40 GB.
  "hash-many": `steps:
${Array.from({ length: 40 }, (_, n) => `  s${n}: { run: "true", ${hashed(n % 8)} }`).join("\n")}
`,
  "cache-function": `steps:
  s: { uses: "./m/held.mjs#nothing", cache: { cacheFunction: "./m/held.mjs#never" } }
`,
  "blocked-cache-function": `steps:
  s: { uses: "./m/held.mjs#nothing", cache: { cacheFunction: "./m/held.mjs#spin" } }
`,
  "init-hook": `hooks: { init: "./m/held.mjs#never" }
steps: { s: { run: "true" } }`,
  orchestrator: `orchestrator: held
steps: { s: { run: "true" } }`,
};

/** Steps whose end is hard to record. Each has to end at once, failed. */
const ENDINGS: Record<string, string> = {
  "error-name": `const e = new Error("x"); e.name = "n".repeat(2e6); throw e;`,
  "error-code": `throw Object.assign(new Error("x"), { code: "c".repeat(2e6) });`,
  "error-text": `throw Object.assign(new Error("m".repeat(2e6)), { stack: "s".repeat(3e6) });`,
  "thrown-text": `throw "t".repeat(2e6);`,
  "thrown-object": `throw { name: "n".repeat(2e6), code: "c".repeat(2e6), message: "m" };`,
};

const MODULE = `export const nothing = () => 1;
export const never = ({ signal }) => new Promise(() => { setInterval(() => {}, 1e3); });
export const spin = () => { for (;;) {} };
`;

function heldRoot(): TempRoot {
  const root = tempRoot({
    "orchd.yaml": `gracePeriod: ${GRACE_MS}ms
drainPeriod: ${DRAIN_MS}ms
orchestrators: { held: { uses: ./schedules/m/orchestrator.mjs } }
`,
    "schedules/m/held.mjs": MODULE,
    "schedules/m/orchestrator.mjs": `import { BaseOrchestrator } from "orchd";
export default class Held extends BaseOrchestrator {
  static flavor = "held";
  getOrchestratorRunId() { return "x"; }
  submitPipeline() { return new Promise(() => { setInterval(() => {}, 1e3); }); }
}
`,
    ...Object.fromEntries(
      Object.entries(PIPELINES).map(([name, text]) => [`schedules/${name}.yaml`, text]),
    ),
    ...Object.fromEntries(
      Object.entries(ENDINGS).flatMap(([name, body]) => [
        [`schedules/m/${name}.mjs`, `export default () => { ${body} };\n`],
        [`schedules/${name}.yaml`, `steps: { s: { uses: ./m/${name}.mjs } }\n`],
      ]),
    ),
  });
  root.linkPackages();
  for (const name of ["big", ...Array.from({ length: 8 }, (_, n) => `big${n}`)]) {
    writeFileSync(join(root.root, `${name}.bin`), "");
    truncateSync(join(root.root, `${name}.bin`), 40 * 2 ** 30);
  }
  return root;
}

/** Asks for a run, and gives its ledger. */
async function begin(root: TempRoot, name: string): Promise<{ run: string; path: string }> {
  const asked = await orchd(root.root, "run", name, "--json");
  expect(asked.stdout, `${name}: ${asked.stderr}`).not.toBe("");
  const { run } = asked.json<{ run: string }>();
  const path = runsOf(root.runs, name).find((one) => one.run === run)!.path;
  await awaitLine(path, (line) => line.type === "run.started");
  return { run, path };
}

/** How long a run took to end after its last request to stop, in milliseconds. */
async function stopMs(path: string): Promise<number> {
  const { at } = await awaitLine(path, (line) => line.type === "run.finished", 30_000);
  const asked = linesOf(path).findLast((line) => line.type === "run.stop_requested")!;
  return Date.parse(at) - Date.parse(asked.at);
}

describe("what takes long", () => {
  it("holds up no stop", { timeout: 1_800_000 }, async () => {
    const root = heldRoot();
    await startDaemon({ root: root.root });
    const late: string[] = [];
    let of = 0;
    for (let round = 0; round < trials(1, 20); round += 1) {
      for (const name of Object.keys(PIPELINES)) {
        const { run, path } = await begin(root, name);
        expect((await orchd(root.root, "stop", run, "--force")).status).toBe(0);
        const took = await stopMs(path);
        of += 1;
        if (took > GRACE_MS + SLACK_MS) late.push(`${name}: ${took} ms`);
      }
      for (const name of Object.keys(ENDINGS)) {
        const ended = await orchd(root.root, "run", name, "--wait");
        of += 1;
        if (ended.status !== 1) late.push(`${name}: status ${ended.status}`);
      }
    }
    reached(39, "stops and ends that nothing held up", of - late.length, of);
    expect(late).toEqual([]);
  });

  it("holds up no drain, and nothing after it", { timeout: 1_800_000 }, async () => {
    let good = 0;
    const rounds = trials(1, 20);
    for (let round = 0; round < rounds; round += 1) {
      const root = heldRoot();
      mkdirSync(join(root.schedules, "late"));
      execFileSync("mkfifo", [join(root.schedules, "m", "fifo.mjs")]);
      const daemon = await startDaemon({ root: root.root });
      for (const name of Object.keys(PIPELINES)) await begin(root, name);
      // A pipeline file whose module is never there, and one whose code never ends.
      root.write("schedules/hung.yaml", "steps: { s: { uses: ./m/fifo.mjs } }\n");
      root.write(
        "schedules/endless.pipeline.mjs",
        "await new Promise(() => setInterval(() => {}, 1e3));\n",
      );
      void orchd(root.root, "run", "hung", { deadlineMs: 120_000 }).catch(() => undefined);
      await awaitSight(
        join(root.runs, ".orchd"),
        () => (existsSync(join(root.runs, ".orchd", "requests")) ? true : undefined),
        "the requests folder",
      );
      const began = Date.now();
      const { status } = await daemon.end("SIGTERM", 60_000);
      const took = Date.now() - began;
      // With something that never ends it has to give up, and says so.
      const log = daemon.stderr();
      const inTime = took <= DRAIN_MS + GRACE_MS + SLACK_MS + 500;
      if (inTime && (status === 0 || log.includes("whatever still waits"))) good += 1;
      else process.stdout.write(`${took} ms, status ${status}\n${log.slice(-2_000)}\n`);
    }
    reached(39, "drains that nothing held up", good, rounds);
    expect(good).toBe(rounds);
  });

  it("is cut short by a second signal", { timeout: 600_000 }, async () => {
    let good = 0;
    const rounds = trials(1, 20);
    for (let round = 0; round < rounds; round += 1) {
      const root = heldRoot();
      root.write("orchd.yaml", `gracePeriod: ${GRACE_MS}ms\ndrainPeriod: 1h\n`);
      const daemon = await startDaemon({ root: root.root });
      root.write("schedules/long.yaml", `steps: { s: { run: "sleep 3600" } }\n`);
      const long = await begin(root, "long");
      await awaitLine(long.path, (line) => line.type === "step.started");
      await begin(root, "hash");
      daemon.process.kill("SIGTERM");
      await awaitSight(
        root.root,
        () => (daemon.stderr().includes("draining") ? true : undefined),
        "a drain",
        20_000,
      );
      const began = Date.now();
      await daemon.end("SIGTERM", 60_000);
      if (Date.now() - began <= GRACE_MS + SLACK_MS + 500) good += 1;
    }
    reached(39, "second signals that ended the daemon", good, rounds);
    expect(good).toBe(rounds);
  });

  it("holds up no run in the foreground", { timeout: 600_000 }, async () => {
    const rounds = trials(1, 20);
    let good = 0;
    for (let round = 0; round < rounds; round += 1) {
      const root = heldRoot();
      const child = endedWithTest(
        spawn(process.execPath, [orchdProgram, "run", "hash", "--foreground"], {
          cwd: root.root,
          env: { ...process.env, ORCHD_ROOT: root.root },
          stdio: "ignore",
        }),
      );
      const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
      const path = await awaitSight(
        root.runs,
        () => runsOf(root.runs, "hash")[0]?.path,
        "a run",
        20_000,
      );
      await awaitLine(path, (line) => line.type === "run.started");
      child.kill("SIGINT");
      await ended;
      if ((await stopMs(path)) <= SLACK_MS && readFileSync(path, "utf8").includes("run.finished"))
        good += 1;
    }
    reached(39, "runs in the foreground that Ctrl-C ended", good, rounds);
    expect(good).toBe(rounds);
  });
});
