/**
 * Promise 27: a daemon is killed (SIGKILL) while results are on their way into the cache's index,
 * which is written 50 ms late. The next daemon takes over the run, and every result of it answers
 * the next run.
 */
import { expect, it } from "vitest";
import { awaitLines } from "../support/await-event.ts";
import { startDaemon } from "../support/daemon.ts";
import { reached, trials } from "../support/figures.ts";
import { outcomeOf, type PlainRun } from "../support/ledgers.ts";
import { ended, submit } from "../support/request.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** The first one takes so long that the run has not ended when the daemon is killed. */
const STEPS = 30;
const names = Array.from({ length: STEPS }, (_, n) => `s${n}`);
const steps = names.map(
  (name, n) => `  ${name}:
    uses: ./steps/value.ts
    params: { n: ${n}, of: "\${params.of}" }
    onInterruption: rerun
`,
);
const FILES = {
  "schedules/cached.yaml": `params: { of: none }\nmaxParallelSteps: 3\nsteps:\n${steps.join("")}`,
  "schedules/steps/value.ts": `export default async ({ params }: any) => {
  await new Promise((resolve) => setTimeout(resolve, params.n === 0 ? 2_000 : 15));
  return params.of + params.n;
};\n`,
};

/** What each step of a run gave, whether it ran or not. */
const given = ({ lines }: PlainRun): Record<string, unknown> =>
  Object.fromEntries(
    lines
      .filter(({ type }) => type === "step.completed" || type === "step.cached")
      .map((line) => [line["step"], (line["outputs"] as { result: unknown }).result]),
  );
const cachedIn = ({ lines }: PlainRun): number =>
  lines.filter(({ type }) => type === "step.cached").length;

it(
  "every result of a run answers the next one, whenever the daemon was killed",
  { timeout: 3_600_000 },
  async () => {
    const kills = trials(3, 100);
    const { root, runs, linkPackages } = tempRoot(FILES);
    linkPackages();
    const dice = new VirtualClock({ seed: 28 });
    let good = 0;
    let daemon = await startDaemon({ root });
    for (let kill = 0; kill < kills; kill += 1) {
      const of = `k${kill}-`;
      const wanted = Object.fromEntries(names.map((name, n) => [name, `${of}${n}`]));
      const run = await submit(runs, "cached", { of });
      const path = `${runs}/cached/${/@(\d{4})(\d\d)/.exec(run)!.slice(1).join("-")}/${run}.jsonl`;
      const seen = 1 + Math.floor(dice.random() * (STEPS - 1));
      await awaitLines(path, seen, ({ type }) => type === "step.completed");
      await daemon.kill();
      daemon = await startDaemon({ root });
      const first = await ended(runs, run);
      const second = await ended(runs, await submit(runs, "cached", { of }));
      for (const one of [first, second]) {
        expect(outcomeOf(one)).toBe("completed");
        expect(given(one)).toEqual(wanted);
      }
      if (cachedIn(second) === STEPS) good += 1;
    }
    await daemon.end();
    reached(
      27,
      "kills while results were recorded, each with all results found later",
      good,
      kills,
    );
    expect(good).toBe(kills);
  },
);
