/**
 * Promise 22: no step kills the daemon, whatever it does. Steps that its end interrupts run again,
 * uncounted, and its error says what happened.
 */
import { describe, expect, it } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { reached, trials } from "../support/figures.ts";
import { outcomeOf, processesWith, runsOf, type PlainRun } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

/** A step that misbehaves. */
interface BadStep {
  readonly code: string;
  /** Further keys of the step. */
  readonly keys?: string;
  /** What its error says; undefined: the step completes. */
  readonly says?: RegExp;
  /** Set if it ends the whole runner: then the steps beside it are interrupted. */
  readonly endsRunner?: true;
}

const ZOO: Record<string, BadStep> = {
  heap: {
    code: "const kept = []; for (;;) kept.push(new Array(1e4).fill({}).map(() => ({ a: 1 })));",
    keys: "resources: { memoryMb: 32 }",
    says: /step "bad" .*32 MiB.*resources\.memoryMb/,
  },
  buffers: {
    code: "const kept = []; for (;;) kept.push(new Uint8Array(4e6).fill(1));",
    keys: "resources: { memoryMb: 32 }",
    says: /step "bad" .*32 MiB.*resources\.memoryMb/,
  },
  spinning: { code: "for (;;) {}", keys: "timeout: 1s", says: /step "bad" .*time limit of 1s/ },
  exit: { code: "process.exit(3);", says: /step "bad" .*process\.exit\(3\)/ },
  killer: {
    code: 'process.kill(process.pid, "SIGKILL");',
    says: /step "bad" ended its runner .*SIGKILL/,
    endsRunner: true,
  },
  closer: {
    code: `const fs = await import("node:fs");
for (let fd = 3; fd < 64; fd += 1) try { fs.closeSync(fd); } catch {}
await new Promise(() => {});`,
    says: /step "bad" ended its runner/,
    endsRunner: true,
  },
  writer: {
    code: '(await import("node:fs")).writeSync(3, "no message\\n"); await new Promise(() => {});',
    says: /step "bad" ended its runner .*sent what is no message .*: no message/,
    endsRunner: true,
  },
  rejection: {
    code: 'void Promise.reject(new Error("nobody waits")); return 1;',
    says: /nobody waits .*not awaited/,
  },
  flood: {
    code: 'for (;;) process.stdout.write("x".repeat(1000) + "\\n");',
    keys: "timeout: 1s",
    says: /step "bad" .*time limit of 1s/,
  },
  blocked: {
    code: '(await import("node:child_process")).execSync("sleep 3600");',
    keys: "timeout: 1s",
    says: /time limit of 1s/,
  },
  orphan: {
    code: `const { spawn } = await import("node:child_process");
spawn("sleep", ["3600"], { detached: true, stdio: "ignore" }).unref();
return 1;`,
  },
  huge: {
    code: 'return "x".repeat(100 * 1024 * 1024);',
    says: /step "bad".*101 MiB.*at most 32 MiB.*file/,
  },
  cyclic: { code: "const a = {}; a.a = a; return a;", says: /step "bad".*"a".*a part of itself/ },
  nothing: { code: "throw null;", says: /threw null/ },
  never: {
    code: "await new Promise(() => {});",
    keys: "timeout: 1s",
    says: /step "bad" .*time limit of 1s/,
  },
};

const SIBLING = `export default () => new Promise((resolve) => setTimeout(resolve, 700, "fine"));`;

function zoo(marker: string): TempRoot {
  const files: Record<string, string> = {
    "orchd.yaml": "gracePeriod: 500ms\nrunner: { threads: 16 }\n",
    "schedules/steps/sibling.mjs": SIBLING,
  };
  for (const [name, { code, keys }] of Object.entries(ZOO)) {
    files[`schedules/steps/${name}.mjs`] = `export default async () => { ${code} };`;
    files[`schedules/${name}.yaml`] = `overlap: allow
enableCache: false
env: { MARKER: ${marker} }
steps:
  sibling: { uses: ./steps/sibling.mjs }
  bad:
    uses: ./steps/${name}.mjs
${keys === undefined ? "" : `    ${keys}\n`}`;
  }
  return tempRoot(files);
}

/** What is wrong with the end of a run; undefined: nothing. */
function faultOf(name: string, run: PlainRun): string | undefined {
  const { says } = ZOO[name]!;
  const wanted = says === undefined ? "completed" : "failed";
  if (outcomeOf(run) !== wanted) return `it ended ${outcomeOf(run)}, not ${wanted}`;
  if (
    !run.lines.some(
      (line) =>
        line.type === "step.completed" && line["step"] === "sibling" && line["attempt"] === 1,
    )
  )
    return `its sibling needed a second attempt: ${JSON.stringify(run.lines.slice(1))}`;
  if (says === undefined) return undefined;
  const error = run.lines.findLast(
    (line) => line.type === "step.failed" && line["step"] === "bad",
  )?.["error"] as { message: string } | undefined;
  return error !== undefined && says.test(error.message)
    ? undefined
    : `its error is ${JSON.stringify(error)}`;
}

describe("a zoo of bad steps", () => {
  it(
    "leaves the daemon alive, every run ended, and every sibling completed",
    { timeout: 1_800_000 },
    async () => {
      const marker = `zoo-${process.pid}-${Math.random().toString(36).slice(2)}`;
      const root = zoo(marker);
      const daemon = await startDaemon({ root: root.root });
      const rounds = trials(1, 50);
      const faults: string[] = [];
      let good = 0;
      const runOne = async (name: string): Promise<void> => {
        const { run } = (await orchd(root.root, "run", name, "--json")).json<{ run: string }>();
        const ended = await awaitSight(
          root.runs,
          () =>
            runsOf(root.runs, name).find((one) => one.run === run && outcomeOf(one) !== undefined),
          () => {
            const there = runsOf(root.runs, name).find((one) => one.run === run);
            return `an end of ${run}: ${JSON.stringify(there?.lines)}\n${daemon.stderr()}`;
          },
          30_000,
        );
        const fault = faultOf(name, ended);
        if (fault === undefined) good += 1;
        else faults.push(`${run}: ${fault}`);
      };
      for (let round = 0; round < rounds; round += 1) {
        // Steps that end the runner run one by one: a step that is interrupted four times is not
        // started again.
        await Promise.all(
          Object.keys(ZOO)
            .filter((name) => ZOO[name]!.endsRunner !== true)
            .map(runOne),
        );
        for (const name of Object.keys(ZOO).filter((other) => ZOO[other]!.endsRunner === true))
          await runOne(name);
      }
      reached(22, "bad steps that harmed only themselves", good, rounds * Object.keys(ZOO).length);
      expect(faults).toEqual([]);
      await awaitSight(
        "/proc",
        () => (processesWith(`MARKER=${marker}`).length === 0 ? true : undefined),
        "an end of all processes that the steps started",
      );
      const status = (await orchd(root.root, "status", "--json")).json<{
        daemon: { pid: number };
      }>();
      expect(status.daemon.pid).toBe(daemon.pid);
      expect((await orchd(root.root, "verify")).status).toBe(0);
    },
  );
});
