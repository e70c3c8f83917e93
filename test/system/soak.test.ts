/**
 * Promise 33, the short form of `npm run bench -- soak`: after hundreds of runs a daemon holds and
 * leaves no more than after the first.
 */
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { figuresOf, runnerOf } from "../../bench/resources.ts";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { reached, trials } from "../support/figures.ts";
import { tempRoot } from "../support/temp-root.ts";

const BATCHES = trials(4, 20);
/** How many runs each pipeline has in each batch. */
const RUNS = 15;
const KINDS: Record<string, string> = {
  module: "steps: { brief: { uses: ./steps/brief.ts } }",
  alone: "steps: { brief: { uses: ./steps/brief.ts, isolated: true } }",
  shell: 'steps: { brief: { run: "true" } }',
  prints: 'steps: { brief: { run: "echo a line; echo $$ > $ORCHD_OUTPUT", env: { MORE: x } } }',
  fails: "retry: { maxRetries: 1 }\nsteps: { brief: { uses: ./steps/fails.ts } }",
};

it.skipIf(process.platform !== "linux")(
  "a daemon holds and leaves no more after hundreds of runs than after the first",
  { timeout: 300_000 },
  async () => {
    const pipelines = Object.keys(KINDS);
    const root = tempRoot({
      "orchd.yaml": "runner: { threads: 1 }\n",
      "schedules/steps/brief.ts": "export default async () => 1;\n",
      "schedules/steps/fails.ts":
        'export default async () => { throw new Error("as it should"); };\n',
      ...Object.fromEntries(
        pipelines.map((name) => [
          `schedules/${name}.yaml`,
          `overlap: allow\nenableCache: false\n${KINDS[name]}\n`,
        ]),
      ),
    });
    const daemon = await startDaemon({ root: root.root });
    const inOrchd = (...names: string[]): string => join(root.runs, ".orchd", ...names);
    const ends = (): number =>
      pipelines
        .flatMap((name) => linesOf(join(root.runs, name, "pipeline.jsonl")))
        .filter(({ type }) => type === "run.finished").length;
    const held = (): number[] =>
      [daemon.pid, runnerOf(daemon.pid)!]
        .map(figuresOf)
        .flatMap(({ pid, descriptors, threads }) => [pid, descriptors, threads]);
    // The same two processes, each with no more descriptors and threads than at first; there may be
    // fewer.
    const isWithin = (now: readonly number[]): boolean =>
      now.every((count, index) =>
        index % 3 === 0 ? count === first[index] : count <= first[index]!,
      );

    let first: number[] = [];
    for (let batch = 1; batch <= BATCHES; batch += 1) {
      for (const pipeline of pipelines) {
        for (let each = 0; each < RUNS; each += 1) {
          const id = `${pipeline}-${batch}-${each}.json`;
          writeFileSync(
            inOrchd("requests", `.${id}`),
            JSON.stringify({ type: "submit", pipeline }),
          );
          renameSync(inOrchd("requests", `.${id}`), inOrchd("requests", id));
        }
      }
      const due = batch * RUNS * pipelines.length;
      await awaitSight(
        root.runs,
        () => (ends() >= due ? true : undefined),
        () => `${due} ends of runs; there are ${ends()}`,
        60_000,
      );
      // Pid, descriptors and threads of each process. The files of a run are closed a while after
      // its last line.
      if (batch === 1) first = await settled(held);
      else
        await awaitSight(
          root.runs,
          () => (isWithin(held()) ? true : undefined),
          () => `at most ${first.join(" ")} (pid, descriptors, threads); it is ${held().join(" ")}`,
        );
    }

    // The newest run stays, and so does the one that ended last, if it is another.
    const { runs: gone, kept } = (
      await orchd(root.root, "prune", "--keep-runs", "1", "--json")
    ).json<{ runs: unknown[]; kept: unknown[] }>();
    expect(gone.length + kept.length).toBe((BATCHES * RUNS - 1) * pipelines.length);
    expect(kept.length).toBeLessThanOrEqual(pipelines.length);
    const files = readdirSync(root.runs, { recursive: true, encoding: "utf8" }).filter(
      (name) => /@|\/\./.test(name) && !name.startsWith(".orchd"),
    );
    expect(files.filter((name) => name.endsWith(".jsonl")).length).toBe(
      pipelines.length + kept.length,
    );
    const left = new Set(
      files.map(
        (name) => `${name.slice(0, name.indexOf("/"))}${name.slice(name.lastIndexOf("."))}`,
      ),
    );
    expect([...left].toSorted()).toEqual([
      "alone.jsonl",
      "fails.jsonl",
      "module.jsonl",
      "prints.jsonl",
      "prints.log",
      "shell.jsonl",
    ]);
    expect(readdirSync(inOrchd("requests"))).toEqual([]);
    expect(readdirSync(inOrchd("scratch"), { recursive: true })).toEqual([]);
    // Keys are recorded with the cache off too. The keys of pruned runs are gone.
    const indexed = readFileSync(inOrchd("cache/index.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { run: string }).run);
    expect(indexed.filter((run) => !files.some((name) => name.endsWith(`${run}.jsonl`)))).toEqual(
      [],
    );
    expect(indexed.length).toBeGreaterThan(0);
    reached(
      33,
      "batches of 75 runs after which no more descriptors and threads were held",
      BATCHES - 1,
      BATCHES - 1,
    );
  },
);

/** What a look gives, once it gave the same twenty times in a row. */
async function settled(look: () => number[]): Promise<number[]> {
  let last: number[] = [];
  let same = 0;
  await awaitSight(
    "/",
    () => {
      const seen = look();
      same = seen.join(" ") === last.join(" ") ? same + 1 : 0;
      last = seen;
      return same === 20 ? true : undefined;
    },
    () => `the same twenty times: ${last.join(" ")}`,
  );
  return last;
}
