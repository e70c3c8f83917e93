/**
 * Calls of a dynamic pipeline's function that are longer than a ledger's line keeps of them, over a
 * kill -9 of the daemon: the same call is known again, and another one is found.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { awaitLine, awaitSight } from "../support/await-event.ts";
import { daemonOver, startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf, type PlainRun } from "../support/ledgers.ts";
import { submit } from "../support/request.ts";

/** The steps of each pipeline. `slow` waits for a file, and runs when the daemon is killed. */
const HEAD = `import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { dynamicPipeline, step } from "orchd";
const at = (name: string): URL => new URL("../" + name, import.meta.url);
export const size = step(({ inputs, params }: any) => JSON.stringify({ inputs, params }).length);
export const slow = step(async ({ signal }: any) => {
  while (!existsSync(at("go"))) await sleep(10, undefined, { signal });
});
const settings = { enableCache: false, onInterruption: "rerun" } as const;
`;

/** A pipeline that makes these calls, and then runs `slow`. */
const calling = (calls: string): string =>
  `${HEAD}export default dynamicPipeline(settings, async (run) => {
  ${calls}
  await run.step(slow);
});
`;

const SAME: Record<string, string> = {
  input: `await run.step(size, { inputs: { text: "x".repeat(40_000) } });`,
  params: `await run.step(size, { params: { text: "x".repeat(100_000) } });`,
  map: `await run.map(size, {
    text: Array.from({ length: 30 }, (_, n) => String(n).repeat(20_000)),
  });`,
  // Characters of two UTF-16 code units, with each parity: one of them is cut in its middle.
  pairs: `await run.step(size, { inputs: { text: "\\u{1F600}".repeat(20_000) } });
  await run.step(size, { inputs: { text: "a" + "\\u{1F600}".repeat(20_000) } });
  await run.step(size, { inputs: { text: "\\uD83D".repeat(20_000) } });`,
  "many-inputs": `await run.step(size, {
    inputs: Object.fromEntries(Array.from({ length: 200 }, (_, n) => ["n" + n, "x".repeat(900)])),
  });`,
  // The length of the whole text is about what is kept of it.
  lengths: `await run.map(size, {
    text: Array.from({ length: 40 }, (_, n) => "x".repeat(16_384 - 130 + 5 * n)),
  });`,
};
const OTHER: Record<string, string> = {
  // As long as before, and equal for 40,000 characters.
  tail: `await run.step(size, {
    inputs: { text: "x".repeat(40_000) + readFileSync(at("host.txt"), "utf8") },
  });`,
  longer: `await run.step(size, {
    inputs: { text: "x".repeat(40_000 + readFileSync(at("host.txt"))[0]!) },
  });`,
};

it("calls of any length are known again after a kill -9", { timeout: 120_000 }, async () => {
  const pipelines = { ...SAME, ...OTHER };
  const names = Object.keys(pipelines);
  const { root, daemon } = await daemonOver({
    "orchd.yaml": "runner: { threads: 32 }\n",
    "host.txt": "alpha",
    ...Object.fromEntries(names.map((name) => [`schedules/${name}.ts`, calling(pipelines[name]!)])),
  });
  const runOf = (name: string): PlainRun | undefined => runsOf(root.runs, name)[0];
  for (const name of names) {
    await submit(root.runs, name);
    const { path } = await awaitSight(root.runs, () => runOf(name), `a run of ${name}`);
    await awaitLine(path, (line) => line.type === "step.started" && line["step"] === "slow");
  }
  await daemon.kill();
  writeFileSync(join(root.root, "host.txt"), "gamma");
  writeFileSync(join(root.root, "go"), "");
  const next = await startDaemon({ root: root.root });
  const ends = new Map<string, PlainRun>();
  for (const name of names)
    ends.set(
      name,
      await awaitSight(
        root.runs,
        () => {
          const run = runOf(name);
          return run !== undefined && outcomeOf(run) !== undefined ? run : undefined;
        },
        `the end of ${name}`,
      ),
    );
  await next.end();
  const outcomes = names.map((name) => [name, outcomeOf(ends.get(name)!)]);
  expect(Object.fromEntries(outcomes)).toEqual({
    ...Object.fromEntries(Object.keys(SAME).map((name) => [name, "completed"])),
    ...Object.fromEntries(Object.keys(OTHER).map((name) => [name, "failed"])),
  });
  for (const name of Object.keys(OTHER))
    expect(String(ends.get(name)!.lines.at(-1)!["because"])).toMatch(
      /nondeterministic pipeline: the ledger has (.*), and the function now calls (?!\1)/,
    );
});
