/**
 * Promise 34: a step that prints a gigabyte harms nobody. The daemon and the runner grow by 64 MiB
 * each at most, and one line tells what was dropped.
 */
import { readFileSync, statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { fullFigures, reached } from "../support/figures.ts";
import { childrenOf, outcomeOf, runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

/** How much each step prints, in MiB. */
const SIZE = fullFigures ? 1_024 : 64;
const GROWTH_MIB = 64;

/** As it stands within a text in quotes. */
const ONE_LINE = `head -c ${SIZE}M /dev/zero | tr '\\\\0' x`;

const STEPS: Record<string, string> = {
  "lines of a module": `{ uses: "./steps/flood.mjs#lines" }`,
  "one line of a module": `{ uses: "./steps/flood.mjs#line" }`,
  "a module that never yields": `{ uses: "./steps/flood.mjs#sync" }`,
  "a child of a module": `{ uses: "./steps/flood.mjs#child" }`,
  "a shell": `{ run: "echo first; yes ${"0123456789".repeat(4)} | head -c ${SIZE}M; printf last" }`,
  "one line of a shell": `{ run: "echo first; ${ONE_LINE}; printf last" }`,
};

/** Those of them that `npm test` runs. */
const QUICK = new Set(["a module that never yields", "a child of a module", "a shell"]);

const rssMib = (pid: number): number => {
  try {
    return (
      Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024
    );
  } catch {
    return 0;
  }
};

describe("endless output", () => {
  it.each(Object.entries(STEPS).filter(([what]) => fullFigures || QUICK.has(what)))(
    "of %s costs little memory, and one line says what was dropped",
    { timeout: 300_000 },
    async (what, step) => {
      const root = tempRoot({
        "schedules/flood.yaml": `enableCache: false\nsteps:\n  it: ${step}\n`,
        "schedules/warm.yaml": `enableCache: false
steps:
  it: { uses: "./steps/flood.mjs#nothing" }
  sh: { run: "true" }
`,
        "schedules/steps/flood.mjs": `import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeSync } from "node:fs";
const size = ${SIZE} * 1024 * 1024;
const text = ("x".repeat(99) + "\\n").repeat(100);
export const nothing = () => 1;
export const lines = async () => {
  console.log("first");
  for (let n = 0; n < size; n += text.length) {
    if (!process.stdout.write(text)) await once(process.stdout, "drain");
    if (n % (1 << 20) < text.length) await null;
  }
  process.stdout.write("last");
};
export const line = async () => {
  console.log("first");
  const x = "x".repeat(1e6);
  for (let n = 0; n < size; n += x.length) process.stdout.write(x);
};
export const sync = () => {
  console.log("first");
  for (let n = 0; n < size; n += text.length) writeSync(1, text);
};
export const child = async () => {
  console.log("first");
  const flood = spawn("sh", ["-c", "yes | head -c ${SIZE}M"], { stdio: "inherit" });
  await once(flood, "close");
};`,
      });
      const daemon = await startDaemon({ root: root.root });
      // After a few shells the runner's spawner starts the next one.
      for (let n = 0; n < 3; n += 1)
        expect((await orchd(root.root, "run", "warm", "--wait")).status).toBe(0);
      const runner = childrenOf(daemon.pid).find((pid) =>
        readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("runner.js"),
      );
      const pids = [daemon.pid, runner!];
      const before = pids.map(rssMib);
      const most = [0, 0];
      const watch = setInterval(() => {
        for (const [index, pid] of pids.entries())
          most[index] = Math.max(most[index]!, rssMib(pid) - before[index]!);
      }, 20);
      await orchd(root.root, "run", "flood");
      const done = await awaitSight(
        root.runs,
        () => runsOf(root.runs, "flood").find((run) => outcomeOf(run) !== undefined),
        "an end of the flood",
        240_000,
      );
      clearInterval(watch);
      expect(outcomeOf(done)).toBe("completed");
      const log = done.path.replace(/\.jsonl$/, ".log");
      expect(statSync(log).size).toBeLessThan(24 * 1024 * 1024);
      const lines = linesOf(log);
      expect(lines[0]).toMatchObject({ stream: "stdout", line: "first" });
      expect(lines.filter((line) => line["stream"] === "orchd")).toEqual([
        expect.objectContaining({
          line: expect.stringMatching(/longer than 8 MiB.*dropped/) as string,
        }),
      ]);
      for (const [index, name] of ["the daemon", "the runner"].entries())
        reached(
          34,
          `MiB (at most ${GROWTH_MIB}) by which ${name} grew for ${SIZE} MiB from ${what}`,
          Math.round(most[index]!),
          GROWTH_MIB,
        );
      expect(Math.max(...most)).toBeLessThan(GROWTH_MIB);
    },
  );
});
